//! The manager: which streams exist, who publishes them, which endpoints they are to have.
//!
//! Owns the records and the live publications, in memory, and is the only writer of the store. Must
//! not know HTTP, RTMP or SRT, nor touch GStreamer except through [`streams::Streams`].
//!
//! One task changes everything, one command after the other; readers look at the same
//! [`directory::Directory`] behind a lock that is never held over an await or a write to disk. What
//! somebody asked for is on the disk before the answer says so.
//!
//! The hard thing: a stream's start and close take long and may hang, and a successor may come
//! meanwhile. So each run of a stream has a task of its own ([`run`]) and a number, and so has each publication
//! within it ([`publish`]); news of an older one is ignored.

mod bounds;
mod control;
mod directory;
mod edit;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod loops;
mod merge;
mod plan;
mod publish;
mod pulse;
mod query;
mod revisions;
mod run;
mod said;
mod sources;
mod streams;
mod survey;
mod task;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::config::Settings;
use crate::events::EventBus;
use crate::model::broadcast::PublishType;
use crate::model::ids::{AppName, StreamId, StreamKey};
use crate::store::{Store, StoreError};
use crate::stream::{Still, StillError, StreamContext};

use directory::{Directory, Entry};
use task::Command;

pub use bounds::Bounds;
pub use control::{EndpointWish, Seen};
pub use error::{ManagerError, PublishRefusal};
pub use merge::WantedEndpoint;
pub use publish::Publication;
pub use pulse::{EndpointPulse, StreamPulse};
pub use query::{ListQuery, SortBy, TYPE_LIVE_STREAM};
pub use said::Said;
pub use sources::{SourceFailure, SourceReport, SourceState, SourceStatus, WantedSource, WantedSources};
pub use streams::{RunningStream, StartError, Streams};
pub use survey::{EndpointSurvey, StreamSurvey};
pub use view::{BroadcastStatus, BroadcastView, EndpointView, LiveView, unix_ms};

/// Commands that wait for the manager's task; a caller over this number waits for a place.
const COMMANDS_MAX: usize = 256;
/// Endpoints of one stream, readable or not.
pub const ENDPOINTS_PER_STREAM_MAX: usize = 1_000;
/// What a publisher asks for, already authenticated by its protocol.
#[derive(Debug, Clone)]
pub struct PublishRequest {
    /// The application it named.
    pub app: String,
    /// The stream it named.
    pub stream: String,
    /// How it comes in.
    pub publish_type: PublishType,
    /// Its address.
    pub peer: SocketAddr,
    /// What it says it is.
    pub user_agent: Option<String>,
    /// What else it said: unused query pairs, shown as `metaData`.
    pub meta: Vec<(String, String)>,
}

/// A broadcast that somebody asks to be made.
#[derive(Debug, Clone)]
pub struct NewBroadcast {
    /// Its application.
    pub app: AppName,
    /// Its id; one is made up when there is none.
    pub id: Option<StreamId>,
    /// The free fields, by their names on the wire.
    pub fields: serde_json::Map<String, serde_json::Value>,
    /// Whether its source is to be pulled at once.
    pub start: bool,
    /// Endpoints to begin with.
    pub endpoints: Vec<WantedEndpoint>,
}

/// What is to be changed of a broadcast.
#[derive(Debug, Clone, Default)]
pub struct BroadcastChange {
    /// These fields get these values; others stay.
    pub fields: serde_json::Map<String, serde_json::Value>,
    /// The whole list of endpoints from now on, if it is to change.
    pub endpoints: Option<Vec<WantedEndpoint>>,
}

/// How a deletion went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// It is gone, and nothing of it runs.
    Stopped,
    /// It is gone, but its stream has not closed within the time an answer waits.
    StillClosing,
}

/// How much there is, for health and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Live publications.
    pub streams: usize,
    /// Configured endpoints, of live and idle streams.
    pub endpoints: usize,
}

/// What the task writes and everybody reads.
#[derive(Debug)]
struct Shared {
    /// Never locked over an await. A reader that panicked leaves a sound map behind, so a poisoned
    /// lock is used on.
    directory: RwLock<Directory>,
    /// What was asked for at the start.
    settings: Arc<Settings>,
    /// How long each wait may take.
    bounds: Bounds,
    /// What is to be pulled.
    sources: watch::Sender<WantedSources>,
    /// Makes the streams, and tests destinations.
    streams: Arc<dyn Streams>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// After how much silence a live publisher may be replaced.
    fn dead_after(&self) -> Duration {
        Duration::from_millis(self.settings.stream.dead_publisher_ms)
    }
}

/// A handle to the manager; clones are cheap. The task ends when the last one is gone, or at [`Manager::shutdown`].
#[derive(Debug, Clone)]
pub struct Manager {
    /// What can be answered without the task.
    shared: Arc<Shared>,
    /// What only the task may do.
    commands: mpsc::Sender<Command>,
}

