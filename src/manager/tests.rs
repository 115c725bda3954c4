//! The manager over fake streams and a real store: who may publish, what runs, what stays.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::fake::{FREE, FakeStream, FakeStreams, Shared as Fakes};
use super::*;
use crate::model::srt_url::SrtUrl;

/// A bound for everything a test waits for.
const WAIT: Duration = Duration::from_secs(10);
const DEAD_MS: u64 = 5_000;
/// Short enough to run into, long enough for a busy machine's database.
const BOUND: Duration = Duration::from_millis(300);
/// Every wait is bounded by [`BOUND`], but where a test says otherwise.
const BOUNDS: Bounds = Bounds {
    predecessor: BOUND,
    start: BOUND,
    close: BOUND,
    answer: BOUND,
    shutdown_streams: BOUND,
    shutdown_store: WAIT,
};

pub(super) struct World {
    pub(super) manager: Manager,
    pub(super) streams: Arc<FakeStreams>,
    path: PathBuf,
    _directory: Option<tempfile::TempDir>,
}

impl World {
    async fn new() -> Self {
        Self::with(Bounds::default()).await
    }

    async fn with(bounds: Bounds) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("test.db");
        Self { _directory: Some(directory), ..Self::at(&path, bounds).await }
    }

    async fn at(path: &Path, bounds: Bounds) -> Self {
        let store = Store::open(&format!("sqlite://{}", path.display())).await.expect("opens");
        let mut settings = Settings::default();
        settings.stream.dead_publisher_ms = DEAD_MS;
        let streams = FakeStreams::new();
        let (manager, _) =
            Manager::spawn_with(Arc::new(settings), store, Arc::new(Fakes(Arc::clone(&streams))), bounds)
                .await
                .expect("spawns");
        Self { manager, streams, path: path.to_owned(), _directory: None }
    }

    async fn publish(&self, id: &str) -> Publication {
        self.manager.publish(request("live", id)).await.expect("published")
    }

    async fn add(&self, id: &str, url: &str) -> Result<String, ManagerError> {
        let url = SrtUrl::parse(url).expect("url");
        self.manager.add_endpoint(key(id), None, url).await.map(|endpoint| endpoint.id.to_string())
    }

    fn status(&self, id: &str) -> Option<&'static str> {
        self.manager.get(&key(id)).map(|view| view.status.as_str())
    }

    /// The same database under a new manager, after a clean end of this one.
    async fn restarted(&self) -> Self {
        self.manager.shutdown().await;
        Self::at(&self.path, Bounds::default()).await
    }
}

fn key(id: &str) -> StreamKey {
    StreamKey { app: "live".parse().expect("app"), id: id.parse().expect("id") }
}

fn request(app: &str, id: &str) -> PublishRequest {
    PublishRequest {
        app: app.to_owned(),
        stream: id.to_owned(),
        publish_type: PublishType::Srt,
        peer: "192.0.2.7:5000".parse().expect("address"),
        user_agent: None,
        meta: Vec::new(),
    }
}

