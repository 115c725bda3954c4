//! An RTP packet's header (RFC 3550, section 5.1), as far as a depayloader needs it. Pure.

/// The fixed part of a header.
pub(in crate::ingest) const HEADER_LEN: usize = 12;

/// A packet, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest) struct Packet<'a> {
    /// Sequence number.
    pub(in crate::ingest) seq: u16,
    /// Time stamp, in ticks of the payload's clock.
    pub(in crate::ingest) timestamp: u32,
    /// The last packet of a picture.
    pub(in crate::ingest) marker: bool,
    /// What it carries, without padding; empty when it is nothing but that.
    pub(in crate::ingest) payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// SSRC and time stamp of a header. `None`: it is not one of RTP, version 2.
    pub(in crate::ingest) fn stamp(header: &[u8; HEADER_LEN]) -> Option<(u32, u32)> {
        let [first, _, _, _, t0, t1, t2, t3, s0, s1, s2, s3] = *header;
        (first >> 6 == 2).then_some((u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([t0, t1, t2, t3])))
    }

    /// `None`: no RTP packet of version 2, or one that is cut short.
    pub(in crate::ingest) fn read(bytes: &'a [u8]) -> Option<Self> {
        let fixed: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        let [first, second, ..] = *fixed;
        let (_, timestamp) = Self::stamp(fixed)?;
        let mut rest = bytes.get(HEADER_LEN + 4 * usize::from(first & 0x0f)..)?;
        if first & 0x10 != 0 {
            // The extension: its profile, and its length in words of 32 bits.
            let [_, _, high, low]: [u8; 4] = *rest.first_chunk()?;
            rest = rest.get(4 + 4 * usize::from(u16::from_be_bytes([high, low]))..)?;
        }
        if first & 0x20 != 0 {
            // The last byte of the padding says how much of it there is, itself counted.
            let padding = usize::from(*rest.last()?);
            rest = rest.get(..rest.len().checked_sub(padding)?)?;
        }
        Some(Self {
            seq: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp,
            marker: second & 0x80 != 0,
            payload: rest,
        })
    }
}

/// The packets' numbers in a row.
#[derive(Debug, Default)]
pub(in crate::ingest) struct Row {
    next: Option<u16>,
}

impl Row {
    /// Takes the next number; whether packets are missing in front of it. `flagged`: they are, whatever the numbers
    /// say. In front of the first one nothing is missing.
    pub(in crate::ingest) fn misses(&mut self, seq: u16, flagged: bool) -> bool {
        let expected = self.next.replace(seq.wrapping_add(1));
        expected.is_some_and(|expected| flagged || expected != seq)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_are_read_with_all_that_may_stand_in_them() {
        let plain = b"\x80\xe0\x00\x05\x00\x00\x01\x00SSRCpayload";
        let wanted = Packet { seq: 5, timestamp: 256, marker: true, payload: b"payload" };
        assert_eq!(Packet::read(plain), Some(wanted));
        let header = plain.first_chunk().expect("a header");
        assert_eq!(Packet::stamp(header), Some((u32::from_be_bytes(*b"SSRC"), 256)));
        let with = |first: u8, between: &[u8], behind: &[u8]| {
            [&[first][..], &plain[1..12], between, &plain[12..], behind].concat()
        };
        for bytes in [
            with(0x82, b"CSRCCSRC", b""),
            with(0x90, b"\xbe\xde\x00\x01wxyz", b""),
            with(0xa0, b"", b"\0\0\x03"),
            with(0xb1, b"CSRC\xbe\xde\x00\x00", b"\x01"),
        ] {
            assert_eq!(Packet::read(&bytes), Some(wanted), "{bytes:x?}");
        }
        let padding_alone = [&[0xa0][..], &plain[1..12], b"\0\0\x03"].concat();
        assert_eq!(Packet::read(&padding_alone).map(|packet| packet.payload), Some(&b""[..]));
        for bytes in [
            &plain[..11],
            &with(0x40, b"", b""),
            &with(0x8f, b"", b""),
            &with(0x90, b"\xbe\xde\xff\xff", b""),
            &with(0xa0, b"", b"\xff"),
            &[&[0xa0][..], &plain[1..12]].concat(),
        ] {
            assert_eq!(Packet::read(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn a_gap_is_seen_also_where_the_numbers_begin_anew() {
        let mut row = Row::default();
        let missing: Vec<u16> =
            [65_533, 65_534, 65_535, 0, 2, 3, 3, 4].into_iter().filter(|seq| row.misses(*seq, false)).collect();
        assert_eq!(missing, [2, 3]);
        assert!(row.misses(5, true) && !Row::default().misses(5, true));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Some(packet) = Packet::read(&bytes) {
                prop_assert!(packet.payload.len() + 12 <= bytes.len());
            }
        }
    }
}
