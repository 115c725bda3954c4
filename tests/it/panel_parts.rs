//! What seldom happens to a panel, made to happen in it: lists that change while they are read or can't be read, a part
//! that can't be drawn, a tab that nobody sees, seconds of which nothing was told.

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::panel::{Panel, test_picture};
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON};

/// Streams of a burst: more than are read one by one.
const BURST: usize = 12;

#[test]
fn a_list_that_was_read_before_a_stream_went_brings_it_back_for_no_longer_than_it_takes_to_look() {
    let service = Service::start();
    service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": "ghost" }));
    let panel = Panel::open(&service);
    panel.wait_text(SOON, &Panel::row("live/ghost"), "ghost");
    // The next list is read, and kept back.
    panel.eval(
        "(() => {
            const send = window.fetch;
            window.kept = 0;
            const gate = new Promise((open) => { window.open_gate = open; });
            window.fetch = async (url, options) => {
                const answer = await send(url, options);
                if (String(url).includes('/live/rest/v2/broadcasts/list/')) { window.kept += 1; await gate; }
                return answer;
            };
        })()",
    );
    for at in 0..BURST {
        service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": format!("s{at}") }));
    }
    panel.wait(SOON, "a list is read", "window.kept > 0");
    service.api.delete("/live/rest/v2/broadcasts/ghost");
    let gone = "!document.querySelector(\"[data-key='live/ghost']\")";
    panel.wait(SOON, "it is gone", gone);
    panel.eval("window.open_gate()");
    panel.wait(SOON, "the list is shown", &format!("document.querySelectorAll('tbody tr').length >= {BURST}"));
    panel.wait_text(SOON, ".filter-found", &format!("{BURST} streams"));
    assert_eq!(panel.eval(gone), true);
}

#[test]
fn lists_that_are_not_read_yet_are_no_empty_table() {
    let service = Service::start();
    test_picture(&service, "live/cam", "Camera");
    let browser = Browser::start();
    browser.before_pages(
        "(() => {
            const send = window.fetch;
            window.fetch = (url, options) =>
                String(url).includes('/list/') && !window.allowed ? Promise.reject(new TypeError('no')) : send(url, options);
        })()",
    );
    browser.open(&format!("http://127.0.0.1:{}/", service.ports.http));
    let says =
        |part: &str| format!("document.querySelector('.empty:not([hidden])')?.innerText.includes({})", json!(part));
    browser.wait(SOON, "it says so", &says("can’t be read; it is tried again"));
    browser.eval("window.allowed = true");
    let row = "document.querySelector(\"[data-key='live/cam']\")?.innerText.includes('Live')";
    browser.wait(SOON, "the list is there", row);
    // Later it keeps what it has, and says that it may be old.
    browser.eval("window.allowed = false");
    for at in 0..BURST {
        service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": format!("s{at}") }));
    }
    browser.wait(
        SOON,
        "it says so",
        "document.querySelector('.list-page .notice:not([hidden])')?.innerText.includes('out of date')",
    );
    assert_eq!(browser.eval(row), true);
    browser.eval("window.allowed = true");
    browser.wait(
        SOON,
        "all is there",
        "document.querySelector('.list-page .notice').hidden && document.querySelectorAll('tbody tr').length === 13",
    );
}

#[test]
fn a_tab_that_nobody_sees_opens_no_connection_before_somebody_does() {
    let service = Service::start();
    let browser = Browser::start();
    browser.before_pages(
        "(() => {
            window.unseen = true;
            window.opened = 0;
            Object.defineProperty(document, 'hidden', { get: () => window.unseen });
            const Source = window.EventSource;
            window.EventSource = class extends Source { constructor(url) { super(url); window.opened += 1; } };
        })()",
    );
    browser.open(&format!("http://127.0.0.1:{}/", service.ports.http));
    browser.wait(SOON, "the page is there", "document.querySelector('#connection')?.innerText.includes('Connecting')");
    assert_eq!(browser.eval("window.opened"), 0);
    browser.eval("(window.unseen = false, document.dispatchEvent(new Event('visibilitychange')))");
    browser.wait(SOON, "it is live", "document.body.dataset.connection === 'live'");
    assert_eq!(browser.eval("window.opened"), 1);
}

#[test]
fn a_part_that_can_not_be_drawn_stops_no_other() {
    let service = Service::start();
    let panel = Panel::open(&service);
    let drawn = panel.eval(
        "import('/panel/dom.js').then(({ render }) => new Promise((done) => {
            render(() => { throw new Error('on purpose'); });
            render(() => done('drawn'));
        }))",
    );
    assert_eq!(drawn, "drawn");
    test_picture(&service, "live/cam", "Camera");
    panel.wait_text(SOON, &Panel::row("live/cam"), "Live");
}

#[test]
fn seconds_of_which_nothing_was_told_are_a_gap() {
    let service = Service::start();
    let panel = Panel::open(&service);
    let seen = panel.eval(
        "import('/panel/history.js').then(({ History, KEPT }) => {
            const history = new History();
            for (const at of [0, 1003, 1998, 6001]) history.push(at, at);
            const shown = (list) => list.map((value) => (Number.isNaN(value) ? null : value));
            const one = [shown(history.last(8, 6400)), shown(history.last(4, 8100)), history.last(KEPT, 9e9).every(Number.isNaN)];
            history.push(1, 9e9);
            return [...one, history.last(KEPT, 9e9).filter((value) => !Number.isNaN(value))];
        })",
    );
    assert_eq!(
        seen,
        json!([[0, 1003, 1998, null, null, null, 6001], [null, null, 6001, null], true, [1]]),
        "whole, shifted by what is missing until now, all gone, and begun anew"
    );
}

#[test]
fn a_list_that_shrinks_between_two_pages_is_read_whole() {
    let service = Service::start();
    let panel = Panel::open(&service);
    // So many go after the first page; with more than the pages overlap, it is read once more from the begin.
    for gone in [5, 40] {
        let found = panel.eval(&format!(
            "import('/panel/rest.js').then(async ({{ rest }}) => {{
                const send = window.fetch;
                let streams = Array.from({{ length: 520 }}, (_, at) => ({{ streamId: `s${{at}}` }}));
                window.fetch = async (url) => {{
                    const [, at, count] = /list\\/(\\d+)\\/(\\d+)/.exec(String(url));
                    const page = streams.slice(Number(at), Number(at) + Number(count));
                    if (at === '0' && streams.length === 520) streams = streams.slice({gone});
                    return new Response(JSON.stringify(page));
                }};
                const all = new Set((await rest.broadcasts('live')).map(({{ streamId }}) => streamId));
                window.fetch = send;
                return streams.filter(({{ streamId }}) => !all.has(streamId)).length;
            }})"
        ));
        assert_eq!(found, 0, "{gone} went meanwhile");
    }
    panel.wait(LATER, "the panel lives", "document.body.dataset.connection === 'live'");
}
