//! An endpoint's life, as a pure machine: `(state, event, now) → (state, action)`.
//!
//! No clock, no GStreamer, no channel inside. An endpoint never gives up by itself: a failure is
//! followed by another attempt, later and later, until it is removed or its stream ends.
//!
//! - `Created`: the stream is not live yet.
//! - `Connecting`: an attempt runs; the receiver has not acknowledged anything.
//! - `Broadcasting`: the receiver has acknowledged data.
//! - `Waiting`: an attempt failed; the next one starts at `retry_at`.
//! - `Finished`: the stream ended or the endpoint was removed. The end.

use std::time::Duration;

use crate::model::endpoint::EndpointStatus;

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Before the second attempt, and the least delay at all.
    pub min: Duration,
    /// The longest delay.
    pub max: Duration,
}

impl RetryPolicy {
    /// The delay after `failures` failures in a row (1 and more): doubles each time up to `max`; the upper
    /// half of it is jitter (`0.0..=1.0`), so that endpoints which failed together do not return together.
    pub fn delay(&self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.min.saturating_mul(1_u32 << doublings).min(self.max);
        let half = full / 2;
        (half + half.mul_f64(jitter.clamp(0.0, 1.0))).max(self.min.min(self.max))
    }
}

/// Where an endpoint is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The stream is not live yet.
    Created,
    /// Attempt `attempt` (from 1) runs.
    Connecting {
        /// Counts from 1 since the last success.
        attempt: u32,
    },
    /// Data is acknowledged.
    Broadcasting,
    /// Attempt `attempt` failed.
    Waiting {
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        cause: String,
        /// When the next one starts, on the caller's clock.
        retry_at: Duration,
    },
    /// Over.
    Finished,
}

/// What happens to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The stream is live.
    Live,
    /// The receiver acknowledged data.
    Delivered,
    /// The attempt, or a running connection, ended for this reason.
    Failed(String),
    /// The branch must be built anew although nothing is wrong with the receiver (a codec changed).
    Rebuild,
    /// The retry delay is over.
    RetryDue,
    /// The stream ended, or the endpoint was removed.
    Stop,
}

/// What the endpoint's task is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Start an attempt.
    Connect,
    /// Take the attempt down and start another.
    Reconnect,
    /// Take the attempt down and wait this long.
    Wait(Duration),
    /// Take down what runs; it is over.
    Stop,
}

impl State {
    /// The state in Ant Media's words.
    pub fn status(&self) -> EndpointStatus {
        match self {
            Self::Created => EndpointStatus::Created,
            Self::Connecting { .. } => EndpointStatus::Preparing,
            Self::Broadcasting => EndpointStatus::Broadcasting,
            Self::Waiting { .. } => EndpointStatus::Error,
            Self::Finished => EndpointStatus::Finished,
        }
    }

    /// Attempts since the last success, the running one included.
    pub fn attempt(&self) -> u32 {
        match self {
            Self::Connecting { attempt } | Self::Waiting { attempt, .. } => *attempt,
            Self::Created | Self::Broadcasting | Self::Finished => 0,
        }
    }

    /// Takes a step. `now` is any monotonic clock; `jitter` a random number in `0.0..=1.0`.
    #[must_use]
    pub fn step(self, event: Event, now: Duration, policy: &RetryPolicy, jitter: f64) -> (Self, Action) {
        match (self, event) {
            (Self::Finished, _) => (Self::Finished, Action::None),
            (_, Event::Stop) => (Self::Finished, Action::Stop),
            (Self::Created, Event::Live) => (Self::Connecting { attempt: 1 }, Action::Connect),
            (Self::Connecting { .. }, Event::Delivered) => (Self::Broadcasting, Action::None),
            (Self::Connecting { attempt }, Event::Failed(cause)) => Self::wait(attempt, cause, now, policy, jitter),
            (Self::Broadcasting, Event::Failed(cause)) => Self::wait(1, cause, now, policy, jitter),
            (Self::Connecting { attempt }, Event::Rebuild) => (Self::Connecting { attempt }, Action::Reconnect),
            (Self::Broadcasting, Event::Rebuild) => (Self::Connecting { attempt: 1 }, Action::Reconnect),
            (Self::Waiting { attempt, retry_at, .. }, Event::RetryDue) if now >= retry_at => {
                (Self::Connecting { attempt: attempt.saturating_add(1) }, Action::Connect)
            }
            (state, _) => (state, Action::None),
        }
    }

