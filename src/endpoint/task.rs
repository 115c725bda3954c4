//! The task of one endpoint: drives its state machine with what its branch and the clock say.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::branch::Branch;
use super::cause;
use super::resolve;
use super::srt_element::Destination;
use super::state::{Action, Event, State};
use super::{EndpointContext, EndpointSnapshot, StreamLink};
use crate::media::fanout::BranchNews;
use crate::media::gate::LAG_MAX;
use crate::media::off_thread::off_thread;
use crate::model::codec::TrackKind;
use crate::model::endpoint::EndpointRecord;
use crate::model::srt_url::SrtMode;

/// Building, linking and stopping a branch each take a few milliseconds; more than this is a stuck element.
const BRANCH_MAX: Duration = Duration::from_secs(5);

/// libsrt's own connection time-out (`SRTO_CONNTIMEO`) unless the URL sets another; ten times that for a rendezvous.
const CONNECT_DEFAULT: Duration = Duration::from_secs(3);

/// What the connection time-out may be exceeded by before the attempt is given up.
const CONNECT_GRACE: Duration = Duration::from_millis(500);

/// How often a connecting branch is looked at: this is what a new endpoint waits at most to count as connected.
const LOOK_CONNECTING: Duration = Duration::from_millis(50);

/// How often a running branch is looked at.
const LOOK_RUNNING: Duration = Duration::from_secs(1);

/// A connected receiver whose branch takes nothing for this long has stalled.
const STALL_MAX: Duration = Duration::from_secs(10);

/// At the end of a stream the last data is still inside the receiver's latency; it gets that time, at most this.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// What an endpoint's task owns.
pub(super) struct Task {
    record: EndpointRecord,
    stream: StreamLink,
    context: Arc<EndpointContext>,
    publish: watch::Sender<EndpointSnapshot>,
    stop: CancellationToken,
    state: State,
    /// Zero of the state machine's clock.
    epoch: Instant,
    /// Branches built so far: part of the next one's name.
    branches: u64,
}

/// One attempt's branch and what is known of it.
struct Attempt {
    branch: Branch,
    news: mpsc::Receiver<BranchNews>,
    started: Instant,
    connected: bool,
    /// The latency both sides agreed on.
    latency: Duration,
    /// Since when the branch has not kept up.
    lagging_since: Option<Instant>,
}

impl Task {
    pub(super) fn new(
        record: EndpointRecord,
        stream: StreamLink,
        context: Arc<EndpointContext>,
        publish: watch::Sender<EndpointSnapshot>,
        stop: CancellationToken,
    ) -> Self {
        Self { record, stream, context, publish, stop, state: State::Created, epoch: Instant::now(), branches: 0 }
    }

    pub(super) async fn run(self) {
        let span = tracing::info_span!("endpoint", stream = %self.stream.key, endpoint = %self.record.id);
        self.live().instrument(span).await;
    }

    async fn live(mut self) {
        let mut event = self.until_live().await;
        loop {
            let action = self.apply(event);
            event = match action {
                Action::Connect | Action::Reconnect => self.attempt().await,
                Action::Wait(delay) => {
                    tokio::select! {
                        () = sleep(delay) => Event::RetryDue,
                        () = self.stop.cancelled() => Event::Stop,
                    }
                }
                // A sleep may end a moment early by the state machine's clock.
                Action::None if matches!(self.state, State::Waiting { .. }) => {
                    sleep(Duration::from_millis(5)).await;
                    Event::RetryDue
                }
                Action::None | Action::Stop => return,
            };
        }
    }

    async fn until_live(&mut self) -> Event {
        let mut begun = self.stream.begun.clone();
        tokio::select! {
            live = begun.wait_for(|begun| begun.live) => if live.is_ok() { Event::Live } else { Event::Stop },
            () = self.stop.cancelled() => Event::Stop,
        }
    }

    /// Takes a step of the state machine, and tells everybody.
    fn apply(&mut self, event: Event) -> Action {
        let jitter = rand::random::<f64>();
        let before = self.state.status();
        let state = std::mem::replace(&mut self.state, State::Created);
        let (state, action) = state.step(event, self.epoch.elapsed(), &self.context.retry, jitter);
        match &state {
            State::Waiting { attempt, cause, .. } => {
                if let Action::Wait(delay) = action {
                    let retry_in_ms = delay.as_millis();
                    // The same failure again is counted (`attempt`), not repeated.
                    if self.publish.borrow().last_error.as_ref() == Some(cause) {
                        tracing::debug!(attempt, cause, retry_in_ms, "endpoint failed again");
                    } else {
                        tracing::warn!(attempt, cause, retry_in_ms, "endpoint failed");
                    }
                }
            }
            _ if state.status() != before => tracing::info!(status = %state.status(), "endpoint"),
            _ => {}
        }
        self.state = state;
        self.publish.send_modify(|snapshot| {
            snapshot.status = self.state.status();
            snapshot.attempt = self.state.attempt();
            match &self.state {
                State::Waiting { cause, .. } => snapshot.last_error = Some(cause.clone()),
                State::Broadcasting => snapshot.last_error = None,
                _ => {}
            }
        });
        action
    }

    /// One attempt, from the resolver to the end of its branch.
    async fn attempt(&mut self) -> Event {
        let stop = self.stop.clone();
        let started = tokio::select! {
            started = self.start() => started,
            () = stop.cancelled() => return Event::Stop,
        };
        let mut attempt = match started {
            Ok(attempt) => attempt,
            Err(cause) => return Event::Failed(cause),
        };
        let event = self.watch(&mut attempt).await;
        if event == Event::Stop && attempt.connected {
            sleep(attempt.latency.min(DRAIN_MAX)).await;
        }
        let _ = off_thread("stopping an endpoint's branch", BRANCH_MAX, move || drop(attempt)).await;
        event
    }

