//! An endpoint: what is wanted of it (the record), how it fares (the state, the failure) and what it has sent.

mod failure;
mod state;
mod statistics;
mod wish;

use std::fmt;
use std::str::FromStr;

use super::codec::{Begun, TrackKind};
use super::ids::EndpointId;
use super::srt_url::SrtUrl;

pub use super::latency::LatencyAdvice;
pub use failure::{Cause, Failure, Phase};
pub use state::{EndpointState, Transition};
pub use statistics::{CallerStatistics, Encryption, EndpointStatistics, GateTotals, LinkCounters, LinkGauges};
pub use wish::{LABEL_CHARS_MAX, RETRY_LIMIT_MAX, RETRY_MS_MAX, RETRY_MS_MIN, RetryWish, WishError, label};

/// What is stored of an endpoint: what the user asked for, never how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Its id for life.
    pub id: EndpointId,
    /// Where it sends to, parsed and valid.
    pub url: SrtUrl,
    /// What people call it.
    pub label: Option<String>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// What it sends of the stream.
    pub tracks: Tracks,
    /// When it tries again, where that differs from the service's own rule.
    pub retry: RetryWish,
    /// Counts the changes: its ETag. Begins with a number that no endpoint of its id has had before.
    pub revision: u64,
}

impl EndpointRecord {
    /// An endpoint as the compatible calls make it: switched on, all tracks, the service's retries.
    pub fn new(id: EndpointId, url: SrtUrl) -> Self {
        let (tracks, retry) = (Tracks::default(), RetryWish::default());
        Self { id, url, label: None, enabled: true, tracks, retry, revision: 1 }
    }

    /// Whether a running `other` need not be touched to become this one: a label is only shown.
    pub fn runs_like(&self, other: &Self) -> bool {
        (&self.id, &self.url, self.enabled, self.tracks, self.retry)
            == (&other.id, &other.url, other.enabled, other.tracks, other.retry)
    }
}

/// Which tracks of a stream an endpoint sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Tracks {
    /// All that there are.
    #[default]
    All,
    /// Sound alone.
    Audio,
    /// Pictures alone.
    Video,
}

impl Tracks {
    /// The word on the wire and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }

    /// Whether a track of this kind is sent.
    pub fn has(self, kind: TrackKind) -> bool {
        match self {
            Self::All => true,
            Self::Audio => kind == TrackKind::Audio,
            Self::Video => kind == TrackKind::Video,
        }
    }

    /// What has begun of these tracks.
    #[must_use]
    pub fn of(self, begun: Begun) -> Begun {
        let has = |kind| begun.has(kind) && self.has(kind);
        Begun { video: has(TrackKind::Video), audio: has(TrackKind::Audio), ..begun }
    }

    /// Whether any of these tracks has begun.
    pub fn any(self, begun: Begun) -> bool {
        TrackKind::ALL.into_iter().any(|kind| self.of(begun).has(kind))
    }
}

impl FromStr for Tracks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::All, Self::Audio, Self::Video];
        let found = all.into_iter().find(|tracks| tracks.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not one of all, audio, video"))
    }
}

/// An endpoint's status in Ant Media's words. A retried failure is `Error`; `Failed` is for what is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointStatus {
    /// Stored; the stream is not live.
    Created,
    /// Connecting.
    Preparing,
    /// The peer acknowledges data.
    Broadcasting,
    /// The last attempt failed; another one is scheduled.
    Error,
    /// The stream ended, or the endpoint is switched off.
    Finished,
    /// Given up.
    Failed,
}

impl EndpointStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Preparing => "preparing",
            Self::Broadcasting => "broadcasting",
            Self::Error => "error",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for EndpointStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
