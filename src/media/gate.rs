//! The gate in front of an endpoint's muxer: what goes in, and when.
//!
//! The decision is pure (units, clock readings and verdicts; no GStreamer), so that it can be tested as
//! a table. The hard thing is telling an endpoint that lags for good from a publisher that delivers in
//! bursts: both pile up media time in the muxer, but only the first keeps it piled up.

use std::time::Duration;

use crate::model::codec::TrackKind;

/// Media time an endpoint may hold in its muxer before it counts as lagging.
pub const LAG_MAX: Duration = Duration::from_millis(400);

/// How long it may stay so before the gate closes: a burst of a healthy endpoint drains in a few ms.
pub const LAG_PATIENCE: Duration = Duration::from_millis(400);

/// Media time at which the gate closes at once: what a stuck endpoint may hold in memory. (The muxer itself
/// never blocks, see `latency` in `pipelines/endpoint.launch`.)
pub const LAG_LIMIT: Duration = Duration::from_secs(6);

/// Least time between two wishes of one gate for a key frame.
pub const WISH_PAUSE: Duration = Duration::from_millis(500);

/// It doubles with each closing, up to this: a receiver too slow for the stream must not make the publisher
/// spend its bit rate on key frames, for all the others see that.
pub const WISH_PAUSE_MAX: Duration = Duration::from_secs(8);

/// A gate that was open for so long is as good as new.
pub const STEADY_AFTER: Duration = Duration::from_secs(10);

/// What happens to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Goes in; the gate was open.
    Pass,
    /// Goes in, and opens the gate: the first unit the receiver gets (again).
    Open,
    /// Is dropped.
    Drop,
}

/// What a gate has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateCounters {
    /// Units let in.
    pub passed_units: u64,
    /// Units dropped after the first opening.
    pub dropped_units: u64,
    /// How often the gate closed because the endpoint lagged; each costs the rest of a GOP at least.
    pub closings: u64,
}

/// One unit, as the gate sees it.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// Its track.
    pub kind: TrackKind,
    /// Decodable by itself (always true for audio).
    pub key: bool,
    /// Decode time in nanoseconds of running time.
    pub time_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waits for a key frame (or, without video, for anything).
    Closed,
    /// Shut for good: the branch is on its way out.
    Locked,
    /// Lets through.
    Open,
}

/// The gate of one endpoint branch, over both of its tracks.
#[derive(Debug)]
pub struct Gate {
    state: State,
    /// Whether a video track is linked: audio then waits for it.
    has_video: bool,
    /// Units before this time are not let in: the key frame that opened the gate.
    floor_ns: u64,
    /// Newest unit let in, and newest unit the muxer took up, by track.
    newest_ns: [Option<u64>; 2],
    consumed_ns: [Option<u64>; 2],
    /// The receiver is connected. Before that nothing drains, so that lag needs no patience: what has
    /// piled up when the connection stands is old.
    connected: bool,
    /// Since when the lag has been above [`LAG_MAX`].
    lagging_since: Option<Duration>,
    opened_before: bool,
    /// When it opened last.
    opened_at: Duration,
    /// Before that no further key frame is wished for.
    next_wish: Duration,
    /// How long after a wish the next one may come.
    wish_pause: Duration,
    counters: GateCounters,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A closed gate that waits for its first key frame.
    pub fn new() -> Self {
        Self {
            state: State::Closed,
            connected: false,
            has_video: false,
            floor_ns: 0,
            newest_ns: [None; 2],
            consumed_ns: [None; 2],
            lagging_since: None,
            opened_before: false,
            opened_at: Duration::ZERO,
            next_wish: Duration::ZERO,
            wish_pause: WISH_PAUSE,
            counters: GateCounters::default(),
        }
    }

    /// A track was linked. Video that joins a running audio-only branch does not close it.
    pub fn add_track(&mut self, kind: TrackKind) {
        self.has_video |= kind == TrackKind::Video;
    }

    /// Whether the stream's publisher sends video at all: audio does not wait for a track that is gone. Video that
    /// comes later does not close the gate.
    pub fn set_video(&mut self, flows: bool) {
        self.has_video = flows;
    }

    /// The receiver is connected.
    pub fn connected(&mut self) {
        self.connected = true;
    }

