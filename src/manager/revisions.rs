//! The revisions of endpoints, which are their ETags.
//!
//! Owns which number comes next. Must not know what an endpoint is. The hard thing: an endpoint that is removed and made
//! anew under its id is another one, and what somebody has seen of the first must not fit the second. So the first
//! number of each is the time, and above every number that was given before.

use std::time::SystemTime;

use super::view::unix_ms;

/// Gives revisions. Milliseconds since 1970 and some changes stay far below 2⁵³, where JSON's numbers end to be exact.
#[derive(Debug, Clone, Copy)]
pub(super) struct Revisions {
    /// The highest that was given or is stored.
    highest: u64,
}

impl Revisions {
    /// Above those that are stored.
    pub(super) fn above(stored: impl Iterator<Item = u64>) -> Self {
        Self { highest: stored.max().unwrap_or(0) }
    }

    /// The first of an endpoint.
    pub(super) fn first(&mut self) -> u64 {
        self.first_at(SystemTime::now())
    }

    /// A clock that is set back gives no number twice.
    fn first_at(&mut self, now: SystemTime) -> u64 {
        self.highest = self.highest.saturating_add(1).max(unix_ms(now).unsigned_abs());
        self.highest
    }

    /// The one behind `revision` of the same endpoint.
    pub(super) fn next(&mut self, revision: u64) -> u64 {
        let next = revision.saturating_add(1);
        self.highest = self.highest.max(next);
        next
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn no_endpoint_begins_with_a_number_that_was_given_before() {
        let at = |ms: u64| UNIX_EPOCH + Duration::from_millis(ms);
        let mut revisions = Revisions::above([1, 40].into_iter());
        assert_eq!(revisions.first_at(at(1_000)), 1_000);
        assert_eq!(revisions.first_at(at(1_000)), 1_001, "in the same millisecond");
        assert_eq!(revisions.next(1_001), 1_002);
        assert_eq!(revisions.next(1), 2, "of an older one");
        assert_eq!(revisions.first_at(at(500)), 1_003, "the clock was set back");
        assert_eq!(Revisions::above([7].into_iter()).first_at(at(3)), 8, "nor one that is stored");
    }
}
