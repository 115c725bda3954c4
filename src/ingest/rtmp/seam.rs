//! What the RTMP ingest needs from the service: somebody who grants publications, and a sink for tracks.
//!
//! The connection knows these traits only, so that it runs in tests without GStreamer and without
//! a manager. One file (`adapter`) joins them to the real ones.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

pub(super) use crate::ingest::elementary::{SourceUnit, TrackConfig};
use crate::model::codec::TrackKind;

/// What a publisher wants, as it is asked of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Application, as given.
    pub(super) app: String,
    /// Stream id, as given.
    pub(super) stream: String,
    /// Where it comes from.
    pub(super) peer: SocketAddr,
    /// What it calls itself.
    pub(super) user_agent: Option<String>,
    /// Its address's query, without credentials.
    pub(super) meta: Vec<(String, String)>,
}

/// Why the service doesn't want it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The id is live already.
    #[error("the stream id is in use")]
    InUse,
    /// The id can't be one.
    #[error("the stream id {0}")]
    BadId(String),
    /// There is no such application.
    #[error("there is no such application")]
    UnknownApp,
    /// The service stops.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// Anything else; the text goes to the log only.
    #[error("{0}")]
    Internal(String),
}

impl Refusal {
    /// `code` and `description` of the `onStatus` that tells the publisher; encoders show the description.
    pub(super) fn status(&self) -> (&'static str, String) {
        match self {
            Self::InUse => ("NetStream.Publish.BadName", "This stream id is in use by another publisher.".to_owned()),
            Self::BadId(why) => ("NetStream.Publish.BadName", format!("The stream id {why}.")),
            Self::UnknownApp => ("NetStream.Publish.BadName", "There is no such application.".to_owned()),
            Self::ShuttingDown => ("NetStream.Publish.Rejected", "The service is shutting down; try again.".to_owned()),
            Self::Internal(_) => ("NetStream.Publish.Rejected", "The service can't take the stream now.".to_owned()),
        }
    }
}

/// Grants publications.
pub(super) trait Gate: Send + Sync + 'static {
    /// A granted one. Dropping it ends it, too.
    type Publication: Publication;

    /// True if the application exists: asked at `connect`, before there is a stream id.
    fn knows_app(&self, app: &str) -> bool;

    /// Asks for a publication.
    fn publish(&self, request: Request) -> impl Future<Output = Result<Self::Publication, Refusal>> + Send;
}

/// Takes a publisher's tracks. No call blocks.
pub(super) trait Sink {
    /// A track is announced (`true`), or one that was will not come after all.
    fn expect(&self, kind: TrackKind, comes: bool);

    /// A track's codec and header; again when they change.
    fn configure(&self, config: TrackConfig);

    /// One access unit of a configured track.
    fn push(&self, unit: SourceUnit);
}

/// A granted publication.
pub(super) trait Publication: Sink + Send + Sync + 'static {
    /// `app/stream`, for the log.
    fn name(&self) -> String;

    /// Fires when the service ends it.
    fn cancelled(&self) -> CancellationToken;

    /// Why the tracks can't be taken any more, once that is so: what came is not what its header says.
    fn failure(&self) -> Option<String>;

    /// Ends it; returns when what it held is released, so that the publisher can come back at once.
    fn close(self) -> impl Future<Output = ()> + Send;
}
