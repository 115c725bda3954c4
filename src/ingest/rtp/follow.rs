//! Where a browser's packet belongs in running time: by its RTP time stamp and the sender reports.
//!
//! Pure: packets and reports in, running time out. Must not know pads, buffers or sessions.
//!
//! A packet's arrival says little: when the network or this machine stands still, what comes behind is late, and one
//! track more than the other. So arrival never decides on a packet. Three things are kept apart:
//!
//! - within a track, time stamps are as far apart as the publisher has made them;
//! - between the tracks, the reports decide, which name moments of one clock for both (lip sync);
//! - the earliest arrivals of some seconds tie that clock to running time, for both tracks at once, and follow its
//!   drift, slowly.
//!
//! Before its first report a track is tied to running time by its own arrivals. The hard thing is that reports may be
//! wrong, and that the publisher's clock may be set while it sends: its tracks then tell of it one after the other, and
//! in between they seem to be hours apart.

use super::clock::{Policy, Stamp};
use super::sender_report::SenderReport;
use super::ticks::Ticks;
use crate::model::codec::TrackKind;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;

/// How far a sender's reports may move a track against the other, by their arrival. Browsers need tens of milliseconds
/// (8 to 15 measured); a sender whose reports are wrong by more would have its endpoints wait for one track all the
/// time, so those are not followed.
const APART_MAX: i64 = 500 * MS;

/// A time stamp that falls by more than this has a new origin; encoders that reorder pictures stay below it.
const BACK_MAX: i64 = 500 * MS;

/// A packet that comes this much before its time has a new origin too: packets may be late, but not early.
/// Nor is the publisher's clock followed slowly where it is wrong by more.
const JUMP_MIN: i64 = SECOND;

/// The earliest arrivals of so long, and up to twice that, count.
const EARLIEST_SPAN: i64 = 5 * SECOND;

/// After so long without a packet of a track its earliest arrival is sought anew: its time stamps may have stood still
/// meanwhile (a browser whose microphone is taken away does not count on).
const GAP_MIN: i64 = 300 * MS;

/// So long after a gap what had been kept up has come; what is late still is so because its time stamps stood still.
const KEPT_UP_MAX: i64 = 300 * MS;

/// A report that moves a track by more is followed in one step: that is a change, no correction.
const STEP_MIN: i64 = 200 * MS;

/// A track without a packet for this long is paused, and has no say.
const PAUSED_AFTER: i64 = 5 * SECOND;

/// A new report is followed with this time constant, and by a tenth of real time at most: 100 ms are made up for in
/// some 3 s, and no time stamp steps back or tears a hole into sound.
const FOLLOW_REPORT: Pace = Pace { constant: SECOND, part: 10 };

/// The drift of the publisher's clock (crystals: 0.2 ‰ at most) and changes of the way here. So slow that it cannot be
/// seen or heard, for it needs no haste: a track may well be placed later or earlier than it comes, if all of them are.
const FOLLOW_ARRIVAL: Pace = Pace { constant: 10 * SECOND, part: 1_000 };

/// The longest step in media time that a correction is made for.
const CORRECTED_MAX: i64 = SECOND;

/// Reports of SSRCs that have sent no packet yet are kept for so many.
const REPORTS_MAX: usize = 12;

/// How fast a value is followed.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// After this time a third of a distance is left.
    constant: i64,
    /// At most one part of so many of real time.
    part: i64,
}

impl Pace {
    /// From `from` towards `to`, while `step` passes.
    fn toward(self, from: i64, to: i64, step: i64) -> i64 {
        let (step, distance) = (step.clamp(0, CORRECTED_MAX), to.saturating_sub(from));
        let wanted = i128::from(distance) * i128::from(step) / i128::from(self.constant);
        let most = i128::from(step / self.part);
        from.saturating_add(i64::try_from(wanted.clamp(-most, most)).unwrap_or(0))
    }
}

/// The least distance of arrival from media time, of the last seconds.
#[derive(Debug, Clone, Copy)]
struct Earliest {
    since_ns: i64,
    now_ns: i64,
    before_ns: Option<i64>,
}

impl Earliest {
    fn new(distance_ns: i64, arrived_ns: i64) -> Self {
        Self { since_ns: arrived_ns, now_ns: distance_ns, before_ns: None }
    }

    fn take(&mut self, distance_ns: i64, arrived_ns: i64) {
        let age_ns = arrived_ns.saturating_sub(self.since_ns);
        if age_ns >= EARLIEST_SPAN {
            let before_ns = (age_ns < 2 * EARLIEST_SPAN).then_some(self.now_ns);
            *self = Self { since_ns: arrived_ns, now_ns: distance_ns, before_ns };
        }
        self.now_ns = self.now_ns.min(distance_ns);
    }

    fn ns(&self) -> i64 {
        self.before_ns.map_or(self.now_ns, |before_ns| before_ns.min(self.now_ns))
    }
}

