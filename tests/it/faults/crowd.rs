//! Twenty endpoints in trouble of every kind at once, beside a healthy one.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::process::free_port;
use crate::support::receiver::{Receiver, SlowReceiver};
use crate::support::relay::{Relay, To, Way};
use crate::support::service::Options;
use crate::support::wait::LATER;

use super::report;
use super::stage::{Far, Stage};
use super::steps::Watched;

/// A tenth of what the stream needs.
const SLOW_BYTES_PER_S: usize = 5000;

/// From one round of trouble to the next, seconds of media.
const ROUND_S: f64 = 2.0;

/// Rounds in CI.
const ROUNDS_QUICK: usize = 6;

const OURS: &str = "open-sesame-4711";
const THEIRS: &str = "something-else-0815";

/// All kinds, four times over where they cost little.
#[derive(Default)]
struct Crowd {
    /// Frozen and thawed in turn.
    freezing: Vec<Far>,
    /// Cut off and joined in turn.
    cut: Vec<Far>,
    /// Killed and started in turn.
    mortal: Vec<Far>,
    /// Only there.
    relays: Vec<Relay>,
    receivers: Vec<Receiver>,
    slow: Vec<SlowReceiver>,
    endpoints: Vec<(&'static str, Watched)>,
}

impl Crowd {
    fn gather(stage: &Stage) -> Self {
        let mut crowd = Self::default();
        for _ in 0..3 {
            crowd.freezing.push(Far::plain());
            crowd.cut.push(Far::relayed());
            crowd.mortal.push(Far::plain());
        }
        let mut add = |kind, url: &str| crowd.endpoints.push((kind, stage.add(url)));
        crowd.freezing.iter().for_each(|far| add("freezing", &far.url));
        crowd.cut.iter().for_each(|far| add("cut", &far.url));
        crowd.mortal.iter().for_each(|far| add("mortal", &far.url));
        for _ in 0..2 {
            add("nobody", &format!("srt://127.0.0.1:{}", free_port()));
            let receiver = Receiver::listen_with_passphrase(THEIRS);
            add("wrong passphrase", &format!("{}?passphrase={OURS}", receiver.url()));
            add("no passphrase", &receiver.url());
            crowd.receivers.push(receiver);
            // Far too little latency for such a way.
            let receiver = Receiver::listen_with_latency(20);
            let relay = Relay::to(receiver.port);
            let (delay, jitter) = (Duration::from_millis(150), Duration::from_millis(50));
            relay.set_both(Way { loss: 0.1, delay, jitter, duplication: 0.02, reordering: 0.02, ..Way::default() });
            add("bad way", &format!("{}?latency=60", relay.url()));
            crowd.relays.push(relay);
            crowd.receivers.push(receiver);
        }
        let slow = SlowReceiver::listen(SLOW_BYTES_PER_S);
        add("slow", &slow.url());
        crowd.slow.push(slow);
        let receiver = Receiver::listen();
        let relay = Relay::to(receiver.port);
        relay.set_both(Way { rate_kbps: Some(200), ..Way::default() });
        add("narrow way", &relay.url());
        crowd.relays.push(relay);
        crowd.receivers.push(receiver);
        add("unknown name", "srt://nobody.invalid:4200");
        // The application is not one of this service's.
        add("refused", &format!("srt://127.0.0.1:{}?streamid=nowhere/x", stage.service.ports.srt));
        crowd
    }

