//! What an endpoint says of itself: broadcasting only while data arrives, and for each failure what it was.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::check::assert_restreamed;
use crate::support::http::path;
use crate::support::peer::{Peer, black_hole};
use crate::support::process::free_port;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Programme, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{LATER, SOON, wait_for};

const STREAM: &str = "live/test";

/// The service's delivery window, and what a busy test machine may add to it.
const STALLED_WITHIN: Duration = Duration::from_millis(3_000 + 2_500);

/// A broadcast with a publisher and an endpoint.
struct Scene {
    service: Service,
    sample: Sample,
    _publisher: Publisher,
}

impl Scene {
    fn start() -> Self {
        Self::of(Service::start(), Sample::of(sample::H264_AAC))
    }

    fn of(service: Service, sample: Sample) -> Self {
        let publisher = Publisher::rtmp(&service, STREAM, &sample);
        service.api.wait_live(STREAM);
        Self { service, sample, _publisher: publisher }
    }

    /// Adds an endpoint by the parts it is made of.
    #[track_caller]
    fn add(&self, input: &Value) -> String {
        add(&self.service, input)
    }

    #[track_caller]
    fn add_url(&self, url: &str) -> String {
        self.add(&json!({ "url": url }))
    }

    #[track_caller]
    fn wait(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_endpoint(&self.service, id, what, wanted)
    }

    #[track_caller]
    fn wait_state(&self, id: &str, state: &str) -> Value {
        self.wait(id, state, |endpoint| endpoint["state"] == state)
    }

    /// Waits until it has failed for the first time.
    #[track_caller]
    fn failure(&self, id: &str) -> Value {
        self.wait(id, "failed", |endpoint| endpoint["failure"].is_object())["failure"].clone()
    }

    /// Adds an endpoint that must fail, and gives its failure and how long it took.
    #[track_caller]
    fn failure_of(&self, url: &str) -> (Value, Duration) {
        let begin = Instant::now();
        let failure = self.failure(&self.add_url(url));
        let took = begin.elapsed();
        println!("{url}: {} after {} ms: {}", failure["cause"], took.as_millis(), failure["text"]);
        (failure, took)
    }
}

