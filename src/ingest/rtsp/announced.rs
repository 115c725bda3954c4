//! What a publisher announces: its session description, checked, as one entry per m-line.
//!
//! Must not know pipelines. The hard thing: gst-rtsp-server wants a track for each m-line, so one that nobody can
//! take is kept, without use, and named.

use gstreamer as gst;
use gstreamer_sdp as gst_sdp;

use super::address::control_name;
use crate::ingest::rtp::{Encoding, NotCarried};
use crate::model::codec::TrackKind;

/// Tracks of a description, at most: each costs threads and ports.
const MEDIAS_MAX: u32 = 8;

/// Formats of one m-line that are looked at.
const FORMATS_MAX: usize = 16;

/// One m-line.
#[derive(Debug, Clone)]
pub(super) struct Announced {
    /// Its name in SETUP, if it has one.
    pub(super) control: Option<String>,
    /// RTP caps of the format that is taken; or why none is.
    pub(super) format: Result<(TrackKind, gst::Caps), Unused>,
}

/// Why an m-line is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unused {
    /// Nobody can take it.
    #[error(transparent)]
    NotCarried(#[from] NotCarried),
    /// A second one of its kind.
    #[error("only one {0} track is taken")]
    SecondOfItsKind(TrackKind),
    /// No format can be read.
    #[error("its formats cannot be read")]
    Unreadable,
}

/// A description that cannot be taken at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadDescription {
    /// No m-line.
    #[error("the description names no media; wanted: video, audio or both")]
    Empty,
    /// More than anybody needs.
    #[error("the description names {0} media; wanted: up to {MEDIAS_MAX}")]
    TooMany(u32),
    /// Two tracks cannot be told apart.
    #[error("two media of the description have the same control")]
    SameControl,
    /// Nothing of it is of use.
    #[error("nothing of it can be carried: {0}")]
    NothingOfUse(String),
}

/// Reads a description.
pub(super) fn read(sdp: &gst_sdp::SDPMessageRef) -> Result<Vec<Announced>, BadDescription> {
    let count = sdp.medias_len();
    match count {
        0 => return Err(BadDescription::Empty),
        1..=MEDIAS_MAX => {}
        _ => return Err(BadDescription::TooMany(count)),
    }
    let mut all: Vec<Announced> = Vec::new();
    for media in sdp.medias() {
        let control = media.attribute_val("control").map(|control| control_name(control).to_owned());
        if control.is_some() && all.iter().any(|other| other.control == control) {
            return Err(BadDescription::SameControl);
        }
        let taken = |kind| all.iter().any(|other| matches!(&other.format, Ok((other, _)) if *other == kind));
        let format = match format(sdp, media) {
            Ok((kind, _)) if taken(kind) => Err(Unused::SecondOfItsKind(kind)),
            format => format,
        };
        all.push(Announced { control, format });
    }
    if all.iter().all(|announced| announced.format.is_err()) {
        let reasons: Vec<_> =
            all.iter().filter_map(|announced| announced.format.as_ref().err()).map(ToString::to_string).collect();
        return Err(BadDescription::NothingOfUse(reasons.join("; ")));
    }
    Ok(all)
}

/// The first format of an m-line that can be carried, with all that the description says of it.
fn format(sdp: &gst_sdp::SDPMessageRef, media: &gst_sdp::SDPMediaRef) -> Result<(TrackKind, gst::Caps), Unused> {
    let mut reason = Unused::Unreadable;
    for format in media.formats().take(FORMATS_MAX) {
        let Some(mut caps) = format.parse().ok().and_then(|payload_type| media.caps_from_media(payload_type)) else {
            continue;
        };
        let writable = caps.make_mut();
        let _ = sdp.attributes_to_caps(writable);
        let _ = media.attributes_to_caps(writable);
        if let Some(structure) = writable.structure_mut(0) {
            structure.set_name("application/x-rtp");
        }
        match Encoding::from_caps(&caps) {
            Ok(encoding) => return Ok((encoding.carried.kind(), caps)),
            Err(error) => reason = error.into(),
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    const H264: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n";
    const PCMA: &str = "m=audio 0 RTP/AVP 8\r\n";
    const JPEG: &str = "m=video 0 RTP/AVP 26\r\n";

    fn read(medias: &[&str]) -> Result<Vec<Announced>, BadDescription> {
        gst::init().expect("GStreamer");
        let text = format!("{HEAD}{}", medias.concat());
        super::read(&gst_sdp::SDPMessage::parse_buffer(text.as_bytes()).expect("a description"))
    }

    #[test]
    fn what_can_be_carried_is_found_and_the_rest_is_named() {
        let all = read(&[H264, PCMA]).expect("both");
        let kinds: Vec<_> = all.iter().filter_map(|one| one.format.as_ref().ok()).map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [TrackKind::Video, TrackKind::Audio]);
        let all = read(&[JPEG, PCMA]).expect("sound");
        let unused = all[0].format.as_ref().expect_err("JPEG");
        assert!(unused.to_string().contains("video as payload type 26 cannot be carried"), "{unused}");
        let all = read(&[H264, PCMA, PCMA]).expect("two of them");
        assert_eq!(all[2].format.as_ref().expect_err("second"), &Unused::SecondOfItsKind(TrackKind::Audio));
        let error = read(&[JPEG]).expect_err("nothing");
        assert!(error.to_string().contains("26"), "{error}");
    }

    #[test]
    fn formats_are_tried_in_their_order() {
        let all = read(&["m=video 0 RTP/AVP 97 26 96\r\na=rtpmap:96 H265/90000\r\na=rtpmap:97 rtx/90000\r\n"]);
        let all = all.expect("H.265");
        let (_, caps) = all[0].format.as_ref().expect("taken");
        assert!(caps.to_string().contains("H265"), "{caps}");
    }

    #[test]
    fn bad_descriptions_say_what_is_wrong() {
        assert_eq!(read(&[]).expect_err("none"), BadDescription::Empty);
        assert_eq!(read(&[PCMA; 9]).expect_err("many"), BadDescription::TooMany(9));
        let same = format!("{H264}a=control:x\r\n{PCMA}a=control:rtsp://h/live/t/x\r\n");
        assert_eq!(read(&[&same]).expect_err("same"), BadDescription::SameControl);
    }
}
