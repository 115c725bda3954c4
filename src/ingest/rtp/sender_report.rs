//! Sender reports out of RTCP (RFC 3550, section 6.4.1): which moment of the publisher's clock a time stamp stands for.
//!
//! Pure: bytes in, reports out. They come from the network: nothing here trusts a length.

/// Bytes of an RTCP packet's header.
const HEADER_LEN: usize = 4;
/// Of RTCP.
const VERSION: u8 = 2;
/// Packet type of a sender report.
const SENDER_REPORT: u8 = 200;

/// One sender's "my clock says this, my RTP time stamps say that".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SenderReport {
    /// Whose.
    pub(super) ssrc: u32,
    /// The publisher's clock, in nanoseconds of any origin.
    pub(super) clock_ns: i64,
    /// The RTP time stamp of that moment.
    pub(super) rtp: u32,
}

/// The sender reports of a compound packet. What is broken ends it.
pub(super) fn sender_reports(rtcp: &[u8]) -> impl Iterator<Item = SenderReport> + '_ {
    let mut rest = rtcp;
    std::iter::from_fn(move || {
        let words = u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]);
        let len = HEADER_LEN + usize::from(words) * 4;
        let packet = rest.get(..len)?;
        rest = &rest[len..];
        Some(packet)
    })
    .filter(|packet| packet[0] >> 6 == VERSION && packet[1] == SENDER_REPORT)
    .filter_map(report)
}

fn report(packet: &[u8]) -> Option<SenderReport> {
    let word = |at: usize| Some(u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?));
    let (ssrc, seconds, fraction, rtp) = (word(4)?, word(8)?, word(12)?, word(16)?);
    if seconds == 0 && fraction == 0 {
        // A sender that has no clock says so by zero.
        return None;
    }
    let clock_ns = i64::from(seconds) * 1_000_000_000 + ((i64::from(fraction) * 1_000_000_000) >> 32);
    Some(SenderReport { ssrc, clock_ns, rtp })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(kind: u8, words: &[u32]) -> Vec<u8> {
        let len = u16::try_from(words.len()).expect("short").to_be_bytes();
        let head = [0x80, kind, len[0], len[1]];
        head.into_iter().chain(words.iter().flat_map(|word| word.to_be_bytes())).collect()
    }

    #[test]
    fn reports_are_found_in_a_compound_packet() {
        let first = packet(200, &[7, 3_900_000_000, 1 << 31, 90_000, 1, 1]);
        let second = packet(200, &[8, 1, 0, u32::MAX, 0, 0]);
        let compound = [first, packet(202, &[7, 0]), packet(201, &[9]), second].concat();
        let found: Vec<_> = sender_reports(&compound).collect();
        let wanted = [
            SenderReport { ssrc: 7, clock_ns: 3_900_000_000_500_000_000, rtp: 90_000 },
            SenderReport { ssrc: 8, clock_ns: 1_000_000_000, rtp: u32::MAX },
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_sender_without_a_clock_reports_nothing() {
        assert_eq!(sender_reports(&packet(200, &[7, 0, 0, 90_000, 1, 1])).count(), 0);
    }

    #[test]
    fn what_is_cut_short_is_no_report() {
        let whole = packet(200, &[7, 1, 1, 1, 1, 1]);
        for len in 0..whole.len() {
            assert_eq!(sender_reports(&whole[..len]).count(), 0, "{len}");
        }
        assert_eq!(sender_reports(&packet(200, &[7, 1])).count(), 0);
        assert_eq!(sender_reports(&[0xff; 64]).count(), 0);
    }

    #[test]
    fn reports_are_found_among_anything() {
        let mut packet = vec![0x81, 200, 0, 12];
        for word in [7u32, 0xe000_0000, 0x8000_0000, 1_234, 5, 6, 0, 0, 0, 0, 0, 0] {
            packet.extend(word.to_be_bytes());
        }
        let compound = [&[0x80, 201, 0, 1, 0, 0, 0, 7][..], &packet, &[0x81, 202, 0, 1, 0, 0, 0, 7]].concat();
        let expected = SenderReport { ssrc: 7, clock_ns: 0xe000_0000 * 1_000_000_000 + 500_000_000, rtp: 1_234 };
        assert_eq!(sender_reports(&compound).collect::<Vec<_>>(), [expected]);
        for cut in 0..compound.len() {
            assert!(sender_reports(&compound[..cut]).count() <= 1);
        }
        assert_eq!(sender_reports(&[0x80, 200, 0, 0]).count(), 0);
        assert_eq!(sender_reports(&[0x80, 200, 0xff, 0xff, 1]).count(), 0);
    }
}
