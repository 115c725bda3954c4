//! A track's RTP time, counted on beyond its 32 bits. Pure.

/// The clock of one source of packets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticks {
    rate_hz: u32,
    /// The newest time stamp; at first as it was sent.
    newest: i64,
}

impl Ticks {
    /// Begins with a time stamp. `rate_hz` must not be 0.
    pub(super) fn new(rate_hz: u32, rtp: u32) -> Self {
        Self { rate_hz: rate_hz.max(1), newest: i64::from(rtp) }
    }

    pub(super) fn rate_hz(self) -> u32 {
        self.rate_hz
    }

    /// How far a time stamp is from the newest, by the shorter way around.
    pub(super) fn distance(self, rtp: u32) -> i64 {
        // Truncated on purpose: modulo 2³².
        i64::from(rtp.wrapping_sub(self.newest as u32) as i32)
    }

    /// Counts on, or back.
    pub(super) fn go(&mut self, distance: i64) {
        self.newest += distance;
    }

    /// Nanoseconds from the clock's zero to the newest time stamp and `distance` beyond.
    pub(super) fn ns(self, distance: i64) -> i64 {
        let ns = i128::from(self.newest.saturating_add(distance)) * 1_000_000_000 / i128::from(self.rate_hz);
        i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_over_the_wrap_and_back() {
        let mut ticks = Ticks::new(90_000, u32::MAX - 89_999);
        let begin_ns = ticks.ns(0);
        for (rtp, after_ms) in [(0, 1_000), (u32::MAX - 44_999, 500), (90_000, 2_000), (1 << 31, 23_861_929)] {
            ticks.go(ticks.distance(rtp));
            assert_eq!((ticks.ns(0) - begin_ns) / 1_000_000, after_ms, "{rtp}");
        }
        assert_eq!(Ticks::new(0, 7).ns(i64::MAX), i64::MAX, "and nothing overflows");
    }
}
