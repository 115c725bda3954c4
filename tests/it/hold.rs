//! A stream whose publisher has left: how long its endpoints stay, what ends that, and what comes back otherwise.

use std::time::Duration;

use crate::support::check::{assert_restreamed, for_each};
use crate::support::http::path;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Programme, Sample};
use crate::support::service::{Options, Service};
use crate::support::ts::{Capture, Codec, PACKET_BYTES, Verdict};
use crate::support::wait::{LATER, SOON, wait_for, wait_until};
use crate::support::webrtc::since_key_frame;

/// Publishers that come and go.
const FLAPS: usize = 20;

/// Until worker threads that have nothing to do have gone.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Longer than an endpoint that takes nothing is waited for (10 s).
const SILENCE: Duration = Duration::from_secs(13);

/// A hole in the pictures between two publishers is longer than this, and none within one is.
const HOLE_MIN_MS: f64 = 200.0;

/// Held for longer than a test runs.
const LONG_MS: u32 = 60_000;

fn service(hold_ms: u32) -> Service {
    Service::start_with(Options { settings: vec![("STREAM__HOLD_MS", hold_ms.to_string())], ..Options::default() })
}

#[track_caller]
fn wait_held(service: &Service, stream: &str) {
    wait_for(SOON, "the stream is held", || {
        let view = service.api.broadcast(stream).unwrap_or_default();
        if view["heldUntil"].is_i64() { Ok(()) } else { Err(view.to_string()) }
    });
}

/// A stream with an endpoint that has had two seconds, and its publisher.
fn running(service: &Service, stream: &str, sample: &Sample) -> (Publisher, Receiver, String) {
    let receiver = Receiver::listen();
    let publisher = Publisher::rtmp(service, stream, sample);
    let id = service.api.add_endpoint(stream, &receiver.url());
    receiver.wait_seconds(2.0);
    (publisher, receiver, id)
}

#[test]
fn an_endpoint_closes_when_nobody_comes_back_and_serves_the_next_publisher() {
    let service = service(1_500);
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let (publisher, mut receiver, id) = running(&service, stream, &sample);
    publisher.stop();
    wait_held(&service, stream);
    assert_eq!(service.api.endpoint(stream, &id).unwrap().status, "broadcasting");
    service.api.wait_status(stream, "finished");
    assert!(service.api.broadcast(stream).unwrap()["heldUntil"].is_null());
    receiver.kill();
    receiver.start();
    let _publisher = Publisher::srt(&service, stream, &sample);
    service.api.wait_endpoint(stream, &id, "broadcasting");
    receiver.wait_seconds(3.0);
    assert_restreamed("after the hold", &sample, &receiver, 3.0);
}

#[test]
fn without_a_hold_endpoints_close_with_their_publisher() {
    let service = service(0);
    let sample = Sample::of(sample::H264_AAC);
    let (publisher, _receiver, id) = running(&service, "live/test", &sample);
    publisher.stop();
    service.api.wait_status("live/test", "finished");
    assert_eq!(service.api.endpoint("live/test", &id).unwrap().status, "finished");
}

#[test]
fn stop_delete_and_sigterm_end_a_hold_at_once() {
    let mut service = service(LONG_MS);
    let sample = Sample::of(sample::H264_AAC);
    let streams = ["live/stop", "live/delete", "live/term"];
    let receivers = streams.map(|stream| {
        let (publisher, receiver, _) = running(&service, stream, &sample);
        publisher.stop();
        wait_held(&service, stream);
        receiver
    });
    let (status, answer) = service.api.post(&path("live/stop", "/stop"), &serde_json::json!({}));
    assert!(status == 200 && answer["success"] == true, "{status} {answer}");
    assert_eq!(service.api.status("live/stop"), "finished");
    let (status, answer) = service.api.delete(&path("live/delete", ""));
    assert!(status == 200 && answer["success"] == true, "{status} {answer}");
    assert!(service.api.broadcast("live/delete").is_none());
    // Panics unless it ends in time and well.
    service.stop();
    drop(receivers);
}

