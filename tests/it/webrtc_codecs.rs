//! What browsers may send: H.264 passes, other pictures are transcoded once, and one track alone is a stream too.

use std::time::Duration;

use crate::support::check::for_each;
use crate::support::http::path;
use crate::support::receiver::Receiver;
use crate::support::service::Service;
use crate::support::wait::wait_for;
use crate::support::webrtc::{Page, assert_good, av_offset_ms, expected, key_interval_max_s, receive};

/// The service makes a key frame every 2 s in what it transcodes; with room for a slow frame rate.
const KEY_INTERVAL_MAX_S: f64 = 3.0;

/// How far sound and pictures may be apart where both come out of a browser's own clocks: canvas and sound card.
const AV_OFFSET_MAX_MS: f64 = 150.0;

/// Without transport-wide feedback a browser is at 900 kb/s after 20 s.
const CLIMB_MAX: Duration = Duration::from_secs(15);

#[test]
fn pictures_that_are_no_h264_are_transcoded_and_the_stream_says_so() {
    let service = Service::start();
    let page = Page::open();
    for_each(
        &["VP8", "VP9", "AV1"],
        |codec| (*codec).to_owned(),
        |codec| {
            let stream = format!("live/{codec}");
            page.whip(&service, &stream, "flash()", &format!("{{ codecs: ['{codec}'] }}"));
            assert_eq!(page.sending("video")["codec"], format!("video/{codec}"));
            let receiver = receive(&service, &stream, 8.0);
            assert_good(codec, &receiver, &expected(true, true, 8.0));
            let interval = key_interval_max_s(&receiver.verdict());
            assert!(interval <= KEY_INTERVAL_MAX_S, "{codec}: {interval:.1} s between key frames");
            let (offset, times) = av_offset_ms(&receiver.bytes());
            assert!(times >= 4 && offset.abs() < AV_OFFSET_MAX_MS, "{codec}: {offset} ms, {times} times");

            let (_, info) = service.api.get(&path(&stream, "/stream-info"));
            assert!(info.to_string().contains(codec), "stream-info names no {codec}: {info}");
            page.browser.eval("publisher.client.stop()");
        },
    );
}

#[test]
fn h264_passes_untouched_and_one_track_alone_is_a_stream() {
    let service = Service::start();
    let page = Page::open();
    let cases = [
        ("both", "flash()", true, true),
        ("sound", "camera({ audio: true })", false, true),
        ("pictures", "camera({ video: true })", true, false),
    ];
    for_each(
        &cases,
        |case| case.0.to_owned(),
        |(name, media, video, audio)| {
            let stream = format!("live/{name}");
            page.whip(&service, &stream, media, "{}");
            let receiver = receive(&service, &stream, 6.0);
            assert_good(name, &receiver, &expected(*video, *audio, 6.0));
            if *video {
                assert_eq!(page.sending("video")["codec"], "video/H264");
                let (_, info) = service.api.get(&path(&stream, "/stream-info"));
                assert!(!info.to_string().contains("VP"), "{info}");
            }
            page.browser.eval("publisher.client.stop()");
        },
    );
}

#[test]
fn a_browser_is_told_that_it_may_send_more() {
    let service = Service::start();
    let page = Page::open();
    page.whip(&service, "live/test", "noise()", "{ kbps: 1200 }");
    let receiver = Receiver::listen();
    service.api.add_endpoint("live/test", &receiver.url());
    wait_for(CLIMB_MAX, "there is room for 1000 kb/s", || {
        let sent = page.sending("video");
        if sent["available_kbps"].as_u64() >= Some(1000) { Ok(()) } else { Err(sent.to_string()) }
    });
    receiver.wait_seconds(3.0);
    // Not decoded: so many bits at once may cost a busy machine's socket a packet.
    receiver.verdict().assert_healthy("busy pictures", &expected(true, false, 3.0));
}
