//! One endpoint of a stream: made, changed, removed, tried again.
//!
//! Owns the order of each change: check, write down, show, run. Must not know what a client sent: it is told the whole
//! of what is wanted, and which revision of it the client has seen. The hard thing: an endpoint that is switched off says
//! so only once it is closed, and one that is switched on while no stream runs says that it waits.

use super::loops::way_back;
use super::task::{Reply, Task};
use super::{Command, ENDPOINTS_PER_STREAM_MAX, Manager, ManagerError};
use crate::model::endpoint::{EndpointRecord, EndpointState, RetryWish, Tracks};
use crate::model::ids::{EndpointId, StreamKey};
use crate::model::srt_url::SrtUrl;
use crate::stream::Board;
use crate::stream::preflight::Report;

/// What somebody wants of an endpoint: its record without what the service gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointWish {
    /// Where it sends to.
    pub url: SrtUrl,
    /// What people call it.
    pub label: Option<String>,
    /// Whether it is switched on.
    pub enabled: bool,
    /// What it sends of the stream.
    pub tracks: Tracks,
    /// When it tries again.
    pub retry: RetryWish,
}

impl EndpointWish {
    /// As the compatible calls wish for one.
    pub fn plain(url: SrtUrl) -> Self {
        Self { url, label: None, enabled: true, tracks: Tracks::default(), retry: RetryWish::default() }
    }

    /// What a record wishes for.
    pub fn of(record: &EndpointRecord) -> Self {
        let EndpointRecord { url, label, enabled, tracks, retry, .. } = record.clone();
        Self { url, label, enabled, tracks, retry }
    }

    fn into_record(self, id: EndpointId, revision: u64) -> EndpointRecord {
        let Self { url, label, enabled, tracks, retry } = self;
        EndpointRecord { id, url, label, enabled, tracks, retry, revision }
    }
}

/// What a client has seen of the endpoint that it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// This revision.
    Revision(u64),
    /// A row that can't be read, which the wish replaces.
    Unreadable,
}

impl Manager {
    /// Makes an endpoint, and starts it if the stream is live and it is switched on. It is stored when this returns,
    /// not connected.
    ///
    /// # Errors
    /// [`ManagerError::UnknownStream`], [`ManagerError::DuplicateUrl`], [`ManagerError::DuplicateEndpoint`],
    /// [`ManagerError::FeedsBack`], [`ManagerError::TooManyEndpoints`], the store.
    pub async fn create_endpoint(
        &self,
        key: StreamKey,
        id: Option<EndpointId>,
        wish: EndpointWish,
    ) -> Result<EndpointRecord, ManagerError> {
        self.ask(|reply| Command::CreateEndpoint(key, id, wish, reply)).await.unwrap_or(Err(ManagerError::ShuttingDown))
    }

    /// As [`Manager::create_endpoint`], of nothing but a URL.
    ///
    /// # Errors
    /// As there.
    pub async fn add_endpoint(
        &self,
        key: StreamKey,
        id: Option<EndpointId>,
        url: SrtUrl,
    ) -> Result<EndpointRecord, ManagerError> {
        self.create_endpoint(key, id, EndpointWish::plain(url)).await
    }

    /// Makes an endpoint what is wished. Only a change of what runs reconnects it, and nobody else; what was stopped for
    /// it is closed when this returns (waits at most 5 s for that). A wish that is fulfilled changes nothing.
    ///
    /// # Errors
    /// [`ManagerError::UnknownStream`], [`ManagerError::UnknownEndpoint`], [`ManagerError::Changed`] when it is no longer
    /// what was seen, [`ManagerError::DuplicateUrl`], [`ManagerError::FeedsBack`], the store. Nothing is changed then.
    pub async fn change_endpoint(
        &self,
        key: StreamKey,
        id: EndpointId,
        seen: Seen,
        wish: EndpointWish,
    ) -> Result<EndpointRecord, ManagerError> {
        self.ask(|reply| Command::ChangeEndpoint { key, id, seen, wish, reply })
            .await
            .unwrap_or(Err(ManagerError::ShuttingDown))
    }

    /// Removes an endpoint for good, if it is still of `revision` where one is named; on a live stream it is closed when
    /// this returns (waits at most 5 s for that). `id` is text: a stored endpoint whose id can't be read must be
    /// removable too.
    ///
    /// # Errors
    /// [`ManagerError::UnknownStream`], [`ManagerError::UnknownEndpoint`], [`ManagerError::Changed`], the store.
    pub async fn remove_endpoint_of(
        &self,
        key: StreamKey,
        id: String,
        revision: Option<u64>,
    ) -> Result<(), ManagerError> {
        self.ask(|reply| Command::RemoveEndpoint(key, id, revision, reply))
            .await
            .unwrap_or(Err(ManagerError::ShuttingDown))
    }