/// Publisher's clock less media time.
#[derive(Debug, Clone, Copy)]
struct Reported {
    /// As the newest report has it.
    newest_ns: i64,
    /// As it is used; on the way to the newest.
    used_ns: i64,
}

#[derive(Debug)]
struct Track {
    ssrc: u32,
    ticks: Ticks,
    /// Where that was placed.
    placed_ns: i64,
    /// When it came.
    arrived_ns: i64,
    /// When its last gap ended, until it is known whether its time stamps stood still in it.
    resumed_ns: Option<i64>,
    earliest: Earliest,
    /// Running time less media time, while there is no report.
    offset_ns: i64,
    reported: Option<Reported>,
    /// A report that contradicts the other track, which may be about to say the same.
    odd_ns: Option<i64>,
}

impl Track {
    fn new(ssrc: u32, rate_hz: u32, rtp: u32, arrived_ns: i64) -> Self {
        let mut track = Self {
            ssrc,
            ticks: Ticks::new(rate_hz, rtp),
            placed_ns: arrived_ns,
            arrived_ns,
            resumed_ns: None,
            earliest: Earliest::new(0, arrived_ns),
            offset_ns: 0,
            reported: None,
            odd_ns: None,
        };
        track.begin(arrived_ns.saturating_sub(track.ticks.ns(0)), arrived_ns);
        track
    }

    /// Ties it to its arrival alone.
    fn begin(&mut self, distance_ns: i64, arrived_ns: i64) {
        self.offset_ns = distance_ns;
        self.earliest = Earliest::new(distance_ns, arrived_ns);
        (self.reported, self.odd_ns, self.resumed_ns) = (None, None, None);
    }

    /// Takes the arrival of a packet which is `step_ns` of media time behind the one before, and goes by
    /// `offset_ns` so far.
    fn arrive(&mut self, distance_ns: i64, arrived_ns: i64, step_ns: i64, offset_ns: i64) {
        if arrived_ns.saturating_sub(self.arrived_ns) > GAP_MIN {
            self.earliest = Earliest::new(distance_ns, arrived_ns);
            self.resumed_ns = Some(arrived_ns);
        }
        self.arrived_ns = arrived_ns;
        self.earliest.take(distance_ns, arrived_ns);
        let is_known = self.resumed_ns.is_some_and(|since_ns| arrived_ns.saturating_sub(since_ns) > KEPT_UP_MAX);
        let stood_still = is_known && self.earliest.ns().saturating_sub(offset_ns) > JUMP_MIN;
        if stood_still || step_ns < -BACK_MAX || distance_ns < offset_ns.saturating_sub(JUMP_MIN) {
            self.begin(distance_ns, arrived_ns);
        } else if is_known {
            self.resumed_ns = None;
        }
    }

    /// Running time less media time.
    fn offset_ns(&self, common_ns: i64) -> i64 {
        self.reported.map_or(self.offset_ns, |reported| common_ns.saturating_add(reported.used_ns))
    }
}

/// The publisher's clock, as its tracks tell of it.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// By kind: video, audio.
    tracks: [Option<Track>; 2],
    /// Running time less publisher's clock; of use while a track has a report.
    common_ns: i64,
    /// The newest report of each SSRC.
    reports: Vec<SenderReport>,
}

impl Policy for Followed {
    /// Without arrival a first packet has no place.
    fn place(&mut self, kind: TrackKind, stamp: Stamp) -> Option<i64> {
        let Stamp { ssrc, rtp, rate_hz, arrived_ns } = stamp;
        let at = kind.index();
        let known =
            self.tracks[at].as_ref().is_some_and(|track| (track.ssrc, track.ticks.rate_hz()) == (ssrc, rate_hz));
        if !known {
            // Sent anew, or for the first time.
            self.tracks[at] = (rate_hz > 0).then(|| Some(Track::new(ssrc, rate_hz, rtp, arrived_ns?))).flatten();
            if let Some(report) = self.reports.iter().find(|report| report.ssrc == ssrc).copied() {
                self.consider(at, report);
            }
            return self.tracks[at].as_ref().map(|track| track.placed_ns);
        }
        let common_ns = self.common_ns;
        let track = self.tracks[at].as_mut()?;
        let before_ns = track.ticks.ns(0);
        track.ticks.go(track.ticks.distance(rtp));
        let media_ns = track.ticks.ns(0);
        let step_ns = media_ns.saturating_sub(before_ns);
        if step_ns == 0 {
            // Of the same picture.
            return Some(track.placed_ns);
        }
        let offset_ns = track.offset_ns(common_ns);
        if let Some(arrived_ns) = arrived_ns {
            track.arrive(arrived_ns.saturating_sub(media_ns), arrived_ns, step_ns, offset_ns);
        }
        match &mut track.reported {
            Some(reported) => {
                reported.used_ns = FOLLOW_REPORT.toward(reported.used_ns, reported.newest_ns, step_ns);
                let arrived_ns = track.arrived_ns;
                self.follow_arrival(arrived_ns, step_ns);
            }
            // What is kept up says nothing yet.
            None if track.resumed_ns.is_some() => {}
            None => {
                let earliest_ns = track.earliest.ns();
                // Later ones may have been kept up; earlier ones prove that the ones before were late.
                let pace = if earliest_ns < track.offset_ns { FOLLOW_REPORT } else { FOLLOW_ARRIVAL };
                track.offset_ns = follow(pace, track.offset_ns, earliest_ns, step_ns);
            }
        }
        let common_ns = self.common_ns;
        let track = self.tracks[at].as_mut()?;
        track.placed_ns = media_ns.saturating_add(track.offset_ns(common_ns));
        Some(track.placed_ns)
    }

