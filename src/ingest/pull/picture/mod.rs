//! `test://`: a picture with a running clock, and a beep each second with a flash, made here.
//!
//! Owns the pipeline `pull-test.launch` and what is painted into its pictures. It is for trying endpoints without a
//! camera, and for judging lip sync: flash and beep begin at the same sample of the same clock.

mod paint;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::attempt::{Attempt, LOOK};
use super::bytes::NOWHERE;
use super::failure::{Failure, Phase};
use super::meter::Metered;
use crate::ingest::track::{Door as _, Track};
use crate::ingest::transcode::{PRIMING_NS, force_keys};
use crate::ingest::{IngestError, TAKE_OUT};
use crate::media::bus::{BusEvent, classify};
use crate::media::known::{self, Role};
use crate::media::launch::PULL_TEST;
use crate::model::codec::{Codec, TrackKind};
use crate::model::source::TestPicture;

/// How long flash and beep last.
const FLASH_NS: u64 = 100_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// Key frames come each so many seconds, and when a receiver waits for one.
const KEY_FRAME_INTERVAL_S: u32 = 2;

/// Runs until it is stopped.
pub(super) fn run(attempt: &Attempt, picture: &TestPicture) -> Result<(), Failure> {
    let peer: SocketAddr = NOWHERE;
    let mut feed = attempt.publish(peer)?;
    let internal = |error: IngestError| Failure::new(Phase::Open, error.to_string());
    let pipeline = Pipeline(start(attempt, picture, &feed.door).map_err(internal)?);
    loop {
        let wait = gst::ClockTime::from_mseconds(LOOK.as_millis() as u64);
        let message = pipeline.0.bus().and_then(|bus| bus.timed_pop_filtered(wait, &[gst::MessageType::Error]));
        if let Some(BusEvent::Error { text, .. }) = message.as_ref().and_then(classify) {
            return Err(Failure::new(Phase::Receive, text));
        }
        feed.check()?;
    }
}

/// Stops its pipeline when dropped.
struct Pipeline(gst::Pipeline);

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

fn start(attempt: &Attempt, picture: &TestPicture, door: &Metered) -> Result<gst::Pipeline, IngestError> {
    let pipeline = PULL_TEST.pipeline()?;
    pipeline.set_property("name", format!("pull-{}-{}", attempt.key.app, attempt.key.id));
    known::add_with_threads(&pipeline, &attempt.key, Role::Pull);
    let element = |name| PULL_TEST.element::<gst::Element>(&pipeline, name);
    let (raw, encode, video, beep, audio) =
        (element("raw")?, element("encode")?, element("video")?, element("beep")?, element("audio")?);
    let size = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
    raw.set_property(
        "caps",
        gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", size(picture.width))
            .field("height", size(picture.height))
            .field("framerate", gst::Fraction::new(size(picture.fps), 1))
            .build(),
    );
    encode.set_property("bitrate", picture.bitrate_kbps);
    encode.set_property("key-int-max", picture.fps * KEY_FRAME_INTERVAL_S);
    beep.set_property("freq", f64::from(picture.tone_hz));
    let periods = u64::from(picture.tone_hz) * FLASH_NS / SECOND_NS;
    beep.set_property("sine-periods-per-tick", u32::try_from(periods).unwrap_or(1).max(1));
    paint(&raw, picture)?;
    let pictures = encode.static_pad("sink").ok_or_else(|| IngestError::Refused("an encoder without pad".into()))?;
    force_keys(&pictures, door, Duration::from_secs(KEY_FRAME_INTERVAL_S.into()));
    door.expect(TrackKind::Video);
    door.expect(TrackKind::Audio);
    let priming_ns = i64::try_from(PRIMING_NS).unwrap_or(0);
    for (from, codec, bias_ns) in [(video, Codec::H264, 0), (audio, Codec::Aac, priming_ns)] {
        let track = Track::add(&pipeline, codec, door, bias_ns)?;
        let pad = from.static_pad("src").ok_or_else(|| IngestError::Refused("an encoder without pad".into()))?;
        pad.link(&track.sink).map_err(|error| IngestError::Refused(error.to_string()))?;
    }
    pipeline.set_state(gst::State::Playing)?;
    Ok(pipeline)
}

/// Paints clock, flash and number into each picture on its way to the encoder.
fn paint(raw: &gst::Element, picture: &TestPicture) -> Result<(), IngestError> {
    let pad = raw.static_pad("src").ok_or_else(|| IngestError::Refused("a filter without pad".into()))?;
    let canvas = paint::Canvas::new(picture.width as usize, picture.height as usize);
    let fps = u64::from(picture.fps);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else { return gst::PadProbeReturn::Ok };
        // x264enc stops the process when it meets a picture without a time stamp.
        let Some(at) = buffer.pts() else { return TAKE_OUT };
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let number = (at.nseconds() * fps + SECOND_NS / 2) / SECOND_NS;
        if let Ok(mut map) = buffer.make_mut().map_writable() {
            canvas.paint(&mut map, &paint::clock(time), number, at.nseconds() % SECOND_NS < FLASH_NS);
        }
        gst::PadProbeReturn::Ok
    });
    Ok(())
}
