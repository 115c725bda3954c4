//! Ant Media's Broadcast: every field in its order, nulls written.
//!
//! Owns the join of what a client set, what is and what Ant Media says by default. Must not invent: a
//! number that is not measured here keeps the default.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{BroadcastBody, EndpointDto, REDACTED, StreamInfo};
use crate::manager::{BroadcastStatus, BroadcastView, SourceFailure, TYPE_LIVE_STREAM, unix_ms};
use crate::model::source::shown;
use crate::model::srt_url::redact;

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct BroadcastDto {
    stream_id: String,
    status: &'static str,
    play_list_status: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    publish_type: Option<&'static str>,
    name: Option<String>,
    description: Option<String>,
    publish: bool,
    date: i64,
    planned_start_date: i64,
    planned_end_date: i64,
    duration: i64,
    end_point_list: Option<Vec<EndpointDto>>,
    play_list_item_list: Option<Vec<Value>>,
    public_stream: bool,
    is360: bool,
    #[serde(rename = "listenerHookURL")]
    listener_hook_url: Option<String>,
    category: Option<String>,
    ip_addr: Option<String>,
    username: Option<String>,
    password: Option<&'static str>,
    quality: Option<String>,
    speed: f64,
    stream_url: Option<String>,
    origin_adress: String,
    mp4_enabled: i32,
    #[serde(rename = "webMEnabled")]
    webm_enabled: i32,
    seek_time_in_ms: i64,
    subtracks_limit: i32,
    #[serde(rename = "expireDurationMS")]
    expire_duration_ms: i64,
    #[serde(rename = "rtmpURL")]
    rtmp_url: String,
    zombi: bool,
    pending_packet_size: i32,
    hls_viewer_count: i32,
    dash_viewer_count: i32,
    #[serde(rename = "webRTCViewerCount")]
    webrtc_viewer_count: i32,
    rtmp_viewer_count: i32,
    start_time: i64,
    received_bytes: u64,
    bitrate: u64,
    width: u32,
    height: u32,
    encoder_queue_size: i32,
    drop_packet_count_in_ingestion: i32,
    drop_frame_count_in_encoding: i32,
    packet_lost_ratio: f64,
    packets_lost: i32,
    jitter_ms: i32,
    rtt_ms: i32,
    user_agent: String,
    remote_ip: Option<String>,
    latitude: Option<String>,
    longitude: Option<String>,
    altitude: Option<String>,
    main_track_stream_id: Option<String>,
    absolute_start_time_ms: i64,
    #[serde(rename = "webRTCViewerLimit")]
    webrtc_viewer_limit: i32,
    hls_viewer_limit: i32,
    dash_viewer_limit: i32,
    sub_folder: Option<String>,
    current_play_index: i32,
    meta_data: Option<String>,
    playlist_loop_enabled: bool,
    update_time: i64,
    role: Option<String>,
    #[schema(value_type = Option<Object>)]
    hls_parameters: Option<Map<String, Value>>,
    auto_start_stop_enabled: bool,
    encoder_settings_list: Option<Vec<Value>>,
    #[serde(rename = "virtual")]
    is_virtual: bool,
    max_idle_time: i32,
    anyone_watching: bool,
    /// Not Ant Media's: while the stream waits for its publisher to come back, endpoints connected, until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<i64>,
    /// From here on ours, and only of a source that is pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_error: Option<SourceErrorDto>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtsp_pull_transport_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify_tls: Option<bool>,
}

/// Why a source does not come in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct SourceErrorDto {
    cause: String,
    phase: &'static str,
    attempt: u32,
    since: i64,
    next_retry_at: Option<i64>,
}

impl From<&SourceFailure> for SourceErrorDto {
    fn from(failure: &SourceFailure) -> Self {
        Self {
            cause: failure.cause.clone(),
            phase: failure.phase,
            attempt: failure.attempt,
            since: unix_ms(failure.since),
            next_retry_at: failure.next_retry_at.map(unix_ms),
        }
    }
}

/// Where the answer's own addresses point to.
#[derive(Debug, Clone)]
pub(in crate::api) struct Origin {
    /// This server's name, as the client wrote it.
    pub(in crate::api) host: String,
    /// Where RTMP is listened on.
    pub(in crate::api) rtmp_port: u16,
}

/// RTMP's own port, left out of a URL.
const RTMP_PORT: u16 = 1935;

impl Origin {
    fn rtmp_url(&self, view: &BroadcastView) -> String {
        let key = &view.record.key;
        match self.rtmp_port {
            RTMP_PORT => format!("rtmp://{}/{key}", self.host),
            port => format!("rtmp://{}:{port}/{key}", self.host),
        }
    }
}

