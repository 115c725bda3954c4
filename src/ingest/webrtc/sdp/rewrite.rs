//! The two texts between the peer and `webrtcbin`: the offer cut down to what is taken, and the answer made
//! whole again.
//!
//! The hard thing: m-lines have other numbers inside than outside, since `webrtcbin` sees the taken ones
//! alone; candidates have to be renumbered both ways.

use std::fmt::Write as _;

use super::choice::Choice;
use super::media::{OfferedCodec, OfferedMedia, parameters};
use super::{Direction, Offer, OfferError};

/// Header extensions that are handed on. Not the video's orientation: a phone that may send it there no longer
/// turns the picture itself. Not the stream ids of simulcast: one layer is wanted.
const EXTENSIONS: [&str; 3] = [
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "urn:ietf:params:rtp-hdrext:sdes:mid",
];

/// Highest id of an extension with a header of one byte (RFC 8285).
const EXTENSION_ID_MAX: u8 = 14;

/// Feedback that is handed on.
const FEEDBACK: [&str; 5] = ["nack", "nack pli", "ccm fir", "goog-remb", "transport-cc"];

/// Parameters that are handed on. GStreamer makes a field of its caps of each, whatever its name.
const PARAMETERS: [&str; 12] = [
    "packetization-mode",
    "profile-level-id",
    "level-asymmetry-allowed",
    "profile-id",
    "profile",
    "level-idx",
    "tier",
    "apt",
    "minptime",
    "useinbandfec",
    "stereo",
    "sprop-stereo",
];

/// Longest value of such a parameter, in bytes.
const PARAMETER_LEN_MAX: usize = 16;

/// The offer for `webrtcbin`: the chosen m-lines, each with its payload type and the one of its repeats, and with
/// the whole of its transport.
pub(in crate::ingest::webrtc) fn rewrite_offer(offer: &Offer, choice: &Choice) -> String {
    let indices = choice.indices();
    let mut out = format!("v=0\r\no=- {} {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", offer.origin.0, offer.origin.1);
    if offer.bundled(&indices) {
        let mids: Vec<&str> = indices.iter().map(|index| offer.media[*index].mid.as_str()).collect();
        line(&mut out, "group:BUNDLE", &format!(" {}", mids.join(" ")));
    }
    if offer.trickle {
        line(&mut out, "ice-options:", "trickle");
    }
    if offer.ice_lite {
        line(&mut out, "ice-lite", "");
    }
    for index in indices {
        let media = &offer.media[index];
        let payload = |video: bool| match (video, &choice.video, &choice.audio) {
            (true, Some(video), _) => Some((video.payload, video.rtx)),
            (false, _, Some(audio)) => Some((audio.payload, None)),
            _ => None,
        };
        let video = choice.video.as_ref().is_some_and(|video| video.index == index);
        if let Some((payload, rtx)) = payload(video) {
            write_media(&mut out, offer, media, payload, rtx);
        }
    }
    out
}

fn line(out: &mut String, name: &str, value: &str) {
    out.push_str("a=");
    out.push_str(name);
    out.push_str(value);
    out.push_str("\r\n");
}

fn write_media(out: &mut String, offer: &Offer, media: &OfferedMedia, payload: u8, rtx: Option<u8>) {
    let formats: Vec<String> = std::iter::once(payload).chain(rtx).map(|payload| payload.to_string()).collect();
    // Writing into a string cannot fail.
    let _ = write!(out, "m={} 9 {} {}\r\nc=IN IP4 0.0.0.0\r\n", media.words[0], media.words[1], formats.join(" "));
    if let Some(transport) = &media.transport {
        line(out, "ice-ufrag:", &transport.ufrag);
        line(out, "ice-pwd:", &transport.password);
        line(out, "setup:", transport.setup.as_str());
    }
    if let Some(fingerprint) = offer.fingerprints.first() {
        line(out, "fingerprint:", &fingerprint.to_string());
    }
    line(out, "mid:", &media.mid);
    line(out, if media.direction == Direction::SendOnly { "sendonly" } else { "sendrecv" }, "");
    line(out, "rtcp-mux", "");
    if media.rtcp_rsize {
        line(out, "rtcp-rsize", "");
    }
    for (id, uri) in media.extmaps.iter().filter(|(id, _)| *id <= EXTENSION_ID_MAX) {
        if EXTENSIONS.contains(&uri.as_str()) {
            line(out, "extmap:", &format!("{id} {uri}"));
        }
    }
    for codec in media.codecs.iter().filter(|codec| codec.payload == payload || Some(codec.payload) == rtx) {
        write_codec(out, codec);
    }
    for (source, repair) in &media.repairs {
        line(out, "ssrc-group:", &format!("FID {source} {repair}"));
    }
    for source in &media.sources {
        line(out, "ssrc:", &format!("{source} cname:peer"));
    }
    for candidate in &media.candidates {
        line(out, candidate, "");
    }
    if media.end_of_candidates {
        line(out, "end-of-candidates", "");
    }
}

