//! Who is told gets its messages one after the other, each as often as it takes, bounded.
//!
//! Owns a queue and a task per receiver, while there is something to tell it. The hard thing is the one that is dead: it
//! must delay nobody. Attempts run on threads that may block, so they are counted; those at receivers that failed last
//! have places of their own, and whoever works never waits behind them. That a receiver failed is remembered for a while,
//! beyond the message that it failed on.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::message::Message;
use crate::model::source::SourceUrl;

/// Receivers at a time that something waits for; each has a task.
const RECEIVERS_MAX: usize = 1_000;

/// Messages that wait for one receiver; of more, the oldest go.
const WAITING_MAX: usize = 500;

/// Attempts at a time at receivers that work, and at those that don't. Each blocks a thread for some seconds at most.
const WORKING_MAX: usize = 16;
/// See [`WORKING_MAX`].
const FAILING_MAX: usize = 8;

/// How long a receiver counts as dead after it has failed last.
const DEAD_FOR: Duration = Duration::from_secs(600);
/// Receivers that are remembered as dead; of more, those that failed first are forgotten.
const DEAD_MAX: usize = RECEIVERS_MAX;

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

/// A receiver in the log: its scheme and its host. What stands behind them is often a secret, with or without a name.
fn named(url: &str) -> String {
    let parsed = SourceUrl::parse(url).ok();
    let net = parsed.as_ref().and_then(SourceUrl::net);
    net.map_or_else(|| "no URL".to_owned(), |net| format!("{}://{}", net.scheme.as_str(), net.host))
}

/// Everything that is to be told; clones share it.
#[derive(Clone)]
pub(super) struct Deliveries(Arc<Inner>);

struct Inner {
    post: Arc<dyn Post>,
    bounds: Bounds,
    /// What waits, by receiver; one that is here has a task.
    receivers: Mutex<HashMap<String, VecDeque<Message>>>,
    dead: Mutex<Dead>,
    /// How many receivers have one.
    busy: watch::Sender<usize>,
    working: Semaphore,
    failing: Semaphore,
}

impl Inner {
    fn receivers(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Message>>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dead(&self) -> MutexGuard<'_, Dead> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When receivers have failed last, of those that did.
#[derive(Default)]
struct Dead(HashMap<String, Instant>);

impl Dead {
    fn holds(&self, url: &str, now: Instant) -> bool {
        self.0.get(url).is_some_and(|failed| now.saturating_duration_since(*failed) < DEAD_FOR)
    }

    fn note(&mut self, url: &str, failed: bool, now: Instant) {
        if !failed {
            self.0.remove(url);
            return;
        }
        if self.0.len() >= DEAD_MAX && !self.0.contains_key(url) {
            self.0.retain(|_, failed| now.saturating_duration_since(*failed) < DEAD_FOR);
            let oldest = self.0.iter().min_by_key(|(_, failed)| **failed).map(|(url, _)| url.clone());
            if let Some(oldest) = oldest.filter(|_| self.0.len() >= DEAD_MAX) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(url.to_owned(), now);
    }
}

impl Deliveries {
    pub(super) fn new(post: Arc<dyn Post>, bounds: Bounds) -> Self {
        Self(Arc::new(Inner {
            post,
            bounds,
            receivers: Mutex::default(),
            dead: Mutex::default(),
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
                tracing::warn!(%stream, action, receiver = named(url), "too much waits for a webhook; its oldest message is dropped");
            }
            waiting.push_back(message);
        } else if receivers.len() >= RECEIVERS_MAX {
            let Message { stream, action, .. } = message;
            tracing::warn!(%stream, action, receiver = named(url), "too many webhooks at a time; a message is dropped");
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
        while let Some(message) = self.next(&url) {
            self.deliver(&url, Arc::new(message)).await;
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

    /// Tries until it is told or dropped.
    async fn deliver(self: &Arc<Self>, url: &str, message: Arc<Message>) {
        let Message { stream, action, .. } = &*message;
        for attempt in 1..=self.bounds.attempts {
            let failing = self.dead().holds(url, Instant::now());
            let outcome = self.attempt(url, &message, failing).await;
            self.dead().note(url, outcome.is_err(), Instant::now());
            let Err(reason) = outcome else {
                tracing::debug!(%stream, action, attempt, "webhook told");
                return;
            };
            if attempt == self.bounds.attempts {
                tracing::warn!(%stream, action, receiver = named(url), attempt, reason, "a webhook could not be told; the message is dropped");
                break;
            }
            let wait = self.bounds.wait(attempt, rand::rng().random_range(0.0..=1.0));
            // The first of a series is enough for the log.
            if attempt == 1 {
                tracing::warn!(%stream, action, receiver = named(url), reason, retry_ms = wait.as_millis(), "a webhook was not told; it is tried again");
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(self: &Arc<Self>, url: &str, message: &Arc<Message>, failing: bool) -> Result<(), String> {
        let places = if failing { &self.failing } else { &self.working };
        let _place = places.acquire().await.map_err(|_| "the service ends".to_owned())?;
        let (inner, url, message) = (Arc::clone(self), url.to_owned(), Arc::clone(message));
        let posting = tokio::task::spawn_blocking(move || inner.post.post(&url, &message));
        posting.await.unwrap_or_else(|error| Err(format!("the attempt ended badly: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_dead_for_a_while_and_as_long_as_it_fails() {
        let (mut dead, begin) = (Dead::default(), Instant::now());
        dead.note("a", true, begin);
        assert!(dead.holds("a", begin + DEAD_FOR / 2) && !dead.holds("b", begin));
        assert!(!dead.holds("a", begin + DEAD_FOR));
        dead.note("a", true, begin + DEAD_FOR / 2);
        assert!(dead.holds("a", begin + DEAD_FOR));
        dead.note("a", false, begin + DEAD_FOR);
        assert!(!dead.holds("a", begin + DEAD_FOR) && dead.0.is_empty());
        for n in 0..DEAD_MAX + 1 {
            dead.note(&n.to_string(), true, begin + Duration::from_millis(n as u64));
        }
        let end = begin + Duration::from_millis(DEAD_MAX as u64);
        assert!(!dead.holds("0", end) && dead.holds("1", end) && dead.0.len() == DEAD_MAX, "the first is forgotten");
    }

    #[test]
    fn a_receiver_is_named_without_whatever_may_be_a_secret() {
        for (url, wanted) in [
            ("https://user:pw-1@hooks.example.org/services/T0/B0/pw-2?key=pw-3", "https://hooks.example.org"),
            ("http://192.0.2.1:8080/pw-1", "http://192.0.2.1"),
            ("pw-1", "no URL"),
        ] {
            assert_eq!(named(url), wanted);
        }
    }
}
