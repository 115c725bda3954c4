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
    let poll_timeout: i32 = element.property("poll-timeout");
    element.set_property("uri", uri(url, destination));
    element.set_property("poll-timeout", poll_timeout);
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
    // srtsink binds only when both are set.
    if let Some(local) = local_address(url, destination) {
        element.set_property("localaddress", local.ip().to_string());
        element.set_property("localport", u32::from(local.port()));
    }
}

/// The local address to bind; `None`: any.
pub(crate) fn local_address(url: &SrtUrl, destination: Destination) -> Option<SocketAddr> {
    let any = unspecified(destination);
    match (url.mode, url.localaddress, url.localport) {
        (SrtMode::Listener, ..) => Some(destination.address),
        (SrtMode::Caller, None, None) => destination.shared_local,
        // A rendezvous needs a port that the other side knows: by default the same as theirs.
        (SrtMode::Rendezvous, None, None) => Some(SocketAddr::new(any, destination.address.port())),
        (_, address, port) => Some(SocketAddr::new(address.unwrap_or(any), port.unwrap_or(0))),
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
    for (key, value) in plain_options(url) {
        uri.push('&');
        uri.push_str(key);
        uri.push('=');
        // A device name may hold nearly anything; srtsink decodes %XX.
        uri.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
    }
    uri
}

/// The options that are no properties, in `srtsink`'s spelling.
pub(super) fn plain_options(url: &SrtUrl) -> Vec<(&'static str, String)> {
    let numbers = [
        ("conntimeo", url.connect_timeout_ms),
        ("rcvlatency", url.rcvlatency_ms),
        ("peerlatency", url.peerlatency_ms),
        ("payloadsize", url.payload_size),
    ];
    let numbers = numbers.into_iter().filter_map(|(key, value)| Some((key, value?.to_string())));
    numbers.chain(url.socket_options.iter().cloned()).collect()
}
