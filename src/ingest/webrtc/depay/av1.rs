//! AV1 out of RTP ("RTP Payload Format For AV1", version 1.0, Alliance for Open Media): packets in, temporal
//! units out, in the low-overhead format with a size in each OBU (AV1 specification, section 5.2).
//!
//! Pure: knows no GStreamer. Of GStreamer 1.22 no element does this. The hard thing is a loss: what is handed on
//! is whole and refers to nothing that was lost, for the decoder calls a broken picture a failure. So from a loss,
//! or a packet that is none, to the next coded video sequence everything is dropped, and the publisher is asked.

use crate::ingest::rtp::packet::{Packet, Row};

/// Longest temporal unit, in bytes: 1 s of 32 Mb/s in one picture.
const UNIT_LEN_MAX: usize = 4 << 20;

/// Longest size field (AV1 specification, section 4.10.5).
const LEB128_LEN_MAX: usize = 8;

/// An empty temporal delimiter OBU, which begins a unit; packets should not carry it.
const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0x00];

/// OBU types (section 6.2.2) that mean something here.
const SEQUENCE_HEADER: u8 = 1;
const DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// In an OBU's header: another byte of header follows; a size follows.
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

/// One temporal unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// Its OBUs, behind a temporal delimiter.
    pub(super) data: Vec<u8>,
    /// It begins a coded video sequence.
    pub(super) key: bool,
}

/// What came of a packet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The unit that ended before this packet began one of its own, and the one that ends with it. The first is
    /// of senders that set no marker.
    pub(super) units: [Option<Unit>; 2],
    /// Something is missing: a key frame is of use.
    pub(super) wish: bool,
}

/// A packet that is not as it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Malformed;

/// The depayloader's memory.
#[derive(Debug, Default)]
pub(super) struct Depacketizer {
    row: Row,
    /// Everything up to the next coded video sequence is dropped: false from its first packet on.
    runs: bool,
    /// The time stamp of the unit that is being gathered.
    timestamp: u32,
    /// It, without its delimiter.
    unit: Vec<u8>,
    key: bool,
    /// An OBU that goes on in the next packet, as it came.
    fragment: Option<Vec<u8>>,
}

impl Depacketizer {
    /// Takes a packet. `gap`: packets are missing in front of it, though the numbers may not say so.
    pub(super) fn take(&mut self, packet: &Packet<'_>, gap: bool) -> Outcome {
        let mut outcome = Outcome::default();
        if self.row.misses(packet.seq, gap) {
            outcome.wish = true;
            self.forget();
        }
        // Padding is sent to find out how much the line carries.
        let Some((header, elements)) = packet.payload.split_first() else { return outcome };
        let header = Header(*header);
        if !self.runs {
            if !header.begins_sequence(elements) {
                return outcome;
            }
            self.runs = true;
        } else if packet.timestamp != self.timestamp {
            outcome.units[0] = self.finish(&mut outcome.wish);
        }
        if self.runs {
            self.timestamp = packet.timestamp;
            if self.gather(header, elements).is_err() {
                outcome.wish = true;
                self.forget();
            } else if packet.marker {
                outcome.units[1] = self.finish(&mut outcome.wish);
            }
        }
        outcome
    }

    fn forget(&mut self) {
        (self.runs, self.key, self.fragment) = (false, false, None);
        self.unit.clear();
    }

    /// Ends the unit. One whose last OBU is not whole is no unit.
    fn finish(&mut self, wish: &mut bool) -> Option<Unit> {
        if self.fragment.is_some() {
            *wish = true;
            self.forget();
            return None;
        }
        if self.unit.is_empty() {
            return None;
        }
        let mut data = Vec::with_capacity(TEMPORAL_DELIMITER.len() + self.unit.len());
        data.extend_from_slice(&TEMPORAL_DELIMITER);
        data.append(&mut self.unit);
        Some(Unit { data, key: std::mem::take(&mut self.key) })
    }

