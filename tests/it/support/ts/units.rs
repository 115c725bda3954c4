//! Access units and audio frames inside PES payloads, each with a hash of what a decoder would use of it.
//!
//! Knows no packets and no clock. The hard thing: the hash must survive what a remultiplexer may change
//! (start code lengths, access unit delimiters, repeated parameter sets, ADTS headers) and nothing else.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use super::packets::{Pes, Track};

/// Video or audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// What a PMT entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Stream type 0x1B.
    H264,
    /// Stream type 0x24.
    H265,
    /// Stream type 0x0F, ADTS.
    Aac,
    /// Stream types 0x03 and 0x04.
    Mpeg,
    /// Stream type 0x81, or 0x06 with the AC-3 descriptor.
    Ac3,
    /// Stream type 0x06 with the registration `Opus`.
    Opus,
    /// Anything else.
    Other(u8),
}

impl Codec {
    /// From the stream type and the elementary stream descriptors of a PMT.
    pub fn from_pmt(stream_type: u8, descriptors: &[u8]) -> Self {
        match stream_type {
            0x1b => Self::H264,
            0x24 => Self::H265,
            0x0f => Self::Aac,
            0x03 | 0x04 => Self::Mpeg,
            0x81 => Self::Ac3,
            0x06 if descriptors.windows(6).any(|d| d == b"\x05\x04Opus") => Self::Opus,
            0x06 if descriptors.first() == Some(&0x6a) || descriptors.windows(6).any(|d| d == b"\x05\x04AC-3") => {
                Self::Ac3
            }
            other => Self::Other(other),
        }
    }

    /// Video, audio, or unknown.
    pub fn kind(self) -> Option<Kind> {
        match self {
            Self::H264 | Self::H265 => Some(Kind::Video),
            Self::Aac | Self::Mpeg | Self::Ac3 | Self::Opus => Some(Kind::Audio),
            Self::Other(_) => None,
        }
    }
}

/// One access unit or audio frame.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// Hash of its content, equal before and after a remultiplexer.
    pub hash: u64,
    /// Presentation time in 90 kHz ticks; inside a PES counted on from its first frame.
    pub pts: i64,
    /// How long it plays, 90 kHz ticks; `None` for video, whose units do not say.
    pub duration: Option<i64>,
    /// A decoder can start here: parameter sets and IDR/IRAP. True for every audio frame.
    pub key: bool,
    /// Index of the packet its PES starts in.
    pub packet: usize,
}

/// Cuts a track into units. Payload that is no unit of the codec is reported in the second value.
pub fn units(track: &Track) -> (Vec<Unit>, Vec<String>) {
    let (mut out, mut faults) = (Vec::new(), Vec::new());
    let mut rest: Vec<u8> = Vec::new();
    for pes in &track.pes {
        let Some(pts) = pes.pts else {
            faults.push(format!("PID {}: PES without PTS at packet {}", track.pid, pes.packet));
            continue;
        };
        match track.codec {
            Codec::H264 | Codec::H265 => out.push(picture(track.codec, pes, pts)),
            _ => {
                let whole_before = rest.is_empty();
                rest.extend_from_slice(&pes.data);
                let used = frames(track.codec, &rest, pts, pes.packet, &mut out);
                if used == 0 && !rest.is_empty() && !whole_before {
                    faults.push(format!("PID {}: no audio frame at packet {}", track.pid, pes.packet));
                    rest.clear();
                } else {
                    rest.drain(..used);
                }
            }
        }
    }
    (out, faults)
}

/// The audio frames of a track with their presentation times: what a decoder gets, without the transport's framing,
/// and the framing before it.
pub fn sounds(track: &Track) -> Vec<Sound<'_>> {
    let mut out = Vec::new();
    for pes in &track.pes {
        let (mut at, mut pts) = (0, pes.pts.unwrap_or(0));
        while let Some(frame) = frame(track.codec, &pes.data[at..]).filter(|frame| at + frame.len <= pes.data.len()) {
            let (head, content) = pes.data[at..at + frame.len].split_at(frame.content);
            out.push(Sound { pts, head, content });
            pts += frame.samples * 90_000 / frame.rate_hz;
            at += frame.len;
        }
    }
    out
}

/// One audio frame in its PES.
#[derive(Debug)]
pub struct Sound<'a> {
    /// Presentation time, 90 kHz ticks.
    pub pts: i64,
    /// The framing: an ADTS header, an Opus control header.
    pub head: &'a [u8],
    /// What the decoder gets.
    pub content: &'a [u8],
}

fn hash_of(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        part.hash(&mut hasher);
    }
    hasher.finish()
}

/// NAL units of an Annex B byte stream, without start codes and trailing zeros.
pub fn nal_units(es: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = es.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at).collect();
    starts
        .iter()
        .enumerate()
        .map(|(n, start)| {
            let mut nal = &es[start + 3..starts.get(n + 1).copied().unwrap_or(es.len())];
            while let [head @ .., 0] = nal {
                nal = head;
            }
            nal
        })
        .filter(|nal| !nal.is_empty())
        .collect()
}

fn picture(codec: Codec, pes: &Pes, pts: i64) -> Unit {
    let nals = nal_units(&pes.data);
    let kind = |nal: &[u8]| if codec == Codec::H264 { nal[0] & 0x1f } else { (nal[0] >> 1) & 0x3f };
    let is_slice = |nal: &&&[u8]| if codec == Codec::H264 { (1..=5).contains(&kind(nal)) } else { kind(nal) < 32 };
    let slices: Vec<&[u8]> = nals.iter().filter(is_slice).copied().collect();
    let has = |wanted: u8| nals.iter().any(|nal| kind(nal) == wanted);
    let key = match codec {
        // SPS, PPS, IDR slice (H.264, table 7-1).
        Codec::H264 => has(7) && has(8) && has(5),
        // VPS, SPS, PPS and an IRAP picture (H.265, table 7-1).
        _ => has(32) && has(33) && has(34) && nals.iter().any(|nal| (16..=23).contains(&kind(nal))),
    };
    Unit { hash: hash_of(&slices), pts, duration: None, key, packet: pes.packet }
}

