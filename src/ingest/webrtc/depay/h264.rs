//! Which packets of H.264 (RFC 6184) go to the depayloader: all while none is missing, and after a loss none
//! until a key frame begins, with its parameter sets and its first slice.
//!
//! Pure: knows no GStreamer. `rtph264depay` waits for a key frame by itself, but takes more for one than there is
//! (1.22, `gst_rtp_h264_depay_handle_nal`): an IDR picture whose first slices were lost, and one whose parameter
//! sets were lost, which is then decoded by the old ones: after a change of the size, damaged until the next key
//! frame. Here a key frame begins where the sender's packets of it begin. Nor is a loss always a gap in the numbers:
//! a browser whose line is too narrow gives up the rest of a picture that waits to be sent when it begins a key
//! frame, and numbers what it sends without a gap. `rtph264depay` then hands on the part that came.

use crate::ingest::rtp::nal::each_nal;
use crate::ingest::rtp::packet::{Packet, Row};
use crate::model::codec::Codec;

/// NAL unit types (ITU-T H.264, table 7-1) and packet types (RFC 6184, table 1).
const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const FU_A: u8 = 28;

/// IDR pictures without parameter sets that are refused in a row: this many may have lost them, one more and the
/// sender sends them seldom. It is then decoded by the ones that are known.
const BARE_MAX: u32 = 2;

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    /// It goes on.
    pub(super) passes: bool,
    /// It is the first one since a loss.
    pub(super) first: bool,
    /// Something is missing: a key frame is of use.
    pub(super) wish: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Nothing passes until a key frame begins.
    #[default]
    Waits,
    /// Parameter sets have passed; the first slice is next.
    Begins,
    /// Everything passes until something is missing.
    Runs,
}

/// The memory of one track.
#[derive(Debug, Default)]
pub(super) struct WholePictures {
    row: Row,
    state: State,
    /// The time stamp of a fragmented NAL unit whose end has not come.
    open: Option<u32>,
    /// IDR pictures that were refused since the last packet that went on.
    bare: u32,
}

impl WholePictures {
    /// Takes a packet. `gap`: packets are missing in front of it, though the numbers may not say so.
    pub(super) fn take(&mut self, packet: &Packet<'_>, gap: bool) -> Verdict {
        let missing = self.row.misses(packet.seq, gap);
        let broken = !self.continues(packet) && self.state != State::Waits;
        let wish = missing || broken;
        if wish {
            self.state = State::Waits;
        }
        let before = self.state;
        each_nal(Codec::H264, packet.payload, |nal| {
            if nal.begins {
                self.nal(nal.kind, nal.behind);
            }
        });
        let passes = self.state != State::Waits;
        Verdict { passes, first: passes && before == State::Waits, wish }
    }

    /// Whether a packet goes on where the one before it ended: in a fragmented NAL unit, or not.
    fn continues(&mut self, packet: &Packet<'_>) -> bool {
        // Padding is sent to find out how much the line carries.
        let Some(first) = packet.payload.first() else { return true };
        let open = self.open.take();
        if first & 0x1f != FU_A {
            return open.is_none();
        }
        let header = packet.payload.get(1).copied().unwrap_or(0);
        let (starts, ends) = (header & 0x80 != 0, header & 0x40 != 0);
        self.open = (!ends).then_some(packet.timestamp);
        open == if starts { None } else { Some(packet.timestamp) }
    }