#[track_caller]
fn add(service: &Service, input: &Value) -> String {
    let (status, answer) = service.api.post(&path(STREAM, "/endpoints"), input);
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

#[track_caller]
fn wait_endpoint(service: &Service, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_for(LATER, &format!("endpoint {id} is {what}"), || {
        let (status, endpoint) = service.api.get(&path(STREAM, &format!("/endpoints/{id}")));
        if status == 200 && wanted(&endpoint) { Ok(endpoint) } else { Err(format!("{status} {endpoint}")) }
    })
}

fn states(endpoint: &Value) -> Vec<String> {
    let history = endpoint["history"].as_array().expect("a history");
    history.iter().map(|step| step["state"].as_str().expect("a state").to_owned()).collect()
}

fn delay_ms(failure: &Value) -> i64 {
    failure["nextRetryAt"].as_i64().expect("a time") - failure["at"].as_i64().expect("a time")
}

#[test]
fn a_frozen_receiver_is_stalled_and_back_when_it_wakes_and_nobody_else_notices() {
    let scene = Scene::start();
    let (frozen, healthy) = (Receiver::listen(), Receiver::listen());
    let beside = scene.add_url(&healthy.url());
    let id = scene.add_url(&format!("{}?peeridletimeo=60000", frozen.url()));
    frozen.wait_seconds(2.0);
    scene.wait_state(&id, "broadcasting");

    let begin = Instant::now();
    frozen.freeze();
    let endpoint = scene.wait_state(&id, "stalled");
    let took = begin.elapsed();
    println!("a frozen receiver was noticed after {} ms", took.as_millis());
    assert!((Duration::from_secs(2)..STALLED_WITHIN).contains(&took), "after {took:?}");
    assert_eq!((&endpoint["status"], &endpoint["failure"]["cause"]), (&json!("error"), &json!("stalled")));
    assert_eq!(endpoint["failure"]["phase"], "deliver");
    assert!(endpoint["failure"]["nextRetryAt"].is_null(), "{endpoint}");

    frozen.thaw();
    let endpoint = scene.wait_state(&id, "broadcasting");
    assert!(endpoint["failure"].is_null());
    assert!(states(&endpoint).ends_with(&["stalled".into(), "broadcasting".into()]), "{endpoint}");
    frozen.wait_more(1.0);

    // Frozen for good, it is given up; awake again, it is found.
    frozen.freeze();
    let failure = scene.wait_state(&id, "waiting")["failure"].clone();
    assert_eq!(failure["cause"], "stalled", "{failure}");
    assert!(delay_ms(&failure) <= 1_100, "it had delivered for long: {failure}");
    frozen.thaw();
    scene.wait_state(&id, "broadcasting");

    let endpoint = scene.wait_state(&beside, "broadcasting");
    assert_eq!(states(&endpoint), ["connecting", "broadcasting"]);
    healthy.wait_more(1.0);
    assert_restreamed("the receiver beside it", &scene.sample, &healthy, healthy.seconds());
}

#[test]
fn a_receiver_that_dies_without_a_farewell_was_stalled_and_did_not_close() {
    let scene = Scene::start();
    let mut receiver = Receiver::listen();
    let id = scene.add_url(&receiver.url());
    receiver.wait_seconds(1.0);
    receiver.kill();
    // libsrt gives up after 5 s of silence.
    let endpoint = scene.wait_state(&id, "waiting");
    assert_eq!(endpoint["failure"]["cause"], "stalled", "{endpoint}");
    assert!(states(&endpoint).ends_with(&["broadcasting".into(), "stalled".into(), "waiting".into()]), "{endpoint}");
}

#[test]
fn what_libsrt_drops_as_too_late_is_not_delivered() {
    let scene = Scene::start();
    let receiver = Receiver::listen();
    // Bytes a second: a fraction of the stream.
    let id = scene.add_url(&format!("{}?maxbw=12000", receiver.url()));
    let endpoint = scene.wait_state(&id, "stalled");
    assert_eq!(endpoint["failure"]["cause"], "stalled");
    let text = endpoint["failure"]["text"].as_str().unwrap_or_default();
    assert!(text.contains("dropped as too late"), "{text}");
}

#[test]
fn a_stream_that_pauses_stalls_nobody() {
    let hold = vec![("STREAM__HOLD_MS", "8000".to_owned()), ("ENDPOINT__DELIVERY_WINDOW_MS", "1000".to_owned())];
    let service = Service::start_with(Options { settings: hold, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let publisher = Publisher::rtmp(&service, STREAM, &sample);
    service.api.wait_live(STREAM);
    let receiver = Receiver::listen();
    let id = add(&service, &json!({ "url": receiver.url() }));
    receiver.wait_seconds(2.0);
    publisher.stop();
    // Held for eight windows.
    let finished = |endpoint: &Value| states(endpoint).last().is_some_and(|state| state == "finished");
    let endpoint = wait_endpoint(&service, &id, "finished", finished);
    assert_eq!(states(&endpoint), ["connecting", "broadcasting", "starved", "finished"]);
}

/// Or behind it: on a busy machine that may be when it is looked at.
fn is_at_its_fourth(endpoint: &Value) -> bool {
    endpoint["attempt"].as_u64() >= Some(4)
}

#[test]
fn a_refusal_keeps_its_code_and_the_peer_is_asked_once_for_it() {
    let scene = Scene::start();
    for (code, name) in [(1403, json!("SRT_REJX_FORBIDDEN")), (1409, json!("SRT_REJX_CONFLICT")), (2042, Value::Null)] {
        let peer = Peer::refusing(code);
        let begin = Instant::now();
        let id = scene.add(&json!({ "url": peer.url(), "retry": { "minMs": 200, "maxMs": 200 } }));
        let failure = scene.failure(&id);
        println!("a refusal with {code} was told after {} ms: {}", begin.elapsed().as_millis(), failure["text"]);
        assert_eq!(failure["cause"], "rejected_by_peer");
        assert_eq!((&failure["rejectCode"], &failure["rejectName"]), (&json!(code), &name));
        assert!(failure["text"].as_str().unwrap_or_default().contains(&code.to_string()), "{failure}");
        let endpoint = scene.wait(&id, "at its fourth attempt", is_at_its_fourth);
        assert_eq!(endpoint["failure"]["rejectCode"], code, "{endpoint}");
        // One call for each attempt, of which the last may be on its way, and one that asked.
        let calls = peer.calls() as u64;
        let attempt = scene.wait(&id, "there", |_| true)["attempt"].as_u64().expect("a number");
        assert!((3..=attempt + 1).contains(&calls), "called {calls} times in {attempt} attempts");
    }
}

#[test]
fn a_refusal_is_read_even_while_there_is_nothing_to_send() {
    // srtsink tells an error when it has something to send, and that begins with a key frame: here once in ten seconds.
    let sparse = Programme { gop: 10 * sample::GOP, ..sample::H264_AAC };
    let scene = Scene::of(Service::start(), Sample::of(sparse));
    let peer = Peer::refusing(1403);
    let id = scene.add(&json!({ "url": peer.url(), "retry": { "minMs": 100, "maxMs": 100 } }));
    let endpoint = scene.wait(&id, "at its fourth attempt", is_at_its_fourth);
    let history = endpoint["history"].as_array().expect("a history");
    let causes: Vec<_> = history.iter().filter_map(|step| step["cause"].as_str()).collect();
    assert_eq!(causes[..3], ["rejected_by_peer"; 3], "{endpoint}");
    assert_eq!(endpoint["failure"]["rejectCode"], 1403);
}

#[test]
fn a_wrong_passphrase_and_one_on_one_side_only_are_told_apart_from_a_refusal() {
    let (right, wrong) = ("open-sesame-4711", "something-else-0815");
    let secrets = vec![right.to_owned(), wrong.to_owned()];
    let service = Service::start_with(Options { secrets, ..Options::default() });
    let scene = Scene::of(service, Sample::of(sample::H264_AAC));
    let (locked, open) = (Receiver::listen_with_passphrase(right), Receiver::listen());
    for (url, cause) in [
        (format!("{}?passphrase={wrong}", locked.url()), "bad_passphrase"),
        (locked.url(), "unencrypted_peer"),
        (format!("{}?passphrase={right}", open.url()), "unencrypted_peer"),
    ] {
        let (failure, _) = scene.failure_of(&url);
        assert_eq!((&failure["cause"], &failure["phase"]), (&json!(cause), &json!("connect")), "{failure}");
    }
}

#[test]
fn a_closed_port_a_black_hole_and_a_name_without_an_address_are_three_things() {
    let scene = Scene::start();
    let hole = black_hole();
    let hole_url = format!("srt://{}", hole.local_addr().unwrap());
    for (url, cause, phase) in [
        (format!("srt://127.0.0.1:{}", free_port()), "unreachable", "connect"),
        (hole_url, "timeout", "connect"),
        ("srt://no-such-host.invalid:9000".to_owned(), "dns", "resolve"),
    ] {
        let (failure, took) = scene.failure_of(&url);
        assert_eq!((&failure["cause"], &failure["phase"]), (&json!(cause), &json!(phase)), "{failure}");
        assert!(took < SOON, "after {took:?}");
        assert!(failure["nextRetryAt"].is_i64() && failure["attempt"] == 1, "{failure}");
    }
}

#[test]
fn a_peer_that_hangs_up_has_closed_and_one_that_does_so_at_once_is_called_ever_more_seldom() {
    let scene = Scene::start();
    let polite = Peer::hanging_up_after(2_000);
    let id = scene.add_url(&polite.url());
    scene.wait_state(&id, "broadcasting");
    let failure = scene.failure(&id);
    assert_eq!((&failure["cause"], &failure["phase"]), (&json!("peer_closed"), &json!("deliver")), "{failure}");
    assert_eq!(failure["attempt"], 1);

    let rude = Peer::hanging_up_after(1);
    let id = scene.add(&json!({ "url": rude.url(), "retry": { "minMs": 100 } }));
    let failure =
        scene.wait(&id, "at its fifth failure", |endpoint| endpoint["failure"]["attempt"] == 5)["failure"].clone();
    assert_eq!(failure["cause"], "peer_closed");
    assert!(delay_ms(&failure) >= 800, "{failure}");
}

#[test]
fn a_local_port_that_is_taken_is_told() {
    let scene = Scene::start();
    let (taken, receiver) = (black_hole(), Receiver::listen());
    let url = format!("{}?localport={}", receiver.url(), taken.local_addr().unwrap().port());
    let (failure, _) = scene.failure_of(&url.replace("?", "?localaddress=127.0.0.1&"));
    assert_eq!(failure["cause"], "address_in_use", "{failure}");
}

#[test]
fn a_limit_gives_up_and_a_wish_begins_anew() {
    let scene = Scene::start();
    let mut receiver = Receiver::prepare(None);
    let retry = json!({ "minMs": 100, "maxMs": 100, "limit": 2 });
    let id = scene.add(&json!({ "url": format!("{}?conntimeo=500", receiver.url()), "retry": retry }));
    let endpoint = scene.wait_state(&id, "failed");
    assert_eq!((&endpoint["status"], &endpoint["attempt"]), (&json!("failed"), &json!(2)), "{endpoint}");
    assert!(endpoint["failure"]["nextRetryAt"].is_null(), "{endpoint}");
    receiver.start();
    let (status, answer) = scene.service.api.post(&path(STREAM, &format!("/endpoints/{id}/retry")), &json!({}));
    assert!((200..300).contains(&status), "{status} {answer}");
    scene.wait_state(&id, "broadcasting");
}

#[test]
fn who_waits_tries_at_once_when_asked_and_when_the_publisher_comes_back() {
    let hold = vec![("STREAM__HOLD_MS", "60000".to_owned())];
    let service = Service::start_with(Options { settings: hold, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let publisher = Publisher::rtmp(&service, STREAM, &sample);
    service.api.wait_live(STREAM);
    let mut receivers = [Receiver::prepare(None), Receiver::prepare(None)];
    // Longer than the test.
    let retry = json!({ "minMs": 600_000, "maxMs": 600_000 });
    let ids = receivers
        .each_ref()
        .map(|receiver| add(&service, &json!({ "url": format!("{}?conntimeo=500", receiver.url()), "retry": retry })));
    for id in &ids {
        wait_endpoint(&service, id, "waiting", |endpoint| endpoint["state"] == "waiting");
    }
    receivers[0].start();
    let (status, answer) = service.api.post(&path(STREAM, &format!("/endpoints/{}/retry", ids[0])), &json!({}));
    assert!((200..300).contains(&status), "{status} {answer}");
    wait_endpoint(&service, &ids[0], "broadcasting", |endpoint| endpoint["state"] == "broadcasting");

    receivers[1].start();
    publisher.stop();
    wait_for(SOON, "the stream is held", || {
        let view = service.api.broadcast(STREAM).unwrap_or_default();
        if view["heldUntil"].is_i64() { Ok(()) } else { Err(view.to_string()) }
    });
    let _publisher = Publisher::rtmp(&service, STREAM, &sample);
    wait_endpoint(&service, &ids[1], "broadcasting", |endpoint| endpoint["state"] == "broadcasting");
}

#[test]
fn what_srtsink_does_not_tell_of_a_connection_is_known() {
    let secret = "open-sesame-4711";
    let service = Service::start_with(Options { secrets: vec![secret.to_owned()], ..Options::default() });
    let scene = Scene::of(service, Sample::of(sample::H264_AAC));
    // The receiver wants more latency of what it receives than we of what we receive.
    let port = free_port();
    let address = format!("srt://127.0.0.1:{port}?mode=listener&rcvlatency=700&peerlatency=50&passphrase={secret}");
    let receiver = Receiver::with_address(port, &address);
    let url = format!("{}?latency=200&passphrase={secret}&pbkeylen=32", receiver.url());
    let id = scene.add_url(&url);
    let endpoint = scene.wait(&id, "measured", |endpoint| endpoint["statistics"]["sendBufferMs"].is_u64());
    let link = &endpoint["statistics"];
    assert_eq!((&link["latencyMs"], &link["encryption"]), (&json!(700), &json!("aes-256")), "{link}");
    receiver.wait_seconds(1.0);
}

#[test]
fn an_endpoint_sends_the_tracks_it_is_to_send() {
    let scene = Scene::start();
    let receivers = ["audio", "video"].map(|tracks| {
        let receiver = Receiver::listen();
        let id = scene.add(&json!({ "url": receiver.url(), "tracks": tracks }));
        (receiver, id)
    });
    for (receiver, id) in &receivers {
        scene.wait_state(id, "broadcasting");
        receiver.wait_seconds(3.0);
    }
    let tracks = |receiver: &Receiver| {
        let verdict = receiver.verdict();
        (verdict.video.is_some(), verdict.audio.is_some())
    };
    assert_eq!(receivers.each_ref().map(|(receiver, _)| tracks(receiver)), [(false, true), (true, false)]);
}

#[test]
fn an_endpoint_without_a_track_to_send_says_so_and_calls_nobody() {
    let scene = Scene::of(Service::start(), Sample::of(sample::AAC_ONLY));
    let receiver = Receiver::listen();
    let id = scene.add(&json!({ "url": receiver.url(), "tracks": "video" }));
    let endpoint = scene.wait_state(&id, "waiting");
    assert_eq!((&endpoint["failure"]["cause"], &endpoint["status"]), (&json!("no_track"), &json!("error")));
    let text = endpoint["failure"]["text"].as_str().unwrap_or_default();
    assert!(text.contains("the stream has no video"), "{text}");
    assert_eq!((receiver.connections(), &endpoint["failure"]["nextRetryAt"]), (0, &Value::Null));
}
