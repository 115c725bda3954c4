//! The gate as tables: every sentence of its documentation.

use super::*;

const FRAME_NS: u64 = 40_000_000;

fn video(frame: u64, key: bool) -> Unit {
    Unit { kind: TrackKind::Video, key, time_ns: frame * FRAME_NS }
}

fn audio(frame: u64) -> Unit {
    Unit { kind: TrackKind::Audio, key: true, time_ns: frame * FRAME_NS }
}

fn at(frame: u64) -> Duration {
    Duration::from_nanos(frame * FRAME_NS)
}

fn open_gate() -> Gate {
    let mut gate = Gate::new();
    gate.add_track(TrackKind::Video);
    gate.add_track(TrackKind::Audio);
    gate.connected();
    assert_eq!(gate.admit(video(0, true), at(0)), Verdict::Open);
    gate.consumed(TrackKind::Video, 0);
    gate
}

#[test]
fn before_the_receiver_is_connected_lag_closes_it_at_once() {
    let mut gate = Gate::new();
    gate.add_track(TrackKind::Video);
    assert_eq!(gate.admit(video(0, true), at(0)), Verdict::Open);
    let closed = (1..100).find(|frame| gate.admit(video(*frame, false), at(*frame)) == Verdict::Drop);
    assert_eq!(closed, Some(12), "the first unit after more than 400 ms");
    assert_eq!(gate.admit(video(50, true), at(50)), Verdict::Drop, "not drained");
    gate.connected();
    gate.consumed(TrackKind::Video, 11 * FRAME_NS);
    assert_eq!(gate.admit(video(75, true), at(75)), Verdict::Open);
}

#[test]
fn video_opens_it_at_a_key_frame_and_audio_before_that_frame_stays_out() {
    let mut gate = Gate::new();
    gate.add_track(TrackKind::Video);
    gate.add_track(TrackKind::Audio);
    gate.connected();
    assert_eq!(gate.admit(audio(0), at(0)), Verdict::Drop);
    assert_eq!(gate.admit(video(1, false), at(1)), Verdict::Drop);
    assert_eq!(gate.admit(video(5, true), at(5)), Verdict::Open);
    assert_eq!(gate.admit(audio(4), at(5)), Verdict::Drop);
    assert_eq!(gate.admit(audio(5), at(5)), Verdict::Pass);
    assert_eq!(gate.admit(video(6, false), at(6)), Verdict::Pass);
}

#[test]
fn audio_alone_opens_at_once() {
    let mut gate = Gate::new();
    gate.add_track(TrackKind::Audio);
    gate.connected();
    assert_eq!(gate.admit(audio(3), at(3)), Verdict::Open);
}

#[test]
fn audio_does_not_wait_for_video_that_is_gone() {
    let mut gate = open_gate();
    gate.set_video(false);
    assert_eq!(gate.admit(audio(1), at(1)), Verdict::Pass);
    // Closed at the moment at which a publisher without video comes.
    let closed = (2..200).find(|frame| gate.admit(audio(*frame), at(*frame)) == Verdict::Drop).expect("it lags");
    gate.consumed(TrackKind::Audio, (closed - 1) * FRAME_NS);
    assert_eq!(gate.admit(audio(closed + 1), at(closed + 1)), Verdict::Open);
    gate.set_video(true);
    assert_eq!(gate.admit(audio(closed + 2), at(closed + 2)), Verdict::Pass, "video that comes then does not close it");
}

#[test]
fn video_that_joins_audio_late_does_not_close_it() {
    let mut gate = Gate::new();
    gate.add_track(TrackKind::Audio);
    gate.connected();
    assert_eq!(gate.admit(audio(0), at(0)), Verdict::Open);
    gate.add_track(TrackKind::Video);
    assert_eq!(gate.admit(audio(1), at(1)), Verdict::Pass);
}

#[test]
fn a_blocked_endpoint_closes_it_and_whole_gops_are_dropped_until_it_has_drained() {
    let mut gate = open_gate();
    let mut frame = 1;
    while gate.admit(video(frame, false), at(frame)) == Verdict::Pass {
        frame += 1;
        assert!(frame < 100, "must close");
    }
    let held = gate.lag();
    assert!(held >= LAG_MAX && held <= LAG_MAX + LAG_PATIENCE + Duration::from_millis(80), "{held:?}");
    assert_eq!(gate.counters().closings, 1);
    assert_eq!(gate.admit(video(frame + 1, true), at(frame + 1)), Verdict::Drop, "not drained");
    gate.consumed(TrackKind::Video, (frame - 1) * FRAME_NS);
    assert_eq!(gate.admit(video(frame + 2, false), at(frame + 2)), Verdict::Drop, "never in mid-GOP");
    assert_eq!(gate.admit(video(frame + 3, true), at(frame + 3)), Verdict::Open);
    assert_eq!(gate.lag(), Duration::ZERO, "the lag starts anew");
    assert_eq!(gate.counters().dropped_units, 3);
}

