//! Keeps one noisy source of log lines from drowning the others: some lines a period, the rest counted.
//! Pure: the caller says what time it is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Lines of one category written per period.
const LINES_PER_PERIOD_MAX: u32 = 20;

/// Lines per period of all categories together that an operator has raised: enough to follow one element of one
/// stream, and a log that can still be kept.
const RAISED_LINES_PER_PERIOD_MAX: u32 = 20_000;

/// The period.
const PERIOD: Duration = Duration::from_secs(10);

/// Categories kept apart; GStreamer 1.22 has some 400 with every plugin loaded. Beyond this many, all
/// new ones share one count.
const CATEGORIES_MAX: usize = 1024;

/// What to do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it, and that so many were not written before it.
    Write { suppressed: u64 },
    /// Count it only.
    Suppress,
}

/// Counts of every category.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    periods: HashMap<String, Period>,
    raised: Option<Period>,
}

#[derive(Debug)]
struct Period {
    began: Instant,
    written: u32,
    suppressed: u64,
}

impl Period {
    fn new(now: Instant) -> Self {
        Self { began: now, written: 0, suppressed: 0 }
    }

    fn admit(&mut self, lines_max: u32, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.began) >= PERIOD {
            self.began = now;
            self.written = 0;
        }
        if self.written >= lines_max {
            self.suppressed += 1;
            return Verdict::Suppress;
        }
        self.written += 1;
        Verdict::Write { suppressed: std::mem::take(&mut self.suppressed) }
    }
}

impl Limiter {
    /// Judges one line of a category at a time.
    pub(super) fn admit(&mut self, category: &str, now: Instant) -> Verdict {
        let full = self.periods.len() >= CATEGORIES_MAX && !self.periods.contains_key(category);
        let category = if full { "" } else { category };
        // The name is copied once per category, not once per line.
        if !self.periods.contains_key(category) {
            self.periods.insert(category.to_owned(), Period::new(now));
        }
        let Some(period) = self.periods.get_mut(category) else { return Verdict::Suppress };
        period.admit(LINES_PER_PERIOD_MAX, now)
    }

    /// Judges one line of a category that an operator has raised.
    pub(super) fn admit_raised(&mut self, now: Instant) -> Verdict {
        self.raised.get_or_insert_with(|| Period::new(now)).admit(RAISED_LINES_PER_PERIOD_MAX, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted_and_another_category_is_not_hurt() {
        let mut limiter = Limiter::default();
        let start = Instant::now();
        let admitted = (0..1000).filter(|_| limiter.admit("noisy", start) != Verdict::Suppress).count();
        assert_eq!(admitted, LINES_PER_PERIOD_MAX as usize);
        assert_eq!(limiter.admit("quiet", start), Verdict::Write { suppressed: 0 });

        let suppressed = 1000 - u64::from(LINES_PER_PERIOD_MAX);
        assert_eq!(limiter.admit("noisy", start + PERIOD), Verdict::Write { suppressed });
        assert_eq!(limiter.admit("noisy", start + PERIOD), Verdict::Write { suppressed: 0 });
    }

    #[test]
    fn what_was_raised_comes_in_plenty_and_is_bounded_too() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        let admitted = (0..100_000).filter(|_| limiter.admit_raised(now) != Verdict::Suppress).count();
        assert_eq!(admitted, RAISED_LINES_PER_PERIOD_MAX as usize);
        assert_eq!(limiter.admit("quiet", now), Verdict::Write { suppressed: 0 });
    }

    #[test]
    fn the_number_of_categories_is_bounded() {
        let mut limiter = Limiter::default();
        let now = Instant::now();
        for number in 0..2 * CATEGORIES_MAX {
            limiter.admit(&number.to_string(), now);
        }
        assert!(limiter.periods.len() <= CATEGORIES_MAX + 1, "{}", limiter.periods.len());
    }
}
