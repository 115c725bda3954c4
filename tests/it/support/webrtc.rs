//! A page that publishes to the service, and the judgement of what a receiver got of it.
//!
//! A browser's frame rate follows the machine and its pictures are its own, so nothing is compared with a source:
//! the stream must be well-formed, whole, decodable, and its sound in step with its pictures.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::browser::{Browser, Pages};
use super::namespace::Namespace;
use super::receiver::Receiver;
use super::service::Service;
use super::ts::{Capture, Codec, Expected, PACKET_BYTES, Verdict};
use super::wait::{LATER, SOON, wait_for};

/// Longest hole between two pictures. A machine whose cores encode, decode and test all at once may stall a browser.
const VIDEO_GAP_MAX_MS: f64 = 1500.0;

/// Longest hole in the sound, likewise.
const AUDIO_GAP_MAX_MS: f64 = 1000.0;

/// Settings of a service that a browser in this namespace reaches.
pub fn reached_from(namespace: &Namespace) -> Vec<(&'static str, String)> {
    vec![("HTTP__LISTEN", "0.0.0.0:0".to_owned()), ("WEBRTC__LOCAL_ADDRESSES", namespace.outside.to_string())]
}

/// Where a browser in this namespace publishes `live/test` by WHIP.
pub fn whip_url_from(service: &Service, namespace: &Namespace) -> String {
    format!("http://{}:{}/live/whip/test", namespace.outside, service.ports.http)
}

/// A browser with the page of the publishers of others.
#[derive(Debug)]
pub struct Page {
    /// The browser.
    pub browser: Browser,
    pages: Pages,
}

impl Page {
    /// On this machine's loopback.
    pub fn open() -> Self {
        Self::of(Browser::start(), Pages::serve())
    }

    /// In a network namespace; the page's origin is taken for a safe one.
    pub fn open_in(namespace: &Namespace) -> Self {
        let pages = Pages::serve_on(IpAddr::V4(namespace.outside));
        let origin = pages.url("");
        let safe = format!("--unsafely-treat-insecure-origin-as-secure={}", origin.trim_end_matches('/'));
        Self::of(Browser::start_in(Some(namespace), &[&safe]), pages)
    }

    fn of(browser: Browser, pages: Pages) -> Self {
        let this = Self { browser, pages };
        this.load();
        this
    }

    /// Loads the page in the current tab.
    #[track_caller]
    pub fn load(&self) {
        self.browser.open(&self.pages.url("publisher.html"));
        self.wait_loaded();
    }

    /// Waits until the publishers are there, as after a reload.
    #[track_caller]
    pub fn wait_loaded(&self) {
        self.browser.wait(SOON, "the publishers are loaded", "window.publisher && window.webrtc_adaptor");
    }

    /// Publishes by npm's WHIP client: a JavaScript expression of the media and one of its options. The URL of the
    /// session.
    #[track_caller]
    pub fn whip(&self, service: &Service, stream: &str, media: &str, options: &str) -> String {
        let url = whip_url(service, stream);
        let resource = self.browser.eval(&format!("publisher.whip('{url}', await publisher.{media}, {options})"));
        service.api.wait_live(stream);
        resource.as_str().expect("the URL of a resource").to_owned()
    }

    /// Publishes by Ant Media's SDK.
    pub fn sdk(&self, service: &Service, id: &str) {
        self.browser.eval(&format!("publisher.sdk('{}', '{id}')", socket_url(service)));
    }

    /// Waits until the SDK has said so for the `count`th time. Fails at once when it calls back with an error.
    #[track_caller]
    pub fn wait_news(&self, name: &str, count: usize) {
        wait_for(LATER, &format!("{name}, {count} times"), || {
            let errors = self.browser.eval("publisher.news.filter((one) => one.kind === 'error').length");
            assert_eq!(errors, 0, "the SDK reports an error; all its news: {}", self.news());
            let heard = self.browser.eval(&format!("publisher.heard('{name}') >= {count}"));
            if heard == true { Ok(()) } else { Err(self.news().to_string()) }
        });
    }

    /// All that the SDK has called back.
    pub fn news(&self) -> Value {
        self.browser.eval("publisher.news")
    }

    /// How much later than its beeps the page has drawn its flashes since the last question, milliseconds (median).
    #[track_caller]
    pub fn late_ms(&self) -> f64 {
        let late = self.browser.eval("publisher.late_ms.splice(0).sort((a, b) => a - b)");
        let late: Vec<f64> = late.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        late.get(late.len() / 2).copied().unwrap_or(0.0)
    }

    /// Figures of what the page sends of a kind.
    #[track_caller]
    pub fn sending(&self, kind: &str) -> Value {
        self.browser.eval(&format!("publisher.sending('{kind}')"))
    }
}

/// Where `app/id` is published by WHIP.
pub fn whip_url(service: &Service, stream: &str) -> String {
    let (app, id) = stream.split_once('/').expect("streams are written app/id");
    format!("http://127.0.0.1:{}/{app}/whip/{id}", service.ports.http)
}

/// Ant Media's signalling of the application `live`.
pub fn socket_url(service: &Service) -> String {
    format!("ws://127.0.0.1:{}/live/websocket", service.ports.http)
}