    /// As [`Manager::remove_endpoint_of`], of any revision.
    ///
    /// # Errors
    /// As there.
    pub async fn remove_endpoint(&self, key: StreamKey, id: String) -> Result<(), ManagerError> {
        self.remove_endpoint_of(key, id, None).await
    }

    /// Tests a destination for a stream, whether or not that exists. Nothing is stored; takes less than 5 s.
    pub async fn test_destination(&self, key: StreamKey, url: SrtUrl) -> Report {
        self.shared.streams.test(key, url).await
    }

    /// Ends an endpoint's wait for its next attempt. Returns at once.
    ///
    /// # Errors
    /// [`ManagerError::UnknownStream`], [`ManagerError::UnknownEndpoint`], [`ManagerError::NotRunning`].
    pub fn retry_endpoint(&self, key: &StreamKey, id: &str) -> Result<(), ManagerError> {
        let not_running = |reason| Err(ManagerError::NotRunning { id: id.to_owned(), reason });
        let directory = self.shared.read();
        let entry = directory.entries.get(key).ok_or_else(|| ManagerError::UnknownStream(key.clone()))?;
        if !entry.has_endpoint(id) {
            return Err(ManagerError::UnknownEndpoint(id.to_owned()));
        }
        let Some(record) = entry.record.endpoints.iter().find(|endpoint| endpoint.id.as_str() == id) else {
            return not_running("its stored row can't be read");
        };
        if !record.enabled {
            return not_running("it is switched off");
        }
        match entry.live.as_ref().and_then(|live| live.stream.as_ref()) {
            Some(stream) if stream.retry_endpoint(&record.id) => Ok(()),
            Some(_) => not_running("it is just being closed or started"),
            None => not_running("its stream is not live"),
        }
    }
}

impl Task {
    /// Stores, shows and starts an endpoint.
    pub(super) async fn create_endpoint(
        &mut self,
        key: &StreamKey,
        id: Option<EndpointId>,
        wish: EndpointWish,
    ) -> Result<EndpointRecord, ManagerError> {
        let (record, endpoint) = {
            let directory = self.shared.read();
            let entry = directory.entries.get(key).ok_or_else(|| ManagerError::UnknownStream(key.clone()))?;
            refuse_same_url(key, &entry.record.endpoints, None, &wish.url)?;
            if let Some(id) = id.as_ref().filter(|id| entry.has_endpoint(id.as_str())) {
                return Err(ManagerError::DuplicateEndpoint(id.to_string()));
            }
            if entry.endpoint_count() >= ENDPOINTS_PER_STREAM_MAX {
                return Err(ManagerError::TooManyEndpoints(ENDPOINTS_PER_STREAM_MAX));
            }
            let id = id.unwrap_or_else(|| directory.unused_endpoint_id());
            (entry.record.clone(), wish.into_record(id, self.revisions.first()))
        };
        self.refuse_loop(key, &endpoint.url)?;
        self.store.add_endpoint(&record, &endpoint).await?;
        let mut record = record;
        record.endpoints.push(endpoint.clone());
        self.shared.write().replace(record, None);
        tracing::info!(stream = %key, endpoint = %endpoint.id, "endpoint added");
        self.settle(key);
        self.reconcile(key);
        Ok(endpoint)
    }

