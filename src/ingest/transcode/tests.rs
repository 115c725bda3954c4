//! Transcoders in a pipeline with an encoder in front, as fast as they go: what comes out, and when.

use std::sync::mpsc;
use std::time::Instant;

use gstreamer_app as gst_app;
use tokio::sync::watch;

use super::*;
use crate::media::caps::picture_size;
use crate::stream::AccessUnit;

const WAIT: Duration = Duration::from_secs(60);

const LIMITS: TranscodeLimits =
    TranscodeLimits { max_video_bitrate_kbps: 4_000, key_frame_interval: Duration::from_secs(2) };

/// One unit as it reached the door.
#[derive(Debug, Clone)]
struct Unit {
    pts_ms: f64,
    key: bool,
    bytes: gst::Buffer,
    size: Option<(u32, u32)>,
}

/// In the place of a stream's input.
#[derive(Debug, Clone, Default)]
struct Collector {
    units: Arc<Mutex<Vec<Unit>>>,
    caps: Arc<Mutex<Option<gst::Caps>>>,
    from: Arc<Mutex<Option<&'static str>>>,
    wishes: watch::Sender<u64>,
}

impl Door for Collector {
    fn set_caps(&self, _: TrackKind, caps: &gst::Caps) {
        *lock(&self.caps) = Some(caps.clone());
    }

    fn push(&self, unit: AccessUnit) {
        assert_eq!(unit.dts_ns, unit.pts_ns, "nothing is reordered");
        let key = !unit.buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let size = lock(&self.caps).as_deref().and_then(picture_size);
        lock(&self.units).push(Unit { pts_ms: unit.pts_ns as f64 / 1e6, key, bytes: unit.buffer, size });
    }

    fn set_transcoded(&self, _: TrackKind, from: Option<&'static str>) {
        *lock(&self.from) = from;
    }

    fn key_frame_requests(&self) -> watch::Receiver<u64> {
        self.wishes.subscribe()
    }
}

impl Collector {
    fn units(&self) -> Vec<Unit> {
        lock(&self.units).clone()
    }

    fn key_times_ms(&self) -> Vec<f64> {
        self.units().iter().filter(|unit| unit.key).map(|unit| unit.pts_ms).collect()
    }
}

/// A source as launch text, whose last element is named `end`, and a transcoder behind it.
struct Bench {
    pipeline: gst::Pipeline,
    out: Collector,
    /// Time stamps of what went in, in milliseconds.
    fed_ms: Arc<Mutex<Vec<f64>>>,
}

