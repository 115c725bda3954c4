//! From a source's clock to the stream's running time, the only place that does it.
//!
//! Both tracks share one offset, so that what was in sync stays in sync. The hard thing is a jump (an
//! encoder's restart, a wrap that nobody unwrapped): the tracks see it at different moments, and for a
//! while units of the old and the new clock arrive mixed. So the line knows two offsets, the current and
//! the one before, and asks of each unit which of them it continues.
//!
//! When another source takes a stream over, nothing of the old clocks counts any more: both tracks of the new
//! one share a fresh clock behind everything that was placed.

use std::time::Duration;

use crate::model::codec::TrackKind;

/// A step forward in a track's decode time that is larger than this, and that the wall clock did not
/// make as well, is a jump.
pub const FORWARD_MAX: Duration = Duration::from_secs(1);

/// A step backward larger than this is a jump; a smaller one is disorder in the source.
pub const BACKWARD_MAX: Duration = Duration::from_millis(200);

/// How far a track's first unit may lie from the other track's newest one and still share its clock.
pub const FIRST_SPREAD_MAX: Duration = Duration::from_secs(2);

/// An offset that no unit used for this long is forgotten.
pub const CLOCK_KEPT: Duration = Duration::from_secs(5);

/// How far from its arrival a unit of a source that follows arrival may be placed: bursts after a stall of the
/// network or of this machine.
pub const DEVIATION_MAX: Duration = Duration::from_secs(5);

/// Distance between the last unit of an old clock and the first of a new one.
const SPLICE: Duration = Duration::from_millis(40);

/// Presentation and decode time differ by no more than this; more is a broken time stamp.
const COMPOSITION_MAX: Duration = Duration::from_secs(10);

/// Least step between two units of a track: more than a tick of MPEG-TS (11.1 µs) and than a sample at 48 kHz
/// (20.8 µs), so that they differ at a receiver too.
const STEP_MIN_NS: i64 = 50_000;

const fn ns(duration: Duration) -> i64 {
    duration.as_nanos() as i64
}

/// A unit's place in running time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Decode time in nanoseconds of running time; rises strictly within a track.
    pub dts_ns: u64,
    /// Presentation time in nanoseconds of running time.
    pub pts_ns: u64,
    /// The first unit of its track on another clock of its source.
    pub jumped: bool,
    /// The first unit of its track from another source.
    pub handed_over: bool,
    /// Its own time was not behind that of the unit before it on the same clock.
    pub moved: bool,
}

/// One of the source's clocks: running time minus source time.
#[derive(Debug, Clone, Copy)]
struct Clock {
    offset_ns: i64,
    used_ns: i64,
    generation: u64,
}

/// The newest unit of a track.
#[derive(Debug, Clone, Copy)]
struct Last {
    placed_ns: i64,
    arrived_ns: i64,
    generation: u64,
}

/// The mapping of one stream.
#[derive(Debug, Default)]
pub struct Timeline {
    /// The current clock first, then the one before it.
    clocks: [Option<Clock>; 2],
    /// By track: video, audio. Of this source alone.
    last: [Option<Last>; 2],
    /// What the sources before it left, by track: its units come behind these.
    past: [Option<Last>; 2],
    /// The highest presentation time that was given out.
    end_ns: i64,
    /// Of the clock that was started last; over all sources.
    generation: u64,
    /// How far this source's first unit was placed after the running time of its arrival: the sources before it may
    /// have sent faster than their own clock.
    lead_ns: i64,
    jumps: u64,
    /// See [`Timeline::follow_arrival`].
    follows_arrival: bool,
}

impl Timeline {
    /// How often the source's clock jumped.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// From now on the source's clock is this machine's, as a jitter buffer makes it from the arrival of packets:
    /// a step is a pause or a correction of one track against the other, and no jump, while it stays within
    /// [`DEVIATION_MAX`] of the arrival.
    pub fn follow_arrival(&mut self) {
        self.follows_arrival = true;
    }

    /// From now on another source sends: its clock has nothing to do with what was before, but its units come behind.
    pub fn hand_over(&mut self) {
        for track in 0..2 {
            self.past[track] = self.last[track].take().or(self.past[track]);
        }
        self.clocks = [None; 2];
        self.follows_arrival = false;
    }

