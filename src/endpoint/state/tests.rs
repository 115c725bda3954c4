//! The machine, step by step and in any order.

use proptest::prelude::*;

use super::*;

const SERVICE: RetryPolicy = RetryPolicy { min: Duration::from_secs(1), max: Duration::from_secs(30) };
const RULE: RetryRule = RetryRule { delays: SERVICE, limit: None };
const NOW: Duration = Duration::from_secs(100);

fn reason() -> Reason {
    Reason { cause: Cause::Timeout, phase: Phase::Connect, text: "Connection timeout".into() }
}

fn failed() -> Event {
    Event::Failed(reason())
}

fn stalls() -> Event {
    Event::Stalled(reason())
}

fn connecting(attempt: u32) -> State {
    State::Connecting { attempt }
}

fn broadcasting(attempt: u32, since_ms: u64) -> State {
    State::Broadcasting { attempt, since: Duration::from_millis(since_ms) }
}

fn stalled(attempt: u32) -> State {
    State::Stalled { attempt, reason: reason() }
}

fn starved(attempt: u32) -> State {
    State::Starved { attempt }
}

fn waiting(attempt: u32, retry_at_s: u64) -> State {
    State::Waiting { attempt, reason: reason(), retry_at: Duration::from_secs(retry_at_s) }
}

fn given_up(attempt: u32) -> State {
    State::Failed { attempt, reason: reason() }
}

fn trackless() -> State {
    State::Trackless { reason: reason() }
}

fn wait(seconds: u64) -> Action {
    Action::Wait(Duration::from_secs(seconds))
}

