//! The pads: real encoders, real depayloaders and decoders, and packets that are lost between them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gstreamer_app as gst_app;

use super::*;
use crate::media::launch;

const WAIT: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// From one picture to the next, at 90 kHz and 30 a second.
const TICKS: u32 = 3_000;

/// What came out of a pipeline: the buffers, and how often a key frame was wished for.
struct Out {
    buffers: Vec<gst::Buffer>,
    wishes: usize,
}

/// RTP packets and their caps.
struct Sent {
    buffers: Vec<gst::Buffer>,
    caps: gst::Caps,
}

impl Sent {
    /// What comes out of a launch text's end.
    fn of(source: &str) -> Self {
        gst::init().expect("GStreamer");
        let pipeline = gst::parse::launch(&format!("{source} ! appsink name=out sync=false")).expect("plugins");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
        let out = pipeline.by_name("out").and_then(|out| out.downcast::<gst_app::AppSink>().ok()).expect("out");
        let (buffers, caps) = pull(&pipeline, &out);
        Self { buffers, caps: caps.expect("caps") }
    }

    /// Without those that are lost: by what they are, and which picture they are of.
    fn without(&self, loses: impl Fn(&Packet<'_>, u32) -> bool) -> Self {
        let mut first = None;
        let mut kept = self.buffers.clone();
        kept.retain(|buffer| {
            let bytes = buffer.map_readable().expect("readable");
            let packet = Packet::read(&bytes).expect("RTP");
            let first = *first.get_or_insert(packet.timestamp);
            !loses(&packet, packet.timestamp.wrapping_sub(first).div_ceil(TICKS))
        });
        assert!(kept.len() < self.buffers.len(), "nothing is lost");
        Self { buffers: kept, caps: self.caps.clone() }
    }

    /// Plays them through the element that `depay` makes.
    fn play(&self, depay: impl FnOnce(&gst::Pipeline, &Arc<AtomicUsize>) -> gst::Element) -> Out {
        let pipeline = gst::Pipeline::new();
        let wishes = Arc::new(AtomicUsize::new(0));
        let depay = depay(&pipeline, &wishes);
        let from = gst_app::AppSrc::builder().format(gst::Format::Time).caps(&self.caps).max_bytes(0).build();
        let out = gst_app::AppSink::builder().sync(false).build();
        pipeline.add_many([from.upcast_ref::<gst::Element>(), out.upcast_ref()]).expect("added");
        from.static_pad("src").expect("src").link(&depay.static_pad("sink").expect("sink")).expect("linked");
        depay.static_pad("src").expect("src").link(&out.static_pad("sink").expect("sink")).expect("linked");
        for buffer in &self.buffers {
            // As a jitter buffer hands them on.
            let mut buffer = buffer.copy();
            buffer.make_mut().unset_flags(gst::BufferFlags::DISCONT);
            from.push_buffer(buffer).expect("taken");
        }
        from.end_of_stream().expect("taken");
        let (buffers, _) = pull(&pipeline, &out);
        Out { buffers, wishes: wishes.load(Ordering::Relaxed) }
    }
}

/// Plays a pipeline to its end.
fn pull(pipeline: &gst::Pipeline, out: &gst_app::AppSink) -> (Vec<gst::Buffer>, Option<gst::Caps>) {
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let (mut buffers, mut caps) = (Vec::new(), None);
    while let Some(sample) = out.try_pull_sample(WAIT) {
        caps = sample.caps_owned();
        buffers.extend(sample.buffer_owned());
    }
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().expect("a bus");
    loop {
        let message = bus.timed_pop_filtered(WAIT, &kinds).expect("an end");
        if message.type_() == gst::MessageType::Eos {
            break;
        }
        assert!(is_broken_picture(&message), "{message:?}");
    }
    let _ = pipeline.set_state(gst::State::Null);
    (buffers, caps)
}

fn counter(wishes: &Arc<AtomicUsize>) -> impl Fn() + Send + Sync + 'static {
    let wishes = Arc::clone(wishes);
    move || {
        wishes.fetch_add(1, Ordering::Relaxed);
    }
}

/// H.264 in packets of some hundred bytes, in which each key frame begins with its parameter sets, as browsers send it.
const H264: &str = "videotestsrc num-buffers=60 pattern=ball ! video/x-raw,width=320,height=180,framerate=30/1 \
    ! x264enc tune=zerolatency sliced-threads=false threads=1 key-int-max=20 bitrate=800 aud=false byte-stream=true option-string=scenecut=0 \
    ! h264parse config-interval=-1 ! rtph264pay mtu=500 config-interval=-1 aggregate-mode=zero-latency";