impl Bench {
    fn new(source: &str, codec: SourceCodec, limits: TranscodeLimits) -> Self {
        gst::init().expect("GStreamer");
        let pipeline = gst::parse::launch(source).expect("plugins").downcast::<gst::Pipeline>().expect("pipeline");
        let (out, fed_ms) = (Collector::default(), Arc::new(Mutex::new(Vec::new())));
        let transcoded = Transcoded::add(&pipeline, codec, &out, limits).expect("added");
        // The test is faster than the clock, the encoder is not: nothing may be lost on the way.
        if let Some(queue) = pipeline.by_name("decoded") {
            queue.set_property_from_str("leaky", "no");
        }
        let end = pipeline.by_name("end").and_then(|end| end.static_pad("src")).expect("end");
        end.link(&transcoded.sink).expect("linked");
        let fed = Arc::clone(&fed_ms);
        end.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let pts = info.buffer().and_then(|buffer| buffer.pts()).expect("a time stamp");
            lock(&fed).push(pts.nseconds() as f64 / 1e6);
            gst::PadProbeReturn::Ok
        });
        Self { pipeline, out, fed_ms }
    }

    fn play(&self) {
        self.pipeline.set_state(gst::State::Playing).expect("playing");
    }

    /// Plays to the end.
    fn run(&self) {
        self.play();
        self.finish();
    }

    fn finish(&self) {
        let bus = self.pipeline.bus().expect("bus");
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let wait = gst::ClockTime::try_from(WAIT).expect("short");
        let message = bus.timed_pop_filtered(wait, &kinds).expect("an end");
        assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Pictures as VP8 by RTP, whose caps tell no frame rate; one key frame, at the start.
fn vp8(pictures: u32, rate: u32, pattern: &str, kbps: u32) -> String {
    format!(
        "videotestsrc num-buffers={pictures} pattern={pattern} ! videoscale \
        ! capsfilter name=size caps=video/x-raw,width=320,height=180,framerate={rate}/1 \
        ! vp8enc deadline=1 cpu-used=8 keyframe-max-dist=100000 end-usage=cbr target-bitrate={}000 \
        ! rtpvp8pay ! rtpvp8depay name=end",
        kbps
    )
}

/// A tick of 1 kHz in each second, as Opus by RTP. The last one is so near to the end that the encoder keeps it.
fn opus(seconds: u32) -> String {
    format!(
        "audiotestsrc num-buffers={} samplesperbuffer=960 wave=ticks sine-periods-per-tick=20 freq=1000 volume=0.8 \
        ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay ! rtpopusdepay name=end",
        seconds * 50
    )
}

/// The same in any codec, in packets of 20 ms.
fn ticking(codec: SourceCodec, seconds: u32) -> String {
    let text = opus(seconds);
    let g711 = |coder: &str| {
        let chain = format!("rate=8000,channels=1 ! {coder}");
        text.replace("rate=48000,channels=2 ! opusenc ! rtpopuspay ! rtpopusdepay", &chain)
            .replace("samplesperbuffer=960", "samplesperbuffer=160")
    };
    match codec {
        SourceCodec::Pcmu => g711("mulawenc ! rtppcmupay ! rtppcmudepay"),
        SourceCodec::Pcma => g711("alawenc ! rtppcmapay ! rtppcmadepay"),
        _ => text,
    }
}

#[test]
fn vp8_becomes_h264_with_its_time_stamps_and_a_key_frame_every_two_seconds() {
    for rate in [15, 30, 50] {
        let bench = Bench::new(&vp8(rate * 7, rate, "ball", 500), SourceCodec::Vp8, LIMITS);
        bench.run();
        let (units, fed_ms) = (bench.out.units(), lock(&bench.fed_ms).clone());
        assert_eq!(units.len(), fed_ms.len());
        assert_eq!(units.len(), 7 * rate as usize);
        for (unit, fed_ms) in units.iter().zip(fed_ms) {
            assert!((unit.pts_ms - fed_ms).abs() < 1.0, "{} of {fed_ms}", unit.pts_ms);
        }
        let keys_ms = bench.out.key_times_ms();
        assert_eq!(keys_ms.len(), 4, "{keys_ms:?}");
        let step_ms = 1_000.0 / f64::from(rate);
        for pair in keys_ms.windows(2) {
            assert!((pair[1] - pair[0] - 2_000.0).abs() <= step_ms, "{keys_ms:?}");
        }
        let caps = lock(&bench.out.caps).clone().expect("caps").to_string();
        assert!(caps.contains("video/x-h264") && caps.contains("byte-stream"), "{caps}");
        assert_eq!(*lock(&bench.out.from), Some("VP8"));
    }
}

#[test]
fn vp9_becomes_h264() {
    let source = vp8(60, 30, "ball", 500).replace("vp8", "vp9");
    let bench = Bench::new(&source, SourceCodec::Vp9, LIMITS);
    bench.run();
    assert_eq!(bench.out.units().len(), 60);
    assert_eq!(*lock(&bench.out.from), Some("VP9"));
}

#[test]
fn av1_becomes_h264_also_when_its_size_changes() {
    let source = vp8(60, 30, "ball", 500).replace(
        "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=100000 end-usage=cbr target-bitrate=500000 ! rtpvp8pay ! rtpvp8depay",
        "av1enc cpu-used=8 usage-profile=realtime keyframe-max-dist=100000 ! av1parse \
         ! capsfilter caps=video/x-av1,stream-format=obu-stream,alignment=tu",
    );
    let bench = Bench::new(&source, SourceCodec::Av1, LIMITS);
    bench.run();
    assert_eq!(bench.out.units().len(), 60);
    assert_eq!(*lock(&bench.out.from), Some("AV1"));
}

#[test]
fn a_wish_makes_the_next_picture_a_key_frame() {
    let source = vp8(90, 30, "ball", 500).replace("videotestsrc", "videotestsrc is-live=true");
    let bench = Bench::new(&source, SourceCodec::Vp8, LIMITS);
    bench.play();
    let begin = Instant::now();
    while bench.out.units().len() < 30 {
        assert!(begin.elapsed() < WAIT, "nothing comes");
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked_ms = bench.out.units().last().expect("a unit").pts_ms;
    bench.out.wishes.send_modify(|wishes| *wishes += 1);
    bench.finish();
    let keys_ms = bench.out.key_times_ms();
    let answered = keys_ms.iter().find(|key_ms| **key_ms > asked_ms).expect("a key frame");
    // Pictures that are in the decoder and the encoder already cannot become one.
    assert!(answered - asked_ms < 200.0, "asked at {asked_ms}: {keys_ms:?}");
    assert_eq!(keys_ms.len(), 2, "the period goes on from there: {keys_ms:?}");
}

#[test]
fn a_browser_that_changes_its_resolution_forty_times_goes_on() {
    let (pictures, changes) = (410, 40);
    let bench = Bench::new(&vp8(pictures, 30, "ball", 500), SourceCodec::Vp8, LIMITS);
    let filter = bench.pipeline.by_name("size").expect("filter");
    let (weak, count) = (filter.downgrade(), Mutex::new(0));
    let source = filter.static_pad("sink").expect("pad");
    source.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let mut count = lock(&count);
        *count += 1;
        if *count % 10 == 0
            && *count / 10 <= changes
            && let Some(filter) = weak.upgrade()
        {
            let (width, height) = if *count / 10 % 2 == 0 { (320, 180) } else { (640, 360) };
            filter.set_property_from_str("caps", &format!("video/x-raw,width={width},height={height},framerate=30/1"));
        }
        gst::PadProbeReturn::Ok
    });
    bench.run();
    let (units, fed_ms) = (bench.out.units(), lock(&bench.fed_ms).clone());
    assert_eq!(units.len(), fed_ms.len(), "not one picture is lost");
    assert!(units.iter().zip(fed_ms).all(|(unit, fed_ms)| (unit.pts_ms - fed_ms).abs() < 1.0));
    let changed: Vec<_> = units.windows(2).filter(|pair| pair[0].size != pair[1].size).map(|pair| &pair[1]).collect();
    assert!(changed.len() >= 35, "{}", changed.len());
    assert!(changed.iter().all(|unit| unit.key), "each size begins with a key frame");
}

