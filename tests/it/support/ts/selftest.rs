//! The judge judged: good streams of ffmpeg pass, and each deliberate damage is named.
//!
//! Without this a judge that sees nothing would make every scenario pass.

use super::*;
use crate::support::odd_stream;
use crate::support::sample::{self, Programme, Sample};

/// Packets of a good sample (its first ten seconds), as 188-byte arrays to damage.
fn packets(programme: Programme) -> Vec<Vec<u8>> {
    let bytes = Sample::of(programme).bytes();
    let (head, _) = odd_stream::split_at(&bytes, 10.0);
    head.chunks_exact(PACKET_BYTES).map(<[u8]>::to_vec).collect()
}

/// ffmpeg's own multiplexer is allowed what the service is not: it begins with an SDT, packs audio 350 ms together.
fn complaints(packets: &[Vec<u8>]) -> Vec<String> {
    let good: Vec<Vec<u8>> = packets.iter().filter(|packet| pid(packet) != 0x11).cloned().collect();
    let expected = Expected {
        table_interval_max_ms: 200.0,
        margin_min_ms: Some(0.0),
        ..Expected::new(Some(Codec::H264), Some(Codec::Aac), 9.0)
    };
    Verdict::of_bytes(&good.concat()).complaints(&expected)
}

fn pid(packet: &[u8]) -> u16 {
    (u16::from(packet[1] & 0x1f) << 8) | u16::from(packet[2])
}

fn nth(packets: &[Vec<u8>], wanted: u16, n: usize) -> usize {
    packets.iter().enumerate().filter(|(_, packet)| pid(packet) == wanted && packet[3] & 0x10 != 0).nth(n).unwrap().0
}

const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
const PMT_PID: u16 = 0x1000;

#[test]
fn a_good_stream_has_no_complaints() {
    assert_eq!(complaints(&packets(sample::H264_AAC)), Vec::<String>::new());
}

#[test]
fn every_codec_is_cut_into_units_that_cover_its_time() {
    for programme in [
        sample::H264_AAC,
        sample::H264_MP2,
        sample::H264_AC3,
        sample::H264_OPUS,
        sample::H265_AAC,
        sample::AAC_ONLY,
        sample::H264_ONLY,
    ] {
        let verdict = Verdict::of(&Sample::of(programme).capture());
        assert_eq!(verdict.faults, Vec::<String>::new(), "{programme:?}");
        for (wanted, track, least) in [(programme.video, &verdict.video, 2400), (programme.audio, &verdict.audio, 2500)]
        {
            let Some(wanted) = wanted else {
                assert!(track.is_none(), "{programme:?}");
                continue;
            };
            let track = track.as_ref().unwrap_or_else(|| panic!("{programme:?}: no track"));
            assert_eq!(track.codec, wanted);
            assert!(track.units.len() > least && track.gap_max_ms <= 41.0, "{programme:?}: {verdict}");
            let distinct: std::collections::HashSet<u64> = track.units.iter().map(|unit| unit.hash).collect();
            assert!(distinct.len() + 5 > track.units.len(), "{programme:?}: units are not told apart");
        }
        assert!(verdict.opening.key_first, "{programme:?}: the key frame is not seen");
    }
}

#[test]
fn each_damage_is_named() {
    type Damage = fn(&mut Vec<Vec<u8>>);
    let damages: [(&str, Damage, &str); 12] = [
        ("a packet is missing", |p| drop(p.remove(nth(p, VIDEO_PID, 50))), "continuity counter"),
        ("an audio packet is missing", |p| drop(p.remove(nth(p, AUDIO_PID, 50))), "continuity counter"),
        ("a packet comes three times", |p| repeat(p, 2), "more than twice"),
        ("two packets change places", |p| swap(p), "continuity counter"),
        ("a byte is missing", |p| p[700].truncate(187), "sync lost"),
        ("a table is broken", |p| damage_table(p), "PMT: CRC"),
        ("tables are missing", |p| remove(p, PMT_PID, 10..14), "PMT interval"),
        ("it begins without tables", |p| drop(p.drain(..2)), "does not begin with PAT"),
        ("it begins with a later picture", |p| remove(p, VIDEO_PID, 0..60), "no key frame"),
        (
            "pictures are missing",
            |p| *p = chunks(&odd_stream::pause(&p.concat(), Kind::Video, 3.0, 3.1)),
            "video: hole",
        ),
        ("sound is missing", |p| *p = chunks(&odd_stream::pause(&p.concat(), Kind::Audio, 3.0, 3.6)), "audio: hole"),
        ("the clock jumps", |p| jump(p), "PCR interval"),
    ];
    let good = packets(sample::H264_AAC);
    for (name, damage, expected) in damages {
        let mut bad = good.clone();
        damage(&mut bad);
        let found = complaints(&bad);
        assert!(found.iter().any(|line| line.contains(expected)), "{name}: wanted {expected:?}, found {found:?}");
    }
}

