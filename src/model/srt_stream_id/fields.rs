//! The key=value pairs of a stream id, and the characters and encodings in them.
//!
//! Knows nothing of applications. The hard thing: pairs end up in a stream's public metadata, so whatever
//! may be a secret is taken out of them here.

use percent_encoding::percent_decode_str;

use super::{Decode, StreamIdError, Syntax};
use crate::model::query::SECRET_KEYS;

/// Longest piece that an error repeats, in characters.
const SHORT_CHARS_MAX: usize = 32;

/// Pairs in the order they came, each key once.
#[derive(Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Adds `key=value` pairs with a comma or an `&` between; empty pieces count but don't matter.
    pub(super) fn read(&mut self, text: &str, between: char, decode: Decode) -> Result<(), Syntax> {
        for (index, piece) in text.split(between).enumerate().filter(|(_, piece)| !piece.is_empty()) {
            let (key, value) = piece.split_once('=').ok_or(Syntax::NotAPair(index + 1))?;
            self.insert(decode(key)?, decode(value)?)?;
        }
        Ok(())
    }

    /// Adds a pair, whose key must be new.
    pub(super) fn insert(&mut self, key: String, value: String) -> Result<(), Syntax> {
        if self.0.iter().any(|(known, _)| *known == key) {
            return Err(Syntax::DuplicateKey(short(&key)));
        }
        self.0.push((key, value));
        Ok(())
    }

    /// Removes a key and returns its value.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.remove(index).1)
    }

    /// Removes all secrets and returns the strongest that isn't empty.
    pub(super) fn take_secret(&mut self) -> Option<String> {
        let mut found: Option<String> = None;
        for secret in SECRET_KEYS {
            while let Some(index) = self.0.iter().position(|(key, _)| key.eq_ignore_ascii_case(secret)) {
                let value = self.0.remove(index).1;
                found = found.or(Some(value).filter(|value| !value.is_empty()));
            }
        }
        found
    }

    /// Takes out `m` and `t` and checks them. Without `m` the caller publishes: the guidelines' default is
    /// to request, but every encoder that leaves it out sends.
    pub(super) fn check_mode_and_type(&mut self) -> Result<(), StreamIdError> {
        match self.take("m") {
            None => {}
            Some(mode) if mode.eq_ignore_ascii_case("publish") => {}
            Some(mode) if mode.eq_ignore_ascii_case("request") => {
                return Err(StreamIdError::Request);
            }
            Some(mode) => return Err(StreamIdError::UnsupportedMode(short(&mode))),
        }
        match self.take("t") {
            Some(kind) if !kind.eq_ignore_ascii_case("stream") => Err(StreamIdError::UnsupportedType(short(&kind))),
            _ => Ok(()),
        }
    }

    /// What is left.
    pub(super) fn into_params(self) -> Vec<(String, String)> {
        self.0
    }
}

/// Refuses control characters.
pub(super) fn check_control(text: &str) -> Result<(), Syntax> {
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(Syntax::Control(u32::from(c))),
        None => Ok(()),
    }
}

/// One layer of percent-encoding; `+` stays `+`.
pub(super) fn decode(text: &str) -> Result<String, Syntax> {
    let bytes = text.as_bytes();
    let whole = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if text.match_indices('%').any(|(at, _)| !whole(at)) {
        return Err(Syntax::Escape);
    }
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| Syntax::Escape)?;
    check_control(&decoded)?;
    Ok(decoded.into_owned())
}

/// The beginning of a piece, for an error.
pub(super) fn short(text: &str) -> String {
    text.chars().take(SHORT_CHARS_MAX).collect()
}
