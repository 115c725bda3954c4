//! FLV tags to access units.
//!
//! Owns what a connection knows of its two tracks: which one it follows, its header, whether it can
//! be carried. Knows no socket and no GStreamer. The hard thing: a publisher is refused only when
//! it is certain that nothing of it can be carried, since the other track may come late.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::amf0::Value;
use super::clock::{Clock, ms_to_ns};
use super::flv::{self, FlvError, Packet, PacketKind, TagCodec};
use super::seam::{Sink, SourceUnit, TrackConfig};
use crate::model::codec::TrackKind;

/// How long a publisher of nothing usable may go on, should the other track come: as the late audio of a camera.
const UNUSABLE_WAIT: Duration = Duration::from_secs(5);

/// Something to tell in the log; each kind once per track, but a changed header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Note {
    /// The codec can't be put into MPEG-TS by this service.
    #[error("the {0} codec {1} can't be carried; this track is left out")]
    Unsupported(TrackKind, String),
    /// Several tracks of one kind.
    #[error("several {0} tracks; only track {1} goes on")]
    OtherTracks(TrackKind, u8),
    /// A tag that can't be read.
    #[error("a tag of the {0} track can't be read and is left out: {1}")]
    BadTag(TrackKind, FlvError),
    /// A header that can't be used.
    #[error("a header of the {0} track is left out: {1}")]
    BadHeader(TrackKind, &'static str),
    /// Frames that nobody can decode.
    #[error("frames of the {0} track before their header are left out")]
    NoHeader(TrackKind),
    /// New codec or header in the middle of the stream; told at the 1st, 2nd, 4th, 8th, … time.
    #[error("the {0} track's header has changed ({1} times so far)")]
    Changed(TrackKind, u32),
}

/// What is known of one track.
#[derive(Debug, Default)]
struct Track {
    /// The track id that is followed: the first that came.
    followed: Option<u8>,
    /// What the sink was told.
    config: Option<TrackConfig>,
    /// How often that has changed.
    changes: u32,
    /// The codec that can't be carried.
    unsupported: Option<String>,
    /// False if `onMetaData` says that there is no such track.
    absent: bool,
    /// Kinds of notes made already, by discriminant.
    noted: Vec<std::mem::Discriminant<Note>>,
}

/// Translates one connection's tags.
#[derive(Debug, Default)]
pub(super) struct Translator {
    /// The publisher's clock.
    clock: Clock,
    /// The video track.
    video: Track,
    /// The audio track.
    audio: Track,
    /// When the first tag came that can't be used: its codec can't be carried, or its header is bent or missing.
    unusable_since: Option<Instant>,
    /// Notes not fetched yet.
    notes: Vec<Note>,
}

impl Translator {
    /// Takes `onMetaData`: which tracks there will be. A publisher that names one of them has not the other.
    pub(super) fn metadata(&mut self, metadata: &Value, sink: &impl Sink) {
        let named = |prefix: &str| {
            ["codecid", "datarate"].iter().any(|name| metadata.get(&format!("{prefix}{name}")).is_some())
        };
        let (video, audio) = (named("video") || metadata.get("width").is_some(), named("audio"));
        if video || audio {
            (self.video.absent, self.audio.absent) = (!video, !audio);
            sink.expect(TrackKind::Video, video);
            sink.expect(TrackKind::Audio, audio);
        }
    }

    /// Takes one tag; what comes of it goes to `sink`.
    pub(super) fn tag(&mut self, kind: TrackKind, timestamp_ms: u32, body: &Bytes, now: Instant, sink: &impl Sink) {
        let time_ns = self.clock.unwrap_ns(timestamp_ms);
        match flv::parse(kind, body) {
            Ok(packets) => {
                for packet in packets {
                    self.packet(kind, time_ns, packet, now, sink);
                }
            }
            Err(error) => self.note(kind, Note::BadTag(kind, error)),
        }
    }

    /// Notes made since the last call.
    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// What is wrong, if it is certain that nothing can be carried: no usable track, and each is of a codec
    /// that can't be carried or not announced, or none has become usable for [`UNUSABLE_WAIT`].
    pub(super) fn unusable(&self, now: Instant) -> Option<String> {
        let since = self.unusable_since?;
        if self.video.config.is_some() || self.audio.config.is_some() {
            return None;
        }
        let hopeless = |track: &Track| track.absent || track.unsupported.is_some();
        if !(hopeless(&self.video) && hopeless(&self.audio)) && now.duration_since(since) < UNUSABLE_WAIT {
            return None;
        }
        let codecs: Vec<_> =
            [&self.video, &self.audio].into_iter().filter_map(|track| track.unsupported.as_deref()).collect();
        Some(if codecs.is_empty() { "no usable header".to_owned() } else { codecs.join(" and ") })
    }

