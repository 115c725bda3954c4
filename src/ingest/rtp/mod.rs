//! RTP into the stream: for each track a depayloader, and a parser or a transcoder, in one bin. Shared by all that
//! speaks RTP with a description in SDP.
//!
//! Knows RTP caps (what GStreamer makes of an m-line), neither RTSP nor sockets. The hard thing is time: a track's
//! time stamps are the RTP clock's own, not the packets' arrival (see `clock.rs`), and RTP knows no decoding time
//! (see `order.rs`).

mod aac;
pub(super) mod carried;
pub(super) mod clock;
mod follow;
mod line;
mod losses;
pub(super) mod nal;
mod order;
pub(super) mod packet;
mod sender_report;
mod sps;
mod step;
mod ticks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use gstreamer as gst;
use gstreamer::prelude::*;
use tokio::sync::watch;

pub(super) use self::carried::{Carried, Encoding, NotCarried};
pub(super) use self::clock::SourceClock;
use self::losses::Losses;
use self::order::Order;
use self::packet::Packet;
use super::IngestError;
use super::track::{Door, Track};
use super::transcode::{SourceCodec, TranscodeLimits, Transcoded};
use crate::model::codec::{Codec, TrackKind};
use crate::stream::AccessUnit;

/// One track's way from RTP packets to the stream.
#[derive(Debug)]
pub(super) struct RtpTrack {
    /// All of it; takes RTP at its static pad `sink`.
    pub(super) bin: gst::Bin,
    /// Video or audio.
    pub(super) kind: TrackKind,
}

impl RtpTrack {
    /// Builds the bin for what RTP `caps` describe (media, encoding-name, clock-rate, format parameters): not yet
    /// part of a pipeline, in state NULL. `name` is the bin's name, unless GStreamer may choose one.
    ///
    /// The tracks of one publisher share a `clock`.
    ///
    /// # Errors
    /// [`NotCarried`] when nobody can take that; a plugin is missing.
    pub(super) fn build(
        name: Option<&str>,
        caps: &gst::CapsRef,
        clock: &SourceClock,
        input: &impl Door,
        limits: TranscodeLimits,
    ) -> Result<Self, RtpTrackError> {
        let Encoding { carried, depay: text } = Encoding::from_caps(caps)?;
        let input = &InStep { door: input.clone(), clock: clock.clone() };
        // The depayloader's own bin is the track's; the rest joins it.
        let bin = text.bin().map_err(IngestError::from)?;
        if let Some(name) = name {
            bin.set_property("name", name);
        }
        let depay: gst::Element = text.element(&bin, "depay").map_err(IngestError::from)?;
        let mut gated = None;
        let behind = match carried {
            Carried::AsItIs(codec) => {
                let track = Track::add(&bin, codec, input, 0)?;
                if matches!(codec, Codec::H264 | Codec::H265) {
                    let losses = Arc::new(Mutex::new(Losses::new(codec)));
                    make_decoding_times(&track, codec, Arc::clone(&losses))?;
                    gated = Some(losses);
                }
                track.sink
            }
            Carried::Made(codec) => Transcoded::add(&bin, codec, input, limits)?.sink,
        };
        let last = bin.by_name("exit").unwrap_or_else(|| depay.clone());
        let pads = depay.static_pad("sink").zip(last.static_pad("src"));
        let (entry, exit) = pads.ok_or_else(|| IngestError::Refused("a depayloader without pads".into()))?;
        exit.link(&behind).map_err(|error| IngestError::Refused(error.to_string()))?;
        let kind = carried.kind();
        clock.retime(&entry, kind);
        if matches!(carried, Carried::AsItIs(Codec::Aac)) {
            aac::tell_durations(&entry);
        }
        if let Some(losses) = gated {
            keep_pictures_whole(&entry, losses);
        }
        if matches!(carried, Carried::Made(SourceCodec::Vp9)) {
            keep_losses(&entry);
        }
        let sink = gst::GhostPad::builder_with_target(&entry).map_err(IngestError::from)?.name("sink").build();
        bin.add_pad(&sink).map_err(IngestError::from)?;
        Ok(Self { bin, kind })
    }

    /// Puts it into a running pipeline and starts it; its pad `sink` can be linked then.
    pub(super) fn start(&self, parent: &impl IsA<gst::Bin>) -> Result<gst::Pad, IngestError> {
        parent.add(&self.bin)?;
        self.bin.sync_state_with_parent()?;
        self.bin.static_pad("sink").ok_or_else(|| IngestError::Refused("a track without sink pad".into()))
    }

