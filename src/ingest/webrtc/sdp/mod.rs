//! The offer of a WebRTC publisher: read, checked and cut down to what is wanted, before GStreamer sees any
//! of it.
//!
//! Owns which offers are taken, which codec of them, and the texts that go to and come from `webrtcbin`.
//! Must not know GStreamer: it is all text. The hard thing: `webrtcbin` 1.22 asserts on a missing mid, answers
//! with whatever codec comes first, makes caps of any parameter it finds, and takes no fingerprint above the
//! m-lines. So nothing of the offer is handed on as it came: [`rewrite_offer`] writes a new one from checked
//! values, with the chosen m-lines alone, and [`complete_answer`] puts the others back, rejected.

mod candidate;
mod choice;
mod media;
mod rewrite;
#[cfg(test)]
mod tests;
mod text;
mod transport;

use sdp_types::Session;

use super::OfferError;
use text::{is_token, shown};

pub(super) use candidate::{PeerCandidate, check_candidate};
#[cfg(test)]
use choice::AudioEncoding;
pub(super) use choice::{Choice, VideoEncoding};
use media::OfferedMedia;
pub(super) use rewrite::{complete_answer, rewrite_offer};
pub(super) use transport::{Fingerprint, check_credentials};

/// Longest offer, in bytes. A browser's with one picture and one sound has 6 KB, with candidates 10.
const OFFER_LEN_MAX: usize = 64 * 1024;

/// Most m-lines. A publisher has two, and a data channel.
const MLINES_MAX: usize = 16;

/// Longest mid, in bytes. Browsers write one digit; RTP carries 16 at most in a one-byte header (RFC 8285).
const MID_LEN_MAX: usize = 32;

/// An offer whose form is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// Its m-lines, in order.
    pub(super) media: Vec<OfferedMedia>,
    /// The certificate that the peer will show must have one of these; never empty.
    pub(super) fingerprints: Vec<Fingerprint>,
    /// Session id and version of `o=`, which the answer repeats.
    origin: (u64, u64),
    /// The mids of each BUNDLE group.
    bundles: Vec<Vec<String>>,
    /// Whether candidates may follow (RFC 8840).
    trickle: bool,
    /// Whether the peer only answers checks (RFC 8445), as servers do.
    ice_lite: bool,
}

/// What an m-line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// A data channel.
    Application,
    /// Anything else.
    Other,
}

/// What the offerer wants to do with an m-line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Both.
    SendRecv,
    /// Publishes.
    SendOnly,
    /// Plays.
    RecvOnly,
    /// Neither, now.
    Inactive,
}

impl Direction {
    /// Whether the offerer sends.
    pub(super) fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }
}

/// Reads and checks an offer.
///
/// # Errors
/// [`OfferError::Bad`] with what is wrong, where, and what is wanted.
pub(super) fn check(offer: &str) -> Result<Offer, OfferError> {
    read(offer).map_err(OfferError::Bad)
}

fn read(offer: &str) -> Result<Offer, String> {
    if offer.len() > OFFER_LEN_MAX {
        return Err(format!("the offer has {} bytes; wanted: at most {OFFER_LEN_MAX}", offer.len()));
    }
    if let Some(odd) = offer.chars().find(|c| c.is_control() && !"\r\n\t".contains(*c)) {
        return Err(format!("the offer holds the control character {:#04x}; wanted: SDP", u32::from(odd)));
    }
    let session = Session::parse(offer.as_bytes())
        .map_err(|error| format!("the offer is no SDP: {}", shown(&error.to_string())))?;
    if !(1..=MLINES_MAX).contains(&session.medias.len()) {
        return Err(format!("the offer has {} m-lines; wanted: 1 to {MLINES_MAX}", session.medias.len()));
    }
    let mids = read_mids(&session)?;
    let bundles = read_bundles(&session, &mids)?;
    let transports = transport::read(&session, &mids, &bundles)?;
    let media = session
        .medias
        .iter()
        .zip(mids)
        .zip(transports.by_mline)
        .enumerate()
        .map(|(index, ((media, mid), transport))| media::read(&session, media, index, mid, transport))
        .collect::<Result<Vec<_>, _>>()?;
    let flag = |name: &str, value: &str| {
        let here = |attributes: &[sdp_types::Attribute]| {
            let found = attributes.iter().filter(|attribute| attribute.attribute == name);
            found
                .filter_map(|attribute| attribute.value.as_deref())
                .any(|list| list.split([' ', ',']).any(|word| word == value))
        };
        here(&session.attributes) || session.medias.iter().any(|media| here(&media.attributes))
    };
    Ok(Offer {
        media,
        fingerprints: transports.fingerprints,
        origin: (session.origin.sess_id.parse().unwrap_or(0), session.origin.sess_version),
        bundles,
        trickle: flag("ice-options", "trickle"),
        ice_lite: session.attributes.iter().any(|attribute| attribute.attribute == "ice-lite"),
    })
}

/// How an error names an m-line.
fn place(index: usize) -> String {
    format!("m-line {index}")
}

/// The one value of an attribute that may be there once.
fn single<'a>(
    attributes: &'a [sdp_types::Attribute],
    name: &str,
    place: &dyn Fn() -> String,
) -> Result<Option<&'a str>, String> {
    let mut found = attributes.iter().filter(|attribute| attribute.attribute == name);
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => Ok(Some(one.value.as_deref().unwrap_or_default().trim())),
        (Some(_), Some(_)) => Err(format!("{} has a={name} twice; wanted: once", place())),
    }
}

/// RFC 8829 wants a mid in every m-line, and `webrtcbin` asserts it.
fn read_mids(session: &Session) -> Result<Vec<String>, String> {
    let mut mids: Vec<String> = Vec::new();
    for (index, media) in session.medias.iter().enumerate() {
        let mid = single(&media.attributes, "mid", &|| place(index))?
            .ok_or_else(|| format!("{} has no a=mid; wanted: a unique one in each", place(index)))?;
        if !is_token(mid, MID_LEN_MAX) {
            return Err(format!(
                "{}: a=mid:{} is not usable; wanted: 1 to {MID_LEN_MAX} characters of a token",
                place(index),
                shown(mid)
            ));
        }
        if mids.iter().any(|other| other == mid) {
            return Err(format!("{}: a=mid:{} is there twice; wanted: a unique one in each", place(index), shown(mid)));
        }
        mids.push(mid.to_owned());
    }
    Ok(mids)
}

fn read_bundles(session: &Session, mids: &[String]) -> Result<Vec<Vec<String>>, String> {
    let mut bundles: Vec<Vec<String>> = Vec::new();
    let groups = session.attributes.iter().filter(|attribute| attribute.attribute == "group");
    for group in groups.filter_map(|group| group.value.as_deref()) {
        let mut words = group.split(' ').filter(|word| !word.is_empty());
        if words.next() != Some("BUNDLE") {
            continue;
        }
        let mut bundle: Vec<String> = Vec::new();
        for mid in words {
            if !mids.iter().any(|known| known == mid) {
                return Err(format!("a=group:BUNDLE names {}, which is no m-line's mid", shown(mid)));
            }
            if bundle.iter().chain(bundles.iter().flatten()).any(|other| other == mid) {
                return Err(format!("a=group:BUNDLE names {} twice; wanted: once", shown(mid)));
            }
            bundle.push(mid.to_owned());
        }
        bundles.push(bundle);
    }
    Ok(bundles)
}
