//! Messages to chunks.
//!
//! We send a few small messages per connection, so each has a full header (type 0); only what does
//! not fit one chunk goes on with type 3. Chunk stream ids are ours and below 64.

use bytes::{BufMut, BytesMut};

use super::{EXTENDED, INITIAL_CHUNK_LEN, Message};

/// Writes the chunks of one connection.
pub(in super::super) struct ChunkWriter {
    /// Largest piece of a message in one chunk, in bytes.
    chunk_len: usize,
}

impl ChunkWriter {
    /// A writer at the end of the handshake.
    pub(in super::super) fn new() -> Self {
        Self { chunk_len: INITIAL_CHUNK_LEN }
    }

    /// From now on chunks are of `len` bytes: call it after our own Set Chunk Size is written.
    pub(in super::super) fn set_chunk_len(&mut self, len: usize) {
        self.chunk_len = len.max(1);
    }

    /// Appends `message` on chunk stream `id` (2 to 63).
    pub(in super::super) fn write(&self, id: u8, message: &Message, out: &mut BytesMut) {
        let id = id & 0x3F;
        let extended = message.timestamp_ms >= EXTENDED;
        out.put_u8(id);
        out.put_uint(u64::from(message.timestamp_ms.min(EXTENDED)), 3);
        out.put_uint(message.payload.len() as u64, 3);
        out.put_u8(message.kind);
        out.put_u32_le(message.stream);
        if extended {
            out.put_u32(message.timestamp_ms);
        }
        for (n, piece) in message.payload.chunks(self.chunk_len).enumerate() {
            if n > 0 {
                out.put_u8(0xC0 | id);
                if extended {
                    out.put_u32(message.timestamp_ms);
                }
            }
            out.put_slice(piece);
        }
    }
}
