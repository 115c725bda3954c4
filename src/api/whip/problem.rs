//! WHIP's refusals: problem details (RFC 9457).
//!
//! Owns the status codes, in one place. Must not decide anything. The hard thing: what the server's own
//! failures are about is for the log, not for a stranger.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use crate::api::RETRY_AFTER_S;
use crate::api::error::ApiError;
use crate::ingest::webrtc::OfferError;
use crate::manager::PublishRefusal;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Problem {
    /// HTTP's code.
    pub(super) status: StatusCode,
    /// What is wrong, and what is wanted.
    pub(super) detail: String,
}

#[derive(Serialize)]
struct Details<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let details = Details {
            // The code says all there is to say of the kind (RFC 9457, 4.2.1).
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let mut answer = HttpResponse::build(self.status).json(details);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.status) {
            answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S.into());
        }
        answer
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self::new(error.status, error.message)
    }
}

impl From<PublishRefusal> for Problem {
    fn from(refusal: PublishRefusal) -> Self {
        let status = match refusal {
            PublishRefusal::UnknownApp(_) => StatusCode::NOT_FOUND,
            PublishRefusal::BadStreamId { .. } => StatusCode::BAD_REQUEST,
            PublishRefusal::InUse(_) => StatusCode::CONFLICT,
            PublishRefusal::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
            PublishRefusal::Internal(reason) => return internal(&reason),
        };
        Self::new(status, refusal.to_string())
    }
}

impl From<OfferError> for Problem {
    fn from(error: OfferError) -> Self {
        let status = match error {
            OfferError::Bad(_) => StatusCode::BAD_REQUEST,
            OfferError::NoCodec(_) => StatusCode::UNPROCESSABLE_ENTITY,
            OfferError::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            OfferError::Internal(reason) => return internal(&reason),
        };
        Self::new(status, error.to_string())
    }
}

fn internal(reason: &str) -> Problem {
    tracing::error!(reason, "a WHIP request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The service failed; its log says more")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{StreamId, StreamKey};

    #[test]
    fn every_refusal_has_its_code() {
        let key = StreamKey { app: "live".parse().expect("app"), id: "t".parse().expect("id") };
        let reason = "".parse::<StreamId>().expect_err("empty");
        for (problem, status, detail) in [
            (Problem::from(PublishRefusal::UnknownApp("x".into())), 404, "application \"x\" does not exist"),
            (PublishRefusal::BadStreamId { given: String::new(), reason }.into(), 400, "the stream id is empty"),
            (PublishRefusal::InUse(key).into(), 409, "stream live/t is being published by somebody else"),
            (PublishRefusal::ShuttingDown.into(), 503, "the service is shutting down"),
            (PublishRefusal::Internal("/etc".into()).into(), 500, "The service failed; its log says more"),
            (OfferError::Bad("no mid".into()).into(), 400, "no mid"),
            (OfferError::NoCodec("AV1 only".into()).into(), 422, "AV1 only"),
            (OfferError::Full(3).into(), 503, "all 3 WebRTC sessions are taken"),
            (OfferError::Internal("/etc".into()).into(), 500, "The service failed; its log says more"),
        ] {
            assert_eq!((problem.status.as_u16(), problem.detail.as_str()), (status, detail));
        }
    }
}
