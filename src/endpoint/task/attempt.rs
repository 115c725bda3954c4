//! One attempt of an endpoint: a branch from its start to its end, and what is seen of it meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::{BRANCH_MAX, Task};
use crate::endpoint::branch::{Branch, Listening};
use crate::endpoint::cause;
use crate::endpoint::delivery::{Judge, Look, Verdict};
use crate::endpoint::diagnosis::{NoConnection, not_started};
use crate::endpoint::resolve::{self, ResolveError};
use crate::endpoint::sink::LinkStats;
use crate::endpoint::srt_element::Destination;
use crate::endpoint::state::{Event, Reason, State};
use crate::endpoint::statistics::BranchMeter;
use crate::endpoint::{Board, EndpointContext};
use crate::media::fanout::BranchNews;
use crate::media::gate::LAG_MAX;
use crate::media::off_thread::off_thread;
use crate::model::codec::TrackKind;
use crate::model::srt_url::{SrtHost, SrtMode, SrtUrl};
use crate::srt::Knock;

/// libsrt's own connection time-out (`SRTO_CONNTIMEO`) unless the URL sets another; ten times that for a rendezvous.
const CONNECT_DEFAULT: Duration = Duration::from_secs(3);

/// What the connection time-out may be exceeded by before the attempt is given up.
const CONNECT_GRACE: Duration = Duration::from_millis(500);

/// An attempt that has not connected by now is knocked beside. A receiver within 400 ms of round trip is connected.
const KNOCK_AFTER: Duration = Duration::from_secs(1);

/// How often a connecting branch is looked at: this is what a new endpoint waits at most to count as connected.
const LOOK_CONNECTING: Duration = Duration::from_millis(50);

/// How often a connected branch is looked at; at least four times in a delivery window.
const LOOK_CONNECTED: Duration = Duration::from_millis(500);

/// A connection that has been stalled for this long is given up. libsrt gives up by itself after 5 s without a packet
/// from the peer (`SRTO_PEERIDLETIMEO`); this is for peers that still send some, and for longer time-outs.
const STALLED_MAX: Duration = Duration::from_secs(7);

/// Branches built so far, of all endpoints: part of a branch's name, so that none is taken for another.
static BRANCHES: AtomicU64 = AtomicU64::new(1);

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The endpoint is to stop.
    Stop,
    /// A new branch must take over.
    Rebuild,
    /// Somebody wants a new connection instead of a stalled one.
    Again,
    /// There never was a connection.
    NoConnection(NoConnection),
    /// There was one.
    Failed(Reason),
}

/// One attempt's branch and what is known of it.
pub(super) struct Attempt {
    pub(super) branch: Branch,
    news: mpsc::Receiver<BranchNews>,
    destination: Destination,
    started: Instant,
    /// What the network says of the peer, while it is not connected.
    knock: Option<Knock>,
    /// What the last look said of a call that is over.
    over: Option<i32>,
    /// Judges the connection, once there is one.
    judge: Option<Judge>,
    /// Since when it has been stalled, on the task's clock.
    stalled_at: Option<Duration>,
    /// The latency both sides agreed on.
    pub(super) latency: Duration,
    pub(super) meter: BranchMeter,
    /// Somebody has called (listener mode).
    pub(super) has_callers: bool,
}

impl Attempt {
    pub(super) fn is_connected(&self) -> bool {
        self.judge.is_some() || self.has_callers
    }

    pub(super) fn latency(&self) -> Duration {
        self.latency
    }

    /// Counts what was sent since it was looked at last.
    pub(super) fn measure_last(&mut self, board: &Board) {
        // GStreamer and libsrt are asked before the board is held.
        let reading = self.branch.read_callers();
        let (last, gate) = (self.branch.stats(), self.branch.gate_totals());
        board.measure(|sums, callers| {
            if let Some(reading) = reading {
                self.count_callers(reading, gate, sums, callers);
                callers.clear();
            }
            self.meter.end(sums, last.sample.as_ref(), gate, Instant::now());
        });
    }

    /// Why a connection that had stood is over.
    fn broken(&self, words: Option<&str>, now: Duration) -> Reason {
        let judge = self.judge.as_ref();
        let owed = judge.map_or(Duration::ZERO, |judge| judge.owed_for(now));
        let quiet = judge.map_or(Duration::ZERO, |judge| judge.quiet_for(now));
        cause::broken(words, owed, quiet)
    }

