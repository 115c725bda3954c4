//! An endpoint URL put together from its parts, and one that is changed in some of them.
//!
//! Owns how parts are written into the text, which stays what counts: every draft is parsed as if it had been typed.
//! The hard thing: a stored passphrase is shown as `***` and sent back so. It must survive that, and must not be had by
//! sending it to another host.

use std::fmt::Write as _;

use super::error::SrtUrlError;
use super::host::read_host;
use super::parse::{decode, unknown_key};
use super::redact::HIDDEN;
use super::{SrtUrl, is_passphrase, options};

/// A URL that is being put together. It may be wrong until [`SrtUrlDraft::build`] has read it, and may hold a secret: it
/// has no `Debug`.
#[derive(Default)]
pub struct SrtUrlDraft {
    /// As in a URL; empty for none.
    host: String,
    port: Option<u16>,
    /// Pieces of the query as they are written there.
    pieces: Vec<(String, String)>,
}

impl SrtUrlDraft {
    /// Of a URL, to be changed; its passphrase is `***` in the draft.
    pub fn of(url: &SrtUrl) -> Self {
        Self { host: url.host.as_ref().map(ToString::to_string).unwrap_or_default(), ..Self::split(&url.redacted()) }
    }

    /// Of a text that [`SrtUrl::parse_in_place_of`] has read.
    pub fn split(text: &str) -> Self {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let authority = address.split_once("://").map_or("", |(_, rest)| rest.trim_end_matches('/'));
        // A colon inside brackets belongs to an IPv6 address.
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']')) {
            Some((host, port)) => (host, port.parse().ok()),
            None => (authority, None),
        };
        let pieces = query.split('&').filter_map(|piece| piece.split_once('='));
        Self {
            host: host.to_owned(),
            port,
            pieces: pieces.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }

    /// The host it names.
    pub fn host(&self) -> Option<&str> {
        Some(self.host.as_str()).filter(|host| !host.is_empty())
    }

    /// The port it names.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Names another host; an IPv6 address with or without brackets.
    ///
    /// # Errors
    /// It is no host.
    pub fn set_host(&mut self, host: Option<&str>) -> Result<(), SrtUrlError> {
        self.host = host.map(read_host).transpose()?.map(|host| host.to_string()).unwrap_or_default();
        Ok(())
    }

    /// Names another port; [`super::DEFAULT_PORT`] is meant by none.
    ///
    /// # Errors
    /// It is not from 1 to 65535.
    pub fn set_port(&mut self, port: Option<i64>) -> Result<(), SrtUrlError> {
        let read = |port: i64| u16::try_from(port).ok().filter(|port| *port > 0);
        self.port = match port {
            None => None,
            Some(given) => Some(read(given).ok_or_else(|| SrtUrlError::Port { given: given.to_string() })?),
        };
        Ok(())
    }

    /// Whether it names another value of `key` than `value`: none is not another one.
    pub fn contradicts(&self, key: &str, value: &str) -> bool {
        let Some((stated, kind)) = self.stated(key).zip(options::find(key).map(|spec| spec.kind)) else { return false };
        match (kind.read(&stated), kind.read(value)) {
            (Ok(stated), Ok(value)) => stated != value,
            // A bad value is named as such when it is built.
            _ => false,
        }
    }

    /// Sets or takes out a key of the query, by any of its spellings.
    ///
    /// # Errors
    /// There is no such key.
    pub fn set(&mut self, key: &str, value: Option<&str>) -> Result<(), SrtUrlError> {
        let spec = options::find(key).ok_or_else(|| unknown_key(key, value.is_some(), self.pieces.len() + 1))?;
        let same = |raw: &str| decode(raw).is_ok_and(|key| options::find(&key).is_some_and(|it| it.name == spec.name));
        match (self.pieces.iter().position(|(raw, _)| same(raw)), value) {
            (Some(at), Some(value)) => self.pieces[at].1 = escape(value),
            (Some(at), None) => drop(self.pieces.remove(at)),
            (None, Some(value)) => self.pieces.push((spec.name.to_owned(), escape(value))),
            (None, None) => {}
        }
        Ok(())
    }

    /// The URL, in the place of `stored`.
    ///
    /// # Errors
    /// As [`SrtUrl::parse_in_place_of`].
    pub fn build(&self, stored: Option<&SrtUrl>) -> Result<SrtUrl, SrtUrlError> {
        let mut text = format!("srt://{}", self.host);
        if let Some(port) = self.port {
            let _ = write!(text, ":{port}");
        }
        for (at, (key, value)) in self.pieces.iter().enumerate() {
            let _ = write!(text, "{}{key}={value}", if at == 0 { '?' } else { '&' });
        }
        SrtUrl::parse_in_place_of(&text, stored)
    }

    /// The decoded value of a key.
    fn stated(&self, key: &str) -> Option<String> {
        let spec = options::find(key)?;
        let same = |raw: &str| decode(raw).is_ok_and(|key| options::find(&key).is_some_and(|it| it.name == spec.name));
        let (_, value) = self.pieces.iter().find(|(raw, _)| same(raw))?;
        decode(value).ok().map(|value| value.into_owned())
    }
}

