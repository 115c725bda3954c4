//! Where in a transport stream a receiver may begin, and how its packets are numbered.
//!
//! Owns the tables (PAT, PMT) as they were sent last, and each PID's continuity counter. Pure: bytes in, places out; it
//! knows no caller. The hard thing: `mpegtsmux` marks its packets with buffer flags and loses them where it joins seven
//! of them to a datagram (GStreamer 1.22, `gst_adapter_take_buffer`), so a key frame is found in the stream itself:
//! the muxer sets the random access indicator (ISO/IEC 13818-1, 2.4.3.5) on the first packet of each, and on nothing else.

/// Bytes of a TS packet.
pub(super) const PACKET_LEN: usize = 188;

/// PIDs that are followed: PAT, PMT and two tracks are all that our muxer writes.
const PIDS_MAX: usize = 8;

/// The PID of the programme association table.
const PAT: u16 = 0;

/// The PID of stuffing.
const NULL: u16 = 0x1fff;

/// A number of 4 bits for each PID.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Numbers([Option<(u16, u8)>; PIDS_MAX]);

impl Numbers {
    pub(super) fn get(&self, pid: u16) -> Option<u8> {
        self.0.iter().flatten().find(|(known, _)| *known == pid).map(|(_, number)| *number)
    }

    pub(super) fn set(&mut self, pid: u16, number: u8) {
        let place = self.0.iter().position(|place| place.is_none_or(|(known, _)| known == pid));
        if let Some(place) = place {
            self.0[place] = Some((pid, number & 0x0f));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, u8)> {
        self.0.iter().flatten().copied()
    }
}

/// A place in a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Bytes from its beginning.
    pub(super) at: usize,
    /// The continuity counters of what was sent before.
    pub(super) numbers: Numbers,
    /// Access units of the datagram that begin before it.
    pub(super) units: u64,
}

/// What is found in a datagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The continuity counters of what was sent before it.
    pub(super) before: Numbers,
    /// How many access units begin in it.
    pub(super) units: u64,
    /// The first place where an access unit begins.
    pub(super) unit: Option<Mark>,
    /// The first place where a receiver may begin, once it has the tables.
    pub(super) start: Option<Mark>,
}

/// Follows a stream, datagram by datagram.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// A receiver begins with a picture; without video with any unit.
    has_video: bool,
    pmt_pid: Option<u16>,
    pat: Vec<u8>,
    pmt: Vec<u8>,
    /// The tables as they were at the last [`Marks::start`].
    tables: Vec<u8>,
    numbers: Numbers,
}

impl Scanner {
    pub(super) fn set_video(&mut self, flows: bool) {
        self.has_video = flows;
    }

    pub(super) fn has_video(&self) -> bool {
        self.has_video
    }

    /// What a receiver needs in front of the last [`Marks::start`]: whole packets of PAT and PMT.
    pub(super) fn tables(&self) -> &[u8] {
        &self.tables
    }

    /// Reads a datagram of whole packets.
    pub(super) fn scan(&mut self, datagram: &[u8]) -> Marks {
        let mut marks = Marks { before: self.numbers, ..Marks::default() };
        for (index, packet) in datagram.chunks_exact(PACKET_LEN).enumerate() {
            let (pid, begins) = (pid(packet), packet[1] & 0x40 != 0);
            let mark = Mark { at: index * PACKET_LEN, numbers: self.numbers, units: marks.units };
            if pid == NULL {
                continue;
            }
            if pid == PAT {
                keep(&mut self.pat, packet, begins);
                self.pmt_pid = first_programme(packet).or(self.pmt_pid);
            } else if Some(pid) == self.pmt_pid {
                keep(&mut self.pmt, packet, begins);
            } else if begins {
                marks.unit.get_or_insert(mark);
                marks.units += 1;
                let may_begin = (is_random_access(packet) || !self.has_video) && !self.pmt.is_empty();
                if may_begin && marks.start.is_none() {
                    marks.start = Some(mark);
                    self.tables.clear();
                    self.tables.extend_from_slice(&self.pat);
                    self.tables.extend_from_slice(&self.pmt);
                }
            }
            self.numbers.set(pid, packet[3]);
        }
        marks
    }
}

pub(super) fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

/// Keeps the packets of a table: from one that begins it to before the next.
fn keep(table: &mut Vec<u8>, packet: &[u8], begins: bool) {
    /// A section has 1024 bytes at most.
    const TABLE_LEN_MAX: usize = 6 * PACKET_LEN;
    if begins {
        table.clear();
    }
    if table.len() < TABLE_LEN_MAX {
        table.extend_from_slice(packet);
    }
}

fn is_random_access(packet: &[u8]) -> bool {
    packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x40 != 0
}

