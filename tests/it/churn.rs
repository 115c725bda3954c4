//! Many endpoints come and go while the stream runs: nobody is disturbed and nothing stays behind.

use std::collections::HashSet;
use std::time::Duration;

use crate::support::check::assert_restreamed;
use crate::support::process::free_port;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Holdings, Options, Service};
use crate::support::wait::{LATER, wait_for};

/// Hands that add and remove at the same time.
const HANDS: usize = 4;

/// Adds, and as many removes, of each hand: 100 in all.
const ADDS_PER_HAND: usize = 25;

/// Adds before the count begins.
const WARM_UP_ADDS: usize = 8;

/// Endpoints in the crowd.
const CROWD: usize = 100;

/// Until the last connection attempt is over and idle worker threads have gone.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Pseudo-random numbers (xorshift64), the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).expect("less than the limit")
    }
}

#[track_caller]
fn wait_settled(service: &Service, before: &Holdings) {
    wait_for(SETTLED_WITHIN, "nothing is held that was not held before", || {
        let now = service.holdings();
        if now.within(before) { Ok(()) } else { Err(format!("now {now:?}\nbefore {before:?}")) }
    });
}

/// One hand's work on its own targets: adds and removes in random order.
fn churn(service: &Service, stream: &str, seed: u64, adds_wanted: usize) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let receivers: Vec<Receiver> = (0..5).map(|_| Receiver::listen()).collect();
    let mut free: Vec<String> = receivers.iter().map(Receiver::url).collect();
    free.extend((0..1).map(|_| format!("srt://127.0.0.1:{}", free_port())));
    let mut added: Vec<(String, String)> = Vec::new();
    let mut adds = 0;
    while adds < adds_wanted || !added.is_empty() {
        if adds < adds_wanted && !free.is_empty() && (added.is_empty() || dice.below(5) < 3) {
            let url = free.swap_remove(dice.below(free.len()));
            added.push((service.api.add_endpoint(stream, &url), url));
            adds += 1;
        } else {
            let (id, url) = added.swap_remove(dice.below(added.len()));
            if dice.below(2) == 0 {
                // Half of them get as far as their first result.
                wait_for(LATER, "the endpoint has been tried", || {
                    let status = service.api.endpoint(stream, &id).ok_or("gone")?.status;
                    if matches!(status.as_str(), "broadcasting" | "error") { Ok(()) } else { Err(status) }
                });
            }
            service.api.remove_endpoint(stream, &id);
            free.push(url);
        }
    }
}

#[test]
fn a_hundred_endpoints_added_and_removed_in_random_order_leave_nothing_behind() {
    let service = Service::start_with(Options { count_objects: true, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    let watched = Receiver::listen();
    let id = service.api.add_endpoint(stream, &watched.url());
    watched.wait_seconds(1.0);
    // What is made once for all (shared ports, worker threads) is made before the count.
    churn(&service, stream, 99, WARM_UP_ADDS);
    wait_for(SETTLED_WITHIN, "the service has calmed down", || {
        let (one, other) = (service.holdings(), {
            watched.wait_more(1.0);
            service.holdings()
        });
        if one == other { Ok(()) } else { Err(format!("{one:?}")) }
    });
    let (before, objects) = (service.holdings(), service.objects());
    assert_eq!(objects.get("GstSRTSink"), Some(&1), "{objects:?}");

    std::thread::scope(|scope| {
        for hand in 0..HANDS {
            let service = &service;
            scope.spawn(move || churn(service, stream, hand as u64 + 1, ADDS_PER_HAND));
        }
    });

    wait_settled(&service, &before);
    wait_for(SETTLED_WITHIN, "GStreamer's objects are those from before", || {
        let now = service.objects();
        if now == objects { Ok(()) } else { Err(format!("now {now:?}\nbefore {objects:?}")) }
    });
    let left: Vec<String> = service.api.endpoints(stream).into_iter().map(|endpoint| endpoint.id).collect();
    assert_eq!(left, [id]);
    let seconds = watched.seconds();
    assert_restreamed("the one that stayed all the time", &sample, &watched, seconds);
}

#[test]
fn from_no_endpoint_to_a_hundred_at_once_and_back() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::srt(&service, stream, &sample);
    service.api.wait_live(stream);
    let before = service.holdings();
    let receivers: Vec<Receiver> = (0..10).map(|_| Receiver::listen()).collect();
    // Ten that are there; the others never answer.
    let urls: Vec<String> = receivers
        .iter()
        .map(Receiver::url)
        .chain((10..CROWD).map(|_| format!("srt://127.0.0.1:{}", free_port())))
        .collect();

    // Fifty calls at once, twice.
    let mut ids: Vec<String> = Vec::new();
    for half in urls.chunks(50) {
        std::thread::scope(|scope| {
            let calls: Vec<_> = half.iter().map(|url| scope.spawn(|| service.api.add_endpoint(stream, url))).collect();
            ids.extend(calls.into_iter().map(|call| call.join().unwrap()));
        });
    }
    let found: HashSet<String> = service.api.endpoints(stream).into_iter().map(|endpoint| endpoint.id).collect();
    assert_eq!(found.len(), CROWD);
    assert_eq!(found, ids.iter().cloned().collect());

    for (n, receiver) in receivers.iter().enumerate() {
        receiver.wait_seconds(6.0);
        assert_restreamed(&format!("receiver {n} among ninety dead"), &sample, receiver, 6.0);
    }
    for half in ids.chunks(50) {
        std::thread::scope(|scope| {
            half.iter().for_each(|id| drop(scope.spawn(|| service.api.remove_endpoint(stream, id))))
        });
    }
    assert!(service.api.endpoints(stream).is_empty());
    wait_for(SETTLED_WITHIN, "threads and UDP ports are back to what they were without an endpoint", || {
        let now = service.holdings();
        // The shared UDP ports (one per core), the two threads that libsrt has for each, and the one thread of GStreamer's
        // clock are made with the first endpoint.
        let ports = std::thread::available_parallelism().map_or(1, usize::from);
        let good = now.udp_sockets <= before.udp_sockets + ports
            && now.thread_count() <= before.thread_count() + 2 * ports + 1;
        if good { Ok(()) } else { Err(format!("now {now:?}\nbefore {before:?}")) }
    });
}
