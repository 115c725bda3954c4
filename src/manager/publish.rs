//! Publications: who may send into a stream, from a publisher's wish to its leave, and what the stream does then.
//!
//! Owns [`Publication`], the take-over of a running stream, and the hold: a stream whose publisher has left waits
//! for the next one with its endpoints connected. Must not know protocols. The hard thing: the publisher, the service
//! and the pipeline may each end it, at any time, also while it starts; and its successor may come before the news
//! of its end does.
//!
//! A stream's publisher *sends* → leaves, and the stream is *held* → another one takes over, or the time is over and
//! the stream ends. Stop, delete, shutdown and a failed pipeline end a stream at once.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::directory::{Entry, Held, Live, Publisher};
use super::run::{Run, Started};
use super::streams::RunningStream;
use super::task::{Command, Reply, Session, Task};
use super::{PublishRefusal, PublishRequest};
use crate::events::EventKind;
use crate::model::broadcast::BroadcastStatus;
use crate::model::ids::StreamKey;
use crate::stream::{Input, StreamSpec};

/// The right to publish one stream. Dropping it ends the publication; the stream is held or closes behind it.
#[must_use = "dropping a publication ends it"]
pub struct Publication {
    /// Which stream.
    key: StreamKey,
    /// Where the data goes.
    stream: Arc<dyn RunningStream>,
    /// Which of the stream's publications.
    lease: u64,
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
        self.stream.input(self.lease)
    }

    /// Fires when the service ends the publication: stopped or deleted by a user, replaced because
    /// it was silent, shutdown, or its pipeline failed. The publisher is to be disconnected then.
    pub fn cancelled(&self) -> CancellationToken {
        self.cancelled.clone()
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        // Whatever its ingest still pushes comes too late.
        self.stream.end(self.lease);
    }
}

