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

/// What a stream takes in of its publisher.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct StreamResource {
    /// Data has come, and endpoints may connect.
    live: bool,
    /// Since when this publisher is there, ms since 1970.
    published_since_ms: i64,
    /// Payload of all tracks that came of this publisher, bytes.
    received_bytes: u64,
    /// Of all tracks over the last full second, bit/s.
    bitrate1s_bps: u64,
    /// Of all tracks over the last ten full seconds, bit/s.
    bitrate10s_bps: u64,
    /// How often a source's clock jumped and was mapped anew, since the stream began; a publisher that takes over goes on
    /// with it.
    timestamp_jumps: u64,
}

/// A track that has begun; counted since its publisher began.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct TrackResource {
    /// `video` or `audio`.
    kind: &'static str,
    /// `H264`, `H265`, `AAC`, `MP2`, `AC3` or `OPUS`, as the parser says.
    codec: &'static str,
    /// What the publisher sends, where the track is made out of it, as its session description says; null otherwise.
    transcoded_from: Option<&'static str>,
    /// Payload that came, bytes.
    received_bytes: u64,
    /// Access units that came.
    received_units: u64,
    /// Access units that were dropped: up to the first key frame behind another publisher, or because the stream's
    /// pipeline did not keep up.
    dropped_units: u64,
    /// Access units whose decode time was not behind that of the one before; they are moved behind it.
    disordered_units: u64,
    /// Over the last full second, bit/s.
    bitrate1s_bps: u64,
    /// Over the last ten full seconds, bit/s.
    bitrate10s_bps: u64,
    #[serde(flatten)]
    #[schema(value_type = OwnFields)]
    own: OwnResource,
}

/// What only one kind of track has: of the other kind's, it has none.
// For the document alone, where the kind of track can't choose.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its description is used")]
struct OwnFields {
    /// Video: width of the picture, as the parser says; null where that is not known yet.
    width_px: Option<u32>,
    /// Video: its height.
    height_px: Option<u32>,
    /// Video: pictures in a second of the source's own time, over the last ten; 0 when none has come for two seconds.
    frame_rate_fps: Option<f64>,
    /// Video: between the last two key frames by the source's time, ms.
    key_frame_interval_ms: Option<u32>,
    /// Video: the longest such interval of the last minute, the running one included, ms.
    key_frame_interval_max_ms: Option<u32>,
    /// Audio: samples in a second, as the parser says.
    sample_rate_hz: Option<u32>,
    /// Audio: how many channels.
    channels: Option<u32>,
    /// Audio: each channel in the last second; empty where it isn't measured.
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

/// How loud a channel is; -120 is digital silence.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct LevelResource {
    /// The highest sample of the last second, dB below full scale; 0 is full scale (GStreamer's `level`, `peak`).
    peak_dbfs: f64,
    /// The root mean square of the last second, dB below full scale (GStreamer's `level`, `rms`).
    rms_dbfs: f64,
}

/// How an SRT or WebRTC publisher's data comes in: by libsrt's counters, or by those of RTP and RTCP.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct IngestResource {
    /// When this was sampled, ms since 1970.
    sampled_at_ms: Option<i64>,
    /// Payload received, duplicates left out, bytes (SRT: `byteRecvUniqueTotal` less headers; RTP: `octets-received`).
    received_bytes: u64,
    /// The same in packets (SRT: `pktRecvUniqueTotal`; RTP: `packets-received`).
    received_packets: u64,
    /// Packets that were missing: by SRT when they were due, whether they came again or not (`pktRcvLossTotal`), by RTP for
    /// good (`packets-lost`).
    lost_packets: u64,
    /// Packets that came again (SRT: `pktRcvRetrans`).
    retransmitted_packets: Option<u64>,
    /// Packets that came too late, or never (SRT: `pktRcvDropTotal`).
    dropped_packets: Option<u64>,
    /// Packets that could not be decrypted (SRT: `pktRcvUndecryptTotal`).
    undecrypted_packets: Option<u64>,
    /// Lost packets ÷ packets, of the last minute, 0 to 1.
    loss_ratio: f64,
    /// Payload of the last second, bit/s.
    receive_rate_bps: u64,
    /// Round-trip time now, smoothed, ms (SRT: `msRTT`).
    rtt_ms: Option<f64>,
    /// Its least of the last minute, ms.
    rtt_min_ms: Option<f64>,
    /// Its average of the last minute, ms.
    rtt_avg_ms: Option<f64>,
    /// What 95 % of its samples of the last minute did not exceed, ms.
    rtt_p95_ms: Option<f64>,
    /// Variation of the packets' transit times, the worst track's, ms (RTP: `jitter` of RFC 3550).
    jitter_ms: Option<f64>,
    /// What the way can carry, by libsrt's estimate, bit/s (SRT: `mbpsBandwidth`).
    bandwidth_bps: Option<u64>,
    /// Media that waits in the receive buffer, ms (SRT: `msRcvBuf`).
    receive_buffer_ms: Option<u32>,
    /// The latency that both sides agreed on, ms (SRT: `SRTO_RCVLATENCY`).
    latency_ms: Option<u32>,
    /// `none`, `aes-128`, `aes-192`, `aes-256` or `failed` (SRT: `SRTO_RCVKMSTATE`, `SRTO_PBKEYLEN`).
    encryption: Option<&'static str>,
    /// The latency that the way wants; null until enough is known.
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
