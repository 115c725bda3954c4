//! The whole way: a browser publishes from the service's own page over HTTPS, the stream goes by SRT into another
//! application of the same server, and from there to ffmpeg.

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::receiver::{Decoder, Receiver};
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON, wait_until};
use crate::support::webrtc::{assert_good, expected};

/// The narrowest window that the page must work in.
const PHONE: (u32, u32) = (360, 740);

#[test]
fn what_a_browser_publishes_from_the_page_is_restreamed_into_another_application_and_on() {
    let mut service = Service::start();
    let browser = Browser::start();
    browser.set_size(1280, 800);
    browser.open(&format!("https://127.0.0.1:{}/live/?id=test", service.ports.https));
    browser.wait(SOON, "the page can start", "document.querySelector('#start')?.disabled === false");
    browser.eval("document.querySelector('#start').click()");
    browser.wait(LATER, "the page is live", "document.body.dataset.state === 'live'");
    service.api.wait_live("live/test");
    let broadcast = service.api.broadcast("live/test").unwrap();
    assert_eq!(broadcast["publishType"], "WebRTC", "{broadcast}");

    let url = format!("srt://127.0.0.1:{}?streamid=LiveApp/srt-test", service.ports.srt);
    let answer = service.api.try_add_endpoint("live/test", &url);
    let id = answer["dataId"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer, json!({ "success": true, "message": null, "dataId": id, "errorId": 0 }));
    service.api.wait_live("LiveApp/srt-test");
    let arrived = service.api.broadcast("LiveApp/srt-test").unwrap();
    assert_eq!(arrived["publishType"], "SRT", "{arrived}");

    let (receiver, mut decoder) = (Receiver::listen(), Decoder::listen(5));
    for url in [receiver.url(), decoder.url()] {
        let id = service.api.add_endpoint("LiveApp/srt-test", &url);
        service.api.wait_endpoint("LiveApp/srt-test", &id, "broadcasting");
    }
    decoder.assert_decodes("the browser's stream over two hops");
    receiver.wait_seconds(6.0);
    assert_good("the browser's stream over two hops", &receiver, &expected(true, true, 6.0));

    let bitrate = "Number(document.querySelector('#bitrate').dataset.kbps) > 100";
    browser.wait(SOON, "the page shows a bitrate", bitrate);
    browser.screenshot("publish");
    browser.set_size(PHONE.0, PHONE.1);
    let wide = browser.eval("document.documentElement.scrollWidth").as_u64().unwrap();
    browser.screenshot("publish-phone");
    assert!(wide <= u64::from(PHONE.0), "the page is {wide} pixels wide in a window of {}", PHONE.0);

    service.api.remove_endpoint("live/test", &id);
    wait_until(SOON, "the copy has ended", || service.api.status("LiveApp/srt-test") != "broadcasting");
    assert_eq!(service.api.status("live/test"), "broadcasting");

    browser.eval("document.querySelector('#stop').click()");
    browser.wait(SOON, "the page has stopped", "document.body.dataset.state === 'idle'");
    wait_until(SOON, "the stream has ended", || service.api.status("live/test") != "broadcasting");
    service.assert_runs();
}

#[test]
fn the_page_says_in_words_that_an_id_is_taken_and_runs_no_script_of_a_stranger() {
    let service = Service::start();
    let browser = Browser::start();
    let page = |id: &str| format!("http://127.0.0.1:{}/live/?id={id}", service.ports.http);
    let start = || {
        browser.wait(SOON, "the page can start", "document.querySelector('#start')?.disabled === false");
        browser.eval("document.querySelector('#start').click()");
    };
    browser.open(&page("taken"));
    start();
    browser.wait(LATER, "the page is live", "document.body.dataset.state === 'live'");

    browser.new_tab();
    browser.open(&page("taken"));
    start();
    let error = "document.querySelector('#error').textContent.trim()";
    browser.wait(SOON, "the page shows an error", error);
    let text = browser.eval(error);
    assert!(text.as_str().unwrap().split_whitespace().count() > 2, "an error in words: {text}");
    assert_ne!(browser.eval("document.body.dataset.state"), "live");
    assert_eq!(service.api.status("live/taken"), "broadcasting");

    // What stands in the address is shown as text at most.
    browser.open(&page(
        "%3Cimg%20src%3Dx%20onerror%3D%22window.ours%3Dfalse%22%3E&name=%3Cscript%3Ewindow.ours%3Dfalse%3C/script%3E",
    ));
    browser.eval("new Promise((done) => setTimeout(done, 300))");
    assert_eq!(browser.eval("window.ours ?? true"), true);
    browser.eval(
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.ours = false' }))",
    );
    assert_eq!(browser.eval("window.ours ?? true"), true, "the page's policy lets inline script run");
}
