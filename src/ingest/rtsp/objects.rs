//! gst-rtsp-server's small objects as this service needs them: server, mount points, factory, media.
//!
//! They only hand on; what is decided is decided in `client.rs`. The hard thing is an order of gst-rtsp-server: it
//! builds the media before it has read the description, and wants a `depayN` for each m-line in it. So the factory
//! gives an empty bin, and the client fills it when it gets the description.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer_net as gst_net;
use gstreamer_rtsp as gst_rtsp;
use gstreamer_rtsp_server as gst_rtsp_server;
use gstreamer_rtsp_server::gio;
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::subclass::prelude::*;

use super::address::Address;
use super::client::Client;
use super::connection::Connection;
use crate::ingest::TAKE_OUT;
use crate::ingest::rtp::SourceClock;

/// What the kernel may hold of a track that came by UDP, in bytes: a key frame of 1 MB while this machine is busy.
const UDP_BUFFER_LEN: i32 = 2 * 1024 * 1024;

/// RTP sources (SSRC) of one track, at most: each costs a jitter buffer with a thread, and only the first is used.
const SOURCES_MAX: u32 = 4;

/// Bytes of a request's body, at most: a description of two tracks has one thousand.
pub(super) const BODY_LEN_MAX: u32 = 64 * 1024;

mod imp {
    use super::*;

    /// Makes a client's object for each connection that is handed to it.
    #[derive(Debug, Default)]
    pub(in crate::ingest::rtsp) struct Server {
        /// Whose connection comes next, and what gives its media.
        pub(super) next: Mutex<Option<(Arc<Connection>, super::super::Doors)>>,
        /// One connection at a time is handed over: `next` is whose it is.
        pub(super) turn: Mutex<()>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Server {
        const NAME: &'static str = "SrtRestreamRtspServer";
        type Type = super::Server;
        type ParentType = gst_rtsp_server::RTSPServer;
    }

    impl ObjectImpl for Server {}

    impl RTSPServerImpl for Server {
        fn create_client(&self) -> Option<gst_rtsp_server::RTSPClient> {
            let (connection, doors) = self.next.lock().unwrap_or_else(PoisonError::into_inner).take()?;
            let mounts = super::Mounts::default();
            let _ = mounts.imp().factory.set(doors.factory.clone());
            let client = Client::for_connection(connection, doors);
            // A pool of its own: nobody can speak of another connection's session.
            let sessions = gst_rtsp_server::RTSPSessionPool::new();
            sessions.set_max_sessions(1);
            client.set_session_pool(Some(&sessions));
            client.set_mount_points(Some(&mounts));
            client.set_thread_pool(self.obj().thread_pool().as_ref());
            client.set_content_length_limit(BODY_LEN_MAX);
            Some(client.upcast())
        }
    }

    /// The mount points of one connection: whatever it announces.
    #[derive(Debug, Default)]
    pub(in crate::ingest::rtsp) struct Mounts {
        pub(super) factory: OnceLock<super::Factory>,
        /// The one path that is mounted.
        mounted: Mutex<Option<String>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Mounts {
        const NAME: &'static str = "SrtRestreamRtspMounts";
        type Type = super::Mounts;
        type ParentType = gst_rtsp_server::RTSPMountPoints;
    }

    impl ObjectImpl for Mounts {}

    impl RTSPMountPointsImpl for Mounts {
        /// Asked at ANNOUNCE, right before the path is looked up.
        fn make_path(&self, url: &gst_rtsp::RTSPUrl) -> Option<glib::GString> {
            let path = Address::parse(&url.request_uri(), &[]).path();
            let mut mounted = self.mounted.lock().unwrap_or_else(PoisonError::into_inner);
            if mounted.as_ref() != Some(&path) {
                if let Some(old) = mounted.replace(path.clone()) {
                    self.obj().remove_factory(&old);
                }
                self.obj().add_factory(&path, self.factory.get()?.clone());
            }
            Some(path.into())
        }
    }

