//! What the list says of a stream is so: also without a connection, of two with one name, of one called as a call of the
//! interface is, and of a source that does not come in.

use serde_json::json;

use crate::support::http::path;
use crate::support::panel::{Panel, stored, test_picture};
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{LATER, SOON, wait_until};

/// For how long something must stay as it is, in milliseconds: two seconds' clocks.
const STILL_MS: u32 = 2_500;

/// More than the service keeps.
const EVENTS: usize = 4_100;

#[test]
fn without_a_connection_every_clock_stands_still_and_a_dialog_says_so() {
    let mut service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let receiver = Receiver::listen();
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam");
    panel.add_endpoint(&receiver.url(), "Studio");
    panel.wait_state(LATER, "Studio", "broadcasting");
    assert_eq!(panel.eval("document.querySelector('.dialog-notice').hidden"), true);
    service.stop();
    panel.wait_text(SOON, "dialog[open] .dialog-notice", "No connection to the service");
    let times = "[document.querySelector('.endpoint-state .number').textContent,
        document.querySelector('.c-state .number').textContent].join()";
    let still = format!(
        "(async () => {{ const before = {times};
            await new Promise((done) => setTimeout(done, {STILL_MS}));
            return [before, {times}]; }})()"
    );
    let seen = panel.eval(&still);
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].as_str().unwrap().contains("0:"), "{seen}");
    // A dialog that is opened now says so as well.
    panel.eval("document.querySelector('dialog[open]').close()");
    panel.wait(SOON, "it is closed", "!document.querySelector('dialog')");
    panel.choose("live/cam", "Delete stream");
    panel.wait_text(SOON, "dialog[open] .dialog-notice", "No connection to the service");
    service.start_again();
    panel.wait(SOON, "the notice is gone", "document.querySelector('.dialog-notice').hidden");
}

#[test]
fn two_streams_of_one_name_are_told_apart_where_it_counts() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Main stage");
    test_picture(&service, "LiveApp/cam", "Main stage");
    let panel = Panel::open(&service);
    panel.wait_text(SOON, &Panel::row("live/cam"), "Live");
    panel.choose("live/cam", "Stop stream");
    panel.wait_text(SOON, "dialog[open]", "Stop Main stage?");
    panel.wait_text(SOON, "dialog[open]", "live/cam");
    panel.click("dialog[open] .button.bad");
    panel.wait_text(SOON, ".message", "Main stage was stopped.");
    wait_until(LATER, "it has ended", || service.api.status("live/cam") == "finished");
    assert_eq!(service.api.status("LiveApp/cam"), "broadcasting");
    panel.choose("LiveApp/cam", "Delete stream");
    panel.wait_text(SOON, "dialog[open]", "LiveApp/cam");
    panel.eval("document.querySelector('dialog[open]').close()");
    // The application is seen on a phone, too.
    panel.browser.set_size(390, 844);
    panel.wait_text(SOON, &Panel::row("LiveApp/cam"), "LiveApp/cam");
}

#[test]
fn a_publisher_called_count_freezes_nothing() {
    let service = Service::start();
    let panel = Panel::open(&service);
    let _publisher = Publisher::rtmp(&service, "live/count", &Sample::of(sample::H264_AAC));
    panel.wait_text(LATER, &Panel::row("live/count"), "RTMP");
    test_picture(&service, "live/cam", "Camera");
    panel.wait_text(SOON, &Panel::row("live/cam"), "Live");
    panel.wait(
        LATER,
        "its clock runs",
        "/0:0[3-9]/.test(document.querySelector(\"[data-key='live/cam']\").textContent)",
    );
}

