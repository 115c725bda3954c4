//! Waiting for conditions, each with a bound and a name. No test sleeps for a fixed time and hopes.

use std::time::{Duration, Instant};

/// Pause between two looks at a condition.
const POLL: Duration = Duration::from_millis(50);

/// For things that take the service no time of their own: an answer, a log line, a state.
pub const SOON: Duration = Duration::from_secs(10);

/// For things that need a connection, a retry or several seconds of media.
pub const LATER: Duration = Duration::from_secs(40);

/// Looks until the condition gives a value. Panics after the bound with what was awaited and what was seen last.
#[track_caller]
pub fn wait_for<T>(bound: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        let seen = match look() {
            Ok(value) => return value,
            Err(seen) => seen,
        };
        assert!(start.elapsed() < bound, "waited {bound:?} in vain for: {what}; seen last: {seen}");
        std::thread::sleep(POLL);
    }
}

/// Like [`wait_for`] for a condition that is merely true or not.
#[track_caller]
pub fn wait_until(bound: Duration, what: &str, mut look: impl FnMut() -> bool) {
    wait_for(bound, what, || if look() { Ok(()) } else { Err("not yet".to_owned()) });
}
