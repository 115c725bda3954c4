//! One publisher's connection as a pure machine: bytes in, events and bytes out.
//!
//! Knows no socket, no clock and no stream. Whoever drives it answers its two questions
//! ([`Event::Connect`], [`Event::Publish`]); until then it reads nothing more. The hard thing: a
//! refusal has to reach the publisher as a proper RTMP answer before the connection is closed.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::address::{Application, StreamName, application, stream_name};
use super::amf0::{Amf0Error, Decoder, Value};
use super::chunk::{ChunkError, ChunkReader, ChunkWriter, Limits, Message};
use super::command::{self, Command, Level};
use super::handshake::{Handshake, HandshakeError, RANDOM_LEN};
use super::message::{self, Control, kind};

/// What may be unacknowledged in either direction, in bytes: the value of common servers.
const ACK_WINDOW: u32 = 2_500_000;

/// Our chunk size after `connect`, in bytes.
const CHUNK_LEN: u32 = 4096;

/// Message streams one connection may create; publishers create 1.
const MESSAGE_STREAMS_MAX: u32 = 16;

/// Longest `flashVer` kept, in characters.
const USER_AGENT_LEN_MAX: usize = 256;

/// Chunk stream of protocol control messages.
const CONTROL_CHUNKS: u8 = 2;
/// Chunk stream of commands.
const COMMAND_CHUNKS: u8 = 3;

/// Why a connection can't go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SessionError {
    /// No RTMP.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// Broken chunks.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A command without a name.
    #[error("a command that can't be read: {0}")]
    Command(#[from] Amf0Error),
}

/// Which track a tag is of.
pub(super) use crate::model::codec::TrackKind;

/// What came in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// `connect` to this application: answer with [`Session::grant_connect`] or [`Session::refuse_connect`].
    Connect(String),
    /// `publish`: answer with [`Session::grant_publish`] or [`Session::refuse_publish`].
    Publish(Intent),
    /// An FLV tag's body.
    Tag {
        /// Video or audio.
        kind: TrackKind,
        /// Milliseconds on the publisher's clock, modulo 2³².
        timestamp_ms: u32,
        /// The body, header byte included.
        body: Bytes,
    },
    /// `onMetaData`.
    MetaData(Value),
    /// The publisher ends its stream by a command (its name); the answer is written.
    Unpublished(&'static str),
    /// Something that was answered with a refusal without asking anybody.
    Refused(&'static str),
}

/// What a publisher wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Intent {
    /// The application it connected to.
    pub(super) app: String,
    /// Id and query.
    pub(super) stream: StreamName,
    /// Its `flashVer`.
    pub(super) user_agent: Option<String>,
}

/// Where a connection stands.
enum State {
    /// Before the first chunk.
    Handshaking(Handshake),
    /// Waiting for `connect`.
    Waiting,
    /// [`Event::Connect`] waits for its answer; the transaction to answer.
    AskedConnect(f64),
    /// Connected, not publishing.
    Connected,
    /// [`Event::Publish`] waits for its answer; the message stream to answer on.
    AskedPublish(u32),
    /// Publishing on this message stream.
    Publishing(u32),
    /// Nothing is read any more; what is written has to be flushed.
    Closing,
}

/// One connection.
pub(super) struct Session {
    /// Where it stands.
    state: State,
    /// Bytes not read yet: less than a header, but while a question is open.
    input: BytesMut,
    /// Bytes to send.
    output: BytesMut,
    /// Chunks to messages.
    reader: ChunkReader,
    /// Messages to chunks.
    writer: ChunkWriter,
    /// Events of one message that are not fetched yet (an aggregate makes several).
    events: VecDeque<Event>,
    /// Where it connected to.
    application: Application,
    /// Its `flashVer`.
    user_agent: Option<String>,
    /// Message streams created.
    message_streams: u32,
    /// Bytes received, modulo 2³²: what an acknowledgement says.
    received: u32,
    /// `received` at the last acknowledgement.
    acknowledged: u32,
    /// Bytes after which the peer wants an acknowledgement.
    ack_window: u32,
}

impl Session {
    /// A session before its first byte; `random` goes into the handshake.
    pub(super) fn new(random: Box<[u8; RANDOM_LEN]>) -> Self {
        Self {
            state: State::Handshaking(Handshake::new(random)),
            input: BytesMut::new(),
            output: BytesMut::new(),
            reader: ChunkReader::new(),
            writer: ChunkWriter::new(),
            events: VecDeque::new(),
            application: application(None, None),
            user_agent: None,
            message_streams: 0,
            received: 0,
            acknowledged: 0,
            ack_window: ACK_WINDOW,
        }
    }

