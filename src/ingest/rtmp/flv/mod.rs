//! Bodies of FLV's video and audio tags, legacy and enhanced.
//!
//! Sources: Adobe, "Video File Format Specification 10.1", annex E.4; Veovera, "Enhanced RTMP v2".
//! Knows bytes and codecs' names, no clock and no state. Headers and frames are handed on as they
//! came, as slices of the message. The hard thing: one tag may hold several tracks.

mod enhanced;
mod legacy;
mod records;

use bytes::{Buf, Bytes};

use crate::model::codec::TrackKind;
pub(super) use records::check;

/// Why a tag can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FlvError {
    /// Shorter than its header says.
    #[error("the tag is cut off")]
    Truncated,
    /// A multitrack tag inside a multitrack tag.
    #[error("multitrack inside multitrack")]
    Nested,
}

/// A codec as a tag names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TagCodec {
    /// H.264.
    H264,
    /// H.265.
    H265,
    /// AAC.
    Aac,
    /// MP3.
    Mp3,
    /// Opus.
    Opus,
    /// AC-3.
    Ac3,
    /// One that can't be carried: its name for the log.
    Other(String),
}

/// What a packet is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PacketKind {
    /// The codec's out-of-band header (avcC, hvcC, AudioSpecificConfig, OpusHead).
    Header(Bytes),
    /// One access unit.
    Frame {
        /// A decoder can start here; always true for audio.
        key_frame: bool,
        /// Presentation minus decoding time, in milliseconds.
        composition_ms: i32,
        /// The unit: length-prefixed NAL units, a raw AAC frame, …
        data: Bytes,
    },
    /// Ends, colour information, channel maps: nothing to do.
    Nothing,
}

/// One track's part of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packet {
    /// Track id; 0 for a tag without tracks.
    pub(super) track: u8,
    /// Its codec.
    pub(super) codec: TagCodec,
    /// Nanoseconds to add to the presentation time (Enhanced RTMP v2, TimestampOffsetNano).
    pub(super) offset_ns: u32,
    /// What it is.
    pub(super) kind: PacketKind,
}

impl Packet {
    fn plain(codec: TagCodec, kind: PacketKind) -> Self {
        Self { track: 0, codec, offset_ns: 0, kind }
    }
}

/// Reads a tag's body. An empty one (some encoders send them to keep a connection alive) holds no packet.
///
/// # Errors
/// Any [`FlvError`]; the next tag is not touched by it.
pub(super) fn parse(kind: TrackKind, body: &Bytes) -> Result<Vec<Packet>, FlvError> {
    let mut rest = Fields(body.clone());
    let Ok(first) = rest.u8() else { return Ok(Vec::new()) };
    match kind {
        TrackKind::Video if first & 0x80 != 0 => enhanced::parse(kind, first, rest),
        TrackKind::Video => legacy::video(first, rest),
        TrackKind::Audio if first >> 4 == legacy::ENHANCED_AUDIO => enhanced::parse(kind, first, rest),
        TrackKind::Audio => legacy::audio(first, rest),
    }
}

/// A tag's fields, read from the front.
struct Fields(Bytes);

impl Fields {
    fn u8(&mut self) -> Result<u8, FlvError> {
        self.0.try_get_u8().map_err(|_| FlvError::Truncated)
    }

    fn u16(&mut self) -> Result<u16, FlvError> {
        self.0.try_get_u16().map_err(|_| FlvError::Truncated)
    }

    fn u24(&mut self) -> Result<u32, FlvError> {
        self.0.try_get_uint(3).map(|n| n as u32).map_err(|_| FlvError::Truncated)
    }

    /// A signed 24-bit number.
    fn i24(&mut self) -> Result<i32, FlvError> {
        self.0.try_get_int(3).map(|n| n as i32).map_err(|_| FlvError::Truncated)
    }

    fn take(&mut self, len: usize) -> Result<Self, FlvError> {
        if self.0.len() < len { Err(FlvError::Truncated) } else { Ok(Self(self.0.split_to(len))) }
    }

