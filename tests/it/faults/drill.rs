//! How a fault is let loose: on several far ends at once, each a sample of the time to notice and to recover.

use std::time::Duration;

use serde_json::json;

use crate::support::wait::{LATER, wait_for};

use super::promises::{Promise, promise};
use super::report;
use super::stage::{Far, Stage};
use super::steps::{Moment, Step, Watched, now};

/// Between two far ends that suffer the same: they should meet the service at different moments of its second.
const APART: Duration = Duration::from_millis(53);

/// How long we look for what is promised sooner: a promise that is broken is then told with the time it took.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fault of a far end.
pub struct Drill<'a> {
    /// Its name among the promises.
    pub name: &'static str,
    /// Whether a connection stands when it begins; otherwise it is there before the endpoint.
    pub connected_first: bool,
    /// Makes a far end; it is given a number from 0 on.
    pub far: &'a dyn Fn(usize) -> Far,
    /// Breaks it.
    pub begin: &'a dyn Fn(&mut Far),
    /// For how long, seconds; at least until it was noticed.
    pub lasts_s: f64,
    /// Mends it.
    pub end: &'a dyn Fn(&mut Far),
}

/// What one far end went through.
struct Sufferer {
    far: Far,
    endpoint: Watched,
    began: Moment,
    noticed: Option<Step>,
    failed: Option<Step>,
}

impl Drill<'_> {
    /// Lets it loose and holds what is seen against what is promised.
    #[track_caller]
    pub fn run(&self, stage: &Stage) {
        let promise = promise(self.name);
        // All far ends first: no endpoint shall have waited for those of the others.
        let fars: Vec<Far> = (0..report::times()).map(|number| self.far_end(number)).collect();
        let mut all: Vec<Sufferer> = fars.into_iter().map(|far| Sufferer::meet(stage, far)).collect();
        if self.connected_first {
            for one in &all {
                one.endpoint.wait_step(one.began, LATER, "it is broadcasting", |step| step.state == "broadcasting");
                one.far.receiver.wait_seconds(0.2);
            }
            for one in &mut all {
                one.began = now();
                (self.begin)(&mut one.far);
                std::thread::sleep(APART);
            }
        }
        let mut ended = Vec::new();
        for one in &mut all {
            one.notice(promise);
            // For each as long as it shall last, and not until all have noticed.
            let ends = one.began + self.lasts_s * 1000.0;
            std::thread::sleep(Duration::from_secs_f64((ends - now()).max(0.0) / 1000.0));
            ended.push(now());
            (self.end)(&mut one.far);
        }
        let recovered: Vec<f64> = all.iter().zip(&ended).map(|(one, ended)| one.recover(promise, *ended)).collect();
        stage.run_on(1.0);
        let healthy = stage.judge(self.name);
        let noticed: Vec<f64> = all.iter().filter_map(|one| Some(one.noticed.as_ref()?.at - one.began)).collect();
        let failed: Vec<f64> = all.iter().filter_map(|one| Some(one.failed.as_ref()?.at - one.began)).collect();
        report::write(
            self.name,
            &json!({ "noticed_ms": noticed, "failed_ms": failed, "recovered_ms": recovered,
                "healthy_s": healthy.seconds, "healthy_pause_ms": healthy.pause_ms() }),
        );
        hold(promise, "noticed", &noticed, promise.noticed_ms_max);
        hold(promise, "recovered", &recovered, promise.recovered_ms_max);
    }

    fn far_end(&self, number: usize) -> Far {
        let mut far = (self.far)(number);
        if !self.connected_first {
            (self.begin)(&mut far);
        }
        far
    }
}

impl Sufferer {
    /// Adds the endpoint.
    #[track_caller]
    fn meet(stage: &Stage, far: Far) -> Self {
        let began = now();
        let endpoint = stage.add(&far.url);
        Self { far, endpoint, began, noticed: None, failed: None }
    }

    /// Waits for the state, and for the failure with its cause, that are promised.
    #[track_caller]
    fn notice(&mut self, promise: &Promise) {
        let name = promise.name;
        // Without a connection, `connecting` is no news.
        let news = |step: &Step| step.state != "connecting" && step.state != "idle";
        let noticed = self.endpoint.wait_step(self.began, PATIENCE, &format!("{name} is noticed"), news);
        assert_eq!(noticed.state, promise.shows, "{name}: {}", self.endpoint.all());
        if !promise.cause.is_empty() {
            let failed = self
                .endpoint
                .wait_step(self.began, PATIENCE, &format!("{name} is a failure"), |step| step.state == "waiting");
            assert_eq!(failed.cause, promise.cause, "{name}: {}", self.endpoint.all());
            if let Some((code, called)) = promise.reject {
                let failure = self.endpoint.all()["failure"].clone();
                assert_eq!(
                    (&failure["rejectCode"], &failure["rejectName"]),
                    (&code.into(), &called.into()),
                    "{failure}"
                );
            }
            self.failed = Some(failed);
        }
        self.noticed = Some(noticed);
    }

    /// Waits until it is broadcasting again and media arrives; how long after the end of the fault that was.
    #[track_caller]
    fn recover(&self, promise: &Promise, ended: Moment) -> f64 {
        let name = promise.name;
        let what = format!("{name} is over");
        let step = self.endpoint.wait_step(ended, PATIENCE, &what, |step| step.state == "broadcasting");
        // Where the far end is a server, its acknowledgements must do.
        if self.far.receiver.runs() {
            let before = self.far.receiver.received();
            wait_for(LATER, &format!("media arrives after {name}"), || {
                let more = self.far.receiver.received();
                if more > before { Ok(()) } else { Err(format!("{more} bytes")) }
            });
        }
        let all = self.endpoint.all();
        assert_eq!(all["state"], "broadcasting", "{name}: {all}");
        if promise.cause.is_empty() {
            // No failure: the connection from before has stood all the time.
            let steps = self.endpoint.steps().into_iter().filter(|step| step.at >= self.began);
            let others: Vec<Step> =
                steps.filter(|step| !["stalled", "broadcasting"].contains(&step.state.as_str())).collect();
            assert!(others.is_empty(), "{name}: {others:?}");
            assert_eq!(self.far.receiver.connections(), 1, "{name}: it was connected anew");
        }
        step.at - ended
    }
}

/// All of them within the bound, or the test fails with all of them.
#[track_caller]
pub fn hold(promise: &Promise, what: &str, ms: &[f64], max: u32) {
    let late = ms.iter().filter(|ms| **ms > f64::from(max)).count();
    assert_eq!(late, 0, "{}: {late} of {} were {what} later than {max} ms: {ms:.0?}", promise.name, ms.len());
}
