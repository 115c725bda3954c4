//! One run of a stream: from its start to its close, over any number of publications.
//!
//! Owns the task that lives as long as one. Must not know publishers. The hard thing: start and close take long
//! and may hang, the service and the pipeline may end it at any time, also while it starts, and the next run of the
//! same stream may be waiting.
//!
//! The life of the task: *waits* (bounded) until the run before it is closed → *starts* the stream and reports →
//! *runs* until its token is cancelled → *closes* the stream → reports.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::streams::{RunningStream, Streams};
use super::task::{Command, Reply};
use super::{Bounds, Publication, PublishRefusal};
use crate::model::ids::StreamKey;
use crate::stream::StreamSpec;

/// The report that a stream has started, or not.
pub(super) struct Started {
    pub(super) key: StreamKey,
    pub(super) session: u64,
    pub(super) stream: Result<Arc<dyn RunningStream>, String>,
    /// Whoever waits for it to publish.
    pub(super) reply: Reply<Result<Publication, PublishRefusal>>,
}

/// A stream's task.
pub(super) struct Run {
    /// Which stream.
    pub(super) key: StreamKey,
    /// Which of its runs.
    pub(super) session: u64,
    /// Starts it.
    pub(super) streams: Arc<dyn Streams>,
    /// Reports go here.
    pub(super) commands: mpsc::Sender<Command>,
    /// Cancelled when the run before this one is closed.
    pub(super) predecessor: Option<CancellationToken>,
    /// The service ends it by this; the stream as well, when its pipeline fails.
    pub(super) cancel: CancellationToken,
    /// Cancelled when this task is over, however that comes.
    pub(super) closed: CancellationToken,
    /// How long each step may take.
    pub(super) bounds: Bounds,
}

impl Run {
    pub(super) async fn run(self, spec: StreamSpec, reply: Reply<Result<Publication, PublishRefusal>>) {
        let _closed = self.closed.clone().drop_guard();
        self.wait_for_predecessor().await;
        let stream = self.start(spec).await;
        let running = stream.as_ref().ok().cloned();
        let started = Started { key: self.key.clone(), session: self.session, stream, reply };
        if self.commands.send(Command::Started(started)).await.is_err() {
            // The manager has ended: nobody would ever end this one.
            self.cancel.cancel();
        }
        if let Some(stream) = running {
            self.cancel.cancelled().await;
            let ended = self.commands.send(Command::Ended { key: self.key.clone(), session: self.session });
            // Side by side: a busy manager must not delay the close.
            let (_, ()) = tokio::join!(ended, self.close(stream));
        }
        self.closed.cancel();
        let _ = self.commands.send(Command::Closed { key: self.key, session: self.session }).await;
    }

    async fn wait_for_predecessor(&self) {
        let Some(predecessor) = &self.predecessor else { return };
        tokio::select! {
            () = predecessor.cancelled() => {}
            () = self.cancel.cancelled() => {}
            () = tokio::time::sleep(self.bounds.predecessor) => {
                tracing::error!(stream = %self.key, "the stream before it has not closed in time; starting beside it");
            }
        }
    }

    /// A start in a task of its own: a panic in it is this stream's trouble alone, and one that takes
    /// too long blocks the stream's name no longer than the bound.
    async fn start(&self, spec: StreamSpec) -> Result<Arc<dyn RunningStream>, String> {
        if self.cancel.is_cancelled() {
            return Err("it was ended before it started".into());
        }
        let mut starting = tokio::spawn(self.streams.start(spec));
        match tokio::time::timeout(self.bounds.start, &mut starting).await {
            Ok(Ok(Ok(stream))) => Ok(stream),
            Ok(Ok(Err(error))) => Err(error.to_string()),
            Ok(Err(panic)) => Err(format!("its start ended badly: {panic}")),
            Err(_) => {
                // Should it come after all, nobody is there to close it.
                tokio::spawn(async move {
                    if let Ok(Ok(stream)) = starting.await {
                        stream.close().await;
                    }
                });
                Err(format!("it did not start within {} ms", self.bounds.start.as_millis()))
            }
        }
    }

    async fn close(&self, stream: Arc<dyn RunningStream>) {
        let closing = tokio::spawn(stream.close());
        match tokio::time::timeout(self.bounds.close, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => tracing::error!(stream = %self.key, %panic, "its close ended badly"),
            Err(_) => tracing::error!(stream = %self.key, "the stream did not close in time; it is left behind"),
        }
    }
}
