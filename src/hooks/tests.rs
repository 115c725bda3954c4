//! Deliveries to receivers that are not there: order, retries, bounds, and what is told of a stream.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::delivery::Post;
use super::*;
use crate::manager::fake::{FakeStreams, Shared as Fakes};
use crate::manager::{NewBroadcast, Publication, PublishRequest};
use crate::model::broadcast::PublishType;
use crate::store::Store;

const WAIT: Duration = Duration::from_secs(10);

/// Short enough for a test.
const BOUNDS: Bounds =
    Bounds { waiting: 3, attempts: 3, retry_min: Duration::from_millis(5), retry_max: Duration::from_millis(8) };

/// Notes what it is sent; fails and hangs as it is told.
#[derive(Default)]
struct Receivers {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// URL and id of each attempt.
    attempts: Vec<(String, String)>,
    /// Body of each.
    bodies: Vec<String>,
    /// This many attempts fail from now on.
    failures: usize,
    /// Attempts at URLs that begin so do not come back while this is set.
    hanging: Option<&'static str>,
}

impl Receivers {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    fn seen(&self) -> Vec<(String, String)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).attempts.clone()
    }

    fn ids(&self, url: &str) -> Vec<String> {
        self.seen().into_iter().filter(|(at, _)| at == url).map(|(_, id)| id).collect()
    }
}

impl Post for Receivers {
    fn post(&self, url: &str, message: &Message) -> Result<(), String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.attempts.push((url.to_owned(), message.id.clone()));
        state.bodies.push(message.body.clone());
        let begin = Instant::now();
        while state.hanging.is_some_and(|hanging| url.starts_with(hanging)) && begin.elapsed() < WAIT {
            state = self.changed.wait_timeout(state, WAIT).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.failures > 0 {
            state.failures -= 1;
            return Err("no".into());
        }
        Ok(())
    }
}

