//! Request bodies: a bounded read, then JSON into a typed struct.
//!
//! Owns the limits and the texts of what is wrong with a body. Must not know a route. The hard thing:
//! serde names a wrong type but not its field; the field is found by trying each one alone.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{FromRequest, HttpRequest};
use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::ApiError;

/// Largest body that is read.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// How much of a larger one is still taken off the wire, so that its sender gets to read the answer
/// instead of a broken connection.
const DISCARD_BYTES_MAX: usize = 1024 * 1024;
/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_millis(10_000);

/// A JSON object as `T`, all of whose fields must be optional. None: no body, or `null`.
pub(super) struct JsonBody<T>(pub(super) Option<T>);

impl<T: DeserializeOwned + 'static> FromRequest for JsonBody<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = read_in_time(&request, payload).await?;
            if bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(Self(None));
            }
            check_type(&request)?;
            parse(&bytes).map(Self)
        })
    }
}

/// The whole body, if it is not too large and comes in time.
pub(super) async fn read_in_time(request: &HttpRequest, payload: Payload) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(BODY_WAIT, read(request, payload))
        .await
        .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time"))?
}

async fn read(request: &HttpRequest, mut payload: Payload) -> Result<Vec<u8>, ApiError> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let mut too_large =
        announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|len| len > BODY_BYTES_MAX as u64);
    let (mut bytes, mut taken) = (Vec::new(), 0);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| ApiError::bad_request(format!("The body can't be read: {error}")))?;
        taken += chunk.len();
        if too_large || taken > BODY_BYTES_MAX {
            too_large = true;
            bytes = Vec::new();
            if taken > DISCARD_BYTES_MAX {
                break;
            }
        } else {
            bytes.extend_from_slice(&chunk);
        }
    }
    if too_large {
        let message = format!("The body is larger than {BODY_BYTES_MAX} bytes");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    Ok(bytes)
}

/// Sent plain.
pub(super) fn check_encoding(request: &HttpRequest) -> Result<(), ApiError> {
    match request.headers().get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => {
            let message = "Content-Encoding is not supported; send the body as it is";
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
        }
        _ => Ok(()),
    }
}

/// `application/json` or `application/*+json`, sent plain.
pub(super) fn check_type(request: &HttpRequest) -> Result<(), ApiError> {
    check_encoding(request)?;
    let unsupported = |message: String| ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    let given = request.headers().get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let Some(given) = given else {
        return Err(unsupported("Content-Type is missing; application/json is wanted".into()));
    };
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = essence.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"));
    if !fits {
        return Err(unsupported(format!("Content-Type {essence:?} is not supported; application/json is wanted")));
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<T>, ApiError> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("The body is not valid JSON: {error}")))?;
    let object = match value {
        Value::Null => return Ok(None),
        Value::Object(object) => object,
        _ => return Err(ApiError::bad_request("The body is not a JSON object")),
    };
    match serde_json::from_value(Value::Object(object.clone())) {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) => Err(ApiError::bad_request(culprit::<T>(object).unwrap_or_else(|| error.to_string()))),
    }
}

/// The first field that fails alone, and why.
fn culprit<T: DeserializeOwned>(object: Map<String, Value>) -> Option<String> {
    object.into_iter().find_map(|(name, value)| {
        let alone = Map::from_iter([(name.clone(), value)]);
        let error = serde_json::from_value::<T>(Value::Object(alone)).err()?;
        Some(format!("{name}: {error}"))
    })
}
