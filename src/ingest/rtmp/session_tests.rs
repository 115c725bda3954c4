//! The session against a client made of the same chunk code, and against garbage.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::amf0::Value;
use super::chunk::{ChunkReader, ChunkWriter, Limits, Message};
use super::command::{Command, Level};
use super::handshake::RANDOM_LEN;
use super::message::kind;
use super::session::*;

/// A session with the other end of its wire.
struct Client {
    session: Session,
    writer: ChunkWriter,
    reader: ChunkReader,
    answers: BytesMut,
}

impl Client {
    fn new() -> Self {
        let mut session = Session::new(Box::new([0; RANDOM_LEN]));
        let hello = [[3].as_slice(), &[0x11; 2 * 1536]].concat();
        session.input().extend_from_slice(&hello);
        assert_eq!(session.poll(), Ok(None));
        assert_eq!(session.take_output().len(), 1 + 2 * 1536);
        let mut reader = ChunkReader::new();
        reader.set_limits(Limits::PUBLISHING);
        Self { session, writer: ChunkWriter::new(), reader, answers: BytesMut::new() }
    }

    fn connected(app: &str) -> Self {
        let mut client = Self::new();
        let object = Value::object([("app", Value::text(app)), ("flashVer", Value::text("FMLE/3.0\n"))]);
        assert_eq!(client.call("connect", 1.0, &[object]), Ok(Some(Event::Connect("live".to_owned()))));
        client.session.grant_connect();
        client.answers();
        client
    }

    fn publishing() -> Self {
        let mut client = Self::connected("live");
        assert!(matches!(client.publish("x"), Ok(Some(Event::Publish(_)))));
        client.session.grant_publish();
        client.answers();
        client
    }

    fn send(&mut self, kind: u8, timestamp_ms: u32, payload: &[u8]) -> Result<Option<Event>, SessionError> {
        let message = Message { kind, timestamp_ms, stream: 1, payload: Bytes::copy_from_slice(payload) };
        let mut bytes = BytesMut::new();
        self.writer.write(4, &message, &mut bytes);
        self.session.input().extend_from_slice(&bytes);
        self.session.received(bytes.len());
        self.session.poll()
    }

    fn call(&mut self, name: &str, transaction: f64, arguments: &[Value]) -> Result<Option<Event>, SessionError> {
        let mut payload = BytesMut::new();
        for value in [Value::text(name), Value::Number(transaction)].iter().chain(arguments) {
            value.encode(&mut payload);
        }
        self.send(kind::COMMAND, 0, &payload)
    }

    fn publish(&mut self, name: &str) -> Result<Option<Event>, SessionError> {
        self.call("publish", 5.0, &[Value::Null, Value::text(name), Value::text("live")])
    }

    /// What the session answered, as messages; obeys its chunk size.
    fn answers(&mut self) -> Vec<Message> {
        let output = self.session.take_output();
        self.answers.extend_from_slice(&output);
        let mut answers = Vec::new();
        while let Some(message) = self.reader.next(&mut self.answers).unwrap() {
            if message.kind == kind::SET_CHUNK_SIZE {
                self.reader.set_chunk_size(4096).unwrap();
            }
            answers.push(message);
        }
        answers
    }

    /// Name and code of the one command among the answers.
    fn status(&mut self) -> (String, String) {
        let answers = self.answers();
        let commands: Vec<_> =
            answers.iter().filter(|m| m.kind == kind::COMMAND).map(|m| Command::parse(m).unwrap()).collect();
        assert_eq!(commands.len(), 1, "{answers:?}");
        let code = commands[0].arguments.iter().filter_map(|value| value.get("code")).find_map(Value::as_str);
        (commands[0].name.clone(), code.unwrap_or_default().to_owned())
    }
}

fn pair(name: &str, code: &str) -> (String, String) {
    (name.to_owned(), code.to_owned())
}

