//! The transport of each m-line: ICE credentials, DTLS role, and the fingerprint of the certificate.
//!
//! Owns where each is looked for: in the m-line, above it, or in the m-line that stands for its BUNDLE group
//! (RFC 8843, section 7.1.3, leaves them out of the others). The hard thing: 1.22 wants them in each m-line
//! and the same in all of a group, so a difference has to be told in words here.

use sdp_types::{Attribute, Session};

use super::text::{is_ice_text, shown};
use super::{place, single};
use crate::ingest::webrtc::{Credentials, OfferError};

/// Lengths of a user fragment and of a password (RFC 8839, section 5.4).
const UFRAG_LEN: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD_LEN: std::ops::RangeInclusive<usize> = 22..=256;

/// Most fingerprints an offer may have: one for each hash, and some to spare.
const FINGERPRINTS_MAX: usize = 8;

/// Hashes that a certificate may be known by, and the bytes of each.
const HASHES: [(&str, usize); 3] = [("sha-256", 32), ("sha-384", 48), ("sha-512", 64)];

/// The hash of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ingest::webrtc) struct Fingerprint {
    /// `sha-256`, `sha-384` or `sha-512`.
    pub(in crate::ingest::webrtc) algorithm: String,
    /// 32, 48 or 64 bytes.
    pub(in crate::ingest::webrtc) digest: Vec<u8>,
}

