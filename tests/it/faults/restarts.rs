//! A receiver that is restarted again and again.

use serde_json::json;

use crate::support::wait::LATER;

use super::drill::hold;
use super::promises::promise;
use super::report;
use super::stage::{Far, Stage};
use super::steps::now;

/// Each receiver gives so many samples: fewer receivers do.
fn receivers() -> usize {
    (report::times() / 4).max(1)
}

/// Media between two restarts, seconds: the few attempts that failed before are forgiven by then (`LASTED_STEP`).
const BETWEEN_S: f64 = 3.5;

#[test]
fn three_restarts_of_a_receiver_are_three_reconnects() {
    run("restarts-quick", 3);
}

#[test]
#[ignore = "a minute; scripts/faults runs it"]
fn ten_restarts_of_a_receiver_are_ten_reconnects() {
    run("restarts", 10);
}

fn run(name: &str, restarts: usize) {
    let promise = promise("restarts");
    let stage = Stage::new();
    let mut all: Vec<_> = (0..receivers())
        .map(|_| {
            let far = Far::plain();
            let endpoint = stage.add(&far.url);
            endpoint.wait_step(0.0, LATER, "it is broadcasting", |step| step.state == "broadcasting");
            (far, endpoint)
        })
        .collect();
    let (mut noticed, mut recovered) = (Vec::new(), Vec::new());
    for round in 1..=restarts {
        stage.run_on(BETWEEN_S);
        let mut times = Vec::new();
        for (far, _) in &mut all {
            let stopped = now();
            far.receiver.stop();
            far.receiver.start();
            times.push((stopped, now()));
        }
        for ((_, endpoint), (stopped, started)) in all.iter().zip(times) {
            let what = format!("restart {round} is noticed");
            let step = endpoint.wait_step(stopped, LATER, &what, |step| step.state != "broadcasting");
            assert_eq!((step.state.as_str(), step.cause.as_str()), (promise.shows, promise.cause), "{round}");
            noticed.push(step.at - stopped);
            let what = format!("restart {round} is over");
            let step = endpoint.wait_step(started, LATER, &what, |step| step.state == "broadcasting");
            recovered.push(step.at - started);
        }
    }
    for (_, endpoint) in &all {
        let all = endpoint.all();
        assert_eq!(all["statistics"]["reconnects"], restarts, "{all}");
    }
    stage.run_on(1.0);
    let healthy = stage.judge(promise.name);
    report::write(
        name,
        &json!({ "noticed_ms": noticed, "failed_ms": noticed, "recovered_ms": recovered,
            "healthy_s": healthy.seconds, "healthy_pause_ms": healthy.pause_ms() }),
    );
    hold(promise, "noticed", &noticed, promise.noticed_ms_max);
    hold(promise, "recovered", &recovered, promise.recovered_ms_max);
}
