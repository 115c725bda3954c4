//! What a stream looks like, on its page: a picture that moves while somebody looks, words where there is none, and no
//! work for the service when nobody does.

use crate::support::panel::{Panel, test_picture};
use crate::support::publisher::Publisher;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON, wait_until};

/// A picture is shown, as large as the service makes it.
const SHOWN: &str = "(() => {
    const picture = document.querySelector('.preview-picture');
    return picture && !picture.hidden && picture.complete && picture.naturalWidth === 640;
})()";

/// What is seen, as one text: another one for another picture.
const SEEN: &str = "(() => {
    const picture = document.querySelector('.preview-picture');
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [160, 90];
    canvas.getContext('2d').drawImage(picture, 0, 0, 160, 90);
    return canvas.toDataURL();
})()";

/// Height by width of the box.
const SHAPE: &str = "(() => {
    const { width, height } = document.querySelector('.preview').getBoundingClientRect();
    return Math.abs(height / width - 9 / 16) < 0.01;
})()";

/// How many threads of the service make previews.
fn decoders(service: &Service) -> usize {
    service.holdings().threads.get("preview").copied().unwrap_or(0)
}

#[track_caller]
fn wait_moves(panel: &Panel) {
    panel.wait(LATER, "a picture", SHOWN);
    let first = panel.eval(SEEN);
    panel.wait(LATER, "another picture", &format!("{SHOWN} && {SEEN} !== {first}"));
}

#[test]
fn a_live_streams_page_shows_a_picture_that_moves_and_asks_for_none_when_nobody_looks() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let panel = Panel::open(&service);
    // The list asks for no picture.
    panel.wait_text(SOON, &Panel::row("live/cam"), "Live");
    assert_eq!(decoders(&service), 0);
    panel.choose("live/cam", "Stream details");
    panel.wait(SOON, "the box has its shape before there is a picture", SHAPE);
    wait_moves(&panel);
    assert_eq!(panel.eval(SHAPE), true);
    assert_eq!(
        panel.eval("document.querySelector('.preview-picture').alt"),
        "Picture of Camera, a new one each second"
    );
    assert_eq!(decoders(&service), 1);

    panel.click("[data-do=pause]");
    panel.wait_text(SOON, ".preview", "Paused");
    wait_until(LATER, "nothing decodes while it is paused", || decoders(&service) == 0);
    panel.click("[data-do=pause]");
    wait_moves(&panel);

    // Below the edge of a small window it is not seen.
    panel.browser.set_size(390, 400);
    panel.eval("scrollTo(0, document.body.scrollHeight)");
    wait_until(LATER, "nothing decodes while it is out of sight", || decoders(&service) == 0);
    panel.eval("scrollTo(0, 0)");
    wait_moves(&panel);

    panel.eval("location.hash = ''");
    panel.wait_text(SOON, &Panel::row("live/cam"), "Live");
    wait_until(LATER, "nothing decodes when the page is left", || decoders(&service) == 0);
}

#[test]
fn where_there_is_no_picture_the_box_says_why() {
    let mut service = Service::start();
    let sound = Publisher::srt(&service, "live/sound", &Sample::of(sample::AAC_ONLY));
    service.api.wait_live("live/sound");
    let panel = Panel::open(&service);
    panel.choose("live/sound", "Stream details");
    panel.wait_text(LATER, ".preview", "the stream has no pictures. It is tried again every 5 seconds.");
    assert_eq!(panel.eval(SHAPE), true);
    sound.stop();
    panel.wait_text(LATER, ".preview", "Waiting for publisher");
    service.stop();
    panel.wait_text(SOON, ".preview", "No connection");
}
