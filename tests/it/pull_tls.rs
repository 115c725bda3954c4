//! Sources over TLS: a certificate that nobody trusts is refused and said, and taken where the user says so.

use serde_json::{Value, json};

use crate::support::http::path;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::source::{
    Files, RTSP_H264_AAC, RtmpServer, RtspServer, TlsFront, offer, pull, wait_cause, wait_receiving,
};
use crate::support::ts::{Codec, Expected};

const STREAM: &str = "live/secret";

/// Refused first, then taken, judged at a receiver.
#[track_caller]
fn assert_over_tls(url: &str, more: &Value) {
    let (service, receiver) = (Service::start(), Receiver::listen());
    let mut fields = json!({ "endPointList": [{ "endpointUrl": receiver.url() }] });
    fields.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    pull(&service, STREAM, url, fields);
    let error = wait_cause(&service, STREAM, "certificate is not valid");
    assert!(error["cause"].as_str().unwrap().contains("verifyTls"), "{error}");
    assert_eq!(receiver.received(), 0, "nothing is taken of a stranger");
    let (_, answer) = service.api.put(&path(STREAM, ""), &json!({ "verifyTls": false }));
    assert_eq!(answer["success"], true, "{answer}");
    wait_receiving(&service, STREAM);
    receiver.wait_seconds(4.0);
    let mut expected = Expected::new(Some(Codec::H264), Some(Codec::Aac), 4.0);
    // A server's live sound source skips when its machine is busy: a frame of AAC at most.
    expected.audio_gap_max_ms = 25.0;
    receiver.verdict().assert_healthy(url, &expected);
}

#[test]
fn https_is_pulled_with_a_certificate_of_its_own_only_if_that_is_wanted() {
    let (sample, files) = (Sample::of(sample::H264_AAC), Files::start());
    let at = files.path().display();
    let _source =
        offer(&sample, &format!("-f hls -hls_time 1 -hls_list_size 8 -hls_flags delete_segments {at}/x.m3u8"));
    let front = TlsFront::start(files.port());
    assert_over_tls(&front.over_tls(&files.url("x.m3u8")), &Value::Null);
}

#[test]
fn rtsps_is_pulled_with_a_certificate_of_its_own_only_if_that_is_wanted() {
    let server = RtspServer::start(RTSP_H264_AAC, &[]);
    let front = TlsFront::start(server.port());
    assert_over_tls(&front.over_tls(&server.url("")), &json!({ "rtspPullTransportType": "tcp" }));
}

#[test]
fn rtmps_is_pulled_with_a_certificate_of_its_own_only_if_that_is_wanted() {
    let (sample, server) = (Sample::of(sample::H264_AAC), RtmpServer::start());
    let _source = offer(&sample, &format!("-f flv {}", server.url()));
    let front = TlsFront::start(server.port());
    assert_over_tls(&front.over_tls(&server.url()), &Value::Null);
}
