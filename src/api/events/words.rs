//! Events as they stand on the wire.
//!
//! Owns names and JSON of each. An id is the run of the service and the position in it; a tick carries the position,
//! too, so that a listener that heard nothing else comes back to the right place.

use std::cell::OnceCell;

use actix_web::web::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::filter::Filter;
use super::hub::{HEARTBEAT, TICK};
use crate::api::dto::endpoint::TransitionResource;
use crate::api::dto::{EndpointResource, codec_name};
use crate::events::{Event, EventKind};
use crate::manager::{EndpointPulse, Manager, StreamPulse, unix_ms};
use crate::model::endpoint::LinkGauges;
use crate::model::ids::{AppName, StreamId};
use crate::model::source::SourceFailure;
use crate::model::track::TrackInfo;

/// How long a client waits before it comes back, in milliseconds (`retry:`).
const RETRY_MS: u32 = 2_000;

/// The name of a tick.
pub(super) const STATISTICS: &str = "statistics";

/// Every name but those of `hello` and `gap`, which nobody can do without.
pub(super) const NAMES: &[&str] = &[
    "broadcastCreated",
    "broadcastChanged",
    "broadcastDeleted",
    "streamPreparing",
    "streamStarted",
    "streamHeld",
    "streamResumed",
    "streamEnded",
    "sourceState",
    "endpointAdded",
    "endpointChanged",
    "endpointRemoved",
    "endpointState",
    STATISTICS,
];

/// What several names begin with.
pub(super) const GROUPS: &[&str] = &["broadcast", "stream", "source", "endpoint"];

/// The name of an event.
pub(super) fn name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::BroadcastCreated => "broadcastCreated",
        EventKind::BroadcastChanged => "broadcastChanged",
        EventKind::BroadcastDeleted => "broadcastDeleted",
        EventKind::StreamPreparing => "streamPreparing",
        EventKind::StreamStarted => "streamStarted",
        EventKind::StreamHeld { .. } => "streamHeld",
        EventKind::StreamResumed => "streamResumed",
        EventKind::StreamEnded { .. } => "streamEnded",
        EventKind::Source(..) => "sourceState",
        EventKind::EndpointAdded(_) => "endpointAdded",
        EventKind::EndpointChanged(_) => "endpointChanged",
        EventKind::EndpointRemoved(_) => "endpointRemoved",
        EventKind::Endpoint(..) => "endpointState",
    }
}

/// Puts into words, at one position.
pub(super) struct Words<'a> {
    pub(super) run: &'a str,
    /// None: of all applications, so that each event has to name its own.
    pub(super) app: Option<&'a AppName>,
    pub(super) position: u64,
}

