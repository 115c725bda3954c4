//! Endpoints as metrics. A listener's callers are summed up: there may be any number of them.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::registry::Unit;

use super::Scrape;
use super::page::{About, Page};
use crate::manager::{EndpointSurvey, StreamSurvey, unix_ms};
use crate::model::endpoint::{Encryption, EndpointState, EndpointStatistics, LinkGauges};

type Counter = (About, fn(&EndpointStatistics) -> u64);
type Gauge = (About, fn(&EndpointSurvey) -> Option<f64>);

const COUNTERS: [Counter; 11] = [
    (
        (
            "srt_restream_endpoint_sent",
            Some(Unit::Bytes),
            "Payload sent for the first time (libsrt byteSentUniqueTotal)",
        ),
        |it| it.counters.sent_bytes,
    ),
    (
        ("srt_restream_endpoint_sent_packets", None, "Packets sent for the first time (libsrt pktSentUniqueTotal)"),
        |it| it.counters.sent_packets,
    ),
    (
        ("srt_restream_endpoint_retransmitted", Some(Unit::Bytes), "Payload sent again (libsrt byteRetransTotal)"),
        |it| it.counters.retransmitted_bytes,
    ),
    (("srt_restream_endpoint_retransmitted_packets", None, "Packets sent again (libsrt pktRetransTotal)"), |it| {
        it.counters.retransmitted_packets
    }),
    (
        (
            "srt_restream_endpoint_lost_packets",
            None,
            "Packets that the peer reported lost, each report counted (libsrt pktSndLossTotal)",
        ),
        |it| it.counters.lost_packets,
    ),
    (
        (
            "srt_restream_endpoint_dropped",
            Some(Unit::Bytes),
            "Payload dropped by the sender for it was too late (libsrt byteSndDropTotal)",
        ),
        |it| it.counters.dropped_bytes,
    ),
    (
        (
            "srt_restream_endpoint_dropped_packets",
            None,
            "Packets dropped by the sender for they were too late (libsrt pktSndDropTotal)",
        ),
        |it| it.counters.dropped_packets,
    ),
    (("srt_restream_endpoint_gate_passed_units", None, "Access units that the gate let in"), |it| it.gate.passed_units),
    (
        (
            "srt_restream_endpoint_gate_dropped_units",
            None,
            "Access units that the gate dropped after it had opened first",
        ),
        |it| it.gate.dropped_units,
    ),
    (("srt_restream_endpoint_gate_dropped_gops", None, "GOPs of which the gate dropped something"), |it| {
        it.gate.dropped_gops
    }),
    (("srt_restream_endpoint_reconnects", None, "Connections after the first one"), |it| it.reconnects),
];

fn link(endpoint: &EndpointSurvey, value: fn(&LinkGauges) -> f64) -> Option<f64> {
    endpoint.statistics.link.as_ref().map(value)
}

fn other(name: &str) -> Option<Unit> {
    Some(Unit::Other(name.to_owned()))
}