    /// A NAL unit begins. `slice`: the first byte of its header, whose first bit says that it is the picture's first
    /// slice (`first_mb_in_slice` is 0).
    fn nal(&mut self, kind: u8, slice: Option<u8>) {
        let is_first = slice.is_some_and(|slice| slice & 0x80 != 0);
        match (self.state, kind) {
            (State::Waits, SPS) => self.state = State::Begins,
            (State::Waits, IDR) if is_first => {
                self.bare += 1;
                if self.bare > BARE_MAX {
                    (self.state, self.bare) = (State::Runs, 0);
                }
            }
            // Some senders put parameter sets in front of each slice.
            (State::Begins, SLICE..=IDR) => {
                (self.state, self.bare) = (if is_first { State::Runs } else { State::Waits }, 0);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETS: &[u8] = b"\x78\0\x02\x67\x42\0\x02\x68\xce";
    const WHOLE_IDR: &[u8] = b"\x65\x88";
    const IDR_BEGINS: &[u8] = b"\x7c\x85\x88";
    const IDR_ENDS: &[u8] = b"\x7c\x45\x88";
    const P_BEGINS: &[u8] = b"\x5c\x81\x9a";
    const P_GOES_ON: &[u8] = b"\x5c\x01\x9a";
    const P_ENDS: &[u8] = b"\x5c\x41\x9a";
    const SECOND_IDR_SLICE: &[u8] = b"\x65\x44";
    const P: &[u8] = b"\x61\x9a";

    /// Which of these packets pass.
    fn passed(gate: &mut WholePictures, packets: &[(u16, &[u8])]) -> Vec<bool> {
        let take = |(seq, payload): &(u16, &[u8])| {
            gate.take(&Packet { seq: *seq, timestamp: 0, marker: false, payload }, false).passes
        };
        packets.iter().map(take).collect()
    }

    #[test]
    fn after_a_loss_nothing_passes_until_a_key_frame_begins() {
        let mut gate = WholePictures::default();
        let begin = passed(&mut gate, &[(9, P), (10, SETS), (11, IDR_BEGINS), (12, IDR_ENDS), (13, P)]);
        assert_eq!(begin, [false, true, true, true, true]);
        // 14 is lost.
        assert_eq!(passed(&mut gate, &[(15, P), (16, P), (17, SETS), (18, IDR_BEGINS)]), [false, false, true, true]);
        // 19, the rest of the key frame.
        assert_eq!(passed(&mut gate, &[(20, P), (21, SETS)]), [false, true]);
    }

    #[test]
    fn a_key_frame_that_lost_its_parameter_sets_or_its_first_slice_is_none() {
        let mut gate = WholePictures::default();
        assert_eq!(passed(&mut gate, &[(1, SETS), (2, WHOLE_IDR), (3, P)]), [true; 3]);
        // 4, the parameter sets.
        assert_eq!(passed(&mut gate, &[(5, IDR_BEGINS), (6, IDR_ENDS), (7, P), (8, P)]), [false; 4]);
        assert_eq!(passed(&mut gate, &[(9, SETS), (10, IDR_BEGINS)]), [true; 2]);
        // 11 to 13: the end of it, the next sets and the next first slice.
        assert_eq!(passed(&mut gate, &[(14, SECOND_IDR_SLICE), (15, P)]), [false; 2]);
        // 16; and a sender that puts its sets in front of each slice.
        assert_eq!(passed(&mut gate, &[(17, SETS), (18, SECOND_IDR_SLICE), (19, P)]), [true, false, false]);
    }

    #[test]
    fn a_sender_that_sends_its_parameter_sets_once_is_decoded_by_them() {
        let mut gate = WholePictures::default();
        passed(&mut gate, &[(1, SETS), (2, WHOLE_IDR)]);
        let begin = passed(
            &mut gate,
            &[(4, P), (5, WHOLE_IDR), (6, P), (7, WHOLE_IDR), (8, P), (9, IDR_BEGINS), (10, IDR_ENDS)],
        );
        assert_eq!(begin, [false, false, false, false, false, true, true]);
    }

    #[test]
    fn a_picture_that_the_sender_gives_up_is_a_loss() {
        let start = [(1, SETS), (2, WHOLE_IDR), (3, P_BEGINS), (4, P_GOES_ON)];
        for (next, passes) in [(SETS, true), (P, false), (P_BEGINS, false), (P_ENDS, true), (b"", true)] {
            let mut gate = WholePictures::default();
            passed(&mut gate, &start);
            let verdict = gate.take(&Packet { seq: 5, timestamp: 0, marker: false, payload: next }, false);
            let goes_on = next.is_empty() || next == P_ENDS;
            assert_eq!((verdict.passes, verdict.wish), (passes, !goes_on), "{next:x?}");
            // The depayloader has to forget what it has of it.
            assert_eq!(verdict.first, next == SETS, "{next:x?}");
        }
        // The end of another picture, and one without a beginning.
        let mut gate = WholePictures::default();
        passed(&mut gate, &start);
        assert!(gate.take(&Packet { seq: 5, timestamp: 3_000, marker: true, payload: P_ENDS }, false).wish);
        let mut gate = WholePictures::default();
        assert_eq!(passed(&mut gate, &[(1, SETS), (2, WHOLE_IDR), (3, P_ENDS), (4, P)]), [true, true, false, false]);
    }

    #[test]
    fn a_gap_that_the_numbers_do_not_show_is_one() {
        let mut gate = WholePictures::default();
        passed(&mut gate, &[(1, SETS), (2, WHOLE_IDR)]);
        let packet = Packet { seq: 3, timestamp: 0, marker: true, payload: P };
        assert_eq!(gate.take(&packet, true), Verdict { passes: false, first: false, wish: true });
    }

    proptest! {
        #[test]
        fn what_passes_is_in_a_row_from_a_beginning_on(
            packets in prop::collection::vec((any::<bool>(), prop::sample::select(vec![SETS, WHOLE_IDR, SECOND_IDR_SLICE, P])), 0..200),
        ) {
            let (mut gate, mut before) = (WholePictures::default(), None::<usize>);
            for (seq, (arrives, payload)) in packets.iter().enumerate() {
                if !arrives {
                    continue;
                }
                let number = u16::try_from(seq).unwrap_or_default();
                let verdict = gate.take(&Packet { seq: number, timestamp: 0, marker: false, payload }, false);
                if verdict.passes {
                    prop_assert!(verdict.first == (before.is_none() || before != seq.checked_sub(1)));
                    prop_assert!(!verdict.first || *payload == SETS || *payload == WHOLE_IDR);
                    before = Some(seq);
                }
            }
        }

        #[test]
        fn any_bytes_are_looked_at(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let packets: Vec<_> = (1..).zip(payloads.iter().map(Vec::as_slice)).collect();
            prop_assert_eq!(passed(&mut WholePictures::default(), &packets).len(), packets.len());
        }
    }
}
