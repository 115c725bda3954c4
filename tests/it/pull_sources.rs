//! Sources that are pulled: SRT in its modes, UDP, RTMP, HTTP and the test picture, judged at an SRT receiver.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::check::{AV_SHIFT_LIMIT_MS, assert_restreamed};
use crate::support::process::{Tool, free_port};
use crate::support::publisher::Publisher;
use crate::support::receiver::{Decoder, Receiver};
use crate::support::sample::{self, Programme, Sample};
use crate::support::service::{Options, Service};
use crate::support::source::{Files, RtmpServer, offer, pull, wait_cause, wait_receiving};
use crate::support::ts::{Codec, Expected};
use crate::support::wait::{LATER, wait_for};

const PASSPHRASE: &str = "a-passphrase-of-pull";
const STREAM: &str = "live/pulled";

/// Pulls `url` into an endpoint and judges what comes out of it, without loss.
#[track_caller]
fn assert_pulled(service: &Service, sample: &Sample, url: &str, what: &str) {
    let receiver = Receiver::listen();
    pull(service, STREAM, url, json!({ "endPointList": [{ "endpointUrl": receiver.url() }] }));
    wait_receiving(service, STREAM);
    receiver.wait_seconds(5.0);
    let all = service.api.broadcast(STREAM).unwrap();
    assert_eq!(
        (&all["status"], &all["publishType"], &all["sourceError"]),
        (&json!("broadcasting"), &json!("Pull"), &Value::Null)
    );
    assert_restreamed(what, sample, &receiver, 5.0);
}

#[test]
fn an_srt_listener_with_a_passphrase_is_called() {
    let service = Service::start_with(Options { secrets: vec![PASSPHRASE.into()], ..Options::default() });
    let (sample, port) = (Sample::of(sample::H264_AAC), free_port());
    let _source = offer(&sample, &format!("-f mpegts srt://127.0.0.1:{port}?mode=listener&passphrase={PASSPHRASE}"));
    assert_pulled(&service, &sample, &format!("srt://127.0.0.1:{port}?passphrase={PASSPHRASE}"), "a called source");
}

#[test]
fn an_srt_caller_is_listened_for() {
    let service = Service::start();
    let (sample, port) = (Sample::of(sample::H265_AAC), free_port());
    let receiver = Receiver::listen();
    let endpoints = json!({ "endPointList": [{ "endpointUrl": receiver.url() }] });
    pull(&service, STREAM, &format!("srt://127.0.0.1:{port}?mode=listener"), endpoints);
    service.api.wait_status(STREAM, "preparing");
    let _source = Publisher::ffmpeg(&sample.path, &format!("-f mpegts srt://127.0.0.1:{port}?mode=caller"));
    receiver.wait_seconds(4.0);
    assert_restreamed("a source that calls", &sample, &receiver, 4.0);
}

#[test]
fn an_srt_source_is_met_in_rendezvous() {
    let (service, sample) = (Service::start(), Sample::of(sample::H264_AAC));
    let (ours, theirs, between) = (free_port(), free_port(), free_port());
    let address = format!("srt://127.0.0.1:{ours}?mode=rendezvous&port={theirs}");
    let args = [format!("udp://127.0.0.1:{between}"), address];
    let _peer = Tool::start("srt-live-transmit", &args, Stdio::null(), Stdio::null());
    let _source = offer(&sample, &format!("-f mpegts udp://127.0.0.1:{between}?pkt_size=1316"));
    let url = format!("srt://127.0.0.1:{theirs}?mode=rendezvous&localaddress=127.0.0.1&localport={ours}");
    assert_pulled(&service, &sample, &url, "rendezvous");
}

#[test]
fn a_wrong_passphrase_is_said_and_not_tried_again_soon() {
    let secrets = vec![PASSPHRASE.into(), "another-wrong-one".into()];
    let service = Service::start_with(Options { secrets, ..Options::default() });
    let (sample, port) = (Sample::of(sample::H264_AAC), free_port());
    let _source = offer(&sample, &format!("-f mpegts srt://127.0.0.1:{port}?mode=listener&passphrase={PASSPHRASE}"));
    pull(&service, STREAM, &format!("srt://127.0.0.1:{port}?passphrase=another-wrong-one"), Value::Null);
    let error = wait_cause(&service, STREAM, "passphrase is wrong");
    let wait_ms = error["nextRetryAt"].as_i64().unwrap() - error["since"].as_i64().unwrap();
    assert!(wait_ms >= 59_000, "{error}");
    assert_eq!(service.api.status(STREAM), "error");
}

#[test]
fn a_multicast_group_is_joined() {
    let (service, sample) = (Service::start(), Sample::of(sample::H264_AAC));
    let port = free_port();
    let _source =
        offer(&sample, &format!("-f mpegts udp://239.255.77.1:{port}?localaddr=127.0.0.1&ttl=0&pkt_size=1316"));
    assert_pulled(&service, &sample, &format!("udp://239.255.77.1:{port}?iface=lo"), "multicast");
}

