//! WebRTC publishers: one peer connection each, in a pipeline of its own.
//!
//! Knows sessions, offers and candidates; must not know WebSocket or HTTP, which are `api`'s. The hard
//! things: media is let through only from the peer whose certificate the offer named, and a teardown that
//! hangs must not hold anybody up.

mod agent;
mod answer;
mod depay;
mod feedback;
mod fingerprint;
mod gate;
mod ice;
mod media;
mod negotiated;
mod peer;
mod sdp;
mod session;
mod statistics;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument as _;

use crate::config::Settings;
use crate::manager::{Manager, Publication, PublishRefusal, PublishRequest};
use crate::model::ids::StreamKey;
use negotiated::Negotiated;

pub use crate::nice::Credentials;

/// News of a session that may wait for whoever signals; see [`SessionNews`].
const NEWS_LEN: usize = 64;

/// How long the end of a session is waited for, until its id is free: a millisecond is usual.
const FREE_MAX: Duration = Duration::from_secs(2);
/// How often it looks meanwhile.
const FREE_LOOK: Duration = Duration::from_millis(5);

/// A STUN or TURN server that a browser is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port`, `turns:host:port` (RFC 7064, RFC 7065).
    pub uri: String,
    /// TURN user.
    pub username: Option<String>,
    /// TURN password.
    pub credential: Option<String>,
}

/// An ICE candidate, of either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Index of its m-line.
    pub mline_index: u32,
    /// Its `mid`, where known.
    pub mid: Option<String>,
    /// `candidate:…` (RFC 8839); empty: no more will come (RFC 8840).
    pub candidate: String,
}

/// How candidates travel to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trickle {
    /// One by one, as [`SessionNews::Candidate`].
    OneByOne,
    /// All inside the answer, which waits until they are gathered (bounded).
    InAnswer,
}

/// What a restart of ICE gives the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// Index of the m-line that carries the transport.
    pub mline_index: u32,
    /// This side's: those it had before.
    pub credentials: Credentials,
    /// This side's candidates: the same as before, for its sockets stay.
    pub candidates: Vec<String>,
}

/// Why an offer cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The offer is at fault; says what is wrong and what is wanted.
    #[error("{0}")]
    Bad(String),
    /// It offers nothing that can be carried on.
    #[error("{0}")]
    NoCodec(String),
    /// As many sessions as may be are running.
    #[error("all {0} WebRTC sessions are taken")]
    Full(usize),
    /// The server failed; the log says more.
    #[error("{0}")]
    Internal(String),
}

/// What a session tells whoever signals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionNews {
    /// A local candidate ([`Trickle::OneByOne`] only); an empty one: all are gathered.
    Candidate(Candidate),
    /// The first media came through: the stream is live.
    Started,
    /// It is over. The last news; the cause in words.
    Ended(String),
}

/// The WebRTC ingest; clones share it.
#[derive(Debug, Clone)]
pub struct WebRtc(Arc<Shared>);

/// What all sessions share.
#[derive(Debug)]
struct Shared {
    manager: Manager,
    settings: Arc<Settings>,
    shutdown: CancellationToken,
    /// One permit for each session that may still begin; a session keeps its own until its pipeline is down.
    slots: Arc<Semaphore>,
}

/// An admitted publisher that has not offered yet. Dropping it gives the id back.
#[derive(Debug)]
pub struct Admission {
    shared: Arc<Shared>,
    publication: Publication,
    /// Where the signalling comes from, for the log.
    peer: SocketAddr,
}

/// A peer connection. Dropping it ends it and the publication.
#[derive(Debug)]
pub struct Session {
    shared: Arc<Shared>,
    key: StreamKey,
    negotiated: Arc<Negotiated>,
    handle: session::Handle,
    /// Candidates of the peer that were passed on.
    candidates: AtomicUsize,
    ended: DropGuard,
}

impl Shared {
    /// Waits until the manager has taken an id back whose publication was dropped (bounded).
    async fn until_free(&self, key: &StreamKey) {
        let free = async {
            while let Err(PublishRefusal::InUse(_)) = self.manager.check_publish(key.app.as_str(), key.id.as_str()) {
                sleep(FREE_LOOK).await;
            }
        };
        if timeout(FREE_MAX, free).await.is_err() {
            tracing::warn!(stream = %key, limit_ms = FREE_MAX.as_millis(), "the id of an ended session is not free yet");
        }
    }
}

