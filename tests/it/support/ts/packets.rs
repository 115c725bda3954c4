//! Packets: sync, continuity counters, PAT and PMT, PCR, and PES put together per PID.
//!
//! Knows no codec. The hard thing is the continuity rule with its exceptions: a packet without payload
//! does not count, one exact duplicate is allowed, `discontinuity_indicator` starts anew (2.4.3.3).

use std::collections::BTreeMap;

use super::units::Codec;
use super::{PACKET_BYTES, WRAP_TICKS};

const PID_PAT: u16 = 0;
const PID_NULL: u16 = 0x1fff;
/// PIDs below this one carry tables of the systems (SDT and the like), never elementary streams.
const PID_FREE_MIN: u16 = 0x20;
pub(super) const SYNC_BYTE: u8 = 0x47;

/// A program clock reference.
#[derive(Debug, Clone, Copy)]
pub struct Pcr {
    /// Index of the packet that carries it.
    pub packet: usize,
    /// Base part, unwrapped, in 90 kHz ticks.
    pub ticks: i64,
}

/// One PES packet, complete.
#[derive(Debug, Clone)]
pub struct Pes {
    /// Index of its first packet.
    pub packet: usize,
    /// Presentation time, unwrapped, 90 kHz ticks.
    pub pts: Option<i64>,
    /// Decoding time; equal to `pts` when the stream gives none.
    pub dts: Option<i64>,
    /// `random_access_indicator` of its first packet.
    pub random_access: bool,
    /// Payload: elementary stream bytes.
    pub data: Vec<u8>,
}

/// One elementary stream of the programme.
#[derive(Debug, Clone)]
pub struct Track {
    /// Its PID.
    pub pid: u16,
    /// What the PMT says it is.
    pub codec: Codec,
    /// Its PES packets in order; the last one only if it is certainly complete.
    pub pes: Vec<Pes>,
}

/// What a captured transport stream holds.
#[derive(Debug, Default)]
pub struct Capture {
    /// Packets read, without trailing rest.
    pub packets: usize,
    /// Everything that breaks the packet layer, in order, readable.
    pub faults: Vec<String>,
    /// Continuity errors per PID (also part of `faults`).
    pub continuity_errors: usize,
    /// Packet indices of correct PATs.
    pub pats: Vec<usize>,
    /// Packet indices of correct PMTs.
    pub pmts: Vec<usize>,
    /// How often the PMT changed after the first.
    pub pmt_changes: usize,
    /// PIDs of the first packets, at most 32.
    pub first_pids: Vec<u16>,
    /// PMT's PID.
    pub pmt_pid: Option<u16>,
    /// The clock.
    pub pcrs: Vec<Pcr>,
    /// Tracks by PID, as the last PMT that named each.
    pub tracks: BTreeMap<u16, Track>,
}

#[derive(Default)]
struct PidState {
    last: Option<(u8, Vec<u8>)>,
    duplicates: u8,
    open: Option<Pes>,
    open_len: Option<usize>,
    damaged: bool,
}

struct Reader<'a> {
    out: Capture,
    pids: BTreeMap<u16, PidState>,
    pcr_pid: Option<u16>,
    last_pmt: Vec<u8>,
    clock: Option<i64>,
    last_pts: BTreeMap<u16, i64>,
    bytes: &'a [u8],
}

impl Capture {
    /// Reads a whole capture. A rest of less than one packet at its end is ignored: a receiver may be killed mid-write.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut reader = Reader {
            out: Self::default(),
            pids: BTreeMap::new(),
            pcr_pid: None,
            last_pmt: Vec::new(),
            clock: None,
            last_pts: BTreeMap::new(),
            bytes,
        };
        reader.run();
        reader.out
    }

    /// The first track of a kind.
    pub fn track(&self, kind: super::Kind) -> Option<&Track> {
        self.tracks.values().find(|track| track.codec.kind() == Some(kind))
    }

    /// From the first to the last PCR, in seconds; 0 when there are fewer than two.
    pub fn seconds(&self) -> f64 {
        match (self.pcrs.first(), self.pcrs.last()) {
            (Some(first), Some(last)) => super::ms(last.ticks - first.ticks) / 1000.0,
            _ => 0.0,
        }
    }
}

/// The base part of the PCR in a packet (2.4.3.5), as it stands there.
pub(super) fn pcr_of(packet: &[u8]) -> Option<i64> {
    let (adaptation, len, flags) = (packet[3] & 0x20 != 0, packet[4], packet[5]);
    if !adaptation || len < 7 || flags & 0x10 == 0 {
        return None;
    }
    let field = &packet[6..11];
    Some(
        (i64::from(field[0]) << 25)
            | (i64::from(field[1]) << 17)
            | (i64::from(field[2]) << 9)
            | (i64::from(field[3]) << 1)
            | (i64::from(field[4]) >> 7),
    )
}

/// The value next to `near` that is equal to `raw` modulo 2³³.
pub(super) fn unwrap_near(raw: i64, near: i64) -> i64 {
    let difference = (raw - near).rem_euclid(WRAP_TICKS);
    near + if difference > WRAP_TICKS / 2 { difference - WRAP_TICKS } else { difference }
}

