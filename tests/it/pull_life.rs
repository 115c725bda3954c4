//! A source's life: started, stopped, changed, deleted, over restarts of the service; what may not be pulled.

use serde_json::{Value, json};

use crate::support::http::path;
use crate::support::process::free_port;
use crate::support::receiver::Receiver;
use crate::support::service::{Options, Service};
use crate::support::source::{order, pull, wait_cause, wait_receiving};

const STREAM: &str = "live/pulled";
const PICTURE: &str = "test://?size=320x180&bitrate=300";

#[test]
fn a_started_source_starts_again_with_the_service_and_a_stopped_one_does_not() {
    let mut service = Service::start();
    let receiver = Receiver::listen();
    pull(&service, STREAM, PICTURE, json!({ "endPointList": [{ "endpointUrl": receiver.url() }] }));
    pull(&service, "live/other", PICTURE, Value::Null);
    wait_receiving(&service, STREAM);
    wait_receiving(&service, "live/other");
    assert_eq!(order(&service, "live/other", "stop")["success"], true);
    assert_eq!(service.api.status("live/other"), "finished");
    assert_eq!(order(&service, "live/other", "stop")["success"], false, "there is nothing to stop");

    service.kill9();
    service.start_again();
    wait_receiving(&service, STREAM);
    receiver.wait_seconds(1.0);
    let other = service.api.broadcast("live/other").unwrap();
    assert_eq!((&other["status"], &other["sourceState"]), (&json!("created"), &Value::Null));
    assert_eq!(order(&service, "live/other", "start")["success"], true);
    wait_receiving(&service, "live/other");
    service.stop();
}

#[test]
fn another_address_is_pulled_at_once_and_a_deleted_source_no_more() {
    let mut service = Service::start();
    pull(&service, STREAM, &format!("rtsp://127.0.0.1:{}/x", free_port()), Value::Null);
    wait_cause(&service, STREAM, "refused");
    assert_eq!(service.api.status(STREAM), "error");
    let (_, answer) = service.api.put(&path(STREAM, ""), &json!({ "streamUrl": "rtsp://u:p@h:0/x" }));
    assert_eq!(
        (&answer["success"], &answer["message"]),
        (&json!(false), &json!("Stream URL is not valid")),
        "{answer}"
    );
    let (_, answer) = service.api.put(&path(STREAM, ""), &json!({ "streamUrl": PICTURE }));
    assert_eq!(answer["success"], true, "{answer}");
    wait_receiving(&service, STREAM);
    // A name alone changes nothing.
    let start = service.api.broadcast(STREAM).unwrap()["startTime"].clone();
    let (_, answer) = service.api.put(&path(STREAM, ""), &json!({ "name": "n" }));
    assert_eq!(answer["success"], true, "{answer}");
    assert_eq!(service.api.broadcast(STREAM).unwrap()["startTime"], start);
    assert_eq!(service.api.delete(&path(STREAM, "")).1["success"], true);
    assert_eq!(service.api.broadcast(STREAM), None);
    assert_eq!(order(&service, STREAM, "start")["message"], "No Stream Exists with id:pulled");
    service.stop();
}

#[test]
fn what_may_not_be_dialled_is_said() {
    let settings = vec![("DESTINATION__DENY", "127.0.0.2".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let ports = service.ports;
    for (id, url, words) in [
        ("live/http", format!("http://127.0.0.1:{}/x.m3u8", ports.http), "own port"),
        ("live/rtmp", format!("rtmp://localhost:{}/live/x", ports.rtmp), "own port"),
        ("live/srt", format!("srt://127.0.0.1:{}?streamid=live/x", ports.srt), "own port"),
        ("live/denied", "http://127.0.0.2/x".to_owned(), "[destination] deny"),
        ("live/camera", "rtsp://127.0.0.2/x".to_owned(), "[destination] deny"),
        ("live/caller", "srt://127.0.0.2:9000".to_owned(), "[destination] deny"),
        ("live/name", "rtsp://no-such-host.invalid/x".to_owned(), "was not resolved"),
    ] {
        pull(&service, id, &url, Value::Null);
        wait_cause(&service, id, words);
    }
    // Endpoints keep to the same list.
    pull(&service, STREAM, PICTURE, json!({ "endPointList": [{ "endpointUrl": "srt://127.0.0.2:9000" }] }));
    wait_receiving(&service, STREAM);
    let id = service.api.endpoints(STREAM)[0].id.clone();
    service.api.wait_endpoint(STREAM, &id, "failed");
}