/// An audio frame at the start of some bytes: its length, where its content begins, its samples and rate.
struct Frame {
    len: usize,
    content: usize,
    samples: i64,
    rate_hz: i64,
}

fn frames(codec: Codec, bytes: &[u8], mut pts: i64, packet: usize, out: &mut Vec<Unit>) -> usize {
    let mut at = 0;
    while at < bytes.len() {
        let Some(frame) = frame(codec, &bytes[at..]).filter(|frame| at + frame.len <= bytes.len()) else { break };
        let duration = frame.samples * 90_000 / frame.rate_hz;
        let hash = hash_of(&[&bytes[at + frame.content..at + frame.len]]);
        out.push(Unit { hash, pts, duration: Some(duration), key: true, packet });
        pts += duration;
        at += frame.len;
    }
    at
}

/// The frame that begins here; it may be longer than the bytes.
fn frame(codec: Codec, bytes: &[u8]) -> Option<Frame> {
    let frame = match codec {
        Codec::Aac => adts(bytes),
        Codec::Mpeg => mpeg_audio(bytes),
        Codec::Ac3 => ac3(bytes),
        Codec::Opus => opus(bytes),
        _ => None,
    };
    frame.filter(|frame| frame.len > frame.content)
}

/// ISO/IEC 13818-7, 6.2.
fn adts(b: &[u8]) -> Option<Frame> {
    const RATES_HZ: [i64; 13] =
        [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
    if b.len() < 7 || b[0] != 0xff || b[1] & 0xf6 != 0xf0 {
        return None;
    }
    let len = (usize::from(b[3] & 0x03) << 11) | (usize::from(b[4]) << 3) | usize::from(b[5] >> 5);
    let content = if b[1] & 1 == 0 { 9 } else { 7 };
    Some(Frame { len, content, samples: 1024, rate_hz: *RATES_HZ.get(usize::from((b[2] >> 2) & 0x0f))? })
}

/// ISO/IEC 11172-3, 2.4.2.3 and 13818-3: layers II and III.
fn mpeg_audio(b: &[u8]) -> Option<Frame> {
    const LAYER2_KBPS: [usize; 15] = [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
    const LAYER3_KBPS: [usize; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
    const LOW_RATE_KBPS: [usize; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
    const RATES_HZ: [usize; 3] = [44_100, 48_000, 32_000];
    if b.len() < 4 || b[0] != 0xff || b[1] & 0xf0 != 0xf0 {
        return None;
    }
    let mpeg1 = b[1] & 0x08 != 0;
    let layer3 = b[1] & 0x06 == 0x02;
    let kbps = match (mpeg1, layer3) {
        (true, false) => LAYER2_KBPS,
        (true, true) => LAYER3_KBPS,
        (false, _) => LOW_RATE_KBPS,
    };
    let kbps = *kbps.get(usize::from(b[2] >> 4))?;
    let rate = RATES_HZ.get(usize::from((b[2] >> 2) & 3))? / if mpeg1 { 1 } else { 2 };
    let samples = if layer3 && !mpeg1 { 576 } else { 1152 };
    let len = samples / 8 * kbps * 1000 / rate + usize::from(b[2] >> 1 & 1);
    Some(Frame { len, content: 4, samples: i64::try_from(samples).ok()?, rate_hz: i64::try_from(rate).ok()? })
}

/// ATSC A/52, 5.3.1 and table 5.18.
fn ac3(b: &[u8]) -> Option<Frame> {
    const KBPS: [usize; 19] = [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    if b.len() < 5 || b[0] != 0x0b || b[1] != 0x77 {
        return None;
    }
    let code = usize::from(b[4] & 0x3f);
    let kbps = *KBPS.get(code / 2)?;
    let (words, rate_hz) = match b[4] >> 6 {
        0 => (kbps * 2, 48_000),
        1 => (kbps * 320_000 / 147 / 1000 + code % 2, 44_100),
        2 => (kbps * 3, 32_000),
        _ => return None,
    };
    Some(Frame { len: words * 2, content: 2, samples: 1536, rate_hz })
}

/// The Opus control header of ETSI TS 103 491-style streams as FFmpeg writes them, and RFC 6716's TOC byte.
fn opus(b: &[u8]) -> Option<Frame> {
    if b.len() < 3 || (u16::from(b[0]) << 8 | u16::from(b[1])) & 0xffe0 != 0x7fe0 {
        return None;
    }
    let (mut content, mut size) = (2, 0);
    loop {
        let byte = *b.get(content)?;
        content += 1;
        size += usize::from(byte);
        if byte != 0xff {
            break;
        }
    }
    content += usize::from(b[1] >> 4 & 1) * 2 + usize::from(b[1] >> 3 & 1) * 2;
    if b[1] >> 2 & 1 == 1 {
        content += 1 + usize::from(*b.get(content)?);
    }
    let toc = *b.get(content)?;
    let frame_samples = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config % 4)],
        config @ 12..=15 => [480, 960][usize::from(config % 2)],
        config => [120, 240, 480, 960][usize::from(config % 4)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => i64::from(*b.get(content + 1)? & 0x3f),
    };
    Some(Frame { len: content + size, content, samples: frame_samples * count, rate_hz: 48_000 })
}
