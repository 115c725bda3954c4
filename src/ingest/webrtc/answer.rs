//! What webrtcbin leaves out of its answer, put back.
//!
//! Pure text, 1:1 with the offer that webrtcbin was given (`sdp::rewrite_offer`). webrtcbin then gets the
//! repaired answer as its local description: its own RTP session reads the header extensions from there, so
//! what the browser is promised is what it gets.

use super::OfferError;

/// The RTP header extension of transport-wide congestion control. Without its line in the answer Chromium
/// keeps `availableOutgoingBitrate` at 300 kb/s for 8 s and reaches 900 kb/s after 20 s (measured).
const TRANSPORT_CC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Chromium then begins at 1 Mb/s instead of 300 kb/s and has probed 4 Mb/s within a second (measured;
/// without it within five). On a way that carries less it finds out as fast. Other browsers ignore it.
const START_BITRATE_HINT: &str = ";x-google-start-bitrate=1000";

/// A section of a description: its m-line and what follows it.
type Section<'a> = Vec<&'a str>;

/// The lines before the first m-line, and the sections.
fn split(text: &str) -> (Section<'_>, Vec<Section<'_>>) {
    let (mut session, mut sections) = (Section::new(), Vec::<Section<'_>>::new());
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if line.starts_with("m=") {
            sections.push(Section::new());
        }
        sections.last_mut().unwrap_or(&mut session).push(line);
    }
    (session, sections)
}

/// An offer without the peer's candidates, and they: they are to go through the same checks as trickled ones.
pub(super) fn without_candidates(offer: &str) -> (String, Vec<String>) {
    let (candidates, rest): (Vec<_>, Vec<_>) = offer.lines().partition(|line| line.starts_with("a=candidate:"));
    let candidates = candidates.into_iter().filter_map(|line| line.strip_prefix("a=")).map(str::to_owned).collect();
    (joined(rest), candidates)
}

/// The answer with `candidates` in its first section.
pub(super) fn with_candidates(answer: &str, candidates: &[String], complete: bool) -> String {
    let (session, sections) = split(answer);
    let mut lines: Vec<String> = session.into_iter().map(str::to_owned).collect();
    for (index, section) in sections.into_iter().enumerate() {
        lines.extend(section.into_iter().map(str::to_owned));
        if index == 0 {
            lines.extend(candidates.iter().map(|candidate| format!("a={candidate}")));
            lines.extend(complete.then(|| "a=end-of-candidates".to_owned()));
        }
    }
    joined(lines.iter().map(String::as_str))
}

/// Adds to each section of webrtcbin's `answer` what the same section of `offer` offers and is wanted:
/// feedback, the header extension of transport-wide congestion control, reduced-size RTCP, and the codec's
/// whole parameters.
///
/// # Errors
/// webrtcbin rejected a section, or answered others than were offered.
pub(super) fn repaired(offer: &str, answer: &str) -> Result<String, OfferError> {
    let (_, offered) = split(offer);
    let (session, mut sections) = split(answer);
    if sections.len() != offered.len() {
        return Err(OfferError::Internal("webrtcbin answered other m-lines than it was offered".into()));
    }
    let mut added: Vec<Vec<String>> = Vec::new();
    for (section, offered) in sections.iter_mut().zip(&offered) {
        let mut words = section.first().copied().unwrap_or_default().split(' ');
        let (media, port, payload) = (words.next().unwrap_or_default(), words.next(), words.nth(1).unwrap_or_default());
        if port == Some("0") {
            return Err(OfferError::Internal(format!("webrtcbin rejected the section {media}")));
        }
        added.push(missing(section, offered, payload, media == "m=video"));
    }
    let sections = sections.iter().zip(&added);
    let lines = sections.flat_map(|(section, added)| section.iter().copied().chain(added.iter().map(String::as_str)));
    Ok(joined(session.into_iter().chain(lines)))
}

fn missing(section: &mut Section<'_>, offered: &Section<'_>, payload: &str, is_video: bool) -> Vec<String> {
    let mut missing = Vec::new();
    // webrtcbin drops profile-level-id, which would then stand for level 1 (RFC 6184, section 8.1).
    let parameters = format!("a=fmtp:{payload} ");
    if let Some(line) = offered.iter().find(|line| line.starts_with(&parameters)) {
        section.retain(|line| !line.starts_with(&parameters));
        missing.push(format!("{line}{}", if is_video { START_BITRATE_HINT } else { "" }));
    } else if is_video {
        missing.push(format!("{parameters}{}", START_BITRATE_HINT.trim_start_matches(';')));
    }
    let feedback = format!("a=rtcp-fb:{payload} ");
    for line in offered {
        let wanted = line.starts_with(&feedback)
            || *line == "a=rtcp-rsize"
            || (line.starts_with("a=extmap:") && line.ends_with(TRANSPORT_CC_URI));
        if wanted && !section.contains(line) {
            missing.push((*line).to_owned());
        }
    }
    missing
}

fn joined<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    lines.into_iter().flat_map(|line| [line, "\r\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\ns=-\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
        a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=rtcp-rsize\r\na=rtcp-fb:111 transport-cc\r\n\
        a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
        a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 108 109\r\na=mid:1\r\na=rtcp-fb:108 nack\r\na=rtcp-fb:108 goog-remb\r\n\
        a=fmtp:108 packetization-mode=1;profile-level-id=42e01f\r\na=fmtp:109 apt=108\r\n";

    #[test]
    fn what_webrtcbin_leaves_out_is_put_back() {
        let inner = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=fmtp:111 minptime=10\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 108 109\r\na=mid:1\r\na=rtcp-fb:108 nack\r\n\
            a=fmtp:108 packetization-mode=1\r\na=fmtp:109 apt=108\r\n";
        let wanted = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
            a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtcp-rsize\r\na=rtcp-fb:111 transport-cc\r\n\
            a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
            m=video 9 UDP/TLS/RTP/SAVPF 108 109\r\na=mid:1\r\na=rtcp-fb:108 nack\r\na=fmtp:109 apt=108\r\n\
            a=fmtp:108 packetization-mode=1;profile-level-id=42e01f;x-google-start-bitrate=1000\r\n\
            a=rtcp-fb:108 goog-remb\r\n";
        assert_eq!(repaired(OFFER, inner), Ok(wanted.to_owned()));
        assert_eq!(repaired(OFFER, wanted).map(|text| text.len()), Ok(wanted.len()), "nothing twice");
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        for inner in ["", "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n", &OFFER.replace("video 9", "video 0")] {
            assert!(matches!(repaired(OFFER, inner), Err(OfferError::Internal(_))), "{inner}");
        }
    }

    #[test]
    fn candidates_go_out_of_the_offer_and_into_the_first_section_of_the_answer() {
        let (offer, candidates) = without_candidates(OFFER);
        assert!(!offer.contains("candidate"), "{offer}");
        assert_eq!(candidates, ["candidate:1 1 udp 1 192.0.2.1 9 typ host"]);
        let answer = with_candidates(&offer, &candidates, true);
        let (first, second) = answer.split_once("m=video").expect("two sections");
        assert!(first.ends_with("typ host\r\na=end-of-candidates\r\n"), "{first}");
        assert!(!second.contains("candidate"));
        assert!(!with_candidates(&offer, &[], false).contains("candidate"));
    }
}
