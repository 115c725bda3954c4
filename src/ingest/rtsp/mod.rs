//! RTSP ingest: publishers that push (ANNOUNCE and RECORD), over TCP and UDP, and over TLS.
//!
//! gst-rtsp-server speaks the protocol; accepting, TLS, admission, the media behind and the end are this room's.
//! The hard thing: one publisher must not touch another. So each connection has a thread, a session pool and mount
//! points of its own, its media a pipeline of its own, and nobody but that thread ever takes it down.
//!
//! ```text
//! accept (task) ─▶ [TLS (task)] ─▶ objects::Server ─▶ client::Client (thread) ─▶ Media (pipeline) ─▶ ingest::rtp ─▶ Input
//!              └─▶ connection::Connection::watch (task): too silent, ended, failed
//! ```

mod address;
mod announced;
mod client;
mod connection;
mod objects;
mod refusal;
mod tls;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gstreamer_rtsp_server::gio;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::connection::Connection;
use self::objects::{Factory, Server, UdpPorts};
use self::refusal::Refusal;
use crate::config::Settings;
use crate::ingest::pending::{Pending, Place};
use crate::ingest::transcode::TranscodeLimits;
use crate::manager::Manager;
use crate::media::off_thread::off_thread;

/// Connections that do not publish, together; one address may have half of them. Each has a thread.
const PENDING_MAX: usize = 128;

/// Publishers at once; each has some ten threads.
const PUBLISHERS_MAX: usize = 256;

/// Pause after an accept that failed (out of file descriptors, mostly).
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long handing a connection over may take: a thread is started.
const HAND_OVER_MAX: Duration = Duration::from_secs(2);

/// All connections' end at a stop.
const STOP_MAX: Duration = Duration::from_secs(3);

/// What a connection needs of the service.
#[derive(Debug, Clone)]
struct Doors {
    manager: Manager,
    runtime: tokio::runtime::Handle,
    factory: Factory,
    limits: TranscodeLimits,
    publishers: Arc<AtomicUsize>,
}

/// A publisher's place among [`PUBLISHERS_MAX`].
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Doors {
    fn enter(&self) -> Result<Counted, Refusal> {
        let counted = Counted(Arc::clone(&self.publishers));
        if self.publishers.fetch_add(1, Ordering::Relaxed) >= PUBLISHERS_MAX {
            return Err(Refusal::Full(PUBLISHERS_MAX));
        }
        Ok(counted)
    }
}

/// The listeners, bound.
pub struct Listeners {
    /// `rtsp.listen`
    pub plain: TcpListener,
    /// `rtsp.tls_listen`, and what handshakes are answered with.
    pub tls: Option<(TcpListener, Arc<rustls::ServerConfig>)>,
}

/// Serves publishers until `shutdown`; returns when they have ended, or after [`STOP_MAX`].
pub async fn serve(listeners: Listeners, manager: Manager, settings: Arc<Settings>, shutdown: CancellationToken) {
    let limits = TranscodeLimits {
        max_video_bitrate_kbps: settings.webrtc.max_video_bitrate_kbps,
        key_frame_interval: Duration::from_millis(settings.webrtc.key_frame_interval_ms.into()),
    };
    let publishers = Arc::new(AtomicUsize::new(0));
    // TLS listeners take no UDP.
    let ipv6 = listeners.plain.local_addr().is_ok_and(|address| address.is_ipv6());
    let udp_ports = settings.rtsp.udp_ports.clone().map(|range| UdpPorts { range, ipv6 });
    let doors = |tls| Doors {
        manager: manager.clone(),
        runtime: tokio::runtime::Handle::current(),
        factory: Factory::new(tls, settings.rtsp.jitter_ms, udp_ports.as_ref()),
        limits,
        publishers: Arc::clone(&publishers),
    };
    let ingest = Ingest {
        server: Server::new(),
        pending: Pending::new(PENDING_MAX),
        idle_max: Duration::from_millis(settings.stream.idle_timeout_ms),
        tasks: TaskTracker::new(),
        shutdown,
    };
    let plain = ingest.accept(listeners.plain, doors(false), None);
    match listeners.tls {
        Some((listener, config)) => {
            tokio::join!(plain, ingest.accept(listener, doors(true), Some(config)));
        }
        None => plain.await,
    }
    ingest.tasks.close();
    if timeout(STOP_MAX, ingest.tasks.wait()).await.is_err() {
        let connections = ingest.tasks.len();
        tracing::warn!(connections, limit_ms = STOP_MAX.as_millis(), "RTSP connections did not end in time");
    }
}

struct Ingest {
    server: Server,
    pending: Pending,
    idle_max: Duration,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Ingest {
    async fn accept(&self, listener: TcpListener, doors: Doors, tls: Option<Arc<rustls::ServerConfig>>) {
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if !failing {
                        tracing::warn!("no RTSP connection can be accepted for now: {error}");
                    }
                    failing = true;
                    sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            failing = false;
            let Some(place) = self.pending.enter(peer.ip()) else {
                tracing::debug!(%peer, "RTSP connection closed at once: too many that do not publish");
                continue;
            };
            match &tls {
                None => self.hand_over(socket, peer, place, doors.clone(), false).await,
                Some(config) => match tls::Tunnel::open(socket, Arc::clone(config)).await {
                    Ok((tunnel, inside)) => {
                        self.tasks.spawn(tunnel.run(peer, self.shutdown.clone()));
                        self.hand_over(inside, peer, place, doors.clone(), true).await;
                    }
                    Err(error) => tracing::warn!(%peer, %error, "no RTSPS connection can be made for now"),
                },
            }
        }
    }

    /// Gives a connection to gst-rtsp-server and has it watched.
    async fn hand_over(&self, socket: TcpStream, peer: SocketAddr, place: Place, doors: Doors, tls: bool) {
        let handed = async {
            let socket = socket.into_std()?;
            let connection = Arc::new(Connection::new(peer, tls, socket.try_clone()?, place));
            let (server, taken) = (self.server.clone(), Arc::clone(&connection));
            let take = move || {
                let socket = gio::Socket::from_fd(OwnedFd::from(socket)).map_err(std::io::Error::other)?;
                server.take(socket, taken, doors).map_err(std::io::Error::other)
            };
            match off_thread("handing an RTSP connection over", HAND_OVER_MAX, take).await {
                Ok(taken) => taken.map(|()| connection),
                Err(stuck) => Err(std::io::Error::other(stuck)),
            }
        };
        match handed.await {
            Ok(connection) => {
                self.tasks.spawn(connection.watch(self.idle_max, self.shutdown.clone()));
            }
            Err(error) => tracing::warn!(%peer, %error, "an RTSP connection could not be taken"),
        }
    }
}
