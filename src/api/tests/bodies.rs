//! Bodies that can't be taken, and everything else that is wrong with a request.

use super::*;

async fn post(world: &World, content_type: Option<&str>, body: impl Into<Vec<u8>>) -> Answer {
    let mut request = request("POST", &format!("{BASE}/s/endpoint"), LOCAL).set_payload(body.into());
    if let Some(content_type) = content_type {
        request = request.insert_header(("Content-Type", content_type));
    }
    world.send(request).await
}

#[actix_web::test]
async fn malformed_bodies_are_named() {
    let world = World::new().await;
    let json = Some("application/json");
    for (body, wanted) in [
        ("{", "The body is not valid JSON: EOF while parsing an object at line 1 column 1"),
        ("{\"endpointUrl\":}", "The body is not valid JSON: expected value at line 1 column 16"),
        ("[]", "The body is not a JSON object"),
        ("\"text\"", "The body is not a JSON object"),
        ("{\"endpointUrl\":5}", "endpointUrl: invalid type: integer `5`, expected a string"),
        ("{\"x\":1,\"endpointServiceId\":{}}", "endpointServiceId: invalid type: map, expected a string"),
    ] {
        let answer = post(&world, json, body).await;
        assert_eq!((answer.status, answer.text), (400, refused(wanted)), "{body}");
    }
    let not_utf8 = post(&world, json, b"{\"endpointUrl\":\"\xff\"}".to_vec()).await;
    assert_eq!(not_utf8.status, 400, "{}", not_utf8.text);
    let deep = post(&world, json, "[".repeat(10_000)).await;
    assert_eq!(deep.status, 400, "{}", deep.text);
    for (path, body, wanted) in [
        ("create", r#"{"streamId":5}"#, "streamId: invalid type: integer `5`, expected a string"),
        ("create", r#"{"is360":"yes"}"#, "is360: invalid type: string \"yes\", expected a boolean"),
        (
            "create",
            r#"{"name":"n","endPointList":[{"endpointUrl":1}]}"#,
            "endPointList: invalid type: integer `1`, expected a string",
        ),
    ] {
        let answer = world.call("POST", &format!("{BASE}/{path}"), Some(body)).await;
        assert_eq!((answer.status, answer.text), (400, refused(wanted)), "{body}");
    }
}

#[actix_web::test]
async fn only_plain_json_is_taken() {
    let world = World::new().await;
    for (content_type, status) in [
        (None, 415),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("application/jsonx"), 415),
        (Some("application/json"), 200),
        (Some("Application/JSON; charset=utf-8"), 200),
        (Some("application/merge-patch+json"), 200),
    ] {
        let answer = post(&world, content_type, r#"{"endpointUrl":"srt://192.0.2.1"}"#).await;
        assert_eq!(answer.status, status, "{content_type:?}");
        assert_eq!(answer.json()["success"], false, "a Result, in any case");
    }
    let answer = post(&world, None, "{}").await;
    assert_eq!(answer.text, refused("Content-Type is missing; application/json is wanted"));
    let packed = request("POST", &format!("{BASE}/s/endpoint"), LOCAL)
        .insert_header(("Content-Type", "application/json"))
        .insert_header(("Content-Encoding", "gzip"))
        .set_payload("x");
    assert_eq!(world.send(packed).await.status, 415);
}

#[actix_web::test]
async fn a_body_may_have_64_kib_and_not_a_byte_more() {
    let world = World::new().await;
    let body = |len: usize| {
        let frame = r#"{"x":""}"#;
        format!(r#"{{"x":"{}"}}"#, "a".repeat(len - frame.len()))
    };
    let fits = post(&world, Some("application/json"), body(64 * 1024)).await;
    assert_eq!((fits.status, fits.text), (200, refused("Missing Endpoint url")));
    for len in [64 * 1024 + 1, 300_000, 3_000_000] {
        let answer = post(&world, Some("application/json"), body(len)).await;
        assert_eq!((answer.status, answer.text), (413, refused("The body is larger than 65536 bytes")), "{len}");
    }
}

#[actix_web::test]
async fn paths_and_methods_that_are_not_there() {
    let world = World::new().await;
    for (method, path, status, wanted) in [
        ("GET", "/rest/v2/nope", 404, "There is nothing at this path"),
        ("GET", "/live/rest/v2/nope", 404, "There is nothing at this path"),
        ("POST", "/nope/rest/v2/broadcasts/create", 404, "Application does not exist: nope"),
        ("GET", "/nope/rest/v2/broadcasts/s", 404, "Application does not exist: nope"),
        ("GET", "/nope/rest/v2/version", 404, "Application does not exist: nope"),
        ("GET", "/live/rest/v2/broadcasts/list/a/5", 400, "The offset in the path is not a number: \"a\""),
        ("GET", "/live/rest/v2/broadcasts/create", 405, "This path takes POST"),
        ("PATCH", "/live/rest/v2/broadcasts/s", 405, "This path takes GET, HEAD, PUT, DELETE"),
        ("PUT", "/live/rest/v2/broadcasts/s/endpoint", 405, "This path takes POST, DELETE"),
    ] {
        let answer = world.call(method, path, None).await;
        assert_eq!((answer.status, answer.text), (status, refused(wanted)), "{method} {path}");
    }
    let answer = world.call("PATCH", &format!("{BASE}/s"), None).await;
    assert_eq!(answer.headers.get("Allow").expect("Allow"), "GET, HEAD, PUT, DELETE");
    let head = world.call("HEAD", &format!("{BASE}/count"), None).await;
    assert_eq!(head.status, 200);
}
