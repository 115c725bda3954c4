//! SRT ingest: one UDP port, many publishers, told apart by stream id.
//!
//! The decision falls in libsrt's listen callback, so that a refused publisher gets the fitting SRT
//! reject code in its handshake instead of a closed connection. It must not wait for anything.

mod connection;
mod statistics;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::manager::{Manager, PublishRefusal};
use crate::model::srt_reject::RejectCode;
use crate::model::srt_stream_id::{self, StreamIdRequest};
use crate::srt::{Handshake, Listener, SrtError};

/// Publishers at once; each has a thread.
const PUBLISHERS_MAX: usize = 512;

/// How often the threads look whether the service ends.
const LOOK: Duration = Duration::from_millis(250);

/// After a broken accept, how long until the next one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a publisher asks for, from its stream id or its address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    app: String,
    stream: String,
    meta: Vec<(String, String)>,
}

/// Why a publisher is refused: the code it is told, and the words for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    code: RejectCode,
    reason: String,
}

/// Reads a stream id; without one the stream is named after the peer's address, if that is allowed.
fn wanted(stream_id: &str, peer: Option<IpAddr>, settings: &Settings) -> Result<Wanted, Refusal> {
    let request = srt_stream_id::parse(stream_id)
        .map_err(|error| Refusal { code: error.reject_code(), reason: error.to_string() })?;
    let default_app = || settings.srt.default_app.to_string();
    match request {
        StreamIdRequest::Publish { app, stream, params, .. } => {
            Ok(Wanted { app: app.unwrap_or_else(default_app), stream, meta: params })
        }
        StreamIdRequest::Absent => match peer {
            Some(peer) if settings.srt.allow_missing_stream_id => {
                Ok(Wanted { app: default_app(), stream: id_of(peer), meta: Vec::new() })
            }
            _ => Err(Refusal {
                code: RejectCode::BadRequest,
                reason: "no stream id; wanted: app/stream (srt.allow_missing_stream_id is off)".into(),
            }),
        },
    }
}

/// A stream id made of an address: `192_168_0_7`.
fn id_of(peer: IpAddr) -> String {
    peer.to_canonical().to_string().replace(['.', ':'], "_")
}

fn refusal(error: &PublishRefusal) -> Refusal {
    let code = match error {
        PublishRefusal::UnknownApp(_) => RejectCode::NotFound,
        PublishRefusal::BadStreamId { .. } => RejectCode::BadRequest,
        PublishRefusal::InUse(_) => RejectCode::Conflict,
        PublishRefusal::ShuttingDown => RejectCode::Down,
        PublishRefusal::Internal(_) => RejectCode::ServerError,
    };
    Refusal { code, reason: error.to_string() }
}

/// The SRT listener, before and while it serves.
pub struct SrtIngest {
    listener: Listener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What all connections share.
struct Shared {
    settings: Arc<Settings>,
    manager: Manager,
    shutdown: CancellationToken,
    publishers: AtomicUsize,
}

impl SrtIngest {
    /// Binds `srt.listen`. Connections wait in the backlog until [`SrtIngest::serve`].
    ///
    /// # Errors
    /// The port is in use.
    pub fn bind(settings: Arc<Settings>, manager: Manager, shutdown: CancellationToken) -> Result<Self, SrtError> {
        let latency_ms = i32::try_from(settings.srt.latency_ms).unwrap_or(i32::MAX);
        let address = settings.srt.listen;
        let shared = Arc::new(Shared { settings, manager, shutdown, publishers: AtomicUsize::new(0) });
        let decider = Arc::clone(&shared);
        let listener = Listener::bind(address, latency_ms, move |handshake| decider.decide(handshake))?;
        let address = listener.local_address()?;
        Ok(Self { listener, address, shared })
    }

    /// The address it listens on, with the port that was taken.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts publishers until the service ends, on a thread of its own. Needs the current tokio runtime.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn serve(self) -> std::io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Handle::current();
        thread::Builder::new().name("srt-accept".into()).spawn(move || self.accept(&runtime))
    }

    fn accept(self, runtime: &tokio::runtime::Handle) {
        let mut connections: Vec<thread::JoinHandle<()>> = Vec::new();
        while !self.shared.shutdown.is_cancelled() {
            connections.retain(|connection| !connection.is_finished());
            let incoming = match self.listener.accept(LOOK) {
                Ok(Some(incoming)) => incoming,
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!(%error, "the SRT listener is broken");
                    thread::sleep(ACCEPT_PAUSE);
                    continue;
                }
            };
            let (shared, runtime, peer) = (Arc::clone(&self.shared), runtime.clone(), incoming.peer);
            shared.publishers.fetch_add(1, Ordering::Relaxed);
            let started = thread::Builder::new().name("srt-in".into()).spawn(move || {
                let _count = Counted(&shared.publishers);
                connection::run(incoming, &shared, &runtime);
            });
            match started {
                Ok(connection) => connections.push(connection),
                Err(error) => {
                    self.shared.publishers.fetch_sub(1, Ordering::Relaxed);
                    tracing::error!(%peer, %error, "no thread for an SRT publisher");
                }
            }
        }
        for connection in connections {
            let _ = connection.join();
        }
    }
}

/// One publisher less when dropped, however its thread ends.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Runs in libsrt's receive thread.
    fn decide(&self, handshake: &Handshake<'_>) -> Result<(), i32> {
        self.check(handshake).map_err(|Refusal { code, reason }| {
            let peer = handshake.peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
            tracing::warn!(peer, code = code.code(), reason, "SRT publisher refused");
            code.code()
        })
    }

    fn check(&self, handshake: &Handshake<'_>) -> Result<(), Refusal> {
        if self.publishers.load(Ordering::Relaxed) >= PUBLISHERS_MAX {
            let reason = format!("{PUBLISHERS_MAX} SRT publishers are connected");
            return Err(Refusal { code: RejectCode::Overload, reason });
        }
        let wanted = wanted(handshake.stream_id, handshake.peer.map(|peer| peer.ip()), &self.settings)?;
        self.manager.check_publish(&wanted.app, &wanted.stream).map(drop).map_err(|error| refusal(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(allow_missing: bool) -> Settings {
        let mut settings = Settings::default();
        settings.srt.allow_missing_stream_id = allow_missing;
        settings
    }

    #[test]
    fn a_publisher_is_named_by_its_stream_id_or_its_address() {
        let peer = Some("10.1.2.3".parse().expect("address"));
        let named = |id| wanted(id, peer, &settings(true)).map(|w| format!("{}/{}", w.app, w.stream));
        assert_eq!(named("live/test"), Ok("live/test".into()));
        assert_eq!(named("#!::r=live/test,m=publish"), Ok("live/test".into()));
        assert_eq!(named("test"), Ok("LiveApp/test".into()));
        assert_eq!(named(""), Ok("LiveApp/10_1_2_3".into()));
        assert_eq!(named("#!::r=live/test,m=request").map_err(|r| r.code), Err(RejectCode::BadMode));
        assert_eq!(wanted("", peer, &settings(false)).map_err(|r| r.code), Err(RejectCode::BadRequest));
        assert_eq!(id_of("::ffff:10.1.2.3".parse().expect("address")), "10_1_2_3");
        assert_eq!(id_of("::1".parse().expect("address")), "__1");
    }
}
