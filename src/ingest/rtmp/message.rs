//! Message types, protocol control messages and aggregates (Adobe, "RTMP specification 1.0", sections 5.4, 6.2, 7.1).
//!
//! Knows single messages, not the order they come in. The hard thing: an aggregate's inner
//! timestamps count from its own, not from zero.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::chunk::Message;

/// Message type ids.
pub(super) mod kind {
    pub(in super::super) const SET_CHUNK_SIZE: u8 = 1;
    pub(in super::super) const ABORT: u8 = 2;
    pub(in super::super) const ACKNOWLEDGEMENT: u8 = 3;
    pub(in super::super) const USER_CONTROL: u8 = 4;
    pub(in super::super) const WINDOW_ACK_SIZE: u8 = 5;
    pub(in super::super) const SET_PEER_BANDWIDTH: u8 = 6;
    pub(in super::super) const AUDIO: u8 = 8;
    pub(in super::super) const VIDEO: u8 = 9;
    pub(in super::super) const DATA_AMF3: u8 = 15;
    pub(in super::super) const COMMAND_AMF3: u8 = 17;
    pub(in super::super) const DATA: u8 = 18;
    pub(in super::super) const COMMAND: u8 = 20;
    pub(in super::super) const AGGREGATE: u8 = 22;
}

/// User control event: a stream is ready.
const STREAM_BEGIN: u16 = 0;
/// User control event: the peer wants an answer.
const PING_REQUEST: u16 = 6;
/// User control event: that answer.
const PING_RESPONSE: u16 = 7;

/// Header of a tag inside an aggregate, in bytes (FLV's).
const TAG_HEADER_LEN: usize = 11;

/// Tags taken from one aggregate; Flash Media Encoder puts in a few.
const AGGREGATE_TAGS_MAX: usize = 256;

/// What a protocol or user control message asks of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// The peer's chunks are of this size from now on, in bytes.
    ChunkSize(u32),
    /// The peer gives up the unfinished message of this chunk stream.
    Abort(u32),
    /// The peer wants an acknowledgement whenever it has sent so many bytes; never 0.
    AckWindow(u32),
    /// To be answered with the same 4 bytes.
    Ping(u32),
    /// Nothing to do, or too short to mean anything.
    Nothing,
}

/// Reads a control message; the payload of any other type is [`Control::Nothing`].
pub(super) fn control(message: &Message) -> Control {
    let mut payload = message.payload.clone();
    let number = |payload: &mut Bytes| payload.try_get_u32().ok();
    let read = match message.kind {
        kind::SET_CHUNK_SIZE => number(&mut payload).map(Control::ChunkSize),
        kind::ABORT => number(&mut payload).map(Control::Abort),
        // A window of 0 would mean an acknowledgement per nothing; it is taken for "keep what you have".
        kind::WINDOW_ACK_SIZE => number(&mut payload).filter(|window| *window > 0).map(Control::AckWindow),
        kind::USER_CONTROL if payload.try_get_u16() == Ok(PING_REQUEST) => number(&mut payload).map(Control::Ping),
        _ => None,
    };
    read.unwrap_or(Control::Nothing)
}

fn numbers(kind: u8, numbers: &[u32]) -> Message {
    let mut payload = BytesMut::new();
    for number in numbers {
        payload.put_u32(*number);
    }
    Message { kind, timestamp_ms: 0, stream: 0, payload: payload.freeze() }
}

/// Our chunks are of `len` bytes from the next one on.
pub(super) fn set_chunk_size(len: u32) -> Message {
    numbers(kind::SET_CHUNK_SIZE, &[len])
}

/// `received` bytes have come, modulo 2³².
pub(super) fn acknowledgement(received: u32) -> Message {
    numbers(kind::ACKNOWLEDGEMENT, &[received])
}

/// We want an acknowledgement for every `window` bytes.
pub(super) fn window_ack_size(window: u32) -> Message {
    numbers(kind::WINDOW_ACK_SIZE, &[window])
}

/// The peer may have `window` bytes unacknowledged; "dynamic", as every server says.
pub(super) fn set_peer_bandwidth(window: u32) -> Message {
    let mut payload = BytesMut::new();
    payload.put_u32(window);
    payload.put_u8(2);
    Message { kind: kind::SET_PEER_BANDWIDTH, timestamp_ms: 0, stream: 0, payload: payload.freeze() }
}

