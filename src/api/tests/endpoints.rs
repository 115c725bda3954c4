//! Endpoints: the documented walk-through, every refusal, fifty at once.

use super::*;

const URL: &str = "srt://127.0.0.1?streamid=LiveApp/srt-test";

fn body(url: &str) -> String {
    serde_json::json!({ "endpointUrl": url }).to_string()
}

#[actix_web::test]
async fn the_documented_walk_through_with_its_exact_answers() {
    let world = World::new().await;
    let _publication = world.publish("test").await;
    world.streams.last().set_live();
    let added = world.call("POST", &format!("{BASE}/test/endpoint"), Some(&body(URL))).await;
    let id = added.json()["dataId"].as_str().expect("dataId").to_owned();
    assert_eq!((added.status, added.text), (200, result(true, None, &id)));
    assert!(id.len() == 12 && id.starts_with("custom"), "{id}");
    assert_eq!(world.streams.last().running(), [format!("{id} {URL}")]);

    let shown = world.get(&format!("{BASE}/test")).await;
    let list = format!(
        r#""endPointList":[{{"status":"broadcasting","type":"generic","endpointUrl":"{URL}","endpointServiceId":"{id}","state":"broadcasting"}}]"#
    );
    assert!(shown.text.contains(&list), "{}", shown.text);

    let path = format!("{BASE}/test/endpoint?endpointServiceId={id}");
    let removed = world.call("DELETE", &path, None).await;
    assert_eq!((removed.status, removed.text), (200, result(true, Some(""), "")));
    assert!(world.streams.last().running().is_empty());
    let again = world.call("DELETE", &path, None).await;
    assert_eq!((again.status, again.text), (200, refused("")));
    assert_eq!(world.get(&format!("{BASE}/test")).await.json()["endPointList"], Value::Null);
}