#[test]
fn a_publisher_gets_from_connect_to_media() {
    let mut client = Client::connected("live?k=v");
    for (name, answers) in [("releaseStream", 1), ("FCPublish", 2), ("createStream", 1), ("_checkbw", 1)] {
        assert_eq!(client.call(name, 2.0, &[Value::Null, Value::text("x")]), Ok(None));
        assert_eq!(client.answers().len(), answers, "{name}");
    }
    let Ok(Some(Event::Publish(intent))) = client.publish("x?a=b") else { panic!("no intent") };
    assert_eq!((intent.app.as_str(), intent.stream.id.as_str()), ("live", "x"));
    assert_eq!(intent.stream.query, [("a".to_owned(), "b".to_owned()), ("k".to_owned(), "v".to_owned())]);
    assert_eq!(intent.user_agent.as_deref(), Some("FMLE/3.0"));
    // A publisher that does not wait for the answer: its media stays in the input until then.
    assert_eq!(client.send(kind::VIDEO, 40, b"early"), Ok(None));
    client.session.grant_publish();
    let early = Event::Tag { kind: TrackKind::Video, timestamp_ms: 40, body: Bytes::from_static(b"early") };
    assert_eq!(client.session.poll(), Ok(Some(early)));
    let answers = client.answers();
    assert_eq!(
        answers.iter().map(|m| (m.kind, m.stream)).collect::<Vec<_>>(),
        [(kind::USER_CONTROL, 0), (kind::COMMAND, 1)]
    );
    assert_eq!(
        client.send(kind::AUDIO, 60, b""),
        Ok(Some(Event::Tag { kind: TrackKind::Audio, timestamp_ms: 60, body: Bytes::new() }))
    );
}

#[test]
fn metadata_comes_in_all_its_envelopes() {
    let mut payload = BytesMut::new();
    let object = Value::object([("width", Value::Number(640.0))]);
    for value in [Value::text("@setDataFrame"), Value::text("onMetaData"), object.clone()] {
        value.encode(&mut payload);
    }
    let bare = payload.clone().split_off(3 + "@setDataFrame".len());
    let amf3 = [&[0], &payload[..]].concat();
    let mut client = Client::publishing();
    for (kind, payload) in [(kind::DATA, &payload[..]), (kind::DATA, &bare), (kind::DATA_AMF3, &amf3)] {
        assert_eq!(client.send(kind, 0, payload), Ok(Some(Event::MetaData(object.clone()))));
    }
    for odd in [&b""[..], b"\x02\0\x0aonMetaData", b"\x02\0\x0aonMetaData\x11", b"\x02\0\x09onCuePoin\x05"] {
        assert_eq!(client.send(kind::DATA, 0, odd), Ok(None), "{odd:02x?}");
    }
}

#[test]
fn refusals_are_answered_before_the_session_closes() {
    let mut client = Client::new();
    let object = Value::object([("app", Value::text("nope"))]);
    assert_eq!(client.call("connect", 1.0, &[object]), Ok(Some(Event::Connect("nope".to_owned()))));
    client.session.refuse_connect("NetConnection.Connect.InvalidApp", "unknown");
    assert_eq!(client.status(), pair("_error", "NetConnection.Connect.InvalidApp"));
    assert!(client.session.is_closing());

    let mut client = Client::connected("live");
    assert!(matches!(client.publish("x"), Ok(Some(Event::Publish(_)))));
    client.session.refuse_publish("NetStream.Publish.BadName", "in use");
    assert_eq!(client.status(), pair("onStatus", "NetStream.Publish.BadName"));
    assert!(client.session.is_closing());

    let mut client = Client::connected("live");
    assert_eq!(client.call("play", 0.0, &[Value::Null, Value::text("x")]), Ok(Some(Event::Refused("play"))));
    assert_eq!(client.status(), pair("onStatus", "NetStream.Play.Failed"));

    let mut client = Client::publishing();
    assert!(matches!(client.publish("y"), Ok(Some(Event::Refused(_)))));
    assert_eq!(client.status(), pair("onStatus", "NetStream.Publish.BadName"));

    let mut client = Client::publishing();
    client.session.end(Level::Error, "NetStream.Publish.Rejected", "no usable track");
    assert_eq!(client.status(), pair("onStatus", "NetStream.Publish.Rejected"));
    assert!(client.session.is_closing());

    let mut client = Client::new();
    assert_eq!(client.publish("x"), Ok(Some(Event::Refused("a command before connect"))));
    assert!(client.session.is_closing());
}

