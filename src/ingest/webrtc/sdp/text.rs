//! Words of an SDP: what they are made of, and how an error quotes one. Knows nothing of their meaning.

/// Longest quoted text in an error, in characters; the rest is cut.
const QUOTED_CHARS_MAX: usize = 40;

/// A text of the other side as an error may show it: in quotes, on one line, cut.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("\"{}{dots}\"", cut.escape_debug())
}

/// A token of RFC 8866, section 9, of at most so many bytes.
pub(super) fn is_token(text: &str, len_max: usize) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte);
    (1..=len_max).contains(&text.len()) && text.bytes().all(token)
}

/// The letters of ICE: RFC 8839's ice-char.
pub(super) fn is_ice_text(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
}

/// A whole number written in digits alone.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
