//! The manager over fake streams and a real store: who may publish, what runs, what stays.

mod endpoints;
mod events;
mod hold;
mod publications;

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
const BOUND: Duration = Duration::from_millis(1_000);
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
        Self::holding(0, bounds).await
    }

    /// Streams are held for so many milliseconds; elsewhere they end with their publishers.
    async fn holding(hold_ms: u64, bounds: Bounds) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("test.db");
        Self { _directory: Some(directory), ..Self::at(&path, hold_ms, bounds).await }
    }

    async fn at(path: &Path, hold_ms: u64, bounds: Bounds) -> Self {
        let store = Store::open(&format!("sqlite://{}", path.display())).await.expect("opens");
        let mut settings = Settings::default();
        settings.stream.dead_publisher_ms = DEAD_MS;
        settings.stream.hold_ms = hold_ms;
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
        Self::at(&self.path, 0, Bounds::default()).await
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
        start: false,
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
