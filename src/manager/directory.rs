//! The directory: every stream the service knows, and who is live. Pure state, no waiting.
//!
//! Owns the entries and the rules on them: who may publish, which records stay. Must not know tasks,
//! channels or the store. The hard thing: a record may come from a user, from a publisher or from the
//! store, and goes only when none of them needs it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::plan::Plan;
use super::sources::SourceReport;
use super::streams::RunningStream;
use super::{PublishRefusal, PublishRequest, Totals};
use crate::events::{EventBus, EventKind};
use crate::model::broadcast::{BroadcastRecord, BroadcastStatus, PublishType};
use crate::model::endpoint::{EndpointRecord, EndpointState};
use crate::model::ids::{AppName, EndpointId, StreamKey};
use crate::store::{StoredBroadcast, UnreadableEndpoint};
use crate::stream::Board;

/// Everything that is known of the streams.
#[derive(Debug)]
pub(super) struct Directory {
    /// The configured applications.
    pub(super) apps: Vec<AppName>,
    /// By application, then id: a list of one application is one range.
    pub(super) entries: BTreeMap<StreamKey, Entry>,
    /// False from the begin of a shutdown: no new publisher.
    pub(super) accepting: bool,
    /// Told of everything that happens.
    pub(super) events: EventBus,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Entry {
    /// What is wanted.
    pub(super) record: BroadcastRecord,
    /// Stored endpoints that can't be read: shown, removable, never started.
    pub(super) unreadable: Vec<UnreadableEndpoint>,
    /// The running stream, while there is one.
    pub(super) live: Option<Live>,
    /// Whether it has ever been published: idle then means `finished`, not `created`. It is not
    /// stored (the store holds no history), but follows for a record that only a publisher makes.
    pub(super) published: bool,
    /// How its source fares, while that is to be pulled.
    pub(super) source: Option<SourceReport>,
    /// How its endpoints fare, of those that have run: kept from stream to stream.
    pub(super) boards: BTreeMap<EndpointId, Board>,
}

/// A stream that runs: with a publisher, or held for the next one.
#[derive(Debug)]
pub(super) struct Live {
    /// Which run of the stream: news of an earlier one is ignored.
    pub(super) session: u64,
    /// Ends the stream, and its publication with it.
    pub(super) cancel: CancellationToken,
    /// None while it starts.
    pub(super) stream: Option<Arc<dyn RunningStream>>,
    /// Which endpoints run, for the task's eyes only.
    pub(super) plan: Plan,
    /// Its publisher; while it is held, the one that has left.
    pub(super) publisher: Publisher,
    /// Set while it is held.
    pub(super) held: Option<Held>,
    /// Data has flowed: its start has been told.
    pub(super) started: bool,
    /// Until when it was held last: a publisher that leaves without having sent anything does not prolong that.
    pub(super) last_deadline: Option<Instant>,
}

/// A stream without a publisher, whose endpoints stay connected.
#[derive(Debug)]
pub(super) struct Held {
    /// When its publisher left.
    pub(super) since: Instant,
    /// For users.
    pub(super) until: SystemTime,
    /// Ends the wait for that moment.
    pub(super) _timer: DropGuard,
}

/// A publication, as far as everybody may know of it.
#[derive(Debug)]
pub(super) struct Publisher {
    /// Which one: news of an earlier publication of the same stream is ignored.
    pub(super) generation: u64,
    /// When it began.
    pub(super) since: SystemTime,
    /// How it comes in.
    pub(super) publish_type: PublishType,
    /// From where.
    pub(super) peer: SocketAddr,
    /// What the publisher says it is.
    pub(super) user_agent: Option<String>,
    /// What else it said.
    pub(super) meta: Vec<(String, String)>,
    /// The service's side of its end.
    pub(super) cancel: CancellationToken,
    /// The publisher's side of its end, known at once; the task hears of it a moment later.
    pub(super) released: CancellationToken,
}

impl Entry {
    /// From the store. A record that nobody created can only have been published.
    pub(super) fn stored(stored: StoredBroadcast) -> Self {
        let published = !stored.record.created_by_user;
        Self {
            record: stored.record,
            unreadable: stored.unreadable,
            live: None,
            published,
            source: None,
            boards: BTreeMap::new(),
        }
    }

    /// From a user's request.
    pub(super) fn created(record: BroadcastRecord) -> Self {
        let (unreadable, boards) = (Vec::new(), BTreeMap::new());
        Self { record, unreadable, live: None, published: false, source: None, boards }
    }

    /// On the way of a publisher.
    pub(super) fn made_by_publisher(key: StreamKey) -> Self {
        Self::created(BroadcastRecord {
            key,
            created_by_user: false,
            date: SystemTime::now(),
            fields: serde_json::Map::new(),
            started: false,
            endpoints: Vec::new(),
        })
    }

