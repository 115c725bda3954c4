//! Pulled sources: which are wanted, and how whoever pulls them says they fare.
//!
//! Owns the list of what is to be pulled now and the wish behind it (`started`, stored). Must not know how anything
//! is pulled: the ingest watches [`Manager::wanted_sources`] and reports by [`SourceReport`]. The hard thing: the same
//! source told again is the same, so that a broadcast whose name changes is not interrupted, and another address is
//! another one even if its id stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::task::Task;
use super::{Command, Manager, ManagerError};
use crate::events::{EventBus, EventKind};
use crate::model::ids::StreamKey;
use crate::model::source::{Source, SourceError};

pub use crate::model::source::{SourceFailure, SourceState, SourceStatus};

/// Everything that is to be pulled now.
pub type WantedSources = Arc<BTreeMap<StreamKey, WantedSource>>;

/// A source that is to be pulled.
#[derive(Debug, Clone)]
pub struct WantedSource {
    /// What and from where.
    pub source: Arc<Source>,
    /// Where whoever pulls it says how it fares.
    pub report: SourceReport,
}

impl WantedSource {
    /// Whether it is that very wish: the same source, not stopped in between.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.source, &other.source)
    }
}

/// Says how a source fares; clones share it.
#[derive(Debug, Clone)]
pub struct SourceReport(Arc<Reported>);

#[derive(Debug)]
struct Reported {
    stream: StreamKey,
    status: watch::Sender<SourceStatus>,
    events: EventBus,
}

impl SourceReport {
    /// Of a source whose first attempt is about to begin; tells it.
    pub(super) fn begin(stream: StreamKey, events: EventBus) -> Self {
        let status = SourceStatus::default();
        events.publish(stream.clone(), EventKind::Source(status.state, None));
        Self(Arc::new(Reported { stream, status: watch::Sender::new(status), events }))
    }

    /// Changes what is seen; another state, and another failure, is told.
    pub fn update(&self, change: impl FnOnce(&mut SourceStatus)) {
        let mut told = None;
        self.0.status.send_modify(|status| {
            let before = (status.state, status.failure.as_ref().map(|failure| failure.attempt));
            change(status);
            if before != (status.state, status.failure.as_ref().map(|failure| failure.attempt)) {
                told = Some(EventKind::Source(status.state, status.failure.clone()));
            }
        });
        if let Some(told) = told {
            self.0.events.publish(self.0.stream.clone(), told);
        }
    }

    /// As it is now.
    pub fn status(&self) -> SourceStatus {
        self.0.status.borrow().clone()
    }
}

impl Manager {
    /// What is to be pulled; changes wake whoever watches.
    pub fn wanted_sources(&self) -> watch::Receiver<WantedSources> {
        self.shared.sources.subscribe()
    }

    /// Pulls a broadcast's source from now on, also after a restart of the service. It is stored when this returns;
    /// one that is started already stays as it is.
    ///
    /// # Errors
    /// [`ManagerError::UnknownStream`], [`ManagerError::NoSource`], the store.
    pub async fn start_source(&self, key: StreamKey) -> Result<(), ManagerError> {
        self.ask(|reply| Command::StartSource(key, reply)).await.unwrap_or(Err(ManagerError::ShuttingDown))
    }
}

impl Task {
    pub(super) async fn start_source(&mut self, key: &StreamKey) -> Result<(), ManagerError> {
        let mut record = {
            let directory = self.shared.read();
            let entry = directory.entries.get(key).ok_or_else(|| ManagerError::UnknownStream(key.clone()))?;
            entry.record.clone()
        };
        Source::of(&record.fields).map_err(ManagerError::NoSource)?;
        if !record.started {
            record.started = true;
            self.store.put_broadcast(&record).await?;
            self.set_started(key, true);
            tracing::info!(stream = %key, "source started");
        }
        self.refresh_source(key);
        Ok(())
    }

    /// Takes the wish back; says whether there was one. What runs is ended by whoever watches, and by the caller.
    pub(super) async fn stop_source(&mut self, key: &StreamKey) -> bool {
        let record = self.shared.read().entries.get(key).map(|entry| entry.record.clone());
        let Some(mut record) = record.filter(|record| record.started) else { return false };
        record.started = false;
        let needed = record.created_by_user
            || self.shared.read().entries.get(key).is_some_and(|entry| entry.endpoint_count() > 0);
        let stored = match needed {
            true => self.store.put_broadcast(&record).await,
            // It was stored for its source alone.
            false => self.store.delete_broadcast(key).await,
        };
        if let Err(error) = stored {
            // Better stopped until the next start of the service than not at all.
            tracing::error!(stream = %key, %error, "that the source is stopped could not be stored");
        }
        self.set_started(key, false);
        tracing::info!(stream = %key, "source stopped");
        self.refresh_source(key);
        self.shared.write().forget_unneeded(key);
        true
    }

    fn set_started(&self, key: &StreamKey, started: bool) {
        let mut directory = self.shared.write();
        if let Some(entry) = directory.entries.get_mut(key) {
            entry.record.started = started;
            directory.events.publish(key.clone(), EventKind::BroadcastChanged);
        }
    }

    /// Brings the list of wanted sources up to date for one broadcast, after any change of it.
    pub(super) fn refresh_source(&self, key: &StreamKey) {
        let mut directory = self.shared.write();
        let wanted = directory.entries.get(key).filter(|entry| entry.record.started).and_then(|entry| {
            let source = Source::of(&entry.record.fields);
            source.inspect_err(|error| tracing::error!(stream = %key, %error, "its source cannot be pulled")).ok()
        });
        let current = self.shared.sources.borrow().get(key).cloned();
        let next = match (wanted, current) {
            (Some(wanted), Some(current)) if *current.source == wanted => Some(current),
            (Some(wanted), _) => {
                let report = SourceReport::begin(key.clone(), directory.events.clone());
                Some(WantedSource { source: Arc::new(wanted), report })
            }
            (None, _) => None,
        };
        if let Some(entry) = directory.entries.get_mut(key) {
            entry.source = next.as_ref().map(|wanted| wanted.report.clone());
        }
        drop(directory);
        self.shared.sources.send_if_modified(|sources| {
            let unchanged = match (sources.get(key), &next) {
                (Some(old), Some(new)) => old.is_same(new),
                (None, None) => true,
                _ => false,
            };
            if !unchanged {
                let sources = Arc::make_mut(sources);
                match next {
                    Some(next) => sources.insert(key.clone(), next),
                    None => sources.remove(key),
                };
            }
            !unchanged
        });
    }

    /// As [`Task::refresh_source`], for all: at the start.
    pub(super) fn refresh_sources(&self) {
        let keys: Vec<StreamKey> = self.shared.read().entries.keys().cloned().collect();
        keys.iter().for_each(|key| self.refresh_source(key));
    }

    /// Whether a change leaves a broadcast that is being pulled with a source.
    pub(super) fn check_source(
        started: bool,
        fields: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), ManagerError> {
        match Source::of(fields) {
            Err(error @ (SourceError::Url(_) | SourceError::Transport)) => Err(ManagerError::NoSource(error)),
            Err(error) if started => Err(ManagerError::NoSource(error)),
            _ => Ok(()),
        }
    }
}
