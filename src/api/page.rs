//! The page to publish from: `/{app}/?id=test`, with its script and its style.
//!
//! Owns their headers. Must not know what the page does: it speaks to `signalling` like any other client.
//! The hard thing: the page is given camera and microphone, so nothing but this server's own script may run
//! in it, and no other site may frame it.

use std::sync::LazyLock;

use actix_web::http::header::{HOST, HeaderName, LOCATION};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};

use super::error::ApiError;
use super::files::{self, File};
use super::rest::{methods, target::App};

/// Longest `Host` that is named in the policy, in bytes (RFC 1035, 2.3.4, and a port).
const HOST_LEN_MAX: usize = 262;

static PAGE: LazyLock<File> = LazyLock::new(|| File::new(files::HTML, include_str!("page/index.html")));
static SCRIPT: LazyLock<File> = LazyLock::new(|| File::new(files::SCRIPT, include_str!("page/publish.js")));
static STYLE: LazyLock<File> = LazyLock::new(|| File::new(files::STYLE, include_str!("page/style.css")));

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
    files::protect(&mut answer, "default-src 'none'");
    permit(&mut answer);
    answer.content_type("text/plain; charset=utf-8").body("There is no such application on this server.\n")
}

fn serve(request: &HttpRequest, app: Result<App, ApiError>, file: &File) -> HttpResponse {
    if app.is_err() {
        return unknown();
    }
    file.answer(request, &policy(request), permit)
}

fn permit(answer: &mut HttpResponseBuilder) {
    answer.insert_header((
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
