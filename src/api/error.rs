//! Refusals and how they look on the wire.
//!
//! Owns the status codes and, in [`worded`], every text for what the manager refuses. Must not decide
//! anything. The hard thing: nearly every refusal of Ant Media is HTTP 200 with `success: false`.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use super::dto::ResultDto;
use crate::manager::ManagerError;
use crate::model::source::SourceError;

/// A refusal; its body is a Result with the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct ApiError {
    /// HTTP's code.
    pub(super) status: StatusCode,
    /// Ant Media's text, or ours where it has none.
    pub(super) message: String,
    /// More about it where Ant Media's text says little, shown as `dataId`; or empty.
    pub(super) detail: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), detail: String::new() }
    }

    /// Ant Media's way to refuse: 200 and `success: false`.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self::new(StatusCode::OK, message)
    }

    /// With a detail as `dataId`.
    pub(super) fn because(self, detail: impl std::fmt::Display) -> Self {
        Self { detail: detail.to_string(), ..self }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).json(ResultDto::refused(&self.message, &self.detail))
    }
}

/// Which call the manager refused: the same reason has different texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Create,
    Update,
    Start,
    Delete,
    AddEndpoint,
    RemoveEndpoint,
}

/// The status and text for what the manager refused to do with stream `id`.
pub(super) fn worded(call: Call, id: &str, error: &ManagerError) -> ApiError {
    use ManagerError as E;
    match (call, error) {
        (_, E::ShuttingDown) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        (_, E::Store(cause)) => {
            // The cause names a file of the server: it is for the log.
            tracing::error!(stream = id, %cause, "a change could not be stored");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "The change could not be stored; nothing was changed")
        }
        (Call::Create, E::AlreadyExists(_)) => {
            ApiError::bad_request("Stream id is already being used. Please change stream id or keep it empty")
        }
        (Call::Create, E::NoSource(SourceError::NoUrl)) => no_stream_url(id),
        // Both texts are Ant Media's to the letter.
        (Call::Create, E::NoSource(reason)) => ApiError::bad_request("Stream url is not valid. ").because(reason),
        (Call::Update, E::NoSource(reason)) => ApiError::refused("Stream URL is not valid").because(reason),
        (Call::Start, E::UnknownStream(_)) => ApiError::refused(format!("No Stream Exists with id:{id}")),
        (Call::Start, E::NoSource(SourceError::NotPulled)) => {
            ApiError::refused("Broadcast type is not supported. It can be StreamSource, IP Camera, VOD, Playlist")
        }
        (Call::Start, E::NoSource(SourceError::NoUrl)) => no_stream_url(id),
        (Call::Start, E::NoSource(reason)) => ApiError::refused("Stream URL is not valid").because(reason),
        (Call::Start, reason) => ApiError::refused(reason.to_string()),
        (Call::Create, reason) => ApiError::bad_request(format!("Broadcast is not created: {reason}")),
        (Call::Update, E::UnknownStream(_)) => {
            ApiError::refused(format!("Broadcast with streamId: {id} does not exist"))
        }
        (Call::Update, reason) => ApiError::refused(format!("Broadcast is not updated: {reason}")),
        (Call::AddEndpoint, E::UnknownStream(_)) => no_such_stream(id),
        (Call::AddEndpoint, E::DuplicateUrl { url, .. }) => ApiError::refused(format!(
            "Endpoint is not added to datastore for stream {id}. It is already added ->{url}"
        )),
        (Call::AddEndpoint, reason) => not_added(id, reason),
        // Ant Media has no text for these.
        (Call::Delete | Call::RemoveEndpoint, E::UnknownStream(_) | E::UnknownEndpoint(_)) => ApiError::refused(""),
        (Call::Delete | Call::RemoveEndpoint, reason) => ApiError::refused(reason.to_string()),
    }
}

fn no_stream_url(id: &str) -> ApiError {
    ApiError::refused(format!("Stream url is null and it's not an IP camera to get stream url for id:{id}"))
}

/// The stream that an endpoint is to be added to isn't there.
pub(super) fn no_such_stream(id: &str) -> ApiError {
    ApiError::refused(format!("Stream does not exist with Id: {id}"))
}

