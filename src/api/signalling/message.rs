//! The words of Ant Media's signalling: what a client sends, read; what it is told, written.
//!
//! Owns the JSON. Must not know which word follows on which. The hard thing: the SDK leaves fields out,
//! sends them empty, or as null, and all three mean the same.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::dto::StreamInfo;
use crate::ingest::webrtc::{Candidate, IceServer};
use crate::model::ids::StreamId;

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Which STUN or TURN server to use.
    IceServers,
    /// Are you there.
    Ping,
    /// To publish.
    Publish(Wanted),
    /// A session description for a stream; without one, None.
    Offer(StreamId, Option<String>),
    /// A candidate of the client's.
    Candidate(StreamId, Candidate),
    /// To end a publication.
    Stop(StreamId),
    /// How a stream fares.
    StreamInfo(StreamId),
    /// To play, which this server does not do.
    Play(StreamId),
    /// Something that needs no answer: unknown commands, and answers to offers that were never made.
    Nothing,
}

/// A publication that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Which stream.
    pub(super) stream: StreamId,
    /// Given back in answers; it is not logged, nor stored.
    pub(super) subscriber: String,
    /// What the client says of its stream, as it says it.
    pub(super) about: Vec<(String, String)>,
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// No JSON object, or a field of the wrong kind; how.
    Malformed(String),
    /// A command that needs one has no stream id.
    NoStream,
    /// The id can't be one; why.
    BadStream {
        /// As it was given, cut.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Characters of an unusable stream id that are repeated in the answer.
const GIVEN_LEN_MAX: usize = 128;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    command: Option<Value>,
    #[serde(default)]
    stream_id: Option<String>,
    #[serde(default)]
    subscriber_id: Option<String>,
    #[serde(default)]
    stream_name: Option<String>,
    #[serde(default)]
    main_track: Option<String>,
    #[serde(default)]
    meta_data: Option<Value>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    sdp: Option<String>,
    #[serde(default)]
    label: Option<u32>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    candidate: Option<String>,
}

/// Reads a message.
///
/// # Errors
/// In Ant Media's order: without a command nothing is wrong; then the stream id is looked at, if the
/// command needs one.
pub(super) fn read(text: &str) -> Result<Command, Fault> {
    let raw: Raw = serde_json::from_str(text).map_err(|error| Fault::Malformed(error.to_string()))?;
    let Some(Value::String(command)) = &raw.command else { return Ok(Command::Nothing) };
    match command.as_str() {
        "getIceServerConfig" => return Ok(Command::IceServers),
        "ping" => return Ok(Command::Ping),
        "publish" | "takeConfiguration" | "takeCandidate" | "stop" | "getStreamInfo" | "play" => {}
        _ => return Ok(Command::Nothing),
    }
    let given = raw.stream_id.as_deref().filter(|id| !id.is_empty()).ok_or(Fault::NoStream)?;
    let stream: StreamId = given.parse().map_err(|reason| Fault::BadStream {
        given: given.chars().take(GIVEN_LEN_MAX).collect(),
        reason: format!("the stream id {reason}"),
    })?;
    Ok(match command.as_str() {
        "publish" => Command::Publish(wanted(stream, raw)),
        "takeConfiguration" if raw.kind.as_deref().is_none_or(|kind| kind == "offer") => {
            Command::Offer(stream, raw.sdp.filter(|sdp| !sdp.is_empty()))
        }
        "takeCandidate" => {
            let mline_index = raw.label.unwrap_or(0);
            let candidate = raw.candidate.unwrap_or_default();
            Command::Candidate(stream, Candidate { mline_index, mid: raw.id, candidate })
        }
        "stop" => Command::Stop(stream),
        "getStreamInfo" => Command::StreamInfo(stream),
        "play" => Command::Play(stream),
        _ => Command::Nothing,
    })
}

fn wanted(stream: StreamId, raw: Raw) -> Wanted {
    let meta_data = match raw.meta_data {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(other) => Some(other.to_string()),
    };
    let about =
        [("streamName", raw.stream_name), ("mainTrack", raw.main_track), ("metaData", meta_data), ("role", raw.role)];
    Wanted {
        stream,
        subscriber: raw.subscriber_id.unwrap_or_default(),
        about: about.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect(),
    }
}

