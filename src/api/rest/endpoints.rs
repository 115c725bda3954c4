//! Endpoints added and removed.
//!
//! Owns the order of the checks, which decides which text a client gets. The hard thing is Ant
//! Media's `resolutionHeight`, which chooses a rendition: there is one here, the stream itself.

use actix_web::{HttpResponse, web};

use super::super::ApiState;
use super::super::body::JsonBody;
use super::super::dto::{EndpointBody, ResultDto, StreamInfo};
use super::super::error::{ApiError, Call, no_such_stream, not_added, worded};
use super::target::{Query, Target};
use crate::manager::{BroadcastView, ManagerError};
use crate::model::ids::EndpointId;
use crate::model::srt_url::SrtUrl;

type Answer = Result<HttpResponse, ApiError>;
type State = web::Data<ApiState>;

/// Adds an endpoint; `dataId` is its id.
#[utoipa::path(
    post,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoint",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream, ("resolutionHeight" = Option<i64>, Query, description = "Only 0, or the height of the stream: it is sent on as it comes")),
    request_body = crate::api::dto::EndpointBody,
    responses(
        (status = 200, description = "done, or refused with the reason", body = crate::api::dto::ResultDto),
    ),
)]
pub(super) async fn add(state: State, target: Target, query: Query, JsonBody(body): JsonBody<EndpointBody>) -> Answer {
    let id = &target.id;
    let height = query.value::<i64>("resolutionHeight")?;
    let Some(wanted) = body.and_then(EndpointBody::wanted) else {
        return Err(ApiError::refused("Missing Endpoint url"));
    };
    let found = target.key.and_then(|key| state.manager.get(&key).map(|view| (key, view)));
    let Some((key, view)) = found else {
        return Err(no_such_stream(id));
    };
    let url = SrtUrl::parse(&wanted.url).map_err(|reason| not_added(id, reason))?;
    let endpoint_id: Option<EndpointId> = match wanted.id {
        None => None,
        Some(text) => {
            Some(text.parse().map_err(|reason| worded(Call::AddEndpoint, id, &ManagerError::BadEndpointId(reason)))?)
        }
    };
    if let Some(reason) = height_mismatch(height, &view) {
        return Err(not_added(id, reason));
    }
    match state.manager.add_endpoint(key, endpoint_id, url).await {
        Ok(endpoint) => Ok(HttpResponse::Ok().json(ResultDto::added(endpoint.id.to_string()))),
        Err(error) => Err(worded(Call::AddEndpoint, id, &error)),
    }
}

/// Removes an endpoint.
#[utoipa::path(
    delete,
    path = "/{app}/rest/v2/broadcasts/{id}/endpoint",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream, ("endpointServiceId" = Option<String>, Query, description = "Which one"), ("resolutionHeight" = Option<i64>, Query, description = "Only 0, or the height of the stream: it is sent on as it comes")),
    responses(
        (status = 200, description = "done, or refused with the reason", body = crate::api::dto::ResultDto),
    ),
)]
pub(super) async fn remove(state: State, target: Target, query: Query) -> Answer {
    let height = query.value::<i64>("resolutionHeight")?;
    let Some(endpoint_id) = query.text("endpointServiceId").filter(|id| !id.is_empty()) else {
        return Err(ApiError::refused(""));
    };
    let found = target.key.and_then(|key| state.manager.get(&key).map(|view| (key, view)));
    let Some((key, view)) = found else {
        return Err(ApiError::refused(""));
    };
    if let Some(reason) = height_mismatch(height, &view) {
        return Err(ApiError::refused(reason));
    }
    match state.manager.remove_endpoint(key, endpoint_id.to_owned()).await {
        Ok(()) => Ok(HttpResponse::Ok().json(ResultDto::bare(true))),
        Err(error) => Err(worded(Call::RemoveEndpoint, &target.id, &error)),
    }
}

/// Why a height can't be had. 0 and less mean any; so does every height while the stream isn't live,
/// since nothing can be said of it then.
fn height_mismatch(asked: Option<i64>, view: &BroadcastView) -> Option<String> {
    let asked = asked.filter(|height| *height > 0)?;
    let height = StreamInfo::of(view)?.height();
    (asked != i64::from(height)).then(|| {
        format!("resolutionHeight {asked} is not available: the stream is sent on as it comes, {height} lines high")
    })
}
