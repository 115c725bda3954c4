//! The one door into a stream: takes parsed access units from whatever ingest is connected, places them
//! in running time, and hands them to the stream pipeline.
//!
//! It is called from the ingests' streaming threads and never blocks. The hard thing is silence: on
//! GStreamer 1.22 a muxer waits for ever for a track without data, so while one track is silent each unit
//! of the other carries a GAP event for it ahead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use tokio::sync::watch;

use super::timeline::Timeline;
use crate::media::caps;
use crate::media::fanout::Fanout;
use crate::media::gate::WISH_PAUSE;
use crate::media::key_frames::KeyFrameWish;
use crate::model::broadcast::TrackInfo;
use crate::model::codec::{Begun, Codec, TrackKind};

/// Running time of the first unit: room for units that come after it and are older.
const HEADROOM: Duration = Duration::from_secs(10);

/// A track without a unit for this long is silent: muxers stop waiting for it. Well below the gate's patience
/// (800 ms in all), above the interleaving of ordinary sources: FFmpeg packs sound into PES of up to 350 ms
/// (half its default `max_delay`), and a muxer that stops waiting sooner sends it after its decoding time.
const SILENT_AFTER: Duration = Duration::from_millis(450);

/// What may wait in front of a tee before whole GOPs are dropped, in bytes. Nothing waits there unless
/// the process gets no CPU time: the tee never blocks.
const BACKLOG_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Once something has come, how long the stream waits for the other tracks that were announced.
pub const SETTLE_MAX: Duration = Duration::from_millis(1_500);

/// Span over which bit rates are averaged.
const RATE_SPAN: Duration = Duration::from_secs(2);

/// A parsed access unit from an ingest.
#[derive(Debug)]
pub struct AccessUnit {
    /// Its track.
    pub kind: TrackKind,
    /// The payload; `DELTA_UNIT` tells a picture that isn't a key frame. Its time stamps are ignored.
    pub buffer: gst::Buffer,
    /// Decode time in nanoseconds of the source's clock, any origin.
    pub dts_ns: i64,
    /// Presentation time in nanoseconds of the source's clock.
    pub pts_ns: i64,
}

/// One track as it runs.
#[derive(Debug, Default)]
struct Track {
    expected: bool,
    caps: Option<gst::Caps>,
    codec: Option<Codec>,
    /// What it is made out of, unless the publisher sends it so.
    transcoded_from: Option<&'static str>,
    /// When its last unit came, since the stream's epoch.
    last_arrival: Option<Duration>,
    /// Drop until the next key frame, after an overflow.
    wants_key: bool,
    dropped_units: u64,
    bytes: u64,
    /// Bytes at the start of the running rate span, that moment, and the last span's rate.
    rate: (u64, Duration, u64),
}

#[derive(Debug)]
struct State {
    timeline: Timeline,
    tracks: [Track; 2],
    first_arrival: Option<Duration>,
    /// When an overflow last wished for a key frame.
    wished: Option<Duration>,
}

#[derive(Debug)]
struct Shared {
    fanout: Arc<Fanout>,
    /// Zero of all durations here.
    epoch: Instant,
    state: Mutex<State>,
    begun: watch::Sender<Begun>,
    key_frames: KeyFrameWish,
}

/// The door; clones share it.
#[derive(Debug, Clone)]
pub struct Input(Arc<Shared>);

