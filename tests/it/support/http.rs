//! The REST interface as a script would use it, by a client that is not the server's own crate.
//!
//! The hard thing: every single answer is searched for the secrets the test has given away.

use std::time::Duration;

use serde_json::{Value, json};

use super::wait::{LATER, SOON, wait_for};

/// Longest answer time of any call.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// An endpoint as the service shows it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `endpointServiceId`.
    pub id: String,
    /// `status`.
    pub status: String,
    /// `endpointUrl`.
    pub url: String,
    /// The whole object, for messages.
    pub all: Value,
}

/// A client of one service.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    agent: ureq::Agent,
    secrets: Vec<String>,
}

impl Api {
    /// A client of the service on this port of 127.0.0.1. No answer may hold one of the secrets.
    pub fn new(port: u16, secrets: &[String]) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(ANSWER_MAX)).build();
        Self { base: format!("http://127.0.0.1:{port}"), agent: config.into(), secrets: secrets.to_vec() }
    }

    /// `GET`: status and body (null when it is no JSON). `Err` when nobody answers.
    pub fn try_get(&self, path: &str) -> Result<(u16, Value), String> {
        self.read(self.agent.get(format!("{}{path}", self.base)).call())
    }

    /// `GET` that must be answered: status, content type and text.
    #[track_caller]
    pub fn text(&self, path: &str) -> (u16, String, String) {
        let answer = self.agent.get(format!("{}{path}", self.base)).call();
        let mut answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error}"));
        let text = answer.body_mut().read_to_string().unwrap_or_else(|error| panic!("GET {path}: {error}"));
        self.assert_no_secret(&text);
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        (answer.status().as_u16(), kind.to_owned(), text)
    }

    /// `GET` with a header that must be answered: status, content type and bytes.
    #[track_caller]
    pub fn bytes(&self, path: &str, (name, value): (&str, &str)) -> (u16, String, Vec<u8>) {
        let answer = self.agent.get(format!("{}{path}", self.base)).header(name, value).call();
        let mut answer = answer.unwrap_or_else(|error| panic!("GET {path}: {error}"));
        let bytes = answer.body_mut().read_to_vec().unwrap_or_else(|error| panic!("GET {path}: {error}"));
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        (answer.status().as_u16(), kind.to_owned(), bytes)
    }

    /// `GET` that must be answered.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.try_get(path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// `POST` of a JSON body that must be answered.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.read(self.agent.post(format!("{}{path}", self.base)).send_json(body));
        answer.unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// `PUT` of a JSON body that must be answered.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.read(self.agent.put(format!("{}{path}", self.base)).send_json(body));
        answer.unwrap_or_else(|error| panic!("PUT {path}: {error}"))
    }

    /// `PATCH` with a JSON body that must be answered.
    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.read(self.agent.patch(format!("{}{path}", self.base)).send_json(body));
        answer.unwrap_or_else(|error| panic!("PATCH {path}: {error}"))
    }

    /// `DELETE` that must be answered.
    #[track_caller]
    pub fn delete(&self, path: &str) -> (u16, Value) {
        let answer = self.read(self.agent.delete(format!("{}{path}", self.base)).call());
        answer.unwrap_or_else(|error| panic!("DELETE {path}: {error}"))
    }

    fn read(&self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<(u16, Value), String> {
        let mut answer = answer.map_err(|error| error.to_string())?;
        let text = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        self.assert_no_secret(&text);
        Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    #[track_caller]
    fn assert_no_secret(&self, text: &str) {
        for secret in &self.secrets {
            assert!(!text.contains(secret.as_str()), "an answer shows a secret: {text}");
        }
    }

    /// The broadcast, if the service knows it. `stream` is `app/id`, as everywhere in the tests.
    #[track_caller]
    pub fn broadcast(&self, stream: &str) -> Option<Value> {
        let (status, body) = self.get(&path(stream, ""));
        (status == 200).then_some(body)
    }

    /// Its `status`, or `unknown`.
    #[track_caller]
    pub fn status(&self, stream: &str) -> String {
        self.broadcast(stream)
            .and_then(|all| Some(all["status"].as_str()?.to_owned()))
            .unwrap_or_else(|| "unknown".to_owned())
    }

    /// Waits until media of the stream comes in.
    #[track_caller]
    pub fn wait_live(&self, stream: &str) {
        self.wait_status(stream, "broadcasting");
    }

    /// Waits for a status of the stream.
    #[track_caller]
    pub fn wait_status(&self, stream: &str, wanted: &str) {
        wait_for(SOON, &format!("{stream} is {wanted}"), || {
            let status = self.status(stream);
            if status == wanted { Ok(()) } else { Err(status) }
        });
    }

    /// Adds an endpoint, as soon as the stream is known (its publisher may just be connecting), and gives its id.
    #[track_caller]
    pub fn add_endpoint(&self, stream: &str, url: &str) -> String {
        wait_for(SOON, &format!("{stream} is known"), || {
            self.broadcast(stream).map(drop).ok_or_else(|| "404".to_owned())
        });
        let answer = self.try_add_endpoint(stream, url);
        let id = answer["dataId"].as_str().unwrap_or_default();
        assert!(answer["success"] == true && !id.is_empty(), "the endpoint was not added to {stream}: {answer}");
        id.to_owned()
    }

    /// Asks for an endpoint and gives the answer, whatever it is.
    #[track_caller]
    pub fn try_add_endpoint(&self, stream: &str, url: &str) -> Value {
        let (status, answer) = self.post(&path(stream, "/endpoint"), &json!({ "endpointUrl": url }));
        assert_eq!(status, 200, "adding an endpoint to {stream}: {answer}");
        answer
    }

    /// Removes an endpoint that must be there.
    #[track_caller]
    pub fn remove_endpoint(&self, stream: &str, id: &str) {
        let (status, answer) = self.delete(&path(stream, &format!("/endpoint?endpointServiceId={id}")));
        assert!(
            status == 200 && answer["success"] == true,
            "endpoint {id} was not removed from {stream}: {status} {answer}"
        );
    }

    /// The endpoints of a stream in their order; none when the stream is unknown.
    #[track_caller]
    pub fn endpoints(&self, stream: &str) -> Vec<Endpoint> {
        let all = self.broadcast(stream).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = all["endPointList"].as_array().cloned().unwrap_or_default();
        list.into_iter()
            .map(|all| Endpoint {
                id: text(&all["endpointServiceId"]),
                status: text(&all["status"]),
                url: text(&all["endpointUrl"]),
                all,
            })
            .collect()
    }

    /// One endpoint of a stream, if it is there.
    #[track_caller]
    pub fn endpoint(&self, stream: &str, id: &str) -> Option<Endpoint> {
        self.endpoints(stream).into_iter().find(|endpoint| endpoint.id == id)
    }

    /// Waits for a status of an endpoint.
    #[track_caller]
    pub fn wait_endpoint(&self, stream: &str, id: &str, wanted: &str) -> Endpoint {
        wait_for(LATER, &format!("endpoint {id} of {stream} is {wanted}"), || {
            let endpoint = self.endpoint(stream, id).ok_or("it is not there")?;
            if endpoint.status == wanted { Ok(endpoint) } else { Err(endpoint.all.to_string()) }
        })
    }
    /// An endpoint with everything, as `…/endpoints/{id}` shows it.
    #[track_caller]
    pub fn control(&self, stream: &str, id: &str) -> Value {
        let (status, body) = self.get(&path(stream, &format!("/endpoints/{id}")));
        assert_eq!(status, 200, "endpoint {id} of {stream}: {body}");
        body
    }

    /// Waits for a state of an endpoint, finer than its status.
    #[track_caller]
    pub fn wait_state(&self, stream: &str, id: &str, wanted: &str) -> Value {
        wait_for(LATER, &format!("endpoint {id} of {stream} is {wanted}"), || {
            let endpoint = self.control(stream, id);
            if endpoint["state"] == wanted { Ok(endpoint) } else { Err(endpoint.to_string()) }
        })
    }
}

/// The REST path of a stream given as `app/id`.
pub fn path(stream: &str, rest: &str) -> String {
    let (app, id) = stream.split_once('/').expect("streams are written app/id");
    format!("/{app}/rest/v2/broadcasts/{id}{rest}")
}
