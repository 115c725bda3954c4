//! The RTMP ingest joined to the service: publications by the manager, tracks by the parse pipeline.
//!
//! The only file of this room that knows either. It decides nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connection::{SETUP_MS, Timing};
use super::seam::{Gate, Publication, Refusal, Request, Sink, SourceUnit, TrackConfig};
use super::server;
use crate::config::Settings;
use crate::ingest::elementary::ElementaryIngest;
use crate::manager::{self, Manager, PublishRefusal, PublishRequest};
use crate::model::broadcast::PublishType;
use crate::model::codec::TrackKind;
use crate::model::ids::AppName;

/// A parse pipeline's start or stop; it takes milliseconds.
const PIPELINE_MS: u64 = 2_000;

/// Accepts RTMP publishers on `listener` until `shutdown`; returns when their connections are closed,
/// after 2 s at most.
pub async fn serve(listener: TcpListener, manager: Manager, settings: Arc<Settings>, shutdown: CancellationToken) {
    let timing =
        Timing { setup: Duration::from_millis(SETUP_MS), idle: Duration::from_millis(settings.stream.idle_timeout_ms) };
    let service = Service { manager, apps: settings.apps.clone() };
    server::serve(listener, Arc::new(service), timing, shutdown).await;
}

/// The service, as a gate.
struct Service {
    /// Grants publications.
    manager: Manager,
    /// The configured applications.
    apps: Vec<AppName>,
}

/// A publication with its parse pipeline.
struct Live {
    /// The pipeline; declared first, so that a plain drop stops it before the publication ends.
    ingest: ElementaryIngest,
    /// The manager's side.
    publication: manager::Publication,
    /// The first parser that could not be built.
    failure: Mutex<Option<String>>,
}

impl Gate for Service {
    type Publication = Live;

    fn knows_app(&self, app: &str) -> bool {
        self.apps.iter().any(|known| known.as_str() == app)
    }

    async fn publish(&self, request: Request) -> Result<Live, Refusal> {
        let request = PublishRequest {
            app: request.app,
            stream: request.stream,
            publish_type: PublishType::Rtmp,
            peer: request.peer,
            user_agent: request.user_agent,
            meta: request.meta,
        };
        let publication = self.manager.publish(request).await.map_err(refusal)?;
        let (key, input) = (publication.key().clone(), publication.input());
        let span = tracing::Span::current();
        let starting = spawn_blocking(move || span.in_scope(|| ElementaryIngest::start(&key, input)));
        let ingest = match timeout(Duration::from_millis(PIPELINE_MS), starting).await {
            Ok(Ok(Ok(ingest))) => ingest,
            Ok(Ok(Err(error))) => return Err(Refusal::Internal(format!("the parse pipeline: {error}"))),
            Ok(Err(error)) => return Err(Refusal::Internal(format!("the parse pipeline's start: {error}"))),
            Err(_) => return Err(Refusal::Internal("the parse pipeline does not start".to_owned())),
        };
        Ok(Live { ingest, publication, failure: Mutex::default() })
    }
}

fn refusal(refusal: PublishRefusal) -> Refusal {
    match refusal {
        PublishRefusal::UnknownApp(_) => Refusal::UnknownApp,
        PublishRefusal::BadStreamId { reason, .. } => Refusal::BadId(reason.to_string()),
        PublishRefusal::InUse(_) => Refusal::InUse,
        PublishRefusal::ShuttingDown => Refusal::ShuttingDown,
        PublishRefusal::Internal(why) => Refusal::Internal(why),
    }
}

impl Sink for Live {
    fn expect(&self, kind: TrackKind, comes: bool) {
        if comes {
            self.ingest.expect(kind);
        } else {
            self.publication.input().expect_no_more(kind);
        }
    }

    fn configure(&self, config: TrackConfig) {
        if let Err(error) = self.ingest.configure(config) {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            failure.get_or_insert(error.to_string());
        }
    }

    fn push(&self, unit: SourceUnit) {
        self.ingest.push(unit);
    }
}

impl Publication for Live {
    fn name(&self) -> String {
        self.publication.key().to_string()
    }

    fn cancelled(&self) -> CancellationToken {
        self.publication.cancelled()
    }

    fn failure(&self) -> Option<String> {
        let own = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.or_else(|| self.ingest.take_error())
    }

    async fn close(self) {
        let (ingest, key) = (self.ingest, self.publication.key().clone());
        let stopping = spawn_blocking(move || drop(ingest));
        if timeout(Duration::from_millis(PIPELINE_MS), stopping).await.is_err() {
            tracing::error!(stream = %key, "an RTMP publisher's parse pipeline does not stop; it is left behind");
        }
        drop(self.publication);
    }
}
