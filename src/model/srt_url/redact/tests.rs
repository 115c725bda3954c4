//! Tables and properties of hiding secrets in any text.

use proptest::prelude::*;

use super::*;

#[test]
fn secrets_are_hidden_and_the_rest_is_kept() {
    for (text, wanted) in [
        ("", ""),
        ("nothing to hide: a=b&c=d", "nothing to hide: a=b&c=d"),
        ("srt://h?passphrase=abc&latency=5", "srt://h?passphrase=***&latency=5"),
        ("srt://h?latency=5&passphrase=abc", "srt://h?latency=5&passphrase=***"),
        ("srt://h?passphrase=abc&passphrase=def&latency=5", "srt://h?passphrase=***&latency=5"),
        // An `&` that no known key follows may belong to the passphrase.
        ("srt://h?passphrase=a&bc&x=y&latency=5", "srt://h?passphrase=***&latency=5"),
        ("srt://h?Passphrase=abc", "srt://h?Passphrase=***"),
        ("srt://h?pass%70hrase=abc", "srt://h?pass%70hrase=***"),
        ("srt://h?%50ass%2570hrase%3dabc", "srt://h?%50ass%2570hrase%3d***"),
        ("srt://h?pasphrase=abc", "srt://h?pasphrase=***"),
        ("srt://h?passphrase = abc", "srt://h?passphrase =***"),
        ("passphrase: abc & def", "passphrase:***"),
        ("srt://h?passphrase[]=abc", "srt://h?passphrase[]=***"),
        ("srt://me:word@h?latency=5", "srt://***@h?latency=5"),
        ("srt://me:wo/rd@h a://b@c", "srt://***@h a://***@c"),
        ("srt://h?streamid=me@home", "srt://h?streamid=me@home"),
        ("{\"passphrase\":\"a\\\"bc\",\"n\":1}", "{\"passphrase\":\"***\",\"n\":1}"),
        ("{\"PassPhrase\":{\"a\":1}}", "{\"PassPhrase\":\"***\"}"),
        ("{\"p\\u0061ssphrase\":\"abc\"}", "{\"passphrase\":\"***\"}"),
        (
            "[{\"endpointUrl\":\"srt://h?passphrase=abc\",\"type\":\"generic\"}]",
            "[{\"endpointUrl\":\"srt://h?passphrase=***\",\"type\":\"generic\"}]",
        ),
        ("{\"endpointUrl\":\"srt://h?passphrase=abc\",", "{\"endpointUrl\":\"srt://h?passphrase=***"),
        ("{\"p\\u0061ssphrase\":\"abc\"", "{\"p\\u0061ssphrase\":***"),
        ("\"{\\\"passphrase\\\":\\\"abc\\\"}\"", "\"{\\\"passphrase\\\":***\""),
        ("the passphrase is wrong", "the passphrase is wrong"),
        ("srt://h?passpħrase=abc", "srt://h?passpħrase=***"),
        ("ü%", "ü%"),
        ("pässphrase=ü", "pässphrase=***"),
    ] {
        assert_eq!(redact(text), wanted, "{text}");
    }
}

proptest! {
    #[test]
    fn the_secret_never_comes_through(
        before in "[a-zA-Z:/?&= \"{},\\\\%0-9ü]{0,30}",
        key in "[Pp][Aa][Ss][Ss][Pp][Hh][Rr][Aa][Ss][Ee]|pass%70hrase|p%2561ssphrase|p\\\\u0061ssphrase|password|passPhrase",
        glue in " ?[=:]|\" ?: ?\"|%3D|\\\\\":\\\\\"|%3a",
        junk in "[ -%'-~]{0,10}",
        secret in "zq[A-Z0-9]{12,40}",
        after in "[a-zA-Z:/?&= \"{},\\\\%0-9ü]{0,30}",
    ) {
        let shown = redact(&format!("{before}{key}{glue}{junk}{secret}{after}"));
        prop_assert!(!shown.contains(&secret), "{}", shown);
    }

    #[test]
    fn valid_json_stays_valid(url in "[ -~]{0,40}", other in "[ -~]{0,20}") {
        let body = serde_json::json!({ "endpointUrl": url, "type": other }).to_string();
        let shown = redact(&body);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok());
    }

    #[test]
    fn text_without_secrets_is_unchanged(text in "[b-oq-v :=&?/.%0-9]{0,80}") {
        prop_assert_eq!(redact(&text), text);
    }

    #[test]
    fn no_text_panics(text in ".{0,200}", tail in "[%\\\\u025=:&pas\"ü]{0,60}") {
        let _ = redact(&text);
        let _ = redact(&tail);
    }
}
