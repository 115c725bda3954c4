//! `/{app}/rest/v2` and `/rest/v2`: the table of routes, and what all its handlers take from a request.
//!
//! Owns paths and methods. Must not do anything itself. The hard thing: the fixed words (`create`,
//! `list`, `count` …) stand in the place of a stream id, so they are routed first.

mod broadcasts;
pub(super) mod control;
mod endpoints;
mod lists;
pub(super) mod methods;
mod service;
mod statistics;
pub(super) mod target;

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};

use super::dto::Version;
use super::error::{ApiError, no_such_path};
use super::{diagnosis, events, guard};
use methods::resource;
use target::App;

/// What is documented of it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(
    version,
    broadcasts::create,
    broadcasts::get,
    broadcasts::update,
    broadcasts::delete,
    broadcasts::delete_many,
    broadcasts::start,
    broadcasts::stop,
    endpoints::add,
    endpoints::remove,
    lists::list,
    lists::count,
    lists::count_found,
    lists::count_live,
    lists::total_statistics,
    lists::statistics,
    lists::stream_info,
    statistics::get,
    service::applications
))]
pub(super) struct Documented;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let bad_path = web::PathConfig::default().error_handler(|error, _| {
        ApiError::new(StatusCode::NOT_FOUND, format!("The path is not valid: {error}")).into()
    });
    config.configure(service::routes).service(
        web::scope("/{app}/rest/v2")
            .app_data(bad_path)
            .service(resource("/version").get(version).done())
            .service(resource("/events").get(events::events).done_with_problems())
            .service(resource("/broadcasts/create").post(broadcasts::create).done())
            .service(resource("/broadcasts/list/{offset}/{size}").get(lists::list).done())
            .service(resource("/broadcasts/count").get(lists::count).done())
            .service(resource("/broadcasts/count/{search}").get(lists::count_found).done())
            .service(resource("/broadcasts/active-live-stream-count").get(lists::count_live).done())
            .service(resource("/broadcasts/total-broadcast-statistics").get(lists::total_statistics).done())
            .service(resource("/broadcasts").delete(broadcasts::delete_many).done())
            .service(resource("/broadcasts/").delete(broadcasts::delete_many).done())
            .service(
                resource("/broadcasts/{id}")
                    .get(broadcasts::get)
                    .put(broadcasts::update)
                    .delete(broadcasts::delete)
                    .done(),
            )
            .service(resource("/broadcasts/{id}/start").post(broadcasts::start).done())
            .service(resource("/broadcasts/{id}/stop").post(broadcasts::stop).done())
            .service(resource("/broadcasts/{id}/broadcast-statistics").get(lists::statistics).done())
            .service(resource("/broadcasts/{id}/statistics").get(statistics::get).done())
            .service(resource("/broadcasts/{id}/stream-info").get(lists::stream_info).done())
            .service(resource("/broadcasts/{id}/endpoint").post(endpoints::add).delete(endpoints::remove).done())
            .configure(diagnosis::of_streams)
            // The name before 3.0.
            .service(resource("/broadcasts/{id}/rtmp-endpoint").post(endpoints::add).delete(endpoints::remove).done())
            .configure(control::routes)
            .default_service(web::to(no_such_path))
            .wrap(from_fn(guard::own_pages))
            .wrap(from_fn(guard::allow_list))
            .wrap(from_fn(guard::cors)),
    );
}

/// What serves here.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/version",
    tag = "service",
    params(crate::api::openapi::InApp),
    responses(
        (status = 200, description = "what serves here", body = crate::api::dto::Version),
    ),
)]
async fn version(_app: App) -> HttpResponse {
    HttpResponse::Ok().json(Version::this())
}
