//! Two hundred streams: all of them are listed, the filter finds one, and each second touches what has changed and no more.

use serde_json::json;

use crate::support::panel::{Panel, test_picture};
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON};

const STREAMS: usize = 200;
const LIVE: usize = 10;

#[test]
fn two_hundred_streams_are_listed_found_and_kept_with_few_changes_of_the_page() {
    let service = Service::start();
    let panel = Panel::open(&service);
    for at in 0..STREAMS {
        let body = json!({
            "streamId": format!("s{at:03}"), "name": format!("Stream {at}"),
            "endPointList": [{ "endpointUrl": format!("srt://127.0.0.1:{}", 20_000 + at) }],
        });
        let (status, answer) = service.api.post("/live/rest/v2/broadcasts/create", &body);
        assert_eq!(status, 200, "{answer}");
    }
    let rows = "document.querySelectorAll('tbody tr').length";
    panel.wait(LATER, "all are listed", &format!("{rows} === {STREAMS}"));
    panel.wait_text(SOON, ".filter-found", "200 streams");
    // In the order of numbers, not of letters.
    let names =
        panel.eval("[...document.querySelectorAll('.stream-name')].slice(0, 12).map((name) => name.textContent)");
    assert_eq!((&names[2], &names[10]), (&json!("Stream 2"), &json!("Stream 10")));

    panel.fill("#search", "stream 137");
    panel.wait(SOON, "one is found", &format!("{rows} === 1"));
    panel.wait_text(SOON, ".filter-found", "1 of 200 streams");
    panel.fill("#search", "");
    panel.wait(SOON, "all are back", &format!("{rows} === {STREAMS}"));

    // Ten more go live: their rows change, and of the others no node is touched.
    panel.eval(
        "(() => {
            window.touched = new Set();
            new MutationObserver((changes) => {
                for (const { target } of changes) {
                    const element = target.nodeType === 1 ? target : target.parentElement;
                    window.touched.add(element?.closest('tbody tr')?.dataset.key ?? 'none');
                }
            }).observe(document.querySelector('tbody'), { subtree: true, childList: true, characterData: true, attributes: true });
        })()",
    );
    let live: Vec<String> = (0..LIVE).map(|at| format!("live/z{at}")).collect();
    for (at, stream) in live.iter().enumerate() {
        test_picture(&service, stream, &format!("Zebra {at}"));
    }
    // By its text alone: a row that is not seen is not laid out.
    let clock = |stream: &str| {
        let text = format!("document.querySelector(\"[data-key='{stream}']\")?.textContent");
        format!("{text}?.includes('320×180') && /0:[0-5][3-9]/.test({text})")
    };
    for stream in &live {
        panel.wait(LATER, "it is live and its clock runs", &clock(stream));
    }
    let touched = "[...window.touched].filter((key) => key !== 'none').sort()";
    assert_eq!(panel.eval(touched), json!(live));

    // Of those that the filter takes out, nothing is rendered.
    panel.eval("window.other = document.querySelector(\"[data-key='live/z3']\")");
    panel.fill("#search", "zebra 7");
    panel.wait(SOON, "one is found", &format!("{rows} === 1"));
    panel.eval("(window.touched.clear(), window.before = window.other.textContent)");
    let second = "document.querySelector(\"[data-key='live/z7'] .c-state .number\").textContent";
    let before = panel.eval(second);
    panel.wait(SOON, "its clock goes on", &format!("{second} !== {before}"));
    assert_eq!(panel.eval(touched), json!(["live/z7"]));
    assert_eq!(panel.eval("window.other.textContent === window.before"), true);
    panel.fill("#search", "");
    panel.wait(
        SOON,
        "it is up to date when it is back",
        "window.other.isConnected && window.other.textContent !== window.before",
    );
}