    /// Section 4.4: the OBU elements behind the aggregation header.
    fn gather(&mut self, header: Header, mut rest: &[u8]) -> Result<(), Malformed> {
        if header.continues() != self.fragment.is_some() {
            return Err(Malformed);
        }
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            // The last of a counted row has no size: it takes all that is left.
            let element = if header.count() == Some(number) { std::mem::take(&mut rest) } else { sized(&mut rest)? };
            let is_last = rest.is_empty();
            let begun = self.fragment.take();
            if self.unit.len() + begun.as_ref().map_or(0, Vec::len) + element.len() > UNIT_LEN_MAX {
                return Err(Malformed);
            }
            match (begun, is_last && header.goes_on()) {
                (begun, true) => {
                    let mut whole = begun.unwrap_or_default();
                    whole.extend_from_slice(element);
                    self.fragment = Some(whole);
                }
                (Some(mut whole), false) => {
                    whole.extend_from_slice(element);
                    self.add_obus(&whole)?;
                }
                (None, false) => self.add_obus(element)?,
            }
        }
        let counted = header.count().is_none_or(|count| count == number);
        if number > 0 && counted { Ok(()) } else { Err(Malformed) }
    }

    /// Takes an element's OBU, or OBUs: some senders put several into one, each with its size.
    fn add_obus(&mut self, mut element: &[u8]) -> Result<(), Malformed> {
        while let Some(first) = element.first().copied() {
            // The forbidden bit.
            if first & 0x80 != 0 {
                return Err(Malformed);
            }
            let header_len = if first & HAS_EXTENSION != 0 { 2 } else { 1 };
            let (header, mut rest) = element.split_at_checked(header_len).ok_or(Malformed)?;
            let payload = if first & HAS_SIZE != 0 { sized(&mut rest)? } else { std::mem::take(&mut rest) };
            element = rest;
            let kind = first >> 3 & 0x0f;
            if matches!(kind, DELIMITER | TILE_LIST | PADDING) {
                continue;
            }
            self.key |= kind == SEQUENCE_HEADER;
            self.unit.push(first | HAS_SIZE);
            self.unit.extend_from_slice(&header[1..]);
            write_size(payload.len(), &mut self.unit);
            self.unit.extend_from_slice(payload);
        }
        Ok(())
    }
}

/// The aggregation header, Z Y W W N: section 4.4.
#[derive(Debug, Clone, Copy)]
struct Header(u8);

impl Header {
    /// Z: the first element goes on with an OBU of the packet before.
    fn continues(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Y: the last element goes on in the next packet.
    fn goes_on(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// W: how many elements there are; `None`: each has its size.
    fn count(self) -> Option<usize> {
        Some(usize::from(self.0 >> 4 & 3)).filter(|count| *count > 0)
    }

    /// N, or a sequence header in front where the sender doesn't set it.
    fn begins_sequence(self, elements: &[u8]) -> bool {
        let mut rest = elements;
        let first = if self.count() == Some(1) { Ok(rest) } else { sized(&mut rest) };
        let kind = first.ok().and_then(<[u8]>::first).map(|first| first >> 3 & 0x0f);
        !self.continues() && (self.0 & 0x08 != 0 || kind == Some(SEQUENCE_HEADER))
    }
}

/// Takes a size (leb128) and so many bytes behind it.
fn sized<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let mut size = 0_usize;
    for (at, byte) in rest.iter().take(LEB128_LEN_MAX).enumerate() {
        size |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let behind = rest.get(at + 1..).unwrap_or_default();
            let (taken, left) = behind.split_at_checked(size).ok_or(Malformed)?;
            *rest = left;
            return Ok(taken);
        }
    }
    Err(Malformed)
}

fn write_size(mut size: usize, out: &mut Vec<u8>) {
    while size > 0x7f {
        out.push((size & 0x7f) as u8 | 0x80);
        size >>= 7;
    }
    out.push(size as u8);
}

#[cfg(test)]
#[path = "av1_tests.rs"]
mod tests;
