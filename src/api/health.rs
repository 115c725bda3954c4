//! `/health`: what runs and where; `/health/live` and `/health/ready`: yes or no.
//!
//! Owns the three answers. Must not ask the manager's task anything: a health check that waits for a
//! busy task would say "dead" of a service that is only writing.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};
use serde::Serialize;

use super::rest::methods;
use super::{ApiState, guard};

#[derive(Serialize, utoipa::ToSchema)]
struct Health {
    status: &'static str,
    version: &'static str,
    uptime_s: u64,
    ports: PortsDto,
    streams: usize,
    endpoints: usize,
}

#[derive(Serialize, utoipa::ToSchema)]
struct PortsDto {
    http: u16,
    https: u16,
    rtmp: u16,
    rtsp: u16,
    /// Only where it is served.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtsps: Option<u16>,
    srt: u16,
}

#[derive(Serialize, utoipa::ToSchema)]
struct Status {
    status: &'static str,
}

/// What is documented of it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(health, live, ready))]
pub(super) struct Documented;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(methods::resource("/health/live").get(live).done())
        .service(methods::resource("/health/ready").get(ready).done())
        .service(methods::resource("/health").get(health).done().wrap(from_fn(guard::allow_list)));
}

/// `ok`; `starting` until every listener is up; `stopping` from the begin of a shutdown.
fn status(state: &ApiState) -> &'static str {
    match (state.manager.is_accepting(), state.is_ready()) {
        (false, _) => "stopping",
        (true, false) => "starting",
        (true, true) => "ok",
    }
}

/// What runs and where.
#[utoipa::path(
    get,
    path = "/health",
    tag = "service",
    responses(
        (status = 200, description = "what runs and where", body = Health),
    ),
)]
async fn health(state: web::Data<ApiState>) -> HttpResponse {
    let totals = state.manager.totals();
    HttpResponse::Ok().json(Health {
        status: status(&state),
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: state.started.elapsed().as_secs(),
        ports: PortsDto {
            http: state.ports.http,
            https: state.ports.https,
            rtmp: state.ports.rtmp,
            rtsp: state.ports.rtsp,
            rtsps: state.ports.rtsps,
            srt: state.ports.srt,
        },
        streams: totals.streams,
        endpoints: totals.endpoints,
    })
}

/// That this is answered is the answer.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "service",
    responses(
        (status = 200, description = "it answers", body = Status),
    ),
)]
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Status { status: "ok" })
}

/// Whether every listener is up.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "service",
    responses(
        (status = 200, description = "every listener is up", body = Status),
        (status = 503, description = "starting or stopping", body = Status),
    ),
)]
async fn ready(state: web::Data<ApiState>) -> HttpResponse {
    let status = status(&state);
    let mut answer = if status == "ok" { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(Status { status })
}
