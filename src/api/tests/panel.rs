//! The panel's files: what is served, to whom, and under which policy; and what only the panel asks for.

use super::*;

const FAR: &str = "192.0.2.9:6000";

fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

#[actix_web::test]
async fn the_panel_and_every_file_it_names_come_under_its_policy() {
    let world = World::new().await;
    let page = world.send(request("GET", "/", FAR)).await;
    let attributes = |name: &str| -> Vec<String> {
        let begin = format!("{name}=\"panel/");
        let parts = page.text.split(&begin).skip(1);
        parts.filter_map(|rest| rest.split('"').next()).map(|file| format!("/panel/{file}")).collect()
    };
    let mut paths = [attributes("href"), attributes("src")].concat();
    assert!(paths.len() >= 5, "{paths:?}");
    paths.push("/".to_owned());
    let mut at = 0;
    while at < paths.len() {
        let path = paths[at].clone();
        let answer = world.send(request("GET", &path, FAR)).await;
        assert_eq!(answer.status, 200, "{path}");
        let kind = match path.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "text/html; charset=utf-8",
        };
        let policy = header(&answer, "Content-Security-Policy");
        for part in ["default-src 'self'", "script-src 'self'", "frame-ancestors 'none'", "trusted-types 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("Content-Type", kind),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-cache"),
        ] {
            assert_eq!(header(&answer, name), value, "{path}");
        }
        let tag = header(&answer, "ETag");
        let again = world.send(request("GET", &path, FAR).insert_header(("If-None-Match", tag.as_str()))).await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
        assert_eq!(world.send(request("POST", &path, FAR)).await.status, 405, "{path}");
        // Each module's imports are there, too; and nothing in it makes markup of text.
        if path.ends_with(".js") {
            for import in answer.text.split(" from \"./").skip(1).filter_map(|rest| rest.split('"').next()) {
                let import = format!("/panel/{import}");
                if !paths.contains(&import) {
                    paths.push(import);
                }
            }
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "document.write"] {
                assert!(!answer.text.contains(forbidden), "{path}: {forbidden}");
            }
        }
        at += 1;
    }
    assert!(paths.len() > 20, "{paths:?}");
}

#[actix_web::test]
async fn an_applications_panel_is_the_panel_with_a_filter() {
    let world = World::new().await;
    let answer = world.send(request("GET", "/live/panel", FAR)).await;
    assert_eq!((answer.status, header(&answer, "Location").as_str()), (307, "../?app=live"));
    assert_eq!(world.send(request("GET", "/nope/panel", FAR)).await.status, 404);
    assert_eq!(world.send(request("GET", "/panel/other.js", FAR)).await.status, 404);
}

#[actix_web::test]
async fn the_applications_are_listed_to_whom_rest_is_allowed() {
    let world = World::new().await;
    let answer = world.get("/rest/v2/applications").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"applications":["live","LiveApp"]}"#));
    for path in ["/rest/v2/applications", "/rest/v2/events"] {
        assert_eq!(world.send(request("GET", path, FAR)).await.status, 403, "{path}");
    }
}

#[actix_web::test]
async fn a_page_of_elsewhere_changes_nothing_and_is_told_why() {
    let world = World::new().await;
    let create = |origin: &str| {
        request("POST", &format!("{BASE}/create"), LOCAL)
            .insert_header(("Content-Type", "application/json"))
            .insert_header(("Origin", origin))
            .set_payload(r#"{"streamId":"s"}"#)
    };
    let refused = world.send(create("https://evil.example")).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("rest.origins"), "{}", refused.text);
    assert_eq!(header(&refused, "Access-Control-Allow-Origin"), "*", "readable by the page's author");
    assert_eq!(world.get(&format!("{BASE}/s")).await.status, 404);
    // It may be ours, and it may be one that has let its own name point here.
    let named = world.send(create("http://stream.example.org:5080")).await;
    assert_eq!(named.status, 403);
    assert!(named.text.contains("rest.origins in the configuration names others"), "{}", named.text);
    assert_eq!(world.get(&format!("{BASE}/s")).await.status, 404);
    let at = "192.0.2.1:5080";
    let ours = create(&format!("http://{at}")).insert_header(("Host", at));
    assert_eq!(world.send(ours).await.status, 200);
}
