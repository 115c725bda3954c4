//! `/rest/v2`: what is asked of the service and not of one application.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};

use super::super::ApiState;
use super::super::dto::Applications;
use super::super::{events, guard};
use super::methods::resource;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(
            resource("/rest/v2/applications")
                .get(applications)
                .done()
                .wrap(from_fn(guard::allow_list))
                .wrap(from_fn(guard::cors)),
        )
        .service(
            resource("/rest/v2/events")
                .get(events::events_of_all)
                .done_with_problems()
                .wrap(from_fn(guard::allow_list))
                .wrap(from_fn(guard::cors)),
        );
}

/// Ant Media's call of the same name.
#[utoipa::path(
    get,
    path = "/rest/v2/applications",
    tag = "broadcasts",
    responses((status = 200, description = "the configured applications", body = Applications)),
)]
pub(super) async fn applications(state: web::Data<ApiState>) -> HttpResponse {
    HttpResponse::Ok().json(Applications::of(&state.manager.apps()))
}