#[test]
fn the_rate_follows_the_source_and_stays_below_the_cap_whatever_the_frame_rate() {
    let limits = TranscodeLimits { max_video_bitrate_kbps: 600, ..LIMITS };
    for rate in [10, 30, 60] {
        let bench = Bench::new(&vp8(rate * 12, rate, "snow", 2_000), SourceCodec::Vp8, limits);
        bench.run();
        let kbps = |from_ms: f64, to_ms: f64| {
            let units = bench.out.units();
            let bytes = units.iter().filter(|unit| (from_ms..to_ms).contains(&unit.pts_ms));
            bytes.map(|unit| unit.bytes.size()).sum::<usize>() as f64 * 8.0 / (to_ms - from_ms)
        };
        let all = kbps(0.0, 12_000.0);
        assert!((400.0..=600.0 * 1.05).contains(&all), "{rate} pictures a second: {all} kb/s");
        for second in 0..9 {
            let from_ms = f64::from(second) * 1_000.0;
            let some = kbps(from_ms, from_ms + 3_000.0);
            // What the encoder's buffer may hold on top: 600 ms.
            assert!(some <= 600.0 * 1.25, "{rate} pictures a second, from {second} s: {some} kb/s");
        }
    }
}

/// Decodes AAC; the times at which sound begins after at least half a second of silence, in milliseconds.
fn ticks_ms(units: &[Unit], caps: &gst::Caps) -> Vec<f64> {
    let text = "appsrc name=in format=time ! aacparse ! avdec_aac ! audioconvert ! audio/x-raw,format=S16LE,channels=1 \
        ! appsink name=out sync=false";
    let pipeline = gst::parse::launch(text).expect("plugins").downcast::<gst::Pipeline>().expect("pipeline");
    let source = pipeline.by_name("in").and_downcast::<gst_app::AppSrc>().expect("appsrc");
    let sink = pipeline.by_name("out").and_downcast::<gst_app::AppSink>().expect("appsink");
    source.set_caps(Some(caps));
    let (sender, receiver) = mpsc::channel();
    let take = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let _ = sender.send(sample.buffer_owned().expect("buffer"));
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(take).build());
    pipeline.set_state(gst::State::Playing).expect("playing");
    // Time stamps below zero cannot be pushed: all are moved by a second.
    for unit in units {
        let mut buffer = unit.bytes.copy();
        let pts = gst::ClockTime::from_nseconds(((unit.pts_ms + 1_000.0) * 1e6) as u64);
        let writable = buffer.get_mut().expect("a copy");
        writable.set_pts(pts);
        writable.set_dts(pts);
        source.push_buffer(buffer).expect("taken");
    }
    source.end_of_stream().expect("taken");
    let bus = pipeline.bus().expect("bus");
    bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &[gst::MessageType::Eos]).expect("the end");
    let (mut ticks, mut loud_ms) = (Vec::new(), f64::MIN);
    for buffer in receiver.try_iter() {
        let begin_ms = buffer.pts().expect("time stamp").nseconds() as f64 / 1e6 - 1_000.0;
        let data = buffer.map_readable().expect("readable");
        for (sample, value) in data.chunks_exact(2).enumerate() {
            if i16::from_le_bytes([value[0], value[1]]).unsigned_abs() > 3_000 {
                let at_ms = begin_ms + sample as f64 / 48.0;
                if at_ms - loud_ms > 500.0 {
                    ticks.push(at_ms);
                }
                loud_ms = at_ms;
            }
        }
    }
    pipeline.set_state(gst::State::Null).expect("stopped");
    ticks
}

