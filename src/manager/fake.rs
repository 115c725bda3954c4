//! Streams without GStreamer: they remember what they were told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::streams::{RunningStream, StartError, Streams};
use crate::model::codec::{Begun, Codec};
use crate::model::endpoint::{EndpointRecord, EndpointState};
use crate::model::ids::{EndpointId, StreamKey};
use crate::model::ingest::IngestStatistics;
use crate::model::srt_url::SrtUrl;
use crate::model::track::{TrackInfo, TrackStatistics};
use crate::stream::preflight::{Outcome, Report, Step, Taken};
use crate::stream::{Board, Input, Still, StillError, StreamSnapshot, StreamSpec};

/// What a test can see and set of one stream.
#[derive(Debug)]
pub(crate) struct FakeStream {
    pub(crate) key: StreamKey,
    /// The token the pipeline would cancel when it fails.
    pub(crate) session: CancellationToken,
    state: Mutex<State>,
    flows: watch::Sender<Begun>,
    /// Closing (of an endpoint and of the stream) needs a permit: take them away to make it hang.
    pub(crate) closes: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    running: Vec<(EndpointRecord, Board)>,
    /// Endpoints started while it ran.
    starts: u64,
    live: bool,
    /// What its tracks are made out of: video, audio.
    transcoded_from: [Option<&'static str>; 2],
    silent_for: Duration,
    /// Publications that began, and the one that may send.
    begun: u64,
    sending: Option<u64>,
    /// The running publication has been live.
    has_data: bool,
    closed: bool,
}

impl FakeStream {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_live(&self) {
        let mut state = self.state();
        state.live = true;
        state.has_data = true;
        self.flows.send_replace(Begun { live: true, video: true, audio: true });
        for (_, board) in &state.running {
            board.step(EndpointState::Broadcasting, 0, None);
        }
    }

    pub(crate) fn set_transcoded_from(&self, transcoded_from: [Option<&'static str>; 2]) {
        self.state().transcoded_from = transcoded_from;
    }

    pub(crate) fn set_silent_for(&self, silence: Duration) {
        self.state().silent_for = silence;
    }

    /// How many publications it has had, and whether one of them may send now.
    pub(crate) fn publications(&self) -> (u64, bool) {
        let state = self.state();
        (state.begun, state.sending.is_some())
    }

    /// How many endpoints were started while it ran.
    pub(crate) fn starts(&self) -> u64 {
        self.state().starts
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The endpoints that run, `id url` each, sorted.
    pub(crate) fn running(&self) -> Vec<String> {
        let mut running: Vec<String> =
            self.state().running.iter().map(|(e, _)| format!("{} {}", e.id, e.url.as_given())).collect();
        running.sort();
        running
    }
}

/// The handle the manager gets.
struct FakeHandle(Arc<FakeStream>);

impl RunningStream for FakeHandle {
    fn begin(&self) -> u64 {
        let mut state = self.0.state();
        assert!(!state.closed, "a publication of a closed stream");
        state.begun += 1;
        state.live = false;
        self.0.flows.send_replace(Begun::default());
        state.silent_for = Duration::ZERO;
        state.has_data = false;
        state.sending = Some(state.begun);
        state.begun
    }

    fn input(&self, _lease: u64) -> Input {
        unreachable!("no test feeds a fake")
    }

    fn end(&self, lease: u64) {
        let mut state = self.0.state();
        if state.sending == Some(lease) {
            state.sending = None;
            state.live = false;
            self.0.flows.send_replace(Begun::default());
        }
    }

    fn has_data(&self) -> bool {
        self.0.state().has_data
    }

    fn begun(&self) -> watch::Receiver<Begun> {
        self.0.flows.subscribe()
    }

    fn retry_endpoint(&self, id: &EndpointId) -> bool {
        self.0.state().running.iter().any(|(endpoint, _)| endpoint.id == *id)
    }

    fn add_endpoint(&self, endpoint: EndpointRecord, board: Board) {
        let mut state = self.0.state();
        assert!(!state.closed, "an endpoint for a closed stream");
        assert!(state.running.iter().all(|(other, _)| other.id != endpoint.id), "{} runs twice", endpoint.id);
        if state.live {
            board.step(EndpointState::Broadcasting, 0, None);
        }
        state.starts += 1;
        state.running.push((endpoint, board));
    }

    fn remove_endpoint(&self, id: EndpointId) -> BoxFuture<'static, bool> {
        let stream = Arc::clone(&self.0);
        Box::pin(async move {
            let _permit = stream.closes.acquire().await;
            let mut state = stream.state();
            let before = state.running.len();
            state.running.retain(|(endpoint, _)| endpoint.id != id);
            state.running.len() < before
        })
    }

    fn snapshot(&self) -> StreamSnapshot {
        let state = self.0.state();
        let track = |codec: Codec, size, bitrate_bps| TrackInfo {
            codec,
            size,
            audio: None,
            bitrate_bps,
            transcoded_from: state.transcoded_from[codec.kind().index()],
            statistics: TrackStatistics { received_units: 250, key_interval_ms: Some(2_000), ..Default::default() },
        };
        let tracks = match state.live {
            true => vec![track(Codec::H264, Some((1280, 720)), 2_000_000), track(Codec::Aac, None, 128_000)],
            false => Vec::new(),
        };
        let ingest = state.live.then(|| IngestStatistics {
            received_packets: 990,
            lost_packets: 10,
            loss_ratio: 0.01,
            rtt_ms: Some(20.4),
            ..Default::default()
        });
        let received_bytes = if state.live { 4711 } else { 0 };
        StreamSnapshot { live: state.live, tracks, received_bytes, timestamp_jumps: 0, ingest }
    }

    /// The picture says `JPEG`, while the stream is live.
    fn still(&self) -> BoxFuture<'static, Result<Still, StillError>> {
        let live = self.0.state().live;
        let still = Still { jpeg: bytes::Bytes::from_static(b"JPEG"), at: SystemTime::UNIX_EPOCH };
        Box::pin(async move { if live { Ok(still) } else { Err(StillError::NoVideo) } })
    }