fn write_codec(out: &mut String, codec: &OfferedCodec) {
    let OfferedCodec { payload, name, clock, channels, .. } = codec;
    let channels = channels.map_or_else(String::new, |channels| format!("/{channels}"));
    line(out, "rtpmap:", &format!("{payload} {name}/{clock}{channels}"));
    for words in codec.feedback.iter().filter(|words| FEEDBACK.contains(&words.as_str())) {
        line(out, "rtcp-fb:", &format!("{payload} {words}"));
    }
    let plain = |value: &str| {
        (1..=PARAMETER_LEN_MAX).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let kept: Vec<String> = parameters(&codec.fmtp)
        .filter(|(key, value)| PARAMETERS.contains(key) && plain(value))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if !kept.is_empty() {
        line(out, "fmtp:", &format!("{payload} {}", kept.join(";")));
    }
}

/// The answer for the peer: `webrtcbin`'s, with every m-line of the offer in its place, those that are not taken
/// rejected (RFC 3264, section 6: port 0).
///
/// # Errors
/// [`OfferError::Internal`] when the answer has not one m-line for each that was asked.
pub(in crate::ingest::webrtc) fn complete_answer(
    offer: &Offer,
    choice: &Choice,
    answer: &str,
) -> Result<String, OfferError> {
    let indices = choice.indices();
    let mut sections: Vec<String> = Vec::new();
    for text in answer.lines() {
        if text.starts_with("m=") || sections.is_empty() {
            sections.push(String::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push_str(text);
            section.push_str("\r\n");
        }
    }
    let mut sections = sections.into_iter();
    let mut whole = sections.next().unwrap_or_default();
    let mut taken = 0;
    for media in &offer.media {
        let [medium, protocol, format] = &media.words;
        if !indices.contains(&media.index) {
            let _ = write!(whole, "m={medium} 0 {protocol} {format}\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n");
            line(&mut whole, "mid:", &media.mid);
            continue;
        }
        let section = sections.next().filter(|section| section.starts_with(&format!("m={medium} ")));
        let section = section.ok_or_else(|| uneven(answer, indices.len()))?;
        // webrtcbin writes this one whatever was offered; the answer has to repeat the offer's.
        whole.push_str(&section.replacen("UDP/TLS/RTP/SAVPF", protocol, 1));
        taken += 1;
    }
    if taken != indices.len() || sections.next().is_some() {
        return Err(uneven(answer, indices.len()));
    }
    Ok(whole)
}

fn uneven(answer: &str, wanted: usize) -> OfferError {
    let got = answer.lines().filter(|line| line.starts_with("m=")).count();
    OfferError::Internal(format!("the answer has {got} m-lines in another order, for {wanted} that were asked"))
}

impl Choice {
    /// Where `webrtcbin` takes a candidate that the peer gave for this m-line; None: that m-line's transport is
    /// not used, for it is rejected or runs over the first of its group.
    ///
    /// # Errors
    /// [`OfferError::Bad`] when the offer has no such m-line.
    pub(in crate::ingest::webrtc) fn inner_mline(
        &self,
        offer: &Offer,
        index: u32,
        mid: Option<&str>,
    ) -> Result<Option<u32>, OfferError> {
        let by_mid = mid.filter(|mid| !mid.is_empty()).map(|mid| offer.media.iter().find(|media| media.mid == mid));
        let by_index = || usize::try_from(index).ok().and_then(|index| offer.media.get(index));
        let Some(media) = by_mid.unwrap_or_else(by_index) else {
            return Err(OfferError::Bad(match mid {
                Some(mid) if !mid.is_empty() => format!("the offer has no m-line with mid {}", super::text::shown(mid)),
                _ => format!("the offer has no m-line {index}; it has {}", offer.media.len()),
            }));
        };
        let indices = self.indices();
        let inner = indices.iter().position(|index| *index == media.index);
        let used = inner.filter(|inner| *inner == 0 || !offer.bundled(&indices));
        Ok(used.and_then(|inner| u32::try_from(inner).ok()))
    }

    /// The offer's number and mid of `webrtcbin`'s m-line.
    pub(in crate::ingest::webrtc) fn outer_mline<'a>(&self, offer: &'a Offer, inner: u32) -> Option<(u32, &'a str)> {
        let index = *self.indices().get(usize::try_from(inner).ok()?)?;
        Some((u32::try_from(index).ok()?, offer.media.get(index)?.mid.as_str()))
    }
}
