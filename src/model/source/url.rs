//! The address alone: scheme by scheme.
//!
//! The hard thing is where credentials end. RFC 3986 ends them at the first `@` before the first `/`; people do not
//! know that. So: they end at the last `@` in front of the path, and where what stands between it and the path can't be
//! a host, or hardly (`rtsp://admin:p@ss/w@10.0.0.1/1`), at the last `@` behind which a host follows.

use std::fmt;
use std::net::IpAddr;

use percent_encoding::percent_decode_str;

use super::picture::TestPicture;
use crate::model::srt_url::{Secret, SrtHost, SrtMode, SrtUrl, redact};

/// Longest address, in bytes, as for endpoints.
const URL_LEN_MAX: usize = 4_096;

/// What stands for credentials.
const HIDDEN: &str = "***";

/// A secret shorter than this is not looked for in other programs' texts: it would blot out half of them.
const SCRUBBED_LEN_MIN: usize = 3;

/// How a source is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// RTSP.
    Rtsp,
    /// RTSP over TLS.
    Rtsps,
    /// RTMP.
    Rtmp,
    /// RTMP over TLS.
    Rtmps,
    /// HLS, MPEG-TS or FLV over HTTP.
    Http,
    /// The same over TLS.
    Https,
}

impl Scheme {
    /// The word in front of `://`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rtsp => "rtsp",
            Self::Rtsps => "rtsps",
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let all = [Self::Rtsp, Self::Rtsps, Self::Rtmp, Self::Rtmps, Self::Http, Self::Https];
        all.into_iter().find(|scheme| scheme.as_str() == word)
    }

    /// The port when none is given.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Rtsp => 554,
            Self::Rtsps => 322,
            Self::Rtmp => 1_935,
            Self::Rtmps | Self::Https => 443,
            Self::Http => 80,
        }
    }

    /// Whether a certificate is shown.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Rtsps | Self::Rtmps | Self::Https)
    }
}

/// User and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user, decoded.
    pub user: String,
    /// The password, decoded.
    pub password: Secret,
}

/// A server, its port and what is asked of it.
#[derive(Clone, PartialEq, Eq)]
pub struct NetUrl {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Who asks.
    pub credentials: Option<Credentials>,
    /// The server.
    pub host: SrtHost,
    /// Its port.
    pub port: u16,
    /// Path and query as given, from the slash on; may be empty. May hold a token.
    pub path: String,
}

impl NetUrl {
    /// The address without credentials, with `host` in the place of its own. For the library that dials; its query may
    /// still hold a token.
    pub fn bare(&self, host: &SrtHost) -> String {
        format!("{}://{host}:{}{}", self.scheme.as_str(), self.port, self.path)
    }

    fn shown(&self) -> String {
        let who = if self.credentials.is_some() { "***@" } else { "" };
        let port = if self.port == self.scheme.default_port() { String::new() } else { format!(":{}", self.port) };
        // Whoever writes an `@` there may have meant it otherwise than it was read.
        let path = match (&self.credentials, self.path.rfind('@')) {
            (Some(_), Some(at)) => format!("/{HIDDEN}{}", &self.path[at..]),
            _ => self.path.clone(),
        };
        format!("{}://{who}{}{port}{}", self.scheme.as_str(), self.host, redact(&path))
    }
}

impl fmt::Debug for NetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Where MPEG-TS comes in by UDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpUrl {
    /// The group to join, or the address of this host to listen on.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// Where to join the group.
    pub interface: Option<String>,
}

/// What is pulled and how.
#[derive(Clone, PartialEq, Eq)]
enum Place {
    Net(NetUrl),
    Srt(SrtUrl),
    Udp(UdpUrl),
    Test(TestPicture),
}

/// A valid address. `Debug` and `Display` hold no secret; equal means that the same is pulled by the same credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl(Place);

/// Why it was refused; no text of it holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SourceUrlError(String);

impl SourceUrlError {
    pub(super) fn value(key: &str, wanted: String) -> Self {
        Self(format!("{} is not {wanted}", redact(key)))
    }

    pub(super) fn key(key: &str, known: &str) -> Self {
        Self(format!("there is no option {:?}; the options are {known}", redact(key)))
    }
}

fn refused<T>(text: impl Into<String>) -> Result<T, SourceUrlError> {
    Err(SourceUrlError(text.into()))
}

