//! The judgement most scenarios end with: what a receiver got is the programme that was published, whole, in
//! step, and well-formed. Knows no network.

use std::panic::AssertUnwindSafe;

use super::receiver::Receiver;
use super::sample::{Programme, Sample};
use super::service::Service;
use super::ts::{Capture, Comparison, Expected, Verdict, compare};

/// How far audio may move against video: less than one picture at 25/s.
pub const AV_SHIFT_LIMIT_MS: f64 = 40.0;

/// What is kept back from a length awaited on the wire: the last PES packets are still open, and tracks end unevenly.
const TAIL_S: f64 = 0.8;

/// Runs a check for every case of a table and panics at the end with the names of all that failed, each of
/// which has printed why.
#[track_caller]
pub fn for_each<T>(cases: &[T], name: impl Fn(&T) -> String, check: impl Fn(&T)) {
    let failed = |case: &&T| std::panic::catch_unwind(AssertUnwindSafe(|| check(case))).is_err();
    let names: Vec<String> = cases.iter().filter(failed).map(name).collect();
    assert!(names.is_empty(), "{} of {} cases failed: {}", names.len(), cases.len(), names.join(", "));
}

/// Publishes all programmes side by side, each under its stream's name by `publish`, and judges what an endpoint of each
/// gets, and that the service says how it comes in.
#[track_caller]
pub fn assert_each_restreamed<C, P>(
    publish_type: &str,
    seconds: f64,
    cases: impl IntoIterator<Item = (&'static str, Programme, C)>,
    publish: impl Fn(&Service, &str, &Sample, C) -> P,
) {
    let service = Service::start();
    let running: Vec<_> = cases
        .into_iter()
        .map(|(stream, programme, how)| {
            let (sample, receiver) = (Sample::of(programme), Receiver::listen());
            let publisher = publish(&service, stream, &sample, how);
            service.api.add_endpoint(stream, &receiver.url());
            (stream, sample, receiver, publisher)
        })
        .collect();
    for_each(
        &running,
        |case| case.0.to_owned(),
        |(stream, sample, receiver, _)| {
            receiver.wait_seconds(seconds);
            assert_restreamed(stream, sample, receiver, seconds);
            let broadcast = service.api.broadcast(stream).unwrap();
            assert_eq!(broadcast["publishType"], publish_type, "{broadcast}");
        },
    );
}

/// Judges what a receiver has: healthy, and of the sample without loss, change or shift.
#[track_caller]
pub fn assert_restreamed(what: &str, sample: &Sample, receiver: &Receiver, seconds: f64) {
    let expected = Expected::new(sample.programme.video, sample.programme.audio, seconds);
    let capture = receiver.capture();
    Verdict::of(&capture).assert_healthy(what, &expected);
    assert_content(what, sample, &capture, seconds);
}

/// Only the content: every unit, unchanged, in order, in step.
#[track_caller]
pub fn assert_content(what: &str, sample: &Sample, capture: &Capture, seconds: f64) -> Comparison {
    let comparison = compare(&sample.capture(), capture);
    comparison.assert_lossless(what, seconds - TAIL_S);
    if sample.programme.video.is_some() && sample.programme.audio.is_some() {
        comparison.assert_in_sync(what, AV_SHIFT_LIMIT_MS);
    }
    comparison
}
