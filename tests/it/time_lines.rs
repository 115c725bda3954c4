//! Clocks that jump and wrap, encoders that start anew inside one connection: the stream goes on, in step.

use crate::support::check::{AV_SHIFT_LIMIT_MS, assert_content};
use crate::support::flv::{Tag, Wrapping, tags};
use crate::support::odd_stream::{shift_clock, split_at, start_clock_at};
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::rtmp_client::TagFeed;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::ts::{Capture, Codec, Expected, TICKS_PER_MS, Verdict, WRAP_TICKS, compare};

/// Where the odd thing happens, seconds after the start.
const ODD_AT_S: f64 = 5.0;

/// How long each receiver is watched: some seconds on both sides.
const WATCHED_S: f64 = 10.0;

/// Longest hole that a new time base may tear into a track: it is joined by time of arrival, and a stream that is
/// cut before a key frame has not yet sent the last 0.7 s of its sound.
const JOINT_MAX_MS: f64 = 1500.0;

/// 1000 seconds.
const FAR_TICKS: i64 = 1_000_000 * TICKS_PER_MS;

/// Both tracks on one rising clock, with at most one joint.
fn joined() -> Expected {
    let mut expected = Expected::new(Some(Codec::H264), Some(Codec::Aac), WATCHED_S - 1.0);
    expected.video_gap_max_ms = JOINT_MAX_MS;
    expected.audio_gap_max_ms = JOINT_MAX_MS;
    expected.pcr_interval_max_ms = JOINT_MAX_MS;
    expected.table_interval_max_ms = JOINT_MAX_MS;
    expected
}

fn publish_pieces(service: &Service, stream: &str, pieces: Vec<Vec<u8>>) -> (Publisher, Receiver) {
    let receiver = Receiver::listen();
    let publisher = Publisher::srt_pieces(service, stream, pieces);
    service.api.add_endpoint(stream, &receiver.url());
    (publisher, receiver)
}

#[test]
fn a_33_bit_wrap_over_srt_is_not_noticed() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let before_wrap = (ODD_AT_S * 1000.0) as i64 * TICKS_PER_MS;
    let (_publisher, receiver) =
        publish_pieces(&service, "live/wrap", vec![start_clock_at(&sample.bytes(), WRAP_TICKS - before_wrap)]);
    receiver.wait_seconds(WATCHED_S);
    let got = receiver.capture();
    Verdict::of(&got).assert_healthy("33-bit wrap", &Expected::new(Some(Codec::H264), Some(Codec::Aac), WATCHED_S));
    assert_content("33-bit wrap", &sample, &got, WATCHED_S);
}

#[test]
fn a_jump_of_the_clock_over_srt_does_not_end_the_stream() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let (head, tail) = split_at(&sample.bytes(), ODD_AT_S);
    let cases = [("live/forwards", FAR_TICKS), ("live/backwards", -FAR_TICKS), ("live/little", -2000 * TICKS_PER_MS)];
    let running: Vec<_> = cases
        .into_iter()
        .map(|(stream, ticks)| {
            (stream, publish_pieces(&service, stream, vec![head.clone(), shift_clock(&tail, ticks)]))
        })
        .collect();
    for (stream, (_publisher, receiver)) in &running {
        receiver.wait_seconds(WATCHED_S);
        let got = receiver.capture();
        Verdict::of(&got).assert_healthy(stream, &joined());
        assert_both_halves(stream, [&head, &tail], &got);
    }
}

#[test]
fn an_encoder_that_starts_anew_inside_the_connection_is_followed() {
    let service = Service::start();
    let (first, second) = (Sample::of(sample::H264_AAC), Sample::of(sample::OTHER_H264_AAC));
    let (head, _) = split_at(&first.bytes(), ODD_AT_S);
    let (_publisher, receiver) = publish_pieces(&service, "live/test", vec![head.clone(), second.bytes()]);
    receiver.wait_seconds(WATCHED_S);
    let got = receiver.capture();
    Verdict::of(&got).assert_healthy("a new encoder over SRT", &joined());
    assert_both_halves("a new encoder over SRT", [&head, &second.bytes()], &got);
}

