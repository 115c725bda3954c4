//! How the panel looks: pictures of it in both themes from a phone to a wall, no part of it beyond the window's edge, and
//! no serious finding of axe, which looks for barriers (https://github.com/dequelabs/axe-core).

use std::path::Path;

use serde_json::json;

use crate::support::panel::{Panel, test_picture};
use crate::support::receiver::Receiver;
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON};

const SIZES: [(u32, u32); 3] = [(390, 844), (1280, 900), (1920, 1080)];

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
            let wide = panel.eval("document.documentElement.scrollWidth").as_u64().unwrap();
            assert!(wide <= u64::from(width), "{name} is {wide} pixels wide in a window of {width}");
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
    panel.wait_state(LATER, "Second site", "waiting");
    // Graphs want something to show.
    panel.wait(
        LATER,
        "there are graphs",
        "document.querySelector('.endpoint .graph-line').getAttribute('d').split('L').length > 12",
    );
    look(&panel, "endpoints");
    panel.click("#add-endpoint");
    panel.fill(".endpoint-form [name=url]", "srt://127.0.0.1:9?latency=200000");
    look(&panel, "form");
    panel.eval("document.querySelector('dialog[open]').close()");
    look(&panel, "list");
    panel.browser.set_size(1280, 900);
    panel.eval("document.querySelector(\"[data-key='live/cam1'] .menu-button\").click()");
    look_at_menu(&panel);
    panel.choose("live/cam1", "Stream details");
    panel.wait_text(SOON, ".tracks", "H264");
    panel.wait_text(SOON, ".timeline", "Broadcasting");
    look(&panel, "stream");
    panel.eval("location.hash = ''");
    panel.choose("live/cam1", "Copy publish addresses");
    look(&panel, "addresses");
    panel.eval("document.querySelector('dialog[open]').close()");
    panel.click("#new");
    look(&panel, "new");
}

/// The menu is closed by a change of the window, so it is looked at as it is.
#[track_caller]
fn look_at_menu(panel: &Panel) {
    panel.browser.screenshot("panel-menu-1280");
    assert!(barriers(panel).is_empty(), "{:#?}", barriers(panel));
    panel.eval("document.querySelector(\"[data-key='live/cam1'] .menu-button\").click()");
}
