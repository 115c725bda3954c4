//! Ways in. Each protocol has a room of its own and ends in the same door, the stream's input.
//!
//! An ingest runs in its own small pipeline or task, so that its failure, its end and a hanging teardown
//! stay its own.

mod elementary;
mod pending;
pub mod pull;
pub mod rtmp;
mod rtp;
pub mod rtsp;
pub mod srt;
mod track;
mod transcode;
mod ts;
pub mod webrtc;

use crate::media::launch::LaunchError;

/// What a probe answers to take a buffer or an event out. Not `Drop`: the bindings have given the reference
/// back by then, and GStreamer 1.22 gives it back once more.
const TAKE_OUT: gstreamer::PadProbeReturn = gstreamer::PadProbeReturn::Handled;

/// An ingest pipeline that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A launch text is at fault.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// GStreamer refused a call.
    #[error("{0}")]
    Refused(String),
}

impl From<gstreamer::glib::BoolError> for IngestError {
    fn from(error: gstreamer::glib::BoolError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<gstreamer::StateChangeError> for IngestError {
    fn from(error: gstreamer::StateChangeError) -> Self {
        Self::Refused(error.to_string())
    }
}
