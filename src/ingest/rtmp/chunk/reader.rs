//! Chunks to messages.
//!
//! Knows no message's meaning but lengths and timestamps; its owner tells it of Set Chunk Size and
//! Abort. The hard thing is the extended timestamp of a type 3 header: the specification is silent,
//! most senders repeat it and some don't, so it is taken for one only if it is what was sent before.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};

use super::{CHUNK_STREAMS_MAX, ChunkError, EXTENDED, INITIAL_CHUNK_LEN, Limits, Message};

/// Memory taken when a message begins, in bytes; more is taken as its bytes come, so that a header alone costs little.
const RESERVE_LEN_MAX: usize = 64 << 10;

/// Length of the message header by type, in bytes, without basic header and extended timestamp.
const HEADER_LEN: [usize; 4] = [11, 7, 3, 0];

/// What a chunk stream remembers of its last header, and the message it is in.
#[derive(Debug, Default)]
struct ChunkStream {
    /// Timestamp of the current or last message, in milliseconds modulo 2³².
    timestamp_ms: u32,
    /// What a type 3 header that begins a message adds to it. After a type 0 header this is that
    /// header's timestamp itself (section 5.3.1.2.4); FFmpeg, librtmp and GStreamer read and write it so.
    delta_ms: u32,
    /// The extended timestamp field of the last type 0, 1 or 2 header, if it had one.
    extended: Option<u32>,
    /// Length of the current or last message, in bytes.
    len: usize,
    /// Its type id.
    kind: u8,
    /// Its message stream id.
    stream: u32,
    /// True while a message is unfinished; false also after an Abort.
    open: bool,
    /// What has come of it.
    payload: BytesMut,
}

/// A chunk's header, decoded but not applied.
#[derive(Debug)]
struct Header {
    /// Chunk stream id.
    id: u32,
    /// Bytes it takes on the wire.
    wire_len: usize,
    /// Timestamp (type 0) or delta (types 1, 2), in milliseconds.
    time: Option<u32>,
    /// True if `time` is absolute.
    absolute: bool,
    /// True if `time` came in an extended field.
    extended: bool,
    /// Length and type id (types 0, 1).
    shape: Option<(usize, u8)>,
    /// Message stream id (type 0).
    stream: Option<u32>,
}

/// Reads the chunks of one connection.
pub(in super::super) struct ChunkReader {
    /// Largest piece of a message in one chunk, in bytes.
    chunk_len: usize,
    /// By chunk stream id.
    streams: BTreeMap<u32, ChunkStream>,
    /// The chunk whose payload is being read: chunk stream id and bytes still to come.
    current: Option<(u32, usize)>,
    /// Bytes in unfinished messages.
    held_len: usize,
    /// What may be held.
    limits: Limits,
}

impl ChunkReader {
    /// A reader at the end of the handshake.
    pub(in super::super) fn new() -> Self {
        Self {
            chunk_len: INITIAL_CHUNK_LEN,
            streams: BTreeMap::new(),
            current: None,
            held_len: 0,
            limits: Limits::SETUP,
        }
    }

    /// Changes what may be held from now on.
    pub(in super::super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The peer's Set Chunk Size: holds from the next chunk on. A size above any message's is as good as endless.
    ///
    /// # Errors
    /// [`ChunkError::ChunkSize`] for 0 and for values with the top bit set.
    pub(in super::super) fn set_chunk_size(&mut self, size: u32) -> Result<(), ChunkError> {
        if size == 0 || size > i32::MAX as u32 {
            return Err(ChunkError::ChunkSize(size));
        }
        // A message's length has 24 bits, so this cap changes nothing but the arithmetic's range.
        self.chunk_len = (size as usize).min(EXTENDED as usize);
        Ok(())
    }

    /// The peer's Abort: forgets the unfinished message of a chunk stream.
    pub(in super::super) fn abort(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            self.held_len -= stream.payload.len();
            stream.payload = BytesMut::new();
            stream.open = false;
        }
    }

