//! What is told of streams: everything once, in an order that makes sense, whatever ends them.

use super::*;
use crate::events::EventKind;
use crate::model::ids::EndpointId;
use crate::model::source::SourceState;

/// Longer than any test.
const LONG_MS: u64 = 3_600_000;

/// All that was told so far, as words; steps of endpoints with their state.
fn told(world: &World) -> Vec<String> {
    let word = |kind: &EventKind| match kind {
        EventKind::BroadcastCreated => "created".to_owned(),
        EventKind::BroadcastChanged => "changed".to_owned(),
        EventKind::BroadcastDeleted => "deleted".to_owned(),
        EventKind::StreamPreparing => "preparing".to_owned(),
        EventKind::StreamStarted => "started".to_owned(),
        EventKind::StreamHeld { .. } => "held".to_owned(),
        EventKind::StreamResumed => "resumed".to_owned(),
        EventKind::StreamEnded { started: true, .. } => "ended".to_owned(),
        EventKind::StreamEnded { started: false, .. } => "ended unstarted".to_owned(),
        EventKind::Source(state, failure) => {
            format!("source {} {}", state.as_str(), failure.as_ref().map_or("", |failure| failure.cause.as_str()))
        }
        EventKind::EndpointAdded(_) => "endpoint added".to_owned(),
        EventKind::EndpointChanged(_) => "endpoint changed".to_owned(),
        EventKind::EndpointRemoved(_) => "endpoint removed".to_owned(),
        EventKind::Endpoint(_, step) => format!("endpoint {}", step.state),
    };
    world.manager.events().subscribe(Some(0)).missed.iter().map(|event| word(&event.kind)).collect()
}

