//! What one caller gets of the stream: from its first key frame on everything, except what it is too slow for.
//!
//! Pure: it is told what a datagram holds and whether the caller keeps up, and says what to send. The hard thing is that
//! all callers share one muxer: to one that has missed something the packets' numbers would jump, and its decoder would
//! call that damage. So they are shifted for it, and what it gets is numbered without a hole, as from a muxer of its own.

use super::packets::{Marks, Numbers, PACKET_LEN, pid};
use crate::model::endpoint::GateTotals;

/// Where a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has had nothing yet.
    Waiting,
    /// It gets everything.
    Flowing,
    /// It was too slow; `last` are the numbers of what it got last.
    Skipping {
        /// As it saw them.
        last: Numbers,
    },
}

/// What of a datagram is for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing.
    Nothing,
    /// All of it.
    Whole,
    /// What is before this byte: there its pause begins.
    Head(usize),
    /// The tables, and what is from this byte on: there it begins.
    Tail(usize),
}

/// One caller's course.
#[derive(Debug)]
pub(super) struct Course {
    place: Place,
    /// What is added to the packets' numbers.
    shift: Numbers,
    missed: GateTotals,
    /// Where it was before the datagram that is being sent, with the numbers that were added then.
    before: (Place, Numbers),
}

impl Course {
    pub(super) fn new() -> Self {
        let (place, shift) = (Place::Waiting, Numbers::default());
        Self { place, shift, missed: GateTotals::default(), before: (place, shift) }
    }

    /// Access units that it missed since its first one, and GOPs of which it missed something.
    pub(super) fn missed(&self) -> GateTotals {
        self.missed
    }

    pub(super) fn is_skipping(&self) -> bool {
        matches!(self.place, Place::Skipping { .. })
    }

    /// Whether a key frame would be of use: it waits for its first one, or has caught up (`drained`).
    pub(super) fn wants_key_frame(&self, drained: bool) -> bool {
        self.place == Place::Waiting || (self.is_skipping() && drained)
    }

    /// What to send of a datagram. `lagging`: what it has been sent before piles up; `drained`: nothing does.
    /// `tables` belong in front of [`Marks::start`].
    pub(super) fn next(&mut self, marks: &Marks, tables: &[u8], lagging: bool, drained: bool) -> Part {
        self.before = (self.place, self.shift);
        match (self.place, marks.start, marks.unit) {
            (Place::Flowing, _, Some(unit)) if lagging => {
                self.place = Place::Skipping { last: shifted(unit.numbers, &self.shift) };
                self.missed.dropped_gops += 1;
                self.missed.dropped_units += marks.units;
                Part::Head(unit.at)
            }
            (Place::Flowing, ..) => Part::Whole,
            (Place::Waiting, Some(start), _) => {
                self.place = Place::Flowing;
                Part::Tail(start.at)
            }
            (Place::Skipping { last }, Some(start), _) if drained => {
                self.shift = Numbers::default();
                for (pid, last) in last.iter() {
                    let Some(number) = start.numbers.get(pid) else { continue };
                    // The tables go out once more.
                    let again = tables.chunks_exact(PACKET_LEN).filter(|table| self::pid(table) == pid).count();
                    let again = u8::try_from(again & 0x0f).unwrap_or(0);
                    self.shift.set(pid, last.wrapping_add(again).wrapping_sub(number));
                }
                self.place = Place::Flowing;
                self.missed.dropped_units += start.units;
                Part::Tail(start.at)
            }
            (Place::Skipping { .. }, ..) => {
                self.missed.dropped_units += marks.units;
                Part::Nothing
            }
            _ => Part::Nothing,
        }
    }

    /// What [`Course::next`] said to send did not fit into the caller's send buffer; `taken` of it did, numbered as the
    /// caller sees it.
    pub(super) fn full(&mut self, marks: &Marks, tables: &[u8], taken: &[u8]) {
        let (before, shift) = self.before;
        let (mut last, wanted_units) = match before {
            // Nothing has begun for it.
            Place::Waiting if taken.is_empty() => {
                (self.place, self.shift) = (before, shift);
                return;
            }
            Place::Waiting => (Numbers::default(), units_from_start(marks)),
            Place::Flowing => (shifted(marks.before, &shift), marks.units),
            Place::Skipping { last } => (last, units_from_start(marks)),
        };
        let is_table = |packet: &[u8]| tables.chunks_exact(PACKET_LEN).any(|table| pid(table) == pid(packet));
        let mut taken_units = 0;
        for packet in taken.chunks_exact(PACKET_LEN) {
            last.set(pid(packet), packet[3] & 0x0f);
            taken_units += u64::from(packet[1] & 0x40 != 0 && !is_table(packet));
        }
        // A pause that was to begin with this datagram is counted.
        if !self.is_skipping() {
            self.missed.dropped_gops += 1;
            self.missed.dropped_units += wanted_units.saturating_sub(taken_units);
        }
        self.place = Place::Skipping { last };
    }

    /// Whether packets must be numbered anew for this caller.
    pub(super) fn is_shifted(&self) -> bool {
        self.shift.iter().any(|(_, shift)| shift != 0)
    }

    /// Numbers packets anew.
    pub(super) fn shift(&self, packets: &mut [u8]) {
        for packet in packets.chunks_exact_mut(PACKET_LEN) {
            if let Some(shift) = self.shift.get(pid(packet)) {
                packet[3] = (packet[3] & 0xf0) | (packet[3].wrapping_add(shift) & 0x0f);
            }
        }
    }
}

