//! A stream whose publisher has left: who may go on with it, and what ends it.

use super::*;

/// Longer than any test.
const LONG_MS: u64 = 3_600_000;
/// Short enough to wait for.
const SHORT_MS: u64 = 300;

/// A world with one stream, held, that has had data.
async fn held(hold_ms: u64) -> (World, Arc<FakeStream>) {
    let world = World::holding(hold_ms, BOUNDS).await;
    let publication = world.publish("s").await;
    let stream = world.streams.last();
    stream.set_live();
    drop(publication);
    until("the hold", || world.manager.get(&key("s")).is_some_and(|view| view.held_until.is_some())).await;
    (world, stream)
}

#[tokio::test]
async fn a_stream_that_is_held_goes_on_with_the_next_publisher() {
    let (world, stream) = held(LONG_MS).await;
    let view = world.manager.get(&key("s")).expect("its record stays, though only a publisher made it");
    assert_eq!((view.status.as_str(), view.live.is_none()), ("preparing", true));
    assert!(view.held_until.is_some_and(|until| until > std::time::SystemTime::now()));
    assert_eq!(stream.publications(), (1, false), "nobody may send");
    assert_eq!(world.manager.totals().streams, 0);

    assert_eq!(world.manager.check_publish("live", "s"), Ok(key("s")));
    let second = world.publish("s").await;
    assert_eq!(stream.publications(), (2, true));
    assert_eq!(world.manager.publish(request("live", "s")).await.map(drop), Err(PublishRefusal::InUse(key("s"))));
    let view = world.manager.get(&key("s")).expect("view");
    assert!(view.live.is_some() && view.held_until.is_none());
    stream.set_live();
    assert_eq!(world.status("s"), Some("broadcasting"));
    assert_eq!((world.streams.all().len(), stream.is_closed()), (1, false));
    drop(second);
    until("the next hold", || stream.publications() == (2, false)).await;
}

#[tokio::test]
async fn a_publisher_that_comes_before_the_news_of_the_last_ones_leave_is_let_in() {
    let world = World::holding(LONG_MS, BOUNDS).await;
    let mut publication = world.publish("s").await;
    let stream = world.streams.last();
    for round in 2..50 {
        stream.set_live();
        drop(publication);
        // At once: nothing of the manager has had its turn.
        assert_eq!(world.manager.check_publish("live", "s"), Ok(key("s")));
        publication = world.publish("s").await;
        assert_eq!(stream.publications(), (round, true));
    }
    assert_eq!((world.streams.all().len(), stream.is_closed()), (1, false));
}

#[tokio::test]
async fn a_stream_that_nobody_comes_back_to_ends_and_the_next_publisher_starts_another() {
    let (world, stream) = held(SHORT_MS).await;
    until("its end", || world.status("s").is_none()).await;
    until("its close", || stream.is_closed()).await;
    let _next = world.publish("s").await;
    assert_eq!(world.streams.all().len(), 2);
}

#[tokio::test]
async fn a_publisher_that_sends_nothing_prolongs_no_hold() {
    let (world, stream) = held(SHORT_MS).await;
    let begin = std::time::Instant::now();
    // Each comes back at once and sends nothing.
    while !stream.is_closed() {
        assert!(begin.elapsed() < WAIT, "held for ever");
        drop(world.publish("s").await);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let fresh = World::holding(LONG_MS, BOUNDS).await;
    drop(fresh.publish("s").await);
    until("a stream that never had data ends at once", || fresh.status("s").is_none()).await;
}

#[tokio::test]
async fn stop_delete_failure_and_shutdown_end_a_hold_at_once() {
    let (world, stream) = held(LONG_MS).await;
    assert!(world.manager.stop(key("s")).await);
    assert!(stream.is_closed() && world.status("s").is_none());

    let (world, stream) = held(LONG_MS).await;
    assert_eq!(world.manager.delete(key("s")).await.expect("deleted"), Deleted::Stopped);
    assert!(stream.is_closed() && world.status("s").is_none());

    let (world, stream) = held(LONG_MS).await;
    stream.session.cancel();
    until("the close", || stream.is_closed() && world.status("s").is_none()).await;
    let _next = world.publish("s").await;

    let (world, stream) = held(LONG_MS).await;
    world.manager.shutdown().await;
    assert!(stream.is_closed());
}

#[tokio::test]
async fn a_stream_that_is_stopped_or_fails_under_its_publisher_is_not_held() {
    let world = World::holding(LONG_MS, BOUNDS).await;
    for fails in [false, true] {
        let publication = world.publish("s").await;
        let stream = world.streams.last();
        stream.set_live();
        if fails {
            stream.session.cancel();
        } else {
            assert!(world.manager.stop(key("s")).await);
        }
        within("the publisher is told", publication.cancelled().cancelled()).await;
        drop(publication);
        until("the end", || stream.is_closed() && world.status("s").is_none()).await;
    }
}

#[tokio::test]
async fn endpoints_come_and_go_during_a_hold() {
    let (world, stream) = held(LONG_MS).await;
    let id = world.add("s", A).await.expect("added");
    assert_eq!(stream.running(), [format!("{id} {A}")]);
    world.manager.remove_endpoint(key("s"), id).await.expect("removed");
    assert!(stream.running().is_empty());
    world.add("s", B).await.expect("added");
    let _second = world.publish("s").await;
    assert_eq!(stream.running().len(), 1, "and stay for the next publisher");
}

#[tokio::test]
async fn the_last_publication_may_outlive_the_manager() {
    let world = World::holding(LONG_MS, BOUNDS).await;
    let publication = world.publish("s").await;
    let stream = world.streams.last();
    stream.set_live();
    world.manager.shutdown().await;
    drop(publication);
    assert!(stream.is_closed());
}
