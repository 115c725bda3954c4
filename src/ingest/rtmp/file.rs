//! FLV as a file or over HTTP, and as `rtmp2src` gives it: tags behind a header, into access units.
//!
//! Sources: Adobe, "Video File Format Specification 10.1", annex E. Bytes come in pieces of any size. The hard thing is
//! a stream that is joined in the middle: the header may be missing bytes that nobody needs, but a tag's length has to
//! be believed, so one that can't be is the end.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use super::amf0;
use super::seam::{Sink, SourceUnit, TrackConfig};
use super::translate::Translator;
use crate::ingest::IngestError;
use crate::ingest::elementary::ElementaryIngest;
use crate::ingest::track::Door;
use crate::model::codec::TrackKind;
use crate::model::ids::StreamKey;

/// A header's length, as it says itself: 9, and some room for a later version.
const HEADER_LEN: std::ops::RangeInclusive<usize> = 9..=1_024;
/// Type, length, time stamp, stream id.
const TAG_HEADER_LEN: usize = 11;
/// Behind each tag: its length once more.
const BACK_POINTER_LEN: usize = 4;
/// Longest tag: a key frame of a very good 4K picture has some MiB.
const TAG_LEN_MAX: usize = 12 * 1024 * 1024;

const TAG_AUDIO: u8 = 8;
const TAG_VIDEO: u8 = 9;
const TAG_SCRIPT: u8 = 18;

/// A tag's place in time and its body.
#[derive(Debug, PartialEq, Eq)]
struct Tag {
    kind: u8,
    timestamp_ms: u32,
    body: Bytes,
}

/// Cuts bytes into tags.
#[derive(Debug, Default)]
struct Tags {
    buffer: BytesMut,
    /// The header is behind us.
    begun: bool,
}

impl Tags {
    /// The next whole tag; `Ok(None)` when more bytes are needed.
    fn next(&mut self) -> Result<Option<Tag>, &'static str> {
        if !self.begun {
            let Some(header) = self.buffer.get(..*HEADER_LEN.start()) else { return Ok(None) };
            if !header.starts_with(b"FLV") {
                return Err("it does not begin as FLV");
            }
            let len = u32::from_be_bytes([header[5], header[6], header[7], header[8]]) as usize;
            if !HEADER_LEN.contains(&len) {
                return Err("its header has a length that can't be");
            }
            if self.buffer.len() < len + BACK_POINTER_LEN {
                return Ok(None);
            }
            self.buffer.advance(len + BACK_POINTER_LEN);
            self.begun = true;
        }
        let Some(head) = self.buffer.get(..TAG_HEADER_LEN) else { return Ok(None) };
        let len = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        if len > TAG_LEN_MAX {
            return Err("a tag has a length that can't be");
        }
        // The low 24 bits, and the high 8 behind them.
        let (kind, timestamp_ms) = (head[0] & 0x1f, u32::from_be_bytes([head[7], head[4], head[5], head[6]]));
        if self.buffer.len() < TAG_HEADER_LEN + len + BACK_POINTER_LEN {
            return Ok(None);
        }
        self.buffer.advance(TAG_HEADER_LEN);
        let body = self.buffer.split_to(len).freeze();
        self.buffer.advance(BACK_POINTER_LEN);
        Ok(Some(Tag { kind, timestamp_ms, body }))
    }
}

/// FLV into a stream. Dropping it stops its parsers.
pub(in crate::ingest) struct FlvIngest<D: Door> {
    tags: Tags,
    translator: Translator,
    sink: Tracks<D>,
    /// Why it is over.
    broken: Option<&'static str>,
}

/// The parsers, as the translator wants them.
struct Tracks<D: Door> {
    ingest: ElementaryIngest<D>,
    door: D,
    failure: Mutex<Option<String>>,
}

impl<D: Door> FlvIngest<D> {
    /// Starts its parsers.
    pub(in crate::ingest) fn start(key: &StreamKey, door: D) -> Result<Self, IngestError> {
        let ingest = ElementaryIngest::start(key, door.clone())?;
        let sink = Tracks { ingest, door, failure: Mutex::default() };
        Ok(Self { tags: Tags::default(), translator: Translator::default(), sink, broken: None })
    }

