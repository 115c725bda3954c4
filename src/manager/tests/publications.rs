//! Publications: who gets one, who ends it, and what hangs.

use super::*;

#[tokio::test]
async fn a_stream_goes_through_its_statuses() {
    let world = World::new().await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    assert_eq!(world.status("s"), Some("created"));
    let publication = world.publish("s").await;
    assert_eq!(world.status("s"), Some("preparing"));
    world.streams.last().set_live();
    assert_eq!(world.status("s"), Some("broadcasting"));
    assert_eq!(world.manager.count_broadcasting(&key("s").app), 1);
    drop(publication);
    until("finished", || world.status("s") == Some("finished")).await;
    let stream = world.streams.last();
    until("the close", || stream.is_closed()).await;
    assert_eq!(world.restarted().await.status("s"), Some("created"), "the store holds no history");
}

#[tokio::test]
async fn publishers_are_refused_for_the_named_reasons() {
    let world = World::new().await;
    let _publication = world.publish("s").await;
    for (app, id, wanted) in
        [("nope", "s", PublishRefusal::UnknownApp("nope".into())), ("live", "s", PublishRefusal::InUse(key("s")))]
    {
        assert_eq!(world.manager.check_publish(app, id), Err(wanted.clone()));
        assert_eq!(world.manager.publish(request(app, id)).await.map(drop), Err(wanted));
    }
    assert!(matches!(world.manager.check_publish("live", "a/b"), Err(PublishRefusal::BadStreamId { .. })));
    assert_eq!(world.manager.check_publish("live", "t"), Ok(key("t")));
    assert!(world.manager.check_publish("LiveApp", "s").is_ok(), "the same id in another application");
    world.manager.shutdown().await;
    assert_eq!(world.manager.check_publish("live", "t"), Err(PublishRefusal::ShuttingDown));
    assert_eq!(world.manager.publish(request("live", "t")).await.map(drop), Err(PublishRefusal::ShuttingDown));
}

#[tokio::test]
async fn a_silent_publisher_is_replaced_and_its_late_end_harms_nobody() {
    let world = World::new().await;
    let first = world.publish("s").await;
    let stream = world.streams.last();
    stream.set_silent_for(Duration::from_millis(DEAD_MS - 1));
    assert_eq!(world.manager.publish(request("live", "s")).await.map(drop), Err(PublishRefusal::InUse(key("s"))));
    stream.set_silent_for(Duration::from_millis(DEAD_MS));
    let second = world.publish("s").await;
    assert!(first.cancelled().is_cancelled(), "the first one is told to go");
    assert!(!stream.is_closed() && world.streams.all().len() == 1, "the stream goes on");
    assert_eq!(stream.publications(), (2, true));
    drop(first);
    // Whatever the late drop has set off has been done when every task had its turn and a later command
    // is answered.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world.manager.stop(key("nobody")).await;
    assert_eq!(world.status("s"), Some("preparing"));
    assert!(!second.cancelled().is_cancelled() && !stream.is_closed());
    assert_eq!(stream.publications(), (2, true));
}

#[tokio::test]
async fn a_close_that_hangs_delays_the_successor_only_so_long_and_nobody_else() {
    let world = World::with(BOUNDS).await;
    let first = world.publish("s").await;
    let stream = world.streams.last();
    stream.closes.forget_permits(FREE);
    drop(first);
    until("the end", || world.status("s").is_none()).await;
    let other = world.publish("other").await;
    let _second = world.publish("s").await;
    assert!(!stream.is_closed(), "it still hangs");
    drop(other);
}

#[tokio::test]
async fn a_start_that_hangs_is_given_up_and_closed_if_it_comes_after_all() {
    let world = World::with(BOUNDS).await;
    world.streams.starts.forget_permits(FREE);
    let refused = world.manager.publish(request("live", "s")).await.map(drop);
    assert!(matches!(refused, Err(PublishRefusal::Internal(_))), "{refused:?}");
    assert_eq!(world.status("s"), None, "nothing is left of it");
    world.streams.starts.add_permits(FREE);
    until("the late start", || !world.streams.all().is_empty()).await;
    let late = world.streams.last();
    until("its close", || late.is_closed()).await;
    drop(world.publish("s").await);
}

#[tokio::test]
async fn a_start_that_fails_is_told_and_leaves_nothing() {
    let world = World::new().await;
    *world.streams.failure.lock().expect("lock") = Some("no element".into());
    let refused = world.manager.publish(request("live", "s")).await.map(drop);
    assert_eq!(refused, Err(PublishRefusal::Internal("no element".into())));
    assert_eq!(world.status("s"), None);
}

