//! The dialogue with one RTSP client, from ANNOUNCE to the end: gst-rtsp-server speaks, this decides.
//!
//! Runs in the connection's own thread. The hard thing is to refuse in the protocol's words: gst-rtsp-server answers
//! any fault of a description with 415, so the true status is put in when it asks which one to send.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer_rtsp as gst_rtsp;
use gstreamer_rtsp::RTSPStatusCode as Status;
use gstreamer_rtsp_server as gst_rtsp_server;
use gstreamer_rtsp_server::prelude::*;
use gstreamer_rtsp_server::subclass::prelude::*;
use gstreamer_sdp as gst_sdp;

use super::Doors;
use super::address::Address;
use super::announced::{self, Announced};
use super::connection::{Connection, Publishing};
use super::objects::{Media, prepare_elements};
use super::refusal::Refusal;
use crate::ingest::rtp::{RtpTrack, SourceClock};
use crate::manager::PublishRequest;
use crate::model::broadcast::PublishType;

/// How long the manager may take to admit a publisher: a predecessor may have to close first.
const ADMISSION_MAX: Duration = Duration::from_secs(10);

mod imp {
    use super::*;

    #[derive(Debug, Default)]
    pub(in crate::ingest::rtsp) struct Client {
        pub(super) given: OnceLock<(Arc<Connection>, Doors)>,
        state: Mutex<State>,
    }

    #[derive(Debug, Default)]
    struct State {
        /// A description was sent, of whatever use; the next needs another connection, or a TEARDOWN in between.
        announced: bool,
        /// The names of its tracks.
        controls: Vec<String>,
        /// What the next error is to say.
        refusal: Option<Status>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Client {
        const NAME: &'static str = "SrtRestreamRtspClient";
        type Type = super::Client;
        type ParentType = gst_rtsp_server::RTSPClient;
    }

    impl ObjectImpl for Client {}

    impl Client {
        fn state(&self) -> MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn address(&self, url: &gst_rtsp::RTSPUrl) -> Address {
            Address::parse(&url.request_uri(), &self.state().controls)
        }

        /// Takes a description in: admits the publisher and fills its media.
        fn announce(
            &self,
            url: &gst_rtsp::RTSPUrl,
            media: &gst_rtsp_server::RTSPMedia,
            sdp: &gst_sdp::SDPMessageRef,
        ) -> Result<Vec<Announced>, Refusal> {
            let (connection, doors) = self.given.get().ok_or(Refusal::NotReady)?;
            if std::mem::replace(&mut self.state().announced, true) {
                return Err(Refusal::SecondAnnounce);
            }
            let address = self.address(url);
            if let Some(control) = address.control {
                return Err(Refusal::BadPath(control));
            }
            let all = announced::read(sdp)?;
            let request = PublishRequest {
                app: address.app,
                stream: address.stream,
                publish_type: PublishType::Rtsp,
                peer: connection.peer,
                user_agent: None,
                meta: address.query,
            };
            let place = doors.enter()?;
            let admitted = async { tokio::time::timeout(ADMISSION_MAX, doors.manager.publish(request)).await };
            let publication = doors.runtime.block_on(admitted).map_err(|_| Refusal::Slow)??;
            let (clock, input) = (SourceClock::exact(), publication.input());
            let own = media.downcast_ref::<Media>().ok_or(Refusal::NotReady)?;
            own.own(Arc::clone(connection), clock.clone());
            let element = media.element().downcast::<gst::Bin>().map_err(|_| Refusal::NotReady)?;
            for (at, announced) in all.iter().enumerate() {
                let name = format!("depay{at}");
                match &announced.format {
                    Ok((kind, caps)) => {
                        let track = RtpTrack::build(Some(&name), caps, &clock, &input, doors.limits)?;
                        input.expect(*kind);
                        element.add(&track.bin).map_err(crate::ingest::IngestError::from)?;
                        tracing::debug!(track = %kind, %caps, "announced");
                    }
                    Err(unused) => {
                        tracing::warn!(track = at, reason = %unused, "a track of the publisher is not used");
                        element.add(&unused_track(&name)?).map_err(crate::ingest::IngestError::from)?;
                    }
                }
            }
            media.collect_streams();
            connection.publish(Publishing { publication, clock, since: Instant::now(), _place: place });
            tracing::info!(tls = connection.tls, "publishing");
            Ok(all)
        }
    }

