//! RTSP cameras: credentials of any characters, both transports, H.265 and G.711, servers that die, freeze and return.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::http::path;
use crate::support::process::free_port;
use crate::support::receiver::Receiver;
use crate::support::service::{Options, Service};
use crate::support::source::{RTSP_H264_AAC, RTSP_H265_PCMA, RtspServer, pull, wait_cause, wait_receiving};
use crate::support::ts::{Codec, Expected};

const STREAM: &str = "live/camera";
const PASSWORD: &str = "p@ss/w:rd?#1";

fn endpoint(receiver: &Receiver) -> Value {
    json!({ "endPointList": [{ "endpointUrl": receiver.url() }] })
}

#[test]
fn a_camera_with_any_password_is_pulled_and_the_password_never_shown() {
    let secrets = vec![PASSWORD.into(), "w:rd?".into(), "p%40ss".into()];
    for (kind, who) in [("digest", format!("admin:{PASSWORD}@")), ("basic", "admin:p%40ss%2Fw%3Ard%3F%231@".to_owned())]
    {
        let service = Service::start_with(Options { secrets: secrets.clone(), ..Options::default() });
        let server = RtspServer::start(RTSP_H264_AAC, &[kind, "admin", PASSWORD]);
        let receiver = Receiver::listen();
        pull(&service, STREAM, &server.url(&who), endpoint(&receiver));
        receiver.wait_seconds(4.0);
        let all = service.api.broadcast(STREAM).unwrap();
        assert_eq!(all["streamUrl"], json!(server.url("***@")), "{all}");
        let (status, _, graph) = service.api.text(&path(STREAM, "/pipeline.dot?of=pull"));
        assert!(status == 200 && graph.contains("GstRTSPSrc"), "{status} {graph}");
        assert!(secrets.iter().all(|secret| !graph.contains(secret)), "a password is shown: {graph}");
        receiver.verdict().assert_healthy(kind, &Expected::new(Some(Codec::H264), Some(Codec::Aac), 4.0));
    }
}

#[test]
fn a_wrong_password_is_said_and_the_camera_is_left_alone() {
    let secrets = vec![PASSWORD.into(), "wrong-password".into()];
    let service = Service::start_with(Options { secrets, ..Options::default() });
    let server = RtspServer::start(RTSP_H264_AAC, &["digest", "admin", PASSWORD]);
    let beside = json!({ "type": "ipCamera", "username": "admin", "password": "wrong-password" });
    pull(&service, STREAM, &server.url(""), beside);
    let error = wait_cause(&service, STREAM, "401");
    let wait_ms = error["nextRetryAt"].as_i64().unwrap() - error["since"].as_i64().unwrap();
    assert!(wait_ms >= 59_000 && error["attempt"] == 1, "{error}");
}

#[test]
fn h265_passes_and_g711_becomes_aac_over_both_transports() {
    for transport in ["udp", "tcp"] {
        let service = Service::start();
        let server = RtspServer::start(RTSP_H265_PCMA, &[]);
        let receiver = Receiver::listen();
        let mut more = endpoint(&receiver);
        more["rtspPullTransportType"] = json!(transport);
        pull(&service, STREAM, &server.url(""), more);
        receiver.wait_seconds(4.0);
        let mut expected = Expected::new(Some(Codec::H265), Some(Codec::Aac), 4.0);
        // The server's live sound source skips when its machine is busy: a frame of AAC at most.
        expected.audio_gap_max_ms = 25.0;
        receiver.verdict().assert_healthy(transport, &expected);
    }
}

#[test]
fn a_camera_without_udp_is_pulled_by_tcp_and_says_so_where_udp_was_asked_for() {
    let service = Service::start();
    let server = RtspServer::start(RTSP_H264_AAC, &["tcp"]);
    let receiver = Receiver::listen();
    pull(&service, STREAM, &server.url(""), endpoint(&receiver));
    pull(&service, "live/udp", &server.url(""), json!({ "rtspPullTransportType": "udp" }));
    receiver.wait_seconds(3.0);
    let error = wait_cause(&service, "live/udp", "");
    assert!(error["cause"].as_str().unwrap().contains("transport"), "{error}");
}

#[test]
fn a_camera_that_dies_or_freezes_comes_back_and_the_endpoint_stays_connected() {
    let settings = vec![("PULL__SILENCE_TIMEOUT_MS", "2000".to_owned()), ("STREAM__HOLD_MS", "30000".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let mut server = RtspServer::start(RTSP_H264_AAC, &[]);
    let receiver = Receiver::listen();
    let mut more = endpoint(&receiver);
    more["rtspPullTransportType"] = json!("tcp");
    pull(&service, STREAM, &server.url(""), more);
    receiver.wait_seconds(3.0);

    server.kill();
    wait_cause(&service, STREAM, "");
    server.start_again();
    let came_back = wait_receiving(&service, STREAM);
    receiver.wait_more(3.0);

    server.tool().signal(Signal::SIGSTOP);
    wait_cause(&service, STREAM, "no media has come for");
    server.tool().signal(Signal::SIGCONT);
    let thawed = wait_receiving(&service, STREAM);
    receiver.wait_more(3.0);

    println!("media again {came_back:?} after the server was back, {thawed:?} after it was thawed");
    assert_eq!(receiver.connections(), 1, "the endpoint stayed connected");
    let verdict = receiver.verdict();
    assert_eq!((verdict.continuity_errors, verdict.pcr_backward), (0, 0), "{:?}", verdict.faults);
}

#[test]
fn a_camera_that_is_not_there_or_has_no_such_stream_says_so() {
    let service = Service::start();
    let server = RtspServer::start(RTSP_H264_AAC, &[]);
    pull(&service, "live/nobody", &format!("rtsp://127.0.0.1:{}/x", free_port()), Value::Null);
    pull(&service, "live/nothing", &server.url("").replace("/stream", "/other"), Value::Null);
    wait_cause(&service, "live/nobody", "connection was refused");
    wait_cause(&service, "live/nothing", "404");
}
