//! TURN: nothing but a relay is between publisher and service. In a network namespace, so as root only.

use serde_json::Value;

use crate::support::namespace::Namespace;
use crate::support::service::{Options, Service};
use crate::support::turn::{PASSWORD, Turn};
use crate::support::webrtc::{Page, assert_good, expected, reached_from, receive, whip_url_from};

/// A service that uses the relay and tells publishers of it.
fn service(namespace: &Namespace, turn: &Turn) -> Service {
    let mut settings = reached_from(namespace);
    settings.push(("WEBRTC__TURN_SERVER", turn.setting()));
    Service::start_with(Options { settings, secrets: vec![PASSWORD.to_owned()], ..Options::default() })
}

/// Publishes by WHIP, with what the service's Link headers say of the relay. The way that was found.
fn publish(page: &Page, service: &Service, namespace: &Namespace, config: &str) -> Value {
    let url = whip_url_from(service, namespace);
    page.browser.eval(&format!("publisher.whip('{url}', await publisher.camera(), {{ config: {config} }})"));
    service.api.wait_live("live/test");
    let receiver = receive(service, "live/test", 4.0);
    assert_good("over a relay", &receiver, &expected(true, true, 4.0));
    page.browser.eval("publisher.way()")
}

#[test]
fn a_browser_that_reaches_only_the_relay_publishes_over_its_own() {
    let Some(namespace) = Namespace::make() else { return };
    let turn = Turn::start(namespace.outside);
    let mut service = service(&namespace, &turn);
    namespace.only_udp(&Turn::ASKED);
    let page = Page::open_in(&namespace);
    let way = publish(&page, &service, &namespace, "{ iceTransportPolicy: 'relay' }");
    assert_eq!(way["local_type"], "relay", "{way}");
    service.assert_runs();
}

#[test]
fn a_browser_that_is_told_of_no_relay_publishes_over_the_services() {
    let Some(namespace) = Namespace::make() else { return };
    let turn = Turn::start(namespace.outside);
    let mut service = service(&namespace, &turn);
    namespace.only_udp(&Turn::RELAYS);
    let page = Page::open_in(&namespace);
    let way = publish(&page, &service, &namespace, "{}");
    assert_eq!((way["local_type"].as_str(), way["remote_type"].as_str()), (Some("host"), Some("relay")), "{way}");
    service.assert_runs();
}

#[test]
fn ant_medias_sdk_gets_the_relay_from_the_signalling() {
    let Some(namespace) = Namespace::make() else { return };
    let turn = Turn::start(namespace.outside);
    let mut service = service(&namespace, &turn);
    namespace.only_udp(&Turn::ASKED);
    let page = Page::open_in(&namespace);
    let socket = format!("ws://{}:{}/live/websocket", namespace.outside, service.ports.http);
    let config = "{ peerconnection_config: { iceTransportPolicy: 'relay' } }";
    page.browser.eval(&format!("publisher.sdk('{socket}', 'test', {config})"));
    page.wait_news("publish_started", 1);
    let way = page.browser.eval("publisher.way(publisher.adaptor.remotePeerConnection.test)");
    assert_eq!(way["local_type"], "relay", "{way}");
    let receiver = receive(&service, "live/test", 4.0);
    assert_good("over a relay", &receiver, &expected(true, true, 4.0));
    service.assert_runs();
}
