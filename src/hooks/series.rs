//! Which steps of endpoints are worth a word: the first failure of a series and not its retries, the end of a series,
//! and the first connection. Pure.

use std::collections::HashMap;

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

/// How the endpoints fare; only those that run are remembered.
#[derive(Debug, Default)]
pub(super) struct Series(HashMap<StreamKey, HashMap<EndpointId, Health>>);

impl Series {
    /// Takes a step of an endpoint; gives what is to be told of it.
    pub(super) fn step(&mut self, key: &StreamKey, id: &EndpointId, state: EndpointState) -> Option<Action> {
        let before = self.0.get(key).and_then(|endpoints| endpoints.get(id)).copied();
        let (health, action) = match (state, before) {
            (EndpointState::Broadcasting, None) => (Health::Well, Some(Action::Connected)),
            (EndpointState::Broadcasting, Some(Health::Well)) => (Health::Well, None),
            (EndpointState::Broadcasting, Some(_)) => (Health::Well, Some(Action::Recovered)),
            (EndpointState::Waiting, None | Some(Health::Well)) => (Health::Failing, Some(Action::Failed)),
            (EndpointState::Failed, Some(Health::GivenUp)) => return None,
            (EndpointState::Failed, _) => (Health::GivenUp, Some(Action::Failed)),
            (EndpointState::Idle | EndpointState::Disabled | EndpointState::Finished, _) => {
                self.forget(key, id.as_str());
                return None;
            }
            _ => return None,
        };
        self.0.entry(key.clone()).or_default().insert(id.clone(), health);
        action
    }

    /// An endpoint is gone.
    pub(super) fn forget(&mut self, key: &StreamKey, id: &str) {
        if let Some(endpoints) = self.0.get_mut(key) {
            endpoints.retain(|other, _| other.as_str() != id);
            if endpoints.is_empty() {
                self.0.remove(key);
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
        assert!(series.0.is_empty(), "nothing is kept of what is gone");
    }
}
