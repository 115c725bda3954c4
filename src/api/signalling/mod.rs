//! Ant Media's signalling: `/{app}/websocket`, by which its SDK publishes over WebRTC.
//!
//! Owns the way from an HTTP request to a served socket, and who finds a place. Must not know what is said:
//! that is [`protocol`]'s. It stands outside `/{app}/rest`, so the address filter does not apply: publishers
//! come from anywhere, as with Ant Media.

mod frames;
mod message;
mod places;
mod protocol;
mod socket;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, UPGRADE};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _, rt, web};

use super::error::ApiError;
use super::publishers::user_agent;
use super::rest::{methods, target::App};
use super::{ApiState, RETRY_AFTER_S};
pub(super) use places::Places;
pub(super) use socket::Bounds;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(methods::resource("/{app}/websocket").get(connect).done());
}

async fn connect(
    request: HttpRequest,
    App(app): App,
    state: web::Data<ApiState>,
    payload: web::Payload,
) -> HttpResponse {
    if !request.headers().contains_key(UPGRADE) {
        let mut answer = ApiError::new(StatusCode::UPGRADE_REQUIRED, "A WebSocket is wanted here").error_response();
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        return answer;
    }
    let place = request.peer_addr().and_then(|peer| Some((peer, state.sockets.enter(peer.ip())?)));
    let Some((peer, place)) = place.filter(|_| !state.stopping.is_cancelled()) else {
        let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "No more WebSockets can be served now");
        let mut answer = refusal.error_response();
        answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S.into());
        return answer;
    };
    let Some((payload, too_large)) = frames::guard(&request, payload) else {
        return ApiError::bad_request("The request can't be read").error_response();
    };
    let (response, out, messages) = match actix_ws::handle(&request, payload) {
        Ok(wires) => wires,
        Err(error) => return error.error_response(),
    };
    let messages = messages.max_frame_size(frames::MESSAGE_BYTES_MAX).aggregate_continuations();
    let messages = messages.max_continuation_size(frames::MESSAGE_BYTES_MAX);
    let client = socket::Client { user_agent: user_agent(&request), state, app, peer };
    rt::spawn(async move {
        socket::serve(client, socket::Wires { out, messages, too_large }).await;
        drop(place);
    });
    response
}