    /// The next whole message; `None` when `input` is used up but for a piece of a header.
    ///
    /// # Errors
    /// Any [`ChunkError`]; the connection has to be closed then.
    pub(in super::super) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Message>, ChunkError> {
        loop {
            let Some((id, missing)) = self.current else {
                match self.header(input)? {
                    Some(header) => {
                        input.advance(header.wire_len);
                        self.begin_chunk(&header)?;
                        continue;
                    }
                    None => return Ok(None),
                }
            };
            // `current` is set only for streams that exist, and streams are never removed.
            let Some(stream) = self.streams.get_mut(&id) else { return Err(ChunkError::NoPrevious(id)) };
            let taken = missing.min(input.len());
            self.held_len += taken;
            if self.held_len > self.limits.held_len {
                return Err(ChunkError::HeldTooLong { max: self.limits.held_len });
            }
            stream.payload.extend_from_slice(&input[..taken]);
            input.advance(taken);
            if taken < missing {
                self.current = Some((id, missing - taken));
                return Ok(None);
            }
            self.current = None;
            if stream.payload.len() == stream.len {
                stream.open = false;
                self.held_len -= stream.len;
                return Ok(Some(Message {
                    kind: stream.kind,
                    timestamp_ms: stream.timestamp_ms,
                    stream: stream.stream,
                    payload: std::mem::take(&mut stream.payload).freeze(),
                }));
            }
        }
    }

    /// Decodes the header at the start of `bytes`; `None` if it isn't there wholly.
    fn header(&self, bytes: &[u8]) -> Result<Option<Header>, ChunkError> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let (id, basic_len) = match (first & 0x3F, bytes) {
            (0, [_, low, ..]) => (64 + u32::from(*low), 2),
            (1, [_, low, high, ..]) => (64 + u32::from(*low) + 256 * u32::from(*high), 3),
            (0 | 1, _) => return Ok(None),
            (id, _) => (u32::from(id), 1),
        };
        let format = usize::from(first >> 6);
        let Some((fields, rest)) = bytes[basic_len..].split_at_checked(HEADER_LEN[format]) else { return Ok(None) };
        let mut header = Header {
            id,
            wire_len: basic_len + fields.len(),
            time: None,
            absolute: format == 0,
            extended: false,
            shape: None,
            stream: None,
        };
        if let [a, b, c, more @ ..] = fields {
            let mut time = u32::from_be_bytes([0, *a, *b, *c]);
            if time == EXTENDED {
                let Some(&[a, b, c, d]) = rest.first_chunk() else { return Ok(None) };
                time = u32::from_be_bytes([a, b, c, d]);
                header.extended = true;
                header.wire_len += 4;
            }
            header.time = Some(time);
            if let [a, b, c, kind, more @ ..] = more {
                header.shape = Some((u32::from_be_bytes([0, *a, *b, *c]) as usize, *kind));
                // The one little-endian number of the format.
                header.stream = more.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
            }
        } else if let Some(sent) = self.streams.get(&id).and_then(|stream| stream.extended) {
            let sent = sent.to_be_bytes();
            let len = rest.len().min(4);
            if rest[..len] == sent[..len] {
                if len < 4 {
                    return Ok(None);
                }
                header.wire_len += 4;
            }
        }
        Ok(Some(header))
    }

    /// Applies a header to its chunk stream and makes its payload the one to read.
    fn begin_chunk(&mut self, header: &Header) -> Result<(), ChunkError> {
        let id = header.id;
        if !self.streams.contains_key(&id) {
            // Type 1 is let through without a predecessor: librtmp's pings begin chunk stream 2 with it.
            if header.shape.is_none() {
                return Err(ChunkError::NoPrevious(id));
            }
            if self.streams.len() >= CHUNK_STREAMS_MAX {
                return Err(ChunkError::TooManyStreams);
            }
        }
        let stream = self.streams.entry(id).or_default();
        if !stream.open {
            let (len, kind) = header.shape.unwrap_or((stream.len, stream.kind));
            if len > self.limits.message_len {
                return Err(ChunkError::MessageTooLong { len, max: self.limits.message_len });
            }
            if let Some(time) = header.time {
                stream.delta_ms = time;
                stream.extended = header.extended.then_some(time);
            }
            let base_ms = if header.absolute { 0 } else { stream.timestamp_ms };
            stream.timestamp_ms = base_ms.wrapping_add(stream.delta_ms);
            stream.stream = header.stream.unwrap_or(stream.stream);
            (stream.len, stream.kind, stream.open) = (len, kind, true);
            stream.payload = BytesMut::with_capacity(len.min(RESERVE_LEN_MAX));
        } else if header.time.is_some() {
            return Err(ChunkError::InsideMessage(id));
        }
        self.current = Some((id, (stream.len - stream.payload.len()).min(self.chunk_len)));
        Ok(())
    }
}
