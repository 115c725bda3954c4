//! Caps to codecs and back.

use gstreamer as gst;

use crate::model::codec::Codec;

/// The codec of an elementary stream, as a demuxer or parser names it; `None` when MPEG-TS out of
/// GStreamer 1.22 cannot carry it on.
pub fn codec_of(caps: &gst::CapsRef) -> Option<Codec> {
    let structure = caps.structure(0)?;
    match structure.name().as_str() {
        "video/x-h264" => Some(Codec::H264),
        "video/x-h265" => Some(Codec::H265),
        "audio/mpeg" => match structure.get::<i32>("mpegversion").ok()? {
            1 => Some(Codec::Mpeg),
            // aacparse cannot turn LATM (loas) into ADTS.
            2 | 4 if structure.get::<&str>("stream-format").ok() != Some("loas") => Some(Codec::Aac),
            _ => None,
        },
        "audio/x-ac3" => Some(Codec::Ac3),
        "audio/x-opus" => Some(Codec::Opus),
        _ => None,
    }
}

/// Width and height in pixels of a video track's caps.
pub fn picture_size(caps: &gst::CapsRef) -> Option<(u32, u32)> {
    let structure = caps.structure(0)?;
    let get = |name| structure.get::<i32>(name).ok().and_then(|v| u32::try_from(v).ok());
    Some((get("width")?, get("height")?))
}

/// Sample rate in Hz and channel count of an audio track's caps.
pub fn audio_format(caps: &gst::CapsRef) -> Option<(u32, u32)> {
    let structure = caps.structure(0)?;
    let get = |name| structure.get::<i32>(name).ok().and_then(|v| u32::try_from(v).ok());
    Some((get("rate")?, get("channels")?))
}

/// Seconds per picture of a video track's caps, in nanoseconds.
pub fn frame_duration_ns(caps: &gst::CapsRef) -> Option<i64> {
    let rate = caps.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    (rate.numer() > 0).then(|| i64::from(rate.denom()) * 1_000_000_000 / i64::from(rate.numer()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    #[test]
    fn caps_name_their_codec() {
        gst::init().expect("GStreamer");
        for (caps, codec) in [
            ("video/x-h264,stream-format=avc", Some(Codec::H264)),
            ("video/x-h265", Some(Codec::H265)),
            ("audio/mpeg,mpegversion=4,stream-format=adts", Some(Codec::Aac)),
            ("audio/mpeg,mpegversion=4,stream-format=raw", Some(Codec::Aac)),
            ("audio/mpeg,mpegversion=4,stream-format=loas", None),
            ("audio/mpeg,mpegversion=1", Some(Codec::Mpeg)),
            ("audio/x-ac3", Some(Codec::Ac3)),
            ("audio/x-opus", Some(Codec::Opus)),
            ("video/mpeg,mpegversion=2", None),
        ] {
            assert_eq!(codec_of(&gst::Caps::from_str(caps).expect("caps")), codec, "{caps}");
        }
    }
}