    /// Knocks at the peer's port when the connection takes long.
    fn knock(&mut self, url: &SrtUrl) {
        if url.mode != SrtMode::Caller || self.started.elapsed() < KNOCK_AFTER {
            return;
        }
        if self.knock.is_none() {
            match Knock::new(self.destination.address, url.localaddress) {
                Ok(knock) => self.knock = Some(knock),
                Err(error) => tracing::debug!(%error, "the receiver's port cannot be knocked at"),
            }
        }
        if let Some(knock) = &mut self.knock {
            knock.look();
        }
    }

    fn no_connection(&mut self, words: Option<String>, limit: Duration) -> End {
        let heard = self.knock.as_mut().and_then(|knock| knock.look().cloned());
        let (code, took) = (self.branch.stats().over, self.started.elapsed());
        End::NoConnection(NoConnection { code, words, heard, limit, took })
    }

    fn judge(&mut self, stats: &LinkStats, now: Duration) -> Option<Verdict> {
        let look = Look {
            handed_bytes: stats.sent_bytes,
            acks: stats.acks,
            dropped_bytes: stats.dropped_bytes,
            lagging: self.branch.lag() > LAG_MAX,
            latency: self.latency,
            rtt: Duration::from_secs_f64(stats.sample.as_ref().map_or(0.0, |sample| sample.rtt_ms).max(0.0) / 1e3),
        };
        self.judge.as_mut().map(|judge| judge.look(look, now))
    }
}

impl Task {
    /// Waits for what is to be sent, and finds out where to.
    pub(super) async fn destination(&mut self) -> Result<Destination, Event> {
        // While a stream waits for its publisher to come back, nobody is called: there is nothing to send.
        if self.stream.begun.wait_for(|begun| begun.live).await.is_err() {
            return Err(Event::Failed(cause::internal("the stream has ended")));
        }
        let tracks = self.record.tracks;
        if !tracks.any(*self.stream.begun.borrow_and_update()) {
            return Err(Event::NoTrack(cause::no_track(tracks)));
        }
        let url = &self.record.url;
        let EndpointContext { own, destinations, .. } = &*self.context;
        let resolved = resolve::resolve(url, &self.stream.key, own, destinations).await;
        let address = resolved.map_err(|error| {
            let reason = cause::of_resolver(&error);
            // The rule of what may be dialled stands as long as the service runs, and so does a literal address. A name
            // may move, and so may an address of this host that leads back to it.
            let for_good = matches!(error, ResolveError::Forbidden(_)) && matches!(url.host, Some(SrtHost::Ip(_)));
            if for_good { Event::Refused(reason) } else { Event::Failed(reason) }
        })?;
        let may_share = !url.needs_private_port() && address.is_ipv4();
        let shared_local = if may_share { self.context.ports.next() } else { None };
        Ok(Destination { address, shared_local })
    }

    /// Builds a branch and lets it call. Not to be given up halfway: what is being built then would be taken out by
    /// nobody knows whom, after the endpoint's end.
    pub(super) async fn start(&mut self, destination: Destination) -> Result<Attempt, Event> {
        let (url, tracks) = (self.record.url.clone(), self.record.tracks);
        let name = format!("endpoint-{}-{}", self.record.id, BRANCHES.fetch_add(1, Ordering::Relaxed));
        let fanout = std::sync::Arc::clone(&self.stream.fanout);
        let begun = tracks.of(*self.stream.begun.borrow_and_update());
        let key_frames = self.stream.key_frames.clone();
        let (window, span) = (self.context.delivery_window, tracing::Span::current());
        let (branch, news) = off_thread("starting an endpoint's branch", BRANCH_MAX, move || {
            let listening = Listening { delivery_window: window, span };
            Branch::start(fanout, &name, &url, destination, begun, key_frames, listening)
                .map_err(|error| not_started(&error, &url, destination))
        })
        .await
        .map_err(|stuck| Event::Failed(cause::internal(stuck)))?
        .map_err(|reason| Event::Failed(self.in_own_words(reason, destination.address.port())))?;
        // A new endpoint is expected to connect at once; one that failed before wishes when it has connected.
        if self.state.attempt() <= 1 {
            branch.wish_key_frame();
        }
        Ok(Attempt {
            branch,
            news,
            destination,
            started: Instant::now(),
            knock: None,
            over: None,
            judge: None,
            stalled_at: None,
            latency: Duration::ZERO,
            meter: BranchMeter::default(),
            has_callers: false,
        })
    }

