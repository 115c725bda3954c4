//! `GET /{id}/statistics`: the numbers of a live stream. Not one of Ant Media's calls.

use actix_web::{HttpResponse, web};

use super::super::ApiState;
use super::super::dto::StreamStatistics;
use super::target::Target;

/// The numbers of a live stream.
///
/// 404 with an empty body when it is unknown, as the broadcast itself is answered.
#[utoipa::path(
    get,
    operation_id = "numbers",
    path = "/{app}/rest/v2/broadcasts/{id}/statistics",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream),
    responses(
        (status = 200, description = "the numbers of a stream", body = crate::api::dto::StreamStatistics),
        (status = 404, description = "there is none; the body is empty"),
    ),
)]
pub(super) async fn get(state: web::Data<ApiState>, target: Target) -> HttpResponse {
    match target.key.and_then(|key| state.manager.get(&key)) {
        Some(view) => HttpResponse::Ok().json(StreamStatistics::of(&view)),
        None => HttpResponse::NotFound().finish(),
    }
}