/// When audiotestsrc begins the tick of second 0, in milliseconds: one buffer of 960 samples ahead of second 1.
const TICK_MS: f64 = 980.0;

/// How far the ticks are from where the source has them, in milliseconds, and of which seconds they are.
fn offsets_ms(ticks_ms: &[f64]) -> (Vec<f64>, Vec<i64>) {
    let seconds: Vec<i64> = ticks_ms.iter().map(|tick_ms| (tick_ms / 1_000.0) as i64).collect();
    let offset = |(tick_ms, second): (&f64, &i64)| tick_ms - *second as f64 * 1_000.0 - TICK_MS;
    (ticks_ms.iter().zip(&seconds).map(offset).collect(), seconds)
}

#[test]
fn opus_becomes_aac_at_its_time() {
    let bench = Bench::new(&opus(6), SourceCodec::Opus, LIMITS);
    bench.run();
    let caps = lock(&bench.out.caps).clone().expect("caps");
    let text = caps.to_string();
    assert!(text.contains("adts") && text.contains("rate=(int)48000") && text.contains("channels=(int)2"), "{text}");
    assert_eq!(*lock(&bench.out.from), Some("Opus"));
    let (offsets, seconds) = offsets_ms(&ticks_ms(&bench.out.units(), &caps));
    assert!(seconds.ends_with(&[0, 1, 2, 3, 4]), "{seconds:?} {offsets:?}");
    assert!(offsets.iter().all(|offset| offset.abs() < 3.0), "{offsets:?}");
    steady(&bench.out.units());
}

/// Each unit follows the one before, apart from the first and last ones: opusenc's first packet is short.
fn steady(units: &[Unit]) {
    for pair in units[2..units.len() - 2].windows(2) {
        let step_ms = pair[1].pts_ms - pair[0].pts_ms;
        assert!((step_ms - 1_024.0 / 48.0).abs() < 1.0, "{step_ms} ms at {}", pair[0].pts_ms);
    }
}

#[test]
fn lost_packets_are_made_up_and_sound_stays_in_sync() {
    for codec in [SourceCodec::Opus, SourceCodec::Pcmu] {
        let bench = Bench::new(&ticking(codec, 9), codec, LIMITS);
        let pad = bench.pipeline.by_name("end").and_then(|end| end.static_pad("sink")).expect("pad");
        let count = Mutex::new(0);
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            let mut count = lock(&count);
            *count += 1;
            // Not the one with the tick, which is the last or the second last of each fifty.
            if *count % 50 != 20 {
                return gst::PadProbeReturn::Ok;
            }
            let at = info.buffer().and_then(|buffer| buffer.pts()).expect("time stamp");
            // As rtpjitterbuffer says it.
            let lost = gst::Structure::builder("GstRTPPacketLost")
                .field("seqnum", 0u32)
                .field("timestamp", at)
                .field("duration", gst::ClockTime::from_mseconds(20))
                .field("retry", 0u32)
                .build();
            pad.send_event(gst::event::CustomDownstream::new(lost));
            TAKE_OUT
        });
        bench.run();
        let caps = lock(&bench.out.caps).clone().expect("caps");
        let (offsets, seconds) = offsets_ms(&ticks_ms(&bench.out.units(), &caps));
        assert!(seconds.ends_with(&[1, 2, 3, 4, 5, 6, 7]), "{codec:?}: {seconds:?} {offsets:?}");
        assert!(offsets.iter().all(|offset| offset.abs() < 3.0), "{codec:?}: {offsets:?}");
        steady(&bench.out.units());
        if codec == SourceCodec::Opus {
            let decoder = bench.pipeline.by_name("decode").expect("decoder");
            let concealed: gst::Structure = decoder.property("stats");
            assert_eq!(concealed.get::<u64>("num-gap"), Ok(9));
        }
    }
}

