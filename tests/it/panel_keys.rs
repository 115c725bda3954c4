//! The panel by the keyboard alone: from the list through the menu and the dialog to an endpoint, and back.

use serde_json::json;

use crate::support::browser::keys::{DOWN, END, ENTER, ESCAPE, TAB};
use crate::support::panel::{Panel, stored, test_picture};
use crate::support::service::Service;
use crate::support::wait::{SOON, wait_until};

/// Tabs until an element has the focus. Panics when it is not reached in as many as the page has.
#[track_caller]
fn tab_to(panel: &Panel, selector: &str) {
    for _ in 0..60 {
        if panel.eval(&format!("document.activeElement.matches(\"{selector}\")")) == true {
            return;
        }
        panel.browser.press(TAB);
    }
    panic!("{selector} is not reached by Tab; the focus is at {}", panel.eval("document.activeElement.outerHTML"));
}

#[test]
fn an_endpoint_is_added_switched_off_and_removed_without_a_mouse() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let panel = Panel::open(&service);
    panel.wait_text(SOON, &Panel::row("live/cam"), "Live");
    let press = |keys: &str| panel.browser.press(keys);
    let focus = "document.activeElement.textContent";

    press("/");
    assert_eq!(panel.eval("document.activeElement.id"), "search");
    tab_to(&panel, "tbody .menu-button");
    // The menu: arrows go round, Escape gives the focus back.
    press(DOWN);
    assert_eq!(panel.eval(focus), "Edit ReStreaming Endpoints");
    press(END);
    assert_eq!(panel.eval(focus), "Delete stream");
    press(DOWN);
    assert_eq!(panel.eval(focus), "Edit ReStreaming Endpoints");
    press(ESCAPE);
    assert_eq!(panel.eval("document.activeElement.matches('tbody .menu-button')"), true);
    press(ENTER);
    press(ENTER);
    panel.wait(SOON, "the dialog has the focus", "document.activeElement.id === 'add-endpoint'");

    press(ENTER);
    panel.wait(SOON, "the address has the focus", "document.activeElement.name === 'url'");
    press("srt://127.0.0.1:9");
    press(TAB);
    press("Keys");
    press(ENTER);
    panel.wait_text(SOON, ".endpoint h3", "Keys");
    panel.wait(SOON, "the focus is back", "document.activeElement.id === 'add-endpoint'");

    tab_to(&panel, ".endpoint .switch");
    press(" ");
    wait_until(SOON, "it is switched off", || stored(&service, "live/cam")[0]["enabled"] == false);
    panel.wait(SOON, "the switch keeps the focus", "document.activeElement.matches('.endpoint .switch')");

    tab_to(&panel, "[data-do=remove]");
    press(ENTER);
    panel.wait(SOON, "it asks", "document.activeElement.dataset.do === 'remove-yes'");
    // Escape is no: the question goes, the dialog stays.
    press(ESCAPE);
    panel.wait(SOON, "the button has the focus", "document.activeElement.dataset.do === 'remove'");
    press(ENTER);
    panel.wait(SOON, "it asks again", "document.activeElement.dataset.do === 'remove-yes'");
    press(ENTER);
    wait_until(SOON, "it is gone", || stored(&service, "live/cam").is_empty());

    press(ESCAPE);
    panel.wait(SOON, "the dialog is closed", "!document.querySelector('dialog[open]')");
    panel.wait(SOON, "the focus is where it was", "document.activeElement.matches('tbody .menu-button')");
}

#[test]
fn what_is_typed_into_and_what_has_the_focus_stays_where_it_is_while_rows_come_and_go() {
    let service = Service::start();
    for (at, name) in ["Bravo", "Delta", "Golf"].iter().enumerate() {
        let body = json!({ "streamId": format!("s{at}"), "name": name });
        service.api.post("/live/rest/v2/broadcasts/create", &body);
    }
    let panel = Panel::open(&service);
    panel.wait_text(SOON, ".filter-found", "3 streams");
    panel.eval("(window.lost = 0, document.querySelector(\"[data-key='live/s1'] .stream-name\").focus())");
    panel.eval("document.querySelector('tbody').addEventListener('focusout', () => { window.lost += 1; })");
    // Before it, behind it, and all the other way round.
    test_picture(&service, "live/s3", "Alpha");
    service.api.delete("/live/rest/v2/broadcasts/s0");
    test_picture(&service, "live/s4", "Hotel");
    panel.wait_text(SOON, ".filter-found", "4 streams");
    panel.eval("document.querySelector('.c-state .sort').click()");
    let order = "[...document.querySelectorAll('tbody .stream-name')].map((name) => name.textContent).join(' ')";
    panel.wait(SOON, "by state", &format!("{order} === 'Alpha Hotel Delta Golf'"));
    assert_eq!(panel.eval("document.activeElement.textContent"), "Delta");
    assert_eq!(panel.eval("window.lost"), 0);
    panel.eval("document.querySelector('.c-stream .sort').click()");
    panel.wait(SOON, "by name", &format!("{order} === 'Alpha Delta Golf Hotel'"));
    assert_eq!(panel.eval("window.lost"), 0);
    panel.eval("document.querySelector('.c-rate .sort').click()");
    panel.wait(SOON, "by bitrate", "document.querySelector('.c-rate').getAttribute('aria-sort') === 'descending'");
    assert_eq!(panel.eval("document.activeElement.textContent"), "Delta");
}
