//! How a browser's packets come in: what RTP's own counters say (RFC 3550), a second at a time.
//!
//! Owns the sums of one publisher. Must not know sessions. The hard thing: a source of packets that ends is forgotten
//! by `rtpsession` with its counters, and a late packet takes back a loss; sums here never go back.

use std::time::{Instant, SystemTime};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use crate::model::ingest::IngestStatistics;
use crate::model::minute::{EachSecond, Minute, bits_per_second};

/// What has come of all sources of packets there are now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct RtpCounts {
    /// `octets-received`
    bytes: u64,
    /// `packets-received`
    packets: u64,
    /// `packets-lost`
    lost: u64,
    /// `jitter` ÷ `clock-rate`, ms; of the source that has most.
    jitter_ms: Option<f64>,
}

impl RtpCounts {
    /// Reads all `rtpsession`s of a webrtcbin. Takes their locks for a moment.
    pub(super) fn read(webrtc: &gst::Element) -> Self {
        let mut counts = Self::default();
        let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else { return counts };
        for element in bin.iterate_recurse().into_iter().flatten() {
            if element.factory().is_none_or(|factory| factory.name() != "rtpsession") {
                continue;
            }
            let stats: gst::Structure = element.property("stats");
            let Ok(sources) = stats.get::<glib::ValueArray>("source-stats") else { continue };
            for source in sources.iter() {
                if let Ok(source) = source.get::<gst::Structure>() {
                    counts.add(&source);
                }
            }
        }
        counts
    }

    fn add(&mut self, source: &gst::StructureRef) {
        let number = |name: &str| source.get::<u64>(name).unwrap_or(0);
        // This side sends nothing but reports; who has sent nothing is none.
        if source.get::<bool>("internal").unwrap_or(true) || number("packets-received") == 0 {
            return;
        }
        self.bytes += number("octets-received");
        self.packets += number("packets-received");
        // Less than 0 when packets came twice.
        self.lost += source.get::<i32>("packets-lost").map_or(0, |lost| u64::try_from(lost).unwrap_or(0));
        let rate = source.get::<i32>("clock-rate").ok().filter(|rate| *rate > 0);
        if let (Some(rate), Ok(jitter)) = (rate, source.get::<u32>("jitter")) {
            let jitter_ms = f64::from(jitter) * 1_000.0 / f64::from(rate);
            self.jitter_ms = Some(self.jitter_ms.map_or(jitter_ms, |most_ms| most_ms.max(jitter_ms)));
        }
    }
}

/// The meter of one publisher.
#[derive(Debug, Default)]
pub(super) struct RtpMeter {
    /// What was read last.
    before: RtpCounts,
    total: RtpCounts,
    second: EachSecond<RtpCounts>,
    minute: Minute,
    receive_rate_bps: u64,
}

impl RtpMeter {
    /// Takes what has come so far.
    pub(super) fn sample(&mut self, counts: RtpCounts, now: Instant) -> IngestStatistics {
        let added = |now: u64, before: u64| now.saturating_sub(before);
        self.total.bytes += added(counts.bytes, self.before.bytes);
        self.total.packets += added(counts.packets, self.before.packets);
        self.total.lost += added(counts.lost, self.before.lost);
        self.before = counts;
        let total = self.total;
        if let Some((then, elapsed)) = self.second.over(now, total) {
            let (packets, lost) = (total.packets - then.packets, total.lost - then.lost);
            self.minute.push(None, packets + lost, lost);
            self.receive_rate_bps = bits_per_second(total.bytes - then.bytes, elapsed);
        }
        IngestStatistics {
            received_bytes: total.bytes,
            received_packets: total.packets,
            lost_packets: total.lost,
            loss_ratio: self.minute.loss_ratio(),
            receive_rate_bps: self.receive_rate_bps,
            jitter_ms: counts.jitter_ms,
            sampled_at: Some(SystemTime::now()),
            ..IngestStatistics::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn source(packets: u64, lost: i32, jitter: u32, clock_rate: i32) -> gst::Structure {
        gst::Structure::builder("application/x-rtp-source-stats")
            .field("internal", false)
            .field("clock-rate", clock_rate)
            .field("octets-received", packets * 1_000)
            .field("packets-received", packets)
            .field("packets-lost", lost)
            .field("jitter", jitter)
            .build()
    }

    #[test]
    fn sums_go_on_when_a_source_ends_or_a_late_packet_comes() {
        gst::init().expect("GStreamer");
        let counts = |sources: &[gst::Structure]| {
            let mut counts = RtpCounts::default();
            sources.iter().for_each(|source| counts.add(source));
            counts
        };
        let (start, mut meter) = (Instant::now(), RtpMeter::default());
        let (video, sound) = (source(90, 10, 900, 90_000), source(50, -2, 960, 48_000));
        meter.sample(counts(&[]), start);
        let seen = meter.sample(counts(&[video, sound.clone()]), start + Duration::from_secs(1));
        assert_eq!((seen.received_packets, seen.lost_packets, seen.jitter_ms), (140, 10, Some(20.0)));
        assert_eq!((seen.receive_rate_bps, seen.loss_ratio), (140 * 8_000, 10.0 / 150.0));
        let seen = meter.sample(counts(&[source(91, 9, 900, 90_000), sound]), start + Duration::from_secs(2));
        assert_eq!((seen.received_packets, seen.lost_packets), (141, 10));
        let seen = meter.sample(counts(&[]), start + Duration::from_secs(3));
        assert_eq!((seen.received_packets, seen.lost_packets, seen.jitter_ms), (141, 10, None));
        let seen = meter.sample(counts(&[source(5, 1, 0, -1)]), start + Duration::from_secs(4));
        assert_eq!((seen.received_packets, seen.lost_packets, seen.jitter_ms), (146, 11, None));
    }
}
