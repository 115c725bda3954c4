//! A publisher: test pictures and tones into a `webrtcbin` that offers them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc::{WebRTCICEGatheringState, WebRTCSDPType, WebRTCSessionDescription};

use super::{WAIT, until};

const VIDEO: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=300 \
    ! video/x-h264,profile=constrained-baseline ! valve name=video_valve ! rtph264pay config-interval=-1 aggregate-mode=zero-latency \
    ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! w.";
const AUDIO: &str = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay \
    ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! w.";

/// What this test offers beyond what webrtcbin writes by itself: feedback, as browsers do.
const FEEDBACK: &str = "a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\na=rtcp-fb:96 transport-cc\r\n\
    a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n";

pub(super) struct Sender {
    pipeline: gst::Pipeline,
    webrtc: gst::Element,
    /// With all candidates.
    pub(super) offer: String,
}

impl Sender {
    /// Offers `video`, or `video/audio`.
    pub(super) async fn start(tracks: &str) -> Self {
        let parts = [VIDEO, if tracks.contains("audio") { AUDIO } else { "" }];
        let text = format!("webrtcbin name=w bundle-policy=max-bundle {}", parts.join(" "));
        let pipeline = gst::parse::launch(&text).expect("a sender").downcast::<gst::Pipeline>().expect("a pipeline");
        let webrtc = pipeline.by_name("w").expect("webrtcbin");
        let agent: gst::glib::Object = webrtc.property("ice-agent");
        assert!(agent.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]));
        let needed = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&needed);
        webrtc.connect("on-negotiation-needed", false, move |_| {
            *counter.lock().expect("whole") += 1;
            None
        });
        pipeline.set_state(gst::State::Playing).expect("it plays");
        // Every track must have its caps, or it is missing in the offer.
        let wanted = tracks.split('/').count();
        until("the sender's tracks have caps", || {
            *needed.lock().expect("whole") > 0
                && webrtc.sink_pads().iter().filter(|pad| pad.current_caps().is_some()).count() == wanted
        })
        .await;
        let mut sender = Self { pipeline, webrtc, offer: String::new() };
        let reply = sender.ask("create-offer", |webrtc, promise| {
            webrtc.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, promise]);
        });
        let offer: WebRTCSessionDescription = reply.await.expect("a reply").get("offer").expect("an offer");
        sender.describe("set-local-description", &offer).await;
        let webrtc = sender.webrtc.clone();
        until("the sender has gathered", || {
            webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state") == WebRTCICEGatheringState::Complete
        })
        .await;
        let offer: WebRTCSessionDescription = sender.webrtc.property("local-description");
        let offer = offer.sdp().as_text().expect("text");
        let (above, below) = offer.split_once("a=rtpmap:96").expect("a video section");
        sender.offer = format!("{above}{FEEDBACK}a=rtpmap:96{below}");
        sender
    }

    async fn ask(&self, what: &str, call: impl FnOnce(&gst::Element, &gst::Promise)) -> Option<gst::Structure> {
        let (promise, reply) = gst::Promise::new_future();
        call(&self.webrtc, &promise);
        let reply = tokio::time::timeout(WAIT, reply).await.expect(what).expect(what);
        let reply = reply.map(|reply| reply.to_owned());
        let error = reply.as_ref().and_then(|reply| reply.get::<gst::glib::Error>("error").ok());
        assert!(error.is_none(), "{what}: {error:?}");
        reply
    }

    async fn describe(&self, step: &str, description: &WebRTCSessionDescription) {
        self.ask(step, |webrtc, promise| webrtc.emit_by_name::<()>(step, &[description, promise])).await;
    }

    pub(super) async fn answer(&self, answer: &str) {
        let sdp = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes()).expect("SDP");
        self.describe("set-remote-description", &WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp)).await;
    }

    pub(super) fn add_candidate(&self, candidate: &str) {
        self.webrtc.emit_by_name::<()>("add-ice-candidate", &[&0_u32, &candidate]);
    }

    pub(super) fn offer_without_candidates(&self) -> (String, Vec<String>) {
        let (candidates, rest): (Vec<_>, Vec<_>) =
            self.offer.lines().partition(|line| line.starts_with("a=candidate:"));
        let candidates: Vec<_> = candidates.iter().map(|line| line.trim_start_matches("a=").to_owned()).collect();
        assert!(!candidates.is_empty());
        (rest.iter().flat_map(|line| [*line, "\r\n"]).collect(), candidates)
    }

    /// The offer, naming a certificate that differs in its first byte.
    pub(super) fn offer_with_another_fingerprint(&self) -> String {
        let lines = self.offer.lines().map(|line| match line.strip_prefix("a=fingerprint:sha-256 ") {
            Some(digest) => {
                let first = if digest.starts_with("00") { "01" } else { "00" };
                format!("a=fingerprint:sha-256 {first}{}\r\n", &digest[2..])
            }
            None => format!("{line}\r\n"),
        });
        lines.collect()
    }

    /// Sends no more packets, as a publisher whose network is gone.
    pub(super) fn fall_silent(&self) {
        self.pipeline.by_name("video_valve").expect("a valve").set_property("drop", true);
    }

    pub(super) async fn stop(self) {
        let stopping = tokio::task::spawn_blocking(move || drop(self));
        tokio::time::timeout(WAIT + Duration::from_secs(1), stopping).await.expect("it stops").expect("no panic");
    }
}

/// Also when a test fails: its threads would be taken for those of the tests after it.
impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
