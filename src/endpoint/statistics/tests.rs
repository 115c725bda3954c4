//! Statistics as people read them: sums that never go back, a window that forgets.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::minute::SECONDS_MAX;

fn sample(packets: u64, again: u64, rtt_ms: f64) -> LinkSample {
    LinkSample {
        counters: LinkCounters {
            sent_bytes: packets * 1_360,
            sent_packets: packets,
            retransmitted_bytes: again * 1_360,
            retransmitted_packets: again,
            lost_packets: again,
            ..LinkCounters::default()
        },
        rtt_ms,
        bandwidth_bps: 1_000_000_000,
        send_buffer_ms: None,
        latency_ms: Some(120),
        encryption: Encryption::Aes(16),
    }
}

fn gate(passed_units: u64, dropped_units: u64, dropped_gops: u64) -> GateTotals {
    GateTotals { passed_units, dropped_units, dropped_gops }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_window_is_the_last_minute() {
    let (start, mut meter) = (Instant::now(), LinkMeter::default());
    // A minute of 100.5 ms with 10 % sent again, then one of 10 ms to 29 ms without.
    for n in 0..=60 {
        meter.sample(&sample(n * 90, n * 10, 100.5), start + secs(n));
    }
    let gauges = meter.gauges().expect("measured");
    assert_eq!((gauges.rtt_min_ms, gauges.rtt_avg_ms, gauges.rtt_p95_ms), (Some(100.5), Some(100.5), Some(100.5)));
    assert_eq!((gauges.loss_ratio, gauges.send_rate_bps), (0.1, 100 * 1_360 * 8));
    assert_eq!(meter.minute.known_seconds(), 60);
    for n in 61..=120 {
        meter.sample(&sample(n * 90, 600, 10.0 + (n % 20) as f64), start + secs(n));
    }
    let gauges = meter.gauges().expect("measured");
    assert_eq!((gauges.rtt_min_ms, gauges.rtt_avg_ms, gauges.rtt_p95_ms), (Some(10.0), Some(19.5), Some(28.0)));
    assert_eq!((gauges.rtt_ms, gauges.loss_ratio, gauges.send_rate_bps), (Some(10.0), 0.0, 90 * 1_360 * 8));
    assert_eq!(meter.minute.known_seconds(), SECONDS_MAX);
}

#[test]
fn looking_more_often_changes_counters_and_no_rate() {
    let (start, mut meter) = (Instant::now(), LinkMeter::default());
    let mut sum = LinkCounters::default();
    for n in 0..=200_u64 {
        sum += meter.sample(&sample(n * 5, 0, 20.0), start + Duration::from_millis(50) * n as u32);
    }
    assert_eq!(sum.sent_packets, 1_000);
    let gauges = meter.gauges().expect("measured");
    let wanted_bps = 100 * 1_360 * 8;
    assert_eq!(
        (gauges.send_rate_bps, meter.minute.known_seconds()),
        (wanted_bps, 11),
        "a window's second is 0.9 s here"
    );
}

#[test]
fn a_second_connection_is_a_reconnect_and_counts_on() {
    let (start, mut all) = (Instant::now(), EndpointStatistics::default());
    for attempt in 0..3_u64 {
        let mut meter = BranchMeter::default();
        meter.sample(&mut all, None, gate(3, 0, 0), start);
        assert_eq!((all.connected_since, all.link), (None, None), "it is still connecting");
        for n in 1..=12 {
            meter.sample(&mut all, Some(&sample(n * 100, n, 84.0)), gate(3 + n, 1, 1), start + secs(n));
        }
        assert!(all.connected_since.is_some() && all.advice.as_ref().is_some_and(|advice| !advice.enough));
        meter.end(&mut all, None, gate(20, 2, 1), start + secs(13));
        assert_eq!((all.connections, all.reconnects), (attempt + 1, attempt));
        assert_eq!(all.counters.sent_packets, (attempt + 1) * 1_200);
        assert_eq!(all.gate, gate((attempt + 1) * 20, (attempt + 1) * 2, attempt + 1));
        // What was advised for a way may be wrong for the next one.
        assert_eq!((all.connected_since, all.link, &all.advice), (None, None, &None));
    }
}

#[test]
fn nothing_is_advised_by_what_nobody_has_measured() {
    let start = Instant::now();
    let advice = |packets: u64, rtt_ms: f64, latency_ms: Option<u32>| {
        let mut meter = LinkMeter::default();
        for n in 0..=20 {
            meter.sample(&LinkSample { latency_ms, ..sample(n * packets, 0, rtt_ms) }, start + secs(n));
        }
        let gauges = meter.gauges().expect("sampled");
        for shown in [gauges.rtt_ms, gauges.rtt_p95_ms] {
            assert_eq!(shown.is_some(), rtt_ms != 100.0, "libsrt's word for not measured");
        }
        meter.advice().map(|advice| advice.latency_ms)
    };
    assert_eq!(advice(90, 84.0, Some(120)), Some(260));
    assert_eq!(advice(90, 100.0, Some(120)), None, "no round trip is known");
    assert_eq!(advice(0, 84.0, Some(120)), None, "nothing was sent, so no loss is known");
    assert_eq!(advice(90, 84.0, None), None, "whether it is enough is not known");
}

#[test]
fn encryption_is_what_the_url_tells() {
    let said = |url: &str| encryption(&url.parse().expect("URL")).as_str();
    assert_eq!(said("srt://h"), "none");
    assert_eq!(said("srt://h?passphrase=0123456789"), "aes");
    assert_eq!(said("srt://h?passphrase=0123456789&pbkeylen=32"), "aes-256");
    assert_eq!(said("srt://h?passphrase=0123456789&enforced_encryption=0"), "unknown");
}

proptest! {
    #[test]
    fn nothing_ever_goes_back(
        steps in prop::collection::vec((any::<bool>(), 0..3_u8, any::<u64>(), any::<u64>(), 0..3_000_u64), 1..80),
    ) {
        let (mut now, mut all, mut meter) = (Instant::now(), EndpointStatistics::default(), BranchMeter::default());
        let mut before = all.clone();
        for (anew, link, one, two, wait_ms) in steps {
            if anew {
                meter = BranchMeter::default();
            }
            now += Duration::from_millis(wait_ms);
            // Any numbers, in any order: also those that libsrt would never give. A sum has room for 64 of them.
            let (one, two) = (one >> 24, two >> 24);
            let given = sample(one, two, two as f64);
            let gate = gate(one, two, one ^ two);
            match link {
                0 => meter.sample(&mut all, None, gate, now),
                1 => meter.sample(&mut all, Some(&given), gate, now),
                _ => meter.end(&mut all, Some(&given), gate, now),
            }
            prop_assert_eq!(before.counters.beyond(&all.counters), LinkCounters::default());
            prop_assert_eq!(before.gate.beyond(&all.gate), GateTotals::default());
            prop_assert!(before.connections <= all.connections && before.reconnects <= all.reconnects);
            if let Some(link) = &all.link {
                prop_assert!((0.0..=1.0).contains(&link.loss_ratio));
                if let (Some(min), Some(avg), Some(p95)) = (link.rtt_min_ms, link.rtt_avg_ms, link.rtt_p95_ms) {
                    prop_assert!(min <= avg * (1.0 + 1e-9) && min <= p95);
                }
            }
            before = all.clone();
        }
    }

    #[test]
    fn what_is_sent_is_counted_once_however_often_it_is_looked_at(steps in prop::collection::vec(0..1_000_u64, 1..100)) {
        let (start, mut all, mut meter) = (Instant::now(), EndpointStatistics::default(), BranchMeter::default());
        let mut sent = 0;
        for (n, step) in steps.iter().enumerate() {
            sent += step;
            meter.sample(&mut all, Some(&sample(sent, 0, 1.0)), gate(sent, 0, 0), start + secs(n as u64) / 3);
            prop_assert_eq!((all.counters.sent_packets, all.gate.passed_units), (sent, sent));
        }
    }
}
