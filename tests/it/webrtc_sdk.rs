//! Ant Media's JavaScript SDK, unchanged, in Chromium: what its users do with it works.

use crate::support::receiver::Receiver;
use crate::support::service::Service;
use crate::support::wait::{SOON, wait_until};
use crate::support::webrtc::{Page, assert_good, expected, receive};

/// The SDK gives a publication up when it is not under way by then.
const WATCHDOG_MS: i64 = 3000;

/// Milliseconds from one piece of news to the next of another name.
fn between(page: &Page, from: &str, to: &str) -> i64 {
    let news = page.news();
    let at = |name: &str| {
        let one = news.as_array().unwrap().iter().find(|one| one["name"] == name);
        one.and_then(|one| one["at_ms"].as_i64()).unwrap_or_else(|| panic!("no {name}: {news}"))
    };
    at(to) - at(from)
}

fn assert_no_second_try(page: &Page) {
    assert_eq!(page.browser.eval("publisher.heard('reconnection_attempt_for_publisher')"), 0, "{}", page.news());
}

#[test]
fn the_sdk_publishes_stops_and_publishes_the_same_id_again() {
    let mut service = Service::start();
    let page = Page::open();
    page.sdk(&service, "test");
    page.wait_news("publish_started", 1);
    let took = between(&page, "initialized", "publish_started");
    assert!(took < WATCHDOG_MS, "publish_started after {took} ms");
    println!("publish_started {took} ms after publish()");
    service.api.wait_live("live/test");
    assert_eq!(service.api.broadcast("live/test").unwrap()["publishType"], "WebRTC");
    let receiver = receive(&service, "live/test", 5.0);
    assert_good("the SDK's stream", &receiver, &expected(true, true, 5.0));

    page.browser.eval("publisher.adaptor.getStreamInfo('test')");
    page.wait_news("streamInformation", 1);

    // The SDK's own way to stop, and at once again.
    page.browser.eval("(publisher.adaptor.stop('test'), publisher.adaptor.publish('test'))");
    page.wait_news("publish_started", 2);
    page.wait_news("publish_finished", 1);
    // The endpoint serves the second publication too, over the same connection.
    receiver.wait_more(3.0);
    assert_eq!(receiver.connections(), 1);
    let fresh = receive(&service, "live/test", 3.0);
    assert_good("the SDK's second stream", &fresh, &expected(true, true, 3.0));

    page.browser.eval("publisher.adaptor.stop('test')");
    page.wait_news("publish_finished", 2);
    wait_until(SOON, "the stream has ended", || service.api.status("live/test") != "broadcasting");
    assert_no_second_try(&page);
    service.assert_runs();
}

#[test]
fn a_reload_and_a_closed_tab_give_the_id_back() {
    let service = Service::start();
    let page = Page::open();
    page.sdk(&service, "test");
    page.wait_news("publish_started", 1);
    service.api.wait_live("live/test");
    let receiver = receive(&service, "live/test", 2.0);
    for _ in 0..3 {
        page.browser.reload();
        page.wait_loaded();
        page.sdk(&service, "test");
        // Fails when an error such as streamIdInUse is called back.
        page.wait_news("publish_started", 1);
        assert_no_second_try(&page);
    }
    receiver.wait_more(2.0);
    assert_eq!(receiver.connections(), 1, "kept through the reloads");

    page.browser.new_tab();
    page.load();
    page.sdk(&service, "tab");
    page.wait_news("publish_started", 1);
    service.api.wait_live("live/tab");
    page.browser.close_tab();
    wait_until(SOON, "the closed tab's stream has ended", || service.api.status("live/tab") != "broadcasting");
    page.browser.eval("publisher.adaptor.publish('tab')");
    page.wait_news("publish_started", 2);
    service.api.wait_live("live/tab");
    assert_eq!(service.api.status("live/test"), "broadcasting");
}

#[test]
fn an_id_in_use_and_a_bad_one_are_refused_with_ant_medias_codes() {
    let service = Service::start();
    let page = Page::open();
    page.sdk(&service, "test");
    page.wait_news("publish_started", 1);
    service.api.wait_live("live/test");

    page.browser.new_tab();
    page.load();
    page.sdk(&service, "test");
    page.browser.wait(SOON, "the id is in use", "publisher.heard('streamIdInUse', 'error') >= 1");
    page.browser.eval("publisher.adaptor.publish('a/../b')");
    page.browser.wait(SOON, "the id is bad", "publisher.heard('invalidStreamName', 'error') >= 1");
    page.browser.eval("publisher.adaptor.getStreamInfo('nobody')");
    page.browser.wait(SOON, "nobody is no stream", "publisher.heard('no_stream_exist', 'error') >= 1");
    assert_eq!(service.api.status("live/test"), "broadcasting");
}

#[test]
fn a_new_endpoint_of_a_browsers_stream_carries_pictures_soon() {
    let service = Service::start();
    let page = Page::open();
    page.sdk(&service, "test");
    page.wait_news("publish_started", 1);
    service.api.wait_live("live/test");
    let mut took_ms: Vec<u128> = Vec::new();
    for _ in 0..5 {
        let receiver = Receiver::listen();
        let begun = std::time::Instant::now();
        service.api.add_endpoint("live/test", &receiver.url());
        // A browser sends a key frame only when asked: without a wish this waits for the next period.
        wait_until(SOON, "pictures", || receiver.verdict().video.is_some_and(|video| !video.units.is_empty()));
        took_ms.push(begun.elapsed().as_millis());
        assert!(receiver.verdict().opening.key_first);
    }
    took_ms.sort_unstable();
    println!("first picture at a new endpoint after {took_ms:?} ms");
    assert!(took_ms[2] < 5000, "{took_ms:?}");
}