    fn four_cc(&mut self) -> Result<[u8; 4], FlvError> {
        let bytes = self.take(4)?.0;
        Ok([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(kind: TrackKind, body: &'static [u8]) -> Result<Packet, FlvError> {
        parse(kind, &Bytes::from_static(body)).map(|mut packets| {
            assert_eq!(packets.len(), 1, "{body:02x?}");
            packets.remove(0)
        })
    }

    fn frame(key_frame: bool, composition_ms: i32, data: &'static [u8]) -> PacketKind {
        PacketKind::Frame { key_frame, composition_ms, data: Bytes::from_static(data) }
    }

    fn header(data: &'static [u8]) -> PacketKind {
        PacketKind::Header(Bytes::from_static(data))
    }

    #[test]
    fn legacy_and_enhanced_video_tags() {
        use TagCodec::{H264, H265};
        let other = |name: &str| TagCodec::Other(name.to_owned());
        for (body, codec, kind) in [
            (&b"\x17\0\0\0\0avcc"[..], H264, header(b"avcc")),
            (b"\x17\x01\0\0\x50data", H264, frame(true, 80, b"data")),
            (b"\x27\x01\xff\xff\xd8data", H264, frame(false, -40, b"data")),
            (b"\x17\x02\0\0\0", H264, PacketKind::Nothing),
            (b"\x57\x00", H264, PacketKind::Nothing), // a command frame
            (b"\x1c\0\0\0\0hvcc", H265, header(b"hvcc")),
            (b"\x2c\x01\0\0\0data", H265, frame(false, 0, b"data")),
            (b"\x12data", other("Sorenson H.263"), PacketKind::Nothing),
            (b"\x90avc1avcc", H264, header(b"avcc")),
            (b"\x90hvc1hvcc", H265, header(b"hvcc")),
            (b"\x91hvc1\0\0\x50data", H265, frame(true, 80, b"data")),
            (b"\xa1avc1\xff\xff\xffdata", H264, frame(false, -1, b"data")),
            (b"\xa3hvc1data", H265, frame(false, 0, b"data")),
            (b"\x92hvc1", H265, PacketKind::Nothing),
            (b"\x94hvc1\x02\0\x09colorInfo\x05", H265, PacketKind::Nothing),
            (b"\x90av01av1c", other("av01"), PacketKind::Nothing),
            (b"\x95av01desc", other("av01"), PacketKind::Nothing),
            (b"\x90\0\xff!\"x", other("\\x00\\xff!\\\""), PacketKind::Nothing),
        ] {
            assert_eq!(one(TrackKind::Video, body), Ok(Packet::plain(codec, kind)), "{body:02x?}");
        }
    }

    #[test]
    fn legacy_and_enhanced_audio_tags() {
        let other = |name: &str| TagCodec::Other(name.to_owned());
        for (body, codec, kind) in [
            (&b"\xaf\0\x12\x10"[..], TagCodec::Aac, header(b"\x12\x10")),
            (b"\xaf\x01data", TagCodec::Aac, frame(true, 0, b"data")),
            (b"\xaf\x07data", TagCodec::Aac, PacketKind::Nothing),
            (b"\x2fdata", TagCodec::Mp3, frame(true, 0, b"data")),
            (b"\xe2data", TagCodec::Mp3, frame(true, 0, b"data")),
            (b"\x8edata", other("G.711 µ-law"), PacketKind::Nothing),
            (b"\xbfdata", other("Speex"), PacketKind::Nothing),
            (b"\x90mp4a\x12\x10", TagCodec::Aac, header(b"\x12\x10")),
            (b"\x91mp4adata", TagCodec::Aac, frame(true, 0, b"data")),
            (b"\x90OpusOpusHead", TagCodec::Opus, header(b"OpusHead")),
            (b"\x91Opusdata", TagCodec::Opus, frame(true, 0, b"data")),
            (b"\x91.mp3data", TagCodec::Mp3, frame(true, 0, b"data")),
            (b"\x91ac-3data", TagCodec::Ac3, frame(true, 0, b"data")),
            (b"\x92mp4a", TagCodec::Aac, PacketKind::Nothing),
            (b"\x94mp4a\x01\x02\0\0\0\x03", TagCodec::Aac, PacketKind::Nothing),
            (b"\x91fLaCdata", other("fLaC"), PacketKind::Nothing),
        ] {
            assert_eq!(one(TrackKind::Audio, body), Ok(Packet::plain(codec, kind)), "{body:02x?}");
        }
        assert_eq!(parse(TrackKind::Audio, &Bytes::new()), Ok(Vec::new()));
    }

    #[test]
    fn modifiers_and_tracks() {
        // Two modifiers: an unknown one, then an offset of 0x010203 ns; then coded frames.
        let packet = one(TrackKind::Video, b"\x97\x01ab\x17\x02\x01\x02\x03\x03avc1data").unwrap();
        assert_eq!((packet.offset_ns, packet.kind), (0x01_0203, frame(true, 0, b"data")));
        let packet = one(TrackKind::Audio, b"\x97\x02\0\0\x09\x01mp4adata").unwrap();
        assert_eq!((packet.offset_ns, packet.kind), (9, frame(true, 0, b"data")));
        // A modifier of more than 255 bytes.
        let long = [&b"\x97\xff\x01\x00"[..], &[0; 257], b"\x13avc1data"].concat();
        assert_eq!(parse(TrackKind::Video, &long.into()).unwrap()[0].kind, frame(true, 0, b"data"));

        // One track.
        let packet = one(TrackKind::Video, b"\x96\x01avc1\x05\0\0\x50data").unwrap();
        assert_eq!((packet.track, packet.kind), (5, frame(true, 80, b"data")));
        // Many tracks of one codec.
        let tag = Bytes::from_static(b"\x95\x11mp4a\0\0\0\x02aa\x01\0\0\x01b");
        let seen: Vec<_> = parse(TrackKind::Audio, &tag).unwrap().into_iter().map(|p| (p.track, p.kind)).collect();
        assert_eq!(seen, [(0, frame(true, 0, b"aa")), (1, frame(true, 0, b"b"))]);
        // Many tracks of many codecs; the size counts the composition time.
        let tag = Bytes::from_static(b"\x96\x21hvc1\0\0\0\x05\0\0\x01aaav01\x01\0\0\x01b");
        let seen: Vec<_> =
            parse(TrackKind::Video, &tag).unwrap().into_iter().map(|p| (p.track, p.codec, p.kind)).collect();
        assert_eq!(
            seen,
            [(0, TagCodec::H265, frame(true, 1, b"aa")), (1, TagCodec::Other("av01".to_owned()), PacketKind::Nothing)]
        );
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        for body in [
            &b"\x17"[..],
            b"\x17\x01\0\0",
            b"\x90av",
            b"\x91avc1\0\0",
            b"\x97\xff\0",
            b"\x96\x01avc1",
            b"\x96\x11avc1\0\0\0\x09a",
        ] {
            assert_eq!(parse(TrackKind::Video, &Bytes::from_static(body)), Err(FlvError::Truncated), "{body:02x?}");
        }
        assert_eq!(parse(TrackKind::Audio, &Bytes::from_static(b"\xaf")), Err(FlvError::Truncated));
        assert_eq!(parse(TrackKind::Video, &Bytes::from_static(b"\x96\x06avc1")), Err(FlvError::Nested));
        assert_eq!(parse(TrackKind::Audio, &Bytes::from_static(b"\x95\x05mp4a")), Err(FlvError::Nested));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200), first in 0x80u8..0xA0) {
            let mut body = body;
            for kind in TrackKind::ALL {
                let _ = parse(kind, &Bytes::from(body.clone()));
            }
            if !body.is_empty() {
                body[0] = first;
            }
            for kind in TrackKind::ALL {
                let _ = parse(kind, &Bytes::from(body.clone()));
            }
        }
    }
}
