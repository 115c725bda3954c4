//! Listeners over a manager with fake streams: what they hear, in which order, and what becomes of slow ones.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::mpsc;

use super::hub::{Hub, Join, REPLAY_MAX};
use super::listener::{self, QUEUE_MAX, Receiver, SLOW_MAX};
use super::*;
use crate::api::tests::World;
use crate::events::EventKind;
use crate::manager::{EndpointWish, Seen};
use crate::model::broadcast::BroadcastStatus;
use crate::model::ids::StreamKey;
use crate::model::source::SourceState;

/// A bound for everything a test waits for.
const WAIT: Duration = Duration::from_secs(10);

/// An event as a client reads it.
#[derive(Debug, Clone, PartialEq)]
struct Heard {
    id: String,
    name: String,
    data: Value,
}

/// Reads the framing: fields a line each, a blank line after each event.
fn read(text: &str) -> Vec<Heard> {
    let field = |block: &str, name: &str| {
        let prefix = format!("{name}: ");
        block.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
    };
    let events = text.split("\n\n").filter(|block| block.contains("data: "));
    events
        .map(|block| Heard {
            id: field(block, "id"),
            name: field(block, "event"),
            data: serde_json::from_str(&field(block, "data")).expect("JSON in one line"),
        })
        .collect()
}

struct Ear {
    receiver: Receiver,
    ahead: Vec<Heard>,
}

impl Ear {
    async fn next(&mut self) -> Option<Heard> {
        while self.ahead.is_empty() {
            let piece = tokio::time::timeout(WAIT, poll_fn(|context| self.receiver.poll(context))).await;
            let piece = piece.expect("something or the end comes")?.expect("no error");
            self.ahead = read(std::str::from_utf8(&piece).expect("UTF-8"));
        }
        Some(self.ahead.remove(0))
    }

    async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        while names.len() < count {
            names.push(self.next().await.expect("more").name);
        }
        names
    }
}

struct Room {
    world: World,
    joins: mpsc::Sender<Join>,
    stopping: CancellationToken,
}

impl Room {
    async fn new() -> Self {
        let world = World::new().await;
        let (joins, queue) = mpsc::channel(LISTENERS_MAX);
        let stopping = CancellationToken::new();
        let app = key("s").app;
        tokio::spawn(Hub::new(Some(app), world.manager.clone(), queue, stopping.clone()).run());
        Self { world, joins, stopping }
    }

    /// Somebody who listens.
    fn listen(&self, streams: &str, types: &str, seen: Option<&str>) -> Ear {
        let filter = Filter::parse(Some(streams), Some(types)).expect("a filter");
        let (listener, receiver) = listener::queue(filter, None, None);
        let joined = self.joins.try_send(Join { listener, seen: seen.map(str::to_owned) });
        joined.expect("the hub is there");
        Ear { receiver, ahead: Vec::new() }
    }

    fn publish(&self, id: &str, kind: EventKind) {
        self.world.manager.events().publish(key(id), kind);
    }
}

fn key(id: &str) -> StreamKey {
    StreamKey { app: "live".parse().expect("app"), id: id.parse().expect("id") }
}

/// All but the ticks.
const EVENTS: &str = "broadcast,stream,source,endpoint";

