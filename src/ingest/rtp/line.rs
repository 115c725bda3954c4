//! RTP time stamps of a publisher's tracks on one line of nanoseconds. Pure: packets and reports in, places out.
//!
//! The hard thing: each track's RTP time stamps have an origin of their own (RFC 3550, section 5.1), and only the
//! sender's reports (RTCP SR) say how they belong together; the first may come seconds after the first picture, or
//! never. So a track starts where its arrival puts it, unless reports are there already, and what a later report
//! corrects is taken up by sound slowly: pictures keep the steps their encoder gave them, to the tick, and nothing
//! jumps. Arrival moves nothing afterwards: jitter of the network is no part of the stream's time.

use super::clock::{Policy, Stamp};
use super::sender_report::SenderReport;
use super::ticks::Ticks;
use crate::model::codec::TrackKind;

/// Where the line begins, in nanoseconds: an hour, so that nothing comes before zero.
const ORIGIN_NS: i64 = 3_600_000_000_000;

/// A step of the RTP time that exceeds what the packets' arrival allows by more than this, or goes back further, is
/// another clock (an encoder's restart). Pictures that are out of order go back by less.
const STEP_MAX_NS: i64 = 2_000_000_000;

/// How far reports may move a track from where its arrival put it. FFmpeg packs up to 0.7 s of quiet sound into a
/// packet, which then comes that late; senders that are wrong are so by hours.
const SYNC_MAX_NS: i64 = 2_000_000_000;

/// Below this (10 ms) reports correct nothing: senders stamp them that unsteadily, and nobody hears it.
const SYNC_DEAD_NS: i64 = 10_000_000;

/// How fast sound is moved: a fiftieth of its own time, 20 ms in a second.
const SLEW: i64 = 50;

/// From this error on (100 ms), which everybody sees, it is moved by a tenth.
const SLEW_FAST_FROM_NS: i64 = 100_000_000;
const SLEW_FAST: i64 = 10;

/// And never by more than this at once, which a receiver takes for jitter.
const SLEW_STEP_MAX_NS: i64 = 2_000_000;

/// Sources whose reports are kept; a publisher has one per track.
const REPORTS_MAX: usize = 8;

/// Reports of a moment that is further from the track's packets than this belong to another clock, in nanoseconds.
const REPORT_AGE_MAX_NS: i64 = 60_000_000_000;

/// One track's clock.
#[derive(Debug, Clone, Copy)]
struct Track {
    ssrc: u32,
    ticks: Ticks,
    /// Line minus the track's own time.
    offset_ns: i64,
    placed_ns: i64,
    arrived_ns: i64,
    /// Reports are being followed just now.
    moving: bool,
    /// Its reports were found to be wrong; told once.
    distrusted: bool,
}

/// The line.
#[derive(Debug, Default)]
pub(super) struct Line {
    tracks: [Option<Track>; 2],
    reports: Vec<SenderReport>,
    /// Arrival at the origin.
    anchor_ns: Option<i64>,
}

impl Policy for Line {
    /// A report of a source that sends nothing here is of no use and no harm.
    fn report(&mut self, report: SenderReport) {
        self.reports.retain(|known| known.ssrc != report.ssrc);
        if self.reports.len() >= REPORTS_MAX {
            self.reports.remove(0);
        }
        self.reports.push(report);
    }

