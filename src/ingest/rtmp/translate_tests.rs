//! The translator as a table of tags in, configurations and units out.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::amf0::Value;
use super::seam::{Sink, SourceUnit, TrackConfig};
use super::translate::{Note, Translator};
use crate::model::codec::TrackKind::{self, Audio, Video};

const AVCC: &[u8] = b"\x01\x64\0\x0a\xff\xe1\0\x02\x67\x64\x01\0\x01\x68";
const AVCC_2: &[u8] = b"\x01\x64\0\x0b\xff\xe1\0\x02\x67\x65\x01\0\x01\x68";
const ASC: &[u8] = b"\x12\x10";

#[derive(Default)]
struct Seen(RefCell<Vec<String>>);

impl Sink for Seen {
    fn expect(&self, kind: TrackKind, comes: bool) {
        self.0.borrow_mut().push(format!("{kind} {}", if comes { "comes" } else { "comes not" }));
    }

    fn configure(&self, config: TrackConfig) {
        let text = match config {
            TrackConfig::H264 { avcc } => format!("h264 {}", avcc[3]),
            TrackConfig::H265 { .. } => "h265".to_owned(),
            TrackConfig::Aac { asc } => format!("aac {:02x}", asc[1]),
            other => format!("{other:?}"),
        };
        self.0.borrow_mut().push(text);
    }

    fn push(&self, unit: SourceUnit) {
        let (kind, key) = (unit.kind, if unit.key_frame { " key" } else { "" });
        self.0.borrow_mut().push(format!("{kind} {} {}{key}", unit.dts_ns, unit.pts_ns));
    }
}

/// A translator, its sink and its time.
struct Bench {
    translator: Translator,
    seen: Seen,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { translator: Translator::default(), seen: Seen::default(), now: Instant::now() }
    }

    fn tag(&mut self, kind: TrackKind, timestamp_ms: u32, body: &[u8]) -> Vec<String> {
        self.translator.tag(kind, timestamp_ms, &Bytes::copy_from_slice(body), self.now, &self.seen);
        self.seen.0.take()
    }

    fn notes(&mut self) -> Vec<Note> {
        self.translator.take_notes()
    }
}

#[test]
fn frames_carry_decoding_and_presentation_times_in_nanoseconds() {
    let mut bench = Bench::new();
    assert_eq!(bench.tag(Video, 0, &[b"\x17\0\0\0\0", AVCC].concat()), ["h264 10"]);
    assert_eq!(bench.tag(Audio, 0, &[b"\xaf\0", ASC].concat()), ["aac 10"]);
    assert_eq!(bench.tag(Video, 40, b"\x17\x01\0\0\x50v"), ["video 40000000 120000000 key"]);
    assert_eq!(bench.tag(Audio, 43, b"\xaf\x01a"), ["audio 43000000 43000000 key"]);
    assert_eq!(bench.tag(Video, 80, b"\x27\x01\xff\xff\xd8v"), ["video 80000000 40000000"]);
    assert_eq!(bench.tag(Video, 120, b"\xa7\x02\0\0\x07\x03avc1v"), ["video 120000000 120000007"]);
    assert_eq!(bench.tag(Audio, 120, b"\x97\x02\0\0\x07\x01mp4aa"), ["audio 120000007 120000007 key"]);
    // Empty frames and empty tags hold nothing.
    assert!(bench.tag(Audio, 130, b"\xaf\x01").is_empty());
    assert!(bench.tag(Audio, 130, b"").is_empty());
    assert!(bench.notes().is_empty());
}

#[test]
fn both_tracks_cross_the_wrap_together() {
    let mut bench = Bench::new();
    bench.tag(Video, u32::MAX - 19, &[b"\x17\0\0\0\0", AVCC].concat());
    bench.tag(Audio, u32::MAX - 19, &[b"\xaf\0", ASC].concat());
    let wrap_ns = (1i64 << 32) * 1_000_000;
    let at = |ms: i64| wrap_ns + ms * 1_000_000;
    assert_eq!(bench.tag(Video, 20, b"\x17\x01\0\0\0v"), [format!("video {0} {0} key", at(20))]);
    assert_eq!(bench.tag(Audio, u32::MAX - 9, b"\xaf\x01a"), [format!("audio {0} {0} key", at(-10))]);
    assert_eq!(bench.tag(Audio, 11, b"\xaf\x01a"), [format!("audio {0} {0} key", at(11))]);
}

#[test]
fn a_header_is_told_again_only_if_it_differs() {
    let mut bench = Bench::new();
    let first = [b"\x17\0\0\0\0", AVCC].concat();
    assert_eq!(bench.tag(Video, 0, &first), ["h264 10"]);
    assert!(bench.tag(Video, 2000, &first).is_empty());
    // The same header by the other kind of tag is the same header.
    assert!(bench.tag(Video, 2000, &[b"\x90avc1", AVCC].concat()).is_empty());
    assert!(bench.notes().is_empty());
    assert_eq!(bench.tag(Video, 4000, &[b"\x17\0\0\0\0", AVCC_2].concat()), ["h264 11"]);
    assert_eq!(bench.tag(Video, 6000, &first), ["h264 10"]);
    assert_eq!(bench.notes(), [Note::Changed(Video, 1), Note::Changed(Video, 2)]);
    // A bent header leaves the good one in force.
    assert!(bench.tag(Video, 8000, b"\x17\0\0\0\0\x01\x02").is_empty());
    assert_eq!(bench.tag(Video, 8000, b"\x17\x01\0\0\0v").len(), 1);
    assert!(matches!(bench.notes()[..], [Note::BadHeader(Video, _)]));
}

