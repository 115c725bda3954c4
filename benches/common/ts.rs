//! Transport stream packets (ISO/IEC 13818-1, 2.4.3): the fields that the benches judge by.
//!
//! It judges what arrived, packet by packet, and keeps nothing of the payload. It must not know how the
//! packets came. The hard thing: saying "not one continuity error" only when that is so. Lost packets,
//! packets that aren't packets and a start in the middle are each counted apart.

use std::collections::HashMap;

/// Bytes of a packet.
pub const PACKET_LEN: usize = 188;

/// The first byte of each packet.
const SYNC: u8 = 0x47;

/// The PID of the programme association table.
const PAT_PID: u16 = 0;

/// The PID of packets that only fill; their counter means nothing.
const NULL_PID: u16 = 0x1fff;

/// A tick of the system clock is 1/27 µs.
const TICKS_PER_US: u64 = 27;

/// One packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a>(&'a [u8; PACKET_LEN]);

impl<'a> Packet<'a> {
    /// `None` when `bytes` are no packet.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let bytes: &[u8; PACKET_LEN] = bytes.try_into().ok()?;
        (bytes[0] == SYNC).then_some(Self(bytes))
    }

    /// Which elementary stream or table it belongs to.
    pub fn pid(self) -> u16 {
        u16::from(self.0[1] & 0x1f) << 8 | u16::from(self.0[2])
    }

    /// A PES packet or a table section starts in it.
    pub fn starts_unit(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    fn has_payload(self) -> bool {
        self.0[3] & 0x10 != 0
    }

    fn counter(self) -> u8 {
        self.0[3] & 0x0f
    }

    fn adaptation(self) -> &'a [u8] {
        if self.0[3] & 0x20 == 0 {
            return &[];
        }
        self.0.get(5..5 + usize::from(self.0[4])).unwrap_or(&[])
    }

    /// Its counter need not follow the one before.
    fn is_discontinuous(self) -> bool {
        self.adaptation().first().is_some_and(|flags| flags & 0x80 != 0)
    }

    /// The programme clock reference in microseconds, when it carries one.
    pub fn pcr_us(self) -> Option<u64> {
        let field = self.adaptation();
        if field.first()? & 0x10 == 0 {
            return None;
        }
        let b: [u64; 6] = std::array::from_fn(|i| field.get(1 + i).copied().unwrap_or(0).into());
        let base = b[0] << 25 | b[1] << 17 | b[2] << 9 | b[3] << 1 | b[4] >> 7;
        let extension = (b[4] & 1) << 8 | b[5];
        Some((base * 300 + extension) / TICKS_PER_US)
    }

    /// What it carries.
    pub fn payload(self) -> &'a [u8] {
        let from = if self.0[3] & 0x20 == 0 { 4 } else { 5 + usize::from(self.0[4]) };
        if self.has_payload() { self.0.get(from..).unwrap_or(&[]) } else { &[] }
    }
}

/// What is wrong with the stream of one connection.
#[derive(Debug, Default)]
pub struct Judge {
    /// The last packet's counter, by PID.
    counters: HashMap<u16, u8>,
    /// Whether the very first packet was a PAT; `None` before it came.
    pub starts_with_pat: Option<bool>,
    /// Counters that did not follow (2.4.3.3): something was lost or repeated.
    pub continuity_errors: u64,
    /// Pieces of 188 bytes that are no packet, or messages that aren't made of whole ones.
    pub sync_errors: u64,
    /// Packets seen.
    pub packets: u64,
}

impl Judge {
    /// Looks at one message (one datagram's payload).
    pub fn take(&mut self, message: &[u8]) {
        let pieces = message.chunks_exact(PACKET_LEN);
        self.sync_errors += u64::from(!pieces.remainder().is_empty());
        for piece in pieces {
            match Packet::parse(piece) {
                Some(packet) => self.packet(packet),
                None => self.sync_errors += 1,
            }
        }
    }

    fn packet(&mut self, packet: Packet<'_>) {
        self.packets += 1;
        let pid = packet.pid();
        self.starts_with_pat.get_or_insert(pid == PAT_PID);
        if pid == NULL_PID {
            return;
        }
        let counter = packet.counter();
        let before = self.counters.insert(pid, counter);
        if packet.is_discontinuous() {
            return;
        }
        // The counter rises with each payload and stands still without one.
        let step = u8::from(packet.has_payload());
        if before.is_some_and(|before| counter != (before + step) & 0x0f) {
            self.continuity_errors += 1;
        }
    }
}