/// What a capture of a browser's stream must hold.
pub fn expected(video: bool, audio: bool, seconds: f64) -> Expected {
    let mut expected = Expected::new(video.then_some(Codec::H264), audio.then_some(Codec::Aac), seconds);
    expected.video_gap_max_ms = VIDEO_GAP_MAX_MS;
    expected.audio_gap_max_ms = AUDIO_GAP_MAX_MS;
    // Nothing comes meanwhile, so there is no clock and no table either.
    expected.pcr_interval_max_ms = VIDEO_GAP_MAX_MS;
    expected.table_interval_max_ms = VIDEO_GAP_MAX_MS;
    expected
}

/// An endpoint of the stream that has got so many seconds of it.
#[track_caller]
pub fn receive(service: &Service, stream: &str, seconds: f64) -> Receiver {
    let receiver = Receiver::listen();
    service.api.add_endpoint(stream, &receiver.url());
    receiver.wait_seconds(seconds);
    receiver
}

/// Judges what a receiver has: well-formed, with these tracks, and decoded by ffmpeg without a word.
#[track_caller]
pub fn assert_good(what: &str, receiver: &Receiver, expected: &Expected) {
    let bytes = receiver.bytes();
    Verdict::of_bytes(&bytes).assert_healthy(what, expected);
    assert_decodes(what, &bytes);
}

/// Decodes a capture that begins with a key frame; ffmpeg must have nothing to say.
#[track_caller]
pub fn assert_decodes(what: &str, bytes: &[u8]) {
    let (_dir, path) = file_of(&whole(bytes));
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-v", "warning", "-nostdin", "-xerror", "-err_detect", "explode", "-i"])
        .arg(&path)
        // A browser changes the size and the rate of its pictures as it likes: they are neither scaled nor timed anew.
        .args(["-autoscale", "0", "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is needed for the tests");
    // Between a browser's pictures and an encoder's the range of the samples may change: a matter of ffmpeg's scaler.
    let scaler = |line: &&str| !line.contains("swscaler") || !line.contains("deprecated pixel format");
    let said: Vec<&str> = std::str::from_utf8(&output.stderr).unwrap_or("not text").lines().filter(scaler).collect();
    let said = said.join("\n");
    if !output.status.success() || !said.trim().is_empty() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("not-decoded.ts");
        std::fs::copy(&path, &kept).unwrap();
        panic!("{what}: ffmpeg does not decode {} without a word ({}): {said}", kept.display(), output.status);
    }
}

/// A capture without what has not come whole at its end: each PID up to before its last beginning of a unit.
fn whole(bytes: &[u8]) -> Vec<u8> {
    let pid = |packet: &[u8]| u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
    let packets: Vec<&[u8]> = bytes.chunks_exact(PACKET_BYTES).collect();
    let mut last = HashMap::new();
    for (at, packet) in packets.iter().enumerate().filter(|(_, packet)| packet[1] & 0x40 != 0) {
        last.insert(pid(packet), at);
    }
    let kept = packets.iter().enumerate().filter(|(at, packet)| last.get(&pid(packet)).is_some_and(|last| at < last));
    kept.flat_map(|(_, packet)| packet.to_vec()).collect()
}

/// What came after so many bytes, from the tables before the first key frame on.
#[track_caller]
pub fn since_key_frame(bytes: &[u8], at: usize) -> &[u8] {
    let bytes = since(bytes, at);
    let capture = Capture::parse(bytes);
    let units = Verdict::of(&capture).video.expect("there are pictures").units;
    let key = units.iter().find(|unit| unit.key).expect("a key frame came").packet;
    let tables = capture.pats.iter().rfind(|pat| **pat < key).expect("tables before the key frame");
    &bytes[tables * PACKET_BYTES..]
}

/// How much later the beep comes than the flash, milliseconds: the median, and how often both were found.
pub fn av_offset_ms(bytes: &[u8]) -> (f64, u64) {
    let summary = watched(bytes);
    (summary["av_offset_ms"].as_f64().unwrap_or(f64::NAN), summary["av_offset_samples"].as_u64().unwrap_or(0))
}

/// The largest distance from that median, milliseconds.
pub fn av_spread_ms(bytes: &[u8]) -> f64 {
    watched(bytes)["av_offset_spread_ms"].as_f64().unwrap_or(f64::NAN)
}

/// What `scripts/watch` says of a capture.
fn watched(bytes: &[u8]) -> Value {
    let (_dir, path) = file_of(bytes);
    let watch = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/watch");
    let output = Command::new(watch).arg("--json").arg(&path).output().expect("scripts/watch");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// What came after so many bytes, from a packet's start.
pub fn since(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[at / PACKET_BYTES * PACKET_BYTES..]
}

/// The width of the last picture that a capture shows; none when no key frame is in it.
pub fn last_width(bytes: &[u8]) -> Option<u64> {
    let (_dir, path) = file_of(bytes);
    let output = Command::new("ffprobe")
        .args(["-v", "quiet", "-select_streams", "v:0", "-show_entries", "frame=width", "-of", "csv=p=0"])
        .arg(&path)
        .output()
        .expect("ffprobe is needed for the tests");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.trim_matches(',').parse().ok()).next_back()
}

/// The longest time from one key frame to the next, seconds.
pub fn key_interval_max_s(verdict: &Verdict) -> f64 {
    let units = verdict.video.iter().flat_map(|video| &video.units);
    let keys: Vec<i64> = units.filter(|unit| unit.key).map(|unit| unit.pts).collect();
    keys.windows(2).map(|pair| super::ts::ms(pair[1] - pair[0]) / 1000.0).fold(0.0, f64::max)
}

/// A browser that was killed is noticed after its silence time, and its stream ends.
pub const VANISHED_MAX: Duration = Duration::from_secs(15);

fn file_of(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("got.ts");
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}
