//! The bridge from GStreamer's log, in a process of its own: the test starts itself again with a variable
//! that makes it the child, and reads what the child wrote to stderr.

use std::process::Command;

use gstreamer as gst;
use gstreamer::prelude::*;
use srt_restream::config::{Log, LogFormat};
use srt_restream::telemetry;

/// Set in the child; says which part to play.
const ROLE: &str = "SRT_RESTREAM_TEST_ROLE";

const SECRET: &str = "hunter2hunter2";

/// How long the child may wait for its pipeline's error, seconds: libsrt gives a dead peer up after 3.
const ERROR_TIMEOUT_S: u64 = 20;

/// Runs the named test again as a child and returns the lines it logged.
fn play(test: &str, role: &str, gst_debug: Option<&str>) -> Vec<serde_json::Value> {
    let mut command = Command::new(std::env::current_exe().expect("this test's program"));
    command.args(["--exact", test, "--nocapture"]).env(ROLE, role).env_remove("GST_DEBUG").env_remove("RUST_LOG");
    if let Some(gst_debug) = gst_debug {
        command.env("GST_DEBUG", gst_debug);
    }
    let output = command.output().expect("the child runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains(SECRET), "a secret got through: {}", line_with(&stderr, SECRET));
    stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn line_with<'a>(text: &'a str, what: &str) -> &'a str {
    text.lines().find(|line| line.contains(what)).unwrap_or_default()
}

fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

fn start() {
    telemetry::init(&Log { filter: "info".into(), format: LogFormat::Json }).expect("logging");
    gst::init().expect("GStreamer");
    telemetry::set_gstreamer_thresholds();
}

/// A caller with a passphrase to a port where nobody listens, until it has failed.
fn call_nobody() {
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let text = format!(
        "fakesrc num-buffers=2 sizetype=fixed sizemax=188 ! srtsink name=sink async=false auto-reconnect=false \
         uri=srt://{nobody}?passphrase={SECRET}&streamid=token%3D{SECRET}"
    );
    let pipeline = gst::parse::launch(&text).expect("the pipeline").downcast::<gst::Pipeline>().expect("a pipeline");
    pipeline.by_name("sink").expect("the sink").set_property("passphrase", SECRET);
    pipeline.set_state(gst::State::Playing).ok();
    let bus = pipeline.bus().expect("a bus");
    let timeout = gst::ClockTime::from_seconds(ERROR_TIMEOUT_S);
    bus.timed_pop_filtered(timeout, &[gst::MessageType::Error]).expect("an error");
    pipeline.set_state(gst::State::Null).expect("stopped");
}

#[test]
fn no_secret_gets_through_even_when_everything_is_logged() {
    if role().is_some() {
        start();
        gst::error!(gst::CAT_DEFAULT, "srt://h:1?passphrase={SECRET}");
        return call_nobody();
    }
    let lines = play("no_secret_gets_through_even_when_everything_is_logged", "child", Some("*:9"));
    let of = |category: &str| lines.iter().filter(|line| line["category"] == category).count();
    assert!(of("srtobject") + of("srtsink") > 0, "GStreamer's SRT elements did log");
    assert!(lines.iter().any(|line| line["level"] == "TRACE"), "GST_DEBUG opened the filter");
    assert!(lines.iter().any(|line| line["message"] == "srt://h:1?passphrase=***"));
}

#[test]
fn by_default_only_errors_and_few_warnings_come_and_a_flood_is_cut() {
    if role().is_some() {
        start();
        let noisy = gst::DebugCategory::new("noisy", gst::DebugColorFlags::empty(), None);
        for number in 0..500 {
            gst::warning!(noisy, "warning {number}");
            gst::error!(noisy, "error {number}");
        }
        gst::glib::g_warning!("a-library", "passphrase={SECRET}");
        tracing::info!("the service's own line");
        return;
    }
    let lines = play("by_default_only_errors_and_few_warnings_come_and_a_flood_is_cut", "child", None);
    let noisy: Vec<_> = lines.iter().filter(|line| line["category"] == "noisy").collect();
    assert!(noisy.iter().all(|line| line["level"] == "ERROR" && line["target"] == "gstreamer"), "{noisy:?}");
    assert!((1..=40).contains(&noisy.len()), "{} lines", noisy.len());
    assert!(lines.iter().any(|line| line["domain"] == "a-library" && line["message"] == "passphrase=***"), "{lines:?}");
    assert!(lines.iter().any(|line| line["message"] == "the service's own line"));
}

#[test]
fn a_panic_is_a_line_of_the_log() {
    if role().is_some() {
        start();
        std::thread::Builder::new()
            .name("doomed".into())
            .spawn(|| panic!("with password={SECRET}"))
            .expect("a thread")
            .join()
            .expect_err("it panicked");
        return;
    }
    let lines = play("a_panic_is_a_line_of_the_log", "child", None);
    let panic = lines.iter().find(|line| line["target"] == "panic").expect("a line about the panic");
    assert_eq!(panic["level"], "ERROR");
    assert_eq!(panic["thread"], "doomed");
    assert_eq!(panic["message"], "panicked: with password=***");
}
