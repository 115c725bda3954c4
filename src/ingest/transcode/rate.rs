//! What a video encoder may spend, after what its source spends. Pure: units and their time stamps in, a
//! bit rate out whenever it should change.

use std::time::Duration;

/// Span over which the source's rate is taken.
const SPAN: Duration = Duration::from_secs(1);

/// Spans looked at: the rate rises with the newest and falls only when all of them are lower, for a browser
/// that has just lost rate often gets it back.
const SPANS: usize = 4;

/// H.264 at the encoder's speed, out of a picture that has been compressed before, for each bit of the source.
const FACTOR: f64 = 1.3;

/// Least rate, in kb/s: below it a picture of the usual sizes falls apart.
const MIN_KBPS: u32 = 300;

/// Before the first span is over, in kb/s.
pub(super) const START_KBPS: u32 = 1_000;

/// A change by less than this part is not worth one.
const HYSTERESIS: f64 = 0.15;

/// The rate of one track.
#[derive(Debug)]
pub(super) struct Rate {
    max_kbps: u32,
    now_kbps: u32,
    /// When the running span began, by the source's time stamps.
    since: Option<Duration>,
    bytes: u64,
    /// The last spans' rates in kb/s.
    spans: [f64; SPANS],
}

impl Rate {
    pub(super) fn new(max_kbps: u32) -> Self {
        let max_kbps = max_kbps.max(1);
        Self { max_kbps, now_kbps: START_KBPS.min(max_kbps), since: None, bytes: 0, spans: [0.0; SPANS] }
    }

    /// A unit of the source; the new rate in kb/s when it changes.
    pub(super) fn unit(&mut self, bytes: usize, at: Duration) -> Option<u32> {
        let since = *self.since.get_or_insert(at);
        let span = at.saturating_sub(since);
        if at < since || span > 2 * SPAN {
            // Time stamps jumped, or nothing came for long: neither says anything about the rate.
            (self.since, self.bytes) = (Some(at), bytes as u64);
            return None;
        }
        if span < SPAN {
            self.bytes += bytes as u64;
            return None;
        }
        self.spans.rotate_right(1);
        self.spans[0] = self.bytes as f64 * 8.0 / 1_000.0 / span.as_secs_f64();
        (self.since, self.bytes) = (Some(at), bytes as u64);
        let wanted = self.spans.iter().fold(0.0_f64, |max, span| max.max(*span)) * FACTOR;
        let wanted = wanted.clamp(f64::from(MIN_KBPS.min(self.max_kbps)), f64::from(self.max_kbps));
        let change = (wanted / f64::from(self.now_kbps) - 1.0).abs();
        // The cap itself is reached however small the last step is.
        let at_cap = wanted >= f64::from(self.max_kbps) && self.now_kbps < self.max_kbps;
        if change < HYSTERESIS && !at_cap {
            return None;
        }
        self.now_kbps = wanted as u32;
        Some(self.now_kbps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `kbps` for some seconds at 25 units a second; the changes, with the second they came in.
    fn send(rate: &mut Rate, from_s: u64, seconds: u64, kbps: usize) -> Vec<(u64, u32)> {
        (from_s * 25..(from_s + seconds) * 25)
            .filter_map(|unit| Some((unit / 25, rate.unit(kbps * 5, Duration::from_millis(unit * 40))?)))
            .collect()
    }

    #[test]
    fn it_rises_within_a_span_falls_after_four_and_stays_between_its_bounds() {
        let mut rate = Rate::new(4_000);
        assert_eq!(rate.now_kbps, START_KBPS);
        assert_eq!(send(&mut rate, 0, 5, 2_000), [(1, 2_600)]);
        assert_eq!(send(&mut rate, 5, 5, 2_100), [], "not worth a change");
        assert_eq!(send(&mut rate, 10, 3, 9_000), [(11, 4_000)], "the cap");
        let falls = send(&mut rate, 13, 10, 100);
        assert_eq!(falls, [(17, 300)], "the floor");
    }

    #[test]
    fn a_cap_below_the_start_or_the_floor_holds() {
        let mut rate = Rate::new(200);
        assert_eq!(rate.now_kbps, 200);
        assert_eq!(send(&mut rate, 0, 5, 5_000), []);
        assert_eq!(rate.now_kbps, 200);
    }

    #[test]
    fn a_pause_or_a_jump_of_the_time_stamps_is_no_rate() {
        let mut rate = Rate::new(4_000);
        send(&mut rate, 0, 5, 2_000);
        assert_eq!(send(&mut rate, 60, 1, 2_000), []);
        assert_eq!(send(&mut rate, 3, 5, 2_000), []);
        assert_eq!(rate.now_kbps, 2_600);
    }
}
