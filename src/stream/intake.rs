//! The way into a stream, as it outlives its publications: one pipeline, one time line, one source at a time.
//!
//! Owns which publication may send now ([`Intake::begin`], [`Intake::end`]) and what is known of the tracks. Must
//! not know why publications come and go; what a unit goes through is in `input`. The hard thing is the seam: a
//! source that is gone must not get in with a late unit, what the muxers still hold of it must come out although
//! nothing follows, and what is counted for a publication begins anew with the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use tokio::sync::watch;

use super::input::{Input, SETTLE_MAX};
use super::level::LevelFeed;
use super::meter::TrackMeter;
use super::preview::PictureFeed;
use super::timeline::Timeline;
use crate::media::caps;
use crate::media::fanout::Fanout;
use crate::media::key_frames::KeyFrameWish;
use crate::model::codec::{Begun, Codec, TrackKind};
use crate::model::ingest::IngestStatistics;
use crate::model::track::{TrackInfo, TrackStatistics};

/// Full seconds over which the bit rate of a track is averaged.
const RATE_SECONDS: u64 = 2;

/// When nothing at all has come for this long, the muxers are let drain: longer than any source's rhythm, well
/// below the time after which an endpoint that holds media counts as stalled.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// What a track's running publication has said and sent.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) expected: bool,
    /// Its format was set.
    pub(super) formatted: bool,
    /// What it is made out of, unless the publisher sends it so.
    pub(super) transcoded_from: Option<&'static str>,
    /// When its last unit came, since the stream's epoch.
    pub(super) last_arrival: Option<Duration>,
    /// Drop until the next key frame: at the begin, and after an overflow.
    pub(super) wants_key: bool,
    pub(super) dropped_units: u64,
    /// Units that the time line moved behind the one before.
    pub(super) disordered_units: u64,
    pub(super) meter: TrackMeter,
}

/// One track as it runs.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// Of the pipeline: they stay until another source sets others.
    pub(super) caps: Option<gst::Caps>,
    pub(super) codec: Option<Codec>,
    /// When a unit last went into the pipeline, of any publication: branches have been linked for the track then.
    pub(super) passed: Option<Duration>,
    /// The running publication's, or the last one's.
    pub(super) source: Source,
}

#[derive(Debug)]
pub(super) struct State {
    /// Which publication sends, or sent last; 0 before the first.
    lease: u64,
    /// It may send.
    open: bool,
    /// When it began.
    began: Duration,
    pub(super) timeline: Timeline,
    pub(super) tracks: [Track; 2],
    /// When its first unit came.
    pub(super) first_arrival: Option<Duration>,
    /// When a key frame was last wished for here.
    pub(super) wished: Option<Duration>,
    /// The newest decode time that went into the pipeline.
    pub(super) newest_ns: Option<u64>,
    /// The muxers have been told that nothing follows for now.
    pub(super) drained: bool,
    /// How the running publication's data comes in, as far as its ingest tells.
    pub(super) ingest: Option<IngestStatistics>,
    /// Where sound is measured, while it is.
    pub(super) level: Option<LevelFeed>,
    /// Where stills are made, while somebody looks.
    pub(super) pictures: Option<PictureFeed>,
}

impl State {
    fn new() -> Self {
        Self {
            lease: 0,
            open: false,
            began: Duration::ZERO,
            timeline: Timeline::default(),
            tracks: Default::default(),
            first_arrival: None,
            wished: None,
            newest_ns: None,
            drained: true,
            ingest: None,
            level: None,
            pictures: None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) fanout: Arc<Fanout>,
    /// Zero of all durations here.
    epoch: Instant,
    state: Mutex<State>,
    begun: watch::Sender<Begun>,
    pub(super) key_frames: KeyFrameWish,
    /// The format of each track.
    pub(super) formats: [watch::Sender<Option<gst::Caps>>; 2],
}

impl Shared {
    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned line still places units in rising order: go on rather than lose the stream.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for whoever holds this lease; nothing when it is over.
    pub(super) fn leased(&self, lease: u64) -> Option<MutexGuard<'_, State>> {
        Some(self.state()).filter(|state| state.open && state.lease == lease)
    }

