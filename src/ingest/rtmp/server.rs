//! The listener: one task per connection, none of them able to harm another.
//!
//! Knows sockets and the gate, no protocol. The hard thing: it must never stop accepting, not for
//! want of file descriptors and not for a flood.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Timing};
use super::seam::Gate;
use crate::ingest::pending::Pending;

/// Pause after an accept that failed (out of file descriptors, mostly).
const ACCEPT_RETRY_MS: u64 = 100;

/// Connections that have not published, together; one address may have half of them.
const PENDING_MAX: usize = 512;

/// All connections' end at a stop.
const STOP_MS: u64 = 2_000;

/// Refusals for want of a place are logged at most once in this time, with their number.
const REFUSED_LOG_MS: u64 = 1_000;

/// Accepts publishers until `shutdown`; returns when their connections are closed, or after [`STOP_MS`].
pub(super) async fn serve<G: Gate>(listener: TcpListener, gate: Arc<G>, timing: Timing, shutdown: CancellationToken) {
    let (pending, tasks) = (Pending::new(PENDING_MAX), TaskTracker::new());
    let mut refused = Counted::default();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !failing {
                    tracing::warn!("no RTMP connection can be accepted for now: {error}");
                }
                failing = true;
                tokio::select! {
                    () = sleep(Duration::from_millis(ACCEPT_RETRY_MS)) => continue,
                    () = shutdown.cancelled() => break,
                }
            }
        };
        failing = false;
        let Some(place) = pending.enter(peer.ip()) else {
            if let Some(count) = refused.count(Instant::now()) {
                tracing::warn!(%peer, count, "RTMP connections closed at once: too many that do not publish");
            }
            continue;
        };
        let (gate, shutdown) = (Arc::clone(&gate), shutdown.clone());
        tasks.spawn(async move { connection::run(socket, peer, place, gate.as_ref(), timing, &shutdown).await });
    }
    drop(listener);
    tasks.close();
    if timeout(Duration::from_millis(STOP_MS), tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "RTMP connections did not end within {STOP_MS} ms");
    }
}

/// Counts what happens too often to be told each time.
#[derive(Debug, Default)]
struct Counted {
    /// Since the last report.
    count: u64,
    /// When that was.
    reported: Option<Instant>,
}

impl Counted {
    /// Counts one more; returns the count if it is time to tell it.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        let quiet = Duration::from_millis(REFUSED_LOG_MS);
        if self.reported.is_some_and(|reported| now.duration_since(reported) < quiet) {
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_once_in_a_while_and_counted_wholly() {
        let (mut counted, start) = (Counted::default(), Instant::now());
        let told: Vec<_> = (0..25u64).filter_map(|n| counted.count(start + Duration::from_millis(n * 100))).collect();
        assert_eq!(told, [1, 10, 10]);
    }
}
