//! Keeps a publisher's tracks together on their way into the stream.
//!
//! A muxer waits for the track that is behind, and a gate takes a long wait for a receiver that lags. Some senders pack
//! sound so that it comes late and all at once: FFmpeg puts up to 0.7 s of silence into one packet. So what is
//! ahead of the other track waits here instead; tracks that come as they should pass at once. Pure but for the units.

use std::collections::VecDeque;
use std::time::Duration;

use crate::stream::AccessUnit;

/// How far a track may be ahead of the other: less than a gate's patience (400 ms), more than the interleaving of
/// ordinary senders.
const AHEAD_MAX_NS: i64 = 250_000_000;

/// How long a unit waits at most, by the time stamps of its own track.
const WAIT_MAX_NS: i64 = 1_000_000_000;

/// A track that has sent nothing for so long is not waited for.
const ALIVE: Duration = Duration::from_millis(1_500);

/// Time stamps further apart than this are not of one clock.
const COMPARABLE_NS: i64 = 5_000_000_000;

/// Units that wait of one track, at most.
const WAITING_MAX: usize = 1_024;

#[derive(Debug, Default)]
struct Track {
    waiting: VecDeque<AccessUnit>,
    /// Decoding time and arrival of the newest unit.
    newest: Option<(i64, Duration)>,
}

/// Both tracks.
#[derive(Debug, Default)]
pub(super) struct Step {
    tracks: [Track; 2],
}

impl Step {
    /// Takes a unit that comes at `now`, and gives out what may go on, in its order.
    pub(super) fn take(&mut self, unit: AccessUnit, now: Duration, mut go: impl FnMut(AccessUnit)) {
        let own = unit.kind.index();
        self.tracks[own].newest = Some((unit.dts_ns, now));
        self.tracks[own].waiting.push_back(unit);
        // The unit's own track first: it may be what the other one waits for.
        for at in [own, 1 - own] {
            while self.may_go(at, now) {
                if let Some(unit) = self.tracks[at].waiting.pop_front() {
                    go(unit);
                }
            }
        }
    }

    /// Whether the first unit that waits need not wait any longer.
    fn may_go(&self, at: usize, now: Duration) -> bool {
        let (own, other) = (&self.tracks[at], &self.tracks[1 - at]);
        let Some(first) = own.waiting.front() else { return false };
        let Some((other_ns, arrived)) = other.newest else { return true };
        let ahead_ns = first.dts_ns.saturating_sub(other_ns);
        let waited_ns = own.newest.map_or(0, |(newest_ns, _)| newest_ns.saturating_sub(first.dts_ns));
        ahead_ns <= AHEAD_MAX_NS
            || ahead_ns > COMPARABLE_NS
            || !(0..WAIT_MAX_NS).contains(&waited_ns)
            || now.saturating_sub(arrived) > ALIVE
            || own.waiting.len() > WAITING_MAX
    }

    /// Whether anything of a track waits.
    #[cfg(test)]
    fn waits(&self, kind: crate::model::codec::TrackKind) -> usize {
        self.tracks[kind.index()].waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use gstreamer as gst;

    use super::*;
    use crate::model::codec::TrackKind::{self, Audio, Video};

    const MS: i64 = 1_000_000;

    fn unit(kind: TrackKind, at_ms: i64) -> AccessUnit {
        AccessUnit { kind, buffer: gst::Buffer::new(), dts_ns: at_ms * MS, pts_ns: at_ms * MS }
    }

    /// Units as (track, time, arrival); what went on, with the arrival that let it.
    fn run(step: &mut Step, units: &[(TrackKind, i64, i64)]) -> Vec<(TrackKind, i64, i64)> {
        gst::init().expect("GStreamer");
        let mut out = Vec::new();
        for (kind, at_ms, now_ms) in units {
            let now = Duration::from_millis(now_ms.unsigned_abs());
            step.take(unit(*kind, *at_ms), now, |unit| out.push((unit.kind, unit.dts_ns / MS, *now_ms)));
        }
        out
    }

    #[test]
    fn tracks_that_come_as_they_should_pass_at_once() {
        let units: Vec<_> = (0..100)
            .flat_map(|n| [(Video, n * 40, n * 40), (Audio, n * 40 - 180, n * 40), (Audio, n * 40 - 160, n * 40)])
            .collect();
        let out = run(&mut Step::default(), &units);
        let same: Vec<_> = units.iter().map(|(kind, at, now)| (*kind, *at, *now)).collect();
        assert_eq!(out, same);
    }

    #[test]
    fn pictures_wait_for_sound_that_comes_in_lumps() {
        let mut units: Vec<_> = (0..250).map(|n| (Video, n * 40, n * 40)).collect();
        // 700 ms of sound at once, when the last of it is there.
        units.extend((1..14).flat_map(|lump| (0..35).map(move |n| (Audio, (lump - 1) * 700 + n * 20, lump * 700))));
        units.sort_by_key(|(_, _, now)| *now);
        let mut step = Step::default();
        let out = run(&mut step, &units);
        let mut newest = [0, 0];
        for (kind, at, now) in &out {
            newest[kind.index()] = *at;
            // From the first lump on.
            if *now > 1_400 {
                assert!(newest[0] - newest[1] <= 250 + 40, "at {now}: {newest:?}");
            }
            assert!(now - at <= 1_000, "{kind} {at} went at {now}");
        }
        assert!(step.waits(Video) < 30);
        assert_eq!(step.waits(Audio), 0);
    }

    #[test]
    fn a_track_that_ends_or_has_another_clock_holds_nothing_up() {
        let mut step = Step::default();
        let mut units = vec![(Audio, 0, 0)];
        units.extend((0..100).map(|n| (Video, n * 40, n * 40)));
        let out = run(&mut step, &units);
        assert!(out.iter().all(|(_, at, now)| now - at <= 1_000));
        assert_eq!(step.waits(Video), 0, "after {ALIVE:?} nothing is waited for");

        let mut step = Step::default();
        let units: Vec<_> =
            (0..50).flat_map(|n| [(Audio, n * 40, n * 40), (Video, 3_600_000 + n * 40, n * 40)]).collect();
        assert_eq!(run(&mut step, &units).len(), units.len());
    }

    #[test]
    fn a_jump_back_of_a_track_lets_go_what_waits() {
        let mut step = Step::default();
        let units = [(Audio, 10_000, 0), (Video, 10_400, 1), (Video, 10_440, 2), (Video, 9_000, 3)];
        let out = run(&mut step, &units);
        assert_eq!(out.len(), 4, "{out:?}");
    }
}
