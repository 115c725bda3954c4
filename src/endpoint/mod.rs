//! Endpoints: where a stream goes to. One task each; failures are retried for ever, in a new branch.
//!
//! Owns the life of one endpoint from the moment its stream exists. Knows no HTTP, no store, no publisher.

mod branch;
mod cause;
mod feed;
pub mod resolve;
mod sink;
pub(crate) mod srt_element;
pub mod state;
mod task;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::media::fanout::Fanout;
use crate::media::gate::GateCounters;
use crate::media::key_frames::KeyFrameWish;
use crate::model::codec::Begun;
use crate::model::destination::Destinations;
use crate::model::endpoint::{EndpointRecord, EndpointStatus};
use crate::model::ids::{EndpointId, StreamKey};
use crate::srt::PortPool;

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

/// What is seen of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSnapshot {
    /// Its id.
    pub id: EndpointId,
    /// In Ant Media's words.
    pub status: EndpointStatus,
    /// Why the last attempt failed; kept until the next success.
    pub last_error: Option<String>,
    /// Attempts since the last success, the running one included; 0 while broadcasting.
    pub attempt: u32,
    /// Payload bytes handed to SRT by the running attempt.
    pub sent_bytes: u64,
    /// What the running attempt's gate let in and dropped.
    pub gate: GateCounters,
}

/// A running endpoint. Dropping the handle stops it.
#[derive(Debug)]
pub struct EndpointHandle {
    snapshot: watch::Receiver<EndpointSnapshot>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl EndpointHandle {
    /// Starts an endpoint's task; it connects once the stream is live.
    pub fn spawn(record: EndpointRecord, stream: StreamLink, context: Arc<EndpointContext>) -> Self {
        let (publish, snapshot) = watch::channel(EndpointSnapshot {
            id: record.id.clone(),
            status: EndpointStatus::Created,
            last_error: None,
            attempt: 0,
            sent_bytes: 0,
            gate: GateCounters::default(),
        });
        let stop = CancellationToken::new();
        let task = task::Task::new(record, stream, context, publish, stop.clone());
        Self { snapshot, stop, task: Some(tokio::spawn(task.run())) }
    }

    /// What is seen of it now.
    pub fn snapshot(&self) -> EndpointSnapshot {
        self.snapshot.borrow().clone()
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
