//! The web panel in a browser, used as a person uses it: by what is written on it.

use std::time::Duration;

use serde_json::{Value, json};

use super::browser::Browser;
use super::http::path;
use super::service::Service;
use super::wait::SOON;

/// The list, with a window.
#[derive(Debug)]
pub struct Panel {
    pub browser: Browser,
}

impl Panel {
    /// Opens it and waits until it is live.
    pub fn open(service: &Service) -> Self {
        let panel = Self { browser: Browser::start() };
        panel.browser.set_size(1280, 900);
        panel.browser.open(&format!("http://127.0.0.1:{}/", service.ports.http));
        panel.wait(SOON, "the panel is live", "document.body.dataset.connection === 'live'");
        panel
    }

    #[track_caller]
    pub fn wait(&self, bound: Duration, what: &str, expression: &str) {
        self.browser.wait(bound, what, expression);
    }

    #[track_caller]
    pub fn eval(&self, expression: &str) -> Value {
        self.browser.eval(expression)
    }

    /// Waits until an element shows this text.
    #[track_caller]
    pub fn wait_text(&self, bound: Duration, selector: &str, part: &str) {
        let expression = format!("document.querySelector({})?.innerText.includes({})", json!(selector), json!(part));
        self.wait(bound, &format!("{selector} says {part:?}"), &expression);
    }

    #[track_caller]
    pub fn click(&self, selector: &str) {
        self.wait(SOON, &format!("{selector} is there"), &format!("document.querySelector({})", json!(selector)));
        self.eval(&format!("document.querySelector({}).click()", json!(selector)));
    }

    /// Writes into a field, as typing does.
    #[track_caller]
    pub fn fill(&self, selector: &str, text: &str) {
        let script = format!(
            "(() => {{
                const field = document.querySelector({});
                field.focus();
                field.value = {};
                field.dispatchEvent(new Event('input', {{ bubbles: true }}));
            }})()",
            json!(selector),
            json!(text)
        );
        self.eval(&script);
    }

    /// A row of the list.
    pub fn row(stream: &str) -> String {
        format!("[data-key='{stream}']")
    }

    /// The walk of the mission: the three lines in front of the stream, then the command of this name.
    #[track_caller]
    pub fn choose(&self, stream: &str, command: &str) {
        self.click(&format!("{} .menu-button", Self::row(stream)));
        let script = format!(
            "[...document.querySelectorAll('[role=menuitem]')].find((item) => item.textContent === {}).click()",
            json!(command)
        );
        self.eval(&script);
    }

    /// Opens the dialog of a stream's endpoints.
    #[track_caller]
    pub fn edit_endpoints(&self, stream: &str) {
        self.choose(stream, "Edit ReStreaming Endpoints");
        self.wait(SOON, "the dialog is open", "document.querySelector('dialog[data-name=endpoints][open]')");
    }

    /// Adds an endpoint in that dialog.
    #[track_caller]
    pub fn add_endpoint(&self, url: &str, label: &str) {
        self.click("#add-endpoint");
        self.fill(".endpoint-form [name=url]", url);
        self.fill(".endpoint-form [name=label]", label);
        self.click(".endpoint-form [type=submit]");
        let listed =
            format!("[...document.querySelectorAll('.endpoint h3')].some((h) => h.innerText === {})", json!(label));
        self.wait(SOON, &format!("{label} is listed"), &listed);
    }

    /// The card of the endpoint with this label, as an expression.
    pub fn card(label: &str) -> String {
        format!(
            "[...document.querySelectorAll('.endpoint')].find((card) => card.querySelector('h3').innerText === {})",
            json!(label)
        )
    }

    /// Waits for a state of an endpoint in the dialog.
    #[track_caller]
    pub fn wait_state(&self, bound: Duration, label: &str, state: &str) {
        let expression = format!("{}?.dataset.state === {}", Self::card(label), json!(state));
        self.wait(bound, &format!("{label} is {state}"), &expression);
    }

    /// Presses a button of an endpoint's card.
    #[track_caller]
    pub fn press(&self, label: &str, button: &str) {
        self.eval(&format!("{}.querySelector('[data-do={button}]').click()", Self::card(label)));
    }
}

/// Makes a stream out of a test picture, and waits until it is live.
#[track_caller]
pub fn test_picture(service: &Service, stream: &str, name: &str) {
    let (app, id) = stream.split_once('/').expect("app/id");
    let source = "test://?size=320x180&fps=25&bitrate=400";
    let body = json!({ "streamId": id, "name": name, "type": "streamSource", "streamUrl": source });
    let (status, answer) = service.api.post(&format!("/{app}/rest/v2/broadcasts/create?autoStart=true"), &body);
    assert_eq!(status, 200, "{answer}");
    service.api.wait_live(stream);
}

/// The endpoints of a stream as the service has them.
#[track_caller]
pub fn stored(service: &Service, stream: &str) -> Vec<Value> {
    let (status, list) = service.api.get(&path(stream, "/endpoints"));
    assert_eq!(status, 200, "{list}");
    list.as_array().cloned().unwrap_or_default()
}
