//! How long a frame of AAC is, told to the depayloader.
//!
//! Several frames may share a packet, and only the first of them has a time stamp (RFC 3640, section 3.2.3). The
//! depayloader learns the step to the others from the second packet on; the parser behind knows none of raw AAC. So the
//! frames of the first packet would come out without time stamps, all at one moment. The decoder's configuration says
//! how long they are, long before. Reads what a publisher sent: any text ends in an answer, at worst `None`.

use gstreamer as gst;
use gstreamer::prelude::*;

use super::sps::Bits;

/// Sampling frequencies by index, in hertz (ISO/IEC 14496-3, table 1.18).
const FREQUENCIES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Bytes of a configuration that are looked at.
const CONFIG_LEN_MAX: usize = 16;

/// Writes the frames' duration into the RTP caps that come to `sink`, a depayloader's, where they lack it.
pub(super) fn tell_durations(sink: &gst::Pad) {
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(caps) = event.view()
            && let Some(with) = with_duration(caps.caps())
        {
            *event = gst::event::Caps::builder(&with).seqnum(event.seqnum()).build();
        }
        gst::PadProbeReturn::Ok
    });
}

/// Caps of MPEG4-GENERIC sound with what they lack; `None`: nothing is lacking, or nothing is known.
fn with_duration(caps: &gst::CapsRef) -> Option<gst::Caps> {
    let structure = caps.structure(0)?;
    if structure.get::<&str>("encoding-name") != Ok("MPEG4-GENERIC") || structure.has_field("constantduration") {
        return None;
    }
    let clock_rate = u32::try_from(structure.get::<i32>("clock-rate").ok()?).ok()?;
    let ticks = frame_ticks(structure.get::<&str>("config").ok()?, clock_rate)?;
    let mut caps = caps.to_owned();
    // The depayloader takes text, as all format parameters are.
    caps.make_mut().set_value("constantduration", ticks.to_string().to_send_value());
    Some(caps)
}

/// Ticks of the RTP clock that a frame takes, by the configuration of its decoder (AudioSpecificConfig, section
/// 1.6.2.1) as hexadecimal text.
fn frame_ticks(config: &str, clock_rate: u32) -> Option<u32> {
    let digits = config.as_bytes().chunks_exact(2).take(CONFIG_LEN_MAX);
    let bytes: Option<Vec<u8>> =
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    let bytes = bytes?;
    let mut bits = Bits { bytes: &bytes, at: 0 };
    let mut object_type = object_type(&mut bits)?;
    // With a spectral band replication the frequency is that of the core, whose frames are counted.
    let frequency = frequency(&mut bits)?;
    let _channels = bits.bits(4)?;
    if matches!(object_type, 5 | 29) {
        self::frequency(&mut bits)?;
        object_type = self::object_type(&mut bits)?;
    }
    let short = bits.bits(1)? == 1;
    let samples = match (object_type, short) {
        (1..=4 | 6 | 7 | 17 | 19..=22, false) => 1_024,
        (1..=4 | 6 | 7 | 17 | 19..=22, true) => 960,
        (23 | 39, false) => 512,
        (23 | 39, true) => 480,
        _ => return None,
    };
    let ticks = u64::from(clock_rate) * samples / u64::from(frequency);
    u32::try_from(ticks).ok().filter(|ticks| *ticks > 0)
}

fn object_type(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.bits(5)? {
        31 => Some(32 + bits.bits(6)?),
        number => Some(number),
    }
}

fn frequency(bits: &mut Bits<'_>) -> Option<u32> {
    match bits.bits(4)? {
        15 => bits.bits(24).filter(|hz| *hz > 0),
        index => FREQUENCIES.get(index as usize).copied(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_frames_duration_is_read_from_the_configuration() {
        // AAC-LC at 48 and 44.1 kHz; with 960 samples a frame; a frequency of its own; HE-AAC, its core at 24 kHz.
        for (config, clock_rate, ticks) in [
            ("1190", 48_000, Some(1_024)),
            ("121056e500", 44_100, Some(1_024)),
            ("1194", 48_000, Some(960)),
            ("17805dc010", 48_000, Some(1_024)),
            ("2b118800", 48_000, Some(2_048)),
            ("11", 48_000, None),
            ("", 48_000, None),
            ("zz90", 48_000, None),
            ("16f0", 48_000, None),
            ("1190", 0, None),
        ] {
            assert_eq!(frame_ticks(config, clock_rate), ticks, "{config}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_has_an_answer(config in ".{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let _ = frame_ticks(&config, 48_000);
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let _ = frame_ticks(&hex, u32::MAX);
        }
    }
}
