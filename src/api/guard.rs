//! What stands before the handlers: the address filter, CORS, and a filter of foreign web pages.
//!
//! Owns the decision who may ask. Must not read a header to learn the client's address: anybody can
//! write `X-Forwarded-For`, so only the TCP peer counts. The hard thing: a browser must be able to
//! read a refusal, so CORS stands outside the filter. And a browser whose address is allowed asks for every page that
//! is open in it, so a change is taken only from the service's own pages and those in `rest.origins`. By plain HTTP a
//! page is known to be the service's own by the name it came by, and a name may be anybody's (DNS rebinding).

use std::net::IpAddr;
use std::time::Instant;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderMap, HeaderName,
    HeaderValue, ORIGIN,
};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, HttpResponseBuilder, ResponseError as _, web};
use ipnet::IpNet;

use super::ApiState;
use super::error::ApiError;
use crate::config::Settings;
use crate::os;

const ALLOWED_METHODS: &str = "GET,POST,HEAD,OPTIONS,PUT,DELETE,PATCH";
const ALLOWED_HEADERS: &str = "Accept,Origin,X-Requested-With,Access-Control-Request-Method,Access-Control-Request-Headers,Content-Type,Authorization,If-Match,If-None-Match";
/// What a script may read of an answer beside what every script may.
const EXPOSED_HEADERS: &str = "ETag,Location,Allow,Retry-After";
/// How long a browser may remember a preflight, in seconds.
const PREFLIGHT_AGE_S: &str = "1800";

/// Answered to a change that a web page of elsewhere asks for.
const FOREIGN_PAGE: &str =
    "A web page of another origin may not change anything here; rest.origins in the configuration names those that may";

/// Answered to one that asks for what is not everybody's to see.
const FOREIGN_READER: &str =
    "A web page of another origin may not see this; rest.origins in the configuration names those that may";

/// Answered to a page that was fetched under a name which somebody else may own. The name is the client's own text, so it
/// is not repeated.
const FOREIGN_NAME: &str = "Whoever owns a name can point it at this machine, so by plain HTTP a web page may change \
    something here only under an address, localhost, a name without a dot or this machine's own, or one in .local, \
    .internal, .home.arpa or .localhost; rest.origins in the configuration names others, as http://HOST:PORT";

/// What no stranger can have a name in: the machine itself, the link, and what is reserved for private networks
/// (RFC 6761, RFC 6762, RFC 8375, ICANN's resolution 2024.07.29.06).
const PRIVATE_SUFFIXES: [&str; 4] = [".localhost", ".local", ".home.arpa", ".internal"];

/// `Sec-Fetch-Site` of a page of ours, and of what its user has typed.
const OWN_SITES: [&str; 2] = ["same-origin", "none"];

/// Whether `ip` may ask. `::ffff:192.0.2.1`, which a dual-stack socket reports, is 192.0.2.1.
fn allowed(allow: &[IpNet], ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    allow.iter().any(|net| net.contains(&ip))
}

/// Lets through who is in `rest.allow`.
pub(super) async fn allow_list<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    allow_list_by(request, next, "rest.allow", |settings| &settings.rest.allow).await
}

/// Lets through who is in `metrics.allow`.
pub(super) async fn metrics_allow_list<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    allow_list_by(request, next, "metrics.allow", |settings| &settings.metrics.allow).await
}

async fn allow_list_by<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
    key: &'static str,
    list: fn(&Settings) -> &[IpNet],
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let peer = request.peer_addr();
    let passes = request
        .app_data::<web::Data<ApiState>>()
        .zip(peer)
        .is_some_and(|(state, peer)| allowed(list(&state.settings), peer.ip()));
    if passes {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    if let Some(state) = request.app_data::<web::Data<ApiState>>()
        && let Some(refused) = state.refusals.count(Instant::now())
    {
        let peer = peer.map(|peer| peer.ip().to_canonical());
        tracing::warn!(?peer, refused, key, "requests from outside the allow list are refused");
    }
    let refusal = ApiError::new(StatusCode::FORBIDDEN, "Not allowed IP").error_response();
    Ok(request.into_response(refusal).map_into_right_body())
}

/// Refuses a change that a web page of another origin asks for, unless it stands in `rest.origins`.
///
/// A browser says which page asks in `Sec-Fetch-Site` (Fetch Metadata; only to https and localhost), and in `Origin`.
/// Both are beyond a page's reach, and what is no browser sends neither. The order is the one in which they can be
/// relied on: a proxy in front may have changed `Host`, which `Origin` is compared with.
pub(super) async fn own_pages<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let state = request.app_data::<web::Data<ApiState>>();
    let asks = state.map_or(Page::Foreign, |state| {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            return Page::Own;
        }
        page(request.headers(), &state.settings.rest.origins, os::host_name)
    });
    let reason = match asks {
        Page::Own => return Ok(next.call(request).await?.map_into_left_body()),
        Page::Foreign => FOREIGN_PAGE,
        Page::Named => FOREIGN_NAME,
    };
    let refusal = ApiError::new(StatusCode::FORBIDDEN, reason).error_response();
    Ok(request.into_response(refusal).map_into_right_body())
}