#[test]
fn every_step_of_the_documented_life() {
    use Action as A;
    for (state, event, next, action) in [
        (State::Created, Event::Live, connecting(1), A::Connect),
        (State::Created, Event::Stop, State::Finished, A::Stop),
        (State::Created, Event::RetryDue, State::Created, A::None),
        (State::Created, Event::RetryNow, State::Created, A::None),
        (connecting(1), Event::NoTrack(reason()), trackless(), A::AwaitTrack),
        (trackless(), Event::Live, connecting(1), A::Connect),
        (trackless(), Event::RetryNow, trackless(), A::None),
        (connecting(3), Event::Delivered, broadcasting(3, 100_000), A::None),
        (connecting(3), Event::Alone, State::Listening, A::None),
        (State::Listening, Event::Alone, State::Listening, A::None),
        (State::Listening, Event::Delivered, broadcasting(1, 100_000), A::None),
        (State::Listening, stalls(), stalled(1), A::None),
        (State::Listening, failed(), waiting(1, 101), wait(1)),
        (State::Listening, Event::Rebuild, connecting(1), A::Reconnect),
        (State::Listening, Event::RetryNow, State::Listening, A::None),
        (broadcasting(1, 50_000), Event::Alone, State::Listening, A::None),
        (stalled(1), Event::Alone, State::Listening, A::None),
        (starved(1), Event::Alone, State::Listening, A::None),
        (State::Listening, Event::Starved, starved(1), A::None),
        (waiting(2, 101), Event::Alone, waiting(2, 101), A::None),
        (connecting(1), failed(), waiting(1, 101), wait(1)),
        (connecting(2), failed(), waiting(2, 102), wait(2)),
        (connecting(9), failed(), waiting(9, 130), wait(30)),
        (connecting(u32::MAX), failed(), waiting(u32::MAX, 130), wait(30)),
        (connecting(2), Event::Refused(reason()), given_up(2), A::GiveUp),
        (connecting(2), Event::RetryNow, connecting(2), A::None),
        (connecting(2), stalls(), stalled(2), A::None),
        (waiting(2, 100), Event::RetryDue, connecting(3), A::Connect),
        (waiting(2, 101), Event::RetryDue, waiting(2, 101), A::None),
        (waiting(2, 101), failed(), waiting(2, 101), A::None),
        (waiting(2, 101), Event::RetryNow, connecting(3), A::Connect),
        (broadcasting(1, 50_000), Event::RetryNow, broadcasting(1, 50_000), A::None),
        // It lasted: the next failure is the first again.
        (broadcasting(900, 95_500), failed(), waiting(1, 101), wait(1)),
        // For a while: it is one of the first again.
        (broadcasting(900, 97_000), failed(), waiting(2, 102), wait(2)),
        // It did not: it is one more of the same.
        (broadcasting(3, 98_600), failed(), waiting(3, 104), wait(4)),
        (broadcasting(3, 98_600), stalls(), stalled(3), A::None),
        (broadcasting(3, 50_000), stalls(), stalled(1), A::None),
        (broadcasting(1, 50_000), Event::Rebuild, connecting(1), A::Reconnect),
        (broadcasting(1, 50_000), Event::Live, broadcasting(1, 50_000), A::None),
        (broadcasting(3, 50_000), Event::Starved, starved(1), A::None),
        (broadcasting(3, 98_600), Event::Starved, starved(3), A::None),
        (starved(2), Event::Delivered, broadcasting(2, 100_000), A::None),
        (starved(2), stalls(), stalled(2), A::None),
        // However long it was starved: that proves nothing.
        (starved(2), failed(), waiting(2, 102), wait(2)),
        (starved(2), Event::Rebuild, connecting(1), A::Reconnect),
        (starved(2), Event::RetryNow, starved(2), A::None),
        (connecting(2), Event::Starved, connecting(2), A::None),
        (stalled(2), Event::Starved, starved(2), A::None),
        (stalled(1), Event::Delivered, broadcasting(1, 100_000), A::None),
        (stalled(2), failed(), waiting(2, 102), wait(2)),
        (stalled(2), stalls(), stalled(2), A::None),
        (stalled(2), Event::RetryNow, connecting(3), A::Reconnect),
        (stalled(2), Event::Rebuild, connecting(2), A::Reconnect),
        (given_up(5), Event::RetryNow, connecting(1), A::Connect),
        (given_up(5), Event::RetryDue, given_up(5), A::None),
        (given_up(5), Event::Stop, State::Finished, A::Stop),
        (State::Finished, Event::Live, State::Finished, A::None),
        (State::Finished, Event::Stop, State::Finished, A::None),
    ] {
        assert_eq!(state.clone().step(event.clone(), NOW, &RULE, 1.0), (next, action), "{state:?} {event:?}");
    }
}

