//! What a reader sees of a broadcast: the record and how it fares, joined.
//!
//! Owns the statuses. Must not know how they are written on the wire beyond their one word.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Manager;
use super::directory::{Entry, Live, Publisher};
use super::sources::{SourceReport, SourceState, SourceStatus};
use crate::model::broadcast::{BroadcastRecord, PublishType};
use crate::model::endpoint::{EndpointRecord, EndpointState, EndpointStatus};
use crate::model::ids::StreamKey;
use crate::store::UnreadableEndpoint;
use crate::stream::{Board, EndpointSnapshot, StreamSnapshot};

pub use crate::model::broadcast::BroadcastStatus;

/// A broadcast as it is at one moment.
#[derive(Debug, Clone)]
pub struct BroadcastView {
    /// What is wanted.
    pub record: BroadcastRecord,
    /// How it is.
    pub status: BroadcastStatus,
    /// Its publication, while there is one.
    pub live: Option<LiveView>,
    /// How its source fares, while that is to be pulled.
    pub source: Option<SourceStatus>,
    /// While the stream waits for its publisher to come back, endpoints connected: until when.
    pub held_until: Option<SystemTime>,
    /// Its endpoints: those of the record in their order, then those that can't be read.
    pub endpoints: Vec<EndpointView>,
}

/// A publication as it is at one moment.
#[derive(Debug, Clone)]
pub struct LiveView {
    /// When it began.
    pub since: SystemTime,
    /// How it comes in.
    pub publish_type: PublishType,
    /// From where.
    pub peer: SocketAddr,
    /// What the publisher says it is.
    pub user_agent: Option<String>,
    /// What else it said.
    pub meta: Vec<(String, String)>,
    /// The stream; None while it starts.
    pub stream: Option<StreamSnapshot>,
}

/// An endpoint as it is at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointView {
    /// Its id.
    pub id: String,
    /// Its URL without secrets.
    pub url: String,
    /// Where it is in its life.
    pub state: EndpointState,
    /// What is wanted of it; None where the stored row can't be read.
    pub record: Option<EndpointRecord>,
    /// How it fares and has fared, once it has run.
    pub seen: Option<EndpointSnapshot>,
    /// Why the stored row can't be read.
    pub unreadable: Option<String>,
}

impl EndpointView {
    /// The state in Ant Media's words.
    pub fn status(&self) -> EndpointStatus {
        self.state.status()
    }
}

impl Manager {
    /// An endpoint as it is now; of a broadcast that exists.
    pub fn endpoint(&self, key: &StreamKey, id: &str) -> Option<EndpointView> {
        let directory = self.shared.read();
        let entry = directory.entries.get(key)?;
        let found = entry.record.endpoints.iter().find(|endpoint| endpoint.id.as_str() == id);
        match found {
            Some(endpoint) => Some(entry.endpoint_view(endpoint)),
            None => entry.unreadable.iter().find(|row| row.id == id).map(unreadable_view),
        }
    }

    /// The endpoints of a broadcast as they are now, in their order; `None` of one that does not exist.
    pub fn endpoints(&self, key: &StreamKey) -> Option<Vec<EndpointView>> {
        self.shared.read().entries.get(key).map(Entry::endpoint_views)
    }
}

impl Entry {
    /// As it is now.
    pub(super) fn view(&self) -> BroadcastView {
        let snapshot = self.live.as_ref().and_then(Live::snapshot);
        let held = self.live.as_ref().and_then(|live| live.held.as_ref());
        let source = self.source.as_ref().map(SourceReport::status);
        let status = self.status_seen(snapshot.as_ref().is_some_and(|snapshot| snapshot.live), source.as_ref());
        let endpoints = self.endpoint_views();
        let live = self.live.as_ref().filter(|_| held.is_none()).map(|live| live.publisher.view(snapshot));
        let held_until = held.map(|held| held.until);
        BroadcastView { record: self.record.clone(), status, live, source, held_until, endpoints }
    }

    /// The status alone, without copying the record.
    pub(super) fn status(&self) -> BroadcastStatus {
        let stream = self.live.as_ref().and_then(|live| live.stream.as_ref());
        let source = self.source.as_ref().map(SourceReport::status);
        self.status_seen(stream.is_some_and(|stream| stream.begun().borrow().live), source.as_ref())
    }

    /// The status of one that has just ended, where it may be about to be forgotten.
    pub(super) fn status_ended(&self) -> BroadcastStatus {
        if self.is_stored() { self.status() } else { BroadcastStatus::Finished }
    }

    pub(super) fn status_seen(&self, data_flows: bool, source: Option<&SourceStatus>) -> BroadcastStatus {
        // A publisher of the same id may be there while its own source is not.
        let failed = source.is_some_and(|source| source.state == SourceState::Waiting);
        match &self.live {
            Some(_) if data_flows => BroadcastStatus::Broadcasting,
            Some(live) if failed && live.held.is_some() => BroadcastStatus::Error,
            Some(_) => BroadcastStatus::Preparing,
            None if failed => BroadcastStatus::Error,
            None if source.is_some() => BroadcastStatus::Preparing,
            None if self.published => BroadcastStatus::Finished,
            None => BroadcastStatus::Created,
        }
    }

    fn endpoint_views(&self) -> Vec<EndpointView> {
        let readable = self.record.endpoints.iter().map(|endpoint| self.endpoint_view(endpoint));
        let unreadable = self.unreadable.iter().map(unreadable_view);
        readable.chain(unreadable).collect()
    }

    /// Where an endpoint is, by what its board shows.
    pub(super) fn endpoint_state(&self, endpoint: &EndpointRecord, seen: Option<EndpointState>) -> EndpointState {
        match (&self.live, seen) {
            _ if !endpoint.enabled => EndpointState::Disabled,
            // Between two runs the board still shows the end of the last.
            (Some(_), Some(seen)) if seen != EndpointState::Finished => seen,
            (None, _) if self.published => EndpointState::Finished,
            _ => EndpointState::Idle,
        }
    }

    pub(super) fn endpoint_view(&self, endpoint: &EndpointRecord) -> EndpointView {
        let seen = self.boards.get(&endpoint.id).map(Board::snapshot);
        let state = self.endpoint_state(endpoint, seen.as_ref().map(|seen| seen.state));
        let (id, url, record) = (endpoint.id.to_string(), endpoint.url.redacted(), Some(endpoint.clone()));
        EndpointView { id, url, state, record, seen, unreadable: None }
    }
}

fn unreadable_view(row: &UnreadableEndpoint) -> EndpointView {
    EndpointView {
        id: row.id.clone(),
        url: row.shown_url.clone(),
        state: EndpointState::Failed,
        record: None,
        seen: None,
        unreadable: Some(row.reason.clone()),
    }
}

impl Live {
    fn snapshot(&self) -> Option<StreamSnapshot> {
        self.stream.as_ref().map(|stream| stream.snapshot())
    }
}

impl Publisher {
    fn view(&self, stream: Option<StreamSnapshot>) -> LiveView {
        LiveView {
            since: self.since,
            publish_type: self.publish_type,
            peer: self.peer,
            user_agent: self.user_agent.clone(),
            meta: self.meta.clone(),
            stream,
        }
    }
}

/// Milliseconds since 1970; a clock before that counts as 1970.
pub fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