impl BroadcastDto {
    pub(in crate::api) fn of(view: &BroadcastView, origin: &Origin) -> Self {
        let set = BroadcastBody::from_fields(&view.record.fields);
        let info = StreamInfo::of(view);
        let stream = view.live.as_ref().and_then(|live| live.stream.as_ref());
        let ingest = stream.and_then(|stream| stream.ingest.as_ref());
        let live = LiveTimes::of(view, SystemTime::now());
        Self {
            stream_id: view.record.key.id.to_string(),
            status: view.status.as_str(),
            play_list_status: None,
            kind: set.kind.unwrap_or_else(|| TYPE_LIVE_STREAM.to_owned()),
            publish_type: view.live.as_ref().map(|live| live.publish_type.as_str()),
            name: set.name.or_else(|| said(view, "streamName")),
            description: set.description,
            publish: set.publish.unwrap_or(true),
            date: unix_ms(view.record.date),
            planned_start_date: set.planned_start_date.unwrap_or(0),
            planned_end_date: set.planned_end_date.unwrap_or(0),
            duration: live.duration,
            // Null and not [] when there are none, also after the last one went: what is shown follows
            // from what is stored, and nothing stored tells the two apart.
            end_point_list: (!view.endpoints.is_empty())
                .then(|| view.endpoints.iter().map(EndpointDto::from).collect()),
            play_list_item_list: set.play_list_item_list,
            public_stream: set.public_stream.unwrap_or(true),
            is360: set.is360.unwrap_or(false),
            listener_hook_url: set.listener_hook_url.as_deref().map(redact),
            category: set.category,
            ip_addr: set.ip_addr,
            username: set.username,
            password: set.password.map(|_| REDACTED),
            quality: None,
            speed: view.source.as_ref().map_or(0.0, |source| (source.speed * 1_000.0).round() / 1_000.0),
            stream_url: set.stream_url.as_deref().map(shown),
            origin_adress: origin.host.clone(),
            mp4_enabled: set.mp4_enabled.unwrap_or(0),
            webm_enabled: set.webm_enabled.unwrap_or(0),
            seek_time_in_ms: 0,
            subtracks_limit: set.subtracks_limit.unwrap_or(-1),
            expire_duration_ms: set.expire_duration_ms.unwrap_or(0),
            rtmp_url: origin.rtmp_url(view),
            zombi: !view.record.created_by_user,
            pending_packet_size: 0,
            hls_viewer_count: 0,
            dash_viewer_count: 0,
            webrtc_viewer_count: 0,
            rtmp_viewer_count: 0,
            start_time: live.start,
            received_bytes: stream.map_or(0, |stream| stream.received_bytes),
            bitrate: info.as_ref().map_or(0, StreamInfo::bitrate_bps),
            width: info.as_ref().map_or(0, StreamInfo::width),
            height: info.as_ref().map_or(0, StreamInfo::height),
            encoder_queue_size: 0,
            drop_packet_count_in_ingestion: 0,
            drop_frame_count_in_encoding: 0,
            packet_lost_ratio: ingest.map_or(0.0, |ingest| (ingest.loss_ratio * 1e6).round() / 1e6),
            packets_lost: ingest.map_or(0, |ingest| i32::try_from(ingest.lost_packets).unwrap_or(i32::MAX)),
            jitter_ms: ingest.and_then(|ingest| ingest.jitter_ms).map_or(0, |jitter_ms| jitter_ms.round() as i32),
            rtt_ms: ingest.and_then(|ingest| ingest.rtt_ms).map_or(0, |rtt_ms| rtt_ms.round() as i32),
            user_agent: view.live.as_ref().and_then(|live| live.user_agent.clone()).unwrap_or_else(|| "N/A".to_owned()),
            remote_ip: view.live.as_ref().map(|live| live.peer.ip().to_canonical().to_string()),
            latitude: set.latitude,
            longitude: set.longitude,
            altitude: set.altitude,
            main_track_stream_id: set.main_track_stream_id.or_else(|| said(view, "mainTrack")),
            absolute_start_time_ms: 0,
            webrtc_viewer_limit: set.webrtc_viewer_limit.unwrap_or(-1),
            hls_viewer_limit: set.hls_viewer_limit.unwrap_or(-1),
            dash_viewer_limit: set.dash_viewer_limit.unwrap_or(-1),
            sub_folder: set.sub_folder,
            current_play_index: 0,
            meta_data: set.meta_data.or_else(|| view.live.as_ref()?.said().metadata()),
            playlist_loop_enabled: set.playlist_loop_enabled.unwrap_or(true),
            update_time: live.update,
            role: set.role.or_else(|| said(view, "role")),
            hls_parameters: set.hls_parameters,
            auto_start_stop_enabled: set.auto_start_stop_enabled.unwrap_or(false),
            encoder_settings_list: set.encoder_settings_list,
            is_virtual: set.is_virtual.unwrap_or(false),
            max_idle_time: set.max_idle_time.unwrap_or(0),
            anyone_watching: false,
            held_until: view.held_until.map(unix_ms),
            source_state: view.source.as_ref().map(|source| source.state.as_str()),
            source_error: view.source.as_ref().and_then(|source| source.failure.as_ref()).map(SourceErrorDto::from),
            rtsp_pull_transport_type: set.rtsp_pull_transport_type,
            verify_tls: set.verify_tls,
        }
    }
}

/// Times of a live stream, milliseconds; all 0 when it isn't.
#[derive(Default)]
struct LiveTimes {
    start: i64,
    duration: i64,
    update: i64,
}

impl LiveTimes {
    fn of(view: &BroadcastView, now: SystemTime) -> Self {
        match &view.live {
            Some(live) if view.status == BroadcastStatus::Broadcasting => {
                let (start, update) = (unix_ms(live.since), unix_ms(now));
                Self { start, duration: (update - start).max(0), update }
            }
            _ => Self::default(),
        }
    }
}

/// What the publisher said of its stream under this name.
fn said(view: &BroadcastView, name: &str) -> Option<String> {
    view.live.as_ref()?.said().word(name).map(str::to_owned)
}
