//! A live stream: its pipeline, its input, its endpoints. In the middle, and it knows no protocol.
//!
//! One task owns a stream. Others hold a [`StreamHandle`]: the manager to add and remove endpoints and to say which
//! publication sends, an ingest only the [`Input`]. A stream may live through several publications, one at a time.

mod input;
mod intake;
mod level;
mod meter;
mod preview;
mod task;
pub mod timeline;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::endpoint::state::RetryPolicy;
use crate::endpoint::{EndpointContext, EndpointHandle, StreamLink};
use crate::media::fanout::{Fanout, FanoutError};
use crate::media::off_thread::{Stuck, off_thread};
use crate::model::codec::{Begun, TrackKind};
use crate::model::destination::Destinations;
use crate::model::endpoint::EndpointRecord;
use crate::model::ids::{AppName, EndpointId, StreamKey};
use crate::model::ingest::IngestStatistics;
use crate::model::srt_url::SrtUrl;
use crate::model::track::TrackInfo;
use crate::srt::{PortPool, SrtError};

pub use crate::endpoint::preflight;
pub use crate::endpoint::resolve::OwnServer;
pub use crate::endpoint::{Board, EndpointSnapshot};
use intake::Intake;
use preview::Preview;

pub use input::{AccessUnit, Input, SETTLE_MAX};
pub use preview::{Still, StillError};

/// Starting the pipeline takes a few milliseconds; more than this is a stuck element.
const START_MAX: Duration = Duration::from_secs(5);

/// Stopping the pipeline, likewise.
const STOP_MAX: Duration = Duration::from_secs(3);

/// A stream that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The pipeline was refused.
    #[error(transparent)]
    Pipeline(#[from] FanoutError),
    /// The pipeline hangs.
    #[error(transparent)]
    Stuck(#[from] Stuck),
}

/// What all streams of the service share.
#[derive(Debug)]
pub struct StreamContext {
    endpoint: Arc<EndpointContext>,
    /// Whether sound is decoded to measure its level.
    audio_level: bool,
}

impl StreamContext {
    /// Binds `udp_ports` shared local UDP ports (0: one per core). `default_app` is the application of a
    /// stream id without one; an endpoint without acknowledgements for a `delivery_window` is stalled.
    ///
    /// # Errors
    /// No UDP port could be bound.
    pub fn new(
        udp_ports: usize,
        default_app: AppName,
        retry: RetryPolicy,
        delivery_window: Duration,
        destinations: Destinations,
    ) -> Result<Self, SrtError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let ports = PortPool::bind(if udp_ports == 0 { cores } else { udp_ports })?;
        let own = OwnServer { srt: OnceLock::new(), default_app };
        Ok(Self {
            endpoint: Arc::new(EndpointContext { ports, own, retry, delivery_window, destinations }),
            audio_level: true,
        })
    }

    /// Whether the level of each stream's sound is measured; it is unless this says no.
    #[must_use]
    pub fn with_audio_level(self, audio_level: bool) -> Self {
        Self { audio_level, ..self }
    }

    /// Says where this server's own SRT listener is bound, once it is; before that no endpoint is
    /// recognised as leading back to it.
    pub fn set_own_srt(&self, address: std::net::SocketAddr) {
        let _ = self.endpoint.own.srt.set(address);
    }

    /// The stream of this very server that `url` would publish; `None` when it leads elsewhere or names a
    /// host that must be resolved first (that is checked again at each attempt).
    pub fn own_target(&self, url: &SrtUrl) -> Option<StreamKey> {
        self.endpoint.own.literal_target(url)
    }

    /// Tests a destination for a stream, whether or not that exists; takes less than 5 s.
    pub async fn test(&self, url: &SrtUrl, key: &StreamKey) -> preflight::Report {
        preflight::test(url, key, &self.endpoint.own, &self.endpoint.destinations).await
    }

    /// Whether an endpoint of `key` at `url` would feed the stream back to itself.
    pub fn feeds_back(&self, url: &SrtUrl, key: &StreamKey) -> bool {
        self.own_target(url).is_some_and(|target| target == *key)
    }
}

/// What a stream is started with.
#[derive(Debug)]
pub struct StreamSpec {
    /// Its name.
    pub key: StreamKey,
    /// Cancelled by the stream when its pipeline fails; by others to end the stream.
    pub session: CancellationToken,
    /// Endpoints to connect as soon as data flows.
    pub endpoints: Vec<(EndpointRecord, Board)>,
}

/// What is seen of a live stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSnapshot {
    /// Data has come.
    pub live: bool,
    /// The tracks that run.
    pub tracks: Vec<TrackInfo>,
    /// Payload bytes taken in.
    pub received_bytes: u64,
    /// How often the clock of a source has jumped since the stream began; its own time went on.
    pub timestamp_jumps: u64,
    /// How the publisher's data comes in, where its protocol tells.
    pub ingest: Option<IngestStatistics>,
}

/// What the handles of a stream share.
#[derive(Debug)]
struct Shared {
    key: StreamKey,
    context: Arc<EndpointContext>,
    intake: Intake,
    fanout: Arc<Fanout>,
    endpoints: Mutex<Vec<(EndpointId, EndpointHandle)>>,
    preview: Preview,
    /// Ends the task that reads the bus.
    closed: CancellationToken,
}

/// A running stream; clones share it.
#[derive(Debug, Clone)]
pub struct StreamHandle(Arc<Shared>);

