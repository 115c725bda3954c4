//! The `key=value` pairs of a publisher's address, and which of them are nobody's business.
//!
//! Must not know protocols. The hard thing: pairs end up in a stream's public metadata, so whatever may be a
//! credential is kept out of them here, by the one list of such keys.

use percent_encoding::percent_decode_str;

/// Keys that hold what a publisher proves itself with, the strongest first; compared without case.
pub const SECRET_KEYS: [&str; 8] =
    ["token", "jwt", "auth", "pass", "password", "passphrase", "secret", "subscriberCode"];

/// Pairs kept from one address.
pub const PAIRS_MAX: usize = 32;

/// Longest pair kept, in bytes.
const PAIR_LEN_MAX: usize = 1_024;

/// Whether a key's value is a credential.
pub fn is_secret(key: &str) -> bool {
    SECRET_KEYS.iter().any(|secret| secret.eq_ignore_ascii_case(key))
}

/// `%XX` undone; what is no UTF-8 is replaced.
pub fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The pairs of a query (`key=value&…`) in their order, without credentials, empty keys and overlong ones.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decoded(key), decoded(value)))
        .filter(|(key, value)| !key.is_empty() && key.len() + value.len() <= PAIR_LEN_MAX)
        .filter(|(key, _)| !is_secret(key))
        .take(PAIRS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_bounded_and_without_credentials() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(pairs("a=1&&b&=c&d=%20%3D&a=2"), [pair("a", "1"), pair("b", ""), pair("d", " ="), pair("a", "2")]);
        for key in SECRET_KEYS {
            assert_eq!(pairs(&format!("{key}=s&{}=s&x=1", key.to_uppercase())), [pair("x", "1")], "{key}");
        }
        assert_eq!(pairs("%74oken=s"), [], "a key is compared decoded");
        let long = format!("a={}&b={}", "x".repeat(PAIR_LEN_MAX), "x".repeat(PAIR_LEN_MAX - 1));
        assert_eq!(pairs(&long).len(), 1);
        assert_eq!(pairs(&"k=v&".repeat(100)).len(), PAIRS_MAX);
    }
}