fn gauges() -> [Gauge; 16] {
    let per_second = || other("bytes_per_second");
    [
        (("srt_restream_endpoint_broadcasting", None, "1 while its peer acknowledges new data, else 0"), |it| {
            Some(f64::from(u8::from(it.state == EndpointState::Broadcasting)))
        }),
        (("srt_restream_endpoint_enabled", None, "1 unless it is switched off"), |it| {
            Some(f64::from(u8::from(it.state != EndpointState::Disabled)))
        }),
        (("srt_restream_endpoint_attempt", None, "Attempts since the last success, the running one included"), |it| {
            Some(f64::from(it.attempt))
        }),
        (("srt_restream_endpoint_callers", None, "Callers of a listening endpoint"), |it| Some(it.callers as f64)),
        (
            (
                "srt_restream_endpoint_connected_since_timestamp",
                Some(Unit::Seconds),
                "When it connected, seconds since 1970",
            ),
            |it| it.statistics.connected_since.map(timestamp),
        ),
        (("srt_restream_endpoint_rtt", Some(Unit::Seconds), "Round-trip time now (libsrt msRTT)"), |it| {
            seconds(it, |link| link.rtt_ms)
        }),
        (("srt_restream_endpoint_rtt_min", Some(Unit::Seconds), "Its least of the last minute"), |it| {
            seconds(it, |link| link.rtt_min_ms)
        }),
        (("srt_restream_endpoint_rtt_average", Some(Unit::Seconds), "Its average of the last minute"), |it| {
            seconds(it, |link| link.rtt_avg_ms)
        }),
        (
            (
                "srt_restream_endpoint_rtt_p95",
                Some(Unit::Seconds),
                "What 95 % of its samples of the last minute were below",
            ),
            |it| seconds(it, |link| link.rtt_p95_ms),
        ),
        (
            (
                "srt_restream_endpoint_loss",
                other("ratio"),
                "Of the packets sent in the last minute, how many were sent again, 0 to 1",
            ),
            |it| link(it, |link| link.loss_ratio),
        ),
        (
            ("srt_restream_endpoint_send_rate", per_second(), "Sent in the last second, retransmissions included"),
            |it| link(it, |link| link.send_rate_bps as f64 / 8.0),
        ),
        (
            (
                "srt_restream_endpoint_bandwidth",
                per_second(),
                "What libsrt estimates that the way can carry (mbpsBandwidth)",
            ),
            |it| link(it, |link| link.bandwidth_bps as f64 / 8.0),
        ),
        (
            (
                "srt_restream_endpoint_send_buffer",
                Some(Unit::Seconds),
                "Media that waits for the peer's acknowledgement (libsrt msSndBuf)",
            ),
            |it| it.statistics.link.as_ref()?.send_buffer_ms.map(|ms| f64::from(ms) / 1e3),
        ),
        (
            (
                "srt_restream_endpoint_latency",
                Some(Unit::Seconds),
                "The latency that both sides agreed on (SRTO_PEERLATENCY)",
            ),
            |it| seconds(it, |link| link.latency_ms.map(f64::from)),
        ),
        (
            (
                "srt_restream_endpoint_advised_latency",
                Some(Unit::Seconds),
                "The latency that RTT and loss of the last minute ask for",
            ),
            |it| it.statistics.advice.as_ref().map(|advice| f64::from(advice.latency_ms) / 1e3),
        ),
        (
            (
                "srt_restream_endpoint_encrypted",
                None,
                "1 while what is sent is encrypted, 0 while it is not; no sample where that is not known",
            ),
            |it| encrypted(it.statistics.link.as_ref()?.encryption),
        ),
    ]
}

/// Something of the link that is measured in milliseconds, once it is known.
fn seconds(it: &EndpointSurvey, read: fn(&LinkGauges) -> Option<f64>) -> Option<f64> {
    it.statistics.link.as_ref().and_then(read).map(|ms| ms / 1e3)
}

fn encrypted(encryption: Encryption) -> Option<f64> {
    match encryption {
        Encryption::Aes(_) => Some(1.0),
        Encryption::None | Encryption::Failed => Some(0.0),
        Encryption::Unknown => None,
    }
}

/// Seconds since 1970.
pub(super) fn timestamp(at: SystemTime) -> f64 {
    unix_ms(at) as f64 / 1e3
}

/// The labels of an endpoint.
type Labels<'a> = [(&'static str, &'a str); 3];
/// The same, and a word.
type WordLabels<'a> = [(&'static str, &'a str); 4];

fn labels<'a>(stream: &'a StreamSurvey, endpoint: &'a EndpointSurvey) -> Labels<'a> {
    [("app", stream.key.app.as_str()), ("stream", stream.key.id.as_str()), ("endpoint", endpoint.id.as_str())]
}

fn with_word<'a>([app, stream, endpoint]: Labels<'a>, name: &'static str, word: &'a str) -> WordLabels<'a> {
    [app, stream, endpoint, (name, word)]
}

pub(super) fn write(page: &mut Page<'_>, scrape: &Scrape) -> fmt::Result {
    let all = || {
        let streams = scrape.streams.iter();
        streams.flat_map(|stream| stream.endpoints.iter().map(move |endpoint| (labels(stream, endpoint), endpoint)))
    };
    page.gauge(
        ("srt_restream_endpoint_state", None, "1 for the state that it is in; other states have no sample"),
        all().map(|(labels, endpoint)| (with_word(labels, "state", endpoint.state.as_str()), 1.0)),
    )?;
    page.gauge(
        ("srt_restream_endpoint_failure", None, "1 for the cause of the last failure, until the next success"),
        all().filter_map(|(labels, endpoint)| Some((with_word(labels, "cause", endpoint.cause?.as_str()), 1.0))),
    )?;
    for (about, value) in gauges() {
        page.gauge(about, all().filter_map(|(labels, endpoint)| Some((labels, value(endpoint)?))))?;
    }
    for (about, value) in COUNTERS {
        page.counter(about, all().map(|(labels, endpoint)| (labels, value(&endpoint.statistics) as f64)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encryption_that_is_not_known_is_no_sample() {
        for (encryption, wanted) in [
            (Encryption::None, Some(0.0)),
            (Encryption::Failed, Some(0.0)),
            (Encryption::Aes(0), Some(1.0)),
            (Encryption::Aes(32), Some(1.0)),
            (Encryption::Unknown, None),
        ] {
            assert_eq!(encrypted(encryption), wanted, "{encryption:?}");
        }
    }
}