#[test]
fn after_a_pause_sound_is_in_sync_and_the_pause_stays_one() {
    let codecs = [SourceCodec::Opus, SourceCodec::Pcmu, SourceCodec::Pcma];
    // From wherever in a frame of AAC; to the packet that begins with a tick, or a few milliseconds ahead of it.
    for (codec, from_ms) in codecs.into_iter().flat_map(|codec| [2_505, 2_525, 2_545].map(|from_ms| (codec, from_ms))) {
        let bench = Bench::new(&ticking(codec, 9), codec, LIMITS);
        let pad = bench.pipeline.by_name("end").and_then(|end| end.static_pad("sink")).expect("pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let pts_ms = info.buffer().and_then(|buffer| buffer.pts()).map_or(0, gst::ClockTime::mseconds);
            if (from_ms..5_965).contains(&pts_ms) { TAKE_OUT } else { gst::PadProbeReturn::Ok }
        });
        bench.run();
        let caps = lock(&bench.out.caps).clone().expect("caps");
        let (offsets, seconds) = offsets_ms(&ticks_ms(&bench.out.units(), &caps));
        assert!(seconds.ends_with(&[0, 1, 5, 6, 7]), "{codec:?}: {seconds:?} {offsets:?}");
        assert!(offsets.iter().all(|offset| offset.abs() < 5.0), "{codec:?}: {offsets:?}");
        let within = bench.out.units().iter().filter(|unit| (2_650.0..5_900.0).contains(&unit.pts_ms)).count();
        assert_eq!(within, 0, "{codec:?}: nothing is made up");
    }
}

#[test]
fn a_gap_ahead_of_the_first_packet_or_of_many_seconds_is_no_failure_and_no_sound() {
    let bench = Bench::new(&opus(3), SourceCodec::Opus, LIMITS);
    let end = bench.pipeline.by_name("end").and_then(|end| end.static_pad("src")).expect("pad");
    let count = Mutex::new(0);
    end.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let mut count = lock(&count);
        *count += 1;
        let at = info.buffer().and_then(|buffer| buffer.pts()).expect("time stamp");
        let gap = match *count {
            1 => Some(gst::ClockTime::from_mseconds(20)),
            50 => Some(gst::ClockTime::from_seconds(30)),
            _ => None,
        };
        if let Some(duration) = gap {
            pad.push_event(gst::event::Gap::new(at, duration));
        }
        gst::PadProbeReturn::Ok
    });
    bench.run();
    let units = bench.out.units();
    assert!((140..=145).contains(&units.len()), "{} units of three seconds", units.len());
}

#[test]
fn nothing_of_it_is_left_once_it_was_taken_out() {
    gst::init().expect("GStreamer");
    for codec in [SourceCodec::Opus, SourceCodec::Pcmu, SourceCodec::Pcma, SourceCodec::Vp8, SourceCodec::Vp9] {
        let (pipeline, out) = (gst::Pipeline::new(), Collector::default());
        pipeline.set_state(gst::State::Playing).expect("playing");
        let transcoded = Transcoded::add(&pipeline, codec, &out, LIMITS).expect("added");
        let weak = transcoded.sink.downgrade();
        assert_eq!(*lock(&out.from), Some(codec.as_str()));
        transcoded.remove(&pipeline);
        drop(transcoded);
        // What waits on the bus holds its elements too.
        pipeline.bus().expect("bus").set_flushing(true);
        assert!(weak.upgrade().is_none() && pipeline.children().is_empty(), "{codec:?}");
        assert_eq!(Arc::strong_count(&out.units), 1, "{codec:?}: its callbacks are gone");
        pipeline.set_state(gst::State::Null).expect("stopped");
    }
}
