//! The chunk reader against hand-written bytes, our writer, and a sender that uses every header type.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;

/// Reads all of `input`, given in pieces of `piece` bytes.
fn read(reader: &mut ChunkReader, bytes: &[u8], piece: usize) -> Result<Vec<Message>, ChunkError> {
    let (mut input, mut messages) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        while let Some(message) = reader.next(&mut input)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

/// A reader with the limits of a publishing connection.
fn publishing() -> ChunkReader {
    let mut reader = ChunkReader::new();
    reader.set_limits(Limits::PUBLISHING);
    reader
}

fn times(bytes: &[u8]) -> Result<Vec<u32>, ChunkError> {
    Ok(read(&mut publishing(), bytes, 1)?.iter().map(|message| message.timestamp_ms).collect())
}

#[test]
fn a_type_3_header_that_begins_a_message_adds_the_delta_again() {
    // Type 0 at 1000, type 1 +20, type 3, type 2 +23, type 3, type 3; one byte of payload each.
    let bytes = b"\x04\0\x03\xe8\0\0\x01\x08\x01\0\0\0a\x44\0\0\x14\0\0\x01\x08b\xc4c\x84\0\0\x17d\xc4e\xc4f";
    assert_eq!(times(bytes), Ok(vec![1000, 1020, 1040, 1063, 1086, 1109]));
    // After a type 0 header the delta is its timestamp.
    assert_eq!(times(b"\x04\0\0\x0a\0\0\x01\x08\x01\0\0\0a\xc4b\xc4c"), Ok(vec![10, 20, 30]));
}

#[test]
fn timestamps_wrap_at_32_bits() {
    let bytes = b"\x04\xff\xff\xff\0\0\x01\x08\x01\0\0\0\xff\xff\xff\xf0a\x84\0\0\x14b\xc4c";
    assert_eq!(times(bytes), Ok(vec![0xFFFF_FFF0, 4, 24]));
    // A step back of 5 ms, as GStreamer's rtmp2sink writes it: an extended delta of 2³² − 5.
    let bytes = b"\x04\0\0\x64\0\0\x01\x08\x01\0\0\0a\x84\xff\xff\xff\xff\xff\xff\xfbb";
    assert_eq!(times(bytes), Ok(vec![100, 95]));
}

#[test]
fn an_extended_timestamp_may_or_may_not_be_repeated_on_type_3() {
    let head = b"\x06\xff\xff\xff\0\0\xc8\x09\x01\0\0\0\x01\x02\x03\x04";
    let (first, second) = ([7u8; 128], [9u8; 72]);
    for repeated in [true, false] {
        let mut bytes = head.to_vec();
        bytes.extend(first);
        bytes.push(0xC6);
        if repeated {
            bytes.extend([1, 2, 3, 4]);
        }
        bytes.extend(second);
        for piece in [1, 3, 1000] {
            let messages = read(&mut publishing(), &bytes, piece).unwrap();
            assert_eq!(messages.len(), 1, "repeated: {repeated}, pieces of {piece}");
            assert_eq!(messages[0].timestamp_ms, 0x0102_0304);
            assert_eq!(messages[0].payload, [&first[..], &second[..]].concat());
        }
    }
    // Payload that only begins like the timestamp is payload.
    let mut bytes = head.to_vec();
    bytes.extend(first);
    bytes.extend([0xC6, 1, 2, 3, 5]);
    bytes.extend([9; 68]);
    assert_eq!(read(&mut publishing(), &bytes, 1).unwrap()[0].payload[128..132], [1, 2, 3, 5]);
}

#[test]
fn chunk_stream_ids_have_three_lengths() {
    for head in [&[0x3F][..], &[0x00, 0x00], &[0x00, 0xFF], &[0x01, 0xFF, 0xFF]] {
        let mut bytes = head.to_vec();
        bytes.extend(b"\0\0\x05\0\0\x01\x08\x01\0\0\0a");
        bytes.extend([&[0xC0 | head[0]], &head[1..], b"b"].concat());
        assert_eq!(times(&bytes), Ok(vec![5, 10]), "{head:02x?}");
    }
}

#[test]
fn an_abort_forgets_the_unfinished_message_only() {
    let mut reader = publishing();
    let mut input = BytesMut::from(&b"\x04\0\0\x64\0\0\xc8\x08\x01\0\0\0"[..]);
    input.extend_from_slice(&[1; 128]);
    assert_eq!(reader.next(&mut input), Ok(None));
    reader.abort(4);
    reader.abort(9);
    input.extend_from_slice(b"\x44\0\0\x05\0\0\x01\x08z");
    let message = reader.next(&mut input).unwrap().unwrap();
    assert_eq!((message.timestamp_ms, &message.payload[..]), (105, &b"z"[..]));
}

#[test]
fn what_cannot_be_read_on_is_an_error_that_says_why() {
    let mut two_inside = b"\x04\0\0\0\0\0\xc8\x08\x01\0\0\0".to_vec();
    two_inside.extend([0; 128]);
    two_inside.extend(b"\x04\0\0\0\0\0\xc8\x08\x01\0\0\0");
    let many: Vec<u8> =
        (0..=CHUNK_STREAMS_MAX as u8).flat_map(|id| [2 + id, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0]).collect();
    for (bytes, error) in [
        (&b"\xc4"[..], ChunkError::NoPrevious(4)),
        (b"\x84\0\0\0", ChunkError::NoPrevious(4)),
        (&two_inside, ChunkError::InsideMessage(4)),
        (&many, ChunkError::TooManyStreams),
        (
            b"\x04\0\0\0\x80\0\x01\x09\x01\0\0\0",
            ChunkError::MessageTooLong { len: MESSAGE_LEN_MAX + 1, max: MESSAGE_LEN_MAX },
        ),
    ] {
        assert_eq!(read(&mut publishing(), bytes, 1), Err(error));
    }
    for size in [0, 0x8000_0000, u32::MAX] {
        assert_eq!(publishing().set_chunk_size(size), Err(ChunkError::ChunkSize(size)));
    }
    for size in [1, 128, 65_536, i32::MAX as u32] {
        assert_eq!(publishing().set_chunk_size(size), Ok(()));
    }
}

#[test]
fn a_connection_that_does_not_publish_yet_may_make_us_hold_little() {
    let mut reader = ChunkReader::new();
    let too_long = b"\x04\0\0\0\x01\0\x01\x09\x01\0\0\0";
    let error = ChunkError::MessageTooLong { len: SETUP_MESSAGE_LEN_MAX + 1, max: SETUP_MESSAGE_LEN_MAX };
    assert_eq!(read(&mut reader, too_long, 1), Err(error));

    let mut reader = ChunkReader::new();
    reader.set_chunk_size(60_000).unwrap();
    let mut bytes = Vec::new();
    for id in 4..7u8 {
        bytes.extend([id, 0, 0, 0, 0, 0xFF, 0xFF, 9, 1, 0, 0, 0]);
        bytes.extend([0; 60_000]);
    }
    assert_eq!(read(&mut reader, &bytes, 1000), Err(ChunkError::HeldTooLong { max: SETUP_HELD_LEN_MAX }));
}

#[test]
fn what_the_writer_writes_the_reader_reads() {
    let message = |len: usize, timestamp_ms| Message {
        kind: 20,
        timestamp_ms,
        stream: 1,
        payload: Bytes::from_iter((0..len).map(|n| n as u8)),
    };
    let mut writer = ChunkWriter::new();
    let mut out = BytesMut::new();
    let messages: Vec<_> = [0, 1, 128, 129, 4097].into_iter().zip([0, 5, EXTENDED, EXTENDED - 1, u32::MAX]).collect();
    for (len, time) in &messages {
        writer.write(3, &message(*len, *time), &mut out);
    }
    let mut reader = publishing();
    let mut expected: Vec<_> = messages.iter().map(|(len, time)| message(*len, *time)).collect();
    assert_eq!(read(&mut reader, &out, 7).unwrap(), expected);

    writer.set_chunk_len(4096);
    reader.set_chunk_size(4096).unwrap();
    out.clear();
    writer.write(3, &message(9000, 1), &mut out);
    expected = vec![message(9000, 1)];
    assert_eq!(read(&mut reader, &out, 7).unwrap(), expected);
}

/// A sender as a real one is: per chunk stream it uses the shortest header that says it all, or a longer one.
#[derive(Default)]
struct Sender {
    last: std::collections::BTreeMap<u8, (u32, u32, usize, u8)>,
}

impl Sender {
    /// One message as chunks, to be interleaved with others.
    fn chunks(&mut self, id: u8, message: &Message, chunk_len: usize, format_min: u8, repeat: bool) -> Vec<Vec<u8>> {
        let (time, len, kind) = (message.timestamp_ms, message.payload.len(), message.kind);
        let (format, field) = match self.last.get(&id) {
            None => (0, time),
            Some(&(last_time, last_field, last_len, last_kind)) => {
                let delta = time.wrapping_sub(last_time);
                let shortest = if (len, kind) != (last_len, last_kind) {
                    1
                } else if delta != last_field {
                    2
                } else {
                    3
                };
                let format = shortest.min(format_min);
                (format, if format == 0 { time } else { delta })
            }
        };
        self.last.insert(id, (time, field, len, kind));
        let mut chunks = vec![Vec::new()];
        let head = &mut chunks[0];
        head.put_u8(format << 6 | id);
        if format < 3 {
            head.put_uint(u64::from(field.min(EXTENDED)), 3);
        }
        if format < 2 {
            head.put_uint(len as u64, 3);
            head.put_u8(kind);
        }
        if format < 1 {
            head.put_u32_le(message.stream);
        }
        if field >= EXTENDED && (format < 3 || repeat) {
            head.put_u32(field);
        }
        for (n, piece) in message.payload.chunks(chunk_len).enumerate() {
            if n > 0 {
                let mut chunk = vec![0xC0 | id];
                if field >= EXTENDED && repeat {
                    chunk.put_u32(field);
                }
                chunks.push(chunk);
            }
            let last = chunks.len() - 1;
            chunks[last].extend_from_slice(piece);
        }
        chunks
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Rounds of one message on each of some chunk streams, their chunks interleaved by `order`.
    #[test]
    fn interleaved_messages_come_out_whole_however_the_bytes_are_cut(
        rounds in prop::collection::vec(
            prop::collection::btree_map(
                3u8..8,
                (prop_oneof![0u32..100, Just(0xFF_FFFE), Just(0xFF_FFFF), any::<u32>()], 0usize..700, 8u8..10, 0u8..4),
                1..5,
            ),
            1..6,
        ),
        chunk_len in 1usize..300,
        repeat in any::<bool>(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 64),
        pieces in prop::collection::vec(1usize..400, 1..20),
    ) {
        let (mut sender, mut bytes, mut expected) = (Sender::default(), Vec::new(), Vec::new());
        let mut clock: u32 = 0xFFFF_F000;
        let mut order = order.iter().cycle();
        for round in rounds {
            let mut waiting = Vec::new();
            for (id, (step, len, kind, format_min)) in round {
                clock = clock.wrapping_add(step);
                let message = Message { kind, timestamp_ms: clock, stream: 1, payload: Bytes::from(vec![0xAB; len]) };
                let chunks = sender.chunks(id, &message, chunk_len, format_min, repeat);
                // Payload that begins as the timestamp does may be a repeated one, until more comes: see the table above.
                prop_assume!(sender.last[&id].1 >> 24 != 0xAB);
                waiting.push((message, chunks.into_iter().collect::<std::collections::VecDeque<_>>()));
            }
            while !waiting.is_empty() {
                let at = order.next().expect("cycle").index(waiting.len());
                if let Some(chunk) = waiting[at].1.pop_front() {
                    bytes.extend(chunk);
                }
                if waiting[at].1.is_empty() {
                    expected.push(waiting.remove(at).0);
                }
            }
        }
        let mut reader = publishing();
        reader.set_chunk_size(chunk_len as u32).unwrap();
        let (mut input, mut got, mut rest) = (BytesMut::new(), Vec::new(), &bytes[..]);
        for len in pieces.iter().cycle() {
            let (piece, after) = rest.split_at((*len).min(rest.len()));
            input.extend_from_slice(piece);
            rest = after;
            while let Some(message) = reader.next(&mut input).unwrap() {
                got.push(message);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(got, expected);
        prop_assert!(input.is_empty());
    }

    #[test]
    fn random_bytes_never_panic_and_never_loop(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        chunk_size in 1u32..200,
        aborted in 2u32..64,
    ) {
        let mut reader = publishing();
        reader.set_chunk_size(chunk_size).unwrap();
        let mut input = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = reader.next(&mut input) {
            reader.abort(aborted);
        }
    }
}