fn message(id: &str) -> Message {
    let stream = StreamKey { app: "live".parse().expect("app"), id: "s".parse().expect("id") };
    Message { id: id.to_owned(), stream, action: "liveStreamStarted", body: "{}".to_owned() }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < WAIT, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn what_fails_is_tried_again_before_what_follows_and_dropped_in_the_end() {
    let receivers = Arc::new(Receivers::default());
    let deliveries = Deliveries::new(Arc::clone(&receivers) as Arc<dyn Post>, BOUNDS);
    receivers.set(|state| state.failures = 2);
    deliveries.push("http://a", message("1"));
    deliveries.push("http://a", message("2"));
    deliveries.drain(WAIT).await;
    assert_eq!(receivers.ids("http://a"), ["1", "1", "1", "2"]);
    receivers.set(|state| state.failures = 3);
    deliveries.push("http://a", message("3"));
    deliveries.push("http://a", message("4"));
    deliveries.drain(WAIT).await;
    assert_eq!(receivers.ids("http://a")[4..], ["3", "3", "3", "4"], "dropped after three attempts");
}

#[tokio::test]
async fn of_too_much_the_oldest_goes() {
    let receivers = Arc::new(Receivers::default());
    let deliveries = Deliveries::new(Arc::clone(&receivers) as Arc<dyn Post>, BOUNDS);
    receivers.set(|state| state.hanging = Some("http://a"));
    deliveries.push("http://a", message("0"));
    until("the first is on its way", || receivers.seen().len() == 1).await;
    for id in ["1", "2", "3", "4", "5"] {
        deliveries.push("http://a", message(id));
    }
    receivers.set(|state| state.hanging = None);
    deliveries.drain(WAIT).await;
    assert_eq!(receivers.ids("http://a"), ["0", "3", "4", "5"]);
}

#[tokio::test]
async fn dead_receivers_delay_nobody() {
    let receivers = Arc::new(Receivers::default());
    let deliveries = Deliveries::new(Arc::clone(&receivers) as Arc<dyn Post>, Bounds { attempts: 1_000, ..BOUNDS });
    let dead = 40;
    receivers.set(|state| state.failures = dead);
    for n in 0..dead {
        deliveries.push(&format!("http://dead/{n}"), message("x"));
    }
    until("all have failed once", || receivers.seen().len() >= dead).await;
    receivers.set(|state| state.hanging = Some("http://dead"));
    let hung = receivers.seen().len();
    until("as many as may hang do", || receivers.seen().len() >= hung.max(dead + 8)).await;
    deliveries.push("http://well", message("y"));
    until("and the one that works is told", || receivers.ids("http://well") == ["y"]).await;
    receivers.set(|state| state.hanging = None);
    deliveries.drain(WAIT).await;
}

#[tokio::test]
async fn a_dead_receiver_is_still_known_with_the_next_message() {
    let receivers = Arc::new(Receivers::default());
    let deliveries = Deliveries::new(Arc::clone(&receivers) as Arc<dyn Post>, Bounds { attempts: 1, ..BOUNDS });
    let dead = 40;
    let tell_the_dead = || {
        for n in 0..dead {
            deliveries.push(&format!("http://dead/{n}"), message("x"));
        }
    };
    receivers.set(|state| state.failures = dead);
    tell_the_dead();
    deliveries.drain(WAIT).await;
    receivers.set(|state| state.hanging = Some("http://dead"));
    tell_the_dead();
    until("as many as may hang do", || receivers.seen().len() == dead + 8).await;
    let begin = Instant::now();
    deliveries.push("http://well", message("y"));
    until("and the one that works is told", || receivers.ids("http://well") == ["y"]).await;
    assert!(begin.elapsed() < WAIT / 2, "not once the dead had let go");
    assert_eq!(receivers.seen().len(), dead + 9);
    receivers.set(|state| state.hanging = None);
    deliveries.drain(WAIT).await;
}

#[test]
fn waits_double_up_to_a_bound() {
    let bounds = Bounds::default();
    let seconds: Vec<u64> = (1..=8).map(|attempt| bounds.wait(attempt, 0.0).as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
    assert_eq!(bounds.wait(1, 1.0), Duration::from_millis(800));
    assert_eq!(bounds.wait(u32::MAX, 0.0), Duration::from_secs(30));
}

/// A manager over fake streams, and hooks that tell `receivers`.
async fn world(url: Option<&str>, receivers: &Arc<Receivers>) -> (Manager, Arc<FakeStreams>, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("tempdir");
    let store = Store::open(&format!("sqlite://{}", directory.path().join("t.db").display())).await.expect("opens");
    let streams = FakeStreams::new();
    let fakes = Arc::new(Fakes(Arc::clone(&streams)));
    let settings = Arc::new(Settings::default());
    let spawned = Manager::spawn_with(settings, store, fakes, crate::manager::Bounds::default()).await;
    let (manager, _) = spawned.expect("spawns");
    let webhook = Webhook { url: url.map(str::to_owned), ..Settings::default().webhook };
    let deliveries = Deliveries::new(Arc::clone(receivers) as Arc<dyn Post>, BOUNDS);
    tokio::spawn(Hooks::new(manager.clone(), webhook, deliveries).run(CancellationToken::new()));
    (manager, streams, directory)
}

async fn publish(manager: &Manager, id: &str) -> Publication {
    publish_saying(manager, id, &[]).await
}

async fn publish_saying(manager: &Manager, id: &str, said: &[(&str, &str)]) -> Publication {
    let request = PublishRequest {
        app: "live".to_owned(),
        stream: id.to_owned(),
        publish_type: PublishType::Srt,
        peer: "192.0.2.7:5000".parse().expect("address"),
        user_agent: None,
        meta: said.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    manager.publish(request).await.expect("published")
}

#[tokio::test]
async fn the_end_of_a_broadcast_that_is_deleted_is_told_where_its_start_was() {
    let receivers = Arc::new(Receivers::default());
    let (manager, streams, _directory) = world(Some("http://default"), &receivers).await;
    let fields = serde_json::json!({ "listenerHookURL": "http://own" });
    let new = NewBroadcast {
        app: "live".parse().expect("app"),
        id: Some("own".parse().expect("id")),
        fields: fields.as_object().expect("object").clone(),
        start: false,
        endpoints: Vec::new(),
    };
    let key = manager.create(new).await.expect("created").record.key;
    let mut publications = Vec::new();
    for (id, url) in [("own", "http://own"), ("other", "http://default")] {
        publications.push(publish(&manager, id).await);
        streams.last().set_live();
        until("the start", || receivers.ids(url).len() == 1).await;
    }
    manager.delete(key).await.expect("deleted");
    until("the end", || receivers.ids("http://own").len() == 2).await;
    assert_eq!(receivers.ids("http://default").len(), 1, "the other one goes on");
}

#[tokio::test]
async fn a_stream_that_never_had_data_has_neither_start_nor_end() {
    let receivers = Arc::new(Receivers::default());
    let (manager, streams, _directory) = world(Some("http://default"), &receivers).await;
    drop(publish(&manager, "empty").await);
    until("its end", || {
        manager.get(&StreamKey { app: "live".parse().expect("app"), id: "empty".parse().expect("id") }).is_none()
    })
    .await;
    let _other = publish(&manager, "other").await;
    streams.last().set_live();
    until("the start of the next", || !receivers.seen().is_empty()).await;
    assert_eq!(receivers.seen().len(), 1, "{:?}", receivers.seen());
}

#[tokio::test]
async fn what_the_publisher_says_is_told_where_nobody_set_it_also_at_its_end() {
    let receivers = Arc::new(Receivers::default());
    let (manager, streams, _directory) = world(Some("http://default"), &receivers).await;
    let said = [("streamName", "News"), ("mainTrack", "m"), ("subscriberId", "joe"), ("lang", "de")];
    let publication = publish_saying(&manager, "s", &said).await;
    streams.last().set_live();
    until("the start", || receivers.seen().len() == 1).await;
    assert!(manager.stop(StreamKey { app: "live".parse().expect("app"), id: "s".parse().expect("id") }).await);
    drop(publication);
    until("the end", || receivers.seen().len() == 2).await;
    let bodies = receivers.state.lock().unwrap_or_else(PoisonError::into_inner).bodies.clone();
    for body in bodies {
        let told: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let fields = ["streamName", "mainTrackId", "subscriberId", "metadata"].map(|name| told[name].clone());
        let metadata = serde_json::json!({ "subscriberId": "joe", "lang": "de" });
        assert_eq!(fields, ["News".into(), "m".into(), "joe".into(), metadata], "{body}");
    }
}
