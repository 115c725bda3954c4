//! Lip sync against a publisher whose truth is known, while the service gets no processor at times: what it makes of
//! the sound and the pictures must not show it.

use std::ops::Range;
use std::time::Duration;

use crate::support::receiver::Receiver;
use crate::support::service::Service;
use crate::support::truth::{FRAME_MS, Plan, Truth};
use crate::support::ts::{Verdict, ms};
use crate::support::wait::{LATER, wait_for};
use crate::support::webrtc::{av_offset_ms, av_spread_ms, receive, since};

/// How long the service stands still, again and again: shorter and longer than its jitter buffers.
const STANDSTILLS_MS: [u64; 7] = [300, 800, 50, 500, 120, 250, 700];

/// How long it runs in between, less than any of its windows.
const BETWEEN: Duration = Duration::from_millis(100);

/// How far sound may be from its pictures: the truth is known, so this is what is ours. Measured: 0 to 3 ms.
const APART_MAX_MS: f64 = 15.0;

/// How far the time stamps of pictures may be from whole frames.
const UNSTEADY_MAX_MS: f64 = 4.0;

/// Seconds and flashes that an offset is taken from. A standstill may cost pictures up to the next key frame.
const MEASURED_S: f64 = 6.0;
const FLASHES_MIN: u64 = 3;

/// When the sender takes its microphone away, and for how long.
const MUTE_MS: Range<u64> = 18_000..21_000;

/// The offset of what comes from now on.
#[track_caller]
fn offset_from_now(what: &str, receiver: &Receiver) -> f64 {
    let from = receiver.received();
    wait_for(LATER, "flashes and beeps", || {
        receiver.wait_more(MEASURED_S);
        let (offset, times) = av_offset_ms(since(&receiver.bytes(), from));
        println!("{what}: the beep comes {offset} ms after the flash ({times} times)");
        if times >= FLASHES_MIN { Ok(offset) } else { Err(format!("{times} of each")) }
    })
}

#[track_caller]
fn assert_in_step(what: &str, receiver: &Receiver) {
    let offset = offset_from_now(what, receiver);
    assert!(offset.abs() < APART_MAX_MS, "{what}: sound comes {offset} ms after the pictures");
}

fn stand_still(service: &Service) {
    for standstill in STANDSTILLS_MS {
        service.freeze();
        std::thread::sleep(Duration::from_millis(standstill));
        service.thaw();
        std::thread::sleep(BETWEEN);
    }
}

/// The distance from whole frames.
fn off_frames_ms(ms: f64) -> f64 {
    (ms - FRAME_MS as f64 * (ms / FRAME_MS as f64).round()).abs()
}

/// The largest distance of a picture's time stamp from where whole frames after the one before would have it.
fn unsteady_ms(bytes: &[u8]) -> f64 {
    let units = Verdict::of_bytes(bytes).video.expect("pictures").units;
    let steps = units.windows(2).map(|pair| ms(pair[1].pts - pair[0].pts));
    // A picture that was lost makes a step of two.
    steps
        .map(|step| if step < FRAME_MS as f64 { FRAME_MS as f64 - step } else { off_frames_ms(step) })
        .fold(0.0, f64::max)
}

/// Publishes by `plan` and judges what arrives before, while and after the service stands still.
fn stays_in_step(plan: Plan) {
    let service = Service::start();
    let _truth = Truth::publish(&service, "live/test", plan);
    let receiver = receive(&service, "live/test", 2.0);
    // The sender's first reports may take so long, and may have to move a track.
    receiver.wait_more(6.0);
    let from = receiver.received();
    assert_in_step("undisturbed", &receiver);
    for round in 1..=2 {
        stand_still(&service);
        assert_in_step(&format!("after the service stood still, {round}"), &receiver);
    }
    let bytes = receiver.bytes();
    let all = since(&bytes, from);
    let (spread, unsteady) = (av_spread_ms(all), unsteady_ms(all));
    println!("each flash within {spread} ms of the others' offset, pictures {unsteady:.1} ms off whole frames");
    // A transcoder that has to catch up leaves pictures out: a flash without its first ones begins whole frames later.
    let apart = off_frames_ms(spread);
    assert!(apart < APART_MAX_MS, "of some flash the beep is {spread} ms from where the others have it");
    assert!(unsteady < UNSTEADY_MAX_MS, "time stamps are {unsteady} ms off the frames they stand for");
    assert_eq!(Verdict::of_bytes(&bytes).continuity_errors, 0);
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn h264_and_sound_that_is_muted_stay_in_step_while_the_service_stands_still() {
    stays_in_step(Plan { mute_ms: MUTE_MS, ..Plan::default() });
}

#[test]
fn vp8_of_a_slow_camera_stays_in_step_while_the_service_stands_still() {
    stays_in_step(Plan { vp8: true, pictures_late_ms: 150, ..Plan::default() });
}

#[test]
fn without_sender_reports_arrival_decides_and_a_standstill_leaves_it_so() {
    let late_ms = 150;
    let service = Service::start();
    let plan = Plan { pictures_late_ms: late_ms, without_reports: true, ..Plan::default() };
    let _truth = Truth::publish(&service, "live/test", plan);
    let receiver = receive(&service, "live/test", 2.0);
    // The first packets have waited for the connection; their lateness is made up for by a tenth of real time.
    receiver.wait_more(12.0);
    let before = offset_from_now("undisturbed", &receiver);
    // Pictures come late and nobody says so; how early encoders and the loopback bring both is not known so well.
    assert!((before + late_ms as f64).abs() < 2.0 * FRAME_MS as f64, "the beep comes {before} ms after the flash");
    stand_still(&service);
    let after = offset_from_now("after the service stood still", &receiver);
    assert!((after - before).abs() < APART_MAX_MS, "{before} ms before, {after} ms after");
}
