//! The ICE agent inside webrtcbin: where it gathers, whom it asks, how much its sockets hold.
//!
//! Must not know candidates, which go through webrtcbin. The hard thing is that webrtcbin makes the agent and its
//! sockets by itself: what is set here must be set before the negotiation, or as soon as there is a socket.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use super::peer::{Events, PeerSetup};
use crate::ingest::IngestError;
use crate::nice::Agent;

/// Receive buffer of each UDP socket, in bytes. Packets wait there while this process does not run or libnice's
/// one thread is busy. Linux doubles it and charges 2304 bytes for a packet of 1200: the usual default holds 110 ms
/// of 8 Mb/s, this one 2 s. Only what waits takes memory. Measured in docs/webrtc.md.
const RECEIVE_BUFFER_BYTES: i32 = 2 << 20;

/// That the system gives less is said once.
static CAPPED: Once = Once::new();

/// Tells the agent where to gather and whom to ask, and gives it back.
pub(super) fn configure(webrtc: &gst::Element, setup: &PeerSetup) -> Result<Agent, IngestError> {
    if let Some(server) = &setup.stun_server {
        webrtc.set_property("stun-server", server);
    }
    if let Some(server) = &setup.turn_server
        && !webrtc.emit_by_name::<bool>("add-turn-server", &[server])
    {
        return Err(IngestError::Refused("webrtc.turn_server is refused by webrtcbin".into()));
    }
    let agent: glib::Object = webrtc.property("ice-agent");
    agent.set_property("min-rtp-port", u32::from(*setup.udp_ports.start()));
    agent.set_property("max-rtp-port", u32::from(*setup.udp_ports.end()));
    agent.set_property("ice-tcp", setup.ice_tcp);
    // Asks routers for port mappings by default, which nobody has asked for.
    let inner: glib::Object = agent.property("agent");
    inner.set_property("upnp", false);
    for address in &setup.local_addresses {
        // libnice would try each port of the range in vain, which takes seconds, and then gather nothing.
        if let Err(error) = std::net::UdpSocket::bind((*address, 0)) {
            return Err(IngestError::Refused(format!("webrtc.local_addresses: {address} cannot be bound: {error}")));
        }
        if !agent.emit_by_name::<bool>("add-local-ip-address", &[&address.to_string()]) {
            return Err(IngestError::Refused(format!("webrtc.local_addresses: {address} is refused by libnice")));
        }
    }
    Agent::of(inner).ok_or_else(|| IngestError::Refused("webrtcbin's ICE agent is none of libnice's".into()))
}

/// Widens the receive buffers as soon as there are sockets: the first candidate says so, before any packet comes.
pub(super) fn watch_sockets(webrtc: &gst::Element, agent: &Agent, events: &Events) {
    let (agent, span, done) = (agent.clone(), events.span().clone(), AtomicBool::new(false));
    webrtc.connect("on-ice-candidate", false, move |_| {
        if done.swap(true, Ordering::Relaxed) {
            return None;
        }
        let _entered = span.enter();
        match agent.widen_receive_buffers(RECEIVE_BUFFER_BYTES) {
            Ok(Some(bytes)) if bytes < RECEIVE_BUFFER_BYTES => CAPPED.call_once(|| {
                tracing::warn!(
                    wanted = RECEIVE_BUFFER_BYTES,
                    bytes,
                    "WebRTC's receive buffers are smaller than wanted, so a busy machine may lose packets: \
                     raise net.core.rmem_max"
                );
            }),
            Ok(bytes) => tracing::debug!(bytes, "receive buffers"),
            Err(error) => tracing::warn!(%error, "WebRTC's receive buffers stay as small as the system makes them"),
        }
        None
    });
}
