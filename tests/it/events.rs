//! What happens is told: to those who listen, in order and without loss, and to webhooks.

use ring::hmac;
use serde_json::{Value, json};

use crate::support::hook::{Hook, Told};
use crate::support::http::path;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::sse::{Deaf, Listener};
use crate::support::wait::{LATER, SOON, wait_for, wait_until};

const STREAM: &str = "live/test";

/// How long a stream is held here.
const HOLD_MS: &str = "1500";

/// How often a shutdown is tried.
const SHUTDOWNS_MAX: usize = 3;

const SECRET: &str = "a secret of the webhook";

fn service(settings: &[(&'static str, &str)]) -> Service {
    let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
    let settings = settings.chain([("STREAM__HOLD_MS", HOLD_MS.to_owned())]).collect();
    Service::start_with(Options {
        settings,
        secrets: vec![SECRET.to_owned(), "hunter2".to_owned()],
        ..Options::default()
    })
}

#[track_caller]
fn create(service: &Service, hook: Option<&str>) {
    let body = json!({ "streamId": "test", "name": "The match", "listenerHookURL": hook, "metaData": "{\"k\":1}" });
    let (status, body) = service.api.post("/live/rest/v2/broadcasts/create", &body);
    assert_eq!(status, 200, "{body}");
}

/// The words that are there, in this order.
fn only(words: &[String], wanted: &[&str]) -> Vec<String> {
    words.iter().filter(|word| wanted.contains(&word.as_str())).cloned().collect()
}

const STREAM_EVENTS: [&str; 7] = [
    "broadcastCreated",
    "endpointAdded",
    "streamPreparing",
    "streamStarted",
    "streamHeld",
    "streamEnded",
    "broadcastDeleted",
];

#[test]
fn a_stream_is_told_from_begin_to_end_and_who_comes_back_has_missed_nothing() {
    let mut service = service(&[]);
    let sample = Sample::of(sample::H264_AAC);
    let receiver = Receiver::listen();
    let listener = Listener::start(&service, "live", "", None);
    let hello = listener.wait(SOON, "hello", |event| event.name == "hello");
    assert_eq!(hello.data["resumed"], false, "{}", hello.data);
    create(&service, None);
    let id = service.api.add_endpoint(STREAM, &receiver.url());
    let publisher = Publisher::rtmp(&service, STREAM, &sample);
    let broadcasting = listener
        .wait(LATER, "the endpoint", |event| event.name == "endpointState" && event.data["state"] == "broadcasting");
    assert_eq!((&broadcasting.data["endpointId"], &broadcasting.data["streamId"]), (&json!(id), &json!("test")));
    let tick = listener.wait(LATER, "numbers of what was sent", |event| {
        event.name == "statistics" && event.data["streams"][0]["endpoints"][0]["sentBytes"].as_u64() > Some(100_000)
    });
    let stream = &tick.data["streams"][0];
    assert_eq!((&stream["streamId"], &stream["status"]), (&json!("test"), &json!("broadcasting")));
    assert!(stream["bitrate1sBps"].as_u64() > Some(50_000), "{stream}");
    assert_eq!(stream["endpoints"][0]["endpointId"], id, "{stream}");
    publisher.stop();
    listener.wait(LATER, "the end", |event| event.name == "streamEnded");
    listener.wait(LATER, "the endpoint's end", |event| event.data["state"] == "finished");
    let (status, answer) = service.api.delete(&path(STREAM, ""));
    assert_eq!(status, 200, "{answer}");
    listener.wait(SOON, "the end of the broadcast", |event| event.name == "broadcastDeleted");
    assert_eq!(only(&listener.words(), &STREAM_EVENTS), STREAM_EVENTS);

    // Whoever has seen the start gets all that followed, and nothing twice.
    let all = listener.events();
    let start = all.iter().position(|event| event.name == "streamStarted").unwrap();
    for query in ["", "lastEventId="] {
        let id = &all[start].id;
        let back = match query {
            "" => Listener::start(&service, "live", "", Some(id)),
            query => Listener::start(&service, "live", &format!("{query}{id}"), None),
        };
        back.wait(SOON, "the last one", |event| event.name == "broadcastDeleted");
        assert_eq!(back.events()[0].data["resumed"], true);
        let followed = |events: &[crate::support::sse::Event]| -> Vec<(String, Value)> {
            let told = events.iter().filter(|event| !["hello", "statistics"].contains(&event.name.as_str()));
            told.map(|event| (event.id.clone(), event.data.clone())).collect()
        };
        assert_eq!(followed(&back.events()), followed(&all[start + 1..]));
    }

    // An id of another run is recognised.
    service.stop();
    wait_until(SOON, "the end of the service ends the stream", || listener.has_ended());
    service.start_again();
    let back = Listener::start(&service, "live", "", Some(&all[start].id));
    let gap = back.wait(SOON, "the gap", |event| event.name == "gap");
    assert_eq!((&gap.data["reason"], &back.events()[0].data["resumed"]), (&json!("restarted"), &json!(false)));
}

#[test]
fn a_listener_that_does_not_read_is_cut_off_while_another_hears_everything_in_time() {
    let service = service(&[]);
    create(&service, None);
    let deaf = Deaf::start(&service, "live", "");
    let listener = Listener::start(&service, "live", "types=endpoint", None);
    listener.wait(SOON, "hello", |event| event.name == "hello");
    let at = path(STREAM, "/endpoints/e1");
    let mut changes = 0;
    wait_for(LATER, "the deaf one is cut off", || {
        for _ in 0..50 {
            changes += 1;
            let label = format!("{changes} {}", "x".repeat(100));
            let (status, answer) = service.api.put(&at, &json!({ "url": "srt://192.0.2.1:9000", "label": label }));
            assert!(matches!(status, 200 | 201), "{status} {answer}");
        }
        let cut = service.log().contains("a listener to events is too slow and is cut off");
        if cut { Ok(()) } else { Err(format!("{changes} changes")) }
    });
    let heard = wait_for(SOON, "the other one has heard all", || {
        let heard: Vec<_> = listener.events().into_iter().filter(|event| event.name.starts_with("endpoint")).collect();
        if heard.len() == changes { Ok(heard) } else { Err(format!("{} of {changes}", heard.len())) }
    });
    let labels: Vec<u64> = heard
        .iter()
        .filter_map(|event| event.data["endpoint"]["label"].as_str()?.split(' ').next()?.parse().ok())
        .collect();
    assert!(labels.is_sorted() && !listener.has_ended(), "{labels:?}");
    let got = deaf.read_to_end(SOON);
    assert!(got > 1_000, "{got}: what was on its way came");
}

/// Whether the signature is that of the secret, over time, receiver and body.
fn is_signed(told: &Told) -> bool {
    let signature = told.header("x-signature").expect("a signature");
    let (time, hex) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("its form");
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let receiver = format!("http://{}", told.header("host").expect("a host"));
    hmac::verify(&key, format!("{time}.{receiver}.{}", told.body).as_bytes(), &bytes).is_ok()
}

#[test]
fn a_webhook_is_told_of_the_stream_and_of_its_endpoint_signed_and_tried_again() {
    // The first message is refused twice.
    let hook = Hook::listen(|number| Some(if number < 2 { 500 } else { 200 }));
    let service = service(&[("WEBHOOK__SECRET", SECRET), ("ENDPOINT__RETRY_MIN_MS", "500")]);
    let sample = Sample::of(sample::H264_AAC);
    let mut receiver = Receiver::listen();
    create(&service, Some(&hook.url));
    let id = service.api.add_endpoint(STREAM, &receiver.url());
    let publisher = Publisher::rtmp(&service, STREAM, &sample);
    let wait = |count: usize, what: &str| {
        wait_for(LATER, what, || {
            let actions = hook.actions();
            if actions.len() >= count { Ok(()) } else { Err(format!("{actions:?}")) }
        });
    };
    wait(4, "start and connection are told");
    receiver.kill();
    wait(5, "the failure is told");
    receiver.start();
    wait(6, "the recovery is told");
    publisher.stop();
    wait(7, "the end is told");
    let told = hook.told();
    let actions = hook.actions();
    let mut first = actions[..4].to_vec();
    first.dedup();
    // Endpoints connect when data flows, and that is when a stream starts: either may be told first.
    first.sort();
    assert_eq!(first, ["endpointConnected", "liveStreamStarted"], "{actions:?}");
    assert_eq!(
        actions[..3].iter().collect::<std::collections::BTreeSet<_>>().len(),
        1,
        "the same three times: {actions:?}"
    );
    assert_eq!(actions[4..], ["endpointFailed", "endpointRecovered", "liveStreamEnded"]);
    for one in &told {
        assert!(is_signed(one) && one.header("content-type") == Some("application/json"), "{one:?}");
    }
    let ids: Vec<_> = told.iter().filter_map(|one| one.header("x-event-id")).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3], "{ids:?}");
    let started = told.iter().find(|one| one.action() == "liveStreamStarted").unwrap().json();
    assert_eq!(
        (&started["id"], &started["app"], &started["streamName"], &started["metadata"]),
        (&json!("test"), &json!("live"), &json!("The match"), &json!({ "k": 1 }))
    );
    assert!(started["timestamp"].as_str().is_some_and(|text| text.parse::<u64>().is_ok()), "{started}");
    let failed = told[4].json();
    assert_eq!(failed["metadata"], json!({ "rtmp-url": receiver.url() }));
    assert_eq!((&failed["endpoint"]["id"], &failed["endpoint"]["state"]), (&json!(id), &json!("waiting")));
    assert!(failed["endpoint"]["cause"].is_string() && failed["endpoint"]["nextRetryAt"].is_i64(), "{failed}");
}

