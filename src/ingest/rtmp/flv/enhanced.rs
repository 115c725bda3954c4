//! Tags of Enhanced RTMP v2: modifiers, then one track or several, each with a four-character code.
//!
//! Video and audio differ in two packet numbers and the composition time only, so one function reads both.

use crate::model::codec::TrackKind;

use super::legacy::{COMMAND_FRAME, is_key_frame};
use super::{Fields, FlvError, Packet, PacketKind, TagCodec};

/// Tracks read from one tag; the rest is left out (only one goes on anyway).
const TRACKS_MAX: usize = 16;

/// Packet types that video and audio share.
mod packet_type {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const CODED_FRAMES_X: u8 = 3; // video only
    pub(super) const METADATA: u8 = 4; // of audio: the channel map
    pub(super) const MULTITRACK_AUDIO: u8 = 5;
    pub(super) const MULTITRACK_VIDEO: u8 = 6;
    pub(super) const MODIFIER: u8 = 7;
}

/// `AvMultitrackType`: one track, no size.
const ONE_TRACK: u8 = 0;
/// `AvMultitrackType`: each track has its own codec.
const MANY_CODECS: u8 = 2;

/// `PacketModExType`: nanoseconds to add to the presentation time.
const OFFSET_NANO: u8 = 0;

fn codec(kind: TrackKind, four_cc: [u8; 4]) -> TagCodec {
    match (kind, &four_cc) {
        (TrackKind::Video, b"avc1") => TagCodec::H264,
        (TrackKind::Video, b"hvc1") => TagCodec::H265,
        (TrackKind::Audio, b"mp4a") => TagCodec::Aac,
        (TrackKind::Audio, b".mp3") => TagCodec::Mp3,
        (TrackKind::Audio, b"Opus") => TagCodec::Opus,
        (TrackKind::Audio, b"ac-3") => TagCodec::Ac3,
        _ => TagCodec::Other(four_cc.escape_ascii().to_string()),
    }
}

/// Reads modifiers up to the packet type behind them; returns it and the time offset in nanoseconds.
fn modifiers(mut packet: u8, fields: &mut Fields) -> Result<(u8, u32), FlvError> {
    let mut offset_ns = 0;
    // Each round takes at least three bytes of the tag.
    while packet == packet_type::MODIFIER {
        let mut len = usize::from(fields.u8()?) + 1;
        if len == 256 {
            len = usize::from(fields.u16()?) + 1;
        }
        let mut data = fields.take(len)?;
        let next = fields.u8()?;
        packet = next & 0x0F;
        if next >> 4 == OFFSET_NANO {
            offset_ns = data.u24()?;
        }
    }
    Ok((packet, offset_ns))
}

/// An enhanced tag behind its first byte.
pub(super) fn parse(kind: TrackKind, first: u8, mut fields: Fields) -> Result<Vec<Packet>, FlvError> {
    let frame_type = (first >> 4) & 0x07;
    let multitrack = match kind {
        TrackKind::Video => packet_type::MULTITRACK_VIDEO,
        TrackKind::Audio => packet_type::MULTITRACK_AUDIO,
    };
    let (mut packet, offset_ns) = modifiers(first & 0x0F, &mut fields)?;
    if kind == TrackKind::Video && frame_type == COMMAND_FRAME && packet != packet_type::METADATA {
        return Ok(Vec::new());
    }
    let key_frame = kind == TrackKind::Audio || is_key_frame(frame_type);
    if packet != multitrack {
        let codec = codec(kind, fields.four_cc()?);
        let body = body(kind, packet, key_frame, &codec, fields)?;
        return Ok(vec![Packet { track: 0, codec, offset_ns, kind: body }]);
    }

    let types = fields.u8()?;
    packet = types & 0x0F;
    if packet == multitrack {
        return Err(FlvError::Nested);
    }
    let tracks_type = types >> 4;
    let shared = if tracks_type == MANY_CODECS { None } else { Some(fields.four_cc()?) };
    let mut packets = Vec::new();
    while packets.len() < TRACKS_MAX {
        let four_cc = match shared {
            Some(four_cc) => four_cc,
            None => fields.four_cc()?,
        };
        let track = fields.u8()?;
        let one = if tracks_type == ONE_TRACK {
            let len = fields.0.len();
            fields.take(len)?
        } else {
            let len = fields.u24()? as usize;
            fields.take(len)?
        };
        let codec = codec(kind, four_cc);
        let body = body(kind, packet, key_frame, &codec, one)?;
        packets.push(Packet { track, codec, offset_ns, kind: body });
        if fields.0.is_empty() {
            break;
        }
    }
    Ok(packets)
}

/// One track's data behind all headers.
fn body(
    kind: TrackKind,
    packet: u8,
    key_frame: bool,
    codec: &TagCodec,
    mut fields: Fields,
) -> Result<PacketKind, FlvError> {
    if matches!(codec, TagCodec::Other(_)) {
        return Ok(PacketKind::Nothing);
    }
    Ok(match (packet, kind) {
        (packet_type::SEQUENCE_START, _) => PacketKind::Header(fields.0),
        (packet_type::CODED_FRAMES, TrackKind::Video) => {
            let composition_ms = fields.i24()?;
            PacketKind::Frame { key_frame, composition_ms, data: fields.0 }
        }
        (packet_type::CODED_FRAMES, TrackKind::Audio) | (packet_type::CODED_FRAMES_X, TrackKind::Video) => {
            PacketKind::Frame { key_frame, composition_ms: 0, data: fields.0 }
        }
        _ => PacketKind::Nothing,
    })
}
