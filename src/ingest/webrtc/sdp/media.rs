//! One m-line: its payload types with name and parameters, header extensions, sources, candidates.
//!
//! Owns the reading of each and what about it is refused; must not choose. The hard thing: every value that
//! is kept is checked to its last letter, since it goes into GStreamer later.

use std::collections::BTreeMap;

use sdp_types::{Attribute, Media, Session};

use super::text::{is_token, number, shown};
use super::transport::Transport;
use super::{Direction, Kind, check_candidate, place};

/// Longest name of a medium, a protocol, a format or a codec, in bytes.
const NAME_LEN_MAX: usize = 40;

/// Longest parameters of a payload type, in bytes.
const FMTP_LEN_MAX: usize = 1_024;

/// Most synchronisation sources of an m-line: simulcast has six.
const SOURCES_MAX: usize = 32;

/// Most kinds of feedback of a payload type: browsers have five.
const FEEDBACK_MAX: usize = 16;

/// Most candidates of an m-line; the rest is left out. libnice looks at no more pairs.
const CANDIDATES_MAX: usize = 100;

/// What a payload type means that has no `a=rtpmap` (RFC 3551, section 6).
const STATIC_PAYLOADS: [(u8, &str, u32); 23] = [
    (0, "PCMU", 8_000),
    (3, "GSM", 8_000),
    (4, "G723", 8_000),
    (5, "DVI4", 8_000),
    (6, "DVI4", 16_000),
    (7, "LPC", 8_000),
    (8, "PCMA", 8_000),
    (9, "G722", 8_000),
    (10, "L16", 44_100),
    (11, "L16", 44_100),
    (12, "QCELP", 8_000),
    (13, "CN", 8_000),
    (14, "MPA", 90_000),
    (15, "G728", 8_000),
    (16, "DVI4", 11_025),
    (17, "DVI4", 22_050),
    (18, "G729", 8_000),
    (26, "JPEG", 90_000),
    (28, "nv", 90_000),
    (31, "H261", 90_000),
    (32, "MPV", 90_000),
    (33, "MP2T", 90_000),
    (34, "H263", 90_000),
];

/// An m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ingest::webrtc) struct OfferedMedia {
    /// Its place in the offer.
    pub(in crate::ingest::webrtc) index: usize,
    /// Its name.
    pub(in crate::ingest::webrtc) mid: String,
    /// Picture, sound, or else.
    pub(in crate::ingest::webrtc) kind: Kind,
    /// What the offerer does with it.
    pub(in crate::ingest::webrtc) direction: Direction,
    /// Its payload types, in the offerer's order of preference.
    pub(in crate::ingest::webrtc) codecs: Vec<OfferedCodec>,
    /// Header extensions: id and URI.
    pub(in crate::ingest::webrtc) extmaps: Vec<(u8, String)>,
    /// `m=` as offered: medium, protocol, first format.
    pub(super) words: [String; 3],
    /// Whether it is offered at all: a port of 0 takes an m-line back, except in a BUNDLE group.
    pub(super) offered: bool,
    /// Whether it exists only inside its BUNDLE group.
    pub(super) bundle_only: bool,
    /// RTCP of reduced size.
    pub(super) rtcp_rsize: bool,
    /// Where it comes from.
    pub(super) transport: Option<Transport>,
    /// Its synchronisation sources.
    pub(super) sources: Vec<u32>,
    /// Pairs of a source and the one that repeats it.
    pub(super) repairs: Vec<(u32, u32)>,
    /// Candidates that came with the offer, without `a=`.
    pub(super) candidates: Vec<String>,
    /// Whether no more will come.
    pub(super) end_of_candidates: bool,
}

/// A payload type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ingest::webrtc) struct OfferedCodec {
    /// Its number.
    pub(in crate::ingest::webrtc) payload: u8,
    /// Encoding, as written.
    pub(in crate::ingest::webrtc) name: String,
    /// Clock rate in Hz.
    pub(in crate::ingest::webrtc) clock: u32,
    /// Channels, where given.
    pub(in crate::ingest::webrtc) channels: Option<u8>,
    /// Parameters, as written; printable ASCII.
    pub(in crate::ingest::webrtc) fmtp: String,
    /// The payload type that repeats lost packets of this one (RFC 4588).
    pub(in crate::ingest::webrtc) rtx: Option<u8>,
    /// `nack`, `nack pli`, `ccm fir`, `goog-remb`, `transport-cc`, …
    pub(in crate::ingest::webrtc) feedback: Vec<String>,
}

impl OfferedCodec {
    /// Whether the encoding is this one.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// A parameter's value.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        parameters(&self.fmtp).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// `a=1;b=2` as pairs.
pub(super) fn parameters(fmtp: &str) -> impl Iterator<Item = (&str, &str)> {
    fmtp.split(';').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.trim(), value.trim()))
}

impl OfferedMedia {
    /// Whether this m-line brings something that could be taken in.
    pub(super) fn sends(&self, kind: Kind) -> bool {
        self.kind == kind && self.offered && self.direction.sends() && self.transport.is_some()
    }
}

