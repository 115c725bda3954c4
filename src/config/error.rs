//! What can be wrong with a configuration, in words. Owns the one-line form; must not know which keys
//! exist. The hard thing: a value quoted in an error must stay on one line and must not show a secret.

use std::fmt;

use super::ice_url;
use super::layers::{Given, Source};
use super::print::{REDACTED, redact_url};
use crate::model::srt_url::redact;

/// Longest quoted value in an error, in characters; the rest is cut.
const QUOTED_CHARS_MAX: usize = 80;

/// Everything wrong with a configuration; printed one problem a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// The problems, in the order in which they should be read; never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong; its `Display` is one line without a line break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {reason}")]
    Unreadable {
        /// The file's name as given.
        file: String,
        /// The operating system's reason.
        reason: String,
    },
    /// The file is no TOML.
    #[error("{file}:{line}: is not valid TOML: {reason}")]
    Syntax {
        /// The file's name as given.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// The parser's reason.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{origin}: {key}: there is no such key; {hint}")]
    UnknownKey {
        /// Where it was given.
        origin: Source,
        /// The key as given.
        key: String,
        /// The likely key, or those that exist.
        hint: String,
    },
    /// A value that the key cannot take.
    #[error("{origin}: {key}: given {given}, wanted {wanted}")]
    BadValue {
        /// Where it was given.
        origin: Source,
        /// The key, `section.key`.
        key: String,
        /// The value, quoted, cut and without secrets.
        given: String,
        /// What the key takes, and if it helps what is wrong with the value.
        wanted: String,
    },
}

/// A value as an error may show it.
pub(super) fn quote(key: &str, given: &Given) -> String {
    let text = given.value.to_string();
    cut(&match key {
        "store.url" => redact_url(&text),
        "webhook.url" => redact(&text),
        "webhook.secret" => REDACTED.to_owned(),
        "webrtc.turn_server" => ice_url::redact(&text),
        _ => text,
    })
}

/// At most [`QUOTED_CHARS_MAX`] characters of a text, without line breaks and control characters.
pub(super) fn cut(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    if text.chars().count() <= QUOTED_CHARS_MAX {
        return plain.collect();
    }
    plain.take(QUOTED_CHARS_MAX).chain(['…']).collect()
}
