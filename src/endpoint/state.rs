//! An endpoint's life, as a pure machine: `(state, event, now) → (state, action)`.
//!
//! No clock, no GStreamer, no channel inside. By itself an endpoint never gives up: a failure is followed by another
//! attempt, later and later, until it is removed, its stream ends, or the limit its user has set is reached.
//!
//! - `Created`: the stream is not live yet.
//! - `Trackless`: the stream has none of the tracks the endpoint sends; it connects when one begins.
//! - `Connecting`: an attempt runs; the receiver has not acknowledged anything.
//! - `Listening`: nobody has called (listener mode); it is no failure, however long it takes.
//! - `Broadcasting`: the receiver acknowledges new data.
//! - `Starved`: it is connected, and the stream has nothing for it: a pause of the publisher, a track that is gone, a wait
//!   for a key frame. No failure of the receiver's, so nothing is taken down.
//! - `Stalled`: it is connected and does not acknowledge; either it does again, or the attempt is given up.
//! - `Waiting`: an attempt failed; the next one starts at `retry_at`.
//! - `Failed`: given up; only a wish for another attempt ends it.
//! - `Finished`: the stream ended or the endpoint was removed. The end.

use std::time::Duration;

use crate::model::endpoint::{Cause, EndpointState, Phase, RetryWish};

/// A connection that has delivered for so long halves the number of failures, and again for each such time: after three
/// of them, 4.5 s, what fails counts from 1 again, and a receiver that is restarted time and again is found each time
/// within the shortest delay. A peer that takes a connection and drops it soon is called ever more seldom, as one that
/// refuses.
pub const LASTED_STEP: Duration = Duration::from_millis(1_500);

/// More failures than these count no more, once a connection has lasted for [`LASTED_STEP`].
const FAILURES_MAX: u32 = 8;

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

/// The rule of one endpoint: the service's, with what its user wants otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryRule {
    /// How long to wait.
    pub delays: RetryPolicy,
    /// Attempts that may fail in a row, at least 1; `None`: any number.
    pub limit: Option<u32>,
}

impl RetryRule {
    /// `wish` over `service`. Where one bound of the user's contradicts one of the service's, the user's holds.
    pub fn new(service: RetryPolicy, wish: RetryWish) -> Self {
        let delays = match (wish.min, wish.max) {
            (Some(min), Some(max)) => RetryPolicy { min, max: max.max(min) },
            (Some(min), None) => RetryPolicy { min, max: service.max.max(min) },
            (None, Some(max)) => RetryPolicy { min: service.min.min(max), max },
            (None, None) => service,
        };
        Self { delays, limit: wish.limit.map(|limit| limit.max(1)) }
    }
}

/// Where an endpoint is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The stream is not live yet.
    Created,
    /// There is nothing that it could send.
    Trackless {
        /// In words.
        reason: Reason,
    },
    /// Attempt `attempt` (from 1) runs.
    Connecting {
        /// Counts from 1 since the last success.
        attempt: u32,
    },
    /// Waits for somebody to call (listener mode).
    Listening,
    /// New data is acknowledged.
    Broadcasting {
        /// The attempt that led here.
        attempt: u32,
        /// Since when, on the caller's clock.
        since: Duration,
    },
    /// Connected, and there is nothing to send.
    Starved {
        /// What has failed when this one does.
        attempt: u32,
    },
    /// Connected, and nothing new arrives.
    Stalled {
        /// What has failed when this one does.
        attempt: u32,
        /// Why.
        reason: Reason,
    },
    /// Attempt `attempt` failed.
    Waiting {
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        reason: Reason,
        /// When the next one starts, on the caller's clock.
        retry_at: Duration,
    },
    /// Given up after attempt `attempt`.
    Failed {
        /// The attempt that failed last.
        attempt: u32,
        /// Why.
        reason: Reason,
    },
    /// Over.
    Finished,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// For programs.
    pub cause: Cause,
    /// What it was about.
    pub phase: Phase,
    /// For people, without secrets.
    pub text: String,
}

/// What happens to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The stream is live, with something to send.
    Live,
    /// The stream has none of the wanted tracks.
    NoTrack(Reason),
    /// Nobody is connected, and somebody may call (listener mode).
    Alone,
    /// The receiver acknowledges new data.
    Delivered,
    /// There has been nothing to send for a while.
    Starved,
    /// It does not, although it is connected.
    Stalled(Reason),
    /// The attempt, or a running connection, ended for this reason.
    Failed(Reason),
    /// It failed for a reason that another attempt cannot mend.
    Refused(Reason),
    /// The branch must be built anew although nothing is wrong with the receiver (a codec changed).
    Rebuild,
    /// The retry delay is over.
    RetryDue,
    /// Somebody does not want to wait for that, or the publisher has come back.
    RetryNow,
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
    /// Take the attempt down and wait for a wanted track.
    AwaitTrack,
    /// Take the attempt down and wait until somebody wants another.
    GiveUp,
    /// Take down what runs; it is over.
    Stop,
}

impl State {
    /// The state as it is shown.
    pub fn shown(&self) -> EndpointState {
        match self {
            Self::Created => EndpointState::Idle,
            Self::Connecting { .. } => EndpointState::Connecting,
            Self::Listening => EndpointState::Listening,
            Self::Broadcasting { .. } => EndpointState::Broadcasting,
            Self::Starved { .. } => EndpointState::Starved,
            Self::Stalled { .. } => EndpointState::Stalled,
            Self::Waiting { .. } | Self::Trackless { .. } => EndpointState::Waiting,
            Self::Failed { .. } => EndpointState::Failed,
            Self::Finished => EndpointState::Finished,
        }
    }

