//! `srtsink`: from an endpoint's URL to its properties, and what its statistics say.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use super::srt_element::{self, Destination};
use crate::model::srt_url::SrtUrl;

/// Bytes of a TS packet.
const TS_PACKET_LEN: u32 = 188;

/// Sets everything of the URL.
pub(super) fn configure(sink: &gst::Element, mux: &gst::Element, url: &SrtUrl, destination: Destination) {
    srt_element::configure(sink, url, destination);
    if let Some(bytes) = url.payload_size {
        mux.set_property("alignment", i32::try_from((bytes / TS_PACKET_LEN).max(1)).unwrap_or(7));
    }
}

/// What `srtsink` says of its connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LinkStats {
    /// A peer is connected (listener mode: at least one caller).
    pub(super) connected: bool,
    /// The peer has acknowledged data.
    pub(super) acknowledged: bool,
    /// Payload bytes handed to libsrt since the branch began.
    pub(super) sent_bytes: u64,
    /// The latency both sides agreed on, in milliseconds.
    pub(super) latency_ms: Option<u32>,
}

impl LinkStats {
    pub(super) fn read(sink: &gst::Element) -> Self {
        let stats: gst::Structure = sink.property("stats");
        let sent_bytes = stats.get::<u64>("bytes-sent-total").unwrap_or(0);
        let mut link = Self { sent_bytes, ..Self::default() };
        link.add_peer(&stats);
        if let Ok(callers) = stats.get::<glib::ValueArray>("callers") {
            for caller in callers.iter() {
                if let Ok(caller) = caller.get::<gst::Structure>() {
                    link.add_peer(&caller);
                }
            }
        }
        link
    }

    /// The statistics of one peer; there are none without a connection.
    fn add_peer(&mut self, stats: &gst::StructureRef) {
        let Ok(latency_ms) = stats.get::<i32>("negotiated-latency-ms") else { return };
        self.connected = true;
        self.acknowledged |= stats.get::<i32>("packet-ack-received").is_ok_and(|acks| acks > 0);
        self.latency_ms = u32::try_from(latency_ms).ok().max(self.latency_ms);
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
}
