//! What is inside the bytes of a source, and the demuxer for it.
//!
//! Knows containers by their first bytes, no protocol. A demuxer is chosen once, at the first bytes.

use ::bytes::Bytes;

use super::failure::{Failure, Phase};
use super::meter::Metered;
use crate::ingest::IngestError;
use crate::ingest::rtmp::FlvIngest;
use crate::ingest::track::Door;
use crate::ingest::ts::TsIngest;
use crate::model::ids::StreamKey;

/// MPEG-TS' sync byte (ISO/IEC 13818-1, section 2.4.3.3).
const TS_SYNC: u8 = 0x47;
/// A transport packet's length.
const TS_PACKET_LEN: usize = 188;
/// RTP's version 2 in the first byte (RFC 3550, section 5.1), and MPEG-TS' payload type (RFC 3551, section 6).
const RTP_VERSION: u8 = 0x80;
const RTP_TYPE_TS: u8 = 33;
/// Boxes that a file or a fragment begins with (ISO/IEC 14496-12).
const MP4_BOXES: [&[u8; 4]; 5] = [b"ftyp", b"styp", b"sidx", b"moof", b"emsg"];

/// What bytes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// MPEG-TS.
    Ts,
    /// MPEG-TS in RTP, a packet each.
    RtpTs,
    /// FLV.
    Flv,
    /// Fragmented MP4.
    Mp4,
    /// A playlist of HLS.
    Playlist,
}

/// Tells by the first bytes; `None`: nothing that is known.
pub(super) fn sniff(bytes: &[u8]) -> Option<Content> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match bytes {
        [first, second, ..] if first & 0xc0 == RTP_VERSION && second & 0x7f == RTP_TYPE_TS => Some(Content::RtpTs),
        _ if bytes.starts_with(b"FLV\x01") => Some(Content::Flv),
        _ if text.starts_with(b"#EXTM3U") => Some(Content::Playlist),
        [_, _, _, _, name @ ..] if MP4_BOXES.iter().any(|known| name.starts_with(known.as_slice())) => {
            Some(Content::Mp4)
        }
        _ if is_ts(bytes) => Some(Content::Ts),
        _ => None,
    }
}

/// Sync bytes a packet apart, wherever the first one is: nobody cuts a live stream at its packets.
fn is_ts(bytes: &[u8]) -> bool {
    (0..TS_PACKET_LEN.min(bytes.len())).any(|at| {
        let mut syncs = bytes[at..].iter().step_by(TS_PACKET_LEN);
        let whole = bytes.len() - at > TS_PACKET_LEN || at == 0 && bytes.len() >= TS_PACKET_LEN;
        whole && syncs.all(|byte| *byte == TS_SYNC)
    })
}

/// The payload of an RTP packet; `None` for one that is cut off.
pub(super) fn rtp_payload(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let mut at = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let words = packet.get(at + 2..at + 4)?;
        at += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
    }
    let padding = if first & 0x20 != 0 { usize::from(*packet.last()?) } else { 0 };
    packet.get(at..packet.len().checked_sub(padding)?)
}

/// A demuxer.
pub(super) enum Demux<D: Door = Metered> {
    /// MPEG-TS or fragmented MP4.
    Ts(TsIngest),
    /// MPEG-TS in RTP.
    RtpTs(TsIngest),
    /// FLV.
    Flv(Box<FlvIngest<D>>),
}

impl<D: Door + Sync> Demux<D> {
    /// The demuxer for what `first` begins.
    pub(super) fn for_bytes(first: &[u8], key: &StreamKey, door: &D) -> Result<Self, Failure> {
        let internal = |error: IngestError| Failure::new(Phase::Receive, format!("the demuxer: {error}"));
        match sniff(first) {
            Some(Content::Ts) => TsIngest::start(key, door).map(Self::Ts).map_err(internal),
            Some(Content::Mp4) => TsIngest::start_mp4(key, door).map(Self::Ts).map_err(internal),
            Some(Content::RtpTs) => TsIngest::start(key, door).map(Self::RtpTs).map_err(internal),
            Some(Content::Flv) => {
                FlvIngest::start(key, door.clone()).map(|flv| Self::Flv(Box::new(flv))).map_err(internal)
            }
            Some(Content::Playlist) | None => {
                Err(Failure::new(Phase::Receive, "what comes is neither MPEG-TS nor FLV nor fragmented MP4"))
            }
        }
    }

    /// Takes a piece, of any length; of RTP, a packet.
    pub(super) fn push(&mut self, bytes: Bytes) {
        match self {
            Self::Ts(ts) => ts.push(bytes),
            Self::RtpTs(ts) => {
                if let Some(payload) = rtp_payload(&bytes) {
                    ts.push(bytes.slice_ref(payload));
                }
            }
            Self::Flv(flv) => flv.push(&bytes),
        }
    }

    /// Nothing follows: what it holds comes out, within a second.
    pub(super) fn finish(self) {
        match self {
            Self::Ts(ts) | Self::RtpTs(ts) => ts.finish(),
            // It holds nothing back.
            Self::Flv(_) => {}
        }
    }

    /// What makes it pointless to go on.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        let error = match self {
            Self::Ts(ts) | Self::RtpTs(ts) => ts.take_error(),
            Self::Flv(flv) => flv.take_error(),
        };
        error.map_or(Ok(()), |error| Err(Failure::new(Phase::Receive, format!("it cannot be read: {error}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_told_by_their_first_bytes() {
        let packets = [[TS_SYNC; 1].as_slice(), &[0; 187]].concat().repeat(3);
        assert_eq!(sniff(&packets), Some(Content::Ts));
        assert_eq!(sniff(&packets[..188]), Some(Content::Ts));
        assert_eq!(sniff(&packets[100..]), Some(Content::Ts), "cut anywhere");
        assert_eq!(sniff(b"FLV\x01\x05"), Some(Content::Flv));
        assert_eq!(sniff(b"\xef\xbb\xbf#EXTM3U\n"), Some(Content::Playlist));
        let rtp = [b"\x80\xa1\0\x01\0\0\0\0\0\0\0\0".as_slice(), &packets].concat();
        assert_eq!(sniff(&rtp), Some(Content::RtpTs));
        assert_eq!(rtp_payload(&rtp), Some(packets.as_slice()));
        assert_eq!(sniff(b"\0\0\0\x1cftypiso5"), Some(Content::Mp4));
        assert_eq!(sniff(b"<html>"), None);
        assert_eq!(sniff(b""), None);
        assert_eq!(sniff(&[0; 400]), None);
    }

    #[test]
    fn rtp_headers_of_every_kind_are_taken_off() {
        let packet = [&[0xb1, 33][..], &[0; 10], &[1; 4], &[0, 0, 0, 1], &[2; 4], b"data", &[0, 2]].concat();
        assert_eq!(rtp_payload(&packet), Some(&b"data"[..]));
        for cut in 0..packet.len() {
            let _ = rtp_payload(&packet[..cut]);
        }
        assert_eq!(rtp_payload(&[0xbf, 33, 0]), None);
    }
}
