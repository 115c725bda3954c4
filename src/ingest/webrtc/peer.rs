//! One peer connection: `pipelines/ingest-webrtc.launch`, its negotiation, and the gate that checks who is there.
//!
//! Nothing outside of this file and `media.rs` knows that it is webrtcbin: another stack would keep
//! [`Peer`]'s methods and [`PeerEvent`]. Must not know sessions, publications or settings files.
//!
//! The hard thing is what webrtcbin does inside by itself: elements appear, states change and pads come on
//! threads of its own, some of them before anybody is known to be there (see `gate.rs`).

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc as gst_webrtc;
use tokio::sync::mpsc;

use super::agent;
use super::depay;
use super::gate::Gate;
use super::media::Media;
use super::sdp::Fingerprint;
use super::statistics::RtpCounts;
use crate::ingest::IngestError;
use crate::ingest::rtp::SourceClock;
use crate::media::known::{self, Role};
use crate::media::launch::INGEST_WEBRTC;
use crate::media::off_thread::off_thread;
use crate::model::ids::StreamKey;
use crate::nice::{Agent, Credentials};

/// Events that may wait for the session's task. It takes them at once; candidates are the most of them.
const EVENTS_LEN: usize = 256;

/// Each step of the negotiation; all of them together take a few milliseconds, and on a machine without a free
/// processor more than a second. Browsers' own patience is 3 s (Ant Media's SDK) and more.
const STEP_MAX: Duration = Duration::from_millis(2_500);

/// RTP streams (SSRCs) of one peer, at most: each has a jitter buffer with a thread. Two tracks and their
/// retransmissions are four; a track that is replaced may bring another.
const SSRCS_MAX: u32 = 12;

/// How often congestion feedback is sent: as often as browsers' own receivers do at most rates. By default
/// it would follow the marker bits, once per picture, and an audio-only publisher would get none.
const FEEDBACK_INTERVAL: gst::ClockTime = gst::ClockTime::from_mseconds(50);

/// What a peer connection is started with.
#[derive(Debug, Clone)]
pub(super) struct PeerSetup {
    pub(super) key: StreamKey,
    /// The certificates the peer may have.
    pub(super) fingerprints: Vec<Fingerprint>,
    pub(super) jitter_ms: u32,
    pub(super) udp_ports: RangeInclusive<u16>,
    /// Addresses to gather on; none: all of this host but loopback.
    pub(super) local_addresses: Vec<IpAddr>,
    /// `stun://HOST:PORT`
    pub(super) stun_server: Option<String>,
    /// `turn://USER:PASSWORD@HOST:PORT`
    pub(super) turn_server: Option<String>,
    pub(super) ice_tcp: bool,
    /// The session's, for what is logged from other threads.
    pub(super) span: tracing::Span,
}

/// What happened to a peer connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PeerEvent {
    /// A candidate of this side, without `a=`.
    Candidate(String),
    /// All of them are known.
    Gathered,
    /// ICE and DTLS are through.
    Connected,
    /// ICE has a pair of candidates that works.
    IceFound,
    /// ICE has tried all candidates that are known, in vain.
    IceFailed,
    /// The transport is gone; why.
    Lost(&'static str),
    /// The peer is not who the offer says. Ends the session.
    Refused(String),
    /// A key frame is missing.
    KeyFrameWished,
    /// An element failed.
    Failed(String),
}

/// Where events go, from whatever thread.
#[derive(Debug, Clone)]
pub(super) struct Events {
    sender: mpsc::Sender<PeerEvent>,
    span: tracing::Span,
}

impl Events {
    /// A full channel loses one: the session's task is then stuck anyway, and is bounded.
    pub(super) fn send(&self, event: PeerEvent) {
        if let Err(error) = self.sender.try_send(event) {
            self.span.in_scope(|| tracing::debug!(%error, "an event of a peer connection is lost"));
        }
    }

    /// Where the lines belong that are logged from GStreamer's threads.
    pub(super) fn span(&self) -> &tracing::Span {
        &self.span
    }
}