/// The PID of the first programme's table, out of a PAT.
fn first_programme(packet: &[u8]) -> Option<u16> {
    // The muxer fills packets up with an adaptation field.
    let payload = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
    let section = packet.get(payload + 1 + usize::from(*packet.get(payload)?)..)?;
    let len = usize::from(u16::from_be_bytes([section.get(1)? & 0x0f, *section.get(2)?]));
    // Behind the header of 8 bytes, without the checksum of 4 (`len` counts from byte 3).
    let programmes = section.get(8..(3 + len).checked_sub(4)?)?;
    let mut programmes = programmes.chunks_exact(4).filter(|entry| entry[..2] != [0, 0]);
    programmes.next().map(|entry| u16::from_be_bytes([entry[2] & 0x1f, entry[3]]))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::endpoint::callers) const VIDEO: u16 = 0x41;
    pub(in crate::endpoint::callers) const AUDIO: u16 = 0x42;
    pub(in crate::endpoint::callers) const PMT: u16 = 0x20;

    /// A packet with this continuity counter.
    pub(in crate::endpoint::callers) fn packet(pid: u16, begins: bool, key: bool, number: u8) -> [u8; PACKET_LEN] {
        let mut packet = [0xff; PACKET_LEN];
        let [high, low] = pid.to_be_bytes();
        packet[..4].copy_from_slice(&[0x47, high | if begins { 0x40 } else { 0 }, low, 0x10 | number]);
        if key {
            packet[3] |= 0x20;
            packet[4..6].copy_from_slice(&[1, 0x40]);
        }
        if pid == PAT {
            packet[4..21].copy_from_slice(&[0, 0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe0, 0x20, 1, 2, 3, 4]);
        }
        packet
    }

    #[test]
    fn a_receiver_begins_at_a_key_frame_behind_the_tables() {
        let mut scanner = Scanner::default();
        scanner.set_video(true);
        let datagram = |packets: &[[u8; PACKET_LEN]]| packets.concat();
        // A key frame before any table is none to begin at.
        let marks = scanner.scan(&datagram(&[packet(VIDEO, true, true, 0), packet(VIDEO, false, false, 1)]));
        assert_eq!((marks.unit.map(|mark| mark.at), marks.start), (Some(0), None));
        let (pat, pmt) = (packet(PAT, true, false, 4), packet(PMT, true, false, 5));
        let marks = scanner.scan(&datagram(&[packet(VIDEO, false, false, 2), pat, pmt, packet(AUDIO, true, false, 7)]));
        assert_eq!((marks.unit.map(|mark| mark.at), marks.start), (Some(3 * PACKET_LEN), None));
        assert_eq!((marks.before.get(VIDEO), marks.before.get(PAT)), (Some(1), None));
        let key = packet(VIDEO, true, true, 3);
        let marks = scanner.scan(&datagram(&[packet(AUDIO, false, false, 8), key, packet(PAT, true, false, 5)]));
        let start = marks.start.expect("a key frame with tables before it");
        assert_eq!((start.at, start.numbers.get(VIDEO), start.numbers.get(AUDIO)), (PACKET_LEN, Some(2), Some(8)));
        assert_eq!(scanner.tables(), [pat, pmt].concat(), "those before it, not those behind");
        let marks = scanner.scan(&packet(VIDEO, true, false, 4));
        assert!(marks.unit.is_some() && marks.start.is_none(), "no key frame");
    }

    #[test]
    fn a_programme_table_behind_stuffing_is_read() {
        let mut pat = [0xff; PACKET_LEN];
        let section = [0, 0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0x23, 1, 2, 3, 4];
        pat[..4].copy_from_slice(&[0x47, 0x40, 0, 0x30]);
        pat[4] = u8::try_from(PACKET_LEN - 5 - section.len()).expect("fits");
        pat[PACKET_LEN - section.len()..].copy_from_slice(&section);
        assert_eq!(first_programme(&pat), Some(0x123));
    }

    #[test]
    fn without_video_any_unit_will_do() {
        let mut scanner = Scanner::default();
        let packets = [packet(PAT, true, false, 0), packet(PMT, true, false, 0), packet(AUDIO, true, false, 0)];
        assert_eq!(scanner.scan(&packets.concat()).start.map(|mark| mark.at), Some(2 * PACKET_LEN));
        assert!(scanner.scan(&packet(AUDIO, false, false, 1)).start.is_none());
    }

    #[test]
    fn no_bytes_make_it_panic() {
        use proptest::prelude::*;
        proptest!(|(bytes in prop::collection::vec(any::<u8>(), 0..1400), video: bool)| {
            let mut scanner = Scanner::default();
            scanner.set_video(video);
            scanner.scan(&bytes);
            scanner.scan(&bytes);
        });
    }
}
