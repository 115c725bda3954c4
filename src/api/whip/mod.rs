//! WHIP (RFC 9725): `/{app}/whip/{id}` takes an offer, `/{app}/whip/{id}/{session}` is the session.
//!
//! Owns methods, headers and preconditions. Must not know what an offer holds. It stands outside
//! `/{app}/rest`, so the address filter does not apply. The hard thing is PATCH: whether it brings candidates or
//! restarts ICE is said by its body, and which ICE session it is for by its `If-Match` (RFC 9725, 4.3.1).
//!
//! `Authorization` is taken and not looked at; it is neither kept nor logged.

mod fragment;
mod sessions;

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ALLOW, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_MATCH, LINK, LOCATION,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError as _, web};
use futures::future::BoxFuture;
use uuid::Uuid;

use super::ApiState;
use super::body;
use super::guard;
use super::problem::Problem;
use super::publishers::{meta, user_agent};
use super::rest::target::{Query, Target};
use crate::ingest::webrtc::{IceServer, OfferError, Trickle};
use crate::manager::PublishRequest;
use crate::model::broadcast::PublishType;
use crate::model::ids::StreamKey;
use fragment::{Fragment, Offered};
pub(super) use sessions::Sessions;

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
const ENDPOINT_METHODS: &str = "GET, HEAD, OPTIONS, POST";
const SESSION_METHODS: &str = "GET, HEAD, OPTIONS, PATCH, DELETE";
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, If-Match, Accept";
const EXPOSED_HEADERS: &str = "Location, Link, ETag, Accept-Post, Accept-Patch, Retry-After";
/// How long a PATCH waits for those of the same session that came before it; each restart among them takes half a
/// second.
const PATCH_TURN_MAX: Duration = Duration::from_secs(3);
/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_AGE_S: &str = "1800";

type State = web::Data<ApiState>;

/// What is documented of it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(publish, endpoint, patch, end, session))]
pub(super) struct Documented;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/{app}/whip/{id}")
                .route(web::post().to(publish))
                .default_service(web::to(endpoint))
                .wrap(from_fn(cors)),
        )
        .service(
            web::resource("/{app}/whip/{id}/{session}")
                .route(web::patch().to(patch))
                .route(web::delete().to(end))
                .default_service(web::to(session))
                .wrap(from_fn(cors)),
        );
}

/// Lets scripts of any origin read the answers, and answers preflights without looking further.
async fn cors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody, BoxBody>>, Error> {
    let mut response = guard::cors_by(request, next, |request, answer| {
        let is_session = request.match_info().get("session").is_some();
        let (methods, accepted) = if is_session { (SESSION_METHODS, FRAGMENT) } else { (ENDPOINT_METHODS, SDP) };
        answer
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, methods))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE_S))
            .insert_header((accept(is_session), accepted));
    })
    .await?;
    let is_session = response.request().match_info().get("session").is_some();
    let unsupported = response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let headers = response.headers_mut();
    if unsupported {
        // RFC 5789, 2.2: what would be taken.
        headers.insert(accept(is_session), HeaderValue::from_static(if is_session { FRAGMENT } else { SDP }));
    }
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    Ok(response)
}

/// `Accept-Patch` (RFC 5789) or `Accept-Post` (W3C LDP).
fn accept(is_session: bool) -> HeaderName {
    HeaderName::from_static(if is_session { "accept-patch" } else { "accept-post" })
}

/// The stream that the path names.
fn stream(target: Target) -> Result<StreamKey, Problem> {
    let Target { id, key } = target;
    key.ok_or_else(|| match id.parse::<crate::model::ids::StreamId>() {
        Err(reason) => Problem::bad_request(format!("the stream id {reason}")),
        Ok(_) => Problem::bad_request("the stream id is not valid"),
    })
}

