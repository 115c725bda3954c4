//! The page to publish from: `/{app}/?id=test`, with its script and its style.
//!
//! Owns their headers. Must not know what the page does: it speaks to `signalling` like any other client.
//! The hard thing: the page is given camera and microphone, so nothing but this server's own script may run
//! in it, and no other site may frame it.

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, HeaderName, IF_NONE_MATCH, LOCATION,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use sha2::{Digest as _, Sha256};

use super::error::ApiError;
use super::rest::{methods, target::App};

/// Longest `Host` that is named in the policy, in bytes (RFC 1035, 2.3.4, and a port).
const HOST_LEN_MAX: usize = 262;
/// Bytes of a file's hash that are its ETag.
const TAG_LEN: usize = 12;

/// A file of the page.
struct File {
    content_type: &'static str,
    text: &'static str,
    tag: String,
}

impl File {
    fn new(content_type: &'static str, text: &'static str) -> Self {
        let hash = Sha256::digest(text.as_bytes());
        let tag: String = hash.iter().take(TAG_LEN).map(|byte| format!("{byte:02x}")).collect();
        Self { content_type, text, tag: format!("\"{tag}\"") }
    }
}

static PAGE: LazyLock<File> = LazyLock::new(|| File::new("text/html; charset=utf-8", include_str!("page/index.html")));
static SCRIPT: LazyLock<File> =
    LazyLock::new(|| File::new("text/javascript; charset=utf-8", include_str!("page/publish.js")));
static STYLE: LazyLock<File> = LazyLock::new(|| File::new("text/css; charset=utf-8", include_str!("page/style.css")));

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(methods::resource("/{app}").get(to_the_page).done())
        .service(methods::resource("/{app}/").get(page).done())
        .service(methods::resource("/{app}/publish.js").get(script).done())
        .service(methods::resource("/{app}/style.css").get(style).done());
}

/// The page's own addresses are relative to a path that ends in a slash.
async fn to_the_page(request: HttpRequest, app: Result<App, ApiError>) -> HttpResponse {
    let Ok(App(app)) = app else { return unknown() };
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, format!("/{app}/{query}"))).finish()
}

async fn page(request: HttpRequest, app: Result<App, ApiError>) -> HttpResponse {
    serve(&request, app, &PAGE)
}

async fn script(request: HttpRequest, app: Result<App, ApiError>) -> HttpResponse {
    serve(&request, app, &SCRIPT)
}

async fn style(request: HttpRequest, app: Result<App, ApiError>) -> HttpResponse {
    serve(&request, app, &STYLE)
}

fn unknown() -> HttpResponse {
    let mut answer = HttpResponse::NotFound();
    protect(&mut answer, "default-src 'none'");
    answer.content_type("text/plain; charset=utf-8").body("There is no such application on this server.\n")
}

fn serve(request: &HttpRequest, app: Result<App, ApiError>, file: &File) -> HttpResponse {
    if app.is_err() {
        return unknown();
    }
    let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_known = known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == file.tag);
    let mut answer = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    protect(&mut answer, &policy(request));
    // Kept, but asked for each time: an update of the service is seen at the next reload.
    answer.insert_header((CACHE_CONTROL, "no-cache")).insert_header((ETAG, file.tag.as_str()));
    if is_known {
        return answer.finish();
    }
    answer.insert_header((CONTENT_TYPE, file.content_type)).body(file.text)
}

fn protect(answer: &mut HttpResponseBuilder, policy: &str) {
    answer
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // The address may hold a token.
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((
            HeaderName::from_static("permissions-policy"),
            "camera=(self), microphone=(self), display-capture=(self), screen-wake-lock=(self)",
        ));
}

/// This server's own files, and WebSockets to this very host: not every browser takes `'self'` for those.
fn policy(request: &HttpRequest) -> String {
    let host = request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let usable = !host.is_empty()
        && host.len() <= HOST_LEN_MAX
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    let sockets = if usable { format!(" ws://{host} wss://{host}") } else { String::new() };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'{sockets}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
}
