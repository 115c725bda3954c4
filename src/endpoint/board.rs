//! What is seen of an endpoint, kept over streams and reconnects. Its task writes; whoever holds the board reads.
//!
//! The manager makes one board for each endpoint and hands it to every task that runs the endpoint, one at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::events::{EventBus, EventKind};
use crate::model::endpoint::{
    CallerStatistics, Cause, EndpointState, EndpointStatistics, EndpointStatus, Failure, Transition,
};
use crate::model::ids::{EndpointId, StreamKey};
use crate::model::srt_url::SrtUrl;

/// Steps of an endpoint's life that are remembered.
pub const HISTORY_MAX: usize = 50;

/// What is seen of an endpoint at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointSnapshot {
    /// Its id.
    pub id: EndpointId,
    /// Where it is in its life.
    pub state: EndpointState,
    /// Since when.
    pub since: SystemTime,
    /// Attempts since the last success, the running one included; 0 while broadcasting.
    pub attempt: u32,
    /// Why the last attempt failed; kept until the next success.
    pub failure: Option<Failure>,
    /// The last steps, oldest first, [`HISTORY_MAX`] at most.
    pub history: VecDeque<Transition>,
    /// What it has sent.
    pub statistics: EndpointStatistics,
    /// A listener's callers.
    pub callers: Vec<CallerStatistics>,
}

impl EndpointSnapshot {
    /// The state in Ant Media's words.
    pub fn status(&self) -> EndpointStatus {
        self.state.status()
    }
}

/// Where an endpoint's state is written; clones share it.
#[derive(Debug, Clone)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: StreamKey,
    seen: watch::Sender<EndpointSnapshot>,
    events: EventBus,
    /// Where it went when it ran last.
    url: Mutex<Option<SrtUrl>>,
}

impl Board {
    /// Of an endpoint that has never run.
    pub fn new(stream: StreamKey, id: EndpointId, events: EventBus) -> Self {
        let seen = EndpointSnapshot {
            id,
            state: EndpointState::Idle,
            since: SystemTime::now(),
            attempt: 0,
            failure: None,
            history: VecDeque::new(),
            statistics: EndpointStatistics::default(),
            callers: Vec::new(),
        };
        Self(Arc::new(Inner { stream, seen: watch::Sender::new(seen), events, url: Mutex::default() }))
    }

    /// It runs now, with this address: what failed at another one is history.
    pub(crate) fn runs(&self, url: &SrtUrl) {
        let before = self.0.url.lock().unwrap_or_else(PoisonError::into_inner).replace(url.clone());
        if before.is_some_and(|before| !before.means_the_same(url)) {
            self.0.seen.send_modify(|seen| seen.failure = None);
        }
    }

    /// What is seen now.
    pub fn snapshot(&self) -> EndpointSnapshot {
        self.0.seen.borrow().clone()
    }

    /// Reads without a copy.
    pub fn read<T>(&self, read: impl FnOnce(&EndpointSnapshot) -> T) -> T {
        read(&self.0.seen.borrow())
    }

    /// Tells of every change.
    pub fn watch(&self) -> watch::Receiver<EndpointSnapshot> {
        self.0.seen.subscribe()
    }

    /// Takes a step, notes it and tells it. A state without news is no step.
    pub(crate) fn step(&self, state: EndpointState, attempt: u32, failure: Option<Failure>) {
        let at = SystemTime::now();
        let mut told = None;
        self.0.seen.send_if_modified(|seen| {
            if seen.state == state && seen.attempt == attempt && failure.is_none() {
                return false;
            }
            let (cause, text): (Option<Cause>, _) =
                failure.as_ref().map_or((None, None), |failure| (Some(failure.cause), Some(failure.text.clone())));
            let next_retry_at = failure.as_ref().and_then(|failure| failure.next_retry_at);
            let transition = Transition { at, state, attempt, cause, text, next_retry_at };
            if seen.history.len() >= HISTORY_MAX {
                seen.history.pop_front();
            }
            seen.history.push_back(transition.clone());
            if seen.state != state {
                (seen.state, seen.since) = (state, at);
            }
            seen.attempt = attempt;
            match failure {
                Some(failure) => seen.failure = Some(failure),
                None if matches!(state, EndpointState::Broadcasting | EndpointState::Listening) => seen.failure = None,
                None => {
                    if let Some(failure) = &mut seen.failure {
                        failure.next_retry_at = None;
                    }
                }
            }
            told = Some((seen.id.clone(), transition));
            true
        });
        if let Some((id, transition)) = told {
            self.0.events.publish(self.0.stream.clone(), EventKind::Endpoint(id, transition));
        }
    }