    /// Attempts since the last success, the running one included.
    pub fn attempt(&self) -> u32 {
        match self {
            Self::Connecting { attempt }
            | Self::Stalled { attempt, .. }
            | Self::Waiting { attempt, .. }
            | Self::Failed { attempt, .. } => *attempt,
            Self::Created
            | Self::Trackless { .. }
            | Self::Listening
            | Self::Broadcasting { .. }
            | Self::Starved { .. }
            | Self::Finished => 0,
        }
    }

    /// Why it does not deliver.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Trackless { reason }
            | Self::Stalled { reason, .. }
            | Self::Waiting { reason, .. }
            | Self::Failed { reason, .. } => Some(reason),
            Self::Created
            | Self::Connecting { .. }
            | Self::Listening
            | Self::Broadcasting { .. }
            | Self::Starved { .. }
            | Self::Finished => None,
        }
    }

    /// Takes a step. `now` is any monotonic clock; `jitter` a random number in `0.0..=1.0`.
    #[must_use]
    pub fn step(self, event: Event, now: Duration, rule: &RetryRule, jitter: f64) -> (Self, Action) {
        match (self, event) {
            (Self::Finished, _) => (Self::Finished, Action::None),
            (_, Event::Stop) => (Self::Finished, Action::Stop),
            (Self::Created | Self::Trackless { .. }, Event::Live) => (Self::Connecting { attempt: 1 }, Action::Connect),
            (Self::Connecting { .. }, Event::NoTrack(reason)) => (Self::Trackless { reason }, Action::AwaitTrack),
            (
                Self::Connecting { attempt } | Self::Stalled { attempt, .. } | Self::Starved { attempt },
                Event::Delivered,
            ) => (Self::Broadcasting { attempt, since: now }, Action::None),
            (Self::Broadcasting { attempt, since }, Event::Starved) => {
                (Self::Starved { attempt: failing(attempt, since, now) }, Action::None)
            }
            (Self::Stalled { attempt, .. }, Event::Starved) => (Self::Starved { attempt }, Action::None),
            (
                Self::Connecting { .. } | Self::Broadcasting { .. } | Self::Starved { .. } | Self::Stalled { .. },
                Event::Alone,
            ) => (Self::Listening, Action::None),
            (Self::Listening, Event::Starved) => (Self::Starved { attempt: 1 }, Action::None),
            (Self::Listening, Event::Delivered) => (Self::Broadcasting { attempt: 1, since: now }, Action::None),
            (Self::Listening, Event::Stalled(reason)) => (Self::Stalled { attempt: 1, reason }, Action::None),
            (Self::Listening, Event::Failed(reason)) => Self::wait(1, reason, now, rule, jitter),
            (Self::Listening, Event::Rebuild) => (Self::Connecting { attempt: 1 }, Action::Reconnect),
            (Self::Connecting { attempt } | Self::Starved { attempt }, Event::Stalled(reason)) => {
                (Self::Stalled { attempt, reason }, Action::None)
            }
            (Self::Broadcasting { attempt, since }, Event::Stalled(reason)) => {
                (Self::Stalled { attempt: failing(attempt, since, now), reason }, Action::None)
            }
            (
                Self::Connecting { attempt } | Self::Stalled { attempt, .. } | Self::Starved { attempt },
                Event::Failed(reason),
            ) => Self::wait(attempt, reason, now, rule, jitter),
            (Self::Broadcasting { attempt, since }, Event::Failed(reason)) => {
                Self::wait(failing(attempt, since, now), reason, now, rule, jitter)
            }
            (Self::Connecting { attempt }, Event::Refused(reason)) => {
                (Self::Failed { attempt, reason }, Action::GiveUp)
            }
            (Self::Connecting { attempt } | Self::Stalled { attempt, .. }, Event::Rebuild) => {
                (Self::Connecting { attempt }, Action::Reconnect)
            }
            (Self::Broadcasting { .. } | Self::Starved { .. }, Event::Rebuild) => {
                (Self::Connecting { attempt: 1 }, Action::Reconnect)
            }
            (Self::Waiting { attempt, retry_at, .. }, Event::RetryDue) if now >= retry_at => {
                (Self::Connecting { attempt: attempt.saturating_add(1) }, Action::Connect)
            }
            (Self::Waiting { attempt, .. }, Event::RetryNow) => {
                (Self::Connecting { attempt: attempt.saturating_add(1) }, Action::Connect)
            }
            (Self::Stalled { attempt, .. }, Event::RetryNow) => {
                (Self::Connecting { attempt: attempt.saturating_add(1) }, Action::Reconnect)
            }
            (Self::Failed { .. }, Event::RetryNow) => (Self::Connecting { attempt: 1 }, Action::Connect),
            (state, _) => (state, Action::None),
        }
    }

    fn wait(attempt: u32, reason: Reason, now: Duration, rule: &RetryRule, jitter: f64) -> (Self, Action) {
        if rule.limit.is_some_and(|limit| attempt >= limit) {
            return (Self::Failed { attempt, reason }, Action::GiveUp);
        }
        let delay = rule.delays.delay(attempt, jitter);
        (Self::Waiting { attempt, reason, retry_at: now.saturating_add(delay) }, Action::Wait(delay))
    }
}

/// Which attempt it is that fails, when attempt `attempt` has delivered since `since`.
fn failing(attempt: u32, since: Duration, now: Duration) -> u32 {
    let steps = now.saturating_sub(since).as_millis() / LASTED_STEP.as_millis();
    match u32::try_from(steps).unwrap_or(u32::MAX).min(u32::BITS - 1) {
        0 => attempt,
        steps => (attempt.min(FAILURES_MAX) >> steps).max(1),
    }
}

#[cfg(test)]
mod tests;
