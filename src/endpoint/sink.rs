//! `srtsink`: from an endpoint's URL to its properties, and what its statistics say.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::srt_element::{self, Destination};
use super::statistics::LinkSample;
use crate::model::endpoint::{Encryption, LinkCounters};
use crate::model::srt_url::SrtUrl;
use crate::srt::peek::{CallState, Peek};
use crate::srt::{packets_of, payload};

/// Bytes of a TS packet.
pub(super) const TS_PACKET_LEN: u32 = 188;

/// Sets everything of the URL.
pub(super) fn configure(sink: &gst::Element, mux: &gst::Element, url: &SrtUrl, destination: Destination) {
    srt_element::configure(sink, url, destination);
    align(mux, url);
}

/// Makes a muxer write datagrams of the URL's size.
pub(super) fn align(mux: &gst::Element, url: &SrtUrl) {
    if let Some(bytes) = url.payload_size {
        mux.set_property("alignment", i32::try_from((bytes / TS_PACKET_LEN).max(1)).unwrap_or(7));
    }
}

/// What `srtsink` says of its connection.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct LinkStats {
    /// The peer is connected.
    pub(super) connected: bool,
    /// Acknowledgements of new data since the connection (`pktRecvACK`).
    pub(super) acks: u64,
    /// Payload bytes that libsrt dropped as too late (`byteSndDrop` without headers).
    pub(super) dropped_bytes: u64,
    /// Payload bytes handed to libsrt since the branch began.
    pub(super) sent_bytes: u64,
    /// The latency both sides agreed on, in milliseconds; that of the other direction, which mostly is the same, where
    /// `srtsink`'s socket was not found.
    pub(super) latency_ms: Option<u32>,
    /// The call is over without a connection: libsrt's reject code, 0 when it had stood. `None` also where `srtsink`'s
    /// socket was not found.
    pub(super) over: Option<i32>,
    /// What libsrt counts and measures of it.
    pub(super) sample: Option<LinkSample>,
}

impl LinkStats {
    /// `encryption` is what is known of it otherwise: `srtsink` does not tell.
    pub(super) fn read(sink: &gst::Element, encryption: Encryption) -> Self {
        let stats: gst::Structure = sink.property("stats");
        let sent_bytes = stats.get::<u64>("bytes-sent-total").unwrap_or(0);
        let mut link = Self { sent_bytes, ..Self::default() };
        link.add_peer(&stats, encryption);
        link
    }

    /// Adds what `srtsink` does not tell. Of the latencies it tells that of what is received (it writes both into one
    /// field).
    pub(super) fn complete(&mut self, peek: &Peek) {
        if let (false, CallState::Over(code)) = (self.connected, peek.state()) {
            self.over = Some(code);
        }
        let Some((measured, encryption)) = peek.measure() else { return };
        let Some(sample) = &mut self.sample else { return };
        // libsrt's own: what srtsink tells holds the packets of a packet filter (FEC) as if they were media.
        sample.counters = measured.sender_counters();
        sample.send_buffer_ms = Some(measured.send_buffer_ms);
        sample.latency_ms = Some(measured.send_latency_ms);
        sample.encryption = encryption;
        self.latency_ms = Some(measured.send_latency_ms);
    }

    /// The statistics of the peer; there are none without a connection.
    fn add_peer(&mut self, stats: &gst::StructureRef, encryption: Encryption) {
        let Ok(latency_ms) = stats.get::<i32>("negotiated-latency-ms") else { return };
        self.connected = true;
        let count = |name: &str| stats.get::<i32>(name).map_or(0, |n| u64::try_from(n).unwrap_or(0));
        self.acks = count("packet-ack-received");
        // libsrt 1.5 counts one packet, and one packet's headers, for each occasion of dropping.
        let dropped_bytes = stats.get::<u64>("bytes-sent-dropped").unwrap_or(0);
        self.dropped_bytes = payload(dropped_bytes, count("packets-sent-dropped"));
        self.latency_ms = u32::try_from(latency_ms).ok();
        self.sample = Some(sample(stats, encryption));
    }
}