    /// Takes a piece of any length.
    pub(in crate::ingest) fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_some() {
            return;
        }
        self.tags.buffer.extend_from_slice(bytes);
        loop {
            match self.tags.next() {
                Ok(Some(tag)) => self.tag(&tag),
                Ok(None) => break,
                Err(why) => {
                    self.broken = Some(why);
                    return;
                }
            }
        }
        for note in self.translator.take_notes() {
            tracing::warn!(%note, "FLV");
        }
    }

    fn tag(&mut self, tag: &Tag) {
        let kind = match tag.kind {
            TAG_AUDIO => TrackKind::Audio,
            TAG_VIDEO => TrackKind::Video,
            TAG_SCRIPT => {
                let mut values = amf0::Decoder::new(&tag.body);
                if let Ok(Some(name)) = values.next()
                    && name.as_str() == Some("onMetaData")
                    && let Ok(Some(metadata)) = values.next()
                {
                    self.translator.metadata(&metadata, &self.sink);
                }
                return;
            }
            _ => return,
        };
        self.translator.tag(kind, tag.timestamp_ms, &tag.body, Instant::now(), &self.sink);
    }

    /// Why nothing more can come of it.
    pub(in crate::ingest) fn take_error(&self) -> Option<String> {
        let own = self.sink.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.broken
            .map(str::to_owned)
            .or(own)
            .or_else(|| self.sink.ingest.take_error())
            .or_else(|| self.translator.unusable(Instant::now()))
    }
}

impl<D: Door> Sink for Tracks<D> {
    fn expect(&self, kind: TrackKind, comes: bool) {
        if comes {
            self.ingest.expect(kind);
        } else {
            self.door.expect_no_more(kind);
        }
    }

    fn configure(&self, config: TrackConfig) {
        if let Err(error) = self.ingest.configure(config) {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.to_string());
        }
    }

    fn push(&self, unit: SourceUnit) {
        self.ingest.push(unit);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(tags: &[(u8, u32, &[u8])]) -> Vec<u8> {
        let mut out = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
        for (kind, at_ms, body) in tags {
            let at = at_ms.to_be_bytes();
            out.push(*kind);
            out.extend(&(body.len() as u32).to_be_bytes()[1..]);
            out.extend([at[1], at[2], at[3], at[0], 0, 0, 0]);
            out.extend(*body);
            out.extend((body.len() as u32 + 11).to_be_bytes());
        }
        out
    }

    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Tag>, &'static str> {
        let (mut tags, mut found) = (Tags::default(), Vec::new());
        for bytes in bytes.chunks(piece) {
            tags.buffer.extend_from_slice(bytes);
            while let Some(tag) = tags.next()? {
                found.push(tag);
            }
        }
        Ok(found)
    }

    #[test]
    fn tags_come_out_of_pieces_of_any_size() {
        let bytes = file(&[(18, 0, b"meta"), (9, 0x0102_0304, b"video"), (8, 7, b"")]);
        for piece in 1..bytes.len() {
            let tags = read(&bytes, piece).expect("sound");
            let seen: Vec<_> = tags.iter().map(|tag| (tag.kind, tag.timestamp_ms, &tag.body[..])).collect();
            assert_eq!(seen, [(18, 0, &b"meta"[..]), (9, 0x0102_0304, b"video"), (8, 7, b"")]);
        }
    }

    #[test]
    fn what_cannot_be_is_the_end() {
        assert!(read(b"<html>.........", 4).is_err());
        assert!(read(b"FLV\x01\x05\xff\xff\xff\xff....", 4).is_err());
        assert!(read(&[&file(&[])[..], b"\x09\xff\xff\xff.......", b"x"].concat(), 4).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..50) {
            let _ = read(&[&file(&[])[..], &bytes].concat(), piece);
        }
    }
}