#[actix_web::test]
async fn refusals_of_an_add() {
    let world = World::new().await;
    world.call("POST", &format!("{BASE}/create"), Some(r#"{"streamId":"s"}"#)).await;
    let secret = "srt://192.0.2.1:9000?passphrase=0123456789";
    let added = world.call("POST", &format!("{BASE}/s/endpoint"), Some(&body(secret))).await;
    assert_eq!(added.json()["success"], true, "{}", added.text);
    let bad = |url: &str| {
        let why = crate::model::srt_url::SrtUrl::parse(url).expect_err("bad");
        refused(&format!("Endpoint is not added to stream: s. {why}"))
    };
    let cases = [
        ("s", None, refused("Missing Endpoint url")),
        ("s", Some("{}".to_owned()), refused("Missing Endpoint url")),
        ("s", Some("null".to_owned()), refused("Missing Endpoint url")),
        ("s", Some(r#"{"endpointUrl":null}"#.to_owned()), refused("Missing Endpoint url")),
        ("unknown", Some("{}".to_owned()), refused("Missing Endpoint url")),
        ("unknown", Some(body("foo")), refused("Stream does not exist with Id: unknown")),
        ("a%20b%22c", Some(body(URL)), refused("Stream does not exist with Id: a b\"c")),
        (
            "s",
            Some(body(secret)),
            refused(
                "Endpoint is not added to datastore for stream s. It is already added ->srt://192.0.2.1:9000?passphrase=***",
            ),
        ),
        ("s", Some(body("")), bad("")),
        ("s", Some(body("rtmp://h/a/b")), bad("rtmp://h/a/b")),
        ("s", Some(body("srt://h?passphrase=short")), bad("srt://h?passphrase=short")),
        (
            "s",
            Some(body("srt://127.0.0.1?streamid=live/s")),
            refused(
                "Endpoint is not added to stream: s. the endpoint would feed the stream back to itself (it leads to live/s itself)",
            ),
        ),
        (
            "s",
            Some(r#"{"endpointUrl":"srt://192.0.2.2","endpointServiceId":"a b"}"#.to_owned()),
            refused(
                "Endpoint is not added to stream: s. endpointServiceId holds ' '; only letters, digits, '-', '_' and '.' are allowed",
            ),
        ),
    ];
    for (id, body, wanted) in cases {
        let answer = world.call("POST", &format!("{BASE}/{id}/endpoint"), body.as_deref()).await;
        assert_eq!((answer.status, answer.text), (200, wanted), "{id} {body:?}");
    }
    let list = world.get(&format!("{BASE}/s")).await.json()["endPointList"].clone();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
}

#[actix_web::test]
async fn refusals_of_a_removal_have_no_text() {
    let world = World::new().await;
    world.call("POST", &format!("{BASE}/create"), Some(r#"{"streamId":"s"}"#)).await;
    for path in [
        "s/endpoint",
        "s/endpoint?endpointServiceId=",
        "s/endpoint?endpointServiceId=nope",
        "unknown/endpoint?endpointServiceId=x",
        "a%20b/endpoint?endpointServiceId=x",
    ] {
        let answer = world.call("DELETE", &format!("{BASE}/{path}"), None).await;
        assert_eq!((answer.status, answer.text), (200, refused("")), "{path}");
    }
}

#[actix_web::test]
async fn the_older_names_do_the_same() {
    let world = World::new().await;
    world.call("POST", &format!("{BASE}/create"), Some(r#"{"streamId":"s"}"#)).await;
    let body = r#"{"rtmpUrl":"srt://192.0.2.1","type":"facebook","status":7,"endpointServiceId":"mine","other":[1]}"#;
    let added = world.call("POST", &format!("{BASE}/s/rtmp-endpoint"), Some(body)).await;
    assert_eq!((added.status, added.text), (200, result(true, None, "mine")), "the id that was given is kept");
    let taken = r#"{"endpointUrl":"srt://192.0.2.9","rtmpUrl":"srt://192.0.2.8","endpointServiceId":"mine"}"#;
    let taken = world.call("POST", &format!("{BASE}/s/endpoint"), Some(taken)).await;
    let why = "Endpoint is not added to stream: s. endpointServiceId mine is in use on this stream already";
    assert_eq!(taken.text, refused(why));
    let list = world.get(&format!("{BASE}/s")).await.json()["endPointList"].to_string();
    let wanted = r#"[{"status":"created","type":"generic","endpointUrl":"srt://192.0.2.1","endpointServiceId":"mine","state":"idle"}]"#;
    assert_eq!(list, wanted);
    let removed = world.call("DELETE", &format!("{BASE}/s/rtmp-endpoint?endpointServiceId=mine"), None).await;
    assert_eq!(removed.text, result(true, Some(""), ""));
}

#[actix_web::test]
async fn a_height_other_than_the_streams_is_refused() {
    let world = World::new().await;
    let _publication = world.publish("s").await;
    world.streams.last().set_live();
    for height in ["0", "720", "-5", ""] {
        let url = format!("srt://192.0.2.1?streamid=h{height}");
        let path = format!("{BASE}/s/endpoint?resolutionHeight={height}");
        let added = world.call("POST", &path, Some(&body(&url))).await;
        let id = added.json()["dataId"].as_str().expect("dataId").to_owned();
        assert_eq!(added.text, result(true, None, &id), "{height}");
        let removed = world.call("DELETE", &format!("{path}&endpointServiceId={id}"), None).await;
        assert_eq!(removed.text, result(true, Some(""), ""), "{height}");
    }
    let why = "resolutionHeight 1080 is not available: the stream is sent on as it comes, 720 lines high";
    let path = format!("{BASE}/s/endpoint?resolutionHeight=1080");
    let added = world.call("POST", &path, Some(&body(URL))).await;
    assert_eq!(added.text, refused(&format!("Endpoint is not added to stream: s. {why}")));
    let removed = world.call("DELETE", &format!("{path}&endpointServiceId=x"), None).await;
    assert_eq!(removed.text, refused(why));
    let answer = world.call("POST", &format!("{BASE}/s/endpoint?resolutionHeight=tall"), Some(&body(URL))).await;
    assert_eq!(
        (answer.status, answer.text),
        (400, refused("The query parameter resolutionHeight is not valid: \"tall\""))
    );
}

#[actix_web::test]
async fn fifty_at_once_lose_nothing() {
    let world = World::new().await;
    let _publication = world.publish("s").await;
    let state = Arc::clone(&world.state);
    let app = test::init_service(App::new().configure(|config| configure(config, state))).await;
    let post = |n: usize| {
        let request = request("POST", &format!("{BASE}/s/endpoint"), LOCAL)
            .insert_header(("Content-Type", "application/json"))
            .set_payload(body(&format!("srt://192.0.2.1:{}", 9000 + n)));
        test::call_service(&app, request.to_request())
    };
    let answers = futures::future::join_all((0..50).map(post)).await;
    let mut ids = std::collections::BTreeSet::new();
    for answer in answers {
        let answer: Value = test::read_body_json(answer).await;
        assert_eq!(answer["success"], true, "{answer}");
        ids.insert(answer["dataId"].as_str().expect("dataId").to_owned());
    }
    assert_eq!(ids.len(), 50);
    assert_eq!(world.streams.last().running().len(), 50);
    let delete = |id: &String| {
        let path = format!("{BASE}/s/endpoint?endpointServiceId={id}");
        test::call_service(&app, request("DELETE", &path, LOCAL).to_request())
    };
    for answer in futures::future::join_all(ids.iter().map(delete)).await {
        let answer: Value = test::read_body_json(answer).await;
        assert_eq!(answer["success"], true, "{answer}");
    }
    assert!(world.streams.last().running().is_empty());
}

#[actix_web::test]
async fn what_was_answered_is_in_the_file() {
    let world = World::new().await;
    let _publication = world.publish("test").await;
    let added = world.call("POST", &format!("{BASE}/test/endpoint"), Some(&body(URL))).await;
    // Read by another process, so to say, while the service runs: as after a kill.
    let store = Store::open(&format!("sqlite://{}", world.path.display())).await.expect("opens");
    let stored = store.load().await.expect("loads");
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].record.endpoints[0].id.as_str(), added.json()["dataId"].as_str().expect("dataId"));
    assert_eq!(stored[0].record.endpoints[0].url.as_given(), URL);
    assert!(!stored[0].record.created_by_user);
}
