//! How a publisher's data comes in: what its protocol counts and measures, as far as it does.

use std::time::SystemTime;

use super::endpoint::Encryption;
use super::latency::LatencyAdvice;

/// What is counted of a running publication, and how its way is. What its protocol does not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IngestStatistics {
    /// Payload bytes received, duplicates left out (SRT: `byteRecvUniqueTotal`; RTP: `octets-received`).
    pub received_bytes: u64,
    /// Packets received, duplicates left out (SRT: `pktRecvUniqueTotal`; RTP: `packets-received`).
    pub received_packets: u64,
    /// Packets that were missing: in SRT when they were due to arrive, whether they came later or not
    /// (`pktRcvLossTotal`), in RTP for good (`packets-lost`).
    pub lost_packets: u64,
    /// Packets that came because they were sent again (SRT: `pktRcvRetrans`).
    pub retransmitted_packets: Option<u64>,
    /// Packets that came too late, or never (SRT: `pktRcvDropTotal`).
    pub dropped_packets: Option<u64>,
    /// Packets that could not be decrypted (SRT: `pktRcvUndecryptTotal`).
    pub undecrypted_packets: Option<u64>,
    /// Lost packets ÷ packets, of the last minute, 0 to 1.
    pub loss_ratio: f64,
    /// Payload received in the last second, bit/s.
    pub receive_rate_bps: u64,
    /// Round-trip time now, ms (SRT: `msRTT`).
    pub rtt_ms: Option<f64>,
    /// Its least of the last minute, ms.
    pub rtt_min_ms: Option<f64>,
    /// Its average of the last minute, ms.
    pub rtt_avg_ms: Option<f64>,
    /// What 95 % of its samples of the last minute did not exceed, ms.
    pub rtt_p95_ms: Option<f64>,
    /// Variation of the packets' transit times, ms (RTP: `jitter` of RFC 3550).
    pub jitter_ms: Option<f64>,
    /// What the way can carry as far as it can be estimated, bit/s (SRT: `mbpsBandwidth`).
    pub bandwidth_bps: Option<u64>,
    /// Media that waits in the receive buffer, ms (SRT: `msRcvBuf`).
    pub receive_buffer_ms: Option<u32>,
    /// The latency both sides agreed on, ms (SRT: `SRTO_RCVLATENCY`).
    pub latency_ms: Option<u32>,
    /// Encryption of what is received (SRT: `SRTO_RCVKMSTATE`).
    pub encryption: Option<Encryption>,
    /// What latency the way wants, as soon as enough is known.
    pub advice: Option<LatencyAdvice>,
    /// When these were sampled.
    pub sampled_at: Option<SystemTime>,
}