    /// Answers when what had to be closed is closed, or the bound of an answer is over.
    pub(super) async fn change_endpoint(
        &mut self,
        key: &StreamKey,
        id: EndpointId,
        seen: Seen,
        wish: EndpointWish,
        reply: Reply<Result<EndpointRecord, ManagerError>>,
    ) {
        match self.store_change(key, id, seen, wish).await {
            Ok(endpoint) => {
                self.answer_when_stopped(key, reply, Ok(endpoint));
                self.settle(key);
            }
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    async fn store_change(
        &mut self,
        key: &StreamKey,
        id: EndpointId,
        seen: Seen,
        wish: EndpointWish,
    ) -> Result<EndpointRecord, ManagerError> {
        let (mut record, unreadable, at) = {
            let directory = self.shared.read();
            let entry = directory.entries.get(key).ok_or_else(|| ManagerError::UnknownStream(key.clone()))?;
            if !entry.has_endpoint(id.as_str()) {
                return Err(ManagerError::UnknownEndpoint(id.to_string()));
            }
            let at = entry.record.endpoints.iter().position(|endpoint| endpoint.id == id);
            (entry.record.clone(), entry.unreadable.clone(), at)
        };
        refuse_same_url(key, &record.endpoints, Some(&id), &wish.url)?;
        let endpoint = match (at.and_then(|at| record.endpoints.get_mut(at)), seen) {
            (Some(before), Seen::Revision(revision)) if before.revision == revision => {
                if EndpointWish::of(before) == wish {
                    return Ok(before.clone());
                }
                if before.url != wish.url {
                    self.refuse_loop(key, &wish.url)?;
                }
                let endpoint = wish.into_record(id, self.revisions.next(revision));
                self.store.update_endpoint(key, &endpoint).await?;
                *before = endpoint.clone();
                self.show(record, None);
                endpoint
            }
            (None, Seen::Unreadable) => {
                self.refuse_loop(key, &wish.url)?;
                let endpoint = wish.into_record(id, self.revisions.first());
                record.endpoints.push(endpoint.clone());
                let left: Vec<_> = unreadable.into_iter().filter(|row| row.id != endpoint.id.as_str()).collect();
                let kept: Vec<String> = left.iter().map(|row| row.id.clone()).collect();
                self.store.replace_endpoints(&record, &kept).await?;
                self.show(record, Some(left));
                endpoint
            }
            _ => return Err(ManagerError::Changed(id.to_string())),
        };
        let EndpointRecord { id, enabled, revision, .. } = &endpoint;
        tracing::info!(stream = %key, endpoint = %id, enabled, revision, "endpoint changed");
        Ok(endpoint)
    }

    /// Removes an endpoint from the store and from view; the caller reconciles.
    pub(super) async fn remove_endpoint(
        &mut self,
        key: &StreamKey,
        id: &str,
        revision: Option<u64>,
    ) -> Result<(), ManagerError> {
        match self.shared.read().entries.get(key) {
            None => return Err(ManagerError::UnknownStream(key.clone())),
            Some(entry) if !entry.has_endpoint(id) => return Err(ManagerError::UnknownEndpoint(id.to_owned())),
            Some(entry) => {
                let found = entry.record.endpoints.iter().find(|endpoint| endpoint.id.as_str() == id);
                if revision.is_some_and(|revision| found.is_none_or(|found| found.revision != revision)) {
                    return Err(ManagerError::Changed(id.to_owned()));
                }
            }
        }
        self.store.remove_endpoint(key, id).await?;
        let mut directory = self.shared.write();
        if let Some(entry) = directory.entries.get(key) {
            let (mut record, mut unreadable) = (entry.record.clone(), entry.unreadable.clone());
            record.endpoints.retain(|endpoint| endpoint.id.as_str() != id);
            unreadable.retain(|row| row.id != id);
            directory.replace(record, Some(unreadable));
        }
        directory.forget_unneeded(key);
        drop(directory);
        tracing::info!(stream = %key, endpoint = id, "endpoint removed");
        Ok(())
    }

    /// Writes on the boards of those that no task runs what they are: switched off, or waiting for the stream.
    pub(super) fn settle(&self, key: &StreamKey) {
        let mut directory = self.shared.write();
        let events = directory.events.clone();
        let Some(entry) = directory.entries.get_mut(key) else { return };
        for endpoint in &entry.record.endpoints {
            if entry.live.as_ref().is_some_and(|live| live.plan.occupies(&endpoint.id)) {
                continue;
            }
            let board = entry.boards.get(&endpoint.id);
            let was_off = board.is_some_and(|board| board.read(|seen| seen.state) == EndpointState::Disabled);
            if endpoint.enabled && !was_off {
                continue;
            }
            // What a reader is shown: beside a stream that has ended, that is no wait for its begin.
            let state = entry.endpoint_state(endpoint, None);
            let new = || Board::new(key.clone(), endpoint.id.clone(), events.clone());
            entry.boards.entry(endpoint.id.clone()).or_insert_with(new).step(state, 0, None);
        }
    }

    /// Refuses what would lead the stream back into itself.
    pub(super) fn refuse_loop(&self, key: &StreamKey, url: &SrtUrl) -> Result<(), ManagerError> {
        let way_back = way_back(&self.shared.read(), key, url, |url| self.streams.own_target(url));
        match way_back {
            None => Ok(()),
            Some(over) if over == *key => Err(ManagerError::FeedsBack(format!("it leads to {key} itself"))),
            Some(over) => Err(ManagerError::FeedsBack(format!("it comes back from {over}"))),
        }
    }
}

fn refuse_same_url(
    key: &StreamKey,
    endpoints: &[EndpointRecord],
    but: Option<&EndpointId>,
    url: &SrtUrl,
) -> Result<(), ManagerError> {
    let mut others = endpoints.iter().filter(|other| Some(&other.id) != but);
    match others.any(|other| other.url.as_given() == url.as_given()) {
        true => Err(ManagerError::DuplicateUrl { key: key.clone(), url: url.redacted() }),
        false => Ok(()),
    }
}
