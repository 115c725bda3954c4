//! Elementary streams from protocols that deliver access units themselves (RTMP): parsed in a small
//! pipeline of their own, then handed to the stream's input.
//!
//! Configuration travels out of band there (avcC, hvcC, AudioSpecificConfig) and may change at any moment.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::IngestError;
use super::track::{Door, Track};
use crate::media::known::{self, Role};
use crate::model::codec::{Codec, TrackKind};
use crate::model::ids::StreamKey;
use crate::stream::Input;

/// Added to the source's time stamps inside the ingest pipeline, because a buffer's cannot be negative:
/// a thousand hours, as x264enc does.
const BIAS_NS: i64 = 1_000 * 3_600 * 1_000_000_000;

/// What a track carries from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TrackConfig {
    /// H.264 with an `AVCDecoderConfigurationRecord` (ISO/IEC 14496-15); units are length-prefixed.
    H264 {
        /// The record.
        avcc: Bytes,
    },
    /// H.265 with an `HEVCDecoderConfigurationRecord`; units are length-prefixed.
    H265 {
        /// The record.
        hvcc: Bytes,
    },
    /// Raw AAC with an `AudioSpecificConfig` (ISO/IEC 14496-3).
    Aac {
        /// The configuration.
        asc: Bytes,
    },
    /// MPEG-1/2 audio layer III; the frames say the rest.
    Mp3,
    /// AC-3; the frames say the rest.
    Ac3,
    /// Opus with an `OpusHead` (RFC 7845 section 5.1).
    Opus {
        /// The header packet.
        head: Bytes,
    },
}

impl TrackConfig {
    /// The codec.
    pub(super) fn codec(&self) -> Codec {
        match self {
            Self::H264 { .. } => Codec::H264,
            Self::H265 { .. } => Codec::H265,
            Self::Aac { .. } => Codec::Aac,
            Self::Mp3 => Codec::Mpeg,
            Self::Ac3 => Codec::Ac3,
            Self::Opus { .. } => Codec::Opus,
        }
    }

    fn caps(&self) -> gst::Caps {
        let builder = |name: &str| gst::Caps::builder(name.to_owned());
        let data = |bytes: &Bytes| gst::Buffer::from_slice(bytes.clone());
        match self {
            Self::H264 { avcc } => builder("video/x-h264")
                .field("stream-format", "avc")
                .field("alignment", "au")
                .field("codec_data", data(avcc))
                .build(),
            Self::H265 { hvcc } => builder("video/x-h265")
                .field("stream-format", "hvc1")
                .field("alignment", "au")
                .field("codec_data", data(hvcc))
                .build(),
            Self::Aac { asc } => builder("audio/mpeg")
                .field("mpegversion", 4)
                .field("stream-format", "raw")
                .field("framed", true)
                .field("codec_data", data(asc))
                .build(),
            Self::Mp3 => builder("audio/mpeg").field("mpegversion", 1).build(),
            Self::Ac3 => builder("audio/x-ac3").build(),
            Self::Opus { head } => opus_caps(head),
        }
    }
}

/// Caps of an `OpusHead` (RFC 7845, section 5.1), with Opus' own defaults when it is cut short.
fn opus_caps(head: &Bytes) -> gst::Caps {
    let byte = |at: usize| head.get(at).copied();
    let channels = byte(9).filter(|n| (1..=8).contains(n)).unwrap_or(2);
    let builder = gst::Caps::builder("audio/x-opus").field("channels", i32::from(channels)).field("rate", 48_000);
    // Family 1 (surround) says which stream carries which channel; family 0 needs no table.
    let table = head.get(21..21 + usize::from(channels));
    match (byte(18), byte(19), byte(20), table) {
        (Some(1), Some(streams), Some(coupled), Some(table)) => builder
            .field("channel-mapping-family", 1)
            .field("stream-count", i32::from(streams))
            .field("coupled-count", i32::from(coupled))
            .field("channel-mapping", gst::Array::new(table.iter().map(|n| i32::from(*n))))
            .build(),
        _ => builder.field("channel-mapping-family", 0).build(),
    }
}

/// An access unit as the protocol delivered it.
#[derive(Debug, Clone)]
pub(super) struct SourceUnit {
    /// Its track.
    pub(super) kind: TrackKind,
    /// Decode time in nanoseconds of the source's clock, unwrapped; may be negative or jump.
    pub(super) dts_ns: i64,
    /// Presentation time in nanoseconds of the source's clock.
    pub(super) pts_ns: i64,
    /// Decodable by itself.
    pub(super) key_frame: bool,
    /// The payload, in the form the track's configuration says.
    pub(super) data: Bytes,
}

/// A track's way through the pipeline.
#[derive(Debug)]
struct Way {
    source: gst_app::AppSrc,
    track: Track,
    config: TrackConfig,
}