pub(super) fn read(
    session: &Session,
    media: &Media,
    index: usize,
    mid: String,
    transport: Option<Transport>,
) -> Result<OfferedMedia, String> {
    let words = read_words(media, index)?;
    let kind = match media.media.as_str() {
        "video" => Kind::Video,
        "audio" => Kind::Audio,
        "application" => Kind::Application,
        _ => Kind::Other,
    };
    let has = |name: &str| media.attributes.iter().any(|attribute| attribute.attribute == name);
    let (bundle_only, rtcp_mux) = (has("bundle-only"), has("rtcp-mux"));
    let offered = media.port != 0 || bundle_only;
    let is_media = offered && matches!(kind, Kind::Video | Kind::Audio);
    if is_media && !(words[1].ends_with("RTP/SAVPF")) {
        let protocol = shown(&media.proto);
        return Err(format!("{}: protocol {protocol} is not taken; wanted: UDP/TLS/RTP/SAVPF", place(index)));
    }
    if is_media && !rtcp_mux && !bundle_only {
        return Err(format!("{} has no a=rtcp-mux; wanted: RTP and RTCP on one port", place(index)));
    }
    let (sources, repairs) = read_sources(&media.attributes);
    Ok(OfferedMedia {
        index,
        mid,
        kind,
        direction: read_direction(session, media, index)?,
        codecs: if is_media { read_codecs(media, index)? } else { Vec::new() },
        extmaps: read_extmaps(session, media),
        words,
        offered,
        bundle_only,
        rtcp_rsize: has("rtcp-rsize"),
        transport,
        sources,
        repairs,
        candidates: read_candidates(&media.attributes),
        end_of_candidates: has("end-of-candidates"),
    })
}

fn read_words(media: &Media, index: usize) -> Result<[String; 3], String> {
    let format = media.fmt.split(' ').find(|format| !format.is_empty()).unwrap_or_default();
    let proto = media.proto.split('/').all(|part| is_token(part, NAME_LEN_MAX)) && media.proto.len() <= NAME_LEN_MAX;
    if is_token(&media.media, NAME_LEN_MAX) && proto && is_token(format, NAME_LEN_MAX) {
        return Ok([media.media.clone(), media.proto.clone(), format.to_owned()]);
    }
    Err(format!("{} is broken; wanted: a medium, a port, a protocol and formats", place(index)))
}

fn read_direction(session: &Session, media: &Media, index: usize) -> Result<Direction, String> {
    let read = |attributes: &[Attribute]| {
        let mut found = attributes.iter().filter_map(|attribute| match attribute.attribute.as_str() {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        });
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(format!("{} has two directions; wanted: one", place(index))),
            (one, _) => Ok(one),
        }
    };
    Ok(read(&media.attributes)?.or(read(&session.attributes)?).unwrap_or(Direction::SendRecv))
}

/// The values of an attribute that begin with a payload type, by that.
fn by_payload<'a>(media: &'a Media, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let named = media.attributes.iter().filter(move |attribute| attribute.attribute == name);
    named
        .filter_map(|attribute| attribute.value.as_deref()?.trim().split_once(' '))
        .map(|(key, rest)| (key, rest.trim()))
}

fn read_codecs(media: &Media, index: usize) -> Result<Vec<OfferedCodec>, String> {
    let mut codecs: Vec<OfferedCodec> = Vec::new();
    let maps = read_rtpmaps(media, index)?;
    for format in media.fmt.split(' ').filter(|format| !format.is_empty()) {
        let payload = number::<u8>(format).filter(|payload| *payload < 128).ok_or_else(|| {
            format!("{}: payload type {} is none; wanted: a number from 0 to 127", place(index), shown(format))
        })?;
        if codecs.iter().any(|codec| codec.payload == payload) {
            return Err(format!("{}: payload type {payload} is there twice; wanted: once", place(index)));
        }
        let known = STATIC_PAYLOADS.iter().find(|(number, ..)| *number == payload);
        let (name, clock, channels) = match (maps.get(&payload), known) {
            (Some(map), _) => map.clone(),
            (None, Some((_, name, clock))) => ((*name).to_owned(), *clock, None),
            (None, None) => {
                return Err(format!("{}: payload type {payload} has no a=rtpmap; wanted: one", place(index)));
            }
        };
        if name.eq_ignore_ascii_case("opus") && (clock, channels) != (48_000, Some(2)) {
            return Err(format!(
                "{}: a=rtpmap:{payload} is Opus with another clock or number of channels; wanted: opus/48000/2 (RFC 7587)",
                place(index)
            ));
        }
        codecs.push(OfferedCodec {
            payload,
            name,
            clock,
            channels,
            fmtp: String::new(),
            rtx: None,
            feedback: Vec::new(),
        });
    }
    add_parameters(media, index, &mut codecs)?;
    for (payload, words) in by_payload(media, "rtcp-fb").filter(|(_, words)| is_plain(words, NAME_LEN_MAX)) {
        for codec in codecs.iter_mut().filter(|codec| payload == "*" || number(payload) == Some(codec.payload)) {
            if codec.feedback.len() < FEEDBACK_MAX && !codec.feedback.iter().any(|known| known == words) {
                codec.feedback.push(words.to_owned());
            }
        }
    }
    Ok(codecs)
}