#[test]
fn a_burst_that_drains_closes_nothing() {
    let mut gate = open_gate();
    for frame in 1..=75 {
        assert_eq!(gate.admit(video(frame, false), at(1)), Verdict::Pass, "3 s of media at one moment");
    }
    gate.consumed(TrackKind::Video, 75 * FRAME_NS);
    assert_eq!(gate.admit(video(76, false), at(76)), Verdict::Pass);
    assert_eq!(gate.counters().closings, 0);
}

#[test]
fn a_trickling_endpoint_closes_it_although_something_goes_out_all_the_time() {
    let mut gate = open_gate();
    let closed = (1..200).find(|frame| {
        gate.consumed(TrackKind::Video, frame / 2 * FRAME_NS);
        gate.admit(video(*frame, false), at(*frame)) == Verdict::Drop
    });
    assert!(closed.is_some_and(|frame| frame < 40), "{closed:?}");
}

#[test]
fn more_than_the_limit_at_once_closes_it_without_patience() {
    let mut gate = open_gate();
    let closed = (1..1000).find(|frame| gate.admit(video(*frame, false), at(1)) == Verdict::Drop);
    assert_eq!(closed.map(|frame| frame * FRAME_NS / 1_000_000), Some(6080));
}

#[test]
fn a_locked_gate_stays_locked() {
    let mut gate = open_gate();
    gate.lock();
    assert_eq!(gate.admit(video(1, true), at(1)), Verdict::Drop);
}

/// The frames at which a gate that gets no key frame wishes for one, out of `frames`.
fn wishes(gate: &mut Gate, frames: std::ops::Range<u64>) -> Vec<u64> {
    frames
        .filter(|frame| {
            assert_eq!(gate.admit(video(*frame, false), at(*frame)), Verdict::Drop);
            gate.wishes(at(*frame))
        })
        .collect()
}

#[test]
fn it_wishes_for_its_first_key_frame_once_connected_and_not_more_than_twice_a_second() {
    let mut gate = Gate::new();
    gate.add_track(TrackKind::Video);
    assert_eq!(wishes(&mut gate, 0..50), [0; 0], "nobody would get it");
    gate.connected();
    assert!(gate.wishes(at(50)), "at once");
    assert_eq!(wishes(&mut gate, 50..90), [63, 76, 89]);
    assert_eq!(gate.admit(video(90, true), at(90)), Verdict::Open);
    assert!(!gate.wishes(at(200)), "it has one");
}

#[test]
fn a_wish_ahead_of_the_connection_counts() {
    let mut gate = Gate::new();
    gate.add_track(TrackKind::Video);
    gate.wished(at(0));
    gate.connected();
    assert!(!gate.wishes(at(1)));
    assert_eq!(wishes(&mut gate, 1..20), [13]);
}

#[test]
fn sound_alone_and_a_locked_gate_wish_for_nothing() {
    let mut gate = Gate::new();
    gate.add_track(TrackKind::Audio);
    gate.connected();
    assert!(!gate.wishes(at(0)));
    let mut gate = open_gate();
    gate.lock();
    assert!(!gate.wishes(at(0)));
}

#[test]
fn a_gate_that_lagged_wishes_as_soon_as_it_has_drained_and_ever_more_seldom_the_more_often_it_closes() {
    let mut gate = open_gate();
    let (mut frame, mut pauses) = (0, Vec::new());
    for _ in 0..6 {
        // Blocked until it closes.
        frame += 1;
        while gate.admit(video(frame, false), at(frame)) == Verdict::Pass {
            frame += 1;
        }
        assert_eq!(wishes(&mut gate, frame..frame + 300), [0; 0], "not drained");
        frame += 300;
        gate.consumed(TrackKind::Video, frame * FRAME_NS);
        assert!(gate.wishes(at(frame)), "drained");
        let next = wishes(&mut gate, frame..frame + 300)[0];
        pauses.push((at(next) - at(frame)).as_millis());
        frame += 300;
        assert_eq!(gate.admit(video(frame, true), at(frame)), Verdict::Open);
    }
    assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);

    // Open for long: as good as new.
    for _ in 0..STEADY_AFTER.as_nanos() as u64 / FRAME_NS {
        frame += 1;
        gate.consumed(TrackKind::Video, frame * FRAME_NS);
        gate.admit(video(frame, false), at(frame));
    }
    while gate.admit(video(frame, false), at(frame)) == Verdict::Pass {
        frame += 1;
    }
    gate.consumed(TrackKind::Video, frame * FRAME_NS);
    assert!(gate.wishes(at(frame)));
    assert_eq!(wishes(&mut gate, frame..frame + 20), [frame + 13]);
}