#[tokio::test]
async fn a_listener_hears_hello_and_then_what_happens_each_with_its_id() {
    let room = Room::new().await;
    let mut ear = room.listen("", EVENTS, None);
    let hello = ear.next().await.expect("hello");
    assert_eq!((hello.name.as_str(), &hello.data["resumed"]), ("hello", &Value::Bool(false)));
    let _publication = room.world.publish("s").await;
    room.world.streams.last().set_live();
    let mut ids = vec![hello.id];
    for (name, status) in
        [("broadcastCreated", None), ("streamPreparing", Some("preparing")), ("streamStarted", Some("broadcasting"))]
    {
        let event = ear.next().await.expect("more");
        assert_eq!((event.name.as_str(), event.data["streamId"].as_str()), (name, Some("s")));
        assert_eq!(event.data["status"].as_str(), status);
        ids.push(event.id);
    }
    let run = room.world.manager.events().run().to_owned();
    assert_eq!(ids, (0..4).map(|n| format!("{run}-{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_listens_to_all_applications_is_told_which_one_each_event_is_of() {
    let world = World::new().await;
    let (joins, queue) = mpsc::channel(LISTENERS_MAX);
    tokio::spawn(Hub::new(None, world.manager.clone(), queue, CancellationToken::new()).run());
    let room = Room { world, joins, stopping: CancellationToken::new() };
    let mut ear = room.listen("", "", None);
    let hello = ear.next().await.expect("hello");
    assert_eq!(hello.data["app"], Value::Null);
    let elsewhere = StreamKey { app: "LiveApp".parse().expect("app"), ..key("t") };
    room.world.manager.events().publish(elsewhere, EventKind::StreamStarted);
    let _publication = room.world.publish("s").await;
    let mut told = Vec::new();
    let tick = loop {
        let event = ear.next().await.expect("more");
        if event.name != "statistics" {
            told.push(format!("{} {}", event.name, event.data["app"].as_str().unwrap_or("none")));
        } else if event.data["streams"] != serde_json::json!([]) {
            break event;
        }
    };
    assert_eq!(told, ["streamStarted LiveApp", "broadcastCreated live", "streamPreparing live"]);
    assert_eq!((&tick.data["streams"][0]["app"], &tick.data["streams"][0]["streamId"]), (&"live".into(), &"s".into()));
}

#[tokio::test]
async fn who_comes_back_hears_exactly_what_was_missed() {
    let room = Room::new().await;
    let mut first = room.listen("", EVENTS, None);
    assert_eq!(first.names(1).await, ["hello"]);
    room.publish("s", EventKind::StreamPreparing);
    assert_eq!(first.names(1).await, ["streamPreparing"]);
    let mut first = room.listen("", EVENTS, None);
    let seen = first.next().await.expect("hello").id;
    drop(first);
    for kind in [EventKind::StreamStarted, EventKind::StreamEnded { started: true, status: BroadcastStatus::Finished }]
    {
        room.publish("s", kind);
    }
    let mut back = room.listen("", EVENTS, Some(&seen));
    let hello = back.next().await.expect("hello");
    assert_eq!(
        (hello.name.as_str(), &hello.data["resumed"], hello.id.as_str()),
        ("hello", &Value::Bool(true), seen.as_str())
    );
    assert_eq!(back.names(2).await, ["streamStarted", "streamEnded"]);
    room.publish("s", EventKind::StreamPreparing);
    assert_eq!(back.names(1).await, ["streamPreparing"]);
}

#[tokio::test]
async fn what_cannot_be_made_good_is_told_as_a_gap() {
    let room = Room::new().await;
    let run = room.world.manager.events().run().to_owned();
    for (seen, reason) in [("x", "unknown"), ("earlier1-7", "restarted"), (&format!("{run}-9999"), "forgotten")] {
        let mut ear = room.listen("", EVENTS, Some(seen));
        assert_eq!(ear.names(1).await, ["hello"], "{seen}");
        let gap = ear.next().await.expect("a gap");
        assert_eq!((gap.name.as_str(), gap.data["reason"].as_str()), ("gap", Some(reason)));
        assert_eq!(gap.data["read"], "/live/rest/v2/broadcasts/list/0/50");
    }
    for _ in 0..crate::events::KEPT_EVENTS_MAX + 1 {
        room.publish("s", EventKind::StreamPreparing);
    }
    let mut ear = room.listen("", EVENTS, Some(&format!("{run}-0")));
    assert_eq!(ear.names(2).await, ["hello", "gap"]);
}

#[tokio::test]
async fn of_an_endpoint_that_changed_often_its_record_comes_once_with_the_last_change() {
    let room = Room::new().await;
    let manager = &room.world.manager;
    let run = manager.events().run().to_owned();
    let _publication = room.world.publish("s").await;
    for port in [9000, 9001] {
        let url = crate::model::srt_url::SrtUrl::parse(&format!("srt://192.0.2.1:{port}")).expect("url");
        let id = format!("e{port}").parse().expect("id");
        manager.add_endpoint(key("s"), Some(id), url).await.expect("added");
    }
    for label in ["one", "two"] {
        let record = manager.endpoint(&key("s"), "e9000").and_then(|view| view.record).expect("there");
        let wish = EndpointWish { label: Some(label.to_owned()), ..EndpointWish::of(&record) };
        manager.change_endpoint(key("s"), record.id, Seen::Revision(record.revision), wish).await.expect("changed");
    }
    let mut ear = room.listen("", "endpointAdded,endpointChanged", Some(&format!("{run}-0")));
    ear.next().await.expect("hello");
    let mut told = Vec::new();
    for _ in 0..4 {
        let Heard { name, data, .. } = ear.next().await.expect("more");
        let label = data.get("endpoint").map(|endpoint| endpoint["label"].as_str().unwrap_or("none").to_owned());
        told.push((name, data["endpointId"].as_str().expect("an id").to_owned(), label));
    }
    let wanted = [
        ("endpointAdded", "e9000", None),
        ("endpointAdded", "e9001", Some("none")),
        ("endpointChanged", "e9000", None),
        ("endpointChanged", "e9000", Some("two")),
    ];
    let wanted = wanted.map(|(name, id, label)| (name.to_owned(), id.to_owned(), label.map(str::to_owned)));
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn who_missed_more_than_is_told_in_one_piece_reads_everything_anew() {
    const PIECE: usize = 64 * 1024;
    let room = Room::new().await;
    let run = room.world.manager.events().run().to_owned();
    let failure = crate::model::source::SourceFailure {
        cause: "x".repeat(PIECE),
        phase: "connect",
        attempt: 1,
        since: std::time::SystemTime::now(),
        next_retry_at: None,
    };
    let fail = || room.publish("s", EventKind::Source(SourceState::Waiting, Some(failure.clone())));
    let fitting = REPLAY_MAX / PIECE - 1;
    (0..fitting).for_each(|_| fail());
    let mut ear = room.listen("", EVENTS, Some(&format!("{run}-0")));
    let hello = ear.next().await.expect("hello");
    assert_eq!(hello.data["resumed"], Value::Bool(true));
    assert_eq!(ear.names(fitting).await, vec!["sourceState"; fitting]);
    fail();
    assert_eq!(ear.names(1).await, ["sourceState"], "as it happens");
    let mut ear = room.listen("", EVENTS, Some(&format!("{run}-0")));
    let hello = ear.next().await.expect("hello");
    let gap = ear.next().await.expect("a gap");
    assert_eq!((&hello.data["resumed"], gap.name.as_str()), (&Value::Bool(false), "gap"));
    assert_eq!((&gap.data["reason"], gap.id), (&"tooMuch".into(), format!("{run}-{}", fitting + 1)));
}

#[tokio::test]
async fn only_what_is_asked_for_is_heard() {
    let room = Room::new().await;
    let mut one = room.listen("a", "streamStarted", None);
    let mut other_app = room.listen("", EVENTS, None);
    assert_eq!((one.names(1).await, other_app.names(1).await), (vec!["hello".to_owned()], vec!["hello".to_owned()]));
    let elsewhere = StreamKey { app: "LiveApp".parse().expect("app"), ..key("a") };
    room.world.manager.events().publish(elsewhere, EventKind::StreamStarted);
    for (id, kind) in
        [("b", EventKind::StreamStarted), ("a", EventKind::StreamPreparing), ("a", EventKind::StreamStarted)]
    {
        room.publish(id, kind);
    }
    let event = one.next().await.expect("its event");
    assert_eq!((event.name.as_str(), event.data["streamId"].as_str()), ("streamStarted", Some("a")));
    assert_eq!(other_app.names(3).await, ["streamStarted", "streamPreparing", "streamStarted"]);
}

#[tokio::test]
async fn a_listener_that_takes_nothing_is_let_go_and_the_others_hear_everything() {
    let room = Room::new().await;
    let mut slow = room.listen("", EVENTS, None);
    let mut quick = room.listen("", EVENTS, None);
    assert_eq!((slow.names(1).await, quick.names(1).await), (vec!["hello".to_owned()], vec!["hello".to_owned()]));
    for _ in 0..2 * QUEUE_MAX {
        room.publish("s", EventKind::StreamPreparing);
        assert_eq!(quick.names(1).await, ["streamPreparing"]);
    }
    let mut heard = 0;
    while slow.next().await.is_some() {
        heard += 1;
    }
    assert_eq!(heard, QUEUE_MAX, "what had room, and then the end");
}

#[tokio::test]
async fn a_tick_a_second_has_the_numbers_and_waits_for_nobody() {
    let room = Room::new().await;
    let _publication = room.world.publish("s").await;
    let url = crate::model::srt_url::SrtUrl::parse("srt://192.0.2.1:9000").expect("url");
    room.world.manager.add_endpoint(key("s"), None, url).await.expect("added");
    room.world.streams.last().set_live();
    let mut all = room.listen("", "statistics", None);
    let mut other = room.listen("other", "statistics", None);
    let hello = all.next().await.expect("hello");
    let tick = all.next().await.expect("at once");
    assert_eq!((tick.name.as_str(), &tick.id), ("statistics", &hello.id));
    let stream = &tick.data["streams"][0];
    assert_eq!((stream["streamId"].as_str(), stream["status"].as_str()), (Some("s"), Some("broadcasting")));
    assert_eq!(stream["endpoints"][0]["state"], "broadcasting");
    assert_eq!(stream["endpoints"][0]["sentBytes"], 0);
    let begin = std::time::Instant::now();
    let next = all.next().await.expect("the next");
    let at = |event: &Heard| event.data["at"].as_i64().expect("a time");
    assert!(at(&next) - at(&tick) > 500 && begin.elapsed() < WAIT, "a second, from the first one on");
    other.next().await.expect("hello");
    assert_eq!(other.next().await.expect("a tick").data["streams"], serde_json::json!([]));
}

#[tokio::test]
async fn a_tick_that_is_not_taken_is_not_followed_by_others_and_in_the_end_costs_the_connection() {
    let (mut listener, mut receiver) = listener::queue(Filter::default(), None, None);
    let begin = Instant::now();
    assert!(listener.tick(begin, || "1".into()));
    assert!(listener.tick(begin + SLOW_MAX, || "2".into()), "left out, as the first one waits");
    let piece = poll_fn(|context| receiver.poll(context)).await.expect("a piece").expect("no error");
    assert_eq!(&piece[..], b"1");
    assert!(listener.tick(begin + SLOW_MAX, || "3".into()));
    assert!(!listener.tick(begin + 2 * SLOW_MAX + Duration::from_millis(1), || "4".into()), "it has taken nothing");
}

#[tokio::test]
async fn the_end_of_the_service_ends_the_streams() {
    let room = Room::new().await;
    let mut ear = room.listen("", EVENTS, None);
    assert_eq!(ear.names(1).await, ["hello"]);
    room.stopping.cancel();
    assert_eq!(ear.next().await, None);
}

#[tokio::test]
async fn there_is_room_for_so_many_and_a_503_for_the_next() {
    let world = World::new().await;
    let places = Arc::clone(&world.state.events.places);
    let taken = places.acquire_many(u32::try_from(LISTENERS_MAX).expect("few")).await.expect("all");
    let answer = world.get("/live/rest/v2/events").await;
    assert_eq!((answer.status, answer.headers.get("Retry-After").is_some()), (503, true), "{}", answer.text);
    assert_eq!(answer.json()["status"], 503);
    drop(taken);
    let head = world.call("HEAD", "/live/rest/v2/events", None).await;
    assert_eq!(
        (head.status, head.headers.get("Content-Type").and_then(|kind| kind.to_str().ok())),
        (200, Some("text/event-stream"))
    );
    let wrong = world.get("/live/rest/v2/events?types=x").await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert_eq!(world.get("/nothing/rest/v2/events").await.status, 404);
}
