//! What MPEG-TS or its receivers cannot take, made into what they can, once per stream: `transcode-*.launch`
//! inside an ingest pipeline, in the place of a parser.
//!
//! Owns what the launch texts cannot say: when a key frame is due, what the encoder may spend, where sound
//! has holes. Knows nothing of the protocol in front. The hard thing is time: what comes out keeps the
//! source's time stamps to within a few milliseconds, also after a pause, so that lips stay in sync.

mod keys;
mod rate;
mod sound;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use self::keys::Keys;
use self::rate::{Rate, START_KBPS};
use self::sound::Sound;
use super::track::{Door, Track};
use super::{IngestError, TAKE_OUT};
use crate::media::key_frames::force_key_unit;
use crate::media::launch::{self, Launch};
use crate::model::codec::{Codec, TrackKind};

/// The longest loss that the decoder conceals: an Opus packet's greatest length. A longer one is a pause.
const CONCEALED_MAX: gst::ClockTime = gst::ClockTime::from_mseconds(120);

/// How late sound is in the encoder's packets: 1600 samples, found by correlating what goes in with what a
/// decoder makes of it.
pub(super) const PRIMING_NS: u64 = sound::ns_of(1_600);

/// Bytes of a sample of the `raw` caps: two channels of 16 bits.
const SAMPLE_LEN: usize = 4;

/// What a publisher sends that cannot be carried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceCodec {
    /// RFC 6716.
    Opus,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// PCM of 16 bits (RFC 3551).
    L16,
    /// PCM of 24 bits (RFC 3190).
    L24,
    /// RFC 6386.
    Vp8,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
}

impl SourceCodec {
    /// The name in a session description.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Opus => "Opus",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::L16 => "L16",
            Self::L24 => "L24",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Av1 => "AV1",
        }
    }

    /// What it becomes.
    pub(super) fn target(self) -> Codec {
        match self {
            Self::Opus | Self::Pcmu | Self::Pcma | Self::L16 | Self::L24 => Codec::Aac,
            Self::Vp8 | Self::Vp9 | Self::Av1 => Codec::H264,
        }
    }

    fn launch(self) -> Launch {
        match self {
            Self::Opus => launch::TRANSCODE_OPUS,
            Self::Pcmu => launch::TRANSCODE_PCMU,
            Self::Pcma => launch::TRANSCODE_PCMA,
            Self::L16 | Self::L24 => launch::TRANSCODE_PCM,
            Self::Vp8 => launch::TRANSCODE_VP8,
            Self::Vp9 => launch::TRANSCODE_VP9,
            Self::Av1 => launch::TRANSCODE_AV1,
        }
    }
}

/// What a transcode may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TranscodeLimits {
    /// The most that video becomes, in kb/s.
    pub(super) max_video_bitrate_kbps: u32,
    /// Distance of key frames in time; more come when an endpoint wishes for one.
    pub(super) key_frame_interval: Duration,
}

/// A decoder and an encoder in the place of a parser.
#[derive(Debug)]
pub(super) struct Transcoded {
    track: Track,
    /// Takes the depayloaded elementary stream.
    pub(super) sink: gst::GhostPad,
}

impl Transcoded {
    /// Adds a transcoder to `pipeline` and starts it. Units reach the input with the running time of the
    /// source's segment.
    pub(super) fn add(
        pipeline: &impl IsA<gst::Bin>,
        source: SourceCodec,
        input: &impl Door,
        limits: TranscodeLimits,
    ) -> Result<Self, IngestError> {
        let text = source.launch();
        let bin = text.bin()?;
        let decoder = sink_pad(&text.element(&bin, "decode")?)?;
        let (target, kind) = (source.target(), source.target().kind());
        let bias_ns = match kind {
            TrackKind::Video => {
                let encoder: gst::Element = text.element(&bin, "encode")?;
                follow_rate(&decoder, &encoder, limits.max_video_bitrate_kbps);
                force_keys(&sink_pad(&encoder)?, input, limits.key_frame_interval);
                0
            }
            TrackKind::Audio => {
                bound_concealment(&decoder);
                let raw: gst::Element = text.element(&bin, "raw")?;
                let pad = raw.static_pad("src").ok_or_else(|| IngestError::Refused("a filter without pad".into()))?;
                close_holes(&pad);
                i64::try_from(PRIMING_NS).unwrap_or(0)
            }
        };
        let track = Track::start(pipeline, text, bin, "decode", target, input, bias_ns)?;
        input.set_transcoded(kind, Some(source.as_str()));
        tracing::info!(track = %kind, from = source.as_str(), to = %target, "transcoding");
        let sink = track.sink.clone();
        Ok(Self { track, sink })
    }

