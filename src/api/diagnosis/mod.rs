//! What an operator looks into when something is wrong: what a stream looks like, the graph of a running pipeline, the
//! command that reproduces an endpoint's branch, GStreamer's log level.
//!
//! Owns routes and answers. Must not know GStreamer: `media::known` makes the graph, `endpoint::launch_line` the command,
//! `telemetry::levels` raises the log. Nothing here shows a secret; that is held where the texts are made.

mod draw;
mod level;
mod still;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};

use super::error::ApiError;
use super::problem::Problem;
use super::rest::methods::resource;
use super::rest::target::{Query, Target};
use super::{ApiState, guard};
use crate::endpoint::launch_line::LaunchLine;
use crate::media::known::{self, Role};
use crate::media::off_thread::off_thread;

/// Making the graph takes milliseconds; more is an element that holds its lock.
const GRAPH_MAX: Duration = Duration::from_secs(3);

/// An image that runs nothing and loads nothing; graphviz writes styles into it.
const SVG_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

type Answer = Result<HttpResponse, Problem>;
type State = web::Data<ApiState>;

/// What is documented of it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(still::preview, pipeline_dot, pipeline_svg, launch, level::show, level::raise, level::lower))]
pub(super) struct Documented;

/// Those of one stream, inside `/{app}/rest/v2`.
pub(super) fn of_streams(config: &mut web::ServiceConfig) {
    config
        .service(
            resource("/broadcasts/{id}/preview.jpg")
                .get(still::preview)
                .done_with_problems()
                .wrap(from_fn(guard::own_pages_alone)),
        )
        .service(resource("/broadcasts/{id}/pipeline.dot").get(pipeline_dot).done_with_problems())
        .service(resource("/broadcasts/{id}/pipeline.svg").get(pipeline_svg).done_with_problems())
        .service(resource("/broadcasts/{id}/endpoints/{eid}/launch").get(launch).done_with_problems());
}

/// Those of the service.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(
        resource("/rest/v2/log-level")
            .get(level::show)
            .put(level::raise)
            .delete(level::lower)
            .done_with_problems()
            .wrap(from_fn(guard::own_pages))
            .wrap(from_fn(guard::allow_list))
            .wrap(from_fn(guard::cors)),
    );
}

async fn graph(
    state: &State,
    target: Result<Target, ApiError>,
    query: Result<Query, ApiError>,
) -> Result<String, Problem> {
    let (target, query) = (target?, query?);
    let wanted = query.text("of").unwrap_or(Role::Stream.as_str());
    let role = Role::ALL.into_iter().find(|role| role.as_str() == wanted);
    let role =
        role.ok_or_else(|| Problem::bad_request(format!("of: {wanted:?} is not one of stream, ingest, pull")))?;
    let known = target.key.filter(|key| state.manager.get(key).is_some());
    let Some(key) = known else {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no stream {:?}", target.id)));
    };
    let none = format!("stream {key} has no pipeline of the kind {wanted:?} now; it has them while it is live");
    let dot = off_thread("making a pipeline's graph", GRAPH_MAX, move || known::dot(&key, role)).await;
    let dot = dot.map_err(|stuck| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, stuck.to_string()))?;
    dot.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, none))
}

/// The graph of a running pipeline, in DOT.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/{id}/pipeline.dot",
    tag = "diagnosis",
    params(crate::api::openapi::OfStream, crate::api::openapi::Of),
    responses(
        (status = 200, description = "the graph, without secrets", content_type = "text/vnd.graphviz", body = String),
    ),
)]
async fn pipeline_dot(state: State, target: Result<Target, ApiError>, query: Result<Query, ApiError>) -> Answer {
    let dot = graph(&state, target, query).await?;
    Ok(HttpResponse::Ok().content_type("text/vnd.graphviz; charset=utf-8").body(dot))
}

/// The graph of a running pipeline, drawn by graphviz.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/{id}/pipeline.svg",
    tag = "diagnosis",
    params(crate::api::openapi::OfStream, crate::api::openapi::Of),
    responses(
        (status = 200, description = "the graph as a picture", content_type = "image/svg+xml", body = String),
        (status = 501, description = "graphviz is not installed", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "another graph is being drawn, or the drawing took too long", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
async fn pipeline_svg(state: State, target: Result<Target, ApiError>, query: Result<Query, ApiError>) -> Answer {
    let dot = graph(&state, target, query).await?;
    let svg = draw::svg(dot).await?;
    Ok(HttpResponse::Ok()
        .content_type("image/svg+xml")
        .insert_header((CONTENT_SECURITY_POLICY, SVG_POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(svg))
}

/// A gst-launch-1.0 command that does what an endpoint does, with a test picture.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints/{eid}/launch",
    tag = "diagnosis",
    params(crate::api::openapi::OfEndpoint),
    responses(
        (status = 200, description = "the command, behind comments", content_type = "text/plain", body = String),
    ),
)]
async fn launch(state: State, target: Result<Target, ApiError>, path: web::Path<(String, String, String)>) -> Answer {
    let target = target?;
    let (_, _, eid) = path.into_inner();
    let Some(view) = target.key.and_then(|key| state.manager.get(&key)) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no stream {:?}", target.id)));
    };
    let endpoint = view.endpoints.iter().find(|endpoint| endpoint.id == eid);
    let record = endpoint.and_then(|endpoint| endpoint.record.as_ref()).ok_or_else(|| {
        let why = if endpoint.is_some() { "its stored row can't be read" } else { "there is none" };
        Problem::new(StatusCode::NOT_FOUND, format!("endpoint {eid:?} of stream {:?}: {why}", target.id))
    })?;
    let stream = view.live.as_ref().and_then(|live| live.stream.as_ref());
    let line = LaunchLine::of(record, stream.map_or(&[], |stream| stream.tracks.as_slice()));
    let notes: String = line.notes.iter().map(|note| format!("# {note}\n")).collect();
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(format!("{notes}{}\n", line.command())))
}
