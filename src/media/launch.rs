//! The launch texts of `pipelines/`: what an operator runs by hand is what the service runs.
//!
//! User data never goes into a text (a stream id may hold `!`): parse first, then set properties.

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::model::codec::Codec;

/// A launch text with its comments stripped, and the name of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// The file's name without `.launch`.
    pub name: &'static str,
    text: &'static str,
}

macro_rules! launch {
    ($name:literal) => {
        Launch { name: $name, text: include_str!(concat!("../../pipelines/", $name, ".launch")) }
    };
}

/// One published stream.
pub const STREAM: Launch = launch!("stream");
/// One SRT endpoint.
pub const ENDPOINT: Launch = launch!("endpoint");
/// One SRT endpoint that is called.
pub const ENDPOINT_LISTENER: Launch = launch!("endpoint-listener");
/// MPEG-TS from an SRT publisher.
pub const INGEST_TS: Launch = launch!("ingest-ts");
/// Fragmented MP4 of an HLS source.
pub const INGEST_MP4: Launch = launch!("ingest-mp4");
/// Bytes of an SRT source.
pub const PULL_SRT: Launch = launch!("pull-srt");
/// Bytes of a UDP source.
pub const PULL_UDP: Launch = launch!("pull-udp");
/// Bytes of an RTMP source.
pub const PULL_RTMP: Launch = launch!("pull-rtmp");
/// An RTSP source.
pub const PULL_RTSP: Launch = launch!("pull-rtsp");
/// The test picture.
pub const PULL_TEST: Launch = launch!("pull-test");
/// A WebRTC publisher's peer connection.
pub const INGEST_WEBRTC: Launch = launch!("ingest-webrtc");
const DEPAY: [(&str, Launch); 13] = [
    ("H264", launch!("depay-h264")),
    ("H265", launch!("depay-h265")),
    ("VP8", launch!("depay-vp8")),
    ("VP9", launch!("depay-vp9")),
    ("OPUS", launch!("depay-opus")),
    ("PCMU", launch!("depay-pcmu")),
    ("PCMA", launch!("depay-pcma")),
    ("L16", launch!("depay-l16")),
    ("L24", launch!("depay-l24")),
    ("MPEG4-GENERIC", launch!("depay-aac")),
    ("MP4A-LATM", launch!("depay-latm")),
    ("MPA", launch!("depay-mpeg")),
    ("AC3", launch!("depay-ac3")),
];
/// Opus to AAC.
pub const TRANSCODE_OPUS: Launch = launch!("transcode-opus");
/// G.711 µ-law to AAC.
pub const TRANSCODE_PCMU: Launch = launch!("transcode-pcmu");
/// G.711 A-law to AAC.
pub const TRANSCODE_PCMA: Launch = launch!("transcode-pcma");
/// PCM to AAC.
pub const TRANSCODE_PCM: Launch = launch!("transcode-pcm");
/// VP8 to H.264.
pub const TRANSCODE_VP8: Launch = launch!("transcode-vp8");
/// VP9 to H.264.
pub const TRANSCODE_VP9: Launch = launch!("transcode-vp9");
/// AV1 to H.264.
pub const TRANSCODE_AV1: Launch = launch!("transcode-av1");
const PARSE: [Launch; 6] = [
    launch!("parse-h264"),
    launch!("parse-h265"),
    launch!("parse-aac"),
    launch!("parse-mpeg"),
    launch!("parse-ac3"),
    launch!("parse-opus"),
];

/// The parser of a codec: `… name=parse ! … name=pin ! appsink name=out`.
pub fn parse(codec: Codec) -> Launch {
    PARSE[match codec {
        Codec::H264 => 0,
        Codec::H265 => 1,
        Codec::Aac => 2,
        Codec::Mpeg => 3,
        Codec::Ac3 => 4,
        Codec::Opus => 5,
    }]
}

const LEVEL: [Launch; 4] = [launch!("level-aac"), launch!("level-mpeg"), launch!("level-ac3"), launch!("level-opus")];

/// The level meter of a codec: `appsrc name=audio ! … ! level name=level ! fakesink`; `None` for pictures.
pub fn level(codec: Codec) -> Option<Launch> {
    match codec {
        Codec::H264 | Codec::H265 => None,
        Codec::Aac => Some(LEVEL[0]),
        Codec::Mpeg => Some(LEVEL[1]),
        Codec::Ac3 => Some(LEVEL[2]),
        Codec::Opus => Some(LEVEL[3]),
    }
}

const PREVIEW: [Launch; 2] = [launch!("preview-h264"), launch!("preview-h265")];

/// The stills of a codec's pictures: `… name=decode ! … ! appsink name=out`; `None` for sound.
pub fn preview(codec: Codec) -> Option<Launch> {
    match codec {
        Codec::H264 => Some(PREVIEW[0]),
        Codec::H265 => Some(PREVIEW[1]),
        Codec::Aac | Codec::Mpeg | Codec::Ac3 | Codec::Opus => None,
    }
}

/// The depayloader of what RTP caps call `encoding-name`: `… name=depay`. `None`: GStreamer has none.
pub fn depay(encoding: &str) -> Option<Launch> {
    DEPAY.iter().find(|(name, _)| *name == encoding).map(|(_, launch)| *launch)
}

