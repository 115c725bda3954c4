//! WebRTC publishers, however they signal: who is let in, and what is kept of what they say.
//!
//! Owns the wait for an id whose last publisher is just leaving, and which of a publisher's words are
//! stored. Must not know a wire format. The hard thing: a page that is reloaded asks for its id while its
//! old connection is still being taken down, and the answer must be neither a refusal nor late.

#[cfg(test)]
pub(in crate::api) mod fake;
pub(in crate::api) mod seam;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ingest::webrtc::{IceServer, WebRtc};
use crate::manager::{PublishRefusal, PublishRequest};
use crate::model::ids::StreamKey;
use crate::model::query::is_secret;
use seam::{Admitted, Ingest, Peer};

/// How long a publisher waits for an id that is in use: a reloaded page's old socket may close a moment
/// after the new one asks. Short, since a publisher is to have its answer within 1 s.
const IN_USE_WAIT: Duration = Duration::from_millis(700);
/// How long it waits when the publisher before it is known to be leaving. Ant Media's SDK gives up after 3 s.
const LEAVING_WAIT: Duration = Duration::from_millis(2_500);
/// Time between two tries.
const RETRY_EVERY: Duration = Duration::from_millis(50);

/// Pairs kept of what a publisher says of its stream.
const META_PAIRS_MAX: usize = 32;
/// Longest pair kept, in bytes.
const META_PAIR_BYTES_MAX: usize = 4_096;
/// Names who holds a credential: handed on no more than that.
const SUBSCRIBER_KEY: &str = "subscriberId";
/// Longest `User-Agent` kept, in characters.
const USER_AGENT_LEN_MAX: usize = 256;

/// The way in for WebRTC publishers.
pub(super) struct Publishers {
    /// Takes them.
    ingest: Arc<dyn Ingest>,
    /// The service's own runtime: a worker's ends with the server.
    runtime: Handle,
    /// Streams whose publisher is on its way out, with how many of it are.
    leaving: Arc<Mutex<HashMap<StreamKey, usize>>>,
}

impl std::fmt::Debug for Publishers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publishers").field("leaving", &self.leaving).finish_non_exhaustive()
    }
}

impl Publishers {
    /// Must be called on the service's own runtime.
    pub(super) fn new(webrtc: WebRtc) -> Self {
        let runtime = Handle::current();
        Self::over(Arc::new(seam::RealIngest { webrtc, runtime: runtime.clone() }), runtime)
    }

    pub(super) fn over(ingest: Arc<dyn Ingest>, runtime: Handle) -> Self {
        Self { ingest, runtime, leaving: Arc::default() }
    }

    /// What browsers are told to use.
    pub(super) fn ice_servers(&self) -> Vec<IceServer> {
        self.ingest.ice_servers()
    }

    /// Claims the id; waits a moment, and longer when its publisher is leaving, for one that is in use.
    pub(super) async fn admit(&self, request: PublishRequest) -> Result<Box<dyn Admitted>, PublishRefusal> {
        let asked = Instant::now();
        loop {
            let refusal = match self.ingest.admit(request.clone()).await {
                Err(PublishRefusal::InUse(key)) => key,
                answer => return answer,
            };
            let wait = if self.is_leaving(&refusal) { LEAVING_WAIT } else { IN_USE_WAIT };
            if asked.elapsed() >= wait {
                return Err(PublishRefusal::InUse(refusal));
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Ends a peer connection behind the caller, who may wait for it.
    pub(super) fn close(&self, key: StreamKey, peer: Arc<dyn Peer>) -> BoxFuture<'static, ()> {
        let leaving = self.leave(key);
        let closing = self.runtime.spawn(async move {
            peer.close().await;
            drop(leaving);
        });
        Box::pin(async move {
            let _ = closing.await;
        })
    }

    /// Runs it on the service's own runtime.
    pub(super) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.runtime.spawn(task)
    }

    /// Marks the stream's publisher as leaving, until the guard is dropped.
    pub(super) fn leave(&self, key: StreamKey) -> Leaving {
        *lock(&self.leaving).entry(key.clone()).or_default() += 1;
        Leaving { all: Arc::clone(&self.leaving), key }
    }

    pub(super) fn is_leaving(&self, key: &StreamKey) -> bool {
        lock(&self.leaving).contains_key(key)
    }
}

/// A publisher on its way out.
#[derive(Debug)]
#[must_use]
pub(super) struct Leaving {
    all: Arc<Mutex<HashMap<StreamKey, usize>>>,
    key: StreamKey,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(count) = all.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.key);
            }
        }
    }
}

