//! From webrtcbin's pads into the stream: a depayloader, and a parser or a transcoder, for each track.
//!
//! Must not know sessions. The hard thing is time. rtpbin's jitter buffers (`buffer-mode=slave`, webrtcbin's
//! own) turn RTP time stamps into running time by the arrival of the packets, smoothed over seconds, and
//! move the tracks against each other by the sender's reports (RTCP SR): so the publisher's clock is
//! followed for hours, and both tracks stay in step although their RTP clocks have nothing in common. Other
//! modes would not do: `none` follows no clock, `synced` takes the first report for granted for ever. Only the
//! presentation time is taken on: the buffers' decoding time is when the packet came, with all its jitter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::peer::{Events, PeerEvent};
use crate::ingest::track::Track;
use crate::ingest::transcode::{SourceCodec, TranscodeLimits, Transcoded};
use crate::ingest::{IngestError, TAKE_OUT};
use crate::media::launch;
use crate::model::codec::{Codec, TrackKind};
use crate::stream::Input;

/// Elements between a pad of webrtcbin and its jitter buffer, and that itself; two and one are usual.
const ELEMENTS_ABOVE_MAX: usize = 8;

/// What stands behind a depayloader.
#[derive(Debug)]
enum Behind {
    /// H.264 goes through as it is.
    Parser(Track),
    /// Everything else is made into what MPEG-TS carries.
    Transcoder(Transcoded),
}

impl Behind {
    fn sink(&self) -> &gst::GhostPad {
        match self {
            Self::Parser(track) => &track.sink,
            Self::Transcoder(transcoded) => &transcoded.sink,
        }
    }

    fn remove(&self, pipeline: &gst::Pipeline) {
        match self {
            Self::Parser(track) => track.remove(pipeline),
            Self::Transcoder(transcoded) => transcoded.remove(pipeline),
        }
    }
}

/// A track's way from its pad.
#[derive(Debug)]
struct Way {
    pad: gst::Pad,
    /// The depayloader.
    depay: gst::Bin,
    behind: Behind,
}

impl Way {
    fn remove(&self, pipeline: &gst::Pipeline) {
        if let Some(sink) = self.pad.peer() {
            let _ = self.pad.unlink(&sink);
        }
        self.depay.set_locked_state(true);
        let _ = self.depay.set_state(gst::State::Null);
        let _ = pipeline.remove(&self.depay);
        self.behind.remove(pipeline);
    }
}

/// The tracks of one peer connection.
#[derive(Debug)]
pub(super) struct Media {
    input: Input,
    limits: TranscodeLimits,
    events: Events,
    /// By kind: video, audio.
    ways: Mutex<[Option<Way>; 2]>,
    /// Zero of `last_packet_ms`.
    epoch: Instant,
    /// When the last packet came, in milliseconds since `epoch`; 0 before the first one.
    last_packet_ms: Arc<AtomicU64>,
}

impl Media {
    pub(super) fn new(input: Input, limits: TranscodeLimits, events: Events) -> Self {
        Self { input, limits, events, ways: Mutex::default(), epoch: Instant::now(), last_packet_ms: Arc::default() }
    }

