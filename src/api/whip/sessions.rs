//! The WHIP sessions that run, by the random id in their URL.
//!
//! Owns their register, and what each PATCH changes. Must not know HTTP. The hard things: a session ends by itself
//! as well, and its URL must be unknown from then on; and a client's PATCHes overlap (RFC 9725, 4.3.1).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use super::fragment::Offered;
use crate::api::publishers::seam::Peer;
use crate::ingest::webrtc::{Candidate, Credentials, OfferError, SessionNews};
use crate::model::ids::StreamKey;

/// Sessions in the register; the ingest has a bound of its own, which is smaller by default.
const SESSIONS_MAX: usize = 1_000;
/// Candidates taken from a client over all its fragments of an ICE session.
const CANDIDATES_MAX: usize = 256;

/// Least time between two restarts of ICE of a session; one that comes sooner waits for it. Each is a licence for
/// packets to addresses that a stranger names.
const RESTART_EVERY: Duration = Duration::from_millis(500);

/// A running session.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// Its stream.
    pub(super) key: StreamKey,
    /// Its peer connection.
    pub(super) peer: Arc<dyn Peer>,
    /// Held while a PATCH is carried out: each is judged by what the one before has left.
    pub(super) ice: Arc<tokio::sync::Mutex<Ice>>,
}

/// A session's ICE session.
#[derive(Debug)]
pub(super) struct Ice {
    /// What its offer, its answer and its restarts said.
    pub(super) offered: Offered,
    /// Names it, unquoted.
    pub(super) tag: Uuid,
    /// Candidates that may still come.
    candidates_left: usize,
    restarted: Option<Instant>,
}

impl Ice {
    fn new(offered: Offered) -> Self {
        Self { offered, tag: Uuid::new_v4(), candidates_left: CANDIDATES_MAX, restarted: None }
    }

    /// Hands candidates on, as many as may still come.
    pub(super) fn add(&mut self, running: &Running, candidates: &[Candidate]) {
        let taken = candidates.len().min(self.candidates_left);
        self.candidates_left -= taken;
        for candidate in &candidates[..taken] {
            // One that can't be used is discarded without a word (RFC 9725, 4.3.2).
            if let Err(error) = running.peer.add_candidate(candidate) {
                tracing::debug!(stream = %running.key, %error, "a candidate is ignored");
            }
        }
    }

    /// Restarts ICE: the session's side for the client. When it fails, everything is as it was.
    pub(super) async fn restart(
        &mut self,
        running: &Running,
        credentials: Credentials,
        candidates: &[Candidate],
    ) -> Result<String, OfferError> {
        let elapsed = self.restarted.map_or(RESTART_EVERY, |before| before.elapsed());
        tokio::time::sleep(RESTART_EVERY.saturating_sub(elapsed)).await;
        self.restarted = Some(Instant::now());
        let restarted = Arc::clone(&running.peer).restart_ice(credentials.clone()).await?;
        (self.tag, self.candidates_left) = (Uuid::new_v4(), CANDIDATES_MAX);
        self.offered.restarted(&credentials);
        self.add(running, candidates);
        Ok(self.offered.answer(&restarted))
    }
}

/// All of them; clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Sessions(Arc<Mutex<HashMap<Uuid, Running>>>);

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more has a place.
    pub(super) fn have_place(&self) -> bool {
        self.lock().len() < SESSIONS_MAX
    }

    /// Enters one: its id and its tag.
    pub(super) fn enter(&self, key: StreamKey, peer: Arc<dyn Peer>, offered: Offered) -> (Uuid, Uuid) {
        let (id, ice) = (Uuid::new_v4(), Ice::new(offered));
        let tag = ice.tag;
        let running = Running { key, peer, ice: Arc::new(tokio::sync::Mutex::new(ice)) };
        self.lock().insert(id, running);
        (id, tag)
    }

    /// The session of this id, if it is `key`'s.
    pub(super) fn get(&self, id: Uuid, key: &StreamKey) -> Option<Running> {
        self.lock().get(&id).filter(|running| running.key == *key).cloned()
    }

    /// Takes it out of the register.
    pub(super) fn remove(&self, id: Uuid) -> Option<Running> {
        self.lock().remove(&id)
    }

    /// Waits until the session ends by itself, and takes it out then.
    pub(super) async fn watch(self, id: Uuid, mut news: mpsc::Receiver<SessionNews>) {
        while let Some(item) = news.recv().await {
            match item {
                SessionNews::Ended(cause) => {
                    if let Some(running) = self.remove(id) {
                        tracing::info!(stream = %running.key, cause, "a WHIP session ended");
                    }
                    return;
                }
                SessionNews::Started | SessionNews::Candidate(_) => {}
            }
        }
        self.remove(id);
    }
}