    /// Takes it out again. Blocks for some milliseconds; its sink pad must be idle.
    pub(super) fn remove(&self, parent: &impl IsA<gst::Bin>) {
        if let Some(sink) = self.bin.static_pad("sink")
            && let Some(peer) = sink.peer()
        {
            let _ = peer.unlink(&sink);
        }
        self.bin.set_locked_state(true);
        let _ = self.bin.set_state(gst::State::Null);
        let _ = parent.remove(&self.bin);
    }
}

/// A door that keeps the tracks together; see `step.rs`.
#[derive(Debug, Clone)]
struct InStep<D> {
    door: D,
    clock: SourceClock,
}

impl<D: Door> Door for InStep<D> {
    fn set_caps(&self, kind: TrackKind, caps: &gst::Caps) {
        self.door.set_caps(kind, caps);
    }
    fn push(&self, unit: AccessUnit) {
        self.clock.in_step(unit, |unit| self.door.push(unit));
    }
    fn set_transcoded(&self, kind: TrackKind, from: Option<&'static str>) {
        self.door.set_transcoded(kind, from);
    }
    fn key_frame_requests(&self) -> watch::Receiver<u64> {
        self.door.key_frame_requests()
    }
}

/// Why a track has no way.
#[derive(Debug, thiserror::Error)]
pub(super) enum RtpTrackError {
    /// Refused by name; the publisher's other tracks go on.
    #[error(transparent)]
    NotCarried(#[from] NotCarried),
    /// An element failed.
    #[error(transparent)]
    Ingest(#[from] IngestError),
}

/// Keeps the news of lost packets from `rtpvp9depay`, which before GStreamer 1.28 uses an event that is not there
/// (`gst_rtp_vp9_depay_packet_lost`: a GLib critical). It needs none: the next packet is marked as discontinuous.
pub(super) fn keep_losses(sink: &gst::Pad) {
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| match &info.data {
        Some(gst::PadProbeData::Event(event))
            if event.structure().is_some_and(|structure| structure.name() == "GstRTPPacketLost") =>
        {
            super::TAKE_OUT
        }
        _ => gst::PadProbeReturn::Ok,
    });
}

/// Keeps from the depayloader what would break pictures after a loss; see `losses.rs`. Behind the probe that sets the
/// packets' times.
fn keep_pictures_whole(entry: &gst::Pad, losses: Arc<Mutex<Losses>>) {
    let epoch = Instant::now();
    let passes = move |packet: &gst::Buffer| {
        let Some((time, map)) = packet.pts().zip(packet.map_readable().ok()) else { return true };
        // What is no RTP the depayloader refuses.
        let Some(packet) = Packet::read(&map) else { return true };
        locked(&losses).take(&packet, time.nseconds(), epoch.elapsed())
    };
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    entry.add_probe(mask, move |_, info| match &mut info.data {
        Some(gst::PadProbeData::Buffer(packet)) if !passes(packet) => super::TAKE_OUT,
        Some(gst::PadProbeData::BufferList(list)) => {
            list.make_mut().foreach_mut(|packet, _| std::ops::ControlFlow::Continue(passes(&packet).then_some(packet)));
            gst::PadProbeReturn::Ok
        }
        _ => gst::PadProbeReturn::Ok,
    });
}

fn locked(losses: &Mutex<Losses>) -> MutexGuard<'_, Losses> {
    losses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives each parsed picture the decoding time that RTP does not carry, and leaves out those that a loss cut.
fn make_decoding_times(track: &Track, codec: Codec, losses: Arc<Mutex<Losses>>) -> Result<(), IngestError> {
    let out = track.out.static_pad("sink").ok_or_else(|| IngestError::Refused("an appsink without pad".into()))?;
    let order = Mutex::new(Order::default());
    out.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(buffer) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let Some(pts) = buffer.pts() else { return gst::PadProbeReturn::Ok };
        if locked(&losses).is_cut(pts.nseconds()) {
            return super::TAKE_OUT;
        }
        let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
        if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
            && let Ok(map) = buffer.map_readable()
            && let Some(depth) = sps::reorder_depth(codec, &map)
        {
            order.set_depth(depth);
        }
        let dts_ns = order.picture(pts.nseconds());
        drop(order);
        buffer.make_mut().set_dts(gst::ClockTime::from_nseconds(dts_ns));
        gst::PadProbeReturn::Ok
    });
    Ok(())
}

#[cfg(test)]
mod tests;
