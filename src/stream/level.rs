//! How loud a stream's sound is: peak and RMS of each channel, every second.
//!
//! The only place where sound that is passed on is decoded. It must never disturb the stream: the decoder runs in a
//! pipeline of its own, which is handed a second of sound at a time (one wake-up of one thread a second) and nothing
//! while it still has the last one; its errors end it and nothing else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::intake::WeakIntake;
use crate::media::caps::{audio_format, codec_of};
use crate::media::launch::{self, LaunchError};
use crate::media::off_thread::off_thread;
use crate::model::ids::StreamKey;
use crate::model::track::{ChannelLevel, LEVEL_MIN_DBFS};

/// Sound that is handed over at once.
const BATCH: Duration = Duration::from_secs(1);

/// Frames of a batch, should their time stamps not rise: two seconds of the shortest frames (Opus, 2.5 ms).
const BATCH_FRAMES_MAX: usize = 800;

/// A level older than this is that of sound that has ended: a batch takes a second, its decoding much less.
const LEVEL_KEPT: Duration = Duration::from_secs(3);

/// Starting or stopping the pipeline takes a few milliseconds; more than this is a stuck element.
const CHANGE_MAX: Duration = Duration::from_secs(3);

/// What the decoder has said last, and when.
type Said = Arc<Mutex<Option<(Instant, Vec<ChannelLevel>)>>>;

/// The way into the meter, for the thread that pushes sound.
#[derive(Debug)]
pub(super) struct LevelFeed {
    source: gst_app::AppSrc,
    batch: Vec<gst::Buffer>,
    said: Said,
}

impl LevelFeed {
    /// Takes a frame that goes into the stream. Never blocks.
    pub(super) fn take(&mut self, frame: &gst::Buffer) {
        self.batch.push(frame.clone());
        let time = |frame: Option<&gst::Buffer>| frame.and_then(|frame| frame.pts()).unwrap_or_default();
        let span = time(self.batch.last()).saturating_sub(time(self.batch.first()));
        if span.nseconds() < BATCH.as_nanos() as u64 && self.batch.len() < BATCH_FRAMES_MAX {
            return;
        }
        let batch: gst::BufferList = self.batch.drain(..).collect();
        if self.source.current_level_bytes() == 0 {
            // A decoder that has failed refuses: then there is no level.
            let _ = self.source.push_buffer_list(batch);
        }
    }

    /// The last second's levels, while they are of now.
    pub(super) fn levels(&self) -> Vec<ChannelLevel> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = said.as_ref().filter(|(at, _)| at.elapsed() < LEVEL_KEPT);
        fresh.map(|(_, levels)| levels.clone()).unwrap_or_default()
    }
}

/// A running meter; dropping it stops it, which blocks for a moment.
#[derive(Debug)]
struct LevelMeter(gst::Pipeline);

impl LevelMeter {
    /// Starts the decoder of these caps; `None` where there is none for them.
    fn start(key: &StreamKey, caps: &gst::Caps) -> Result<Option<(Self, LevelFeed)>, LevelError> {
        let Some(launch) = codec_of(caps).and_then(launch::level) else { return Ok(None) };
        let meter = Self(launch.pipeline()?);
        let pipeline = &meter.0;
        pipeline.set_property("name", format!("level-{}-{}", key.app, key.id));
        let source: gst_app::AppSrc = launch.element(pipeline, "audio")?;
        source.set_caps(Some(caps));
        let (said, channels) = (Said::default(), audio_format(caps).map(|(_, channels)| channels));
        if let Some(bus) = pipeline.bus() {
            let said = Arc::clone(&said);
            // Nothing waits on the bus: whatever is said is read by who says it.
            bus.set_sync_handler(move |_, message| {
                hear(message, channels, &said);
                gst::BusSyncReply::Drop
            });
        }
        pipeline.set_state(gst::State::Playing)?;
        Ok(Some((meter, LevelFeed { source, batch: Vec::new(), said })))
    }
}

impl Drop for LevelMeter {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
        if let Some(bus) = self.0.bus() {
            bus.unset_sync_handler();
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum LevelError {
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    State(#[from] gst::StateChangeError),
}

fn hear(message: &gst::Message, channels: Option<u32>, said: &Said) {
    match message.view() {
        gst::MessageView::Element(element) => {
            if let Some(mut levels) = element.structure().and_then(levels_of) {
                // faad makes two equal channels of one: sound said to be mono may turn out to be stereo (HE-AAC v2).
                if channels == Some(1) {
                    levels.dedup();
                }
                *said.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), levels));
            }
        }
        gst::MessageView::Error(error) => {
            tracing::debug!(error = %error.error(), "the level of the sound is not measured any more");
        }
        _ => {}
    }
}

