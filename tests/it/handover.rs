//! One stream, many ways in: whatever protocol a publisher comes back by, the receiver keeps its connection.
//!
//! The hard thing is to walk every ordered pair of ways with one endpoint connected all the while: the ways are
//! taken in an order in which each follows each once (a de Bruijn sequence), and what came of each is cut out of
//! what the receiver has.

use std::time::{Duration, Instant};

use crate::support::check::AV_SHIFT_LIMIT_MS;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::rtsp;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::ts::{Capture, PACKET_BYTES, TrackFigures, Unit, Verdict, compare, ms};
use crate::support::wait::{LATER, wait_for, wait_until};
use crate::support::webrtc::{Page, assert_decodes, av_offset_ms, since};

/// Seconds of media that are taken of each publication.
const EACH_S: f64 = 4.0;

/// What an offset of a browser's sound is taken from, how often it is tried, and how far it may be (see `webrtc_sync`).
const MEASURED_S: f64 = 6.0;
const FLASHES_MIN: u64 = 3;
const MEASURED_TIMES_MAX: usize = 4;
const APART_MAX_MS: f64 = AV_SHIFT_LIMIT_MS + 20.0;

/// A pause between two publications is longer than this, and none within one on this test's own machine is.
const HOLE_MIN_MS: f64 = 1000.0;

/// From the start of a publisher to its first picture, at most. It starts within two seconds when the machine has time for
/// it; the rest is for one that has none.
const GAP_MAX_MS: f64 = 5_000.0;

/// Nothing more comes of a publication when the receiver has got nothing for so long: its latency is 500 ms.
const QUIET: Duration = Duration::from_millis(700);

/// What a stream that is held longer than any test is given.
const LONG_MS: &str = "60000";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Rtmp,
    Srt,
    Rtsp,
    WebRtc,
}

/// Every way in. One more is one more entry here and in [`Running::publish`].
const WAYS: [Way; 4] = [Way::Rtmp, Way::Srt, Way::Rtsp, Way::WebRtc];

/// The ways in an order in which each comes once right behind each, itself too (Fredricksen, Kessler, Maiorana:
/// the Lyndon words of length 1 and 2 in lexicographic order).
fn walk() -> Vec<Way> {
    let mut order = Vec::new();
    for (n, first) in WAYS.into_iter().enumerate() {
        order.push(first);
        for second in &WAYS[n + 1..] {
            order.extend([first, *second]);
        }
    }
    order.push(order[0]);
    order
}

/// A publisher of any kind.
enum Running<'a> {
    Tool(Publisher),
    Page(&'a Page),
}

impl<'a> Running<'a> {
    fn publish(way: Way, service: &Service, stream: &str, sample: &Sample, page: &'a Page) -> Self {
        match way {
            Way::Rtmp => Self::Tool(Publisher::rtmp(service, stream, sample)),
            Way::Srt => Self::Tool(Publisher::srt(service, stream, sample)),
            Way::Rtsp => Self::Tool(rtsp::ffmpeg(service, stream, sample, "tcp", "")),
            Way::WebRtc => {
                page.whip(service, stream, "flash()", "{}");
                Self::Page(page)
            }
        }
    }

    fn stop(self) {
        match self {
            Self::Tool(publisher) => publisher.stop(),
            Self::Page(page) => drop(page.browser.eval("publisher.client.stop()")),
        }
    }
}

/// What came of one publication.
struct Stay {
    way: Way,
    /// Where in the receiver's bytes.
    bytes: std::ops::Range<usize>,
    /// From the stop of the publisher before it to its own start: the test's doing.
    absent: Duration,
    /// How much later the beep came than the flash, where that is measured, milliseconds.
    offset_ms: Option<f64>,
}

fn wait_quiet(receiver: &Receiver) -> usize {
    let mut last = (receiver.received(), Instant::now());
    wait_for(LATER, "the receiver gets nothing more", || {
        let now = receiver.received();
        if now != last.0 {
            last = (now, Instant::now());
        }
        if last.1.elapsed() > QUIET { Ok(now) } else { Err(format!("{now} bytes")) }
    })
}

