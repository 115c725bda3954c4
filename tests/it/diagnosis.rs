//! What an operator looks into: the graph of a running pipeline, the command of a branch, GStreamer's log raised at run
//! time, and the ids on every line of the log.

use std::process::Stdio;

use serde_json::{Value, json};

use super::support::http::path;
use super::support::process::Tool;
use super::support::publisher::Publisher;
use super::support::receiver::Receiver;
use super::support::sample::{self, Sample};
use super::support::service::{Options, Service};
use super::support::wait::{LATER, SOON, wait_for, wait_until};

const SECRET: &str = "hunter2hunter2";

/// A service with a live stream that goes to a receiver, by a URL that holds a secret wherever one may be.
fn live_with_secrets(options: Options) -> (Service, Publisher, Receiver, String) {
    let service = Service::start_with(Options { secrets: vec![SECRET.to_owned()], ..options });
    let receiver = Receiver::listen_with_passphrase(SECRET);
    let publisher = Publisher::srt(&service, "live/test", &Sample::of(sample::H264_AAC));
    service.api.wait_live("live/test");
    // The answer repeats the URL, of which only the passphrase is a secret; so the token goes in by another name.
    let url = format!("{}?passphrase={SECRET}&streamid=token%3Dabc", receiver.url());
    let id = service.api.add_endpoint("live/test", &url);
    service.api.wait_endpoint("live/test", &id, "broadcasting");
    (service, publisher, receiver, id)
}

#[test]
fn a_running_pipeline_is_shown_as_a_graph_without_secrets() {
    let (service, _publisher, _receiver, id) = live_with_secrets(Options::default());
    let graph = |file: &str| service.api.text(&path("live/test", &format!("/{file}")));
    let (status, kind, dot) = graph("pipeline.dot");
    assert_eq!((status, kind.as_str()), (200, "text/vnd.graphviz; charset=utf-8"));
    for part in ["GstMpegTsMux", "GstSRTSink", "video_tee", &format!("endpoint-{id}-"), "streamid=***"] {
        assert!(dot.contains(part), "{part} is not in {dot}");
    }
    assert!(!dot.contains("abc"), "a stream id is shown: {dot}");
    let (status, _, dot) = graph("pipeline.dot?of=ingest");
    assert!(status == 200 && dot.contains("GstTSDemux"), "{dot}");
    let (status, kind, svg) = graph("pipeline.svg");
    assert_eq!((status, kind.as_str()), (200, "image/svg+xml"));
    assert!(svg.contains("<svg") && svg.contains("GstSRTSink") && svg.trim_end().ends_with("</svg>"), "{svg}");

    for (file, wanted) in [("pipeline.dot?of=nothing", 400), ("pipeline.dot?of=pull", 404), ("pipeline.png", 404)] {
        let (status, _, text) = graph(file);
        assert_eq!(status, wanted, "{file}: {text}");
    }
    let (status, kind, text) = service.api.text(&path("live/nobody", "/pipeline.svg"));
    assert_eq!((status, kind.as_str()), (404, "application/problem+json"), "{text}");
}

#[test]
fn without_graphviz_the_answer_names_the_package() {
    let bin = tempfile::TempDir::new().unwrap();
    std::os::unix::fs::symlink("/usr/bin/nice", bin.path().join("nice")).unwrap();
    let environment = vec![("PATH", bin.path().display().to_string())];
    let service = Service::start_with(Options { environment, ..Options::default() });
    let _publisher = Publisher::rtmp(&service, "live/test", &Sample::of(sample::H264_AAC));
    service.api.wait_live("live/test");
    let (status, _, text) = service.api.text(&path("live/test", "/pipeline.svg"));
    assert!(status == 501 && text.contains("Debian package graphviz"), "{status} {text}");
}

#[test]
fn the_printed_command_sends_to_the_receiver_what_it_can_read() {
    let service = Service::start();
    let receiver = Receiver::listen();
    service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": "test" }));
    let url = format!("{}?streamid=it's%20\"one\"%20$(of)%20!%20`them`", receiver.url());
    let id = service.api.add_endpoint("live/test", &url);
    let (status, kind, text) = service.api.text(&path("live/test", &format!("/endpoints/{id}/launch")));
    assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"), "{text}");
    // As it is pasted: notes and all.
    let shell = Tool::start(
        "/bin/sh",
        ["-c", &format!("exec 2>&1\n{}", text.replace("gst-launch", "exec gst-launch"))],
        Stdio::null(),
        Stdio::null(),
    );
    receiver.wait_seconds(3.0);
    let verdict = receiver.verdict();
    assert_eq!(verdict.faults, Vec::<String>::new());
    assert_eq!(receiver.capture().tracks.len(), 2, "picture and sound");
    assert_eq!(receiver.connections(), 1);
    drop(shell);

    let (status, _, text) = service.api.text(&path("live/test", "/endpoints/nobody/launch"));
    assert_eq!(status, 404, "{text}");
}

