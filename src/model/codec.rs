//! What a track carries. Names only; the caps that go with them live in `media`.

use std::fmt;

/// Which of the two tracks of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl TrackKind {
    /// Both kinds, video first.
    pub const ALL: [Self; 2] = [Self::Video, Self::Audio];

    /// Its place in an array by track: video 0, audio 1.
    pub fn index(self) -> usize {
        match self {
            Self::Video => 0,
            Self::Audio => 1,
        }
    }

    /// `video` or `audio`: element names and log fields.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

impl fmt::Display for TrackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The codecs that pass through to MPEG-TS unchanged (ISO/IEC 13818-1 and its registered extensions).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// H.264 / AVC.
    H264,
    /// H.265 / HEVC.
    H265,
    /// AAC.
    Aac,
    /// MPEG-1/2 audio, layers I to III.
    Mpeg,
    /// AC-3.
    Ac3,
    /// Opus (ETSI TS 103 491's mapping is not used; FFmpeg's registration descriptor `Opus` is).
    Opus,
}

impl Codec {
    /// Video or audio.
    pub fn kind(self) -> TrackKind {
        match self {
            Self::H264 | Self::H265 => TrackKind::Video,
            Self::Aac | Self::Mpeg | Self::Ac3 | Self::Opus => TrackKind::Audio,
        }
    }

    /// Lower-case name, as in FFmpeg (`h264`, `hevc` is written `h265`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Aac => "aac",
            Self::Mpeg => "mp2",
            Self::Ac3 => "ac3",
            Self::Opus => "opus",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which tracks of a stream's running publication have begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Begun {
    /// Endpoints may connect: every announced track has begun, or waiting for it is over. False again while a
    /// stream waits for its publisher to come back.
    pub live: bool,
    /// Video has begun.
    pub video: bool,
    /// Audio has begun.
    pub audio: bool,
}

impl Begun {
    /// Whether this track has begun.
    pub fn has(self, kind: TrackKind) -> bool {
        match kind {
            TrackKind::Video => self.video,
            TrackKind::Audio => self.audio,
        }
    }
}