/// Why a negotiation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NegotiationError {
    #[error("{step}: {reason}")]
    Refused { step: &'static str, reason: String },
    #[error("{step} took more than {} ms", STEP_MAX.as_millis())]
    TimedOut { step: &'static str },
}

/// The pair of candidates that is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    /// `host`, `srflx`, `prflx` or `relay`.
    pub(super) local_kind: String,
    pub(super) local: SocketAddr,
    pub(super) remote_kind: String,
    pub(super) remote: SocketAddr,
    pub(super) protocol: String,
}

/// A running peer connection. To be given to [`Peer::stop`]; dropping it would block the same way.
#[derive(Debug)]
pub(super) struct Peer {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
    /// What webrtcbin finds its ways with.
    agent: Agent,
    media: Arc<Media>,
}

impl Peer {
    /// Builds and starts it. Blocks for some milliseconds; to be called off the runtime.
    pub(super) fn start(
        setup: PeerSetup,
        media: impl FnOnce(Events) -> Media,
    ) -> Result<(Self, mpsc::Receiver<PeerEvent>), IngestError> {
        let (sender, receiver) = mpsc::channel(EVENTS_LEN);
        let events = Events { sender, span: setup.span.clone() };
        let media = Arc::new(media(events.clone()));
        let pipeline = INGEST_WEBRTC.pipeline()?;
        pipeline.set_property("name", format!("ingest-{}-{}", setup.key.app, setup.key.id));
        known::add(&pipeline, &setup.key, Role::Ingest);
        let webrtc: gst::Element = INGEST_WEBRTC.element(&pipeline, "peer")?;
        webrtc.set_property("latency", setup.jitter_ms);
        let agent = agent::configure(&webrtc, &setup)?;
        let gate = Arc::new(Gate::new(setup.fingerprints, events.clone()));
        watch_bus(&pipeline, &setup.key, &events);
        watch_states(&webrtc, &events);
        agent::watch_sockets(&webrtc, &agent, &events);
        watch_inside(&webrtc, &gate, media.clock());
        webrtc.connect("on-new-transceiver", false, |values| {
            if let Some(transceiver) = values.get(1).and_then(|v| v.get::<gst_webrtc::WebRTCRTPTransceiver>().ok()) {
                transceiver.set_property("direction", gst_webrtc::WebRTCRTPTransceiverDirection::Recvonly);
                // Without it webrtcbin takes `nack` out of its answer. For both kinds: it gives each jitter buffer
                // the value of the last m-line, whichever that is.
                transceiver.set_property("do-nack", true);
            }
            None
        });
        let (weak, pads) = (pipeline.downgrade(), Arc::clone(&media));
        webrtc.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let _entered = gate.events().span().enter();
            if !gate.is_open() {
                return gate.refuse("media came before the certificate was found to be the offer's".to_owned());
            }
            if let Err(error) = pads.attach(&pipeline, pad) {
                tracing::error!(pad = %pad.name(), %error, "a WebRTC track cannot be taken");
            }
        });
        let peer = Self { pipeline, webrtc, agent, media };
        if let Err(error) = peer.pipeline.set_state(gst::State::Playing) {
            peer.stop();
            return Err(error.into());
        }
        Ok((peer, receiver))
    }

    /// Sets the offer, makes the answer, lets `repair` change it, sets it and gives it back.
    pub(super) async fn negotiate(
        &self,
        offer: &str,
        repair: impl FnOnce(&str) -> Result<String, super::OfferError>,
    ) -> Result<String, super::OfferError> {
        use gst_webrtc::WebRTCSDPType::{Answer, Offer};
        let internal = |error: NegotiationError| super::OfferError::Internal(error.to_string());
        self.set("set-remote-description", Offer, offer).await.map_err(internal)?;
        let reply = self.ask("create-answer", |promise| {
            self.webrtc.emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, promise]);
        });
        let reply = reply.await.map_err(internal)?;
        let answer = reply
            .and_then(|reply| reply.get::<gst_webrtc::WebRTCSessionDescription>("answer").ok())
            .and_then(|answer| answer.sdp().as_text().ok())
            .ok_or_else(|| super::OfferError::Internal("webrtcbin gave no answer".into()))?;
        let repaired = repair(&answer)?;
        self.set("set-local-description", Answer, &repaired).await.map_err(internal)?;
        Ok(repaired)
    }

    async fn set(
        &self,
        step: &'static str,
        kind: gst_webrtc::WebRTCSDPType,
        text: &str,
    ) -> Result<(), NegotiationError> {
        let sdp = gst_sdp::SDPMessage::parse_buffer(text.as_bytes())
            .map_err(|error| NegotiationError::Refused { step, reason: error.to_string() })?;
        let description = gst_webrtc::WebRTCSessionDescription::new(kind, sdp);
        self.ask(step, |promise| self.webrtc.emit_by_name::<()>(step, &[&description, promise])).await.map(drop)
    }

    /// Asks by a promise and waits for its reply, at most [`STEP_MAX`]: an element that is being stopped
    /// may never reply.
    async fn ask(
        &self,
        step: &'static str,
        call: impl FnOnce(&gst::Promise),
    ) -> Result<Option<gst::Structure>, NegotiationError> {
        let (promise, reply) = gst::Promise::new_future();
        call(&promise);
        let refused = |reason: String| NegotiationError::Refused { step, reason };
        match tokio::time::timeout(STEP_MAX, reply).await {
            Err(_) => Err(NegotiationError::TimedOut { step }),
            Ok(Err(error)) => Err(refused(format!("{error:?}"))),
            Ok(Ok(reply)) => {
                let reply = reply.map(|reply| reply.to_owned());
                match reply.as_ref().and_then(|reply| reply.get::<glib::Error>("error").ok()) {
                    Some(error) => Err(refused(error.message().to_owned())),
                    None => Ok(reply),
                }
            }
        }
    }

    /// What has come by RTP.
    pub(super) fn received(&self) -> RtpCounts {
        RtpCounts::read(&self.webrtc)
    }

    /// Passes a candidate of the peer on; it is checked already.
    pub(super) fn add_candidate(&self, candidate: &str) {
        // The one transport is the first section's.
        self.webrtc.emit_by_name::<()>("add-ice-candidate", &[&0_u32, &candidate]);
    }

    /// Begins ICE anew with the peer's new credentials; this side's are given back. DTLS and all above it stay.
    pub(super) async fn restart_ice(&self, remote: Credentials) -> Option<Credentials> {
        let agent = self.agent.clone();
        off_thread("restarting ICE", STEP_MAX, move || agent.restart(&remote)).await.ok().flatten()
    }

    /// Asks the peer for a key frame (PLI). False when there is no video yet.
    pub(super) fn ask_key_frame(&self) -> bool {
        self.media.ask_key_frame()
    }

    /// The tracks, arrivals and losses.
    pub(super) fn media(&self) -> &Media {
        &self.media
    }

    /// The pair of candidates in use, once there is one.
    pub(super) async fn pair(&self) -> Option<Pair> {
        let stats = self
            .ask("get-stats", |promise| self.webrtc.emit_by_name::<()>("get-stats", &[&None::<gst::Pad>, promise]))
            .await
            .ok()??;
        let inner = |name: &str| stats.get::<gst::Structure>(name).ok();
        let names: Vec<String> = stats.fields().map(|name| name.to_string()).collect();
        let pair = names.iter().filter(|name| name.starts_with("ice-candidate-pair")).find_map(|name| inner(name))?;
        let side = |field: &str| {
            let candidate = inner(&pair.get::<String>(field).ok()?)?;
            let address: IpAddr = candidate.get::<String>("address").ok()?.parse().ok()?;
            let port = u16::try_from(candidate.get::<u32>("port").ok()?).ok()?;
            let kind = candidate.get::<String>("candidate-type").ok()?;
            Some((kind, SocketAddr::new(address, port), candidate.get::<String>("protocol").unwrap_or_default()))
        };
        let (local_kind, local, protocol) = side("local-candidate-id")?;
        let (remote_kind, remote, _) = side("remote-candidate-id")?;
        Some(Pair { local_kind, local, remote_kind, remote, protocol: protocol.to_ascii_lowercase() })
    }

    /// Stops it. May block for ever: to be called off the runtime, with a deadline.
    pub(super) fn stop(self) {
        let _ = self.pipeline.set_state(gst::State::Null);
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
    }
}