/// Everything of both halves up to where the receiver begins and ends, and each in step with itself.
fn assert_both_halves(what: &str, halves: [&[u8]; 2], got: &Capture) {
    for (name, half) in ["before", "after"].into_iter().zip(halves) {
        let comparison = compare(&Capture::parse(half), got);
        for (kind, track) in [("video", &comparison.video), ("audio", &comparison.audio)] {
            let seconds = crate::support::ts::ms(track.span.1 - track.span.0) / 1000.0;
            let clean = track.lost == 0 && track.out_of_order == 0;
            assert!(clean && seconds > 2.5, "{what}, {kind} {name} the joint: {comparison}");
        }
        comparison.assert_in_sync(&format!("{what}, {name} the joint"), AV_SHIFT_LIMIT_MS);
    }
}

/// Sends tags with time stamps of our choice and gives what a receiver got.
fn publish_tags(service: &Service, stream: &str, tags: Vec<(u32, Tag)>) -> (TagFeed, Receiver) {
    let receiver = Receiver::listen();
    let feed = TagFeed::start(service.ports.rtmp, stream, tags);
    service.api.add_endpoint(stream, &receiver.url());
    (feed, receiver)
}

/// The low 32 bits, as RTMP sends them.
fn rtmp_clock(milliseconds: i64) -> u32 {
    u32::try_from(milliseconds.rem_euclid(1 << 32)).expect("the remainder fits")
}

#[test]
fn a_32_bit_wrap_over_rtmp_is_not_noticed() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let all = tags(&sample.capture(), Wrapping::Legacy);
    let first = all[0].dts_ms;
    let base = (1 << 32) - (ODD_AT_S * 1000.0) as i64;
    let timed = all.into_iter().map(|tag| (rtmp_clock(base + tag.dts_ms - first), tag)).collect();
    let (_feed, receiver) = publish_tags(&service, "live/wrap", timed);
    receiver.wait_seconds(WATCHED_S);
    let got = receiver.capture();
    Verdict::of(&got).assert_healthy("32-bit wrap", &Expected::new(Some(Codec::H264), Some(Codec::Aac), WATCHED_S));
    assert_content("32-bit wrap", &sample, &got, WATCHED_S);
}

#[test]
fn a_jump_of_the_clock_over_rtmp_does_not_end_the_stream() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let (head, tail) = split_at(&sample.bytes(), ODD_AT_S);
    let all = tags(&sample.capture(), Wrapping::Legacy);
    let border = all.iter().map(|tag| tag.dts_ms).min().unwrap() + (ODD_AT_S * 1000.0) as i64;
    let cases = [("live/backwards", -4000), ("live/forwards", 3_600_000)];
    let running: Vec<_> = cases
        .into_iter()
        .map(|(stream, jump)| {
            let timed = all
                .iter()
                .map(|tag| (rtmp_clock(tag.dts_ms + if tag.dts_ms >= border { jump } else { 0 }), tag.clone()))
                .collect();
            (stream, publish_tags(&service, stream, timed))
        })
        .collect();
    for (stream, (_feed, receiver)) in &running {
        receiver.wait_seconds(WATCHED_S);
        let got = receiver.capture();
        Verdict::of(&got).assert_healthy(stream, &joined());
        assert_both_halves(stream, [&head, &tail], &got);
    }
}

#[test]
fn sequence_headers_that_change_over_rtmp_are_followed() {
    let service = Service::start();
    let (first, second) = (Sample::of(sample::H264_AAC), Sample::of(sample::OTHER_H264_AAC));
    let (head, _) = split_at(&first.bytes(), ODD_AT_S);
    let before = tags(&Capture::parse(&head), Wrapping::Legacy);
    let after = tags(&second.capture(), Wrapping::Legacy);
    // The second programme goes on where the first ends.
    let shift = before.iter().map(|tag| tag.dts_ms).max().unwrap() + 40 - after[0].dts_ms;
    let moved = after.into_iter().map(|tag| Tag { dts_ms: tag.dts_ms + shift, ..tag });
    let timed = before.into_iter().chain(moved).map(|tag| (rtmp_clock(tag.dts_ms), tag)).collect();
    let (_feed, receiver) = publish_tags(&service, "live/test", timed);
    receiver.wait_seconds(WATCHED_S);
    let got = receiver.capture();
    Verdict::of(&got).assert_healthy("new sequence headers", &joined());
    assert_both_halves("new sequence headers", [&head, &second.bytes()], &got);
}
