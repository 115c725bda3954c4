//! The NAL units in an RTP packet of H.264 (RFC 6184, section 5.2) or H.265 (RFC 7798, section 4.4). Pure: finds them,
//! and judges none.

use crate::model::codec::Codec;

/// A NAL unit, or the fragment of one, as far as it is in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest) struct Nal {
    /// `nal_unit_type`.
    pub(in crate::ingest) kind: u8,
    /// It is whole, or its first fragment.
    pub(in crate::ingest) begins: bool,
    /// Of a unit that begins: the first byte behind its header. In a slice its first bit says that the slice is the
    /// picture's first one (H.264: `first_mb_in_slice` is 0; H.265: `first_slice_segment_in_pic_flag`).
    pub(in crate::ingest) behind: Option<u8>,
}

/// Gives `each` every NAL unit of a payload, in order; of aggregates each one.
pub(in crate::ingest) fn each_nal(codec: Codec, payload: &[u8], mut each: impl FnMut(Nal)) {
    let h265 = codec == Codec::H265;
    // Length of a unit's header; the types of STAP-A or AP, and of FU-A or FU.
    let (header_len, aggregate, fragment) = if h265 { (2, 48, 49) } else { (1, 24, 28) };
    let kind_of = |first: u8| if h265 { first >> 1 & 0x3f } else { first & 0x1f };
    let whole = |first: u8, behind: Option<&u8>| Nal { kind: kind_of(first), begins: true, behind: behind.copied() };
    let Some(first) = payload.first() else { return };
    let rest = payload.get(header_len..).unwrap_or_default();
    match kind_of(*first) {
        known if known == aggregate => {
            let mut rest = rest;
            while let Some((size, behind)) = rest.split_first_chunk::<2>() {
                let (unit, left) = behind.split_at(usize::from(u16::from_be_bytes(*size)).min(behind.len()));
                if let Some(first) = unit.first() {
                    each(whole(*first, unit.get(header_len)));
                }
                rest = left;
            }
        }
        known if known == fragment => {
            if let Some(header) = rest.first() {
                let begins = header & 0x80 != 0;
                let behind = rest.get(1).copied().filter(|_| begins);
                each(Nal { kind: header & if h265 { 0x3f } else { 0x1f }, begins, behind });
            }
        }
        _ => each(whole(*first, rest.first())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(codec: Codec, payload: &[u8]) -> Vec<(u8, bool, Option<u8>)> {
        let mut found = Vec::new();
        each_nal(codec, payload, |nal| found.push((nal.kind, nal.begins, nal.behind)));
        found
    }

    #[test]
    fn units_are_found_whole_in_aggregates_and_in_fragments() {
        for (payload, wanted) in [
            (&b"\x78\0\x02\x67\x42\0\x02\x68\xce"[..], &[(7, true, Some(0x42)), (8, true, Some(0xce))][..]),
            (b"\x67\x42", &[(7, true, Some(0x42))]),
            (b"\x78\0\x02\x65\x88\0\x09\x41\x9a", &[(5, true, Some(0x88)), (1, true, Some(0x9a))]),
            (b"\x7c\x85\x88", &[(5, true, Some(0x88))]),
            (b"\x7c\x05\x88", &[(5, false, None)]),
            (b"\x65", &[(5, true, None)]),
            (b"\x7c", &[]),
            (b"\x78\0\0\xff\xff\x65\x01\0", &[(5, true, Some(1))]),
            (b"", &[]),
        ] {
            assert_eq!(found(Codec::H264, payload), wanted, "{payload:x?}");
        }
        for (payload, wanted) in [
            (
                &b"\x60\x01\0\x03\x40\x01\x0c\0\x03\x26\x01\xaf"[..],
                &[(32, true, Some(0x0c)), (19, true, Some(0xaf))][..],
            ),
            (b"\x02\x01\xd0", &[(1, true, Some(0xd0))]),
            (b"\x62\x01\x93\xaf", &[(19, true, Some(0xaf))]),
            (b"\x62\x01\x13\xaf", &[(19, false, None)]),
            (b"\x62\x01", &[]),
            (b"\x02", &[(1, true, None)]),
        ] {
            assert_eq!(found(Codec::H265, payload), wanted, "{payload:x?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(payload in prop::collection::vec(any::<u8>(), 0..64), h265 in any::<bool>()) {
            let units = found(if h265 { Codec::H265 } else { Codec::H264 }, &payload);
            prop_assert!(units.len() <= payload.len());
        }
    }
}
