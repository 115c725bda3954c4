//! What becomes of H.264 and H.265 when RTP packets are missing: nothing goes on until the next key frame, so that a
//! receiver's picture stands still instead of breaking.
//!
//! Pure: packets in, verdicts out. For cameras and encoders, whatever they send: unlike WebRTC's gate
//! (`ingest/webrtc/depay`) it begins open, asks for no key frame, and knows that parameter sets may be in the description
//! alone. The hard thing is the picture that a loss cuts: it is still in the parser, and must not leave it.

use std::time::Duration;

use super::nal::{Nal, each_nal};
use super::packet::{Packet, Row};
use crate::model::codec::Codec;

/// A sender without key frames (it refreshes its pictures bit by bit) gets its pictures through again after this.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Cut pictures that may be in a parser at once.
const CUT_MAX: usize = 4;

/// Losses are logged no more often.
const LOG_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Everything passes until something is missing.
    #[default]
    Runs,
    /// Nothing passes until a key frame begins; since when.
    Waits(Duration),
    /// Parameter sets have passed; a key frame is next, or it goes on waiting.
    Begins(Duration),
    /// A key frame has passed, and pictures that lean on what was before it may follow (H.265's RASL).
    Leads,
}

/// One track.
#[derive(Debug)]
pub(super) struct Losses {
    codec: Codec,
    row: Row,
    state: State,
    /// The newest packet that passed: its picture's time, and whether it ended the picture.
    newest: Option<(u64, bool)>,
    /// Times of pictures that a loss cut, the newest first.
    cut: [Option<u64>; CUT_MAX],
    lost: u64,
    logged: Option<Duration>,
}

/// What a NAL unit, or its fragment, is to a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// VPS, SPS or PPS.
    Parameters,
    /// A key frame; whether its first slice begins here.
    Key(bool),
    /// A picture that is shown before a key frame and leans on what was before it.
    Skipped,
    /// A slice of another picture.
    Slice,
    /// Anything else.
    Other,
}

impl Losses {
    pub(super) fn new(codec: Codec) -> Self {
        let (row, state, cut) = (Row::default(), State::default(), [None; CUT_MAX]);
        Self { codec, row, state, newest: None, cut, lost: 0, logged: None }
    }

    /// Takes a packet of the picture at `time_ns`; whether it goes on.
    pub(super) fn take(&mut self, packet: &Packet<'_>, time_ns: u64, now: Duration) -> bool {
        if self.row.misses(packet.seq, false) {
            self.lost_before(now);
        }
        let mut skip = false;
        let codec = self.codec;
        each_nal(codec, packet.payload, |nal| skip |= self.part(Part::of(codec, nal), now));
        let passes = !skip && !matches!(self.state, State::Waits(_));
        if passes {
            self.newest = Some((time_ns, packet.marker));
        }
        passes
    }

    /// Whether a loss cut the picture at `time_ns`.
    pub(super) fn is_cut(&self, time_ns: u64) -> bool {
        self.cut.contains(&Some(time_ns))
    }

    fn lost_before(&mut self, now: Duration) {
        self.lost += 1;
        if self.logged.is_none_or(|logged| now.saturating_sub(logged) > LOG_PAUSE) {
            self.logged = Some(now);
            tracing::warn!(
                losses = self.lost,
                "RTP packets are missing; pictures stand still until the next key frame"
            );
        }
        if let Some((time_ns, false)) = self.newest.take() {
            self.cut.rotate_right(1);
            self.cut[0] = Some(time_ns);
        }
        self.state = match self.state {
            State::Waits(since) | State::Begins(since) => State::Waits(since),
            State::Runs | State::Leads => State::Waits(now),
        };
    }

    /// A NAL unit, or a fragment of one; whether it is to be left out although others pass.
    fn part(&mut self, part: Part, now: Duration) -> bool {
        self.state = match (self.state, part) {
            (State::Waits(since), _) if now.saturating_sub(since) > WAIT_MAX => State::Runs,
            (State::Waits(since), Part::Parameters) => State::Begins(since),
            (State::Waits(_) | State::Begins(_), Part::Key(true)) => match self.codec {
                Codec::H265 => State::Leads,
                _ => State::Runs,
            },
            (State::Begins(since), Part::Key(false) | Part::Skipped) => State::Waits(since),
            // H.264's recovery points are key frames of this kind; H.265 has types for all of them.
            (State::Begins(since), Part::Slice) => match self.codec {
                Codec::H265 => State::Waits(since),
                _ => State::Runs,
            },
            (State::Leads, Part::Slice) => State::Runs,
            (state, _) => state,
        };
        self.state == State::Leads && part == Part::Skipped
    }
}

