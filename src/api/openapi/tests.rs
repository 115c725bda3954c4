//! The document against the routes: none is missing, none is made up.

use std::collections::BTreeSet;

use super::super::rest::methods;
use super::super::tests::World;
use super::*;

/// What is not documented: pages and their parts, a WebSocket, and this document itself.
const NO_CALLS: [&str; 11] = [
    "/",
    "/{app}/panel",
    "/{app}",
    "/{app}/",
    "/{app}/publish.js",
    "/{app}/style.css",
    "/{app}/websocket",
    "/openapi.json",
    "/openapi.html",
    "/openapi.js",
    "/openapi.css",
];

/// Those that are not put together by `methods`.
const OTHER_ROUTES: [(&str, &str); 5] = [
    ("GET", "/{app}/whip/{id}"),
    ("POST", "/{app}/whip/{id}"),
    ("GET", "/{app}/whip/{id}/{session}"),
    ("PATCH", "/{app}/whip/{id}/{session}"),
    ("DELETE", "/{app}/whip/{id}/{session}"),
];

#[actix_web::test]
async fn the_document_has_each_route_and_no_other() {
    // Any request puts the routes together.
    let world = World::new().await;
    assert_eq!(world.get("/openapi.json").await.status, 200);
    let whole = |path: &str| {
        let in_scope = ["/broadcasts", "/version", "/events"].iter().any(|begin| path.starts_with(begin));
        if in_scope { format!("/{{app}}/rest/v2{path}") } else { path.to_owned() }
    };
    // An endpoint may be called `test`: its other methods are those of any endpoint.
    let an_endpoint = |method: &str, path: &str| path.ends_with("/endpoints/test") && method != "POST";
    let made = methods::made().into_iter();
    let made = made.filter(|(method, path)| {
        !path.starts_with("/panel/") && *method != "HEAD" && !NO_CALLS.contains(path) && !an_endpoint(method, path)
    });
    let routes: BTreeSet<(String, String)> =
        made.chain(OTHER_ROUTES).map(|(method, path)| (method.to_owned(), whole(path))).collect();
    let mut document = document();
    let mut documented = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        let PathItem { get, put, post, delete, patch, .. } = item;
        for (method, operation) in [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)] {
            if let Some(operation) = operation {
                documented.insert((method.to_owned(), path.clone()));
                assert!(operation.summary.is_some() || operation.description.is_some(), "{method} {path} says nothing");
            }
        }
    }
    let (missing, made_up): (Vec<_>, Vec<_>) =
        (routes.difference(&documented).collect(), documented.difference(&routes).collect());
    assert!(missing.is_empty() && made_up.is_empty(), "not documented: {missing:#?}; no route: {made_up:#?}");
}

#[actix_web::test]
async fn each_reference_leads_somewhere_and_each_call_has_a_name_of_its_own() {
    let text = document().to_json().expect("JSON");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(json.pointer(reference).is_some(), "{reference} leads nowhere");
    }
    let mut names = BTreeSet::new();
    let mut document = document();
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            let name = operation.operation_id.clone().expect("a name");
            assert!(names.insert(name.clone()), "{name} is there twice");
        }
    }
}

#[actix_web::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let world = World::new().await;
    for (path, kind) in [
        ("/openapi.html", "text/html; charset=utf-8"),
        ("/openapi.js", "text/javascript; charset=utf-8"),
        ("/openapi.css", "text/css; charset=utf-8"),
    ] {
        let answer = world.get(path).await;
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!((answer.status, header("content-type")), (200, kind));
        assert!(header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert!(!answer.text.contains("http://") && !answer.text.contains("https://"), "{path}");
    }
}

#[actix_web::test]
async fn events_are_refused_as_the_document_says() {
    let world = World::new().await;
    let json: serde_json::Value = serde_json::from_str(&document().to_json().expect("JSON")).expect("JSON");
    for (path, asked, status) in [
        ("/{app}/rest/v2/events", "/live/rest/v2/events?types=x", 400),
        ("/{app}/rest/v2/events", "/live/rest/v2/events?types=%FF", 400),
        ("/{app}/rest/v2/events", "/nothing/rest/v2/events", 404),
        ("/rest/v2/events", "/rest/v2/events?types=x", 400),
        ("/rest/v2/events", "/rest/v2/events?types=%FF", 400),
    ] {
        let answer = world.get(asked).await;
        assert_eq!(answer.status, status, "{asked}: {}", answer.text);
        let documented = &json["paths"][path]["get"]["responses"][status.to_string()]["content"];
        let kinds: Vec<&String> = documented.as_object().expect("its types").keys().collect();
        let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
        assert_eq!(kind, kinds.first().map(|kind| kind.as_str()), "{asked}: {}", answer.text);
        assert_eq!((kinds.len(), answer.json()["status"].as_u64()), (1, Some(u64::from(status))), "{asked}");
    }
}

#[actix_web::test]
async fn each_number_of_a_stream_says_what_it_is() {
    let json: serde_json::Value = serde_json::from_str(&document().to_json().expect("JSON")).expect("JSON");
    let said = |value: &serde_json::Value| value["description"].as_str().is_some_and(|text| !text.is_empty());
    for name in ["StreamStatistics", "StreamResource", "OwnFields", "LevelResource", "IngestResource"] {
        let schema = &json["components"]["schemas"][name];
        assert!(said(schema), "{name}");
        for (field, of) in schema["properties"].as_object().expect("fields") {
            // One that may be null has its words beside the reference.
            let either = of["oneOf"].as_array().is_some_and(|either| either.iter().any(said));
            assert!(said(of) || either, "{name}.{field}: {of}");
        }
    }
    let track = json["components"]["schemas"]["TrackResource"].to_string();
    assert!(track.contains("Access units that came") && track.contains("bit/s"), "{track}");
}
