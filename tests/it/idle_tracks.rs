//! A track that stops for a while, starts late or never starts holds nothing up: the other one flows on.

use crate::support::check::AV_SHIFT_LIMIT_MS;
use crate::support::flv::{Tag, Wrapping, tags};
use crate::support::odd_stream::pause;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::rtmp_client::{AUDIO, TagFeed, VIDEO};
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::ts::{Capture, Codec, Expected, Kind, Verdict, compare};

/// What a pause of some seconds does to the figures of the paused track.
fn with_pause(kind: Kind, seconds: f64) -> Expected {
    let mut expected = Expected::new(Some(Codec::H264), Some(Codec::Aac), 10.0);
    match kind {
        // Audio stops and starts at the borders of PES packets, which hold up to 350 ms of it.
        Kind::Audio => expected.audio_gap_max_ms = seconds * 1000.0 + 700.0,
        // It comes back with a key frame, which may be a second behind the pause. The clock and the tables ride
        // on the pictures (mpegtsmux writes a PCR only with a packet of its PID) and pause with them.
        Kind::Video => {
            expected.video_gap_max_ms = seconds * 1000.0 + 1100.0;
            expected.pcr_interval_max_ms = expected.video_gap_max_ms;
            expected.table_interval_max_ms = expected.video_gap_max_ms;
        }
    }
    expected
}

/// Publishes the sample over SRT with one track paused between two times, and gives what a receiver got.
fn receive_with_pause(kind: Kind, from_s: f64, to_s: f64) -> (Sample, Vec<u8>, Capture) {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let sent = pause(&sample.bytes(), kind, from_s, to_s);
    let receiver = Receiver::listen();
    let _publisher = Publisher::srt_pieces(&service, "live/test", vec![sent.clone()]);
    let id = service.api.add_endpoint("live/test", &receiver.url());
    service.api.wait_endpoint("live/test", &id, "broadcasting");
    receiver.wait_seconds(13.0);
    (sample, sent, receiver.capture())
}

/// Nothing of what was really sent may be missing, and both tracks must be in step.
fn assert_whole(what: &str, sent: &[u8], got: &Capture) {
    let comparison = compare(&Capture::parse(sent), got);
    comparison.assert_lossless(what, 8.0);
    comparison.assert_in_sync(what, AV_SHIFT_LIMIT_MS);
}

#[test]
fn video_flows_on_while_audio_pauses_and_audio_comes_back() {
    let (_, sent, got) = receive_with_pause(Kind::Audio, 4.0, 9.0);
    Verdict::of(&got).assert_healthy("audio pauses for 5 s", &with_pause(Kind::Audio, 5.0));
    assert_whole("audio pauses for 5 s", &sent, &got);
}

#[test]
fn audio_flows_on_while_video_pauses_and_video_comes_back() {
    let (_, sent, got) = receive_with_pause(Kind::Video, 4.0, 9.0);
    Verdict::of(&got).assert_healthy("video pauses for 5 s", &with_pause(Kind::Video, 5.0));
    assert_whole("video pauses for 5 s", &sent, &got);
}

#[test]
fn audio_that_starts_seconds_late_joins() {
    let (_, sent, got) = receive_with_pause(Kind::Audio, -1.0, 4.0);
    let verdict = Verdict::of(&got);
    verdict.assert_healthy("audio starts 4 s late over SRT", &Expected::new(Some(Codec::H264), Some(Codec::Aac), 10.0));
    let (video, audio) = (verdict.video.unwrap(), verdict.audio.unwrap());
    let late_ms = (audio.units[0].pts - video.units[0].pts) as f64 / 90.0;
    assert!(late_ms > 1500.0, "video was held back until audio came: audio begins only {late_ms:.0} ms later");
    assert_whole("audio starts 4 s late over SRT", &sent, &got);
}

#[test]
fn audio_that_is_announced_and_never_comes_holds_nothing_up() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let receiver = Receiver::listen();
    let silent = pause(&sample.bytes(), Kind::Audio, -10.0, 1000.0);
    let _publisher = Publisher::srt_pieces(&service, "live/test", vec![silent]);
    service.api.add_endpoint("live/test", &receiver.url());
    receiver.wait_seconds(5.0);
    let mut expected = Expected::new(Some(Codec::H264), None, 5.0);
    let verdict = receiver.verdict();
    if let Some(audio) = &verdict.audio {
        // The tables may go on announcing it, as the source's do; then it must merely be empty.
        assert_eq!(audio.units.len(), 0);
        expected.audio = Some(Codec::Aac);
    }
    let complaints: Vec<String> =
        verdict.complaints(&expected).into_iter().filter(|line| !line.contains("not one unit")).collect();
    assert!(complaints.is_empty(), "{complaints:?}\n{verdict}");
}

#[test]
fn audio_that_starts_late_over_rtmp_joins() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let all = tags(&sample.capture(), Wrapping::Legacy);
    let late_ms = all[0].dts_ms + 3000;
    // Without a sequence header nobody can know that audio will come: it is sent with the first sound.
    let mut kept: Vec<Tag> =
        all.into_iter().filter(|tag| tag.kind == VIDEO || tag.header || tag.dts_ms >= late_ms).collect();
    kept.iter_mut().filter(|tag| tag.kind == AUDIO && tag.header).for_each(|tag| tag.dts_ms = late_ms);
    kept.sort_by_key(|tag| tag.dts_ms);
    let timed = kept.into_iter().map(|tag| (u32::try_from(tag.dts_ms).unwrap(), tag)).collect();

    let receiver = Receiver::listen();
    service.api.post("/live/rest/v2/broadcasts/create", &serde_json::json!({ "streamId": "test" }));
    service.api.add_endpoint("live/test", &receiver.url());
    let _feed = TagFeed::start(service.ports.rtmp, "live/test", timed);
    receiver.wait_seconds(8.0);
    let (got, what) = (receiver.capture(), "audio starts 3 s late over RTMP");
    let verdict = Verdict::of(&got);
    verdict.assert_healthy(what, &Expected::new(Some(Codec::H264), Some(Codec::Aac), 8.0));
    let comparison = compare(&sample.capture(), &got);
    comparison.assert_lossless(what, 4.0);
    comparison.assert_in_sync(what, AV_SHIFT_LIMIT_MS);
    let (video, audio) = (verdict.video.unwrap(), verdict.audio.unwrap());
    assert!(audio.units[0].pts - video.units[0].pts > 90 * 1500, "video was held back until audio came");
}