/// The parse pipeline of one publisher. Dropping it stops it; that takes a millisecond, none of its
/// elements waits for anything.
#[derive(Debug)]
pub(super) struct ElementaryIngest<D: Door = Input> {
    pipeline: gst::Pipeline,
    input: D,
    ways: Mutex<[Option<Way>; 2]>,
}

impl<D: Door> ElementaryIngest<D> {
    /// Starts an empty pipeline; tracks join as they are configured.
    ///
    /// # Errors
    /// The pipeline refuses to play.
    pub(super) fn start(key: &StreamKey, input: D) -> Result<Self, IngestError> {
        let pipeline = gst::Pipeline::with_name(&format!("ingest-{}-{}", key.app, key.id));
        known::add_with_threads(&pipeline, key, Role::Ingest);
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self { pipeline, input, ways: Mutex::default() })
    }

    /// Announces a track that has not been configured yet.
    pub(super) fn expect(&self, kind: TrackKind) {
        self.input.expect(kind);
    }

    /// Sets what a track carries from the next unit on. Nothing happens when nothing changes; another
    /// codec replaces the track's parser. A few milliseconds at most.
    ///
    /// # Errors
    /// The parser could not be built; the track then stays without one.
    pub(super) fn configure(&self, config: TrackConfig) -> Result<(), IngestError> {
        let codec = config.codec();
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let way = &mut ways[codec.kind().index()];
        match way {
            Some(way) if way.config == config => return Ok(()),
            Some(way) if way.track.codec == codec => {
                way.source.set_caps(Some(&config.caps()));
                way.config = config;
                return Ok(());
            }
            Some(_) => self.remove(way.take()),
            None => {}
        }
        self.input.expect(codec.kind());
        let source = gst_app::AppSrc::builder()
            .format(gst::Format::Time)
            .is_live(true)
            .block(false)
            .max_bytes(0)
            .caps(&config.caps())
            .build();
        self.pipeline.add(&source)?;
        let track = Track::add(&self.pipeline, codec, &self.input, BIAS_NS)?;
        source
            .static_pad("src")
            .ok_or_else(|| IngestError::Refused("an appsrc without src pad".into()))?
            .link(&track.sink)
            .map_err(|error| IngestError::Refused(error.to_string()))?;
        source.sync_state_with_parent()?;
        *way = Some(Way { source, track, config });
        Ok(())
    }

    fn remove(&self, way: Option<Way>) {
        let Some(way) = way else { return };
        let _ = way.source.set_state(gst::State::Null);
        way.track.remove(&self.pipeline);
        let _ = self.pipeline.remove(&way.source);
    }

    /// Takes a unit; one of a track that was never configured is dropped. Never blocks.
    pub(super) fn push(&self, unit: SourceUnit) {
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(way) = &ways[unit.kind.index()] else { return };
        let mut buffer = gst::Buffer::from_slice(unit.data);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_dts(biased(unit.dts_ns));
            buffer.set_pts(biased(unit.pts_ns));
            if !unit.key_frame {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        if let Err(flow) = way.source.push_buffer(buffer) {
            tracing::debug!(track = %unit.kind, ?flow, "the parser takes nothing more");
        }
    }

    /// The first error of a parser since the last call, in its own words: what it was given is not what
    /// its configuration says.
    pub(super) fn take_error(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => None,
        }
    }
}

fn biased(ns: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(ns.saturating_add(BIAS_NS).max(0).unsigned_abs())
}

impl<D: Door> Drop for ElementaryIngest<D> {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_heads_become_caps_with_their_channel_table() {
        gst::init().expect("GStreamer");
        let head = |channels: u8, rest: &[u8]| {
            let fixed = [b"OpusHead".as_slice(), &[1, channels, 0, 0, 0x80, 0xbb, 0, 0, 0, 0]].concat();
            Bytes::from([fixed.as_slice(), rest].concat())
        };
        let family = |head: Bytes| {
            let caps = TrackConfig::Opus { head }.caps();
            let structure = caps.structure(0).expect("one").to_owned();
            (structure.get::<i32>("channels"), structure.get::<i32>("channel-mapping-family"))
        };
        assert_eq!(family(head(2, &[0])), (Ok(2), Ok(0)));
        assert_eq!(family(head(6, &[1, 4, 2, 0, 4, 1, 2, 3, 5])), (Ok(6), Ok(1)));
        assert_eq!(family(Bytes::new()), (Ok(2), Ok(0)), "cut short");
        let caps = TrackConfig::Opus { head: head(6, &[1, 4, 2, 0, 4, 1, 2, 3, 5]) }.caps();
        let structure = caps.structure(0).expect("one");
        assert_eq!(structure.get::<i32>("stream-count"), Ok(4));
        assert_eq!(structure.get::<gst::Array>("channel-mapping").expect("table").len(), 6);
    }
}
