//! The panel's walk: a stream appears, its menu, Edit ReStreaming Endpoints, an endpoint that is added, broadcasts and is
//! removed. Judged by what the page says and by what the receiver gets.

use serde_json::json;

use crate::support::browser::{Browser, Pages};
use crate::support::namespace::Namespace;
use crate::support::panel::{Panel, stored, test_picture};
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{LATER, SOON, wait_until};

#[test]
fn an_endpoint_is_added_by_the_menu_broadcasts_and_is_removed() {
    let mut service = Service::start();
    let panel = Panel::open(&service);
    panel.wait_text(SOON, ".empty", "There are no streams yet");
    // It appears by itself.
    test_picture(&service, "live/cam", "Camera");
    panel.wait_text(SOON, &Panel::row("live/cam"), "Live");
    panel.wait_text(SOON, &Panel::row("live/cam"), "H264 + AAC");
    panel.wait_text(SOON, &Panel::row("live/cam"), "320×180");

    let receiver = Receiver::listen();
    panel.edit_endpoints("live/cam");
    panel.add_endpoint(&receiver.url(), "Studio");
    panel.wait_state(LATER, "Studio", "broadcasting");
    panel.wait_text(SOON, ".endpoint .badge", "Broadcasting");
    panel.wait_text(SOON, ".endpoint .figure-value", "b/s");
    receiver.wait_seconds(2.0);
    panel.wait_text(SOON, &Panel::row("live/cam"), "1/1 forwarding");

    panel.press("Studio", "remove");
    panel.wait_text(SOON, ".question", "Remove this endpoint?");
    panel.click("[data-do=remove-yes]");
    panel.wait_text(SOON, ".message", "Studio was removed.");
    // It no longer sends while the removal can still be taken back, and is gone after that.
    wait_until(SOON, "it is switched off", || stored(&service, "live/cam").iter().all(|one| one["enabled"] == false));
    wait_until(SOON, "it is gone", || stored(&service, "live/cam").is_empty());
    panel.wait_text(SOON, "dialog[open]", "No endpoints yet");
    panel.wait_text(SOON, &Panel::row("live/cam"), "none");
    // What has happened to it is told by its name, not by its id.
    panel.eval("document.querySelector('dialog[open]').close()");
    panel.choose("live/cam", "Stream details");
    panel.wait_text(SOON, ".timeline", "Endpoint removed\nStudio");
    service.assert_runs();
}

#[test]
fn a_removal_is_taken_back_and_the_passphrase_is_still_there() {
    let secret = "a-passphrase-of-17";
    let service = Service::start_with(Options { secrets: vec![secret.into()], ..Options::default() });
    test_picture(&service, "live/cam", "Camera");
    let receiver = Receiver::listen_with_passphrase(secret);
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam");
    panel.add_endpoint(&format!("srt://127.0.0.1:{}?passphrase={secret}", receiver.port), "Studio");
    panel.wait_state(LATER, "Studio", "broadcasting");
    assert_eq!(panel.eval(&format!("document.body.innerHTML.includes({})", json!(secret))), false, "it is masked");
    panel.press("Studio", "remove");
    panel.click("[data-do=remove-yes]");
    panel.wait_text(SOON, ".message", "Undo");
    panel.click(".message .button");
    panel.wait_state(LATER, "Studio", "broadcasting");
    assert_eq!(stored(&service, "live/cam").len(), 1);
}

#[test]
fn a_stream_starts_and_ends_while_one_looks_and_the_panel_comes_back_with_the_service() {
    let mut service = Service::start();
    let panel = Panel::open(&service);
    let sample = Sample::of(sample::H264_AAC);
    let publisher = Publisher::rtmp(&service, "live/test", &sample);
    let row = Panel::row("live/test");
    panel.wait_text(SOON, &row, "Live");
    panel.wait_text(SOON, &row, "RTMP");
    panel.wait_text(SOON, &row, "127.0.0.1");
    publisher.stop();
    panel.wait_text(SOON, &row, "Waiting for publisher");
    // A publisher made it, so it goes with the publisher.
    panel.wait(LATER, "its row is gone", "!document.querySelector(\"[data-key='live/test']\")");

    service.stop();
    panel.wait_text(SOON, "#connection", "No connection");
    panel.wait_text(SOON, ".banner", "No connection to the service");
    service.start_again();
    panel.wait_text(SOON, "#connection", "Live");
    panel.wait(SOON, "the banner is gone", "document.querySelector('.banner').hidden");
    test_picture(&service, "LiveApp/after", "After");
    panel.wait_text(SOON, &Panel::row("LiveApp/after"), "Live");

    panel.choose("LiveApp/after", "Delete stream");
    panel.wait_text(SOON, "dialog[open]", "Delete After?");
    panel.click("dialog[open] .button.bad");
    panel.wait(SOON, "the row is gone", "!document.querySelector(\"[data-key='LiveApp/after']\")");
    assert_eq!(service.api.status("LiveApp/after"), "unknown");
}