    /// Watches a branch until something ends it.
    pub(super) async fn watch(&mut self, attempt: &mut Attempt) -> End {
        let mut look_at = tokio::time::Instant::now();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return End::Stop,
                news = attempt.news.recv() => return match news {
                    Some(BranchNews::FormatChanged) => {
                        // The receiver's programme table cannot be changed in place: see `may_pass` in `branch`.
                        tracing::info!("a track has another codec now; connecting anew");
                        End::Rebuild
                    }
                    Some(BranchNews::Failed(words)) if attempt.is_connected() => {
                        End::Failed(attempt.broken(Some(&words), self.epoch.elapsed()))
                    }
                    Some(BranchNews::Failed(words)) => attempt.no_connection(Some(words), self.connect_time()),
                    None => End::Failed(cause::internal("the stream's pipeline has gone")),
                },
                changed = self.stream.begun.changed() => {
                    if changed.is_err() {
                        return End::Stop;
                    }
                    if let Err(reason) = self.add_tracks(attempt) {
                        return End::Failed(reason);
                    }
                },
                // A wish for another attempt; while one connects or delivers it is none.
                () = self.retry.notified() => if matches!(self.state, State::Stalled { .. }) {
                    return End::Again;
                },
                () = sleep_until(look_at) => {
                    if let Some(end) = self.look(attempt) {
                        return end;
                    }
                    look_at = tokio::time::Instant::now() + self.look_period(attempt);
                },
            }
        }
    }

    fn look_period(&self, attempt: &Attempt) -> Duration {
        let listens = matches!(self.state, State::Listening);
        let delivers = listens || (attempt.is_connected() && !matches!(self.state, State::Connecting { .. }));
        if delivers { LOOK_CONNECTED.min(self.context.delivery_window / 4) } else { LOOK_CONNECTING }
    }

    /// Links tracks that have begun since the branch was built. Takes well under a millisecond: the tee
    /// is idle between two units, and never blocked.
    fn add_tracks(&mut self, attempt: &mut Attempt) -> Result<(), Reason> {
        let begun = self.record.tracks.of(*self.stream.begun.borrow_and_update());
        for kind in TrackKind::ALL {
            if begun.has(kind) && !attempt.branch.has(kind) {
                tokio::task::block_in_place(|| attempt.branch.add_track(kind)).map_err(cause::internal)?;
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
    fn look(&mut self, attempt: &mut Attempt) -> Option<End> {
        if let Some(reading) = attempt.branch.read_callers() {
            return self.look_at_callers(attempt, reading);
        }
        let (stats, now) = (attempt.branch.stats(), self.epoch.elapsed());
        let gate = attempt.branch.gate_totals();
        self.board.measure(|sums, _| attempt.meter.sample(sums, stats.sample.as_ref(), gate, Instant::now()));
        if !stats.connected {
            if attempt.is_connected() {
                return Some(End::Failed(attempt.broken(None, now)));
            }
            let limit = self.connect_time();
            let late = attempt.started.elapsed() > limit + CONNECT_GRACE;
            // Said twice: a call that is just succeeding looks broken for a moment (see `CallState::Over`).
            let over = stats.over.is_some() && attempt.over == stats.over;
            attempt.over = stats.over;
            if over || late {
                return Some(attempt.no_connection(None, limit));
            }
            attempt.knock(&self.record.url);
            return None;
        }
        if !attempt.is_connected() {
            (attempt.judge, attempt.knock) = (Some(Judge::new(self.context.delivery_window, now)), None);
            attempt.branch.connected();
        }
        if let Some(latency_ms) = stats.latency_ms {
            attempt.latency = Duration::from_millis(latency_ms.into());
        }
        match attempt.judge(&stats, now)? {
            Verdict::Unproven => None,
            Verdict::Delivers => {
                attempt.stalled_at = None;
                if !matches!(self.state, State::Broadcasting { .. }) {
                    self.apply(Event::Delivered);
                }
                None
            }
            Verdict::Starved => {
                attempt.stalled_at = None;
                if !matches!(self.state, State::Starved { .. }) {
                    self.apply(Event::Starved);
                }
                None
            }
            Verdict::Stalled(stall) => {
                let since = *attempt.stalled_at.get_or_insert(now);
                if now.saturating_sub(since) >= STALLED_MAX {
                    return Some(End::Failed(cause::stalled(stall)));
                }
                if !matches!(self.state, State::Stalled { .. }) {
                    self.apply(Event::Stalled(cause::stalled(stall)));
                }
                None
            }
        }
    }

    /// How long libsrt tries to connect.
    fn connect_time(&self) -> Duration {
        let url = &self.record.url;
        let own = url.connect_timeout_ms.map_or(CONNECT_DEFAULT, |ms| Duration::from_millis(ms.into()));
        if url.mode == SrtMode::Rendezvous { own * 10 } else { own }
    }
}
