//! What happens, for everybody who wants to know: events with rising numbers, and the last of them kept.
//!
//! Owns the numbering and the memory. Must not know who listens, nor ever wait for one: a listener that does not keep
//! up loses events and is told how many. Endpoints and the manager publish; `api` and the webhooks listen.
//!
//! Of a stream's run: `StreamPreparing` first, `StreamStarted` at most once, `StreamEnded` exactly once and last. In
//! between it may be held and prepared anew any number of times; `StreamResumed` only follows a `StreamStarted`.
//! Steps of its endpoints come beside these, and may follow its end: they take their time to close.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rand::RngExt as _;
use tokio::sync::broadcast;

use crate::model::broadcast::BroadcastStatus;
use crate::model::endpoint::Transition;
use crate::model::ids::{EndpointId, StreamKey};
use crate::model::source::{SourceFailure, SourceState};

/// Events kept for listeners that come back: when two thousand endpoints fail at once, each of them twice.
pub const KEPT_EVENTS_MAX: usize = 4_000;

/// Events a listener may be behind before it has to fetch them from the kept ones.
const QUEUED_EVENTS_MAX: usize = 1_024;

/// Letters of a run's name: 36⁸ of them, so that no two runs of a service have the same.
const RUN_LEN: usize = 8;

/// What happened to a stream or an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A broadcast is there, made by a user or for a publisher.
    BroadcastCreated,
    /// A broadcast's fields were changed, or its source started or stopped.
    BroadcastChanged,
    /// A broadcast is gone, and its endpoints with it.
    BroadcastDeleted,
    /// A publisher was let in; no data has come yet.
    StreamPreparing,
    /// Data flows for the first time.
    StreamStarted,
    /// The publisher is gone; endpoints stay connected for the next one.
    StreamHeld {
        /// This long.
        until: SystemTime,
        /// How the broadcast is now.
        status: BroadcastStatus,
    },
    /// Data flows again: of a publisher that came back, or of another one.
    StreamResumed,
    /// The stream is over.
    StreamEnded {
        /// Data had flowed.
        started: bool,
        /// How the broadcast is now.
        status: BroadcastStatus,
    },
    /// A pulled source took a step; with the last failure, until media comes again.
    Source(SourceState, Option<SourceFailure>),
    /// An endpoint was added.
    EndpointAdded(EndpointId),
    /// An endpoint's record was changed.
    EndpointChanged(EndpointId),
    /// An endpoint was removed; its id is text, as stored ones that can't be read are removed too.
    EndpointRemoved(String),
    /// An endpoint took a step.
    Endpoint(EndpointId, Transition),
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Rises by one with each event; begins anew with the service (see [`EventBus::run`]).
    pub id: u64,
    /// When.
    pub at: SystemTime,
    /// Of which stream.
    pub stream: StreamKey,
    /// What.
    pub kind: EventKind,
}

/// Of a run's name.
const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The bus; clones share it.
#[derive(Debug, Clone)]
pub struct EventBus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Which run of the service.
    run: String,
    /// The last events, oldest first. Locked while one is sent, so that a listener misses none and sees none twice.
    kept: Mutex<VecDeque<Arc<Event>>>,
    sender: broadcast::Sender<Arc<Event>>,
}

/// What a listener gets: what it missed, then what comes.
#[derive(Debug)]
pub struct Subscription {
    /// Events after the one it knew, oldest first; all that are kept, when some are forgotten.
    pub missed: Vec<Arc<Event>>,
    /// Whether events between the one it knew and the first of `missed` are forgotten.
    pub has_gap: bool,
    /// The number of the last event there was.
    pub last: u64,
    /// Those that follow; `Lagged` for a listener that does not keep up.
    pub receiver: broadcast::Receiver<Arc<Event>>,
}

impl Default for EventBus {
    fn default() -> Self {
        let (sender, _) = broadcast::channel(QUEUED_EVENTS_MAX);
        let mut rng = rand::rng();
        let run = (0..RUN_LEN).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect();
        Self(Arc::new(Inner { run, kept: Mutex::default(), sender }))
    }
}

impl EventBus {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of this run of the service: an event's number means something beside it alone.
    pub fn run(&self) -> &str {
        &self.0.run
    }

    /// Tells everybody. Never waits.
    pub fn publish(&self, stream: StreamKey, kind: EventKind) {
        let mut kept = self.kept();
        let id = kept.back().map_or(1, |last| last.id + 1);
        let event = Arc::new(Event { id, at: SystemTime::now(), stream, kind });
        if kept.len() >= KEPT_EVENTS_MAX {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&event));
        // Nobody listens: that is no error.
        let _ = self.0.sender.send(event);
    }

    /// Listens from now on; with `after`, also to the kept events that came after that one.
    pub fn subscribe(&self, after: Option<u64>) -> Subscription {
        let kept = self.kept();
        let receiver = self.0.sender.subscribe();
        let last = kept.back().map_or(0, |last| last.id);
        let Some(after) = after else { return Subscription { missed: Vec::new(), has_gap: false, last, receiver } };
        let has_gap = kept.front().is_some_and(|first| first.id > after.saturating_add(1)) || last < after;
        let missed = kept.iter().filter(|event| has_gap || event.id > after).cloned().collect();
        Subscription { missed, has_gap, last, receiver }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamKey {
        StreamKey { app: "live".parse().expect("app"), id: "test".parse().expect("id") }
    }

    fn ids(subscription: &Subscription) -> Vec<u64> {
        subscription.missed.iter().map(|event| event.id).collect()
    }

    #[test]
    fn a_listener_that_comes_back_gets_what_it_missed_and_then_what_comes() {
        let bus = EventBus::default();
        for _ in 0..3 {
            bus.publish(stream(), EventKind::StreamPreparing);
        }
        let mut back = bus.subscribe(Some(1));
        assert_eq!((ids(&back), back.has_gap), (vec![2, 3], false));
        bus.publish(stream(), EventKind::StreamEnded { started: false, status: BroadcastStatus::Finished });
        assert_eq!(back.receiver.try_recv().expect("the next one").id, 4);
        assert_eq!(ids(&bus.subscribe(None)), Vec::<u64>::new());
        assert_eq!(ids(&bus.subscribe(Some(4))), Vec::<u64>::new());
    }

    #[test]
    fn what_is_forgotten_is_said() {
        let bus = EventBus::default();
        for _ in 0..KEPT_EVENTS_MAX + 5 {
            bus.publish(stream(), EventKind::StreamStarted);
        }
        let back = bus.subscribe(Some(2));
        assert!(back.has_gap);
        assert_eq!((back.missed.len(), back.missed[0].id), (KEPT_EVENTS_MAX, 6));
        // A number that this run of the service has not given yet is of an earlier run.
        let earlier = bus.subscribe(Some(999_999));
        assert!(earlier.has_gap && earlier.missed.len() == KEPT_EVENTS_MAX);
    }
}