/// A body of this type, as text.
async fn text(request: &HttpRequest, payload: web::Payload, wanted: &str) -> Result<String, Problem> {
    let payload: Payload = payload.into_inner();
    let bytes = body::read_in_time(request, payload).await?;
    let given = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(wanted) {
        let detail = format!("Content-Type is {essence:?}; {wanted} is wanted");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    body::check_encoding(request)?;
    String::from_utf8(bytes).map_err(|_| Problem::bad_request("the body is not UTF-8"))
}

/// Publishes a stream: an SDP offer is answered.
#[utoipa::path(
    post,
    path = "/{app}/whip/{id}",
    tag = "whip",
    params(crate::api::openapi::OfStream),
    request_body(content = String, content_type = "application/sdp"),
    responses(
        (status = 201, description = "the answer; Location is the session", content_type = "application/sdp", body = String),
        (status = 409, description = "somebody else publishes it", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "not application/sdp", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "no codec that can be taken", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no place for another session", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
async fn publish(
    request: HttpRequest,
    target: Result<Target, super::error::ApiError>,
    query: Result<Query, super::error::ApiError>,
    state: State,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let key = stream(target?)?;
    let offer = text(&request, payload, SDP).await?;
    if offer.trim().is_empty() {
        return Err(Problem::bad_request("the body is empty; an SDP offer is wanted"));
    }
    let peer = request.peer_addr().ok_or_else(|| Problem::bad_request("the client has no address"))?;
    if !state.whip.have_place() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "all WHIP sessions are taken"));
    }
    let wanted = PublishRequest {
        app: key.app.to_string(),
        stream: key.id.to_string(),
        publish_type: PublishType::WebRtc,
        peer,
        user_agent: user_agent(&request),
        meta: meta(query?.pairs()),
    };
    let admitted = state.publishers.admit(wanted).await?;
    let (answer, connection, news) = admitted.answer(offer.clone(), Trickle::InAnswer).await?;
    let offered = Offered::read(&offer, &answer);
    let (id, tag) = state.whip.enter(key.clone(), connection, offered);
    state.publishers.spawn(state.whip.clone().watch(id, news));
    let mut response = HttpResponse::Created();
    response
        .insert_header((LOCATION, format!("/{}/whip/{}/{id}", key.app, key.id)))
        .insert_header((ETAG, format!("\"{tag}\"")))
        .insert_header((CONTENT_TYPE, SDP));
    add_links(&mut response, &state.publishers.ice_servers());
    Ok(response.body(answer))
}

/// STUN and TURN servers, as RFC 9725, 4.6, has them.
fn add_links(response: &mut actix_web::HttpResponseBuilder, servers: &[IceServer]) {
    for server in servers {
        if let Ok(value) = HeaderValue::try_from(link(server)) {
            response.append_header((LINK, value));
        }
    }
}

fn link(server: &IceServer) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut link = format!("<{}>; rel=\"ice-server\"", server.uri);
    if let (Some(username), Some(credential)) = (&server.username, &server.credential) {
        let (username, credential) = (quoted(username), quoted(credential));
        link += &format!("; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"");
    }
    link
}

/// The endpoint's other methods. It has no representation: GET is answered with nothing (RFC 9725, 4.1), and OPTIONS
/// with what may be posted (4.2) and the ICE servers, for clients that must know them before their offer (4.6).
#[utoipa::path(
    get,
    path = "/{app}/whip/{id}",
    tag = "whip",
    params(crate::api::openapi::OfStream),
    responses((status = 204, description = "it has no representation")),
)]
async fn endpoint(
    request: HttpRequest,
    target: Result<Target, super::error::ApiError>,
    state: State,
) -> Result<HttpResponse, Problem> {
    stream(target?)?;
    match *request.method() {
        Method::GET | Method::HEAD => Ok(HttpResponse::NoContent().finish()),
        Method::OPTIONS => {
            let mut response = HttpResponse::Ok();
            response.insert_header((accept(false), SDP)).insert_header((ALLOW, ENDPOINT_METHODS));
            add_links(&mut response, &state.publishers.ice_servers());
            Ok(response.finish())
        }
        _ => Ok(not_allowed(ENDPOINT_METHODS)),
    }
}

fn not_allowed(allowed: &'static str) -> HttpResponse {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("this resource takes {allowed}"));
    let mut response = problem.error_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The session that the path names.
fn found(
    request: &HttpRequest,
    target: Result<Target, super::error::ApiError>,
    state: &ApiState,
) -> Result<(Uuid, sessions::Running), Problem> {
    let key = stream(target?)?;
    let id = request.match_info().get("session").and_then(|text| text.parse::<Uuid>().ok());
    id.and_then(|id| Some((id, state.whip.get(id, &key)?))).ok_or_else(unknown)
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such session, or it has ended")
}

/// The session's other methods. It has no representation either (RFC 9725, 4.1).
#[utoipa::path(
    get,
    path = "/{app}/whip/{id}/{session}",
    tag = "whip",
    params(crate::api::openapi::OfStream, ("session" = String, Path)),
    responses((status = 204, description = "it has no representation")),
)]
async fn session(
    request: HttpRequest,
    target: Result<Target, super::error::ApiError>,
    state: State,
) -> Result<HttpResponse, Problem> {
    found(&request, target, &state)?;
    match *request.method() {
        Method::GET | Method::HEAD => Ok(HttpResponse::NoContent().finish()),
        Method::OPTIONS => Ok(HttpResponse::Ok()
            .insert_header((accept(true), FRAGMENT))
            .insert_header((ALLOW, SESSION_METHODS))
            .finish()),
        _ => Ok(not_allowed(SESSION_METHODS)),
    }
}