impl Manager {
    /// Loads the store and starts the task.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn spawn(
        settings: Arc<Settings>,
        store: Store,
        context: Arc<StreamContext>,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        Self::spawn_with(settings, store, Arc::new(streams::Pipelines(context)), Bounds::default()).await
    }

    /// [`Manager::spawn`] over any maker of streams and with other bounds.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn spawn_with(
        settings: Arc<Settings>,
        store: Store,
        streams: Arc<dyn Streams>,
        bounds: Bounds,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let broadcasts = store.load().await?;
        let endpoints: usize = broadcasts.iter().map(|stored| stored.record.endpoints.len()).sum();
        tracing::info!(broadcasts = broadcasts.len(), endpoints, "store loaded");
        let entries: BTreeMap<StreamKey, Entry> =
            broadcasts.into_iter().map(|stored| (stored.record.key.clone(), Entry::stored(stored))).collect();
        let directory = Directory::new(settings.apps.clone(), entries);
        let shared = Arc::new(Shared {
            directory: RwLock::new(directory),
            settings,
            bounds,
            sources: watch::Sender::default(),
            streams: Arc::clone(&streams),
        });
        let (commands, queue) = mpsc::channel(COMMANDS_MAX);
        // The task holds its own sender only weakly: it must end when nobody can command it any more.
        let task = task::Task::new(Arc::clone(&shared), store, streams, commands.downgrade());
        task.refresh_sources();
        let task = tokio::spawn(task.run(queue));
        Ok((Self { shared, commands }, task))
    }

    /// Where everything that happens is told.
    pub fn events(&self) -> EventBus {
        self.shared.read().events.clone()
    }

    /// Sends a command and waits for its answer; a task that is gone has been shut down.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Makes `request`'s stream live, or goes on with it where it is held for a publisher. Dropping the returned
    /// [`Publication`] ends it; the stream is then held for `stream.hold_ms`.
    ///
    /// # Errors
    /// See [`PublishRefusal`].
    pub async fn publish(&self, request: PublishRequest) -> Result<Publication, PublishRefusal> {
        self.ask(|reply| Command::Publish(request, reply)).await.unwrap_or(Err(PublishRefusal::ShuttingDown))
    }

    /// Whether [`Manager::publish`] would be refused right now. Waits for no task: fit for libsrt's
    /// listen callback, which has to say yes or no at once.
    ///
    /// # Errors
    /// See [`PublishRefusal`].
    pub fn check_publish(&self, app: &str, stream: &str) -> Result<StreamKey, PublishRefusal> {
        self.shared.read().admit(app, stream, self.shared.dead_after())
    }

    /// False from the moment a shutdown begins.
    pub fn is_accepting(&self) -> bool {
        self.shared.read().accepting && !self.commands.is_closed()
    }

    /// Whether an application of this name is configured.
    pub fn has_app(&self, app: &AppName) -> bool {
        self.shared.read().apps.contains(app)
    }

    /// The configured applications, in their order.
    pub fn apps(&self) -> Vec<AppName> {
        self.shared.read().apps.clone()
    }

    /// A broadcast as it is now.
    pub fn get(&self, key: &StreamKey) -> Option<BroadcastView> {
        self.shared.read().entries.get(key).map(Entry::view)
    }

    /// A still of a stream's picture, of now; waits for one, bounded. `None`: it has no publisher now.
    ///
    /// # Errors
    /// See [`StillError`].
    pub async fn still(&self, key: &StreamKey) -> Option<Result<Still, StillError>> {
        let asked = {
            let directory = self.shared.read();
            let live = directory.entries.get(key)?.live.as_ref().filter(|live| live.held.is_none())?;
            live.stream.as_ref()?.still()
        };
        Some(asked.await)
    }

    /// The broadcasts of an application that fit `query`, in its order, cut to its page.
    pub fn list(&self, app: &AppName, query: &ListQuery) -> Vec<BroadcastView> {
        query::list(&self.shared.read(), app, query)
    }

    /// How many broadcasts of an application [`Manager::list`] would find by `search`, over all pages.
    pub fn count(&self, app: &AppName, search: Option<&str>) -> usize {
        query::count(&self.shared.read(), app, search)
    }

    /// How many broadcasts of an application are live, data flowing.
    pub fn count_broadcasting(&self, app: &AppName) -> usize {
        query::count_broadcasting(&self.shared.read(), app)
    }

    /// How much there is in all applications.
    pub fn totals(&self) -> Totals {
        self.shared.read().totals()
    }

    /// Makes a broadcast.
    ///
    /// # Errors
    /// [`ManagerError::AlreadyExists`], anything that is wrong with its endpoints, the store.
    pub async fn create(&self, new: NewBroadcast) -> Result<BroadcastView, ManagerError> {
        self.ask(|reply| Command::Create(new, reply)).await.unwrap_or(Err(ManagerError::ShuttingDown))
    }

    /// Changes a broadcast; endpoints that change are started and stopped when it is live.
    ///
    /// # Errors
    /// [`ManagerError::UnknownStream`], anything that is wrong with its endpoints, the store.
    /// Nothing is changed then.
    pub async fn update(&self, key: StreamKey, change: BroadcastChange) -> Result<(), ManagerError> {
        self.ask(|reply| Command::Update(key, change, reply)).await.unwrap_or(Err(ManagerError::ShuttingDown))
    }

    /// Ends a broadcast's stream and forgets the broadcast with its endpoints.
    ///
    /// # Errors
    /// [`ManagerError::UnknownStream`], the store.
    pub async fn delete(&self, key: StreamKey) -> Result<Deleted, ManagerError> {
        self.ask(|reply| Command::Delete(key, reply)).await.unwrap_or(Err(ManagerError::ShuttingDown))
    }

    /// Ends a live stream at once, held or not: its publisher is disconnected, its source pulled no more, also after a
    /// restart of the service. False when there is neither.
    pub async fn stop(&self, key: StreamKey) -> bool {
        self.ask(|reply| Command::Stop(key, reply)).await.unwrap_or(false)
    }

    /// Refuses new publishers, ends all publications, closes all streams side by side (3 s at most)
    /// and then the store. A second call returns at once.
    pub async fn shutdown(&self) {
        let _ = self.ask(Command::Shutdown).await;
    }
}
