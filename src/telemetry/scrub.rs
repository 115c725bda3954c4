//! Takes secrets out of a text that somebody else wrote: GStreamer's debug lines, a panic's message.
//! The hard thing: nobody promises the form. A secret may stand in a URI, in a printed structure, in
//! quotes or percent-encoded, so rather too much is cut than too little.

use std::borrow::Cow;

/// Words after which a secret may follow; compared without case, anywhere in a word (`srt-passphrase`).
const SECRET_WORDS: [&str; 4] = ["passphrase", "password", "token", "secret"];

/// What stands in place of a secret.
const REDACTED: &str = "***";

/// The text without the values that follow a secret's name.
pub(super) fn scrub(text: &str) -> Cow<'_, str> {
    // Same length in bytes, so places found in one are places of the other.
    let lower = text.to_ascii_lowercase();
    let mut out = String::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(end_of_word) = next_word(&lower, from) {
        from = end_of_word;
        if let Some(value) = value_at(&lower, end_of_word) {
            out.push_str(&text[copied..value.start]);
            out.push_str(REDACTED);
            copied = value.end;
            from = value.end;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Where the first secret's name at or after `from` ends.
fn next_word(lower: &str, from: usize) -> Option<usize> {
    let rest = &lower[from..];
    SECRET_WORDS.iter().filter_map(|word| rest.find(word).map(|at| from + at + word.len())).min()
}

/// The value after a name: behind `=`, `:`, `%3d` or ` to `, with what GStreamer puts before it, such as
/// `=(string)`, and up to what ends it.
fn value_at(lower: &str, end_of_word: usize) -> Option<std::ops::Range<usize>> {
    let after = &lower[end_of_word..];
    let trimmed = after.trim_start_matches(['"', '\'', ' ', '\\']);
    let separator = ["%3d", "=", ":", "to "].into_iter().find(|separator| trimmed.starts_with(separator))?;
    let mut start = end_of_word + (after.len() - trimmed.len()) + separator.len();
    start += lower[start..].len() - lower[start..].trim_start().len();
    if let Some(typed) = lower[start..].strip_prefix('(') {
        start += typed.find(')').map_or(0, |close| close + 2);
    }
    let value = &lower[start..];
    let quote = ["\\\"", "\"", "'"].into_iter().find(|quote| value.starts_with(quote));
    let end = match quote {
        // To the last such quote of the text: the value itself may hold an escaped one.
        Some(quote) => value.rfind(quote).filter(|at| *at > 0).map_or(value.len(), |at| at + quote.len()),
        None => value.find(|c: char| c == '&' || c.is_whitespace()).unwrap_or(value.len()),
    };
    (end > 0).then(|| start..start + end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_secret_goes_and_what_stands_beside_it_stays() {
        for (text, scrubbed) in [
            ("no secret here", "no secret here"),
            ("srt://h:1?passphrase=hunter2hunter2&latency=20", "srt://h:1?passphrase=***&latency=20"),
            ("srt://h:1?latency=20&passphrase=a,b;c) left", "srt://h:1?latency=20&passphrase=*** left"),
            ("srt-params, passphrase=(string)hunter2hunter2", "srt-params, passphrase=(string)***"),
            ("passphrase=(string)\"hun\\\"ter two\", a=1", "passphrase=(string)***, a=1"),
            ("Passphrase: hunter2hunter2 set", "Passphrase: *** set"),
            ("set property passphrase to hunter2hunter2", "set property passphrase to ***"),
            ("{\"passphrase\":\"hunter2hunter2\"}", "{\"passphrase\":***}"),
            ("streamid=%23!::r=a/b,token%3Dhunter2&x=1", "streamid=%23!::r=a/b,token%3D***&x=1"),
            ("streamid=(string)\"token\\\\=hunter2\";", "streamid=(string)\"token\\\\=***"),
            ("passphrase=one password=two token=three", "passphrase=*** password=*** token=***"),
            ("unknown property passphrase", "unknown property passphrase"),
            ("passphrase=", "passphrase="),
        ] {
            assert_eq!(scrub(text), scrubbed, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_passphrase_in_a_uri_never_gets_through(
            before in "[ -~ä€]{0,20}",
            secret in "[A-Z0-9]{10,30}",
            after in "(&[ -~]{0,20})?",
        ) {
            let text = format!("{before}passphrase={secret}{after}");
            prop_assert!(!scrub(&text).contains(&secret), "{}", scrub(&text));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            let _ = scrub(&text);
        }

        #[test]
        fn any_text_of_tricky_parts_is_survived(parts in proptest::collection::vec(
            prop_oneof!["passphrase", "token", "=", "%3d", ":", "\\(", "\\)", "\"", "'", "\\\\", "ä", " ", "to ", "&"], 0..30,
        )) {
            let _ = scrub(&parts.concat());
        }
    }
}