impl SrtUrl {
    /// Parses a URL in the place of `stored`: `***` in it is the stored passphrase.
    ///
    /// # Errors
    /// As [`SrtUrl::parse`], and when the stored passphrase would go to another host.
    pub fn parse_in_place_of(text: &str, stored: Option<&Self>) -> Result<Self, SrtUrlError> {
        let Some((stored, secret)) = stored.and_then(|stored| Some((stored, stored.raw_passphrase()?))) else {
            return Self::parse(text);
        };
        let Some((address, query)) = text.split_once('?') else { return Self::parse(text) };
        let mut kept = false;
        let pieces: Vec<String> = query
            .split('&')
            .map(|piece| match piece.split_once('=') {
                Some((key, HIDDEN)) if is_passphrase(key) => {
                    kept = true;
                    format!("{key}={secret}")
                }
                _ => piece.to_owned(),
            })
            .collect();
        if !kept {
            return Self::parse(text);
        }
        let url = Self::parse(&format!("{address}?{}", pieces.join("&")))?;
        stored.may_lend_its_secret_to(&url)?;
        Ok(url)
    }

    /// Whether a passphrase that was given for this URL may be used for `other` without being given anew.
    ///
    /// # Errors
    /// The hosts differ, or who calls whom.
    fn may_lend_its_secret_to(&self, other: &Self) -> Result<(), SrtUrlError> {
        if self.passphrase.is_none() || (&self.host, self.mode) == (&other.host, other.mode) {
            return Ok(());
        }
        Err(SrtUrlError::SecretElsewhere)
    }

    /// Whether it asks for the same, in whatever spelling and order.
    pub fn means_the_same(&self, other: &Self) -> bool {
        let plain = |url: &Self| {
            let mut url = Self { text: String::new(), ..url.clone() };
            url.socket_options.sort_unstable();
            url
        };
        plain(self) == plain(other)
    }

    fn raw_passphrase(&self) -> Option<&str> {
        let (_, query) = self.text.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|piece| piece.split_once('='));
        pairs.find(|(key, _)| is_passphrase(key)).map(|(_, value)| value)
    }
}

