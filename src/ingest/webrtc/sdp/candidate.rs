//! An ICE candidate of the peer, checked before libnice parses it (RFC 8839, section 5.1).
//!
//! The hard thing: browsers hide their addresses behind names that end in `.local`, which have to pass, while
//! any other name would let a publisher make this host ask the DNS whatever he likes.

use std::net::IpAddr;

use super::OfferError;
use super::text::{is_ice_text, is_token, number, shown};

/// Longest candidate, in bytes. A browser's with all extensions has 200.
const CANDIDATE_LEN_MAX: usize = 2_048;

/// Most words of a candidate: ten, and five extensions of a browser, with room for more.
const WORDS_MAX: usize = 64;

/// Longest DNS name, in bytes (RFC 1035, section 2.3.4).
const NAME_LEN_MAX: usize = 253;

/// Highest priority (RFC 8445, section 5.1.2, has 2³¹ - 1; browsers write up to 2³² - 1).
const PRIORITY_MAX: u64 = u32::MAX as u64;

/// A candidate whose form is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ingest::webrtc) struct PeerCandidate {
    /// `candidate:…`, without `a=`.
    pub(in crate::ingest::webrtc) text: String,
    /// Over TCP rather than UDP.
    pub(in crate::ingest::webrtc) tcp: bool,
    /// The component: 1 is RTP, and RTCP with it; 2 is RTCP alone, which nobody here uses.
    pub(in crate::ingest::webrtc) component: u16,
    /// The address; None: a `.local` name.
    pub(in crate::ingest::webrtc) address: Option<IpAddr>,
}

/// Reads and checks a candidate; None is the end of candidates.
///
/// # Errors
/// [`OfferError::Bad`] with what is wrong and what is wanted.
pub(in crate::ingest::webrtc) fn check_candidate(text: &str) -> Result<Option<PeerCandidate>, OfferError> {
    read(text).map_err(|problem| OfferError::Bad(format!("the candidate {} {problem}", shown(text))))
}

fn read(text: &str) -> Result<Option<PeerCandidate>, String> {
    if text.len() > CANDIDATE_LEN_MAX {
        return Err(format!("has {} bytes; wanted: at most {CANDIDATE_LEN_MAX}", text.len()));
    }
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.strip_prefix("a=").unwrap_or(text);
    if text.is_empty() || text == "end-of-candidates" {
        return Ok(None);
    }
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err("holds something else than printable ASCII".to_owned());
    }
    let rest = text.strip_prefix("candidate:").ok_or("does not begin with \"candidate:\"")?;
    let words: Vec<&str> = rest.split(' ').take(WORDS_MAX + 1).collect();
    if words.len() > WORDS_MAX {
        return Err(format!("has more than {WORDS_MAX} words"));
    }
    let [foundation, component, transport, priority, address, port, typ, kind, extensions @ ..] = words.as_slice()
    else {
        return Err(
            "is too short; wanted: candidate:FOUNDATION COMPONENT udp PRIORITY ADDRESS PORT typ TYPE".to_owned()
        );
    };
    if !is_ice_text(foundation, 1..=32) {
        return Err("has a bad foundation; wanted: 1 to 32 letters, digits, '+' and '/'".to_owned());
    }
    let component = number::<u16>(component)
        .filter(|component| (1..=256).contains(component))
        .ok_or("has a bad component; wanted: a number from 1 to 256")?;
    let tcp = match transport.to_ascii_lowercase().as_str() {
        "udp" => false,
        "tcp" => true,
        _ => return Err("has an unknown transport; wanted: udp or tcp".to_owned()),
    };
    number::<u64>(priority)
        .filter(|priority| (1..=PRIORITY_MAX).contains(priority))
        .ok_or("has a bad priority; wanted: a number from 1 to 2^32 - 1")?;
    let address = read_address(address)?;
    number::<u16>(port).ok_or("has a bad port; wanted: a number from 0 to 65535")?;
    if *typ != "typ" || !["host", "srflx", "prflx", "relay"].contains(kind) {
        return Err("has no known type; wanted: typ host, srflx, prflx or relay".to_owned());
    }
    read_extensions(extensions)?;
    Ok(Some(PeerCandidate { text: text.to_owned(), tcp, component, address }))
}

fn read_address(text: &str) -> Result<Option<IpAddr>, &'static str> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Some(ip));
    }
    let name = text.to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    // One label and .local, as multicast DNS has it.
    match name.strip_suffix(".local") {
        Some(host) if label(host) && name.len() <= NAME_LEN_MAX => Ok(None),
        _ => Err("has a bad address; wanted: an IP address or a name that ends in .local"),
    }
}

/// Pairs of words: `raddr`, `rport`, `tcptype`, and whatever else.
fn read_extensions(words: &[&str]) -> Result<(), String> {
    let mut pairs = words.chunks_exact(2);
    for pair in &mut pairs {
        let [name, value] = pair else { continue };
        if !is_token(name, CANDIDATE_LEN_MAX) || value.is_empty() {
            return Err("has a bad extension; wanted: a name and a value".to_owned());
        }
        let good = match *name {
            "raddr" => read_address(value).is_ok(),
            "rport" => number::<u16>(value).is_some(),
            "tcptype" => ["active", "passive", "so"].contains(value),
            _ => true,
        };
        if !good {
            return Err(format!("has a bad {name}"));
        }
    }
    // A space at the end is no word.
    if pairs.remainder().iter().any(|word| !word.is_empty()) {
        return Err("ends with half an extension; wanted: a name and a value".to_owned());
    }
    Ok(())
}
