//! No message and no print holds a passphrase, however the text around it is broken.

use super::*;

#[test]
fn passphrases_are_in_no_message() {
    const SECRET: &str = "Swordfish-42";
    for text in [
        "srt://h?passphrase=Swordfish-42",
        "srt://h?latency=200&passphrase=Swordfish-42&streamid=a",
        "srt://h?pass%70hrase=Swordfish-42&streamid=a/passphrase",
        "srt://h?passphrase=Swordfish-42&passphrase=Swordfish-42",
        "srt://h?Passphrase=Swordfish-42",
        "srt://h?passphras=Swordfish-42",
        "srt://h?passphrase:Swordfish-42",
        "srt://h?passphrase=0123456789&Swordfish-42",
        "srt://h?Swordfish-42",
        "srt://h/passphrase=Swordfish-42",
        "srt://h#passphrase=Swordfish-42",
        "srt://passphrase=Swordfish-42",
        "srt://passphrase:Swordfish-42",
        "srt://me:Swordfish-42@h",
        "srt://me:Swordfish-42/@h",
        "srt://me:Swordfish-42",
        "me:Swordfish-42@h",
        "h?passphrase=Swordfish-42",
        "srt://h?passphrase=Swordfish-42%",
        "srt://h?passphrase=%00Swordfish-42",
        "srt://h?passphrase=Swordfish-42Swordfish-42Swordfish-42Swordfish-42Swordfish-42Swordfish-42Swordfish-42",
        "srt://h?passphrase=Swordfish-42&latency=99999999",
        "srt://h?mode=passphrase=Swordfish-42",
    ] {
        match SrtUrl::parse(text) {
            Ok(url) => {
                let shown = format!("{url} {url:?} {:?} {}", url.passphrase, url.redacted());
                assert!(!shown.contains(SECRET), "{shown}");
                assert!(shown.contains("***"), "{shown}");
                assert_eq!(url.as_given(), text);
            }
            Err(error) => {
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains(SECRET), "{shown}");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_message_holds_the_passphrase(
        secret in "zq[A-Z0-9]{12,40}",
        before in "(latency=[0-9]{1,9}&|[a-z&=]{0,10}&)?",
        key in "passphrase|Passphrase|pass%70hrase|PASSPHRASE|passphrase%3D",
        after in "(&[a-z]{1,10}=?[0-9]{0,9})?",
    ) {
        let text = format!("srt://h?{before}{key}={secret}{after}");
        let shown = match SrtUrl::parse(&text) {
            Ok(url) => format!("{url}{url:?}"),
            Err(error) => format!("{error}{error:?}"),
        };
        prop_assert!(!shown.contains(&secret), "{}", shown);
    }
}
