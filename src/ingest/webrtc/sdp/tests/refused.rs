//! Offers that are refused, and the words in which they are.

use super::*;
use crate::nice::Credentials;

/// Chromium's offer with a text replaced everywhere.
fn with(from: &str, to: &str) -> String {
    assert!(CHROMIUM.contains(from), "{from:?} is in no line");
    CHROMIUM.replace(from, to)
}

#[test]
fn each_flaw_is_named_with_its_place_and_what_is_wanted() {
    let fingerprint =
        "sha-256 B3:20:71:BF:C6:DD:D2:18:90:60:11:AD:24:B5:C1:E7:93:78:FF:75:6D:22:BF:76:9F:E4:77:D9:B5:20:19:AD";
    let other = fingerprint.replace("B3:20", "B3:21");
    let many: String = (3..17).fold(String::new(), |text, mid| {
        text + &format!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:{mid}\n")
    });
    let table: Vec<(String, &str)> = vec![
        (String::new(), "the offer is no SDP: \"No version line\""),
        ("garbage".into(), "the offer is no SDP"),
        ("v=1\r\n".into(), "the offer is no SDP"),
        ("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".into(), "has 0 m-lines; wanted: 1 to 16"),
        (format!("{CHROMIUM}{many}"), "has 17 m-lines; wanted: 1 to 16"),
        (format!("{CHROMIUM}a={}\n", "x".repeat(64 * 1024)), "bytes; wanted: at most 65536"),
        (with("a=mid:1", "a=mid:1\0"), "control character 0x00"),
        (with("s=-", "s=\u{1b}[2J"), "control character 0x1b"),
        // mids and groups
        (with("a=mid:1\n", ""), "m-line 1 has no a=mid"),
        (with("a=mid:1\n", "a=mid\n"), "m-line 1: a=mid:\"\" is not usable"),
        (with("a=mid:1\n", "a=mid:a b\n"), "m-line 1: a=mid:\"a b\" is not usable"),
        (with("a=mid:1\n", "a=mid:0\n"), "m-line 1: a=mid:\"0\" is there twice"),
        (with("a=mid:1\n", "a=mid:1\na=mid:7\n"), "m-line 1 has a=mid twice"),
        (with("a=mid:1\n", &format!("a=mid:{}\n", "m".repeat(33))), "wanted: 1 to 32 characters"),
        (with("BUNDLE 0 1 2", "BUNDLE 0 1 9"), "a=group:BUNDLE names \"9\", which is no m-line's mid"),
        (with("BUNDLE 0 1 2", "BUNDLE 0 1 1"), "a=group:BUNDLE names \"1\" twice"),
        // ICE
        (with("a=ice-ufrag:aO1V\n", ""), "m-line 0 has no a=ice-ufrag"),
        (with("a=ice-pwd:HJ6jvCQqD7RFMxcUHh2bbQD0\n", ""), "m-line 0 has no a=ice-pwd"),
        (with("a=ice-ufrag:aO1V", "a=ice-ufrag:aO1"), "m-line 0: a=ice-ufrag is not usable; wanted: 4 to 256 letters"),
        (with("a=ice-ufrag:aO1V", "a=ice-ufrag:aO V"), "a=ice-ufrag is not usable"),
        (with("a=ice-ufrag:aO1V", &format!("a=ice-ufrag:{}", "u".repeat(257))), "a=ice-ufrag is not usable"),
        (
            with("HJ6jvCQqD7RFMxcUHh2bbQD0", "HJ6jvCQqD7RFMxcUHh2bb"),
            "a=ice-pwd is not usable; wanted: 22 to 256 letters",
        ),
        (with("HJ6jvCQqD7RFMxcUHh2bbQD0", "HJ6jvCQqD7RFMxcUHh2bb*D0"), "a=ice-pwd is not usable"),
        (
            CHROMIUM.replacen("a=ice-ufrag:aO1V", "a=ice-ufrag:other", 1),
            "m-line 1: a=ice-ufrag differs from that of m-line 0",
        ),
        (CHROMIUM.replacen("HJ6jvCQ", "XXXXXXX", 1), "m-line 1: a=ice-pwd differs from that of m-line 0"),
        // DTLS
        (with(&format!("a=fingerprint:{fingerprint}\n"), ""), "the offer has no a=fingerprint"),
        (CHROMIUM.replacen(fingerprint, &other, 1), "m-line 1: a=fingerprint differs from that of the m-lines before"),
        (
            with(fingerprint, "sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB"),
            "a=fingerprint by \"sha-1\" is refused; wanted: sha-256",
        ),
        (with(fingerprint, "md5 4A:AD"), "a=fingerprint by \"md5\" is refused"),
        (with("B3:20:71", "B3:20"), "a=fingerprint:sha-256 is broken; wanted: 32 bytes"),
        (with("B3:20:71", "B3:+2:71"), "a=fingerprint:sha-256 is broken"),
        (with(fingerprint, "sha-256"), "a=fingerprint:sha-256 is broken"),
        (with("a=setup:actpass\n", ""), "m-line 0 has no a=setup"),
        (
            with("a=setup:actpass", "a=setup:holdconn"),
            "m-line 0: a=setup:\"holdconn\" is not usable; wanted: actpass, active or passive",
        ),
        (CHROMIUM.replacen("a=setup:actpass", "a=setup:active", 1), "m-line 1: a=setup differs from that of m-line 0"),
        // m-lines and codecs
        (
            with("m=video 9 UDP/TLS/RTP/SAVPF", "m=video 9 RTP/AVP"),
            "m-line 1: protocol \"RTP/AVP\" is not taken; wanted: UDP/TLS/RTP/SAVPF",
        ),
        (with("a=rtcp-mux\n", ""), "m-line 0 has no a=rtcp-mux"),
        (with("SAVPF 96 97", "SAVPF 96 96"), "m-line 1: payload type 96 is there twice"),
        (with("SAVPF 96 97", "SAVPF 96 128"), "m-line 1: payload type \"128\" is none"),
        (with("SAVPF 96 97", "SAVPF 96 +7"), "m-line 1: payload type \"+7\" is none"),
        (with("a=rtpmap:96 VP8/90000\n", ""), "m-line 1: payload type 96 has no a=rtpmap"),
        (with("a=rtpmap:96 VP8/90000\n", "a=rtpmap:96 VP8\n"), "m-line 1: a=rtpmap:\"96\" \"VP8\" is broken"),
        (with("a=rtpmap:96 VP8/90000\n", "a=rtpmap:96 VP8/0\n"), "is broken; wanted: NAME/CLOCK"),
        (
            with("a=rtpmap:96 VP8/90000\n", "a=rtpmap:96 VP8/90000\na=rtpmap:96 VP9/90000\n"),
            "payload type 96 has two a=rtpmap",
        ),
        (
            with("opus/48000/2", "opus/48000"),
            "m-line 0: a=rtpmap:111 is Opus with another clock or number of channels; wanted: opus/48000/2",
        ),
        (with("opus/48000/2", "opus/16000/2"), "wanted: opus/48000/2"),
        (with("apt=108", "apt=108;\u{e9}"), "m-line 1: a=fmtp:109 is not usable"),
        (with("a=sendrecv\n", "a=sendrecv\na=recvonly\n"), "m-line 0 has two directions"),
        // nothing to take in
        (
            with("a=sendrecv", "a=recvonly"),
            "no m-line of the offer sends video or audio; wanted: at least one with a=sendonly",
        ),
        (with("a=sendrecv", "a=inactive"), "no m-line of the offer sends"),
        (CHROMIUM.replace("m=audio 9", "m=audio 0").replace("m=video 9", "m=video 0"), "no m-line of the offer sends"),
    ];
    for (offer, wanted) in table {
        let error = refusal(&offer);
        assert!(error.contains(wanted), "wanted {wanted:?}, got {error:?}");
        assert!(error.len() < 300 && !error.contains(['\n', '\r']), "{error:?}");
    }
}

