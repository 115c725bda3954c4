//! Transport streams as real encoders sometimes send them: clocks that jump or wrap, tracks that pause.
//!
//! Made from good samples by changing bytes in place, so that the content can still be compared. Knows no
//! network. The hard thing: everything not meant to be odd must stay correct, continuity counters above all.

use super::ts::{Capture, Kind, PACKET_BYTES, TICKS_PER_MS, WRAP_TICKS};

const NULL_PID: [u8; 2] = [0x1f, 0xff];

/// Adds to every PCR, PTS and DTS, modulo 2³³.
pub fn shift_clock(bytes: &[u8], ticks: i64) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for packet in out.chunks_exact_mut(PACKET_BYTES) {
        let adaptation = packet[3] & 0x20 != 0;
        let start = if adaptation { 5 + usize::from(packet[4]) } else { 4 };
        if adaptation && packet[4] >= 7 && packet[5] & 0x10 != 0 {
            let base = packet[6..10].iter().fold(0, |sum, byte| (sum << 8) | i64::from(*byte)) << 1
                | i64::from(packet[10] >> 7);
            let moved = (base + ticks).rem_euclid(WRAP_TICKS);
            packet[6..10].copy_from_slice(&u32::try_from(moved >> 1).expect("32 of 33 bits").to_be_bytes());
            packet[10] = packet[10] & 0x7f | (u8::from(moved & 1 == 1) << 7);
        }
        let pes = packet[1] & 0x40 != 0 && packet[3] & 0x10 != 0 && packet.get(start..start + 3) == Some(&[0, 0, 1]);
        if pes && matches!(packet[start + 3], 0xbd..=0xef) {
            let flags = packet[start + 7];
            if flags & 0x80 != 0 {
                shift_stamp(&mut packet[start + 9..start + 14], ticks);
            }
            if flags & 0xc0 == 0xc0 {
                shift_stamp(&mut packet[start + 14..start + 19], ticks);
            }
        }
    }
    out
}

/// Shifts so that the first PCR has this value.
pub fn start_clock_at(bytes: &[u8], ticks: i64) -> Vec<u8> {
    let first = Capture::parse(bytes).pcrs.first().expect("a stream has a clock").ticks;
    shift_clock(bytes, ticks - first)
}

fn shift_stamp(b: &mut [u8], ticks: i64) {
    let old = (i64::from(b[0] & 0x0e) << 29)
        | (i64::from(b[1]) << 22)
        | (i64::from(b[2] & 0xfe) << 14)
        | (i64::from(b[3]) << 7)
        | (i64::from(b[4]) >> 1);
    let new = (old + ticks).rem_euclid(WRAP_TICKS);
    let byte = |value: i64| u8::try_from(value & 0xff).expect("masked");
    b[0] = b[0] & 0xf0 | byte(new >> 29) & 0x0e | 1;
    b[1] = byte(new >> 22);
    b[2] = byte(new >> 14) | 1;
    b[3] = byte(new >> 7);
    b[4] = byte(new << 1) | 1;
}

/// The first so many seconds, and the rest, cut before a key frame's tables.
pub fn split_at(bytes: &[u8], seconds: f64) -> (Vec<u8>, Vec<u8>) {
    let capture = Capture::parse(bytes);
    let start = capture.pcrs.first().expect("a stream has a clock").ticks;
    let limit = start + (seconds * 1000.0) as i64 * TICKS_PER_MS;
    let key = capture
        .track(Kind::Video)
        .expect("a stream with pictures")
        .pes
        .iter()
        .find(|pes| pes.random_access && pes.dts >= Some(limit));
    let key = key.expect("the stream is longer than that").packet;
    let table = capture.pats.iter().rev().find(|packet| **packet < key).expect("tables stand before pictures");
    let (head, tail) = bytes.split_at(table * PACKET_BYTES);
    (head.to_vec(), tail.to_vec())
}

/// Takes one track out between two times (seconds after the first clock sample), at the borders of its PES packets.
/// Its packets become null packets (those with a clock sample keep that and lose their payload), and its
/// continuity counters are made whole again.
pub fn pause(bytes: &[u8], kind: Kind, from_s: f64, to_s: f64) -> Vec<u8> {
    let capture = Capture::parse(bytes);
    let start = capture.pcrs.first().expect("a stream has a clock").ticks;
    let track = capture.track(kind).expect("the stream has this track");
    let at = |seconds: f64| start + (seconds * 1000.0) as i64 * TICKS_PER_MS;
    let silent = |pts: i64| (at(from_s)..at(to_s)).contains(&pts);
    let mut marks = track.pes.iter().peekable();
    let (mut drop, mut counter) = (false, None);
    let mut out = bytes.to_vec();
    for (n, packet) in out.chunks_exact_mut(PACKET_BYTES).enumerate() {
        if (u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2])) != track.pid {
            continue;
        }
        while let Some(pes) = marks.next_if(|pes| pes.packet <= n) {
            drop = pes.pts.is_some_and(silent);
        }
        let old = packet[3] & 0x0f;
        if drop {
            let next = *counter.get_or_insert(old);
            let has_clock = packet[3] & 0x20 != 0 && packet[4] >= 7 && packet[5] & 0x10 != 0;
            if has_clock {
                // Adaptation field only; such a packet repeats the counter of the one before it (2.4.3.3).
                packet[1] &= !0x40;
                packet[3] = 0x20 | next.wrapping_sub(1) & 0x0f;
                packet[4] = 183;
                packet[5] = 0x10;
                packet[12..].fill(0xff);
            } else {
                packet[1..4].copy_from_slice(&[NULL_PID[0], NULL_PID[1], 0x10]);
            }
        } else if let Some(next) = counter.as_mut() {
            packet[3] = packet[3] & 0xf0 | *next & 0x0f;
            *next = next.wrapping_add(1);
        }
    }
    out
}
