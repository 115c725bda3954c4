//! How the panel looks: pictures of it in both themes from a phone to a wall, no part of it beyond the window's edge, and
//! no serious finding of axe, which looks for barriers (https://github.com/dequelabs/axe-core).

use std::path::Path;

use serde_json::json;

use crate::support::panel::{Panel, test_picture};
use crate::support::receiver::Receiver;
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON};

const SIZES: [(u32, u32); 3] = [(390, 844), (1280, 900), (1920, 1080)];

/// By how many pixels the page is too wide, or what is fixed over it, which makes no page wider: dialogs with what stands
/// in them, and messages.
const OVER: &str = "(() => {
    const fixed = [...document.querySelectorAll('dialog[open], dialog[open] *, .message')];
    const edges = fixed.map((node) => node.getBoundingClientRect()).filter(({ width }) => width > 1).map(({ right }) => right);
    const room = document.documentElement.clientWidth;
    const inner = [...document.querySelectorAll('.dialog-body')].map((body) => room + body.scrollWidth - body.clientWidth);
    return Math.ceil(Math.max(document.documentElement.scrollWidth, ...edges, ...inner) - room);
})()";

/// A name that nobody has thought of.
const LONG_NAME: &str =
    "The very long name of an outside broadcast van from Llanfairpwllgwyngyllgogerychwyrndrobwll, camera 1";

/// What axe finds that is serious or critical, in words.
#[track_caller]
fn barriers(panel: &Panel) -> Vec<String> {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/node_modules/axe-core/axe.min.js");
    let axe = std::fs::read_to_string(axe).expect("npm ci --prefix tests/browser (scripts/test does it)");
    // As an expression of its own: the panel's policy lets no script in.
    let script = format!(
        "(() => {{ if (!window.axe) {{ {axe} }}
            return window.axe.run(document, {{ resultTypes: ['violations'] }}).then(({{ violations }}) =>
                violations.filter(({{ impact }}) => ['serious', 'critical'].includes(impact))
                    .map(({{ id, nodes }}) => id + ': ' + nodes.map(({{ target }}) => target).join(' | '))); }})()"
    );
    let found = panel.eval(&script);
    found.as_array().unwrap().iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
}

/// Looks at the page in every size and theme.
#[track_caller]
fn look(panel: &Panel, name: &str) {
    for theme in ["light", "dark"] {
        panel.browser.set_theme(theme);
        for (width, height) in SIZES {
            panel.browser.set_size(width, height);
            panel.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
            panel.browser.screenshot(&format!("panel-{name}-{width}-{theme}"));
            let over = panel.eval(OVER).as_i64().unwrap();
            assert!(over <= 0, "{name} is {over} pixels too wide for a window of {width}");
        }
        for width in [390, 1280] {
            panel.browser.set_size(width, 900);
            let found = barriers(panel);
            assert!(found.is_empty(), "{name}, {theme}, {width}: {found:#?}");
        }
    }
}

