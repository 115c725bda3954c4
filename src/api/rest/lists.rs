//! Lists, counts and statistics.

use actix_web::{HttpRequest, HttpResponse, web};

use super::super::ApiState;
use super::super::dto::{AppBroadcastStatistics, BroadcastDto, BroadcastStatistics, SimpleStat, StreamInfo};
use super::super::error::ApiError;
use super::target::{App, Query, Target, origin};
use crate::manager::{ListQuery, SortBy};

/// Broadcasts in one answer; a larger size is cut to this, as in Ant Media.
const LIST_SIZE_MAX: usize = 250;

type State = web::Data<ApiState>;

/// Broadcasts of an application, filtered, ordered, a page at a time.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/list/{offset}/{size}",
    tag = "broadcasts",
    params(crate::api::openapi::InApp, ("offset" = i64, Path), ("size" = i64, Path, description = "250 at most"), ("type_by" = Option<String>, Query), ("search" = Option<String>, Query), ("sort_by" = Option<String>, Query, description = "name, date or status"), ("order_by" = Option<String>, Query, description = "asc or desc")),
    responses(
        (status = 200, description = "a page of them", body = Vec<crate::api::dto::BroadcastDto>),
    ),
)]
pub(super) async fn list(
    request: HttpRequest,
    state: State,
    App(app): App,
    page: web::Path<(String, String, String)>,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let (_, offset, size) = page.into_inner();
    let query = ListQuery {
        type_by: query.text("type_by").map(str::to_owned),
        search: query.text("search").map(str::to_owned),
        // An unknown word is none, as in Ant Media.
        sort_by: match query.text("sort_by") {
            Some("name") => Some(SortBy::Name),
            Some("date") => Some(SortBy::Date),
            Some("status") => Some(SortBy::Status),
            _ => None,
        },
        descending: query.text("order_by") == Some("desc"),
        offset: count_in_path("offset", &offset)?,
        size: count_in_path("size", &size)?.min(LIST_SIZE_MAX),
    };
    let origin = origin(&request, &state);
    let views = state.manager.list(&app, &query);
    Ok(HttpResponse::Ok().json(views.iter().map(|view| BroadcastDto::of(view, &origin)).collect::<Vec<_>>()))
}

/// Less than 0 is 0.
fn count_in_path(name: &str, text: &str) -> Result<usize, ApiError> {
    match text.parse::<i64>() {
        Ok(number) => Ok(usize::try_from(number).unwrap_or(0)),
        Err(_) => Err(ApiError::bad_request(format!("The {name} in the path is not a number: {text:?}"))),
    }
}

/// How many broadcasts an application has.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/count",
    tag = "broadcasts",
    params(crate::api::openapi::InApp),
    responses(
        (status = 200, description = "how many", body = crate::api::dto::SimpleStat),
    ),
)]
pub(super) async fn count(state: State, App(app): App) -> HttpResponse {
    HttpResponse::Ok().json(SimpleStat::from(state.manager.count(&app, None)))
}

/// How many of them a search finds.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/count/{search}",
    tag = "broadcasts",
    params(crate::api::openapi::InApp, ("search" = String, Path)),
    responses(
        (status = 200, description = "how many", body = crate::api::dto::SimpleStat),
    ),
)]
pub(super) async fn count_found(state: State, App(app): App, path: web::Path<(String, String)>) -> HttpResponse {
    let (_, search) = path.into_inner();
    HttpResponse::Ok().json(SimpleStat::from(state.manager.count(&app, Some(&search))))
}

/// How many of them are live.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/active-live-stream-count",
    tag = "broadcasts",
    params(crate::api::openapi::InApp),
    responses(
        (status = 200, description = "how many", body = crate::api::dto::SimpleStat),
    ),
)]
pub(super) async fn count_live(state: State, App(app): App) -> HttpResponse {
    HttpResponse::Ok().json(SimpleStat::from(state.manager.count_broadcasting(&app)))
}

/// Who watches an application, and how many streams of it are live.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/total-broadcast-statistics",
    tag = "broadcasts",
    params(crate::api::openapi::InApp),
    responses(
        (status = 200, description = "watchers, of whom there are none here", body = crate::api::dto::AppBroadcastStatistics),
    ),
)]
pub(super) async fn total_statistics(state: State, App(app): App) -> HttpResponse {
    HttpResponse::Ok().json(AppBroadcastStatistics::of(state.manager.count_broadcasting(&app)))
}

/// Who watches a stream: nobody, for nothing is played out here.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/{id}/broadcast-statistics",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream),
    responses(
        (status = 200, description = "watchers, of whom there are none here", body = crate::api::dto::BroadcastStatistics),
    ),
)]
pub(super) async fn statistics(state: State, target: Target) -> HttpResponse {
    let known = target.key.is_some_and(|key| state.manager.get(&key).is_some());
    HttpResponse::Ok().json(BroadcastStatistics::of(known))
}

/// Size, bitrate and codecs of a live stream.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/{id}/stream-info",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream),
    responses(
        (status = 200, description = "one entry while it is live", body = Vec<crate::api::dto::StreamInfo>),
    ),
)]
pub(super) async fn stream_info(state: State, target: Target) -> HttpResponse {
    let view = target.key.and_then(|key| state.manager.get(&key));
    let info: Vec<StreamInfo> = view.as_ref().and_then(StreamInfo::of).into_iter().collect();
    HttpResponse::Ok().json(info)
}