/// Refuses what a web page of another origin asks for, whatever it asks: for what is not everybody's to see.
pub(super) async fn own_pages_alone<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let state = request.app_data::<web::Data<ApiState>>();
    let asks = state.map(|state| page(request.headers(), &state.settings.rest.origins, os::host_name));
    if asks == Some(Page::Own) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let refusal = ApiError::new(StatusCode::FORBIDDEN, FOREIGN_READER).error_response();
    Ok(request.into_response(refusal).map_into_right_body())
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    /// A page of ours, one of an origin in `rest.origins`, or no browser.
    Own,
    /// A page of another origin.
    Foreign,
    /// A page that came by a name of its own choice: of ours, or of somebody who has let that name point here since.
    Named,
}

fn page(headers: &HeaderMap, origins: &[String], own_name: impl FnOnce() -> Option<String>) -> Page {
    let own = |own: bool| if own { Page::Own } else { Page::Foreign };
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    let Some(origin) = text(ORIGIN) else {
        return own(site.is_none_or(|site| OWN_SITES.contains(&site)));
    };
    if origins.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin)) {
        return Page::Own;
    }
    if let Some(site) = site {
        return own(OWN_SITES.contains(&site));
    }
    let Some((scheme, asked)) = origin.split_once("://") else { return Page::Foreign };
    if !text(HOST).is_some_and(|host| host.eq_ignore_ascii_case(asked)) {
        return Page::Foreign;
    }
    // By HTTPS it has shown a certificate for the name.
    match scheme.eq_ignore_ascii_case("https") || is_no_strangers(asked, own_name) {
        true => Page::Own,
        false => Page::Named,
    }
}

/// Whether nobody from outside can make this host lead here: DNS rebinding takes a name of one's own.
fn is_no_strangers(authority: &str, own_name: impl FnOnce() -> Option<String>) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || !host.contains('.')
        || PRIVATE_SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
        || own_name().is_some_and(|name| name.eq_ignore_ascii_case(&host))
}

/// Answers preflights and lets scripts of any origin read the answers, as Ant Media does.
pub(super) async fn cors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody, BoxBody>>, Error> {
    let mut response = cors_by(request, next, |_, answer| {
        answer
            .insert_header((ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS))
            .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS))
            .insert_header((ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE_S));
    })
    .await?;
    response.headers_mut().insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    Ok(response)
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
    fn a_change_is_taken_from_our_own_pages_and_from_what_is_no_browser() {
        let listed = ["https://dash.example.org".to_owned()];
        let any = ["*".to_owned()];
        let own = "http://10.0.0.5:5080";
        let evil = "http://evil.example";
        for (origin, site, origins, wanted) in [
            (None, None, &[][..], true),
            (Some(own), None, &[], true),
            (Some("HTTP://10.0.0.5:5080"), None, &[], true),
            (Some(evil), None, &[], false),
            (Some("http://10.0.0.5:5081"), None, &[], false),
            // A sandboxed frame, a file.
            (Some("null"), None, &[], false),
            (Some(""), None, &[], false),
            // Behind a proxy that names another host.
            (Some("https://panel.example.org"), Some("same-origin"), &[], true),
            (Some(own), Some("cross-site"), &[], false),
            (Some(evil), Some("same-site"), &[], false),
            (None, Some("none"), &[], true),
            (None, Some("cross-site"), &[], false),
            (Some("https://dash.example.org"), Some("cross-site"), &listed, true),
            (Some("https://dash.example.org.evil"), Some("cross-site"), &listed, false),
            (Some(evil), Some("cross-site"), &any, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("10.0.0.5:5080"));
            let mut give = |name, value: Option<&'static str>| {
                value.map(|value| headers.insert(name, HeaderValue::from_static(value)));
            };
            give(ORIGIN, origin);
            give(HeaderName::from_static("sec-fetch-site"), site);
            let wanted = if wanted { Page::Own } else { Page::Foreign };
            assert_eq!(page(&headers, origins, || None), wanted, "{origin:?} {site:?}");
        }
    }

    #[test]
    fn a_name_that_anybody_may_own_is_no_proof_of_our_own_page() {
        for (origin, wanted) in [
            ("http://evil.example:5080", Page::Named),
            ("http://127.0.0.1.evil.example", Page::Named),
            ("http://notlocal:5080", Page::Own),
            ("http://studio-pc:5080", Page::Own),
            ("http://Studio-PC.local:5080", Page::Own),
            ("http://studio-pc.local.", Page::Own),
            ("http://panel.localhost:5080", Page::Own),
            ("http://panel.internal", Page::Own),
            ("http://panel.home.arpa", Page::Own),
            ("http://restream.example.org:5080", Page::Own),
            ("http://xrestream.example.org:5080", Page::Named),
            ("http://192.0.2.7", Page::Own),
            ("http://[2001:db8::7]:5080", Page::Own),
            // It has shown a certificate.
            ("https://evil.example:5443", Page::Own),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            headers.insert(HOST, HeaderValue::from_static(origin.split_once("//").expect("an origin").1));
            assert_eq!(page(&headers, &[], || Some("Restream.example.org".into())), wanted, "{origin}");
            let listed = [origin.to_owned()];
            assert_eq!(page(&headers, &listed, || None), Page::Own, "{origin} is in rest.origins");
        }
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
