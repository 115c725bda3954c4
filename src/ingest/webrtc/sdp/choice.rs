//! What of an offer is taken: one picture and one sound at most.
//!
//! Owns the order of preference: H.264 that goes through as it is before anything that has to be transcoded.
//! Must not know how either is done.

use super::media::{OfferedCodec, OfferedMedia};
use super::{Kind, Offer, OfferError};

/// Clock of every picture.
const VIDEO_CLOCK: u32 = 90_000;

/// A picture's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest::webrtc) enum VideoEncoding {
    /// Goes through.
    H264,
    /// Is transcoded.
    Vp8,
    /// Is transcoded.
    Vp9,
    /// Is transcoded.
    Av1,
}

/// A sound's encoding. Each is transcoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest::webrtc) enum AudioEncoding {
    /// 48 kHz, two channels.
    Opus,
    /// G.711 µ-law, 8 kHz.
    Pcmu,
    /// G.711 A-law, 8 kHz.
    Pcma,
}

/// The picture that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ingest::webrtc) struct VideoChoice {
    /// Its m-line in the offer.
    pub(in crate::ingest::webrtc) index: usize,
    /// Its payload type.
    pub(in crate::ingest::webrtc) payload: u8,
    /// The payload type of its repeated packets.
    pub(in crate::ingest::webrtc) rtx: Option<u8>,
    /// What it is.
    pub(in crate::ingest::webrtc) encoding: VideoEncoding,
    /// Feedback that the browser understands: `nack`, `nack pli`, `transport-cc`, …
    pub(in crate::ingest::webrtc) feedback: Vec<String>,
    /// Header extensions of its m-line.
    pub(in crate::ingest::webrtc) extmaps: Vec<(u8, String)>,
}

/// The sound that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ingest::webrtc) struct AudioChoice {
    /// Its m-line in the offer.
    pub(in crate::ingest::webrtc) index: usize,
    /// Its payload type.
    pub(in crate::ingest::webrtc) payload: u8,
    /// What it is.
    pub(in crate::ingest::webrtc) encoding: AudioEncoding,
    /// Feedback that the browser understands.
    pub(in crate::ingest::webrtc) feedback: Vec<String>,
    /// Header extensions of its m-line.
    pub(in crate::ingest::webrtc) extmaps: Vec<(u8, String)>,
}

/// Everything that is taken; not both are None.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ingest::webrtc) struct Choice {
    /// The picture.
    pub(in crate::ingest::webrtc) video: Option<VideoChoice>,
    /// The sound.
    pub(in crate::ingest::webrtc) audio: Option<AudioChoice>,
}

impl Choice {
    /// The m-lines that are taken, in the offer's order: `webrtcbin`'s m-line 0, and 1.
    pub(in crate::ingest::webrtc) fn indices(&self) -> Vec<usize> {
        let video = self.video.as_ref().map(|video| video.index);
        let mut indices: Vec<usize> = video.into_iter().chain(self.audio.as_ref().map(|audio| audio.index)).collect();
        indices.sort_unstable();
        indices
    }
}

impl Offer {
    /// The picture that is taken: of the first m-line that sends one of a known encoding, by our preference.
    pub(in crate::ingest::webrtc) fn pick_video(&self) -> Option<VideoChoice> {
        self.media.iter().filter(|media| media.sends(Kind::Video)).find_map(|media| {
            let (codec, encoding) = best(media, rank_video)?;
            Some(VideoChoice {
                index: media.index,
                payload: codec.payload,
                rtx: codec.rtx,
                encoding,
                feedback: codec.feedback.clone(),
                extmaps: media.extmaps.clone(),
            })
        })
    }

    /// The sound that is taken.
    pub(in crate::ingest::webrtc) fn pick_audio(&self) -> Option<AudioChoice> {
        self.media.iter().filter(|media| media.sends(Kind::Audio)).find_map(|media| {
            let (codec, encoding) = best(media, rank_audio)?;
            Some(AudioChoice {
                index: media.index,
                payload: codec.payload,
                encoding,
                feedback: codec.feedback.clone(),
                extmaps: media.extmaps.clone(),
            })
        })
    }