/// Access units from the place on where a receiver may begin.
fn units_from_start(marks: &Marks) -> u64 {
    marks.units - marks.start.map_or(0, |start| start.units)
}

/// Numbers as a caller sees them.
fn shifted(numbers: Numbers, shift: &Numbers) -> Numbers {
    let mut seen = Numbers::default();
    for (pid, number) in numbers.iter() {
        seen.set(pid, number.wrapping_add(shift.get(pid).unwrap_or(0)));
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::packets::Scanner;
    use super::super::packets::tests::{AUDIO, PMT, VIDEO, packet};
    use super::*;
    use proptest::prelude::*;

    /// A muxer: each GOP is tables, a key frame of two packets, sound, and three pictures.
    fn stream(gops: usize) -> Vec<u8> {
        let mut numbers: HashMap<u16, u8> = HashMap::new();
        let mut out = Vec::new();
        let mut write = |pid: u16, begins: bool, key: bool| {
            let number = numbers.entry(pid).or_insert(15);
            *number = (*number + 1) & 0x0f;
            out.extend_from_slice(&packet(pid, begins, key, *number));
        };
        for _ in 0..gops {
            write(0, true, false);
            write(PMT, true, false);
            write(VIDEO, true, true);
            write(VIDEO, false, false);
            for _ in 0..3 {
                write(AUDIO, true, false);
                write(VIDEO, true, false);
                write(VIDEO, false, false);
            }
        }
        out
    }

    /// What a caller that keeps up or not, as `keeps_up` says datagram by datagram, gets: whether it lags, has drained, and
    /// how many messages it has room for.
    fn get(
        stream: &[u8],
        packets: usize,
        join_at: usize,
        mut keeps_up: impl FnMut() -> (bool, bool, usize),
    ) -> Vec<u8> {
        let (mut scanner, mut course, mut got) = (Scanner::default(), Course::new(), Vec::new());
        scanner.set_video(true);
        // Access units since it began, and those it got.
        let (mut units, mut got_units) = (0, 0);
        for (index, datagram) in stream.chunks(packets * PACKET_LEN).enumerate() {
            let marks = scanner.scan(datagram);
            if index < join_at {
                continue;
            }
            let (lagging, drained, room) = keeps_up();
            let waited = course.place == Place::Waiting;
            let mut send = match course.next(&marks, scanner.tables(), lagging, drained) {
                Part::Nothing => Vec::new(),
                Part::Whole => datagram.to_vec(),
                Part::Head(at) => datagram[..at].to_vec(),
                Part::Tail(at) => [scanner.tables(), &datagram[at..]].concat(),
            };
            course.shift(&mut send);
            let fits = send.len().min(room * packets * PACKET_LEN);
            if fits < send.len() {
                send.truncate(fits);
                course.full(&marks, scanner.tables(), &send);
            }
            if course.place != Place::Waiting {
                units += if waited { units_from_start(&marks) } else { marks.units };
            }
            let begins = |packet: &&[u8]| packet[1] & 0x40 != 0 && [VIDEO, AUDIO].contains(&pid(packet));
            got_units += send.chunks(PACKET_LEN).filter(begins).count() as u64;
            got.extend(send);
        }
        assert_eq!(got_units + course.missed().dropped_units, units, "each is sent or counted");
        got
    }

    /// No number is left out, and what comes first is a table.
    fn assert_whole(got: &[u8]) {
        let mut numbers: HashMap<u16, u8> = HashMap::new();
        for (index, packet) in got.chunks(PACKET_LEN).enumerate() {
            let (pid, number) = (pid(packet), packet[3] & 0x0f);
            if let Some(last) = numbers.insert(pid, number) {
                assert_eq!(number, (last + 1) & 0x0f, "packet {index} of PID {pid}");
            }
        }
        // Tables may come more than once in front, where there was no room for more at first.
        let first = got.chunks(PACKET_LEN).position(|packet| ![0, PMT].contains(&pid(packet)));
        if let Some(first) = first {
            let begin = &got[(first - 2) * PACKET_LEN..];
            assert_eq!((pid(begin), pid(&begin[PACKET_LEN..]), pid(&begin[2 * PACKET_LEN..])), (0, PMT, VIDEO));
            assert_eq!(begin[2 * PACKET_LEN + 5] & 0x40, 0x40, "a key frame");
        }
    }

    #[test]
    fn a_late_caller_begins_at_the_next_key_frame_and_then_gets_all() {
        let stream = stream(20);
        for packets in 1..=7 {
            for join_at in 0..13 {
                let got = get(&stream, packets, join_at, || (false, true, 9));
                assert_whole(&got);
                // It waits for a GOP (13 packets) at most, and gets the tables in front.
                let missed = (join_at * packets + 13) * PACKET_LEN;
                assert!(got.len() >= stream.len() - missed, "{packets} {join_at}: {}", got.len());
                assert!(stream.ends_with(&got[got.len() / 2..]));
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_a_caller_misses_it_sees_no_hole(
            steps in prop::collection::vec((0..8_u8, any::<bool>(), 0..12_usize), 200),
            packets in 1..8_usize,
        ) {
            let mut steps = steps.into_iter().cycle();
            let got = get(&stream(50), packets, 0, || {
                let (lagging, drained, room) = steps.next().expect("endless");
                (lagging == 0, drained, room)
            });
            assert_whole(&got);
        }
    }
}