#[test]
fn a_publisher_ends_its_stream_in_three_ways() {
    for (name, arguments) in [
        ("deleteStream", vec![Value::Null, Value::Number(1.0)]),
        ("deleteStream", vec![]),
        ("closeStream", vec![Value::Null]),
        ("FCUnpublish", vec![Value::Null, Value::text("x")]),
    ] {
        let mut client = Client::publishing();
        assert_eq!(client.call(name, 0.0, &arguments), Ok(Some(Event::Unpublished(name))));
        assert_eq!(client.status(), pair("onStatus", "NetStream.Unpublish.Success"));
        assert!(client.session.is_closing());
    }
    let mut client = Client::publishing();
    assert_eq!(client.call("deleteStream", 0.0, &[Value::Null, Value::Number(7.0)]), Ok(None));
    assert!(!client.session.is_closing());
    let mut client = Client::connected("live");
    assert_eq!(client.call("FCUnpublish", 3.0, &[Value::Null, Value::text("x")]), Ok(None));
    assert!(!client.session.is_closing());
}

#[test]
fn pings_windows_and_chunk_sizes_are_obeyed() {
    let mut client = Client::publishing();
    assert_eq!(client.send(kind::USER_CONTROL, 0, b"\0\x06\0\0\x30\x39"), Ok(None));
    assert_eq!(client.answers()[0].payload[..], *b"\0\x07\0\0\x30\x39");

    // A window of 0 must not mean one acknowledgement per byte, nor a division by it.
    assert_eq!(client.send(kind::WINDOW_ACK_SIZE, 0, &[0; 4]), Ok(None));
    assert!(client.answers().is_empty());
    assert_eq!(client.send(kind::WINDOW_ACK_SIZE, 0, &[0, 0, 1, 0]), Ok(None));
    client.send(kind::AUDIO, 0, &[0; 300]).unwrap();
    let answers = client.answers();
    assert_eq!(answers.iter().map(|m| m.kind).collect::<Vec<_>>(), [kind::ACKNOWLEDGEMENT]);
    client.send(kind::AUDIO, 0, &[0; 30]).unwrap();
    assert!(client.answers().is_empty());

    assert_eq!(client.send(kind::SET_CHUNK_SIZE, 0, &[0, 0, 0x10, 0]), Ok(None));
    client.writer.set_chunk_len(4096);
    let body = Bytes::from(vec![7; 5000]);
    assert_eq!(
        client.send(kind::VIDEO, 9, &body),
        Ok(Some(Event::Tag { kind: TrackKind::Video, timestamp_ms: 9, body }))
    );
    assert!(client.send(kind::SET_CHUNK_SIZE, 0, &[0; 4]).is_err());
}

#[test]
fn an_aggregate_comes_out_as_its_tags() {
    let mut client = Client::publishing();
    let first = client.send(
        kind::AGGREGATE,
        500,
        b"\x09\0\0\x01\0\0\x50\0\0\0\0v\0\0\0\x0c\x08\0\0\x01\0\0\x64\0\0\0\0a\0\0\0\x0c",
    );
    let tag = |kind, timestamp_ms, body| Ok(Some(Event::Tag { kind, timestamp_ms, body: Bytes::from_static(body) }));
    assert_eq!(first, tag(TrackKind::Video, 500, b"v"));
    assert_eq!(client.session.poll(), tag(TrackKind::Audio, 520, b"a"));
    assert_eq!(client.session.poll(), Ok(None));
}

#[test]
fn message_streams_are_bounded() {
    let mut client = Client::connected("live");
    let names: Vec<_> = (0..20)
        .map(|_| {
            assert_eq!(client.call("createStream", 4.0, &[Value::Null]), Ok(None));
            client.status().0
        })
        .collect();
    assert_eq!(names.iter().filter(|name| *name == "_result").count(), 16);
    assert_eq!(names.last().map(String::as_str), Some("_error"));
}

proptest! {
    #[test]
    fn random_messages_never_panic(
        messages in prop::collection::vec((0u8..24, prop::collection::vec(any::<u8>(), 0..100)), 0..30),
    ) {
        let mut client = Client::publishing();
        for (kind, payload) in messages {
            // A Set Chunk Size that is not obeyed by the sender turns the rest into random chunks: wanted.
            if client.send(kind, 0, &payload).is_err() || client.session.is_closing() {
                break;
            }
            while let Ok(Some(_)) = client.session.poll() {}
        }
    }
}
