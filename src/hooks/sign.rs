//! The signature of a message: HMAC-SHA256 (RFC 2104) over its time, its receiver and its body. Pure.
//!
//! The time is signed with the body, so that nobody can send an old message again later; and the receiver, so that one of
//! them, whom any client of REST may have named, cannot hand a message on to another.

use std::fmt::Write as _;

use ring::hmac;

use crate::model::srt_url::Secret;

/// The header's value: `t=SECONDS,v1=HEX`, over `SECONDS.RECEIVER.BODY`. The receiver is its scheme, host and port.
pub(super) fn signature(secret: &Secret, unix_s: u64, receiver: &str, body: &str) -> String {
    let signed = format!("{unix_s}.{receiver}.{body}");
    format!("t={unix_s},v1={}", hmac_hex(secret.expose().as_bytes(), signed.as_bytes()))
}

fn hmac_hex(key: &[u8], data: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data);
    tag.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, cases 1, 2 and 6.
    #[test]
    fn it_is_the_hmac_of_the_rfc() {
        for (key, data, wanted) in [
            (&[0x0b; 20][..], &b"Hi There"[..], "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hmac_hex(key, data), wanted);
        }
    }

    /// By `printf '1700000000.https://hooks.example.org.{"id":"s"}' | openssl dgst -sha256 -hmac 0123456789abcdef`.
    #[test]
    fn time_receiver_and_body_are_signed() {
        let wanted = "t=1700000000,v1=2d1b234e1594669a9e9d4ca9099348859b4d59d6773a50f2b5d36c89f5b11d8f";
        let secret = Secret::new("0123456789abcdef");
        let signed = |receiver| signature(&secret, 1_700_000_000, receiver, "{\"id\":\"s\"}");
        assert_eq!(signed("https://hooks.example.org"), wanted);
        assert_ne!(signed("https://other.example.org"), wanted, "what one was told is nothing for another");
    }
}
