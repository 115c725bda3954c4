//! Endpoints: where a stream goes to. One task each; failures are retried, in a new branch.
//!
//! Owns the life of one endpoint from the moment its stream exists. Knows no HTTP, no store, no publisher.

mod board;
mod branch;
mod callers;
mod cause;
mod delivery;
mod diagnosis;
mod feed;
pub mod launch_line;
pub mod preflight;
pub mod resolve;
mod sink;
pub(crate) mod srt_element;
pub mod state;
pub mod statistics;
mod task;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::media::fanout::Fanout;
use crate::media::key_frames::KeyFrameWish;
use crate::model::codec::Begun;
use crate::model::destination::Destinations;
use crate::model::endpoint::EndpointRecord;
use crate::model::ids::StreamKey;
use crate::srt::PortPool;

pub use board::{Board, EndpointSnapshot, HISTORY_MAX};
use resolve::OwnServer;
use state::RetryPolicy;

/// What all endpoints of the service share.
#[derive(Debug)]
pub struct EndpointContext {
    /// Local UDP ports that callers share.
    pub ports: PortPool,
    /// This server, to recognise an endpoint that leads back to it.
    pub own: OwnServer,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How long a receiver may acknowledge nothing new before its endpoint counts as stalled.
    pub delivery_window: Duration,
    /// What may be dialled.
    pub destinations: Destinations,
}

/// What an endpoint is linked to.
#[derive(Debug, Clone)]
pub struct StreamLink {
    /// The stream it forwards.
    pub key: StreamKey,
    /// The stream's pipeline.
    pub fanout: Arc<Fanout>,
    /// Which tracks run.
    pub begun: watch::Receiver<Begun>,
    /// Asks for a key frame, when its gate could open at one.
    pub key_frames: KeyFrameWish,
}

/// A running endpoint. Dropping the handle stops it.
#[derive(Debug)]
pub struct EndpointHandle {
    board: Board,
    stop: CancellationToken,
    retry: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

impl EndpointHandle {
    /// Starts an endpoint's task; it connects once the stream is live. Only one task may write a board at a time.
    pub fn spawn(record: EndpointRecord, board: Board, stream: StreamLink, context: Arc<EndpointContext>) -> Self {
        let (stop, retry) = (CancellationToken::new(), Arc::new(Notify::new()));
        board.runs(&record.url);
        let task = task::Task::new(record, stream, context, board.clone(), stop.clone(), Arc::clone(&retry));
        Self { board, stop, retry, task: Some(tokio::spawn(task.run())) }
    }

    /// What is seen of it now.
    pub fn snapshot(&self) -> EndpointSnapshot {
        self.board.snapshot()
    }

    /// Ends its wait for the next attempt, if it waits for one.
    pub fn retry_now(&self) {
        self.retry.notify_one();
    }

    /// Tells it to end, without waiting.
    pub fn request_stop(&self) {
        self.stop.cancel();
    }

    /// Ends it and waits until its branch is out (bounded inside the task).
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "an endpoint's task panicked");
        }
    }
}

impl Drop for EndpointHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