#[test]
fn a_new_stream_is_made_of_a_test_picture_and_its_page_tells_of_it() {
    let service = Service::start();
    let panel = Panel::open(&service);
    panel.click("#new");
    panel.click("dialog[open] [value=test]");
    panel.fill("dialog[open] [name=id]", "bad id");
    panel.wait_text(SOON, "dialog[open] .f-id .hint", "Only letters, digits");
    panel.fill("dialog[open] [name=id]", "probe");
    panel.eval("document.querySelector('dialog[open] [name=size]').value = '640x360'");
    panel.click("dialog[open] [type=submit]");
    panel.wait_text(LATER, &Panel::row("live/probe"), "640×360");

    panel.choose("live/probe", "Stream details");
    panel.wait_text(SOON, ".stream-title", "probe");
    panel.wait_text(SOON, ".tracks", "H264");
    panel.wait_text(SOON, ".levels", "dBFS");
    // The events from before the page was opened, too.
    panel.wait_text(SOON, ".timeline", "Created");
    panel.wait_text(SOON, ".timeline", "Live");
    panel.eval(
        "[...document.querySelectorAll('.part button')].find((b) => b.innerText === 'Draw the pipeline').click()",
    );
    panel.wait(LATER, "the pipeline is drawn", "document.querySelector('.pipeline').naturalWidth > 0");

    panel.eval("history.back()");
    panel.choose("live/probe", "Copy publish addresses");
    let srt = format!("srt://127.0.0.1:{}?streamid=live/probe", service.ports.srt);
    let shown = panel.eval("[...document.querySelectorAll('dialog[open] input')].map((field) => field.value)");
    let shown: Vec<&str> = shown.as_array().unwrap().iter().filter_map(|value| value.as_str()).collect();
    assert!(shown.contains(&srt.as_str()), "{shown:?}");
    for part in ["ffmpeg -re -i INPUT", "Service: WHIP", "Stream Key: probe", "/live/?id=probe"] {
        assert!(shown.iter().any(|line| line.contains(part)), "{part}: {shown:?}");
    }

    // This page's own host is every machine's: whoever is elsewhere needs another.
    panel.fill("dialog[open] [name=host]", "studio.example.org");
    let shown =
        panel.eval("[...document.querySelectorAll('dialog[open] [readonly]')].map((field) => field.value).join()");
    let shown = shown.as_str().unwrap();
    assert!(!shown.contains("127.0.0.1"), "{shown}");
    for address in [
        format!("https://studio.example.org:{}/live/?id=probe", service.ports.https),
        format!("http://studio.example.org:{}/live/whip/probe", service.ports.http),
        format!("srt://studio.example.org:{}?streamid=live/probe", service.ports.srt),
        format!("rtsp://studio.example.org:{}/live/probe", service.ports.rtsp),
    ] {
        assert!(shown.contains(&address), "{address}: {shown}");
    }
    panel.fill("dialog[open] [name=host]", "2001:db8::7");
    panel.wait(SOON, "in brackets", "[...document.querySelectorAll('dialog[open] [readonly]')].some((field) => field.value.startsWith('srt://[2001:db8::7]:'))");
    panel.fill("dialog[open] [name=host]", "no host");
    panel.wait_text(SOON, "dialog[open] .hint[data-bad]", "A host holds letters");
}

#[test]
fn a_browser_that_may_not_ask_is_told_so_and_what_to_configure() {
    // From this machine's address in another network, which rest.allow does not have.
    let Some(namespace) = Namespace::make() else { return };
    let service =
        Service::start_with(Options { settings: vec![("HTTP__LISTEN", "0.0.0.0:0".into())], ..Options::default() });
    let browser = Browser::start();
    browser.open(&format!("http://{}:{}/", namespace.outside, service.ports.http));
    browser.wait(SOON, "it says so", "document.body.dataset.connection === 'refused'");
    let said = browser.eval("document.querySelector('.banner').innerText");
    for part in ["may not use", "rest.allow", "SSH tunnel"] {
        assert!(said.as_str().unwrap().contains(part), "{part}: {said}");
    }
    browser.screenshot("panel-refused");
}

#[test]
fn an_application_has_its_panel_and_a_page_of_elsewhere_changes_nothing() {
    let service = Service::start();
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/live/panel", service.ports.http));
    browser.wait(SOON, "the filter is set", "document.querySelector('#filter-app')?.value === 'live'");

    test_picture(&service, "live/cam", "Camera");
    let foreign = Pages::serve();
    browser.open(&foreign.url("publisher.html"));
    let url = format!("http://127.0.0.1:{}/live/rest/v2/broadcasts/cam", service.ports.http);
    for (method, more) in [("POST", "/stop"), ("DELETE", "")] {
        let url = json!(format!("{url}{more}"));
        let asked = format!("fetch({url}, {{ method: '{method}' }}).then((answer) => answer.status)");
        assert_eq!(browser.eval(&asked), 403, "{method}");
    }
    assert_eq!(service.api.status("live/cam"), "broadcasting");
}