fn new_broadcast(id: &str) -> NewBroadcast {
    NewBroadcast {
        app: "live".parse().expect("app"),
        id: Some(id.parse().expect("id")),
        fields: serde_json::Map::new(),
        endpoints: Vec::new(),
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, future).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

const A: &str = "srt://192.0.2.1:9000?passphrase=0123456789";
const B: &str = "srt://192.0.2.2:9000";

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
    assert!(first.cancelled().is_cancelled() && stream.is_closed(), "the first one is over before the second starts");
    drop(first);
    // Whatever the late drop has set off has been done when every task had its turn and a later command
    // is answered.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world.manager.stop(key("nobody")).await;
    assert_eq!(world.status("s"), Some("preparing"));
    assert!(!second.cancelled().is_cancelled() && !world.streams.last().is_closed());
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
    world.streams.last().publication.cancel();
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
async fn endpoints_start_and_stop_with_the_stream_and_while_it_runs() {
    let world = World::new().await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    let a = world.add("s", A).await.expect("added");
    assert!(matches!(world.add("s", A).await, Err(ManagerError::DuplicateUrl { .. })));
    assert!(matches!(world.add("unknown", A).await, Err(ManagerError::UnknownStream(_))));
    let _publication = world.publish("s").await;
    let stream = world.streams.last();
    assert_eq!(stream.running(), [format!("{a} {A}")], "started with the record's");
    let b = world.add("s", B).await.expect("added");
    assert_eq!(stream.running().len(), 2);
    world.manager.remove_endpoint(key("s"), a.clone()).await.expect("removed");
    assert_eq!(stream.running(), [format!("{b} {B}")], "closed before the answer");
    let again = world.manager.remove_endpoint(key("s"), a).await;
    assert!(matches!(again, Err(ManagerError::UnknownEndpoint(_))));
}

#[tokio::test]
async fn endpoints_that_come_and_go_while_it_starts_are_right_afterwards() {
    let world = World::new().await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    let a = world.add("s", A).await.expect("added");
    world.streams.starts.forget_permits(FREE);
    let manager = world.manager.clone();
    let starting = tokio::spawn(async move { manager.publish(request("live", "s")).await });
    until("the seat", || world.status("s") == Some("preparing")).await;
    let b = world.add("s", B).await.expect("added");
    world.manager.remove_endpoint(key("s"), a).await.expect("removed");
    world.streams.starts.add_permits(FREE);
    let _publication = within("the start", starting).await.expect("joins").expect("published");
    let stream = world.streams.last();
    until("the difference", || stream.running() == [format!("{b} {B}")]).await;
}

#[tokio::test]
async fn an_endpoint_on_a_stream_nobody_created_persists_and_goes_with_its_removal() {
    let world = World::new().await;
    let publication = world.publish("s").await;
    let a = world.add("s", A).await.expect("added");
    drop(publication);
    until("finished", || world.status("s") == Some("finished")).await;

    let world = world.restarted().await;
    assert_eq!(world.status("s"), Some("finished"), "only a publisher can have made it");
    let publication = world.publish("s").await;
    assert_eq!(world.streams.last().running(), [format!("{a} {A}")], "same id, same secret");
    world.manager.remove_endpoint(key("s"), a).await.expect("removed");
    assert_eq!(world.status("s"), Some("preparing"), "its publisher is there");
    drop(publication);
    until("the end", || world.status("s").is_none()).await;

    let publication = world.publish("s").await;
    let b = world.add("s", B).await.expect("added");
    drop(publication);
    until("finished", || world.status("s") == Some("finished")).await;
    world.manager.remove_endpoint(key("s"), b).await.expect("removed");
    assert_eq!(world.status("s"), None, "nothing needs it any more");
    assert_eq!(world.restarted().await.manager.totals(), Totals::default());
}

#[tokio::test]
async fn fifty_adds_and_removals_at_once_lose_nothing() {
    let world = World::new().await;
    let publication = world.publish("s").await;
    let adds = (0..50).map(|n| {
        let manager = world.manager.clone();
        let url = SrtUrl::parse(&format!("srt://192.0.2.1:{}", 9000 + n)).expect("url");
        tokio::spawn(
            async move { manager.add_endpoint(key("s"), None, url).await.map(|endpoint| endpoint.id.to_string()) },
        )
    });
    let mut ids = Vec::new();
    for add in adds.collect::<Vec<_>>() {
        ids.push(add.await.expect("joins").expect("added"));
    }
    let distinct: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 50);
    assert_eq!(world.streams.last().running().len(), 50);
    // Every second one goes again, while others are added.
    let mut changes = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let (manager, id) = (world.manager.clone(), id.clone());
        let url = SrtUrl::parse(&format!("srt://192.0.2.2:{}", 9000 + n)).expect("url");
        changes.push(tokio::spawn(async move {
            if n % 2 == 0 {
                manager.remove_endpoint(key("s"), id).await
            } else {
                manager.add_endpoint(key("s"), None, url).await.map(drop)
            }
        }));
    }
    for change in changes {
        change.await.expect("joins").expect("done");
    }
    let running = world.streams.last().running();
    assert_eq!(running.len(), 50);
    drop(publication);
    let world = world.restarted().await;
    let _publication = world.publish("s").await;
    assert_eq!(world.streams.last().running(), running, "the store holds the same");
}

