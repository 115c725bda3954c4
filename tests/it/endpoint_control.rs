//! Endpoints controlled while they run: switched off and on, changed, restarted with the service, tested beforehand.
//! What is said is judged by what the receivers see.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::check::assert_restreamed;
use crate::support::http::path;
use crate::support::process::free_port;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{LATER, wait_until};

const STREAM: &str = "live/test";

fn at(id: &str) -> String {
    path(STREAM, &format!("/endpoints/{id}"))
}

fn parts(receiver: &Receiver) -> Value {
    json!({ "host": "127.0.0.1", "port": receiver.port })
}

fn with(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

#[test]
fn one_is_switched_and_changed_and_the_one_beside_it_does_not_notice() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = Publisher::rtmp(&service, STREAM, &sample);
    service.api.wait_live(STREAM);
    let (steady, changed) = (Receiver::listen(), Receiver::listen());
    for (id, receiver) in [("steady", &steady), ("changed", &changed)] {
        let (status, made) = service.api.put(&at(id), &parts(receiver));
        assert_eq!(status, 201, "{made}");
    }
    for id in ["steady", "changed"] {
        service.api.wait_state(STREAM, id, "broadcasting");
    }
    changed.wait_seconds(2.0);

    let (status, off) = service.api.patch(&at("changed"), &json!({ "enabled": false }));
    assert_eq!((status, &off["state"], &off["status"]), (200, &json!("disabled"), &json!("finished")), "{off}");
    let got = changed.bytes().len();
    steady.wait_more(2.0);
    // What was in flight when it was closed may still have been written.
    let late = changed.bytes().len() - got;
    assert!(late < 50_000, "{late} bytes came after it was switched off");
    let (status, refused) = service.api.post(&format!("{}/retry", at("changed")), &Value::Null);
    assert_eq!(status, 409, "{refused}");

    service.api.patch(&at("changed"), &json!({ "enabled": true }));
    service.api.wait_state(STREAM, "changed", "broadcasting");
    changed.wait_more(2.0);
    assert_eq!(changed.connections(), 2);

    // A label is only shown, and the same body again changes nothing.
    let body = with(parts(&changed), &json!({ "label": "Main", "retry": { "limit": 5 } }));
    let before = service.api.put(&at("changed"), &with(parts(&changed), &json!({ "retry": { "limit": 5 } }))).1;
    service.api.wait_state(STREAM, "changed", "broadcasting");
    let connections = || (steady.connections(), changed.connections());
    changed.wait_more(1.0);
    let settled = connections();
    let labelled = service.api.put(&at("changed"), &body).1;
    let again = service.api.put(&at("changed"), &body).1;
    assert_eq!(labelled["revision"], json!(before["revision"].as_u64().unwrap() + 1), "{labelled}");
    assert_eq!(again["revision"], labelled["revision"], "{again}");
    changed.wait_more(2.0);
    assert_eq!(connections(), settled, "nobody was connected anew");

    let latency = service.api.patch(&at("changed"), &json!({ "latencyMs": 321 })).1;
    assert_eq!((&latency["latencyMs"], &latency["label"]), (&json!(321), &json!("Main")), "{latency}");
    wait_until(LATER, "the changed one is connected anew", || changed.connections() == settled.1 + 1);
    service.api.wait_state(STREAM, "changed", "broadcasting");
    changed.wait_more(2.0);

    assert_eq!(steady.connections(), 1);
    let seconds = steady.seconds();
    assert_restreamed("the one beside it", &sample, &steady, seconds);
    let (status, _) = service.api.delete(&at("changed"));
    assert_eq!((status, service.api.get(&at("changed")).0), (204, 404));
}

