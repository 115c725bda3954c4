//! The address of an endpoint: `srt://host[:port][?key=value&…]`, parsed and valid, or refused with the reason.
//!
//! Owns what an endpoint may ask for; knows neither GStreamer nor libsrt nor DNS. The hard thing is that the
//! text isn't quite a URL as RFC 3986 has it: people write `streamid=#!::r=app/stream,m=publish` without
//! escapes, so `#` cuts nothing and a value ends at `&` only; while everything `srtsink` would silently
//! ignore (unknown keys, wrong case, a path, a missing port) has to be caught here.
//!
//! Decisions: `+` stays `+`, as `srtsink`, ffmpeg and Ant Media Server have it. `pbkeylen` without a
//! passphrase is refused, although libsrt ignores it: who writes it believes the stream is encrypted. A
//! repeated key is refused, since every other program takes another one of the two.

mod error;
mod host;
mod options;
mod redact;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

pub use error::SrtUrlError;
pub use host::{DEFAULT_PORT, SrtHost};
pub use options::{
    LATENCY_MS_MAX, OPTIONS, OptionSpec, PASSPHRASE_LEN_MAX, PASSPHRASE_LEN_MIN, STREAMID_LEN_MAX, TIMEOUT_MS_MAX,
    options_markdown,
};
pub use redact::redact;

use error::quote;
use options::Slot;
use value::{Kind, Value};

/// Longest endpoint URL, in bytes. A 512-byte stream id and a 79-byte passphrase with every byte escaped
/// take 1773; the rest is room for options.
pub const URL_LEN_MAX: usize = 4096;

/// Payload of an SRT packet when `pkt_size` isn't given, in bytes (libsrt: `SRT_LIVE_DEF_PLSIZE`).
pub const PAYLOAD_SIZE_DEFAULT: u32 = 1316;

/// IPv4, UDP and SRT headers, in bytes: what `mss` counts on top of the payload.
const PACKET_HEADERS_BYTES: u32 = 44;

/// Packets between changes of the key when not given (libsrt: `HAICRYPT_DEF_KM_REFRESH_RATE`).
const KM_REFRESH_PACKETS_DEFAULT: i64 = 0x100_0000;

/// Longest unknown key that a message repeats, in bytes; more is no slip of the pen.
const UNKNOWN_KEY_LEN_MAX: usize = 32;

/// Who opens the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SrtMode {
    /// The endpoint calls the receiver.
    #[default]
    Caller,
    /// The receiver calls the endpoint, which listens on the URL's host and port.
    Listener,
    /// Both call each other at once.
    Rendezvous,
}

impl SrtMode {
    /// The word in the URL and in `srtsink`'s property.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Listener => "listener",
            Self::Rendezvous => "rendezvous",
        }
    }
}