impl SourceUrl {
    /// Parses the address of a source.
    ///
    /// # Errors
    /// The first thing wrong with it.
    pub fn parse(text: &str) -> Result<Self, SourceUrlError> {
        if text.len() > URL_LEN_MAX {
            return refused(format!("it has {} bytes, and {URL_LEN_MAX} is the most", text.len()));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refused("it holds a blank or a control character, which has to be written as %XX");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return refused("it has no scheme; wanted is rtsp, rtsps, srt, rtmp, rtmps, http, https, udp or test");
        };
        let scheme = scheme.to_ascii_lowercase();
        let place = match scheme.as_str() {
            "srt" => Place::Srt(srt(&format!("srt://{rest}"))?),
            "udp" => Place::Udp(udp(rest)?),
            "test" => Place::Test(test(rest)?),
            word => match Scheme::parse(word) {
                Some(scheme) => Place::Net(net(scheme, rest)?),
                None => {
                    return refused(format!(
                        "there is no scheme {:?}; wanted is rtsp, rtsps, srt, rtmp, rtmps, http, https, udp or test",
                        word.chars().take(16).collect::<String>()
                    ));
                }
            },
        };
        Ok(Self(place))
    }

    /// The server, for the schemes that have one.
    pub fn net(&self) -> Option<&NetUrl> {
        if let Place::Net(net) = &self.0 { Some(net) } else { None }
    }

    /// For `srt`.
    pub fn srt(&self) -> Option<&SrtUrl> {
        if let Place::Srt(url) = &self.0 { Some(url) } else { None }
    }

    /// For `udp`.
    pub fn udp(&self) -> Option<&UdpUrl> {
        if let Place::Udp(url) = &self.0 { Some(url) } else { None }
    }

    /// For `test`.
    pub fn test(&self) -> Option<&TestPicture> {
        if let Place::Test(picture) = &self.0 { Some(picture) } else { None }
    }

    /// The word in front of `://`.
    pub fn scheme(&self) -> &'static str {
        match &self.0 {
            Place::Net(net) => net.scheme.as_str(),
            Place::Srt(_) => "srt",
            Place::Udp(_) => "udp",
            Place::Test(_) => "test",
        }
    }

    /// Credentials that stand beside the URL, for one that has none.
    pub(super) fn lend_credentials(&mut self, user: &str, password: &str) {
        if let Place::Net(net) = &mut self.0 {
            let lent = Credentials { user: user.to_owned(), password: Secret::new(password) };
            net.credentials.get_or_insert(lent);
        }
    }

    /// Takes this source's secrets out of a text that another program has written.
    pub fn scrub(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let mut hide = |secret: &str| {
            if secret.len() >= SCRUBBED_LEN_MIN {
                text = text.replace(secret, HIDDEN);
            }
        };
        match &self.0 {
            Place::Net(net) => {
                if let Some(credentials) = &net.credentials {
                    hide(credentials.password.expose());
                }
                // A token may stand in the path, with or without a name.
                if net.path.len() > 1 {
                    hide(&net.path);
                }
            }
            Place::Srt(url) => {
                if let Some(passphrase) = &url.passphrase {
                    hide(passphrase.expose());
                }
            }
            Place::Udp(_) | Place::Test(_) => {}
        }
        redact(&text)
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Net(net) => f.write_str(&net.shown()),
            Place::Srt(url) => f.write_str(&url.redacted()),
            Place::Udp(UdpUrl { address, port, interface }) => {
                write!(f, "udp://{}:{port}", SrtHost::Ip(*address))?;
                interface.as_ref().map_or(Ok(()), |interface| write!(f, "?iface={interface}"))
            }
            Place::Test(TestPicture { width, height, fps, bitrate_kbps, tone_hz }) => {
                write!(f, "test://?size={width}x{height}&fps={fps}&bitrate={bitrate_kbps}&tone={tone_hz}")
            }
        }
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceUrl({self})")
    }
}

/// Any text that a client gave for an address, fit to be shown.
pub fn shown(text: &str) -> String {
    match SourceUrl::parse(text.trim()) {
        Ok(url) => match &url.0 {
            // As it was given: there is nothing in it to hide, or its own rule has hidden it.
            Place::Test(_) | Place::Udp(_) => text.to_owned(),
            _ => url.to_string(),
        },
        // Nobody knows where its parts end.
        Err(_) => match (text.find("://"), text.rfind('@')) {
            (Some(scheme), Some(sign)) if sign > scheme => {
                redact(&format!("{}://{HIDDEN}{}", &text[..scheme], &text[sign..]))
            }
            _ => redact(text),
        },
    }
}

fn srt(text: &str) -> Result<SrtUrl, SourceUrlError> {
    let url = SrtUrl::parse(text).map_err(|error| SourceUrlError(error.to_string()))?;
    if url.callers_max.is_some() {
        return refused("`maxcallers` is for endpoints: a source that is called has one caller");
    }
    Ok(url)
}

fn test(rest: &str) -> Result<TestPicture, SourceUrlError> {
    let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !matches!(host, "" | "/") {
        return refused("a test picture has no host; wanted is test:// or test://?size=1280x720&fps=25");
    }
    TestPicture::parse(query)
}

