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
mod parse;
mod parts;
mod redact;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

pub use error::SrtUrlError;
pub use host::{DEFAULT_PORT, SrtHost};
pub use options::{
    CALLERS_DEFAULT, CALLERS_MAX, LATENCY_MS_MAX, OPTIONS, OptionSpec, PASSPHRASE_LEN_MAX, PASSPHRASE_LEN_MIN,
    STREAMID_LEN_MAX, TIMEOUT_MS_MAX, options_markdown,
};
pub use parts::SrtUrlDraft;
pub use redact::redact;

use options::Slot;

/// Longest endpoint URL, in bytes. A 512-byte stream id and a 79-byte passphrase with every byte escaped
/// take 1773; the rest is room for options.
pub const URL_LEN_MAX: usize = 4096;

/// Payload of an SRT packet when `pkt_size` isn't given, in bytes (libsrt: `SRT_LIVE_DEF_PLSIZE`).
pub const PAYLOAD_SIZE_DEFAULT: u32 = 1316;

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
    /// How many callers may be connected at once, 1 to [`CALLERS_MAX`]; only in listener mode.
    pub callers_max: Option<u32>,
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
        parse::parse(text)
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

/// The name in the table of a key in any of its spellings.
pub fn option_name(key: &str) -> Option<&'static str> {
    options::find(key).map(|spec| spec.name)
}

fn is_passphrase(raw_key: &str) -> bool {
    parse::decode(raw_key).is_ok_and(|key| options::find(&key).is_some_and(|spec| spec.slot == Slot::Passphrase))
}