#[tokio::test]
async fn a_publisher_that_leaves_while_it_starts_leaves_no_stream() {
    let world = World::new().await;
    world.streams.starts.forget_permits(FREE);
    let manager = world.manager.clone();
    let waiting = tokio::spawn(async move { manager.publish(request("live", "s")).await.map(drop) });
    until("the seat", || world.status("s").is_some()).await;
    waiting.abort();
    world.streams.starts.add_permits(FREE);
    until("the end", || world.status("s").is_none()).await;
    let stream = world.streams.last();
    until("the close", || stream.is_closed()).await;
}

#[tokio::test]
async fn stop_delete_and_a_failing_pipeline_end_a_publication() {
    let world = World::new().await;
    for id in ["stop", "delete", "fail", "starting"] {
        world.manager.create(new_broadcast(id)).await.expect("created");
    }
    let stop = world.publish("stop").await;
    assert!(world.manager.stop(key("stop")).await);
    assert!(stop.cancelled().is_cancelled() && world.streams.last().is_closed(), "closed before the answer");
    assert_eq!(world.status("stop"), Some("finished"));
    assert!(!world.manager.stop(key("stop")).await, "idle");
    assert!(!world.manager.stop(key("unknown")).await);

    let delete = world.publish("delete").await;
    assert_eq!(world.manager.delete(key("delete")).await.expect("deleted"), Deleted::Stopped);
    assert!(delete.cancelled().is_cancelled() && world.streams.last().is_closed());
    assert_eq!(world.status("delete"), None);
    assert!(matches!(world.manager.delete(key("delete")).await, Err(ManagerError::UnknownStream(_))));

    let fail = world.publish("fail").await;
    world.streams.last().session.cancel();
    until("the end", || world.status("fail") == Some("finished")).await;
    assert!(fail.cancelled().is_cancelled());

    // Stopped while it starts: the publisher is told, and nothing is left running.
    world.streams.starts.forget_permits(FREE);
    let manager = world.manager.clone();
    let starting = tokio::spawn(async move { manager.publish(request("live", "starting")).await.map(drop) });
    until("the seat", || world.status("starting") == Some("preparing")).await;
    let manager = world.manager.clone();
    let stopping = tokio::spawn(async move { manager.stop(key("starting")).await });
    until("the stop", || world.status("starting") != Some("preparing")).await;
    world.streams.starts.add_permits(FREE);
    assert!(within("the stop", stopping).await.expect("joins"));
    assert!(matches!(within("the publish", starting).await.expect("joins"), Err(PublishRefusal::Internal(_))));
    assert!(world.streams.all().iter().all(|stream| stream.is_closed()));
}

#[tokio::test]
async fn a_shutdown_ends_everything_within_its_bound() {
    let world = World::with(BOUNDS).await;
    let publications = [world.publish("a").await, world.publish("b").await];
    let hanging: Arc<FakeStream> = world.streams.last();
    assert_eq!(hanging.key, key("b"));
    hanging.closes.forget_permits(FREE);
    let begun = tokio::time::Instant::now();
    world.manager.shutdown().await;
    assert!(begun.elapsed() < WAIT, "a hanging stream holds it up no longer than the bound");
    assert!(world.streams.all()[0].is_closed() && !hanging.is_closed());
    assert!(publications.iter().all(|publication| publication.cancelled().is_cancelled()));
    assert!(!world.manager.is_accepting());
    assert!(matches!(world.manager.create(new_broadcast("c")).await, Err(ManagerError::ShuttingDown)));
    world.manager.shutdown().await;
}

#[tokio::test]
async fn a_source_that_is_pulled_keeps_its_stream_until_it_is_stopped() {
    let world = World::new().await;
    let is_wanted = |world: &World| world.manager.wanted_sources().borrow().contains_key(&key("s"));
    let publication = world.publish("s").await;
    let fields = serde_json::json!({ "type": "streamSource", "streamUrl": "http://192.0.2.1/x.ts" });
    let fields = fields.as_object().expect("object").clone();
    world.manager.update(key("s"), BroadcastChange { fields, endpoints: None }).await.expect("changed");
    world.manager.start_source(key("s")).await.expect("started");
    let endpoint = world.add("s", A).await.expect("added");
    drop(publication);
    until("its end", || world.status("s") == Some("preparing")).await;
    // Neither its last endpoint nor an empty list takes it away.
    world.manager.remove_endpoint(key("s"), endpoint).await.expect("removed");
    let nothing = BroadcastChange { endpoints: Some(Vec::new()), ..BroadcastChange::default() };
    world.manager.update(key("s"), nothing).await.expect("emptied");
    assert!(is_wanted(&world));

    let world = world.restarted().await;
    assert!(is_wanted(&world), "started again");
    assert!(world.manager.stop(key("s")).await);
    assert!(!is_wanted(&world));
    assert_eq!(world.status("s"), None, "nobody needs it any more");
    let world = world.restarted().await;
    assert_eq!(world.status("s"), None, "nor stores it");
}
