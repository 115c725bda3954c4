//! A broadcast: the record of a stream, live or not.

use std::time::SystemTime;

use super::endpoint::EndpointRecord;
use super::ids::StreamKey;

/// How a stream comes in; the word on the wire is Ant Media's `publishType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublishType {
    /// RTMP or Enhanced RTMP.
    Rtmp,
    /// SRT with MPEG-TS inside.
    Srt,
    /// WebRTC, from a browser or a WHIP client.
    WebRtc,
    /// RTSP, pushed (ANNOUNCE and RECORD).
    Rtsp,
    /// Fetched by this service from where somebody offers it.
    Pull,
}

impl PublishType {
    /// `RTMP`, `SRT`, `WebRTC`, `RTSP`, `Pull`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rtmp => "RTMP",
            Self::Srt => "SRT",
            Self::WebRtc => "WebRTC",
            Self::Rtsp => "RTSP",
            Self::Pull => "Pull",
        }
    }
}

/// A broadcast's status, in Ant Media's words.
///
/// `Created` until the first publisher; `Preparing` while a publisher is there and no data has come, and while the
/// stream is held for its publisher to come back; `Broadcasting` while data flows; `Finished` when the publisher is
/// gone for good. Of a source that is pulled: `Preparing` while an attempt runs, `Error` between a failed one and the
/// next. The store holds no history:
/// after a restart a broadcast that a user created reads `Created` again, one that a publisher made
/// reads `Finished`, since it can only have been published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BroadcastStatus {
    /// Never published since the start of the service.
    Created,
    /// A publisher is there or awaited, its data is not.
    Preparing,
    /// Live.
    Broadcasting,
    /// Its source has failed and is tried again.
    Error,
    /// Was live.
    Finished,
}

impl BroadcastStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Preparing => "preparing",
            Self::Broadcasting => "broadcasting",
            Self::Error => "error",
            Self::Finished => "finished",
        }
    }
}

/// What is stored of a broadcast: what somebody wants, never how it fares.
#[derive(Debug, Clone, PartialEq)]
pub struct BroadcastRecord {
    /// Application and id.
    pub key: StreamKey,
    /// True when somebody created it by REST; false when a publisher or an endpoint made it on the way
    /// (Ant Media's `zombi` is the opposite). Such a record goes with its publisher unless it has an endpoint.
    pub created_by_user: bool,
    /// When the record was made.
    pub date: SystemTime,
    /// The free fields of Ant Media's Broadcast that a client set (name, description, metaData, …),
    /// by their names on the wire.
    pub fields: serde_json::Map<String, serde_json::Value>,
    /// Whether its source is to be pulled; false for what is published.
    pub started: bool,
    /// Its endpoints, in the order they were added.
    pub endpoints: Vec<EndpointRecord>,
}
