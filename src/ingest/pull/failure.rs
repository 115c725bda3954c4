//! Why an attempt is over, in words that somebody can act on.
//!
//! Texts of other programs go through [`Failure::of`], which takes the source's secrets out.

use crate::model::source::SourceUrl;

/// How far an attempt had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its name was looked up.
    Resolve,
    /// A connection was made.
    Connect,
    /// Its answers were read: description, playlist, headers.
    Open,
    /// The stream was asked of the manager.
    Publish,
    /// Media came or was awaited.
    Receive,
}

impl Phase {
    /// The word on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Open => "open",
            Self::Publish => "publish",
            Self::Receive => "receive",
        }
    }
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// How far it had come.
    pub(super) phase: Phase,
    /// Why it went no further.
    pub(super) cause: String,
    /// Other credentials are wanted.
    pub(super) refused: bool,
}

impl Failure {
    /// In words of this service.
    pub(super) fn new(phase: Phase, cause: impl Into<String>) -> Self {
        Self { phase, cause: cause.into(), refused: false }
    }

    /// In words of another program.
    pub(super) fn of(phase: Phase, url: &SourceUrl, text: &str) -> Self {
        Self::new(phase, url.scrub(text))
    }

    /// The source wants other credentials.
    pub(super) fn refused(cause: impl Into<String>) -> Self {
        Self { refused: true, ..Self::new(Phase::Open, cause) }
    }
}
