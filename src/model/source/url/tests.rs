//! Addresses good and bad, and what is shown of them.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> SourceUrl {
    SourceUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn credentials_of_any_characters_are_found_and_never_shown() {
    for (text, user, password, shown) in [
        ("rtsp://u:p@10.0.0.1/s", "u", "p", "rtsp://***@10.0.0.1/s"),
        ("rtsp://admin:p@ss@10.0.0.1:8554/s", "admin", "p@ss", "rtsp://***@10.0.0.1:8554/s"),
        ("rtsp://admin:p%40ss@10.0.0.1/s", "admin", "p@ss", "rtsp://***@10.0.0.1/s"),
        ("rtsp://admin:100%@10.0.0.1/s", "admin", "100%", "rtsp://***@10.0.0.1/s"),
        ("rtsp://admin:a/b@10.0.0.1/s", "admin", "a/b", "rtsp://***@10.0.0.1/s"),
        ("rtsp://admin:a?b#c@10.0.0.1/s", "admin", "a?b#c", "rtsp://***@10.0.0.1/s"),
        ("rtsp://admin:p@ss/w:rd?@127.0.0.1:8554/s", "admin", "p@ss/w:rd?", "rtsp://***@127.0.0.1:8554/s"),
        ("rtsp://u:p@cam/x@y/s", "u", "p", "rtsp://***@cam/***@y/s"),
        ("rtsp://u:p@cam.local/x@10.0.0.1/s", "u", "p", "rtsp://***@cam.local/***@10.0.0.1/s"),
        ("rtsp://admin:a:b@10.0.0.1/s", "admin", "a:b", "rtsp://***@10.0.0.1/s"),
        ("rtsp://admin:%C3%BC@cam.local/s", "admin", "ü", "rtsp://***@cam.local/s"),
        ("rtsp://admin@cam.local/s", "admin", "", "rtsp://***@cam.local/s"),
        ("http://u:p@[2001:db8::1]:81/x?token=abc", "u", "p", "http://***@[2001:db8::1]:81/x?token=***"),
    ] {
        let url = parse(text);
        let credentials = url.net().and_then(|net| net.credentials.clone()).expect(text);
        assert_eq!((credentials.user.as_str(), credentials.password.expose()), (user, password), "{text}");
        assert_eq!(url.to_string(), shown);
        assert_eq!(super::shown(text), shown);
    }
}

#[test]
fn an_at_sign_in_the_path_is_no_credential() {
    let url = parse("rtsp://10.0.0.1:554/user@home");
    let net = url.net().expect("a server");
    assert_eq!((&net.credentials, net.path.as_str()), (&None, "/user@home"));
}

#[test]
fn every_scheme_has_its_parts() {
    let net = |text: &str| parse(text).net().cloned().expect("a server");
    for (text, port) in [
        ("rtsp://h/x", 554),
        ("rtsps://h/x", 322),
        ("rtmp://h/a/s", 1935),
        ("rtmps://h/a/s", 443),
        ("http://h/x.m3u8", 80),
        ("HTTPS://h:8443/x.ts", 8443),
    ] {
        assert_eq!(net(text).port, port, "{text}");
    }
    assert_eq!(net("rtsp://h:8554/x?a=1").bare(&SrtHost::Ip([192, 0, 2, 1].into())), "rtsp://192.0.2.1:8554/x?a=1");
    let srt = parse("srt://:9000?mode=listener&passphrase=0123456789ab");
    assert!(srt.srt().is_some() && !srt.to_string().contains("0123456789ab"));
    for (text, address, port, interface) in [
        ("udp://239.1.1.1:5000", "239.1.1.1", 5000, None),
        ("udp://@239.1.1.1:5000?iface=lo", "239.1.1.1", 5000, Some("lo")),
        ("udp://:5000", "0.0.0.0", 5000, None),
        ("udp://[::1]:5000/", "::1", 5000, None),
    ] {
        let url = parse(text);
        let udp = url.udp().expect(text);
        assert_eq!((udp.address.to_string().as_str(), udp.port, udp.interface.as_deref()), (address, port, interface));
    }
    let picture = parse("test://?size=640x360&fps=50&bitrate=800&tone=440");
    let picture = picture.test().expect("a picture");
    assert_eq!(
        (picture.width, picture.height, picture.fps, picture.bitrate_kbps, picture.tone_hz),
        (640, 360, 50, 800, 440)
    );
    assert_eq!(parse("test://").test(), Some(&TestPicture::default()));
}

#[test]
fn what_cannot_be_pulled_is_refused_without_its_secret() {
    for (text, wanted) in [
        ("", "no scheme"),
        ("/dev/video0", "no scheme"),
        ("file:///etc/passwd", "no scheme \"file\""),
        ("rtsp://", "host"),
        ("rtsp://u:secret1@/x", "host"),
        ("rtsp://u:secret1@h:0/x", "host or port"),
        ("rtsp://u:secret1@h:99999/x", "host or port"),
        ("rtsp://h h/x", "blank"),
        ("rtmp://h/live", "APPLICATION/STREAM"),
        ("srt://h:9000?foo=1", "foo"),
        ("srt://h:9000?passphrase=short", "passphrase"),
        ("udp://239.1.1.1", "port is missing"),
        ("udp://name:5000", "IP address"),
        ("udp://10.0.0.1:5000?iface=eth0", "iface"),
        ("udp://239.1.1.1:5000?fifo_size=1", "fifo_size"),
        ("test://host", "no host"),
        ("test://?size=1x1", "WIDTHxHEIGHT"),
        ("test://?fps=0", "from 1 to 60"),
        ("test://?colour=1", "size, fps, bitrate, tone"),
    ] {
        let error = SourceUrl::parse(text).expect_err(text).to_string();
        assert!(error.contains(wanted), "{text}: {error}");
        assert!(!error.contains("secret1"), "{error}");
        assert!(!super::shown(text).contains("secret1"), "{}", super::shown(text));
    }
}

#[test]
fn other_programs_texts_lose_the_secrets() {
    let url = parse("rtsp://u:p@ss%2Fword@h/x");
    assert_eq!(url.scrub("failed for u with p@ss/word"), "failed for u with ***");
    let url = parse("srt://h:9000?passphrase=0123456789ab");
    assert_eq!(url.scrub("bad 0123456789ab"), "bad ***");
}

proptest! {
    /// Whatever is typed: no panic, and a password of letters is never shown.
    #[test]
    fn random_text_never_panics(text in "\\PC{0,60}") {
        let _ = SourceUrl::parse(&text);
        let _ = super::shown(&text);
    }

    #[test]
    fn a_password_survives_encoding_and_is_never_shown(password in "[ -~]{6,20}") {
        let encoded = percent_encoding::utf8_percent_encode(&password, percent_encoding::NON_ALPHANUMERIC);
        let text = format!("rtsp://admin:{encoded}@cam.example/stream");
        let url = parse(&text);
        let credentials = url.net().and_then(|net| net.credentials.clone()).expect("there");
        prop_assert_eq!(credentials.password.expose(), &password);
        prop_assert_eq!(url.to_string(), "rtsp://***@cam.example/stream");
    }
}
