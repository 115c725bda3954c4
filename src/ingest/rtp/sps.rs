//! How far pictures may be out of order, as the sequence parameter set of H.264 or H.265 says it.
//!
//! Reads what a publisher sent: any bytes at all must end in an answer, at worst `None`. Owns no more of the syntax
//! than lies in front of that number (ITU-T H.264, sections 7.3.2.1 and E.1.1; H.265, section 7.3.2.2).

use crate::model::codec::Codec;

/// Bytes of a parameter set that are looked at.
const SPS_LEN_MAX: usize = 512;

/// The depth of reordering in a byte-stream access unit that holds an SPS; `None` when it doesn't say.
pub(super) fn reorder_depth(codec: Codec, unit: &[u8]) -> Option<usize> {
    nal_units(unit).find_map(|nal| match codec {
        Codec::H264 if nal.first()? & 0x1f == 7 => h264(&unescaped(nal.get(1..)?)),
        Codec::H265 if nal.first()? >> 1 & 0x3f == 33 => h265(&unescaped(nal.get(2..)?)),
        _ => None,
    })
}

/// What stands between start codes.
fn nal_units(unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = unit;
    std::iter::from_fn(move || {
        let start = rest.windows(3).position(|bytes| bytes == [0, 0, 1])? + 3;
        let (_, after) = rest.split_at_checked(start)?;
        rest = after;
        Some(after)
    })
}

/// Without emulation prevention bytes, and cut.
fn unescaped(nal: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let keep = |byte: &u8| {
        let escape = zeros >= 2 && *byte == 3;
        zeros = if *byte == 0 && !escape { zeros + 1 } else { 0 };
        !escape
    };
    nal.iter().take(SPS_LEN_MAX).copied().filter(keep).collect()
}

/// Bits, most significant first.
pub(super) struct Bits<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<bool> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    pub(super) fn bits(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0u32, |value, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        Some(())
    }

    /// ue(v)
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.bits(zeros)?;
        ((1u32 << zeros) - 1).checked_add(rest)
    }

    /// se(v)
    fn signed(&mut self) -> Option<i32> {
        let code = i64::from(self.unsigned()?);
        i32::try_from(if code % 2 == 0 { -(code / 2) } else { code / 2 + 1 }).ok()
    }
}

/// seq_parameter_set_data() without the NAL unit's header.
fn h264(sps: &[u8]) -> Option<usize> {
    let mut bits = Bits { bytes: sps, at: 0 };
    let profile = bits.bits(8)?;
    let constraints = bits.bits(8)?;
    bits.skip(8)?;
    bits.unsigned()?;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        let chroma = bits.unsigned()?;
        if chroma == 3 {
            bits.bit()?;
        }
        bits.unsigned()?;
        bits.unsigned()?;
        bits.bit()?;
        if bits.bit()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.bit()? {
                    scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?;
        }
        1 => {
            bits.bit()?;
            bits.signed()?;
            bits.signed()?;
            for _ in 0..bits.unsigned()?.min(255) {
                bits.signed()?;
            }
        }
        // Output order is decoding order (section 8.2.1.3).
        2 => return Some(0),
        _ => return None,
    }
    bits.unsigned()?;
    bits.bit()?;
    bits.unsigned()?;
    bits.unsigned()?;
    if !bits.bit()? {
        bits.bit()?;
    }
    bits.bit()?;
    if bits.bit()? {
        for _ in 0..4 {
            bits.unsigned()?;
        }
    }
    let told = if bits.bit()? { h264_vui(&mut bits) } else { None };
    // The constrained baseline profile has no B pictures; nor have intra-only ones (constraint_set3).
    told.or_else(|| (profile == 66 || (profile != 77 && profile != 88 && constraints & 0x10 != 0)).then_some(0))
}

