//! The door of a pulled source: the stream's input, and beside it what is known of how the source comes in.
//!
//! Owns the first unit, the last one, and the speed: media time per time, as Ant Media shows it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use tokio::sync::{mpsc, watch};

use crate::ingest::track::Door;
use crate::model::codec::TrackKind;
use crate::stream::{AccessUnit, Input};

/// Span over which the speed is measured.
const SPAN: Duration = Duration::from_secs(2);

/// A step of the source's clock that no speed explains: a jump; the span starts anew.
const STEP_MAX_NS: i64 = 5_000_000_000;

/// What a source's units go through; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Metered {
    input: Input,
    state: Arc<Mutex<State>>,
    /// Told at the first unit.
    first: mpsc::UnboundedSender<()>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    /// The track that is measured, its time at the begin of the span, that moment, and its newest time.
    span: Option<(TrackKind, i64, Instant, i64)>,
    speed: f64,
}

impl Metered {
    pub(super) fn new(input: Input, first: mpsc::UnboundedSender<()>) -> Self {
        Self { input, state: Arc::default(), first }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers that are never half written: go on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long no unit has come; `None` before the first one.
    pub(super) fn silent_for(&self) -> Option<Duration> {
        self.state().last.map(|last| last.elapsed())
    }

    /// Media time per time over the last span.
    pub(super) fn speed(&self) -> f64 {
        self.state().speed
    }
}

impl State {
    fn unit(&mut self, kind: TrackKind, dts_ns: i64, now: Instant) {
        self.last = Some(now);
        let Some((measured, from_ns, since, newest_ns)) = &mut self.span else {
            self.span = Some((kind, dts_ns, now, dts_ns));
            return;
        };
        if *measured != kind {
            return;
        }
        if !(-STEP_MAX_NS..=STEP_MAX_NS).contains(&dts_ns.saturating_sub(*newest_ns)) {
            self.span = Some((kind, dts_ns, now, dts_ns));
            return;
        }
        *newest_ns = dts_ns;
        let span = now.duration_since(*since);
        if span >= SPAN {
            self.speed = dts_ns.saturating_sub(*from_ns) as f64 / span.as_nanos() as f64;
            (*from_ns, *since) = (dts_ns, now);
        }
    }
}

impl Door for Metered {
    fn expect(&self, kind: TrackKind) {
        self.input.expect(kind);
    }

    fn expect_no_more(&self, kind: TrackKind) {
        self.input.expect_no_more(kind);
    }

    fn set_caps(&self, kind: TrackKind, caps: &gst::Caps) {
        self.input.set_caps(kind, caps);
    }

    fn push(&self, unit: AccessUnit) {
        let mut state = self.state();
        if state.last.is_none() {
            // Nobody listens any more: the attempt is over.
            let _ = self.first.send(());
        }
        state.unit(unit.kind, unit.dts_ns, Instant::now());
        drop(state);
        self.input.push(unit);
    }

    fn set_transcoded(&self, kind: TrackKind, from: Option<&'static str>) {
        self.input.set_transcoded(kind, from);
    }

    fn key_frame_requests(&self) -> watch::Receiver<u64> {
        self.input.key_frame_requests()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_media_time_per_time_and_survives_a_jump() {
        let (mut state, begin) = (State::default(), Instant::now());
        let at = |ms: u64| begin + Duration::from_millis(ms);
        for n in 0..=100_u64 {
            state.unit(TrackKind::Video, n as i64 * 60_000_000, at(n * 40));
            state.unit(TrackKind::Audio, -1, at(n * 40));
        }
        assert!((state.speed - 1.5).abs() < 0.01, "{}", state.speed);
        for n in 0..=100_u64 {
            state.unit(TrackKind::Video, 1_000_000_000_000 + n as i64 * 40_000_000, at(4_040 + n * 40));
        }
        assert!((state.speed - 1.0).abs() < 0.01, "{}", state.speed);
    }
}