fn udp(rest: &str) -> Result<UdpUrl, SourceUrlError> {
    const WANTED: &str = "wanted is udp://GROUP:PORT, udp://ADDRESS:PORT with an address of this host, or udp://:PORT";
    // VLC writes udp://@group:port.
    let rest = rest.strip_prefix('@').unwrap_or(rest);
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, port) =
        place.rsplit_once(':').ok_or_else(|| SourceUrlError(format!("the port is missing; {WANTED}")))?;
    let port = port.parse().ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| SourceUrlError(format!("the port is no number from 1 to 65535; {WANTED}")))?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = match bare {
        "" => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        bare => bare.parse().map_err(|_| SourceUrlError(format!("the host is no IP address; {WANTED}")))?,
    };
    let mut interface = None;
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        let fits = (1..=15).contains(&value.len()) && value.chars().all(|c| c.is_ascii_graphic() && c != '/');
        match key {
            "iface" if fits && address.is_multicast() => interface = Some(value.to_owned()),
            "iface" if fits => return refused("iface says where to join a group, and the host is none"),
            "iface" => return Err(SourceUrlError::value(key, "the name of a network interface".to_owned())),
            _ => return Err(SourceUrlError::key(key, "iface")),
        }
    }
    Ok(UdpUrl { address, port, interface })
}

fn net(scheme: Scheme, rest: &str) -> Result<NetUrl, SourceUrlError> {
    let (who, place) = split_credentials(rest);
    let end = place.find(['/', '?', '#']).unwrap_or(place.len());
    let (authority, path) = place.split_at(end);
    if path.contains('#') && !matches!(scheme, Scheme::Rtsp | Scheme::Rtsps) {
        return refused("it holds a #, which has to be written as %23");
    }
    let (host, port) = host_and_port(authority, scheme.default_port())?;
    let credentials = who.map(|who| {
        let (user, password) = who.split_once(':').unwrap_or((who, ""));
        Credentials { user: decoded(user), password: Secret::new(decoded(password)) }
    });
    if matches!(scheme, Scheme::Rtmp | Scheme::Rtmps) && path.split('/').filter(|part| !part.is_empty()).count() < 2 {
        return refused(format!("wanted is {}://HOST/APPLICATION/STREAM", scheme.as_str()));
    }
    Ok(NetUrl { scheme, credentials, host, port, path: path.to_owned() })
}

/// What stands before the `@`, and the rest from the host on.
fn split_credentials(rest: &str) -> (Option<&str>, &str) {
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    // What stands from one `@` on to the path.
    let behind = |at: usize| {
        let place = &rest[at + 1..];
        &place[..place.find(['/', '?', '#']).unwrap_or(place.len())]
    };
    let later = || rest.rmatch_indices('@').map(|(at, _)| at).find(|at| Likeness::of(behind(*at)) == Likeness::Surely);
    let at = match authority.rfind('@') {
        Some(at) if Likeness::of(behind(at)) == Likeness::Surely => Some(at),
        Some(at) => later().or(Some(at)),
        // A colon without a port behind it: the password goes on behind the slash.
        None if Likeness::of(authority) == Likeness::No => later().or_else(|| rest.rfind('@')),
        None => None,
    };
    at.map_or((None, rest), |at| (Some(&rest[..at]), &rest[at + 1..]))
}

/// How much a text looks like a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// It can't be one.
    No,
    /// A word, such as passwords hold too.
    Perhaps,
    /// An address, a name with a dot, or one with a port.
    Surely,
}

impl Likeness {
    fn of(authority: &str) -> Self {
        match host_and_port(authority, 1) {
            Err(_) => Self::No,
            Ok((SrtHost::Ip(_), _)) => Self::Surely,
            Ok((SrtHost::Name(name), _)) if name.contains('.') || authority.contains(':') || name == "localhost" => {
                Self::Surely
            }
            Ok(_) => Self::Perhaps,
        }
    }
}

fn host_and_port(authority: &str, default_port: u16) -> Result<(SrtHost, u16), SourceUrlError> {
    // The rules for a host are the endpoints'; their words are for those who write srt://.
    let Ok(url) = SrtUrl::parse(&format!("srt://{authority}")) else {
        return refused(
            "its host or port can't be one; wanted is HOST or HOST:PORT, IPv6 in brackets, and a @, / or : in a password as %40, %2F, %3A",
        );
    };
    let given_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    match url.host {
        Some(host) if url.mode == SrtMode::Caller => Ok((host, if given_port { url.port } else { default_port })),
        _ => refused("it has no host"),
    }
}

/// `%XX` decoded where it is one; a lone `%` stays.
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