/// The launch text's depayloader with the gate in front, and a parser behind, as in the service.
fn whole_h264(gated: bool) -> impl FnOnce(&gst::Pipeline, &Arc<AtomicUsize>) -> gst::Element {
    move |pipeline, wishes| {
        let text = launch::depay("H264").expect("a text");
        let bin = text.bin().expect("a bin");
        let depay: gst::Element = text.element(&bin, "depay").expect("depay");
        let parse =
            gst::ElementFactory::make("h264parse").property("config-interval", -1_i32).build().expect("h264parse");
        let pin = gst::ElementFactory::make("capsfilter")
            .property("caps", "video/x-h264,stream-format=byte-stream,alignment=au".parse::<gst::Caps>().expect("caps"))
            .build()
            .expect("capsfilter");
        bin.add_many([&parse, &pin]).expect("added");
        gst::Element::link_many([&depay, &parse, &pin]).expect("linked");
        for (element, name) in [(&depay, "sink"), (&pin, "src")] {
            let pad = gst::GhostPad::with_target(&element.static_pad(name).expect(name)).expect("a ghost pad");
            bin.add_pad(&pad).expect("added");
        }
        if gated {
            keep_pictures_whole(&depay.static_pad("sink").expect("sink"), counter(wishes));
        }
        pipeline.add(&bin).expect("added");
        bin.upcast()
    }
}

/// Which pictures came, by their time stamps: x264enc begins after 1000 hours.
fn numbers(out: &Out) -> Vec<u64> {
    let of = |time: gst::ClockTime| ((time.nseconds() - 3_600_000_000_000_000) * 30 + 500_000_000) / 1_000_000_000;
    out.buffers.iter().filter_map(|buffer| buffer.pts().map(of)).collect()
}

#[test]
fn nothing_is_missing_where_nothing_is_lost() {
    let out = Sent::of(H264).play(whole_h264(true));
    assert_eq!(numbers(&out), (0..60).collect::<Vec<_>>());
    assert_eq!(out.wishes, 0);
}

#[test]
fn a_key_frame_without_its_parameter_sets_is_not_shown() {
    // Those of the second key frame: the packets of SPS and PPS, or the one of both.
    let sets = |packet: &Packet<'_>| matches!(packet.payload[0] & 0x1f, 7 | 8 | 24);
    let sent = Sent::of(H264).without(|packet, picture| picture == 20 && sets(packet));
    let shown = numbers(&sent.play(whole_h264(false)));
    assert!(shown.contains(&20), "rtph264depay itself takes it: {shown:?}");
    let out = sent.play(whole_h264(true));
    assert_eq!(numbers(&out), (0..20).chain(40..60).collect::<Vec<_>>());
    assert_eq!(out.wishes, 1);
}

#[test]
fn a_key_frame_without_its_first_slice_is_not_shown() {
    let slices = H264.replace("scenecut=0", "scenecut=0:slices=4").replace("pattern=ball", "pattern=snow");
    let all = Sent::of(&slices);
    let count = all.buffers.len() - all.without(|_, picture| picture == 20).buffers.len();
    assert!(count > 8, "{count} packets");
    let mut seen = false;
    for keep in 1..count / 2 {
        let left = std::cell::Cell::new(count);
        let sent = all.without(|_, picture| {
            left.set(left.get() - usize::from(picture == 20));
            picture == 20 && left.get() >= keep
        });
        seen |= numbers(&sent.play(whole_h264(false))).contains(&20);
        let out = sent.play(whole_h264(true));
        assert_eq!(numbers(&out), (0..20).chain(40..60).collect::<Vec<_>>(), "{keep} of {count} packets are left");
        assert_eq!(out.wishes, 1);
    }
    assert!(seen, "rtph264depay itself takes none of them");
}

#[test]
fn a_picture_that_the_sender_gives_up_is_not_shown() {
    let all = Sent::of(&H264.replace("pattern=ball", "pattern=snow"));
    // The end of the picture in front of the second key frame is never sent: its packets' numbers are given anew.
    let mut sent = all.without(|packet, picture| picture == 19 && packet.payload[1] & 0x80 == 0);
    for (at, buffer) in sent.buffers.iter_mut().enumerate() {
        let mut bytes = buffer.map_readable().expect("readable").to_vec();
        bytes[2..4].copy_from_slice(&u16::try_from(at).expect("few").to_be_bytes());
        let pts = buffer.pts();
        *buffer = gst::Buffer::from_mut_slice(bytes);
        buffer.make_mut().set_pts(pts);
    }
    let shown = numbers(&sent.play(whole_h264(false)));
    assert!(shown.contains(&19), "rtph264depay itself takes the part for a picture: {shown:?}");
    let out = sent.play(whole_h264(true));
    assert_eq!(numbers(&out), (0..19).chain(20..60).collect::<Vec<_>>());
    assert_eq!(out.wishes, 1);
}

