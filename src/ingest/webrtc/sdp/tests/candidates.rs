//! Candidates that are taken and such that are refused.

use super::*;

#[test]
fn candidates_as_browsers_write_them_are_taken() {
    for (text, tcp, component, address) in [
        (
            "candidate:5551163 1 udp 2122194687 192.0.2.2 56919 typ host generation 0 network-id 1",
            false,
            1,
            Some("192.0.2.2"),
        ),
        (
            "candidate:5551163 1 udp 2122194687 192.0.2.2 56919 typ host generation 0 ufrag aO1V network-id 1 network-cost 10",
            false,
            1,
            Some("192.0.2.2"),
        ),
        ("candidate:3409081819 1 UDP 2122265343 fd00::2 38256 typ host", false, 1, Some("fd00::2")),
        ("candidate:1 1 tcp 1518214911 192.0.2.2 9 typ host tcptype active generation 0", true, 1, Some("192.0.2.2")),
        (
            "candidate:842163049 2 udp 1677729535 198.51.100.7 46154 typ srflx raddr 10.0.17.1 rport 0",
            false,
            2,
            Some("198.51.100.7"),
        ),
        ("candidate:a+/Z 1 udp 1 4aa1b2c3-0000-4000-8000-0123456789ab.local 5 typ host", false, 1, None),
        ("candidate:1 1 udp 4294967295 192.0.2.2 65535 typ relay raddr 0.0.0.0 rport 0 ", false, 1, Some("192.0.2.2")),
        ("a=candidate:1 1 udp 1 192.0.2.2 1 typ prflx\r\n", false, 1, Some("192.0.2.2")),
    ] {
        let candidate = check_candidate(text).unwrap_or_else(|error| panic!("{error}")).expect("not the end");
        assert_eq!((candidate.tcp, candidate.component), (tcp, component), "{text}");
        assert_eq!(candidate.address, address.map(|ip| ip.parse().expect("ip")), "{text}");
        assert!(candidate.text.starts_with("candidate:") && !candidate.text.ends_with('\n'), "{candidate:?}");
    }
    for end in ["", "\r\n", "a=end-of-candidates", "end-of-candidates", "a="] {
        assert_eq!(check_candidate(end), Ok(None), "{end:?}");
    }
}

#[test]
fn hostile_candidates_are_refused_with_the_reason() {
    let long = format!("candidate:1 1 udp 1 192.0.2.2 1 typ host x {}", "y".repeat(2_048));
    let wordy = format!("candidate:1 1 udp 1 192.0.2.2 1 typ host{}", " x y".repeat(40));
    for (text, reason) in [
        ("garbage", "does not begin with \"candidate:\""),
        ("candidate:", "is too short"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ", "is too short"),
        ("candidate: 1 udp 1 192.0.2.2 1 typ host", "bad foundation"),
        ("candidate:a;b 1 udp 1 192.0.2.2 1 typ host", "bad foundation"),
        ("candidate:123456789012345678901234567890123 1 udp 1 192.0.2.2 1 typ host", "bad foundation"),
        ("candidate:1 0 udp 1 192.0.2.2 1 typ host", "bad component"),
        ("candidate:1 257 udp 1 192.0.2.2 1 typ host", "bad component"),
        ("candidate:1 -1 udp 1 192.0.2.2 1 typ host", "bad component"),
        ("candidate:1 1 sctp 1 192.0.2.2 1 typ host", "unknown transport"),
        ("candidate:1 1 udp 0 192.0.2.2 1 typ host", "bad priority"),
        ("candidate:1 1 udp 4294967296 192.0.2.2 1 typ host", "bad priority"),
        ("candidate:1 1 udp 1 intranet.example.org 1 typ host", "bad address"),
        ("candidate:1 1 udp 1 a.b.local 1 typ host", "bad address"),
        ("candidate:1 1 udp 1 .local 1 typ host", "bad address"),
        ("candidate:1 1 udp 1 192.0.2 1 typ host", "bad address"),
        ("candidate:1 1 udp 1 $(id).local 1 typ host", "bad address"),
        ("candidate:1 1 udp 1 192.0.2.2 65536 typ host", "bad port"),
        ("candidate:1 1 udp 1 192.0.2.2 x typ host", "bad port"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ evil", "no known type"),
        ("candidate:1 1 udp 1 192.0.2.2 1 tip host", "no known type"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ srflx raddr evil.example.org rport 1", "bad raddr"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ srflx raddr 10.0.0.1 rport 70000", "bad rport"),
        ("candidate:1 1 tcp 1 192.0.2.2 1 typ host tcptype odd", "bad tcptype"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ host generation", "half an extension"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ host  0", "bad extension"),
        ("candidate:1  udp 1 192.0.2.2 1 typ host", "bad component"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ host\r\na=setup:active", "printable ASCII"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ host x \u{7f}", "printable ASCII"),
        ("candidate:1 1 udp 1 192.0.2.2 1 typ host x é", "printable ASCII"),
        (long.as_str(), "wanted: at most 2048"),
        (wordy.as_str(), "more than 64 words"),
    ] {
        let error = check_candidate(text).expect_err(text).to_string();
        assert!(error.contains(reason), "{text}: {error}");
        assert!(error.len() < 250 && !error.contains(['\n', '\r']), "{error:?}");
    }
}
