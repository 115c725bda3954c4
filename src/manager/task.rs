//! The manager's task: one command after the other.
//!
//! Owns the order of things. Must not wait for a stream to start or to close: that is done in tasks
//! of their own, which report back by command. It does wait for the store, because an answer must not
//! come before the write; every such wait ends by the store's own bounds.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::plan::Steps;
use super::revisions::Revisions;
use super::run::Started;
use super::streams::Streams;
use super::view::BroadcastView;
use super::{
    BroadcastChange, Deleted, EndpointWish, ManagerError, NewBroadcast, Publication, PublishRefusal, PublishRequest,
    Seen, Shared,
};
use crate::events::EventKind;
use crate::model::broadcast::BroadcastStatus;
use crate::model::endpoint::EndpointRecord;
use crate::model::ids::{EndpointId, StreamKey};
use crate::store::Store;

/// Where an answer goes. The asker may be gone; then it is dropped.
pub(super) type Reply<T> = oneshot::Sender<T>;

/// What the task is told to do (up to the shutdown) or told of (the others).
pub(super) enum Command {
    Publish(PublishRequest, Reply<Result<Publication, PublishRefusal>>),
    Create(NewBroadcast, Reply<Result<BroadcastView, ManagerError>>),
    Update(StreamKey, BroadcastChange, Reply<Result<(), ManagerError>>),
    Delete(StreamKey, Reply<Result<Deleted, ManagerError>>),
    StartSource(StreamKey, Reply<Result<(), ManagerError>>),
    Stop(StreamKey, Reply<bool>),
    CreateEndpoint(StreamKey, Option<EndpointId>, EndpointWish, Reply<Result<EndpointRecord, ManagerError>>),
    ChangeEndpoint {
        key: StreamKey,
        id: EndpointId,
        seen: Seen,
        wish: EndpointWish,
        reply: Reply<Result<EndpointRecord, ManagerError>>,
    },
    RemoveEndpoint(StreamKey, String, Option<u64>, Reply<Result<(), ManagerError>>),
    Shutdown(Reply<()>),
    /// A stream has started, or not.
    Started(Started),
    /// A publisher's data flows.
    Flows {
        key: StreamKey,
        generation: u64,
    },
    /// A publisher has left its stream.
    Left {
        key: StreamKey,
        generation: u64,
    },
    /// No other publisher has come for so long that nobody waits any longer.
    HoldOver {
        key: StreamKey,
        generation: u64,
    },
    /// A stream is over; it is closing.
    Ended {
        key: StreamKey,
        session: u64,
    },
    /// It is closed.
    Closed {
        key: StreamKey,
        session: u64,
    },
    /// These endpoints of a running stream are closed.
    EndpointsClosed {
        key: StreamKey,
        session: u64,
        ids: Vec<EndpointId>,
    },
}

/// A stream that runs or closes, so that a successor and a shutdown can wait for its end.
pub(super) struct Session {
    /// Which run of the stream it is.
    pub(super) session: u64,
    /// Cancelled when it is closed.
    pub(super) closed: CancellationToken,
}