    fn silent_for(&self) -> Duration {
        self.0.state().silent_for
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        let stream = Arc::clone(&self.0);
        Box::pin(async move {
            let _permit = stream.closes.acquire().await;
            let mut state = stream.state();
            state.closed = true;
            for (_, board) in &state.running {
                board.step(EndpointState::Finished, 0, None);
            }
        })
    }
}

/// Makes [`FakeStream`]s and keeps them for the test to look at.
#[derive(Debug)]
pub(crate) struct FakeStreams {
    streams: Mutex<Vec<Arc<FakeStream>>>,
    /// A start needs a permit: take them away to make it hang.
    pub(crate) starts: Arc<Semaphore>,
    /// Why starts fail, if they do.
    pub(crate) failure: Mutex<Option<String>>,
}

/// More permits than any test uses.
pub(crate) const FREE: usize = 1_000_000;

impl FakeStreams {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { streams: Mutex::default(), starts: Arc::new(Semaphore::new(FREE)), failure: Mutex::default() })
    }

    /// Every stream started so far, the last one last.
    pub(crate) fn all(&self) -> Vec<Arc<FakeStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn last(&self) -> Arc<FakeStream> {
        Arc::clone(self.all().last().expect("a stream was started"))
    }
}

/// The trait is on the shared form because a start outlives the call.
pub(crate) struct Shared(pub(crate) Arc<FakeStreams>);

impl Streams for Shared {
    fn start(&self, spec: StreamSpec) -> BoxFuture<'static, Result<Arc<dyn RunningStream>, StartError>> {
        let streams = Arc::clone(&self.0);
        Box::pin(async move {
            let _permit = streams.starts.acquire().await;
            if let Some(why) = streams.failure.lock().unwrap_or_else(PoisonError::into_inner).clone() {
                return Err(why.into());
            }
            let stream = Arc::new(FakeStream {
                key: spec.key,
                session: spec.session,
                flows: watch::Sender::default(),
                state: Mutex::new(State { running: spec.endpoints, ..State::default() }),
                closes: Arc::new(Semaphore::new(FREE)),
            });
            streams.streams.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&stream));
            Ok(Arc::new(FakeHandle(stream)) as Arc<dyn RunningStream>)
        })
    }

    /// `srt://127.0.0.1?streamid=app/id` is this server.
    fn own_target(&self, url: &SrtUrl) -> Option<StreamKey> {
        let (app, id) = url.streamid.as_deref()?.split_once('/')?;
        (url.as_given().contains("127.0.0.1")).then_some(StreamKey { app: app.parse().ok()?, id: id.parse().ok()? })
    }
    /// Whatever it is, it passes, unless [`FakeStreams::starts`] has no permits: then it hangs.
    fn test(&self, _key: StreamKey, url: SrtUrl) -> BoxFuture<'static, Report> {
        let streams = Arc::clone(&self.0);
        Box::pin(async move {
            let _permit = streams.starts.acquire().await;
            let text = format!("{url} is fine");
            let step = Taken { step: Step::Resolve, outcome: Outcome::Passed(text), took: Duration::from_millis(3) };
            Report { steps: vec![step], latency_ms: Some(120), ..Report::default() }
        })
    }
}