impl Task {
    pub(super) fn publish(&mut self, request: PublishRequest, reply: Reply<Result<Publication, PublishRefusal>>) {
        let admitted = self.shared.read().admit(&request.app, &request.stream, self.shared.dead_after());
        let key = match admitted {
            Ok(key) => key,
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        // The one before may have left without the news having come here.
        let left = self
            .shared
            .read()
            .entries
            .get(&key)
            .and_then(|entry| entry.live.as_ref())
            .and_then(|live| live.publisher.released.is_cancelled().then_some(live.publisher.generation));
        if let Some(generation) = left {
            self.left(&key, generation);
        }
        tracing::info!(stream = %key, peer = %request.peer, via = request.publish_type.as_str(), "publisher admitted");
        match self.take_over(&key, &request) {
            Some(publication) => {
                // A publisher that left while it waited drops the publication here, which ends it.
                let _ = reply.send(Ok(publication));
            }
            None => self.start(key, request, reply),
        }
    }

    /// Lets a publisher go on with a stream that runs: one that is held, or whose publisher is silent.
    fn take_over(&mut self, key: &StreamKey, request: &PublishRequest) -> Option<Publication> {
        let commands = self.commands.upgrade()?;
        let mut directory = self.shared.write();
        let live = directory.entries.get_mut(key).and_then(|entry| entry.live.as_mut());
        let live = live.filter(|live| !live.cancel.is_cancelled())?;
        let stream = live.stream.clone()?;
        match live.held.take() {
            Some(held) => {
                let after_ms = held.since.elapsed().as_millis();
                tracing::info!(stream = %key, after_ms, "the held stream goes on; its endpoints stay connected");
            }
            None => {
                tracing::warn!(stream = %key, peer = %live.publisher.peer, "its silent publisher is replaced; endpoints stay connected");
                live.publisher.cancel.cancel();
            }
        }
        self.generation += 1;
        live.publisher = Publisher::new(self.generation, request.clone(), &live.cancel);
        let publication = live.grant(key, stream, commands);
        directory.events.publish(key.clone(), EventKind::StreamPreparing);
        Some(publication)
    }

    /// Starts a stream for its publisher, behind whatever runs under its name.
    fn start(&mut self, key: StreamKey, request: PublishRequest, reply: Reply<Result<Publication, PublishRefusal>>) {
        let Some(commands) = self.commands.upgrade() else {
            let _ = reply.send(Err(PublishRefusal::ShuttingDown));
            return;
        };
        self.generation += 1;
        let session = self.generation;
        let (cancel, closed) = (CancellationToken::new(), CancellationToken::new());
        let predecessor = self
            .sessions
            .insert(key.clone(), Session { session, closed: closed.clone() })
            .map(|session| session.closed);
        let spec = self.seat(&key, session, request, &cancel);
        let run = Run {
            key,
            session,
            streams: Arc::clone(&self.streams),
            commands,
            predecessor,
            cancel,
            closed,
            bounds: self.shared.bounds,
        };
        tokio::spawn(run.run(spec, reply));
    }

    /// Puts a stream into the directory, with a record if there is none, and in the place of one that cannot go on.
    fn seat(&self, key: &StreamKey, session: u64, request: PublishRequest, cancel: &CancellationToken) -> StreamSpec {
        let mut directory = self.shared.write();
        let events = directory.events.clone();
        let entry = directory.entries.entry(key.clone()).or_insert_with(|| {
            events.publish(key.clone(), EventKind::BroadcastCreated);
            Entry::made_by_publisher(key.clone())
        });
        if let Some(before) = entry.live.take() {
            before.cancel.cancel();
            entry.published |= before.stream.is_some();
            let (started, status) = (before.started, entry.status());
            events.publish(key.clone(), EventKind::StreamEnded { started, status });
        }
        events.publish(key.clone(), EventKind::StreamPreparing);
        let switched_on = entry.record.endpoints.iter().filter(|endpoint| endpoint.enabled).cloned().collect();
        let endpoints = entry.boarded(switched_on, &events);
        let publisher = Publisher::new(session, request, cancel);
        entry.live = Some(Live::starting(session, publisher, cancel.clone(), &entry.record));
        StreamSpec { key: key.clone(), session: cancel.clone(), endpoints }
    }

    pub(super) fn started(&mut self, started: Started) {
        let Started { key, session, stream, reply } = started;
        let answer = match stream {
            Err(reason) => {
                tracing::error!(stream = %key, reason, "the stream could not be started");
                self.retire(&key, session);
                Err(PublishRefusal::Internal(reason))
            }
            Ok(stream) => {
                let mut directory = self.shared.write();
                let granted = directory.current(&key, session).and_then(|live| {
                    live.stream = Some(Arc::clone(&stream));
                    Some(live.grant(&key, stream, self.commands.upgrade()?))
                });
                // Stopped or deleted while it started; its task has seen the token and closes it.
                granted.ok_or_else(|| PublishRefusal::Internal("it was ended while it started".into()))
            }
        };
        // Endpoints may have come and gone while it started.
        self.reconcile(&key);
        // A publisher that left while it waited drops the publication here, which ends it.
        let _ = reply.send(answer);
    }

    /// Data flows: the stream has started, or goes on.
    pub(super) fn flows(&mut self, key: &StreamKey, generation: u64) {
        let mut directory = self.shared.write();
        let Some(live) = directory.published_by(key, generation).filter(|live| live.held.is_none()) else { return };
        let kind = if live.started { EventKind::StreamResumed } else { EventKind::StreamStarted };
        live.started = true;
        directory.events.publish(key.clone(), kind);
    }

    /// A publisher has left: its stream is held for the next one, if there is anything to hold.
    pub(super) fn left(&mut self, key: &StreamKey, generation: u64) {
        let hold = Duration::from_millis(self.shared.settings.stream.hold_ms);
        let (now, commands) = (Instant::now(), self.commands.upgrade());
        let mut directory = self.shared.write();
        let Some(live) = directory.published_by(key, generation).filter(|live| live.held.is_none()) else { return };
        if live.stream.as_ref().is_some_and(|stream| stream.has_data()) {
            live.last_deadline = now.checked_add(hold);
        }
        let left = live.last_deadline.map(|deadline| deadline.saturating_duration_since(now)).unwrap_or_default();
        match commands.filter(|_| !left.is_zero() && !live.cancel.is_cancelled()) {
            Some(commands) => {
                tracing::info!(stream = %key, hold_ms = left.as_millis(), "publisher gone; the stream is held for the next one");
                let over = CancellationToken::new();
                let until = SystemTime::now() + left;
                live.held = Some(Held { since: now, until, _timer: over.clone().drop_guard() });
                let command = Command::HoldOver { key: key.clone(), generation };
                let (commands, session) = (commands.downgrade(), live.cancel.clone());
                let status = directory.entries.get(key).map_or(BroadcastStatus::Preparing, Entry::status);
                directory.events.publish(key.clone(), EventKind::StreamHeld { until, status });
                tokio::spawn(async move {
                    tokio::select! {
                        () = over.cancelled() => return,
                        () = tokio::time::sleep(left) => {}
                    }
                    match commands.upgrade() {
                        Some(commands) => drop(commands.send(command).await),
                        // Nobody is there who could end it.
                        None => session.cancel(),
                    }
                });
            }
            None => {
                live.cancel.cancel();
                directory.retire(key);
                tracing::info!(stream = %key, "publisher gone");
            }
        }
    }

    /// Nobody has come back.
    pub(super) fn hold_over(&mut self, key: &StreamKey, generation: u64) {
        let mut directory = self.shared.write();
        if let Some(live) = directory.published_by(key, generation).filter(|live| live.held.is_some()) {
            tracing::info!(stream = %key, "nobody came back; the stream ends");
            live.cancel.cancel();
            directory.retire(key);
        }
    }

    pub(super) fn ended(&mut self, key: &StreamKey, session: u64) {
        if self.retire(key, session) {
            tracing::info!(stream = %key, "stream ended");
        }
    }

    /// Takes this run off its stream; false when it isn't the current one any more.
    fn retire(&self, key: &StreamKey, session: u64) -> bool {
        let mut directory = self.shared.write();
        directory.current(key, session).is_some() && directory.retire(key).is_some()
    }

    pub(super) fn stop(&mut self, key: &StreamKey, was_started: bool, reply: Reply<bool>) {
        let retired = self.shared.write().retire(key);
        match (retired, self.sessions.get(key)) {
            (Some(live), Some(session)) => {
                tracing::info!(stream = %key, "stopped on request");
                live.cancel.cancel();
                self.answer_after(session.closed.clone(), reply, |_| true);
            }
            (retired, _) => {
                let _ = reply.send(retired.is_some() || was_started);
            }
        }
    }
}

impl Live {
    /// Makes the running stream its publisher's.
    fn grant(&self, key: &StreamKey, stream: Arc<dyn RunningStream>, commands: mpsc::Sender<Command>) -> Publication {
        let Publisher { cancel, released, generation, .. } = &self.publisher;
        let left = Command::Left { key: key.clone(), generation: *generation };
        let flows = Command::Flows { key: key.clone(), generation: *generation };
        let (watched, session) = (released.clone(), self.cancel.clone());
        let lease = stream.begin();
        let mut begun = stream.begun();
        tokio::spawn(async move {
            tokio::select! {
                // In this order: who sends something and leaves at once has been there.
                biased;
                () = session.cancelled() => return,
                flowing = async { begun.wait_for(|begun| begun.live).await.is_ok() } => {
                    if flowing {
                        // A manager that has ended needs no news.
                        let _ = commands.send(flows).await;
                    }
                }
                () = watched.cancelled() => {}
            }
            drop(begun);
            tokio::select! {
                () = watched.cancelled() => {}
                () = session.cancelled() => return,
            }
            if commands.send(left).await.is_err() {
                // The manager has ended: nobody else would end it.
                session.cancel();
            }
        });
        Publication {
            key: key.clone(),
            stream,
            lease,
            cancelled: cancel.clone(),
            _released: released.clone().drop_guard(),
        }
    }
}
