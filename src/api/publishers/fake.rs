//! A WebRTC ingest without WebRTC: the real manager decides, tests say what comes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc;

use super::seam::{Admitted, Answered, Ingest, Peer};
use crate::ingest::webrtc::{Candidate, Credentials, IceServer, OfferError, Restarted, SessionNews, Trickle};
use crate::manager::{Manager, Publication, PublishRefusal, PublishRequest};

/// What it answers to every offer but those that are to fail.
pub(in crate::api) const ANSWER: &str = "v=0\r\na=answer\r\na=ice-options:trickle\r\n";

pub(in crate::api) struct FakeIngest {
    manager: Manager,
    /// What it names.
    pub(in crate::api) servers: Mutex<Vec<IceServer>>,
    /// The peer connections so far, in order.
    pub(in crate::api) peers: Arc<Mutex<Vec<Arc<FakePeer>>>>,
    /// Who was admitted, in order.
    pub(in crate::api) requests: Mutex<Vec<PublishRequest>>,
    /// How long a close takes, in ms.
    pub(in crate::api) close_ms: Arc<AtomicU64>,
}

struct FakeAdmitted {
    publication: Publication,
    peers: Arc<Mutex<Vec<Arc<FakePeer>>>>,
    close_ms: Arc<AtomicU64>,
}

#[derive(Debug)]
pub(in crate::api) struct FakePeer {
    publication: Mutex<Option<Publication>>,
    close_ms: Arc<AtomicU64>,
    /// How its candidates travel.
    pub(in crate::api) trickle: Trickle,
    /// What it was given.
    pub(in crate::api) candidates: Mutex<Vec<Candidate>>,
    /// The credentials of each restart.
    pub(in crate::api) restarts: Mutex<Vec<Credentials>>,
    /// By this it tells what happens.
    pub(in crate::api) news: mpsc::Sender<SessionNews>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeIngest {
    pub(in crate::api) fn new(manager: Manager) -> Arc<Self> {
        Arc::new(Self {
            manager,
            servers: Mutex::default(),
            peers: Arc::default(),
            requests: Mutex::default(),
            close_ms: Arc::default(),
        })
    }

    pub(in crate::api) fn last_peer(&self) -> Arc<FakePeer> {
        Arc::clone(lock(&self.peers).last().expect("somebody has connected"))
    }
}

/// The ingest as the signalling sees it; a test keeps the other owner.
pub(in crate::api) struct Shared(pub(in crate::api) Arc<FakeIngest>);

impl Ingest for Shared {
    fn ice_servers(&self) -> Vec<IceServer> {
        lock(&self.0.servers).clone()
    }

    fn admit(&self, request: PublishRequest) -> BoxFuture<'static, Result<Box<dyn Admitted>, PublishRefusal>> {
        let ingest = Arc::clone(&self.0);
        Box::pin(async move {
            let publication = ingest.manager.publish(request.clone()).await?;
            lock(&ingest.requests).push(request);
            let (peers, close_ms) = (Arc::clone(&ingest.peers), Arc::clone(&ingest.close_ms));
            Ok(Box::new(FakeAdmitted { publication, peers, close_ms }) as Box<dyn Admitted>)
        })
    }
}

impl Admitted for FakeAdmitted {
    fn answer(self: Box<Self>, offer: String, trickle: Trickle) -> BoxFuture<'static, Result<Answered, OfferError>> {
        Box::pin(async move {
            let Self { publication, peers, close_ms } = *self;
            match offer.as_str() {
                "bad" => return Err(OfferError::Bad("the offer has no mid".into())),
                "av1" => return Err(OfferError::NoCodec("only AV1 is offered".into())),
                "full" => return Err(OfferError::Full(100)),
                _ => {}
            }
            let (news, receiver) = mpsc::channel(16);
            let peer = Arc::new(FakePeer {
                publication: Mutex::new(Some(publication)),
                close_ms,
                trickle,
                candidates: Mutex::default(),
                restarts: Mutex::default(),
                news,
            });
            lock(&peers).push(Arc::clone(&peer));
            Ok((ANSWER.to_owned(), peer as Arc<dyn Peer>, receiver))
        })
    }
}

impl FakePeer {
    pub(in crate::api) fn is_open(&self) -> bool {
        lock(&self.publication).is_some()
    }
}

impl Peer for FakePeer {
    fn add_candidate(&self, candidate: &Candidate) -> Result<(), OfferError> {
        if candidate.candidate.contains("unusable") {
            return Err(OfferError::Bad("it is no candidate".into()));
        }
        lock(&self.candidates).push(candidate.clone());
        Ok(())
    }

    /// Passwords that begin with `bad!` are refused, with `fail` fail.
    fn restart_ice(self: Arc<Self>, remote: Credentials) -> BoxFuture<'static, Result<Restarted, OfferError>> {
        Box::pin(async move {
            match remote.password.get(..4) {
                Some("bad!") => return Err(OfferError::Bad("a=ice-pwd is not usable".into())),
                Some("fail") => return Err(OfferError::Internal("/etc".into())),
                _ => {}
            }
            let mut restarts = lock(&self.restarts);
            restarts.push(remote);
            let credentials = Credentials { ufrag: format!("own{}", restarts.len()), password: "ownpassword".into() };
            Ok(Restarted { mline_index: 0, credentials, candidates: vec!["candidate:1 own".into()] })
        })
    }

    fn close(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(self.close_ms.load(Ordering::Relaxed))).await;
            drop(lock(&self.publication).take());
        })
    }
}
