//! Webhooks over HTTP itself: what is sent in which form, what is not followed, not waited for, and not dialled.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::canned::{http, serve};
use crate::support::hook::{Hook, Told};
use crate::support::publisher::Publisher;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{LATER, wait_for, wait_until};

const STREAM: &str = "live/test";

/// The service's limit for an answer, which is no setting.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What a sender adds to the time of two messages: the second one's own way here may be the shorter one.
const TOLERANCE: Duration = Duration::from_millis(200);

/// A service that tells `url`, with more settings, and a stream that starts.
fn told(url: &str, more: &[(&'static str, &str)]) -> (Service, Publisher) {
    let settings = more.iter().copied().chain([("WEBHOOK__URL", url)]).map(|(name, value)| (name, value.to_owned()));
    let secrets = vec!["hunter2".to_owned()];
    let service = Service::start_with(Options { settings: settings.collect(), secrets, ..Options::default() });
    let publisher = Publisher::rtmp(&service, STREAM, &Sample::of(sample::H264_AAC));
    (service, publisher)
}

/// Waits until the log says that a message was not told, and why.
#[track_caller]
fn wait_untold(service: &Service, why: &str) {
    wait_for(LATER, &format!("a webhook is not told because {why:?}"), || {
        let log = service.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("a webhook was not told")).collect();
        if lines.iter().any(|line| line.contains(why)) { Ok(()) } else { Err(lines.join("\n")) }
    });
}

#[test]
fn a_webhook_that_leads_elsewhere_is_not_followed() {
    let elsewhere = Hook::listen(|_| Some(200));
    let location = elsewhere.url.clone();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let port = serve(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        http("307 Temporary Redirect", &format!("Location: {location}\r\n"), "")
    });
    let (service, _publisher) = told(&format!("http://127.0.0.1:{port}/hook"), &[]);
    wait_untold(&service, "HTTP 307");
    wait_until(LATER, "it is tried again", || asked.load(Ordering::Relaxed) >= 2);
    assert!(elsewhere.told().is_empty(), "{:?}", elsewhere.told());
}

#[test]
fn a_webhook_that_does_not_answer_is_waited_for_only_so_long_and_told_again() {
    let begin = Instant::now();
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&times);
    // The second one is answered.
    let hook = Hook::listen(move |number| {
        noted.lock().unwrap().push(begin.elapsed());
        (number > 0).then_some(200)
    });
    let (service, _publisher) = told(&hook.url, &[]);
    wait_untold(&service, "it did not answer in time");
    wait_until(LATER, "it is told again", || hook.told().len() >= 2);
    let (ids, times) = (ids(&hook.told()), times.lock().unwrap().clone());
    assert_eq!(ids[0], ids[1], "the same message");
    assert!(times[1] - times[0] + TOLERANCE >= ANSWER_MAX, "{times:?}");
}

fn ids(told: &[Told]) -> Vec<String> {
    told.iter().filter_map(|one| one.header("x-event-id").map(str::to_owned)).collect()
}

#[test]
fn a_webhook_can_be_told_as_by_a_form() {
    let hook = Hook::listen(|_| Some(200));
    let (_service, _publisher) = told(&hook.url, &[("WEBHOOK__CONTENT_TYPE", "application/x-www-form-urlencoded")]);
    wait_until(LATER, "it is told", || !hook.told().is_empty());
    let told = &hook.told()[0];
    assert_eq!(told.header("content-type"), Some("application/x-www-form-urlencoded"));
    let pairs: Vec<(&str, &str)> = told.body.split('&').filter_map(|pair| pair.split_once('=')).collect();
    for pair in [("action", "liveStreamStarted"), ("id", "test"), ("app", "live")] {
        assert!(pairs.contains(&pair), "{pair:?} is not in {}", told.body);
    }
}

#[test]
fn a_webhook_at_a_denied_address_is_not_dialled() {
    let hook = Hook::listen(|_| Some(200));
    let denied = hook.url.replace("127.0.0.1", "127.0.0.2");
    let (service, _publisher) = told(&denied, &[("DESTINATION__DENY", "127.0.0.2")]);
    wait_untold(&service, "127.0.0.2");
    let log = service.log();
    assert!(!log.contains("connection was refused"), "it was dialled: {log}");
    // By a name that leads there, too.
    let (service, _publisher) =
        told(&hook.url.replace("127.0.0.1", "localhost"), &[("DESTINATION__DENY", "127.0.0.0/8,::1")]);
    wait_untold(&service, "127.0.0.1");
    assert!(hook.told().is_empty(), "{:?}", hook.told());
}
