//! A WebRTC publisher whose truth is known: pictures and sound of one media clock, true sender reports, by WHIP.
//!
//! Knows the WHIP URL of the service, nothing of its inside. The hard thing: what it sends must stay true however
//! late this process runs. So flash and beep are a function of the media time, which is the buffers' time stamp, and
//! `webrtcbin` makes RTP time stamps and reports from that, not from the moment of sending.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_sdp as gst_sdp;
use gstreamer_webrtc::{WebRTCICEGatheringState, WebRTCSDPType, WebRTCSessionDescription};

use super::service::Service;
use super::wait::{SOON, wait_until};
use super::webrtc::whip_url;

/// Frames a second.
pub const FPS: u64 = 25;

/// From one picture to the next.
pub const FRAME_MS: u64 = 1_000 / FPS;

const WIDTH: usize = 320;
const HEIGHT: usize = 180;

/// Sound goes out in pieces of an Opus packet's length.
const SOUND_MS: u64 = 20;
const RATE_HZ: u64 = 48_000;

/// Flash and beep begin with each second and last so long.
const FLASH_MS: u64 = 200;
const TONE_HZ: f64 = 1_000.0;

/// How often the feeder looks at the clock.
const PACE: Duration = Duration::from_millis(2);

/// What the sender does out of the ordinary.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// VP8 instead of H.264.
    pub vp8: bool,
    /// How much later than it was taken each picture goes out, as of a slow camera: receivers know it by the sender
    /// reports alone.
    pub pictures_late_ms: u64,
    /// Media time without sound, as of a microphone that is taken away: none is sent.
    pub mute_ms: Range<u64>,
    /// Sends no sender reports.
    pub without_reports: bool,
}

/// A running sender.
#[derive(Debug)]
pub struct Truth {
    pipeline: gst::Pipeline,
    ended: Arc<AtomicBool>,
    feeder: Option<JoinHandle<()>>,
}

impl Truth {
    /// Publishes `app/id` and waits until it is live.
    #[track_caller]
    pub fn publish(service: &Service, stream: &str, plan: Plan) -> Self {
        gst::init().expect("GStreamer");
        let pipeline = gst::parse::launch(&text(&plan)).expect("a sender").downcast::<gst::Pipeline>().unwrap();
        let webrtc = pipeline.by_name("w").expect("webrtcbin");
        let agent: gst::glib::Object = webrtc.property("ice-agent");
        assert!(agent.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]));
        report(&webrtc, !plan.without_reports);
        let needed = Arc::new(Mutex::new(false));
        let needs = Arc::clone(&needed);
        webrtc.connect("on-negotiation-needed", false, move |_| {
            *needs.lock().unwrap() = true;
            None
        });
        pipeline.set_state(gst::State::Playing).expect("it plays");
        let ended = Arc::new(AtomicBool::new(false));
        let feeder = feed(&pipeline, plan, Arc::clone(&ended));
        let this = Self { pipeline, ended, feeder: Some(feeder) };
        // A track without caps would be missing in the offer.
        wait_until(SOON, "the sender's tracks have caps", || {
            let known = webrtc.sink_pads().iter().filter(|pad| pad.current_caps().is_some()).count();
            *needed.lock().unwrap() && known == 2
        });
        let none: Option<gst::Structure> = None;
        let offer = ask(|promise| webrtc.emit_by_name::<()>("create-offer", &[&none, promise]));
        let offer: WebRTCSessionDescription = offer.expect("a reply").get("offer").expect("an offer");
        ask(|promise| webrtc.emit_by_name::<()>("set-local-description", &[&offer, promise]));
        wait_until(SOON, "the sender has gathered", || {
            webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state") == WebRTCICEGatheringState::Complete
        });
        let offer: WebRTCSessionDescription = webrtc.property("local-description");
        let answer = post(&whip_url(service, stream), &offer.sdp().as_text().expect("text"));
        let sdp = gst_sdp::SDPMessage::parse_buffer(answer.as_bytes()).expect("SDP");
        let answer = WebRTCSessionDescription::new(WebRTCSDPType::Answer, sdp);
        ask(|promise| webrtc.emit_by_name::<()>("set-remote-description", &[&answer, promise]));
        service.api.wait_live(stream);
        this
    }
}