/// Errors become events; nothing is kept on the bus, which nobody reads.
fn watch_bus(pipeline: &gst::Pipeline, key: &StreamKey, events: &Events) {
    let (Some(bus), key, events) = (pipeline.bus(), key.clone(), events.clone()) else { return };
    bus.set_sync_handler(move |_, message| {
        known::wear_ids(&key, message);
        if let gst::MessageView::Error(error) = message.view() {
            events.send(if depay::is_broken_picture(message) {
                PeerEvent::KeyFrameWished
            } else {
                PeerEvent::Failed(error.error().to_string())
            });
        }
        gst::BusSyncReply::Drop
    });
}

fn watch_states(webrtc: &gst::Element, events: &Events) {
    use gst_webrtc::{WebRTCICEConnectionState as Ice, WebRTCICEGatheringState, WebRTCPeerConnectionState as State};
    let candidates = events.clone();
    webrtc.connect("on-ice-candidate", false, move |values| {
        if let Some(candidate) = values.get(2).and_then(|value| value.get::<String>().ok()) {
            candidates.send(PeerEvent::Candidate(candidate));
        }
        None
    });
    let gathering = events.clone();
    webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
        if webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state") == WebRTCICEGatheringState::Complete {
            gathering.send(PeerEvent::Gathered);
        }
    });
    let ice = events.clone();
    webrtc.connect_notify(Some("ice-connection-state"), move |webrtc, _| {
        let state = webrtc.property::<Ice>("ice-connection-state");
        ice.span().in_scope(|| tracing::debug!(?state, "ICE"));
        match state {
            Ice::Connected | Ice::Completed => ice.send(PeerEvent::IceFound),
            Ice::Failed => ice.send(PeerEvent::IceFailed),
            Ice::Closed => ice.send(PeerEvent::Lost("ICE is closed")),
            _ => {}
        }
    });
    let connection = events.clone();
    webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
        let state = webrtc.property::<State>("connection-state");
        // Its failure is ICE's or DTLS's, which are watched by themselves.
        match state {
            State::Connected => connection.send(PeerEvent::Connected),
            State::Closed => connection.send(PeerEvent::Lost("the peer connection is closed")),
            _ => {}
        }
    });
}