/// Ant Media's words for what goes wrong, and ours where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    AlreadyPublishing,
    HighResourceUsage,
    InvalidStreamName,
    /// Ours.
    Malformed,
    NoCodec,
    NoStreamName,
    NoSuchStream,
    NotInitialized,
    NotSetRemoteDescription,
    PublishTimeout,
    ServerError,
    StreamIdInUse,
    /// Ours.
    TooLarge,
}

impl Code {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyPublishing => "already_publishing",
            Self::HighResourceUsage => "highResourceUsage",
            Self::InvalidStreamName => "invalidStreamName",
            Self::Malformed => "malformed_message",
            Self::NoCodec => "no_codec_enabled_in_the_server",
            Self::NoStreamName => "noStreamNameSpecified",
            Self::NoSuchStream => "no_stream_exist",
            Self::NotInitialized => "not_initialized_yet",
            Self::NotSetRemoteDescription => "notSetRemoteDescription",
            Self::PublishTimeout => "publishTimeoutError",
            Self::ServerError => "server_error_check_logs",
            Self::StreamIdInUse => "streamIdInUse",
            Self::TooLarge => "message_too_large",
        }
    }
}

/// An error. `information` is ours: the reason in words, beside Ant Media's code.
pub(super) fn error(code: Code, stream: Option<&str>, information: Option<&str>) -> String {
    let mut message = json!({ "command": "error", "definition": code.as_str() });
    if let Some(stream) = stream {
        message["streamId"] = stream.into();
    }
    if code == Code::NoSuchStream {
        message["error_code"] = "404".into();
    }
    if let Some(information) = information {
        message["information"] = information.into();
    }
    message.to_string()
}

pub(super) fn pong() -> String {
    json!({ "command": "pong" }).to_string()
}

pub(super) fn start(wanted: &Wanted) -> String {
    json!({ "command": "start", "streamId": wanted.stream.as_str(), "subscriberId": wanted.subscriber }).to_string()
}

pub(super) fn answer(wanted: &Wanted, sdp: &str) -> String {
    json!({
        "command": "takeConfiguration",
        "streamId": wanted.stream.as_str(),
        "type": "answer",
        "sdp": sdp,
        "linkSession": null,
        "subscriberId": wanted.subscriber,
    })
    .to_string()
}

pub(super) fn candidate(stream: &StreamId, candidate: &Candidate) -> String {
    json!({
        "command": "takeCandidate",
        "streamId": stream.as_str(),
        "label": candidate.mline_index,
        "id": candidate.mid,
        "candidate": candidate.candidate,
    })
    .to_string()
}

/// `publish_started`, `publish_finished`.
pub(super) fn notification(definition: &str, wanted: &Wanted) -> String {
    json!({
        "command": "notification",
        "definition": definition,
        "streamId": wanted.stream.as_str(),
        "subscriberId": wanted.subscriber,
    })
    .to_string()
}

/// The SDK closes its socket on this and publishes again as soon as it can.
pub(super) fn server_will_stop() -> String {
    json!({ "command": "notification", "definition": "server_will_stop" }).to_string()
}

/// The SDK takes one server: a TURN server where there is one, for it stands in for STUN. Without any,
/// the SDK keeps its own.
pub(super) fn ice_servers(servers: &[IceServer]) -> String {
    let chosen = servers.iter().find(|server| server.uri.starts_with("turn:")).or_else(|| servers.first());
    json!({
        "command": "iceServerConfig",
        "stunServerUri": chosen.map(|server| server.uri.as_str()),
        "turnServerUsername": chosen.and_then(|server| server.username.as_deref()),
        "turnServerCredential": chosen.and_then(|server| server.credential.as_deref()),
    })
    .to_string()
}