impl Input {
    pub(super) fn new(fanout: Arc<Fanout>) -> Self {
        let state =
            State { timeline: Timeline::default(), tracks: Default::default(), first_arrival: None, wished: None };
        let (begun, key_frames) = (watch::Sender::new(Begun::default()), KeyFrameWish::default());
        Self(Arc::new(Shared { fanout, epoch: Instant::now(), state: Mutex::new(state), begun, key_frames }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned line still places units in rising order: go on rather than lose the stream.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the source's time stamps are made from the arrival of its packets, so that a step of one track
    /// alone is meant, not a broken clock.
    pub fn follow_arrival(&self) {
        self.state().timeline.follow_arrival();
    }

    /// Announces a track that has not sent anything yet: the stream waits for it a little
    /// ([`SETTLE_MAX`]) before endpoints connect, so that their first programme table names it.
    pub fn expect(&self, kind: TrackKind) {
        self.state().tracks[kind.index()].expected = true;
    }

    /// Takes back an announcement (a codec nobody can carry).
    pub fn expect_no_more(&self, kind: TrackKind) {
        let mut state = self.state();
        state.tracks[kind.index()].expected = false;
        self.publish_begun(&state, self.0.epoch.elapsed());
    }

    /// Sets a track's format: parsed caps as `pipelines/parse-*.launch` pin them. Ignored when unchanged.
    pub fn set_caps(&self, kind: TrackKind, new: &gst::Caps) {
        let mut state = self.state();
        let track = &mut state.tracks[kind.index()];
        if track.caps.as_deref() == Some(new.as_ref()) {
            return;
        }
        track.codec = caps::codec_of(new);
        track.caps = Some(new.clone());
        self.0.fanout.source(kind).set_caps(Some(new));
    }

    /// Says what a track is made out of; `None` when the publisher sends it as it is.
    pub fn set_transcoded(&self, kind: TrackKind, from: Option<&'static str>) {
        self.state().tracks[kind.index()].transcoded_from = from;
    }

    /// Takes a unit. Never blocks.
    pub fn push(&self, unit: AccessUnit) {
        let AccessUnit { kind, mut buffer, dts_ns, pts_ns } = unit;
        let now = self.0.epoch.elapsed();
        let mut state = self.state();
        state.first_arrival.get_or_insert(now);
        let state = &mut *state;
        let track = &mut state.tracks[kind.index()];
        if track.caps.is_none() {
            return;
        }
        track.count(buffer.size() as u64, now);
        let source = self.0.fanout.source(kind);
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if source.current_level_bytes() > BACKLOG_BYTES_MAX {
            if !track.wants_key {
                tracing::warn!(track = %kind, "the stream pipeline does not keep up; dropping to the next key frame");
            }
            track.wants_key = true;
        } else if key {
            track.wants_key = false;
        } else if track.wants_key && state.wished.is_none_or(|last| now.saturating_sub(last) > WISH_PAUSE) {
            state.wished = Some(now);
            self.0.key_frames.wish();
        }
        if track.wants_key {
            track.dropped_units += 1;
            return;
        }
        let arrived_ns = i64::try_from((now + HEADROOM).as_nanos()).unwrap_or(i64::MAX);
        let placed = state.timeline.place(kind, dts_ns, pts_ns, arrived_ns);
        if placed.jumped {
            tracing::info!(track = %kind, "the source's time stamps jumped; running time goes on");
        }
        {
            let buffer = buffer.make_mut();
            buffer.set_dts(gst::ClockTime::from_nseconds(placed.dts_ns));
            buffer.set_pts(gst::ClockTime::from_nseconds(placed.pts_ns));
            if placed.jumped {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            } else {
                buffer.unset_flags(gst::BufferFlags::DISCONT);
            }
        }
        self.fill_silence(state, kind, placed.dts_ns, now);
        // The lock is held across the push: units of one track keep the order of their time stamps.
        if let Err(flow) = source.push_buffer(buffer) {
            tracing::debug!(track = %kind, ?flow, "the stream pipeline takes nothing more");
        }
        self.publish_begun(state, now);
    }

    /// Sends a GAP up to `dts_ns` on every other track that has begun and is silent.
    fn fill_silence(&self, state: &State, pushed: TrackKind, dts_ns: u64, now: Duration) {
        for kind in TrackKind::ALL {
            let silent = kind != pushed
                && state.tracks[kind.index()].last_arrival.is_some_and(|last| now.saturating_sub(last) > SILENT_AFTER);
            if silent {
                let gap = gst::event::Gap::new(gst::ClockTime::from_nseconds(dts_ns), gst::ClockTime::NONE);
                self.0.fanout.source(kind).send_event(gap);
            }
        }
    }

    fn publish_begun(&self, state: &State, now: Duration) {
        let [video, audio] = state.tracks.each_ref().map(|track| track.last_arrival.is_some());
        let settled = state.tracks.iter().all(|track| !track.expected || track.last_arrival.is_some())
            || state.first_arrival.is_some_and(|first| now.saturating_sub(first) > SETTLE_MAX);
        self.0.begun.send_if_modified(|begun| {
            let new = Begun { live: begun.live || ((video || audio) && settled), video, audio };
            let changed = *begun != new;
            *begun = new;
            changed
        });
    }

    /// Which tracks have begun; changes wake whoever waits.
    pub(super) fn begun(&self) -> watch::Receiver<Begun> {
        self.0.begun.subscribe()
    }

    /// Rises whenever a key frame would be of use: an endpoint was added, a gate wants to open again. For an
    /// ingest that can ask its publisher for one; it decides how often. Gates pace their wishes, but there may
    /// be many of them.
    pub fn key_frame_requests(&self) -> watch::Receiver<u64> {
        self.0.key_frames.subscribe()
    }

    /// The endpoints' side of [`Input::key_frame_requests`].
    pub(super) fn key_frames(&self) -> KeyFrameWish {
        self.0.key_frames.clone()
    }

    /// Whether endpoints may connect.
    pub fn is_live(&self) -> bool {
        self.0.begun.borrow().live
    }

    /// How long nothing has come; since the stream's start when nothing came at all.
    pub fn silent_for(&self) -> Duration {
        let last = self.state().tracks.iter().filter_map(|track| track.last_arrival).max();
        self.0.epoch.elapsed().saturating_sub(last.unwrap_or_default())
    }

    /// The tracks that have begun, as they run now.
    pub fn tracks(&self) -> Vec<TrackInfo> {
        let now = self.0.epoch.elapsed();
        self.state()
            .tracks
            .iter()
            .filter(|track| track.last_arrival.is_some())
            .filter_map(|track| {
                let caps = track.caps.as_ref()?;
                Some(TrackInfo {
                    codec: track.codec?,
                    size: caps::picture_size(caps),
                    audio: caps::audio_format(caps),
                    bitrate_bps: track.bitrate_bps(now),
                    transcoded_from: track.transcoded_from,
                })
            })
            .collect()
    }

    /// Payload bytes taken in since the start.
    pub fn received_bytes(&self) -> u64 {
        self.state().tracks.iter().map(|track| track.bytes).sum()
    }
}

impl Track {
    fn count(&mut self, bytes: u64, now: Duration) {
        self.last_arrival = Some(now);
        self.bytes += bytes;
        let (from_bytes, since, _) = self.rate;
        let span = now.saturating_sub(since);
        if span >= RATE_SPAN {
            self.rate = (self.bytes, now, rate_bps(self.bytes - from_bytes, span));
        }
    }

    fn bitrate_bps(&self, now: Duration) -> u64 {
        let (from_bytes, since, last_rate) = self.rate;
        let span = now.saturating_sub(since);
        // A silent track's rate falls; a fresh span's is not yet meaningful.
        if span >= RATE_SPAN || last_rate == 0 { rate_bps(self.bytes - from_bytes, span) } else { last_rate }
    }
}

fn rate_bps(bytes: u64, span: Duration) -> u64 {
    let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(8_000) / span_ms
}