/// Ant Media's text, and after it the reason, which it keeps for itself.
pub(super) fn not_added(id: &str, reason: impl std::fmt::Display) -> ApiError {
    ApiError::refused(format!("Endpoint is not added to stream: {id}. {reason}"))
}

/// The answer where no route leads.
pub(super) async fn no_such_path() -> HttpResponse {
    ApiError::new(StatusCode::NOT_FOUND, "There is nothing at this path").error_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::StreamKey;
    use crate::store::StoreError;

    #[test]
    fn every_refusal_has_its_code_and_text() {
        let key = || StreamKey { app: "live".parse().expect("app"), id: "t".parse().expect("id") };
        let bad_url = || ManagerError::BadUrl(crate::model::srt_url::SrtUrl::parse("foo").expect_err("bad"));
        let url_text = bad_url().to_string();
        let cases = [
            (Call::Create, ManagerError::AlreadyExists(key()), 400, "Stream id is already being used. Please change stream id or keep it empty".to_owned()),
            (Call::Create, bad_url(), 400, format!("Broadcast is not created: {url_text}")),
            (Call::Update, ManagerError::UnknownStream(key()), 200, "Broadcast with streamId: t does not exist".into()),
            (Call::Update, bad_url(), 200, format!("Broadcast is not updated: {url_text}")),
            (Call::Delete, ManagerError::UnknownStream(key()), 200, String::new()),
            (Call::RemoveEndpoint, ManagerError::UnknownStream(key()), 200, String::new()),
            (Call::RemoveEndpoint, ManagerError::UnknownEndpoint("x".into()), 200, String::new()),
            (Call::AddEndpoint, ManagerError::UnknownStream(key()), 200, "Stream does not exist with Id: t".into()),
            (
                Call::AddEndpoint,
                ManagerError::DuplicateUrl { key: key(), url: "srt://h".into() },
                200,
                "Endpoint is not added to datastore for stream t. It is already added ->srt://h".into(),
            ),
            (Call::AddEndpoint, bad_url(), 200, format!("Endpoint is not added to stream: t. {url_text}")),
            (
                Call::AddEndpoint,
                ManagerError::DuplicateEndpoint("x".into()),
                200,
                "Endpoint is not added to stream: t. endpointServiceId x is in use on this stream already".into(),
            ),
            (
                Call::AddEndpoint,
                ManagerError::FeedsBack("it leads to live/t itself".into()),
                200,
                "Endpoint is not added to stream: t. the endpoint would feed the stream back to itself (it leads to live/t itself)".into(),
            ),
            (
                Call::AddEndpoint,
                ManagerError::TooManyEndpoints(1000),
                200,
                "Endpoint is not added to stream: t. the stream has 1000 endpoints already, which is the most one may have".into(),
            ),
            (
                Call::Create,
                ManagerError::NoSource(SourceError::Transport),
                400,
                "Stream url is not valid. ".into(),
            ),
            (Call::Update, ManagerError::NoSource(SourceError::Transport), 200, "Stream URL is not valid".into()),
            (Call::Start, ManagerError::UnknownStream(key()), 200, "No Stream Exists with id:t".into()),
            (
                Call::Start,
                ManagerError::NoSource(SourceError::NotPulled),
                200,
                "Broadcast type is not supported. It can be StreamSource, IP Camera, VOD, Playlist".into(),
            ),
            (
                Call::Start,
                ManagerError::NoSource(SourceError::NoUrl),
                200,
                "Stream url is null and it's not an IP camera to get stream url for id:t".into(),
            ),
            (Call::AddEndpoint, ManagerError::ShuttingDown, 503, "the service is shutting down".into()),
            (
                Call::RemoveEndpoint,
                ManagerError::Store(StoreError::ReadOnly { path: "t.db".into(), reason: "t".into() }),
                500,
                "The change could not be stored; nothing was changed".into(),
            ),
        ];
        for (call, error, status, message) in cases {
            let worded = worded(call, "t", &error);
            assert_eq!((worded.status.as_u16(), worded.message), (status, message), "{call:?} {error:?}");
        }
    }
}
