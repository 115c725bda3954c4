//! The panel when something is wrong: bad addresses, a dead receiver, a switch that is turned, names that are markup.

use std::net::UdpSocket;

use serde_json::json;

use crate::support::http::path;
use crate::support::panel::{Panel, stored, test_picture};
use crate::support::receiver::Receiver;
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON, wait_until};

#[test]
fn a_bad_address_is_told_as_it_is_typed_and_is_not_sent() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam");
    panel.click("#add-endpoint");
    for (url, field, says) in [
        ("http://h:1", "url", "begins with srt://"),
        ("srt://", "host", "The host is missing"),
        ("srt://h:99999", "port", "from 1 to 65535"),
        ("srt://h:1?mode=push", "mode", "caller, listener or rendezvous"),
        ("srt://h:1?latency=200000", "latency", "that would be 200 ms"),
        ("srt://h:1?passphrase=short", "passphrase", "10 to 79"),
        ("srt://h:1?latency=1&latency=2", "url", "stands there twice"),
    ] {
        panel.fill(".endpoint-form [name=url]", url);
        panel.wait_text(SOON, &format!(".f-{field} .hint[data-bad]"), says);
        panel.click(".endpoint-form [type=submit]");
        assert!(stored(&service, "live/cam").is_empty(), "{url}");
    }
    // What only the service knows is told at the field as well.
    panel.fill(".endpoint-form [name=url]", "srt://h:1?nonsense=1");
    panel.click(".endpoint-form [type=submit]");
    panel.wait_text(SOON, ".f-url .hint[data-bad]", "`nonsense` is not a key");

    // The fields write the address.
    panel.fill(".endpoint-form [name=url]", "srt://h");
    panel.fill(".endpoint-form [name=port]", "7001");
    panel.fill(".endpoint-form [name=streamid]", "#!::r=a b,m=publish");
    panel.fill(".endpoint-form [name=latency]", "340");
    let url = panel.eval("document.querySelector('.endpoint-form [name=url]').value");
    assert_eq!(url, "srt://h:7001?streamid=%23!::r=a%20b,m=publish&latency=340");
}

#[test]
fn a_dead_receiver_has_a_cause_and_a_countdown_and_is_back_at_once_by_retry_now() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let panel = Panel::open(&service);
    // Somebody who never answers.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("srt://127.0.0.1:{port}?connect_timeout=300");
    // Its own next attempt is too late to be taken for the one that is asked for here.
    let body = json!({ "url": url, "label": "Dead", "retry": { "minMs": 600_000, "maxMs": 600_000 } });
    let (status, answer) = service.api.post(&path("live/cam", "/endpoints"), &body);
    assert_eq!(status, 201, "{answer}");
    panel.edit_endpoints("live/cam");
    panel.wait_state(LATER, "Dead", "waiting");
    panel.wait_text(SOON, ".failure", "No answer");
    panel.wait_text(SOON, ".failure", "Look whether the receiver runs");
    panel.wait_text(LATER, ".failure .next", "Next try in");
    panel.wait_text(SOON, &Panel::row("live/cam"), "0/1 forwarding");

    drop(silent);
    let mut receiver = Receiver::prepare_at("127.0.0.1", port);
    receiver.start();
    let places = "JSON.stringify([...document.querySelectorAll('.endpoint button')].map((button) => button.getBoundingClientRect()))";
    let before = panel.eval(places);
    panel.press("Dead", "retry");
    panel.wait_state(LATER, "Dead", "broadcasting");
    receiver.wait_seconds(1.0);
    // It is over and says so, and no button has moved.
    panel.wait_text(SOON, ".failure[data-past]", "Last failure: No answer");
    assert_eq!(panel.eval(places), before);
}

#[test]
fn the_switch_turns_an_endpoint_off_and_on() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let (receiver, panel) = (Receiver::listen(), Panel::open(&service));
    panel.edit_endpoints("live/cam");
    panel.add_endpoint(&receiver.url(), "Studio");
    panel.wait_state(LATER, "Studio", "broadcasting");
    panel.click(".endpoint .switch");
    panel.wait_state(SOON, "Studio", "disabled");
    assert_eq!(stored(&service, "live/cam")[0]["enabled"], false);
    panel.wait_text(SOON, &Panel::row("live/cam"), "1 endpoint off");
    let connections = receiver.connections();
    // It cannot be turned again before the service has answered.
    panel.click(".endpoint .switch:not([aria-disabled])");
    panel.wait_state(LATER, "Studio", "broadcasting");
    wait_until(LATER, "the receiver is called again", || receiver.connections() > connections);
}

#[test]
fn names_that_are_markup_are_shown_as_they_are() {
    let service = Service::start();
    let nasty = "<img src=x onerror=\"window.hit=1\"><script>window.hit=2</script>";
    test_picture(&service, "live/cam", nasty);
    let panel = Panel::open(&service);
    panel.wait_text(SOON, ".stream-name", nasty);
    panel.edit_endpoints("live/cam");
    panel.add_endpoint("srt://127.0.0.1:9?streamid=<b>x</b>", "\"><svg onload=window.hit=3>");
    panel.wait_text(SOON, ".url", "<b>");
    panel.eval("document.querySelector('dialog[open]').close()");
    panel.choose("live/cam", "Stream details");
    panel.wait_text(SOON, ".stream-title", nasty);
    panel.wait_text(SOON, ".brief", "<svg onload");
    assert_eq!(panel.eval("window.hit ?? null"), json!(null));
    assert_eq!(
        panel.eval("document.querySelectorAll('img:not(.pipeline, .preview-picture), b, main script').length"),
        0
    );
    // Nor could it be otherwise: the policy takes no text for markup and runs no script but the panel's own.
    let forbidden =
        "(() => { try { document.body.innerHTML = '<b>x</b>'; return 'done'; } catch (e) { return e.name; } })()";
    assert_eq!(panel.eval(forbidden), "TypeError");
}
