//! SDP fragments (RFC 8840, 9): the candidates that a WHIP client finds after its offer.
//!
//! Owns their reading, and that of the few lines of an offer that a fragment must fit to. Must not check
//! an offer: the ingest does. The hard thing: which of a client's fragments is a restart is said by its
//! credentials alone (RFC 9725, 4.3.3).

use crate::ingest::webrtc::Candidate;

/// Candidates taken from one fragment.
const CANDIDATES_MAX: usize = 128;
/// Longest candidate line, in bytes; the longest a browser writes is about 250.
const CANDIDATE_LEN_MAX: usize = 512;

/// ICE user fragment and password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    ufrag: Option<String>,
    password: Option<String>,
}

/// What of an offer is needed to place later candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offered {
    /// The `mid` of each m-line, in order.
    mids: Vec<String>,
    /// Every pair of credentials in it; in a bundle, they are all the same.
    credentials: Vec<Credentials>,
}

/// A fragment that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fragment {
    /// Candidates for the session as it is.
    Candidates(Vec<Candidate>),
    /// Credentials that the session does not have: ICE is to begin anew.
    Restart,
}

/// An SDP line's attribute: `a=name:value`.
fn attribute(line: &str) -> Option<(&str, &str)> {
    let attribute = line.strip_prefix("a=")?;
    Some(attribute.split_once(':').unwrap_or((attribute, "")))
}

impl Credentials {
    fn is_empty(&self) -> bool {
        self.ufrag.is_none() && self.password.is_none()
    }

    fn take(&mut self, name: &str, value: &str) {
        match name {
            "ice-ufrag" => self.ufrag = Some(value.trim().to_owned()),
            "ice-pwd" => self.password = Some(value.trim().to_owned()),
            _ => {}
        }
    }

    /// Whether what is said here is what `other` says.
    fn fits(&self, other: &Self) -> bool {
        let fits = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        fits(&self.ufrag, &other.ufrag) && fits(&self.password, &other.password)
    }
}

impl Offered {
    /// Reads an offer that the ingest has accepted.
    pub(super) fn read(offer: &str) -> Self {
        let (mut mids, mut credentials, mut current) = (Vec::new(), Vec::new(), Credentials::default());
        for line in offer.lines() {
            if line.starts_with("m=") {
                credentials.push(std::mem::take(&mut current));
            } else if let Some((name, value)) = attribute(line) {
                if name == "mid" {
                    mids.push(value.trim().to_owned());
                }
                current.take(name, value);
            }
        }
        credentials.push(current);
        credentials.retain(|pair| !pair.is_empty());
        Self { mids, credentials }
    }

    /// Reads a fragment for the session of this offer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn fragment(&self, text: &str) -> Result<Fragment, String> {
        let (mut mid, mut given, mut candidates) = (None, Credentials::default(), Vec::new());
        for line in text.lines() {
            if line.starts_with("m=") {
                mid = None;
            }
            let Some((name, value)) = attribute(line) else { continue };
            given.take(name, value);
            match name {
                "mid" => mid = Some(self.mline(value.trim())?),
                "candidate" => {
                    let (mline_index, mid) = mid.clone().ok_or("a candidate stands before any a=mid")?;
                    if value.len() > CANDIDATE_LEN_MAX {
                        return Err(format!("a candidate is longer than {CANDIDATE_LEN_MAX} bytes"));
                    }
                    let candidate = format!("candidate:{}", value.trim());
                    candidates.push(Candidate { mline_index, mid: Some(mid), candidate });
                }
                "end-of-candidates" => {
                    let (mline_index, mid) = mid.clone().unwrap_or_default();
                    candidates.push(Candidate { mline_index, mid: Some(mid), candidate: String::new() });
                }
                _ => {}
            }
            if candidates.len() > CANDIDATES_MAX {
                return Err(format!("there are more than {CANDIDATES_MAX} candidates in it"));
            }
        }
        if given.is_empty() && candidates.is_empty() {
            return Err("it holds neither candidates nor credentials".into());
        }
        if given.is_empty() || self.credentials.iter().any(|own| given.fits(own)) {
            return Ok(Fragment::Candidates(candidates));
        }
        Ok(Fragment::Restart)
    }

    fn mline(&self, mid: &str) -> Result<(u32, String), String> {
        let index = self.mids.iter().position(|known| known == mid).and_then(|index| u32::try_from(index).ok());
        index.map(|index| (index, mid.to_owned())).ok_or_else(|| format!("the offer has no a=mid:{mid}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:EsAw\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:EsAw\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\na=mid:1\r\n";

    fn candidate(mline_index: u32, mid: &str, candidate: &str) -> Candidate {
        Candidate { mline_index, mid: Some(mid.into()), candidate: candidate.into() }
    }

    #[test]
    fn candidates_are_placed_by_their_mid() {
        let offered = Offered::read(OFFER);
        let text = "a=ice-ufrag:EsAw\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 2 192.0.2.1 61764 typ host\r\nm=video 9 RTP/AVP 0\r\na=mid:1\r\na=candidate:2 1 udp 2 192.0.2.2 61764 typ host\r\na=end-of-candidates\r\n";
        let wanted = vec![
            candidate(0, "0", "candidate:1 1 udp 2 192.0.2.1 61764 typ host"),
            candidate(1, "1", "candidate:2 1 udp 2 192.0.2.2 61764 typ host"),
            candidate(1, "1", ""),
        ];
        assert_eq!(offered.fragment(text), Ok(Fragment::Candidates(wanted)));
        // Credentials inside the m-line, bare newlines, no credentials at all.
        for head in ["m=audio 9 RTP/AVP 0\na=mid:0\na=ice-ufrag:EsAw\n", "a=mid:0\n"] {
            let text = format!("{head}a=candidate:1 1 udp 2 192.0.2.1 1 typ host\n");
            let wanted = vec![candidate(0, "0", "candidate:1 1 udp 2 192.0.2.1 1 typ host")];
            assert_eq!(offered.fragment(&text), Ok(Fragment::Candidates(wanted)), "{head}");
        }
    }

    #[test]
    fn other_credentials_are_a_restart() {
        let offered = Offered::read(OFFER);
        for text in [
            "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 2 192.0.2.1 1 typ host\r\n",
            "a=ice-ufrag:ysXw\r\n",
            "a=ice-ufrag:EsAw\r\na=ice-pwd:other\r\n",
        ] {
            assert_eq!(offered.fragment(text), Ok(Fragment::Restart), "{text}");
        }
    }

    #[test]
    fn what_is_no_fragment_is_named() {
        let offered = Offered::read(OFFER);
        let long = format!("a=mid:0\r\na=candidate:{}\r\n", "x".repeat(CANDIDATE_LEN_MAX + 1));
        let many = format!("a=mid:0\r\n{}", "a=candidate:1\r\n".repeat(CANDIDATES_MAX + 1));
        for (text, wanted) in [
            ("", "it holds neither candidates nor credentials"),
            ("hello", "it holds neither candidates nor credentials"),
            ("a=candidate:1 1 udp 2 192.0.2.1 1 typ host", "a candidate stands before any a=mid"),
            ("m=audio 9 RTP/AVP 0\r\na=mid:7\r\n", "the offer has no a=mid:7"),
            (long.as_str(), "a candidate is longer than 512 bytes"),
            (many.as_str(), "there are more than 128 candidates in it"),
        ] {
            assert_eq!(offered.fragment(text), Err(wanted.to_owned()), "{text}");
        }
    }
}