    /// Both.
    ///
    /// # Errors
    /// Nothing is sent ([`OfferError::Bad`]), or nothing of a known encoding ([`OfferError::NoCodec`]).
    pub(in crate::ingest::webrtc) fn choose(&self) -> Result<Choice, OfferError> {
        let choice = Choice { video: self.pick_video(), audio: self.pick_audio() };
        let sending: Vec<&OfferedMedia> =
            self.media.iter().filter(|media| media.sends(Kind::Video) || media.sends(Kind::Audio)).collect();
        if sending.is_empty() {
            return Err(OfferError::Bad(
                "no m-line of the offer sends video or audio; wanted: at least one with a=sendonly or a=sendrecv"
                    .to_owned(),
            ));
        }
        let indices = choice.indices();
        if indices.is_empty() {
            let offered: Vec<String> = sending.iter().map(|media| media.describe()).collect();
            return Err(OfferError::NoCodec(format!(
                "offered is {}; wanted: H.264, VP8, VP9 or AV1 for video, Opus, PCMU or PCMA for audio",
                offered.join(" and ")
            )));
        }
        let lone = indices.iter().find(|index| self.media[**index].bundle_only && !self.bundled(&indices));
        match lone {
            Some(index) => Err(OfferError::Bad(format!(
                "m-line {index} has a=bundle-only, but there is no BUNDLE group with all that is sent; wanted: one"
            ))),
            None => Ok(choice),
        }
    }

    /// Whether all these m-lines are in one BUNDLE group.
    pub(in crate::ingest::webrtc) fn bundled(&self, indices: &[usize]) -> bool {
        self.bundles.iter().any(|bundle| indices.iter().all(|index| bundle.contains(&self.media[*index].mid)))
    }
}

impl OfferedMedia {
    /// `video with AV1 and H265`
    fn describe(&self) -> String {
        let helpers = ["rtx", "red", "ulpfec", "flexfec-03", "CN", "telephone-event"];
        let mut names: Vec<&str> = Vec::new();
        for codec in self.codecs.iter().filter(|codec| !helpers.iter().any(|helper| codec.is(helper))) {
            if !names.contains(&codec.name.as_str()) {
                names.push(&codec.name);
            }
        }
        format!("{} with {}", self.words[0], if names.is_empty() { "nothing".to_owned() } else { names.join(", ") })
    }
}

/// The codec with the lowest rank, the first of equals.
fn best<E>(media: &OfferedMedia, rank: fn(&OfferedCodec) -> Option<(u8, E)>) -> Option<(&OfferedCodec, E)> {
    let ranked = media.codecs.iter().filter_map(|codec| rank(codec).map(|(rank, encoding)| (rank, codec, encoding)));
    ranked.min_by_key(|(rank, ..)| *rank).map(|(_, codec, encoding)| (codec, encoding))
}

fn rank_video(codec: &OfferedCodec) -> Option<(u8, VideoEncoding)> {
    if codec.clock != VIDEO_CLOCK {
        return None;
    }
    if codec.is("H264") {
        return Some((rank_h264(codec)?, VideoEncoding::H264));
    }
    if codec.is("VP8") {
        return Some((100, VideoEncoding::Vp8));
    }
    if codec.is("VP9") {
        // Profile 0 is 8 bits and 4:2:0; the others are for those who have nothing else.
        let plain = codec.parameter("profile-id").is_none_or(|profile| profile == "0");
        return Some((if plain { 101 } else { 102 }, VideoEncoding::Vp9));
    }
    // Last: its decoder has the most to do. Profile 0 is 8 or 10 bits and 4:2:0.
    let plain = codec.parameter("profile").is_none_or(|profile| profile == "0");
    codec.is("AV1").then_some((if plain { 103 } else { 104 }, VideoEncoding::Av1))
}

/// Baseline first, which every browser encodes and every receiver decodes; a mode in which a unit may be larger
/// than a packet first.
fn rank_h264(codec: &OfferedCodec) -> Option<u8> {
    let mode = match codec.parameter("packetization-mode").unwrap_or("0") {
        "1" => 0,
        "0" => 50,
        // Interleaved units are read by nobody here.
        _ => return None,
    };
    // Without the parameter it is baseline (RFC 6184, section 8.1).
    let profile = codec.parameter("profile-level-id").unwrap_or("42000a").to_ascii_lowercase();
    let rank = match profile.as_bytes() {
        b"42e01f" => 0,
        [b'4', b'2', ..] => 1,
        [b'4', b'd', ..] => 2,
        [b'6', b'4', ..] => 3,
        _ => 4,
    };
    Some(mode + rank)
}

fn rank_audio(codec: &OfferedCodec) -> Option<(u8, AudioEncoding)> {
    let narrow = codec.clock == 8_000 && codec.channels.is_none_or(|channels| channels == 1);
    if codec.is("opus") {
        return Some((0, AudioEncoding::Opus));
    }
    if codec.is("PCMU") && narrow {
        return Some((1, AudioEncoding::Pcmu));
    }
    (codec.is("PCMA") && narrow).then_some((2, AudioEncoding::Pcma))
}
