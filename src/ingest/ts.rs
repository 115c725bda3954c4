//! MPEG-TS (or fragmented MP4) into elementary streams: a demuxer and a parser for each track that can be carried on.
//!
//! The hard thing is a programme that changes while it runs (an encoder's restart): the demuxer brings
//! new pads before it takes the old ones away, and the number in a pad's name tells the generations apart.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use crate::ingest::IngestError;
use crate::ingest::track::{Door, Track};
use crate::media::caps::codec_of;
use crate::media::known::{self, Role};
use crate::media::launch::{INGEST_MP4, INGEST_TS, Launch};
use crate::model::ids::StreamKey;

/// What a demuxer that is at its end may still take: what it holds is less than a segment, and it waits for nobody.
const DRAIN_MAX: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// The tracks that are carried on, and the demuxer's generation each came with.
type Tracks = Arc<Mutex<[Option<(Track, String)>; 2]>>;

/// The demuxing pipeline of one connection. Dropping it stops it.
#[derive(Debug)]
pub(super) struct TsIngest {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
}

impl TsIngest {
    /// Builds and starts `pipelines/ingest-mp4.launch`, for fragmented MP4.
    pub(super) fn start_mp4(key: &StreamKey, input: &(impl Door + Sync)) -> Result<Self, IngestError> {
        Self::start_as(INGEST_MP4, key, input)
    }

    /// Builds and starts `pipelines/ingest-ts.launch`.
    pub(super) fn start(key: &StreamKey, input: &(impl Door + Sync)) -> Result<Self, IngestError> {
        Self::start_as(INGEST_TS, key, input)
    }

    fn start_as(text: Launch, key: &StreamKey, input: &(impl Door + Sync)) -> Result<Self, IngestError> {
        let pipeline = text.pipeline()?;
        pipeline.set_property("name", format!("ingest-{}-{}", key.app, key.id));
        known::add_with_threads(&pipeline, key, Role::Ingest);
        let source: gst_app::AppSrc = text.element(&pipeline, if text == INGEST_MP4 { "mp4" } else { "ts" })?;
        let demux: gst::Element = text.element(&pipeline, "demux")?;
        let tracks = Tracks::default();
        let weak = pipeline.downgrade();
        let (added_tracks, added_input) = (Arc::clone(&tracks), input.clone());
        demux.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = weak.upgrade() {
                add(&pipeline, pad, &added_tracks, &added_input);
            }
        });
        let weak = pipeline.downgrade();
        demux.connect_pad_removed(move |_, pad| {
            if let Some(pipeline) = weak.upgrade() {
                remove(&pipeline, pad, &tracks);
            }
        });
        pipeline.set_state(gst::State::Playing)?;
        Ok(Self { pipeline, source })
    }

    /// Takes a piece, of any length.
    pub(super) fn push(&self, bytes: impl AsRef<[u8]> + Send + 'static) {
        if let Err(flow) = self.source.push_buffer(gst::Buffer::from_slice(bytes)) {
            tracing::debug!(?flow, "the demuxer takes nothing more");
        }
    }

    /// Nothing follows: lets out what the demuxer holds, its last units too, which it would keep for more of them. Blocks
    /// until that is done, [`DRAIN_MAX`] at most.
    pub(super) fn finish(&self) {
        if self.source.end_of_stream().is_err() {
            return;
        }
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        if let Some(bus) = self.pipeline.bus()
            && bus.timed_pop_filtered(DRAIN_MAX, &ends).is_none()
        {
            tracing::debug!("the demuxer did not come to its end in time");
        }
    }

    /// The first error since the last call.
    pub(super) fn take_error(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(error.error().to_string()),
            _ => None,
        }
    }
}

