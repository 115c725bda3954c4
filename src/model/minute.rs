//! The last minute of a connection, second by second: round-trip times and loss. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Seconds that are kept.
pub const SECONDS_MAX: usize = 60;

/// Least time between two samples, a second less a late timer: whoever looks more often changes counters, and neither
/// the minute nor a rate.
pub const SAMPLE_MIN: Duration = Duration::from_millis(900);

/// What libsrt takes for the round-trip time until it has measured one (`SRTT` of a new connection): 100 ms, exactly.
const RTT_UNMEASURED_MS: f64 = 100.0;

/// What libsrt says of the round trip (`msRTT`), once it has measured one.
pub fn measured_rtt_ms(rtt_ms: f64) -> Option<f64> {
    Some(rtt_ms).filter(|rtt_ms| *rtt_ms != RTT_UNMEASURED_MS)
}

/// A second.
#[derive(Debug, Clone, Copy)]
struct Second {
    /// `None` while it had not been measured.
    rtt_ms: Option<f64>,
    packets: u64,
    lost_packets: u64,
}

/// The round-trip times of a minute, ms.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rtts {
    /// The least.
    pub min_ms: f64,
    /// Their mean.
    pub avg_ms: f64,
    /// What 95 % of them do not exceed.
    pub p95_ms: f64,
}

/// The seconds of the last minute, [`SECONDS_MAX`] at most.
#[derive(Debug, Default)]
pub struct Minute(VecDeque<Second>);

impl Minute {
    /// Adds a second: the round-trip time at its end as libsrt says it, if it does, the packets of it, and those of them
    /// that were lost.
    pub fn push(&mut self, rtt_ms: Option<f64>, packets: u64, lost_packets: u64) {
        if self.0.len() >= SECONDS_MAX {
            self.0.pop_front();
        }
        let rtt_ms = rtt_ms.and_then(measured_rtt_ms);
        self.0.push_back(Second { rtt_ms, packets, lost_packets });
    }

    /// How many seconds are known.
    pub fn known_seconds(&self) -> usize {
        self.0.len()
    }

    /// In how many of them packets were sent.
    pub fn busy_seconds(&self) -> usize {
        self.0.iter().filter(|second| second.packets > 0).count()
    }

    /// The round-trip times; `None` before the first that was measured.
    pub fn rtts(&self) -> Option<Rtts> {
        let mut all_ms: Vec<f64> = self.0.iter().filter_map(|second| second.rtt_ms).collect();
        all_ms.sort_by(f64::total_cmp);
        let (&min_ms, len) = (all_ms.first()?, all_ms.len());
        // The nearest rank.
        let rank = (len * 95).div_ceil(100).clamp(1, len);
        Some(Rtts { min_ms, avg_ms: all_ms.iter().sum::<f64>() / len as f64, p95_ms: all_ms[rank - 1] })
    }

    /// Lost packets ÷ packets, 0 to 1.
    pub fn loss_ratio(&self) -> f64 {
        let packets: u64 = self.0.iter().map(|second| second.packets).sum();
        let lost: u64 = self.0.iter().map(|second| second.lost_packets).sum();
        if packets == 0 { 0.0 } else { (lost as f64 / packets as f64).min(1.0) }
    }
}

/// Bits a second that so many bytes in such a time are.
pub fn bits_per_second(bytes: u64, elapsed: Duration) -> u64 {
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    bytes.saturating_mul(8_000) / elapsed_ms
}

/// Something counted, and what it was when the last second ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct EachSecond<T>(Option<(T, Instant)>);

impl<T: Copy> EachSecond<T> {
    /// What it was a second ago, and how long ago exactly, once [`SAMPLE_MIN`] is over since; the next second begins.
    /// `None` in between, and at first.
    pub fn over(&mut self, now: Instant, counted: T) -> Option<(T, Duration)> {
        let Some((before, since)) = self.0 else {
            self.0 = Some((counted, now));
            return None;
        };
        let elapsed = now.saturating_duration_since(since);
        if elapsed < SAMPLE_MIN {
            return None;
        }
        self.0 = Some((counted, now));
        Some((before, elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libsrt_takes_for_granted_is_not_measured() {
        let mut minute = Minute::default();
        minute.push(Some(100.0), 50, 0);
        assert_eq!((minute.rtts(), minute.known_seconds()), (None, 1));
        minute.push(Some(20.5), 50, 1);
        minute.push(Some(30.5), 0, 0);
        assert_eq!(minute.rtts(), Some(Rtts { min_ms: 20.5, avg_ms: 25.5, p95_ms: 30.5 }));
        minute.push(None, 0, 0);
        assert_eq!((minute.loss_ratio(), minute.known_seconds()), (0.01, 4));
    }
}