impl fmt::Display for SrtMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is never printed: `Debug` and `Display` write `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. For the element or socket that needs it, nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(redact::HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(redact::HIDDEN)
    }
}

/// A valid endpoint URL. `Debug` and `Display` are redacted; equal means the same text.
#[derive(Clone, PartialEq, Eq)]
pub struct SrtUrl {
    /// The text as the user gave it: it is stored, and two endpoints with the same text are duplicates.
    text: String,
    /// Who calls.
    pub mode: SrtMode,
    /// Where to call; in listener mode the address to listen on (always an address), `None` there for any.
    pub host: Option<SrtHost>,
    /// UDP port at the host, [`DEFAULT_PORT`] when not given.
    pub port: u16,
    /// Stream id, decoded; 1 to [`STREAMID_LEN_MAX`] bytes.
    pub streamid: Option<String>,
    /// Passphrase, decoded; [`PASSPHRASE_LEN_MIN`] to [`PASSPHRASE_LEN_MAX`] bytes.
    pub passphrase: Option<Secret>,
    /// Key length in bytes, 16, 24 or 32; `None` also for 0, libsrt's choice. Only with a passphrase.
    pub pbkeylen: Option<u8>,
    /// Latency in both directions, in milliseconds, up to [`LATENCY_MS_MAX`].
    pub latency_ms: Option<u32>,
    /// Latency of what is received, in milliseconds; goes before `latency_ms`.
    pub rcvlatency_ms: Option<u32>,
    /// Latency asked of the peer, in milliseconds; goes before `latency_ms`.
    pub peerlatency_ms: Option<u32>,
    /// Address to send from; never in listener mode; of the same family as `host` if that is an address.
    pub localaddress: Option<IpAddr>,
    /// UDP port to send from; never in listener mode.
    pub localport: Option<u16>,
    /// Time for one attempt to connect, in milliseconds, 100 to [`TIMEOUT_MS_MAX`].
    pub connect_timeout_ms: Option<u32>,
    /// Payload of a packet in bytes: a multiple of 188 up to 1316.
    pub payload_size: Option<u32>,
    /// Every other option, in the order given: `srtsink`'s spelling in a URI, and a value that it takes
    /// (decimal numbers, 1 or 0) and that needs no escaping there.
    pub socket_options: Vec<(&'static str, String)>,
}

impl SrtUrl {
    /// Parses an endpoint URL.
    ///
    /// # Errors
    /// The first thing wrong with it, from left to right; combinations last.
    pub fn parse(text: &str) -> Result<Self, SrtUrlError> {
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
        let mut url = Self {
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
            socket_options: Vec::new(),
        };
        url.read_query(query)?;
        url.check_combinations()?;
        Ok(url)
    }

    /// The exact text that was parsed. Holds the passphrase: for the store and for finding duplicates only.
    pub fn as_given(&self) -> &str {
        &self.text
    }

    /// The text as given, with `***` for the passphrase.
    pub fn redacted(&self) -> String {
        let Some((address, query)) = self.text.split_once('?') else {
            return self.text.clone();
        };
        let pieces: Vec<Cow<'_, str>> = query
            .split('&')
            .map(|piece| match piece.split_once('=') {
                Some((key, _)) if is_passphrase(key) => format!("{key}={}", redact::HIDDEN).into(),
                _ => piece.into(),
            })
            .collect();
        format!("{address}?{}", pieces.join("&"))
    }

    /// Whether this endpoint can't share its local UDP port with others. libsrt shares one between sockets
    /// only if all their UDP settings are equal (`CSrtMuxerConfig`, and the buffers are cut to the first
    /// one's `mss`), and one port serves callers of one address family. `sndbuf` and `rcvbuf` are SRT's own
    /// buffers and change nothing here. A host name may still turn out to be IPv6: ask again then.
    pub fn needs_private_port(&self) -> bool {
        self.mode != SrtMode::Caller
            || matches!(self.host, Some(SrtHost::Ip(IpAddr::V6(_))))
            || self.localaddress.is_some()
            || self.localport.is_some()
            || self
                .socket_options
                .iter()
                .any(|(name, _)| options::find(name).is_some_and(|spec| spec.slot == Slot::UdpSocket))
    }

    /// The value of a socket option, by its name in the table.
    pub fn socket_option(&self, name: &str) -> Option<&str> {
        self.socket_options.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str())
    }

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

impl FromStr for SrtUrl {
    type Err = SrtUrlError;
    fn from_str(text: &str) -> Result<Self, SrtUrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for SrtUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for SrtUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SrtUrl").field(&self.redacted()).finish()
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

/// What stands in the scheme's place: the scheme if there is one, else the beginning of the text.
fn scheme_given(text: &str) -> String {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) if scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
            quote(&format!("{scheme}://"))
        }
        _ => quote(text),
    }
}

/// One layer of percent-encoding; `+` stays `+`.
fn decode(text: &str) -> Result<Cow<'_, str>, &'static str> {
    let bytes = text.as_bytes();
    let whole = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if text.match_indices('%').any(|(at, _)| !whole(at)) {
        return Err("holds a `%` without two hex digits behind it; a percent sign itself is written %25");
    }
    percent_decode_str(text).decode_utf8().map_err(|_| "holds percent-encoded bytes that are no UTF-8")
}

fn is_passphrase(raw_key: &str) -> bool {
    decode(raw_key).is_ok_and(|key| options::find(&key).is_some_and(|spec| spec.slot == Slot::Passphrase))
}

fn unknown_key(key: &str, has_value: bool, number: usize) -> SrtUrlError {
    if let Some((key, reason)) = options::unsupported(key) {
        return SrtUrlError::UnsupportedKey { key, reason };
    }
    let plausible = key.len() <= UNKNOWN_KEY_LEN_MAX
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
        format!("; if that is in microseconds, as ffmpeg has it, write {}={meant}", spec.name)
    } else {
        "; it is in milliseconds, not in microseconds as ffmpeg has it".to_owned()
    }
}
