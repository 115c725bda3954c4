//! The WHIP sessions that run, by the random id in their URL.
//!
//! Owns their register. Must not know HTTP. The hard thing: a session ends by itself as well, and its URL
//! must be unknown from then on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use uuid::Uuid;

use super::fragment::Offered;
use crate::api::publishers::seam::Peer;
use crate::ingest::webrtc::SessionNews;
use crate::model::ids::StreamKey;

/// Sessions in the register; the ingest has a bound of its own, which is smaller by default.
const SESSIONS_MAX: usize = 1_000;
/// Candidates taken from a client over all its fragments.
const CANDIDATES_MAX: usize = 256;

/// A running session.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// Its stream.
    pub(super) key: StreamKey,
    /// Its peer connection.
    pub(super) peer: Arc<dyn Peer>,
    /// What its offer said.
    pub(super) offered: Arc<Offered>,
    /// Names its ICE session, unquoted.
    pub(super) tag: Uuid,
    /// Candidates that may still come.
    candidates_left: usize,
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
        let (id, tag) = (Uuid::new_v4(), Uuid::new_v4());
        let running = Running { key, peer, offered: Arc::new(offered), tag, candidates_left: CANDIDATES_MAX };
        self.lock().insert(id, running);
        (id, tag)
    }

    /// The session of this id, if it is `key`'s.
    pub(super) fn get(&self, id: Uuid, key: &StreamKey) -> Option<Running> {
        self.lock().get(&id).filter(|running| running.key == *key).cloned()
    }

    /// How many of `wanted` candidates the session may still take; they are counted as taken.
    pub(super) fn take_candidates(&self, id: Uuid, wanted: usize) -> usize {
        let mut sessions = self.lock();
        let Some(running) = sessions.get_mut(&id) else { return 0 };
        let taken = wanted.min(running.candidates_left);
        running.candidates_left -= taken;
        taken
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
