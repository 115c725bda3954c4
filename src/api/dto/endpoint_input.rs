//! An endpoint as a client of `…/endpoints` gives it, whole or in part.
//!
//! Owns names and types, not what they may hold. It has no `Debug`: it may hold a passphrase.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// Absent, null, or a value: a merge patch (RFC 7396) tells the three apart, all else takes null for absent.
pub(in crate::api) type Given<T> = Option<Option<T>>;

fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Given<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What may be given, and of which type it is.
pub(in crate::api) const INPUT_FIELDS: &[(&str, &str)] = &[
    ("url", "text"),
    ("host", "text"),
    ("port", "a whole number"),
    ("mode", "text: caller, listener or rendezvous"),
    ("streamid", "text"),
    ("passphrase", "text"),
    ("pbkeylen", "a whole number: 16, 24 or 32"),
    ("latencyMs", "a whole number"),
    ("rcvLatencyMs", "a whole number"),
    ("peerLatencyMs", "a whole number"),
    ("localAddress", "text"),
    ("localPort", "a whole number"),
    ("connectTimeoutMs", "a whole number"),
    ("packetSizeBytes", "a whole number"),
    ("maxBandwidthBytesPerS", "a whole number"),
    ("inputBandwidthBytesPerS", "a whole number"),
    ("overheadPercent", "a whole number"),
    ("maxCallers", "a whole number"),
    ("options", "an object of texts, whole numbers and flags"),
    ("label", "text"),
    ("enabled", "true or false"),
    ("tracks", "text: all, audio or video"),
    ("audioTrack", "a whole number"),
    ("retry", "an object of minMs, maxMs and limit, whole numbers"),
];

/// What is shown beside, and can't be given.
pub(in crate::api) const READ_FIELDS: &[&str] = &[
    "id",
    "revision",
    "status",
    "state",
    "since",
    "attempt",
    "failure",
    "history",
    "statistics",
    "advice",
    "callers",
    "unreadable",
];

/// The body of POST, PUT, PATCH and of a test.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::api) struct EndpointInput {
    /// The whole address: `srt://host:port?key=value&…`. `passphrase=***` in it is the stored one.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api) url: Given<String>,
    /// Where to call, a name or an address; of a listener the address to bind.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api) host: Given<String>,
    /// UDP port; 4200 without it.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) port: Given<i64>,
    /// `caller`, `listener` or `rendezvous`; `caller` without it.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api) mode: Given<String>,
    /// Stream id.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api) streamid: Given<String>,
    /// Passphrase, 10 to 79 bytes; `***` is the stored one. Never shown.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api) passphrase: Given<String>,
    /// Length of the AES key in bytes.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) pbkeylen: Given<i64>,
    /// Latency in both directions.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) latency_ms: Given<i64>,
    /// Latency of what is received.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) rcv_latency_ms: Given<i64>,
    /// Latency asked of the peer.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) peer_latency_ms: Given<i64>,
    /// Address to send from.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api) local_address: Given<String>,
    /// UDP port to send from.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) local_port: Given<i64>,
    /// Time for one attempt to connect.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) connect_timeout_ms: Given<i64>,
    /// Payload of an SRT packet: a multiple of 188 up to 1316.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) packet_size_bytes: Given<i64>,
    /// Highest sending rate (`maxbw`); 0: by the next two, -1: none.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) max_bandwidth_bytes_per_s: Given<i64>,
    /// Rate of the stream (`inputbw`); 0: measured.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) input_bandwidth_bytes_per_s: Given<i64>,
    /// Room for retransmission, in % of the stream's rate (`oheadbw`).
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) overhead_percent: Given<i64>,
    /// How many callers a listener serves at once (`maxcallers`).
    #[serde(deserialize_with = "given")]
    pub(in crate::api) max_callers: Given<i64>,
    /// Every other option, by its key in the URL.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<BTreeMap<String, OptionInput>>)]
    pub(in crate::api) options: Given<BTreeMap<String, Option<OptionInput>>>,
    /// What people call it: one line, 120 characters at most.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api) label: Given<String>,
    /// Whether it is switched on; true without it.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<bool>)]
    pub(in crate::api) enabled: Given<bool>,
    /// What to send of the stream: `all`, `audio` or `video`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub(in crate::api) tracks: Given<String>,
    /// Which sound track: 1, the only one.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) audio_track: Given<i64>,
    /// When to try again.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<RetryInput>)]
    pub(in crate::api) retry: Given<RetryInput>,
}

/// When to try again; without a value the service's own rule, and no limit.
// Serialize: the document shows the default.
#[derive(Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::api) struct RetryInput {
    /// Before the second attempt, and the least delay at all: 100 to 3600000.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) min_ms: Given<i64>,
    /// The longest delay: 100 to 3600000.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) max_ms: Given<i64>,
    /// Attempts that may fail in a row before it is given up.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub(in crate::api) limit: Given<i64>,
}

/// The value of an option.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub(in crate::api) enum OptionInput {
    /// As a flag.
    Flag(bool),
    /// As a number.
    Number(i64),
    /// As it is written in a URL, decoded.
    Text(String),
}

impl OptionInput {
    /// As it is written in a URL, decoded.
    pub(in crate::api) fn text(&self) -> String {
        match self {
            Self::Flag(flag) => i32::from(*flag).to_string(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}