    /// Whether the store holds it: what a user created, what has an endpoint, and what has a source that is pulled,
    /// which nobody could stop else.
    pub(super) fn is_stored(&self) -> bool {
        self.record.created_by_user || self.record.started || self.has_endpoints()
    }

    /// The endpoints with their boards, as they are handed to a stream; those that are gone are forgotten.
    pub(super) fn boarded(
        &mut self,
        endpoints: Vec<EndpointRecord>,
        events: &EventBus,
    ) -> Vec<(EndpointRecord, Board)> {
        let record = &self.record;
        self.boards.retain(|id, _| record.endpoints.iter().any(|endpoint| endpoint.id == *id));
        let mut board = |id: &EndpointId| {
            let new = || Board::new(record.key.clone(), id.clone(), events.clone());
            let board = self.boards.entry(id.clone()).or_insert_with(new).clone();
            // It was switched off, and is not any more; its task may have to wait for data before it says anything.
            if board.read(|seen| seen.state) == EndpointState::Disabled {
                board.step(EndpointState::Idle, 0, None);
            }
            board
        };
        endpoints.into_iter().map(|endpoint| (board(&endpoint.id), endpoint)).map(|(board, it)| (it, board)).collect()
    }

    /// How many endpoints, readable or not.
    pub(super) fn endpoint_count(&self) -> usize {
        self.record.endpoints.len() + self.unreadable.len()
    }

    fn has_endpoints(&self) -> bool {
        self.endpoint_count() > 0
    }

    /// Whether an endpoint of this id exists, readable or not.
    pub(super) fn has_endpoint(&self, id: &str) -> bool {
        self.record.endpoints.iter().any(|endpoint| endpoint.id.as_str() == id)
            || self.unreadable.iter().any(|row| row.id == id)
    }
}

impl Publisher {
    /// A publication of the stream that `session` ends.
    pub(super) fn new(generation: u64, request: PublishRequest, session: &CancellationToken) -> Self {
        Self {
            generation,
            since: SystemTime::now(),
            publish_type: request.publish_type,
            peer: request.peer,
            user_agent: request.user_agent,
            meta: request.meta,
            cancel: session.child_token(),
            released: CancellationToken::new(),
        }
    }
}

impl Live {
    /// A stream that is about to start for this publisher, with the record's endpoints.
    pub(super) fn starting(
        session: u64,
        publisher: Publisher,
        cancel: CancellationToken,
        record: &BroadcastRecord,
    ) -> Self {
        let plan = Plan::started_with(&record.endpoints);
        Self { session, cancel, stream: None, plan, publisher, held: None, started: false, last_deadline: None }
    }

    /// Whether a publisher is there that nobody may displace: not one that has left, nor one that runs and has sent
    /// nothing for `dead_after`.
    fn is_taken(&self, dead_after: Duration) -> bool {
        let gone = self.held.is_some() || self.publisher.released.is_cancelled();
        !gone && self.stream.as_ref().is_none_or(|stream| stream.silent_for() < dead_after)
    }
}

impl Directory {
    pub(super) fn new(apps: Vec<AppName>, entries: BTreeMap<StreamKey, Entry>) -> Self {
        Self { apps, entries, accepting: true, events: EventBus::default() }
    }

    /// Whether a publisher may have this stream now.
    ///
    /// # Errors
    /// All of [`PublishRefusal`] but `Internal`.
    pub(super) fn admit(&self, app: &str, stream: &str, dead_after: Duration) -> Result<StreamKey, PublishRefusal> {
        if !self.accepting {
            return Err(PublishRefusal::ShuttingDown);
        }
        let Some(app) = self.apps.iter().find(|known| known.as_str() == app) else {
            return Err(PublishRefusal::UnknownApp(app.to_owned()));
        };
        let id = stream.parse().map_err(|reason| PublishRefusal::BadStreamId { given: stream.to_owned(), reason })?;
        let key = StreamKey { app: app.clone(), id };
        let live = self.entries.get(&key).and_then(|entry| entry.live.as_ref());
        if live.is_some_and(|live| live.is_taken(dead_after)) {
            return Err(PublishRefusal::InUse(key));
        }
        Ok(key)
    }

    /// The entries of one application, by id.
    pub(super) fn of_app<'a>(&'a self, app: &'a AppName) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |(key, _)| key.app == *app).map(|(_, entry)| entry)
    }

    /// This run of a stream, if it is still the current one.
    pub(super) fn current(&mut self, key: &StreamKey, session: u64) -> Option<&mut Live> {
        self.entries.get_mut(key)?.live.as_mut().filter(|live| live.session == session)
    }

