//! RTSP in, SRT out: ffmpeg and GStreamer's rtspclientsink push over TCP, UDP and TLS.

use std::path::Path;
use std::process::Stdio;

use crate::support::check::{AV_SHIFT_LIMIT_MS, assert_each_restreamed, assert_restreamed, for_each};
use crate::support::process::Tool;
use crate::support::publisher::Publisher;
use crate::support::receiver::{Decoder, Receiver};
use crate::support::rtsp::{described, ffmpeg, gstreamer};
use crate::support::sample::{self, Sample, words};
use crate::support::service::{Options, Service};
use crate::support::ts::{Capture, Codec, Expected, PACKET_BYTES, compare};
use crate::support::webrtc::av_offset_ms;

/// Seconds of media that each receiver is judged on.
const JUDGED_S: f64 = 6.0;

/// rtspclientsink sends its first reports after some seconds, and sound is moved slowly to where they put it.
const SETTLED_S: f64 = 10.0;

/// How far beep and flash may be apart: less than a picture.
const AV_OFFSET_MAX_MS: f64 = 20.0;

#[test]
fn ffmpeg_over_tcp_and_udp_reaches_an_srt_receiver_unharmed() {
    let cases = [
        ("live/h264-aac-tcp", sample::H264_AAC, ("tcp", "")),
        ("live/h264-aac-udp", sample::H264_AAC, ("udp", "")),
        ("live/h264-latm", sample::H264_AAC, ("tcp", "-rtpflags latm")),
        ("live/h265-aac", sample::H265_AAC, ("udp", "")),
        ("live/h264-mp2", sample::H264_MP2, ("tcp", "")),
        ("live/pictures", sample::H264_ONLY, ("udp", "")),
        ("live/pictures-h265", sample::H265_ONLY, ("tcp", "")),
        ("live/sound", sample::AAC_ONLY, ("tcp", "")),
    ];
    assert_each_restreamed("RTSP", JUDGED_S, cases, |service, stream, sample, (transport, options)| {
        ffmpeg(service, stream, sample, transport, options)
    });
}

#[test]
fn rtspclientsink_over_tcp_and_udp_reaches_an_srt_receiver_unharmed() {
    let service = Service::start();
    let cases = [
        ("live/aac-tcp", sample::H264_AAC, "tcp", "h264parse", "aacparse"),
        ("live/aac-udp", sample::H264_AAC, "udp", "h264parse", "aacparse"),
        ("live/ac3", sample::H264_AC3, "tcp", "h264parse", "ac3parse"),
        ("live/h265", sample::H265_AAC, "udp", "h265parse", "aacparse"),
    ];
    let running: Vec<_> = cases
        .into_iter()
        .map(|(stream, programme, transport, video, audio)| {
            let (sample, receiver) = (Sample::of(programme), Receiver::listen());
            let publisher = gstreamer(&service, stream, &sample.path, transport, &[video, audio]);
            service.api.add_endpoint(stream, &receiver.url());
            (stream, sample, receiver, publisher)
        })
        .collect();
    for_each(
        &running,
        |case| case.0.to_owned(),
        |(stream, sample, receiver, publisher)| {
            receiver.wait_seconds(SETTLED_S + JUDGED_S);
            let what = format!("{stream}: {}", publisher.said());
            let expected = Expected::new(sample.programme.video, sample.programme.audio, SETTLED_S);
            receiver.verdict().assert_healthy(&what, &expected);
            let bytes = receiver.bytes();
            let whole = Capture::parse(&bytes);
            assert_content_lossless(&what, sample, &whole);
            let from = bytes.len() * 2 / 3 / PACKET_BYTES * PACKET_BYTES;
            let settled = compare(&sample.capture(), &Capture::parse(&bytes[from..]));
            settled.assert_in_sync(&what, AV_SHIFT_LIMIT_MS);
        },
    );
}

#[track_caller]
fn assert_content_lossless(what: &str, sample: &Sample, capture: &Capture) {
    compare(&sample.capture(), capture).assert_lossless(what, SETTLED_S);
}

