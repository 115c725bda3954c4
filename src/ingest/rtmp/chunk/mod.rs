//! RTMP's chunk streams (Adobe, "RTMP specification 1.0", section 5.3): messages cut into interleaved pieces.
//!
//! Owns the wire format, both ways; knows no message's meaning. The hard thing is in the reader:
//! every header but the first is a difference to the one before it.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use bytes::Bytes;

pub(super) use reader::ChunkReader;
pub(super) use writer::ChunkWriter;

/// Chunk size of both directions until a Set Chunk Size, in bytes.
const INITIAL_CHUNK_LEN: usize = 128;

/// A 24-bit timestamp of this value says that 32 bits follow the header.
const EXTENDED: u32 = 0xFF_FFFF;

/// Largest message taken while publishing, in bytes: a key frame of a 100 Mb/s stream with a frame of 600 ms.
pub(super) const MESSAGE_LEN_MAX: usize = 8 << 20;

/// Unfinished messages of a publishing connection together, in bytes: a big key frame with audio in between.
const HELD_LEN_MAX: usize = MESSAGE_LEN_MAX + (1 << 20);

/// Largest message of a connection that does not publish yet, in bytes: such a one sends commands only.
const SETUP_MESSAGE_LEN_MAX: usize = 64 << 10;

/// Unfinished messages together before publishing, in bytes.
const SETUP_HELD_LEN_MAX: usize = 2 * SETUP_MESSAGE_LEN_MAX;

/// Chunk streams of one connection; publishers use 3 to 6.
const CHUNK_STREAMS_MAX: usize = 32;

/// Why chunks can't be read on. None of them can be mended: the reader no longer knows where a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChunkError {
    /// A message longer than the limit that holds at the time.
    #[error("a message of {len} bytes; at most {max} are taken")]
    MessageTooLong {
        /// What the header announced, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
    /// Too much begun and not finished.
    #[error("unfinished messages hold more than {max} bytes")]
    HeldTooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// More chunk streams than [`CHUNK_STREAMS_MAX`].
    #[error("more than {CHUNK_STREAMS_MAX} chunk streams")]
    TooManyStreams,
    /// A header that refers to one before it, and there is none.
    #[error("chunk stream {0} begins with a short header")]
    NoPrevious(u32),
    /// A new message's header inside an unfinished message of the same chunk stream.
    #[error("chunk stream {0} begins a message inside another one")]
    InsideMessage(u32),
    /// A chunk size of 0 or above 2³¹ − 1.
    #[error("a chunk size of {0} is out of range")]
    ChunkSize(u32),
}

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Message type id.
    pub(super) kind: u8,
    /// Milliseconds on the sender's clock, modulo 2³².
    pub(super) timestamp_ms: u32,
    /// Message stream id: 0, or what `createStream` returned.
    pub(super) stream: u32,
    /// What it carries.
    pub(super) payload: Bytes,
}

/// How much a connection may make us hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// One message, in bytes.
    message_len: usize,
    /// All unfinished messages together, in bytes.
    held_len: usize,
}

impl Limits {
    /// Before a publication is accepted.
    pub(super) const SETUP: Self = Self { message_len: SETUP_MESSAGE_LEN_MAX, held_len: SETUP_HELD_LEN_MAX };
    /// While publishing.
    pub(super) const PUBLISHING: Self = Self { message_len: MESSAGE_LEN_MAX, held_len: HELD_LEN_MAX };
}
