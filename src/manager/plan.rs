//! Which endpoints of a live stream to start and to stop. Pure.
//!
//! Owns what has been started and what is closing. Must not know streams or tasks. The hard thing: an
//! endpoint that changes its URL keeps its id, and its successor must not start before it is closed,
//! and not at all if it has been removed meanwhile.

use std::collections::{HashMap, HashSet};

use crate::model::endpoint::EndpointRecord;
use crate::model::ids::EndpointId;

/// What runs at a stream's endpoints, as far as the manager has ordered it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Ordered to start and not to stop, as they were when they started.
    started: HashMap<EndpointId, EndpointRecord>,
    /// Ordered to stop and not yet reported closed: their ids are blocked.
    closing: HashSet<EndpointId>,
}

/// What to do now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// Stop these first; report each by [`Plan::closed`].
    pub(super) stop: Vec<EndpointId>,
    /// Then start these.
    pub(super) start: Vec<EndpointRecord>,
}

impl Plan {
    /// A stream that was started with these endpoints.
    pub(super) fn started_with(endpoints: &[EndpointRecord]) -> Self {
        Self {
            started: switched_on(endpoints).map(|endpoint| (endpoint.id.clone(), endpoint.clone())).collect(),
            closing: HashSet::new(),
        }
    }

    /// An endpoint is closed: its id is free again. Reconcile afterwards.
    pub(super) fn closed(&mut self, id: &EndpointId) {
        self.closing.remove(id);
    }

    /// Whether an endpoint runs or has not closed yet.
    pub(super) fn occupies(&self, id: &EndpointId) -> bool {
        self.started.contains_key(id) || self.closing.contains(id)
    }

    /// The steps from what runs to what is wanted, counted as done.
    pub(super) fn reconcile(&mut self, wanted: &[EndpointRecord]) -> Steps {
        let by_id: HashMap<&EndpointId, &EndpointRecord> =
            switched_on(wanted).map(|endpoint| (&endpoint.id, endpoint)).collect();
        let differs = |id, runs: &EndpointRecord| by_id.get(id).is_none_or(|wanted| !wanted.runs_like(runs));
        let mut stop: Vec<EndpointId> =
            self.started.iter().filter(|(id, runs)| differs(*id, runs)).map(|(id, _)| id.clone()).collect();
        stop.sort();
        for id in &stop {
            self.started.remove(id);
            self.closing.insert(id.clone());
        }
        let start: Vec<EndpointRecord> = switched_on(wanted)
            .filter(|endpoint| !self.started.contains_key(&endpoint.id) && !self.closing.contains(&endpoint.id))
            .cloned()
            .collect();
        for endpoint in &start {
            self.started.insert(endpoint.id.clone(), endpoint.clone());
        }
        Steps { stop, start }
    }
}

fn switched_on(endpoints: &[EndpointRecord]) -> impl Iterator<Item = &EndpointRecord> {
    endpoints.iter().filter(|endpoint| endpoint.enabled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::srt_url::SrtUrl;

    fn endpoint(id: &str, host: &str) -> EndpointRecord {
        EndpointRecord::new(id.parse().expect("id"), SrtUrl::parse(&format!("srt://{host}:9000")).expect("url"))
    }

    fn ids(steps: &Steps) -> (Vec<&str>, Vec<&str>) {
        (
            steps.stop.iter().map(EndpointId::as_str).collect(),
            steps.start.iter().map(|endpoint| endpoint.id.as_str()).collect(),
        )
    }

    #[test]
    fn only_what_differs_is_touched() {
        let (a, b, c) = (endpoint("a", "192.0.2.1"), endpoint("b", "192.0.2.2"), endpoint("c", "192.0.2.3"));
        let mut plan = Plan::started_with(&[a.clone(), b.clone()]);
        assert_eq!(plan.reconcile(&[a.clone(), b.clone()]), Steps::default());
        assert_eq!(ids(&plan.reconcile(&[b.clone(), c.clone()])), (vec!["a"], vec!["c"]));
        assert_eq!(plan.reconcile(&[b, c]), Steps::default(), "counted as done");
    }

    #[test]
    fn a_changed_endpoint_starts_again_only_when_it_is_closed() {
        let mut plan = Plan::started_with(&[endpoint("a", "192.0.2.1")]);
        let changed = [endpoint("a", "192.0.2.9")];
        assert_eq!(ids(&plan.reconcile(&changed)), (vec!["a"], vec![]));
        assert_eq!(plan.reconcile(&changed), Steps::default(), "still closing");
        plan.closed(&changed[0].id);
        assert_eq!(ids(&plan.reconcile(&changed)), (vec![], vec!["a"]));
    }

    #[test]
    fn what_was_removed_while_it_closed_does_not_come_back() {
        let a = endpoint("a", "192.0.2.1");
        let mut plan = Plan::started_with(std::slice::from_ref(&a));
        plan.reconcile(&[]);
        plan.reconcile(std::slice::from_ref(&a));
        plan.reconcile(&[]);
        plan.closed(&a.id);
        assert_eq!(plan.reconcile(&[]), Steps::default());
    }

    #[test]
    fn what_is_switched_off_does_not_run_and_a_label_disturbs_nobody() {
        let mut a = endpoint("a", "192.0.2.1");
        let mut plan = Plan::started_with(std::slice::from_ref(&a));
        a.label = Some("main".into());
        assert_eq!(plan.reconcile(std::slice::from_ref(&a)), Steps::default());
        a.enabled = false;
        assert_eq!(ids(&plan.reconcile(std::slice::from_ref(&a))), (vec!["a"], vec![]));
        plan.closed(&a.id);
        assert_eq!(plan.reconcile(std::slice::from_ref(&a)), Steps::default());
        a.enabled = true;
        assert_eq!(ids(&plan.reconcile(std::slice::from_ref(&a))), (vec![], vec!["a"]));
    }
}