#[test]
fn sound_that_receivers_cannot_take_becomes_aac() {
    let service = Service::start();
    let cases = [
        ("live/pcma", "-c:a pcm_alaw -ar 8000 -ac 1", "udp", "PCMA"),
        ("live/pcmu", "-c:a pcm_mulaw -ar 8000 -ac 1", "tcp", "PCMU"),
        ("live/l16", "-c:a pcm_s16be -ar 48000 -ac 2", "tcp", "L16"),
        ("live/l24", "-c:a pcm_s24be -ar 48000 -ac 2", "tcp", "L24"),
        ("live/opus", "-c:a libopus -ar 48000 -ac 2 -strict -2", "udp", "Opus"),
    ];
    let sample = Sample::of(sample::H264_AAC);
    let running: Vec<_> = cases
        .into_iter()
        .map(|(stream, options, transport, name)| {
            let (receiver, decoder) = (Receiver::listen(), Decoder::listen(4));
            let publisher = ffmpeg(&service, stream, &sample, transport, options);
            for url in [receiver.url(), decoder.url()] {
                service.api.add_endpoint(stream, &url);
            }
            (stream, name, receiver, std::cell::RefCell::new(decoder), publisher)
        })
        .collect();
    for_each(
        &running,
        |case| case.0.to_owned(),
        |(stream, name, receiver, decoder, _)| {
            receiver.wait_seconds(JUDGED_S);
            let expected = Expected::new(Some(Codec::H264), Some(Codec::Aac), JUDGED_S);
            receiver.verdict().assert_healthy(stream, &expected);
            decoder.borrow_mut().assert_decodes(stream);
            let (_, info) = service.api.get(&crate::support::http::path(stream, "/stream-info"));
            assert!(info.to_string().contains(name), "stream-info names no {name}: {info}");
        },
    );
}

#[test]
fn rtsps_uses_the_certificate_of_https_and_takes_media_over_it() {
    let directory = tempfile::tempdir().unwrap();
    write_pair(directory.path());
    let settings = vec![
        ("HTTPS__CERTIFICATE", directory.path().join("cert.pem").display().to_string()),
        ("HTTPS__KEY", directory.path().join("key.pem").display().to_string()),
    ];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let receiver = Receiver::listen();
    let url = format!("rtsps://127.0.0.1:{}/live/test", service.ports.rtsps);
    let _publisher = Publisher::ffmpeg(&described(&sample), &format!("-f rtsp -rtsp_transport tcp {url}"));
    service.api.add_endpoint("live/test", &receiver.url());
    receiver.wait_seconds(JUDGED_S);
    assert_restreamed("over TLS", &sample, &receiver, JUDGED_S);
}

fn write_pair(directory: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
}

#[test]
fn credentials_and_tokens_in_an_address_reach_neither_log_nor_record() {
    let secrets = vec!["hunter2".to_owned(), "tok3n".to_owned()];
    let service = Service::start_with(Options { secrets, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let address = format!("me:hunter2@127.0.0.1:{}/live/test?token=tok3n&lang=de", service.ports.rtsp);
    let output = format!("-f rtsp -rtsp_transport tcp rtsp://{address}");
    let _publisher = Publisher::ffmpeg(&described(&sample), &output);
    service.api.wait_live("live/test");
    let broadcast = service.api.broadcast("live/test").unwrap();
    assert!(broadcast["metaData"].to_string().contains("lang"), "{broadcast}");
    let receiver = Receiver::listen();
    service.api.add_endpoint("live/test", &receiver.url());
    receiver.wait_seconds(1.0);
}

#[test]
fn sound_that_comes_in_lumps_is_in_step_and_costs_no_picture() {
    let service = Service::start();
    // A beep each second and silence between: ffmpeg packs up to 0.7 s of it into one packet.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/publish");
    let arguments = format!("--rtsp --port {} --size 320x180 --bitrate 500 --seconds 60 live/test", service.ports.rtsp);
    let _publisher = Tool::start(script, words(&arguments), Stdio::null(), Stdio::null());
    let receiver = Receiver::listen();
    service.api.add_endpoint("live/test", &receiver.url());
    receiver.wait_seconds(JUDGED_S);
    let (offset_ms, times) = av_offset_ms(&receiver.bytes());
    assert!(times >= 4 && offset_ms.abs() < AV_OFFSET_MAX_MS, "{offset_ms} ms, {times} times");
    let pictures = receiver.verdict().video.expect("there are pictures").units;
    let steps: Vec<i64> = pictures.windows(2).map(|pair| pair[1].pts - pair[0].pts).collect();
    assert!(steps.iter().all(|step| *step == 3_600), "{steps:?}");
}
