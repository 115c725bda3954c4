//! How soon a pulled source is seen: not a test of anything, a table for docs/pull.md.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::process::{Tool, free_port};
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::source::{Files, RTSP_H264_AAC, RtmpServer, RtspServer, offer, pull, wait_receiving};
use crate::support::ts::{Capture, Kind};
use crate::support::wait::{LATER, wait_until};

const STREAM: &str = "live/pulled";

/// Runs of each source; the middle one counts.
const ROUNDS: usize = 3;

/// From `create` to the first media and to the first picture that a receiver has.
fn measure(url: &str) -> (Duration, Duration) {
    let (service, receiver) = (Service::start(), Receiver::listen());
    let begin = Instant::now();
    pull(&service, STREAM, url, json!({ "endPointList": [{ "endpointUrl": receiver.url() }] }));
    wait_receiving(&service, STREAM);
    let media = begin.elapsed();
    wait_until(LATER, "a picture at the receiver", || has_picture(&receiver.capture()));
    (media, begin.elapsed())
}

fn has_picture(capture: &Capture) -> bool {
    capture.track(Kind::Video).is_some_and(|track| !track.pes.is_empty())
}

fn print(scheme: &str, prepare: impl Fn() -> (String, Vec<Tool>)) {
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let (url, _tools) = prepare();
            measure(&url)
        })
        .collect();
    rounds.sort_by_key(|(_, picture)| *picture);
    let (media, picture) = rounds[ROUNDS / 2];
    println!("{scheme:<24} media {:.2} s, picture {:.2} s", media.as_secs_f64(), picture.as_secs_f64());
}

#[test]
#[ignore = "measures; run it alone: cargo test --test it pull_figures -- --ignored --nocapture"]
fn time_to_the_first_picture_of_each_source() {
    let sample = Sample::of(sample::H264_AAC);
    print("test", || ("test://?size=320x180&bitrate=300".to_owned(), Vec::new()));
    let camera = RtspServer::start(RTSP_H264_AAC, &[]);
    print("rtsp", || (camera.url(""), Vec::new()));
    print("srt, called", || {
        let url = format!("srt://127.0.0.1:{}", free_port());
        let source = offer(&sample, &format!("-f mpegts {url}?mode=listener"));
        (url, vec![source])
    });
    print("udp", || {
        let url = format!("udp://127.0.0.1:{}", free_port());
        let source = offer(&sample, &format!("-f mpegts {url}?pkt_size=1316"));
        (url, vec![source])
    });
    print("http, MPEG-TS", || {
        let url = format!("http://127.0.0.1:{}/x", free_port());
        let source = offer(&sample, &format!("-f mpegts -listen 1 {url}"));
        (url, vec![source])
    });
    let server = RtmpServer::start();
    print("rtmp", || (server.url(), vec![offer(&sample, &format!("-f flv {}", server.url()))]));
    let files = Files::start();
    let at = files.path().display();
    let _hls = offer(&sample, &format!("-f hls -hls_time 2 -hls_list_size 6 {at}/x.m3u8"));
    files.url("x5.ts");
    print("hls, segments of 2 s", || (files.url("x.m3u8"), Vec::new()));
}
