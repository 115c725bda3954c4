//! A pulled source's life, as a pure machine: `(state, event, now) → (state, action)`.
//!
//! A source is never given up: a failure is followed by another attempt, later and later, until somebody stops it.
//! The hard thing is not to hammer: a source that comes and goes at once counts as failing on, and one that has
//! refused user or password is left alone for long, since many cameras lock an account.
//!
//! - `Connecting`: an attempt runs; nothing has come of it.
//! - `Receiving`: media comes in.
//! - `Waiting`: an attempt failed; the next one starts at `retry_at`.
//! - `Stopped`: the end.

use std::time::Duration;

use crate::endpoint::state::RetryPolicy;

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Policy {
    /// After a failure.
    pub(super) failed: RetryPolicy,
    /// After refused credentials.
    pub(super) refused: RetryPolicy,
    /// A source that has delivered for this long has succeeded: what comes then is a first failure.
    pub(super) stable: Duration,
}

/// Where a source is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// An attempt runs.
    Connecting {
        /// Failures in a row before it.
        failures: u32,
    },
    /// Media comes in.
    Receiving {
        /// Failures in a row before it.
        failures: u32,
        /// Since when, on the caller's clock.
        since: Duration,
    },
    /// The next attempt comes.
    Waiting {
        /// Failures in a row.
        failures: u32,
        /// When, on the caller's clock.
        retry_at: Duration,
    },
    /// Over.
    Stopped,
}

/// What happens to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The first media of an attempt.
    Media,
    /// The attempt is over; `refused` when the source wants other credentials.
    Failed {
        /// Wrong user or password.
        refused: bool,
    },
    /// The wait is over.
    RetryDue,
    /// Nobody wants it any more.
    Stop,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    None,
    /// Start an attempt.
    Attempt,
    /// Wait this long.
    Wait(Duration),
    /// End what runs.
    End,
}

impl State {
    /// The first attempt runs.
    pub(super) const BEGIN: Self = Self::Connecting { failures: 0 };

    /// Failures in a row.
    pub(super) fn failures(self) -> u32 {
        match self {
            Self::Connecting { failures } | Self::Receiving { failures, .. } | Self::Waiting { failures, .. } => {
                failures
            }
            Self::Stopped => 0,
        }
    }

    /// Takes a step. `now` is any monotonic clock; `jitter` a random number in `0.0..=1.0`.
    #[must_use]
    pub(super) fn step(self, event: Event, now: Duration, policy: &Policy, jitter: f64) -> (Self, Action) {
        match (self, event) {
            (Self::Stopped, _) => (Self::Stopped, Action::None),
            (_, Event::Stop) => (Self::Stopped, Action::End),
            (Self::Connecting { failures }, Event::Media) => (Self::Receiving { failures, since: now }, Action::None),
            (Self::Connecting { failures }, Event::Failed { refused }) => {
                Self::wait(failures, refused, now, policy, jitter)
            }
            (Self::Receiving { failures, since }, Event::Failed { refused }) => {
                let stable = now.saturating_sub(since) >= policy.stable;
                Self::wait(if stable { 0 } else { failures }, refused, now, policy, jitter)
            }
            (Self::Waiting { failures, retry_at }, Event::RetryDue) if now >= retry_at => {
                (Self::Connecting { failures }, Action::Attempt)
            }
            (state, _) => (state, Action::None),
        }
    }

    fn wait(failures: u32, refused: bool, now: Duration, policy: &Policy, jitter: f64) -> (Self, Action) {
        let failures = failures.saturating_add(1);
        let delay = if refused { policy.refused } else { policy.failed }.delay(failures, jitter);
        (Self::Waiting { failures, retry_at: now.saturating_add(delay) }, Action::Wait(delay))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    const POLICY: Policy = Policy {
        failed: RetryPolicy { min: secs(1), max: secs(30) },
        refused: RetryPolicy { min: secs(60), max: secs(600) },
        stable: secs(10),
    };
    const NOW: Duration = secs(100);

    #[test]
    fn every_step_of_the_documented_life() {
        use Action as A;
        let connecting = |failures| State::Connecting { failures };
        let receiving = |failures, since| State::Receiving { failures, since: secs(since) };
        let waiting = |failures, at| State::Waiting { failures, retry_at: secs(at) };
        let failed = Event::Failed { refused: false };
        let refused = Event::Failed { refused: true };
        for (state, event, next, action) in [
            (State::BEGIN, Event::Media, receiving(0, 100), A::None),
            (State::BEGIN, failed, waiting(1, 101), A::Wait(secs(1))),
            (connecting(4), failed, waiting(5, 116), A::Wait(secs(16))),
            (connecting(u32::MAX), failed, waiting(u32::MAX, 130), A::Wait(secs(30))),
            (State::BEGIN, refused, waiting(1, 160), A::Wait(secs(60))),
            (connecting(1), refused, waiting(2, 220), A::Wait(secs(120))),
            (receiving(3, 95), failed, waiting(4, 108), A::Wait(secs(8))),
            (receiving(3, 90), failed, waiting(1, 101), A::Wait(secs(1))),
            (receiving(3, 90), Event::Media, receiving(3, 90), A::None),
            (waiting(2, 100), Event::RetryDue, connecting(2), A::Attempt),
            (waiting(2, 101), Event::RetryDue, waiting(2, 101), A::None),
            (waiting(2, 101), failed, waiting(2, 101), A::None),
            (waiting(2, 101), Event::Stop, State::Stopped, A::End),
            (State::Stopped, failed, State::Stopped, A::None),
            (State::Stopped, Event::Stop, State::Stopped, A::None),
        ] {
            assert_eq!(state.step(event, NOW, &POLICY, 1.0), (next, action), "{state:?} {event:?}");
        }
    }

    proptest! {
        /// Whatever happens, in whatever order: one attempt at a time, a failure is never the end, and refused
        /// credentials are never tried again within the minute.
        #[test]
        fn no_order_of_events_breaks_the_life(
            events in prop::collection::vec((0_u8..5, 0_u64..40), 1..80),
            jitter in 0.0..=1.0,
        ) {
            let (mut state, mut now, mut running, mut not_before) = (State::BEGIN, Duration::ZERO, true, Duration::ZERO);
            for (event, seconds) in events {
                now += secs(seconds);
                let event = [
                    Event::Media,
                    Event::Failed { refused: false },
                    Event::Failed { refused: true },
                    Event::RetryDue,
                    Event::Stop,
                ][usize::from(event)];
                let (next, action) = state.step(event, now, &POLICY, jitter);
                match action {
                    Action::Attempt => {
                        prop_assert!(!running && now >= not_before);
                        running = true;
                    }
                    Action::Wait(delay) => {
                        prop_assert!(running);
                        running = false;
                        not_before = now + if event == (Event::Failed { refused: true }) { secs(60) } else { secs(1) };
                        prop_assert!(now + delay >= not_before);
                    }
                    Action::End => running = false,
                    Action::None => {}
                }
                prop_assert_eq!(running, matches!(next, State::Connecting { .. } | State::Receiving { .. }));
                state = next;
            }
        }
    }
}