#[test]
fn a_source_that_fails_says_why_and_when_it_is_tried_again() {
    let service = Service::start();
    let source = "srt://127.0.0.1:9?connect_timeout=300";
    let body = json!({ "streamId": "gate", "name": "Gate", "type": "streamSource", "streamUrl": source });
    service.api.post("/live/rest/v2/broadcasts/create?autoStart=true", &body);
    let panel = Panel::open(&service);
    let row = Panel::row("live/gate");
    panel.wait_text(LATER, &row, "Next try in");
    panel.fill("#search", "");
    panel.eval("document.querySelector('#filter-state').value = 'trouble'");
    panel.eval("document.querySelector('#filter-state').dispatchEvent(new Event('input'))");
    panel.wait_text(SOON, ".filter-found", "1 stream");
    panel.eval("document.querySelector('#filter-state').value = ''");
    let cause = panel.eval(&format!("document.querySelector(\"{row} .codecs\").textContent"));
    assert!(!cause.as_str().unwrap().is_empty(), "{cause}");
    panel.choose("live/gate", "Stream details");
    panel.wait_text(SOON, ".stream-head .failure", cause.as_str().unwrap());
    panel.wait_text(LATER, ".stream-head .failure", "Next try in");
}

#[test]
fn a_publisher_that_is_gone_needs_attention_at_once() {
    let settings = vec![("STREAM__HOLD_MS", "30000".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let publisher = Publisher::rtmp(&service, "live/test", &Sample::of(sample::H264_AAC));
    service.api.wait_live("live/test");
    let panel = Panel::open(&service);
    panel.wait_text(SOON, &Panel::row("live/test"), "Live");
    panel.eval("document.querySelector('#filter-state').value = 'trouble'");
    panel.eval("document.querySelector('#filter-state').dispatchEvent(new Event('input'))");
    panel.wait_text(SOON, ".filter-found", "0 of 1");
    publisher.stop();
    panel.wait_text(SOON, &Panel::row("live/test"), "Waiting for publisher");
}

#[test]
fn what_is_switched_off_counts_as_off_also_while_its_stream_is_not_live() {
    let service = Service::start();
    service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": "cam", "name": "Camera" }));
    for port in [9_001, 9_002] {
        service.api.add_endpoint("live/cam", &format!("srt://127.0.0.1:{port}"));
    }
    for endpoint in stored(&service, "live/cam") {
        let id = endpoint["id"].as_str().unwrap();
        service.api.patch(&path("live/cam", &format!("/endpoints/{id}")), &json!({ "enabled": false }));
    }
    let panel = Panel::open(&service);
    panel.wait_text(SOON, &Panel::row("live/cam"), "2 endpoints off");
    panel.wait_text(SOON, ".summary", "0 of 0 endpoints forwarding");
}

#[test]
fn a_broken_address_of_a_page_leads_to_the_list_and_all_streams_leads_back_to_the_row() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let panel = Panel::open(&service);
    panel.browser.open(&format!("http://127.0.0.1:{}/#/a/%", service.ports.http));
    panel.browser.reload();
    panel.wait_text(SOON, &Panel::row("live/cam"), "Live");
    panel.choose("live/cam", "Stream details");
    panel.wait_text(SOON, ".stream-title", "Camera");
    panel.click(".back");
    panel.wait(SOON, "the row has the focus", "document.activeElement.matches(\"[data-key='live/cam'] .stream-name\")");
}

#[test]
fn the_last_events_are_there_on_a_service_where_much_has_happened_since() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let create = |id: &str| service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": id }));
    create("busy");
    // More than are kept of all.
    for count in 0..EVENTS {
        let (status, answer) = service.api.put("/live/rest/v2/broadcasts/busy", &json!({ "name": format!("{count}") }));
        assert_eq!(status, 200, "{answer}");
    }
    let (status, answer) = service.api.put("/live/rest/v2/broadcasts/cam", &json!({ "name": "Renamed" }));
    assert_eq!(status, 200, "{answer}");
    let panel = Panel::open(&service);
    panel.choose("live/cam", "Stream details");
    panel.wait_text(SOON, ".timeline", "Settings changed");
}