impl Words<'_> {
    fn framed(&self, position: u64, name: &str, data: &impl Serialize) -> Bytes {
        // JSON has no line breaks of its own, so the data is one line.
        let data = serde_json::to_string(data).unwrap_or_else(|error| {
            tracing::error!(%error, name, "an event cannot be written as JSON");
            "{}".to_owned()
        });
        format!("id: {}-{position}\nevent: {name}\ndata: {data}\n\n", self.run).into()
    }

    /// The first thing a listener hears; `after` when it goes on behind that event.
    pub(super) fn hello(&self, after: Option<u64>) -> Bytes {
        let data = json!({
            "app": self.app.map(AppName::as_str),
            "run": self.run,
            "version": env!("CARGO_PKG_VERSION"),
            "at": unix_ms(std::time::SystemTime::now()),
            "resumed": after.is_some(),
            "tickMs": TICK.as_millis() as u64,
            "heartbeatMs": HEARTBEAT.as_millis() as u64,
        });
        let hello = self.framed(after.unwrap_or(self.position), "hello", &data);
        [format!("retry: {RETRY_MS}\n").as_bytes(), &hello].concat().into()
    }

    /// Events between the listener's last and the next are lost to it.
    pub(super) fn gap(&self, reason: &str) -> Bytes {
        let read = match self.app {
            Some(app) => format!("/{app}/rest/v2/broadcasts/list/0/50"),
            None => "/rest/v2/applications".to_owned(),
        };
        self.framed(self.position, "gap", &json!({ "reason": reason, "action": "readAll", "read": read }))
    }

    /// Keeps a silent connection open.
    pub(super) fn comment(&self) -> Bytes {
        // An id alone is no event, and still moves the client's position.
        format!(": {}\nid: {}-{}\n\n", self.app.map_or("all", AppName::as_str), self.run, self.position).into()
    }

    /// What happened. Without a manager to ask, an endpoint's record is left out: a later event has it.
    pub(super) fn event(&self, event: &Event, manager: Option<&Manager>) -> Bytes {
        let mut data = Map::new();
        if self.app.is_none() {
            data.insert("app".into(), event.stream.app.as_str().into());
        }
        data.insert("streamId".into(), event.stream.id.as_str().into());
        data.insert("at".into(), unix_ms(event.at).into());
        let more = match &event.kind {
            EventKind::StreamPreparing => json!({ "status": "preparing" }),
            EventKind::StreamStarted | EventKind::StreamResumed => json!({ "status": "broadcasting" }),
            EventKind::StreamHeld { until, status } => {
                json!({ "status": status.as_str(), "heldUntil": unix_ms(*until) })
            }
            EventKind::StreamEnded { started, status } => json!({ "status": status.as_str(), "started": started }),
            EventKind::Source(state, failure) => {
                json!({ "state": state.as_str(), "failure": failure.as_ref().map(source_failure) })
            }
            EventKind::EndpointAdded(id) | EventKind::EndpointChanged(id) => {
                data.insert("endpointId".into(), id.as_str().into());
                manager.map_or(Value::Null, |manager| {
                    let endpoint = manager.endpoint(&event.stream, id.as_str());
                    json!({ "endpoint": endpoint.as_ref().map(EndpointResource::of) })
                })
            }
            EventKind::EndpointRemoved(id) => json!({ "endpointId": id }),
            EventKind::Endpoint(id, step) => {
                data.insert("endpointId".into(), id.as_str().into());
                json!(TransitionResource::from(step))
            }
            EventKind::BroadcastCreated | EventKind::BroadcastChanged | EventKind::BroadcastDeleted => Value::Null,
        };
        if let Value::Object(more) = more {
            data.extend(more);
        }
        self.framed(event.id, name(&event.kind), &data)
    }

    /// How everything is.
    pub(super) fn tick(&self, apps: impl Iterator<Item = (AppName, Vec<StreamPulse>)>) -> Tick {
        let id = format!("id: {}-{}\nevent: {STATISTICS}\n", self.run, self.position);
        let head = format!("{id}data: {{\"at\":{},\"streams\":[", unix_ms(std::time::SystemTime::now()));
        let mut streams = Vec::new();
        for (app, of_app) in apps {
            let named = self.app.is_none().then_some(&app);
            streams.extend(of_app.into_iter().map(|stream| {
                let text = stream_pulse(named, &stream).to_string();
                (stream.id, text)
            }));
        }
        Tick { head, streams, whole: OnceCell::new() }
    }
}

/// A tick, in parts: what one listener wants of it differs from what others do.
pub(super) struct Tick {
    head: String,
    streams: Vec<(StreamId, String)>,
    /// All of it, made once and shared by all who want that.
    whole: OnceCell<Bytes>,
}

impl Tick {
    /// What a listener wants of it.
    pub(super) fn of(&self, filter: &Filter) -> Bytes {
        if filter.wants_all_streams() {
            self.whole.get_or_init(|| self.made(filter)).clone()
        } else {
            self.made(filter)
        }
    }

