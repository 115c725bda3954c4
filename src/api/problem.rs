//! Refusals as problem details (RFC 9457): of WHIP, and of what is not Ant Media's in the REST interface.
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
use crate::manager::{ManagerError, PublishRefusal};

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Problem {
    /// HTTP's code.
    pub(super) status: StatusCode,
    /// What is wrong, and what is wanted.
    pub(super) detail: String,
    /// Which field of the body, or which header, is at fault.
    pub(super) field: Option<String>,
}

/// The body of a refusal.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct ProblemBody<'a> {
    /// `about:blank`: the code says all there is to say of the kind (RFC 9457, 4.2.1).
    #[serde(rename = "type")]
    kind: &'static str,
    /// HTTP's words for the code.
    title: &'static str,
    /// HTTP's code.
    status: u16,
    /// What is wrong, and what is wanted, in a sentence.
    detail: &'a str,
    /// Which field of the body, or which header, is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), field: None }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// With the field at fault.
    pub(super) fn at(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let details = ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
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

impl From<ManagerError> for Problem {
    fn from(error: ManagerError) -> Self {
        use ManagerError as E;
        let (status, field) = match &error {
            E::UnknownStream(_) | E::UnknownEndpoint(_) => (StatusCode::NOT_FOUND, None),
            E::AlreadyExists(_) | E::DuplicateEndpoint(_) | E::TooManyEndpoints(_) | E::Changed(_) => {
                (StatusCode::CONFLICT, None)
            }
            E::NotRunning { .. } => (StatusCode::CONFLICT, None),
            E::DuplicateUrl { .. } => (StatusCode::CONFLICT, Some("url")),
            E::BadEndpointId(_) | E::NoSource(_) => (StatusCode::BAD_REQUEST, None),
            E::BadUrl(_) => (StatusCode::BAD_REQUEST, Some("url")),
            E::FeedsBack(_) => (StatusCode::UNPROCESSABLE_ENTITY, Some("url")),
            E::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, None),
            // The cause names a file of the server: it is for the log.
            E::Store(cause) => {
                tracing::error!(%cause, "a change could not be stored");
                let detail = "The change could not be stored; nothing was changed";
                return Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail);
            }
        };
        Self { field: field.map(str::to_owned), ..Self::new(status, error.to_string()) }
    }
}

/// The service's own fault: the reason is for the log.
pub(super) fn internal(reason: &str) -> Problem {
    tracing::error!(reason, "a request failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "The service failed; its log says more")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::{StreamId, StreamKey};
    use crate::store::StoreError;

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
            (ManagerError::UnknownEndpoint("e".into()).into(), 404, "endpoint e does not exist"),
            (ManagerError::Changed("e".into()).into(), 409, "endpoint e has been changed by somebody else meanwhile"),
            (ManagerError::ShuttingDown.into(), 503, "the service is shutting down"),
            (
                ManagerError::Store(StoreError::ReadOnly { path: "/etc".into(), reason: "/etc".into() }).into(),
                500,
                "The change could not be stored; nothing was changed",
            ),
            (OfferError::Bad("no mid".into()).into(), 400, "no mid"),
            (OfferError::NoCodec("AV1 only".into()).into(), 422, "AV1 only"),
            (OfferError::Full(3).into(), 503, "all 3 WebRTC sessions are taken"),
            (OfferError::Internal("/etc".into()).into(), 500, "The service failed; its log says more"),
        ] {
            assert_eq!((problem.status.as_u16(), problem.detail.as_str()), (status, detail));
        }
    }
}