/// Starts a stream: pipeline, task, endpoints.
///
/// # Errors
/// The pipeline was refused or hangs.
pub async fn start(spec: StreamSpec, context: &Arc<StreamContext>) -> Result<StreamHandle, StreamError> {
    let key = spec.key.clone();
    let fanout = off_thread("starting a stream's pipeline", START_MAX, move || Fanout::start(&key)).await??;
    let fanout = Arc::new(fanout);
    let closed = CancellationToken::new();
    let intake = Intake::new(Arc::clone(&fanout));
    let watch = task::Watch {
        fanout: Arc::downgrade(&fanout),
        intake: intake.downgrade(),
        key: spec.key.clone(),
        session: spec.session,
    };
    tokio::spawn(watch.run(closed.clone()));
    if context.audio_level {
        tokio::spawn(level::run(spec.key.clone(), intake.downgrade(), intake.format(TrackKind::Audio), closed.clone()));
    }
    let pictures = intake.format(TrackKind::Video);
    let preview = Preview::new(spec.key.clone(), intake.downgrade(), pictures, intake.begun(), closed.clone());
    let handle = StreamHandle(Arc::new(Shared {
        key: spec.key,
        preview,
        context: Arc::clone(&context.endpoint),
        intake,
        fanout,
        endpoints: Mutex::default(),
        closed,
    }));
    for (record, board) in spec.endpoints {
        handle.add_endpoint(record, board);
    }
    Ok(handle)
}

impl StreamHandle {
    fn endpoints(&self) -> MutexGuard<'_, Vec<(EndpointId, EndpointHandle)>> {
        self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a publication send, and the one before it no longer: what comes from now on goes on behind what came
    /// before. Returns its number, for [`StreamHandle::input`] and [`StreamHandle::end`].
    pub fn begin(&self) -> u64 {
        self.0.intake.begin()
    }

    /// The door for a publication's ingest.
    pub fn input(&self, lease: u64) -> Input {
        self.0.intake.input(lease)
    }

    /// The publication is over. The stream and its connected endpoints stay.
    pub fn end(&self, lease: u64) {
        self.0.intake.end(lease);
    }

    /// Whether the publication that sends, or sent last, has sent anything.
    pub fn has_data(&self) -> bool {
        self.0.intake.has_data()
    }

    /// Tells when the publication's tracks have begun.
    pub fn begun(&self) -> watch::Receiver<Begun> {
        self.0.intake.begun()
    }

    /// Adds an endpoint; it connects by itself once data flows. Returns at once.
    pub fn add_endpoint(&self, record: EndpointRecord, board: Board) {
        let link = StreamLink {
            key: self.0.key.clone(),
            fanout: Arc::clone(&self.0.fanout),
            begun: self.0.intake.begun(),
            key_frames: self.0.intake.key_frames(),
        };
        let id = record.id.clone();
        let handle = EndpointHandle::spawn(record, board, link, Arc::clone(&self.0.context));
        self.endpoints().push((id, handle));
    }

    /// Ends an endpoint's wait for its next attempt; `false` when there is none of that id.
    pub fn retry_endpoint(&self, id: &EndpointId) -> bool {
        let endpoints = self.endpoints();
        let found = endpoints.iter().find(|(other, _)| other == id);
        found.inspect(|(_, endpoint)| endpoint.retry_now()).is_some()
    }

    /// Removes an endpoint and waits until its branch is out; `false` when there is none of that id.
    pub async fn remove_endpoint(&self, id: &EndpointId) -> bool {
        let handle = {
            let mut endpoints = self.endpoints();
            let Some(index) = endpoints.iter().position(|(other, _)| other == id) else { return false };
            endpoints.remove(index).1
        };
        handle.stop().await;
        true
    }

    /// What is seen of its endpoints, in the order they were added.
    #[cfg(test)]
    fn endpoint_snapshots(&self) -> Vec<EndpointSnapshot> {
        self.endpoints().iter().map(|(_, endpoint)| endpoint.snapshot()).collect()
    }

    /// What is seen of it now. Its endpoints are seen on their boards.
    pub fn snapshot(&self) -> StreamSnapshot {
        StreamSnapshot {
            live: self.0.intake.is_live(),
            tracks: self.0.intake.tracks(),
            received_bytes: self.0.intake.received_bytes(),
            timestamp_jumps: self.0.intake.timestamp_jumps(),
            ingest: self.0.intake.ingest(),
        }
    }

    /// A still of its picture, of now; waits for one, bounded.
    ///
    /// # Errors
    /// See [`StillError`].
    pub async fn still(&self) -> Result<Still, StillError> {
        self.0.preview.still().await
    }

    /// How long its publisher has sent nothing.
    pub fn silent_for(&self) -> Duration {
        self.0.intake.silent_for()
    }

    /// Ends it: endpoints first, side by side, then the pipeline. Each step is bounded.
    pub async fn close(&self) {
        let endpoints = std::mem::take(&mut *self.endpoints());
        for (_, endpoint) in &endpoints {
            endpoint.request_stop();
        }
        for (_, endpoint) in endpoints {
            endpoint.stop().await;
        }
        self.0.closed.cancel();
        let fanout = Arc::clone(&self.0.fanout);
        let _ = off_thread("stopping a stream's pipeline", STOP_MAX, move || fanout.stop()).await;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

#[cfg(test)]
mod tests;
