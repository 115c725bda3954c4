//! Restarts of ICE (RFC 9725, 4.3.3): the stream goes on over a way that is found anew, without a new session.

use serde_json::Value;

use crate::support::namespace::Namespace;
use crate::support::service::{Options, Service};
use crate::support::ts::Verdict;
use crate::support::wait::{LATER, SOON, wait_until};
use crate::support::webrtc::{
    Page, assert_decodes, assert_good, expected, reached_from, receive, since, since_key_frame, whip_url, whip_url_from,
};

/// How long the stream is watched after each restart.
const AFTER_S: f64 = 3.0;

/// Pictures from a key frame on that show that the stream goes on.
const PICTURES: usize = 60;

fn pictures(bytes: &[u8]) -> usize {
    let video = Verdict::of_bytes(bytes).video;
    video.map_or(0, |video| video.units.iter().skip_while(|unit| !unit.key).count())
}

/// Publishes by WHIP, without a client.
fn publish(page: &Page, url: &str) {
    let status = page.browser.eval(&format!("publisher.post_offer('{url}', await publisher.camera())"));
    assert_eq!(status, 201, "{}", page.browser.eval("publisher.answer"));
}

/// Restarts, and waits until a pair under the new credentials of the browser is in use. The way then.
fn restart(page: &Page) -> Value {
    let before = page.browser.eval("publisher.way()");
    let said = page.browser.eval("publisher.restart_ice()");
    assert_eq!(said["status"], 200, "{said}");
    let fresh = said["text"].as_str().unwrap().split("a=ice-ufrag:").nth(1).and_then(|rest| rest.split("\r\n").next());
    let fresh = fresh.unwrap_or_else(|| panic!("no a=ice-ufrag in {said}"));
    let found = format!(
        "publisher.way().then((way) => way.ice === 'connected' && way.pair !== '{}' && way.remote_ufrag === '{fresh}')",
        before["pair"].as_str().unwrap_or_default()
    );
    page.browser.wait(SOON, "a pair of the new session is in use", &found);
    let way = page.browser.eval("publisher.way()");
    println!("{before} -> {way}");
    assert_ne!(way["local_ufrag"], before["local_ufrag"]);
    assert_eq!(way["dtls"], "connected");
    way
}

#[test]
fn ice_restarts_twice_and_the_stream_goes_on() {
    let mut service = Service::start();
    let page = Page::open();
    publish(&page, &whip_url(&service, "live/test"));
    service.api.wait_live("live/test");
    let receiver = receive(&service, "live/test", 2.0);
    for _ in 0..2 {
        restart(&page);
        receiver.wait_more(AFTER_S);
    }
    assert_eq!(receiver.connections(), 1);
    assert_good("restarted twice", &receiver, &expected(true, true, 2.0 + 2.0 * AFTER_S));
    service.assert_runs();
}

#[test]
fn a_restart_that_arrives_after_the_browsers_first_check_loses_nothing() {
    let Some(namespace) = Namespace::make() else { return };
    let mut service = Service::start_with(Options { settings: reached_from(&namespace), ..Options::default() });
    let page = Page::open_in(&namespace);
    publish(&page, &whip_url_from(&service, &namespace));
    service.api.wait_live("live/test");
    let receiver = receive(&service, "live/test", 2.0);
    // As on a long way: the browser has been answered from its new sockets when the service learns of the restart.
    page.browser.eval(
        "(window.quick = window.fetch, window.fetch = async (...all) => {
            await new Promise((done) => setTimeout(done, 300));
            return window.quick(...all);
        }, null)",
    );
    for _ in 0..2 {
        restart(&page);
        receiver.wait_more(AFTER_S);
    }
    assert_eq!(receiver.connections(), 1);
    assert_good("restarted late", &receiver, &expected(true, true, 2.0 + 2.0 * AFTER_S));
    service.assert_runs();
}