/// A peer that takes each connection and drops it a second later.
#[test]
fn who_hangs_up_soon_is_called_ever_more_seldom() {
    let (mut state, mut now, mut waits_s) = (connecting(1), Duration::ZERO, Vec::new());
    for _ in 0..7 {
        state = state.step(Event::Delivered, now, &RULE, 1.0).0;
        now += Duration::from_secs(1);
        let (waiting, action) = state.step(failed(), now, &RULE, 1.0);
        let Action::Wait(delay) = action else { panic!("{action:?}") };
        (now, waits_s) = (now + delay, [waits_s, vec![delay.as_secs()]].concat());
        state = waiting.step(Event::RetryDue, now, &RULE, 1.0).0;
    }
    assert_eq!(waits_s, [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn a_limit_ends_it_and_a_wish_begins_it_anew() {
    let rule = RetryRule { limit: Some(3), ..RULE };
    let mut state = connecting(1);
    for _ in 0..2 {
        state = state.step(failed(), NOW, &rule, 0.0).0;
        state = state.step(Event::RetryNow, NOW, &rule, 0.0).0;
    }
    assert_eq!(state, connecting(3));
    let (state, action) = state.step(failed(), NOW, &rule, 0.0);
    assert_eq!((&state, action), (&given_up(3), Action::GiveUp));
    assert_eq!(state.step(Event::RetryNow, NOW, &rule, 0.0), (connecting(1), Action::Connect));
    // What delivered meanwhile does not count towards it.
    assert_eq!(broadcasting(3, 50_000).step(failed(), NOW, &rule, 1.0), (waiting(1, 101), wait(1)));
}

#[test]
fn the_users_bounds_hold_over_the_services() {
    let seconds = |min, max| RetryPolicy { min: Duration::from_secs(min), max: Duration::from_secs(max) };
    let wish = |min: Option<u64>, max: Option<u64>, limit| RetryWish {
        min: min.map(Duration::from_secs),
        max: max.map(Duration::from_secs),
        limit,
    };
    for (wish, delays, limit) in [
        (wish(None, None, None), seconds(1, 30), None),
        (wish(Some(5), None, None), seconds(5, 30), None),
        (wish(Some(60), None, None), seconds(60, 60), None),
        (wish(None, Some(10), Some(4)), seconds(1, 10), Some(4)),
        (wish(None, Some(0), None), seconds(0, 0), None),
        (wish(Some(9), Some(2), Some(0)), seconds(9, 9), Some(1)),
    ] {
        assert_eq!(RetryRule::new(SERVICE, wish), RetryRule { delays, limit }, "{wish:?}");
    }
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Live),
        Just(Event::NoTrack(reason())),
        Just(Event::Alone),
        Just(Event::Delivered),
        Just(Event::Starved),
        Just(stalls()),
        Just(failed()),
        Just(Event::Refused(reason())),
        Just(Event::Rebuild),
        Just(Event::RetryDue),
        Just(Event::RetryNow),
        Just(Event::Stop),
    ]
}

proptest! {
    #[test]
    fn delays_stay_between_the_bounds_and_never_shrink_with_failures(failures in 1_u32.., jitter in 0.0..=1.0) {
        let delay = SERVICE.delay(failures, jitter);
        prop_assert!(delay >= SERVICE.min && delay <= SERVICE.max);
        prop_assert!(SERVICE.delay(failures.saturating_add(1), jitter) >= delay);
    }

    /// Whatever happens, in whatever order: at most one attempt runs, without a limit a failure is never the end, no
    /// more attempts fail in a row than the limit says, and nothing follows the end.
    #[test]
    fn no_order_of_events_breaks_the_life(
        events in prop::collection::vec((events(), 0_u64..40), 1..60),
        limit in prop::option::of(1_u32..5),
        jitter in 0.0..=1.0,
    ) {
        let rule = RetryRule { limit, ..RULE };
        let (mut state, mut now, mut running) = (State::Created, Duration::ZERO, false);
        for (event, seconds) in events {
            now += Duration::from_secs(seconds);
            let (stop, refused) = (event == Event::Stop, matches!(event, Event::Refused(_)));
            let (next, action) = state.clone().step(event, now, &rule, jitter);
            match action {
                Action::Connect => {
                    prop_assert!(!running);
                    running = true;
                }
                Action::Reconnect => prop_assert!(running),
                Action::Wait(delay) => {
                    prop_assert!(running && delay >= SERVICE.min && delay <= SERVICE.max);
                    prop_assert!(limit.is_none_or(|limit| next.attempt() < limit));
                    running = false;
                }
                Action::GiveUp => {
                    prop_assert!(running && (refused || limit.is_some_and(|limit| next.attempt() >= limit)));
                    running = false;
                }
                Action::AwaitTrack => {
                    prop_assert!(running);
                    running = false;
                }
                Action::Stop => running = false,
                Action::None => {}
            }
            let runs = matches!(
                next,
                State::Connecting { .. }
                    | State::Listening
                    | State::Broadcasting { .. }
                    | State::Starved { .. }
                    | State::Stalled { .. }
            );
            prop_assert_eq!(running, runs);
            prop_assert_eq!(next == State::Finished, stop || state == State::Finished);
            prop_assert_eq!(next.reason().is_some(), !runs && !matches!(next, State::Created | State::Finished)
                || matches!(next, State::Stalled { .. }));
            state = next;
        }
    }
}