    /// Makes it worse, or better, for those that change.
    fn stir(&mut self, round: usize) {
        for (number, far) in self.freezing.iter().enumerate() {
            // 6 s frozen, 2 s not, each at another time.
            if (round + number).is_multiple_of(4) { far.receiver.thaw() } else { far.receiver.freeze() }
        }
        for (number, far) in self.cut.iter().enumerate() {
            far.relay().black_hole(!(round + number).is_multiple_of(3));
        }
        for (number, far) in self.mortal.iter_mut().enumerate() {
            match (far.receiver.runs(), (round + number).is_multiple_of(2)) {
                (true, true) => far.receiver.kill(),
                (false, false) => far.receiver.start(),
                _ => (),
            }
        }
    }
}

/// What shows that a kind is in trouble: a state and a cause that it had. Those that change may meet it in one of three.
const SIGNS: [(&str, &str); 9] = [
    ("freezing", "stalled stalled"),
    ("cut", "stalled stalled"),
    ("mortal", "stalled stalled"),
    ("nobody", "waiting unreachable"),
    ("wrong passphrase", "waiting bad_passphrase"),
    ("no passphrase", "waiting unencrypted_peer"),
    ("slow", "stalled stalled"),
    ("unknown name", "waiting dns"),
    ("refused", "waiting rejected_by_peer"),
];
const CHANGING: [&str; 3] = ["freezing", "cut", "mortal"];

impl Crowd {
    /// The steps of each, in words.
    fn steps(&self) -> Vec<(&'static str, Vec<String>)> {
        let words = |endpoint: &Watched| {
            endpoint.steps().into_iter().map(|step| format!("{} {}", step.state, step.cause)).collect()
        };
        self.endpoints.iter().map(|(kind, endpoint)| (*kind, words(endpoint))).collect()
    }

    /// Panics unless all that shall be in trouble are.
    #[track_caller]
    fn assert_in_trouble(&self, steps: &[(&'static str, Vec<String>)]) {
        for (kind, sign) in SIGNS {
            let all: Vec<&Vec<String>> = steps.iter().filter(|(of, _)| *of == kind).map(|(_, steps)| steps).collect();
            let shown = all.iter().filter(|steps| steps.iter().any(|step| step == sign)).count();
            let wanted = if CHANGING.contains(&kind) { 1 } else { all.len() };
            assert!(shown >= wanted && shown > 0, "{kind} is to show {sign:?}: {all:?}");
        }
        // A bad way and a narrow one are carried over; that they are bad shows on the way.
        for relay in &self.relays {
            let counts = relay.counts(To::Receiver);
            assert!(counts.lost > 0, "nothing was lost on a bad way: {counts:?}");
        }
    }
}

/// Alone before, seconds of media.
const ALONE_S: f64 = 8.0;

fn run(name: &str, rounds: usize) {
    let secrets = vec![OURS.to_owned(), THEIRS.to_owned()];
    let stage = Stage::with(Options { secrets, ..Options::default() });
    // A second healthy one, whose packets are timed on their way.
    let timed = Far::relayed();
    let endpoint = stage.add(&timed.url);
    endpoint.wait_step(0.0, LATER, "it is broadcasting", |step| step.state == "broadcasting");
    timed.relay().take_longest_pause();
    stage.run_on(if rounds > ROUNDS_QUICK { ALONE_S } else { ROUND_S });
    let pause_alone = timed.relay().take_longest_pause();
    let mut crowd = Crowd::gather(&stage);
    assert!(crowd.endpoints.len() >= 20, "{}", crowd.endpoints.len());
    for round in 0..rounds {
        stage.run_on(ROUND_S);
        crowd.stir(round);
    }
    let pause = timed.relay().take_longest_pause();
    let steps = crowd.steps();
    crowd.assert_in_trouble(&steps);
    let seen: Vec<Value> = steps.iter().map(|(kind, steps)| json!({ "kind": kind, "steps": steps })).collect();
    assert_eq!(endpoint.steps().last().map(|step| step.state.clone()), Some("broadcasting".to_owned()));
    assert_eq!(timed.receiver.capture().continuity_errors, 0);
    let healthy = stage.judge(name);
    let pauses_ms = [pause_alone, pause].map(|pause| pause.as_millis());
    report::write(
        name,
        &json!({ "healthy_s": healthy.seconds, "healthy_pause_ms": healthy.pause_ms(), "pauses_ms": pauses_ms, "endpoints": seen }),
    );
}

#[test]
fn twenty_endpoints_in_trouble_cost_a_healthy_one_nothing() {
    run("crowd-quick", ROUNDS_QUICK);
}

#[test]
#[ignore = "a minute; scripts/faults runs it"]
fn twenty_endpoints_in_trouble_cost_a_healthy_one_nothing_for_a_minute() {
    run("crowd", 30);
}
