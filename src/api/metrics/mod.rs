//! `GET /metrics`: what runs, as numbers for Prometheus (OpenMetrics 1.0, which every Prometheus since 2.5 asks for).
//!
//! Owns names, units and labels; `docs/metrics.md` lists them, and a test compares. Must not know where a number comes
//! from. The hard thing is what a label may be: applications, stream ids, endpoint ids, and words of ours. No address,
//! no URL, nothing that a publisher or a receiver says of itself.

mod endpoints;
mod page;
mod process;
mod streams;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use super::error::ApiError;
use super::rest::methods::resource;
use super::{ApiState, guard};
use crate::manager::StreamSurvey;
use page::Page;

pub(super) use process::note_start;
pub(super) use streams::Sums;

/// As the specification of OpenMetrics has it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is documented of it.
#[derive(utoipa::OpenApi)]
#[openapi(paths(metrics))]
pub(super) struct Documented;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(resource("/metrics").get(metrics).done().wrap(from_fn(guard::metrics_allow_list)));
}

/// What one scrape reads.
#[derive(Debug)]
struct Scrape {
    streams: Vec<StreamSurvey>,
    sums: Sums,
    listeners: usize,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut page = Page::new(encoder);
        process::write(&mut page, self)?;
        streams::write(&mut page, self)?;
        endpoints::write(&mut page, self)
    }
}

/// What runs, as numbers for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "service",
    responses(
        (status = 200, description = "OpenMetrics 1.0", content_type = "application/openmetrics-text", body = String),
        (status = 500, description = "they could not be written", body = crate::api::dto::ResultDto),
    ),
)]
async fn metrics(state: web::Data<ApiState>) -> Result<HttpResponse, ApiError> {
    // Megabytes with thousands of endpoints: not on the worker that answers everybody else.
    let text = web::block(move || scrape(&state)).await.ok().and_then(Result::ok);
    let text = text.ok_or_else(|| {
        let status = actix_web::http::StatusCode::INTERNAL_SERVER_ERROR;
        ApiError::new(status, "The metrics could not be written")
    })?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, OPEN_METRICS)).body(text))
}

fn scrape(state: &ApiState) -> Result<String, std::fmt::Error> {
    let (streams, sums) = state.sums.take(|| state.manager.survey());
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape { streams, sums, listeners: state.events.listeners() }));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}