#[test]
fn gstreamers_log_is_raised_for_one_category_and_falls_back_by_itself() {
    let (service, _publisher, receiver, _) = live_with_secrets(Options::default());
    let lines = |from: usize| service.log()[from..].lines().filter(|line| line.contains("category=\"srt")).count();
    assert_eq!(lines(0), 0, "nothing of srtsink's is logged by itself");
    let at = service.log().len();
    let (status, answer) = service.api.put("/rest/v2/log-level?category=srt*&level=7&seconds=3", &Value::Null);
    assert_eq!((status, answer["raised"][0]["category"].as_str()), (200, Some("srt*")), "{answer}");
    wait_until(SOON, "srtsink's own lines are logged", || lines(at) > 5);
    assert!(service.log()[at..].contains("endpoint{stream=live/test endpoint="), "they carry the ids");
    wait_until(SOON, "the level falls back", || service.api.get("/rest/v2/log-level").1 == json!({ "raised": [] }));
    wait_until(SOON, "and that is told", || service.log()[at..].contains("as configured again"));
    let at = service.log().len();
    receiver.wait_more(2.0);
    assert_eq!(lines(at), 0, "nothing more comes");

    let (status, answer) = service.api.put("/rest/v2/log-level?category=srt*&level=8", &Value::Null);
    assert!(status == 400 && answer["detail"].as_str().is_some_and(|detail| detail.contains("level")), "{answer}");
    assert_eq!(service.api.delete("/rest/v2/log-level?category=srt*").0, 404);
}

/// Lines of the service as a whole, from rooms that otherwise speak of streams.
const OF_THE_SERVICE: [&str; 2] = ["store loaded", "manager ended"];

#[test]
fn every_line_that_belongs_to_a_stream_names_it_and_its_endpoint() {
    let settings = vec![("LOG__FORMAT", "json".to_owned()), ("LOG__FILTER", "warn,srt_restream=debug".to_owned())];
    let mut service = Service::start_with(Options { settings, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let receiver = Receiver::listen();
    let rtmp = Publisher::rtmp(&service, "live/by-rtmp", &sample);
    let srt = Publisher::srt(&service, "live/by-srt", &sample);
    let source = json!({ "streamId": "pulled", "type": "streamSource", "streamUrl": "test://" });
    service.api.post("/live/rest/v2/broadcasts/create?autoStart=true", &source);
    for stream in ["live/by-rtmp", "live/by-srt", "live/pulled"] {
        service.api.wait_live(stream);
    }
    let good = service.api.add_endpoint("live/by-srt", &receiver.url());
    let dead = service.api.add_endpoint("live/by-rtmp", "srt://127.0.0.1:9?connect_timeout=300");
    service.api.wait_endpoint("live/by-srt", &good, "broadcasting");
    service.api.wait_endpoint("live/by-rtmp", &dead, "error");
    service.api.put("/rest/v2/log-level?category=*srt*&level=6&seconds=60", &Value::Null);
    service.api.put("/rest/v2/log-level?category=mpegtsmux&level=5&seconds=60", &Value::Null);
    wait_for(LATER, "GStreamer's lines of both endpoints", || {
        let log = service.log();
        let has = |id: &str| log.lines().any(|line| line.contains("gstreamer") && line.contains(id));
        if has(&good) && has(&dead) { Ok(()) } else { Err("not yet".to_owned()) }
    });
    rtmp.stop();
    srt.stop();
    service.stop();

    let log = service.log();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let mut rooms = std::collections::BTreeSet::new();
    for line in &lines {
        let (target, message) = (line["target"].as_str().unwrap(), line["message"].as_str().unwrap());
        let room = target.strip_prefix("srt_restream::").unwrap_or(target).split("::").next().unwrap();
        let of_streams = ["endpoint", "stream", "media", "ingest", "manager", "gstreamer"].contains(&room);
        let of_the_service = OF_THE_SERVICE.contains(&message) || message.starts_with("GStreamer's log is");
        if !of_streams || of_the_service {
            continue;
        }
        rooms.insert(room);
        let stream = line["stream"].as_str().unwrap_or_default();
        assert!(["live/by-rtmp", "live/by-srt", "live/pulled"].contains(&stream), "no stream: {line}");
        let category = line["category"].as_str().unwrap_or_default();
        // The last reference to an element may fall on any thread of its stream.
        let finalised = message == "Destroying srtobject" || message == "Cleaning up SRT";
        if room == "endpoint" || (["srtobject", "srtsink"].contains(&category) && !finalised) {
            let endpoint = line["endpoint"].as_str().unwrap_or_default();
            assert!([&good, &dead].contains(&&endpoint.to_owned()), "no endpoint: {line}");
        }
    }
    for room in ["endpoint", "gstreamer", "ingest", "manager"] {
        assert!(rooms.contains(room), "no line of {room} came: {rooms:?}");
    }
}
