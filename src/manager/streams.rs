//! The seam to the streams: what the manager needs of one, and nothing else.
//!
//! Owns the two traits and their one real implementation. Must not know the manager's state. It is
//! here so that the manager's logic can be tested without GStreamer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::model::codec::Begun;
use crate::model::endpoint::EndpointRecord;
use crate::model::ids::{EndpointId, StreamKey};
use crate::model::srt_url::SrtUrl;
use crate::stream::preflight::Report;
use crate::stream::{self, Board, Input, Still, StillError, StreamContext, StreamHandle, StreamSnapshot, StreamSpec};

/// Why a stream did not start.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Makes streams.
pub trait Streams: Send + Sync + 'static {
    /// Starts one. May take its time.
    fn start(&self, spec: StreamSpec) -> BoxFuture<'static, Result<Arc<dyn RunningStream>, StartError>>;
    /// The stream of this very server that `url` would publish, as far as that can be said at once.
    fn own_target(&self, url: &SrtUrl) -> Option<StreamKey>;
    /// Tests a destination for a stream, whether or not that exists; takes less than 5 s.
    fn test(&self, key: StreamKey, url: SrtUrl) -> BoxFuture<'static, Report>;
}

impl fmt::Debug for dyn Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Streams")
    }
}

/// A started stream. None of its calls but the futures may block.
pub trait RunningStream: Send + Sync + 'static {
    /// Lets a publication send, and the one before it no longer. Gives its number.
    fn begin(&self) -> u64;
    /// Where that publication's data goes.
    fn input(&self, lease: u64) -> Input;
    /// That publication is over; the stream and its endpoints stay. Nothing happens when another one has begun.
    fn end(&self, lease: u64);
    /// Whether the publication that sends, or sent last, has sent anything.
    fn has_data(&self) -> bool;
    /// Tells when data flows; begins anew with each publication.
    fn begun(&self) -> watch::Receiver<Begun>;
    /// Starts an endpoint, which writes how it fares on the board.
    fn add_endpoint(&self, endpoint: EndpointRecord, board: Board);
    /// Ends an endpoint's wait for its next attempt. False when there is no such endpoint.
    fn retry_endpoint(&self, id: &EndpointId) -> bool;
    /// Stops an endpoint and waits, bounded, until it is closed. False when there was none.
    fn remove_endpoint(&self, id: EndpointId) -> BoxFuture<'static, bool>;
    /// How it fares; its endpoints are on their boards.
    fn snapshot(&self) -> StreamSnapshot;
    /// A still of its picture, of now; waits for one, bounded.
    fn still(&self) -> BoxFuture<'static, Result<Still, StillError>>;
    /// For how long no data of the running publication has come; since its begin if none ever has.
    fn silent_for(&self) -> Duration;
    /// Closes it with all its endpoints, bounded.
    fn close(&self) -> BoxFuture<'static, ()>;
}

impl fmt::Debug for dyn RunningStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunningStream")
    }
}

/// The real ones: GStreamer pipelines.
pub(super) struct Pipelines(pub(super) Arc<StreamContext>);

impl Streams for Pipelines {
    fn start(&self, spec: StreamSpec) -> BoxFuture<'static, Result<Arc<dyn RunningStream>, StartError>> {
        let context = Arc::clone(&self.0);
        Box::pin(async move {
            let handle = stream::start(spec, &context).await?;
            Ok(Arc::new(handle) as Arc<dyn RunningStream>)
        })
    }

    fn own_target(&self, url: &SrtUrl) -> Option<StreamKey> {
        self.0.own_target(url)
    }

    fn test(&self, key: StreamKey, url: SrtUrl) -> BoxFuture<'static, Report> {
        let context = Arc::clone(&self.0);
        Box::pin(async move { context.test(&url, &key).await })
    }
}

impl RunningStream for StreamHandle {
    fn begin(&self) -> u64 {
        StreamHandle::begin(self)
    }

    fn input(&self, lease: u64) -> Input {
        StreamHandle::input(self, lease)
    }

    fn end(&self, lease: u64) {
        StreamHandle::end(self, lease);
    }

    fn has_data(&self) -> bool {
        StreamHandle::has_data(self)
    }

    fn begun(&self) -> watch::Receiver<Begun> {
        StreamHandle::begun(self)
    }

    fn add_endpoint(&self, endpoint: EndpointRecord, board: Board) {
        StreamHandle::add_endpoint(self, endpoint, board);
    }

    fn retry_endpoint(&self, id: &EndpointId) -> bool {
        StreamHandle::retry_endpoint(self, id)
    }

    fn remove_endpoint(&self, id: EndpointId) -> BoxFuture<'static, bool> {
        let handle = self.clone();
        Box::pin(async move { StreamHandle::remove_endpoint(&handle, &id).await })
    }

    fn snapshot(&self) -> StreamSnapshot {
        StreamHandle::snapshot(self)
    }

    fn still(&self) -> BoxFuture<'static, Result<Still, StillError>> {
        let handle = self.clone();
        Box::pin(async move { StreamHandle::still(&handle).await })
    }

    fn silent_for(&self) -> Duration {
        StreamHandle::silent_for(self)
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let handle = self.clone();
        Box::pin(async move { StreamHandle::close(&handle).await })
    }
}