    fn place(&mut self, kind: TrackKind, stamp: Stamp) -> Option<i64> {
        let arrived_ns = stamp.arrived_ns?;
        let known = self.tracks[kind.index()]
            .filter(|track| (track.ssrc, track.ticks.rate_hz()) == (stamp.ssrc, stamp.rate_hz));
        let continued = known.and_then(|mut track| {
            let before_ns = track.ticks.ns(0);
            track.ticks.go(track.ticks.distance(stamp.rtp));
            let step_ns = track.ticks.ns(0).saturating_sub(before_ns);
            let waited_ns = arrived_ns.saturating_sub(track.arrived_ns).max(0);
            (-STEP_MAX_NS..=STEP_MAX_NS.saturating_add(waited_ns)).contains(&step_ns).then_some((track, step_ns))
        });
        let mut track = match continued {
            Some((mut track, step_ns)) => {
                if kind == TrackKind::Audio {
                    self.follow_reports(&mut track, step_ns);
                }
                track
            }
            None => self.begin(kind, stamp, arrived_ns),
        };
        track.arrived_ns = arrived_ns;
        track.placed_ns = track.ticks.ns(0).saturating_add(track.offset_ns).max(0);
        self.tracks[kind.index()] = Some(track);
        Some(track.placed_ns)
    }
}

impl Line {
    /// A track's first packet, or the first of another clock: where the reports put it, else where its arrival does.
    fn begin(&mut self, kind: TrackKind, stamp: Stamp, arrived_ns: i64) -> Track {
        let anchor_ns = *self.anchor_ns.get_or_insert(arrived_ns);
        let by_arrival_ns = arrived_ns.saturating_sub(anchor_ns).saturating_add(ORIGIN_NS);
        let before = self.tracks[kind.index()];
        let mut track = Track {
            ssrc: stamp.ssrc,
            ticks: Ticks::new(stamp.rate_hz, stamp.rtp),
            offset_ns: 0,
            placed_ns: 0,
            arrived_ns,
            moving: false,
            distrusted: false,
        };
        track.offset_ns = match before {
            // It goes on behind what it was, as long later as it came later.
            Some(before) => before.placed_ns + arrived_ns.saturating_sub(before.arrived_ns).max(1_000_000),
            None => by_arrival_ns,
        } - track.ticks.ns(0);
        match self.error_ns(kind, &track) {
            Some(error_ns) if error_ns.abs() <= SYNC_MAX_NS => track.offset_ns += error_ns,
            _ => {}
        }
        track
    }

    /// How far a track is from where the reports put it beside the other one.
    fn error_ns(&self, kind: TrackKind, track: &Track) -> Option<i64> {
        let other = self.tracks[1 - kind.index()].as_ref()?;
        let (own, others) = (self.wall_ns(track)?, self.wall_ns(other)?);
        // Wall clock minus line, of both.
        (own - track.offset_ns).checked_sub(others - other.offset_ns)
    }

    /// The sender's wall clock minus the track's own time.
    fn wall_ns(&self, track: &Track) -> Option<i64> {
        let report = self.reports.iter().find(|report| report.ssrc == track.ssrc)?;
        let own_ns = track.ticks.ns(track.ticks.distance(report.rtp));
        let age_ns = own_ns.saturating_sub(track.ticks.ns(0));
        (age_ns.saturating_abs() <= REPORT_AGE_MAX_NS).then(|| report.clock_ns.saturating_sub(own_ns))
    }

    /// Moves sound a little towards where the reports put it.
    fn follow_reports(&self, track: &mut Track, step_ns: i64) {
        let Some(error_ns) = self.error_ns(TrackKind::Audio, track) else { return };
        if error_ns.abs() > SYNC_MAX_NS {
            if !track.distrusted {
                track.distrusted = true;
                tracing::warn!(
                    apart_ms = error_ns / 1_000_000,
                    "the sender's reports put its tracks too far apart; not followed"
                );
            }
            return;
        }
        let share = if error_ns.abs() > SLEW_FAST_FROM_NS { SLEW_FAST } else { SLEW };
        let most_ns = (step_ns.max(0) / share).min(SLEW_STEP_MAX_NS);
        if track.moving || error_ns.abs() > SYNC_DEAD_NS {
            if !track.moving {
                tracing::debug!(by_ms = error_ns / 1_000_000, "sound is moved to where the sender's reports put it");
            }
            track.offset_ns += error_ns.clamp(-most_ns, most_ns);
            track.moving = error_ns.abs() > most_ns;
        }
    }
}

#[cfg(test)]
mod tests;
