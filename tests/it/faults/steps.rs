//! An endpoint's life as the REST interface tells it: its steps with their times.
//!
//! Times are the service's own, not those of our looks, so that they are measured to the millisecond while we look
//! only now and then.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::http::{Api, path};
use crate::support::wait::wait_for;

/// A point in time, milliseconds since 1970.
pub type Moment = f64;

/// Now; whole milliseconds, as the service gives them, so that what comes after is not before.
pub fn now() -> Moment {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as f64
}

/// One transition.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// When.
    pub at: Moment,
    /// To which state.
    pub state: String,
    /// Why; empty where nothing failed.
    pub cause: String,
    /// The attempt it belongs to.
    pub attempt: u64,
}

/// One endpoint, looked at.
#[derive(Debug, Clone)]
pub struct Watched {
    api: Api,
    path: String,
    /// Its id.
    pub id: String,
}

impl Watched {
    /// Looks at an endpoint of a stream.
    pub fn new(api: &Api, stream: &str, id: String) -> Self {
        Self { api: api.clone(), path: path(stream, &format!("/endpoints/{id}")), id }
    }

    /// All that is shown of it.
    #[track_caller]
    pub fn all(&self) -> Value {
        let (status, all) = self.api.get(&self.path);
        assert_eq!(status, 200, "GET {}: {all}", self.path);
        all
    }

    /// Its REST path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its state.
    #[track_caller]
    pub fn state(&self) -> String {
        self.all()["state"].as_str().expect("a state").to_owned()
    }

    /// Its last transitions, oldest first.
    #[track_caller]
    pub fn steps(&self) -> Vec<Step> {
        steps_of(&self.all())
    }

    /// Waits for the first step after a moment that is as wanted.
    #[track_caller]
    pub fn wait_step(&self, after: Moment, bound: Duration, what: &str, wanted: impl Fn(&Step) -> bool) -> Step {
        wait_for(bound, &format!("endpoint {}: {what}", self.id), || {
            let all = self.all();
            let found = steps_of(&all).into_iter().find(|step| step.at >= after && wanted(step));
            found.ok_or_else(|| all.to_string())
        })
    }
}

/// The transitions in an endpoint's JSON, oldest first.
fn steps_of(all: &Value) -> Vec<Step> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = all["history"].as_array().cloned().unwrap_or_default();
    let mut steps: Vec<Step> = list
        .iter()
        .map(|step| Step {
            at: step["at"].as_f64().unwrap_or_else(|| panic!("`at` of a step is no number: {step}")),
            state: text(&step["state"]),
            cause: text(&step["cause"]),
            attempt: step["attempt"].as_u64().unwrap_or_default(),
        })
        .collect();
    steps.sort_by(|a, b| a.at.total_cmp(&b.at));
    steps
}
