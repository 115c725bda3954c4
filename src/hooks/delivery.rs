//! Who is told gets its messages one after the other, each as often as it takes, bounded.
//!
//! Owns a queue and a task per receiver, while there is something to tell it. The hard thing is the one that is dead: it
//! must delay nobody. Attempts run on threads that may block, so they are counted; those at receivers that failed last
//! have places of their own, and whoever works never waits behind them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::message::Message;
use crate::model::srt_url::redact;

/// Receivers at a time that something waits for; each has a task.
const RECEIVERS_MAX: usize = 1_000;

/// Messages that wait for one receiver; of more, the oldest go.
const WAITING_MAX: usize = 500;

/// Attempts at a time at receivers that work, and at those that don't. Each blocks a thread for some seconds at most.
const WORKING_MAX: usize = 16;
/// See [`WORKING_MAX`].
const FAILING_MAX: usize = 8;

/// How often a message is tried before it is dropped: with the waits in between, for one and a half minutes.
const ATTEMPTS_MAX: u32 = 8;
/// Before the second attempt; doubles with each.
const RETRY_MIN: Duration = Duration::from_millis(1_000);
/// The longest wait between two attempts.
const RETRY_MAX: Duration = Duration::from_millis(30_000);
/// Of a wait, as much is left to chance, so that those who failed together do not come back together.
const JITTER: f64 = 0.2;

/// Sends a message once. May block for some seconds.
pub(super) trait Post: Send + Sync + 'static {
    /// The error is a sentence without secrets.
    fn post(&self, url: &str, message: &Message) -> Result<(), String>;
}

/// Values, not only constants, so that tests need not wait as long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) waiting: usize,
    pub(super) attempts: u32,
    pub(super) retry_min: Duration,
    pub(super) retry_max: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { waiting: WAITING_MAX, attempts: ATTEMPTS_MAX, retry_min: RETRY_MIN, retry_max: RETRY_MAX }
    }
}

impl Bounds {
    /// The wait behind this attempt, from 1; `chance` is from 0 to 1.
    pub(super) fn wait(&self, attempt: u32, chance: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let wait = self.retry_min.saturating_mul(doubled).min(self.retry_max);
        wait.mul_f64(1.0 - JITTER * chance)
    }
}

/// Everything that is to be told; clones share it.
#[derive(Clone)]
pub(super) struct Deliveries(Arc<Inner>);

struct Inner {
    post: Arc<dyn Post>,
    bounds: Bounds,
    /// What waits, by receiver; one that is here has a task.
    receivers: Mutex<HashMap<String, VecDeque<Message>>>,
    /// How many receivers have one.
    busy: watch::Sender<usize>,
    working: Semaphore,
    failing: Semaphore,
}

impl Inner {
    fn receivers(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Message>>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deliveries {
    pub(super) fn new(post: Arc<dyn Post>, bounds: Bounds) -> Self {
        Self(Arc::new(Inner {
            post,
            bounds,
            receivers: Mutex::default(),
            busy: watch::Sender::new(0),
            working: Semaphore::new(WORKING_MAX),
            failing: Semaphore::new(FAILING_MAX),
        }))
    }

    /// Puts a message in the line of a receiver. Never waits.
    pub(super) fn push(&self, url: &str, message: Message) {
        let mut receivers = self.0.receivers();
        if let Some(waiting) = receivers.get_mut(url) {
            if waiting.len() >= self.0.bounds.waiting
                && let Some(oldest) = waiting.pop_front()
            {
                let Message { stream, action, .. } = oldest;
                tracing::warn!(%stream, action, url = redact(url), "too much waits for a webhook; its oldest message is dropped");
            }
            waiting.push_back(message);
        } else if receivers.len() >= RECEIVERS_MAX {
            let Message { stream, action, .. } = message;
            tracing::warn!(%stream, action, url = redact(url), "too many webhooks at a time; a message is dropped");
        } else {
            receivers.insert(url.to_owned(), VecDeque::from([message]));
            self.0.busy.send_replace(receivers.len());
            tokio::spawn(Arc::clone(&self.0).work(url.to_owned()));
        }
    }

    /// Waits until nothing waits any more, at most so long.
    pub(super) async fn drain(&self, bound: Duration) {
        let mut busy = self.0.busy.subscribe();
        let done = timeout(bound, busy.wait_for(|busy| *busy == 0)).await.is_ok();
        if !done {
            let receivers = self.0.receivers();
            let waiting: usize = receivers.values().map(VecDeque::len).sum();
            tracing::warn!(receivers = receivers.len(), waiting, "not everything could be told to webhooks");
        }
    }
}

impl Inner {
    /// A receiver's task: until nothing waits for it.
    async fn work(self: Arc<Self>, url: String) {
        let mut failing = false;
        while let Some(message) = self.next(&url) {
            failing = self.deliver(&url, Arc::new(message), failing).await;
        }
    }

    fn next(&self, url: &str) -> Option<Message> {
        let mut receivers = self.receivers();
        let next = receivers.get_mut(url).and_then(VecDeque::pop_front);
        if next.is_none() {
            receivers.remove(url);
            self.busy.send_replace(receivers.len());
        }
        next
    }

    /// Tries until it is told or dropped; says whether the receiver fails.
    async fn deliver(self: &Arc<Self>, url: &str, message: Arc<Message>, mut failing: bool) -> bool {
        let Message { stream, action, .. } = &*message;
        for attempt in 1..=self.bounds.attempts {
            let Err(reason) = self.attempt(url, &message, failing).await else {
                tracing::debug!(%stream, action, attempt, "webhook told");
                return false;
            };
            failing = true;
            if attempt == self.bounds.attempts {
                tracing::warn!(%stream, action, url = redact(url), attempt, reason, "a webhook could not be told; the message is dropped");
                break;
            }
            let wait = self.bounds.wait(attempt, rand::rng().random_range(0.0..=1.0));
            // The first of a series is enough for the log.
            if attempt == 1 {
                tracing::warn!(%stream, action, url = redact(url), reason, retry_ms = wait.as_millis(), "a webhook was not told; it is tried again");
            }
            tokio::time::sleep(wait).await;
        }
        failing
    }

    async fn attempt(self: &Arc<Self>, url: &str, message: &Arc<Message>, failing: bool) -> Result<(), String> {
        let places = if failing { &self.failing } else { &self.working };
        let _place = places.acquire().await.map_err(|_| "the service ends".to_owned())?;
        let (inner, url, message) = (Arc::clone(self), url.to_owned(), Arc::clone(message));
        let posting = tokio::task::spawn_blocking(move || inner.post.post(&url, &message));
        posting.await.unwrap_or_else(|error| Err(format!("the attempt ended badly: {error}")))
    }
}
