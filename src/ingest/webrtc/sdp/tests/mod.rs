//! Offers as browsers and encoders write them, what is made of them, and what is refused.
//! `chromium*.sdp` were written by Chromium 156, `firefox-without-h264.sdp` by Firefox 153, the others by hand after
//! what Firefox, Safari 18 and libdatachannel (OBS) write.

mod candidates;
mod random;
mod refused;
mod taken;

use super::*;

const CHROMIUM: &str = include_str!("offers/chromium.sdp");
const CHROMIUM_GATHERED: &str = include_str!("offers/chromium-gathered.sdp");
const FIREFOX: &str = include_str!("offers/firefox.sdp");
const FIREFOX_WITHOUT_H264: &str = include_str!("offers/firefox-without-h264.sdp");
const SAFARI: &str = include_str!("offers/safari.sdp");
const LIBDATACHANNEL: &str = include_str!("offers/libdatachannel.sdp");

/// All of them, with the line ends that SDP has.
fn offers() -> [(&'static str, String); 5] {
    [
        ("chromium", CHROMIUM),
        ("chromium-gathered", CHROMIUM_GATHERED),
        ("firefox", FIREFOX),
        ("libdatachannel", LIBDATACHANNEL),
        ("safari", SAFARI),
    ]
    .map(|(name, text)| (name, text.replace('\n', "\r\n")))
}

/// The error's text.
fn refusal(offer: &str) -> String {
    match check(offer).and_then(|offer| offer.choose()) {
        Err(error) => error.to_string(),
        Ok(choice) => panic!("taken: {choice:?}\n{offer}"),
    }
}

fn good(offer: &str) -> (Offer, Choice) {
    let offer = check(offer).unwrap_or_else(|error| panic!("{error}\n{offer}"));
    let choice = offer.choose().unwrap_or_else(|error| panic!("{error}\n{offer:?}"));
    (offer, choice)
}

/// The text without the lines that begin so.
fn without(offer: &str, start: &str) -> String {
    offer.lines().filter(|line| !line.starts_with(start)).fold(String::new(), |text, line| text + line + "\r\n")
}