    /// Places a unit. `dts_ns` and `pts_ns` are the source's, in nanoseconds of any origin;
    /// `arrived_ns` is the running time at which it came (it must leave room below for a first unit
    /// that is older than the one which set the clock).
    pub fn place(&mut self, kind: TrackKind, dts_ns: i64, pts_ns: i64, arrived_ns: i64) -> Placed {
        let track = kind.index();
        let last = self.last[track];
        let other = self.last[1 - track];
        let continued = if self.follows_arrival {
            self.near_arrival(dts_ns, arrived_ns)
        } else {
            self.continued(last, other, dts_ns, arrived_ns)
        };
        let slot = continued.unwrap_or_else(|| self.start_clock(dts_ns, arrived_ns));
        let clock = self.clocks[slot].get_or_insert(Clock { offset_ns: 0, used_ns: 0, generation: 0 });
        clock.used_ns = arrived_ns;
        let due_ns = arrived_ns.saturating_add(self.lead_ns);
        let earliest_ns = if self.follows_arrival { due_ns.saturating_sub(ns(DEVIATION_MAX)) } else { 0 };
        let mut placed_ns = dts_ns.saturating_add(clock.offset_ns).max(earliest_ns).max(0);
        let mut moved = false;
        if let Some(last) = last.or(self.past[track]) {
            let deficit = last.placed_ns.saturating_add(STEP_MIN_NS).saturating_sub(placed_ns);
            if deficit > 0 {
                if last.generation != clock.generation {
                    // The track's first unit on this clock lands before its own past: the whole clock
                    // moves, so that both tracks keep their distance.
                    clock.offset_ns = clock.offset_ns.saturating_add(deficit);
                } else {
                    moved = true;
                }
                placed_ns = placed_ns.saturating_add(deficit);
            }
        }
        let generation = clock.generation;
        self.last[track] = Some(Last { placed_ns, arrived_ns, generation });
        let composition_ns = pts_ns.saturating_sub(dts_ns).clamp(-ns(COMPOSITION_MAX), ns(COMPOSITION_MAX));
        let shown_ns = placed_ns.saturating_add(composition_ns).max(0);
        self.end_ns = self.end_ns.max(shown_ns);
        Placed {
            dts_ns: placed_ns.unsigned_abs(),
            pts_ns: shown_ns.unsigned_abs(),
            jumped: last.is_some_and(|last| last.generation != generation),
            handed_over: last.is_none() && self.past.iter().any(Option::is_some),
            moved,
        }
    }

    /// The one clock of a source that follows arrival. A late unit continues it too: an encoder gives out the
    /// sound from before a pause together with what comes behind it.
    fn near_arrival(&self, dts_ns: i64, arrived_ns: i64) -> Option<usize> {
        let placed_ns = dts_ns.saturating_add(self.clocks[0]?.offset_ns);
        (placed_ns.saturating_sub(arrived_ns.saturating_add(self.lead_ns)) <= ns(DEVIATION_MAX)).then_some(0)
    }

    /// The clock that a unit continues: of those it fits, the one that places it nearest to where it is expected.
    ///
    /// A step beyond the track's own last unit is none where it ends beside the other track: after a pause of
    /// the track a demuxer may let go of the last unit before it and the first behind it at the same moment.
    fn continued(&self, last: Option<Last>, other: Option<Last>, dts_ns: i64, arrived_ns: i64) -> Option<usize> {
        let own = last.is_some();
        let beside_other = |distance: i64| {
            let (Some(last), Some(other)) = (last, other) else { return false };
            let waited_ns = arrived_ns.saturating_sub(other.arrived_ns).max(0);
            let lead_ns = last.placed_ns.saturating_add(distance).saturating_sub(other.placed_ns);
            distance > 0 && (-ns(FORWARD_MAX)..=ns(FORWARD_MAX).saturating_add(waited_ns)).contains(&lead_ns)
        };
        let reference = last.or_else(|| newest(&self.last))?;
        let waited_ns = arrived_ns.saturating_sub(reference.arrived_ns).max(0);
        let (back_ns, forward_ns) =
            if own { (ns(BACKWARD_MAX), ns(FORWARD_MAX)) } else { (ns(FIRST_SPREAD_MAX), ns(FIRST_SPREAD_MAX)) };
        let distance = |clock: &Clock| dts_ns.saturating_add(clock.offset_ns).saturating_sub(reference.placed_ns);
        (0..2)
            .filter_map(|slot| Some((slot, self.clocks[slot]?)))
            .filter(|(_, clock)| arrived_ns.saturating_sub(clock.used_ns) <= ns(CLOCK_KEPT).max(waited_ns))
            .map(|(slot, clock)| (slot, distance(&clock)))
            .filter(|(_, distance)| {
                (-back_ns..=forward_ns.saturating_add(waited_ns)).contains(distance) || beside_other(*distance)
            })
            .min_by_key(|(_, distance)| distance.saturating_abs())
            .map(|(slot, _)| slot)
    }

    /// Starts a clock with this unit; the current one becomes the one before.
    fn start_clock(&mut self, dts_ns: i64, arrived_ns: i64) -> usize {
        self.generation += 1;
        let generation = self.generation;
        // Running time goes on as the wall clock did.
        let behind = |newest: Last| {
            let waited_ns = arrived_ns.saturating_sub(newest.arrived_ns);
            newest.placed_ns.saturating_add(waited_ns.max(ns(SPLICE)))
        };
        let start_ns = if let Some(newest) = newest(&self.last) {
            self.jumps += 1;
            behind(newest)
        } else {
            // What the source before it sent last may be shown later than it is decoded.
            let after_ns = self.end_ns.saturating_add(ns(SPLICE));
            let start_ns = newest(&self.past).map_or(arrived_ns, |newest| behind(newest).max(after_ns));
            self.lead_ns = start_ns.saturating_sub(arrived_ns);
            start_ns
        };
        self.clocks[1] = self.clocks[0];
        self.clocks[0] = Some(Clock { offset_ns: start_ns.saturating_sub(dts_ns), used_ns: arrived_ns, generation });
        0
    }
}

fn newest(tracks: &[Option<Last>; 2]) -> Option<Last> {
    tracks.iter().flatten().copied().max_by_key(|last| last.placed_ns)
}

#[cfg(test)]
mod tests;
