//! What one track of a publication has sent: rates, pictures a second, key frames. Pure; a few additions a unit.
//!
//! The hard thing is a rate that is right although units come in bursts: bytes are counted by the second in which
//! they arrived, pictures by the time stamps between the first pictures of two such seconds.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::track::TrackStatistics;

/// Seconds that are remembered.
const SECONDS_MAX: usize = 60;

/// Seconds over which pictures are counted.
const FRAME_RATE_SECONDS: u64 = 10;

/// Before a full second is known, rates are averaged over what there is, at least over this.
const YOUNG_MIN: Duration = Duration::from_millis(500);

/// A second by the stream's clock in which something came; seconds without anything are left out.
#[derive(Debug, Clone, Copy)]
struct Second {
    /// Which one, since the stream's epoch.
    index: u64,
    bytes: u64,
    /// Units that went into the pipeline, and the decode time of the first of them.
    units: u64,
    first_dts_ns: Option<u64>,
    /// The longest interval of key frames that ended in it.
    key_interval_max_ns: Option<u64>,
}

/// The meter of one track of one publication. All `now`s are of one clock that never goes back.
#[derive(Debug, Default)]
pub(super) struct TrackMeter {
    seconds: VecDeque<Second>,
    first: Option<Duration>,
    bytes: u64,
    units: u64,
    last_dts_ns: u64,
    last_key_dts_ns: Option<u64>,
    key_interval_ns: Option<u64>,
}

impl TrackMeter {
    /// A unit has come.
    pub(super) fn received(&mut self, bytes: u64, now: Duration) {
        self.first.get_or_insert(now);
        self.bytes += bytes;
        self.units += 1;
        self.second(now).bytes += bytes;
    }

    /// It went into the pipeline, with this time.
    pub(super) fn passed(&mut self, dts_ns: u64, key: bool, now: Duration) {
        self.last_dts_ns = self.last_dts_ns.max(dts_ns);
        let interval_ns = if key {
            let before_ns = self.last_key_dts_ns.replace(dts_ns);
            before_ns.map(|before_ns| dts_ns.saturating_sub(before_ns))
        } else {
            None
        };
        self.key_interval_ns = interval_ns.or(self.key_interval_ns);
        let second = self.second(now);
        second.units += 1;
        second.first_dts_ns.get_or_insert(dts_ns);
        second.key_interval_max_ns = second.key_interval_max_ns.max(interval_ns);
    }

    fn second(&mut self, now: Duration) -> &mut Second {
        let index = now.as_secs();
        if self.seconds.back().is_none_or(|last| last.index != index) {
            if self.seconds.len() >= SECONDS_MAX {
                self.seconds.pop_front();
            }
            let new = Second { index, bytes: 0, units: 0, first_dts_ns: None, key_interval_max_ns: None };
            self.seconds.push_back(new);
        }
        let last = self.seconds.len() - 1;
        &mut self.seconds[last]
    }

    /// Payload bytes that came.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The rate over the last full seconds, this many at most, bit/s.
    pub(super) fn rate_bps(&self, seconds: u64, now: Duration) -> u64 {
        let Some(first) = self.first else { return 0 };
        // The second in which it began is not a full one, nor is the running one.
        let known = now.as_secs().saturating_sub(first.as_secs() + 1).min(seconds);
        if known == 0 {
            let span_ms = now.saturating_sub(first).max(YOUNG_MIN).as_millis();
            return u64::try_from(u128::from(self.bytes) * 8_000 / span_ms).unwrap_or(u64::MAX);
        }
        self.last_seconds(known, now).map(|second| second.bytes).sum::<u64>().saturating_mul(8) / known
    }

    /// Of the last full seconds, this many, those in which something came.
    fn last_seconds(&self, count: u64, now: Duration) -> impl Iterator<Item = &Second> {
        let end = now.as_secs();
        self.seconds.iter().filter(move |second| (end.saturating_sub(count)..end).contains(&second.index))
    }

    /// From the first unit of the oldest second to the first one of the newest, both not counted twice.
    fn frame_rate(&self, now: Duration) -> Option<f64> {
        let recent = now.as_secs().saturating_sub(FRAME_RATE_SECONDS);
        let mut seconds =
            self.seconds.iter().filter(|second| second.index >= recent && second.first_dts_ns.is_some()).peekable();
        let from_ns = seconds.peek()?.first_dts_ns?;
        let (mut units, mut to_ns, mut last) = (0, from_ns, 0);
        while let Some(second) = seconds.next() {
            if seconds.peek().is_some() {
                units += second.units;
            } else {
                (to_ns, last) = (second.first_dts_ns?, second.index);
            }
        }
        if now.as_secs() > last + 2 {
            return Some(0.0);
        }
        let span_ns = to_ns.checked_sub(from_ns).filter(|span_ns| *span_ns > 0)?;
        Some(units as f64 * 1e9 / span_ns as f64)
    }

