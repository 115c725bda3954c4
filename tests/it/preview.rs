//! What a stream looks like, by `preview.jpg`: a picture of now, for who may see it, and no work when nobody looks.

use std::process::Command;

use serde_json::json;

use crate::support::http::path;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{LATER, wait_for, wait_until};

const NOBODY: (&str, &str) = ("Accept", "image/jpeg");

/// Codec, width, height of a picture, and its mean in luma, as FFmpeg sees them.
fn judge(jpeg: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jpeg).unwrap();
    let entries = "stream=codec_name,width,height";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", entries, "-of", "csv=p=0"])
        .arg(file.path())
        .output()
        .expect("ffprobe");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// How many threads of the service make previews.
fn decoders(service: &Service) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", service.pid())).expect("it runs");
    let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "preview").count()
}

#[test]
fn each_codecs_picture_is_seen_and_moves_and_the_receiver_beside_it_misses_nothing() {
    let service = Service::start();
    let streams = [("live/h264", sample::H264_AAC), ("live/h265", sample::H265_AAC), ("live/long", sample::LONG_GOP)];
    let running = streams.map(|(stream, programme)| {
        let publisher = Publisher::srt(&service, stream, &Sample::of(programme));
        let receiver = Receiver::listen();
        service.api.wait_live(stream);
        service.api.add_endpoint(stream, &receiver.url());
        receiver.wait_seconds(1.0);
        (stream, publisher, receiver)
    });
    for (stream, _, receiver) in &running {
        let look = || service.api.bytes(&path(stream, "/preview.jpg"), NOBODY);
        let (status, kind, first) = look();
        assert_eq!((status, kind.as_str()), (200, "image/jpeg"), "{stream}");
        assert_eq!(judge(&first), "mjpeg,640,360", "{stream}");
        wait_for(LATER, "another picture", || {
            let (status, _, next) = look();
            if status == 200 && next != first { Ok(()) } else { Err(format!("{status}, {} bytes", next.len())) }
        });
        receiver.wait_more(2.0);
        let verdict = receiver.verdict();
        assert_eq!((verdict.continuity_errors, receiver.connections()), (0, 1), "{stream}: {:?}", verdict.faults);
    }
    wait_until(LATER, "nothing decodes when nobody looks", || decoders(&service) == 0);
}

#[test]
fn who_sees_no_picture_is_told_why() {
    let settings = vec![("REST__ORIGINS", "https://dash.example.org".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let (_sound, _picture) = (
        Publisher::srt(&service, "live/sound", &Sample::of(sample::AAC_ONLY)),
        Publisher::rtmp(&service, "live/test", &Sample::of(sample::H264_AAC)),
    );
    for stream in ["live/sound", "live/test"] {
        service.api.wait_live(stream);
    }
    service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": "idle" }));
    for (stream, header, wanted, why) in [
        ("live/sound", NOBODY, 409, "the stream has no pictures"),
        ("live/idle", NOBODY, 409, "has no publisher now"),
        ("live/nobody", NOBODY, 404, "there is no stream"),
        ("live/test", ("Origin", "https://elsewhere.example.org"), 403, "rest.origins"),
        ("live/test", ("Sec-Fetch-Site", "cross-site"), 403, "rest.origins"),
    ] {
        let (status, _, body) = service.api.bytes(&path(stream, "/preview.jpg"), header);
        let body = String::from_utf8_lossy(&body);
        assert!(status == wanted && body.contains(why), "{stream} {header:?}: {status} {body}");
    }
    for header in [("Origin", "https://dash.example.org"), ("Sec-Fetch-Site", "same-origin")] {
        let (status, kind, _) = service.api.bytes(&path("live/test", "/preview.jpg"), header);
        assert_eq!((status, kind.as_str()), (200, "image/jpeg"), "{header:?}");
    }
}