    fn wait(attempt: u32, cause: String, now: Duration, policy: &RetryPolicy, jitter: f64) -> (Self, Action) {
        let delay = policy.delay(attempt, jitter);
        (Self::Waiting { attempt, cause, retry_at: now.saturating_add(delay) }, Action::Wait(delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RetryPolicy = RetryPolicy { min: Duration::from_secs(1), max: Duration::from_secs(30) };
    const NOW: Duration = Duration::from_secs(100);

    fn failed() -> Event {
        Event::Failed("Connection timeout".into())
    }

    fn waiting(attempt: u32, retry_at_s: u64) -> State {
        State::Waiting { attempt, cause: "Connection timeout".into(), retry_at: Duration::from_secs(retry_at_s) }
    }

    #[test]
    fn every_step_of_the_documented_life() {
        use Action as A;
        let connecting = |attempt| State::Connecting { attempt };
        for (state, event, next, action) in [
            (State::Created, Event::Live, connecting(1), A::Connect),
            (State::Created, Event::Stop, State::Finished, A::Stop),
            (State::Created, Event::RetryDue, State::Created, A::None),
            (connecting(1), Event::Delivered, State::Broadcasting, A::None),
            (connecting(1), failed(), waiting(1, 101), A::Wait(Duration::from_secs(1))),
            (connecting(2), failed(), waiting(2, 102), A::Wait(Duration::from_secs(2))),
            (connecting(9), failed(), waiting(9, 130), A::Wait(Duration::from_secs(30))),
            (connecting(u32::MAX), failed(), waiting(u32::MAX, 130), A::Wait(Duration::from_secs(30))),
            (waiting(2, 100), Event::RetryDue, connecting(3), A::Connect),
            (waiting(2, 101), Event::RetryDue, waiting(2, 101), A::None),
            (waiting(2, 101), failed(), waiting(2, 101), A::None),
            (State::Broadcasting, failed(), waiting(1, 101), A::Wait(Duration::from_secs(1))),
            (State::Broadcasting, Event::Rebuild, connecting(1), A::Reconnect),
            (State::Broadcasting, Event::Live, State::Broadcasting, A::None),
            (State::Finished, Event::Live, State::Finished, A::None),
            (State::Finished, Event::Stop, State::Finished, A::None),
        ] {
            assert_eq!(state.clone().step(event.clone(), NOW, &POLICY, 1.0), (next, action), "{state:?} {event:?}");
        }
    }

    fn events() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Live),
            Just(Event::Delivered),
            Just(failed()),
            Just(Event::Rebuild),
            Just(Event::RetryDue),
            Just(Event::Stop),
        ]
    }

    proptest! {
        #[test]
        fn delays_stay_between_the_bounds_and_never_shrink_with_failures(failures in 1_u32.., jitter in 0.0..=1.0) {
            let delay = POLICY.delay(failures, jitter);
            prop_assert!(delay >= POLICY.min && delay <= POLICY.max);
            prop_assert!(POLICY.delay(failures.saturating_add(1), jitter) >= delay);
        }

        /// Whatever happens, in whatever order: at most one attempt runs, a failure is never the end,
        /// and nothing follows the end.
        #[test]
        fn no_order_of_events_breaks_the_life(events in prop::collection::vec((events(), 0_u64..40), 1..60), jitter in 0.0..=1.0) {
            let (mut state, mut now, mut running) = (State::Created, Duration::ZERO, false);
            for (event, seconds) in events {
                now += Duration::from_secs(seconds);
                let stop = event == Event::Stop;
                let (next, action) = state.clone().step(event, now, &POLICY, jitter);
                match action {
                    Action::Connect => {
                        prop_assert!(!running);
                        running = true;
                    }
                    Action::Reconnect => prop_assert!(running),
                    Action::Wait(delay) => {
                        prop_assert!(running && delay >= POLICY.min && delay <= POLICY.max);
                        running = false;
                    }
                    Action::Stop => running = false,
                    Action::None => {}
                }
                prop_assert_eq!(running, matches!(next, State::Connecting { .. } | State::Broadcasting));
                prop_assert_eq!(next == State::Finished, stop || state == State::Finished);
                state = next;
            }
        }
    }
}