/// What a message of `level` says of each channel.
fn levels_of(structure: &gst::StructureRef) -> Option<Vec<ChannelLevel>> {
    if structure.name() != "level" {
        return None;
    }
    let channels = |name: &str| {
        let values = structure.get::<glib::ValueArray>(name).ok()?;
        Some(values.iter().map(|value| value.get::<f64>().unwrap_or(LEVEL_MIN_DBFS)).collect::<Vec<f64>>())
    };
    let levels = channels("peak")?.into_iter().zip(channels("rms")?);
    Some(levels.map(|(peak, rms)| ChannelLevel { peak_dbfs: in_bounds(peak), rms_dbfs: in_bounds(rms) }).collect())
}

/// Silence is minus infinity, or NaN.
fn in_bounds(dbfs: f64) -> f64 {
    dbfs.max(LEVEL_MIN_DBFS)
}

/// Runs a meter for whatever format the sound has, until the stream is closed.
pub(super) async fn run(
    key: StreamKey,
    intake: WeakIntake,
    mut formats: watch::Receiver<Option<gst::Caps>>,
    closed: CancellationToken,
) {
    loop {
        let caps = formats.borrow_and_update().clone();
        let meter = match caps {
            Some(caps) => start(&key, caps, &intake).await,
            None => None,
        };
        let goes_on = tokio::select! {
            changed = formats.changed() => changed.is_ok(),
            () = closed.cancelled() => false,
        };
        intake.set_level(None);
        if let Some(meter) = meter {
            let _ = off_thread("stopping a level meter", CHANGE_MAX, move || drop(meter)).await;
        }
        if !goes_on {
            return;
        }
    }
}

async fn start(key: &StreamKey, caps: gst::Caps, intake: &WeakIntake) -> Option<LevelMeter> {
    let of = key.clone();
    let started = off_thread("starting a level meter", CHANGE_MAX, move || LevelMeter::start(&of, &caps)).await;
    match started {
        Ok(Ok(Some((meter, feed)))) => {
            intake.set_level(Some(feed));
            Some(meter)
        }
        Ok(Ok(None)) => None,
        Ok(Err(error)) => {
            tracing::warn!(stream = %key, %error, "the level of the sound is not measured");
            None
        }
        // It has been logged.
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a source of `gst-launch` be measured for some seconds.
    fn measured(source: &str) -> Vec<ChannelLevel> {
        gst::init().expect("GStreamer");
        let text = format!("{source} ! appsink name=out sync=false max-buffers=0");
        let pipeline = gst::parse::launch(&text).expect("plugins").downcast::<gst::Pipeline>().expect("a pipeline");
        let sink = pipeline.by_name("out").and_downcast::<gst_app::AppSink>().expect("appsink");
        pipeline.set_state(gst::State::Playing).expect("plays");
        let key: StreamKey = StreamKey { app: "live".parse().expect("app"), id: "test".parse().expect("id") };
        let mut running: Option<(LevelMeter, LevelFeed)> = None;
        while let Ok(sample) = sink.pull_sample() {
            let caps = sample.caps().expect("caps").to_owned();
            let (_, feed) =
                running.get_or_insert_with(|| LevelMeter::start(&key, &caps).expect("started").expect("a known codec"));
            feed.take(&sample.buffer_owned().expect("a buffer"));
            // As slow as sound is, at most: what comes while the last second is decoded is dropped.
            let deadline = Instant::now() + Duration::from_secs(5);
            while feed.batch.is_empty() && feed.source.current_level_bytes() > 0 && Instant::now() < deadline {
                std::thread::yield_now();
            }
        }
        pipeline.set_state(gst::State::Null).expect("stops");
        let (_meter, feed) = running.expect("some sound");
        let deadline = Instant::now() + Duration::from_secs(5);
        while feed.levels().is_empty() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        feed.levels()
    }

    #[test]
    fn each_codecs_level_is_that_of_what_was_encoded() {
        // A sine of a tenth of full scale: peak -20 dBFS, RMS 3.01 dB less.
        let sine = "audiotestsrc wave=sine freq=1000 volume=0.1 num-buffers=200 samplesperbuffer=1024 \
                    ! audio/x-raw,rate=48000,channels=2";
        for encoder in [
            "voaacenc ! aacparse ! audio/mpeg,stream-format=adts",
            "avenc_mp2 ! mpegaudioparse",
            "avenc_ac3 ! ac3parse",
            "opusenc ! opusparse",
        ] {
            let levels = measured(&format!("{sine} ! audioconvert ! {encoder}"));
            assert_eq!(levels.len(), 2, "{encoder}: {levels:?}");
            for level in levels {
                assert!((level.peak_dbfs + 20.0).abs() < 1.0, "{encoder}: {level:?}");
                assert!((level.rms_dbfs + 23.0).abs() < 1.0, "{encoder}: {level:?}");
            }
        }
    }

    #[test]
    fn silence_has_a_number() {
        let levels = measured(
            "audiotestsrc wave=silence num-buffers=200 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=1 \
             ! voaacenc ! aacparse ! audio/mpeg,stream-format=adts",
        );
        assert_eq!(levels, [ChannelLevel { peak_dbfs: LEVEL_MIN_DBFS, rms_dbfs: LEVEL_MIN_DBFS }]);
    }
}