#[test]
fn a_session_that_says_it_once_for_all_is_as_good() {
    // What is above the m-lines holds for those that say nothing.
    let lines = |text: &str| {
        text.lines()
            .filter(|line| {
                ["a=ice-ufrag", "a=ice-pwd", "a=setup", "a=fingerprint"].iter().any(|start| line.starts_with(start))
            })
            .take(4)
            .fold(String::new(), |all, line| all + line + "\n")
    };
    let mut text = CHROMIUM.to_owned();
    for start in ["a=ice-ufrag", "a=ice-pwd", "a=setup", "a=fingerprint"] {
        text = without(&text, start);
    }
    let text = text.replacen("m=audio", &format!("{}m=audio", lines(CHROMIUM)), 1);
    let (offer, choice) = good(&text);
    let (usual, usual_choice) = good(CHROMIUM);
    assert_eq!(rewrite_offer(&offer, &choice), rewrite_offer(&usual, &usual_choice));
}

#[test]
fn a_weak_hash_beside_a_good_one_does_not_count() {
    let text = CHROMIUM.replace(
        "a=setup:actpass",
        "a=fingerprint:sha-1 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB\na=setup:active",
    );
    let (offer, choice) = good(&text);
    assert_eq!(offer.fingerprints.len(), 1);
    let inner = rewrite_offer(&offer, &choice);
    assert!(!inner.contains("sha-1 ") && inner.contains("a=setup:active\r\n"), "{inner}");
    let (_, choice) = good(&CHROMIUM.replace("a=setup:actpass", "a=setup:passive"));
    assert!(choice.video.is_some(), "this side then begins the handshake (RFC 8842)");
}

#[test]
fn codecs_that_nobody_here_can_carry_are_named() {
    let text = CHROMIUM.replace("H264/", "H265/").replace("VP8/", "AV1X/").replace("VP9/", "AV2/");
    let text = text.replace(" AV1/", " VVC/");
    let text = text.replace("SAVPF 111 63 9 0 8 13 110 126", "SAVPF 63 9 13 110 126");
    let offer = check(&text).expect("sound");
    let Err(OfferError::NoCodec(error)) = offer.choose() else { panic!("{:?}", offer.choose()) };
    assert_eq!(
        error,
        "offered is audio with G722 and video with AV1X, H265, VVC, AV2; wanted: H.264, VP8, VP9 or AV1 for video, Opus, PCMU or PCMA for audio"
    );
}

#[test]
fn credentials_of_a_restart_are_checked_as_those_of_an_offer() {
    let check = |ufrag: &str, password: &str| {
        check_credentials(&Credentials { ufrag: ufrag.into(), password: password.into() }).map_err(|e| e.to_string())
    };
    assert_eq!(check("ysXw", "vw5LmwG4y/e6dPP/zAP9Gp5k"), Ok(()));
    for (ufrag, password, wanted) in [
        ("ysX", "vw5LmwG4y/e6dPP/zAP9Gp5k", "a=ice-ufrag is not usable; wanted: 4 to 256 letters, digits, '+' and '/'"),
        ("ysXw", "secret", "a=ice-pwd is not usable; wanted: 22 to 256 letters, digits, '+' and '/'"),
        (
            "ys\0w",
            "vw5LmwG4y/e6dPP/zAP9Gp5k",
            "a=ice-ufrag is not usable; wanted: 4 to 256 letters, digits, '+' and '/'",
        ),
    ] {
        assert_eq!(check(ufrag, password), Err(wanted.to_owned()));
    }
}
