//! Two operators at one stream, and one that changes her mind: what somebody has changed is never overwritten or deleted
//! unseen, and what was removed comes back as long as it says so.

use serde_json::{Value, json};

use crate::support::browser::keys::ENTER;
use crate::support::http::path;
use crate::support::panel::{Panel, stored, test_picture};
use crate::support::receiver::Receiver;
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON, wait_until};

const SECRET: &str = "a-passphrase-of-17";

/// What another operator does, by REST.
#[track_caller]
fn other_changes(service: &Service, stream: &str, change: &Value) {
    let id = stored(service, stream)[0]["id"].as_str().unwrap().to_owned();
    let (status, answer) = service.api.patch(&path(stream, &format!("/endpoints/{id}")), change);
    assert_eq!(status, 200, "{answer}");
}

/// A stream that is not live, with one endpoint.
#[track_caller]
fn idle(service: &Service, stream: &str, url: &str) {
    let (app, id) = stream.split_once('/').unwrap();
    service.api.post(&format!("/{app}/rest/v2/broadcasts/create"), &json!({ "streamId": id, "name": "Camera" }));
    let (status, answer) = service.api.post(&path(stream, "/endpoints"), &json!({ "url": url, "label": "Studio" }));
    assert_eq!(status, 201, "{answer}");
}