    /// Gives an empty bin.
    #[derive(Debug, Default)]
    pub(in crate::ingest::rtsp) struct Factory;

    #[glib::object_subclass]
    impl ObjectSubclass for Factory {
        const NAME: &'static str = "SrtRestreamRtspFactory";
        type Type = super::Factory;
        type ParentType = gst_rtsp_server::RTSPMediaFactory;
    }

    impl ObjectImpl for Factory {}

    impl RTSPMediaFactoryImpl for Factory {
        fn create_element(&self, _: &gst_rtsp::RTSPUrl) -> Option<gst::Element> {
            Some(gst::Bin::new().upcast())
        }

        fn gen_key(&self, _: &gst_rtsp::RTSPUrl) -> Option<glib::GString> {
            // Nothing is shared.
            None
        }
    }

    /// One publisher's pipeline.
    #[derive(Debug, Default)]
    pub(in crate::ingest::rtsp) struct Media {
        /// Set before the pipeline is made.
        pub(super) owner: OnceLock<(Arc<Connection>, SourceClock)>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Media {
        const NAME: &'static str = "SrtRestreamRtspMedia";
        type Type = super::Media;
        type ParentType = gst_rtsp_server::RTSPMedia;
    }

    impl ObjectImpl for Media {}

    impl RTSPMediaImpl for Media {
        fn setup_rtpbin(&self, rtpbin: &gst::Element) -> Result<(), gst::LoggableError> {
            if let Some((_, clock)) = self.owner.get() {
                clock.watch_reports(rtpbin);
            }
            rtpbin.set_property("max-streams", SOURCES_MAX);
            self.parent_setup_rtpbin(rtpbin)
        }

        fn handle_message(&self, message: &gst::MessageRef) -> bool {
            if let (gst::MessageView::Error(error), Some((connection, _))) = (message.view(), self.owner.get()) {
                connection.fail(error.error().to_string());
            }
            self.parent_handle_message(message)
        }
    }
}

/// Where media comes by UDP.
#[derive(Debug)]
pub(super) struct UdpPorts {
    /// `rtsp.udp_ports`
    pub(super) range: RangeInclusive<u16>,
    /// The listener's version of IP.
    pub(super) ipv6: bool,
}

glib::wrapper! {
    /// See [`imp::Server`].
    pub(in crate::ingest::rtsp) struct Server(ObjectSubclass<imp::Server>) @extends gst_rtsp_server::RTSPServer;
}

glib::wrapper! {
    /// See [`imp::Mounts`].
    pub(in crate::ingest::rtsp) struct Mounts(ObjectSubclass<imp::Mounts>) @extends gst_rtsp_server::RTSPMountPoints;
}

glib::wrapper! {
    /// See [`imp::Factory`].
    pub(in crate::ingest::rtsp) struct Factory(ObjectSubclass<imp::Factory>) @extends gst_rtsp_server::RTSPMediaFactory;
}

glib::wrapper! {
    /// See [`imp::Media`].
    pub(in crate::ingest::rtsp) struct Media(ObjectSubclass<imp::Media>) @extends gst_rtsp_server::RTSPMedia;
}

impl Default for Mounts {
    fn default() -> Self {
        glib::Object::new()
    }
}

impl Server {
    /// A server that listens to nothing: connections are handed to it. Each gets a thread of its own, so that one
    /// that hangs is alone with it.
    pub(super) fn new() -> Self {
        let server: Self = glib::Object::new();
        let threads = gst_rtsp_server::RTSPThreadPool::new();
        threads.set_max_threads(-1);
        server.set_thread_pool(Some(&threads));
        server
    }