/// The task's state.
pub(super) struct Task {
    /// What everybody reads and only this task writes.
    pub(super) shared: Arc<Shared>,
    /// Written before the directory.
    pub(super) store: Store,
    /// Makes the streams.
    pub(super) streams: Arc<dyn Streams>,
    /// For the tasks that report back; weak, or this task would keep itself alive.
    pub(super) commands: mpsc::WeakSender<Command>,
    /// The number of the last run of a stream, and of the last publication: they count together.
    pub(super) generation: u64,
    /// The last run of each stream until it is closed, also when its record is gone.
    pub(super) sessions: HashMap<StreamKey, Session>,
    /// Gives the revisions of endpoints.
    pub(super) revisions: Revisions,
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Store,
        streams: Arc<dyn Streams>,
        commands: mpsc::WeakSender<Command>,
    ) -> Self {
        let revisions = {
            let directory = shared.read();
            let stored = directory.entries.values().flat_map(|entry| &entry.record.endpoints);
            Revisions::above(stored.map(|endpoint| endpoint.revision))
        };
        Self { shared, store, streams, commands, generation: 0, sessions: HashMap::new(), revisions }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut answer = None;
        while let Some(command) = queue.recv().await {
            match self.handle(command).await {
                None => {}
                Some(reply) => {
                    answer = Some(reply);
                    break;
                }
            }
        }
        // From here on every sender gets an error: callers read it as "shutting down", and the
        // streams' tasks go on closing without telling.
        queue.close();
        self.end().await;
        drop(queue);
        if let Some(answer) = answer {
            let _ = answer.send(());
        }
    }

    /// Does one command; gives back the reply of a shutdown.
    async fn handle(&mut self, command: Command) -> Option<Reply<()>> {
        match command {
            Command::Publish(request, reply) => self.publish(request, reply),
            Command::Create(new, reply) => {
                let _ = reply.send(self.create(new).await);
            }
            Command::Update(key, change, reply) => match self.update(&key, change).await {
                Ok(()) => self.answer_when_stopped(&key, reply, Ok(())),
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            Command::Delete(key, reply) => self.delete(key, reply).await,
            Command::StartSource(key, reply) => {
                let _ = reply.send(self.start_source(&key).await);
            }
            Command::Stop(key, reply) => {
                let was_started = self.stop_source(&key).await;
                self.stop(&key, was_started, reply);
            }
            Command::CreateEndpoint(key, id, wish, reply) => {
                let _ = reply.send(self.create_endpoint(&key, id, wish).await);
            }
            Command::ChangeEndpoint { key, id, seen, wish, reply } => {
                self.change_endpoint(&key, id, seen, wish, reply).await;
            }
            Command::RemoveEndpoint(key, id, revision, reply) => {
                match self.remove_endpoint(&key, &id, revision).await {
                    Ok(()) => self.answer_when_stopped(&key, reply, Ok(())),
                    Err(error) => {
                        let _ = reply.send(Err(error));
                    }
                }
            }
            Command::Shutdown(reply) => return Some(reply),
            Command::Started(started) => self.started(started),
            Command::Flows { key, generation } => self.flows(&key, generation),
            Command::Left { key, generation } => self.left(&key, generation),
            Command::HoldOver { key, generation } => self.hold_over(&key, generation),
            Command::Ended { key, session } => self.ended(&key, session),
            Command::Closed { key, session } => {
                if self.sessions.get(&key).is_some_and(|running| running.session == session) {
                    self.sessions.remove(&key);
                }
            }
            Command::EndpointsClosed { key, session, ids } => {
                if let Some(live) = self.shared.write().current(&key, session) {
                    ids.iter().for_each(|id| live.plan.closed(id));
                }
                self.reconcile(&key);
                self.settle(&key);
            }
        }
        None
    }

    /// Starts and stops a live stream's endpoints as its record wants them; answers once those that
    /// are stopped are closed, or the bound is over.
    pub(super) fn answer_when_stopped<T: Send + 'static>(&self, key: &StreamKey, reply: Reply<T>, answer: T) {
        match self.reconcile(key) {
            Some(stopped) => self.answer_after(stopped, reply, move |_| answer),
            None => {
                let _ = reply.send(answer);
            }
        }
    }

    /// Starts and stops a live stream's endpoints as its record wants them. The token is cancelled
    /// when those that are stopped are closed; None when there are none.
    pub(super) fn reconcile(&self, key: &StreamKey) -> Option<CancellationToken> {
        let (stream, stop, start, session) = {
            let mut directory = self.shared.write();
            let events = directory.events.clone();
            let entry = directory.entries.get_mut(key)?;
            let live = entry.live.as_mut()?;
            let stream = Arc::clone(live.stream.as_ref()?);
            let session = live.session;
            let Steps { stop, start } = live.plan.reconcile(&entry.record.endpoints);
            (stream, stop, entry.boarded(start, &events), session)
        };
        for (endpoint, board) in start {
            stream.add_endpoint(endpoint, board);
        }
        if stop.is_empty() {
            return None;
        }
        let stopped = CancellationToken::new();
        let (guard, commands, key, ids) = (stopped.clone().drop_guard(), self.commands.clone(), key.clone(), stop);
        let bound = self.shared.bounds.close;
        tokio::spawn(async move {
            let closes = ids.iter().map(|id| {
                let closing = tokio::time::timeout(bound, stream.remove_endpoint(id.clone()));
                let key = &key;
                async move {
                    if closing.await.is_err() {
                        tracing::error!(stream = %key, endpoint = %id, "the endpoint did not close in time");
                    }
                }
            });
            join_all(closes).await;
            drop(guard);
            if let Some(commands) = commands.upgrade() {
                let _ = commands.send(Command::EndpointsClosed { key, session, ids }).await;
            }
        });
        Some(stopped)
    }

    /// Refuses what comes, ends what runs, closes the store.
    async fn end(&mut self) {
        {
            let mut directory = self.shared.write();
            directory.accepting = false;
            for (key, entry) in &directory.entries {
                if let Some(live) = &entry.live {
                    live.cancel.cancel();
                    let (started, status) = (live.started, BroadcastStatus::Finished);
                    directory.events.publish(key.clone(), EventKind::StreamEnded { started, status });
                }
            }
        }
        let (streams, bounds) = (self.sessions.len(), self.shared.bounds);
        let closed = join_all(self.sessions.values().map(|session| session.closed.cancelled()));
        if tokio::time::timeout(bounds.shutdown_streams, closed).await.is_err() {
            let open = self.sessions.values().filter(|session| !session.closed.is_cancelled()).count();
            tracing::warn!(streams, open, "not every stream closed in time");
        }
        if tokio::time::timeout(bounds.shutdown_store, self.store.clone().close()).await.is_err() {
            tracing::warn!("the store did not close in time; what was answered is on the disk");
        }
        tracing::info!(streams, "manager ended");
    }

    /// Answers when `done` is cancelled or the bound of an answer is over; `answer` is told which.
    pub(super) fn answer_after<T: Send + 'static>(
        &self,
        done: CancellationToken,
        reply: Reply<T>,
        answer: impl FnOnce(bool) -> T + Send + 'static,
    ) {
        let bound = self.shared.bounds.answer;
        tokio::spawn(async move {
            let in_time = tokio::time::timeout(bound, done.cancelled()).await.is_ok();
            let _ = reply.send(answer(in_time));
        });
    }
}
