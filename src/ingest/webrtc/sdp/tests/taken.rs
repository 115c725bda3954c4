//! What is chosen of good offers, and the texts on both sides of `webrtcbin`.

use super::*;

#[test]
fn browsers_and_encoders_publish_h264_and_opus() {
    let table = [
        ("chromium", (108, Some(109)), 111),
        ("chromium-gathered", (108, Some(109)), 111),
        ("firefox", (126, Some(127)), 109),
        ("libdatachannel", (96, None), 111),
        // The second of its four: baseline, in whole packets.
        ("safari", (98, Some(99)), 111),
    ];
    for ((name, text), (wanted, video_payload, audio_payload)) in offers().iter().zip(table) {
        assert_eq!(*name, wanted);
        let (offer, choice) = good(text);
        let (video, audio) = (choice.video.expect(name), choice.audio.expect(name));
        assert_eq!((video.payload, video.rtx), video_payload, "{name}");
        assert_eq!((video.encoding, audio.encoding), (VideoEncoding::H264, AudioEncoding::Opus), "{name}");
        assert_eq!((audio.payload, audio.index, video.index), (audio_payload, 0, 1), "{name}");
        assert!(video.feedback.iter().any(|words| words == "nack pli"), "{name}: {video:?}");
        assert_eq!(offer.fingerprints.len(), 1, "{name}");
        assert_eq!(offer.fingerprints[0].algorithm, "sha-256");
        assert_eq!(offer.fingerprints[0].digest.len(), 32);
        assert!(offer.trickle, "{name}");
    }
    let (offer, _) = good(CHROMIUM);
    assert!(CHROMIUM.contains(&format!("a=fingerprint:{}\n", offer.fingerprints[0])), "it is written as it was read");
    assert_eq!(
        offer.media.iter().map(|media| media.kind).collect::<Vec<_>>(),
        [Kind::Audio, Kind::Video, Kind::Application]
    );
}

#[test]
fn a_firefox_without_its_h264_plugin_sends_what_it_has() {
    let text = FIREFOX_WITHOUT_H264.replace('\n', "\r\n");
    let (_, choice) = good(&text);
    let video = choice.video.expect("video");
    assert_eq!((video.payload, video.rtx, video.encoding), (120, Some(124), VideoEncoding::Vp8));
    // It hides its addresses, and gives feedback for payload types that are no more in the m-line.
    let gone =
        ["120", "121", "124", "125"].into_iter().flat_map(|payload| ["rtpmap", "fmtp"].map(|name| (name, payload)));
    let alone = gone.fold(text.replace("120 124 121 125 99 100", "99 100"), |text, (name, payload)| {
        without(&text, &format!("a={name}:{payload} "))
    });
    let (offer, choice) = good(&alone);
    let video = choice.video.as_ref().expect("video");
    assert_eq!((video.payload, video.rtx, video.encoding), (99, Some(100), VideoEncoding::Av1));
    let inner = rewrite_offer(&offer, &choice);
    assert!(inner.contains("a=rtpmap:99 AV1/90000\r\n") && inner.contains("a=fmtp:100 apt=99\r\n"), "{inner}");
}

#[test]
fn what_an_av1_sender_says_of_its_profile_is_handed_on() {
    let text = CHROMIUM.replace("H264/", "H265/").replace("VP8/", "H265/").replace("VP9/", "H265/");
    assert!(text.contains("a=fmtp:45 level-idx=5;profile=0;tier=0"), "{text}");
    let (offer, choice) = good(&text);
    let inner = rewrite_offer(&offer, &choice);
    assert!(inner.contains("a=rtpmap:45 AV1/90000\r\n"), "{inner}");
    assert!(inner.contains("a=fmtp:45 level-idx=5;profile=0;tier=0\r\n"), "{inner}");
}

#[test]
fn webrtcbin_gets_the_chosen_payload_types_alone_and_all_transport_in_each_m_line() {
    for (name, text) in offers() {
        let (offer, choice) = good(&text);
        let inner = rewrite_offer(&offer, &choice);
        let formats = match name {
            "libdatachannel" => "96",
            "safari" => "98 99",
            _ => "1",
        };
        assert_eq!(inner.matches("\r\nm=").count(), 2, "{inner}");
        assert!(inner.contains(&format!("\r\nm=video 9 UDP/TLS/RTP/SAVPF {formats}")), "{inner}");
        for (what, times) in [
            ("\r\na=fingerprint:sha-256 ", 2),
            ("\r\na=setup:actpass\r\n", 2),
            ("\r\na=ice-ufrag:", 2),
            ("\r\na=ice-pwd:", 2),
            ("\r\na=rtcp-mux\r\n", 2),
            ("\r\na=group:BUNDLE 0 1\r\n", 1),
            ("\r\na=ice-options:trickle\r\n", 1),
            ("a=msid", 0),
            ("orientation", 0),
            ("VP8", 0),
            ("application", 0),
        ] {
            assert_eq!(inner.matches(what).count(), times, "{name}: {what:?}\n{inner}");
        }
        let before_media = inner.split("\r\nm=").next().unwrap_or_default();
        assert!(!before_media.contains("fingerprint"), "1.22 takes none there: {before_media}");

        // What was written reads back, and the same is chosen of it.
        let (again, choice_again) = good(&inner);
        assert_eq!(rewrite_offer(&again, &choice_again), inner, "{name}");
        assert_eq!(again.fingerprints, offer.fingerprints);
    }
}

