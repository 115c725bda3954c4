//! From the text of an endpoint URL to its parts.
//!
//! Owns the grammar and the checks between keys; the keys themselves are in `options`, their values in
//! `value`. The hard thing: text in which a `=` or an `&` was forgotten may hold a passphrase at any place,
//! so an error repeats only what is known to be something else.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::error::{SrtUrlError, quote};
use super::host::{self, SrtHost};
use super::options::{self, OptionSpec, Slot};
use super::value::{Kind, Value};
use super::{PAYLOAD_SIZE_DEFAULT, Secret, SrtMode, SrtUrl, URL_LEN_MAX};

/// IPv4, UDP and SRT headers, in bytes: what `mss` counts on top of the payload.
const PACKET_HEADERS_BYTES: u32 = 44;

/// Packets between changes of the key when not given (libsrt: `HAICRYPT_DEF_KM_REFRESH_RATE`).
const KM_REFRESH_PACKETS_DEFAULT: i64 = 0x100_0000;

/// Longest unknown key that a message repeats, in bytes; more is no slip of the pen.
const UNKNOWN_KEY_LEN_MAX: usize = 32;

/// Parses an endpoint URL; see [`SrtUrl::parse`].
pub(super) fn parse(text: &str) -> Result<SrtUrl, SrtUrlError> {
    check_characters(text)?;
    let (_, rest) = text
        .split_once("://")
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("srt"))
        .ok_or_else(|| SrtUrlError::Scheme { given: scheme_given(text) })?;
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    if address.contains('@') {
        return Err(SrtUrlError::UserInfo);
    }
    if address.contains('#') {
        return Err(SrtUrlError::Fragment);
    }
    let (authority, path) = address.split_once('/').unwrap_or((address, ""));
    if !path.is_empty() {
        return Err(SrtUrlError::Path { given: quote(&address[authority.len()..]) });
    }
    let (host, port) = host::read_authority(authority)?;
    let mut url = SrtUrl {
        text: text.to_owned(),
        mode: SrtMode::default(),
        host,
        port,
        streamid: None,
        passphrase: None,
        pbkeylen: None,
        latency_ms: None,
        rcvlatency_ms: None,
        peerlatency_ms: None,
        localaddress: None,
        localport: None,
        connect_timeout_ms: None,
        payload_size: None,
        callers_max: None,
        socket_options: Vec::new(),
    };
    url.read_query(query)?;
    url.check_combinations()?;
    Ok(url)
}

impl SrtUrl {
    fn read_query(&mut self, query: &str) -> Result<(), SrtUrlError> {
        let mut seen: Vec<&'static str> = Vec::new();
        for (index, piece) in query.split('&').enumerate() {
            if piece.is_empty() {
                continue;
            }
            let number = index + 1;
            let (raw_key, raw_value) = match piece.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (piece, None),
            };
            let key = decode(raw_key).map_err(|problem| SrtUrlError::Escape {
                part: format!("the key of piece {number} of the query"),
                problem,
            })?;
            let Some(spec) = options::find(&key) else {
                return Err(unknown_key(&key, raw_value.is_some(), number));
            };
            if seen.contains(&spec.name) {
                return Err(SrtUrlError::DuplicateKey { key: spec.name });
            }
            seen.push(spec.name);
            let raw_value = raw_value
                .filter(|value| !value.is_empty())
                .ok_or_else(|| SrtUrlError::NoValue { key: spec.name, wanted: spec.wanted() })?;
            let value = decode(raw_value)
                .map_err(|problem| SrtUrlError::Escape { part: format!("`{}`", spec.name), problem })?;
            let read = spec.kind.read(&value).map_err(|given| SrtUrlError::Value {
                key: spec.name,
                given,
                wanted: spec.wanted(),
                hint: hint(spec, &value),
            })?;
            self.set(spec, read);
        }
        Ok(())
    }

    fn set(&mut self, spec: &'static OptionSpec, value: Value) {
        // The table gives each slot a kind whose range fits, so no conversion below loses anything; the
        // test `every_slot_holds_both_ends_of_its_range` holds that.
        match (spec.slot, value) {
            (Slot::Mode, Value::Mode(mode)) => self.mode = mode,
            (Slot::LocalAddress, Value::Address(ip)) => self.localaddress = Some(ip),
            (Slot::Streamid, Value::Text(text)) => self.streamid = Some(text),
            (Slot::Passphrase, Value::Text(text)) => self.passphrase = Some(Secret(text)),
            (Slot::Pbkeylen, Value::Int(n)) => {
                self.pbkeylen = u8::try_from(n).ok().filter(|length| *length > 0);
            }
            (Slot::Latency, Value::Int(n)) => self.latency_ms = u32::try_from(n).ok(),
            (Slot::RcvLatency, Value::Int(n)) => self.rcvlatency_ms = u32::try_from(n).ok(),
            (Slot::PeerLatency, Value::Int(n)) => self.peerlatency_ms = u32::try_from(n).ok(),
            (Slot::LocalPort, Value::Int(n)) => self.localport = u16::try_from(n).ok(),
            (Slot::ConnectTimeout, Value::Int(n)) => self.connect_timeout_ms = u32::try_from(n).ok(),
            (Slot::PayloadSize, Value::Int(n)) => self.payload_size = u32::try_from(n).ok(),
            (Slot::CallersMax, Value::Int(n)) => self.callers_max = u32::try_from(n).ok(),
            (Slot::Socket | Slot::UdpSocket, Value::Int(n)) => {
                self.socket_options.push((spec.name, n.to_string()));
            }
            (Slot::Socket | Slot::UdpSocket, Value::Text(text)) => {
                self.socket_options.push((spec.name, text));
            }
            (Slot::Fixed, _) => {}
            (slot, value) => debug_assert!(false, "{slot:?} can't hold {value:?}"),
        }
    }

    fn check_combinations(&self) -> Result<(), SrtUrlError> {
        let refuse = |text: String| Err(SrtUrlError::Combination(text));
        match (&self.host, self.mode) {
            (None, SrtMode::Listener) => {}
            (None, _) => return Err(SrtUrlError::NoHost),
            (Some(SrtHost::Name(name)), SrtMode::Listener) => {
                return Err(SrtUrlError::Host {
                    given: quote(name),
                    problem: "is a name; wanted with mode=listener: an address of this server, or nothing for any",
                });
            }
            (Some(SrtHost::Ip(ip)), SrtMode::Caller | SrtMode::Rendezvous) => {
                if let Some(problem) = host::destination_problem(*ip) {
                    return Err(SrtUrlError::Host { given: quote(&ip.to_string()), problem });
                }
                if let Some(local) = self.localaddress
                    && local.is_ipv4() != ip.is_ipv4()
                {
                    return refuse(format!(
                        "`localaddress` is {local} and the host {ip}; wanted: both IPv4 or both IPv6"
                    ));
                }
            }
            (Some(_), _) => {}
        }
        if self.mode == SrtMode::Listener && (self.localaddress.is_some() || self.localport.is_some()) {
            return refuse(
                "with mode=listener the address and port to listen on stand in the place of the host; \
                 `localaddress` and `localport` have to be left out"
                    .to_owned(),
            );
        }
        if let Some(most) = self.callers_max.filter(|_| self.mode != SrtMode::Listener) {
            return refuse(format!("`maxcallers` is {most} and nobody can call; wanted: mode=listener with it"));
        }
        if let (Some(length), None) = (self.pbkeylen, &self.passphrase) {
            return refuse(format!(
                "`pbkeylen` is {length} and there is no `passphrase`, so nothing would be encrypted; \
                 wanted: both or neither"
            ));
        }
        let number = |name| self.socket_option(name).and_then(|value| value.parse::<i64>().ok());
        if let Some(mss) = number("mss") {
            let payload = self.payload_size.unwrap_or(PAYLOAD_SIZE_DEFAULT);
            let least = payload + PACKET_HEADERS_BYTES;
            if mss < i64::from(least) {
                return refuse(format!(
                    "`mss` is {mss} and can't carry packets of {payload} bytes; wanted: at least {least}, \
                     or a smaller `pkt_size`"
                ));
            }
        }
        if let Some(announce) = number("kmpreannounce") {
            let most = (number("kmrefreshrate").unwrap_or(KM_REFRESH_PACKETS_DEFAULT) - 1) / 2;
            if announce > most {
                return refuse(format!(
                    "`kmpreannounce` is {announce}; wanted: at most {most}, half of `kmrefreshrate`"
                ));
            }
        }
        Ok(())
    }
}