#[test]
fn every_page_is_whole_and_without_barriers_in_both_themes_and_every_width() {
    let service = Service::start();
    let (first, second, third) = (Receiver::listen(), Receiver::listen(), Receiver::listen());
    for (stream, name) in [("live/cam1", "Main stage"), ("live/cam2", "Crowd"), ("LiveApp/studio", "Studio B")] {
        test_picture(&service, stream, name);
    }
    service.api.add_endpoint("live/cam2", &third.url());
    let body = json!({ "streamId": "backup", "name": "Backup encoder" });
    service.api.post("/live/rest/v2/broadcasts/create", &body);
    let body =
        json!({ "streamId": "gate4", "name": "Gate 4", "type": "streamSource", "streamUrl": "srt://127.0.0.1:9" });
    service.api.post("/live/rest/v2/broadcasts/create?autoStart=true", &body);
    let panel = Panel::open(&service);
    panel.wait_text(SOON, &Panel::row("live/cam1"), "Live");
    look(&panel, "empty-endpoints");
    panel.edit_endpoints("live/cam1");
    panel.add_endpoint(&first.url(), "Broadcaster");
    panel.add_endpoint(&format!("{}?latency=200", second.url()), "Archive");
    panel.add_endpoint("srt://127.0.0.1:9?streamid=live/backup&passphrase=not-shown-here", "Second site");
    panel.wait_state(LATER, "Broadcaster", "broadcasting");
    panel.wait_state(LATER, "Archive", "broadcasting");
    panel.wait_text(LATER, ".failure:not([hidden])", "receiver");
    look(&panel, "endpoints");
    panel.click("#add-endpoint");
    panel.fill(".endpoint-form [name=url]", "srt://127.0.0.1:9?latency=200000");
    look(&panel, "form");
    close(&panel);
    look(&panel, "list");
    panel.browser.set_size(1280, 900);
    panel.eval("document.querySelector(\"[data-key='live/cam1'] .menu-button\").click()");
    look_at_menu(&panel);
    panel.choose("live/cam1", "Stream details");
    panel.wait_text(SOON, ".tracks", "H264");
    panel.wait_text(SOON, ".timeline", "Broadcasting");
    panel.wait(LATER, "a picture", "document.querySelector('.preview-picture')?.naturalWidth === 640");
    look(&panel, "stream");
    panel.eval("location.hash = ''");
    panel.choose("live/cam1", "Copy publish addresses");
    look(&panel, "addresses");
    close(&panel);
    panel.click("#new");
    look(&panel, "new");
}

#[test]
fn what_comes_up_when_something_is_wrong_is_whole_and_without_barriers_too() {
    let mut service = Service::start();
    test_picture(&service, "live/cam1", LONG_NAME);
    let panel = Panel::open(&service);
    panel.edit_endpoints("live/cam1");
    panel.add_endpoint("srt://127.0.0.1:9?passphrase=not-shown-here", "Second site");
    panel.add_endpoint("srt://127.0.0.1:8", "Gone");
    panel.wait_text(LATER, ".failure:not([hidden])", "receiver");
    panel.press("Second site", "test");
    panel.wait_text(LATER, ".endpoint .report", "Handshake");
    panel.press("Gone", "remove");
    panel.wait_text(SOON, ".question", "Remove this endpoint?");
    look(&panel, "trouble");
    panel.click("[data-do=remove-yes]");
    panel.wait_text(SOON, ".message", "Gone was removed.");
    panel.press("Second site", "edit");
    look_once(&panel, "undo");
    look(&panel, "edit");
    close(&panel);
    panel.choose("live/cam1", "Stop stream");
    look(&panel, "question");
    close(&panel);
    panel.choose("live/cam1", "Stream details");
    panel.wait(LATER, "a picture", "document.querySelector('.preview-picture')?.naturalWidth === 640");
    panel.click("[data-do=pause]");
    look(&panel, "stream-paused");
    panel.eval("location.hash = ''");
    panel.edit_endpoints("live/cam1");
    panel.wait_text(SOON, ".endpoint h3", "Second site");
    service.stop();
    panel.wait_text(SOON, ".dialog-notice", "No connection");
    panel.eval(&format!("{}.querySelector('.switch').click()", Panel::card("Second site")));
    panel.wait_text(SOON, ".message.bad", "whether the change was made is not known");
    look(&panel, "lost-endpoints");
    close(&panel);
    look(&panel, "lost");
}

#[track_caller]
fn close(panel: &Panel) {
    panel.eval("document.querySelector('dialog[open]').close()");
    panel.wait(SOON, "the dialog is closed", "!document.querySelector('dialog')");
}

/// Of what does not stay: one theme, one width.
#[track_caller]
fn look_once(panel: &Panel, name: &str) {
    panel.browser.set_size(390, 844);
    panel.browser.screenshot(&format!("panel-{name}-390"));
    assert!(panel.eval(OVER).as_i64().unwrap() <= 0, "{name} is too wide");
    let found = barriers(panel);
    assert!(found.is_empty(), "{name}: {found:#?}");
}

/// The menu is closed by a change of the window, so it is looked at as it is.
#[track_caller]
fn look_at_menu(panel: &Panel) {
    panel.browser.screenshot("panel-menu-1280");
    assert!(barriers(panel).is_empty(), "{:#?}", barriers(panel));
    panel.eval("document.querySelector(\"[data-key='live/cam1'] .menu-button\").click()");
}