    /// Hands a connection over. Blocks for as long as a thread takes to start.
    pub(super) fn take(
        &self,
        socket: gio::Socket,
        connection: Arc<Connection>,
        doors: super::Doors,
    ) -> Result<(), glib::BoolError> {
        let (ip, port) = (connection.peer.ip().to_string(), i32::from(connection.peer.port()));
        // Both listeners hand over at the same time; else one's connection would be taken for the other's.
        let _turn = self.imp().turn.lock().unwrap_or_else(PoisonError::into_inner);
        *self.imp().next.lock().unwrap_or_else(PoisonError::into_inner) = Some((connection, doors));
        self.transfer_connection(socket, &ip, port, None)
    }
}

impl Factory {
    /// For connections over TLS (`tls`) media comes by the connection itself only.
    pub(super) fn new(tls: bool, jitter_ms: u32, udp_ports: Option<&UdpPorts>) -> Self {
        use gst_rtsp::RTSPLowerTrans as Lower;
        let factory: Self = glib::Object::new();
        factory.set_media_gtype(Media::static_type());
        factory.set_transport_mode(gst_rtsp_server::RTSPTransportMode::RECORD);
        factory.set_protocols(if tls { Lower::TCP } else { Lower::TCP | Lower::UDP });
        factory.set_profiles(gst_rtsp::RTSPProfile::AVP | gst_rtsp::RTSPProfile::AVPF);
        factory.set_latency(jitter_ms);
        factory.set_shared(false);
        factory.set_eos_shutdown(false);
        factory.set_stop_on_disconnect(true);
        if let Some(UdpPorts { range, ipv6 }) = udp_ports {
            let pool = gst_rtsp_server::RTSPAddressPool::new();
            // Only what the listener speaks: gst-rtsp-server takes a pair of each version that it is offered, for each
            // track. A listener of IPv6 has publishers of both.
            let versions: &[_] = if *ipv6 { &["0.0.0.0", "::"] } else { &["0.0.0.0"] };
            for any in versions {
                if let Err(error) = pool.add_range(any, any, *range.start(), *range.end(), 0) {
                    tracing::warn!(%error, "rtsp.udp_ports cannot be used");
                }
            }
            factory.set_address_pool(Some(&pool));
        }
        factory
    }
}

impl Media {
    /// Whose media it is. Once, before it is prepared.
    pub(super) fn own(&self, connection: Arc<Connection>, clock: SourceClock) {
        let _ = self.imp().owner.set((connection, clock));
    }
}

/// Prepares what gst-rtsp-server puts into a media's pipeline. udpsrc: how much it holds, and that it hears `publisher`
/// alone. rtpulpfecdec: that it touches nothing, for at the first lost packet it ends the process when the caps
/// name no SSRC, and they never do here (1.22, `gst_rtp_ulpfec_dec_handle_sink_event`: an assertion).
pub(super) fn prepare_elements(pipeline: &gst::Bin, publisher: IpAddr) {
    let publisher = publisher.to_canonical();
    pipeline.connect_deep_element_added(move |_, _, element| {
        let Some(factory) = element.factory() else { return };
        match factory.name().as_str() {
            "udpsrc" => {}
            "rtpulpfecdec" => {
                element.set_property("passthrough", true);
                return;
            }
            _ => return,
        }
        element.set_property("buffer-size", UDP_BUFFER_LEN);
        element.set_property("retrieve-sender-address", true);
        let Some(out) = element.static_pad("src") else { return };
        out.add_probe(gst::PadProbeType::BUFFER, move |_, info| match info.buffer() {
            Some(packet) if sender(packet) != Some(publisher) => TAKE_OUT,
            _ => gst::PadProbeReturn::Ok,
        });
    });
}

/// Who sent a packet, as udpsrc noted it.
fn sender(packet: &gst::BufferRef) -> Option<IpAddr> {
    let from = packet.meta::<gst_net::NetAddressMeta>()?.addr();
    let from = from.downcast_ref::<gio::InetSocketAddress>()?.address();
    Some(IpAddr::from(from).to_canonical())
}
