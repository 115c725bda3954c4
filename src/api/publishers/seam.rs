//! What the signalling needs of the WebRTC ingest, as traits, so that it runs in tests without GStreamer.
//!
//! Owns the traits and their one real implementation. Must not know a wire format. The hard thing: HTTP
//! workers have runtimes of their own, which end with the server, and a peer connection must not depend on
//! one: every call goes to the runtime that the service runs on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::ingest::webrtc::{
    Admission, Candidate, Credentials, IceServer, OfferError, Restarted, Session, SessionNews, Trickle, WebRtc,
};
use crate::manager::{PublishRefusal, PublishRequest};

/// An answered offer: the answer, the peer connection, its news.
pub(in crate::api) type Answered = (String, Arc<dyn Peer>, mpsc::Receiver<SessionNews>);

/// Takes publishers.
pub(in crate::api) trait Ingest: Send + Sync + 'static {
    /// What browsers are told to use.
    fn ice_servers(&self) -> Vec<IceServer>;
    /// Claims the id for a publisher.
    fn admit(&self, request: PublishRequest) -> BoxFuture<'static, Result<Box<dyn Admitted>, PublishRefusal>>;
}

/// An admitted publisher that has not offered yet. Dropping it gives the id back.
pub(in crate::api) trait Admitted: Send + 'static {
    /// Answers an offer.
    fn answer(self: Box<Self>, offer: String, trickle: Trickle) -> BoxFuture<'static, Result<Answered, OfferError>>;
}

/// A peer connection. It ends when it is closed, or with its last owner.
pub(in crate::api) trait Peer: Send + Sync + 'static {
    /// Takes a candidate of the other side.
    fn add_candidate(&self, candidate: &Candidate) -> Result<(), OfferError>;
    /// Restarts ICE with the other side's new credentials.
    fn restart_ice(self: Arc<Self>, remote: Credentials) -> BoxFuture<'static, Result<Restarted, OfferError>>;
    /// Ends it and waits until the id is free (bounded).
    fn close(self: Arc<Self>) -> BoxFuture<'static, ()>;
}

impl std::fmt::Debug for dyn Admitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admitted")
    }
}

impl std::fmt::Debug for dyn Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Peer")
    }
}

/// The real one.
pub(super) struct RealIngest {
    /// Does it.
    pub(super) webrtc: WebRtc,
    /// Where it does it.
    pub(super) runtime: Handle,
}

struct RealAdmission {
    admission: Admission,
    runtime: Handle,
}

struct RealPeer {
    session: Mutex<Option<Session>>,
    runtime: Handle,
}

impl Ingest for RealIngest {
    fn ice_servers(&self) -> Vec<IceServer> {
        self.webrtc.ice_servers()
    }

    fn admit(&self, request: PublishRequest) -> BoxFuture<'static, Result<Box<dyn Admitted>, PublishRefusal>> {
        let (webrtc, runtime) = (self.webrtc.clone(), self.runtime.clone());
        Box::pin(async move {
            let admitted = runtime.spawn(async move { webrtc.admit(request).await }).await;
            match admitted {
                Ok(Ok(admission)) => Ok(Box::new(RealAdmission { admission, runtime }) as Box<dyn Admitted>),
                Ok(Err(refusal)) => Err(refusal),
                Err(failure) => Err(PublishRefusal::Internal(failure.to_string())),
            }
        })
    }
}

impl Admitted for RealAdmission {
    fn answer(self: Box<Self>, offer: String, trickle: Trickle) -> BoxFuture<'static, Result<Answered, OfferError>> {
        Box::pin(async move {
            let Self { admission, runtime } = *self;
            let answered = runtime.spawn(async move { admission.answer(&offer, trickle).await }).await;
            match answered {
                Ok(Ok((answer, session, news))) => {
                    let peer = RealPeer { session: Mutex::new(Some(session)), runtime };
                    Ok((answer, Arc::new(peer) as Arc<dyn Peer>, news))
                }
                Ok(Err(error)) => Err(error),
                Err(failure) => Err(OfferError::Internal(failure.to_string())),
            }
        })
    }
}

impl RealPeer {
    fn session(&self) -> MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer for RealPeer {
    fn add_candidate(&self, candidate: &Candidate) -> Result<(), OfferError> {
        // A candidate for a closed session has come too late, which is no fault.
        self.session().as_ref().map_or(Ok(()), |session| session.add_candidate(candidate))
    }

    fn restart_ice(self: Arc<Self>, remote: Credentials) -> BoxFuture<'static, Result<Restarted, OfferError>> {
        let restart = self.session().as_ref().map(|session| session.restart_ice(remote));
        Box::pin(async move {
            let over = || OfferError::Internal("the session is over".into());
            let restarted = self.runtime.spawn(restart.ok_or_else(over)?).await;
            restarted.unwrap_or_else(|failure| Err(OfferError::Internal(failure.to_string())))
        })
    }

    fn close(self: Arc<Self>) -> BoxFuture<'static, ()> {
        let session = self.session().take();
        Box::pin(async move {
            let Some(session) = session else { return };
            // A panic in it has been reported where it happened.
            let _ = self.runtime.spawn(session.close()).await;
        })
    }
}
