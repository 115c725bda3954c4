//! A publication: from a publisher's wish to the closed stream.
//!
//! Owns [`Publication`], the task that lives as long as one, and what the manager does at its begin
//! and end. Must not know protocols. The hard thing: the publisher, the service and the pipeline may
//! each end it, at any time, also while it starts; and its successor may be waiting.
//!
//! The life of a publication's task:
//! *waits* (bounded) until its predecessor's stream is closed → *starts* the stream and reports →
//! *runs* until the [`Publication`] is dropped or its token is cancelled → *closes* the stream → reports.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::directory::{Entry, Live};
use super::streams::{RunningStream, Streams};
use super::task::{Command, Reply, Session, Task};
use super::{Bounds, PublishRefusal, PublishRequest};
use crate::model::ids::StreamKey;
use crate::stream::{Input, StreamSpec};

/// The right to publish one stream. Dropping it ends the publication; the stream closes behind it.
#[must_use = "dropping a publication ends it"]
pub struct Publication {
    /// Which stream.
    key: StreamKey,
    /// Where the data goes.
    stream: Arc<dyn RunningStream>,
    /// The service's side of the end.
    cancelled: CancellationToken,
    /// The publisher's side of the end.
    _released: DropGuard,
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publication").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Publication {
    /// The stream.
    pub fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Where the publisher's data goes.
    pub fn input(&self) -> Input {
        self.stream.input()
    }

    /// Fires when the service ends the publication: stopped or deleted by a user, replaced because
    /// it was silent, shutdown, or its pipeline failed. The publisher is to be disconnected then.
    pub fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }
}

/// The report of a publication's task that its stream has started, or not.
pub(super) struct Started {
    key: StreamKey,
    generation: u64,
    stream: Result<Arc<dyn RunningStream>, String>,
    cancel: CancellationToken,
    released: CancellationToken,
    reply: Reply<Result<Publication, PublishRefusal>>,
}