#[test]
fn frames_wait_for_their_own_codecs_header() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        assert!(bench.tag(Video, 0, b"\x27\x01\0\0\0v").is_empty());
    }
    assert_eq!(bench.notes(), [Note::NoHeader(Video)]);
    bench.tag(Video, 0, &[b"\x17\0\0\0\0", AVCC].concat());
    // H.265 frames under an H.264 header.
    assert!(bench.tag(Video, 0, b"\x93hvc1v").is_empty());
    // Codecs without a header.
    assert_eq!(bench.tag(Audio, 0, b"\x2fmp3"), ["Mp3", "audio 0 0 key"]);
    assert_eq!(bench.tag(Audio, 20, b"\x91.mp3mp3"), ["audio 20000000 20000000 key"]);
    assert_eq!(bench.tag(Audio, 40, b"\x91ac-3ac3"), ["Ac3", "audio 40000000 40000000 key"]);
}

#[test]
fn of_several_tracks_the_first_goes_on() {
    let mut bench = Bench::new();
    bench.tag(Video, 0, &[b"\x90avc1", AVCC].concat());
    for _ in 0..3 {
        assert!(bench.tag(Video, 0, b"\x96\x03avc1\x01v").is_empty());
    }
    assert_eq!(bench.notes(), [Note::OtherTracks(Video, 0)]);
    bench.tag(Audio, 0, &[b"\x95\x10mp4a\x02\0\0\x02", ASC, b"\x03\0\0\x02\x11\x90"].concat());
    assert_eq!(bench.tag(Audio, 9, b"\x95\x11mp4a\x03\0\0\x01b\x02\0\0\x01a"), ["audio 9000000 9000000 key"]);
    assert_eq!(bench.notes(), [Note::OtherTracks(Audio, 2)]);
}

#[test]
fn a_publisher_of_nothing_usable_is_found_out() {
    let av1 = b"\x90av01av1c";
    let codecs = |video, audio| {
        let number = |name: &str| (name.to_owned(), Value::Number(1.0));
        Value::Object(
            [(video, "videocodecid"), (audio, "audiocodecid")]
                .iter()
                .filter(|(is, _)| *is)
                .map(|(_, name)| number(name))
                .collect(),
        )
    };

    // AV1 alone, announced as alone: at once.
    let mut bench = Bench::new();
    bench.translator.metadata(&codecs(true, false), &bench.seen);
    assert_eq!(bench.seen.0.take(), ["video comes", "audio comes not"]);
    assert_eq!(bench.translator.unusable(bench.now), None);
    assert_eq!(bench.tag(Video, 0, av1), ["video comes not"]);
    assert!(bench.tag(Video, 0, av1).is_empty());
    assert_eq!(bench.translator.unusable(bench.now).as_deref(), Some("av01"));
    assert_eq!(bench.notes(), [Note::Unsupported(Video, "av01".to_owned())]);

    // AV1 with Speex.
    let mut bench = Bench::new();
    bench.translator.metadata(&codecs(true, true), &bench.seen);
    bench.tag(Video, 0, av1);
    assert_eq!(bench.translator.unusable(bench.now), None);
    bench.tag(Audio, 0, b"\xbfspeex");
    assert_eq!(bench.translator.unusable(bench.now).as_deref(), Some("av01 and Speex"));

    // AV1 with AAC: the audio goes on.
    let mut bench = Bench::new();
    bench.tag(Video, 0, av1);
    bench.tag(Audio, 0, &[b"\xaf\0", ASC].concat());
    assert_eq!(bench.tag(Audio, 20, b"\xaf\x01a"), ["audio 20000000 20000000 key"]);
    assert_eq!(bench.translator.unusable(bench.now + Duration::from_secs(60)), None);

    // AV1 without metadata: after a while.
    let mut bench = Bench::new();
    bench.translator.metadata(&Value::Null, &bench.seen);
    bench.tag(Video, 0, av1);
    assert_eq!(bench.translator.unusable(bench.now + Duration::from_millis(4900)), None);
    assert_eq!(bench.translator.unusable(bench.now + Duration::from_secs(5)).as_deref(), Some("av01"));

    // Frames without a header, a header that can't be used.
    for (kind, body) in [(Video, &b"\x17\x01\0\0\0v"[..]), (Audio, b"\xaf\0\0\0")] {
        let mut bench = Bench::new();
        bench.tag(kind, 0, body);
        assert_eq!(bench.translator.unusable(bench.now), None);
        assert_eq!(bench.translator.unusable(bench.now + Duration::from_secs(5)).as_deref(), Some("no usable header"));
        bench.tag(Audio, 0, &[b"\xaf\0", ASC].concat());
        assert_eq!(bench.translator.unusable(bench.now + Duration::from_secs(5)), None);
    }
}
