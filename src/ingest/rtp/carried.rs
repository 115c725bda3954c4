//! Which encodings of RTP can be carried on, and how.
//!
//! The one table of `encoding-name`s; must not know pipelines.

use gstreamer as gst;

use crate::ingest::transcode::SourceCodec;
use crate::media::launch::{self, Launch};
use crate::model::codec::{Codec, TrackKind};

/// How an encoding is carried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest) enum Carried {
    /// As it is.
    AsItIs(Codec),
    /// Made into what MPEG-TS carries.
    Made(SourceCodec),
}

/// An encoding that nobody can take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{media} as {encoding} cannot be carried; wanted: H264, H265, VP8, VP9, MPEG4-GENERIC, MP4A-LATM, MPA, AC3, OPUS, PCMU, PCMA, L16 or L24"
)]
pub(in crate::ingest) struct NotCarried {
    /// `video`, `audio`, or what else the m-line says.
    pub(in crate::ingest) media: String,
    /// The encoding's name.
    pub(in crate::ingest) encoding: String,
}

/// By `encoding-name` as GStreamer writes it: upper case.
const TABLE: [(&str, Carried); 14] = [
    ("H264", Carried::AsItIs(Codec::H264)),
    ("H265", Carried::AsItIs(Codec::H265)),
    ("VP8", Carried::Made(SourceCodec::Vp8)),
    ("VP9", Carried::Made(SourceCodec::Vp9)),
    // A browser only: what RTSP publishers send is taken out of RTP by GStreamer, whose 1.22 lacks this one.
    ("AV1", Carried::Made(SourceCodec::Av1)),
    ("MPEG4-GENERIC", Carried::AsItIs(Codec::Aac)),
    ("MP4A-LATM", Carried::AsItIs(Codec::Aac)),
    ("MPA", Carried::AsItIs(Codec::Mpeg)),
    ("AC3", Carried::AsItIs(Codec::Ac3)),
    ("OPUS", Carried::Made(SourceCodec::Opus)),
    ("PCMU", Carried::Made(SourceCodec::Pcmu)),
    ("PCMA", Carried::Made(SourceCodec::Pcma)),
    ("L16", Carried::Made(SourceCodec::L16)),
    ("L24", Carried::Made(SourceCodec::L24)),
];

/// Payload types that need no name (RFC 3551, tables 4 and 5).
const STATIC: [(i32, &str); 5] = [(0, "PCMU"), (8, "PCMA"), (10, "L16"), (11, "L16"), (14, "MPA")];

impl Carried {
    /// By the `encoding-name` of RTP caps.
    pub(in crate::ingest) fn named(encoding: &str) -> Option<Self> {
        TABLE.iter().find(|(name, _)| *name == encoding).map(|(_, carried)| *carried)
    }

    /// Video or audio.
    pub(in crate::ingest) fn kind(self) -> TrackKind {
        match self {
            Self::AsItIs(codec) => codec.kind(),
            Self::Made(codec) => codec.target().kind(),
        }
    }
}

/// What RTP caps describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest) struct Encoding {
    /// How it is carried on.
    pub(in crate::ingest) carried: Carried,
    /// What takes it out of RTP.
    pub(in crate::ingest) depay: Launch,
}

impl Encoding {
    /// By RTP caps as a whole: MPEG4-GENERIC, for one, may be pictures, which nobody takes.
    ///
    /// # Errors
    /// [`NotCarried`], with the names for the log.
    pub(in crate::ingest) fn from_caps(caps: &gst::CapsRef) -> Result<Self, NotCarried> {
        let text = |name: &str| {
            let structure = caps.structure(0);
            structure.and_then(|structure| structure.get::<String>(name).ok()).unwrap_or_default()
        };
        let (media, mut name) = (text("media"), text("encoding-name").to_ascii_uppercase());
        if name.is_empty()
            && let Some(payload_type) = caps.structure(0).and_then(|structure| structure.get::<i32>("payload").ok())
        {
            let known = STATIC.iter().find(|(number, _)| *number == payload_type).map(|(_, name)| (*name).to_owned());
            name = known.unwrap_or_else(|| format!("payload type {payload_type}"));
        }
        let found = Carried::named(&name).filter(|carried| carried.kind().as_str() == media);
        match (found, launch::depay(&name)) {
            (Some(carried), Some(depay)) => Ok(Self { carried, depay }),
            _ => Err(NotCarried { media: cut(media), encoding: cut(name) }),
        }
    }
}

/// A name from outside, short enough for a log line.
fn cut(name: String) -> String {
    const NAME_CHARS_MAX: usize = 32;
    if name.chars().count() <= NAME_CHARS_MAX { name } else { name.chars().take(NAME_CHARS_MAX).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_of_the_table_but_av1_has_its_launch_text() {
        for (name, carried) in TABLE {
            assert_eq!(launch::depay(name).is_some(), name != "AV1", "{name}");
            assert_eq!(Carried::named(name), Some(carried));
        }
    }

    #[test]
    fn what_nobody_takes_is_refused_by_name() {
        gst::init().expect("GStreamer");
        let caps = |media: &str, encoding: &str| {
            gst::Caps::builder("application/x-rtp").field("media", media).field("encoding-name", encoding).build()
        };
        let carried = |media, encoding| Encoding::from_caps(&caps(media, encoding)).map(|encoding| encoding.carried);
        assert_eq!(carried("video", "H265"), Ok(Carried::AsItIs(Codec::H265)));
        assert_eq!(carried("audio", "MPEG4-GENERIC"), Ok(Carried::AsItIs(Codec::Aac)));
        let refused = carried("video", "MPEG4-GENERIC").expect_err("pictures");
        assert!(refused.to_string().starts_with("video as MPEG4-GENERIC cannot"), "{refused}");
        let refused = carried("video", &"J".repeat(1_000)).expect_err("long");
        assert!(refused.to_string().len() < 200, "{refused}");
        let numbered = |number: i32| {
            let caps = gst::Caps::builder("application/x-rtp").field("media", "audio").field("payload", number).build();
            Encoding::from_caps(&caps).map(|encoding| encoding.carried)
        };
        assert_eq!(numbered(8), Ok(Carried::Made(SourceCodec::Pcma)));
        assert_eq!(numbered(14), Ok(Carried::AsItIs(Codec::Mpeg)));
        assert!(numbered(18).expect_err("G.729").to_string().contains("audio as payload type 18 "));
        let nothing = gst::Caps::new_empty_simple("application/x-rtp");
        assert!(Encoding::from_caps(&nothing).is_err());
    }
}