    /// Takes it out. Its sink pad must be unlinked or idle.
    pub(super) fn remove(&self, pipeline: &impl IsA<gst::Bin>) {
        self.track.remove(pipeline);
    }
}

fn sink_pad(element: &gst::Element) -> Result<gst::Pad, IngestError> {
    element.static_pad("sink").ok_or_else(|| IngestError::Refused(format!("{} without sink pad", element.name())))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Numbers that are never half written: go on.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the encoder's rate after what comes into the decoder.
fn follow_rate(decoder: &gst::Pad, encoder: &gst::Element, max_kbps: u32) {
    encoder.set_property("bitrate", START_KBPS.min(max_kbps).max(1));
    let (encoder, rate) = (encoder.downgrade(), Mutex::new(Rate::new(max_kbps)));
    decoder.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer()
            && let Some(at) = buffer.dts_or_pts()
            && let Some(kbps) = lock(&rate).unit(buffer.size(), at.into())
            && let Some(encoder) = encoder.upgrade()
        {
            tracing::debug!(kbps, "the encoder's rate follows the source");
            encoder.set_property("bitrate", kbps);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Makes a key frame each `interval` and whenever the stream wishes for one, out of the picture that is just
/// going into the encoder: nothing needs to be asked of the publisher.
pub(super) fn force_keys(encoder: &gst::Pad, input: &impl Door, interval: Duration) {
    let state = Mutex::new((Keys::every(interval), input.key_frame_requests()));
    encoder.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(at) = info.buffer().and_then(|buffer| buffer.pts()) else {
            // x264enc stops the process when it meets a picture without a time stamp.
            return TAKE_OUT;
        };
        let mut state = lock(&state);
        let (keys, wishes) = &mut *state;
        if wishes.has_changed().unwrap_or(false) {
            wishes.mark_unchanged();
            keys.wish();
        }
        let due = keys.picture(at.into());
        drop(state);
        if due {
            pad.send_event(force_key_unit(None));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Lets the decoder conceal a loss of some packets, and no pause: it would make sound up for all of it. Nor
/// anything ahead of the first packet, when it doesn't know yet what to make (and fails).
fn bound_concealment(decoder: &gst::Pad) {
    let begun = AtomicBool::new(false);
    decoder.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(_)) => begun.store(true, Ordering::Relaxed),
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Gap(gap) = event.view() {
                    let short = gap.get().1.is_some_and(|duration| duration <= CONCEALED_MAX);
                    if !short || !begun.load(Ordering::Relaxed) {
                        return TAKE_OUT;
                    }
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Puts silence where sound is missing, as [`sound`] says.
fn close_holes(raw: &gst::Pad) {
    let state = Arc::new(Mutex::new(Sound::default()));
    raw.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        let Some(at) = buffer.pts() else { return TAKE_OUT };
        let samples = (buffer.size() / SAMPLE_LEN) as u64;
        let silence = lock(&state).take(at.nseconds(), samples);
        if let Some(silence) = silence
            && let Some(encoder) = pad.peer()
        {
            // Straight into the encoder, ahead of the buffer that is on its way; what it says of it, it says
            // of that one again.
            let _ = encoder.chain(silent(silence));
        }
        gst::PadProbeReturn::Ok
    });
}

fn silent(silence: sound::Silence) -> gst::Buffer {
    let len = usize::try_from(silence.samples).unwrap_or(0) * SAMPLE_LEN;
    let mut buffer = gst::Buffer::from_mut_slice(vec![0_u8; len]);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::from_nseconds(silence.at_ns));
        buffer.set_duration(gst::ClockTime::from_nseconds(sound::ns_of(silence.samples)));
    }
    buffer
}

#[cfg(test)]
mod tests;
