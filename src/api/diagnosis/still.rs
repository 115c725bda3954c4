//! What a stream looks like now. Unlike other reads, only for pages of this service (`guard::own_pages_alone`): a picture
//! that is not on air yet is nothing for whatever page happens to be open in the same browser.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};

use super::{Answer, State};
use crate::api::error::ApiError;
use crate::api::problem::Problem;
use crate::api::rest::target::Target;
use crate::stream::StillError;

/// A still of a stream's picture, decoded while somebody asks; at most 2.5 s old.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/{id}/preview.jpg",
    tag = "diagnosis",
    params(crate::api::openapi::OfStream),
    responses(
        (status = 200, description = "JPEG, 640 pixels wide", content_type = "image/jpeg", body = Vec<u8>),
        (status = 409, description = "the stream has no publisher, or no pictures", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 501, description = "GStreamer has no decoder for it here", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "no whole picture has come for 8 s, or too many streams are looked at", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn preview(state: State, target: Result<Target, ApiError>) -> Answer {
    let target = target?;
    let known = target.key.filter(|key| state.manager.get(key).is_some());
    let Some(key) = known else {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no stream {:?}", target.id)));
    };
    let Some(still) = state.manager.still(&key).await else {
        return Err(Problem::new(StatusCode::CONFLICT, format!("stream {key} has no publisher now")));
    };
    let still = still.map_err(|error| {
        let status = match error {
            StillError::NoVideo => StatusCode::CONFLICT,
            StillError::NoDecoder(_) => StatusCode::NOT_IMPLEMENTED,
            StillError::Busy | StillError::NoPicture | StillError::Ended => StatusCode::SERVICE_UNAVAILABLE,
        };
        Problem::new(status, format!("stream {key}: {error}"))
    })?;
    Ok(HttpResponse::Ok()
        .content_type("image/jpeg")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(still.jpeg))
}