/// A launch text that could not be built, or lacks an element that the code looks up.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// GStreamer's parser refused it (a plugin is missing, or the text is wrong).
    #[error("pipelines/{file}.launch: {reason}")]
    Parse {
        /// The file's name without `.launch`.
        file: &'static str,
        /// GStreamer's words.
        reason: String,
    },
    /// No element of that name and type in it.
    #[error("pipelines/{file}.launch holds no fitting element named {element:?}")]
    Element {
        /// The file's name without `.launch`.
        file: &'static str,
        /// The name looked for.
        element: &'static str,
    },
}

impl Launch {
    /// The text without its comment lines.
    pub fn stripped(&self) -> String {
        self.text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
    }

    /// Builds it as a pipeline of its own.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn pipeline(&self) -> Result<gst::Pipeline, LaunchError> {
        let parsed = gst::parse::launch(&self.stripped()).map_err(|error| self.refused(&error))?;
        // The parser makes no pipeline around an element that stands alone.
        parsed.downcast::<gst::Pipeline>().or_else(|element| {
            let pipeline = gst::Pipeline::new();
            let refused =
                |error: gst::glib::BoolError| LaunchError::Parse { file: self.name, reason: error.to_string() };
            pipeline.add(&element).map_err(refused)?;
            Ok(pipeline)
        })
    }

    /// Builds it as a bin without ghost pads, to be added to a pipeline.
    ///
    /// # Errors
    /// See [`LaunchError`].
    pub fn bin(&self) -> Result<gst::Bin, LaunchError> {
        gst::parse::bin_from_description(&self.stripped(), false).map_err(|error| self.refused(&error))
    }

    /// The element of that name and type inside `bin`.
    ///
    /// # Errors
    /// [`LaunchError::Element`].
    pub fn element<T: IsA<gst::Element>>(
        &self,
        bin: &impl IsA<gst::Bin>,
        name: &'static str,
    ) -> Result<T, LaunchError> {
        bin.as_ref()
            .by_name(name)
            .and_then(|element| element.downcast::<T>().ok())
            .ok_or(LaunchError::Element { file: self.name, element: name })
    }

    fn refused(&self, error: &gst::glib::Error) -> LaunchError {
        LaunchError::Parse { file: self.name, reason: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSCODE: [Launch; 7] =
        [TRANSCODE_OPUS, TRANSCODE_PCMU, TRANSCODE_PCMA, TRANSCODE_PCM, TRANSCODE_VP8, TRANSCODE_VP9, TRANSCODE_AV1];

    #[test]
    fn every_text_parses_and_holds_the_elements_the_code_looks_up() {
        gst::init().expect("GStreamer");
        for (launch, elements) in [
            (STREAM, &["video", "video_pin", "video_tee", "audio", "audio_pin", "audio_tee"][..]),
            (ENDPOINT, &["mux", "sink"]),
            (ENDPOINT_LISTENER, &["mux", "sink"]),
            (INGEST_TS, &["ts", "demux"]),
            (INGEST_MP4, &["mp4", "demux"]),
            (INGEST_WEBRTC, &["peer"]),
            (PULL_SRT, &["source", "out"]),
            (PULL_UDP, &["source", "out"]),
            (PULL_RTMP, &["source", "out"]),
            (PULL_RTSP, &["source"]),
            (PULL_TEST, &["picture", "raw", "encode", "video", "beep", "audio"]),
        ] {
            let pipeline = launch.pipeline().expect(launch.name);
            for name in elements {
                launch.element::<gst::Element>(&pipeline, name).expect("named in the file");
            }
        }
        for launch in LEVEL {
            let pipeline = launch.pipeline().expect(launch.name);
            for name in ["audio", "level"] {
                launch.element::<gst::Element>(&pipeline, name).expect("named in the file");
            }
        }
        for launch in PREVIEW {
            let pipeline = launch.pipeline().expect(launch.name);
            for name in ["decode", "out"] {
                launch.element::<gst::Element>(&pipeline, name).expect("named in the file");
            }
        }
        for launch in PARSE {
            let bin = launch.bin().expect(launch.name);
            for name in ["parse", "pin", "out"] {
                launch.element::<gst::Element>(&bin, name).expect("named in the file");
            }
        }
        for (_, launch) in DEPAY {
            let bin = launch.bin().expect(launch.name);
            launch.element::<gst::Element>(&bin, "depay").expect("named in the file");
        }
        for launch in TRANSCODE {
            let bin = launch.bin().expect(launch.name);
            for name in ["decode", "raw", "encode", "parse", "pin", "out"] {
                launch.element::<gst::Element>(&bin, name).expect("named in the file");
            }
        }
    }

    #[test]
    fn every_file_of_the_directory_is_loaded() {
        let depay = DEPAY.map(|(_, launch)| launch);
        let pull = [PULL_SRT, PULL_UDP, PULL_RTMP, PULL_RTSP, PULL_TEST];
        let all = [STREAM, ENDPOINT, ENDPOINT_LISTENER, INGEST_TS, INGEST_MP4, INGEST_WEBRTC]
            .into_iter()
            .chain(pull)
            .chain(PARSE)
            .chain(depay)
            .chain(TRANSCODE)
            .chain(LEVEL)
            .chain(PREVIEW);
        let known: Vec<_> = all.map(|launch| launch.name.to_owned()).collect();
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines")).expect("directory") {
            let name = entry.expect("entry").file_name().into_string().expect("ASCII");
            if let Some(name) = name.strip_suffix(".launch") {
                assert!(known.contains(&name.to_owned()), "{name}.launch is used by nobody");
            }
        }
    }
}
