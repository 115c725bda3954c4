//! What is told: Ant Media's fields, and an endpoint's beside them. Pure.
//!
//! As there: what has no value is left out, `timestamp` is text, and `metadata` is an object where it can be read as one.
//! What nobody set of a broadcast is what its publisher says, as `GET` shows it.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::config::HookContentType;
use crate::events::Event;
use crate::manager::{EndpointView, Said, unix_ms};
use crate::model::endpoint::Transition;
use crate::model::ids::{EndpointId, StreamKey};
use crate::model::srt_reject::RejectCode;

/// What is to be said of a broadcast.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    /// Who is told, where the broadcast names one. May hold credentials.
    pub(super) hook: Option<String>,
    name: Option<String>,
    category: Option<String>,
    metadata: Option<String>,
    main_track: Option<String>,
    /// By its publisher, while there is one.
    said: Option<Words>,
}

/// What a publisher says of its stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Words {
    name: Option<String>,
    metadata: Option<String>,
    main_track: Option<String>,
    subscriber: Option<String>,
}

impl Words {
    fn of(said: Said<'_>) -> Self {
        let word = |name: &str| said.word(name).filter(|word| !word.trim().is_empty()).map(str::to_owned);
        Self {
            name: word("streamName"),
            metadata: said.metadata(),
            main_track: word("mainTrack"),
            subscriber: word("subscriberId"),
        }
    }
}

impl About {
    /// From a record's free fields, and from its publisher.
    pub(super) fn of(fields: &Map<String, Value>, said: Option<Said<'_>>) -> Self {
        let text = |name: &str| {
            let text = fields.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
            text.map(str::to_owned)
        };
        Self {
            hook: text("listenerHookURL"),
            name: text("name"),
            category: text("category"),
            metadata: text("metaData"),
            main_track: text("mainTrackStreamId"),
            said: said.map(Words::of),
        }
    }

    /// With what the last publisher said, where there is none now.
    pub(super) fn after(mut self, before: Option<&Self>) -> Self {
        if self.said.is_none() {
            self.said = before.and_then(|before| before.said.clone());
        }
        self
    }

    /// What is set, or else said.
    fn or_said<'a>(&'a self, set: &'a Option<String>, said: fn(&Words) -> &Option<String>) -> Option<&'a str> {
        set.as_deref().or_else(|| self.said.as_ref().and_then(|words| said(words).as_deref()))
    }
}

/// What happened to an endpoint.
pub(super) struct EndpointNews<'a> {
    pub(super) id: &'a EndpointId,
    pub(super) step: &'a Transition,
    /// None where it has been removed meanwhile.
    pub(super) view: Option<&'a EndpointView>,
}

/// The fields of a message.
pub(super) fn fields(
    event: &Event,
    action: &'static str,
    about: &About,
    endpoint: Option<EndpointNews<'_>>,
) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            fields.insert(name.to_owned(), value);
        }
    };
    put("id", Some(event.stream.id.as_str().into()));
    put("action", Some(action.into()));
    put("streamName", about.or_said(&about.name, |said| &said.name).map(Value::from));
    put("category", about.category.as_deref().map(Value::from));
    put("mainTrackId", about.or_said(&about.main_track, |said| &said.main_track).map(Value::from));
    put("subscriberId", about.or_said(&None, |said| &said.subscriber).map(Value::from));
    put("app", Some(event.stream.app.as_str().into()));
    match &endpoint {
        None => put("metadata", about.or_said(&about.metadata, |said| &said.metadata).map(metadata)),
        // Ant Media's, who calls every endpoint so.
        Some(EndpointNews { view, .. }) => put("metadata", view.map(|view| json!({ "rtmp-url": view.url }))),
    }
    put("timestamp", Some(unix_ms(event.at).to_string().into()));
    put("endpoint", endpoint.map(endpoint_fields));
    fields
}

fn metadata(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Value::Object(object),
        _ => text.into(),
    }
}

