//! The web panel at `/`: streams, their endpoints and what they do.
//!
//! Owns the files' addresses and the policy they come under. Must not know what they do: the panel speaks to the REST
//! interface and the events like any other client, and whoever may not ask there sees an empty panel that says so.
//!
//! The hard thing is that whoever opens the panel may change everything. So nothing but these files runs in it: no
//! inline script or style, no text that becomes markup (Trusted Types make `innerHTML` throw), no frame around it.

use std::sync::LazyLock;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};

use super::error::ApiError;
use super::files::{self, File};
use super::rest::{methods, target::App};

/// What the panel may load and do.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the panel, by its name in `panel/`.
macro_rules! file {
    ($content_type:expr, $name:literal) => {
        ($name, File::new($content_type, include_str!($name)))
    };
}

static PAGE: LazyLock<File> = LazyLock::new(|| File::new(files::HTML, include_str!("index.html")));

/// None of them may be called as a file of the page to publish from is (`publish.js`, `style.css`): an application may
/// be called `panel`.
static FILES: LazyLock<Vec<(&'static str, File)>> = LazyLock::new(|| {
    vec![
        file!(files::STYLE, "theme.css"),
        file!(files::STYLE, "table.css"),
        file!(files::STYLE, "dialog.css"),
        file!(files::STYLE, "stream.css"),
        file!(files::SCRIPT, "main.js"),
        file!(files::SCRIPT, "words.js"),
        file!(files::SCRIPT, "format.js"),
        file!(files::SCRIPT, "dom.js"),
        file!(files::SCRIPT, "rest.js"),
        file!(files::SCRIPT, "live.js"),
        file!(files::SCRIPT, "store.js"),
        file!(files::SCRIPT, "history.js"),
        file!(files::SCRIPT, "graph.js"),
        file!(files::SCRIPT, "state.js"),
        file!(files::SCRIPT, "table.js"),
        file!(files::SCRIPT, "row.js"),
        file!(files::SCRIPT, "menu.js"),
        file!(files::SCRIPT, "dialog.js"),
        file!(files::SCRIPT, "actions.js"),
        file!(files::SCRIPT, "endpoints.js"),
        file!(files::SCRIPT, "endpoint_row.js"),
        file!(files::SCRIPT, "endpoint_form.js"),
        file!(files::SCRIPT, "endpoint_test.js"),
        file!(files::SCRIPT, "removals.js"),
        file!(files::SCRIPT, "srt_url.js"),
        file!(files::SCRIPT, "addresses.js"),
        file!(files::SCRIPT, "create.js"),
        file!(files::SCRIPT, "stream.js"),
        file!(files::SCRIPT, "stream_parts.js"),
        file!(files::SCRIPT, "preview.js"),
    ]
});

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .service(methods::resource("/").get(page).done())
        .service(methods::resource("/{app}/panel").get(of_app).done());
    for (name, file) in FILES.iter() {
        let serve = move |request: HttpRequest| async move { answer(&request, file) };
        config.service(methods::resource(&format!("/panel/{name}")).get(serve).done());
    }
}

async fn page(request: HttpRequest) -> HttpResponse {
    answer(&request, &PAGE)
}

/// The panel with only this application's streams. Its files lie beside `/`, so it goes there; by a relative address, as
/// a proxy may have put all of this below a path.
async fn of_app(app: Result<App, ApiError>) -> HttpResponse {
    let Ok(App(app)) = app else {
        let mut answer = HttpResponse::NotFound();
        files::protect(&mut answer, "default-src 'none'");
        return answer.content_type("text/plain; charset=utf-8").body("There is no such application on this server.\n");
    };
    HttpResponse::TemporaryRedirect().insert_header((LOCATION, format!("../?app={app}"))).finish()
}

fn answer(request: &HttpRequest, file: &File) -> HttpResponse {
    file.answer(request, POLICY, |_| {})
}