fn check_characters(text: &str) -> Result<(), SrtUrlError> {
    if text.is_empty() {
        return Err(SrtUrlError::Empty);
    }
    if text.len() > URL_LEN_MAX {
        return Err(SrtUrlError::TooLong(text.len()));
    }
    match text.char_indices().find(|(_, c)| c.is_control() || c.is_whitespace()) {
        Some((at, ' ')) => Err(SrtUrlError::ForbiddenCharacter { what: "a space".to_owned(), at }),
        Some((at, c)) => {
            let what = format!("the control or blank character U+{:04X}", u32::from(c));
            Err(SrtUrlError::ForbiddenCharacter { what, at })
        }
        None => Ok(()),
    }
}

/// How the text begins. Text without a scheme isn't repeated: it may begin with a user's name and password.
fn scheme_given(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, _)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
            format!("with {}", quote(&format!("{scheme}://")))
        }
        _ => "without a scheme".to_owned(),
    }
}

/// One layer of percent-encoding; `+` stays `+`.
pub(super) fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let bytes = text.as_bytes();
    let whole = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if text.match_indices('%').any(|(at, _)| !whole(at)) {
        return Err("holds a `%` without two hex digits behind it; a percent sign itself is written %25");
    }
    percent_decode_str(text).decode_utf8().map_err(|_| "holds percent-encoded bytes that are no UTF-8")
}

pub(super) fn unknown_key(key: &str, has_value: bool, number: usize) -> SrtUrlError {
    if let Some((key, reason)) = options::unsupported(key) {
        return SrtUrlError::UnsupportedKey { key, reason };
    }
    let plausible = (1..=UNKNOWN_KEY_LEN_MAX).contains(&key.len())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if !has_value || !plausible {
        return SrtUrlError::NotAPair { number };
    }
    SrtUrlError::UnknownKey { key: format!("`{key}`"), hint: options::advise(key) }
}

/// Advice about a refused value, or nothing: a time out of range is most often in another unit.
fn hint(spec: &OptionSpec, value: &str) -> String {
    let Kind::Int { max, .. } = spec.kind else {
        return String::new();
    };
    let Some(given) = value.parse::<i64>().ok().filter(|given| *given > max) else {
        return String::new();
    };
    if !spec.unit.starts_with("milliseconds") {
        return String::new();
    }
    let meant = given / 1000;
    if (1..=max).contains(&meant) {
        format!("; if that is in microseconds, as many of ffmpeg's options are, write {}={meant}", spec.name)
    } else {
        "; it is in milliseconds, not in microseconds as many of ffmpeg's options are".to_owned()
    }
}
