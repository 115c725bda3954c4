//! SDP fragments (RFC 8840, 9): what a WHIP client and its session tell each other of ICE after the offer.
//!
//! Owns their reading and writing, and what of an offer and an answer they must fit to. Must not check an offer:
//! the ingest does. The hard thing: which of a client's fragments is a restart is said by its credentials alone
//! (RFC 9725, 4.3.3), and one may come late, after the restart that made it void.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::ingest::webrtc::{Candidate, Credentials, Restarted};

/// Candidates taken from one fragment.
const CANDIDATES_MAX: usize = 128;
/// Longest candidate line, in bytes; the longest a browser writes is about 250.
const CANDIDATE_LEN_MAX: usize = 512;
/// Credentials of earlier ICE sessions that are still known as such: a fragment that was overtaken by more
/// restarts than this is taken for one.
const PAST_MAX: usize = 16;
/// What of an answer above its m-lines is repeated at each restart (RFC 9725, 4.3.3), and its bundle.
const REPEATED: [&str; 4] = ["ice-lite", "ice-options", "ice-pacing", "group"];

/// ICE user fragment and password, as far as they were given.
#[derive(Clone, Default, PartialEq, Eq)]
struct Given {
    ufrag: Option<String>,
    password: Option<String>,
}

/// An m-line, as far as a fragment names it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MLine {
    /// `audio`, `video`, `application`
    media: String,
    mid: String,
}

/// What of an offer and its answer is needed for what comes later.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Offered {
    /// The m-lines, in order.
    mlines: Vec<MLine>,
    /// Every pair of credentials that the client has now; in a bundle, they are all the same.
    credentials: Vec<Given>,
    /// Those of ICE sessions that are over, the oldest first.
    past: VecDeque<Given>,
    /// The answer's lines above its m-lines that a restart repeats.
    repeated: Vec<String>,
}

/// A fragment that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fragment {
    /// Candidates for the session as it is.
    Candidates(Vec<Candidate>),
    /// Credentials that the session does not have: ICE is to begin anew, with these candidates.
    Restart(Credentials, Vec<Candidate>),
    /// Credentials of an ICE session that is over: it was overtaken by a restart.
    Past,
}

// The passwords are nobody's business.
impl std::fmt::Debug for Offered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offered").field("mlines", &self.mlines).finish_non_exhaustive()
    }
}

/// An SDP line's attribute: `a=name:value`.
fn attribute(line: &str) -> Option<(&str, &str)> {
    let attribute = line.strip_prefix("a=")?;
    Some(attribute.split_once(':').unwrap_or((attribute, "")))
}

impl Given {
    fn is_empty(&self) -> bool {
        self.ufrag.is_none() && self.password.is_none()
    }

    /// Takes an attribute, if it is one of the two.
    ///
    /// # Errors
    /// Another value was given before.
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let own = match name {
            "ice-ufrag" => &mut self.ufrag,
            "ice-pwd" => &mut self.password,
            _ => return Ok(()),
        };
        let value = value.trim();
        if own.as_ref().is_some_and(|own| own != value) {
            return Err(format!("it holds more than one a={name}"));
        }
        *own = Some(value.to_owned());
        Ok(())
    }

    /// Whether what is said here is what `other` says.
    fn fits(&self, other: &Self) -> bool {
        let fits = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        fits(&self.ufrag, &other.ufrag) && fits(&self.password, &other.password)
    }

    /// Whether a part of it is what `other` says.
    fn touches(&self, other: &Self) -> bool {
        (self.ufrag.is_some() && self.ufrag == other.ufrag)
            || (self.password.is_some() && self.password == other.password)
    }
}