    /// What is to be said of it now; `video` has pictures.
    pub(super) fn statistics(&self, video: bool, now: Duration) -> TrackStatistics {
        let minute = now.as_secs().saturating_sub(SECONDS_MAX as u64);
        let ended_ns = self.seconds.iter().filter(|second| second.index >= minute);
        let ended_ns = ended_ns.filter_map(|second| second.key_interval_max_ns).max();
        // The interval that runs is as long as it is, at least.
        let running_ns = self.last_key_dts_ns.map(|key_ns| self.last_dts_ns.saturating_sub(key_ns));
        let longest_ns = ended_ns.max(running_ns);
        let milliseconds = |ns: u64| u32::try_from((ns + 500_000) / 1_000_000).unwrap_or(u32::MAX);
        TrackStatistics {
            received_bytes: self.bytes,
            received_units: self.units,
            bitrate_1s_bps: self.rate_bps(1, now),
            bitrate_10s_bps: self.rate_bps(10, now),
            frame_rate: if video { self.frame_rate(now) } else { None },
            key_interval_ms: self.key_interval_ns.filter(|_| video).map(milliseconds),
            key_interval_max_ms: longest_ns.filter(|_| video).map(milliseconds),
            ..TrackStatistics::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEGIN: Duration = Duration::from_millis(3_600_700);

    /// Pictures of 5000 bytes at `rate`, a key frame every `gop`, each `late(n)` after its time.
    fn metered(rate: f64, gop: usize, seconds: f64, late: impl Fn(usize) -> Duration) -> (TrackMeter, Duration) {
        let mut meter = TrackMeter::default();
        let mut now = BEGIN;
        for n in 0..(seconds * rate) as usize {
            let time = Duration::from_secs_f64(n as f64 / rate);
            now = now.max(BEGIN + time + late(n));
            meter.received(5_000, now);
            meter.passed(time.as_nanos() as u64, n % gop == 0, now);
        }
        (meter, now)
    }

    #[test]
    fn rates_are_the_sources_however_its_units_come() {
        for rate in [25.0, 30_000.0 / 1_001.0, 50.0] {
            for burst in [1, 5, 12] {
                // `burst` pictures come at once, with the last of them.
                let late = |n: usize| Duration::from_secs_f64((burst - n % burst) as f64 / rate);
                let (meter, now) = metered(rate, 50, 21.0, late);
                let seen = meter.statistics(true, now);
                let fps = seen.frame_rate.expect("seconds of video");
                assert!((fps - rate).abs() < 0.01, "{fps} instead of {rate} in bursts of {burst}");
                let bps = rate * 40_000.0;
                assert!((seen.bitrate_10s_bps as f64 - bps).abs() < bps * 0.06, "{seen:?}");
                let interval_ms = 50_000.0 / rate;
                assert_eq!(seen.key_interval_ms, Some(interval_ms.round() as u32));
                assert_eq!(seen.key_interval_max_ms, Some(interval_ms.round() as u32));
            }
        }
    }

    #[test]
    fn a_bit_rate_is_the_publications_however_old_its_stream_is() {
        for n in 1..200 {
            let (meter, now) = metered(50.0, 25, f64::from(n) / 50.0, |_| Duration::ZERO);
            let rate = meter.rate_bps(2, now);
            assert!(rate < 2_100_000 && (n < 30 || rate > 1_900_000), "unit {n}: {rate} b/s instead of 2 Mb/s");
        }
    }

    #[test]
    fn the_longest_interval_is_of_the_last_minute_and_counts_while_it_runs() {
        let (mut meter, mut now) = (TrackMeter::default(), BEGIN);
        let mut seen = Vec::new();
        for n in 0..100_u64 {
            now = BEGIN + Duration::from_secs(n);
            meter.received(1, now);
            // Key frames at 0, 1, 2, then none for 20 s, then each second.
            meter.passed(n * 1_000_000_000, !(3..22).contains(&n), now);
            seen.push(meter.statistics(true, now));
        }
        let of = |n: usize| (seen[n].key_interval_ms, seen[n].key_interval_max_ms);
        assert_eq!(of(2), (Some(1_000), Some(1_000)));
        assert_eq!(of(12), (Some(1_000), Some(10_000)));
        assert_eq!(of(22), (Some(20_000), Some(20_000)));
        assert_eq!(of(80), (Some(1_000), Some(20_000)));
        assert_eq!(of(99), (Some(1_000), Some(1_000)));
        // What has ended is not said to run.
        let later = now + Duration::from_secs(5);
        let silent = meter.statistics(true, later);
        assert_eq!((silent.frame_rate, silent.bitrate_1s_bps), (Some(0.0), 0));
    }

    proptest! {
        #[test]
        fn it_remembers_a_minute_and_no_more(
            units in prop::collection::vec((0..5_000_u64, any::<u32>(), any::<u64>(), any::<bool>()), 1..300),
        ) {
            let (mut meter, mut now, mut sum) = (TrackMeter::default(), BEGIN, 0);
            for (wait_ms, bytes, dts_ns, key) in units {
                now += Duration::from_millis(wait_ms);
                sum += u64::from(bytes);
                meter.received(bytes.into(), now);
                meter.passed(dts_ns, key, now);
                let seen = meter.statistics(true, now);
                prop_assert!(meter.seconds.len() <= SECONDS_MAX);
                prop_assert_eq!(seen.received_bytes, sum);
                prop_assert!(seen.frame_rate.is_none_or(|fps| fps.is_finite() && fps >= 0.0));
                prop_assert!(seen.key_interval_max_ms >= seen.key_interval_ms || key || seen.key_interval_ms.is_some());
            }
        }
    }
}