impl Drop for Truth {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn text(plan: &Plan) -> String {
    let encoder = if plan.vp8 {
        "vp8enc deadline=1 cpu-used=8 target-bitrate=400000 keyframe-max-dist=50 error-resilient=default threads=1 \
         ! rtpvp8pay ! application/x-rtp,media=video,encoding-name=VP8,payload=96"
    } else {
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=50 bitrate=400 threads=1 \
         ! video/x-h264,profile=constrained-baseline ! rtph264pay config-interval=-1 aggregate-mode=zero-latency \
         ! application/x-rtp,media=video,encoding-name=H264,payload=96"
    };
    let source = "is-live=true format=time do-timestamp=false block=false max-bytes=0";
    format!(
        "webrtcbin name=w bundle-policy=max-bundle \
         appsrc name=video {source} caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FPS}/1 \
         ! {encoder} ! w. \
         appsrc name=audio {source} caps=audio/x-raw,format=S16LE,layout=interleaved,rate={RATE_HZ},channels=1 \
         ! opusenc ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! w."
    )
}

/// Feeds both tracks as their time comes, until it is ended.
fn feed(pipeline: &gst::Pipeline, plan: Plan, ended: Arc<AtomicBool>) -> JoinHandle<()> {
    let source = |name: &str| pipeline.by_name(name).unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let (video, audio, clock) = (source("video"), source("audio"), pipeline.downgrade());
    std::thread::spawn(move || {
        let now = || clock.upgrade().and_then(|pipeline| pipeline.current_running_time());
        let mut zero = None;
        let (mut pictures, mut sounds) = (0, 0);
        while !ended.load(Ordering::Relaxed) {
            std::thread::sleep(PACE);
            let Some(now) = now() else { continue };
            let zero = *zero.get_or_insert(now);
            let media_ms = (now - zero).mseconds();
            // A piece of sound is there when its time is over, a picture when its time begins.
            while (sounds + 1) * SOUND_MS <= media_ms {
                let at_ms = sounds * SOUND_MS;
                sounds += 1;
                if !plan.mute_ms.contains(&at_ms) {
                    push(&audio, sound(at_ms), zero, at_ms, SOUND_MS);
                }
            }
            while pictures * FRAME_MS + plan.pictures_late_ms <= media_ms {
                let at_ms = pictures * FRAME_MS;
                pictures += 1;
                push(&video, picture(at_ms), zero, at_ms, FRAME_MS);
            }
        }
    })
}

fn push(source: &gst_app::AppSrc, data: Vec<u8>, zero: gst::ClockTime, at_ms: u64, length_ms: u64) {
    let mut buffer = gst::Buffer::from_mut_slice(data);
    let fields = buffer.get_mut().unwrap();
    fields.set_pts(zero + gst::ClockTime::from_mseconds(at_ms));
    fields.set_duration(gst::ClockTime::from_mseconds(length_ms));
    // A pipeline that is being stopped takes nothing more.
    let _ = source.push_buffer(buffer);
}

fn lit(at_ms: u64) -> bool {
    at_ms % 1_000 < FLASH_MS
}

/// Grey that moves, with a white corner (the upper left eighth) while the flash lasts.
fn picture(at_ms: u64) -> Vec<u8> {
    let mut data = vec![128; WIDTH * HEIGHT * 3 / 2];
    let corner = if lit(at_ms) { 235 } else { 16 };
    for (row, line) in data[..WIDTH * HEIGHT].chunks_exact_mut(WIDTH).enumerate() {
        for (column, luma) in line.iter_mut().enumerate() {
            let moving = (column + row + usize::try_from(at_ms / FRAME_MS).unwrap()) % 64;
            let inside = column < WIDTH / 8 && row < HEIGHT / 8;
            *luma = if inside { corner } else { 64 + u8::try_from(moving).unwrap() };
        }
    }
    data
}

fn sound(at_ms: u64) -> Vec<u8> {
    let first = at_ms * RATE_HZ / 1_000;
    let samples = (first..first + SOUND_MS * RATE_HZ / 1_000).map(|n| {
        let at = n as f64 / RATE_HZ as f64;
        let level = if lit(n * 1_000 / RATE_HZ) { 0.5 } else { 0.0 };
        (level * f64::from(i16::MAX) * (std::f64::consts::TAU * TONE_HZ * at).sin()) as i16
    });
    samples.flat_map(i16::to_le_bytes).collect()
}

/// Has the sender reports tell when the media was taken, or none sent. By default they tell when it should be sent,
/// which `webrtcbin` does not know.
fn report(webrtc: &gst::Element, reports: bool) {
    webrtc.downcast_ref::<gst::Bin>().unwrap().connect_deep_element_added(move |_, _, element| {
        if element.factory().is_some_and(|factory| factory.name() == "rtpsession") {
            element.set_property("rtcp-sync-send-time", false);
            if !reports {
                keep_reports(element);
            }
        }
    });
}

/// Takes sender reports out of what is sent; other RTCP stays.
fn keep_reports(session: &gst::Element) {
    const SENDER_REPORT: u8 = 200;
    session.connect_pad_added(|_, pad| {
        if pad.name() == "send_rtcp_src" {
            pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
                let kind = info.buffer().and_then(|buffer| buffer.map_readable().ok()?.get(1).copied());
                if kind != Some(SENDER_REPORT) {
                    return gst::PadProbeReturn::Ok;
                }
                // `Drop` would have gstreamer-rs 0.25 complain on GStreamer 1.22.
                gst::PadProbeReturn::Handled
            });
        }
    });
}

fn ask(call: impl FnOnce(&gst::Promise)) -> Option<gst::Structure> {
    let promise = gst::Promise::new();
    call(&promise);
    assert_eq!(promise.wait(), gst::PromiseResult::Replied);
    let reply = promise.get_reply().map(|reply| reply.to_owned());
    let error = reply.as_ref().and_then(|reply| reply.get::<gst::glib::Error>("error").ok());
    assert!(error.is_none(), "{error:?}");
    reply
}

/// The answer to an offer.
#[track_caller]
fn post(url: &str, offer: &str) -> String {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(SOON)).build();
    let agent: ureq::Agent = config.into();
    let mut answer = agent.post(url).content_type("application/sdp").send(offer).expect("WHIP answers");
    let (status, body) = (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap());
    assert_eq!(status, 201, "{body}");
    body
}