    fn made(&self, filter: &Filter) -> Bytes {
        let wanted = self.streams.iter().filter(|(id, _)| filter.wants_stream(id.as_str()));
        let wanted: Vec<&str> = wanted.map(|(_, text)| text.as_str()).collect();
        format!("{}{}]}}\n\n", self.head, wanted.join(",")).into()
    }
}

fn source_failure(failure: &SourceFailure) -> Value {
    json!({
        "cause": failure.cause,
        "phase": failure.phase,
        "attempt": failure.attempt,
        "since": unix_ms(failure.since),
        "nextRetryAt": failure.next_retry_at.map(unix_ms),
    })
}

fn stream_pulse(app: Option<&AppName>, pulse: &StreamPulse) -> Value {
    let stream = pulse.stream.as_ref();
    let tracks = stream.map_or(&[][..], |stream| &stream.tracks);
    let bitrate_bps: u64 = tracks.iter().map(|track| track.statistics.bitrate_1s_bps).sum();
    let fps = tracks.iter().find_map(|track| track.statistics.frame_rate);
    let ingest = stream.and_then(|stream| stream.ingest.as_ref());
    let endpoints: Vec<Value> = pulse.endpoints.iter().map(endpoint_pulse).collect();
    let mut all = json!({
        "streamId": pulse.id.as_str(),
        "status": pulse.status.as_str(),
        "receivedBytes": stream.map_or(0, |stream| stream.received_bytes),
        "bitrate1sBps": bitrate_bps,
        "frameRateFps": fps.map(rounded),
        "ingestRttMs": ingest.and_then(|ingest| ingest.rtt_ms).map(rounded),
        "ingestLossRatio": ingest.map(|ingest| ingest.loss_ratio).map(rounded),
        "heldUntil": pulse.held_until.map(unix_ms),
        "sourceState": pulse.source.as_ref().map(|source| source.state.as_str()),
        "tracks": tracks.iter().map(track_pulse).collect::<Vec<_>>(),
        "endpoints": endpoints,
    });
    if let Some(app) = app {
        all["app"] = app.as_str().into();
    }
    all
}

fn track_pulse(track: &TrackInfo) -> Value {
    let levels = track.statistics.levels.iter();
    let levels =
        levels.map(|level| json!({ "peakDbfs": rounded(level.peak_dbfs), "rmsDbfs": rounded(level.rms_dbfs) }));
    json!({
        "kind": track.codec.kind().as_str(),
        "codec": codec_name(track.codec),
        "widthPx": track.size.map(|(width, _)| width),
        "heightPx": track.size.map(|(_, height)| height),
        "bitrate1sBps": track.statistics.bitrate_1s_bps,
        "levels": levels.collect::<Vec<_>>(),
    })
}

/// To a thousandth: what is measured is not known to more.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn endpoint_pulse(pulse: &EndpointPulse) -> Value {
    let statistics = &pulse.statistics;
    let counters = &statistics.counters;
    let link = |read: fn(&LinkGauges) -> Value| statistics.link.as_ref().map_or(Value::Null, read);
    json!({
        "endpointId": pulse.id.as_str(),
        "state": pulse.state.as_str(),
        "status": pulse.state.status().as_str(),
        "attempt": pulse.attempt,
        "sentBytes": counters.sent_bytes,
        "retransmittedPackets": counters.retransmitted_packets,
        "lostPackets": counters.lost_packets,
        "droppedPackets": counters.dropped_packets,
        "droppedGops": statistics.gate.dropped_gops,
        "rttMs": link(|link| link.rtt_ms.map(rounded).into()),
        "lossRatio": link(|link| rounded(link.loss_ratio).into()),
        "sendRateBps": link(|link| link.send_rate_bps.into()),
        "sendBufferMs": link(|link| link.send_buffer_ms.into()),
        "latencyMs": link(|link| link.latency_ms.into()),
        "connectedSince": statistics.connected_since.map(unix_ms),
        "reconnects": statistics.reconnects,
        "callers": pulse.callers,
    })
}