#[test]
fn an_edit_sends_what_was_changed_and_overwrites_nobodys_change() {
    let service = Service::start();
    idle(&service, "live/cam", &format!("srt://127.0.0.1:9?passphrase={SECRET}&latency=200"));
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam");
    panel.wait_text(SOON, ".endpoint h3", "Studio");
    panel.press("Studio", "edit");
    panel.fill(".endpoint-form [name=latency]", "340");
    other_changes(&service, "live/cam", &json!({ "label": "Studio Berlin" }));
    panel.click(".endpoint-form [type=submit]");
    panel.wait_text(SOON, ".clash", "Somebody else has changed this endpoint");
    panel.wait_text(SOON, ".clash", "Studio Berlin");
    assert_eq!(stored(&service, "live/cam")[0]["latencyMs"], 200);
    // What was typed is still there, and what was not touched is the other's.
    let field = |name: &str| panel.eval(&format!("document.querySelector('.endpoint-form [name={name}]').value"));
    assert_eq!((field("latency"), field("label")), (json!("340"), json!("Studio Berlin")));
    panel.click(".endpoint-form [type=submit]");
    panel.wait(SOON, "the form is closed", "!document.querySelector('.endpoint-form')");
    let endpoint = &stored(&service, "live/cam")[0];
    assert_eq!((&endpoint["latencyMs"], &endpoint["label"]), (&json!(340), &json!("Studio Berlin")));
    assert_eq!(endpoint["passphrase"], "***");

    // Nothing is sent of what is not changed: a label alone leaves what another makes of the address.
    panel.press("Studio Berlin", "edit");
    panel.fill(".endpoint-form [name=label]", "Studio Bonn");
    panel.eval(
        "(() => { const send = window.fetch; window.bodies = [];
            window.fetch = (url, options) => { if (options.method === 'PATCH') window.bodies.push(options.body); return send(url, options); }; })()",
    );
    panel.click(".endpoint-form [type=submit]");
    panel.wait_text(SOON, ".endpoint h3", "Studio Bonn");
    assert_eq!(panel.eval("window.bodies"), json!([r#"{"label":"Studio Bonn"}"#]));
}

#[test]
fn an_emptied_passphrase_field_keeps_the_passphrase_and_only_the_box_takes_it_away() {
    let service = Service::start();
    idle(&service, "live/cam", &format!("srt://127.0.0.1:9?passphrase={SECRET}&pbkeylen=32"));
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam");
    panel.wait_text(SOON, ".endpoint h3", "Studio");
    panel.press("Studio", "edit");
    panel.fill(".endpoint-form [name=passphrase]", "x");
    panel.fill(".endpoint-form [name=passphrase]", "");
    panel.fill(".endpoint-form [name=latency]", "300");
    panel.click(".endpoint-form [type=submit]");
    wait_until(SOON, "it is changed", || stored(&service, "live/cam")[0]["latencyMs"] == 300);
    assert_eq!(stored(&service, "live/cam")[0]["passphrase"], "***");

    panel.wait(SOON, "the form is closed", "!document.querySelector('.endpoint-form')");
    panel.press("Studio", "edit");
    panel.click(".endpoint-form [name=plain]");
    panel.wait_text(SOON, ".f-passphrase .hint[data-bad]", "sent in the clear");
    // There and back: nothing is lost by looking.
    panel.click(".endpoint-form [name=plain]");
    let url = "document.querySelector('.endpoint-form [name=url]').value";
    assert!(panel.eval(url).as_str().unwrap().contains("passphrase=***&"), "{}", panel.eval(url));
    panel.click(".endpoint-form [name=plain]");
    panel.click(".endpoint-form [type=submit]");
    wait_until(SOON, "it is in the clear", || stored(&service, "live/cam")[0]["passphrase"].is_null());
    assert!(stored(&service, "live/cam")[0]["pbkeylen"].is_null());
}

#[test]
fn what_somebody_else_switches_on_meanwhile_is_not_deleted() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let receiver = Receiver::listen();
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam");
    panel.add_endpoint(&receiver.url(), "Studio");
    panel.wait_state(LATER, "Studio", "broadcasting");
    panel.press("Studio", "remove");
    panel.click("[data-do=remove-yes]");
    panel.wait_text(SOON, ".message", "Studio was removed.");
    other_changes(&service, "live/cam", &json!({ "enabled": true }));
    panel.wait_text(SOON, ".message.bad", "Studio was changed by somebody else meanwhile. It is kept");
    panel.wait_state(LATER, "Studio", "broadcasting");
    assert_eq!(panel.eval(&format!("{}.hidden", Panel::card("Studio"))), false);
    assert_eq!(stored(&service, "live/cam")[0]["enabled"], true);
}

#[test]
fn undo_is_there_after_the_dialog_is_closed_and_its_row_is_not_until_then() {
    let service = Service::start();
    idle(&service, "live/cam", &format!("srt://127.0.0.1:9?passphrase={SECRET}"));
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam");
    panel.wait_text(SOON, ".endpoint h3", "Studio");
    panel.eval(&format!("{}.querySelector('[data-do=remove]').focus()", Panel::card("Studio")));
    panel.browser.press(ENTER);
    panel.wait(SOON, "it asks", "document.activeElement.dataset.do === 'remove-yes'");
    panel.browser.press(ENTER);
    // By the keyboard, too: the way back has the focus.
    panel.wait(SOON, "Undo has the focus", "document.activeElement.matches('.message button')");
    panel.eval("document.querySelector('dialog[open]').close()");
    panel.wait(SOON, "the dialog is closed", "!document.querySelector('dialog')");
    panel.edit_endpoints("live/cam");
    panel.wait(SOON, "its row is not shown", "document.querySelector('.endpoint')?.hidden");
    panel.eval("document.querySelector('dialog[open]').close()");
    panel.wait(SOON, "the dialog is closed", "!document.querySelector('dialog')");
    panel.wait_text(SOON, ".message", "Studio was removed.");
    panel.click(".message .button");
    wait_until(SOON, "it is switched on again", || stored(&service, "live/cam")[0]["enabled"] == true);
    panel.edit_endpoints("live/cam");
    panel.wait(SOON, "its row is back", "document.querySelector('.endpoint')?.hidden === false");
    assert_eq!(stored(&service, "live/cam")[0]["passphrase"], "***");
}

#[test]
fn undo_gives_the_row_the_focus_back_also_beside_a_form_that_is_being_filled() {
    let service = Service::start();
    idle(&service, "live/cam", "srt://127.0.0.1:9");
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam");
    panel.wait_text(SOON, ".endpoint h3", "Studio");
    panel.click("#add-endpoint");
    panel.fill(".endpoint-form [name=url]", "srt://127.0.0.1:8");
    panel.press("Studio", "remove");
    panel.wait(SOON, "it asks", "document.activeElement.dataset.do === 'remove-yes'");
    panel.browser.press(ENTER);
    panel.wait(SOON, "Undo has the focus", "document.activeElement.matches('.message button')");
    panel.browser.press(ENTER);
    panel.wait(SOON, "its row has the focus", "document.activeElement.dataset.do === 'remove'");
    assert_eq!(panel.eval("document.querySelector('.endpoint-form [name=url]').value"), "srt://127.0.0.1:8");
    assert_eq!(stored(&service, "live/cam")[0]["enabled"], true);
}

#[test]
fn a_test_says_what_came_of_it_where_it_is_read_out() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let receiver = Receiver::listen();
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam");
    panel.click("#add-endpoint");
    panel.fill(".endpoint-form [name=url]", &receiver.url());
    panel.eval("[...document.querySelectorAll('.form-foot button')].find((b) => b.innerText === 'Test without sending').click()");
    panel.wait_text(LATER, ".endpoint-form .report", "Test passed");
    let read = "document.querySelector('dialog[open] > [role=status]').textContent";
    assert_eq!(panel.eval(read), "Test passed");
    panel.fill(".endpoint-form [name=label]", "Studio");
    panel.click(".endpoint-form [type=submit]");
    panel.wait_state(LATER, "Studio", "broadcasting");
    // It is pressed with the focus on it, and keeps that.
    panel.eval(&format!("{}.querySelector('[data-do=test]').focus()", Panel::card("Studio")));
    panel.browser.press(ENTER);
    panel.wait_text(LATER, ".endpoint .report", "Handshake");
    assert_eq!(panel.eval("document.activeElement.dataset.do"), "test");
}