impl Task {
    pub(super) fn publish(&mut self, request: PublishRequest, reply: Reply<Result<Publication, PublishRefusal>>) {
        let admitted = self.shared.read().admit(&request.app, &request.stream, self.shared.dead_after());
        let (key, commands) = match (admitted, self.commands.upgrade()) {
            (Ok(key), Some(commands)) => (key, commands),
            (Ok(_), None) => {
                let _ = reply.send(Err(PublishRefusal::ShuttingDown));
                return;
            }
            (Err(refusal), _) => {
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        self.generation += 1;
        let generation = self.generation;
        let (cancel, released, closed) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
        let predecessor = self
            .sessions
            .insert(key.clone(), Session { generation, closed: closed.clone() })
            .map(|session| session.closed);
        tracing::info!(stream = %key, peer = %request.peer, via = request.publish_type.as_str(), "publisher admitted");
        let spec = self.seat(&key, generation, request, &cancel);
        let run = Run {
            key,
            generation,
            streams: Arc::clone(&self.streams),
            commands,
            predecessor,
            cancel,
            released,
            closed,
            bounds: self.shared.bounds,
        };
        tokio::spawn(run.run(spec, reply));
    }

    /// Puts a publication into the directory, with a record if there is none, and in the place of a
    /// dead one.
    fn seat(
        &self,
        key: &StreamKey,
        generation: u64,
        request: PublishRequest,
        cancel: &CancellationToken,
    ) -> StreamSpec {
        let mut directory = self.shared.write();
        let entry = directory.entries.entry(key.clone()).or_insert_with(|| Entry::made_by_publisher(key.clone()));
        if let Some(dead) = entry.live.take() {
            tracing::warn!(stream = %key, peer = %dead.peer, "its silent publisher is replaced");
            dead.cancel.cancel();
        }
        let spec = StreamSpec {
            key: key.clone(),
            publish_type: request.publish_type,
            publication: cancel.clone(),
            endpoints: entry.record.endpoints.clone(),
        };
        entry.live = Some(Live::starting(generation, request, cancel.clone(), &entry.record));
        spec
    }

    pub(super) fn started(&mut self, started: Started) {
        let Started { key, generation, stream, cancel, released, reply } = started;
        let answer = match stream {
            Err(reason) => {
                tracing::error!(stream = %key, reason, "the stream could not be started");
                self.retire(&key, generation);
                Err(PublishRefusal::Internal(reason))
            }
            Ok(stream) => match self.shared.write().current(&key, generation) {
                Some((_, live)) => {
                    live.stream = Some(Arc::clone(&stream));
                    Ok(Publication { key: key.clone(), stream, cancelled: cancel, _released: released.drop_guard() })
                }
                // Stopped or deleted while it started; its task has seen the token and closes it.
                None => Err(PublishRefusal::Internal("it was ended while it started".into())),
            },
        };
        // Endpoints may have come and gone while it started.
        self.reconcile(&key);
        // A publisher that left while it waited drops the publication here, which ends it.
        let _ = reply.send(answer);
    }

    pub(super) fn ended(&mut self, key: &StreamKey, generation: u64) {
        if self.retire(key, generation) {
            tracing::info!(stream = %key, "publisher gone");
        }
    }

    /// Takes this publication off its stream; false when it isn't the stream's current one any more.
    fn retire(&self, key: &StreamKey, generation: u64) -> bool {
        let mut directory = self.shared.write();
        directory.current(key, generation).is_some() && directory.retire(key).is_some()
    }

    pub(super) fn stop(&mut self, key: &StreamKey, reply: Reply<bool>) {
        let retired = self.shared.write().retire(key);
        match (retired, self.sessions.get(key)) {
            (Some(live), Some(session)) => {
                tracing::info!(stream = %key, "publisher stopped on request");
                live.cancel.cancel();
                self.answer_after(session.closed.clone(), reply, |_| true);
            }
            (retired, _) => {
                let _ = reply.send(retired.is_some());
            }
        }
    }
}

/// A publication's task.
struct Run {
    /// Which stream.
    key: StreamKey,
    /// Which of its publications.
    generation: u64,
    /// Starts it.
    streams: Arc<dyn Streams>,
    /// Reports go here.
    commands: mpsc::Sender<Command>,
    /// Cancelled when the stream before this one is closed.
    predecessor: Option<CancellationToken>,
    /// The service ends it by this; the stream as well, when its pipeline fails.
    cancel: CancellationToken,
    /// The publisher ends it by this.
    released: CancellationToken,
    /// Cancelled when this task is over, however that comes.
    closed: CancellationToken,
    /// How long each step may take.
    bounds: Bounds,
}

impl Run {
    async fn run(self, spec: StreamSpec, reply: Reply<Result<Publication, PublishRefusal>>) {
        let _closed = self.closed.clone().drop_guard();
        self.wait_for_predecessor().await;
        let stream = self.start(spec).await;
        let running = stream.as_ref().ok().cloned();
        let started = Started {
            key: self.key.clone(),
            generation: self.generation,
            stream,
            cancel: self.cancel.clone(),
            released: self.released.clone(),
            reply,
        };
        if self.commands.send(Command::Started(started)).await.is_err() {
            // The manager has ended: nobody would ever end this one.
            self.cancel.cancel();
        }
        if let Some(stream) = running {
            tokio::select! {
                () = self.released.cancelled() => {}
                () = self.cancel.cancelled() => {}
            }
            self.cancel.cancel();
            let Self { key, generation, .. } = &self;
            let ended = self.commands.send(Command::Ended { key: key.clone(), generation: *generation });
            // Side by side: a busy manager must not delay the close.
            let (_, ()) = tokio::join!(ended, self.close(stream));
        }
        self.closed.cancel();
        let _ = self.commands.send(Command::Closed { key: self.key, generation: self.generation }).await;
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
