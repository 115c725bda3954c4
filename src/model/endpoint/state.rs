//! Where an endpoint is in its life, finer than Ant Media's words for it.

use std::fmt;
use std::time::SystemTime;

use super::{Cause, EndpointStatus};

/// An endpoint's state. [`EndpointState::status`] says it in Ant Media's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointState {
    /// The stream is not live.
    Idle,
    /// Switched off by its user.
    Disabled,
    /// An attempt runs: the name is resolved, the peer is called.
    Connecting,
    /// Waits for the far end to call (listener mode).
    Listening,
    /// The peer acknowledges new data.
    Broadcasting,
    /// Connected, and the stream has had nothing for it for a while: the publisher pauses, the track is gone, or the next
    /// key frame is waited for.
    Starved,
    /// Connected, and nothing new is acknowledged, or what is sent comes too late.
    Stalled,
    /// The last attempt failed; another one is scheduled.
    Waiting,
    /// Given up: the limit of its retries is reached, or no retry can mend the cause.
    Failed,
    /// The stream has ended.
    Finished,
}

impl EndpointState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Disabled => "disabled",
            Self::Connecting => "connecting",
            Self::Listening => "listening",
            Self::Broadcasting => "broadcasting",
            Self::Starved => "starved",
            Self::Stalled => "stalled",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Finished => "finished",
        }
    }

    /// The same in Ant Media's words.
    pub fn status(self) -> EndpointStatus {
        match self {
            Self::Idle => EndpointStatus::Created,
            Self::Connecting | Self::Listening | Self::Starved => EndpointStatus::Preparing,
            Self::Broadcasting => EndpointStatus::Broadcasting,
            Self::Stalled | Self::Waiting => EndpointStatus::Error,
            Self::Failed => EndpointStatus::Failed,
            Self::Disabled | Self::Finished => EndpointStatus::Finished,
        }
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One step of an endpoint's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: SystemTime,
    /// What it became.
    pub state: EndpointState,
    /// The attempt that runs or has failed, from 1 since the last success; 0 while none does.
    pub attempt: u32,
    /// Why, when it is for a failure.
    pub cause: Option<Cause>,
    /// The same in a sentence without secrets.
    pub text: Option<String>,
    /// When the next attempt starts, when it is for a failure and one follows.
    pub next_retry_at: Option<SystemTime>,
}
