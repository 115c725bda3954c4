//! `GET /openapi.json`: the HTTP interface as OpenAPI, generated from the handlers and the wire types; and a page that
//! shows it, served from here alone.
//!
//! Owns what is the same for many calls: their parameters, and the refusals that come from before the handler (address,
//! application, body). What is of one call stands at its handler. Not in it: the signalling of Ant Media's SDK (a
//! WebSocket) and the page to publish from.

#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, OpenApi as Document, PathItem, Ref, Response, ResponseBuilder};
use utoipa::{IntoParams, OpenApi as _, ToSchema};

use super::dto::{BroadcastDto, ResultDto};
use super::rest::methods::resource;
use super::{diagnosis, events, guard, health, metrics, rest, whip};

/// Nothing from elsewhere, nothing inline.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The tag of what is Ant Media's, refused by its Result.
const COMPATIBLE: &str = "broadcasts";

/// Each group of calls, and what it is.
const TAGS: [(&str, &str); 6] = [
    (
        COMPATIBLE,
        "Ant Media Server's REST v2, with the same fields and texts. Nearly every refusal is 200 with success: false.",
    ),
    (
        "endpoints",
        "Endpoints with everything: state and cause, statistics, switching, preconditions. Refusals are problem details (RFC 9457).",
    ),
    ("events", "What happens, as it happens."),
    ("diagnosis", "What to look into when something is wrong."),
    ("whip", "WebRTC publishers (RFC 9725)."),
    ("service", "The service itself."),
];

/// An application.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct InApp {
    /// One of the configured applications.
    app: String,
}

/// A stream.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct OfStream {
    /// One of the configured applications.
    app: String,
    /// The stream.
    id: String,
}

/// An endpoint.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct OfEndpoint {
    /// One of the configured applications.
    app: String,
    /// The stream.
    id: String,
    /// The endpoint.
    eid: String,
}

/// Which pipeline.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct Of {
    /// `stream` (without it), `ingest` or `pull`.
    of: Option<String>,
}

/// What is wanted of an endpoint before it is changed.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) struct Preconditions {
    /// Only if this is its ETag, or `*`: only if it is there.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// `*`: only if it is not there.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// What creating a broadcast answers.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its description is used")]
pub(super) enum Created {
    /// The broadcast.
    Broadcast(Box<BroadcastDto>),
    /// With `autoStart`, or refused.
    Result(ResultDto),
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "srt-restream", description = "Live SRT restreaming."),
    components(schemas(crate::api::problem::ProblemBody, ResultDto))
)]
struct Whole;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/openapi.json").get(json).done().wrap(from_fn(guard::allow_list)).wrap(from_fn(guard::cors)))
        .service(resource("/openapi.html").get(page).done().wrap(from_fn(guard::allow_list)))
        .service(resource("/openapi.js").get(script).done().wrap(from_fn(guard::allow_list)))
        .service(resource("/openapi.css").get(style).done().wrap(from_fn(guard::allow_list)));
}

async fn json() -> HttpResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_json().unwrap_or_default());
    HttpResponse::Ok().content_type("application/json").body(text.as_str())
}

async fn page() -> HttpResponse {
    file("text/html; charset=utf-8", include_str!("page.html"))
}

async fn script() -> HttpResponse {
    file("text/javascript; charset=utf-8", include_str!("page.js"))
}

async fn style() -> HttpResponse {
    file("text/css; charset=utf-8", include_str!("page.css"))
}

fn file(kind: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(text)
}

/// The whole document.
fn document() -> Document {
    let mut document = Whole::openapi();
    for part in [
        rest::Documented::openapi(),
        rest::control::Documented::openapi(),
        events::Documented::openapi(),
        diagnosis::Documented::openapi(),
        whip::Documented::openapi(),
        health::Documented::openapi(),
        metrics::Documented::openapi(),
    ] {
        document.merge(part);
    }
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            complete(path, operation);
        }
    }
    alias(&mut document, "/{app}/rest/v2/broadcasts/{id}/endpoint", "/{app}/rest/v2/broadcasts/{id}/rtmp-endpoint");
    alias(&mut document, "/{app}/rest/v2/broadcasts", "/{app}/rest/v2/broadcasts/");
    let tag = |(name, about)| utoipa::openapi::tag::TagBuilder::new().name(name).description(Some(about)).build();
    document.tags = Some(TAGS.map(tag).into());
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().filter_map(Option::as_mut)
}

/// A name and what of the operation is unique, and what is answered before a handler is asked.
fn complete(path: &str, operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next().cloned().unwrap_or_default();
    if let Some(id) = &mut operation.operation_id {
        *id = format!("{tag}.{id}");
    }
    let ours = path.contains("/endpoints") || ["diagnosis", "events"].contains(&tag.as_str());
    let compatible = tag == COMPATIBLE || !ours && path.contains("/rest/v2/");
    let mut refusals = Vec::new();
    let health = path.starts_with("/health/");
    if path.contains('{') {
        refusals.extend([
            ("404", "no such application, stream or endpoint"),
            ("400", "a path, a query or a body that can't be read"),
        ]);
    }
    if !health {
        refusals.push(("403", "the address is not allowed to ask"));
    }
    if operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty()) {
        refusals.push(("400", "a path, a query or a body that can't be read"));
    }
    if operation.request_body.is_some() {
        refusals.extend([
            ("408", "the body did not come in time"),
            ("413", "the body is too large"),
            ("415", "another type of body is wanted"),
        ]);
    }
    if path.contains("/rest/v2/") || tag == "whip" {
        refusals.extend([
            ("500", "the service failed; its log says more"),
            ("503", "the service is shutting down, or there is no place"),
        ]);
    }
    for (status, about) in refusals {
        let known = &mut operation.responses.responses;
        known.entry(status.to_owned()).or_insert_with(|| refusal(about, compatible || status == "403").into());
    }
}

/// A refusal as a Result, or as problem details.
fn refusal(about: &str, compatible: bool) -> Response {
    let (kind, schema) =
        if compatible { ("application/json", "ResultDto") } else { ("application/problem+json", "ProblemBody") };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(about).content(kind, content).build()
}

/// The same calls at another path, where older clients look for them.
fn alias(document: &mut Document, path: &str, other: &str) {
    let Some(mut item) = document.paths.paths.get(path).cloned() else { return };
    for operation in operations(&mut item) {
        operation.deprecated = Some(utoipa::openapi::Deprecated::True);
        if let Some(id) = &mut operation.operation_id {
            id.push_str(".alias");
        }
    }
    document.paths.paths.insert(other.to_owned(), item);
}
