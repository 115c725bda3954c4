//! Endpoints that are connected and have nothing to send: not `broadcasting`, and nobody's failure either.

use serde_json::{Value, json};

use crate::support::http::path;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Programme, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{LATER, wait_until};

const STREAM: &str = "live/test";

/// A key frame each 15 s: the first one goes before anybody is connected, and behind the second there is time.
const SELDOM_KEY_FRAMES: Programme = Programme { gop: 15 * sample::GOP, ..sample::H264_AAC };

fn service() -> Service {
    let settings = vec![("ENDPOINT__DELIVERY_WINDOW_MS", "1000".to_owned()), ("STREAM__HOLD_MS", "30000".to_owned())];
    Service::start_with(Options { settings, ..Options::default() })
}

fn add(service: &Service, input: &Value) -> String {
    let (status, answer) = service.api.post(&path(STREAM, "/endpoints"), input);
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

/// A few seconds of AAC in TS, and more than the delivery window.
const SECONDS_OF_SOUND_BYTES: usize = 50_000;

/// Its states, and that none of them was for a failure but those of `causes`.
#[track_caller]
fn states(endpoint: &Value, causes: &[&str]) -> Vec<String> {
    let history = endpoint["history"].as_array().expect("a history");
    let seen: Vec<_> = history.iter().filter_map(|step| step["cause"].as_str()).collect();
    assert_eq!(seen, causes, "{endpoint}");
    history.iter().map(|step| step["state"].as_str().expect("a state").to_owned()).collect()
}

#[test]
fn a_gate_that_waits_for_a_key_frame_is_no_delivery() {
    let service = service();
    let receiver = Receiver::listen();
    service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": "test" }));
    // A send buffer that is soon full, and drops nothing: the gate has to.
    let url = format!("{}?peeridletimeo=60000&sndbuf=70000&tlpktdrop=0", receiver.url());
    let id = add(&service, &json!({ "url": url }));
    let _publisher = Publisher::srt(&service, STREAM, &Sample::of(SELDOM_KEY_FRAMES));
    service.api.wait_state(STREAM, &id, "broadcasting");
    receiver.freeze();
    service.api.wait_state(STREAM, &id, "stalled");
    wait_until(LATER, "the gate has closed", || {
        service.api.control(STREAM, &id)["statistics"]["droppedGops"].as_u64() > Some(0)
    });
    receiver.thaw();
    // What waited is acknowledged, and the next key frame is seconds away.
    let endpoint = service.api.wait_state(STREAM, &id, "starved");
    assert_eq!((&endpoint["status"], &endpoint["failure"]), (&json!("preparing"), &Value::Null), "{endpoint}");
    assert!(endpoint["connectedSince"].is_i64() || endpoint["statistics"]["connectedSince"].is_i64(), "{endpoint}");
    assert!(endpoint["statistics"]["droppedUnits"].as_u64() > Some(0), "{endpoint}");
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn a_track_that_is_gone_and_a_publisher_that_pauses_starve_and_feed_again() {
    let service = service();
    let (sample, sound) = (Sample::of(sample::H264_AAC), Sample::of(sample::AAC_ONLY));
    let (all, pictures) = (Receiver::listen(), Receiver::listen());
    service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": "test" }));
    let publisher = Publisher::srt(&service, STREAM, &sample);
    let everything = add(&service, &json!({ "url": all.url() }));
    let only = add(&service, &json!({ "url": pictures.url(), "tracks": "video" }));
    for id in [&everything, &only] {
        service.api.wait_state(STREAM, id, "broadcasting");
    }
    publisher.stop();
    for id in [&everything, &only] {
        service.api.wait_state(STREAM, id, "starved");
    }
    let publisher = Publisher::srt(&service, STREAM, &sound);
    service.api.wait_state(STREAM, &everything, "broadcasting");
    let from = all.bytes().len();
    wait_until(LATER, "sound comes", || all.bytes().len() > from + SECONDS_OF_SOUND_BYTES);
    assert_eq!(service.api.control(STREAM, &only)["state"], "starved", "there is sound, and it sends pictures alone");
    publisher.stop();
    service.api.wait_state(STREAM, &everything, "starved");
    let _publisher = Publisher::srt(&service, STREAM, &sample);
    for (id, receiver) in [(&everything, &all), (&only, &pictures)] {
        let endpoint = service.api.wait_state(STREAM, id, "broadcasting");
        let fed = states(&endpoint, &[]);
        let pauses = fed.iter().filter(|state| *state == "starved").count();
        assert!(pauses >= 1 && fed.first().is_some_and(|state| state == "connecting"), "{fed:?}");
        assert_eq!(receiver.connections(), 1, "{fed:?}");
    }
}