fn lock(all: &Mutex<HashMap<StreamKey, usize>>) -> MutexGuard<'_, HashMap<StreamKey, usize>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What of a publisher's words is kept: nothing empty, no credential, not too much.
pub(super) fn meta(pairs: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    pairs
        .into_iter()
        .filter(|(key, value)| !key.is_empty() && !value.is_empty() && key.len() + value.len() <= META_PAIR_BYTES_MAX)
        .filter(|(key, _)| !is_secret(key) && !key.eq_ignore_ascii_case(SUBSCRIBER_KEY))
        .take(META_PAIRS_MAX)
        .collect()
}

/// What the client calls itself.
pub(super) fn user_agent(request: &actix_web::HttpRequest) -> Option<String> {
    let given = request.headers().get(actix_web::http::header::USER_AGENT)?.to_str().ok()?;
    Some(given.chars().take(USER_AGENT_LEN_MAX).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::Relaxed;

    use super::seam::Answered;
    use super::*;
    use crate::ingest::webrtc::{OfferError, Trickle};
    use crate::model::broadcast::PublishType;

    /// Refuses this often, and then admits.
    struct Stubborn(AtomicU32);

    struct Nobody;

    impl Admitted for Nobody {
        fn answer(self: Box<Self>, _: String, _: Trickle) -> BoxFuture<'static, Result<Answered, OfferError>> {
            unreachable!("nobody offers")
        }
    }

    impl Ingest for Stubborn {
        fn ice_servers(&self) -> Vec<IceServer> {
            Vec::new()
        }

        fn admit(&self, _: PublishRequest) -> BoxFuture<'static, Result<Box<dyn Admitted>, PublishRefusal>> {
            let left = self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
            Box::pin(async move {
                left.map_or_else(|_| Ok(Box::new(Nobody) as Box<dyn Admitted>), |_| Err(PublishRefusal::InUse(key())))
            })
        }
    }

    fn key() -> StreamKey {
        StreamKey { app: "live".parse().expect("app"), id: "s".parse().expect("id") }
    }

    /// What becomes of a publisher, and after how long.
    async fn asked(refusals: u32, leaving: bool) -> (bool, Duration) {
        let publishers = Publishers::over(Arc::new(Stubborn(AtomicU32::new(refusals))), Handle::current());
        let _leaving = leaving.then(|| publishers.leave(key()));
        let request = PublishRequest {
            app: "live".into(),
            stream: "s".into(),
            publish_type: PublishType::WebRtc,
            peer: "192.0.2.1:5".parse().expect("address"),
            user_agent: None,
            meta: Vec::new(),
        };
        let begun = Instant::now();
        let admitted = publishers.admit(request).await.is_ok();
        (admitted, begun.elapsed())
    }

    #[tokio::test]
    async fn an_id_in_use_is_waited_for_a_moment_and_longer_when_its_publisher_leaves() {
        let (at_once, soon, never, leaving) =
            tokio::join!(asked(0, false), asked(2, false), asked(u32::MAX, false), asked(u32::MAX, true));
        assert!(at_once.0 && soon.0 && soon.1 >= 2 * RETRY_EVERY, "{at_once:?} {soon:?}");
        assert!(!never.0 && never.1 >= IN_USE_WAIT, "{never:?}");
        assert!(!leaving.0 && leaving.1 >= LEAVING_WAIT, "{leaving:?}");
    }

    #[test]
    fn credentials_and_empty_words_are_not_kept() {
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let long = "x".repeat(META_PAIR_BYTES_MAX);
        let given = pairs(&[
            ("streamName", "News"),
            ("token", "s"),
            ("subscriberId", "s"),
            ("SubscriberCode", "s"),
            ("TOKEN", "s"),
            ("mainTrack", ""),
            ("", "v"),
            ("long", &long),
            ("metaData", "{\"a\":1}"),
        ]);
        assert_eq!(meta(given), pairs(&[("streamName", "News"), ("metaData", "{\"a\":1}")]));
        assert_eq!(meta((0..100).map(|n| (format!("k{n}"), "v".into()))).len(), META_PAIRS_MAX);
    }
}