#[test]
fn chromium_is_handed_on_like_this() {
    let (offer, choice) = good(CHROMIUM);
    let inner = rewrite_offer(&offer, &choice);
    let video = inner.split("\r\nm=video").nth(1).expect("video");
    let expected = " 9 UDP/TLS/RTP/SAVPF 108 109\nc=IN IP4 0.0.0.0\na=ice-ufrag:aO1V\na=ice-pwd:HJ6jvCQqD7RFMxcUHh2bbQD0\n\
        a=setup:actpass\na=fingerprint:sha-256 B3:20:71:BF:C6:DD:D2:18:90:60:11:AD:24:B5:C1:E7:93:78:FF:75:6D:22:BF:76:9F:E4:77:D9:B5:20:19:AD\n\
        a=mid:1\na=sendrecv\na=rtcp-mux\na=rtcp-rsize\n\
        a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time\n\
        a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\n\
        a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\n\
        a=rtpmap:108 H264/90000\na=rtcp-fb:108 goog-remb\na=rtcp-fb:108 transport-cc\na=rtcp-fb:108 ccm fir\n\
        a=rtcp-fb:108 nack\na=rtcp-fb:108 nack pli\n\
        a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\n\
        a=rtpmap:109 rtx/90000\na=fmtp:109 apt=108\n\
        a=ssrc-group:FID 844058013 3901332785\na=ssrc:844058013 cname:peer\na=ssrc:3901332785 cname:peer\n";
    assert_eq!(video.replace("\r\n", "\n"), expected);
}

#[test]
fn candidates_of_the_offer_are_handed_on_when_they_are_sound() {
    let odd = CHROMIUM_GATHERED.replacen(
        "a=candidate:",
        "a=candidate:x 1 udp 1 evil.example.org 9 typ host\na=candidate:",
        1,
    );
    let (offer, choice) = good(&odd);
    let inner = rewrite_offer(&offer, &choice);
    assert_eq!(inner.matches("a=candidate:").count(), 8, "{inner}");
    assert!(
        inner.contains("a=candidate:5551163 1 udp 2122194687 192.0.2.2 56919 typ host generation 0 network-id 1\r\n")
    );
    assert!(!inner.contains("evil"), "{inner}");
}