    fn ways(&self) -> MutexGuard<'_, [Option<Way>; 2]> {
        // Each way is put in whole: go on after a panic.
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long no packet has come; `None` before the first one.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        let last = self.last_packet_ms.load(Ordering::Relaxed);
        (last > 0).then(|| self.epoch.elapsed().saturating_sub(Duration::from_millis(last)))
    }

    /// Asks for a key frame by the video track's RTCP. False when there is none.
    pub(super) fn ask_key_frame(&self) -> bool {
        let pad = self.ways()[TrackKind::Video.index()].as_ref().map(|way| way.pad.clone());
        pad.is_some_and(|pad| {
            // Without all-headers it becomes a PLI, which every browser answers by SPS, PPS and an IDR picture.
            let wish = gst::Structure::builder("GstForceKeyUnit").field("all-headers", false).build();
            pad.send_event(gst::event::CustomUpstream::new(wish))
        })
    }

    /// Links a pad of webrtcbin. Called from its streaming threads. A second pad of a kind takes the place of
    /// the first: the publisher has begun to send that track anew.
    pub(super) fn attach(&self, pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), IngestError> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        tracing::debug!(pad = %pad.name(), %caps, "track");
        let encoding = caps.structure(0).and_then(|s| s.get::<String>("encoding-name").ok()).unwrap_or_default();
        let (Some(text), Some(carried)) = (launch::depay(&encoding), carried(&encoding)) else {
            return Err(IngestError::Refused(format!("{encoding} was not asked for")));
        };
        let kind = carried.kind();
        ask_again_for_lost(pad, kind == TrackKind::Video);
        // Taken out first: its removal must not hold the lock.
        let old = self.ways()[kind.index()].take();
        if let Some(old) = old {
            tracing::info!(track = %kind, "the publisher sends this track anew");
            old.remove(pipeline);
        }
        let bin = text.bin()?;
        let depay: gst::Element = text.element(&bin, "depay")?;
        let (Some(sink), Some(source)) = (depay.static_pad("sink"), depay.static_pad("src")) else {
            return Err(IngestError::Refused("a depayloader without pads".into()));
        };
        self.watch_packets(&sink);
        if kind == TrackKind::Video {
            self.keep_key_frame_requests(&sink);
        }
        if matches!(carried, Carried::Made(SourceCodec::Vp9)) {
            keep_losses(&sink);
        }
        forget_decoding_time(&source);
        let (sink, source) = (gst::GhostPad::with_target(&sink)?, gst::GhostPad::with_target(&source)?);
        bin.add_pad(&sink)?;
        bin.add_pad(&source)?;
        pipeline.add(&bin)?;
        let behind = match carried {
            Carried::AsItIs(codec) => Behind::Parser(Track::add(pipeline, codec, &self.input, 0)?),
            Carried::Made(codec) => Behind::Transcoder(Transcoded::add(pipeline, codec, &self.input, self.limits)?),
        };
        let way = Way { pad: pad.clone(), depay: bin, behind };
        // From the end to the front: data may flow as soon as the pad is linked.
        let linked = source.link(way.behind.sink()).map(drop).map_err(|error| error.to_string());
        let linked = linked.and_then(|()| way.depay.sync_state_with_parent().map_err(|error| error.to_string()));
        let linked = linked.and_then(|()| pad.link(&sink).map(drop).map_err(|error| error.to_string()));
        if let Err(error) = linked {
            way.remove(pipeline);
            return Err(IngestError::Refused(error));
        }
        self.ways()[kind.index()] = Some(way);
        Ok(())
    }

    fn watch_packets(&self, sink: &gst::Pad) {
        let (epoch, last) = (self.epoch, Arc::clone(&self.last_packet_ms));
        sink.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, _| {
            last.store(u64::try_from(epoch.elapsed().as_millis()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }

    /// The depayloader's own requests (after a loss) go through the session's pace, like all others.
    fn keep_key_frame_requests(&self, sink: &gst::Pad) {
        let events = self.events.clone();
        sink.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| match &info.data {
            Some(gst::PadProbeData::Event(event))
                if event.structure().is_some_and(|structure| structure.name() == "GstForceKeyUnit") =>
            {
                events.send(PeerEvent::KeyFrameWished);
                TAKE_OUT
            }
            _ => gst::PadProbeReturn::Ok,
        });
    }
}

/// How an encoding is carried on.
#[derive(Debug, Clone, Copy)]
enum Carried {
    AsItIs(Codec),
    Made(SourceCodec),
}

impl Carried {
    fn kind(self) -> TrackKind {
        match self {
            Self::AsItIs(codec) => codec.kind(),
            Self::Made(codec) => codec.target().kind(),
        }
    }
}

/// By the `encoding-name` of RTP caps.
fn carried(encoding: &str) -> Option<Carried> {
    Some(match encoding {
        "H264" => Carried::AsItIs(Codec::H264),
        "VP8" => Carried::Made(SourceCodec::Vp8),
        "VP9" => Carried::Made(SourceCodec::Vp9),
        "OPUS" => Carried::Made(SourceCodec::Opus),
        "PCMU" => Carried::Made(SourceCodec::Pcmu),
        "PCMA" => Carried::Made(SourceCodec::Pcma),
        _ => return None,
    })
}

/// Takes the arrival time out of the buffers; see this file's head.
fn forget_decoding_time(source: &gst::Pad) {
    source.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            buffer.make_mut().set_dts(gst::ClockTime::NONE);
        }
        gst::PadProbeReturn::Ok
    });
}

/// Keeps the news of lost packets from `rtpvp9depay`, which before GStreamer 1.28 uses an event that is not there
/// (`gst_rtp_vp9_depay_packet_lost`: a GLib critical). It needs none: the next packet is marked as discontinuous.
fn keep_losses(sink: &gst::Pad) {
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| match &info.data {
        Some(gst::PadProbeData::Event(event))
            if event.structure().is_some_and(|structure| structure.name() == "GstRTPPacketLost") =>
        {
            TAKE_OUT
        }
        _ => gst::PadProbeReturn::Ok,
    });
}

/// Sets whether the jitter buffer in front of a pad of webrtcbin asks for lost packets again (NACK). webrtcbin
/// sets it alike for all, and not at all for a publisher whose description names no SSRCs.
fn ask_again_for_lost(pad: &gst::Pad, asks: bool) {
    match jitter_buffer_of(pad) {
        Some(buffer) => buffer.set_property("do-retransmission", asks),
        None => tracing::debug!(pad = %pad.name(), "its jitter buffer was not found"),
    }
}

/// The jitter buffer whose packets come out of a pad of webrtcbin: up through ghost pads, a FEC decoder and the
/// demuxer of payload types.
fn jitter_buffer_of(pad: &gst::Pad) -> Option<gst::Element> {
    let mut pad = pad.clone();
    for _ in 0..ELEMENTS_ABOVE_MAX {
        while let Some(target) = pad.downcast_ref::<gst::GhostPad>().and_then(|ghost| ghost.target()) {
            pad = target;
        }
        let element = pad.parent_element()?;
        if element.factory().is_some_and(|factory| factory.name() == "rtpjitterbuffer") {
            return Some(element);
        }
        pad = element.sink_pads().into_iter().next()?.peer()?;
    }
    None
}