    /// A stream whose publisher, there or gone, is of this generation.
    pub(super) fn published_by(&mut self, key: &StreamKey, generation: u64) -> Option<&mut Live> {
        self.entries.get_mut(key)?.live.as_mut().filter(|live| live.publisher.generation == generation)
    }

    /// Takes the running stream off its entry; a record nobody needs any more goes with it.
    pub(super) fn retire(&mut self, key: &StreamKey) -> Option<Live> {
        let entry = self.entries.get_mut(key)?;
        let live = entry.live.take()?;
        // A stream that never started was never published.
        entry.published |= live.stream.is_some();
        let (started, status) = (live.started, entry.status_ended());
        self.events.publish(key.clone(), EventKind::StreamEnded { started, status });
        self.forget_unneeded(key);
        Some(live)
    }

    /// Puts a changed record in the place of the old one, and tells what has changed of its endpoints.
    pub(super) fn replace(&mut self, record: BroadcastRecord, unreadable: Option<Vec<UnreadableEndpoint>>) {
        let Some(entry) = self.entries.get_mut(&record.key) else { return };
        let mut told = Vec::new();
        let mut fields_changed = false;
        if entry.record != record {
            told = changes(&entry.record.endpoints, &record.endpoints);
            fields_changed = entry.record.fields != record.fields || entry.record.started != record.started;
        }
        let key = record.key.clone();
        // Another endpoint of the same id is another one.
        entry.boards.retain(|id, _| record.endpoints.iter().any(|endpoint| endpoint.id == *id));
        entry.record = record;
        if let Some(unreadable) = unreadable {
            let gone = entry.unreadable.iter().filter(|row| unreadable.iter().all(|kept| kept.id != row.id));
            for row in gone {
                // A row that is replaced is the same endpoint, which can be read now.
                let replaced =
                    told.iter().position(|kind| matches!(kind, EventKind::EndpointAdded(id) if id.as_str() == row.id));
                match (replaced, row.id.parse()) {
                    (Some(at), Ok(id)) => told[at] = EventKind::EndpointChanged(id),
                    _ => told.push(EventKind::EndpointRemoved(row.id.clone())),
                }
            }
            entry.unreadable = unreadable;
        }
        if fields_changed {
            told.insert(0, EventKind::BroadcastChanged);
        }
        told.into_iter().for_each(|kind| self.events.publish(key.clone(), kind));
    }

    /// Forgets a broadcast, and gives what runs of it.
    pub(super) fn delete(&mut self, key: &StreamKey) -> Option<Live> {
        let live = self.entries.remove(key)?.live;
        if let Some(live) = &live {
            let (started, status) = (live.started, BroadcastStatus::Finished);
            self.events.publish(key.clone(), EventKind::StreamEnded { started, status });
        }
        self.events.publish(key.clone(), EventKind::BroadcastDeleted);
        live
    }

    /// Drops a record that is neither stored nor live.
    pub(super) fn forget_unneeded(&mut self, key: &StreamKey) {
        if self.entries.get(key).is_some_and(|entry| entry.live.is_none() && !entry.is_stored()) {
            self.entries.remove(key);
            self.events.publish(key.clone(), EventKind::BroadcastDeleted);
        }
    }

    /// A random endpoint id that no stream of this server has: a client may keep it without the
    /// stream's name.
    pub(super) fn unused_endpoint_id(&self) -> EndpointId {
        loop {
            // Ends: at most millions of 62⁶ ids are taken, so a second round is rare already.
            let id = EndpointId::generate();
            if !self.entries.values().any(|entry| entry.has_endpoint(id.as_str())) {
                return id;
            }
        }
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            streams: self
                .entries
                .values()
                .filter(|entry| entry.live.as_ref().is_some_and(|live| live.held.is_none()))
                .count(),
            endpoints: self.entries.values().map(Entry::endpoint_count).sum(),
        }
    }
}

/// What has become of `old` endpoints in `new`.
fn changes(old: &[EndpointRecord], new: &[EndpointRecord]) -> Vec<EventKind> {
    let find = |list: &'_ [EndpointRecord], id: &EndpointId| list.iter().find(|other| other.id == *id).cloned();
    let gone = old.iter().filter(|endpoint| find(new, &endpoint.id).is_none());
    let gone = gone.map(|endpoint| EventKind::EndpointRemoved(endpoint.id.to_string()));
    let come = new.iter().filter_map(|endpoint| match find(old, &endpoint.id) {
        None => Some(EventKind::EndpointAdded(endpoint.id.clone())),
        Some(before) => (before != *endpoint).then(|| EventKind::EndpointChanged(endpoint.id.clone())),
    });
    gone.chain(come).collect()
}
