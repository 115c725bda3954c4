//! The HTTP side: Ant Media's REST v2 under `/{app}/rest/v2`, its WebRTC signalling at `/{app}/websocket`,
//! WHIP at `/{app}/whip/{id}`, the page to publish from at `/{app}/`, the panel at `/`, and `/health`.
//!
//! Owns routes, wire types, status codes and message texts. Must not know GStreamer, SQL or a
//! protocol: it asks the [`Manager`] and the WebRTC ingest and words the answer. The hard thing: to give the
//! same fields, in the same order, with the same texts as Ant Media Server, and yet never a success that isn't one.
//!
//! Who may ask: everything under `/{app}/rest` and `/health` itself (it shows ports and counts) only
//! from the addresses in `rest.allow`; `/health/live` and `/health/ready` from anywhere, since a
//! load balancer or an orchestrator asks them and they say nothing but yes or no; what publishers use from
//! anywhere too.

mod body;
mod diagnosis;
mod dto;
mod error;
mod events;
mod files;
mod guard;
mod health;
mod metrics;
mod openapi;
mod page;
mod panel;
mod problem;
mod publishers;
mod rest;
mod signalling;
#[cfg(test)]
mod tests;
pub mod tls;
mod whip;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::ingest::webrtc::WebRtc;
use crate::manager::Manager;
use crate::telemetry::seldom::Seldom;
use publishers::Publishers;

/// Threads that serve HTTP: few, since every answer is short and the media threads need the cores.
const WORKERS: usize = 2;
/// Open connections a worker accepts; more wait in the kernel's queue.
const CONNECTIONS_PER_WORKER_MAX: usize = 512;
/// How long a client may take to send a request's head. Bounds what silent connections cost.
const REQUEST_HEAD_WAIT: Duration = Duration::from_millis(5_000);
/// How long a client may take for the TLS handshake.
const HANDSHAKE_WAIT: Duration = Duration::from_millis(5_000);
/// How long a connection is kept between two requests.
const KEEP_ALIVE: Duration = Duration::from_millis(15_000);
/// How long a connection may take to close.
const DISCONNECT_WAIT: Duration = Duration::from_millis(1_000);
/// How long running requests may go on at a shutdown, in seconds (actix's unit).
const SHUTDOWN_WAIT_S: u64 = 1;
/// How long WebSockets may take to say goodbye at a shutdown.
const SOCKETS_CLOSE_WAIT: Duration = Duration::from_millis(500);
/// Between two looks whether they have.
const SOCKETS_LOOK_EVERY: Duration = Duration::from_millis(10);
/// Tests of destinations at once: each holds a thread that blocks, and sends packets to whom a client names.
const TESTS_MAX: usize = 4;
/// When somebody for whom there was no place may try again, in seconds (the header's unit).
const RETRY_AFTER_S: u16 = 5;

/// The ports that are listened on, as bound: a configured 0 is a number here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// REST (TCP).
    pub http: u16,
    /// The same over TLS (TCP).
    pub https: u16,
    /// RTMP (TCP).
    pub rtmp: u16,
    /// RTSP (TCP).
    pub rtsp: u16,
    /// The same over TLS (TCP), where it is served.
    pub rtsps: Option<u16>,
    /// SRT (UDP).
    pub srt: u16,
}

/// What the handlers share.
#[derive(Debug)]
pub struct ApiState {
    /// Does everything.
    manager: Manager,
    /// Who may ask.
    settings: Arc<Settings>,
    /// Shown by `/health`.
    ports: Ports,
    /// Uptime counts from here.
    started: Instant,
    /// Whether every listener is up.
    ready: AtomicBool,
    /// Keeps the log readable while strangers knock.
    refusals: Seldom,
    /// Lets WebRTC publishers in.
    publishers: Publishers,
    /// Room for WebSockets.
    sockets: signalling::Places,
    /// How long they wait.
    socket_bounds: signalling::Bounds,
    /// The WHIP sessions that run.
    whip: whip::Sessions,
    /// Room for tests of destinations.
    tests: Arc<Semaphore>,
    /// What has been counted of streams that are over.
    sums: metrics::Sums,
    /// What happens, for those who listen.
    events: events::Events,
    /// Ends the WebSockets and the streams of events.
    stopping: CancellationToken,
}

impl ApiState {
    /// Not ready yet. Must be called on the service's own runtime: peer connections live there.
    pub fn new(manager: Manager, webrtc: WebRtc, settings: Arc<Settings>, ports: Ports) -> Self {
        Self::over(manager, Publishers::new(webrtc), settings, ports)
    }

    fn over(manager: Manager, publishers: Publishers, settings: Arc<Settings>, ports: Ports) -> Self {
        metrics::note_start();
        let stopping = CancellationToken::new();
        Self {
            events: events::Events::new(manager.clone(), stopping.clone()),
            manager,
            settings,
            ports,
            started: Instant::now(),
            ready: AtomicBool::new(false),
            refusals: Seldom::default(),
            publishers,
            sockets: signalling::Places::default(),
            socket_bounds: signalling::Bounds::default(),
            whip: whip::Sessions::default(),
            tests: Arc::new(Semaphore::new(TESTS_MAX)),
            sums: metrics::Sums::default(),
            stopping,
        }
    }

    /// Tells every WebSocket's client that the service ends, closes them, and waits (bounded) until they are.
    pub async fn close_sockets(&self) {
        self.stopping.cancel();
        let deadline = Instant::now() + SOCKETS_CLOSE_WAIT;
        while !self.sockets.are_free() && Instant::now() < deadline {
            tokio::time::sleep(SOCKETS_LOOK_EVERY).await;
        }
    }

    /// What `/health/ready` says from now on: true once every listener is up, false when the service
    /// begins to end. (The manager's shutdown makes it false as well.)
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// All routes.
pub fn configure(config: &mut web::ServiceConfig, state: Arc<ApiState>) {
    config
        .app_data(web::Data::from(state))
        .configure(health::routes)
        .configure(diagnosis::routes)
        .configure(metrics::routes)
        .configure(openapi::routes)
        .configure(rest::routes)
        .configure(signalling::routes)
        .configure(whip::routes)
        .configure(panel::routes)
        .configure(page::routes)
        .default_service(web::to(error::no_such_path));
}

/// Serves on the bound listeners, the second with TLS, until the returned server is stopped by its handle;
/// handles no signals.
///
/// # Errors
/// When a listener can't be taken over.
pub fn serve(
    http: TcpListener,
    https: Option<(TcpListener, rustls::ServerConfig)>,
    state: Arc<ApiState>,
) -> io::Result<Server> {
    let mut server = HttpServer::new(move || App::new().configure(|config| configure(config, Arc::clone(&state))))
        .on_connect(events::remember)
        .workers(WORKERS)
        .max_connections(CONNECTIONS_PER_WORKER_MAX)
        .client_request_timeout(REQUEST_HEAD_WAIT)
        .tls_handshake_timeout(HANDSHAKE_WAIT)
        .keep_alive(KEEP_ALIVE)
        .client_disconnect_timeout(DISCONNECT_WAIT)
        .shutdown_timeout(SHUTDOWN_WAIT_S)
        .disable_signals()
        .listen(http)?;
    if let Some((listener, config)) = https {
        server = server.listen_rustls_0_23(listener, config)?;
    }
    Ok(server.run())
}