/// A value as it is written into a query: what would end it there, and what no URL holds, is percent-encoded.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'%' | b'&') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> SrtUrl {
        SrtUrl::parse(text).expect("URL")
    }

    #[test]
    fn parts_become_one_text() {
        let mut draft = SrtUrlDraft::default();
        draft.set_host(Some("2001:DB8::1")).expect("host");
        draft.set_port(Some(9000)).expect("port");
        draft.set("streamid", Some("#!::r=live/a b&c%,m=publish")).expect("key");
        draft.set("latency", Some("200")).expect("key");
        let built = draft.build(None).expect("built");
        assert_eq!(built.as_given(), "srt://[2001:db8::1]:9000?streamid=#!::r=live/a%20b%26c%25,m=publish&latency=200");
        assert_eq!(built.streamid.as_deref(), Some("#!::r=live/a b&c%,m=publish"));
        let listener = SrtUrlDraft { pieces: vec![("mode".into(), "listener".into())], ..SrtUrlDraft::default() };
        assert_eq!(listener.build(None).map(|url| url.as_given().to_owned()), Ok("srt://?mode=listener".to_owned()));
    }

    #[test]
    fn a_url_is_changed_in_one_part_and_keeps_the_others_as_they_were_written() {
        let before = url("SRT://Example.org:9000/?srt_streamid=a%20b&passphrase=0123456789&maxbw=1");
        let mut draft = SrtUrlDraft::of(&before);
        assert!(!draft.contradicts("streamid", "a b") && draft.contradicts("streamid", "b"));
        assert!(!draft.contradicts("latency", "1"), "it says nothing of it");
        draft.set("streamid", Some("c")).expect("key");
        draft.set("latency", Some("80")).expect("key");
        draft.set("maxbw", None).expect("key");
        let after = draft.build(Some(&before)).expect("built");
        assert_eq!(after.as_given(), "srt://example.org:9000?srt_streamid=c&passphrase=0123456789&latency=80");
        assert_eq!(SrtUrlDraft::of(&url("srt://[::1]?latency=1")).port, None);
        assert_eq!(SrtUrlDraft::of(&url("srt://[::1]:4200/?latency=1")).port, Some(4200));
    }

    #[test]
    fn what_is_no_part_is_refused_with_its_name() {
        let mut draft = SrtUrlDraft::default();
        for bad in ["", "a b", "h:9000", "h/x", "h?latency=1", "u@h", "::1::", "[::1", "[::1]:9", "10.1.1", "h#"] {
            assert_eq!(draft.set_host(Some(bad)).map_err(|error| error.key()), Err(Some("host")), "{bad:?}");
        }
        for bad in [-1, 0, 65_536] {
            assert_eq!(draft.set_port(Some(bad)).map_err(|error| error.key()), Err(Some("port")), "{bad}");
        }
        assert!(draft.set("latancy", Some("1")).is_err_and(|error| error.to_string().contains("`latency`")));
        draft.set_host(Some("h")).expect("host");
        draft.set("latency", Some("-1")).expect("key");
        assert_eq!(draft.build(None).map_err(|error| error.key()), Err(Some("latency")));
    }

    #[test]
    fn a_hidden_passphrase_is_the_stored_one_at_the_same_host_alone() {
        let stored = url("srt://h:9000?passphrase=01234%2656789&latency=100");
        let at = |text: &str| SrtUrl::parse_in_place_of(text, Some(&stored)).map(|url| url.as_given().to_owned());
        assert_eq!(at("srt://h:9000?passphrase=***&latency=100"), Ok(stored.as_given().to_owned()));
        assert_eq!(
            at("srt://h:9001?latency=7&passphrase=***"),
            Ok("srt://h:9001?latency=7&passphrase=01234%2656789".into())
        );
        assert_eq!(at("srt://evil:9000?passphrase=***"), Err(SrtUrlError::SecretElsewhere));
        assert_eq!(at("srt://:9000?mode=listener&passphrase=***"), Err(SrtUrlError::SecretElsewhere));
        assert_eq!(at("srt://evil:9000"), Ok("srt://evil:9000".into()));
        let plain = url("srt://h:9000");
        let hidden = SrtUrl::parse_in_place_of("srt://h:9000?passphrase=***", Some(&plain));
        assert_eq!(hidden.map_err(|error| error.key()), Err(Some("passphrase")), "nothing is stored");
    }

    #[test]
    fn the_same_is_meant_by_other_spellings() {
        let one = url("srt://H:4200?payloadsize=188&tlpktdrop=yes&fc=64");
        assert!(one.means_the_same(&url("srt://h?fc=64&tlpktdrop=1&pkt_size=188")));
        assert!(!one.means_the_same(&url("srt://h?fc=64&tlpktdrop=0&pkt_size=188")));
        assert!(!url("srt://h?passphrase=0123456789").means_the_same(&url("srt://h?passphrase=0123456780")));
    }

    proptest! {
        #[test]
        fn any_text_comes_back_out_of_a_value(text in "[^\\p{C}]{1,40}") {
            let mut draft = SrtUrlDraft::default();
            draft.set_host(Some("h")).expect("host");
            draft.set("streamid", Some(&text)).expect("key");
            let built = draft.build(None).expect("built");
            prop_assert_eq!(built.streamid.as_deref(), Some(text.as_str()));
            let again = SrtUrlDraft::of(&built).build(None).expect("again");
            prop_assert_eq!(again.as_given(), built.as_given());
        }
    }
}