/// Whether `If-Match` names the session's ICE session (RFC 9110, 13.1.1; RFC 6585, 3).
fn check_precondition(request: &HttpRequest, tag: Uuid) -> Result<(), Problem> {
    let mut given = request.headers().get_all(IF_MATCH).peekable();
    if given.peek().is_none() {
        let detail = "If-Match is missing; it must name the session's ETag";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, detail));
    }
    let own = format!("\"{tag}\"");
    // Clients write `"*"` as well as `*`: RFC 9725's own example does.
    let fits = |item: &str| [own.as_str(), "*", "\"*\""].contains(&item.trim());
    if given.filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(',')).any(fits) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::PRECONDITION_FAILED, "If-Match does not name the session's ETag"))
}

/// Candidates (RFC 9725, 4.3.2) or a restart of ICE (4.3.3).
#[utoipa::path(
    patch,
    path = "/{app}/whip/{id}/{session}",
    tag = "whip",
    params(crate::api::openapi::OfStream, ("session" = String, Path), ("If-Match" = Option<String>, Header)),
    request_body(content = String, content_type = "application/trickle-ice-sdpfrag"),
    responses(
        (status = 200, description = "ICE restarted: the other side's fragment", content_type = "application/trickle-ice-sdpfrag", body = String),
        (status = 204, description = "candidates taken"),
        (status = 409, description = "ICE cannot be restarted now", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "If-Match does not name the session", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 415, description = "not application/trickle-ice-sdpfrag", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "the fragment cannot be taken", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 428, description = "If-Match is wanted", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "too many at a time", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
async fn patch(
    request: HttpRequest,
    target: Result<Target, super::error::ApiError>,
    state: State,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (id, running) = found(&request, target, &state)?;
    let text = text(&request, payload, FRAGMENT).await?;
    let turn = tokio::time::timeout(PATCH_TURN_MAX, Arc::clone(&running.ice).lock_owned()).await;
    let busy = |_| Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many PATCH requests are before this one");
    let mut ice = turn.map_err(busy)?;
    state.whip.get(id, &running.key).ok_or_else(unknown)?;
    check_precondition(&request, ice.tag)?;
    let fragment = ice.offered.fragment(&text);
    let fragment = fragment.map_err(|reason| Problem::bad_request(format!("the fragment is not valid: {reason}")))?;
    match fragment {
        // RFC 9725, 4.3.2: without an ETag.
        Fragment::Candidates(candidates) => {
            ice.add(&running, &candidates);
            Ok(HttpResponse::NoContent().finish())
        }
        Fragment::Restart(credentials, candidates) => {
            // A client that hangs up meanwhile must not leave half of it behind.
            let restart = state.publishers.spawn(async move {
                let text = ice.restart(&running, credentials, &candidates).await?;
                Ok::<_, OfferError>((text, ice.tag))
            });
            let (text, tag) = restart.await.map_err(|failure| OfferError::Internal(failure.to_string()))??;
            let tag = (ETAG, format!("\"{tag}\""));
            Ok(HttpResponse::Ok().insert_header(tag).insert_header((CONTENT_TYPE, FRAGMENT)).body(text))
        }
        Fragment::Past => {
            let detail = "the fragment is of an ICE session that is over: a restart has overtaken it";
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
    }
}

/// Ends a session.
#[utoipa::path(
    delete,
    path = "/{app}/whip/{id}/{session}",
    tag = "whip",
    params(crate::api::openapi::OfStream, ("session" = String, Path)),
    responses(
        (status = 200, description = "ended"),
    ),
)]
async fn end(
    request: HttpRequest,
    target: Result<Target, super::error::ApiError>,
    state: State,
) -> Result<HttpResponse, Problem> {
    let (id, running) = found(&request, target, &state)?;
    state.whip.remove(id);
    let closing: BoxFuture<'static, ()> = state.publishers.close(running.key, running.peer);
    closing.await;
    Ok(HttpResponse::Ok().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_carry_credentials_in_quotes() {
        let stun = IceServer { uri: "stun:stun.example.net".into(), username: None, credential: None };
        assert_eq!(link(&stun), "<stun:stun.example.net>; rel=\"ice-server\"");
        let turn = IceServer {
            uri: "turn:turn.example.net?transport=udp".into(),
            username: Some("us\"er".into()),
            credential: Some("p\\w".into()),
        };
        assert_eq!(
            link(&turn),
            r#"<turn:turn.example.net?transport=udp>; rel="ice-server"; username="us\"er"; credential="p\\w"; credential-type="password""#
        );
    }
}