/// AV1 in packets as Chromium makes them: one unit after the other, in pieces of `room` bytes.
fn av1_packets(room: usize) -> Sent {
    let source = "videotestsrc num-buffers=40 pattern=ball ! video/x-raw,width=320,height=180,framerate=30/1 \
        ! av1enc cpu-used=8 usage-profile=realtime keyframe-max-dist=10 ! av1parse \
        ! video/x-av1,stream-format=obu-stream,alignment=obu";
    let obus = Sent::of(source);
    let mut sent = Sent { buffers: Vec::new(), caps: obus.caps };
    sent.caps = "application/x-rtp,media=video,clock-rate=90000,encoding-name=AV1,payload=45".parse().expect("caps");
    let mut seq = 65_500_u16;
    for (at, obu) in obus.buffers.iter().enumerate() {
        let pts = obu.pts().or_else(|| obus.buffers.get(at + 1)?.pts()).expect("a time stamp");
        let bytes = obu.map_readable().expect("readable");
        if bytes[0] >> 3 & 0x0f == 2 {
            continue;
        }
        let key = bytes[0] >> 3 & 0x0f == 1;
        let ends =
            obus.buffers.get(at + 1).is_none_or(|next| next.map_readable().expect("readable")[0] >> 3 & 0x0f == 2);
        let pieces: Vec<&[u8]> = bytes.chunks(room).collect();
        for (number, piece) in pieces.iter().enumerate() {
            let (goes_on, continues) = (number + 1 < pieces.len(), number > 0);
            let aggregation =
                0x10 | u8::from(continues) << 7 | u8::from(goes_on) << 6 | u8::from(key && !continues) << 3;
            let marker = u8::from(ends && !goes_on) << 7;
            let ticks = u32::try_from(pts.nseconds() * 9 / 100_000).expect("short");
            let header = [&[0x80, marker | 45][..], &seq.to_be_bytes(), &ticks.to_be_bytes(), b"SSRC"].concat();
            let mut buffer = gst::Buffer::from_mut_slice([&header[..], &[aggregation], piece].concat());
            buffer.make_mut().set_pts(pts);
            sent.buffers.push(buffer);
            seq = seq.wrapping_add(1);
        }
    }
    sent
}

/// The depayloader and a decoder.
fn decoded_av1(pipeline: &gst::Pipeline, wishes: &Arc<AtomicUsize>) -> gst::Element {
    let bin = gst::Bin::new();
    let depay = av1(counter(wishes)).expect("a bin");
    let decoder = gst::ElementFactory::make("av1dec").build().expect("av1dec");
    bin.add_many([depay.upcast_ref::<gst::Element>(), &decoder]).expect("added");
    depay.link(&decoder).expect("linked");
    for pad in [depay.static_pad("sink"), decoder.static_pad("src")].into_iter().flatten() {
        bin.add_pad(&gst::GhostPad::with_target(&pad).expect("a ghost pad")).expect("added");
    }
    pipeline.add(&bin).expect("added");
    bin.upcast()
}

/// Which pictures came.
fn shown(out: &Out) -> Vec<u64> {
    let of = |time: gst::ClockTime| (time.nseconds() * 30 + 500_000_000) / 1_000_000_000;
    out.buffers.iter().filter_map(|buffer| buffer.pts().map(of)).collect()
}

#[test]
fn av1_is_decoded_out_of_packets_of_any_size() {
    for room in [100, 1_200] {
        let out = av1_packets(room).play(decoded_av1);
        assert_eq!(shown(&out), (0..40).collect::<Vec<_>>(), "{room}");
        assert_eq!(out.wishes, 0);
    }
}

#[test]
fn after_a_loss_av1_begins_with_a_key_frame_and_the_decoder_is_given_nothing_broken() {
    let lost = std::cell::Cell::new(0);
    let sent = av1_packets(100).without(|packet, picture| {
        // A fragment in the middle of a picture.
        let loses = picture == 13 && packet.payload[0] & 0x80 != 0 && lost.get() == 0;
        lost.set(lost.get() + u32::from(loses));
        loses
    });
    let out = sent.play(decoded_av1);
    assert_eq!(shown(&out), (0..13).chain(20..40).collect::<Vec<_>>());
    assert_eq!(out.wishes, 1);
}

#[test]
fn a_picture_of_av1_that_cannot_be_decoded_ends_nothing() {
    let mut sent = av1_packets(1_200);
    let mut broken = 0;
    for buffer in &mut sent.buffers {
        let mut bytes = buffer.map_readable().expect("readable").to_vec();
        let pts = buffer.pts().expect("a time stamp");
        // Everything behind the OBU's header, in one picture that is no key frame.
        if (430..450).contains(&pts.mseconds()) && bytes.len() > 20 {
            bytes[14..].fill(0xff);
            *buffer = gst::Buffer::from_mut_slice(bytes);
            buffer.make_mut().set_pts(pts);
            broken += 1;
        }
    }
    assert!(broken > 0);
    let shown = shown(&sent.play(decoded_av1));
    assert!(shown.starts_with(&[0, 1, 2]) && shown.ends_with(&[37, 38, 39]), "{shown:?}");
    assert!(!shown.contains(&13), "{shown:?}");
}
