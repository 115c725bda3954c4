//! Counts and small facts. There are no viewers here: this service forwards, it does not play out;
//! so the numbers of a known stream are 0 and those of an unknown one -1, Ant Media's word for that.

use serde::Serialize;

use crate::manager::BroadcastView;
use crate::model::codec::{Codec, TrackKind};
use crate::model::ids::AppName;

/// `{"number": n}`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::api) struct SimpleStat {
    number: usize,
}

impl From<usize> for SimpleStat {
    fn from(number: usize) -> Self {
        Self { number }
    }
}

/// Who watches one stream.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::api) struct BroadcastStatistics {
    #[serde(rename = "totalRTMPWatchersCount")]
    rtmp: i32,
    #[serde(rename = "totalHLSWatchersCount")]
    hls: i32,
    #[serde(rename = "totalWebRTCWatchersCount")]
    webrtc: i32,
    #[serde(rename = "totalDASHWatchersCount")]
    dash: i32,
}

impl BroadcastStatistics {
    pub(in crate::api) fn of(known: bool) -> Self {
        let count = if known { 0 } else { -1 };
        Self { rtmp: count, hls: count, webrtc: count, dash: count }
    }
}

/// Who watches an application, and how many streams of it are live.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::api) struct AppBroadcastStatistics {
    #[serde(flatten)]
    watchers: BroadcastStatistics,
    #[serde(rename = "activeLiveStreamCount")]
    live: usize,
}

impl AppBroadcastStatistics {
    pub(in crate::api) fn of(live: usize) -> Self {
        Self { watchers: BroadcastStatistics::of(true), live }
    }
}

/// One rendition of a live stream; there is exactly one, the stream itself.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct StreamInfo {
    /// Pixels.
    pub(in crate::api) video_height: u32,
    /// Pixels.
    pub(in crate::api) video_width: u32,
    /// Bits per second.
    pub(in crate::api) video_bitrate: u64,
    /// Bits per second.
    pub(in crate::api) audio_bitrate: u64,
    /// Null without video.
    pub(in crate::api) video_codec: Option<&'static str>,
    /// What the publisher sends, when video is made out of it. Not Ant Media's, so it is there only then.
    #[serde(skip_serializing_if = "Option::is_none")]
    video_transcoded_from: Option<&'static str>,
    /// The same of audio.
    #[serde(skip_serializing_if = "Option::is_none")]
    audio_transcoded_from: Option<&'static str>,
}

impl StreamInfo {
    /// None unless tracks of it are known.
    pub(in crate::api) fn of(view: &BroadcastView) -> Option<Self> {
        let tracks = &view.live.as_ref()?.stream.as_ref()?.tracks;
        if tracks.is_empty() {
            return None;
        }
        let track = |kind| tracks.iter().find(|track| track.codec.kind() == kind);
        let (video, audio) = (track(TrackKind::Video), track(TrackKind::Audio));
        let (video_width, video_height) = video.and_then(|video| video.size).unwrap_or_default();
        Some(Self {
            video_height,
            video_width,
            video_bitrate: video.map_or(0, |video| video.bitrate_bps),
            audio_bitrate: audio.map_or(0, |audio| audio.bitrate_bps),
            video_codec: video.map(|video| codec_name(video.codec)),
            video_transcoded_from: video.and_then(|video| video.transcoded_from),
            audio_transcoded_from: audio.and_then(|audio| audio.transcoded_from),
        })
    }
}

impl StreamInfo {
    /// Bits per second of both tracks.
    pub(in crate::api) fn bitrate_bps(&self) -> u64 {
        self.video_bitrate + self.audio_bitrate
    }

    /// Pixels; 0 while unknown.
    pub(in crate::api) fn width(&self) -> u32 {
        self.video_width
    }

    /// Pixels; 0 while unknown.
    pub(in crate::api) fn height(&self) -> u32 {
        self.video_height
    }
}

/// Ant Media writes its enum's names: capitals.
pub(in crate::api) fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "H264",
        Codec::H265 => "H265",
        Codec::Aac => "AAC",
        Codec::Mpeg => "MP2",
        Codec::Ac3 => "AC3",
        Codec::Opus => "OPUS",
    }
}

/// The applications, as Ant Media lists them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(in crate::api) struct Applications {
    /// Their names, as configured.
    applications: Vec<String>,
}

impl Applications {
    pub(in crate::api) fn of(apps: &[AppName]) -> Self {
        Self { applications: apps.iter().map(ToString::to_string).collect() }
    }
}

/// What serves here.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Version {
    version_name: &'static str,
    version_type: &'static str,
    build_number: &'static str,
}

impl Version {
    pub(in crate::api) fn this() -> Self {
        Self {
            version_name: env!("CARGO_PKG_VERSION"),
            // One of the two words clients know; the other one promises what isn't here.
            version_type: "Community Edition",
            build_number: option_env!("SRT_RESTREAM_BUILD_NUMBER").unwrap_or("unknown"),
        }
    }
}