    fn track(&mut self, kind: TrackKind) -> &mut Track {
        match kind {
            TrackKind::Video => &mut self.video,
            TrackKind::Audio => &mut self.audio,
        }
    }

    fn note(&mut self, kind: TrackKind, note: Note) {
        let discriminant = std::mem::discriminant(&note);
        let noted = &mut self.track(kind).noted;
        if !noted.contains(&discriminant) {
            noted.push(discriminant);
            self.notes.push(note);
        }
    }

    fn packet(&mut self, kind: TrackKind, time_ns: i64, packet: Packet, now: Instant, sink: &impl Sink) {
        let followed = *self.track(kind).followed.get_or_insert(packet.track);
        if followed != packet.track {
            return self.note(kind, Note::OtherTracks(kind, followed));
        }
        if let TagCodec::Other(name) = packet.codec {
            if self.track(kind).unsupported.replace(name.clone()).is_none() && self.track(kind).config.is_none() {
                sink.expect(kind, false);
            }
            self.unusable_since.get_or_insert(now);
            return self.note(kind, Note::Unsupported(kind, name));
        }
        match packet.kind {
            PacketKind::Header(header) => match flv::check(&packet.codec, &header) {
                Ok(()) => self.configure(kind, config(&packet.codec, Some(header)), sink),
                Err(why) => {
                    self.unusable_since.get_or_insert(now);
                    self.note(kind, Note::BadHeader(kind, why));
                }
            },
            PacketKind::Frame { data, .. } if data.is_empty() => {}
            PacketKind::Frame { key_frame, composition_ms, data } => {
                // Codecs without a header are configured by their first frame.
                self.configure(kind, config(&packet.codec, None), sink);
                if !self.track(kind).config.as_ref().is_some_and(|config| is_of(config, &packet.codec)) {
                    self.unusable_since.get_or_insert(now);
                    return self.note(kind, Note::NoHeader(kind));
                }
                let pts_ns = time_ns + ms_to_ns(composition_ms) + i64::from(packet.offset_ns);
                // Audio is presented when it is decoded; of video only the presentation moves.
                let dts_ns = if kind == TrackKind::Audio { pts_ns } else { time_ns };
                sink.push(SourceUnit { kind, dts_ns, pts_ns, key_frame, data });
            }
            PacketKind::Nothing => {}
        }
    }

    /// Tells the sink of a configuration that is not the one in force.
    fn configure(&mut self, kind: TrackKind, config: Option<TrackConfig>, sink: &impl Sink) {
        let Some(config) = config else { return };
        let track = self.track(kind);
        if track.config.as_ref() == Some(&config) {
            return;
        }
        if track.config.replace(config.clone()).is_some() {
            track.changes = track.changes.saturating_add(1);
            let changes = track.changes;
            if changes.is_power_of_two() {
                self.notes.push(Note::Changed(kind, changes));
            }
        }
        sink.configure(config);
    }
}

/// A codec's configuration; `None` if it needs a header and there is none, or has no use for the one there is.
fn config(codec: &TagCodec, header: Option<Bytes>) -> Option<TrackConfig> {
    match (codec, header) {
        (TagCodec::H264, Some(avcc)) => Some(TrackConfig::H264 { avcc }),
        (TagCodec::H265, Some(hvcc)) => Some(TrackConfig::H265 { hvcc }),
        (TagCodec::Aac, Some(asc)) => Some(TrackConfig::Aac { asc }),
        (TagCodec::Opus, Some(head)) => Some(TrackConfig::Opus { head }),
        (TagCodec::Mp3, None) => Some(TrackConfig::Mp3),
        (TagCodec::Ac3, None) => Some(TrackConfig::Ac3),
        _ => None,
    }
}

/// True if frames of `codec` are what `config` announces.
fn is_of(config: &TrackConfig, codec: &TagCodec) -> bool {
    matches!(
        (config, codec),
        (TrackConfig::H264 { .. }, TagCodec::H264)
            | (TrackConfig::H265 { .. }, TagCodec::H265)
            | (TrackConfig::Aac { .. }, TagCodec::Aac)
            | (TrackConfig::Opus { .. }, TagCodec::Opus)
            | (TrackConfig::Mp3, TagCodec::Mp3)
            | (TrackConfig::Ac3, TagCodec::Ac3)
    )
}