fn repeat(packets: &mut Vec<Vec<u8>>, times: usize) {
    let at = nth(packets, VIDEO_PID, 50);
    for _ in 0..times {
        packets.insert(at, packets[at].clone());
    }
}

fn swap(packets: &mut [Vec<u8>]) {
    let (one, other) = (nth(packets, VIDEO_PID, 50), nth(packets, VIDEO_PID, 51));
    packets.swap(one, other);
}

fn damage_table(packets: &mut [Vec<u8>]) {
    let at = nth(packets, PMT_PID, 3);
    packets[at][20] ^= 1;
}

fn remove(packets: &mut Vec<Vec<u8>>, wanted: u16, range: std::ops::Range<usize>) {
    let mut seen = 0..;
    packets.retain(|packet| pid(packet) != wanted || !range.contains(&seen.next().unwrap()));
}

fn jump(packets: &mut Vec<Vec<u8>>) {
    let at = nth(packets, VIDEO_PID, 900);
    *packets = chunks(&[packets[..at].concat(), odd_stream::shift_clock(&packets[at..].concat(), 900_000)].concat());
}

fn chunks(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.chunks_exact(PACKET_BYTES).map(<[u8]>::to_vec).collect()
}

#[test]
fn what_the_standard_allows_is_no_fault() {
    let mut fine = packets(sample::H264_AAC);
    let at = nth(&fine, VIDEO_PID, 50);
    fine.insert(at, fine[at].clone());
    assert_eq!(complaints(&fine), Vec::<String>::new(), "one duplicate");
    let wrapping = odd_stream::start_clock_at(&packets(sample::H264_AAC).concat(), WRAP_TICKS - 450_000);
    assert_eq!(complaints(&chunks(&wrapping)), Vec::<String>::new(), "a clock that wraps");
}

#[test]
fn the_comparison_sees_loss_order_and_shift() {
    let source = Sample::of(sample::H264_AAC);
    let sent = source.capture();
    let (head, _) = odd_stream::split_at(&source.bytes(), 10.0);
    let same = compare(&sent, &Capture::parse(&odd_stream::shift_clock(&head, 123_456)));
    same.assert_lossless("shifted as a whole", 9.0);
    same.assert_in_sync("shifted as a whole", 0.1);

    for kind in [Kind::Video, Kind::Audio] {
        let holed = compare(&sent, &Capture::parse(&odd_stream::pause(&head, kind, 3.0, 4.0)));
        let track = if kind == Kind::Video { &holed.video } else { &holed.audio };
        assert!(track.lost > 20, "{kind:?}: {holed}");
    }

    // ffmpeg's -itsoffset delays the input behind it: the same file again, of which only the sound is taken.
    let second = source.path.display();
    let late = source.derived(
        "sound-80ms-late",
        &format!("-itsoffset 0.08 -i {second} -map 0:v -map 1:a -copyts -t 10 -c copy -f mpegts"),
    );
    let late = compare(&sent, &Capture::parse(&std::fs::read(late).unwrap()));
    assert!((late.av_shift_ms() - 80.0).abs() < 1.0, "{late}");
    assert!(std::panic::catch_unwind(|| late.assert_in_sync("80 ms late", 40.0)).is_err());
}

#[test]
fn a_clock_that_is_followed_shows_what_the_whole_capture_shows_and_no_pause() {
    let packets = packets(sample::H264_AAC);
    let (head, tail) = packets.split_at(packets.len() / 2);
    let seconds = |packets: &[Vec<u8>]| Capture::parse(&packets.concat()).seconds();
    let mut clock = Clock::default();
    // Cut anywhere.
    head.concat().chunks(1000).for_each(|bytes| clock.take(bytes));
    assert_eq!((clock.seconds(), clock.played()), (seconds(head), seconds(head)));
    // Two seconds are missing.
    let missing = packets.len() / 5;
    clock.take(&tail[missing..].concat());
    assert_eq!(clock.seconds(), seconds(&packets));
    let (before, after) = (seconds(head), seconds(&tail[missing..]));
    assert!((clock.played() - before - after).abs() < 0.001, "{} of {before} and {after}", clock.played());
}
