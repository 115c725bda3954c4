//! Tracks packet by packet through the real elements.

use std::sync::Arc;
use std::time::Duration;

use gstreamer_app as gst_app;

use super::*;

/// In the place of a stream's input: when the units are.
#[derive(Debug, Clone, Default)]
struct Collector {
    times_ns: Arc<Mutex<Vec<i64>>>,
    wishes: watch::Sender<u64>,
}

impl Door for Collector {
    fn set_caps(&self, _: TrackKind, _: &gst::Caps) {}
    fn push(&self, unit: AccessUnit) {
        self.times_ns.lock().expect("whole").push(unit.dts_ns);
    }
    fn set_transcoded(&self, _: TrackKind, _: Option<&'static str>) {}
    fn key_frame_requests(&self) -> watch::Receiver<u64> {
        self.wishes.subscribe()
    }
}

/// Sends packets into a track; gives the times of its units.
fn run(caps: &gst::Caps, packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<i64> {
    let pipeline = gst::Pipeline::new();
    let source = gst_app::AppSrc::builder().caps(caps).format(gst::Format::Time).build();
    pipeline.add(&source).expect("added");
    let (clock, out) = (SourceClock::exact(), Collector::default());
    let limits = TranscodeLimits { max_video_bitrate_kbps: 4_000, key_frame_interval: Duration::from_secs(2) };
    let track = RtpTrack::build(None, caps, &clock, &out, limits).expect("carried");
    let sink = track.start(&pipeline).expect("started");
    source.static_pad("src").expect("a pad").link(&sink).expect("linked");
    for (n, packet) in packets.into_iter().enumerate() {
        let mut buffer = gst::Buffer::from_mut_slice(packet);
        buffer.get_mut().expect("own").set_pts(gst::ClockTime::from_mseconds(n as u64 * 100));
        source.push_buffer(buffer).expect("taken");
    }
    source.end_of_stream().expect("taken");
    pipeline.set_state(gst::State::Playing).expect("playing");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().expect("a bus").timed_pop_filtered(gst::ClockTime::from_seconds(30), &kinds);
    assert_eq!(message.map(|message| message.type_()), Some(gst::MessageType::Eos));
    pipeline.set_state(gst::State::Null).expect("ended");
    out.times_ns.lock().expect("whole").clone()
}

/// A packet (RFC 3550, section 5.1).
fn packet(seq: u16, rtp: u32, payload: &[u8]) -> Vec<u8> {
    [&[0x80, 0x80 | 97][..], &seq.to_be_bytes(), &rtp.to_be_bytes(), &7_u32.to_be_bytes(), payload].concat()
}

#[test]
fn sound_of_the_very_first_packet_is_in_step_too() {
    gst::init().expect("GStreamer");
    let caps = gst::Caps::builder("application/x-rtp")
        .field("media", "audio")
        .field("encoding-name", "MPEG4-GENERIC")
        .field("payload", 97)
        .field("clock-rate", 48_000)
        .field("encoding-params", "2")
        .field("mode", "AAC-hbr")
        .field("sizelength", "13")
        .field("indexlength", "3")
        .field("indexdeltalength", "3")
        .field("config", "119056e500")
        .build();
    // Headers of 16 bits: size and index.
    const FRAMES: u16 = 7;
    const FRAME: [u8; 4] = [0x21, 0x10, 0x04, 0x60];
    let payload = [
        &(FRAMES * 16).to_be_bytes()[..],
        &[(FRAME.len() as u16) << 3; FRAMES as usize].map(u16::to_be_bytes).concat(),
        &FRAME.repeat(FRAMES.into()),
    ]
    .concat();
    let rtp = |n: u16| u32::from(n) * u32::from(FRAMES) * 1_024;
    let times_ns = run(&caps, (0..3).map(|n| packet(n, rtp(n), &payload)));
    assert_eq!(times_ns.len(), 3 * usize::from(FRAMES));
    let steps: Vec<_> = times_ns.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| (step - 21_333_333).abs() < 25_000), "{steps:?}");
}
