//! RTMP's 32-bit milliseconds, unwrapped.
//!
//! Knows one connection's tags, not what time it is. One clock serves both tracks, so that a wrap
//! that one of them sees first holds for the other. Jumps are passed on as they are: whoever maps
//! this clock to the pipeline's re-bases.

/// Nanoseconds in a millisecond.
const NS_PER_MS: i64 = 1_000_000;

/// The publisher's clock.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The last tag's time, in milliseconds without wrap; `None` before the first.
    last_ms: Option<i64>,
}

impl Clock {
    /// A tag's time in nanoseconds: of all times that are `timestamp_ms` modulo 2³² the one nearest
    /// to the last tag's, whichever track that was of. So a small step back is one, and not almost 50 days ahead.
    pub(super) fn unwrap_ns(&mut self, timestamp_ms: u32) -> i64 {
        let now_ms = match self.last_ms {
            None => i64::from(timestamp_ms),
            // The truncation and the cast to a signed number are the arithmetic modulo 2³².
            Some(last_ms) => last_ms + i64::from(timestamp_ms.wrapping_sub(last_ms as u32) as i32),
        };
        self.last_ms = Some(now_ms);
        now_ms.saturating_mul(NS_PER_MS)
    }
}

/// Milliseconds (a composition time) in nanoseconds.
pub(super) fn ms_to_ns(ms: i32) -> i64 {
    i64::from(ms) * NS_PER_MS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unwrapped(times: &[u32]) -> Vec<i64> {
        let mut clock = Clock::default();
        times.iter().map(|time| clock.unwrap_ns(*time) / NS_PER_MS).collect()
    }

    #[test]
    fn wraps_steps_back_and_jumps() {
        const WRAP: i64 = 1 << 32;
        for (times, expected) in [
            // Audio and video around the wrap, the one behind the other.
            (
                &[u32::MAX - 20, 5, u32::MAX - 10, 25, 10, 45][..],
                &[WRAP - 21, WRAP + 5, WRAP - 11, WRAP + 25, WRAP + 10, WRAP + 45][..],
            ),
            // A small step back from zero.
            (&[0, u32::MAX - 9], &[0, -10]),
            // A step back, and an encoder that begins again.
            (&[100_000, 99_980, 100_020, 0, 20], &[100_000, 99_980, 100_020, 0, 20]),
            // A long gap ahead.
            (&[0, 2_000_000_000, 4_000_000_000, 0], &[0, 2_000_000_000, 4_000_000_000, WRAP]),
        ] {
            assert_eq!(unwrapped(times), expected);
        }
    }

    proptest! {
        #[test]
        fn a_clock_with_steps_below_24_days_comes_out_as_it_went_in(
            start in any::<u32>(),
            steps in prop::collection::vec(i32::MIN + 1..i32::MAX, 0..50),
        ) {
            let mut times = vec![i64::from(start)];
            for step in steps {
                times.push(times[times.len() - 1] + i64::from(step));
            }
            let wire: Vec<_> = times.iter().map(|time| *time as u32).collect();
            prop_assert_eq!(unwrapped(&wire), times);
        }
    }
}
