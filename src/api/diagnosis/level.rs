//! GStreamer's log level at run time, one category at a time and for a bounded time.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

use super::Answer;
use crate::api::error::ApiError;
use crate::api::problem::Problem;
use crate::api::rest::target::Query;
use crate::manager::unix_ms;
use crate::telemetry::levels::{self, RAISED_DEFAULT, RaiseError, Raised};

/// What is raised now.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::api) struct LogLevels {
    /// Empty: the log is as configured.
    raised: Vec<RaisedDto>,
}

/// A category that is raised.
#[derive(Debug, Serialize, utoipa::ToSchema)]
struct RaisedDto {
    /// GStreamer's category, or a pattern with `*` and `?`.
    category: String,
    /// GStreamer's level, 1 (ERROR) to 9 (MEMDUMP).
    level: u8,
    /// When it is lowered again, in milliseconds since 1970.
    until: i64,
}

impl From<Raised> for RaisedDto {
    fn from(raised: Raised) -> Self {
        Self { category: raised.category, level: raised.level, until: unix_ms(raised.until) }
    }
}

fn levels() -> HttpResponse {
    HttpResponse::Ok().json(LogLevels { raised: levels::raised().into_iter().map(RaisedDto::from).collect() })
}

/// What of GStreamer's log is raised now.
#[utoipa::path(
    get,
    path = "/rest/v2/log-level",
    tag = "diagnosis",
    responses(
        (status = 200, description = "what is raised now", body = LogLevels),
    ),
)]
pub(super) async fn show() -> HttpResponse {
    levels()
}

/// Raises GStreamer's log for one category, for a bounded time.
#[utoipa::path(
    put,
    path = "/rest/v2/log-level",
    tag = "diagnosis",
    params(("category" = String, Query, description = "GStreamer's category, or a pattern with * and ?"), ("level" = u8, Query, minimum = 1, maximum = 9, description = "1 (ERROR) to 7 (TRACE), or 9 (MEMDUMP)"), ("seconds" = Option<u64>, Query, minimum = 1, maximum = 3600, description = "For how long; 60 without it")),
    responses(
        (status = 200, description = "what is raised now", body = LogLevels),
        (status = 409, description = "too many are raised", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn raise(query: Result<Query, ApiError>) -> Answer {
    let query = query?;
    let category = query.text("category").ok_or_else(|| missing("category"))?;
    let level = query.value("level")?.ok_or_else(|| missing("level"))?;
    let seconds = query.value("seconds")?.unwrap_or(RAISED_DEFAULT.as_secs());
    levels::raise(category, level, seconds).map_err(|error| {
        let status = match error {
            RaiseError::TooMany => StatusCode::CONFLICT,
            _ => StatusCode::BAD_REQUEST,
        };
        Problem::new(status, error.to_string())
    })?;
    Ok(levels())
}

/// Lowers a category before its time.
#[utoipa::path(
    delete,
    path = "/rest/v2/log-level",
    tag = "diagnosis",
    params(("category" = String, Query, description = "As it was raised")),
    responses(
        (status = 200, description = "what is raised still", body = LogLevels),
        (status = 404, description = "it is not raised", body = crate::api::problem::ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn lower(query: Result<Query, ApiError>) -> Answer {
    let query = query?;
    let category = query.text("category").ok_or_else(|| missing("category"))?;
    if !levels::lower(category) {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("category {category:?} is not raised")));
    }
    Ok(levels())
}

fn missing(name: &str) -> Problem {
    Problem::bad_request(format!("the query parameter {name} is missing"))
}