impl Part {
    fn of(codec: Codec, nal: Nal) -> Self {
        let first = nal.begins && nal.behind.is_some_and(|byte| byte & 0x80 != 0);
        match (codec == Codec::H265, nal.kind) {
            (true, 32..=34) | (false, 7 | 8) => Self::Parameters,
            (true, 16..=23) | (false, 5) => Self::Key(first),
            (true, 8 | 9) => Self::Skipped,
            (true, 0..=5) | (false, 1..=4) => Self::Slice,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const H264_P: &[u8] = b"\x61\x9a";
    const H264_IDR: &[u8] = b"\x65\x88";
    const H264_IDR_SECOND: &[u8] = b"\x65\x44";
    const H264_IDR_BEGINS: &[u8] = b"\x7c\x85\x88";
    const H264_IDR_GOES_ON: &[u8] = b"\x7c\x05\x88";
    const H264_SETS: &[u8] = b"\x78\0\x02\x67\x42\0\x02\x68\xce";
    const H265_P: &[u8] = b"\x02\x01\xd0";
    const H265_P_GOES_ON: &[u8] = b"\x62\x01\x01\xd0";
    const H265_SETS: &[u8] = b"\x60\x01\0\x03\x40\x01\x0c\0\x03\x42\x01\x01";
    const H265_CRA_BEGINS: &[u8] = b"\x62\x01\x95\xa0";
    const H265_CRA_GOES_ON: &[u8] = b"\x62\x01\x15\xa0";
    const H265_RASL: &[u8] = b"\x12\x01\xd0";

    /// Which of these packets pass: number, whether it ends its picture, payload. One picture per 40 ms.
    fn passed(losses: &mut Losses, packets: &[(u16, bool, &[u8])]) -> Vec<bool> {
        let mut picture = 0;
        let take = |(seq, marker, payload): &(u16, bool, &[u8])| {
            let packet = Packet { seq: *seq, timestamp: 0, marker: *marker, payload };
            let passes = losses.take(&packet, picture * 40, Duration::from_millis(picture * 40));
            picture += u64::from(*marker);
            passes
        };
        packets.iter().map(take).collect()
    }

    #[test]
    fn all_passes_while_nothing_is_missing_key_frame_or_not() {
        for (codec, p) in [(Codec::H264, H264_P), (Codec::H265, H265_P), (Codec::H265, H265_RASL)] {
            let packets: Vec<_> = (0..100).map(|n| (65_500u16.wrapping_add(n), true, p)).collect();
            assert!(passed(&mut Losses::new(codec), &packets).iter().all(|passes| *passes), "{codec:?}");
        }
    }

    #[test]
    fn after_a_loss_h264_waits_for_the_begin_of_a_key_frame() {
        let mut losses = Losses::new(Codec::H264);
        let packets = [
            (1, false, H264_P),
            (3, true, H264_P),
            (4, true, H264_P),
            // Its first slice is missing.
            (6, false, H264_IDR_GOES_ON),
            (7, true, H264_IDR_SECOND),
            (8, false, H264_SETS),
            (9, false, H264_IDR_BEGINS),
            (10, true, H264_IDR_GOES_ON),
            (11, true, H264_P),
        ];
        let wanted = [true, false, false, false, false, true, true, true, true];
        assert_eq!(passed(&mut losses, &packets), wanted);
        assert!(losses.is_cut(0) && !losses.is_cut(40), "the picture of the first packet is not whole");
        // Parameter sets may be in the description alone.
        assert_eq!(passed(&mut losses, &[(13, true, H264_P), (14, true, H264_IDR)]), [false, true]);
    }

    #[test]
    fn after_a_loss_h265_leaves_out_what_leans_on_pictures_before_the_key_frame() {
        let mut losses = Losses::new(Codec::H265);
        let packets = [
            (1, true, H265_P),
            (3, true, H265_P_GOES_ON),
            (4, false, H265_CRA_GOES_ON),
            (5, false, H265_SETS),
            (6, true, H265_P),
            (7, false, H265_SETS),
            (8, false, H265_CRA_BEGINS),
            (9, true, H265_CRA_GOES_ON),
            (10, true, H265_RASL),
            (11, true, H265_P),
            (12, true, H265_RASL),
        ];
        let wanted = [true, false, false, true, false, true, true, true, false, true, true];
        assert_eq!(passed(&mut losses, &packets), wanted);
        assert!(!losses.is_cut(0), "that one was whole");
    }

    #[test]
    fn a_sender_without_key_frames_is_not_held_back_for_ever() {
        let mut losses = Losses::new(Codec::H264);
        let mut packets = vec![(1, true, H264_P)];
        packets.extend((3..400).map(|n| (n, true, H264_P)));
        let passes = passed(&mut losses, &packets);
        assert!(passes[1..240].iter().all(|passes| !passes) && passes[260..].iter().all(|passes| *passes));
    }

    #[test]
    fn any_bytes_end_in_an_answer() {
        let mut losses = [Losses::new(Codec::H264), Losses::new(Codec::H265)];
        for n in 0..=u16::MAX {
            let bytes =
                [n.to_be_bytes(), n.wrapping_mul(40_503).to_be_bytes(), n.reverse_bits().to_be_bytes()].concat();
            for losses in &mut losses {
                for len in 0..bytes.len() {
                    let packet = Packet { seq: n, timestamp: 0, marker: n % 3 == 0, payload: &bytes[..len] };
                    losses.take(&packet, n.into(), Duration::from_millis(n.into()));
                }
            }
        }
    }
}
