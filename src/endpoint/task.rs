//! The task of one endpoint: drives its state machine with what its attempts and the clock say.

mod attempt;
mod listening;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::FutureExt as _;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::diagnosis::Diagnosis;
use super::state::{Action, Event, Reason, RetryRule, State};
use super::{Board, EndpointContext, StreamLink};
use crate::media::off_thread::off_thread;
use crate::model::codec::Begun;
use crate::model::endpoint::{EndpointRecord, EndpointState, Failure};
use attempt::{Attempt, End};

/// Building, linking and stopping a branch each take a few milliseconds; more than this is a stuck element.
const BRANCH_MAX: Duration = Duration::from_secs(5);

/// At the end of a stream the last data is still inside the receiver's latency; it gets that time, at most this.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// What an endpoint's task owns.
pub(super) struct Task {
    record: EndpointRecord,
    stream: StreamLink,
    context: Arc<EndpointContext>,
    board: Board,
    stop: CancellationToken,
    /// Ends the wait for the next attempt.
    retry: Arc<Notify>,
    rule: RetryRule,
    state: State,
    diagnosis: Diagnosis,
    /// Zero of the state machine's clock.
    epoch: Instant,
}

impl Task {
    pub(super) fn new(
        record: EndpointRecord,
        stream: StreamLink,
        context: Arc<EndpointContext>,
        board: Board,
        stop: CancellationToken,
        retry: Arc<Notify>,
    ) -> Self {
        let rule = RetryRule::new(context.retry, record.retry);
        let (state, diagnosis, epoch) = (State::Created, Diagnosis::default(), Instant::now());
        Self { record, stream, context, board, stop, retry, rule, state, diagnosis, epoch }
    }

    pub(super) async fn run(self) {
        let span = tracing::error_span!("endpoint", stream = %self.stream.key, endpoint = %self.record.id);
        self.live().instrument(span).await;
    }

    async fn live(mut self) {
        let mut event = self.until_begun(|begun| begun.live).await;
        loop {
            let action = self.apply(event);
            event = match action {
                Action::Connect | Action::Reconnect => self.attempt().await,
                Action::Wait(delay) => self.wait(Some(delay)).await,
                Action::GiveUp => self.wait(None).await,
                Action::AwaitTrack => {
                    let tracks = self.record.tracks;
                    self.until_begun(|begun| begun.live && tracks.any(*begun)).await
                }
                // A sleep may end a moment early by the state machine's clock.
                Action::None if matches!(self.state, State::Waiting { .. }) => {
                    sleep(Duration::from_millis(5)).await;
                    Event::RetryDue
                }
                Action::None | Action::Stop => return,
            };
        }
    }

    async fn until_begun(&mut self, wanted: impl FnMut(&Begun) -> bool) -> Event {
        let mut begun = self.stream.begun.clone();
        tokio::select! {
            begun = begun.wait_for(wanted) => if begun.is_ok() { Event::Live } else { Event::Stop },
            () = self.stop.cancelled() => Event::Stop,
        }
    }

    /// Waits for the next attempt: until it is due, if it ever is; until somebody wants it now; or until the publisher
    /// comes back. Without a publisher there is nothing to send, and nobody is called.
    async fn wait(&mut self, delay: Option<Duration>) -> Event {
        // A wish from before the failure is not one for an attempt after it.
        let _ = self.retry.notified().now_or_never();
        let due = async {
            match delay {
                Some(delay) => sleep(delay).await,
                None => std::future::pending().await,
            }
            live(self.stream.begun.clone()).await;
        };
        let back = async {
            let mut begun = self.stream.begun.clone();
            let gone = begun.wait_for(|begun| !begun.live).await.is_ok();
            match delay {
                Some(_) if gone => live(begun).await,
                _ => std::future::pending().await,
            }
        };
        let wished = async {
            self.retry.notified().await;
            live(self.stream.begun.clone()).await;
        };
        tokio::select! {
            () = due => Event::RetryDue,
            () = back => Event::RetryNow,
            () = wished => Event::RetryNow,
            () = self.stop.cancelled() => Event::Stop,
        }
    }

    /// Takes a step of the state machine, and tells everybody.
    fn apply(&mut self, event: Event) -> Action {
        let jitter = rand::random::<f64>();
        let before = self.state.shown();
        let state = std::mem::replace(&mut self.state, State::Created);
        let (state, action) = state.step(event, self.epoch.elapsed(), &self.rule, jitter);
        self.state = state;
        let (shown, attempt) = (self.state.shown(), self.state.attempt());
        let failure = self.state.reason().filter(|_| shown != before).map(|reason| {
            let delay = if let Action::Wait(delay) = action { Some(delay) } else { None };
            self.failure(attempt, reason.clone(), delay)
        });
        if failure.is_none() && shown != before {
            tracing::info!(state = %shown, "endpoint");
        }
        self.board.step(shown, attempt, failure);
        action
    }

    /// A failure as it is shown, and its line in the log.
    fn failure(&self, attempt: u32, reason: Reason, delay: Option<Duration>) -> Failure {
        let (at, retry_in_ms) = (SystemTime::now(), delay.map(|delay| delay.as_millis()));
        let (state, Reason { cause, phase, text }) = (self.state.shown(), reason);
        let before = self.board.read(|seen| seen.failure.clone());
        // The same failure again is counted (`attempt`), not repeated; that it is the last one is said.
        let known = before.as_ref().is_some_and(|before| (before.cause, &before.text) == (cause, &text));
        if known && state != EndpointState::Failed {
            tracing::debug!(%state, attempt, %cause, text, retry_in_ms, "endpoint failed again");
        } else {
            tracing::warn!(%state, attempt, %cause, text, retry_in_ms, "endpoint failed");
        }
        let since = before.map_or(at, |before| before.since);
        Failure { cause, phase, text, attempt, at, since, next_retry_at: delay.map(|delay| at + delay) }
    }

    /// One attempt, from the resolver to the end of its branch and the reason for it.
    async fn attempt(&mut self) -> Event {
        let stop = self.stop.clone();
        let destination = tokio::select! {
            destination = self.destination() => destination,
            () = stop.cancelled() => return Event::Stop,
        };
        let destination = match destination {
            Ok(destination) => destination,
            Err(event) => return event,
        };
        let mut attempt = match self.start(destination).await {
            Ok(attempt) => attempt,
            Err(event) => return event,
        };
        let end = self.watch(&mut attempt).await;
        if end == End::Stop && attempt.is_connected() {
            sleep(attempt.latency().min(DRAIN_MAX)).await;
        }
        self.take_down(attempt).await;
        match end {
            End::Stop => Event::Stop,
            End::Rebuild => Event::Rebuild,
            End::Again => Event::RetryNow,
            End::Failed(reason) => Event::Failed(reason),
            End::NoConnection(ended) => tokio::select! {
                reason = self.diagnosis.of(&ended, &self.record.url, destination) => Event::Failed(reason),
                () = stop.cancelled() => Event::Stop,
            },
        }
    }

    async fn take_down(&self, mut attempt: Attempt) {
        attempt.measure_last(&self.board);
        let _ = off_thread("stopping an endpoint's branch", BRANCH_MAX, move || drop(attempt)).await;
    }
}

/// Waits until the stream is live; for ever if it has ended, for then the task is stopped.
async fn live(mut begun: watch::Receiver<Begun>) {
    if begun.wait_for(|begun| begun.live).await.is_err() {
        std::future::pending::<()>().await;
    }
}
