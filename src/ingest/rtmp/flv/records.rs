//! Codec headers: checked for their inner lengths before a parser that trusts them gets them.
//!
//! Sources: ISO/IEC 14496-15 (avcC, hvcC), ISO/IEC 14496-3 (AudioSpecificConfig), RFC 7845 (OpusHead).
//! A header that fails is left out; the one before it stays in force.

use super::TagCodec;

/// Checks a header of `codec`.
///
/// # Errors
/// What is wrong with it.
pub(in super::super) fn check(codec: &TagCodec, header: &[u8]) -> Result<(), &'static str> {
    match codec {
        TagCodec::H264 => avcc(header).unwrap_or(Err("the avcC is cut off")),
        TagCodec::H265 => hvcc(header).unwrap_or(Err("the hvcC is cut off")),
        TagCodec::Aac => audio_specific_config(header),
        TagCodec::Opus => opus_head(header),
        TagCodec::Mp3 | TagCodec::Ac3 | TagCodec::Other(_) => Ok(()),
    }
}

/// Takes `len` bytes from the front.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

/// Skips `count` parameter sets, each with a 16-bit length; `None` if one is cut off.
fn sets(rest: &mut &[u8], count: usize) -> Option<()> {
    for _ in 0..count {
        let len = take(rest, 2)?;
        take(rest, usize::from(u16::from_be_bytes([len[0], len[1]])))?;
    }
    Some(())
}

fn length_size_is_defined(byte: u8) -> bool {
    byte & 0x03 != 2
}

fn avcc(mut rest: &[u8]) -> Option<Result<(), &'static str>> {
    let head = take(&mut rest, 6)?;
    if head[0] != 1 {
        return Some(Err("the avcC's version is not 1"));
    }
    if !length_size_is_defined(head[4]) {
        return Some(Err("the avcC's NAL length size is 3"));
    }
    let count = usize::from(head[5] & 0x1F);
    if count == 0 {
        return Some(Err("the avcC holds no sequence parameter set"));
    }
    sets(&mut rest, count)?;
    let count = usize::from(take(&mut rest, 1)?[0]);
    sets(&mut rest, count)?;
    Some(Ok(()))
}

fn hvcc(mut rest: &[u8]) -> Option<Result<(), &'static str>> {
    let head = take(&mut rest, 23)?;
    // Version 0 was written by encoders that followed drafts of the standard.
    if head[0] > 1 {
        return Some(Err("the hvcC's version is not 1"));
    }
    if !length_size_is_defined(head[21]) {
        return Some(Err("the hvcC's NAL length size is 3"));
    }
    if head[22] == 0 {
        return Some(Err("the hvcC holds no parameter sets"));
    }
    for _ in 0..head[22] {
        let array = take(&mut rest, 3)?;
        sets(&mut rest, usize::from(u16::from_be_bytes([array[1], array[2]])))?;
    }
    Some(Ok(()))
}

/// Only what an ADTS header can say passes: the parser behind would drop every frame of anything else, each
/// with a complaint. That is object types 1 to 4 (5 and 29 are type 2 with an extension) and channel
/// configurations 1 to 7; 0 stands for a map that ADTS has no place for.
fn audio_specific_config(header: &[u8]) -> Result<(), &'static str> {
    let [first, second, ..] = header else { return Err("the AudioSpecificConfig is cut off") };
    let object_type = first >> 3;
    let frequency = (first & 0x07) << 1 | second >> 7;
    // An explicit frequency of 24 bits lies between its index and the channels.
    let channels = match (frequency, header) {
        (15, [_, _, _, _, fifth, ..]) => fifth >> 3 & 0x0F,
        (15, _) => return Err("the AudioSpecificConfig is cut off"),
        _ => second >> 3 & 0x0F,
    };
    match (object_type, frequency, channels) {
        (0 | 6..=28 | 30.., _, _) => Err("this kind of AAC can't be put into ADTS"),
        (_, 13 | 14, _) => Err("the AudioSpecificConfig's sampling frequency is reserved"),
        (_, _, 0 | 8..) => Err("the AudioSpecificConfig's channels can't be put into ADTS"),
        _ => Ok(()),
    }
}

fn opus_head(header: &[u8]) -> Result<(), &'static str> {
    if header.len() < 19 || !header.starts_with(b"OpusHead") {
        return Err("the Opus header is not an OpusHead");
    }
    if header[9] == 0 {
        return Err("the OpusHead has no channels");
    }
    if header[18] != 0 && header.len() < 21 + usize::from(header[9]) {
        return Err("the OpusHead's channel map is cut off");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_of_real_encoders_pass_and_bent_ones_do_not() {
        let avcc = b"\x01\x64\0\x0a\xff\xe1\0\x04\x67\x64\0\x0a\x01\0\x03\x68\xee\x3c";
        let mut hvcc = vec![0u8; 23];
        (hvcc[0], hvcc[21], hvcc[22]) = (1, 0x0F, 1);
        hvcc.extend(b"\xa0\0\x01\0\x02\x40\x01");
        let opus = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
        for (codec, good) in [
            (TagCodec::H264, &avcc[..]),
            (TagCodec::H265, &hvcc),
            (TagCodec::Aac, b"\x12\x10"),
            (TagCodec::Aac, b"\x11\x90\x56\xe5\0"),
            (TagCodec::Aac, b"\x2b\x92\x08\0"), // HE-AAC, explicit
            (TagCodec::Opus, opus),
        ] {
            assert_eq!(check(&codec, good), Ok(()), "{codec:?}");
            for len in 0..good.len() {
                // Some prefixes are headers, too: an AudioSpecificConfig without its extension is one.
                let whole = codec == TagCodec::Aac && len >= 2;
                assert_eq!(check(&codec, &good[..len]).is_ok(), whole, "{codec:?} of {len} bytes");
            }
        }
        for (codec, bad) in [
            (TagCodec::H264, &b"\x02\x64\0\x0a\xff\xe1\0\x01\x67\x00"[..]),
            (TagCodec::H264, b"\x01\x64\0\x0a\xfe\xe1\0\x01\x67\x00"),
            (TagCodec::H264, b"\x01\x64\0\x0a\xff\xe0\0"),
            (TagCodec::H265, &[9; 30]),
            (TagCodec::Aac, b"\0\0"),
            (TagCodec::Aac, b"\xb9\x90"),         // low delay
            (TagCodec::Aac, b"\x15\x7d"),         // 15 channels
            (TagCodec::Aac, b"\x12\x00"),         // channels by a map
            (TagCodec::Aac, b"\x17\x80\x5d\xc0"), // an explicit frequency, cut off
            (TagCodec::Aac, b"\x17\0"),
            (TagCodec::Opus, b"OpusTail\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"),
            (TagCodec::Opus, b"OpusHead\x01\0\x38\x01\x80\xbb\0\0\0\0\0"),
            (TagCodec::Opus, b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\x01"),
        ] {
            assert!(check(&codec, bad).is_err(), "{codec:?} {bad:02x?}");
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(header in prop::collection::vec(any::<u8>(), 0..100)) {
            for codec in [TagCodec::H264, TagCodec::H265, TagCodec::Aac, TagCodec::Opus, TagCodec::Mp3] {
                let _ = check(&codec, &header);
            }
        }
    }
}
