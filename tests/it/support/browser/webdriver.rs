//! WebDriver (W3C) as far as the tests need it: requests of JSON, answers with a `value`.
//!
//! Knows no browser and no process. It blocks like the tests themselves.

use std::time::Duration;

use serde_json::{Value, json};

/// Longest command: a page that loads, a script that waits, on a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Longest a script may take, less than [`ANSWER_MAX`] so that the driver says it.
const SCRIPT_MAX: Duration = Duration::from_secs(45);

/// A session with a driver, before and after its begin.
#[derive(Debug)]
pub struct Session {
    base: String,
    id: Option<String>,
    agent: ureq::Agent,
}

impl Session {
    /// With the driver at this address; nothing is asked yet.
    pub fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(ANSWER_MAX))
            // Its environment is not this machine's.
            .proxy(None)
            .build();
        Self { base: base.to_owned(), id: None, agent: config.into() }
    }

    /// Whether the driver can begin a session.
    pub fn status(&self) -> Result<(), String> {
        let answer = self.agent.get(format!("{}/status", self.base)).call();
        let answer = value_of(answer)?;
        if answer["ready"] == true { Ok(()) } else { Err(answer.to_string()) }
    }

    /// Begins the session and gives its capabilities.
    #[track_caller]
    pub fn begin(&mut self, capabilities: &Value) -> Value {
        let wanted = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let answer = value_of(self.agent.post(format!("{}/session", self.base)).send_json(&wanted));
        let answer = answer.unwrap_or_else(|error| panic!("no browser: {error}"));
        self.id = Some(answer["sessionId"].as_str().expect("a session has an id").to_owned());
        self.post("timeouts", &json!({ "script": u64::try_from(SCRIPT_MAX.as_millis()).expect("it fits") }));
        answer["capabilities"].clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}/session/{}/{path}", self.base, self.id.as_deref().expect("the session has begun"))
    }

    /// A command with parameters.
    pub fn try_post(&self, path: &str, body: &Value) -> Result<Value, String> {
        value_of(self.agent.post(self.url(path)).send_json(body))
    }

    /// A command with parameters that must go well.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body).unwrap_or_else(|error| panic!("WebDriver, {path} {body}: {error}"))
    }

    /// A question that must be answered.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let answer = value_of(self.agent.get(self.url(path)).call());
        answer.unwrap_or_else(|error| panic!("WebDriver, {path}: {error}"))
    }

    /// An end that must go well.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Value {
        let answer = value_of(self.agent.delete(self.url(path)).call());
        answer.unwrap_or_else(|error| panic!("WebDriver, {path}: {error}"))
    }
}

fn value_of(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value, String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    // A screenshot is some hundred kilobytes.
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().map_err(|error| error.to_string())?;
    let mut all: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let value = all["value"].take();
    if answer.status().is_success() { Ok(value) } else { Err(format!("{}: {}", value["error"], value["message"])) }
}

/// Decodes base64 (RFC 4648, 4); anything that is no letter of it is passed over.
pub fn base64(text: &str) -> Vec<u8> {
    let value = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let sixes: Vec<u8> = text.bytes().filter_map(value).collect();
    let bits = |four: &[u8]| four.iter().fold(0_u32, |bits, six| bits << 6 | u32::from(*six)) << (6 * (4 - four.len()));
    let whole = sixes.chunks(4).flat_map(|four| bits(four).to_be_bytes()[1..four.len()].to_vec());
    whole.collect()
}

#[test]
fn base64_is_decoded() {
    for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmE=", "fooba")] {
        assert_eq!(base64(text), bytes.as_bytes(), "{text}");
    }
}