impl Offered {
    /// Reads an offer that the ingest has accepted, and its answer.
    pub(super) fn read(offer: &str, answer: &str) -> Self {
        let (mut mlines, mut credentials, mut current) = (Vec::<MLine>::new(), Vec::new(), Given::default());
        for line in offer.lines() {
            if let Some(words) = line.strip_prefix("m=") {
                credentials.push(std::mem::take(&mut current));
                let media = words.split(' ').next().unwrap_or_default().to_owned();
                mlines.push(MLine { media, mid: String::new() });
            } else if let Some((name, value)) = attribute(line) {
                if let Some(mline) = mlines.last_mut().filter(|_| name == "mid") {
                    value.trim().clone_into(&mut mline.mid);
                }
                // Twice in one m-line is none that the ingest accepts.
                let _ = current.take(name, value);
            }
        }
        credentials.push(current);
        credentials.retain(|pair| !pair.is_empty());
        let above = answer.lines().take_while(|line| !line.starts_with("m="));
        let repeated = above.filter(|line| attribute(line).is_some_and(|(name, _)| REPEATED.contains(&name)));
        let repeated = repeated.map(str::to_owned).collect();
        Self { mlines, credentials, past: VecDeque::new(), repeated }
    }

    /// Reads a fragment for the session of this offer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn fragment(&self, text: &str) -> Result<Fragment, String> {
        let (mut mid, mut given, mut candidates) = (None, Given::default(), Vec::new());
        for line in text.lines() {
            if line.starts_with("m=") {
                mid = None;
            }
            let Some((name, value)) = attribute(line) else { continue };
            given.take(name, value)?;
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
        self.meant(given, candidates)
    }

    /// What is meant by these credentials.
    fn meant(&self, given: Given, candidates: Vec<Candidate>) -> Result<Fragment, String> {
        if given.is_empty() && candidates.is_empty() {
            return Err("it holds neither candidates nor credentials".into());
        }
        if given.is_empty() || self.credentials.iter().any(|own| given.fits(own)) {
            return Ok(Fragment::Candidates(candidates));
        }
        if self.past.iter().any(|past| given.fits(past)) {
            return Ok(Fragment::Past);
        }
        // RFC 8839, 4.4.1.1.1: both change, or it is none.
        if self.credentials.iter().any(|own| given.touches(own)) {
            return Err("of a=ice-ufrag and a=ice-pwd only one is new; a restart of ICE changes both".into());
        }
        let Given { ufrag: Some(ufrag), password: Some(password) } = given else {
            return Err("a restart of ICE wants both a=ice-ufrag and a=ice-pwd".into());
        };
        Ok(Fragment::Restart(Credentials { ufrag, password }, candidates))
    }

    fn mline(&self, mid: &str) -> Result<(u32, String), String> {
        let index = self.mlines.iter().position(|known| known.mid == mid).and_then(|index| u32::try_from(index).ok());
        index.map(|index| (index, mid.to_owned())).ok_or_else(|| format!("the offer has no a=mid:{mid}"))
    }

    /// Takes note of a restart: the client's credentials are these from now on.
    pub(super) fn restarted(&mut self, now: &Credentials) {
        let now = Given { ufrag: Some(now.ufrag.clone()), password: Some(now.password.clone()) };
        self.past.extend(std::mem::replace(&mut self.credentials, vec![now]));
        while self.past.len() > PAST_MAX {
            self.past.pop_front();
        }
    }

