//! Commands: what a publisher calls, and what we answer (Adobe, "RTMP specification 1.0", section 7.2).
//!
//! Knows each command's form, not when it may come. The hard thing is `connect`'s answer: what it
//! advertises is what an Enhanced RTMP encoder will dare to send.

use bytes::{Bytes, BytesMut};

use super::amf0::{Amf0Error, Decoder, Value};
use super::chunk::Message;
use super::message::kind;

/// Video codecs of Enhanced RTMP that reach an endpoint unchanged.
const VIDEO_FOUR_CC: [&str; 2] = ["avc1", "hvc1"];

/// Audio codecs of Enhanced RTMP that reach an endpoint unchanged.
const AUDIO_FOUR_CC: [&str; 4] = ["mp4a", "Opus", ".mp3", "ac-3"];

/// Enhanced RTMP v2, FourCcInfoMask: forwarded without being decoded.
const CAN_FORWARD: f64 = 4.0;

/// Enhanced RTMP v2, CapsExMask: ModEx (4) and TimestampNanoOffset (8). Neither reconnect
/// requests nor multitrack: of several tracks only the first goes on.
const CAPS_EX: f64 = 12.0;

/// `fmsVer` and `capabilities` of the servers that encoders were written against.
const FMS_VERSION: &str = "FMS/3,5,7,7009";
const FMS_CAPABILITIES: f64 = 31.0;

/// A command as it came.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    /// Its name.
    pub(super) name: String,
    /// What an answer has to carry; 0 if none is wanted.
    pub(super) transaction: f64,
    /// The message stream it came on.
    pub(super) stream: u32,
    /// Command object and arguments, in order.
    pub(super) arguments: Vec<Value>,
}

/// AMF3 messages that hold AMF0 (all that exist do) begin with a format byte.
pub(super) fn amf0_of(message: &Message) -> Bytes {
    let skipped = usize::from(matches!(message.kind, kind::COMMAND_AMF3 | kind::DATA_AMF3));
    message.payload.slice(skipped.min(message.payload.len())..)
}

impl Command {
    /// Reads a command message. Arguments behind one that can't be read are left out.
    ///
    /// # Errors
    /// Any [`Amf0Error`] if there is no name and transaction id.
    pub(super) fn parse(message: &Message) -> Result<Self, Amf0Error> {
        let payload = amf0_of(message);
        let mut decoder = Decoder::new(&payload);
        let name = match decoder.next()? {
            Some(Value::String(name)) => name,
            _ => return Err(Amf0Error::Truncated),
        };
        let transaction = decoder.next()?.and_then(|value| value.as_number()).unwrap_or(0.0);
        let mut arguments = Vec::new();
        while let Ok(Some(value)) = decoder.next() {
            arguments.push(value);
        }
        Ok(Self { name, transaction, stream: message.stream, arguments })
    }

    /// The n-th argument as text; the command object is number 0.
    pub(super) fn text(&self, n: usize) -> Option<&str> {
        self.arguments.get(n).and_then(Value::as_str)
    }

    /// A text of `connect`'s command object.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        self.arguments.first().and_then(|object| object.get(name)).and_then(Value::as_str)
    }
}

fn command(stream: u32, values: &[Value]) -> Message {
    let mut payload = BytesMut::new();
    for value in values {
        value.encode(&mut payload);
    }
    Message { kind: kind::COMMAND, timestamp_ms: 0, stream, payload: payload.freeze() }
}

/// How bad a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// As wished.
    Status,
    /// Refused or ended.
    Error,
}

