//! When the publisher is asked for a key frame.
//!
//! Pure: the time is passed in. Owns the pace: however many ask (endpoints, gates, the depayloader after a
//! loss) and however often, at most one request in [`GAP_MIN`]; a wish that comes too early is kept, not lost.

use std::time::{Duration, Instant};

/// Twice a second at most: each key frame is many times the size of another picture, and a browser that must
/// send more of them than this sends them worse.
pub(super) const GAP_MIN: Duration = Duration::from_millis(500);

/// The pace of key-frame requests to one publisher.
#[derive(Debug)]
pub(super) struct KeyFramePace {
    /// A request is due this long after the last one even if nobody asks; `None`: never.
    period: Option<Duration>,
    last: Option<Instant>,
    wished: bool,
}

impl KeyFramePace {
    /// `period_ms` 0: only when asked.
    pub(super) fn new(period_ms: u32) -> Self {
        let period = (period_ms > 0).then(|| Duration::from_millis(period_ms.into()).max(GAP_MIN));
        Self { period, last: None, wished: false }
    }

    /// Somebody wants one.
    pub(super) fn wish(&mut self) {
        self.wished = true;
    }

    /// When the next request is due; `None`: when somebody wishes.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let Some(last) = self.last else { return (self.wished || self.period.is_some()).then_some(now) };
        let wait = if self.wished { Some(GAP_MIN) } else { self.period };
        wait.map(|wait| last + wait)
    }

    /// Whether a request is to be sent now; if so, it counts as sent.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let due = self.due(now).is_some_and(|due| due <= now);
        if due {
            (self.last, self.wished) = (Some(now), false);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn wishes_are_kept_to_two_a_second_and_none_is_lost() {
        let start = Instant::now();
        let mut pace = KeyFramePace::new(0);
        assert!(!pace.take(start), "nobody wants one");
        pace.wish();
        pace.wish();
        assert!(pace.take(start));
        assert!(!pace.take(start), "both wishes are served");
        pace.wish();
        assert!(!pace.take(start + 499 * MS));
        assert_eq!(pace.due(start), Some(start + GAP_MIN));
        assert!(pace.take(start + 500 * MS));
        let mut sent = 0;
        for ms in 500..10_500 {
            pace.wish();
            sent += u32::from(pace.take(start + ms * MS));
        }
        assert_eq!(sent, 19);
    }

    #[test]
    fn without_a_wish_one_is_due_in_each_period() {
        let start = Instant::now();
        let mut pace = KeyFramePace::new(2_000);
        assert!(pace.take(start));
        assert!(!pace.take(start + 1_999 * MS));
        pace.wish();
        assert!(pace.take(start + 1_999 * MS));
        assert_eq!(pace.due(start), Some(start + 3_999 * MS), "the period begins anew");
        assert!(pace.take(start + 4_000 * MS));
        assert_eq!(KeyFramePace::new(1).period, Some(GAP_MIN), "no period is shorter than the gap");
    }
}