/// CRC-32/MPEG-2 over a whole section including its CRC is 0 when it is right (annex A).
pub fn crc32_mpeg(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0xffff_ffff, |crc, byte| {
        (0..8).fold(crc ^ (u32::from(*byte) << 24), |crc, _| {
            if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 }
        })
    })
}

fn timestamp(b: &[u8]) -> i64 {
    (i64::from(b[0] & 0x0e) << 29)
        | (i64::from(b[1]) << 22)
        | (i64::from(b[2] & 0xfe) << 14)
        | (i64::from(b[3]) << 7)
        | (i64::from(b[4]) >> 1)
}

impl Reader<'_> {
    fn run(&mut self) {
        let mut at = 0;
        while at + PACKET_BYTES <= self.bytes.len() {
            if self.bytes[at] != SYNC_BYTE {
                self.out.faults.push(format!("sync lost at byte {at}"));
                match self.bytes[at..].iter().position(|b| *b == SYNC_BYTE) {
                    Some(skip) => at += skip,
                    None => break,
                }
                continue;
            }
            let packet = &self.bytes[at..at + PACKET_BYTES];
            self.packet(packet);
            self.out.packets += 1;
            at += PACKET_BYTES;
        }
        // What is open at the end is complete only if its length says so.
        let pids: Vec<u16> = self.pids.keys().copied().collect();
        for pid in pids {
            let complete = self.pids.get(&pid).is_some_and(|state| {
                state.open_len.is_some_and(|len| state.open.as_ref().is_some_and(|pes| pes.data.len() >= len))
            });
            if complete {
                self.finish(pid);
            }
        }
    }

    fn fault(&mut self, text: String) {
        self.out.faults.push(format!("packet {}: {text}", self.out.packets));
    }

    fn packet(&mut self, packet: &[u8]) {
        let pid = (u16::from(packet[1] & 0x1f) << 8) | u16::from(packet[2]);
        if self.out.first_pids.len() < 32 {
            self.out.first_pids.push(pid);
        }
        if packet[1] & 0x80 != 0 {
            self.fault(format!("PID {pid}: transport_error_indicator"));
        }
        if packet[3] & 0xc0 != 0 {
            self.fault(format!("PID {pid}: scrambled"));
        }
        if pid == PID_NULL {
            return;
        }
        let starts = packet[1] & 0x40 != 0;
        let has_adaptation = packet[3] & 0x20 != 0;
        let has_payload = packet[3] & 0x10 != 0;
        let mut start = 4;
        let (mut jump, mut random_access) = (false, false);
        if has_adaptation {
            let len = usize::from(packet[4]);
            start = 5 + len;
            if start > PACKET_BYTES {
                self.fault(format!("PID {pid}: adaptation field of {len} bytes"));
                return;
            }
            if len > 0 {
                jump = packet[5] & 0x80 != 0;
                random_access = packet[5] & 0x40 != 0;
                if let Some(raw) = pcr_of(packet) {
                    self.pcr(pid, raw);
                }
            }
        }
        if !self.continuity(pid, packet, has_payload.then_some(start), jump) || !has_payload || start >= PACKET_BYTES {
            return;
        }
        let payload = &packet[start..];
        if pid == PID_PAT {
            self.pat(payload, starts);
        } else if Some(pid) == self.out.pmt_pid {
            self.pmt(payload, starts);
        } else if pid >= PID_FREE_MIN {
            self.elementary(pid, payload, starts, random_access);
        }
    }

    fn pcr(&mut self, pid: u16, raw: i64) {
        if self.pcr_pid.is_some_and(|wanted| wanted != pid) {
            return;
        }
        let ticks = unwrap_near(raw, self.clock.unwrap_or(raw));
        self.clock = Some(ticks);
        self.out.pcrs.push(Pcr { packet: self.out.packets, ticks });
    }

    /// Checks the counter; false when the packet is an exact duplicate and must not be read twice.
    fn continuity(&mut self, pid: u16, packet: &[u8], payload: Option<usize>, jump: bool) -> bool {
        let counter = packet[3] & 0x0f;
        let state = self.pids.entry(pid).or_default();
        let Some((last, last_packet)) = &state.last else {
            state.last = Some((counter, packet.to_vec()));
            return true;
        };
        let expected = if payload.is_some() { (last + 1) & 0x0f } else { *last };
        // The PCR of a duplicate may differ (2.4.3.3), so only what is behind the adaptation field is compared.
        let duplicate = payload.is_some_and(|at| counter == *last && packet.get(at..) == last_packet.get(at..));
        if duplicate && !jump {
            state.duplicates += 1;
            if state.duplicates > 1 {
                self.out.continuity_errors += 1;
                self.fault(format!("PID {pid}: a packet came more than twice"));
            }
            return false;
        }
        state.duplicates = 0;
        let wrong = (counter != expected && !jump).then_some(expected);
        state.last = Some((counter, packet.to_vec()));
        if let Some(expected) = wrong {
            state.damaged = true;
            self.out.continuity_errors += 1;
            self.fault(format!("PID {pid}: continuity counter {counter}, expected {expected}"));
        }
        true
    }

    /// The section that begins in this payload, if it is whole and its CRC right.
    fn section(&mut self, payload: &[u8], starts: bool, table_id: u8, name: &str) -> Option<Vec<u8>> {
        if !starts {
            return None;
        }
        let body = payload.get(1 + usize::from(payload[0])..)?;
        if body.len() < 12 || body[0] != table_id {
            self.fault(format!("{name}: not a section of this table"));
            return None;
        }
        let len = 3 + ((usize::from(body[1] & 0x0f) << 8) | usize::from(body[2]));
        let Some(section) = body.get(..len) else {
            self.fault(format!("{name}: section of {len} bytes does not fit its packet"));
            return None;
        };
        if crc32_mpeg(section) != 0 {
            self.fault(format!("{name}: CRC is wrong"));
            return None;
        }
        Some(section[..len - 4].to_vec())
    }

    fn pat(&mut self, payload: &[u8], starts: bool) {
        let Some(section) = self.section(payload, starts, 0, "PAT") else { return };
        self.out.pats.push(self.out.packets);
        for entry in section[8..].chunks_exact(4) {
            if entry[0] != 0 || entry[1] != 0 {
                self.out.pmt_pid = Some((u16::from(entry[2] & 0x1f) << 8) | u16::from(entry[3]));
                return;
            }
        }
    }

    fn pmt(&mut self, payload: &[u8], starts: bool) {
        let Some(section) = self.section(payload, starts, 2, "PMT") else { return };
        self.out.pmts.push(self.out.packets);
        if section == self.last_pmt {
            return;
        }
        if !self.last_pmt.is_empty() {
            self.out.pmt_changes += 1;
        }
        self.last_pmt.clone_from(&section);
        self.pcr_pid = Some((u16::from(section[8] & 0x1f) << 8) | u16::from(section[9]));
        let mut at = 12 + ((usize::from(section[10] & 0x0f) << 8) | usize::from(section[11]));
        while at + 5 <= section.len() {
            let pid = (u16::from(section[at + 1] & 0x1f) << 8) | u16::from(section[at + 2]);
            let len = (usize::from(section[at + 3] & 0x0f) << 8) | usize::from(section[at + 4]);
            let descriptors = section.get(at + 5..at + 5 + len).unwrap_or_default();
            let codec = Codec::from_pmt(section[at], descriptors);
            let track = self.out.tracks.entry(pid).or_insert_with(|| Track { pid, codec, pes: Vec::new() });
            if track.codec != codec {
                let text = format!("PID {pid} changed from {:?} to {codec:?}", track.codec);
                track.codec = codec;
                self.fault(text);
            }
            at += 5 + len;
        }
    }

    fn elementary(&mut self, pid: u16, payload: &[u8], starts: bool, random_access: bool) {
        if !starts {
            if let Some(pes) = self.pids.entry(pid).or_default().open.as_mut() {
                pes.data.extend_from_slice(payload);
            }
            return;
        }
        self.finish(pid);
        if payload.len() < 9 || payload[..3] != [0, 0, 1] {
            self.fault(format!("PID {pid}: a PES packet without start code"));
            return;
        }
        let length = (usize::from(payload[4]) << 8) | usize::from(payload[5]);
        let header = usize::from(payload[8]);
        let Some(data) = payload.get(9 + header..) else {
            self.fault(format!("PID {pid}: PES header of {header} bytes does not fit"));
            return;
        };
        let pts = (payload[7] & 0x80 != 0).then(|| self.time(pid, timestamp(&payload[9..14])));
        let dts = (payload[7] & 0xc0 == 0xc0).then(|| unwrap_near(timestamp(&payload[14..19]), pts.unwrap_or(0)));
        let pes = Pes { packet: self.out.packets, pts, dts: dts.or(pts), random_access, data: data.to_vec() };
        let state = self.pids.entry(pid).or_default();
        state.open_len = length.checked_sub(3 + header);
        state.open = Some(pes);
        state.damaged = false;
    }

    /// Unwraps near the clock, or near the track's last time when there is no clock yet.
    fn time(&mut self, pid: u16, raw: i64) -> i64 {
        let near = self.clock.or(self.last_pts.get(&pid).copied()).unwrap_or(raw);
        let pts = unwrap_near(raw, near);
        self.last_pts.insert(pid, pts);
        pts
    }

    fn finish(&mut self, pid: u16) {
        let Some(state) = self.pids.get_mut(&pid) else { return };
        let (Some(mut pes), damaged) = (state.open.take(), state.damaged) else { return };
        if let Some(len) = state.open_len {
            if pes.data.len() < len && !damaged {
                let text = format!("PID {pid}: PES of {} bytes, its header says {len}", pes.data.len());
                self.fault(text);
            }
            pes.data.truncate(len);
        }
        if damaged {
            return;
        }
        if let Some(track) = self.out.tracks.get_mut(&pid) {
            track.pes.push(pes);
        }
    }
}
