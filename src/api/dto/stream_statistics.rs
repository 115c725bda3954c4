//! The numbers of a live stream: what it takes in, track by track, and how its publisher's way is.
//!
//! Units stand in the names; `docs/statistics.md` has the source of each. What is not known is null; what another kind
//! of track has is absent.

use std::time::SystemTime;

use serde::Serialize;

use super::endpoint_statistics::LatencyAdviceResource;
use super::statistics::codec_name;
use crate::manager::{BroadcastView, unix_ms};
use crate::model::codec::TrackKind;
use crate::model::ingest::IngestStatistics;
use crate::model::track::{ChannelLevel, TrackInfo};

/// `GET …/broadcasts/{id}/statistics`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct StreamStatistics {
    /// The stream's id.
    stream_id: String,
    /// Its status in Ant Media's words.
    status: &'static str,
    /// How it comes in: `RTMP`, `SRT`, `WebRTC`, `RTSP`, `Pull`; null while nobody sends.
    publish_type: Option<&'static str>,
    /// When this was read, ms since 1970.
    sampled_at_ms: i64,
    /// The stream as a whole; null while nobody sends.
    stream: Option<StreamResource>,
    /// The tracks that have begun.
    tracks: Vec<TrackResource>,
    /// The publisher's connection, where its protocol tells; null otherwise.
    ingest: Option<IngestResource>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct StreamResource {
    live: bool,
    published_since_ms: i64,
    received_bytes: u64,
    bitrate1s_bps: u64,
    bitrate10s_bps: u64,
    timestamp_jumps: u64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct TrackResource {
    kind: &'static str,
    codec: &'static str,
    transcoded_from: Option<&'static str>,
    received_bytes: u64,
    received_units: u64,
    dropped_units: u64,
    disordered_units: u64,
    bitrate1s_bps: u64,
    bitrate10s_bps: u64,
    #[serde(flatten)]
    #[schema(value_type = OwnFields)]
    own: OwnResource,
}

/// The same for the document, where the kind of track can't choose: each has its own of these.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its description is used")]
struct OwnFields {
    width_px: Option<u32>,
    height_px: Option<u32>,
    frame_rate_fps: Option<f64>,
    key_frame_interval_ms: Option<u32>,
    key_frame_interval_max_ms: Option<u32>,
    sample_rate_hz: Option<u32>,
    channels: Option<u32>,
    levels: Option<Vec<LevelResource>>,
}

/// What only one kind of track has.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum OwnResource {
    #[serde(rename_all = "camelCase")]
    Video {
        width_px: Option<u32>,
        height_px: Option<u32>,
        frame_rate_fps: Option<f64>,
        key_frame_interval_ms: Option<u32>,
        key_frame_interval_max_ms: Option<u32>,
    },
    #[serde(rename_all = "camelCase")]
    Audio { sample_rate_hz: Option<u32>, channels: Option<u32>, levels: Vec<LevelResource> },
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct LevelResource {
    peak_dbfs: f64,
    rms_dbfs: f64,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct IngestResource {
    sampled_at_ms: Option<i64>,
    received_bytes: u64,
    received_packets: u64,
    lost_packets: u64,
    retransmitted_packets: Option<u64>,
    dropped_packets: Option<u64>,
    undecrypted_packets: Option<u64>,
    loss_ratio: f64,
    receive_rate_bps: u64,
    rtt_ms: Option<f64>,
    rtt_min_ms: Option<f64>,
    rtt_avg_ms: Option<f64>,
    rtt_p95_ms: Option<f64>,
    jitter_ms: Option<f64>,
    bandwidth_bps: Option<u64>,
    receive_buffer_ms: Option<u32>,
    latency_ms: Option<u32>,
    encryption: Option<&'static str>,
    advice: Option<LatencyAdviceResource>,
}

/// To `decimals` places: what is measured is not known to more.
fn rounded(value: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    (value * factor).round() / factor
}

impl StreamStatistics {
    pub(in crate::api) fn of(view: &BroadcastView) -> Self {
        let snapshot = view.live.as_ref().and_then(|live| live.stream.as_ref());
        let tracks = snapshot.map_or(&[][..], |snapshot| &snapshot.tracks);
        let sum = |rate: fn(&TrackInfo) -> u64| tracks.iter().map(rate).sum();
        Self {
            stream_id: view.record.key.id.to_string(),
            status: view.status.as_str(),
            publish_type: view.live.as_ref().map(|live| live.publish_type.as_str()),
            sampled_at_ms: unix_ms(SystemTime::now()),
            stream: view.live.as_ref().zip(snapshot).map(|(live, snapshot)| StreamResource {
                live: snapshot.live,
                published_since_ms: unix_ms(live.since),
                received_bytes: snapshot.received_bytes,
                bitrate1s_bps: sum(|track| track.statistics.bitrate_1s_bps),
                bitrate10s_bps: sum(|track| track.statistics.bitrate_10s_bps),
                timestamp_jumps: snapshot.timestamp_jumps,
            }),
            tracks: tracks.iter().map(TrackResource::from).collect(),
            ingest: snapshot.and_then(|snapshot| snapshot.ingest.as_ref()).map(IngestResource::from),
        }
    }
}

impl From<&TrackInfo> for TrackResource {
    fn from(track: &TrackInfo) -> Self {
        let (kind, statistics) = (track.codec.kind(), &track.statistics);
        let own = match kind {
            TrackKind::Video => OwnResource::Video {
                width_px: track.size.map(|(width, _)| width),
                height_px: track.size.map(|(_, height)| height),
                frame_rate_fps: statistics.frame_rate.map(|fps| rounded(fps, 3)),
                key_frame_interval_ms: statistics.key_interval_ms,
                key_frame_interval_max_ms: statistics.key_interval_max_ms,
            },
            TrackKind::Audio => OwnResource::Audio {
                sample_rate_hz: track.audio.map(|(rate, _)| rate),
                channels: track.audio.map(|(_, channels)| channels),
                levels: statistics.levels.iter().map(LevelResource::from).collect(),
            },
        };
        Self {
            kind: kind.as_str(),
            codec: codec_name(track.codec),
            transcoded_from: track.transcoded_from,
            received_bytes: statistics.received_bytes,
            received_units: statistics.received_units,
            dropped_units: statistics.dropped_units,
            disordered_units: statistics.disordered_units,
            bitrate1s_bps: statistics.bitrate_1s_bps,
            bitrate10s_bps: statistics.bitrate_10s_bps,
            own,
        }
    }
}

impl From<&ChannelLevel> for LevelResource {
    fn from(level: &ChannelLevel) -> Self {
        Self { peak_dbfs: rounded(level.peak_dbfs, 1), rms_dbfs: rounded(level.rms_dbfs, 1) }
    }
}

impl From<&IngestStatistics> for IngestResource {
    fn from(ingest: &IngestStatistics) -> Self {
        let ms = |value: Option<f64>| value.map(|ms| rounded(ms, 1));
        Self {
            sampled_at_ms: ingest.sampled_at.map(unix_ms),
            received_bytes: ingest.received_bytes,
            received_packets: ingest.received_packets,
            lost_packets: ingest.lost_packets,
            retransmitted_packets: ingest.retransmitted_packets,
            dropped_packets: ingest.dropped_packets,
            undecrypted_packets: ingest.undecrypted_packets,
            loss_ratio: rounded(ingest.loss_ratio, 6),
            receive_rate_bps: ingest.receive_rate_bps,
            rtt_ms: ms(ingest.rtt_ms),
            rtt_min_ms: ms(ingest.rtt_min_ms),
            rtt_avg_ms: ms(ingest.rtt_avg_ms),
            rtt_p95_ms: ms(ingest.rtt_p95_ms),
            jitter_ms: ms(ingest.jitter_ms),
            bandwidth_bps: ingest.bandwidth_bps,
            receive_buffer_ms: ingest.receive_buffer_ms,
            latency_ms: ingest.latency_ms,
            encryption: ingest.encryption.map(|encryption| encryption.as_str()),
            advice: ingest.advice.as_ref().map(LatencyAdviceResource::from),
        }
    }
}