#[test]
fn an_endpoint_that_a_change_has_mended_is_told_as_recovered() {
    let hook = Hook::listen(|_| Some(204));
    let service = service(&[("ENDPOINT__RETRY_MIN_MS", "500")]);
    let sample = Sample::of(sample::H264_AAC);
    let receiver = Receiver::listen();
    create(&service, Some(&hook.url));
    // It asks for a passphrase that the receiver does not have.
    let url = format!("{}?passphrase=0123456789", receiver.url());
    let (status, made) = service.api.put(&path(STREAM, "/endpoints/e1"), &json!({ "url": url }));
    assert_eq!(status, 201, "{made}");
    let _publisher = Publisher::rtmp(&service, STREAM, &sample);
    let told = |wanted: &[&str]| {
        wait_for(LATER, "what is told of the endpoint", || {
            let actions: Vec<_> = hook.actions().into_iter().filter(|one| one.starts_with("endpoint")).collect();
            if actions == wanted { Ok(()) } else { Err(format!("{actions:?} instead of {wanted:?}")) }
        });
    };
    told(&["endpointFailed"]);
    let (status, changed) = service.api.patch(&path(STREAM, "/endpoints/e1"), &json!({ "passphrase": null }));
    assert_eq!(status, 200, "{changed}");
    told(&["endpointFailed", "endpointRecovered"]);
}

