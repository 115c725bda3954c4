//! From what libsrt says of a publisher's connection each second to what is shown of it. Pure.
//!
//! Owns the sums and the window of one connection. Must not know sockets: it is given what they say.

use std::time::{Instant, SystemTime};

use crate::model::endpoint::Encryption;
use crate::model::ingest::IngestStatistics;
use crate::model::latency::{self, Way};
use crate::model::minute::{EachSecond, Minute, bits_per_second, measured_rtt_ms};
use crate::srt::SrtStatistics;

/// What of a connection is summed up: bytes, packets, lost packets.
type Counted = (u64, u64, u64);

/// The meter of one publisher's connection.
#[derive(Debug, Default)]
pub(super) struct ReceiveMeter {
    second: EachSecond<Counted>,
    minute: Minute,
    receive_rate_bps: u64,
}

impl ReceiveMeter {
    /// Takes what libsrt says now; the minute and the rate move on once a second.
    pub(super) fn sample(&mut self, stats: &SrtStatistics, encryption: Encryption, now: Instant) -> IngestStatistics {
        let counted = (stats.received_bytes, stats.received_packets, stats.receive_lost_packets);
        if let Some(((bytes, packets, lost), elapsed)) = self.second.over(now, counted) {
            let lost = stats.receive_lost_packets.saturating_sub(lost);
            let arrived = stats.received_packets.saturating_sub(packets);
            // What was lost and came again has arrived; what never came is not in there, and may not count twice.
            self.minute.push(Some(stats.rtt_ms), arrived.max(lost), lost);
            self.receive_rate_bps = bits_per_second(stats.received_bytes.saturating_sub(bytes), elapsed);
        }
        let (rtts, loss_ratio) = (self.minute.rtts(), self.minute.loss_ratio());
        let advice = rtts.and_then(|rtts| {
            latency::advise(&Way {
                rtt_p95_ms: rtts.p95_ms,
                loss_ratio,
                latency_ms: stats.receive_latency_ms,
                known_seconds: self.minute.known_seconds(),
            })
        });
        IngestStatistics {
            received_bytes: stats.received_bytes,
            received_packets: stats.received_packets,
            lost_packets: stats.receive_lost_packets,
            retransmitted_packets: Some(stats.receive_retransmitted_packets),
            dropped_packets: Some(stats.receive_dropped_packets),
            undecrypted_packets: Some(stats.undecrypted_packets),
            loss_ratio,
            receive_rate_bps: self.receive_rate_bps,
            rtt_ms: measured_rtt_ms(stats.rtt_ms),
            rtt_min_ms: rtts.map(|rtts| rtts.min_ms),
            rtt_avg_ms: rtts.map(|rtts| rtts.avg_ms),
            rtt_p95_ms: rtts.map(|rtts| rtts.p95_ms),
            jitter_ms: None,
            bandwidth_bps: Some(stats.bandwidth_bps),
            receive_buffer_ms: Some(stats.receive_buffer_ms),
            latency_ms: Some(stats.receive_latency_ms),
            encryption: Some(encryption),
            advice,
            sampled_at: Some(SystemTime::now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_lossy_way_wants_more_latency() {
        let (start, mut meter) = (Instant::now(), ReceiveMeter::default());
        let mut seen = IngestStatistics::default();
        for n in 0..=20_u64 {
            let stats = SrtStatistics {
                received_bytes: n * 131_600,
                received_packets: n * 100,
                receive_lost_packets: n * 5,
                receive_retransmitted_packets: n * 5,
                rtt_ms: 40.0 + n as f64,
                receive_latency_ms: 120,
                ..SrtStatistics::default()
            };
            seen = meter.sample(&stats, Encryption::Aes(16), start + Duration::from_secs(n));
            assert_eq!(seen.advice.is_some(), n >= 10, "after {n} s");
        }
        assert_eq!((seen.loss_ratio, seen.receive_rate_bps), (0.05, 131_600 * 8));
        assert_eq!((seen.rtt_min_ms, seen.rtt_p95_ms), (Some(41.0), Some(59.0)));
        let advice = seen.advice.expect("enough is known");
        assert_eq!((advice.latency_ms, advice.enough), (300, false), "{}", advice.reason);
    }
}
