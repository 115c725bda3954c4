//! From what libsrt says of a connection each second to what an endpoint has sent in its whole life.
//!
//! Owns the sums, the window of the last minute and what is worked out from it. Pure: no clock, no GStreamer, no
//! socket. The hard thing: libsrt counts from 0 at each connection, and what is shown may never go back; so every
//! sample is turned into what was added since the one before, and only that is summed up.

use std::time::{Instant, SystemTime};

use crate::model::endpoint::{Encryption, EndpointStatistics, GateTotals, LinkCounters, LinkGauges};
use crate::model::latency::{self, LatencyAdvice, Way};
use crate::model::minute::{EachSecond, Minute, bits_per_second, measured_rtt_ms};
use crate::model::srt_url::SrtUrl;
use crate::srt::SrtStatistics;

/// What libsrt says of one connection at one moment. Its counters are of that connection alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkSample {
    /// Since the connection began.
    pub counters: LinkCounters,
    /// Round-trip time, ms (`msRTT`); 100 while libsrt has not measured any.
    pub rtt_ms: f64,
    /// Estimated bandwidth of the way, bit/s (`mbpsBandwidth`).
    pub bandwidth_bps: u64,
    /// Media that waits for the peer's acknowledgement, ms (`msSndBuf`); `None` where it can't be read.
    pub send_buffer_ms: Option<u32>,
    /// The latency both sides agreed on, ms (`msSndTsbPdDelay`); `None` where it can't be read.
    pub latency_ms: Option<u32>,
    /// How it is encrypted.
    pub encryption: Encryption,
}

/// How a connection of `srtsink` is encrypted, as far as its URL tells: that it stands means that both sides have the
/// same passphrase, unless encryption is not enforced.
pub(super) fn encryption(url: &SrtUrl) -> Encryption {
    let enforced = !url.socket_options.iter().any(|(key, value)| *key == "enforcedencryption" && value == "0");
    match (&url.passphrase, url.pbkeylen) {
        (None, _) => Encryption::None,
        (Some(_), _) if !enforced => Encryption::Unknown,
        (Some(_), key_len) => Encryption::Aes(key_len.unwrap_or(0)),
    }
}

impl LinkSample {
    /// Of a socket of our own.
    pub fn of(stats: &SrtStatistics, encryption: Encryption) -> Self {
        Self {
            counters: stats.sender_counters(),
            rtt_ms: stats.rtt_ms,
            bandwidth_bps: stats.bandwidth_bps,
            send_buffer_ms: Some(stats.send_buffer_ms),
            latency_ms: Some(stats.send_latency_ms),
            encryption,
        }
    }
}

/// The meter of one connection, from its begin to its end. A new connection wants a new meter.
#[derive(Debug, Default)]
pub struct LinkMeter {
    /// What was counted up to the last sample: a counter that libsrt takes back does not take back a sum.
    counted: LinkCounters,
    second: EachSecond<LinkCounters>,
    minute: Minute,
    gauges: Option<LinkGauges>,
}

impl LinkMeter {
    /// Takes a sample; gives what has been sent since the one before.
    pub fn sample(&mut self, sample: &LinkSample, now: Instant) -> LinkCounters {
        let added = sample.counters.beyond(&self.counted);
        self.counted += added;
        let mut send_rate_bps = 0;
        if let Some((before, elapsed)) = self.second.over(now, self.counted) {
            let sent = self.counted.beyond(&before);
            let packets = sent.sent_packets + sent.retransmitted_packets;
            self.minute.push(Some(sample.rtt_ms), packets, sent.retransmitted_packets);
            send_rate_bps = bits_per_second(sent.sent_bytes.saturating_add(sent.retransmitted_bytes), elapsed);
        } else if self.gauges.is_some() {
            return added;
        }
        let rtts = self.minute.rtts();
        self.gauges = Some(LinkGauges {
            rtt_ms: measured_rtt_ms(sample.rtt_ms),
            rtt_min_ms: rtts.map(|rtts| rtts.min_ms),
            rtt_avg_ms: rtts.map(|rtts| rtts.avg_ms),
            rtt_p95_ms: rtts.map(|rtts| rtts.p95_ms),
            loss_ratio: self.minute.loss_ratio(),
            send_rate_bps,
            bandwidth_bps: sample.bandwidth_bps,
            send_buffer_ms: sample.send_buffer_ms,
            latency_ms: sample.latency_ms,
            encryption: sample.encryption,
        });
        added
    }

    /// How the connection is, as of the last full second.
    pub fn gauges(&self) -> Option<LinkGauges> {
        self.gauges
    }

    /// What latency it wants, once enough is known.
    pub fn advice(&self) -> Option<LatencyAdvice> {
        let gauges = self.gauges?;
        latency::advise(&Way {
            rtt_p95_ms: gauges.rtt_p95_ms?,
            loss_ratio: gauges.loss_ratio,
            latency_ms: gauges.latency_ms?,
            known_seconds: self.minute.busy_seconds(),
        })
    }
}

/// The meter of one branch: it writes into statistics that outlive it. A new branch wants a new meter.
#[derive(Debug, Default)]
pub(super) struct BranchMeter {
    /// The branch's connection, once there is one. (A branch is one attempt: it never has a second one.)
    link: Option<LinkMeter>,
    /// What its gate had counted at the last sample.
    gate: GateTotals,
}

impl BranchMeter {
    /// Takes a sample of the branch: its gate, and its connection when there is one.
    pub(super) fn sample(
        &mut self,
        statistics: &mut EndpointStatistics,
        link: Option<&LinkSample>,
        gate: GateTotals,
        now: Instant,
    ) {
        let added = gate.beyond(&self.gate);
        self.gate += added;
        statistics.gate += added;
        let at = SystemTime::now();
        statistics.sampled_at = Some(at);
        let Some(sample) = link else {
            (statistics.link, statistics.connected_since, statistics.advice) = (None, None, None);
            return;
        };
        if self.link.is_none() {
            statistics.reconnects += u64::from(statistics.connections > 0);
            statistics.connections += 1;
        }
        statistics.connected_since.get_or_insert(at);
        let meter = self.link.get_or_insert_default();
        statistics.counters += meter.sample(sample, now);
        statistics.link = meter.gauges();
        statistics.advice = meter.advice();
    }

    /// The last sample of a branch that is on its way out. Of a connection that has broken libsrt tells nothing any
    /// more: what was sent since the last sample is not counted then.
    pub(super) fn end(
        &mut self,
        statistics: &mut EndpointStatistics,
        link: Option<&LinkSample>,
        gate: GateTotals,
        now: Instant,
    ) {
        self.sample(statistics, link, gate, now);
        (statistics.link, statistics.connected_since, statistics.advice) = (None, None, None);
    }
}

#[cfg(test)]
mod tests;
