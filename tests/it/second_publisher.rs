//! Two publishers want the same stream: the living one keeps it, a dead one gives it up.

use std::time::{Duration, Instant};

use crate::support::check::assert_restreamed;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::rtmp_client::RtmpClient;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{LATER, SOON, wait_for};

/// How long one attempt of a second publisher is watched.
const TRY_MAX: Duration = Duration::from_secs(5);

/// About three seconds of the programme.
const LET_IN_BYTES: usize = 150_000;

#[test]
fn a_second_publisher_of_a_live_stream_is_refused_and_the_first_goes_on() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _first = Publisher::rtmp(&service, stream, &sample);
    service.api.wait_live(stream);
    let receiver = Receiver::listen();
    service.api.add_endpoint(stream, &receiver.url());
    receiver.wait_seconds(1.0);

    let mut over_rtmp = Publisher::rtmp(&service, stream, &sample);
    assert!(!over_rtmp.wait_exit(SOON).success(), "{}", over_rtmp.said());
    let mut told = RtmpClient::publish(service.ports.rtmp, stream).unwrap();
    told.hear("NetStream.Publish.BadName").unwrap();
    let mut over_srt = Publisher::srt(&service, stream, &sample);
    assert!(!over_srt.wait_exit(SOON).success(), "{}", over_srt.said());

    receiver.wait_more(3.0);
    let seconds = receiver.seconds();
    assert_restreamed("the first publisher", &sample, &receiver, seconds);
}

#[test]
fn a_publisher_that_sends_nothing_any_more_is_replaced() {
    let settings = vec![("STREAM__DEAD_PUBLISHER_MS", "1500".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    for (stream, rtmp_first) in [("live/one", true), ("live/two", false)] {
        let publish = |over_rtmp: bool| {
            if over_rtmp {
                Publisher::rtmp(&service, stream, &sample)
            } else {
                Publisher::srt(&service, stream, &sample)
            }
        };
        let first = publish(rtmp_first);
        service.api.wait_live(stream);
        let receiver = Receiver::listen();
        service.api.add_endpoint(stream, &receiver.url());
        receiver.wait_seconds(1.0);
        first.freeze();
        // Encoders try again until they are let in. What is still on its way to the file when the first one
        // freezes is far less than the seconds that are waited for.
        let mark = receiver.received();
        let second = wait_for(LATER, "a second publisher is let in", || {
            let mut second = publish(!rtmp_first);
            let start = Instant::now();
            while second.runs() && start.elapsed() < TRY_MAX {
                if receiver.received() > mark + LET_IN_BYTES {
                    return Ok(second);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(second.said())
        });
        assert_eq!(receiver.connections(), 1, "its endpoint stays connected");
        drop(second);
    }
}