#[test]
fn a_dead_webhook_delays_nobody_and_the_end_is_told_at_a_shutdown() {
    // The service gives itself a second for the end: a machine without time may need more, but not each time.
    let mut seen = Vec::new();
    let told = (0..SHUTDOWNS_MAX).any(|_| {
        seen.push(actions_with_a_shutdown());
        seen.last().is_some_and(|actions| actions == &["liveStreamStarted", "liveStreamEnded"])
    });
    assert!(told, "{seen:?}");
}

/// What a webhook is told, beside one that does not answer, of a stream that runs when the service is stopped.
fn actions_with_a_shutdown() -> Vec<String> {
    let dead = Hook::listen(|_| None);
    let hook = Hook::listen(|_| Some(204));
    let mut service = service(&[("WEBHOOK__URL", &hook.url)]);
    let sample = Sample::of(sample::H264_AAC);
    create(&service, Some(&dead.url));
    let _first = Publisher::rtmp(&service, STREAM, &sample);
    wait_until(LATER, "the dead one is asked", || !dead.told().is_empty());
    // The other broadcast is nobody's but the default's.
    let _second = Publisher::srt(&service, "live/other", &sample);
    wait_until(LATER, "the other one is told", || hook.actions() == ["liveStreamStarted"]);
    assert_eq!(hook.told()[0].header("x-signature"), None);
    service.stop();
    assert!(
        !service.log().contains("hunter2")
            && !service.log().contains("swordfish")
            && dead.told().iter().all(|one| one.action() == "liveStreamStarted")
    );
    hook.actions()
}