#[test]
fn an_endpoint_that_is_added_or_removed_during_a_hold_is_or_is_not_there_after_it() {
    let service = service(LONG_MS);
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let (publisher, steady, _) = running(&service, stream, &sample);
    let removed = service.api.add_endpoint(stream, &Receiver::listen().url());
    publisher.stop();
    wait_held(&service, stream);
    service.api.remove_endpoint(stream, &removed);
    let added = Receiver::listen();
    let id = service.api.add_endpoint(stream, &added.url());
    assert_eq!(service.api.endpoint(stream, &id).unwrap().status, "created", "there is nothing to send");
    let _publisher = Publisher::srt(&service, stream, &sample);
    service.api.wait_endpoint(stream, &id, "broadcasting");
    added.wait_seconds(3.0);
    assert_restreamed("the one that was added", &sample, &added, 3.0);
    assert_eq!((steady.connections(), service.api.endpoints(stream).len()), (1, 2));
}

#[test]
fn a_publisher_that_flaps_leaves_nothing_behind() {
    let service = service(LONG_MS);
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let (publisher, receiver, _) = running(&service, stream, &sample);
    drop(publisher);
    wait_held(&service, stream);
    let flap = |n: usize| {
        let over_srt = n % 4 == 3;
        // An SRT publisher that is killed is noticed after seconds; one that ends says so.
        let publisher = if over_srt {
            Publisher::srt(&service, stream, &sample)
        } else {
            Publisher::rtmp(&service, stream, &sample)
        };
        // What comes before is the rest of the one before it.
        service.api.wait_live(stream);
        let from = receiver.received();
        wait_until(LATER, "it is served", || receiver.received() > from);
        if over_srt {
            publisher.stop()
        } else {
            drop(publisher)
        }
        wait_held(&service, stream);
    };
    (0..4).for_each(flap);
    let before = wait_for(SETTLED_WITHIN, "the service has calmed down", || {
        let one = service.holdings();
        std::thread::sleep(Duration::from_secs(1));
        if one == service.holdings() { Ok(one) } else { Err(format!("{one:?}")) }
    });
    (0..FLAPS).for_each(flap);
    wait_for(SETTLED_WITHIN, "nothing is held that was not held before", || {
        let now = service.holdings();
        if now.within(&before) { Ok(()) } else { Err(format!("now {now:?}\nbefore {before:?}")) }
    });
    assert_eq!(receiver.connections(), 1);
    let verdict = receiver.verdict();
    assert!(verdict.faults.is_empty() && verdict.pcr_backward == 0, "{:?}", verdict.faults);
}

#[test]
fn a_publisher_that_is_killed_is_followed_by_another_one() {
    let service = service(LONG_MS);
    let sample = Sample::of(sample::H264_AAC);
    let streams = ["live/rtmp", "live/srt"];
    for_each(
        &streams,
        |stream| (*stream).to_owned(),
        |stream| {
            let receiver = Receiver::listen();
            let publish = |over_srt: bool| {
                if over_srt {
                    Publisher::srt(&service, stream, &sample)
                } else {
                    Publisher::rtmp(&service, stream, &sample)
                }
            };
            let killed = publish(stream.ends_with("srt"));
            service.api.add_endpoint(stream, &receiver.url());
            receiver.wait_seconds(2.0);
            drop(killed);
            // Nobody says that an SRT publisher has gone: libsrt notices after five seconds.
            wait_for(LATER, "the stream is held", || {
                let view = service.api.broadcast(stream).unwrap_or_default();
                if view["heldUntil"].is_i64() { Ok(()) } else { Err(view.to_string()) }
            });
            let from = receiver.received();
            let _next = publish(!stream.ends_with("srt"));
            receiver.wait_more(3.0);
            assert_eq!(receiver.connections(), 1);
            let verdict = receiver.verdict();
            assert_eq!(verdict.continuity_errors, 0, "{:?}", verdict.faults);
            let pictures = verdict.video.expect("there are pictures");
            let first = pictures.resumed(from / PACKET_BYTES, HOLE_MIN_MS).expect("a hole between the two publishers");
            assert!(first.picture.key, "the first picture behind {:.0} ms without one is no key frame", first.hole_ms);
        },
    );
}

