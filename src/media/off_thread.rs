//! Blocking GStreamer calls (state changes, teardown) off the async workers, each with a deadline.
//!
//! An element may never come back from a state change. Then its thread is given up, loudly, rather
//! than the service held up.

use std::time::Duration;

/// The call did not come back in time; its thread and what it holds are leaked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} did not end within {deadline_ms} ms")]
pub struct Stuck {
    /// What was called.
    pub what: &'static str,
    /// The deadline in milliseconds.
    pub deadline_ms: u128,
}

/// Runs `work` on the blocking pool, in the caller's span, and waits for it, at most `deadline`.
///
/// # Errors
/// [`Stuck`] when the deadline passes or `work` panicked; logged here once, as an error.
pub async fn off_thread<T: Send + 'static>(
    what: &'static str,
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Stuck> {
    let stuck = Stuck { what, deadline_ms: deadline.as_millis() };
    let span = tracing::Span::current();
    let work = tokio::task::spawn_blocking(move || span.in_scope(work));
    match tokio::time::timeout(deadline, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::error!(what, %error, "a blocking call panicked");
            Err(stuck)
        }
        Err(_) => {
            tracing::error!(what, deadline_ms = deadline.as_millis(), "a blocking call is stuck; its thread is leaked");
            Err(stuck)
        }
    }
}
