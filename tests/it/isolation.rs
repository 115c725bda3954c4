//! One endpoint's trouble is no other's: dead, frozen and slow receivers beside a healthy one.

use crate::support::check::assert_restreamed;
use crate::support::process::free_port;
use crate::support::publisher::Publisher;
use crate::support::receiver::{Receiver, SlowReceiver};
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::wait::{LATER, wait_for, wait_until};

/// A tenth of what the programme needs.
const SLOW_BYTES_PER_S: usize = 5_000;

#[test]
fn dead_frozen_and_slow_receivers_cost_the_healthy_one_nothing() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    service.api.wait_live(stream);

    let (healthy, frozen, slow) = (Receiver::listen(), Receiver::listen(), SlowReceiver::listen(SLOW_BYTES_PER_S));
    let healthy_id = service.api.add_endpoint(stream, &healthy.url());
    let frozen_id = service.api.add_endpoint(stream, &frozen.url());
    let slow_id = service.api.add_endpoint(stream, &slow.url());
    let dead_ids: Vec<String> =
        (0..3).map(|_| service.api.add_endpoint(stream, &format!("srt://127.0.0.1:{}", free_port()))).collect();
    for id in [&healthy_id, &frozen_id, &slow_id] {
        service.api.wait_endpoint(stream, id, "broadcasting");
    }
    for id in &dead_ids {
        service.api.wait_endpoint(stream, id, "error");
    }

    frozen.wait_seconds(1.0);
    frozen.freeze();
    // Longer than the time after which SRT gives up a peer that says nothing.
    healthy.wait_more(8.0);
    service.api.wait_endpoint(stream, &frozen_id, "error");
    frozen.thaw();
    wait_until(LATER, "the frozen receiver is served again", || frozen.connections() >= 2);
    service.api.wait_endpoint(stream, &frozen_id, "broadcasting");
    healthy.wait_more(3.0);

    let healthy_status = service.api.endpoint(stream, &healthy_id).unwrap();
    assert_eq!(healthy_status.status, "broadcasting", "{}", healthy_status.all);
    let seconds = healthy.seconds();
    assert_restreamed("healthy beside dead, frozen and slow", &sample, &healthy, seconds);
}

#[test]
fn a_short_freeze_is_survived_without_a_new_connection() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    let (healthy, frozen) = (Receiver::listen(), Receiver::listen());
    service.api.add_endpoint(stream, &healthy.url());
    let id = service.api.add_endpoint(stream, &frozen.url());
    frozen.wait_seconds(2.0);
    frozen.freeze();
    healthy.wait_more(2.5);
    frozen.thaw();
    frozen.wait_more(3.0);
    assert_eq!(frozen.connections(), 1);
    service.api.wait_endpoint(stream, &id, "broadcasting");
    let seconds = healthy.seconds();
    assert_restreamed("healthy beside a short freeze", &sample, &healthy, seconds);
}

#[test]
fn what_is_dropped_for_a_slow_receiver_is_counted_by_gops() {
    let service = Service::start();
    let _publisher = Publisher::rtmp(&service, "live/test", &Sample::of(sample::H264_AAC));
    let slow = SlowReceiver::listen(SLOW_BYTES_PER_S);
    let id = service.api.add_endpoint("live/test", &slow.url());
    let statistics = wait_for(LATER, "a GOP is dropped for it", || {
        let endpoint = service.api.control("live/test", &id);
        let dropped = endpoint["statistics"]["droppedGops"].as_u64() >= Some(1);
        if dropped { Ok(endpoint["statistics"].clone()) } else { Err(endpoint.to_string()) }
    });
    let number = |name: &str| statistics[name].as_u64().unwrap_or_else(|| panic!("no {name}: {statistics}"));
    assert!(number("droppedUnits") >= number("droppedGops") && number("passedUnits") > 0, "{statistics}");
}