#[test]
fn every_way_in_follows_every_other_and_the_receiver_keeps_its_connection() {
    let settings = vec![("STREAM__HOLD_MS", LONG_MS.to_owned())];
    let mut service = Service::start_with(Options { settings, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let (stream, page, receiver) = ("live/test", Page::open(), Receiver::listen());
    service.api.post("/live/rest/v2/broadcasts/create", &serde_json::json!({ "streamId": "test" }));
    let id = service.api.add_endpoint(stream, &receiver.url());
    let mut stays: Vec<Stay> = Vec::new();
    let mut stopped = Instant::now();
    for way in walk() {
        let (from, absent) = (receiver.received(), stopped.elapsed());
        let running = Running::publish(way, &service, stream, &sample, &page);
        wait_until(LATER, "the publication reaches the receiver", || receiver.received() > from);
        receiver.wait_more(EACH_S);
        assert_eq!(service.api.status(stream), "broadcasting");
        let offset_ms = (way == Way::WebRtc).then(|| browsers_offset_ms(&page, &receiver));
        stopped = Instant::now();
        running.stop();
        let to = wait_quiet(&receiver);
        let view = service.api.broadcast(stream).unwrap();
        assert!(view["status"] == "preparing" && view["heldUntil"].as_i64() > Some(0), "held: {view}");
        let status = service.api.endpoint(stream, &id).unwrap().status;
        assert!(["broadcasting", "preparing"].contains(&status.as_str()), "its endpoint stays: {status}");
        stays.push(Stay { way, bytes: from..to, absent, offset_ms });
    }
    assert_eq!(receiver.connections(), 1, "one connection through {} publications", stays.len());
    judge(&sample, &receiver.bytes(), &mut stays);
    service.assert_runs();
}

/// How far apart flash and beep of a browser are, as `webrtc_sync` has it: a machine without time for the browser
/// moves them for a moment.
fn browsers_offset_ms(page: &Page, receiver: &Receiver) -> f64 {
    let mut seen = Vec::new();
    for _ in 0..MEASURED_TIMES_MAX {
        let from = receiver.received();
        page.late_ms();
        receiver.wait_more(MEASURED_S);
        let (offset, times) = av_offset_ms(since(&receiver.bytes(), from));
        let offset = offset + page.late_ms();
        if times >= FLASHES_MIN && offset.abs() < APART_MAX_MS {
            return offset;
        }
        seen.push((offset, times));
    }
    panic!("the beep comes so many ms after the flash (so many times): {seen:?}");
}

/// The whole rises without a break, and each part of it begins with a key frame and is in step with itself.
fn judge(sample: &Sample, bytes: &[u8], stays: &mut [Stay]) {
    let capture = Capture::parse(bytes);
    let verdict = Verdict::of(&capture);
    assert!(verdict.faults.is_empty(), "{:?}", verdict.faults);
    assert_eq!((verdict.continuity_errors, verdict.pcr_backward, verdict.keys_without_tables), (0, 0, 0));
    let (video, audio) = (verdict.video.unwrap(), verdict.audio.unwrap());
    assert_eq!((video.dts_backward, audio.dts_backward), (0, 0));
    assert_decodes("all of it", bytes);
    let programme = Verdict::of(&sample.capture()).video.unwrap();
    for n in 0..stays.len() {
        let what = match n.checked_sub(1) {
            Some(before) => format!("{:?} → {:?}", stays[before].way, stays[n].way),
            None => format!("{:?}", stays[n].way),
        };
        let stay = &mut stays[n];
        let gap_ms = cut(&what, stay, &capture, &video);
        let begin = stay.bytes.start / PACKET_BYTES;
        for track in [&video, &audio] {
            let (earlier, later): (Vec<&Unit>, Vec<&Unit>) = track.units.iter().partition(|unit| unit.packet < begin);
            let (last, first) = (earlier.iter().map(|unit| unit.pts).max(), later.iter().map(|unit| unit.pts).min());
            assert!(first > last, "{what}: PTS goes back");
        }
        let absent_ms = stay.absent.as_millis();
        println!(
            "{what}: {gap_ms:.0} ms without a picture, {:.0} of them after the start of its publisher{}",
            gap_ms - absent_ms as f64,
            stay.offset_ms.map(|offset| format!("; sound {offset:.0} ms late")).unwrap_or_default()
        );
        assert!(n == 0 || gap_ms - absent_ms as f64 <= GAP_MAX_MS, "{what}: the pictures stand still for too long");
        if stay.way != Way::WebRtc {
            let comparison = compare(&sample.capture(), &Capture::parse(&bytes[stay.bytes.clone()]));
            // The endpoint was connected: it misses nothing of it.
            let lost_ms = ms(comparison.video.span.0 - programme.units[0].pts);
            assert!(n == 0 || lost_ms == 0.0, "{what}: the first {lost_ms:.0} ms of the programme are missing");
            comparison.assert_lossless(&what, EACH_S - 2.0);
            comparison.assert_in_sync(&what, AV_SHIFT_LIMIT_MS);
        }
    }
}

/// Cuts a stay down to its first picture's tables: the muxer sends seven packets at a time, so that the rest of what
/// was before comes with it. Gives the hole in the pictures before it, milliseconds.
fn cut(what: &str, stay: &mut Stay, capture: &Capture, pictures: &TrackFigures) -> f64 {
    let first = pictures.resumed(stay.bytes.start / PACKET_BYTES, HOLE_MIN_MS);
    let first = first.unwrap_or_else(|| panic!("{what}: no pause is seen"));
    assert!(first.picture.key, "{what}: the first picture is no key frame");
    let tables = capture.pats.iter().rfind(|pat| **pat < first.picture.packet).expect("tables before a key frame");
    stay.bytes.start = tables * PACKET_BYTES;
    first.hole_ms
}
