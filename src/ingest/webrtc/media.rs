//! From webrtcbin's pads into the stream: a depayloader, and a parser or a transcoder, for each track.
//!
//! Must not know sessions. The hard thing is time. rtpbin's jitter buffers (`buffer-mode=slave`, webrtcbin's own) make
//! running time out of the arrival of packets, for each track by itself, and begin anew when packets come later than
//! the buffer is long, as they do when this machine stands still. So their time is not taken on: each packet gets its
//! place by RTP time stamp and sender reports (`ingest/rtp/clock.rs`) in front of its depayloader.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::depay;
use super::peer::{Events, PeerEvent};
use crate::ingest::rtp::{Carried, SourceClock, keep_losses};
use crate::ingest::track::Track;
use crate::ingest::transcode::{SourceCodec, TranscodeLimits, Transcoded};
use crate::ingest::{IngestError, TAKE_OUT};
use crate::media::launch;
use crate::model::codec::TrackKind;
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
    /// What places the packets of both tracks.
    clock: SourceClock,
    /// By kind: video, audio.
    ways: Mutex<[Option<Way>; 2]>,
}

impl Media {
    pub(super) fn new(input: Input, limits: TranscodeLimits, events: Events) -> Self {
        Self { input, limits, events, clock: SourceClock::followed(), ways: Mutex::default() }
    }

    /// The publisher's clock, which sender reports are for.
    pub(super) fn clock(&self) -> &SourceClock {
        &self.clock
    }

    fn ways(&self) -> MutexGuard<'_, [Option<Way>; 2]> {
        // Each way is put in whole: go on after a panic.
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long no packet has come; `None` before the first one.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        self.clock.silent_for()
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
        let Some(carried) = Carried::named(&encoding) else {
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
        let (bin, sink, source) = self.depayloader(&encoding)?;
        self.clock.retime(&sink, kind);
        match carried {
            Carried::AsItIs(_) => depay::keep_pictures_whole(&sink, self.wish()),
            Carried::Made(_) if kind == TrackKind::Video => self.keep_key_frame_requests(&sink),
            Carried::Made(_) => {}
        }
        if matches!(carried, Carried::Made(SourceCodec::Vp9)) {
            keep_losses(&sink);
        }
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

    /// A bin with its sink and its src pad.
    fn depayloader(&self, encoding: &str) -> Result<(gst::Bin, gst::Pad, gst::Pad), IngestError> {
        let bin = match launch::depay(encoding) {
            Some(text) => {
                let bin = text.bin()?;
                let depay: gst::Element = text.element(&bin, "depay")?;
                for pad in depay.pads() {
                    bin.add_pad(&gst::GhostPad::with_target(&pad)?)?;
                }
                bin
            }
            // GStreamer 1.22 has none.
            None => depay::av1(self.wish())?,
        };
        match (bin.static_pad("sink"), bin.static_pad("src")) {
            (Some(sink), Some(source)) => Ok((bin, sink, source)),
            _ => Err(IngestError::Refused("a depayloader without pads".into())),
        }
    }

    /// The depayloaders' wish for a key frame.
    fn wish(&self) -> impl Fn() + Send + Sync + 'static {
        let events = self.events.clone();
        move || events.send(PeerEvent::KeyFrameWished)
    }

    /// Requests of depayloaders (after a loss) and decoders go through the session's pace, like all others.
    fn keep_key_frame_requests(&self, sink: &gst::Pad) {
        let wish = self.wish();
        sink.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| match &info.data {
            Some(gst::PadProbeData::Event(event))
                if event.structure().is_some_and(|structure| structure.name() == "GstForceKeyUnit") =>
            {
                wish();
                TAKE_OUT
            }
            _ => gst::PadProbeReturn::Ok,
        });
    }
}

/// Sets whether the jitter buffer in front of a pad of webrtcbin asks for lost packets again (NACK). webrtcbin
/// sets it alike for all, and not at all for a publisher whose description names no SSRCs.
fn ask_again_for_lost(pad: &gst::Pad, asks: bool) {
    match jitter_buffer_of(pad) {
        Some(buffer) => {
            buffer.set_property("do-retransmission", asks);
            // Only what a later packet proves to be missing. By default the next packet is asked for when it is late,
            // and given up soon after: so a standstill of this machine would cost pictures that wait in its socket.
            buffer.set_property("rtx-next-seqnum", false);
        }
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
