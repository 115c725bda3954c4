//! What stands before the handlers: the address filter and CORS.
//!
//! Owns the decision who may ask. Must not read a header to learn the client's address: anybody can
//! write `X-Forwarded-For`, so only the TCP peer counts. The hard thing: a browser must be able to
//! read a refusal, so CORS stands outside the filter.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, HttpResponseBuilder, ResponseError as _, web};
use ipnet::IpNet;

use super::ApiState;
use super::error::ApiError;

const ALLOWED_METHODS: &str = "GET,POST,HEAD,OPTIONS,PUT,DELETE";
const ALLOWED_HEADERS: &str = "Accept,Origin,X-Requested-With,Access-Control-Request-Method,Access-Control-Request-Headers,Content-Type,Authorization";
/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_AGE_S: &str = "1800";

/// Refusals are logged at most this often: anybody can cause them.
const REFUSALS_LOG_EVERY: Duration = Duration::from_millis(10_000);

/// Counts refusals between two lines of the log.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<(Option<Instant>, u64)>);

impl Refusals {
    /// Counts one more; gives the number since the last line when it is time for the next.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, count) = &mut *state;
        *count += 1;
        if last.is_some_and(|last| now.duration_since(last) < REFUSALS_LOG_EVERY) {
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(count))
    }
}

/// Whether `ip` may ask. `::ffff:192.0.2.1`, which a dual-stack socket reports, is 192.0.2.1.
fn allowed(allow: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    allow.iter().any(|net| net.contains(&ip))
}

/// Lets through who is in `rest.allow`.
pub(super) async fn allow_list(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody, BoxBody>>, Error> {
    let peer = request.peer_addr();
    let passes = request
        .app_data::<web::Data<ApiState>>()
        .zip(peer)
        .is_some_and(|(state, peer)| allowed(&state.settings.rest.allow, peer.ip()));
    if passes {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    if let Some(state) = request.app_data::<web::Data<ApiState>>()
        && let Some(refused) = state.refusals.count(Instant::now())
    {
        let peer = peer.map(|peer| peer.ip().to_canonical());
        tracing::warn!(?peer, refused, "requests from outside rest.allow are refused");
    }
    let refusal = ApiError::new(StatusCode::FORBIDDEN, "Not allowed IP").error_response();
    Ok(request.into_response(refusal).map_into_right_body())
}

/// Answers preflights and lets scripts of any origin read the answers, as Ant Media does.
pub(super) async fn cors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody, BoxBody>>, Error> {
    cors_by(request, next, |_, answer| {
        answer
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE_S));
    })
    .await
}

/// As [`cors`], where `allow` says in the answer to a preflight what may be asked.
pub(super) async fn cors_by<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
    allow: impl FnOnce(&ServiceRequest, &mut HttpResponseBuilder),
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        let mut answer = HttpResponse::Ok();
        allow(&request, &mut answer);
        request.into_response(answer.finish()).map_into_right_body()
    } else {
        next.call(request).await?.map_into_left_body()
    };
    // No credentials are used, so any origin can be said in one word.
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_a_few_lines() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.count(begun), Some(1), "the first one at once");
        for _ in 0..500 {
            assert_eq!(refusals.count(begun), None);
        }
        assert_eq!(refusals.count(begun + REFUSALS_LOG_EVERY), Some(501));
    }

    #[test]
    fn addresses_in_and_out_of_the_list() {
        let allow: Vec<IpNet> = ["127.0.0.0/8", "::1/128", "192.0.2.0/24"].map(|net| net.parse().expect("net")).into();
        for (ip, wanted) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("192.0.2.255", true),
            ("::ffff:127.0.0.1", true),
            ("192.0.3.0", false),
            ("::ffff:10.0.0.1", false),
            ("::2", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(allowed(&allow, ip.parse().expect("ip")), wanted, "{ip}");
        }
        assert!(!allowed(&[], "127.0.0.1".parse().expect("ip")));
    }
}
