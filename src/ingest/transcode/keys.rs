//! When an encoder makes a key frame. Pure: time stamps and wishes in, yes or no out.

use std::time::Duration;

/// Least time between two key frames that somebody wished for.
pub(super) const ASKED_MIN: Duration = Duration::from_millis(500);

/// The key frames of one track.
#[derive(Debug)]
pub(super) struct Keys {
    interval: Duration,
    last: Option<Duration>,
    /// The newest picture, to know how far apart they are.
    newest: Option<Duration>,
    wished: bool,
}

impl Keys {
    /// A key frame each `interval`, and when wished for.
    pub(super) fn every(interval: Duration) -> Self {
        Self { interval: interval.max(ASKED_MIN), last: None, newest: None, wished: false }
    }

    /// Somebody wishes for one; kept until it is time.
    pub(super) fn wish(&mut self) {
        self.wished = true;
    }

    /// A picture goes in; whether it is to be a key frame.
    pub(super) fn picture(&mut self, at: Duration) -> bool {
        let step = self.newest.map_or(Duration::ZERO, |newest| at.saturating_sub(newest));
        self.newest = Some(at);
        let due = self.last.is_none_or(|last| {
            let since = at.saturating_sub(last);
            // The picture nearest to the moment: half a step early rather than half a step late.
            at < last || since + step / 2 >= self.interval || (self.wished && since >= ASKED_MIN)
        });
        if due {
            self.last = Some(at);
            self.wished = false;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys_of(keys: &mut Keys, pictures: std::ops::Range<u64>, ms: u64) -> Vec<u64> {
        pictures.map(|n| n * ms).filter(|at| keys.picture(Duration::from_millis(*at))).collect()
    }

    #[test]
    fn the_distance_is_in_time_whatever_the_frame_rate() {
        let every = || Keys::every(Duration::from_secs(2));
        assert_eq!(keys_of(&mut every(), 0..200, 33), [0, 2_013, 4_026, 6_039]);
        assert_eq!(keys_of(&mut every(), 0..400, 16), [0, 2_000, 4_000, 6_000]);
        assert_eq!(keys_of(&mut every(), 0..10, 700), [0, 2_100, 4_200, 6_300]);
    }

    #[test]
    fn a_wish_is_met_at_once_but_not_more_than_twice_a_second() {
        let mut keys = Keys::every(Duration::from_secs(2));
        keys_of(&mut keys, 0..20, 40);
        keys.wish();
        assert!(keys.picture(Duration::from_millis(800)));
        keys.wish();
        assert_eq!(keys_of(&mut keys, 21..60, 40), [1_320]);
        assert_eq!(keys_of(&mut keys, 60..100, 40), [3_320], "the period goes on from there");
    }

    #[test]
    fn time_stamps_that_jump_back_begin_anew() {
        let mut keys = Keys::every(Duration::from_secs(2));
        assert!(keys.picture(Duration::from_secs(100)));
        assert!(keys.picture(Duration::from_secs(1)));
        assert!(!keys.picture(Duration::from_millis(1_040)));
    }
}