    impl RTSPClientImpl for Client {
        fn make_path_from_uri(&self, url: &gst_rtsp::RTSPUrl) -> Option<glib::GString> {
            Some(self.address(url).path().into())
        }

        fn handle_sdp(
            &self,
            context: &gst_rtsp_server::RTSPContext,
            media: &gst_rtsp_server::RTSPMedia,
            sdp: &gst_sdp::SDPMessageRef,
        ) -> Result<(), gst::LoggableError> {
            let Some((connection, _)) = self.given.get() else {
                return Err(gst::loggable_error!(own_category(), "a connection without data"));
            };
            let _entered = connection.span.enter();
            let announced = match context.uri() {
                Some(url) => self.announce(url, media, sdp),
                None => Err(Refusal::NotReady),
            };
            let handled = announced.and_then(|all| {
                if let Some(pipeline) = media.element().parent().and_downcast::<gst::Bin>() {
                    prepare_elements(&pipeline, connection.peer.ip());
                }
                self.parent_handle_sdp(context, media, sdp).map_err(|_| Refusal::Unprepared)?;
                Ok(all)
            });
            match handled {
                Ok(all) => {
                    for (at, announced) in (0..).zip(&all) {
                        if let (Some(control), Some(stream)) = (&announced.control, media.stream(at)) {
                            stream.set_control(Some(control));
                        }
                    }
                    self.state().controls = all.into_iter().filter_map(|one| one.control).collect();
                    Ok(())
                }
                Err(refusal) => {
                    let status = refusal.status();
                    tracing::warn!(status = refusal.code(), reason = %refusal, "RTSP publisher refused");
                    if matches!(refusal, Refusal::Unprepared) {
                        connection.release();
                    }
                    self.state().refusal = Some(status);
                    Err(gst::loggable_error!(own_category(), "refused: {refusal}"))
                }
            }
        }

        fn adjust_error_code(&self, _: &gst_rtsp_server::RTSPContext, status: Status) -> Status {
            // Not the parent's: there is none, and the bindings make 200 of that.
            self.state().refusal.take().unwrap_or(status)
        }

        // What is published here is not played here.
        fn pre_describe_request(&self, _: &gst_rtsp_server::RTSPContext) -> Status {
            Status::MethodNotAllowed
        }

        fn pre_play_request(&self, _: &gst_rtsp_server::RTSPContext) -> Status {
            Status::MethodNotAllowed
        }

        fn teardown_request(&self, context: &gst_rtsp_server::RTSPContext) {
            if let Some((connection, _)) = self.given.get()
                && connection.release()
            {
                connection.span.in_scope(|| tracing::info!(reason = "the publisher said TEARDOWN", "publishing ended"));
            }
            *self.state() = State::default();
            self.parent_teardown_request(context);
        }

        fn closed(&self) {
            if let Some((connection, _)) = self.given.get() {
                if connection.release() {
                    connection
                        .span
                        .in_scope(|| tracing::info!(reason = "the connection is closed", "publishing ended"));
                }
                connection.closed.cancel();
            }
            self.parent_closed();
        }
    }
}

glib::wrapper! {
    /// See [`imp::Client`].
    pub(in crate::ingest::rtsp) struct Client(ObjectSubclass<imp::Client>) @extends gst_rtsp_server::RTSPClient;
}

impl Client {
    pub(super) fn for_connection(connection: Arc<Connection>, doors: Doors) -> Self {
        let client: Self = glib::Object::new();
        let _ = client.imp().given.set((connection, doors));
        client
    }
}

/// Where gst-rtsp-server itself speaks of what clients do wrong.
fn own_category() -> gst::DebugCategory {
    gst::DebugCategory::get("rtspclient").unwrap_or(*gst::CAT_RUST)
}

/// Swallows what nobody can take.
fn unused_track(name: &str) -> Result<gst::Element, Refusal> {
    let sink = gst::ElementFactory::make("fakesink").name(name).property("sync", false).property("async", false);
    sink.build().map_err(|error| crate::ingest::IngestError::from(error).into())
}
