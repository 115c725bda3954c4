//! Endpoints as `…/endpoints` serves them: made, read, changed, switched, tested, removed.

use super::*;
use crate::api::TESTS_MAX;
use crate::manager::fake::FREE;

pub(super) const SECRET: &str = "correct horse battery";

pub(super) fn path(rest: &str) -> String {
    format!("{BASE}/s/endpoints{rest}")
}

pub(super) fn header(answer: &Answer, name: &str) -> String {
    let value = answer.headers.get(name).unwrap_or_else(|| panic!("{name}: {answer:?}"));
    value.to_str().expect("text").to_owned()
}

/// The revision that an endpoint shows.
fn revision(shown: &Value) -> u64 {
    shown["revision"].as_u64().unwrap_or_else(|| panic!("no revision: {shown}"))
}

/// The ETag of a revision.
fn tag(revision: u64) -> String {
    format!("\"{revision}\"")
}

impl World {
    /// With a stream `s` that does not run.
    pub(super) async fn with_stream() -> Self {
        let world = Self::new().await;
        let created = world.call("POST", &format!("{BASE}/create"), Some(r#"{"streamId":"s"}"#)).await;
        assert_eq!(created.status, 200, "{}", created.text);
        world
    }

    async fn call_if(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let mut request = request(method, path, LOCAL);
        for (name, value) in headers {
            request = request.append_header((*name, *value));
        }
        if let Some(body) = body {
            request = request.append_header(("Content-Type", "application/json")).set_payload(body.to_owned());
        }
        self.send(request).await
    }

    pub(super) async fn ok(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.call(method, path, Some(body)).await;
        assert!((200..300).contains(&answer.status), "{method} {path} {body}: {} {}", answer.status, answer.text);
        answer.json()
    }
}

/// A problem: its status, and the field at fault.
pub(super) fn assert_problem(answer: &Answer, status: u16, field: Option<&str>, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text);
    assert_eq!(header(answer, "Content-Type"), "application/problem+json", "{what}");
    let body = answer.json();
    assert_eq!((&body["type"], &body["status"]), (&Value::from("about:blank"), &Value::from(status)), "{what}");
    assert!(body["title"].is_string() && body["detail"].is_string(), "{what}: {body}");
    assert_eq!(body["field"].as_str(), field, "{what}: {body}");
}

#[actix_web::test]
async fn an_endpoint_is_made_from_parts_read_changed_and_removed() {
    let world = World::with_stream().await;
    let body = format!(
        r#"{{"host":"Example.org","port":9000,"streamid":"live/a b","passphrase":"{SECRET}","pbkeylen":32,
            "latencyMs":200,"options":{{"tlpktdrop":true,"fc":1024}},"label":" Main ","retry":{{"minMs":500,"limit":7}}}}"#
    );
    let made = world.call("POST", &path(""), Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let shown = made.json();
    let first = revision(&shown);
    assert_eq!(header(&made, "ETag"), tag(first));
    let id = shown["id"].as_str().expect("id").to_owned();
    assert_eq!(header(&made, "Location"), path(&format!("/{id}")));
    for (field, value) in [
        (
            "url",
            Value::from(
                "srt://example.org:9000?streamid=live/a%20b&passphrase=***&pbkeylen=32&latency=200&fc=1024&tlpktdrop=1",
            ),
        ),
        ("host", "example.org".into()),
        ("port", 9000.into()),
        ("mode", "caller".into()),
        ("streamid", "live/a b".into()),
        ("passphrase", "***".into()),
        ("pbkeylen", 32.into()),
        ("latencyMs", 200.into()),
        ("options", serde_json::json!({"fc": "1024", "tlpktdrop": "1"})),
        ("label", "Main".into()),
        ("enabled", true.into()),
        ("tracks", "all".into()),
        ("audioTrack", 1.into()),
        ("retry", serde_json::json!({"minMs": 500, "maxMs": null, "limit": 7})),
        ("revision", first.into()),
        ("status", "created".into()),
        ("state", "idle".into()),
        ("failure", Value::Null),
        ("history", serde_json::json!([])),
        ("callers", serde_json::json!([])),
        ("unreadable", Value::Null),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(shown["statistics"]["sentBytes"], 0);
    assert_eq!(shown["statistics"]["rttP95Ms"], Value::Null);

    let at = path(&format!("/{id}"));
    let read = world.get(&at).await;
    assert_eq!((read.status, header(&read, "ETag"), read.json()), (200, tag(first), shown.clone()));
    assert_eq!(world.get(&path("")).await.json(), Value::from(vec![shown]));

    let patched = world.ok("PATCH", &at, r#"{"latencyMs":80,"label":null,"retry":{"limit":null}}"#).await;
    let wanted = (&80.into(), &Value::Null, first + 1);
    assert_eq!((&patched["latencyMs"], &patched["label"], revision(&patched)), wanted);
    assert_eq!(patched["retry"], serde_json::json!({"minMs": 500, "maxMs": null, "limit": null}));
    let stored = world.manager.get(&key("s")).expect("there").record.endpoints[0].url.clone();
    assert_eq!(stored.passphrase.as_ref().map(|secret| secret.expose()), Some(SECRET), "kept");
    assert_eq!(stored.streamid.as_deref(), Some("live/a b"), "and all else");

    let gone = world.call("DELETE", &at, None).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    assert_problem(&world.call("DELETE", &at, None).await, 404, None, "again");
    assert_eq!(world.get(&path("")).await.json(), serde_json::json!([]));
}

#[actix_web::test]
async fn only_the_endpoint_that_changes_reconnects_and_only_if_it_must() {
    let world = World::with_stream().await;
    let _publication = world.publish("s").await;
    let stream = world.streams.last();
    stream.set_live();
    let first = revision(&world.ok("PUT", &path("/a"), r#"{"host":"192.0.2.1","port":9000}"#).await);
    world.ok("PUT", &path("/b"), r#"{"host":"192.0.2.2","port":9000}"#).await;
    assert_eq!(stream.starts(), 2);
    let same = world.call("PUT", &path("/a"), Some(r#"{"url":"srt://192.0.2.1:9000"}"#)).await;
    assert_eq!((same.status, header(&same, "ETag")), (200, tag(first)), "the same in one piece");
    for (method, body) in [
        ("PUT", r#"{"url":"SRT://192.0.2.1:9000/?mode=caller"}"#),
        ("PATCH", r#"{"url":"srt://192.0.2.1:9000?mode=caller"}"#),
        ("PATCH", r#"{"url":"srt://192.0.2.1:9000?mode=caller","port":9000}"#),
    ] {
        let same = world.ok(method, &path("/a"), body).await;
        assert_eq!((revision(&same), stream.starts()), (first, 2), "{method} {body}: the same in another spelling");
    }
    world.ok("PATCH", &path("/a"), r#"{"label":"x"}"#).await;
    world.ok("PATCH", &path("/a"), "{}").await;
    assert_eq!(stream.starts(), 2, "a label is only shown");
    let changed = world.ok("PATCH", &path("/a"), r#"{"latencyMs":300}"#).await;
    assert_eq!((revision(&changed), stream.starts()), (first + 2, 3));
    assert_eq!(stream.running(), ["a srt://192.0.2.1:9000?latency=300", "b srt://192.0.2.2:9000"]);

    let off = world.ok("PATCH", &path("/a"), r#"{"enabled":false}"#).await;
    assert_eq!((&off["state"], &off["status"]), (&"disabled".into(), &"finished".into()));
    assert_eq!(stream.running(), ["b srt://192.0.2.2:9000"]);
    assert_problem(&world.call("POST", &path("/a/retry"), None).await, 409, None, "switched off");
    let off = world.get(&path("/a")).await.json();
    assert_eq!(
        off["history"].as_array().and_then(|steps| steps.last()).map(|step| &step["state"]),
        Some(&"disabled".into())
    );
    assert!(off["since"].is_i64(), "{off}");
    let on = world.ok("PATCH", &path("/a"), r#"{"enabled":true}"#).await;
    assert_eq!((&on["state"], stream.running().len()), (&"broadcasting".into(), 2));
    let retried = world.call("POST", &path("/a/retry"), None).await;
    assert_eq!(retried.status, 202, "{}", retried.text);
    let names: Vec<Value> =
        world.get(&path("")).await.json().as_array().expect("list").iter().map(|it| it["id"].clone()).collect();
    assert_eq!(names, ["a", "b"], "in their order");
}

#[actix_web::test]
async fn what_is_switched_on_while_no_stream_runs_is_idle() {
    let world = World::with_stream().await;
    let made = world.ok("PUT", &path("/a"), r#"{"host":"192.0.2.1","enabled":false}"#).await;
    assert_eq!(made["state"], "disabled");
    assert_problem(&world.call("POST", &path("/a/retry"), None).await, 409, None, "switched off");
    let on = world.ok("PATCH", &path("/a"), r#"{"enabled":true}"#).await;
    let states: Vec<&Value> = on["history"].as_array().expect("list").iter().map(|step| &step["state"]).collect();
    assert_eq!((&on["state"], states), (&"idle".into(), vec![&"disabled".into(), &"idle".into()]));
    assert_problem(&world.call("POST", &path("/a/retry"), None).await, 409, None, "not live");
}

#[actix_web::test]
async fn what_is_switched_on_before_data_comes_does_not_read_switched_off() {
    let world = World::with_stream().await;
    let _publication = world.publish("s").await;
    world.ok("PUT", &path("/a"), r#"{"host":"192.0.2.1","enabled":false}"#).await;
    let on = world.ok("PATCH", &path("/a"), r#"{"enabled":true}"#).await;
    assert_eq!((&on["state"], world.streams.last().running().len()), (&"idle".into(), 1));
}

#[actix_web::test]
async fn of_changes_at_the_same_time_one_is_made_and_the_others_hear_of_it() {
    const CLIENTS: usize = 20;
    let world = World::with_stream().await;
    let at = path("/a");
    let first = revision(&world.ok("PUT", &at, r#"{"host":"192.0.2.1"}"#).await);
    let bodies: Vec<String> = (0..CLIENTS).map(|n| format!(r#"{{"label":"{n}"}}"#)).collect();
    let seen = tag(first);
    let seen = [("If-Match", seen.as_str())];
    let answers = bodies.iter().map(|body| world.call_if("PATCH", &at, &seen, Some(body)));
    let answers = futures::future::join_all(answers).await;
    let with = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(200), with(412)), (1, CLIENTS - 1));
    assert_eq!(revision(&world.get(&at).await.json()), first + 1);
}

#[actix_web::test]
async fn put_makes_or_replaces_and_preconditions_hold_or_refuse() {
    let world = World::with_stream().await;
    let body = r#"{"host":"192.0.2.1","label":"one","latencyMs":100}"#;
    let at = path("/mine");
    for (header_given, wanted) in
        [(("If-Match", "*"), 412), (("If-Match", "\"1\""), 412), (("If-None-Match", "x"), 400)]
    {
        let field = header_given.0.to_lowercase();
        let answer = world.call_if("PUT", &at, &[header_given], Some(body)).await;
        assert_problem(&answer, wanted, Some(&field), "of none");
    }
    let made = world.call_if("PUT", &at, &[("If-None-Match", "*")], Some(body)).await;
    assert_eq!((made.status, header(&made, "Location")), (201, at.clone()), "{}", made.text);
    assert_problem(
        &world.call_if("PUT", &at, &[("If-None-Match", "*")], Some(body)).await,
        412,
        Some("if-none-match"),
        "exists",
    );
    let first = revision(&made.json());
    let [one, two, three] = [first, first + 1, first + 2].map(tag);
    let again = world.call_if("PUT", &at, &[("If-Match", &one)], Some(body)).await;
    assert_eq!((again.status, header(&again, "ETag")), (200, one.clone()));
    assert!(again.headers.get("Location").is_none());
    let replaced = world.ok("PUT", &at, r#"{"host":"192.0.2.1","latencyMs":100}"#).await;
    assert_eq!((&replaced["label"], revision(&replaced)), (&Value::Null, first + 1), "what is not named is gone");
    for method in ["PUT", "PATCH", "DELETE"] {
        let body = (method != "DELETE").then_some(body);
        let stale = world.call_if(method, &at, &[("If-Match", &one)], body).await;
        assert_problem(&stale, 412, Some("if-match"), method);
        let bad = world.call_if(method, &at, &[("If-Match", "1")], body).await;
        assert_problem(&bad, 400, Some("if-match"), method);
    }
    let patched = world.call_if("PATCH", &at, &[("If-Match", &two)], Some(r#"{"label":"two"}"#)).await;
    assert_eq!((patched.status, header(&patched, "ETag")), (200, three.clone()));
    let gone = world.call_if("DELETE", &at, &[("If-Match", &three)], None).await;
    assert_eq!(gone.status, 204);
    assert_problem(&world.call_if("PATCH", &at, &[("If-Match", "*")], Some("{}")).await, 404, None, "gone");
}

#[actix_web::test]
async fn what_was_seen_of_an_endpoint_does_not_fit_the_next_one_of_its_id() {
    let world = World::with_stream().await;
    let (at, body) = (path("/mine"), r#"{"host":"192.0.2.1"}"#);
    let mut given = Vec::new();
    for _ in 0..3 {
        let made = world.call_if("PUT", &at, &[("If-None-Match", "*")], Some(body)).await;
        given.push(header(&made, "ETag"));
        given.push(tag(revision(&world.ok("PATCH", &at, r#"{"label":"x"}"#).await)));
        world.call("DELETE", &at, None).await;
    }
    world.ok("PUT", &at, body).await;
    for stale in &given {
        for method in ["PUT", "PATCH", "DELETE"] {
            let body = (method != "DELETE").then_some(body);
            let answer = world.call_if(method, &at, &[("If-Match", stale)], body).await;
            assert_problem(&answer, 412, Some("if-match"), method);
        }
    }
    // By the compatible call, with the whole list.
    let put = |list: &str| format!(r#"{{"endPointList":{list}}}"#);
    let seen = revision(&world.get(&at).await.json());
    let list = r#"[{"endpointServiceId":"mine","endpointUrl":"srt://192.0.2.1"}]"#;
    world.ok("PUT", &format!("{BASE}/s"), &put("[]")).await;
    world.ok("PUT", &format!("{BASE}/s"), &put(list)).await;
    assert!(revision(&world.get(&at).await.json()) > seen, "{seen}");
}

#[actix_web::test]
async fn a_test_answers_what_it_found_and_stores_nothing() {
    let world = World::with_stream().await;
    let body = format!(r#"{{"host":"192.0.2.1","passphrase":"{SECRET}"}}"#);
    // Of a stream that does not exist, too.
    for stream in ["s", "unknown"] {
        let tested = world.call("POST", &format!("{BASE}/{stream}/endpoints/test"), Some(&body)).await;
        assert_eq!(tested.status, 200, "{}", tested.text);
        let expected = concat!(
            r#"{"passed":true,"address":null,"latencyMs":120,"rttMs":null,"encrypted":null,"steps":[{"step":"resolve","#,
            r#""result":"ok","durationMs":3.0,"cause":null,"rejectCode":null,"rejectName":null,"#,
            r#""text":"srt://192.0.2.1?passphrase=*** is fine"}]}"#
        );
        assert_eq!(tested.text, expected);
    }
    assert_eq!(world.get(&path("")).await.json(), serde_json::json!([]));
    assert_problem(&world.call("POST", &path("/test"), Some("{}")).await, 400, Some("url"), "nowhere");
    assert_problem(&world.call("POST", &format!("{BASE}/a%20b/endpoints/test"), Some(&body)).await, 404, None, "no id");
    // An endpoint may be called so.
    let made = world.call("PUT", &path("/test"), Some(&body)).await;
    let first = revision(&made.json());
    assert_eq!(made.status, 201);
    // One that is stored, with the passphrase that is not shown, and as a change would make it.
    for (change, url) in
        [("{}", "srt://192.0.2.1?passphrase=***"), (r#"{"port":9}"#, "srt://192.0.2.1:9?passphrase=***")]
    {
        let tested = world.call("POST", &path("/test/test"), Some(change)).await;
        assert_eq!(tested.status, 200, "{}", tested.text);
        assert!(tested.text.contains(&format!("\"text\":\"{url} is fine\"")), "{}", tested.text);
    }
    let elsewhere = r#"{"host":"192.0.2.66"}"#;
    assert_eq!(world.call("POST", &path("/test/test"), Some(elsewhere)).await.status, 400, "the passphrase stays here");
    assert_eq!(revision(&world.get(&path("/test")).await.json()), first, "nothing is stored");
    assert_problem(&world.call("POST", &path("/nobody/test"), Some("{}")).await, 404, None, "no such endpoint");
    assert_eq!(world.get(&path("/test")).await.json()["id"], "test");

    world.streams.starts.forget_permits(FREE);
    let (test, body) = (path("/test"), body.as_str());
    let full = async {
        let taken = || TESTS_MAX - world.state.tests.available_permits();
        // Somebody who does not wait for the answer: the test goes on, and so takes its place.
        tokio::select! {
            _ = world.call("POST", &test, Some(body)) => panic!("it hangs"),
            () = until(|| taken() == 1) => {}
        }
        let hanging = futures::future::join_all((1..TESTS_MAX).map(|_| world.call("POST", &test, Some(body))));
        let one_more = async {
            until(|| taken() == TESTS_MAX).await;
            let answer = world.call("POST", &test, Some("{\"host\":\"h\"}")).await;
            world.streams.starts.add_permits(FREE);
            answer
        };
        let answers = futures::join!(hanging, one_more);
        until(|| taken() == 0).await;
        answers
    };
    let bounded = tokio::time::timeout(std::time::Duration::from_secs(10), full).await;
    let (hanging, refused) = bounded.expect("places are taken, and given back");
    assert!(hanging.iter().all(|answer| answer.status == 200));
    assert_problem(&refused, 429, None, "one more");
    assert_eq!(header(&refused, "Retry-After"), "5");
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[actix_web::test]
async fn a_row_that_cannot_be_read_is_shown_replaced_and_removed() {
    let world = World::with_stream().await;
    for id in ["a", "b"] {
        world.ok("PUT", &path(&format!("/{id}")), &format!(r#"{{"host":"{id}.example"}}"#)).await;
    }
    world.manager.shutdown().await;
    let store = Store::open(&format!("sqlite://{}", world.path.display())).await.expect("opens");
    store.execute("UPDATE endpoints SET tracks = 'subtitles'").await;
    store.close().await;
    let world = world.again().await;
    let shown = world.get(&path("/a")).await.json();
    assert_eq!((&shown["state"], &shown["revision"]), (&"failed".into(), &0.into()));
    assert!(shown["unreadable"].as_str().is_some_and(|why| why.contains("subtitles")), "{shown}");
    assert_problem(&world.call("PATCH", &path("/a"), Some("{}")).await, 409, None, "nothing to be changed");
    let replaced = world.ok("PUT", &path("/a"), r#"{"host":"a.example","tracks":"audio"}"#).await;
    assert_eq!((&replaced["tracks"], &replaced["unreadable"]), (&"audio".into(), &Value::Null));
    assert_eq!(world.call("DELETE", &path("/b"), None).await.status, 204);
    assert_eq!(world.get(&path("")).await.json().as_array().map(Vec::len), Some(1));
}