#[test]
fn what_is_no_restart_is_refused_and_the_stream_goes_on() {
    let mut service = Service::start();
    let page = Page::open();
    publish(&page, &whip_url(&service, "live/test"));
    service.api.wait_live("live/test");
    let receiver = receive(&service, "live/test", 2.0);
    let fragment = |ufrag: &str, password: &str| {
        format!("m=audio 9 RTP/AVP 0\\r\\na=mid:0\\r\\na=ice-ufrag:{ufrag}\\r\\na=ice-pwd:{password}\\r\\n")
    };
    let good = fragment("ysXw", "vw5LmwG4y/e6dPP/zAP9Gp5k");
    for (precondition, body, status) in [
        ("", good.clone(), 428),
        ("'If-Match': '\"other\"'", good.clone(), 412),
        ("'If-Match': '*'", "m=audio 9 RTP/AVP 0\\r\\na=mid:0\\r\\na=ice-ufrag:ysXw\\r\\n".to_owned(), 400),
        ("'If-Match': '*'", fragment("y", "vw5LmwG4y/e6dPP/zAP9Gp5k"), 400),
        ("'If-Match': '*'", fragment("ysXw", "short"), 400),
        ("'If-Match': '*'", fragment("ysXw", "vw5LmwG4y/e6dPP/zAP9Gp5k;"), 400),
        ("'If-Match': '*'", good.replace("mid:0", "mid:7"), 400),
    ] {
        let headers = format!("{{ 'Content-Type': 'application/trickle-ice-sdpfrag', {precondition} }}");
        let patch = format!("fetch(publisher.resource, {{ method: 'PATCH', headers: {headers}, body: '{body}' }})");
        let said = page.browser.eval(&format!("{patch}.then(async (answer) => [answer.status, await answer.text()])"));
        assert_eq!(said[0], status, "{precondition} {body}: {said}");
        assert!(said[1].as_str().unwrap().contains("\"detail\":"), "{said}");
    }
    // The session has lost nothing by it, and can still be restarted.
    restart(&page);
    receiver.wait_more(AFTER_S);
    assert_good("after what is no restart", &receiver, &expected(true, true, 2.0 + AFTER_S));
    service.assert_runs();
}

#[test]
fn the_client_from_npm_restarts_and_trickles_on() {
    let mut service = Service::start();
    let page = Page::open();
    page.whip(&service, "live/test", "camera()", "{}");
    let receiver = receive(&service, "live/test", 2.0);
    let before = page.browser.eval("[publisher.client.etag, await publisher.way()]");
    let refused = page.browser.eval("publisher.client.restart().then(() => '', (error) => error.message)");
    assert_eq!(refused, "", "its restart fails");
    let found = format!("publisher.way().then((way) => way.ice === 'connected' && way.pair !== {})", before[1]["pair"]);
    page.browser.wait(SOON, "a pair of the new session is in use", &found);
    assert_ne!(page.browser.eval("publisher.client.etag"), before[0]);
    receiver.wait_more(AFTER_S);
    assert_eq!(receiver.connections(), 1);
    assert_good("restarted by npm's client", &receiver, &expected(true, true, 2.0 + AFTER_S));
    service.assert_runs();
}

#[test]
fn a_restart_finds_the_way_from_another_address_when_the_first_one_is_dead() {
    let Some(namespace) = Namespace::make() else { return };
    let mut service = Service::start_with(Options { settings: reached_from(&namespace), ..Options::default() });
    let page = Page::open_in(&namespace);
    publish(&page, &whip_url_from(&service, &namespace));
    service.api.wait_live("live/test");
    let receiver = receive(&service, "live/test", 3.0);
    assert_eq!(page.browser.eval("publisher.way()")["local"], namespace.address());

    let other = namespace.add_address().to_string();
    namespace.cut_first_address();
    page.browser.wait(LATER, "the way is lost", "publisher.pc.iceConnectionState === 'disconnected'");
    let at = receiver.received();
    assert_eq!(restart(&page)["local"], other.as_str());
    wait_until(SOON, "pictures go on", || pictures(since(&receiver.bytes(), at)) > PICTURES);
    assert_eq!((receiver.connections(), receiver.verdict().continuity_errors), (1, 0));
    let bytes = receiver.bytes();
    assert_decodes("from the other address", since_key_frame(&bytes, at));
    assert_eq!(service.api.status("live/test"), "broadcasting");
    service.assert_runs();
}

#[test]
fn ant_medias_sdk_publishes_anew_when_its_way_is_lost_for_longer() {
    let Some(namespace) = Namespace::make() else { return };
    let mut settings = reached_from(&namespace);
    // Before the SDK has noticed anything, so that it has to find out by itself.
    settings.push(("WEBRTC__SILENCE_TIMEOUT_MS", "4000".to_owned()));
    let mut service = Service::start_with(Options { settings, ..Options::default() });
    let page = Page::open_in(&namespace);
    let socket = format!("ws://{}:{}/live/websocket", namespace.outside, service.ports.http);
    page.browser.eval(&format!("publisher.sdk('{socket}', 'test')"));
    page.wait_news("publish_started", 1);
    service.api.wait_live("live/test");
    let receiver = receive(&service, "live/test", 2.0);
    let at = receiver.received();

    // It knows no restart of ICE: it stops, and publishes the same id again.
    namespace.lose_percent(100);
    page.wait_news("reconnection_attempt_for_publisher", 1);
    namespace.lose_percent(0);
    page.wait_news("publish_started", 2);
    wait_until(LATER, "pictures go on", || pictures(since(&receiver.bytes(), at)) > PICTURES);
    println!("{}", page.news());
    assert_eq!(service.api.status("live/test"), "broadcasting");
    service.assert_runs();
}