#[test]
fn transport_stream_in_rtp_is_taken() {
    let (service, sample) = (Service::start(), Sample::of(sample::H264_AAC));
    let port = free_port();
    let _source = offer(&sample, &format!("-f rtp_mpegts rtp://127.0.0.1:{port}"));
    assert_pulled(&service, &sample, &format!("udp://127.0.0.1:{port}"), "MPEG-TS in RTP");
}

#[test]
fn an_rtmp_server_is_asked() {
    let (service, sample) = (Service::start(), Sample::of(sample::H264_AAC));
    let server = RtmpServer::start();
    let _source = offer(&sample, &format!("-f flv {}", server.url()));
    assert_pulled(&service, &sample, &server.url(), "RTMP");
}

#[test]
fn transport_stream_and_flv_over_http_are_taken() {
    let sample = Sample::of(sample::H264_AAC);
    for format in ["mpegts", "flv"] {
        let (service, port) = (Service::start(), free_port());
        let url = format!("http://127.0.0.1:{port}/x");
        let _source = offer(&sample, &format!("-f {format} -listen 1 {url}"));
        assert_pulled(&service, &sample, &url, format);
    }
}

/// When the picture's upper part turns white and when sound begins, in seconds; decoded by ffmpeg.
fn onsets(capture: &[u8]) -> (Vec<f64>, Vec<f64>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), capture).unwrap();
    let filters = "-vf crop=iw/2:ih/8:iw/4:ih/12,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=- \
        -af silencedetect=n=-30dB:d=0.2 -f null -";
    let output = std::process::Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-copyts", "-i"])
        .arg(file.path())
        .args(sample::words(filters))
        .output()
        .unwrap();
    let (pictures, sound) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    let (mut flashes, mut at, mut was_white) = (Vec::new(), None, true);
    for line in pictures.lines() {
        if let Some((_, time)) = line.split_once("pts_time:") {
            at = number(time);
        } else if let Some((_, luma)) = line.split_once("YAVG=") {
            let white = number(luma).is_some_and(|luma| luma > 128.0);
            flashes.extend(at.filter(|_| white && !was_white));
            was_white = white;
        }
    }
    let beeps = sound.lines().filter_map(|line| number(line.split_once("silence_end: ")?.1)).collect();
    (flashes, beeps)
}

#[test]
fn the_test_picture_decodes_and_flashes_with_its_beep() {
    let service = Service::start();
    let (receiver, mut decoder) = (Receiver::listen(), Decoder::listen(6));
    let endpoints = json!([{ "endpointUrl": receiver.url() }, { "endpointUrl": decoder.url() }]);
    pull(&service, STREAM, "test://?size=320x180&bitrate=400", json!({ "endPointList": endpoints }));
    receiver.wait_seconds(6.0);
    let mut expected = Expected::new(Some(Codec::H264), Some(Codec::Aac), 6.0);
    expected.video_gap_max_ms = 45.0;
    receiver.verdict().assert_healthy("the test picture", &expected);
    decoder.assert_decodes("the test picture");
    let (flashes, beeps) = onsets(&receiver.bytes());
    assert!(flashes.len() >= 4 && beeps.len() >= 4, "{flashes:?} {beeps:?}");
    for flash in &flashes {
        let apart = beeps.iter().map(|beep| (beep - flash).abs()).fold(f64::INFINITY, f64::min);
        assert!(
            apart < AV_SHIFT_LIMIT_MS / 1_000.0,
            "a flash at {flash} s, the nearest beep {apart} s from it: {beeps:?}"
        );
    }
    let all = wait_for(LATER, "the speed is known", || {
        let all = service.api.broadcast(STREAM).unwrap();
        if all["speed"].as_f64() > Some(0.5) { Ok(all) } else { Err(all.to_string()) }
    });
    assert!((0.8..1.2).contains(&all["speed"].as_f64().unwrap()), "{all}");
}

#[test]
fn a_recording_comes_to_its_end_at_its_own_pace() {
    const RECORDING: Programme = Programme { seconds: 8, seed: 7, ..sample::H264_AAC };
    let (service, sample, files) = (Service::start(), Sample::of(RECORDING), Files::start());
    std::fs::copy(&sample.path, files.path().join("x.ts")).unwrap();
    let receiver = Receiver::listen();
    let endpoints = json!({ "endPointList": [{ "endpointUrl": receiver.url() }] });
    pull(&service, STREAM, &files.url("x.ts"), endpoints);
    // The server gives it all at once and hangs up.
    receiver.wait_seconds(6.0);
    assert_restreamed("a recording", &sample, &receiver, 6.0);
}
