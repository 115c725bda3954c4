//! The stream pipeline: two doors, two tees, and branches linked to them while it runs.
//!
//! The hard thing: a fresh tee pad that is linked just while sticky events (caps, segment) pass through
//! the tee can get them partly or out of order (fixed in 1.28.5). So request and link happen inside an
//! IDLE probe on the pad that feeds the tee.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::known::{self, Role};
use super::launch::{LaunchError, STREAM};
use crate::model::codec::TrackKind;
use crate::model::ids::StreamKey;

/// How long a link waits for the feeding pad to be idle. A tee that does not come to rest in this time
/// is blocked, which the gates exist to prevent.
const IDLE_WAIT: Duration = Duration::from_secs(2);

/// A pipeline that could not be started, or a branch that could not be linked.
#[derive(Debug, thiserror::Error)]
pub enum FanoutError {
    /// The launch text is at fault.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// GStreamer refused a call.
    #[error("{0}")]
    Refused(String),
    /// The local address is taken; in libsrt's words.
    #[error("{0}")]
    AddressInUse(String),
    /// The tee was not idle within its bound.
    #[error("the {kind} tee was not idle for {wait} ms", kind = .0, wait = IDLE_WAIT.as_millis())]
    Busy(TrackKind),
}

impl From<gst::glib::BoolError> for FanoutError {
    fn from(error: gst::glib::BoolError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<gst::StateChangeError> for FanoutError {
    fn from(error: gst::StateChangeError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// What a branch hears of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchNews {
    /// One of its elements failed, in that element's words.
    Failed(String),
    /// A track changed its codec: the branch must be built anew.
    FormatChanged,
}

/// News that may wait for a branch's owner; the first one ends the branch, so further ones may be lost.
const NEWS_LEN: usize = 8;

/// One track's way in.
#[derive(Debug)]
struct Door {
    source: gst_app::AppSrc,
    /// The pad that feeds the tee.
    feed: gst::Pad,
    tee: gst::Element,
}

impl Door {
    fn find(pipeline: &gst::Pipeline, names: [&'static str; 3]) -> Result<Self, FanoutError> {
        let pin: gst::Element = STREAM.element(pipeline, names[1])?;
        let feed = pin.static_pad("src").ok_or(LaunchError::Element { file: STREAM.name, element: names[1] })?;
        Ok(Self { source: STREAM.element(pipeline, names[0])?, feed, tee: STREAM.element(pipeline, names[2])? })
    }
}

/// A running stream pipeline. Stop it with [`Fanout::stop`]; dropping it stops it as well.
#[derive(Debug)]
pub struct Fanout {
    pipeline: gst::Pipeline,
    video: Door,
    audio: Door,
    /// Who hears of which branch, by the bin's name.
    branches: Mutex<HashMap<String, tokio::sync::mpsc::Sender<BranchNews>>>,
    /// What the pipeline says, until somebody takes it.
    messages: Mutex<Option<UnboundedReceiver<gst::Message>>>,
}

impl Fanout {
    /// Builds and starts `pipelines/stream.launch`. Blocks for a few milliseconds.
    ///
    /// # Errors
    /// A plugin is missing, or the pipeline refuses to play.
    pub fn start(key: &StreamKey) -> Result<Self, FanoutError> {
        let pipeline = STREAM.pipeline()?;
        pipeline.set_property("name", format!("stream-{}-{}", key.app, key.id));
        let video = Door::find(&pipeline, ["video", "video_pin", "video_tee"])?;
        let audio = Door::find(&pipeline, ["audio", "audio_pin", "audio_tee"])?;
        known::add(&pipeline, key, Role::Stream);
        let messages = Mutex::new(listen(&pipeline, key));
        let fanout = Self { pipeline, video, audio, branches: Mutex::default(), messages };
        fanout.pipeline.set_state(gst::State::Playing)?;
        Ok(fanout)
    }

    /// The messages of the pipeline's bus, from its start; once.
    pub fn take_messages(&self) -> Option<UnboundedReceiver<gst::Message>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The door of a track.
    pub fn source(&self, kind: TrackKind) -> &gst_app::AppSrc {
        &self.door(kind).source
    }

    fn door(&self, kind: TrackKind) -> &Door {
        match kind {
            TrackKind::Video => &self.video,
            TrackKind::Audio => &self.audio,
        }
    }

    /// Opens a channel for news of the branch bin of that name; closed by [`Fanout::remove`].
    pub fn subscribe(
        &self,
        branch: &str,
    ) -> (tokio::sync::mpsc::Sender<BranchNews>, tokio::sync::mpsc::Receiver<BranchNews>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(NEWS_LEN);
        self.branches().insert(branch.to_owned(), sender.clone());
        (sender, receiver)
    }

    /// Passes an error on to the branch it came from; `false` when it isn't a branch's.
    pub fn report(&self, branch: &str, text: String) -> bool {
        match self.branches().get(branch) {
            Some(news) => {
                let _ = news.try_send(BranchNews::Failed(text));
                true
            }
            None => false,
        }
    }

    fn branches(&self) -> MutexGuard<'_, HashMap<String, tokio::sync::mpsc::Sender<BranchNews>>> {
        self.branches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a branch bin and brings it to the pipeline's state. Blocks while its elements start.
    ///
    /// # Errors
    /// An element refused its state; the bin is taken out again.
    pub fn add(&self, bin: &gst::Bin) -> Result<(), FanoutError> {
        self.pipeline.add(bin)?;
        bin.sync_state_with_parent().map_err(|error| {
            self.remove(bin);
            FanoutError::Refused(error.to_string())
        })
    }

    /// Stops a branch bin, whose pads have been unlinked, and takes it out. Blocks until it has stopped.
    pub fn remove(&self, bin: &gst::Bin) {
        bin.set_locked_state(true);
        if bin.set_state(gst::State::Null).is_err() {
            tracing::warn!(bin = %bin.name(), "the branch refused to stop");
        }
        if let Err(error) = self.pipeline.remove(bin) {
            tracing::debug!(bin = %bin.name(), %error, "the branch was out already");
        }
        self.branches().remove(bin.name().as_str());
    }

    /// Links a branch's sink pad to the track's tee; returns the tee's pad for [`Fanout::unlink`].
    ///
    /// # Errors
    /// [`FanoutError::Busy`] when the tee doesn't come to rest, or the link is refused.
    pub fn link(&self, kind: TrackKind, sink: &gst::Pad) -> Result<gst::Pad, FanoutError> {
        let door = self.door(kind);
        let (sender, linked) = mpsc::sync_channel(1);
        // Whoever comes first, the probe or the time-out, takes the claim: a probe that fires too late
        // must not link, since nobody would unlink.
        let claim = Arc::new(AtomicBool::new(false));
        let probe_claim = Arc::clone(&claim);
        let (tee, sink) = (door.tee.clone(), sink.clone());
        let probe = door.feed.add_probe(gst::PadProbeType::IDLE, move |_, _| {
            if !probe_claim.swap(true, Ordering::AcqRel) {
                let _ = sender.send(request_and_link(&tee, &sink));
            }
            gst::PadProbeReturn::Remove
        });
        if let Ok(result) = linked.recv_timeout(IDLE_WAIT) {
            return result;
        }
        if let Some(probe) = probe {
            door.feed.remove_probe(probe);
        }
        if claim.swap(true, Ordering::AcqRel) {
            // The probe was just at work; its answer is on the way.
            return linked.recv_timeout(IDLE_WAIT).unwrap_or(Err(FanoutError::Busy(kind)));
        }
        Err(FanoutError::Busy(kind))
    }

    /// Unlinks a branch and gives the tee's pad back. Never blocks: the tee turns whatever an in-flight
    /// push returns into not-linked.
    pub fn unlink(&self, kind: TrackKind, tee_pad: &gst::Pad) {
        if let Some(peer) = tee_pad.peer() {
            let _ = tee_pad.unlink(&peer);
        }
        self.door(kind).tee.release_request_pad(tee_pad);
    }

    /// Stops the pipeline. Blocks until it has stopped.
    pub fn stop(&self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!(pipeline = %self.pipeline.name(), "the pipeline refused to stop");
        }
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Reads the bus where messages are posted: that tells a streaming thread whose it is. It must stand before the first
/// thread begins.
fn listen(pipeline: &gst::Pipeline, key: &StreamKey) -> Option<UnboundedReceiver<gst::Message>> {
    let (sender, messages) = unbounded();
    let key = key.clone();
    pipeline.bus()?.set_sync_handler(move |_, message| {
        known::wear_ids(&key, message);
        // Nobody reads any more: the stream has ended.
        let _ = sender.unbounded_send(message.clone());
        gst::BusSyncReply::Drop
    });
    Some(messages)
}

fn request_and_link(tee: &gst::Element, sink: &gst::Pad) -> Result<gst::Pad, FanoutError> {
    let pad = tee.request_pad_simple("src_%u").ok_or_else(|| FanoutError::Refused("tee gave no pad".into()))?;
    match pad.link(sink) {
        Ok(_) => Ok(pad),
        Err(error) => {
            tee.release_request_pad(&pad);
            Err(FanoutError::Refused(format!("tee to {}: {error}", sink.name())))
        }
    }
}
