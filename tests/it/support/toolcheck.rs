//! Publishers and receivers proven without the service: what ffmpeg and srt-live-transmit send each other is
//! whole, so that a fault found in a scenario is the service's.

use std::net::TcpListener;
use std::process::Stdio;

use super::check::assert_content;
use super::flv::{Wrapping, tags};
use super::odd_stream::{pause, split_at, start_clock_at};
use super::process::{Tool, free_port};
use super::publisher::Publisher;
use super::receiver::Receiver;
use super::rtmp_client::TagFeed;
use super::sample::{self, Sample, words};
use super::ts::{Capture, Kind, Verdict, WRAP_TICKS, compare};
use super::wait::{LATER, SOON, wait_until};

#[test]
fn what_ffmpeg_sends_over_srt_arrives_whole() {
    let (sample, receiver) = (Sample::of(sample::H264_AAC), Receiver::listen());
    let _publisher = Publisher::ffmpeg(&sample.path, &format!("-f mpegts {}?pkt_size=1316", receiver.url()));
    receiver.wait_seconds(4.0);
    assert_eq!(receiver.capture().faults, Vec::<String>::new());
    assert_content("ffmpeg to srt-live-transmit", &sample, &receiver.capture(), 4.0);
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn what_is_fed_through_srt_live_transmit_arrives_whole_and_in_time() {
    let (sample, receiver) = (Sample::of(sample::H264_AAC), Receiver::listen());
    let (head, tail) = split_at(&sample.bytes(), 2.0);
    let start = std::time::Instant::now();
    let _publisher = Publisher::feed(&receiver.url(), vec![head, tail]);
    receiver.wait_seconds(5.0);
    let took = start.elapsed().as_secs_f64();
    assert!((4.0..9.0).contains(&took), "5 s of media took {took:.1} s");
    assert_content("srt-live-transmit to srt-live-transmit", &sample, &receiver.capture(), 5.0);
}

#[test]
fn our_rtmp_client_publishes_what_ffmpeg_understands() {
    let sample = Sample::of(sample::H264_AAC);
    let (port, dir) = (free_port(), tempfile::TempDir::new().unwrap());
    let got = dir.path().join("got.ts");
    let args = format!(
        "-v error -nostdin -listen 1 -i rtmp://127.0.0.1:{port}/live/test -t 4 -c copy -f mpegts {}",
        got.display()
    );
    let mut server = Tool::start("ffmpeg", words(&args), Stdio::null(), Stdio::null());
    wait_until(SOON, "ffmpeg listens", || TcpListener::bind(("127.0.0.1", port)).is_err());
    // FLV counts from zero, and ffmpeg sorts only a small beginning of it.
    let all = tags(&sample.capture(), Wrapping::Legacy);
    let first = all[0].dts_ms;
    let timed = all.into_iter().map(|tag| (u32::try_from(tag.dts_ms - first).unwrap(), tag)).collect();
    let feed = TagFeed::start(port, "live/test", timed);
    assert!(server.wait_exit(LATER).success(), "{}", server.said());
    feed.abandon();
    assert_content("our client to ffmpeg", &sample, &Capture::parse(&std::fs::read(&got).unwrap()), 3.5);
}

#[test]
fn odd_streams_are_odd_in_nothing_else() {
    let sample = Sample::of(sample::H264_AAC);
    let (head, _) = split_at(&sample.bytes(), 10.0);
    for bytes in [
        start_clock_at(&head, WRAP_TICKS - 100_000),
        pause(&head, Kind::Audio, 3.0, 6.0),
        pause(&head, Kind::Video, -1.0, 6.0),
    ] {
        let verdict = Verdict::of_bytes(&bytes);
        assert_eq!(verdict.faults, Vec::<String>::new());
    }
    let paused = Capture::parse(&pause(&head, Kind::Audio, 3.0, 6.0));
    let comparison = compare(&sample.capture(), &paused);
    assert_eq!((comparison.video.lost, comparison.audio.out_of_order), (0, 0), "{comparison}");
    assert!((120..160).contains(&comparison.audio.lost), "{comparison}");
}