    /// Where received bytes are to be appended; tell [`Session::received`] of them.
    pub(super) fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// `len` bytes were appended to the input.
    pub(super) fn received(&mut self, len: usize) {
        self.received = self.received.wrapping_add(len as u32);
        if matches!(self.state, State::Connected | State::Publishing(_))
            && self.received.wrapping_sub(self.acknowledged) >= self.ack_window
        {
            self.acknowledged = self.received;
            self.send_control(&message::acknowledgement(self.received));
        }
    }

    /// What is to be sent, taken out.
    pub(super) fn take_output(&mut self) -> Bytes {
        self.output.split().freeze()
    }

    /// True once nothing more is read and the output is the last.
    #[cfg(test)]
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.state, State::Closing)
    }

    /// The next event; `None` when more input or an answer is needed, or the session is closing.
    ///
    /// # Errors
    /// Any [`SessionError`]; the connection has to be closed then, without an answer.
    pub(super) fn poll(&mut self) -> Result<Option<Event>, SessionError> {
        if let State::Handshaking(handshake) = &mut self.state {
            if !handshake.advance(&mut self.input, &mut self.output)? {
                return Ok(None);
            }
            self.state = State::Waiting;
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if matches!(self.state, State::AskedConnect(_) | State::AskedPublish(_) | State::Closing) {
                return Ok(None);
            }
            let Some(message) = self.reader.next(&mut self.input)? else { return Ok(None) };
            self.message(&message)?;
        }
    }

    fn message(&mut self, message: &Message) -> Result<(), SessionError> {
        match message.kind {
            kind::COMMAND | kind::COMMAND_AMF3 => {
                let command = Command::parse(message)?;
                self.command(&command);
            }
            kind::AGGREGATE => {
                for inner in message::aggregate(message) {
                    self.tag(&inner);
                }
            }
            kind::AUDIO | kind::VIDEO | kind::DATA | kind::DATA_AMF3 => self.tag(message),
            _ => match message::control(message) {
                Control::ChunkSize(size) => self.reader.set_chunk_size(size)?,
                Control::Abort(id) => self.reader.abort(id),
                Control::AckWindow(window) => self.ack_window = window,
                Control::Ping(number) => self.send_control(&message::ping_response(number)),
                Control::Nothing => {}
            },
        }
        Ok(())
    }

    /// Media counts only while publishing: what comes earlier has nowhere to go.
    fn tag(&mut self, message: &Message) {
        if !matches!(self.state, State::Publishing(_)) {
            return;
        }
        let tag = |kind| Event::Tag { kind, timestamp_ms: message.timestamp_ms, body: message.payload.clone() };
        match message.kind {
            kind::VIDEO => self.events.push_back(tag(TrackKind::Video)),
            kind::AUDIO => self.events.push_back(tag(TrackKind::Audio)),
            kind::DATA | kind::DATA_AMF3 => {
                // A data message that can't be read is not worth a stream: it is left out.
                let payload = command::amf0_of(message);
                let mut decoder = Decoder::new(&payload);
                let mut name = decoder.next().ok().flatten();
                if name.as_ref().and_then(Value::as_str) == Some("@setDataFrame") {
                    name = decoder.next().ok().flatten();
                }
                if name.as_ref().and_then(Value::as_str) == Some("onMetaData")
                    && let Ok(Some(value)) = decoder.next()
                {
                    self.events.push_back(Event::MetaData(value));
                }
            }
            _ => {}
        }
    }

    fn command(&mut self, command: &Command) {
        let transaction = command.transaction;
        match (command.name.as_str(), &self.state) {
            ("connect", State::Waiting) => {
                self.application = application(command.property("app"), command.property("tcUrl"));
                let agent = |text: &str| text.chars().filter(|c| !c.is_control()).take(USER_AGENT_LEN_MAX).collect();
                self.user_agent = command.property("flashVer").map(agent);
                self.state = State::AskedConnect(transaction);
                self.events.push_back(Event::Connect(self.application.name.clone()));
            }
            ("_result" | "_error" | "onStatus", _) => {}
            (_, State::Waiting) => self.refuse("a command before connect"),
            ("createStream", _) if self.message_streams < MESSAGE_STREAMS_MAX => {
                self.message_streams += 1;
                self.send(&command::result(transaction, Value::Number(f64::from(self.message_streams))));
            }
            ("createStream", _) => self.send(&command::call_failed(transaction, "Too many streams.")),
            ("publish", State::Connected) => {
                let stream = stream_name(command.text(1).unwrap_or_default(), &self.application);
                self.state = State::AskedPublish(command.stream);
                let (app, user_agent) = (self.application.name.clone(), self.user_agent.clone());
                self.events.push_back(Event::Publish(Intent { app, stream, user_agent }));
            }
            ("publish", _) => {
                let code = "NetStream.Publish.BadName";
                self.send(&command::on_status(
                    command.stream,
                    Level::Error,
                    code,
                    "This connection publishes already.",
                ));
                self.refuse("a second publish on one connection");
            }
            ("play" | "play2", _) => {
                let (code, description) = ("NetStream.Play.Failed", "Nothing is played here: this is an ingest.");
                self.send(&command::on_status(command.stream, Level::Error, code, description));
                self.refuse("play");
            }
            ("deleteStream", State::Publishing(stream)) => {
                let deleted = command.arguments.get(1).and_then(Value::as_number);
                if deleted.is_none_or(|deleted| deleted == f64::from(*stream)) {
                    self.unpublished("deleteStream");
                }
            }
            ("closeStream", State::Publishing(stream)) if *stream == command.stream => self.unpublished("closeStream"),
            ("FCUnpublish", State::Publishing(_)) => self.unpublished("FCUnpublish"),
            ("deleteStream" | "closeStream" | "FCUnpublish", _) => {}
            (name, _) => {
                if name == "FCPublish" {
                    self.send(&command::on_fc_publish());
                }
                // releaseStream, FCPublish, _checkbw, getStreamLength, setBufferLength and what encoders
                // invent: none needs more than an answer, and some encoders wait for it.
                if transaction != 0.0 {
                    self.send(&command::result(transaction, Value::Null));
                }
            }
        }
    }

    fn refuse(&mut self, cause: &'static str) {
        self.state = State::Closing;
        self.events.push_back(Event::Refused(cause));
    }

    fn unpublished(&mut self, by: &'static str) {
        self.end(Level::Status, "NetStream.Unpublish.Success", "The stream is no longer published.");
        self.events.push_back(Event::Unpublished(by));
    }

    /// Answers [`Event::Connect`]: the application exists.
    pub(super) fn grant_connect(&mut self) {
        if let State::AskedConnect(transaction) = self.state {
            self.send_control(&message::window_ack_size(ACK_WINDOW));
            self.send_control(&message::set_peer_bandwidth(ACK_WINDOW));
            self.send_control(&message::set_chunk_size(CHUNK_LEN));
            self.writer.set_chunk_len(CHUNK_LEN as usize);
            self.send(&command::connect_result(transaction));
            self.state = State::Connected;
        }
    }

    /// Answers [`Event::Connect`]: refused, with a `NetConnection.Connect.…` code. The session is closing then.
    pub(super) fn refuse_connect(&mut self, code: &str, description: &str) {
        if let State::AskedConnect(transaction) = self.state {
            self.send(&command::connect_error(transaction, code, description));
            self.state = State::Closing;
        }
    }

    /// Answers [`Event::Publish`]: media may come.
    pub(super) fn grant_publish(&mut self) {
        if let State::AskedPublish(stream) = self.state {
            self.send_control(&message::stream_begin(stream));
            let (code, description) = ("NetStream.Publish.Start", "Publishing.");
            self.send(&command::on_status(stream, Level::Status, code, description));
            self.reader.set_limits(Limits::PUBLISHING);
            self.state = State::Publishing(stream);
        }
    }

    /// Answers [`Event::Publish`]: refused, with a `NetStream.Publish.…` code. The session is closing then.
    pub(super) fn refuse_publish(&mut self, code: &str, description: &str) {
        if let State::AskedPublish(stream) = self.state {
            self.send(&command::on_status(stream, Level::Error, code, description));
            self.state = State::Closing;
        }
    }

    /// Ends a publication from our side, with a status. The session is closing then.
    pub(super) fn end(&mut self, level: Level, code: &str, description: &str) {
        if let State::Publishing(stream) = self.state {
            self.send(&command::on_status(stream, level, code, description));
        }
        self.state = State::Closing;
    }

    fn send(&mut self, message: &Message) {
        self.writer.write(COMMAND_CHUNKS, message, &mut self.output);
    }

    fn send_control(&mut self, message: &Message) {
        self.writer.write(CONTROL_CHUNKS, message, &mut self.output);
    }
}