#[test]
fn the_codec_is_chosen_by_our_preference_not_by_the_offers_order() {
    let offer = |formats: &[(u8, &str, &str)]| {
        let list: Vec<String> = formats.iter().map(|(payload, ..)| payload.to_string()).collect();
        let maps =
            formats.iter().map(|(payload, name, fmtp)| format!("a=rtpmap:{payload} {name}\na=fmtp:{payload} {fmtp}\n"));
        let lines = maps.fold(String::new(), |text, line| text + &line);
        let video = CHROMIUM.split("m=application").next().unwrap_or_default();
        let mut kept = String::new();
        for line in video.lines() {
            let of_video = kept.contains("m=video");
            if line.starts_with("m=video") {
                kept += &format!("m=video 9 UDP/TLS/RTP/SAVPF {}\n{lines}", list.join(" "));
            } else if !(of_video && ["a=rtpmap", "a=fmtp", "a=rtcp-fb"].iter().any(|start| line.starts_with(start))) {
                kept += &format!("{line}\n");
            }
        }
        kept.replace("BUNDLE 0 1 2", "BUNDLE 0 1")
    };
    let h264 = |fmtp: &'static str, payload: u8| (payload, "H264/90000", fmtp);
    type Formats<'a> = &'a [(u8, &'a str, &'a str)];
    let table: &[(Formats<'_>, Option<(u8, VideoEncoding)>)] = &[
        (
            &[(96, "VP8/90000", "x"), h264("packetization-mode=1;profile-level-id=640032", 97)],
            Some((97, VideoEncoding::H264)),
        ),
        (
            &[
                h264("packetization-mode=1;profile-level-id=640032", 97),
                h264("packetization-mode=1;profile-level-id=42001f", 98),
            ],
            Some((98, VideoEncoding::H264)),
        ),
        (
            &[
                h264("packetization-mode=1;profile-level-id=42001f", 97),
                h264("packetization-mode=1;profile-level-id=42E01F", 98),
            ],
            Some((98, VideoEncoding::H264)),
        ),
        (
            &[h264("profile-level-id=42e01f", 97), h264("Packetization-Mode=1; profile-level-id=4d001f", 98)],
            Some((98, VideoEncoding::H264)),
        ),
        (
            &[h264("packetization-mode=0;profile-level-id=42e01f", 97), (96, "vp8/90000", "x")],
            Some((97, VideoEncoding::H264)),
        ),
        (&[h264("packetization-mode=2", 97), (96, "vp8/90000", "x")], Some((96, VideoEncoding::Vp8))),
        (&[(95, "VP9/90000", "profile-id=2"), (96, "VP9/90000", "profile-id=0")], Some((96, VideoEncoding::Vp9))),
        (&[(95, "VP9/90000", "profile-id=2"), (96, "VP8/90000", "x")], Some((96, VideoEncoding::Vp8))),
        (&[(95, "VP9/90000", "profile-id=2"), (96, "AV1/90000", "x")], Some((95, VideoEncoding::Vp9))),
        (&[(96, "AV1/90000", "x"), (97, "VP8/90000", "x")], Some((97, VideoEncoding::Vp8))),
        (&[(96, "AV1/90000", "profile=1"), (97, "AV1/90000", "level-idx=5")], Some((97, VideoEncoding::Av1))),
        (&[(97, "H265/90000", "x"), (96, "av1/90000", "profile=1")], Some((96, VideoEncoding::Av1))),
        (&[(96, "AV1X/90000", "x"), (97, "H265/90000", "x")], None),
        (&[(96, "H264/48000", "packetization-mode=1")], None),
    ];
    for (formats, wanted) in table {
        let text = offer(formats);
        let offer = check(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let got = offer.pick_video().map(|video| (video.payload, video.encoding));
        assert_eq!(got, *wanted, "{formats:?}");
    }
}

#[test]
fn sound_is_opus_and_else_g711() {
    for (removed, wanted) in [
        (&[][..], Some((111, AudioEncoding::Opus))),
        (&["111"], Some((0, AudioEncoding::Pcmu))),
        (&["111", "0"], Some((8, AudioEncoding::Pcma))),
        (&["111", "0", "8"], None),
    ] {
        let formats = ["111", "63", "9", "0", "8", "13", "110", "126"];
        let kept: Vec<&str> = formats.into_iter().filter(|format| !removed.contains(format)).collect();
        let text = CHROMIUM.replace("SAVPF 111 63 9 0 8 13 110 126", &format!("SAVPF {}", kept.join(" ")));
        // Without an a=rtpmap, 0 and 8 mean the same.
        let text = without(&without(&text, "a=rtpmap:0 "), "a=rtpmap:8 ");
        let got = check(&text).expect("good").pick_audio().map(|audio| (audio.payload, audio.encoding));
        assert_eq!(got, wanted, "{kept:?}");
    }
}

#[test]
fn the_first_m_line_that_sends_is_taken() {
    // A second camera, behind a first m-line that only plays.
    let (session, media) = CHROMIUM.split_once("m=audio").expect("audio");
    let (audio, rest) = media.split_once("m=video").expect("video");
    let (video, _) = rest.split_once("m=application").expect("data");
    let session = session.replace("BUNDLE 0 1 2", "BUNDLE 0 1 2 3");
    let video = |mid: u8, direction: &str| {
        format!("m=video{}", video.replace("a=mid:1", &format!("a=mid:{mid}")).replace("a=sendrecv", direction))
    };
    let text = |first, second, third| {
        format!("{session}m=audio{audio}{}{}{}", video(1, first), video(2, second), video(3, third))
    };
    for (directions, wanted) in [
        (("a=recvonly", "a=sendonly", "a=sendrecv"), 2),
        (("a=inactive", "a=recvonly", "a=sendrecv"), 3),
        (("a=sendrecv", "a=sendrecv", "a=sendrecv"), 1),
        (("a=x", "a=sendonly", "a=sendonly"), 1),
    ] {
        let (offer, choice) = good(&text(directions.0, directions.1, directions.2));
        assert_eq!(choice.video.as_ref().map(|video| video.index), Some(wanted), "{directions:?}");
        let inner = rewrite_offer(&offer, &choice);
        assert!(inner.contains(&format!("\r\na=group:BUNDLE 0 {wanted}\r\n")), "{inner}");
        assert_eq!(inner.contains("a=sendonly"), directions.0 == "a=recvonly", "{inner}");
    }
    // Nothing but the sound is sent.
    let (_, choice) = good(&text("a=recvonly", "a=inactive", "a=recvonly"));
    assert_eq!((choice.video, choice.audio.map(|audio| audio.index)), (None, Some(0)));
}

#[test]
fn the_answer_has_every_m_line_and_rejects_what_is_not_taken() {
    let (session, media) = CHROMIUM.split_once("m=audio").expect("audio");
    let (av, data) = media.split_once("m=application").expect("data");
    // The data channel first, as no browser does.
    let text = format!("{session}m=application{data}m=audio{av}");
    let (offer, choice) = good(&text);
    let answer = "v=0\r\ns=-\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\nm=video 9 UDP/TLS/RTP/SAVPF 108 109\r\na=mid:1\r\n";
    let whole = complete_answer(&offer, &choice, answer).expect("whole");
    assert_eq!(
        whole,
        answer.replace(
            "m=audio",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:2\r\nm=audio"
        )
    );
    for (index, mid, inner) in [
        (0, None, None),
        (1, None, Some(0)),
        (1, Some("0"), Some(0)),
        (7, Some("0"), Some(0)),
        (1, Some(""), Some(0)),
        (2, None, None),
        (2, Some("2"), None),
    ] {
        assert_eq!(choice.inner_mline(&offer, index, mid), Ok(inner), "{index} {mid:?}");
    }
    for (index, mid) in [(3, None), (0, Some("7")), (u32::MAX, None)] {
        let error = choice.inner_mline(&offer, index, mid).expect_err("none").to_string();
        assert!(error.starts_with("the offer has no m-line"), "{error}");
    }
    assert_eq!(choice.outer_mline(&offer, 0), Some((1, "0")));
    assert_eq!(choice.outer_mline(&offer, 1), Some((2, "1")));
    assert_eq!(choice.outer_mline(&offer, 2), None);

    for bad in [
        "",
        "v=0\r\n",
        "v=0\r\nm=audio 9 x 1\r\n",
        &answer.replace("m=audio", "m=text"),
        &format!("{answer}m=video 0 x 1\r\n"),
    ] {
        assert!(matches!(complete_answer(&offer, &choice, bad), Err(OfferError::Internal(_))), "{bad:?}");
    }
}

#[test]
fn without_a_group_each_m_line_has_its_own_transport() {
    let text = without(CHROMIUM, "a=group");
    let text = text.replacen("a=ice-ufrag:aO1V", "a=ice-ufrag:other", 1);
    let (offer, choice) = good(&text);
    let inner = rewrite_offer(&offer, &choice);
    assert!(
        !inner.contains("BUNDLE") && inner.contains("a=ice-ufrag:other\r\n") && inner.contains("a=ice-ufrag:aO1V\r\n")
    );
    assert_eq!(choice.inner_mline(&offer, 1, None), Ok(Some(1)));
}

#[test]
fn bundle_only_m_lines_take_the_transport_of_the_first() {
    let (head, video) = CHROMIUM.split_once("m=video 9").expect("video");
    let (video, _) = video.split_once("m=application").expect("data");
    let mut video = format!("m=video 0{video}a=bundle-only\r\n");
    for start in ["a=ice-", "a=setup", "a=fingerprint", "a=rtcp-mux"] {
        video = without(&video, start);
    }
    let text = format!("{}{video}", head.replace("BUNDLE 0 1 2", "BUNDLE 0 1"));
    let (offer, choice) = good(&text);
    let inner = rewrite_offer(&offer, &choice);
    assert_eq!(inner.matches("a=ice-pwd:HJ6jvCQqD7RFMxcUHh2bbQD0\r\n").count(), 2, "{inner}");
    assert_eq!(inner.matches("a=setup:actpass\r\n").count(), 2, "{inner}");
    assert!(refusal(&text.replace("BUNDLE 0 1", "BUNDLE 0")).contains("m-line 1 has no a=ice-ufrag"));

    // A port of 0 alone takes the m-line back.
    let (_, choice) = good(&CHROMIUM.replace("m=video 9", "m=video 0"));
    assert_eq!(choice.video, None);
}

#[test]
fn parameters_and_names_that_nobody_knows_do_not_go_through() {
    let text = CHROMIUM
        .replace("a=fmtp:108 level", "a=fmtp:108 media=application;payload=5;x-google-start-bitrate=99;apt=a,b;level")
        .replace("a=rtcp-fb:108 nack\n", "a=rtcp-fb:108 nack\na=rtcp-fb:108 ccm tmmbr\na=rtcp-fb:* x-odd\n")
        .replace("a=extmap:3 ", "a=extmap:15 urn:ietf:params:rtp-hdrext:odd\na=extmap:3 ");
    let (offer, choice) = good(&text);
    let inner = rewrite_offer(&offer, &choice);
    assert!(
        inner.contains("a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"),
        "{inner}"
    );
    for odd in ["media=", "payload=", "tmmbr", "odd", "google-start"] {
        assert!(!inner.contains(odd), "{odd}: {inner}");
    }
    assert!(choice.video.expect("video").feedback.iter().any(|words| words == "x-odd"));
}