    /// Closes the gate for good; nothing passes any more.
    pub fn lock(&mut self) {
        self.state = State::Locked;
    }

    /// Whether units pass now.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The counters.
    pub fn counters(&self) -> GateCounters {
        self.counters
    }

    /// Media time that was let in and that the muxer has not taken up.
    pub fn lag(&self) -> Duration {
        let lag_ns = (0..2).filter_map(|i| self.track_lag_ns(i)).max().unwrap_or(0);
        Duration::from_nanos(lag_ns)
    }

    /// The newest unit that was let in, of any track.
    pub fn newest_ns(&self) -> Option<u64> {
        self.newest_ns.iter().flatten().copied().max()
    }

    fn track_lag_ns(&self, track: usize) -> Option<u64> {
        let newest = self.newest_ns[track]?;
        Some(newest.saturating_sub(self.consumed_ns[track].unwrap_or(self.floor_ns)))
    }

    /// Everything that was let in has been taken up.
    fn is_drained(&self) -> bool {
        (0..2).all(|i| self.newest_ns[i].is_none_or(|newest| self.consumed_ns[i].is_some_and(|c| c >= newest)))
    }

    /// Decides about a unit; `now` is any monotonic clock.
    pub fn admit(&mut self, unit: Unit, now: Duration) -> Verdict {
        if self.state == State::Open && self.lags(now) {
            self.close(now);
        }
        let verdict = match self.state {
            State::Locked => Verdict::Drop,
            State::Open if unit.time_ns < self.floor_ns => Verdict::Drop,
            State::Open => Verdict::Pass,
            State::Closed if self.may_open(unit) => Verdict::Open,
            State::Closed => Verdict::Drop,
        };
        match verdict {
            Verdict::Drop => {
                self.counters.dropped_units += u64::from(self.opened_before);
                return verdict;
            }
            Verdict::Open => {
                self.state = State::Open;
                self.opened_before = true;
                self.opened_at = now;
                self.floor_ns = unit.time_ns;
                self.lagging_since = None;
                self.newest_ns = [None; 2];
                self.consumed_ns = [None; 2];
            }
            Verdict::Pass => {}
        }
        self.counters.passed_units += 1;
        let newest = &mut self.newest_ns[unit.kind.index()];
        *newest = Some(newest.map_or(unit.time_ns, |n| n.max(unit.time_ns)));
        verdict
    }

    /// The muxer took up a unit (or a gap) of this track.
    pub fn consumed(&mut self, kind: TrackKind, time_ns: u64) {
        let consumed = &mut self.consumed_ns[kind.index()];
        *consumed = Some(consumed.map_or(time_ns, |c| c.max(time_ns)));
    }

    fn close(&mut self, now: Duration) {
        self.state = State::Closed;
        self.counters.closings += 1;
        let steady = now.saturating_sub(self.opened_at) >= STEADY_AFTER;
        // Before the receiver is connected it has not failed at anything yet.
        self.wish_pause =
            if steady || !self.connected { WISH_PAUSE } else { (self.wish_pause * 2).min(WISH_PAUSE_MAX) };
    }

    /// Whether to wish for a key frame now: one would open the gate and be delivered. Ask whenever something
    /// has happened (a unit was dropped, the muxer took one up, the receiver connected); the gate paces itself.
    pub fn wishes(&mut self, now: Duration) -> bool {
        let useful = self.state == State::Closed && self.has_video && self.connected && self.is_drained();
        let wishes = useful && now >= self.next_wish;
        if wishes {
            self.wished(now);
        }
        wishes
    }

    /// A key frame was wished for on this gate's behalf.
    pub fn wished(&mut self, now: Duration) {
        self.next_wish = now + self.wish_pause;
    }

    fn may_open(&self, unit: Unit) -> bool {
        let starts = match unit.kind {
            TrackKind::Video => unit.key,
            TrackKind::Audio => !self.has_video,
        };
        starts && self.is_drained()
    }

    fn lags(&mut self, now: Duration) -> bool {
        let lag = self.lag();
        if lag <= LAG_MAX {
            self.lagging_since = None;
            return false;
        }
        let since = *self.lagging_since.get_or_insert(now);
        !self.connected || lag > LAG_LIMIT || now.saturating_sub(since) > LAG_PATIENCE
    }
}

#[cfg(test)]
mod tests;