    async fn start(&mut self) -> Result<Attempt, String> {
        // While a stream waits for its publisher to come back, nobody is called: there is nothing to send.
        let live = self.stream.begun.wait_for(|begun| begun.live).await.is_ok();
        if !live {
            return Err("the stream has ended".into());
        }
        let url = self.record.url.clone();
        let EndpointContext { own, destinations, .. } = &*self.context;
        let address =
            resolve::resolve(&url, &self.stream.key, own, destinations).await.map_err(|error| error.to_string())?;
        let may_share = !url.needs_private_port() && address.is_ipv4();
        let shared_local = if may_share { self.context.ports.next() } else { None };
        let destination = Destination { address, shared_local };
        self.branches += 1;
        let name = format!("endpoint-{}-{}", self.record.id, self.branches);
        let fanout = Arc::clone(&self.stream.fanout);
        let begun = *self.stream.begun.borrow_and_update();
        let key_frames = self.stream.key_frames.clone();
        let (branch, news) = off_thread("starting an endpoint's branch", BRANCH_MAX, move || {
            Branch::start(fanout, &name, &url, destination, begun, key_frames)
        })
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
        // A new endpoint is expected to connect at once; one that failed before wishes when it has connected.
        if self.state.attempt() <= 1 {
            branch.wish_key_frame();
        }
        let started = Instant::now();
        Ok(Attempt { branch, news, started, connected: false, latency: Duration::ZERO, lagging_since: None })
    }

    /// Watches a branch until something ends it.
    async fn watch(&mut self, attempt: &mut Attempt) -> Event {
        let mut look = interval(LOOK_CONNECTING);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return Event::Stop,
                news = attempt.news.recv() => return match news {
                    Some(BranchNews::FormatChanged) => {
                        // The receiver's programme table cannot be changed in place: see `may_pass` in `branch`.
                        tracing::info!("a track has another codec now; connecting anew");
                        Event::Rebuild
                    }
                    Some(BranchNews::Failed(text)) => Event::Failed(cause::of(&text, attempt.connected)),
                    None => Event::Failed("the stream's pipeline has gone".into()),
                },
                changed = self.stream.begun.changed() => {
                    if changed.is_err() {
                        return Event::Stop;
                    }
                    if let Err(cause) = self.add_tracks(attempt) {
                        return Event::Failed(cause);
                    }
                },
                _ = look.tick() => {
                    let delivered = matches!(self.state, State::Broadcasting);
                    if let Some(event) = self.look(attempt) {
                        return event;
                    }
                    if !delivered && matches!(self.state, State::Broadcasting) {
                        look = interval(LOOK_RUNNING);
                        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    }
                },
            }
        }
    }

    /// Links tracks that have begun since the branch was built. Takes well under a millisecond: the tee
    /// is idle between two units, and never blocked.
    fn add_tracks(&mut self, attempt: &mut Attempt) -> Result<(), String> {
        let begun = *self.stream.begun.borrow_and_update();
        for kind in TrackKind::ALL {
            if begun.has(kind) && !attempt.branch.has(kind) {
                tokio::task::block_in_place(|| attempt.branch.add_track(kind)).map_err(|error| error.to_string())?;
                attempt.branch.wish_key_frame();
                tracing::info!(track = %kind, "a late track joins");
            }
        }
        if begun.live {
            attempt.branch.set_video(begun.video);
        }
        Ok(())
    }

    /// Looks at the connection once.
    fn look(&mut self, attempt: &mut Attempt) -> Option<Event> {
        let stats = attempt.branch.stats();
        if stats.connected && !attempt.connected {
            attempt.connected = true;
            attempt.branch.connected();
        }
        if !stats.connected {
            if attempt.connected {
                return Some(Event::Failed("the receiver closed the connection".into()));
            }
            if let Some(limit) = self.connect_limit()
                && attempt.started.elapsed() > limit
            {
                return Some(Event::Failed(format!("no connection within {} ms", limit.as_millis())));
            }
        }
        if let Some(latency_ms) = stats.latency_ms {
            attempt.latency = Duration::from_millis(latency_ms.into());
        }
        if stats.acknowledged && !matches!(self.state, State::Broadcasting) {
            self.apply(Event::Delivered);
        }
        let gate = attempt.branch.gate_counters();
        self.publish.send_if_modified(|snapshot| {
            let changed = snapshot.sent_bytes != stats.sent_bytes || snapshot.gate != gate;
            (snapshot.sent_bytes, snapshot.gate) = (stats.sent_bytes, gate);
            changed
        });
        if !attempt.connected || attempt.branch.lag() <= LAG_MAX {
            attempt.lagging_since = None;
            return None;
        }
        let since = *attempt.lagging_since.get_or_insert_with(Instant::now);
        (since.elapsed() > STALL_MAX)
            .then(|| Event::Failed(format!("stalled: the receiver took nothing for {} s", STALL_MAX.as_secs())))
    }

    /// How long an attempt may take to connect; `None` for a listener, which waits for its caller.
    fn connect_limit(&self) -> Option<Duration> {
        let url = &self.record.url;
        let own = url.connect_timeout_ms.map(|ms| Duration::from_millis(ms.into()));
        match url.mode {
            SrtMode::Caller => Some(own.unwrap_or(CONNECT_DEFAULT) + CONNECT_GRACE),
            SrtMode::Rendezvous => Some(own.unwrap_or(CONNECT_DEFAULT) * 10 + CONNECT_GRACE),
            SrtMode::Listener => None,
        }
    }
}
