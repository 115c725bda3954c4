//! Hides passphrases in text that may or may not be an endpoint URL: what failed to parse, a request's body.
//!
//! Knows of URLs only the keys. The hard thing: a secret ends where the text's grammar says, and broken text
//! has none. So where the end isn't certain, everything up to the end of the text is hidden: a log line that
//! says too little is a nuisance, one that says too much can't be taken back.

use serde_json::Value;

use super::options;

/// What stands in a secret's place.
pub(super) const HIDDEN: &str = "***";

/// Parts of words whose value is a secret, in lower case. Wider than the one real key, since a mistyped
/// `pasphrase` or a `password` is exactly what doesn't parse.
const SECRET_WORDS: [&str; 5] = ["pass", "phrase", "secret", "pwd", "token"];

/// Quotation marks, blanks and the like skipped between a key and its `=` or `:`, in characters.
const SEPARATOR_SKIP_MAX: usize = 16;

/// Backslashes taken as one escape in JSON inside JSON.
const BACKSLASHES_MAX: usize = 16;

/// The text with the values of passphrases, passwords and tokens replaced by `***`, and user names with
/// passwords before an `@` too. Takes any text: URLs good or bad, JSON, messages; upper and lower case,
/// percent-encoded and JSON-escaped spellings of the key. Valid JSON is read and written anew, so only
/// there the end of a secret is known; elsewhere a secret after `=` ends at an `&` with a known key, one
/// after `:` at the end of the text.
pub fn redact(text: &str) -> String {
    if text.trim_start().starts_with(['{', '[', '"'])
        && let Ok(mut value) = serde_json::from_str::<Value>(text)
    {
        redact_json(&mut value);
        return value.to_string();
    }
    redact_user(&redact_pairs(text))
}

fn redact_plain(text: &str) -> String {
    redact_user(&redact_pairs(text))
}

/// As deep as serde_json's own limit of 128 levels.
fn redact_json(value: &mut Value) {
    match value {
        Value::String(text) => *text = redact_plain(text),
        Value::Array(items) => items.iter_mut().for_each(redact_json),
        Value::Object(fields) => {
            for (key, mut field) in std::mem::take(fields) {
                if is_secret(&key) {
                    field = Value::from(HIDDEN);
                } else {
                    redact_json(&mut field);
                }
                fields.insert(redact_plain(&key), field);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a key's value is to be hidden.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Hides what follows `passphrase=` and its like.
fn redact_pairs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut copied) = (0, 0);
    let mut word = String::new();
    while at < text.len() {
        let (byte, len) = decoded(text, at);
        if is_word(byte) {
            word.push(char::from(byte));
            at += len;
            continue;
        }
        if is_secret(&word)
            && let Some((separator, value)) = separator(text, at)
        {
            let end = if separator == b'=' { value_end(text, value) } else { text.len() };
            out.push_str(&text[copied..value]);
            out.push_str(HIDDEN);
            (at, copied) = (end, end);
        } else {
            at += len;
        }
        word.clear();
    }
    out.push_str(&text[copied..]);
    out
}

/// The `=` or `:` after a key that ends at `at`, and where the value begins.
fn separator(text: &str, mut at: usize) -> Option<(u8, usize)> {
    for _ in 0..SEPARATOR_SKIP_MAX {
        if at >= text.len() {
            return None;
        }
        let (byte, len) = decoded(text, at);
        at += len;
        match byte {
            b'=' | b':' => return Some((byte, at)),
            b'"' | b'\'' | b'\\' | b'`' | b'[' | b']' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => return None,
        }
    }
    None
}

/// The next `&` that a known, harmless key and `=` follow; an `&` alone may belong to the secret.
fn value_end(text: &str, from: usize) -> usize {
    text[from..]
        .match_indices('&')
        .map(|(offset, _)| from + offset)
        .find(|at| {
            let piece = text[at + 1..].split('&').next().unwrap_or_default();
            piece.split_once('=').is_some_and(|(key, _)| options::find(key).is_some() && !is_secret(key))
        })
        .unwrap_or(text.len())
}

/// Hides `user:password` between `://` and `@`.
fn redact_user(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        // Up to the query, not only to the first slash: a password may hold one unescaped. And not beyond
        // the next address, which also keeps this linear.
        let address = after.split("://").next().unwrap_or_default();
        let address = address.split('?').next().unwrap_or_default();
        rest = match address.rfind('@') {
            Some(sign) => {
                out.push_str(HIDDEN);
                &after[sign..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// Letters beyond ASCII belong to words too, or one of them inside a mistyped key would hide the key from us.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || matches!(byte, b'_' | b'-')
}

/// The byte at `at` and how many bytes of the text it takes there: `p`, `%70`, `%2570`, `\u0070`.
/// A length above 1 is only returned for ASCII text, so it never ends inside a character; for other
/// characters the length is that of the whole character.
fn decoded(text: &str, at: usize) -> (u8, usize) {
    let bytes = text.as_bytes();
    let escaped = match bytes[at] {
        b'%' => {
            let mut hex = at + 1;
            while bytes.get(hex..hex + 2) == Some(b"25") && hex_byte(bytes, hex + 2).is_some() {
                hex += 2;
            }
            hex_byte(bytes, hex).map(|byte| (byte, hex + 2 - at))
        }
        b'\\' => {
            let run = bytes[at..].iter().take(BACKSLASHES_MAX).take_while(|b| **b == b'\\').count();
            let code = at + run;
            (bytes.get(code..code + 3) == Some(b"u00"))
                .then(|| hex_byte(bytes, code + 3).map(|byte| (byte, run + 5)))
                .flatten()
        }
        _ => None,
    };
    escaped.unwrap_or_else(|| {
        let len = text[at..].chars().next().map_or(1, char::len_utf8);
        (bytes[at], len)
    })
}

fn hex_byte(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
    u8::try_from(digit(at)? * 16 + digit(at + 1)?).ok()
}

#[cfg(test)]
mod tests;