async fn until_told(world: &World, wanted: &[&str]) {
    let begin = std::time::Instant::now();
    while told(world) != wanted {
        assert!(begin.elapsed() < WAIT, "{:?} instead of {wanted:?}", told(world));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_stream_is_told_from_its_publisher_to_its_end() {
    let world = World::holding(LONG_MS, BOUNDS).await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    world.add("s", A).await.expect("added");
    let first = world.publish("s").await;
    let stream = world.streams.last();
    stream.set_live();
    let mut wanted = vec!["created", "endpoint added", "preparing", "endpoint broadcasting", "started"];
    until_told(&world, &wanted).await;
    drop(first);
    wanted.push("held");
    until_told(&world, &wanted).await;
    let second = world.publish("s").await;
    stream.set_live();
    wanted.extend(["preparing", "resumed"]);
    until_told(&world, &wanted).await;
    assert!(world.manager.stop(key("s")).await);
    wanted.extend(["ended", "endpoint finished"]);
    until_told(&world, &wanted).await;
    drop(second);
    world.manager.delete(key("s")).await.expect("deleted");
    wanted.push("deleted");
    until_told(&world, &wanted).await;
}

#[tokio::test]
async fn a_publisher_without_data_starts_nothing() {
    let world = World::holding(LONG_MS, BOUNDS).await;
    drop(world.publish("s").await);
    until_told(&world, &["created", "preparing", "ended unstarted", "deleted"]).await;
}

#[tokio::test]
async fn whatever_ends_a_stream_ends_it_once() {
    let begin = ["created", "preparing", "started"];
    for (how, end) in [
        ("stop", &["ended", "deleted"][..]),
        ("delete", &["ended", "deleted"]),
        ("fail", &["ended", "deleted"]),
        ("shutdown", &["ended"]),
    ] {
        let world = World::holding(LONG_MS, BOUNDS).await;
        let publication = world.publish("s").await;
        let stream = world.streams.last();
        stream.set_live();
        until_told(&world, &begin).await;
        match how {
            "stop" => assert!(world.manager.stop(key("s")).await),
            "delete" => drop(world.manager.delete(key("s")).await.expect("deleted")),
            "fail" => stream.session.cancel(),
            _ => world.manager.shutdown().await,
        }
        drop(publication);
        until("the close", || stream.is_closed()).await;
        let wanted = [&begin[..], end].concat();
        until_told(&world, &wanted).await;
        // The manager has had its turn for all that the end has left behind.
        let _ = world.manager.create(new_broadcast("other")).await;
        let rest = if how == "shutdown" { &[][..] } else { &["created"] };
        assert_eq!(told(&world), [&wanted[..], rest].concat(), "{how}");
    }
}

#[tokio::test]
async fn every_start_has_one_end_however_publishers_come_and_go() {
    let world = World::with(BOUNDS).await;
    for round in 0..40 {
        let publication = world.publish("s").await;
        let stream = world.streams.last();
        if round % 3 != 0 {
            stream.set_live();
        }
        if round % 4 == 0 {
            let begun = told(&world).len();
            // Some are seen to start, others leave at once.
            until("the start", || {
                round % 3 == 0 || told(&world).len() > begun || told(&world).ends_with(&["started".to_owned()])
            })
            .await;
        }
        drop(publication);
    }
    until("the last end", || world.status("s").is_none()).await;
    let told = told(&world);
    let (mut runs, mut started) = (0, false);
    let mut open = false;
    for word in &told {
        match word.as_str() {
            "preparing" => {
                assert!(!open, "{told:?}");
                (open, started, runs) = (true, false, runs + 1);
            }
            "started" => {
                assert!(open && !started, "{told:?}");
                started = true;
            }
            "ended" | "ended unstarted" => {
                assert!(open && started == (word == "ended"), "{told:?}");
                open = false;
            }
            "created" | "deleted" => assert!(!open, "{told:?}"),
            other => panic!("{other}: {told:?}"),
        }
    }
    assert!(!open && runs == 40, "{runs}: {told:?}");
}

#[tokio::test]
async fn a_silent_publisher_that_is_replaced_ends_nothing() {
    let world = World::holding(LONG_MS, BOUNDS).await;
    let _first = world.publish("s").await;
    let stream = world.streams.last();
    stream.set_live();
    until_told(&world, &["created", "preparing", "started"]).await;
    stream.set_silent_for(Duration::from_millis(DEAD_MS + 1));
    let _second = world.publish("s").await;
    stream.set_live();
    until_told(&world, &["created", "preparing", "started", "preparing", "resumed"]).await;
}

#[tokio::test]
async fn changes_of_records_are_told_with_what_has_changed() {
    let world = World::with(BOUNDS).await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    let id = world.add("s", A).await.expect("added");
    let fields = serde_json::json!({ "name": "n" }).as_object().expect("object").clone();
    let change = BroadcastChange { fields: fields.clone(), endpoints: None };
    world.manager.update(key("s"), change.clone()).await.expect("changed");
    world.manager.update(key("s"), change).await.expect("the same again, which is no news");
    let wanted = WantedEndpoint { id: None, url: B.to_owned() };
    world
        .manager
        .update(key("s"), BroadcastChange { endpoints: Some(vec![wanted]), ..BroadcastChange::default() })
        .await
        .expect("replaced");
    assert_eq!(told(&world), ["created", "endpoint added", "changed", "endpoint removed", "endpoint added"], "{id}");
}

#[tokio::test]
async fn a_source_tells_its_steps_and_not_its_speed() {
    let world = World::with(BOUNDS).await;
    let fields = serde_json::json!({ "type": "streamSource", "streamUrl": "http://192.0.2.1/x.ts" });
    let fields = fields.as_object().expect("object").clone();
    world.manager.create(NewBroadcast { fields, start: true, ..new_broadcast("s") }).await.expect("created");
    let source = world.manager.wanted_sources().borrow().get(&key("s")).cloned().expect("wanted");
    let failure = |attempt| SourceFailure {
        cause: "gone".to_owned(),
        phase: "connect",
        attempt,
        since: std::time::SystemTime::now(),
        next_retry_at: None,
    };
    source.report.update(|status| (status.state, status.failure) = (SourceState::Waiting, Some(failure(1))));
    source.report.update(|status| status.state = SourceState::Connecting);
    source.report.update(|status| (status.state, status.failure) = (SourceState::Receiving, None));
    source.report.update(|status| status.speed = 0.98);
    assert!(world.manager.stop(key("s")).await);
    let wanted = [
        "created",
        "source connecting ",
        "source waiting gone",
        "source connecting gone",
        "source receiving ",
        "changed",
    ];
    assert_eq!(told(&world), wanted);
}

#[tokio::test]
async fn endpoints_of_a_new_broadcast_are_told_behind_it() {
    let world = World::with(BOUNDS).await;
    let endpoints = [A, B].map(|url| WantedEndpoint { id: None, url: url.to_owned() }).into();
    world.manager.create(NewBroadcast { endpoints, ..new_broadcast("s") }).await.expect("created");
    assert_eq!(told(&world), ["created", "endpoint added", "endpoint added"]);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_changed_when_it_is_replaced_and_removed_when_it_is_left_out() {
    let world = World::with(BOUNDS).await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    let (one, two): (EndpointId, EndpointId) = ("one".parse().expect("id"), "two".parse().expect("id"));
    for (id, url) in [(&one, A), (&two, B)] {
        let url = SrtUrl::parse(url).expect("url");
        world.manager.add_endpoint(key("s"), Some(id.clone()), url).await.expect("added");
    }
    world.manager.shutdown().await;
    let store = Store::open(&format!("sqlite://{}", world.path.display())).await.expect("opens");
    store.execute("UPDATE endpoints SET tracks = 'subtitles'").await;
    store.close().await;
    let world = world.restarted().await;
    let wish = EndpointWish::plain(SrtUrl::parse(A).expect("url"));
    world.manager.change_endpoint(key("s"), one, Seen::Unreadable, wish).await.expect("replaced");
    assert_eq!(told(&world), ["endpoint changed"]);
    let list = vec![WantedEndpoint { id: Some("one".to_owned()), url: A.to_owned() }];
    let change = BroadcastChange { endpoints: Some(list), ..BroadcastChange::default() };
    world.manager.update(key("s"), change).await.expect("changed");
    assert_eq!(told(&world), ["endpoint changed", "endpoint removed"]);
}

#[tokio::test]
async fn a_status_that_is_told_is_the_one_that_is_shown() {
    for hold_ms in [0, LONG_MS] {
        let world = World::holding(hold_ms, BOUNDS).await;
        let fields = serde_json::json!({ "type": "streamSource", "streamUrl": "http://192.0.2.1/x.ts" });
        let fields = fields.as_object().expect("object").clone();
        world.manager.create(NewBroadcast { fields, start: true, ..new_broadcast("s") }).await.expect("created");
        let source = world.manager.wanted_sources().borrow().get(&key("s")).cloned().expect("wanted");
        source.report.update(|status| status.state = SourceState::Waiting);
        // Somebody else publishes under the name of a source that does not come in, and leaves.
        let publication = world.publish("s").await;
        world.streams.last().set_live();
        until("it flows", || told(&world).ends_with(&["started".to_owned()])).await;
        drop(publication);
        let last = || match world.manager.events().subscribe(Some(0)).missed.last().map(|last| last.kind.clone()) {
            Some(EventKind::StreamHeld { status, .. } | EventKind::StreamEnded { status, .. }) => Some(status.as_str()),
            _ => None,
        };
        until("its end", || last().is_some()).await;
        assert_eq!((last(), world.status("s")), (Some("error"), Some("error")), "held for {hold_ms} ms");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_switched_on_beside_an_ended_stream_is_told_as_it_is_shown() {
    let world = World::with(BOUNDS).await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    let id: EndpointId = world.add("s", A).await.expect("added").parse().expect("id");
    for (published, state) in [(false, "idle"), (true, "finished")] {
        if published {
            let publication = world.publish("s").await;
            let stream = world.streams.last();
            stream.set_live();
            drop(publication);
            until("the end", || world.status("s") == Some("finished") && stream.is_closed()).await;
        }
        for enabled in [false, true] {
            let record = world.manager.endpoint(&key("s"), id.as_str()).and_then(|view| view.record).expect("there");
            let (seen, wish) = (Seen::Revision(record.revision), EndpointWish { enabled, ..EndpointWish::of(&record) });
            world.manager.change_endpoint(key("s"), id.clone(), seen, wish).await.expect("switched");
        }
        let shown = world.manager.endpoint(&key("s"), id.as_str()).expect("there").state;
        let told = told(&world);
        let told = told.last().and_then(|word| word.strip_prefix("endpoint "));
        assert_eq!((told, shown.as_str()), (Some(state), state));
    }
}