impl std::fmt::Display for Fingerprint {
    /// As in `a=fingerprint:`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ", self.algorithm)?;
        for (at, byte) in self.digest.iter().enumerate() {
            write!(f, "{}{byte:02X}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Who begins the DTLS handshake, by the offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest::webrtc) enum Setup {
    /// The answerer chooses.
    ActPass,
    /// The offerer.
    Active,
    /// The answerer.
    Passive,
}

impl Setup {
    /// As in `a=setup:`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}

/// The transport of an m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ingest::webrtc) struct Transport {
    /// ICE user fragment.
    pub(super) ufrag: String,
    /// ICE password.
    pub(super) password: String,
    /// DTLS role.
    pub(super) setup: Setup,
}

/// What [`read`] found.
pub(super) struct Transports {
    /// Of each m-line; None where it has none of its own or its group's.
    pub(super) by_mline: Vec<Option<Transport>>,
    /// Of the peer's certificate; not empty.
    pub(super) fingerprints: Vec<Fingerprint>,
}

/// What one level says; each may be missing.
#[derive(Default, Clone)]
struct Level {
    ufrag: Option<String>,
    password: Option<String>,
    setup: Option<Setup>,
    fingerprints: Vec<Fingerprint>,
}

pub(super) fn read(session: &Session, mids: &[String], bundles: &[Vec<String>]) -> Result<Transports, String> {
    let above = read_level(&session.attributes, &|| "the session".to_owned())?;
    let own = session
        .medias
        .iter()
        .enumerate()
        .map(|(index, media)| Ok(read_level(&media.attributes, &|| place(index))?.or(&above)))
        .collect::<Result<Vec<Level>, String>>()?;
    let mut by_mline = Vec::new();
    let mut seen: Option<Vec<Fingerprint>> = None;
    for (index, level) in own.iter().enumerate() {
        let tag = bundle_tag(&mids[index], mids, bundles);
        let whole = tag.map_or_else(|| level.clone(), |tag| level.clone().or(&own[tag]));
        if let Some(tag) = tag {
            check_same(index, &whole, tag, &own[tag])?;
        }
        let Level { ufrag, password, setup, fingerprints } = whole;
        if !fingerprints.is_empty() {
            if seen.as_ref().is_some_and(|seen| *seen != fingerprints) {
                return Err(format!(
                    "{}: a=fingerprint differs from that of the m-lines before; wanted: one certificate for all",
                    place(index)
                ));
            }
            seen = Some(fingerprints);
        }
        by_mline.push(match (ufrag, password, setup) {
            (Some(ufrag), Some(password), Some(setup)) => Some(Transport { ufrag, password, setup }),
            _ if !needs_transport(&session.medias[index]) => None,
            (None, ..) => return Err(missing(index, "ice-ufrag")),
            (_, None, _) => return Err(missing(index, "ice-pwd")),
            (.., None) => return Err(missing(index, "setup")),
        });
    }
    let fingerprints =
        seen.ok_or("the offer has no a=fingerprint; wanted: the SHA-256 of the certificate, for DTLS")?;
    Ok(Transports { by_mline, fingerprints })
}

/// A disabled m-line needs none, and neither does one that will be rejected.
fn needs_transport(media: &sdp_types::Media) -> bool {
    let bundle_only = media.attributes.iter().any(|attribute| attribute.attribute == "bundle-only");
    ["audio", "video"].contains(&media.media.as_str()) && (media.port != 0 || bundle_only)
}

fn missing(index: usize, what: &str) -> String {
    format!("{} has no a={what}, nor has the session or the first of its BUNDLE group; wanted: one", place(index))
}

/// The m-line that stands first in the group of this one.
fn bundle_tag(mid: &String, mids: &[String], bundles: &[Vec<String>]) -> Option<usize> {
    let first = bundles.iter().find(|bundle| bundle.contains(mid))?.first()?;
    mids.iter().position(|known| known == first)
}

fn check_same(index: usize, level: &Level, tag: usize, first: &Level) -> Result<(), String> {
    let differs = |what: &str| {
        Err(format!(
            "{}: a={what} differs from that of {}, in one BUNDLE group; wanted: the same",
            place(index),
            place(tag)
        ))
    };
    let unlike = |a: &Option<String>, b: &Option<String>| a.is_some() && b.is_some() && a != b;
    if unlike(&level.ufrag, &first.ufrag) {
        return differs("ice-ufrag");
    }
    if unlike(&level.password, &first.password) {
        return differs("ice-pwd");
    }
    if level.setup.is_some() && first.setup.is_some() && level.setup != first.setup {
        return differs("setup");
    }
    Ok(())
}

impl Level {
    /// What is missing here, from there. User fragment and password belong together.
    fn or(self, other: &Self) -> Self {
        let credentials = self.ufrag.is_some() || self.password.is_some();
        let source = if credentials { &self } else { other };
        Self {
            ufrag: source.ufrag.clone(),
            password: source.password.clone(),
            setup: self.setup.or(other.setup),
            fingerprints: if self.fingerprints.is_empty() { other.fingerprints.clone() } else { self.fingerprints },
        }
    }
}

fn read_level(attributes: &[Attribute], place: &dyn Fn() -> String) -> Result<Level, String> {
    let ice = |name: &str, lengths: std::ops::RangeInclusive<usize>| {
        let value = single(attributes, name, place)?;
        match value {
            // The value is a secret of the two sides, so it is not shown.
            Some(value) if !is_ice_text(value, lengths.clone()) => {
                Err(format!("{}: {}", place(), unusable(name, &lengths)))
            }
            value => Ok(value.map(str::to_owned)),
        }
    };
    let setup = match single(attributes, "setup", place)? {
        None => None,
        Some("actpass") => Some(Setup::ActPass),
        Some("active") => Some(Setup::Active),
        Some("passive") => Some(Setup::Passive),
        Some(other) => {
            let (place, other) = (place(), shown(other));
            return Err(format!("{place}: a=setup:{other} is not usable; wanted: actpass, active or passive"));
        }
    };
    Ok(Level {
        ufrag: ice("ice-ufrag", UFRAG_LEN)?,
        password: ice("ice-pwd", PASSWORD_LEN)?,
        setup,
        fingerprints: read_fingerprints(attributes, place)?,
    })
}

/// Checks credentials that come after the offer, as strictly as its own.
///
/// # Errors
/// [`OfferError::Bad`] with what is wanted; the values are secrets of the two sides, so they are not shown.
pub(in crate::ingest::webrtc) fn check_credentials(given: &Credentials) -> Result<(), OfferError> {
    let check = |name: &str, value: &str, lengths: std::ops::RangeInclusive<usize>| {
        is_ice_text(value, lengths.clone()).then_some(()).ok_or_else(|| OfferError::Bad(unusable(name, &lengths)))
    };
    check("ice-ufrag", &given.ufrag, UFRAG_LEN)?;
    check("ice-pwd", &given.password, PASSWORD_LEN)
}

fn unusable(name: &str, lengths: &std::ops::RangeInclusive<usize>) -> String {
    let (start, end) = (lengths.start(), lengths.end());
    format!("a={name} is not usable; wanted: {start} to {end} letters, digits, '+' and '/'")
}

/// Those of a hash that can be trusted; the others do not count, unless there is no other.
fn read_fingerprints(attributes: &[Attribute], place: &dyn Fn() -> String) -> Result<Vec<Fingerprint>, String> {
    let lines = attributes.iter().filter(|attribute| attribute.attribute == "fingerprint");
    let (mut good, mut weak) = (Vec::new(), None);
    for line in lines.map(|line| line.value.as_deref().unwrap_or_default().trim()) {
        let (algorithm, digits) = line.split_once(' ').unwrap_or((line, ""));
        let algorithm = algorithm.to_ascii_lowercase();
        let Some((_, len)) = HASHES.iter().find(|(name, _)| *name == algorithm) else {
            weak = Some(algorithm);
            continue;
        };
        let digest = read_digest(digits).filter(|digest| digest.len() == *len).ok_or_else(|| {
            format!("{}: a=fingerprint:{algorithm} is broken; wanted: {len} bytes in hexadecimal, with colons", place())
        })?;
        let fingerprint = Fingerprint { algorithm, digest };
        if !good.contains(&fingerprint) {
            good.push(fingerprint);
        }
        if good.len() > FINGERPRINTS_MAX {
            return Err(format!("{} has too many a=fingerprint; wanted: at most {FINGERPRINTS_MAX}", place()));
        }
    }
    match weak {
        Some(weak) if good.is_empty() => Err(format!(
            "{}: a=fingerprint by {} is refused; wanted: sha-256, sha-384 or sha-512",
            place(),
            shown(&weak)
        )),
        _ => {
            good.sort();
            Ok(good)
        }
    }
}

fn read_digest(text: &str) -> Option<Vec<u8>> {
    let byte = |pair: &str| {
        let hex = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
        hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
    };
    text.trim().split(':').map(byte).collect()
}
