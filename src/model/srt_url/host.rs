//! The host of an endpoint URL, and the port behind it.
//!
//! Resolves nothing. The hard thing: what looks like an IPv4 address and isn't one (`10.1.1`, `0x7f.1`) must
//! not reach a resolver, which would read it in its own way.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::error::{SrtUrlError, quote};

/// Port meant when a URL has none: Ant Media Server's and this service's SRT port.
pub const DEFAULT_PORT: u16 = 4200;

/// Longest DNS name, in bytes (RFC 1035, section 2.3.4).
const NAME_LEN_MAX: usize = 253;

/// Longest label of a DNS name, in bytes (same place).
const LABEL_LEN_MAX: usize = 63;

/// Host of an endpoint URL; `Display` writes it as in a URL, IPv6 in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SrtHost {
    /// An address literal.
    Ip(IpAddr),
    /// A DNS name in lower case, to be resolved at each attempt to connect.
    Name(String),
}

impl fmt::Display for SrtHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Reads `host`, `host:port`, `[v6]`, `[v6]:port`, `:port` or nothing.
pub(super) fn read_authority(text: &str) -> Result<(Option<SrtHost>, u16), SrtUrlError> {
    let refused = |given: &str, problem| Err(SrtUrlError::Host { given: quote(given), problem });
    if let Some(rest) = text.strip_prefix('[') {
        let Some((inner, after)) = rest.split_once(']') else {
            return refused(text, "has no closing bracket; wanted: [IPv6 address]");
        };
        if inner.contains('%') {
            return refused(text, "has a zone, which SRT doesn't know; wanted: a global or unique local address");
        }
        let Ok(ip) = inner.parse::<Ipv6Addr>() else {
            return refused(text, "is no IPv6 address in brackets");
        };
        let port = match after.strip_prefix(':') {
            Some(port) => read_port(port)?,
            None if after.is_empty() => DEFAULT_PORT,
            None => {
                return refused(text, "goes on after the bracket; wanted: nothing or :port there");
            }
        };
        return Ok((Some(SrtHost::Ip(ip.into())), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            return refused(text, "has several colons; wanted: an IPv6 address in brackets, srt://[::1]:4200");
        }
        Some((host, port)) => (host, read_port(port)?),
        None => (text, DEFAULT_PORT),
    };
    if host.is_empty() {
        return Ok((None, port));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok((Some(SrtHost::Ip(ip)), port));
    }
    match name_problem(host) {
        Some(problem) => refused(host, problem),
        None => Ok((Some(SrtHost::Name(host.to_ascii_lowercase())), port)),
    }
}

/// Reads a host alone; an IPv6 address needs no brackets here.
pub(super) fn read_host(text: &str) -> Result<SrtHost, SrtUrlError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SrtHost::Ip(ip));
    }
    let refused = |problem| Err(SrtUrlError::Host { given: quote(text), problem });
    if text.contains(':') && !(text.starts_with('[') && text.ends_with(']')) {
        return refused("is no IPv6 address, and a port is a part of its own");
    }
    match read_authority(text)? {
        (Some(host), _) => Ok(host),
        (None, _) => refused("is empty"),
    }
}

fn read_port(text: &str) -> Result<u16, SrtUrlError> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ if digits && !text.is_empty() => Err(SrtUrlError::Port { given: quote(text) }),
        _ => Err(SrtUrlError::Port { given: "no number".to_owned() }),
    }
}

fn name_problem(name: &str) -> Option<&'static str> {
    if !name.is_ascii() {
        return Some("has letters outside ASCII; wanted: its DNS form (xn--…)");
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Some("has characters that no host has; wanted: a name, an IPv4 address or [an IPv6 address]");
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > NAME_LEN_MAX {
        return Some("is longer than the 253 bytes of a DNS name");
    }
    let bad =
        |label: &str| !(1..=LABEL_LEN_MAX).contains(&label.len()) || label.starts_with('-') || label.ends_with('-');
    if name.split('.').any(bad) {
        return Some("is no DNS name: each part has 1 to 63 bytes and no hyphen at its ends");
    }
    // The rule of the WHATWG URL standard ("ends in a number"): such a name is an address or an error.
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    if last.bytes().all(|b| b.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return Some("is no IPv4 address; wanted: four numbers from 0 to 255");
    }
    None
}

/// Why nobody can be called at this address, if so.
pub(super) fn destination_problem(ip: IpAddr) -> Option<&'static str> {
    let ip = ip.to_canonical();
    if ip.is_unspecified() {
        return Some("stands for any address and can't be called; wanted: the receiver's address");
    }
    if ip.is_multicast() || matches!(ip, IpAddr::V4(v4) if v4.is_broadcast()) {
        return Some("is a multicast or broadcast address, and SRT speaks to one receiver");
    }
    None
}