#[test]
fn what_was_asked_of_endpoints_survives_a_power_cut() {
    let secret = "open-sesame-4711";
    let mut service = Service::start_with(Options { secrets: vec![secret.to_owned()], ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let (on, off) = (Receiver::listen_with_passphrase(secret), Receiver::listen());
    let (status, created) = service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": "test" }));
    assert_eq!(status, 200, "{created}");
    let more = json!({
        "passphrase": secret, "label": "Zürich 2", "tracks": "all", "retry": { "minMs": 500, "maxMs": 2000, "limit": 1000 },
    });
    assert_eq!(service.api.put(&at("on"), &with(parts(&on), &more)).0, 201);
    let (status, made) = service.api.put(&at("off"), &with(parts(&off), &json!({ "tracks": "audio" })));
    assert_eq!(status, 201, "{made}");
    let stored = service.api.patch(&at("off"), &json!({ "enabled": false })).1;
    assert_eq!(stored["revision"], json!(made["revision"].as_u64().unwrap() + 1), "{stored}");
    let wanted = |endpoint: &Value| {
        ["url", "label", "enabled", "tracks", "retry", "revision", "passphrase"].map(|field| endpoint[field].clone())
    };
    let before: Vec<_> = ["on", "off"].map(|id| wanted(&service.api.control(STREAM, id))).into();

    service.kill9();
    service.start_again();
    let after: Vec<_> = ["on", "off"].map(|id| wanted(&service.api.control(STREAM, id))).into();
    assert_eq!(after, before);
    let _publisher = Publisher::rtmp(&service, STREAM, &sample);
    service.api.wait_state(STREAM, "on", "broadcasting");
    on.wait_seconds(2.0);
    assert_restreamed("by the stored passphrase", &sample, &on, 2.0);
    assert_eq!((off.connections(), &service.api.control(STREAM, "off")["state"]), (0, &json!("disabled")));
}

#[test]
fn a_destination_is_tested_before_anything_is_sent() {
    let (ours, theirs) = ("open-sesame-4711", "something-else-0815");
    let secrets = vec![ours.to_owned(), theirs.to_owned()];
    let service = Service::start_with(Options { secrets, ..Options::default() });
    let test = |body: &Value| {
        let begin = Instant::now();
        let (status, report) = service.api.post(&path(STREAM, "/endpoints/test"), body);
        assert_eq!(status, 200, "{report}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}: {report}", begin.elapsed());
        report
    };
    let failed = |report: &Value| {
        let steps = report["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["result"] == "failed");
        step.map(|step| (step["step"].as_str().unwrap().to_owned(), step["cause"].as_str().unwrap().to_owned()))
    };
    let fails = |body: &Value, step: &str, cause: &str| {
        let report = test(body);
        assert_eq!(failed(&report), Some((step.to_owned(), cause.to_owned())), "{report}");
        assert_eq!(report["passed"], false, "{report}");
    };

    let receiver = Receiver::listen_with_passphrase(theirs);
    fails(&with(parts(&receiver), &json!({ "passphrase": ours })), "encryption", "bad_passphrase");
    fails(&parts(&receiver), "encryption", "unencrypted_peer");
    // The last: it ends what the receiver has taken for its source.
    let good = test(&with(parts(&receiver), &json!({ "passphrase": theirs, "latencyMs": 700 })));
    assert_eq!((&good["passed"], &good["encrypted"], failed(&good)), (&json!(true), &json!(true), None), "{good}");
    assert_eq!(good["latencyMs"], 700, "{good}");
    assert!(good["rttMs"].as_f64().is_some_and(|rtt| (0.0..500.0).contains(&rtt)), "{good}");

    let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let silent_port = silent.local_addr().expect("bound").port();
    fails(&json!({ "host": "127.0.0.1", "port": silent_port }), "handshake", "timeout");
    fails(&json!({ "host": "127.0.0.1", "port": free_port() }), "handshake", "unreachable");
    fails(&json!({ "host": "no-such-host.invalid" }), "resolve", "dns");
    fails(&json!({ "mode": "listener", "port": silent_port }), "bind", "address_in_use");
    let own = json!({ "host": "localhost", "port": service.ports.srt, "streamid": "live/test" });
    fails(&own, "policy", "refused_by_policy");
    assert!(service.api.broadcast(STREAM).is_none(), "nothing was stored");
}
