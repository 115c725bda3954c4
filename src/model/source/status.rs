//! How a source that is pulled fares.

use std::time::SystemTime;

/// How a source that is pulled fares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceState {
    /// An attempt runs, and nothing has come of it yet.
    #[default]
    Connecting,
    /// Media comes in.
    Receiving,
    /// An attempt failed; another follows.
    Waiting,
}

impl SourceState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Receiving => "receiving",
            Self::Waiting => "waiting",
        }
    }
}

/// Why the last attempt failed; kept until media comes in again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    /// In words, without a secret.
    pub cause: String,
    /// How far it had come: `resolve`, `connect`, `receive`, …
    pub phase: &'static str,
    /// How many attempts have failed in a row.
    pub attempt: u32,
    /// When the first of them failed.
    pub since: SystemTime,
    /// When the next one starts; none while it runs.
    pub next_retry_at: Option<SystemTime>,
}

/// What is seen of a source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceStatus {
    /// Where it is.
    pub state: SourceState,
    /// What is wrong.
    pub failure: Option<SourceFailure>,
    /// Media time that comes in per time; 0 until it is known.
    pub speed: f64,
}