    /// The session's side of a restart, for the client. All candidates are in it: there is no way to tell of more
    /// (RFC 9725, 4.3.2).
    pub(super) fn answer(&self, restarted: &Restarted) -> String {
        let Restarted { mline_index, credentials, candidates } = restarted;
        let mut text: String = self.repeated.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
        if let Some(MLine { media, mid }) = usize::try_from(*mline_index).ok().and_then(|at| self.mlines.get(at)) {
            // RFC 8840, 9.2: only the kind of the m-line counts.
            let _ = write!(text, "m={media} 9 RTP/AVP 0\r\na=mid:{mid}\r\n");
        }
        let Credentials { ufrag, password } = credentials;
        let _ = write!(text, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n");
        for candidate in candidates {
            let _ = write!(text, "a={candidate}\r\n");
        }
        text + "a=end-of-candidates\r\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:EsAw\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:EsAw\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\na=mid:1\r\n";

    const ANSWER: &str = "v=0\r\na=ice-options:trickle\r\na=group:BUNDLE 0 1\r\na=msid-semantic: WMS *\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:x\r\n";

    fn candidate(mline_index: u32, mid: &str, candidate: &str) -> Candidate {
        Candidate { mline_index, mid: Some(mid.into()), candidate: candidate.into() }
    }

    #[test]
    fn candidates_are_placed_by_their_mid() {
        let offered = Offered::read(OFFER, ANSWER);
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

    const NEW: &str = "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n";

    #[test]
    fn other_credentials_are_a_restart_and_the_old_ones_are_past_then() {
        let mut offered = Offered::read(OFFER, ANSWER);
        let text = format!("{NEW}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n");
        let wanted = Credentials { ufrag: "ysXw".into(), password: "vw5LmwG4y/e6dPP/zAP9Gp5k".into() };
        let found = vec![candidate(0, "0", "candidate:1 1 udp 1 192.0.2.1 1 typ host")];
        assert_eq!(offered.fragment(&text), Ok(Fragment::Restart(wanted.clone(), found.clone())));
        // RFC 8840, 4.4: inside of the m-line as well, and in each the same.
        let inside = "a=mid:0\r\na=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n";
        let each = format!("{inside}{}", inside.replace("mid:0", "mid:1"));
        assert_eq!(offered.fragment(&each), Ok(Fragment::Restart(wanted.clone(), vec![])));
        offered.restarted(&wanted);
        assert_eq!(offered.fragment(&text), Ok(Fragment::Candidates(found)));
        let late = "a=ice-ufrag:EsAw\r\na=mid:0\r\na=candidate:1 1 udp 2 192.0.2.1 1 typ host\r\n";
        assert_eq!(offered.fragment(late), Ok(Fragment::Past));
        for number in 0..=PAST_MAX {
            offered.restarted(&Credentials { ufrag: format!("u{number}"), password: "p".into() });
        }
        assert!(offered.past.len() == PAST_MAX && offered.fragment(late) != Ok(Fragment::Past));
    }

    #[test]
    fn half_a_restart_is_none() {
        let offered = Offered::read(OFFER, ANSWER);
        for (text, wanted) in [
            ("a=ice-ufrag:ysXw\r\n", "a restart of ICE wants both a=ice-ufrag and a=ice-pwd"),
            ("a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n", "a restart of ICE wants both a=ice-ufrag and a=ice-pwd"),
            (
                "a=ice-ufrag:EsAw\r\na=ice-pwd:other\r\n",
                "of a=ice-ufrag and a=ice-pwd only one is new; a restart of ICE changes both",
            ),
            ("a=ice-ufrag:a\r\na=ice-ufrag:b\r\n", "it holds more than one a=ice-ufrag"),
        ] {
            assert_eq!(offered.fragment(text), Err(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_restart_is_answered_with_the_bundles_m_line_and_all_candidates() {
        let offered = Offered::read(OFFER, ANSWER);
        let restarted = Restarted {
            mline_index: 1,
            credentials: Credentials { ufrag: "u".into(), password: "p".into() },
            candidates: vec!["candidate:1 1 udp 1 192.0.2.9 1 typ host".into()],
        };
        let wanted = "a=ice-options:trickle\r\na=group:BUNDLE 0 1\r\nm=video 9 RTP/AVP 0\r\na=mid:1\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=candidate:1 1 udp 1 192.0.2.9 1 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(offered.answer(&restarted), wanted);
        assert!(!format!("{offered:?}").contains("bP+XJ"), "no password is shown");
    }

    #[test]
    fn what_is_no_fragment_is_named() {
        let offered = Offered::read(OFFER, ANSWER);
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
