//! What an endpoint and each caller of a listener have sent, as it is shown. The sources of the figures stand at the
//! fields of [`crate::model::endpoint::EndpointStatistics`].

use serde::Serialize;

use super::endpoint::ms;
use crate::manager::unix_ms;
use crate::model::endpoint::{
    CallerStatistics, Encryption, EndpointStatistics, LatencyAdvice, LinkCounters, LinkGauges,
};

/// What an endpoint has sent in its whole life, over all connections, and how its running one is.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct StatisticsResource {
    #[serde(flatten)]
    counters: CountersResource,
    /// Access units that its gate let in.
    passed_units: u64,
    /// Access units dropped at the gate because it did not keep up.
    dropped_units: u64,
    /// GOPs of which something was dropped there.
    dropped_gops: u64,
    #[serde(flatten)]
    link: LinkResource,
    /// Since when it is connected, in ms since 1970.
    connected_since: Option<i64>,
    /// Connections there have been; of a listener, callers.
    connections: u64,
    /// Connections after the first one.
    reconnects: u64,
    /// When these figures were taken, in ms since 1970.
    sampled_at: Option<i64>,
}

impl From<&EndpointStatistics> for StatisticsResource {
    fn from(statistics: &EndpointStatistics) -> Self {
        Self {
            counters: CountersResource::from(&statistics.counters),
            passed_units: statistics.gate.passed_units,
            dropped_units: statistics.gate.dropped_units,
            dropped_gops: statistics.gate.dropped_gops,
            link: LinkResource::of(statistics.link.as_ref()),
            connected_since: ms(statistics.connected_since),
            connections: statistics.connections,
            reconnects: statistics.reconnects,
            sampled_at: ms(statistics.sampled_at),
        }
    }
}

/// Counters; they never go back.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct CountersResource {
    /// Payload bytes sent for the first time.
    sent_bytes: u64,
    /// Packets sent for the first time.
    sent_packets: u64,
    /// Bytes sent again.
    retransmitted_bytes: u64,
    /// Packets sent again.
    retransmitted_packets: u64,
    /// Packets that the peer reported lost.
    lost_packets: u64,
    /// Bytes that the sender dropped because they were too late.
    dropped_bytes: u64,
    /// Packets that the sender dropped because they were too late.
    dropped_packets: u64,
}

impl From<&LinkCounters> for CountersResource {
    fn from(counters: &LinkCounters) -> Self {
        let LinkCounters {
            sent_bytes,
            sent_packets,
            retransmitted_bytes,
            retransmitted_packets,
            lost_packets,
            dropped_bytes,
            dropped_packets,
        } = *counters;
        Self {
            sent_bytes,
            sent_packets,
            retransmitted_bytes,
            retransmitted_packets,
            lost_packets,
            dropped_bytes,
            dropped_packets,
        }
    }
}

/// How the running connection is; all null while there is none.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct LinkResource {
    /// Round-trip time now.
    rtt_ms: Option<f64>,
    /// Its least of the last minute.
    rtt_min_ms: Option<f64>,
    /// Its average of the last minute.
    rtt_avg_ms: Option<f64>,
    /// What 95 % of its samples of the last minute were below.
    #[serde(rename = "rttP95Ms")]
    rtt_p95_ms: Option<f64>,
    /// Of the packets sent in the last minute, how many were sent again: 0 to 1.
    loss_ratio: Option<f64>,
    /// What was sent in the last second, retransmissions included.
    send_rate_bps: Option<u64>,
    /// What libsrt estimates that the way can carry.
    bandwidth_bps: Option<u64>,
    /// Media that waits for the peer's acknowledgement.
    send_buffer_ms: Option<u32>,
    /// The latency both sides agreed on.
    latency_ms: Option<u32>,
    /// `none`, `aes-128`, `aes-192`, `aes-256`, `aes` where the length of the key can't be read, `failed` where both sides
    /// found no key, or `unknown`.
    encryption: Option<&'static str>,
}

impl LinkResource {
    fn of(link: Option<&LinkGauges>) -> Self {
        // JSON has no number for what is none.
        let measured = |read: fn(&LinkGauges) -> Option<f64>| link.and_then(read).filter(|value| value.is_finite());
        let number = |read: fn(&LinkGauges) -> f64| link.map(read).filter(|value| value.is_finite());
        Self {
            rtt_ms: measured(|link| link.rtt_ms),
            rtt_min_ms: measured(|link| link.rtt_min_ms),
            rtt_avg_ms: measured(|link| link.rtt_avg_ms),
            rtt_p95_ms: measured(|link| link.rtt_p95_ms),
            loss_ratio: number(|link| link.loss_ratio),
            send_rate_bps: link.map(|link| link.send_rate_bps),
            bandwidth_bps: link.map(|link| link.bandwidth_bps),
            send_buffer_ms: link.and_then(|link| link.send_buffer_ms),
            latency_ms: link.and_then(|link| link.latency_ms),
            encryption: link.map(|link| Encryption::as_str(link.encryption)),
        }
    }
}

/// What latency an endpoint wants.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct LatencyAdviceResource {
    /// The least latency that the way wants.
    latency_ms: u32,
    /// Whether the latency that both sides have agreed on is as much or more.
    enough: bool,
    /// Why: `RTT p95 84 ms, loss 1.2 % → 340 ms`.
    reason: String,
}

impl From<&LatencyAdvice> for LatencyAdviceResource {
    fn from(advice: &LatencyAdvice) -> Self {
        Self { latency_ms: advice.latency_ms, enough: advice.enough, reason: advice.reason.clone() }
    }
}

/// One caller of a listener.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct CallerResource {
    /// Its address and port.
    peer: String,
    /// The stream id that it gave.
    stream_id: Option<String>,
    /// Since when it is connected, in ms since 1970.
    connected_since: i64,
    #[serde(flatten)]
    counters: CountersResource,
    #[serde(flatten)]
    link: LinkResource,
    /// Access units that it missed because it did not keep up.
    dropped_units: u64,
    /// GOPs of which it missed something because it did not keep up.
    dropped_gops: u64,
}

impl From<&CallerStatistics> for CallerResource {
    fn from(caller: &CallerStatistics) -> Self {
        Self {
            peer: caller.peer.to_string(),
            stream_id: caller.stream_id.clone(),
            connected_since: unix_ms(caller.connected_since),
            counters: CountersResource::from(&caller.counters),
            link: LinkResource::of(caller.link.as_ref()),
            dropped_units: caller.dropped_units,
            dropped_gops: caller.dropped_gops,
        }
    }
}