fn wanted(id: &str, url: &str) -> WantedEndpoint {
    WantedEndpoint { id: Some(id.to_owned()), url: url.to_owned() }
}

async fn replace(world: &World, list: Vec<WantedEndpoint>) -> Result<(), ManagerError> {
    let change = BroadcastChange { endpoints: Some(list), ..BroadcastChange::default() };
    world.manager.update(key("s"), change).await
}

#[tokio::test]
async fn a_replaced_list_is_what_runs_and_what_is_stored() {
    let world = World::new().await;
    let publication = world.publish("s").await;
    replace(&world, vec![wanted("a", A), wanted("b", B)]).await.expect("replaced");
    let stream = world.streams.last();
    assert_eq!(stream.running(), [format!("a {A}"), format!("b {B}")]);
    // b keeps its id and changes its URL; a was read redacted and is sent back.
    let shown = world.manager.get(&key("s")).expect("there").endpoints[0].url.clone();
    assert_eq!(shown, "srt://192.0.2.1:9000?passphrase=***");
    replace(&world, vec![wanted("a", &shown), wanted("b", "srt://192.0.2.3:9000")]).await.expect("replaced");
    until("the change", || stream.running() == [format!("a {A}"), "b srt://192.0.2.3:9000".to_owned()]).await;
    // A bad entry takes nothing of the list.
    let refused = replace(&world, vec![wanted("c", "srt://192.0.2.4"), wanted("d", "rtmp://192.0.2.4")]).await;
    assert!(matches!(refused, Err(ManagerError::BadUrl(_))));
    assert_eq!(stream.running().len(), 2);
    drop(publication);
    let world = world.restarted().await;
    let _publication = world.publish("s").await;
    assert_eq!(world.streams.last().running(), [format!("a {A}"), "b srt://192.0.2.3:9000".to_owned()]);
    replace(&world, Vec::new()).await.expect("emptied");
    assert!(world.streams.last().running().is_empty());
}

#[tokio::test]
async fn endpoints_that_lead_back_are_refused() {
    let world = World::new().await;
    for id in ["s", "t"] {
        world.manager.create(new_broadcast(id)).await.expect("created");
    }
    let direct = world.add("s", "srt://127.0.0.1?streamid=live/s").await;
    assert!(matches!(direct, Err(ManagerError::FeedsBack(_))));
    world.add("s", "srt://127.0.0.1?streamid=live/t").await.expect("another stream of this server is allowed");
    let over = world.add("t", "srt://127.0.0.1?streamid=live/s").await;
    assert!(matches!(over, Err(ManagerError::FeedsBack(_))));
    let list = replace(&world, vec![wanted("x", "srt://127.0.0.1?streamid=live/s")]).await;
    assert!(matches!(list, Err(ManagerError::FeedsBack(_))));
}

#[tokio::test]
async fn chosen_ids_are_kept_and_made_up_ones_have_the_documented_form() {
    let world = World::new().await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    let url = |host: &str| SrtUrl::parse(&format!("srt://{host}")).expect("url");
    let mine = Some("mine".parse().expect("id"));
    let added = world.manager.add_endpoint(key("s"), mine.clone(), url("192.0.2.1")).await.expect("added");
    assert_eq!(added.id.as_str(), "mine");
    let refused = world.manager.add_endpoint(key("s"), mine, url("192.0.2.2")).await;
    assert!(matches!(refused, Err(ManagerError::DuplicateEndpoint(_))));
    let view = world.manager.create(NewBroadcast { id: None, ..new_broadcast("x") }).await.expect("created");
    let id = view.record.key.id.to_string();
    let (random, ms) = id.split_at(12);
    assert!(random.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
    assert_eq!(ms.parse::<i64>().expect("milliseconds"), unix_ms(view.record.date));
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
