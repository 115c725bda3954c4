//! The machine's clock steps while endpoints run and fail: retries, statistics and media must not.
//!
//! The machine's own clock is left alone: libfaketime gives the service another one, and it alone. Monotonic clocks
//! stay true, as they do when a real clock is stepped.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::receiver::Receiver;
use crate::support::service::Options;
use crate::support::wait::{LATER, wait_for, wait_until};

use super::report;
use super::stage::{Far, Stage};
use super::steps::{Watched, now};

/// Where Debian's package libfaketime has the library for programs with threads: below the directory of the machine's kind.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// How far the clock steps, seconds: a time zone set wrongly, and then the other way.
const STEPS_S: [i64; 3] = [3600, -7200, 86_400];

/// How far times that the service gives may be from its clock: an answer, a second's sample, a retry's delay.
const NEAR_MS: f64 = 45_000.0;

/// The library; `LIBFAKETIME` where it is not Debian's.
fn library() -> String {
    let kinds = std::fs::read_dir("/usr/lib").unwrap().flatten().map(|kind| kind.path().join(LIBRARY));
    let found =
        std::env::var_os("LIBFAKETIME").map(PathBuf::from).or_else(|| kinds.into_iter().find(|path| path.exists()));
    found.expect("Debian's package libfaketime is needed").display().to_string()
}

/// A clock that is set.
struct Clock {
    dir: TempDir,
}

impl Clock {
    fn new() -> Self {
        let clock = Self { dir: TempDir::new().unwrap() };
        clock.set(0);
        clock
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }

    /// So many seconds off. The file is whole at any time.
    fn set(&self, offset_s: i64) {
        let half = self.dir.path().join("half");
        std::fs::write(&half, format!("{offset_s:+}")).unwrap();
        std::fs::rename(half, self.file()).unwrap();
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", library()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ]
    }
}

/// What must only grow.
fn sent_bytes(all: &Value) -> u64 {
    all["statistics"]["sentBytes"].as_u64().unwrap_or_else(|| panic!("no sentBytes in {all}"))
}

#[test]
fn a_stepped_clock_changes_times_and_nothing_else() {
    let clock = Clock::new();
    let stage = Stage::with(Options { environment: clock.environment(), ..Options::default() });
    let (well, mut ill) = (Receiver::listen(), Far::absent(""));
    let begin = Instant::now();
    let (served, failing) = (stage.add(&well.url()), stage.add(&ill.url));
    served.wait_step(0.0, LATER, "it is broadcasting", |step| step.state == "broadcasting");
    failing.wait_step(0.0, LATER, "it fails", |step| step.state == "waiting");
    let mut offset_ms = 0.0;
    for step_s in STEPS_S {
        let (sent, attempt) = (sent_bytes(&served.all()), attempts(&failing));
        clock.set(step_s);
        offset_ms = step_s as f64 * 1000.0;
        stage.run_on(2.0);
        wait_for(LATER, &format!("another attempt after a step of {step_s} s"), || {
            let now = attempts(&failing);
            if now > attempt { Ok(()) } else { Err(failing.all().to_string()) }
        });
        let all = served.all();
        assert!(sent_bytes(&all) > sent, "after {step_s} s: {all}");
        assert_eq!(all["state"], "broadcasting", "after {step_s} s: {all}");
        let sampled = all["statistics"]["sampledAt"].as_f64().unwrap();
        assert!((sampled - now() - offset_ms).abs() < NEAR_MS, "sampled {} ms off: {all}", sampled - now());
        retry_is_near(&failing, offset_ms);
        let (made, elapsed) = (attempts(&failing), begin.elapsed());
        assert!(made <= attempts_max(elapsed), "{made} attempts within {elapsed:?}, after a step of {step_s} s");
    }
    let stepped = now();
    ill.receiver.start();
    let (status, answer) = stage.service.api.post(&format!("{}/retry", failing.path()), &Value::Null);
    assert!(status < 300, "{status} {answer}");
    wait_until(LATER, "it is broadcasting", || failing.state() == "broadcasting");
    assert!(now() - stepped < 5000.0, "{} ms", now() - stepped);
    stage.run_on(2.0);
    let healthy = stage.judge("a stepped clock");
    report::write(
        "stepped-clock",
        &json!({ "steps_s": STEPS_S, "healthy_s": healthy.seconds, "healthy_pause_ms": healthy.pause_ms(),
            "offset_ms": offset_ms }),
    );
}

fn attempts(endpoint: &Watched) -> u64 {
    endpoint.all()["attempt"].as_u64().unwrap()
}

/// How many attempts there are within such a time at most, at the pace that `docs/faults.md` gives: after 1 s, then after
/// twice as long each time up to 30 s, of which jitter may take half.
fn attempts_max(elapsed: Duration) -> u64 {
    let (mut attempts, mut wait_s, mut at_s) = (1, 1.0_f64, 0.0);
    loop {
        at_s += (wait_s / 2.0).max(1.0);
        if at_s > elapsed.as_secs_f64() {
            return attempts;
        }
        attempts += 1;
        wait_s = (wait_s * 2.0).min(30.0);
    }
}

/// Between two attempts, the next one is told on the clock that now goes.
#[track_caller]
fn retry_is_near(endpoint: &Watched, offset_ms: f64) {
    let all = wait_for(LATER + Duration::from_secs(20), "it waits for a retry", || {
        let all = endpoint.all();
        if all["failure"]["nextRetryAt"].is_null() { Err(all.to_string()) } else { Ok(all) }
    });
    let next = all["failure"]["nextRetryAt"].as_f64().unwrap();
    assert!((next - now() - offset_ms).abs() < NEAR_MS, "{} ms from now: {all}", next - now() - offset_ms);
}
