//! What `…/endpoints` refuses, each by its field, and that no answer holds a secret.

use super::control::{SECRET, assert_problem, header, path};
use super::*;

#[actix_web::test]
async fn what_cannot_be_is_refused_by_its_field() {
    let world = World::with_stream().await;
    world.ok("PUT", &path("/a"), r#"{"url":"srt://192.0.2.1:9000"}"#).await;
    let long = "x".repeat(121);
    for (body, field) in [
        ("", None),
        ("{", None),
        ("[]", None),
        ("null", None),
        ("{}", Some("url")),
        (r#"{"label":"x"}"#, Some("url")),
        (r#"{"url":5}"#, Some("url")),
        (r#"{"url":"rtmp://h/a"}"#, Some("url")),
        (r#"{"url":"srt://h?latency=x"}"#, Some("url")),
        (r#"{"port":9000}"#, Some("host")),
        (r#"{"host":"a b"}"#, Some("host")),
        (r#"{"host":"h:9000"}"#, Some("host")),
        (r#"{"host":"h","port":0}"#, Some("port")),
        (r#"{"host":"h","port":"9000"}"#, Some("port")),
        (r#"{"host":"h","port":1.5}"#, Some("port")),
        (r#"{"host":"h","mode":"push"}"#, Some("mode")),
        (r#"{"host":"h","latencyMs":-1}"#, Some("latencyMs")),
        (r#"{"host":"h","latency":1}"#, Some("latency")),
        (r#"{"host":"h","passphrase":"short"}"#, Some("passphrase")),
        (r#"{"host":"h","passphrase":"***"}"#, Some("passphrase")),
        (r#"{"host":"h","passphrase":1234567890}"#, Some("passphrase")),
        (r#"{"host":"h","pbkeylen":32}"#, None),
        (r#"{"host":"h","maxCallers":3}"#, None),
        (r#"{"mode":"listener","maxCallers":0}"#, Some("maxCallers")),
        (r#"{"host":"h","options":{"latency":1}}"#, Some("options.latency")),
        (r#"{"host":"h","options":{"conntimeo":1}}"#, Some("options.conntimeo")),
        (r#"{"host":"h","options":{"fc":64,"ffs":64}}"#, Some("options.ffs")),
        (r#"{"host":"h","options":{"nonsense":1}}"#, Some("options.nonsense")),
        (r#"{"host":"h","options":{"fc":1}}"#, Some("options.fc")),
        (r#"{"host":"h","options":{"fc":[]}}"#, Some("options")),
        (r#"{"url":"srt://h:1","port":2}"#, Some("port")),
        (r#"{"url":"srt://h:1","host":"g"}"#, Some("host")),
        (r#"{"url":"srt://h?latency=1","latencyMs":2}"#, Some("latencyMs")),
        (r#"{"url":"srt://h?streamid=a","streamid":"b"}"#, Some("streamid")),
        (r#"{"host":"h","label":""}"#, Some("label")),
        (r#"{"host":"h","label":"a\nb"}"#, Some("label")),
        (&format!(r#"{{"host":"h","label":"{long}"}}"#), Some("label")),
        (r#"{"host":"h","enabled":"yes"}"#, Some("enabled")),
        (r#"{"host":"h","tracks":"subtitles"}"#, Some("tracks")),
        (r#"{"host":"h","audioTrack":2}"#, Some("audioTrack")),
        (r#"{"host":"h","retry":{"minMs":1}}"#, Some("retry.minMs")),
        (r#"{"host":"h","retry":{"minMs":2000,"maxMs":1000}}"#, Some("retry.minMs")),
        (r#"{"host":"h","retry":{"limit":0}}"#, Some("retry.limit")),
        (r#"{"host":"h","retry":{"min":1}}"#, Some("retry")),
        (r#"{"host":"h","lable":"x"}"#, Some("lable")),
        (r#"{"host":"h","status":"created"}"#, Some("status")),
    ] {
        for (method, at) in [("POST", path("")), ("PUT", path("/new"))] {
            assert_problem(&world.call(method, &at, Some(body)).await, 400, field, body);
        }
    }
    let hint = world.call("POST", &path(""), Some(r#"{"hosst":"h"}"#)).await.json();
    assert_eq!(hint["detail"], "`hosst` is not known; did you mean `host`?");
    let shown = world.call("POST", &path(""), Some(r#"{"host":"h","status":"created"}"#)).await.json();
    assert_eq!(shown["detail"], "`status` is only read; it can't be set");
    for (body, status, field) in [
        (r#"{"url":"srt://192.0.2.1:9000"}"#, 409, Some("url")),
        (r#"{"url":"srt://127.0.0.1?streamid=live/s"}"#, 422, Some("url")),
        (r#"{"host":"169.254.169.254"}"#, 422, Some("host")),
    ] {
        for (method, at) in [("POST", path("")), ("PUT", path("/new"))] {
            assert_problem(&world.call(method, &at, Some(body)).await, status, field, body);
        }
    }
    assert_problem(&world.call("PATCH", &path("/a"), Some(r#"{"url":null}"#)).await, 400, Some("url"), "null");
    assert_problem(&world.call("PATCH", &path("/a"), Some(r#"{"host":null}"#)).await, 400, Some("host"), "null");
    assert_problem(
        &world.call("PATCH", &path("/a"), Some(r#"{"host":"169.254.169.254"}"#)).await,
        422,
        Some("host"),
        "policy",
    );
    assert_eq!(world.get(&path("")).await.json().as_array().map(Vec::len), Some(1), "nothing was stored");
}

#[actix_web::test]
async fn a_stored_passphrase_is_kept_at_its_host_and_goes_to_no_other() {
    let world = World::with_stream().await;
    let at = path("/a");
    let stored = || world.manager.get(&key("s")).expect("there").record.endpoints[0].url.clone();
    let secret = || stored().passphrase.as_ref().map(|secret| secret.expose().to_owned());
    world.ok("PUT", &at, &format!(r#"{{"host":"192.0.2.1","passphrase":"{SECRET}","label":"x"}}"#)).await;
    // Read, changed and sent back, in each of the ways.
    world.ok("PATCH", &at, r#"{"url":"srt://192.0.2.1:9000?passphrase=***&latency=50"}"#).await;
    assert_eq!((secret().as_deref(), stored().latency_ms), (Some(SECRET), Some(50)));
    world.ok("PUT", &at, r#"{"host":"192.0.2.1","port":9001,"passphrase":"***"}"#).await;
    assert_eq!((secret().as_deref(), stored().port), (Some(SECRET), 9001));
    world.ok("PATCH", &at, r#"{"port":null}"#).await;
    assert_eq!((secret().as_deref(), stored().port), (Some(SECRET), 4200));
    for (method, body) in [
        ("PATCH", r#"{"host":"198.51.100.9"}"#),
        ("PATCH", r#"{"host":"198.51.100.9","passphrase":"***"}"#),
        ("PATCH", r#"{"host":null,"mode":"listener"}"#),
        ("PUT", r#"{"host":"198.51.100.9","passphrase":"***"}"#),
    ] {
        assert_problem(&world.call(method, &at, Some(body)).await, 400, Some("passphrase"), body);
    }
    let url = r#"{"url":"srt://198.51.100.9?passphrase=***"}"#;
    assert_problem(&world.call("PATCH", &at, Some(url)).await, 400, Some("url"), url);
    // The compatible way too.
    let list = r#"{"endPointList":[{"endpointServiceId":"a","endpointUrl":"srt://198.51.100.9?passphrase=***"}]}"#;
    assert_eq!(world.call("PUT", &format!("{BASE}/s"), Some(list)).await.json()["success"], false);
    assert_eq!(stored().host.map(|host| host.to_string()).as_deref(), Some("192.0.2.1"));
    world.ok("PATCH", &at, r#"{"host":"198.51.100.9","passphrase":null}"#).await;
    assert_eq!(secret(), None, "not encrypted, as was said");
    world.ok("PATCH", &at, r#"{"passphrase":"0123456789","pbkeylen":16}"#).await;
    assert_eq!(secret().as_deref(), Some("0123456789"));
}

#[actix_web::test]
async fn no_answer_holds_a_passphrase() {
    let world = World::with_stream().await;
    let secret = "s3cr3t-s3cr3t";
    let with = |field: &str| format!(r#"{{"host":"192.0.2.1",{field}}}"#);
    let mut answers = Vec::new();
    for body in [
        with(&format!(r#""passphrase":"{secret}""#)),
        with(&format!(r#""passphrase":["{secret}"]"#)),
        with(&format!(r#""pasphrase":"{secret}""#)),
        with(&format!(r#""options":{{"passphrase":"{secret}"}}"#)),
        with(&format!(r#""port":"{secret}""#)),
        with(&format!(r#""retry":{{"{secret}":1}}"#)),
        with(&format!(r#""passphrase":"{secret}","mode":"{secret}x""#)),
        format!(r#"{{"url":"srt://192.0.2.1?passphrase={secret}"}}"#),
        format!(r#"{{"url":"srt://192.0.2.1?pasphrase={secret}"}}"#),
        format!(r#"{{"url":"srt://192.0.2.1?passphrase={secret}","passphrase":"other-{secret}"}}"#),
        format!(r#"{{"url":"srt://u:{secret}@192.0.2.1"}}"#),
        format!(r#"{{"url":"{secret}"}}"#),
    ] {
        for (method, at) in [("PUT", path("/a")), ("POST", path("")), ("PATCH", path("/a"))] {
            answers.push(world.call(method, &at, Some(&body)).await);
        }
    }
    for at in [path(""), path("/a"), format!("{BASE}/s")] {
        answers.push(world.get(&at).await);
    }
    assert!(answers.iter().any(|answer| answer.status == 201), "something was stored");
    for answer in answers {
        // A mode is no place for a secret, and is repeated like any other word.
        let text = answer.text.replace(&format!("{secret}x"), "");
        assert!(!text.contains(secret), "{}", answer.text);
    }
}

#[actix_web::test]
async fn paths_methods_and_types_that_are_none() {
    let world = World::with_stream().await;
    let body = Some(r#"{"host":"h"}"#);
    for (method, at, status) in [
        ("GET", "/nope/rest/v2/broadcasts/s/endpoints".to_owned(), 404),
        ("GET", format!("{BASE}/unknown/endpoints"), 404),
        ("POST", format!("{BASE}/unknown/endpoints"), 404),
        ("PUT", format!("{BASE}/unknown/endpoints/a"), 404),
        ("PUT", format!("{BASE}/a%20b/endpoints/a"), 404),
        ("GET", path("/unknown"), 404),
        ("PATCH", path("/unknown"), 404),
        ("DELETE", path("/unknown"), 404),
        ("POST", path("/unknown/retry"), 404),
        ("PUT", path("/a%20b"), 400),
        ("PUT", path(&format!("/{}", "x".repeat(65))), 400),
    ] {
        let body = body.filter(|_| matches!(method, "POST" | "PUT" | "PATCH"));
        assert_problem(&world.call(method, &at, body).await, status, None, &format!("{method} {at}"));
    }
    for (method, at, allowed) in [
        ("DELETE", path(""), "GET, HEAD, POST"),
        ("POST", path("/a"), "GET, HEAD, PUT, PATCH, DELETE"),
        ("GET", path("/a/retry"), "POST"),
    ] {
        let answer = world.call(method, &at, None).await;
        assert_problem(&answer, 405, None, &at);
        assert_eq!(header(&answer, "Allow"), allowed);
    }
    let plain = request("POST", &path(""), LOCAL).insert_header(("Content-Type", "text/plain")).set_payload("{}");
    assert_problem(&world.send(plain).await, 415, None, "text");
    let large = format!(r#"{{"host":"h","label":"{}"}}"#, "x".repeat(70_000));
    assert_problem(&world.call("POST", &path(""), Some(&large)).await, 413, None, "large");
    world.ok("PUT", &path("/a"), r#"{"host":"192.0.2.1"}"#).await;
    let merge = request("PATCH", &path("/a"), LOCAL)
        .insert_header(("Content-Type", "application/merge-patch+json"))
        .set_payload(r#"{"label":"x"}"#);
    assert_eq!(world.send(merge).await.json()["label"], "x");
    assert_eq!(world.send(request("GET", &path(""), "192.0.2.1:5")).await.status, 403);
    let exposed = header(&world.get(&path("/a")).await, "Access-Control-Expose-Headers");
    assert!(exposed.contains("ETag") && exposed.contains("Location"), "{exposed}");
}