fn user_control(event: u16, number: u32) -> Message {
    let mut payload = BytesMut::new();
    payload.put_u16(event);
    payload.put_u32(number);
    Message { kind: kind::USER_CONTROL, timestamp_ms: 0, stream: 0, payload: payload.freeze() }
}

/// Message stream `stream` is ready.
pub(super) fn stream_begin(stream: u32) -> Message {
    user_control(STREAM_BEGIN, stream)
}

/// The answer to a ping.
pub(super) fn ping_response(number: u32) -> Message {
    user_control(PING_RESPONSE, number)
}

/// The messages inside an aggregate. What is cut off, or comes after [`AGGREGATE_TAGS_MAX`] tags, is left out.
pub(super) fn aggregate(outer: &Message) -> Vec<Message> {
    let mut rest = outer.payload.clone();
    let mut inner = Vec::new();
    let mut first_ms = None;
    while rest.len() >= TAG_HEADER_LEN && inner.len() < AGGREGATE_TAGS_MAX {
        let kind = rest.get_u8() & 0x1F;
        let len = rest.get_uint(3) as usize;
        let low = rest.get_uint(3) as u32;
        let time_ms = u32::from(rest.get_u8()) << 24 | low;
        rest.advance(3); // stream id of the file format: the outer message's counts
        if rest.len() < len {
            break;
        }
        let payload = rest.split_to(len);
        rest.advance(rest.len().min(4)); // back pointer
        let offset_ms = time_ms.wrapping_sub(*first_ms.get_or_insert(time_ms));
        inner.push(Message {
            kind,
            timestamp_ms: outer.timestamp_ms.wrapping_add(offset_ms),
            stream: outer.stream,
            payload,
        });
    }
    inner
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, payload: &'static [u8]) -> Message {
        Message { kind, timestamp_ms: 1000, stream: 1, payload: Bytes::from_static(payload) }
    }

    #[test]
    fn control_messages_are_read_and_bad_ones_mean_nothing() {
        for (kind, payload, expected) in [
            (kind::SET_CHUNK_SIZE, &b"\0\0\x10\0"[..], Control::ChunkSize(4096)),
            (kind::SET_CHUNK_SIZE, b"\0\0\x10", Control::Nothing),
            (kind::ABORT, b"\0\0\0\x04", Control::Abort(4)),
            (kind::WINDOW_ACK_SIZE, b"\0\x26\x25\xa0", Control::AckWindow(2_500_000)),
            (kind::WINDOW_ACK_SIZE, b"\0\0\0\0", Control::Nothing),
            (kind::WINDOW_ACK_SIZE, b"", Control::Nothing),
            (kind::ACKNOWLEDGEMENT, b"\0\0\0\x04", Control::Nothing),
            (kind::SET_PEER_BANDWIDTH, b"\0\0\0\x04\x02", Control::Nothing),
            (kind::USER_CONTROL, b"\0\x06\0\0\x01\x02", Control::Ping(0x102)),
            (kind::USER_CONTROL, b"\0\x06\0", Control::Nothing),
            (kind::USER_CONTROL, b"\0\x03\0\0\0\x01\0\0\0\x01", Control::Nothing),
            (kind::VIDEO, b"\0\0\0\x04", Control::Nothing),
        ] {
            assert_eq!(control(&message(kind, payload)), expected, "{kind} {payload:02x?}");
        }
    }

    #[test]
    fn an_aggregate_is_split_with_its_own_time_as_the_base() {
        let mut outer = message(
            kind::AGGREGATE,
            b"\x09\0\0\x02\0\0\x50\x01\0\0\0vv\0\0\0\x0d\x08\0\0\x01\0\0\x64\x01\0\0\0a\0\0\0\x0c\x08\0\0\x09\0\0\x64\x01\0\0\0cut",
        );
        outer.timestamp_ms = u32::MAX - 9;
        let inner = aggregate(&outer);
        let seen: Vec<_> = inner.iter().map(|m| (m.kind, m.timestamp_ms, m.stream, &m.payload[..])).collect();
        assert_eq!(seen, [(9, u32::MAX - 9, 1, &b"vv"[..]), (8, 10, 1, &b"a"[..])]);
        assert!(aggregate(&message(kind::AGGREGATE, b"\x09\0\0")).is_empty());
    }
}