    /// Whether endpoints may connect.
    pub(super) fn is_live(&self) -> bool {
        self.begun.borrow().live
    }

    pub(super) fn publish_begun(&self, state: &State, now: Duration) {
        let arrived = state.tracks.each_ref().map(|track| track.source.last_arrival.is_some());
        let settled = state.tracks.iter().all(|track| !track.source.expected || track.source.last_arrival.is_some())
            || state.first_arrival.is_some_and(|first| now.saturating_sub(first) > SETTLE_MAX);
        let [video, audio] = arrived;
        self.begun.send_if_modified(|begun| {
            let new = Begun { live: begun.live || ((video || audio) && settled), video, audio };
            let changed = *begun != new;
            *begun = new;
            changed
        });
    }

    /// The tracks that have begun, as they run now.
    pub(super) fn tracks(&self) -> Vec<TrackInfo> {
        let (state, now) = (self.state(), self.now());
        TrackKind::ALL
            .into_iter()
            .map(|kind| (kind, &state.tracks[kind.index()]))
            .filter(|(_, track)| track.source.last_arrival.is_some())
            .filter_map(|(kind, track)| {
                let caps = track.caps.as_ref()?;
                Some(TrackInfo {
                    codec: track.codec?,
                    size: caps::picture_size(caps),
                    audio: caps::audio_format(caps),
                    bitrate_bps: track.source.meter.rate_bps(RATE_SECONDS, now),
                    transcoded_from: track.source.transcoded_from,
                    statistics: self.statistics(&state, kind, now),
                })
            })
            .collect()
    }

    fn statistics(&self, state: &State, kind: TrackKind, now: Duration) -> TrackStatistics {
        let source = &state.tracks[kind.index()].source;
        TrackStatistics {
            dropped_units: source.dropped_units,
            disordered_units: source.disordered_units,
            levels: state
                .level
                .as_ref()
                .filter(|_| kind == TrackKind::Audio)
                .map(LevelFeed::levels)
                .unwrap_or_default(),
            ..source.meter.statistics(kind == TrackKind::Video, now)
        }
    }

    /// Payload bytes taken in of the publication.
    pub(super) fn received_bytes(&self) -> u64 {
        self.state().tracks.iter().map(|track| track.source.meter.bytes()).sum()
    }

    /// Lets the muxers take up all they hold: they take up nothing of one track while the other has nothing.
    fn drain(&self, state: &mut State) {
        let Some(newest_ns) = state.newest_ns.filter(|_| !state.drained) else { return };
        state.drained = true;
        let after = gst::ClockTime::from_nseconds(newest_ns + 1);
        for kind in TrackKind::ALL {
            if state.tracks[kind.index()].passed.is_some() {
                self.fanout.source(kind).send_event(gst::event::Gap::new(after, gst::ClockTime::NONE));
            }
        }
    }

    /// Drains when nothing has come for a while: a publisher that hangs must not make endpoints look stalled.
    fn drain_if_idle(&self) {
        let mut state = self.state();
        let now = self.now();
        let passed = state.tracks.iter().filter_map(|track| track.passed).max();
        if passed.is_some_and(|passed| now.saturating_sub(passed) > IDLE_AFTER) {
            self.drain(&mut state);
        }
    }
}

/// The stream's side of its inputs; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Intake(Arc<Shared>);

/// [`Intake`] for a task that must not keep the stream alive.
#[derive(Debug, Clone)]
pub(super) struct WeakIntake(Weak<Shared>);

impl WeakIntake {
    /// See [`IDLE_AFTER`]; `false` when the stream is gone.
    pub(super) fn drain_if_idle(&self) -> bool {
        self.0.upgrade().map(|shared| shared.drain_if_idle()).is_some()
    }

    /// Where sound is measured from now on.
    pub(super) fn set_level(&self, level: Option<LevelFeed>) {
        if let Some(shared) = self.0.upgrade() {
            let before = std::mem::replace(&mut shared.state().level, level);
            // Behind the lock: it may hold the last reference to something of GStreamer.
            drop(before);
        }
    }

