//! The fields of a broadcast that a client may set.
//!
//! Owns their names and types, and which of them hide a secret. Must not know the store: they are
//! kept there as one JSON object with these names. The hard thing: what is shown with its secret
//! hidden must not be taken for a new value when it is sent back.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::EndpointBody;
use crate::model::source::shown;
use crate::model::srt_url::redact;

/// What stands for a secret.
pub(in crate::api) const REDACTED: &str = "***";

/// The body of create and update, and the stored fields. Unknown names are ignored; null is absent.
#[derive(Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::api) struct BroadcastBody {
    /// Only at creation.
    #[serde(skip_serializing)]
    pub(in crate::api) stream_id: Option<String>,
    /// Goes to the endpoints, not to the fields.
    #[serde(skip_serializing)]
    pub(in crate::api) end_point_list: Option<Vec<EndpointBody>>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(in crate::api) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) publish: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) planned_start_date: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) planned_end_date: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) play_list_item_list: Option<Vec<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) public_stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) is360: Option<bool>,
    #[serde(rename = "listenerHookURL", skip_serializing_if = "Option::is_none")]
    pub(in crate::api) listener_hook_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) ip_addr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) stream_url: Option<String>,
    /// Not Ant Media's, where it is one for all: `udp`, `tcp` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) rtsp_pull_transport_type: Option<String>,
    /// Not Ant Media's: whether the source's certificate has to be valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) verify_tls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) mp4_enabled: Option<i32>,
    #[serde(rename = "webMEnabled", skip_serializing_if = "Option::is_none")]
    pub(in crate::api) webm_enabled: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) subtracks_limit: Option<i32>,
    #[serde(rename = "expireDurationMS", skip_serializing_if = "Option::is_none")]
    pub(in crate::api) expire_duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) latitude: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) longitude: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) altitude: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) main_track_stream_id: Option<String>,
    #[serde(rename = "webRTCViewerLimit", skip_serializing_if = "Option::is_none")]
    pub(in crate::api) webrtc_viewer_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) hls_viewer_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) dash_viewer_limit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) sub_folder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) meta_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) playlist_loop_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(in crate::api) hls_parameters: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) auto_start_stop_enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) encoder_settings_list: Option<Vec<Value>>,
    #[serde(rename = "virtual", skip_serializing_if = "Option::is_none")]
    pub(in crate::api) is_virtual: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::api) max_idle_time: Option<i32>,
}

impl BroadcastBody {
    /// What is stored of it: the fields that were given.
    pub(in crate::api) fn into_fields(self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            // Strings, numbers, flags and JSON values: nothing in it can fail to be JSON.
            _ => Map::new(),
        }
    }

    /// The stored fields, typed. What another hand has stored with a wrong type counts as not set.
    pub(in crate::api) fn from_fields(fields: &Map<String, Value>) -> Self {
        serde_json::from_value(Value::Object(fields.clone())).unwrap_or_default()
    }

    /// Takes out what was only shown and sent back: it is no change.
    pub(in crate::api) fn drop_redacted(&mut self, stored: &Self) {
        if self.password.as_deref() == Some(REDACTED) {
            self.password = None;
        }
        if self.stream_url.is_some() && self.stream_url == stored.stream_url.as_deref().map(shown) {
            self.stream_url = None;
        }
        if self.listener_hook_url.is_some() && self.listener_hook_url == stored.listener_hook_url.as_deref().map(redact)
        {
            self.listener_hook_url = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_given_fields_are_stored_and_they_come_back() {
        let body: BroadcastBody = serde_json::from_str(
            r#"{"streamId":"s","name":"n","password":null,"is360":true,"webMEnabled":-1,"virtual":true,"foo":1}"#,
        )
        .expect("parses");
        let fields = body.into_fields();
        assert_eq!(
            Value::Object(fields.clone()).to_string(),
            r#"{"name":"n","is360":true,"webMEnabled":-1,"virtual":true}"#
        );
        assert_eq!(BroadcastBody::from_fields(&fields).into_fields(), fields);
    }

    #[test]
    fn what_was_only_shown_is_no_change() {
        let url = "rtsp://u:p4ss@h/x";
        let stored = BroadcastBody { stream_url: Some(url.into()), ..BroadcastBody::default() };
        let shown = shown(url);
        assert!(!shown.contains("p4ss"), "{shown}");
        let mut sent_back = BroadcastBody {
            password: Some("***".into()),
            stream_url: Some(shown),
            name: Some("n".into()),
            ..BroadcastBody::default()
        };
        sent_back.drop_redacted(&stored);
        assert_eq!(Value::Object(sent_back.into_fields()).to_string(), r#"{"name":"n"}"#);
    }
}
