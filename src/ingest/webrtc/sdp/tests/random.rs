//! Whatever comes: no panic, and what is taken can be written and read again.

use proptest::prelude::*;

use super::*;

/// A change somewhere in a text.
#[derive(Debug, Clone)]
enum Change {
    Byte(usize, u8),
    Insert(usize, String),
    Cut(usize, usize),
    DoubleLine(usize),
    DropLine(usize),
    SwapLines(usize, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<usize>(), 0u8..128).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (any::<usize>(), ".{0,12}").prop_map(|(at, text)| Change::Insert(at, text)),
        (any::<usize>(), 0usize..200).prop_map(|(at, len)| Change::Cut(at, len)),
        any::<usize>().prop_map(Change::DoubleLine),
        any::<usize>().prop_map(Change::DropLine),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Change::SwapLines(one, other)),
    ]
}

fn apply(text: &str, change: &Change) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut lines: Vec<&str> = text.lines().collect();
    if bytes.is_empty() || lines.is_empty() {
        return text.to_owned();
    }
    let (len, count) = (bytes.len(), lines.len());
    match change {
        Change::Byte(at, byte) => bytes[at % len] = *byte,
        Change::Insert(at, text) => drop(bytes.splice(at % len..at % len, text.bytes())),
        Change::Cut(at, width) => drop(bytes.drain(at % len..(at % len + width).min(len))),
        Change::DoubleLine(at) => lines.insert(at % count, lines[at % count]),
        Change::DropLine(at) => drop(lines.remove(at % count)),
        Change::SwapLines(one, other) => lines.swap(one % count, other % count),
    }
    match change {
        Change::Byte(..) | Change::Insert(..) | Change::Cut(..) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => lines.join("\r\n") + "\r\n",
    }
}

/// Longest time that an offer may cost, whatever is in it: in a debug build it takes some 10 ms.
const CHECK_MAX: std::time::Duration = std::time::Duration::from_secs(2);

#[test]
fn no_line_costs_much_however_often_it_is_there() {
    for line in [
        "a=rtcp-fb:* x-{}",
        "a=ssrc:{} cname:x",
        "a=ssrc-group:FID {} {}",
        "a=extmap:{} urn:x-{}",
        "a=candidate:{} 1 udp 1 192.0.2.2 1 typ host",
        "a=fmtp:108 x={}",
        "a=rtpmap:{} X/{}",
        "a=group:BUNDLE",
        "a=x-{}",
        "a=fingerprint:md5 {}",
    ] {
        let mut text = CHROMIUM.to_owned();
        for count in 1.. {
            let more = line.replace("{}", &count.to_string()) + "\n";
            if text.len() + more.len() > OFFER_LEN_MAX {
                break;
            }
            // Into the video's m-line, with its 23 payload types; groups above all.
            let at = if line.starts_with("a=group") { "m=audio" } else { "m=application" };
            let place = text.find(at).expect("an m-line");
            text.insert_str(place, &more);
        }
        let began = std::time::Instant::now();
        let offer = check(&text);
        assert!(began.elapsed() < CHECK_MAX, "{line}: {:?}", began.elapsed());
        let Ok(offer) = offer else { continue };
        for media in &offer.media {
            assert!(media.codecs.iter().all(|codec| codec.feedback.len() <= 16), "{line}");
            assert!(media.sources.len() <= 32 && media.repairs.len() <= 32 && media.candidates.len() <= 100, "{line}");
        }
        if let Ok(choice) = offer.choose() {
            assert!(rewrite_offer(&offer, &choice).len() < 32 * 1024, "{line}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_offer_is_refused_in_words_or_can_be_written_and_read_again(
        which in 0usize..5,
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let text = changes.iter().fold(offers()[which].1.clone(), |text, change| apply(&text, change));
        match check(&text).and_then(|offer| offer.choose().map(|choice| (offer, choice))) {
            Err(error) => {
                let words = error.to_string();
                prop_assert!(!words.contains('\n') && words.len() < 600, "{words:?}");
            }
            Ok((offer, choice)) => {
                let inner = rewrite_offer(&offer, &choice);
                prop_assert!(inner.is_ascii() && !inner.contains('\0'), "{inner:?}");
                let again = check(&inner);
                prop_assert!(again.is_ok(), "{again:?}\n{inner}");
                let again = again.expect("just seen");
                let second = again.choose();
                prop_assert!(second.is_ok(), "{second:?}\n{inner}");
                let second = second.expect("just seen");
                prop_assert_eq!(rewrite_offer(&again, &second), inner.clone());
                // The cut-down offer stands for an answer with the same m-lines.
                let whole = complete_answer(&offer, &choice, &inner).expect("the m-lines are those that were chosen");
                prop_assert_eq!(whole.matches("\r\nm=").count(), offer.media.len());
            }
        }
    }

    #[test]
    fn any_text_is_refused_or_taken(text in ".{0,400}") {
        let _ = check(&text);
        let _ = check(&format!("v=0\r\nm={text}\r\na={text}\r\n"));
    }

    #[test]
    fn a_changed_candidate_is_refused_or_taken_as_it_is(changes in prop::collection::vec(change(), 1..4)) {
        let text = "candidate:842163049 1 udp 1677729535 198.51.100.7 46154 typ srflx raddr 10.0.17.1 rport 0 generation 0";
        let text = changes.iter().fold(text.to_owned(), |text, change| apply(&text, change));
        if let Ok(Some(candidate)) = check_candidate(&text) {
            prop_assert!(candidate.text.is_ascii() && !candidate.text.contains(['\r', '\n']));
            prop_assert_eq!(check_candidate(&candidate.text), Ok(Some(candidate.clone())));
        }
    }
}