pub(super) fn stream_information(stream: &StreamId, info: &StreamInfo) -> String {
    json!({
        "command": "streamInformation",
        "streamId": stream.as_str(),
        "streamInfo": [{
            "streamWidth": info.video_width,
            "streamHeight": info.video_height,
            "videoBitrate": info.video_bitrate,
            "audioBitrate": info.audio_bitrate,
            "videoCodec": info.video_codec,
        }],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> StreamId {
        text.parse().expect("id")
    }

    #[test]
    fn messages_as_the_sdk_sends_them() {
        let candidate = |mline_index, mid: Option<&str>, candidate: &str| {
            Command::Candidate(
                id("s"),
                Candidate { mline_index, mid: mid.map(str::to_owned), candidate: candidate.to_owned() },
            )
        };
        let publish = |subscriber: &str, about: &[(&str, &str)]| {
            Command::Publish(Wanted {
                stream: id("s"),
                subscriber: subscriber.to_owned(),
                about: about.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            })
        };
        for (text, wanted) in [
            (r#"{"command":"getIceServerConfig"}"#, Command::IceServers),
            (r#"{"command":"ping"}"#, Command::Ping),
            (r#"{"command":"publish","streamId":"s"}"#, publish("", &[])),
            (
                r#"{"command":"publish","streamId":"s","token":"t","subscriberId":"u","subscriberCode":"1","streamName":"n","mainTrack":"","video":true,"audio":true,"metaData":{"a":1},"role":null}"#,
                publish("u", &[("streamName", "n"), ("mainTrack", ""), ("metaData", r#"{"a":1}"#)]),
            ),
            (
                r#"{"command":"takeConfiguration","streamId":"s","type":"offer","sdp":"v=0"}"#,
                Command::Offer(id("s"), Some("v=0".into())),
            ),
            (r#"{"command":"takeConfiguration","streamId":"s","type":"offer"}"#, Command::Offer(id("s"), None)),
            (r#"{"command":"takeConfiguration","streamId":"s","type":"answer","sdp":"v=0"}"#, Command::Nothing),
            (
                r#"{"command":"takeCandidate","streamId":"s","label":1,"id":"m","candidate":"candidate:1 1"}"#,
                candidate(1, Some("m"), "candidate:1 1"),
            ),
            (
                r#"{"command":"takeCandidate","streamId":"s","label":null,"id":null,"candidate":""}"#,
                candidate(0, None, ""),
            ),
            (r#"{"command":"stop","streamId":"s"}"#, Command::Stop(id("s"))),
            (r#"{"command":"getStreamInfo","streamId":"s"}"#, Command::StreamInfo(id("s"))),
            (r#"{"command":"play","streamId":"s","room":""}"#, Command::Play(id("s"))),
            (r#"{"command":"getRoomInfo","streamId":"/"}"#, Command::Nothing),
            (r#"{"command":"joinRoom"}"#, Command::Nothing),
            (r#"{"streamId":"s"}"#, Command::Nothing),
            (r#"{"command":7}"#, Command::Nothing),
            ("{}", Command::Nothing),
        ] {
            assert_eq!(read(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn faults_in_ant_medias_order() {
        let bad = |given: &str, reason: &str| Fault::BadStream { given: given.to_owned(), reason: reason.to_owned() };
        for (text, wanted) in [
            (r#"{"command":"publish"}"#, Fault::NoStream),
            (r#"{"command":"stop","streamId":""}"#, Fault::NoStream),
            (
                r#"{"command":"publish","streamId":"a/b"}"#,
                bad("a/b", "the stream id holds '/'; only letters, digits, '-', '_' and '.' are allowed"),
            ),
        ] {
            assert_eq!(read(text), Err(wanted), "{text}");
        }
        for text in [
            "",
            "null",
            "[]",
            "7",
            "{",
            r#"{"command":"publish","streamId":7}"#,
            r#"{"command":"takeCandidate","streamId":"s","label":-1}"#,
        ] {
            assert!(matches!(read(text), Err(Fault::Malformed(_))), "{text}: {:?}", read(text));
        }
        let long = format!(r#"{{"command":"stop","streamId":"{}"}}"#, "ä".repeat(60_000));
        assert!(matches!(read(&long), Err(Fault::BadStream { given, .. }) if given.chars().count() == GIVEN_LEN_MAX));
    }

    #[test]
    fn a_turn_server_stands_in_for_stun() {
        let stun = IceServer { uri: "stun:h:3478".into(), username: None, credential: None };
        let turn = IceServer { uri: "turn:h:3478".into(), username: Some("u".into()), credential: Some("c".into()) };
        for (servers, wanted) in [
            (
                vec![],
                r#"{"command":"iceServerConfig","stunServerUri":null,"turnServerUsername":null,"turnServerCredential":null}"#,
            ),
            (
                vec![stun.clone()],
                r#"{"command":"iceServerConfig","stunServerUri":"stun:h:3478","turnServerUsername":null,"turnServerCredential":null}"#,
            ),
            (
                vec![stun, turn],
                r#"{"command":"iceServerConfig","stunServerUri":"turn:h:3478","turnServerUsername":"u","turnServerCredential":"c"}"#,
            ),
        ] {
            assert_eq!(ice_servers(&servers), wanted);
        }
    }
}
