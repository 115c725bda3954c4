//! From `srtsink`'s words to words a person can act on.
//!
//! `srtsink` carries no reject code, and what libsrt calls "Unknown or erroneous" is a peer that has
//! closed. The texts are those of GStreamer 1.22 to 1.28; an unknown one is passed on as it is.

/// What `srtsink` puts in front of libsrt's words.
const PREFIXES: [&str; 4] =
    ["Failed to write to SRT socket: ", "Error on SRT socket: ", "Failed to authenticate: ", "Failed to open SRT: "];

/// libsrt's words, in small letters, and ours; `connected` says whether the receiver had been connected.
fn known(text: &str, connected: bool) -> Option<&'static str> {
    let has = |part: &str| text.contains(part);
    if has("incorrect passphrase") {
        return Some("the receiver refused: the passphrase is wrong");
    }
    if has("password required or unexpected") {
        return Some("the receiver refused: only one side has a passphrase");
    }
    if connected {
        let closed = ["unknown or erroneous", "connection does not exist", "connection was broken", "socket is broken"];
        return closed.iter().any(|part| has(part)).then_some("the receiver closed the connection");
    }
    if has("connection timeout") {
        return Some("the receiver does not answer");
    }
    if has("application-defined rejection") {
        return Some("the receiver refused the stream id or the connection, with a reason of its own");
    }
    if has("rejected") {
        return Some("the receiver refused the connection");
    }
    None
}

/// The cause of a failure, from the text of `srtsink`'s error.
pub(super) fn of(text: &str, connected: bool) -> String {
    if let Some(known) = known(&text.to_ascii_lowercase(), connected) {
        return known.to_owned();
    }
    let mut rest = text;
    while let Some(shorter) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = shorter;
    }
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_srtsink_become_causes() {
        for (text, connected, cause) in [
            (
                "Failed to write to SRT socket: Failed to authenticate: Incorrect passphrase",
                false,
                "the receiver refused: the passphrase is wrong",
            ),
            (
                "Failed to write to SRT socket: Failed to authenticate: Password required or unexpected",
                false,
                "the receiver refused: only one side has a passphrase",
            ),
            (
                "Failed to write to SRT socket: Error on SRT socket: Connection timeout",
                false,
                "the receiver does not answer",
            ),
            (
                "Failed to write to SRT socket: Error on SRT socket: Application-defined rejection reason",
                false,
                "the receiver refused the stream id or the connection, with a reason of its own",
            ),
            (
                "Failed to write to SRT socket: Error on SRT socket: Unknown or erroneous",
                true,
                "the receiver closed the connection",
            ),
            ("Failed to write to SRT socket: Error on SRT socket: Something new", true, "Something new"),
            ("not-negotiated", false, "not-negotiated"),
        ] {
            assert_eq!(of(text, connected), cause, "{text}");
        }
    }
}