impl WebRtc {
    /// Nothing runs yet.
    pub fn new(manager: Manager, settings: Arc<Settings>, shutdown: CancellationToken) -> Self {
        let slots = Arc::new(Semaphore::new(settings.webrtc.sessions_max));
        Self(Arc::new(Shared { manager, settings, shutdown, slots }))
    }

    /// What browsers are told to use.
    pub fn ice_servers(&self) -> Vec<IceServer> {
        let webrtc = &self.0.settings.webrtc;
        [&webrtc.stun_server, &webrtc.turn_server]
            .into_iter()
            .flatten()
            .filter_map(|uri| ice::browser_server(uri))
            .collect()
    }

    /// Waits until no session is left, and no pipeline of one; after a shutdown that takes a moment. To be
    /// bounded by the caller: a pipeline that hangs is given up only after seconds.
    pub async fn ended(&self) {
        let all = u32::try_from(self.0.settings.webrtc.sessions_max).unwrap_or(u32::MAX);
        let _ = self.0.slots.acquire_many(all).await;
    }

    /// Claims the id for this publisher.
    ///
    /// # Errors
    /// The manager's refusal: a bad id, an unknown application, an id in use.
    pub async fn admit(&self, request: PublishRequest) -> Result<Admission, PublishRefusal> {
        let peer = request.peer;
        let publication = self.0.manager.publish(request).await?;
        Ok(Admission { shared: Arc::clone(&self.0), publication, peer })
    }
}

impl Admission {
    /// Application and id.
    pub fn key(&self) -> &StreamKey {
        self.publication.key()
    }

    /// Answers an offer: the answer's SDP, the session, and its news.
    ///
    /// # Errors
    /// The id is free again then.
    pub async fn answer(
        self,
        offer: &str,
        trickle: Trickle,
    ) -> Result<(String, Session, mpsc::Receiver<SessionNews>), OfferError> {
        let span = tracing::error_span!("webrtc", stream = %self.key(), peer = %self.peer);
        let (offer, key, shared) = (offer.to_owned(), self.key().clone(), Arc::clone(&self.shared));
        // A task of its own: should the caller give up meanwhile, what is half built is still taken down in order.
        let establishing = session::establish(self, offer, trickle).instrument(span);
        let answered = tokio::spawn(establishing).await;
        let answered = answered.unwrap_or_else(|panic| Err(OfferError::Internal(panic.to_string())));
        if answered.is_err() {
            shared.until_free(&key).await;
        }
        answered
    }
}

impl Session {
    /// Takes a candidate of the peer.
    ///
    /// # Errors
    /// It is no candidate, or names no m-line.
    pub fn add_candidate(&self, candidate: &Candidate) -> Result<(), OfferError> {
        let inner = self.negotiated.inner_mline(candidate)?;
        let ice_tcp = self.shared.settings.webrtc.ice_tcp;
        match (ice::remote(&candidate.candidate, ice_tcp)?, inner) {
            (ice::Remote::Ignore(why), _) => {
                tracing::debug!(stream = %self.key, why, "a candidate of the peer is ignored");
            }
            (ice::Remote::Take(_), None) => {}
            (ice::Remote::Take(candidate), Some(_)) => {
                if self.candidates.fetch_add(1, Ordering::Relaxed) < ice::CANDIDATES_MAX {
                    self.handle.add_candidate(candidate);
                }
            }
        }
        Ok(())
    }

    /// Restarts ICE (RFC 8445, 9) with new credentials of the peer: DTLS and the stream go on, by the old way until
    /// a new one is found. The peer's candidates are to be given anew, after this.
    ///
    /// # Errors
    /// [`OfferError::Bad`]: the credentials cannot be used. [`OfferError::Internal`]: libnice has refused, or the
    /// session is ending; ICE is as it was.
    pub fn restart_ice(
        &self,
        remote: Credentials,
    ) -> impl Future<Output = Result<Restarted, OfferError>> + Send + use<> {
        let checked = sdp::check_credentials(&remote);
        let restart = checked.map(|()| self.handle.restart(remote));
        self.candidates.store(0, Ordering::Relaxed);
        async move {
            let refused = || OfferError::Internal("ICE could not be restarted".into());
            restart?.await.ok_or_else(refused)
        }
    }

    /// Ends it and waits until the id is free (bounded). Dropping does the same without waiting.
    pub async fn close(self) {
        let Self { shared, key, handle, ended, .. } = self;
        drop(ended);
        if timeout(FREE_MAX, handle.given_back()).await.is_ok() {
            shared.until_free(&key).await;
        }
    }
}

#[cfg(test)]
mod tests;
