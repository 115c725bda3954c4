//! How long the manager waits for what may hang.

use std::time::Duration;

/// One bound for each wait. They are values, not only constants, so that tests need not wait as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A publisher waits this long for the stream before it to close; then its own starts beside it.
    pub predecessor: Duration,
    /// The start of a stream; then its publisher is told that it failed.
    pub start: Duration,
    /// The close of a stream or an endpoint; then it is given up, and said so in the log.
    pub close: Duration,
    /// An answer waits this long for an endpoint or a stream to close.
    pub answer: Duration,
    /// All streams together at a shutdown.
    pub shutdown_streams: Duration,
    /// The store at a shutdown.
    pub shutdown_store: Duration,
}

/// See [`Bounds::predecessor`].
const PREDECESSOR_WAIT: Duration = Duration::from_millis(5_000);
/// See [`Bounds::start`]: twice what the stream itself takes at most.
const START_WAIT: Duration = Duration::from_millis(10_000);
/// See [`Bounds::close`].
const CLOSE_WAIT: Duration = Duration::from_millis(10_000);
/// See [`Bounds::answer`].
const ANSWER_WAIT: Duration = Duration::from_millis(5_000);
/// See [`Bounds::shutdown_streams`].
const SHUTDOWN_STREAMS_WAIT: Duration = Duration::from_millis(3_000);
/// See [`Bounds::shutdown_store`].
const SHUTDOWN_STORE_WAIT: Duration = Duration::from_millis(1_000);

impl Default for Bounds {
    fn default() -> Self {
        Self {
            predecessor: PREDECESSOR_WAIT,
            start: START_WAIT,
            close: CLOSE_WAIT,
            answer: ANSWER_WAIT,
            shutdown_streams: SHUTDOWN_STREAMS_WAIT,
            shutdown_store: SHUTDOWN_STORE_WAIT,
        }
    }
}