/// What `srtsink` counts is libsrt's since the connection (it never clears it): `packets-sent` is `pktSent`, and so on.
/// What these mean, and why headers are taken off, stands in `crate::srt`.
fn sample(stats: &gst::StructureRef, encryption: Encryption) -> LinkSample {
    let count = |name: &str| stats.get::<i32>(name).map_or(0, |n| u64::try_from(n).unwrap_or(0));
    let bytes = |name: &str| stats.get::<u64>(name).unwrap_or(0);
    let bits_of_mega = |name: &str| (stats.get::<f64>(name).unwrap_or(0.0) * 1e6) as u64;
    let sent_packets = stats.get::<i64>("packets-sent").map_or(0, |n| u64::try_from(n).unwrap_or(0));
    let again_packets = count("packets-retransmitted");
    // Both count what is sent again as well; libsrt's own `pktSentUnique` is the difference.
    let sent_packets = sent_packets.saturating_sub(again_packets);
    let sent_bytes = payload(bytes("bytes-sent").saturating_sub(bytes("bytes-retransmitted")), sent_packets);
    let dropped_bytes = payload(bytes("bytes-sent-dropped"), count("packets-sent-dropped"));
    LinkSample {
        counters: LinkCounters {
            sent_bytes,
            sent_packets,
            retransmitted_bytes: payload(bytes("bytes-retransmitted"), again_packets),
            retransmitted_packets: again_packets,
            lost_packets: count("packets-sent-lost"),
            dropped_bytes,
            dropped_packets: packets_of(dropped_bytes, sent_bytes, sent_packets).max(count("packets-sent-dropped")),
        },
        rtt_ms: stats.get::<f64>("rtt-ms").unwrap_or(0.0),
        bandwidth_bps: bits_of_mega("bandwidth-mbps"),
        send_buffer_ms: None,
        // What srtsink tells is the latency of the other direction.
        latency_ms: None,
        encryption,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::srt_element::DEFAULT_LATENCY_MS;

    fn configured(url: &str) -> gst::Element {
        gst::init().expect("GStreamer");
        let bin = crate::media::launch::ENDPOINT.bin().expect("plugins");
        let (mux, sink) = (bin.by_name("mux").expect("mux"), bin.by_name("sink").expect("sink"));
        let url: SrtUrl = url.parse().expect("URL");
        let shared_local = (!url.needs_private_port()).then(|| "0.0.0.0:5000".parse().expect("address"));
        let address = "127.0.0.1:9000".parse().expect("address");
        configure(&sink, &mux, &url, Destination { address, shared_local });
        assert!(!sink.property::<bool>("auto-reconnect"));
        let packets = url.payload_size.unwrap_or(1316) / TS_PACKET_LEN;
        assert_eq!(mux.property::<i32>("alignment"), packets as i32);
        sink
    }

    fn text(sink: &gst::Element, name: &str) -> Option<String> {
        sink.property::<Option<String>>(name)
    }

    #[test]
    fn everything_of_the_url_reaches_srtsink_and_no_secret_its_uri() {
        let sink = configured(
            "srt://h:9000?streamid=%23!::r=live/x,m=publish&passphrase=top-secret-1&pbkeylen=32&latency=777\
             &maxbw=1000000&packetfilter=fec,cols:10,rows:5&pkt_size=1128",
        );
        assert_eq!(text(&sink, "streamid").as_deref(), Some("#!::r=live/x,m=publish"));
        assert_eq!(sink.property::<i32>("latency"), 777);
        assert_eq!(text(&sink, "localaddress").as_deref(), Some("0.0.0.0"));
        assert_eq!(sink.property::<u32>("localport"), 5000);
        let uri = text(&sink, "uri").expect("uri");
        assert!(!uri.contains("secret") && uri.contains("maxbw"), "{uri}");
    }

    #[test]
    fn one_sided_latency_and_modes() {
        assert_eq!(configured("srt://h?peerlatency=900").property::<i32>("latency"), 900);
        assert_eq!(configured("srt://h").property::<i32>("latency"), DEFAULT_LATENCY_MS as i32);
        let listener = configured("srt://:9000?mode=listener");
        assert_eq!(listener.property::<u32>("localport"), 9000);
        let own_port = configured("srt://h:9000?localport=7777");
        assert_eq!(own_port.property::<u32>("localport"), 7777);
        assert_eq!(text(&own_port, "localaddress").as_deref(), Some("0.0.0.0"));
    }

    /// What a look at one connection costs: `cargo test --release --lib -- --ignored --nocapture a_look_at_a_connection`.
    #[test]
    #[ignore = "a measurement, not a promise"]
    fn a_look_at_a_connection_costs_so_much() {
        use crate::endpoint::statistics::BranchMeter;
        use crate::model::endpoint::{EndpointStatistics, GateTotals};
        use std::time::{Duration, Instant};

        const LOOKS: u32 = 20_000;
        gst::init().expect("GStreamer");
        let any = "127.0.0.1:0".parse().expect("address");
        let listener = crate::srt::Listener::bind(any, 20, |_| Ok(())).expect("a free port");
        let uri = format!("srt://{}", listener.local_address().expect("bound"));
        let text =
            format!("fakesrc is-live=true sizetype=fixed sizemax=1316 datarate=500000 ! srtsink name=sink uri={uri}");
        let pipeline = gst::parse::launch(&text).expect("plugins").downcast::<gst::Pipeline>().expect("a pipeline");
        pipeline.set_state(gst::State::Playing).expect("plays");
        let _peer = listener.accept(Duration::from_secs(5)).expect("listening").expect("it has come");
        let sink = pipeline.by_name("sink").expect("named");
        while !LinkStats::read(&sink, Encryption::None).connected {
            std::thread::yield_now();
        }
        let (mut meter, mut all) = (BranchMeter::default(), EndpointStatistics::default());
        let start = Instant::now();
        for n in 0..LOOKS {
            let stats = LinkStats::read(&sink, Encryption::None);
            // As if a second lay between them: the whole of the minute is worked out each time.
            let now = start + Duration::from_secs(n.into());
            meter.sample(&mut all, stats.sample.as_ref(), GateTotals::default(), now);
        }
        println!("{:?} a look", start.elapsed() / LOOKS);
        pipeline.set_state(gst::State::Null).expect("stops");
    }
}