impl Drop for TsIngest {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The generation in a demuxer pad's name: `video_0_00100` is generation 0, PID 0x100.
fn generation(pad: &gst::Pad) -> String {
    pad.name().split('_').nth(1).unwrap_or_default().to_owned()
}

/// A pad of the demuxer: linked when its codec can be carried on and its kind is not taken.
fn add(pipeline: &gst::Pipeline, pad: &gst::Pad, tracks: &Tracks, input: &impl Door) {
    let caps = pad.current_caps().or_else(|| Some(pad.query_caps(None)));
    let Some(codec) = caps.as_deref().and_then(codec_of) else {
        tracing::warn!(pad = %pad.name(), caps = ?caps.as_deref().and_then(|c| c.structure(0)).map(gst::StructureRef::name),
            "this elementary stream cannot be carried on; the others are");
        return;
    };
    let kind = codec.kind();
    let mut tracks = tracks.lock().unwrap_or_else(PoisonError::into_inner);
    let slot = &mut tracks[kind.index()];
    let generation = generation(pad);
    match slot {
        Some((_, running)) if *running == generation => {
            tracing::info!(pad = %pad.name(), %codec, "another {kind} track; the first one is kept");
            return;
        }
        // The programme was replaced.
        Some((old, _)) => old.remove(pipeline),
        None => {}
    }
    whole_access_units(pad);
    match Track::add(pipeline, codec, input, 0) {
        Ok(track) => {
            input.expect(kind);
            if let Err(error) = pad.link(&track.sink) {
                tracing::error!(pad = %pad.name(), %error, "the track could not be linked");
                track.remove(pipeline);
                return;
            }
            tracing::info!(pad = %pad.name(), %codec, "track");
            *slot = Some((track, generation));
        }
        Err(error) => tracing::error!(pad = %pad.name(), %error, "the track could not be parsed"),
    }
}

fn remove(pipeline: &gst::Pipeline, pad: &gst::Pad, tracks: &Tracks) {
    let mut tracks = tracks.lock().unwrap_or_else(PoisonError::into_inner);
    for slot in tracks.iter_mut() {
        let is_its = slot.as_ref().is_some_and(|(track, running)| {
            *running == generation(pad) && track.sink.peer().is_none_or(|peer| peer == *pad)
        });
        if is_its && let Some((track, _)) = slot.take() {
            track.remove(pipeline);
        }
    }
}

/// Says that each PES is an access unit, as encoders make them: the parser then need not wait for the
/// next picture's start, which would cost a frame of delay.
fn whole_access_units(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &info.data
            && let gst::EventView::Caps(caps) = event.view()
        {
            let mut caps = caps.caps_owned();
            if caps.structure(0).is_some_and(|s| matches!(s.name().as_str(), "video/x-h264" | "video/x-h265")) {
                caps.make_mut().set("alignment", "au");
                info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&caps)));
            }
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use tokio::sync::watch;

    use super::*;
    use crate::model::codec::TrackKind;
    use crate::stream::AccessUnit;

    #[derive(Clone)]
    struct Collector(Sender<TrackKind>);

    impl Door for Collector {
        fn set_caps(&self, _: TrackKind, _: &gst::Caps) {}

        fn push(&self, unit: AccessUnit) {
            self.0.send(unit.kind).expect("the test waits");
        }

        fn set_transcoded(&self, _: TrackKind, _: Option<&'static str>) {}

        fn key_frame_requests(&self) -> watch::Receiver<u64> {
            watch::channel(0).1
        }
    }

    /// A transport stream of so many pictures.
    fn recording(pictures: u32) -> Vec<u8> {
        let text = format!(
            "videotestsrc num-buffers={pictures} ! video/x-raw,width=160,height=120,framerate=25/1 \
             ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse ! mpegtsmux \
             ! appsink name=out sync=false max-buffers=0"
        );
        let pipeline = gst::parse::launch(&text).expect("plugins").downcast::<gst::Pipeline>().expect("a pipeline");
        let sink = pipeline.by_name("out").and_downcast::<gst_app::AppSink>().expect("appsink");
        pipeline.set_state(gst::State::Playing).expect("plays");
        let mut bytes = Vec::new();
        while let Ok(sample) = sink.pull_sample() {
            bytes.extend_from_slice(&sample.buffer().expect("a buffer").map_readable().expect("readable"));
        }
        pipeline.set_state(gst::State::Null).expect("stops");
        bytes
    }

    #[test]
    fn at_its_end_nothing_stays_inside() {
        const PICTURES: u32 = 60;
        gst::init().expect("GStreamer");
        let key = StreamKey { app: "live".parse().expect("app"), id: "ts".parse().expect("id") };
        let (sender, units) = channel();
        let ingest = TsIngest::start(&key, &Collector(sender)).expect("starts");
        for piece in recording(PICTURES).chunks(1_316) {
            ingest.push(piece.to_vec());
        }
        ingest.finish();
        drop(ingest);
        assert_eq!(units.iter().count(), PICTURES as usize);
    }
}
