//! Receivers that go and come back, and receivers that want another passphrase.

use crate::support::check::assert_restreamed;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::ts::{Codec, Expected};

#[test]
fn a_receiver_that_dies_and_comes_back_is_served_again() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::srt(&service, stream, &sample);
    let (steady, mut mortal) = (Receiver::listen(), Receiver::listen());
    service.api.add_endpoint(stream, &steady.url());
    let id = service.api.add_endpoint(stream, &mortal.url());
    mortal.wait_seconds(2.0);

    mortal.kill();
    service.api.wait_endpoint(stream, &id, "error");
    mortal.start();
    service.api.wait_endpoint(stream, &id, "broadcasting");
    mortal.wait_seconds(4.0);

    assert_restreamed("the receiver that came back", &sample, &mortal, 4.0);
    let seconds = steady.seconds();
    assert_restreamed("the receiver beside it", &sample, &steady, seconds);
}

#[test]
fn a_receiver_that_starts_after_its_endpoint_is_found_by_itself() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    service.api.wait_live(stream);
    let mut late = Receiver::prepare(None);
    let id = service.api.add_endpoint(stream, &late.url());
    service.api.wait_endpoint(stream, &id, "error");
    late.start();
    service.api.wait_endpoint(stream, &id, "broadcasting");
    late.wait_seconds(3.0);
    assert_restreamed("a receiver that starts late", &sample, &late, 3.0);
}

#[test]
fn a_receiver_that_answers_late_is_served_as_soon_as_it_is_connected() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    let (steady, mut late) = (Receiver::listen(), Receiver::prepare(None));
    service.api.add_endpoint(stream, &steady.url());
    steady.wait_seconds(1.0);
    // The caller repeats its handshake for three seconds: this one answers in the middle of the first attempt.
    let id = service.api.add_endpoint(stream, &late.url());
    steady.wait_more(1.5);
    late.start();
    service.api.wait_endpoint(stream, &id, "broadcasting");
    steady.wait_more(5.0);
    let seconds = late.seconds();
    assert!(seconds >= 3.0, "5 s after it was connected the receiver has {seconds:.1} s of media");
    assert_eq!(service.api.endpoint(stream, &id).unwrap().status, "broadcasting");
    // What went in before the connection stood (srtsink tells a failure only when it has something to send) comes
    // first; the way from there to now is one hole, at the beginning. (The cut may also miss a B-frame.)
    let mut expected = Expected::new(Some(Codec::H264), Some(Codec::Aac), seconds);
    let hole_max_ms = 4000.0;
    expected.video_gap_max_ms = hole_max_ms;
    expected.audio_gap_max_ms = hole_max_ms;
    expected.pcr_interval_max_ms = hole_max_ms;
    expected.table_interval_max_ms = hole_max_ms;
    let verdict = late.verdict();
    verdict.assert_healthy("a receiver that answers late", &expected);
    let holes = verdict.video.unwrap().holes_ms(200.0);
    assert!(holes.len() <= 1, "holes after so many seconds, of so many milliseconds: {holes:?}");
}

#[test]
fn a_wrong_passphrase_is_an_error_until_the_receiver_takes_it() {
    let (ours, theirs) = ("open-sesame-4711", "something-else-0815");
    let service =
        Service::start_with(Options { secrets: vec![ours.to_owned(), theirs.to_owned()], ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    service.api.wait_live(stream);

    let mut receiver = Receiver::listen_with_passphrase(theirs);
    let id = service.api.add_endpoint(stream, &format!("{}?passphrase={ours}&pbkeylen=32", receiver.url()));
    service.api.wait_endpoint(stream, &id, "error");
    assert_eq!(receiver.received(), 0, "nothing may flow under a wrong passphrase");

    receiver.kill();
    receiver.set_passphrase(Some(ours));
    receiver.start();
    let endpoint = service.api.wait_endpoint(stream, &id, "broadcasting");
    receiver.wait_seconds(3.0);
    assert_restreamed("with the right passphrase", &sample, &receiver, 3.0);
    assert!(endpoint.url.starts_with(&receiver.url()) && !endpoint.url.contains(ours), "{}", endpoint.url);
}

/// Endpoints close with their publisher; what a hold changes is in `hold` and `handover`.
fn without_hold() -> Service {
    Service::start_with(Options { settings: vec![("STREAM__HOLD_MS", "0".to_owned())], ..Options::default() })
}

#[test]
fn endpoints_wait_for_their_publisher_and_serve_it_each_time_it_comes() {
    let service = without_hold();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let mut receiver = Receiver::listen();
    let publisher = Publisher::rtmp(&service, stream, &sample);
    let id = service.api.add_endpoint(stream, &receiver.url());
    receiver.wait_seconds(2.0);
    publisher.stop();
    service.api.wait_status(stream, "finished");

    // The second time by another protocol, as an operator does whose RTMP encoder broke down.
    for over_srt in [false, true] {
        receiver.kill();
        receiver.start();
        let publisher = if over_srt {
            Publisher::srt(&service, stream, &sample)
        } else {
            Publisher::rtmp(&service, stream, &sample)
        };
        service.api.wait_live(stream);
        service.api.wait_endpoint(stream, &id, "broadcasting");
        receiver.wait_seconds(3.0);
        assert_restreamed(if over_srt { "then over SRT" } else { "again over RTMP" }, &sample, &receiver, 3.0);
        publisher.stop();
        service.api.wait_status(stream, "finished");
    }
}

#[test]
fn what_a_receiver_had_before_a_publisher_left_stays_whole() {
    let service = without_hold();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let mut receiver = Receiver::listen();
    let publisher = Publisher::rtmp(&service, stream, &sample);
    service.api.add_endpoint(stream, &receiver.url());
    receiver.wait_seconds(3.0);
    publisher.stop();
    service.api.wait_status(stream, "finished");
    let seconds = receiver.seconds();
    assert_restreamed("up to the end of the publisher", &sample, &receiver, seconds);
    receiver.kill();
}
