//! `…/broadcasts/{id}/endpoints`: an endpoint with everything, made, changed, switched, tried again and removed.
//!
//! Owns status codes and headers, and that what is changed is what its client has seen. Must not know what a body may
//! hold (`wish`). The hard thing: a change is computed here and stored by the manager, and another one may come in
//! between. So the manager is told of which revision the change is, and all begins anew when it has passed.

mod input;
mod precondition;
mod wish;

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, LOCATION};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};

use super::super::dto::{EndpointResource, PreflightResource};
use super::super::problem::{Problem, internal};
use super::super::{ApiState, TESTS_MAX};
use super::methods::resource;
use super::target::{Target, segment};
use crate::manager::{EndpointView, ManagerError, Seen};
use crate::model::destination::Destinations;
use crate::model::ids::{EndpointId, StreamKey};
use crate::model::srt_url::{SrtHost, SrtMode, SrtUrl};
use input::Input;
use precondition::Preconditions;
use wish::{Kind, wish};

/// How often a change begins anew because another one came in between; then it is answered 409.
const TRIES_MAX: u32 = 8;

/// Where destinations are tested.
const TEST: &str = "test";

type Answer = Result<HttpResponse, Problem>;
type State = web::Data<ApiState>;

/// What is documented of it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list, create, get, put, patch, delete, retry, test, test_stored))]
pub(in crate::api) struct Documented;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource("/broadcasts/{id}/endpoints").get(list).post(create).done_with_problems())
        // An endpoint may be called `test` as well; what is posted there is a test.
        .service(
            resource("/broadcasts/{id}/endpoints/test")
                .get(get)
                .put(put)
                .patch(patch)
                .delete(delete)
                .post(test)
                .done_with_problems(),
        )
        .service(
            resource("/broadcasts/{id}/endpoints/{eid}")
                .get(get)
                .put(put)
                .patch(patch)
                .delete(delete)
                .done_with_problems(),
        )
        .service(resource("/broadcasts/{id}/endpoints/{eid}/retry").post(retry).done_with_problems())
        .service(resource("/broadcasts/{id}/endpoints/{eid}/test").post(test_stored).done_with_problems());
}

/// The stream that the path names.
pub(super) struct Stream(StreamKey);

impl FromRequest for Stream {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let target = Target::from_request(request, payload).into_inner();
        ready(target.map_err(Problem::from).and_then(|target| match target.key {
            Some(key) => Ok(Self(key)),
            // What can't be a stream's id is nobody's.
            None => Err(Problem::new(StatusCode::NOT_FOUND, format!("stream {} does not exist", target.id))),
        }))
    }
}

/// The endpoint that the path names.
pub(super) struct At {
    key: StreamKey,
    id: String,
}

impl At {
    fn view(&self, state: &ApiState) -> Result<EndpointView, Problem> {
        match self.find(state)? {
            Some(view) => Ok(view),
            None => Err(ManagerError::UnknownEndpoint(self.id.clone()).into()),
        }
    }

    /// None of a stream that exists without it.
    fn find(&self, state: &ApiState) -> Result<Option<EndpointView>, Problem> {
        let view = state.manager.endpoint(&self.key, &self.id);
        match view.is_some() || state.manager.get(&self.key).is_some() {
            true => Ok(view),
            false => Err(ManagerError::UnknownStream(self.key.clone()).into()),
        }
    }

    fn id(&self) -> Result<EndpointId, Problem> {
        self.id.parse().map_err(|reason| Problem::bad_request(format!("the endpoint id {reason}")))
    }

    fn changed(&self) -> Problem {
        ManagerError::Changed(self.id.clone()).into()
    }
}

impl FromRequest for At {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let id = match request.match_info().get("eid") {
            Some(_) => segment(request, "eid"),
            None => TEST.to_owned(),
        };
        ready(Stream::from_request(request, payload).into_inner().map(|Stream(key)| Self { key, id }))
    }
}

/// The endpoints of a stream, with everything.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints",
    tag = "endpoints",
    params(crate::api::openapi::OfStream),
    responses(
        (status = 200, description = "all of them", body = Vec<crate::api::dto::EndpointResource>),
    ),
)]
pub(super) async fn list(state: State, Stream(key): Stream) -> Answer {
    let views = state.manager.endpoints(&key).ok_or(ManagerError::UnknownStream(key))?;
    let endpoints: Vec<EndpointResource> = views.iter().map(EndpointResource::of).collect();
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(endpoints))
}

