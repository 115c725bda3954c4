//! A stream's pictures as stills: decoder, scaler and JPEG encoder in one thread.
//!
//! Owns that thread and what it is handed. Must not know who looks. The hard thing is that it never disturbs the stream:
//! it is a thread of its own, not one of GStreamer's pool, because it gives way to all others (`os::yield_to_others`)
//! and a thread cannot take that back; and what it does not keep up with is left out, up to the next key frame.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::media::launch::Launch;
use crate::os;

/// Units that wait for the decoder; with more it has fallen behind by a second or two, and goes on at a key frame.
const UNITS_MAX: usize = 64;

/// Key frames that come at least this often make the stills alone: one a second is wanted, and the pictures in between
/// are most of the work.
const KEYS_SUFFICE: gst::ClockTime = gst::ClockTime::from_mseconds(1_200);

/// A picture of a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Still {
    /// JPEG (JFIF), 640 pixels wide.
    pub jpeg: Bytes,
    /// When it was decoded.
    pub at: SystemTime,
}

impl std::fmt::Debug for Still {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Still").field("bytes", &self.jpeg.len()).field("at", &self.at).finish()
    }
}

/// The way into the decoder, for the thread that pushes pictures into the stream. Dropping it ends the decoder.
#[derive(Debug)]
pub(in crate::stream) struct PictureFeed {
    units: SyncSender<gst::Buffer>,
    /// Nothing before the next key frame: at the begin, and behind a gap.
    wants_key: bool,
    /// Only key frames are handed over.
    keys_only: bool,
    last_key: Option<gst::ClockTime>,
}

impl PictureFeed {
    /// Takes a unit that goes into the stream. Never blocks.
    pub(in crate::stream) fn take(&mut self, unit: &gst::Buffer) {
        let key = !unit.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if key {
            let interval = unit.pts().zip(self.last_key).map(|(now, last)| now.saturating_sub(last));
            self.keys_only = interval.is_some_and(|interval| interval <= KEYS_SUFFICE);
            self.last_key = unit.pts();
        } else if self.wants_key || self.keys_only {
            return;
        }
        // Full, or ended: then nothing more is of use before a key frame.
        self.wants_key = self.units.try_send(unit.clone()).is_err();
    }
}

/// Why there is no decoder.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecoderError {
    #[error("{0}")]
    Missing(#[from] crate::media::launch::LaunchError),
    #[error("no thread for a decoder: {0}")]
    Thread(#[from] std::io::Error),
}

/// Starts a decoder for pictures of `caps`. `show` gets each still; `ended` is called once, whatever ends it.
pub(super) fn start(
    launch: Launch,
    caps: gst::Caps,
    show: impl Fn(Still) + Send + Sync + 'static,
    ended: impl FnOnce() + Send + 'static,
) -> Result<PictureFeed, DecoderError> {
    // Here, so that a missing plugin is known at once. Nothing runs yet.
    let pipeline = launch.pipeline()?;
    let decode: gst::Element = launch.element(&pipeline, "decode")?;
    let out: gst_app::AppSink = launch.element(&pipeline, "out")?;
    out.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                if let Some(map) = sample.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                    show(Still { jpeg: Bytes::copy_from_slice(&map), at: SystemTime::now() });
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    if let Some(bus) = pipeline.bus() {
        // Nobody reads it.
        bus.set_sync_handler(|_, message| {
            if let gst::MessageView::Error(error) = message.view() {
                tracing::debug!(error = %error.error(), "an element of a preview fails");
            }
            gst::BusSyncReply::Drop
        });
    }
    let (units, waiting) = sync_channel(UNITS_MAX);
    std::thread::Builder::new().name("preview".into()).spawn(move || {
        if let Err(error) = os::yield_to_others() {
            tracing::debug!(%error, "a preview keeps the priority of the service");
        }
        let result = decode_all(&pipeline, &decode, &caps, &waiting);
        let _ = pipeline.set_state(gst::State::Null);
        if let Some(bus) = pipeline.bus() {
            bus.unset_sync_handler();
        }
        if let Err(why) = result {
            tracing::debug!(why, "a preview has ended");
        }
        ended();
    })?;
    Ok(PictureFeed { units, wants_key: true, keys_only: false, last_key: None })
}

/// Pushes what comes until nobody sends any more, or an element refuses.
fn decode_all(
    pipeline: &gst::Pipeline,
    decode: &gst::Element,
    caps: &gst::Caps,
    waiting: &Receiver<gst::Buffer>,
) -> Result<(), &'static str> {
    let sink = decode.static_pad("sink").ok_or("the decoder has no pad")?;
    let door = gst::Pad::builder(gst::PadDirection::Src).name("door").build();
    door.set_active(true).map_err(|_| "the door stays shut")?;
    door.link(&sink).map_err(|_| "the decoder takes no pictures")?;
    pipeline.set_state(gst::State::Playing).map_err(|_| "an element does not start")?;
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    for event in
        [gst::event::StreamStart::new("preview"), gst::event::Caps::new(caps), gst::event::Segment::new(&segment)]
    {
        if !door.push_event(event) {
            return Err("the decoder takes no such pictures");
        }
    }
    while let Ok(unit) = waiting.recv() {
        door.push(unit).map_err(|_| "the pictures can't be decoded")?;
    }
    Ok(())
}