    fn report(&mut self, report: SenderReport) {
        self.reports.retain(|known| known.ssrc != report.ssrc);
        if self.reports.len() == REPORTS_MAX {
            self.reports.remove(0);
        }
        self.reports.push(report);
        for at in 0..self.tracks.len() {
            if self.tracks[at].as_ref().is_some_and(|track| track.ssrc == report.ssrc) {
                self.consider(at, report);
            }
        }
    }
}

impl Followed {
    /// Ties the publisher's clock to the earliest arrivals of all tracks that are sent and have reports.
    fn follow_arrival(&mut self, now_ns: i64, step_ns: i64) {
        let earliest = self
            .tracks
            .iter()
            .flatten()
            .filter(|track| now_ns.saturating_sub(track.arrived_ns) <= PAUSED_AFTER && track.resumed_ns.is_none())
            .filter_map(|track| Some(track.earliest.ns().saturating_sub(track.reported?.used_ns)))
            .min();
        if let Some(earliest_ns) = earliest {
            self.common_ns = follow(FOLLOW_ARRIVAL, self.common_ns, earliest_ns, step_ns);
        }
    }

    /// Takes a report of a track, or doesn't.
    fn consider(&mut self, at: usize, report: SenderReport) {
        let common_ns = self.common_ns;
        let (left, right) = self.tracks.split_at_mut(1);
        let (track, other) = if at == 0 { (&mut left[0], &mut right[0]) } else { (&mut right[0], &mut left[0]) };
        let Some(track) = track else { return };
        let newest_ns = report.clock_ns.saturating_sub(track.ticks.ns(track.ticks.distance(report.rtp)));
        let by_arrival = |track: &Track, reported_ns: i64| track.earliest.ns().saturating_sub(reported_ns);
        let near = |a: i64, b: i64| a.saturating_sub(b).saturating_abs() <= APART_MAX;
        let other = other
            .as_ref()
            .filter(|other| track.arrived_ns.saturating_sub(other.arrived_ns) <= PAUSED_AFTER)
            .filter(|other| other.reported.is_some());
        // What the clock's relation to running time would be by this report alone.
        let relation_ns = by_arrival(track, newest_ns);
        let (believed, moves) = match (other, track.reported) {
            (Some(other), _) if other.reported.is_some_and(|it| near(relation_ns, by_arrival(other, it.newest_ns))) => {
                (true, false)
            }
            (Some(other), _) => {
                // The publisher's clock was set, when both say the same.
                let both = other.odd_ns.is_some_and(|odd_ns| near(relation_ns, by_arrival(other, odd_ns)));
                (both, both)
            }
            (None, Some(reported)) => (true, !near(newest_ns, reported.used_ns)),
            (None, None) => (true, true),
        };
        if !believed {
            track.odd_ns = Some(newest_ns);
            return;
        }
        track.odd_ns = None;
        let offset_ns = track.offset_ns(common_ns);
        if moves {
            self.set_clock(offset_ns.saturating_sub(newest_ns));
        }
        let used_ns = offset_ns.saturating_sub(self.common_ns);
        let used_ns = if newest_ns.saturating_sub(used_ns).saturating_abs() > STEP_MIN { newest_ns } else { used_ns };
        if let Some(track) = &mut self.tracks[at] {
            track.reported = Some(Reported { newest_ns, used_ns });
        }
    }

    /// Ties the publisher's clock to running time in another way and leaves all tracks where they are.
    fn set_clock(&mut self, common_ns: i64) {
        let moved_ns = common_ns.saturating_sub(self.common_ns);
        self.common_ns = common_ns;
        for track in self.tracks.iter_mut().flatten() {
            let odd_ns = track.odd_ns.take();
            if let Some(reported) = &mut track.reported {
                reported.used_ns = reported.used_ns.saturating_sub(moved_ns);
                reported.newest_ns = odd_ns.unwrap_or(reported.newest_ns.saturating_sub(moved_ns));
            }
        }
    }
}

/// Follows slowly, unless it is far away.
fn follow(pace: Pace, from: i64, to: i64, step: i64) -> i64 {
    if to.saturating_sub(from).saturating_abs() > JUMP_MIN { to } else { pace.toward(from, to, step) }
}

#[cfg(test)]
mod tests;