    /// Changes what was counted and measured; no step of its life.
    pub(crate) fn measure(&self, change: impl FnOnce(&mut EndpointStatistics, &mut Vec<CallerStatistics>)) {
        self.0.seen.send_modify(|seen| change(&mut seen.statistics, &mut seen.callers));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoint::Phase;

    fn board(events: &EventBus) -> Board {
        let stream = StreamKey { app: "live".parse().expect("app"), id: "test".parse().expect("id") };
        Board::new(stream, "one".parse().expect("id"), events.clone())
    }

    fn failure() -> Failure {
        let at = SystemTime::now();
        let text = "nobody answers".to_owned();
        let (cause, phase) = (Cause::Timeout, Phase::Connect);
        Failure { cause, phase, text, attempt: 1, at, since: at, next_retry_at: Some(at) }
    }

    #[test]
    fn steps_are_noted_and_told_and_a_success_forgets_the_failure() {
        let events = EventBus::default();
        let mut listener = events.subscribe(None).receiver;
        let board = board(&events);
        board.step(EndpointState::Idle, 0, None);
        board.step(EndpointState::Connecting, 1, None);
        board.step(EndpointState::Waiting, 1, Some(failure()));
        assert!(board.read(|seen| seen.failure.as_ref().is_some_and(|failure| failure.next_retry_at.is_some())));
        board.step(EndpointState::Connecting, 2, None);
        assert!(board.read(|seen| seen.failure.as_ref().is_some_and(|failure| failure.next_retry_at.is_none())));
        board.step(EndpointState::Broadcasting, 0, None);
        let seen = board.snapshot();
        assert_eq!(seen.failure, None);
        let states: Vec<_> = seen.history.iter().map(|step| (step.state.as_str(), step.cause)).collect();
        let timeout = Some(Cause::Timeout);
        assert_eq!(
            states,
            [("connecting", None), ("waiting", timeout), ("connecting", None), ("broadcasting", None)],
            "and `idle` was no step"
        );
        let told: Vec<_> = std::iter::from_fn(|| listener.try_recv().ok()).collect();
        assert_eq!(told.len(), 4);
    }

    #[test]
    fn a_failure_is_of_the_address_that_it_failed_at() {
        let board = board(&EventBus::default());
        let runs = |url: &str| board.runs(&url.parse().expect("URL"));
        runs("srt://a:1?latency=200&passphrase=0123456789");
        board.step(EndpointState::Waiting, 1, Some(failure()));
        // Switched off and on again, or written otherwise.
        runs("srt://a:1?passphrase=0123456789&latency=200");
        assert!(board.read(|seen| seen.failure.is_some()));
        runs("srt://b:1?latency=200&passphrase=0123456789");
        assert!(board.read(|seen| seen.failure.is_none() && seen.history.len() == 1));
    }

    #[test]
    fn the_history_is_bounded() {
        let board = board(&EventBus::default());
        for attempt in 1..=HISTORY_MAX as u32 + 7 {
            board.step(EndpointState::Connecting, attempt, None);
        }
        let seen = board.snapshot();
        assert_eq!((seen.history.len(), seen.history[0].attempt), (HISTORY_MAX, 8));
    }
}