type RtpMap = (String, u32, Option<u8>);

fn read_rtpmaps(media: &Media, index: usize) -> Result<BTreeMap<u8, RtpMap>, String> {
    let mut maps = BTreeMap::new();
    for (payload, text) in by_payload(media, "rtpmap") {
        let broken =
            || format!("{}: a=rtpmap:{} {} is broken; wanted: NAME/CLOCK", place(index), shown(payload), shown(text));
        let mut parts = text.split('/');
        let name = parts.next().filter(|name| is_token(name, NAME_LEN_MAX)).ok_or_else(broken)?;
        let clock = parts.next().and_then(number::<u32>).filter(|clock| *clock > 0).ok_or_else(broken)?;
        let channels = parts.next().map(|channels| number::<u8>(channels).ok_or_else(broken)).transpose()?;
        let payload = number::<u8>(payload).ok_or_else(broken)?;
        let map = (name.to_owned(), clock, channels);
        if maps.insert(payload, map.clone()).is_some_and(|other| other != map) {
            return Err(format!("{}: payload type {payload} has two a=rtpmap; wanted: one", place(index)));
        }
    }
    Ok(maps)
}

fn add_parameters(media: &Media, index: usize, codecs: &mut [OfferedCodec]) -> Result<(), String> {
    for (payload, text) in by_payload(media, "fmtp") {
        let Some(codec) = codecs.iter_mut().find(|codec| number(payload) == Some(codec.payload)) else { continue };
        if !is_plain(text, FMTP_LEN_MAX) {
            let payload = codec.payload;
            return Err(format!(
                "{}: a=fmtp:{payload} is not usable; wanted: at most {FMTP_LEN_MAX} printable ASCII characters",
                place(index)
            ));
        }
        text.clone_into(&mut codec.fmtp);
    }
    let repeats: Vec<(u8, u8)> = codecs
        .iter()
        .filter(|codec| codec.is("rtx"))
        .filter_map(|rtx| Some((number(rtx.parameter("apt")?)?, rtx.payload)))
        .collect();
    for (target, rtx) in repeats {
        if let Some(codec) = codecs.iter_mut().find(|codec| codec.payload == target && !codec.is("rtx")) {
            codec.rtx.get_or_insert(rtx);
        }
    }
    Ok(())
}

fn is_plain(text: &str, len_max: usize) -> bool {
    text.len() <= len_max && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Header extensions of the m-line and of the session; what cannot be read is left out, as RFC 8285 wants.
fn read_extmaps(session: &Session, media: &Media) -> Vec<(u8, String)> {
    let mut extmaps: Vec<(u8, String)> = Vec::new();
    for attribute in media.attributes.iter().chain(&session.attributes) {
        let Some(value) = attribute.value.as_deref().filter(|_| attribute.attribute == "extmap") else { continue };
        let mut words = value.trim().split(' ');
        let id = words.next().and_then(|id| number::<u8>(id.split('/').next()?)).filter(|id| *id != 0);
        let uri = words.next().filter(|uri| !uri.is_empty() && is_plain(uri, 256) && !uri.contains(['"', ';']));
        if let Some((id, uri)) = id.zip(uri)
            && !extmaps.iter().any(|(known, other)| *known == id || other == uri)
        {
            extmaps.push((id, uri.to_owned()));
        }
    }
    extmaps
}

fn read_sources(attributes: &[Attribute]) -> (Vec<u32>, Vec<(u32, u32)>) {
    let (mut sources, mut repairs) = (Vec::new(), Vec::new());
    for attribute in attributes {
        let value = attribute.value.as_deref().unwrap_or_default();
        let mut words = value.trim().split(' ');
        match attribute.attribute.as_str() {
            "ssrc" => {
                let source = words.next().and_then(number::<u32>);
                sources.extend(source.filter(|source| !sources.contains(source) && sources.len() < SOURCES_MAX));
            }
            "ssrc-group" if words.next() == Some("FID") => {
                let pair = words.next().and_then(number).zip(words.next().and_then(number));
                repairs.extend(pair.filter(|_| repairs.len() < SOURCES_MAX));
            }
            _ => {}
        }
    }
    (sources, repairs)
}

/// A candidate that cannot be read is left out, as RFC 8839 wants of those of an unknown kind.
fn read_candidates(attributes: &[Attribute]) -> Vec<String> {
    let lines = attributes.iter().filter(|attribute| attribute.attribute == "candidate");
    let texts = lines.filter_map(|line| line.value.as_deref()).map(|value| format!("candidate:{value}"));
    let good = texts.filter_map(|text| check_candidate(&text).ok().flatten());
    good.map(|candidate| candidate.text).take(CANDIDATES_MAX).collect()
}
