//! The HTTP side: Ant Media's REST v2 under `/{app}/rest/v2`, and `/health`.
//!
//! Owns routes, wire types, status codes and message texts. Must not know GStreamer, SQL or a
//! protocol: it asks the [`Manager`] and words the answer. The hard thing: to give the same fields, in
//! the same order, with the same texts as Ant Media Server, and yet never a success that isn't one.
//!
//! Who may ask: everything under `/{app}/rest` and `/health` itself (it shows ports and counts) only
//! from the addresses in `rest.allow`; `/health/live` and `/health/ready` from anywhere, since a
//! load balancer or an orchestrator asks them and they say nothing but yes or no.

mod body;
mod dto;
mod error;
mod guard;
mod health;
mod rest;
#[cfg(test)]
mod tests;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::dev::Server;
use actix_web::{App, HttpServer, web};

use crate::config::Settings;
use crate::manager::Manager;

/// Threads that serve HTTP: few, since every answer is short and the media threads need the cores.
const WORKERS: usize = 2;
/// Open connections a worker accepts; more wait in the kernel's queue.
const CONNECTIONS_PER_WORKER_MAX: usize = 512;
/// How long a client may take to send a request's head. Bounds what silent connections cost.
const REQUEST_HEAD_WAIT: Duration = Duration::from_millis(5_000);
/// How long a connection is kept between two requests.
const KEEP_ALIVE: Duration = Duration::from_millis(15_000);
/// How long a connection may take to close.
const DISCONNECT_WAIT: Duration = Duration::from_millis(1_000);
/// How long running requests may go on at a shutdown, in seconds (actix's unit).
const SHUTDOWN_WAIT_S: u64 = 1;

/// The ports that are listened on, as bound: a configured 0 is a number here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// REST (TCP).
    pub http: u16,
    /// RTMP (TCP).
    pub rtmp: u16,
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
    refusals: guard::Refusals,
}

impl ApiState {
    /// Not ready yet.
    pub fn new(manager: Manager, settings: Arc<Settings>, ports: Ports) -> Self {
        Self {
            manager,
            settings,
            ports,
            started: Instant::now(),
            ready: AtomicBool::new(false),
            refusals: guard::Refusals::default(),
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
        .configure(rest::routes)
        .default_service(web::to(error::no_such_path));
}

/// Serves on a bound listener until the returned server is stopped by its handle; handles no signals.
///
/// # Errors
/// When the listener can't be taken over.
pub fn serve(listener: TcpListener, state: Arc<ApiState>) -> io::Result<Server> {
    let server = HttpServer::new(move || App::new().configure(|config| configure(config, Arc::clone(&state))))
        .workers(WORKERS)
        .max_connections(CONNECTIONS_PER_WORKER_MAX)
        .client_request_timeout(REQUEST_HEAD_WAIT)
        .keep_alive(KEEP_ALIVE)
        .client_disconnect_timeout(DISCONNECT_WAIT)
        .shutdown_timeout(SHUTDOWN_WAIT_S)
        .disable_signals()
        .listen(listener)?
        .run();
    Ok(server)
}