/// Watches for the elements that webrtcbin makes by itself, and sets what it does not let set from outside.
fn watch_inside(webrtc: &gst::Element, gate: &Arc<Gate>, clock: &SourceClock) {
    let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else { return };
    let (gate, clock) = (Arc::clone(gate), clock.clone());
    bin.connect_deep_element_added(move |_, _, element| {
        let Some(factory) = element.factory() else { return };
        match factory.name().as_str() {
            "rtpbin" => {
                element.set_property("max-streams", SSRCS_MAX);
                // Lip sync is ours: rtpbin's compares a report with what its jitter buffers make of arrival, which
                // moves when this machine stands still, and keeps the error until the next report of each track.
                element.set_property("min-ts-offset", u64::MAX);
            }
            "rtpsession" => {
                let session: glib::Object = element.property("internal-session");
                session.set_property("twcc-feedback-interval", FEEDBACK_INTERVAL);
                let clock = clock.clone();
                session.connect("on-receiving-rtcp", false, move |values| {
                    if let Some(rtcp) = values.get(1).and_then(|value| value.get::<gst::Buffer>().ok()) {
                        clock.reports(&rtcp);
                    }
                    None
                });
            }
            "dtlsdec" => {
                gate.transport();
                let certificate = Arc::clone(&gate);
                element.connect_notify(Some("peer-pem"), move |dtls, _| {
                    certificate.certificate(&dtls.property::<Option<String>>("peer-pem").unwrap_or_default());
                });
                let closing = gate.events().clone();
                element.connect_notify(Some("connection-state"), move |dtls, _| {
                    let state = dtls.property_value("connection-state");
                    let nick = glib::EnumValue::from_value(&state).map_or("", |(_, value)| value.nick());
                    closing.span().in_scope(|| tracing::debug!(state = nick, "DTLS"));
                    match nick {
                        "closed" => closing.send(PeerEvent::Lost("the peer closed DTLS")),
                        "failed" => closing.send(PeerEvent::Lost("the DTLS handshake failed")),
                        _ => {}
                    }
                });
            }
            _ => {}
        }
    });
}