#[test]
fn endpoints_outlast_a_long_silence() {
    let service = service(LONG_MS);
    let sample = Sample::of(sample::H264_AAC);
    let start = |stream: &str| {
        let (publisher, receiver) = (Publisher::srt(&service, stream, &sample), Receiver::listen());
        let id = service.api.add_endpoint(stream, &receiver.url());
        receiver.wait_seconds(2.0);
        (publisher, receiver, id)
    };
    let (frozen, left) = (start("live/frozen"), start("live/left"));
    frozen.0.freeze();
    left.0.stop();
    wait_held(&service, "live/left");
    let begin = std::time::Instant::now();
    while begin.elapsed() < SILENCE {
        for (stream, id) in [("live/frozen", &frozen.2), ("live/left", &left.2)] {
            // Connected, with nothing to send: nobody's failure.
            let status = service.api.endpoint(stream, id).unwrap().status;
            assert!(["broadcasting", "preparing"].contains(&status.as_str()), "{stream}: {status}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let _next = ["live/frozen", "live/left"].map(|stream| Publisher::rtmp(&service, stream, &sample));
    for receiver in [&frozen.1, &left.1] {
        receiver.wait_more(3.0);
        assert_eq!(receiver.connections(), 1);
        let verdict = receiver.verdict();
        assert!(verdict.faults.is_empty() && verdict.pcr_backward == 0, "{:?}", verdict.faults);
    }
}

/// What follows what, and whether the receiver keeps its connection.
struct Change {
    stream: &'static str,
    first: Programme,
    then: Programme,
    /// Sound of another rate and number of channels.
    other_rate: bool,
    keeps: bool,
}

const CHANGES: [Change; 6] = [
    Change {
        stream: "live/size",
        first: sample::H264_AAC,
        then: sample::OTHER_H264_AAC,
        other_rate: false,
        keeps: true,
    },
    Change { stream: "live/rate", first: sample::H264_AAC, then: sample::H264_AAC, other_rate: true, keeps: true },
    Change { stream: "live/mute", first: sample::H264_AAC, then: sample::H264_ONLY, other_rate: false, keeps: true },
    Change { stream: "live/voiced", first: sample::H264_ONLY, then: sample::H264_AAC, other_rate: false, keeps: true },
    Change { stream: "live/h265", first: sample::H264_AAC, then: sample::H265_AAC, other_rate: false, keeps: false },
    Change { stream: "live/mp2", first: sample::H264_AAC, then: sample::H264_MP2, other_rate: false, keeps: false },
];

#[test]
fn a_publisher_that_comes_back_with_something_else_is_served_and_reconnects_only_for_another_codec() {
    let service = service(LONG_MS);
    for_each(&CHANGES, |change| change.stream.to_owned(), |change| changes(&service, change));
    let log = service.log();
    assert_eq!(log.matches("another codec now").count(), 2, "said for each that had to connect anew");
}

fn changes(service: &Service, change: &Change) {
    let Change { stream, first, then, other_rate, keeps } = *change;
    let (first, then) = (Sample::of(first), Sample::of(then));
    let receiver = Receiver::listen();
    let publisher = Publisher::srt(service, stream, &first);
    service.api.add_endpoint(stream, &receiver.url());
    receiver.wait_seconds(2.0);
    publisher.stop();
    wait_held(service, stream);
    let _next = if other_rate {
        let file = then.derived("44100", "-t 60 -map 0 -c:v copy -c:a aac -ar 44100 -ac 2 -f mpegts");
        Publisher::rtmp_with(service, stream, &file, "")
    } else {
        Publisher::srt(service, stream, &then)
    };
    let from = receiver.received();
    receiver.wait_more(6.0);
    let bytes = receiver.bytes();
    assert_eq!(receiver.connections(), if keeps { 1 } else { 2 }, "{stream}");
    if !keeps {
        return;
    }
    let whole = Verdict::of_bytes(&bytes);
    assert!(whole.faults.is_empty() && whole.pcr_backward == 0, "{stream}: {:?}", whole.faults);
    let part = Capture::parse(since_key_frame(&bytes, from));
    let comparison = crate::support::ts::compare(&then.capture(), &part);
    assert!(comparison.video.matched > 50 && comparison.video.lost == 0, "{stream}: {comparison}");
    if then.programme.audio == Some(Codec::Aac) && !other_rate {
        assert!(comparison.audio.matched > 50 && comparison.audio.lost == 0, "{stream}: {comparison}");
    }
}
