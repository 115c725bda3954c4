//! Lines of the log that anybody outside can cause: one each period, with the number of those that were left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often one is written at most.
const PERIOD: Duration = Duration::from_secs(10);

/// Counts one kind of line.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// Counts one more; gives the number since the last line, this one included, when it is time for the next.
    pub fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, count) = &mut *state;
        *count += 1;
        if last.is_some_and(|last| now.saturating_duration_since(last) < PERIOD) {
            return None;
        }
        *last = Some(now);
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines() {
        let (seldom, begun) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.count(begun), Some(1), "the first one at once");
        for _ in 0..500 {
            assert_eq!(seldom.count(begun), None);
        }
        assert_eq!(seldom.count(begun + PERIOD), Some(501));
    }
}
