//! What the manager refuses, and why.
//!
//! Owns the reasons. Must not know how they are worded on the wire: `api` does that in one `match`.

use crate::model::ids::{NameError, StreamKey};
use crate::model::source::SourceError;
use crate::model::srt_url::SrtUrlError;
use crate::store::StoreError;

/// Why a publisher is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    /// No such application is configured.
    #[error("application {0:?} does not exist")]
    UnknownApp(String),
    /// The stream's name can't be one.
    #[error("the stream id {reason}")]
    BadStreamId {
        /// What was asked for.
        given: String,
        /// What is wrong with it.
        reason: NameError,
    },
    /// Somebody publishes it, and is not silent.
    #[error("stream {0} is being published by somebody else")]
    InUse(StreamKey),
    /// The service is about to end.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// The stream could not be started, or was ended while it started.
    #[error("the stream could not be started: {0}")]
    Internal(String),
}

/// Why a change was refused; nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// No record of this name.
    #[error("stream {0} does not exist")]
    UnknownStream(StreamKey),
    /// A record of this name exists.
    #[error("stream {0} exists already")]
    AlreadyExists(StreamKey),
    /// The exact URL is on this stream already.
    #[error("{url} is on stream {key} already")]
    DuplicateUrl {
        /// The stream.
        key: StreamKey,
        /// The URL, redacted.
        url: String,
    },
    /// The id that was asked for is taken on this stream.
    #[error("endpointServiceId {0} is in use on this stream already")]
    DuplicateEndpoint(String),
    /// The id that was asked for can't be one.
    #[error("endpointServiceId {0}")]
    BadEndpointId(NameError),
    /// The URL can't be sent to. Its message holds no secret.
    #[error("{0}")]
    BadUrl(SrtUrlError),
    /// It would lead the stream back into itself.
    #[error("the endpoint would feed the stream back to itself ({0})")]
    FeedsBack(String),
    /// The stream has as many as one may have.
    #[error("the stream has {0} endpoints already, which is the most one may have")]
    TooManyEndpoints(usize),
    /// The broadcast names no source that could be pulled.
    #[error("{0}")]
    NoSource(SourceError),
    /// It has been changed since it was looked at.
    #[error("endpoint {0} has been changed by somebody else meanwhile")]
    Changed(String),
    /// There is nothing that could try again.
    #[error("endpoint {id} can't try again: {reason}")]
    NotRunning {
        /// The endpoint.
        id: String,
        /// Why not.
        reason: &'static str,
    },
    /// No endpoint of this id.
    #[error("endpoint {0} does not exist")]
    UnknownEndpoint(String),
    /// The service is about to end.
    #[error("the service is shutting down")]
    ShuttingDown,
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}
