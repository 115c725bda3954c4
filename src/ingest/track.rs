//! One elementary stream inside an ingest pipeline: a parser from `pipelines/parse-*.launch` (or a whole
//! `transcode-*.launch`), and the way from its appsink through the stream's door.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio::sync::watch;

use super::IngestError;
use crate::media::caps::codec_of;
use crate::media::launch::{self, Launch};
use crate::model::codec::{Codec, TrackKind};
use crate::stream::{AccessUnit, Input};

/// What a track needs of a stream's input; tests put a collector in its place.
pub(super) trait Door: Clone + Send + 'static {
    /// See [`Input::expect`].
    fn expect(&self, _kind: TrackKind) {}
    /// See [`Input::expect_no_more`].
    fn expect_no_more(&self, _kind: TrackKind) {}
    /// See [`Input::set_caps`].
    fn set_caps(&self, kind: TrackKind, caps: &gst::Caps);
    /// See [`Input::push`].
    fn push(&self, unit: AccessUnit);
    /// See [`Input::set_transcoded`].
    fn set_transcoded(&self, kind: TrackKind, from: Option<&'static str>);
    /// See [`Input::key_frame_requests`].
    fn key_frame_requests(&self) -> watch::Receiver<u64>;
}

impl Door for Input {
    fn expect(&self, kind: TrackKind) {
        Input::expect(self, kind);
    }

    fn expect_no_more(&self, kind: TrackKind) {
        Input::expect_no_more(self, kind);
    }

    fn set_caps(&self, kind: TrackKind, caps: &gst::Caps) {
        Input::set_caps(self, kind, caps);
    }

    fn push(&self, unit: AccessUnit) {
        Input::push(self, unit);
    }

    fn set_transcoded(&self, kind: TrackKind, from: Option<&'static str>) {
        Input::set_transcoded(self, kind, from);
    }

    fn key_frame_requests(&self) -> watch::Receiver<u64> {
        Input::key_frame_requests(self)
    }
}

/// A launch text as a bin with a `sink` pad, inside an ingest pipeline (or a bin of it).
#[derive(Debug)]
pub(super) struct Track {
    pub(super) codec: Codec,
    bin: gst::Bin,
    /// The end of the bin, where parsed units come out.
    pub(super) out: gst_app::AppSink,
    pub(super) sink: gst::GhostPad,
}

impl Track {
    /// Adds a parser for `codec` to `pipeline` and starts it. Time stamps reach the input as the running
    /// time of the parser's segment less `bias_ns`.
    pub(super) fn add(
        pipeline: &impl IsA<gst::Bin>,
        codec: Codec,
        input: &impl Door,
        bias_ns: i64,
    ) -> Result<Self, IngestError> {
        let text = launch::parse(codec);
        input.set_transcoded(codec.kind(), None);
        Self::start(pipeline, text, text.bin()?, "parse", codec, input, bias_ns)
    }

    /// Puts the bin of `text` into `pipeline` and starts it: what is linked to its first element, `entry`,
    /// comes out of its appsink `out` as `codec`. The bias is that of [`Track::add`].
    pub(super) fn start(
        pipeline: &impl IsA<gst::Bin>,
        text: Launch,
        bin: gst::Bin,
        entry: &'static str,
        codec: Codec,
        input: &impl Door,
        bias_ns: i64,
    ) -> Result<Self, IngestError> {
        let first: gst::Element = text.element(&bin, entry)?;
        let out: gst_app::AppSink = text.element(&bin, "out")?;
        out.set_callbacks(deliver(codec.kind(), input.clone(), bias_ns));
        let target =
            first.static_pad("sink").ok_or_else(|| IngestError::Refused(format!("{entry} without sink pad")))?;
        let sink = gst::GhostPad::with_target(&target)?;
        bin.add_pad(&sink)?;
        pipeline.add(&bin)?;
        bin.sync_state_with_parent()?;
        Ok(Self { codec, bin, out, sink })
    }

    /// Takes it out. Its sink pad must be unlinked or idle.
    pub(super) fn remove(&self, pipeline: &impl IsA<gst::Bin>) {
        if let Some(peer) = self.sink.peer() {
            let _ = peer.unlink(&self.sink);
        }
        self.bin.set_locked_state(true);
        let _ = self.bin.set_state(gst::State::Null);
        let _ = pipeline.remove(&self.bin);
    }
}

/// Hands every parsed unit to the input.
fn deliver(kind: TrackKind, input: impl Door, bias_ns: i64) -> gst_app::AppSinkCallbacks {
    let mut last_caps: Option<gst::Caps> = None;
    let mut last_dts_ns: Option<i64> = None;
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let (Some(buffer), Some(caps)) = (sample.buffer_owned(), sample.caps_owned()) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>()).cloned();
            drop(sample);
            if last_caps.as_ref() != Some(&caps) {
                tracing::debug!(track = %kind, codec = ?codec_of(&caps), %caps, "format");
                input.set_caps(kind, &caps);
                last_caps = Some(caps);
            }
            let running = |time: Option<gst::ClockTime>| running_ns(segment.as_ref(), time?).map(|ns| ns - bias_ns);
            let pts_ns = running(buffer.pts());
            // A unit without any time stamp goes right behind the one before.
            let Some(dts_ns) = running(buffer.dts()).or(pts_ns).or(last_dts_ns.map(|ns| ns + 1)) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            last_dts_ns = Some(dts_ns);
            input.push(AccessUnit { kind, buffer, dts_ns, pts_ns: pts_ns.unwrap_or(dts_ns) });
            Ok(gst::FlowSuccess::Ok)
        })
        .build()
}

fn running_ns(segment: Option<&gst::FormattedSegment<gst::ClockTime>>, time: gst::ClockTime) -> Option<i64> {
    let ns = |time: gst::ClockTime| i64::try_from(time.nseconds()).unwrap_or(i64::MAX);
    match segment {
        None => Some(ns(time)),
        Some(segment) => match segment.to_running_time_full(time)? {
            gst::Signed::Positive(time) => Some(ns(time)),
            gst::Signed::Negative(time) => Some(-ns(time)),
        },
    }
}
