//! Which steps of endpoints are worth a word: the first failure of a series and not its retries, the end of a series,
//! and the first connection. Pure.
//!
//! The hard thing: an endpoint that is changed while its stream runs finishes and begins anew, and a change is how most
//! failures are mended. So a series outlives that, and ends with the stream.

use std::collections::{HashMap, HashSet};

use crate::model::endpoint::EndpointState;
use crate::model::ids::{EndpointId, StreamKey};

/// What is to be told of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// The peer acknowledges data, for the first time in this stream.
    Connected,
    /// An attempt failed after a success, or the first one did; or it is given up.
    Failed,
    /// Data is acknowledged again.
    Recovered,
}

impl Action {
    /// The word on the wire; `endpointFailed` is Ant Media's.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "endpointConnected",
            Self::Failed => "endpointFailed",
            Self::Recovered => "endpointRecovered",
        }
    }
}

/// Where an endpoint that runs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    Failing,
    GivenUp,
}

/// How the endpoints fare; only those of streams that run are remembered.
#[derive(Debug, Default)]
pub(super) struct Series {
    endpoints: HashMap<StreamKey, HashMap<EndpointId, Health>>,
    /// Streams that run.
    running: HashSet<StreamKey>,
}

impl Series {
    /// A stream runs.
    pub(super) fn runs(&mut self, key: &StreamKey) {
        if !self.running.contains(key) {
            self.running.insert(key.clone());
        }
    }

    /// It is over, and every series of its endpoints with it.
    pub(super) fn ended(&mut self, key: &StreamKey) {
        self.running.remove(key);
        self.endpoints.remove(key);
    }

    /// Takes a step of an endpoint; gives what is to be told of it.
    pub(super) fn step(&mut self, key: &StreamKey, id: &EndpointId, state: EndpointState) -> Option<Action> {
        let before = self.endpoints.get(key).and_then(|endpoints| endpoints.get(id)).copied();
        let (health, action) = match (state, before) {
            (EndpointState::Broadcasting, None) => (Health::Well, Some(Action::Connected)),
            (EndpointState::Broadcasting, Some(Health::Well)) => (Health::Well, None),
            (EndpointState::Broadcasting, Some(_)) => (Health::Well, Some(Action::Recovered)),
            (EndpointState::Waiting, None | Some(Health::Well)) => (Health::Failing, Some(Action::Failed)),
            (EndpointState::Failed, Some(Health::GivenUp)) => return None,
            (EndpointState::Failed, _) => (Health::GivenUp, Some(Action::Failed)),
            // It was changed: what it becomes may mend it. One that was given up is told once more if it is so again.
            (EndpointState::Finished, Some(Health::Failing | Health::GivenUp)) if self.running.contains(key) => {
                (Health::Failing, None)
            }
            (EndpointState::Idle | EndpointState::Disabled | EndpointState::Finished, _) => {
                self.forget(key, id.as_str());
                return None;
            }
            _ => return None,
        };
        self.endpoints.entry(key.clone()).or_default().insert(id.clone(), health);
        action
    }

    /// An endpoint is gone.
    pub(super) fn forget(&mut self, key: &StreamKey, id: &str) {
        if let Some(endpoints) = self.endpoints.get_mut(key) {
            endpoints.retain(|other, _| other.as_str() != id);
            if endpoints.is_empty() {
                self.endpoints.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_of_failures_is_one_word_and_its_end_another() {
        use EndpointState as S;
        let key = StreamKey { app: "live".parse().expect("app"), id: "s".parse().expect("id") };
        let (one, two): (EndpointId, EndpointId) = ("one".parse().expect("id"), "two".parse().expect("id"));
        let mut series = Series::default();
        series.runs(&key);
        let failing =
            [(S::Connecting, None), (S::Waiting, Some(Action::Failed)), (S::Connecting, None), (S::Waiting, None)];
        let well = [
            (S::Connecting, None),
            (S::Broadcasting, Some(Action::Recovered)),
            (S::Stalled, None),
            (S::Broadcasting, None),
            (S::Stalled, None),
            (S::Waiting, Some(Action::Failed)),
            (S::Failed, Some(Action::Failed)),
            (S::Failed, None),
            (S::Connecting, None),
            (S::Broadcasting, Some(Action::Recovered)),
            (S::Finished, None),
            (S::Connecting, None),
            (S::Broadcasting, Some(Action::Connected)),
        ];
        for (state, action) in failing.into_iter().chain(well) {
            assert_eq!(series.step(&key, &one, state), action, "{state}");
        }
        assert_eq!(series.step(&key, &two, S::Broadcasting), Some(Action::Connected), "each for itself");
        for id in ["one", "two"] {
            series.forget(&key, id);
        }
        assert!(series.endpoints.is_empty(), "nothing is kept of what is gone");
    }

    #[test]
    fn a_series_goes_on_when_its_endpoint_is_changed_and_ends_with_the_stream_or_by_switching_it_off() {
        use EndpointState as S;
        let key = StreamKey { app: "live".parse().expect("app"), id: "s".parse().expect("id") };
        let id: EndpointId = "one".parse().expect("id");
        let mut series = Series::default();
        let tell = |steps: &[(S, Option<Action>)], series: &mut Series| {
            for (state, action) in steps {
                assert_eq!(series.step(&key, &id, *state), *action, "{state} in {steps:?}");
            }
        };
        series.runs(&key);
        // Changed while it fails, to something that fails, too, and then to something that works.
        let failing =
            [(S::Waiting, Some(Action::Failed)), (S::Finished, None), (S::Connecting, None), (S::Waiting, None)];
        let mended = [(S::Finished, None), (S::Connecting, None), (S::Broadcasting, Some(Action::Recovered))];
        tell(&failing, &mut series);
        tell(&mended, &mut series);
        // Given up, changed, and given up again.
        let given_up = [(S::Failed, Some(Action::Failed)), (S::Finished, None)];
        tell(&[(S::Waiting, Some(Action::Failed))], &mut series);
        tell(&given_up, &mut series);
        tell(&[(S::Waiting, None)], &mut series);
        tell(&given_up, &mut series);
        tell(&[(S::Broadcasting, Some(Action::Recovered))], &mut series);
        // Switched off, nobody waits for it any more.
        let off = [(S::Waiting, Some(Action::Failed)), (S::Finished, None), (S::Disabled, None), (S::Idle, None)];
        tell(&off, &mut series);
        tell(&[(S::Broadcasting, Some(Action::Connected)), (S::Waiting, Some(Action::Failed))], &mut series);
        // The stream ends, and its endpoints close behind it.
        series.ended(&key);
        tell(&[(S::Waiting, Some(Action::Failed)), (S::Finished, None)], &mut series);
        assert!(series.endpoints.is_empty() && series.running.is_empty(), "nothing is kept");
        series.runs(&key);
        tell(&[(S::Broadcasting, Some(Action::Connected))], &mut series);
    }
}
