//! An endpoint: what is wanted (the record) and what is seen (the snapshot).

use std::fmt;

use super::ids::EndpointId;
use super::srt_url::SrtUrl;

/// What is stored of an endpoint: what the user asked for, never how it fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRecord {
    /// Its id for life.
    pub id: EndpointId,
    /// Where it sends to, parsed and valid.
    pub url: SrtUrl,
}

/// An endpoint's status in Ant Media's words. A retried failure is `Error`; `Failed` is for a
/// cause that no retry can mend (refused by policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointStatus {
    /// Stored; the stream is not live.
    Created,
    /// Connecting.
    Preparing,
    /// The peer has acknowledged data.
    Broadcasting,
    /// The last attempt failed; another one is scheduled.
    Error,
    /// The stream ended, or the endpoint was removed.
    Finished,
    /// Refused for good.
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