fn endpoint_fields(EndpointNews { id, step, view }: EndpointNews<'_>) -> Value {
    let record = view.and_then(|view| view.record.as_ref());
    let reject_code = step.cause.and_then(|cause| cause.reject_code());
    json!({
        "id": id.as_str(),
        "label": record.and_then(|record| record.label.as_deref()),
        "url": view.map(|view| view.url.as_str()),
        "state": step.state.as_str(),
        "status": step.state.status().as_str(),
        "attempt": step.attempt,
        "cause": step.cause.map(|cause| cause.as_str()),
        "rejectCode": reject_code,
        "rejectName": reject_code.and_then(RejectCode::from_code).map(RejectCode::name),
        "text": step.text,
        "nextRetryAt": step.next_retry_at.map(unix_ms),
    })
}

/// A message as it is sent, each time the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The event's, so that a receiver knows a message that comes twice.
    pub(super) id: String,
    /// For the log.
    pub(super) stream: StreamKey,
    /// Likewise.
    pub(super) action: &'static str,
    pub(super) body: String,
}

impl Message {
    pub(super) fn new(
        id: String,
        stream: StreamKey,
        action: &'static str,
        fields: &Map<String, Value>,
        content_type: HookContentType,
    ) -> Self {
        let body = match content_type {
            HookContentType::Json => serde_json::to_string(fields).unwrap_or_default(),
            HookContentType::Form => form(fields),
        };
        Self { id, stream, action, body }
    }
}

/// Pairs; what is no text is its JSON.
fn form(fields: &Map<String, Value>) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs = fields.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{}={}", encode(name), encode(&value))
    });
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::events::EventKind;
    use crate::model::endpoint::{Cause, EndpointState};

    fn event() -> Event {
        let stream = StreamKey { app: "live".parse().expect("app"), id: "s".parse().expect("id") };
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        Event { id: 3, at, stream, kind: EventKind::StreamStarted }
    }

    #[test]
    fn a_message_has_ant_medias_fields_and_leaves_out_what_is_not_known() {
        let bare = fields(&event(), "liveStreamStarted", &About::default(), None);
        let wanted = json!({ "id": "s", "action": "liveStreamStarted", "app": "live", "timestamp": "1700000000123" });
        assert_eq!(Value::Object(bare), wanted);
        let set = json!({ "name": "a b", "category": "c", "metaData": "{\"k\":1}", "listenerHookURL": " " });
        let about = About::of(set.as_object().expect("object"), None);
        assert_eq!(about.hook, None, "a blank is none");
        let full = fields(&event(), "liveStreamEnded", &about, None);
        assert_eq!(
            (&full["streamName"], &full["category"], &full["metadata"]),
            (&json!("a b"), &json!("c"), &json!({"k": 1}))
        );
        let text = About { metadata: Some("[1]".into()), ..About::default() };
        assert_eq!(fields(&event(), "x", &text, None)["metadata"], "[1]", "only an object is one");
        let message = Message::new("r-3".into(), event().stream, "liveStreamEnded", &full, HookContentType::Form);
        let body = "id=s&action=liveStreamEnded&streamName=a%20b&category=c&app=live&metadata=%7B%22k%22%3A1%7D&timestamp=1700000000123";
        assert_eq!(message.body, body);
    }

    #[test]
    fn a_failed_endpoint_says_why_and_when_it_is_tried_again() {
        let step = Transition {
            at: event().at,
            state: EndpointState::Waiting,
            attempt: 1,
            cause: Some(Cause::RejectedByPeer(1403)),
            text: Some("forbidden".into()),
            next_retry_at: Some(event().at + Duration::from_secs(1)),
        };
        let id: EndpointId = "e1".parse().expect("id");
        let view = EndpointView {
            id: "e1".into(),
            url: "srt://h:1?passphrase=***".into(),
            state: EndpointState::Waiting,
            record: None,
            unreadable: None,
            seen: None,
        };
        let news = EndpointNews { id: &id, step: &step, view: Some(&view) };
        let fields = fields(&event(), "endpointFailed", &About::default(), Some(news));
        assert_eq!(fields["metadata"], json!({ "rtmp-url": "srt://h:1?passphrase=***" }));
        let wanted = json!({
            "id": "e1", "label": null, "url": "srt://h:1?passphrase=***", "state": "waiting", "status": "error",
            "attempt": 1, "cause": "rejected_by_peer", "rejectCode": 1403,
            "rejectName": "SRT_REJX_FORBIDDEN", "text": "forbidden",
            "nextRetryAt": 1_700_000_001_123_i64,
        });
        assert_eq!(fields["endpoint"], wanted);
    }
}
