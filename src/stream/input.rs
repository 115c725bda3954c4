//! The one door into a stream: takes parsed access units from the ingest that publishes it, places them
//! in running time, and hands them to the stream pipeline. A door belongs to one publication; when that is over,
//! whatever still comes through it is dropped.
//!
//! It is called from the ingests' streaming threads and never blocks. The hard thing is silence: on
//! GStreamer 1.22 a muxer waits for ever for a track without data, so while one track is silent each unit
//! of the other carries a GAP event for it ahead.

use std::sync::Arc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use tokio::sync::watch;

use super::intake::{Shared, State};
use crate::media::caps;
use crate::media::gate::WISH_PAUSE;
use crate::model::codec::TrackKind;
use crate::model::ingest::IngestStatistics;
use crate::model::track::TrackInfo;

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

/// The door of one publication; clones share it.
#[derive(Debug, Clone)]
pub struct Input {
    shared: Arc<Shared>,
    /// Which publication's.
    lease: u64,
}

impl Input {
    pub(super) fn new(shared: Arc<Shared>, lease: u64) -> Self {
        Self { shared, lease }
    }

    /// Says that the source's time stamps are made from the arrival of its packets, so that a step of one track
    /// alone is meant, not a broken clock.
    pub fn follow_arrival(&self) {
        if let Some(mut state) = self.shared.leased(self.lease) {
            state.timeline.follow_arrival();
        }
    }

    /// Announces a track that has not sent anything yet: the stream waits for it a little
    /// ([`SETTLE_MAX`]) before endpoints connect, so that their first programme table names it.
    pub fn expect(&self, kind: TrackKind) {
        if let Some(mut state) = self.shared.leased(self.lease) {
            state.tracks[kind.index()].source.expected = true;
        }
    }

    /// Takes back an announcement (a codec nobody can carry).
    pub fn expect_no_more(&self, kind: TrackKind) {
        let Some(mut state) = self.shared.leased(self.lease) else { return };
        state.tracks[kind.index()].source.expected = false;
        self.shared.publish_begun(&state, self.shared.now());
    }

    /// Sets a track's format: parsed caps as `pipelines/parse-*.launch` pin them. Ignored when unchanged.
    pub fn set_caps(&self, kind: TrackKind, new: &gst::Caps) {
        let Some(mut state) = self.shared.leased(self.lease) else { return };
        let track = &mut state.tracks[kind.index()];
        track.source.formatted = true;
        if track.caps.as_deref() == Some(new.as_ref()) {
            return;
        }
        track.codec = caps::codec_of(new);
        track.caps = Some(new.clone());
        self.shared.fanout.source(kind).set_caps(Some(new));
        self.shared.formats[kind.index()].send_replace(Some(new.clone()));
    }

    /// Says what a track is made out of; `None` when the publisher sends it as it is.
    pub fn set_transcoded(&self, kind: TrackKind, from: Option<&'static str>) {
        if let Some(mut state) = self.shared.leased(self.lease) {
            state.tracks[kind.index()].source.transcoded_from = from;
        }
    }

    /// Says how the publisher's data comes in; shown until the publication ends.
    pub fn report(&self, statistics: IngestStatistics) {
        if let Some(mut state) = self.shared.leased(self.lease) {
            state.ingest = Some(statistics);
        }
    }

    /// Takes a unit. Never blocks.
    pub fn push(&self, unit: AccessUnit) {
        let AccessUnit { kind, mut buffer, dts_ns, pts_ns } = unit;
        let Some(mut state) = self.shared.leased(self.lease) else { return };
        let state = &mut *state;
        let now = self.shared.now();
        state.first_arrival.get_or_insert(now);
        if !state.tracks[kind.index()].source.formatted {
            return;
        }
        state.tracks[kind.index()].source.received(buffer.size() as u64, now);
        if !self.may_pass(state, kind, &buffer, now) {
            self.shared.publish_begun(state, now);
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
            if placed.jumped || placed.handed_over {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            } else {
                buffer.unset_flags(gst::BufferFlags::DISCONT);
            }
        }
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let source = &mut state.tracks[kind.index()].source;
        source.meter.passed(placed.dts_ns, key, now);
        source.disordered_units += u64::from(placed.moved);
        match kind {
            TrackKind::Audio => state.level.as_mut().map(|level| level.take(&buffer)),
            TrackKind::Video => state.pictures.as_mut().map(|pictures| pictures.take(&buffer)),
        };
        self.fill_silence(state, kind, placed.dts_ns, now);
        state.tracks[kind.index()].passed = Some(now);
        state.newest_ns = state.newest_ns.max(Some(placed.dts_ns));
        state.drained = false;
        // The lock is held across the push: units of one track keep the order of their time stamps, and nothing of
        // one source comes behind another's.
        if let Err(flow) = self.shared.fanout.source(kind).push_buffer(buffer) {
            tracing::debug!(track = %kind, ?flow, "the stream pipeline takes nothing more");
        }
        self.shared.publish_begun(state, now);
    }

    /// Whether a unit goes in. Not before a key frame where pictures of another source came before, or where the
    /// pipeline does not keep up.
    fn may_pass(&self, state: &mut State, kind: TrackKind, buffer: &gst::Buffer, now: Duration) -> bool {
        let source = &mut state.tracks[kind.index()].source;
        if self.shared.fanout.source(kind).current_level_bytes() > BACKLOG_BYTES_MAX {
            if !source.wants_key {
                tracing::warn!(track = %kind, "the stream pipeline does not keep up; dropping to the next key frame");
            }
            source.wants_key = true;
        } else if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            source.wants_key = false;
        } else if source.wants_key && state.wished.is_none_or(|last| now.saturating_sub(last) > WISH_PAUSE) {
            state.wished = Some(now);
            self.shared.key_frames.wish();
        }
        source.dropped_units += u64::from(source.wants_key);
        !source.wants_key
    }

    /// Sends a GAP up to `dts_ns` on every other track that branches have been linked for and that is silent.
    fn fill_silence(&self, state: &State, pushed: TrackKind, dts_ns: u64, now: Duration) {
        for kind in TrackKind::ALL.into_iter().filter(|kind| *kind != pushed) {
            let track = &state.tracks[kind.index()];
            let Some(passed) = track.passed else { continue };
            // A new source's second track gets as long as a running one's; one that nobody announced, no time.
            let awaited = if track.source.expected { state.first_arrival } else { None };
            if now.saturating_sub(awaited.map_or(passed, |since| since.max(passed))) > SILENT_AFTER {
                let gap = gst::event::Gap::new(gst::ClockTime::from_nseconds(dts_ns), gst::ClockTime::NONE);
                self.shared.fanout.source(kind).send_event(gap);
            }
        }
    }

    /// Rises whenever a key frame would be of use: an endpoint was added, a gate wants to open again. For an
    /// ingest that can ask its publisher for one; it decides how often. Gates pace their wishes, but there may
    /// be many of them.
    pub fn key_frame_requests(&self) -> watch::Receiver<u64> {
        self.shared.key_frames.subscribe()
    }

    /// Whether this publication's data flows and endpoints may connect.
    pub fn is_live(&self) -> bool {
        self.shared.leased(self.lease).is_some() && self.shared.is_live()
    }

    /// The tracks that have begun, as they run now.
    pub fn tracks(&self) -> Vec<TrackInfo> {
        self.shared.tracks()
    }

    /// Payload bytes taken in of the publication that sends, or sent last.
    pub fn received_bytes(&self) -> u64 {
        self.shared.received_bytes()
    }
}
