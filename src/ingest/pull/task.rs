//! One source's task: it steps the machine in `state`, runs its attempts and says how it fares.
//!
//! Owns the waits and the report. Must not know protocols. The hard thing is an attempt that does not come back: its
//! thread is left behind, loudly, and the next one starts.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Context;
use super::attempt::Attempt;
use super::failure::{Failure, Phase};
use super::state::{Action, Event, Policy, State};
use crate::endpoint::state::RetryPolicy;
use crate::manager::{SourceFailure, SourceState, WantedSource};
use crate::model::ids::StreamKey;

/// A source is begun although the one before it has not ended after this.
const BEFORE_MAX: Duration = Duration::from_secs(8);

/// An attempt that was told to end is given up after this and the waits that it may be in: a look-up, the end of a
/// pipeline.
const END_MAX: Duration = Duration::from_secs(8);

/// A source that has delivered for this long has succeeded.
const STABLE: Duration = Duration::from_secs(10);

/// The longest wait after refused credentials, as a multiple of the shortest.
const REFUSED_FACTOR_MAX: u32 = 10;

/// A source's task, about to run.
pub(super) struct Task {
    key: StreamKey,
    wanted: WantedSource,
    context: Arc<Context>,
    stop: CancellationToken,
    /// Zero of the machine's clock.
    epoch: Instant,
    policy: Policy,
    /// When the first failure in a row was.
    failing_since: Option<SystemTime>,
}

impl Task {
    pub(super) fn new(key: StreamKey, wanted: WantedSource, context: Arc<Context>, stop: CancellationToken) -> Self {
        let pull = &context.settings.pull;
        let policy = |min_ms: u64, max_ms: u64| RetryPolicy {
            min: Duration::from_millis(min_ms),
            max: Duration::from_millis(max_ms),
        };
        let refused_max_ms = pull.refused_wait_ms.saturating_mul(REFUSED_FACTOR_MAX.into());
        let policy = Policy {
            failed: policy(pull.retry_min_ms, pull.retry_max_ms),
            refused: policy(pull.refused_wait_ms, refused_max_ms),
            stable: STABLE,
        };
        Self { key, wanted, context, stop, epoch: Instant::now(), policy, failing_since: None }
    }

    /// Runs until it is stopped. `before` is the task of the source that this one replaces.
    pub(super) async fn run(self, before: Option<JoinHandle<()>>) {
        let span = tracing::error_span!("pull", stream = %self.key);
        self.go_on(before).instrument(span).await;
    }

    async fn go_on(mut self, before: Option<JoinHandle<()>>) {
        if let Some(before) = before {
            // Its publication would be in the way.
            let _ = tokio::time::timeout(BEFORE_MAX, before).await;
        }
        tracing::info!(source = %self.wanted.source, "pulling");
        let mut state = State::BEGIN;
        loop {
            let failure = self.attempt(&mut state).await;
            let event = match &failure {
                _ if self.stop.is_cancelled() => Event::Stop,
                failure => Event::Failed { refused: failure.refused },
            };
            let Action::Wait(delay) = self.step(&mut state, event) else { break };
            self.report_failure(&failure, state, delay);
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(delay) => {}
            }
            // The timer may be a moment early by the machine's clock.
            while self.step(&mut state, Event::RetryDue) != Action::Attempt {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.wanted.report.update(|status| {
                status.state = SourceState::Connecting;
                if let Some(failure) = &mut status.failure {
                    failure.next_retry_at = None;
                }
            });
        }
        tracing::info!("pulled no more");
    }

    fn step(&self, state: &mut State, event: Event) -> Action {
        let (next, action) = state.step(event, self.epoch.elapsed(), &self.policy, rand::random());
        *state = next;
        action
    }

    /// One attempt, to its end.
    async fn attempt(&mut self, state: &mut State) -> Failure {
        let (first, mut media) = mpsc::unbounded_channel();
        let stop = self.stop.child_token();
        let attempt = Attempt {
            key: self.key.clone(),
            source: Arc::clone(&self.wanted.source),
            report: self.wanted.report.clone(),
            context: Arc::clone(&self.context),
            stop: stop.clone(),
            first,
        };
        let _stopped = stop.clone().drop_guard();
        let (done, mut ended) = oneshot::channel();
        let span = tracing::Span::current();
        let thread = std::thread::Builder::new().name("pull".into()).spawn(move || {
            // Nobody waits any more: it was given up.
            let _ = done.send(span.in_scope(|| attempt.run()));
        });
        if let Err(error) = thread {
            return Failure::new(Phase::Connect, format!("there is no thread for it: {error}"));
        }
        loop {
            tokio::select! {
                Some(()) = media.recv() => {
                    self.step(state, Event::Media);
                    self.failing_since = None;
                    tracing::info!("media comes in");
                    self.wanted.report.update(|status| {
                        status.state = SourceState::Receiving;
                        status.failure = None;
                    });
                }
                failure = &mut ended => return failure.unwrap_or_else(|_| Failure::new(Phase::Receive, "internal error")),
                () = stop.cancelled() => break,
            }
        }
        let pull = &self.context.settings.pull;
        // A connection, the answer, or a piece of it: each looks for the end when it is over.
        let waits_ms = pull.connect_timeout_ms.saturating_mul(2).max(pull.silence_timeout_ms);
        let end_max = END_MAX.saturating_add(Duration::from_millis(waits_ms));
        match tokio::time::timeout(end_max, ended).await {
            Ok(failure) => failure.unwrap_or_else(|_| Failure::new(Phase::Receive, "internal error")),
            Err(_) => {
                tracing::error!(limit_ms = end_max.as_millis(), "a source does not end; its thread is left behind");
                Failure::new(Phase::Receive, "it does not end")
            }
        }
    }

    fn report_failure(&mut self, failure: &Failure, state: State, delay: Duration) {
        let now = SystemTime::now();
        let since = *self.failing_since.get_or_insert(now);
        let (phase, cause, attempt) = (failure.phase.as_str(), failure.cause.clone(), state.failures());
        // The first of a row, and then ever more seldom: a camera may be away for days.
        if attempt.is_power_of_two() {
            tracing::warn!(phase, cause, attempt, retry_in_ms = delay.as_millis(), "the source failed");
        } else {
            tracing::debug!(phase, cause, attempt, retry_in_ms = delay.as_millis(), "the source failed");
        }
        self.wanted.report.update(|status| {
            status.state = SourceState::Waiting;
            status.speed = 0.0;
            status.failure =
                Some(SourceFailure { cause, phase, attempt, since, next_retry_at: now.checked_add(delay) });
        });
    }
}
