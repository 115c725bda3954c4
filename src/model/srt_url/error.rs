//! Why an endpoint URL was refused, in sentences fit for the person who typed it.
//!
//! Knows nothing of parsing. The hard thing: no sentence may carry a passphrase, not even one that was
//! typed at the wrong place, so every quoted piece goes through [`quote`].

use super::URL_LEN_MAX;
use super::redact::redact;

/// Longest piece of the user's text that a message repeats, in characters.
const QUOTE_CHARS_MAX: usize = 48;

/// Why an endpoint URL was refused. The `Display` text is one sentence that names the part or key,
/// what was given and what is wanted; it never holds a passphrase.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SrtUrlError {
    /// Nothing was given.
    #[error("the endpoint URL is empty; wanted: srt://host[:port][?key=value&…]")]
    Empty,
    /// Longer than [`URL_LEN_MAX`] bytes.
    #[error("the endpoint URL is {0} bytes long; at most {URL_LEN_MAX} are allowed")]
    TooLong(usize),
    /// White space or a control character.
    #[error("the endpoint URL holds {what} at byte {at}; it has to be left out or, inside a value, percent-encoded")]
    ForbiddenCharacter {
        /// Its name or code point.
        what: String,
        /// Where it is, counted from 0.
        at: usize,
    },
    /// Another scheme, or none.
    #[error("the endpoint URL begins {given}; wanted: srt://, the only protocol that endpoints speak")]
    Scheme {
        /// `with` the scheme, quoted, or `without a scheme`.
        given: String,
    },
    /// `user:password@host`.
    #[error(
        "the endpoint URL has a user part before `@`, which SRT doesn't know; credentials go into `streamid` or `passphrase`"
    )]
    UserInfo,
    /// A path other than `/`.
    #[error("the endpoint URL has the path {given}, which SRT doesn't know; a stream's name goes into `streamid`")]
    Path {
        /// The path, quoted.
        given: String,
    },
    /// A `#` before the query.
    #[error("the endpoint URL has a `#` before any `?`; a stream id is written ?streamid=#!::…")]
    Fragment,
    /// No host where the mode needs one.
    #[error("the endpoint URL has no host; only mode=listener goes without one")]
    NoHost,
    /// A host that is no name and no address, or an address nobody can call.
    #[error("the host {given} {problem}")]
    Host {
        /// The host, quoted.
        given: String,
        /// What is wrong with it, and what is wanted.
        problem: &'static str,
    },
    /// A port outside 1 to 65535.
    #[error("the port is {given}; wanted: a whole number from 1 to 65535")]
    Port {
        /// The number; anything else isn't repeated, it may be a password behind a colon.
        given: String,
    },
    /// A key that isn't in the table.
    #[error("{key} is not a key of an endpoint URL; {hint}")]
    UnknownKey {
        /// The key, quoted.
        key: String,
        /// Keys like it, or all of them.
        hint: String,
    },
    /// A key that other programs have and endpoints can't take.
    #[error("`{key}` can't be set on an endpoint: {reason}")]
    UnsupportedKey {
        /// The key.
        key: &'static str,
        /// Why, and what to write instead.
        reason: &'static str,
    },
    /// The same option twice, by whatever spelling.
    #[error("`{key}` is given twice in the endpoint URL; wanted: once (its other spellings count)")]
    DuplicateKey {
        /// The key as in the table.
        key: &'static str,
    },
    /// `key` or `key=`.
    #[error("`{key}` has no value; wanted: {wanted}")]
    NoValue {
        /// The key as in the table.
        key: &'static str,
        /// What would do.
        wanted: String,
    },
    /// A piece of the query that is no `key=value`. Not repeated: it may be the rest of a passphrase.
    #[error("piece {number} of the query is not key=value; an `&` inside a value is written %26")]
    NotAPair {
        /// Which piece, counted from 1.
        number: usize,
    },
    /// A `%` without two hex digits, or bytes that are no UTF-8.
    #[error("{part} {problem}")]
    Escape {
        /// The key in backticks, or which piece.
        part: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A value of the wrong kind or out of range.
    #[error("`{key}` {given}; wanted: {wanted}{hint}")]
    Value {
        /// The key as in the table.
        key: &'static str,
        /// What was given, as the rest of a sentence; only a length where it is a secret or may hold one.
        given: String,
        /// What is wanted, with unit.
        wanted: String,
        /// Empty, or `; ` and advice.
        hint: String,
    },
    /// Keys that are fine alone and not together.
    #[error("{0}")]
    Combination(String),
    /// `***` for a passphrase that was given for another host.
    #[error(
        "`passphrase` is not given anew, and the stored one goes to no other host or mode than it was given for; \
         wanted: the passphrase, or none"
    )]
    SecretElsewhere,
}

impl SrtUrlError {
    /// The part it is about: `host`, `port` or a key of the query, as in the table. `None`: the URL as a whole.
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::NoHost | Self::Host { .. } => Some("host"),
            Self::Port { .. } => Some("port"),
            Self::UnsupportedKey { key, .. }
            | Self::DuplicateKey { key }
            | Self::NoValue { key, .. }
            | Self::Value { key, .. } => Some(key),
            Self::SecretElsewhere => Some("passphrase"),
            _ => None,
        }
    }
}

/// A piece of the user's text for a message: redacted, escaped, shortened, in quotation marks.
pub(super) fn quote(text: &str) -> String {
    let safe = redact(text);
    if safe.chars().count() <= QUOTE_CHARS_MAX {
        return format!("{safe:?}");
    }
    let start: String = safe.chars().take(QUOTE_CHARS_MAX).collect();
    format!("{:?}", start + "…")
}
