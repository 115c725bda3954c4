//! `GET /{app}/rest/v2/events`: what happens in an application, as server-sent events (WHATWG HTML, 9.2), and
//! `GET /rest/v2/events`: the same of all applications.
//!
//! Owns the request: who gets a place, from where it goes on, what it wants to hear. What is sent is `words`, to whom
//! and when is the `hub`'s, one task per application; a listener's end of it is `listener`.
//!
//! The hard thing is a listener that does not read. Nothing here ever waits for one: what does not fit into its queue
//! costs it the connection, and it comes back with the number of the last event it has seen.

mod connection;
mod filter;
mod hub;
mod listener;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use futures::stream;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::ApiState;
use super::error::ApiError;
use super::problem::Problem;
use super::rest::target::{App, Query};
use crate::manager::Manager;
use crate::model::ids::AppName;
use filter::Filter;
use hub::{Hub, Join};

pub(super) use connection::{Connection, remember};

/// Listeners at a time, of all applications: each may have a queue and a tick waiting.
const LISTENERS_MAX: usize = 64;

/// The header by which a listener says what it has seen.
const LAST_EVENT_ID: &str = "Last-Event-ID";

/// What is documented of it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(events, events_of_all))]
pub(super) struct Documented;

/// Events of all applications, for those who listen.
#[derive(Debug)]
pub(super) struct Events {
    manager: Manager,
    /// The service's own: an HTTP worker's ends before the service does.
    runtime: tokio::runtime::Handle,
    places: Arc<Semaphore>,
    /// One hub for each application that has ever been listened to, and one for all of them (None); applications are
    /// configured, so they are few.
    hubs: Mutex<HashMap<Option<AppName>, mpsc::Sender<Join>>>,
    stopping: CancellationToken,
}

impl Events {
    /// Must be called on the service's own runtime. Ends with `stopping`.
    pub(super) fn new(manager: Manager, stopping: CancellationToken) -> Self {
        let runtime = tokio::runtime::Handle::current();
        Self { manager, runtime, places: Arc::new(Semaphore::new(LISTENERS_MAX)), hubs: Mutex::default(), stopping }
    }

    /// How many listen now.
    pub(super) fn listeners(&self) -> usize {
        LISTENERS_MAX.saturating_sub(self.places.available_permits())
    }

    /// Hands a listener to its application's hub, or to that of all. False when the service ends.
    fn join(&self, app: Option<AppName>, join: Join) -> bool {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        let hub = hubs.entry(app.clone()).or_insert_with(move || {
            let (joins, queue) = mpsc::channel(LISTENERS_MAX);
            let hub = Hub::new(app, self.manager.clone(), queue, self.stopping.clone());
            self.runtime.spawn(hub.run());
            joins
        });
        // There is room for everybody who has a place.
        hub.try_send(join).is_ok()
    }
}

/// What happens in an application, as it happens: server-sent events.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/events",
    tag = "events",
    params(crate::api::openapi::InApp, ("streamId" = Option<String>, Query, description = "Of this stream alone"), ("types" = Option<String>, Query, description = "Of these kinds alone, with commas between"), ("lastEventId" = Option<String>, Query, description = "The last one seen, for a client that cannot set the header"), ("Last-Event-ID" = Option<String>, Header, description = "The last one seen: what came since is sent first, as far as it is kept")),
    responses(
        (status = 200, description = "events without end", content_type = "text/event-stream", body = String),
        (status = 503, description = "no place for another listener", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn events(
    state: web::Data<ApiState>,
    app: Result<App, ApiError>,
    query: Result<Query, ApiError>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let App(app) = app?;
    listen(&state, Some(app), &query?, &request)
}

/// The same of all applications at once: a browser opens six connections to a server at most, and each stream of events
/// keeps one. Each event names its `app`.
#[utoipa::path(
    get,
    path = "/rest/v2/events",
    tag = "events",
    params(("streamId" = Option<String>, Query, description = "Of streams with these ids alone, with commas between"), ("types" = Option<String>, Query, description = "Of these kinds alone, with commas between"), ("lastEventId" = Option<String>, Query, description = "The last one seen, for a client that cannot set the header"), ("Last-Event-ID" = Option<String>, Header, description = "The last one seen: what came since is sent first, as far as it is kept")),
    responses(
        (status = 200, description = "events without end", content_type = "text/event-stream", body = String),
        (status = 503, description = "no place for another listener", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn events_of_all(
    state: web::Data<ApiState>,
    query: Result<Query, ApiError>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    listen(&state, None, &query?, &request)
}

fn listen(
    state: &ApiState,
    app: Option<AppName>,
    query: &Query,
    request: &HttpRequest,
) -> Result<HttpResponse, Problem> {
    let filter = Filter::parse(query.text("streamId"), query.text("types")).map_err(Problem::bad_request)?;
    let mut answer = HttpResponse::Ok();
    // A proxy that collects the answer before it goes on would make no events of them.
    answer.insert_header((CONTENT_TYPE, "text/event-stream")).insert_header((CACHE_CONTROL, "no-store"));
    answer.insert_header(("X-Accel-Buffering", "no"));
    if request.method() == Method::HEAD {
        return Ok(answer.finish());
    }
    let events = &state.events;
    let (Ok(place), false) = (Arc::clone(&events.places).try_acquire_owned(), events.stopping.is_cancelled()) else {
        return Err(full());
    };
    let seen = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let seen = seen.or_else(|| query.text("lastEventId")).filter(|seen| !seen.is_empty()).map(str::to_owned);
    let connection = request.conn_data::<Connection>().cloned();
    if let Some(connection) = &connection {
        connection.limit_buffer();
    }
    let (sender, mut receiver) = listener::queue(filter, connection, request.peer_addr());
    if !events.join(app, Join { listener: sender, seen }) {
        return Err(full());
    }
    let body = stream::poll_fn(move |context| {
        // The place is taken as long as the body is there.
        let _ = &place;
        receiver.poll(context)
    });
    Ok(answer.streaming(body))
}

/// There is no place, or none any more.
fn full() -> Problem {
    let detail =
        format!("No more than {LISTENERS_MAX} listeners are served at a time, and none while the service ends");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}
