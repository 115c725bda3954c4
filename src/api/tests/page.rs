//! The publishing page: what is served, to whom, and under which policy.

use super::*;

const FAR: &str = "192.0.2.9:6000";

fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

#[actix_web::test]
async fn the_page_and_its_files_come_under_a_strict_policy() {
    let world = World::new().await;
    for (path, content_type, begins) in [
        ("/live/?id=test", "text/html; charset=utf-8", "<!doctype html>"),
        ("/LiveApp/", "text/html; charset=utf-8", "<!doctype html>"),
        ("/live/publish.js", "text/javascript; charset=utf-8", "//"),
        ("/live/style.css", "text/css; charset=utf-8", "/*"),
    ] {
        let answer = world.send(request("GET", path, FAR)).await;
        assert_eq!((answer.status, header(&answer, "Content-Type").as_str()), (200, content_type), "{path}");
        assert!(answer.text.starts_with(begins), "{path}");
        assert_eq!(
            header(&answer, "Content-Security-Policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' ws://stream.example.org:5080 wss://stream.example.org:5080; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
        );
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-cache"),
            ("Permissions-Policy", "camera=(self), microphone=(self), display-capture=(self), screen-wake-lock=(self)"),
        ] {
            assert_eq!(header(&answer, name), value, "{path}");
        }
        let tag = header(&answer, "ETag");
        let again = world.send(request("GET", path, FAR).insert_header(("If-None-Match", tag.as_str()))).await;
        assert_eq!((again.status, again.text.as_str(), header(&again, "ETag")), (304, "", tag), "{path}");
        let other = world.send(request("GET", path, FAR).insert_header(("If-None-Match", "\"other\""))).await;
        assert_eq!(other.status, 200);
        assert_eq!(world.send(request("POST", path, FAR)).await.status, 405, "{path}");
    }
}

#[actix_web::test]
async fn without_its_slash_the_page_is_elsewhere_and_unknown_applications_have_none() {
    let world = World::new().await;
    for (path, location) in [("/live?id=test&token=a%20b", "/live/?id=test&token=a%20b"), ("/live", "/live/")] {
        let answer = world.send(request("GET", path, FAR)).await;
        assert_eq!((answer.status, header(&answer, "Location").as_str()), (307, location));
    }
    for path in ["/nope", "/nope/?id=x", "/nope/publish.js", "/favicon.ico", "/health/"] {
        let answer = world.send(request("GET", path, FAR)).await;
        assert_eq!((answer.status, answer.text.as_str()), (404, "There is no such application on this server.\n"));
    }
    // A host that can't be one is not repeated in a header.
    let odd = request("GET", "/live/", FAR).insert_header(("Host", "h; script-src *"));
    let policy = header(&world.send(odd).await, "Content-Security-Policy");
    assert!(policy.contains("connect-src 'self';"), "{policy}");
}

/// Stable names for whoever drives the page, and nothing that its policy would stop.
#[actix_web::test]
async fn the_page_holds_what_scripts_look_for_and_nothing_inline() {
    let page = include_str!("../page/index.html");
    for id in ["start", "stop", "state", "bitrate", "error", "preview", "video", "audio", "rate"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    assert!(page.contains("<body data-state=\"idle\">"));
    for inline in ["<style", " style=", "onclick=", "javascript:", "http://", "https://"] {
        let allowed = page.replace("xmlns='http://www.w3.org/2000/svg'", "");
        assert!(!allowed.contains(inline), "{inline}");
    }
    assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
    let script = include_str!("../page/publish.js");
    for id in script.split("byId(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{id}\"")), "the script looks for {id}");
    }
}