    /// Where stills are made from now on.
    pub(super) fn set_pictures(&self, pictures: Option<PictureFeed>) {
        if let Some(shared) = self.0.upgrade() {
            let before = std::mem::replace(&mut shared.state().pictures, pictures);
            drop(before);
        }
    }
}

impl Intake {
    pub(super) fn new(fanout: Arc<Fanout>) -> Self {
        Self(Arc::new(Shared {
            fanout,
            epoch: Instant::now(),
            state: Mutex::new(State::new()),
            begun: watch::Sender::new(Begun::default()),
            key_frames: KeyFrameWish::default(),
            formats: Default::default(),
        }))
    }

    pub(super) fn downgrade(&self) -> WeakIntake {
        WeakIntake(Arc::downgrade(&self.0))
    }

    /// Lets another publication send, and none before it any more. What it is to be called from here on.
    pub(super) fn begin(&self) -> u64 {
        let mut state = self.0.state();
        self.close(&mut state);
        state.lease += 1;
        state.open = true;
        state.began = self.0.now();
        state.first_arrival = None;
        state.wished = None;
        state.timeline.hand_over();
        for track in &mut state.tracks {
            track.source = Source { wants_key: track.passed.is_some(), ..Source::default() };
        }
        state.lease
    }

    /// The publication has ended; nothing when another one has taken its place.
    pub(super) fn end(&self, lease: u64) {
        if let Some(mut state) = self.0.leased(lease) {
            self.close(&mut state);
        }
    }

    fn close(&self, state: &mut State) {
        if state.open {
            state.open = false;
            state.ingest = None;
            self.0.drain(state);
            // Nobody connects to a stream without data.
            self.0.begun.send_replace(Begun::default());
        }
    }

    /// The door of a publication.
    pub(super) fn input(&self, lease: u64) -> Input {
        Input::new(Arc::clone(&self.0), lease)
    }

    /// Which tracks have begun; changes wake whoever waits.
    pub(super) fn begun(&self) -> watch::Receiver<Begun> {
        self.0.begun.subscribe()
    }

    /// The endpoints' side of [`Input::key_frame_requests`].
    pub(super) fn key_frames(&self) -> KeyFrameWish {
        self.0.key_frames.clone()
    }

    /// Whether endpoints may connect.
    pub(super) fn is_live(&self) -> bool {
        self.0.is_live()
    }

    /// Whether the publication that sends, or sent last, has ever sent anything.
    pub(super) fn has_data(&self) -> bool {
        self.0.state().first_arrival.is_some()
    }

    /// How long nothing has come; since the publication's begin when nothing came at all.
    pub(super) fn silent_for(&self) -> Duration {
        let state = self.0.state();
        let last = state.tracks.iter().filter_map(|track| track.source.last_arrival).max();
        self.0.now().saturating_sub(last.unwrap_or(state.began))
    }

    /// The tracks that have begun, as they run now.
    pub(super) fn tracks(&self) -> Vec<TrackInfo> {
        self.0.tracks()
    }

    /// Payload bytes taken in of the publication.
    pub(super) fn received_bytes(&self) -> u64 {
        self.0.received_bytes()
    }

    /// The format of a track, whenever it changes.
    pub(super) fn format(&self, kind: TrackKind) -> watch::Receiver<Option<gst::Caps>> {
        self.0.formats[kind.index()].subscribe()
    }

    /// How often the sources' clocks have jumped.
    pub(super) fn timestamp_jumps(&self) -> u64 {
        self.0.state().timeline.jumps()
    }

    /// How the running publication's data comes in.
    pub(super) fn ingest(&self) -> Option<IngestStatistics> {
        self.0.state().ingest.clone()
    }
}

impl Source {
    /// A unit has come.
    pub(super) fn received(&mut self, bytes: u64, now: Duration) {
        self.last_arrival = Some(now);
        self.meter.received(bytes, now);
    }
}