/// An endpoint with everything.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints/{eid}",
    tag = "endpoints",
    params(crate::api::openapi::OfEndpoint),
    responses(
        (status = 200, description = "with everything", body = crate::api::dto::EndpointResource),
    ),
)]
pub(super) async fn get(state: State, at: At) -> Answer {
    Ok(shown(StatusCode::OK, &at.view(&state)?))
}

/// Makes an endpoint from a URL or its parts.
#[utoipa::path(
    post,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints",
    tag = "endpoints",
    params(crate::api::openapi::OfStream),
    request_body = crate::api::dto::EndpointInput,
    responses(
        (status = 201, description = "made", body = crate::api::dto::EndpointResource),
        (status = 409, description = "the same URL is there already", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "the address is never dialled, or leads back", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create(state: State, Stream(key): Stream, Input(input): Input) -> Answer {
    let wish = wish(&input, None, Kind::Whole)?;
    check_policy(&state, &wish.url)?;
    let record = state.manager.create_endpoint(key.clone(), None, wish).await?;
    created(&state, &At { key, id: record.id.to_string() })
}

/// Creates or replaces; the same body again changes nothing.
#[utoipa::path(
    put,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints/{eid}",
    tag = "endpoints",
    params(crate::api::openapi::OfEndpoint, crate::api::openapi::Preconditions),
    request_body = crate::api::dto::EndpointInput,
    responses(
        (status = 200, description = "replaced", body = crate::api::dto::EndpointResource),
        (status = 201, description = "made", body = crate::api::dto::EndpointResource),
        (status = 409, description = "the same URL is there already", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "a precondition does not hold", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "the address is never dialled, or leads back", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn put(state: State, at: At, given: Preconditions, Input(input): Input) -> Answer {
    let id = at.id()?;
    for _ in 0..TRIES_MAX {
        let view = at.find(&state)?;
        given.check(view.as_ref().map(revision))?;
        let record = view.as_ref().and_then(|view| view.record.as_ref());
        let wish = wish(&input, record, Kind::Whole)?;
        check_policy(&state, &wish.url)?;
        let (key, id) = (at.key.clone(), id.clone());
        let stored = match &view {
            None => state.manager.create_endpoint(key, Some(id), wish).await,
            Some(_) => {
                let seen = record.map_or(Seen::Unreadable, |record| Seen::Revision(record.revision));
                state.manager.change_endpoint(key, id, seen, wish).await
            }
        };
        match (stored, view) {
            (Ok(_), None) => return created(&state, &at),
            (Ok(_), Some(_)) => return Ok(shown(StatusCode::OK, &at.view(&state)?)),
            (Err(ManagerError::Changed(_)), _) => {}
            (Err(ManagerError::DuplicateEndpoint(_)), None) => {}
            (Err(ManagerError::UnknownEndpoint(_)), Some(_)) => {}
            (Err(error), _) => return Err(error.into()),
        }
    }
    Err(at.changed())
}

/// Changes what is given of an endpoint (RFC 7396); only a change of what runs reconnects it.
#[utoipa::path(
    patch,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints/{eid}",
    tag = "endpoints",
    params(crate::api::openapi::OfEndpoint, crate::api::openapi::Preconditions),
    request_body = crate::api::dto::EndpointInput,
    responses(
        (status = 200, description = "changed", body = crate::api::dto::EndpointResource),
        (status = 409, description = "the same URL is there already", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "a precondition does not hold", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "the address is never dialled, or leads back", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn patch(state: State, at: At, given: Preconditions, Input(input): Input) -> Answer {
    for _ in 0..TRIES_MAX {
        let view = at.view(&state)?;
        given.check(Some(revision(&view)))?;
        let Some(record) = view.record else {
            let detail = "the endpoint's stored row can't be read; it can be replaced by PUT, or deleted";
            return Err(Problem::new(StatusCode::CONFLICT, detail));
        };
        let wish = wish(&input, Some(&record), Kind::Part)?;
        if wish.url != record.url {
            check_policy(&state, &wish.url)?;
        }
        let seen = Seen::Revision(record.revision);
        match state.manager.change_endpoint(at.key.clone(), record.id, seen, wish).await {
            Ok(_) => return Ok(shown(StatusCode::OK, &at.view(&state)?)),
            Err(ManagerError::Changed(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(at.changed())
}

/// Removes an endpoint.
#[utoipa::path(
    delete,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints/{eid}",
    tag = "endpoints",
    params(crate::api::openapi::OfEndpoint, crate::api::openapi::Preconditions),
    responses(
        (status = 204, description = "gone"),
        (status = 409, description = "somebody else changes it all the time", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 412, description = "a precondition does not hold", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn delete(state: State, at: At, given: Preconditions) -> Answer {
    for _ in 0..TRIES_MAX {
        let view = at.view(&state)?;
        given.check(Some(revision(&view)))?;
        let seen = view.record.map(|record| record.revision).filter(|_| given.are_there());
        match state.manager.remove_endpoint_of(at.key.clone(), at.id.clone(), seen).await {
            Ok(()) => return Ok(HttpResponse::NoContent().finish()),
            Err(ManagerError::Changed(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(at.changed())
}

/// Ends an endpoint's wait for its next attempt.
///
/// What comes of it is seen in the endpoint's state.
#[utoipa::path(
    post,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints/{eid}/retry",
    tag = "endpoints",
    params(crate::api::openapi::OfEndpoint),
    responses(
        (status = 202, description = "it is tried at once", body = crate::api::dto::EndpointResource),
        (status = 409, description = "it does not run", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn retry(state: State, at: At) -> Answer {
    at.view(&state)?;
    state.manager.retry_endpoint(&at.key, &at.id)?;
    Ok(shown(StatusCode::ACCEPTED, &at.view(&state)?))
}

/// Tests a destination, for a stream that need not exist; nothing is stored. 200 whatever comes of it.
#[utoipa::path(
    post,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints/test",
    tag = "endpoints",
    params(crate::api::openapi::OfStream),
    request_body = crate::api::dto::EndpointInput,
    responses(
        (status = 200, description = "what came of it", body = crate::api::dto::PreflightResource),
        (status = 429, description = "too many are tested", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn test(state: State, Stream(key): Stream, Input(input): Input) -> Answer {
    let wish = wish(&input, None, Kind::Whole)?;
    tested(&state, key, wish.url).await
}

/// The same of an endpoint as it is stored, or as a PATCH with this body would make it: its passphrase need not be known.
#[utoipa::path(
    post,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoints/{eid}/test",
    tag = "endpoints",
    params(crate::api::openapi::OfEndpoint),
    request_body = crate::api::dto::EndpointInput,
    responses(
        (status = 200, description = "what came of it", body = crate::api::dto::PreflightResource),
        (status = 409, description = "its stored row can't be read", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 429, description = "too many tests run", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn test_stored(state: State, at: At, Input(input): Input) -> Answer {
    let view = at.view(&state)?;
    let Some(record) = view.record else {
        return Err(Problem::new(StatusCode::CONFLICT, "the endpoint's stored row can't be read"));
    };
    let wish = wish(&input, Some(&record), Kind::Part)?;
    tested(&state, at.key, wish.url).await
}

async fn tested(state: &State, key: StreamKey, url: SrtUrl) -> Answer {
    let Ok(place) = Arc::clone(&state.tests).try_acquire_owned() else {
        let detail = format!("{TESTS_MAX} destinations are being tested; one more can be when one of them is done");
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail));
    };
    // A task of its own: its thread goes on when the client has gone, and the place is taken as long.
    let manager = state.manager.clone();
    let testing = tokio::spawn(async move {
        let _place = place;
        manager.test_destination(key, url).await
    });
    let report = testing.await.map_err(|error| internal(&error.to_string()))?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(PreflightResource::from(&report)))
}

fn revision(view: &EndpointView) -> u64 {
    view.record.as_ref().map_or(0, |record| record.revision)
}

/// An endpoint with its tag. The tag is of what is wanted of it alone: how it fares changes all the time, so
/// nothing of this is to be kept.
fn shown(status: StatusCode, view: &EndpointView) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((ETAG, format!("\"{}\"", revision(view))))
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(EndpointResource::of(view))
}

fn created(state: &ApiState, at: &At) -> Answer {
    let mut answer = shown(StatusCode::CREATED, &at.view(state)?);
    let At { key: StreamKey { app, id: stream }, id } = at;
    // Names hold nothing that a path or a header would have to escape.
    if let Ok(location) = format!("/{app}/rest/v2/broadcasts/{stream}/endpoints/{id}").parse() {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}

/// Refuses a literal address that is never dialled; a name is looked up and checked at each attempt.
fn check_policy(state: &ApiState, url: &SrtUrl) -> Result<(), Problem> {
    let (Some(SrtHost::Ip(address)), SrtMode::Caller | SrtMode::Rendezvous) = (&url.host, url.mode) else {
        return Ok(());
    };
    let forbidden = Destinations::deny(&state.settings.destination.deny).check(*address);
    forbidden.map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).at("host"))
}