fn scaling_list(bits: &mut Bits<'_>, len: usize) -> Option<()> {
    let (mut last, mut next) = (8i32, 8i32);
    for _ in 0..len {
        if next != 0 {
            next = last.wrapping_add(bits.signed()?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// vui_parameters() up to max_num_reorder_frames.
fn h264_vui(bits: &mut Bits<'_>) -> Option<usize> {
    // aspect_ratio_idc 255: with numbers.
    if bits.bit()? && bits.bits(8)? == 255 {
        bits.skip(32)?;
    }
    if bits.bit()? {
        bits.bit()?;
    }
    if bits.bit()? {
        bits.skip(4)?;
        if bits.bit()? {
            bits.skip(24)?;
        }
    }
    if bits.bit()? {
        bits.unsigned()?;
        bits.unsigned()?;
    }
    if bits.bit()? {
        bits.skip(65)?;
    }
    let nal = bits.bit()?;
    if nal {
        hrd(bits)?;
    }
    let vcl = bits.bit()?;
    if vcl {
        hrd(bits)?;
    }
    if nal || vcl {
        bits.bit()?;
    }
    bits.bit()?;
    if !bits.bit()? {
        return None;
    }
    bits.bit()?;
    for _ in 0..4 {
        bits.unsigned()?;
    }
    bits.unsigned().map(|depth| depth as usize)
}

fn hrd(bits: &mut Bits<'_>) -> Option<()> {
    let schedules = bits.unsigned()?.min(31) + 1;
    bits.skip(8)?;
    for _ in 0..schedules {
        bits.unsigned()?;
        bits.unsigned()?;
        bits.bit()?;
    }
    bits.skip(20)
}

/// seq_parameter_set_rbsp() without the NAL unit's header.
fn h265(sps: &[u8]) -> Option<usize> {
    let mut bits = Bits { bytes: sps, at: 0 };
    bits.skip(4)?;
    let sub_layers = bits.bits(3)?;
    bits.bit()?;
    // profile_tier_level(): 88 bits of profile, 8 of level, then the sub-layers.
    bits.skip(96)?;
    let present: Vec<(bool, bool)> =
        (0..sub_layers).map(|_| Some((bits.bit()?, bits.bit()?))).collect::<Option<_>>()?;
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers as usize))?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    bits.unsigned()?;
    if bits.unsigned()? == 3 {
        bits.bit()?;
    }
    bits.unsigned()?;
    bits.unsigned()?;
    if bits.bit()? {
        for _ in 0..4 {
            bits.unsigned()?;
        }
    }
    for _ in 0..3 {
        bits.unsigned()?;
    }
    let each = bits.bit()?;
    let mut depth = 0;
    for _ in 0..if each { sub_layers + 1 } else { 1 } {
        bits.unsigned()?;
        depth = bits.unsigned()?;
        bits.unsigned()?;
    }
    Some(depth as usize)
}

#[cfg(test)]
mod tests {
    use gstreamer as gst;
    use gstreamer::prelude::*;
    use gstreamer_app as gst_app;

    use super::*;

    /// The first access unit that an encoder makes.
    fn first_unit(encoder: &str) -> Vec<u8> {
        gst::init().expect("GStreamer");
        let text = format!(
            "videotestsrc num-buffers=60 ! video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! {encoder} \
             ! appsink name=out sync=false"
        );
        let pipeline = gst::parse::launch(&text).expect("plugins").downcast::<gst::Pipeline>().expect("pipeline");
        let out = pipeline.by_name("out").and_downcast::<gst_app::AppSink>().expect("appsink");
        pipeline.set_state(gst::State::Playing).expect("playing");
        let sample = out.pull_sample().expect("a unit");
        let unit = sample.buffer().expect("buffer").map_readable().expect("readable").to_vec();
        pipeline.set_state(gst::State::Null).expect("stopped");
        unit
    }

    #[test]
    fn encoders_tell_their_depth() {
        let x264 = |options: &str| {
            let encoder = format!("x264enc {options} ! video/x-h264,stream-format=byte-stream,alignment=au");
            reorder_depth(Codec::H264, &first_unit(&encoder))
        };
        assert_eq!(x264("bframes=0"), Some(0));
        assert_eq!(x264("bframes=2 b-pyramid=false b-adapt=false"), Some(1));
        assert_eq!(x264("bframes=3 b-pyramid=true b-adapt=false"), Some(2));
        assert_eq!(x264("tune=zerolatency"), Some(0));
        let x265 = |options: &str| {
            let encoder =
                format!("x265enc option-string=\"{options}\" ! video/x-h265,stream-format=byte-stream,alignment=au");
            reorder_depth(Codec::H265, &first_unit(&encoder))
        };
        assert_eq!(x265("bframes=0"), Some(0));
        assert_eq!(x265("bframes=3:b-pyramid=0:b-adapt=0"), Some(1));
        assert_eq!(x265("bframes=3:b-pyramid=1:b-adapt=0"), Some(2));
    }

    #[test]
    fn a_scaling_list_of_any_numbers_ends_in_an_answer() {
        // High profile, a scaling matrix, and as its first step the largest number that se(v) can say.
        let mut bits = String::from("011001000000000000101000");
        // seq_parameter_set_id 0, chroma_format_idc 1, both depths 8, no bypass, a matrix, its first list.
        bits += concat!("1", "010", "1", "1", "0", "1", "1");
        bits += &format!("{}{:032b}", "0".repeat(31), u32::MAX - 1);
        while bits.len() % 8 != 0 {
            bits.push('0');
        }
        let mut unit = vec![0, 0, 1, 0x67];
        let bytes = bits
            .as_bytes()
            .chunks(8)
            .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).expect("digits"), 2).expect("bits"));
        unit.extend(bytes);
        assert_eq!(reorder_depth(Codec::H264, &unit), None);
    }

    #[test]
    fn any_bytes_end_in_an_answer() {
        let unit = first_unit("x264enc ! video/x-h264,stream-format=byte-stream,alignment=au");
        let head = &unit[..unit.len().min(200)];
        for codec in [Codec::H264, Codec::H265] {
            for cut in 0..head.len() {
                let _ = reorder_depth(codec, &head[..cut]);
                for value in [0x00, 0xff, 0x42, 0x67, 0x80] {
                    let mut broken = head.to_vec();
                    broken[cut] = value;
                    let _ = reorder_depth(codec, &broken);
                }
            }
        }
    }
}
