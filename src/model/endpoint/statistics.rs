//! What an endpoint has sent, and how its link is. Counters are of its whole life: reconnects, changes and the stream's
//! own end never take them back; a restart of the service does.

use std::net::SocketAddr;
use std::ops::AddAssign;
use std::time::SystemTime;

use crate::model::latency::LatencyAdvice;

/// What libsrt counts of what one connection, or all of them together, sent. Bytes are payload: libsrt's own counters
/// hold 44 bytes of headers (IP, UDP, SRT) for each packet, which are taken off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Payload bytes sent for the first time (`byteSentUniqueTotal`).
    pub sent_bytes: u64,
    /// Packets sent for the first time (`pktSentUniqueTotal`).
    pub sent_packets: u64,
    /// Bytes sent again (`byteRetransTotal`).
    pub retransmitted_bytes: u64,
    /// Packets sent again (`pktRetransTotal`).
    pub retransmitted_packets: u64,
    /// Packets that the peer reported lost (`pktSndLossTotal`): one packet counts again with each report of it.
    pub lost_packets: u64,
    /// Bytes that the sender dropped because they were too late (`byteSndDropTotal`).
    pub dropped_bytes: u64,
    /// Packets that the sender dropped because they were too late (`pktSndDropTotal`, `SRTO_TLPKTDROP`).
    pub dropped_packets: u64,
}

impl LinkCounters {
    /// What these have beyond `earlier` ones of the same connection. A counter that went back adds nothing.
    #[must_use]
    pub fn beyond(&self, earlier: &Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes.saturating_sub(earlier.sent_bytes),
            sent_packets: self.sent_packets.saturating_sub(earlier.sent_packets),
            retransmitted_bytes: self.retransmitted_bytes.saturating_sub(earlier.retransmitted_bytes),
            retransmitted_packets: self.retransmitted_packets.saturating_sub(earlier.retransmitted_packets),
            lost_packets: self.lost_packets.saturating_sub(earlier.lost_packets),
            dropped_bytes: self.dropped_bytes.saturating_sub(earlier.dropped_bytes),
            dropped_packets: self.dropped_packets.saturating_sub(earlier.dropped_packets),
        }
    }
}

impl AddAssign for LinkCounters {
    fn add_assign(&mut self, more: Self) {
        self.sent_bytes += more.sent_bytes;
        self.sent_packets += more.sent_packets;
        self.retransmitted_bytes += more.retransmitted_bytes;
        self.retransmitted_packets += more.retransmitted_packets;
        self.lost_packets += more.lost_packets;
        self.dropped_bytes += more.dropped_bytes;
        self.dropped_packets += more.dropped_packets;
    }
}

/// Whether what is sent is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// No passphrase.
    None,
    /// AES, the key this many bytes long (16, 24, 32); 0 where the peer may have chosen and can't be asked.
    Aes(u8),
    /// A passphrase is set, and the peer could not agree on a key (only where `enforcedencryption=0`).
    Failed,
    /// A passphrase is set, encryption is not enforced, and the connection can't be asked.
    Unknown,
}

impl Encryption {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aes(0) => "aes",
            Self::Aes(24) => "aes-192",
            Self::Aes(32) => "aes-256",
            Self::Aes(_) => "aes-128",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// How a connection is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkGauges {
    /// Round-trip time now, ms (`msRTT`): smoothed by libsrt; `None` until it has measured one.
    pub rtt_ms: Option<f64>,
    /// Its least of the last minute, ms; `None` until it was measured.
    pub rtt_min_ms: Option<f64>,
    /// Its average of the last minute, ms.
    pub rtt_avg_ms: Option<f64>,
    /// What 95 % of its samples of the last minute were below, ms.
    pub rtt_p95_ms: Option<f64>,
    /// Of the packets sent in the last minute, how many were sent again, 0 to 1 (`pktRetransTotal` ÷ `pktSentTotal`):
    /// SRT's own measure of the loss on the way.
    pub loss_ratio: f64,
    /// What was sent in the last second, retransmissions included, bit/s.
    pub send_rate_bps: u64,
    /// What libsrt estimates that the way can carry, bit/s (`mbpsBandwidth`).
    pub bandwidth_bps: u64,
    /// Media that waits for the peer's acknowledgement, ms (`msSndBuf`); `None` where it can't be read.
    pub send_buffer_ms: Option<u32>,
    /// The latency both sides agreed on, ms (`SRTO_PEERLATENCY`); `None` where it can't be read.
    pub latency_ms: Option<u32>,
    /// Encryption of what is sent (`SRTO_SNDKMSTATE`).
    pub encryption: Encryption,
}

/// What an endpoint's gate let in and dropped, of its whole life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateTotals {
    /// Access units let in.
    pub passed_units: u64,
    /// Access units dropped after the first opening.
    pub dropped_units: u64,
    /// GOPs of which something was dropped: how often the gate closed.
    pub dropped_gops: u64,
}

impl GateTotals {
    /// What these have beyond `earlier` ones of the same gate.
    #[must_use]
    pub fn beyond(&self, earlier: &Self) -> Self {
        Self {
            passed_units: self.passed_units.saturating_sub(earlier.passed_units),
            dropped_units: self.dropped_units.saturating_sub(earlier.dropped_units),
            dropped_gops: self.dropped_gops.saturating_sub(earlier.dropped_gops),
        }
    }
}

impl AddAssign for GateTotals {
    fn add_assign(&mut self, more: Self) {
        self.passed_units += more.passed_units;
        self.dropped_units += more.dropped_units;
        self.dropped_gops += more.dropped_gops;
    }
}

/// Everything counted and measured of an endpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EndpointStatistics {
    /// Of all connections and callers there have been.
    pub counters: LinkCounters,
    /// Of all branches there have been.
    pub gate: GateTotals,
    /// Of the running connection; of a listener, of its slowest caller. `None` while there is none.
    pub link: Option<LinkGauges>,
    /// Since when it is connected.
    pub connected_since: Option<SystemTime>,
    /// Connections there have been, the running one included; of a listener, its callers.
    pub connections: u64,
    /// Connections after the first one that the endpoint made itself: callers of a listener are none.
    pub reconnects: u64,
    /// When these were sampled.
    pub sampled_at: Option<SystemTime>,
    /// What latency it wants, as soon as enough is known; of a listener, the caller that wants the most.
    pub advice: Option<LatencyAdvice>,
}

/// One caller of a listener.
#[derive(Debug, Clone, PartialEq)]
pub struct CallerStatistics {
    /// Its address.
    pub peer: SocketAddr,
    /// The stream id that it gave.
    pub stream_id: Option<String>,
    /// Since when it is connected.
    pub connected_since: SystemTime,
    /// What was sent to it.
    pub counters: LinkCounters,
    /// How its link is, once sampled.
    pub link: Option<LinkGauges>,
    /// Access units that it missed because it did not keep up.
    pub dropped_units: u64,
    /// GOPs of which it missed something because it did not keep up.
    pub dropped_gops: u64,
}
