//! FLV tag bodies made from a sample, for the small RTMP client: legacy and Enhanced RTMP.
//!
//! Written from the FLV and Enhanced RTMP specifications; shares no code with the service. The hard thing:
//! parameter sets leave the byte stream and go into a configuration record.

use super::rtmp_client::{AUDIO, VIDEO};
use super::ts::{Capture, Codec, Kind, nal_units, sounds};

/// `OpusHead` of RFC 7845, 5.1: version 1, two channels, 312 samples to skip, 48 kHz, no gain, mapping family 0.
const OPUS_HEAD: &[u8] = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00";

/// How video is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// Codec id 7 for H.264; for HEVC the widely used number 12.
    Legacy,
    /// Enhanced RTMP's FourCC header.
    Enhanced,
}

/// One tag.
#[derive(Debug, Clone)]
pub struct Tag {
    /// [`super::rtmp_client::VIDEO`] or [`super::rtmp_client::AUDIO`].
    pub kind: u8,
    /// Decoding time, milliseconds, of the sample's own clock.
    pub dts_ms: i64,
    /// Begins a sequence: a header without media.
    pub header: bool,
    /// The body, from the codec byte on.
    pub body: Vec<u8>,
}

/// All tags of a sample in the order of decoding, sequence headers first.
pub fn tags(capture: &Capture, wrapping: Wrapping) -> Vec<Tag> {
    let mut out: Vec<Tag> = Vec::new();
    if let Some(track) = capture.track(Kind::Video) {
        let hevc = track.codec == Codec::H265;
        for pes in &track.pes {
            let (pts, dts) = (pes.pts.expect("samples carry it"), pes.dts.expect("samples carry it"));
            let nals = nal_units(&pes.data);
            if out.is_empty() {
                let record = if hevc { hvcc(&nals) } else { avcc(&nals) };
                out.push(Tag {
                    kind: VIDEO,
                    dts_ms: dts / 90,
                    header: true,
                    body: [video_head(hevc, wrapping, true, 0, 0), record].concat(),
                });
            }
            let composition = i32::try_from((pts - dts) / 90).expect("small");
            let mut body = video_head(hevc, wrapping, pes.random_access, 1, composition);
            for nal in nals.iter().filter(|nal| is_picture_data(nal, hevc)) {
                body.extend(u32::try_from(nal.len()).expect("small").to_be_bytes());
                body.extend_from_slice(nal);
            }
            out.push(Tag { kind: VIDEO, dts_ms: dts / 90, header: false, body });
        }
    }
    if let Some(track) = capture.track(Kind::Audio) {
        for (n, sound) in sounds(track).into_iter().enumerate() {
            let dts_ms = sound.pts / 90;
            let (header, start, frame) = match track.codec {
                Codec::Aac => (asc(sound.head), &[0xaf, 0][..], &[0xaf, 1][..]),
                // Enhanced RTMP only: sound format 9, packet type, FourCC.
                Codec::Opus => (OPUS_HEAD.to_vec(), &b"\x90Opus"[..], &b"\x91Opus"[..]),
                other => panic!("{other:?} is not wrapped here"),
            };
            if n == 0 {
                out.push(Tag { kind: AUDIO, dts_ms, header: true, body: [start, &header].concat() });
            }
            out.push(Tag { kind: AUDIO, dts_ms, header: false, body: [frame, sound.content].concat() });
        }
    }
    out.sort_by_key(|tag| tag.dts_ms);
    out
}

/// FLV `VideoTagHeader` for H.264 and HEVC; `packet` is 0 for a sequence header, 1 for pictures.
fn video_head(hevc: bool, wrapping: Wrapping, key: bool, packet: u8, composition_ms: i32) -> Vec<u8> {
    let frame = if key { 1 } else { 2 };
    let composition = &composition_ms.to_be_bytes()[1..];
    match wrapping {
        Wrapping::Legacy => [&[frame << 4 | if hevc { 12 } else { 7 }, packet], composition].concat(),
        Wrapping::Enhanced => {
            let code: &[u8] = if hevc { b"hvc1" } else { b"avc1" };
            let time: &[u8] = if packet == 1 { composition } else { &[] };
            [&[0x80 | frame << 4 | packet], code, time].concat()
        }
    }
}

/// No parameter sets and no delimiters: those are the configuration record's and the multiplexer's.
fn is_picture_data(nal: &[u8], hevc: bool) -> bool {
    if hevc { !(32..=35).contains(&(nal[0] >> 1 & 0x3f)) } else { !(7..=9).contains(&(nal[0] & 0x1f)) }
}

/// `AVCDecoderConfigurationRecord`, ISO/IEC 14496-15, 5.3.3.1.
fn avcc(nals: &[&[u8]]) -> Vec<u8> {
    let of =
        |kind: u8| *nals.iter().find(|nal| nal[0] & 0x1f == kind).expect("a sample begins with its parameter sets");
    let (sps, pps) = (of(7), of(8));
    let mut out = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe1];
    for (set, next) in [(sps, Some(1)), (pps, None)] {
        out.extend(u16::try_from(set.len()).expect("small").to_be_bytes());
        out.extend_from_slice(set);
        out.extend(next);
    }
    out
}

/// `HEVCDecoderConfigurationRecord`, ISO/IEC 14496-15, 8.3.3.1; profile and level are copied out of the SPS.
fn hvcc(nals: &[&[u8]]) -> Vec<u8> {
    let of = |kind: u8| {
        *nals.iter().find(|nal| nal[0] >> 1 & 0x3f == kind).expect("a sample begins with its parameter sets")
    };
    let sps = of(33);
    // profile_tier_level follows the two bytes of NAL header and one byte; emulation prevention is taken out.
    let mut clean: Vec<u8> = Vec::new();
    for byte in sps {
        if !(*byte == 3 && clean.ends_with(&[0, 0])) {
            clean.push(*byte);
        }
    }
    let mut out = vec![1];
    out.extend_from_slice(&clean[3..15]);
    out.extend([0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 3]);
    for kind in [32, 33, 34] {
        let set = of(kind);
        out.extend([0x80 | kind, 0, 1]);
        out.extend(u16::try_from(set.len()).expect("small").to_be_bytes());
        out.extend_from_slice(set);
    }
    out
}

/// `AudioSpecificConfig` of an ADTS header, ISO/IEC 14496-3, 1.6.2.1.
fn asc(adts: &[u8]) -> Vec<u8> {
    let (object, rate, channels) = ((adts[2] >> 6) + 1, adts[2] >> 2 & 0x0f, (adts[2] & 1) << 2 | adts[3] >> 6);
    vec![object << 3 | rate >> 1, (rate & 1) << 7 | channels << 3]
}