fn info(level: Level, code: &str, description: &str) -> [(&'static str, Value); 3] {
    let level = if level == Level::Status { "status" } else { "error" };
    [("level", Value::text(level)), ("code", Value::text(code)), ("description", Value::text(description))]
}

/// What Enhanced RTMP wants to know of a server ("Enhancing NetConnection connect Command").
fn enhanced() -> Vec<(String, Value)> {
    let map = |names: &[&str]| {
        Value::Object(names.iter().map(|name| ((*name).to_owned(), Value::Number(CAN_FORWARD))).collect())
    };
    let list = VIDEO_FOUR_CC.iter().chain(&AUDIO_FOUR_CC).map(|name| Value::text(name)).collect();
    vec![
        ("fourCcList".to_owned(), Value::Array(list)),
        ("videoFourCcInfoMap".to_owned(), map(&VIDEO_FOUR_CC)),
        ("audioFourCcInfoMap".to_owned(), map(&AUDIO_FOUR_CC)),
        ("capsEx".to_owned(), Value::Number(CAPS_EX)),
    ]
}

/// `connect` is granted. The enhancements stand in both objects: the specification says only "an Object".
pub(super) fn connect_result(transaction: f64) -> Message {
    let mut properties = vec![
        ("fmsVer".to_owned(), Value::text(FMS_VERSION)),
        ("capabilities".to_owned(), Value::Number(FMS_CAPABILITIES)),
    ];
    properties.extend(enhanced());
    let granted = info(Level::Status, "NetConnection.Connect.Success", "Connection succeeded.");
    let mut information: Vec<_> = granted.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    information.push(("objectEncoding".to_owned(), Value::Number(0.0)));
    information.extend(enhanced());
    let transaction = Value::Number(transaction);
    command(0, &[Value::text("_result"), transaction, Value::Object(properties), Value::Object(information)])
}

/// `connect` is refused.
pub(super) fn connect_error(transaction: f64, code: &str, description: &str) -> Message {
    let information = Value::object(info(Level::Error, code, description));
    command(0, &[Value::text("_error"), Value::Number(transaction), Value::Null, information])
}

/// Any other call's answer.
pub(super) fn result(transaction: f64, value: Value) -> Message {
    command(0, &[Value::text("_result"), Value::Number(transaction), Value::Null, value])
}

/// A call that can't be granted.
pub(super) fn call_failed(transaction: f64, description: &str) -> Message {
    connect_error(transaction, "NetConnection.Call.Failed", description)
}

/// News about a message stream.
pub(super) fn on_status(stream: u32, level: Level, code: &str, description: &str) -> Message {
    let information = Value::object(info(level, code, description));
    command(stream, &[Value::text("onStatus"), Value::Number(0.0), Value::Null, information])
}

/// The answer to `FCPublish`, which old Flash encoders wait for.
pub(super) fn on_fc_publish() -> Message {
    let information = Value::object([
        ("code", Value::text("NetStream.Publish.Start")),
        ("description", Value::text("Started publishing stream.")),
    ]);
    command(0, &[Value::text("onFCPublish"), Value::Number(0.0), Value::Null, information])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_as_far_as_they_can_be() {
        let parse = |kind, payload: &'static [u8]| {
            Command::parse(&Message { kind, timestamp_ms: 0, stream: 1, payload: Bytes::from_static(payload) })
        };
        let publish =
            parse(kind::COMMAND, b"\x02\0\x07publish\0\x40\x14\0\0\0\0\0\0\x05\x02\0\x01x\x02\0\x04live").unwrap();
        assert_eq!((publish.name.as_str(), publish.transaction, publish.stream), ("publish", 5.0, 1));
        assert_eq!(
            (publish.text(0), publish.text(1), publish.text(2), publish.text(9)),
            (None, Some("x"), Some("live"), None)
        );
        // AMF3: one byte more; an argument in AMF3 ends the list.
        let amf3 = parse(kind::COMMAND_AMF3, b"\0\x02\0\x01a\0\x40\x14\0\0\0\0\0\0\x05\x11\x01").unwrap();
        assert_eq!((amf3.name.as_str(), amf3.arguments), ("a", vec![Value::Null]));
        // No transaction id: none is wanted.
        assert_eq!(parse(kind::COMMAND, b"\x02\0\x01a").unwrap().transaction, 0.0);
        for bad in [&b""[..], b"\x05", b"\x02\0\x05a"] {
            assert_eq!(parse(kind::COMMAND, bad), Err(Amf0Error::Truncated), "{bad:02x?}");
        }
        assert_eq!(parse(kind::COMMAND_AMF3, b""), Err(Amf0Error::Truncated));
    }

    #[test]
    fn the_connect_answer_names_the_codecs_we_carry() {
        let answer = Command::parse(&connect_result(1.0)).unwrap();
        assert_eq!((answer.name.as_str(), answer.transaction), ("_result", 1.0));
        for object in &answer.arguments {
            let Some(Value::Array(list)) = object.get("fourCcList") else { panic!("no fourCcList in {object:?}") };
            let list: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            assert_eq!(list, ["avc1", "hvc1", "mp4a", "Opus", ".mp3", "ac-3"]);
            assert_eq!(object.get("videoFourCcInfoMap").and_then(|map| map.get("hvc1")), Some(&Value::Number(4.0)));
            assert_eq!(object.get("audioFourCcInfoMap").and_then(|map| map.get("Opus")), Some(&Value::Number(4.0)));
            assert_eq!(object.get("videoFourCcInfoMap").and_then(|map| map.get("av01")), None);
        }
        assert_eq!(answer.property("fmsVer"), Some(FMS_VERSION));
        assert_eq!(answer.arguments[1].get("objectEncoding"), Some(&Value::Number(0.0)));
    }
}
