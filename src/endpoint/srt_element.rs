//! `srtsink` and `srtsrc`: from an `srt://` URL to the properties that both elements share.
//!
//! Shared by endpoints and pulled sources. The hard thing is what goes where: secrets and free text by property, plain
//! options by the URI, which logs and dot files show.

use std::net::SocketAddr;

use gstreamer as gst;
use gstreamer::prelude::*;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::srt_url::{SrtMode, SrtUrl};

/// `srtsink`'s and libsrt's default latency is 125 and 120 ms; ours, when the URL says nothing, in ms.
pub(crate) const DEFAULT_LATENCY_MS: u32 = 150;

/// Where a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The remote address; in listener mode the local one.
    pub(crate) address: SocketAddr,
    /// The local UDP port shared with other endpoints, when this one may share.
    pub(crate) shared_local: Option<SocketAddr>,
}

/// Sets everything of the URL. The `uri` comes first: setting it resets the other properties.
pub(crate) fn configure(element: &gst::Element, url: &SrtUrl, destination: Destination) {
    element.set_property("uri", uri(url, destination));
    element.set_property("auto-reconnect", false);
    element.set_property("wait-for-connection", true);
    // Secrets and user text by property: no escaping, and in no URI that a log or a dot file shows.
    if let Some(stream_id) = &url.streamid {
        element.set_property("streamid", stream_id);
    }
    if let Some(passphrase) = &url.passphrase {
        element.set_property("passphrase", passphrase.expose());
    }
    if let Some(len) = url.pbkeylen {
        element.set_property_from_str("pbkeylen", &len.to_string());
    }
    let one_sided_ms = url.rcvlatency_ms.max(url.peerlatency_ms);
    let latency_ms = url.latency_ms.or(one_sided_ms).unwrap_or(DEFAULT_LATENCY_MS);
    element.set_property("latency", i32::try_from(latency_ms).unwrap_or(i32::MAX));
    let local = match (url.localaddress, url.localport) {
        (None, None) => destination.shared_local.map(|local| (local.ip(), local.port())),
        (address, port) => Some((address.unwrap_or_else(|| unspecified(destination)), port.unwrap_or(0))),
    };
    match (url.mode, local) {
        (SrtMode::Listener, _) => {
            element.set_property("localaddress", destination.address.ip().to_string());
            element.set_property("localport", u32::from(destination.address.port()));
        }
        // A rendezvous needs a port that the other side knows: by default the same as theirs.
        (SrtMode::Rendezvous, None) => {
            element.set_property("localaddress", unspecified(destination).to_string());
            element.set_property("localport", u32::from(destination.address.port()));
        }
        // srtsink binds only when both are set.
        (_, Some((address, port))) => {
            element.set_property("localaddress", address.to_string());
            element.set_property("localport", u32::from(port));
        }
        (SrtMode::Caller, None) => {}
    }
}

fn unspecified(destination: Destination) -> std::net::IpAddr {
    if destination.address.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    }
}

/// Address, mode and plain socket options; nothing secret, nothing that needs escaping.
fn uri(url: &SrtUrl, destination: Destination) -> String {
    let mut uri = match url.mode {
        SrtMode::Caller => format!("srt://{}?mode=caller", destination.address),
        SrtMode::Rendezvous => format!("srt://{}?mode=rendezvous", destination.address),
        SrtMode::Listener => format!("srt://:{}?mode=listener", destination.address.port()),
    };
    let mut option = |key: &str, value: &str| {
        uri.push('&');
        uri.push_str(key);
        uri.push('=');
        // A device name may hold nearly anything; srtsink decodes %XX.
        uri.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    };
    if let Some(ms) = url.connect_timeout_ms {
        option("conntimeo", &ms.to_string());
    }
    if let Some(ms) = url.rcvlatency_ms {
        option("rcvlatency", &ms.to_string());
    }
    if let Some(ms) = url.peerlatency_ms {
        option("peerlatency", &ms.to_string());
    }
    if let Some(bytes) = url.payload_size {
        option("payloadsize", &bytes.to_string());
    }
    for (key, value) in &url.socket_options {
        option(key, value);
    }
    uri
}
