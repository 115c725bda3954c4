//! A listener's queue: the hub puts in and never waits, the HTTP server takes out when the socket has room.
//!
//! Events stand in line, [`QUEUE_MAX`] of them. A tick says how things are now, so at most one waits: the next is left
//! out while it does. A listener whose line is full, or that has left a tick for [`SLOW_MAX`], is cut off.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::connection::Connection;
use super::filter::Filter;

/// Events that may wait for a listener.
pub(super) const QUEUE_MAX: usize = 256;

/// A listener that has not taken a tick for so long does not keep up.
pub(super) const SLOW_MAX: Duration = Duration::from_secs(10);

enum Item {
    Event(Bytes),
    Tick(Bytes),
}

/// The hub's end.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) filter: Filter,
    queue: mpsc::Sender<Item>,
    /// A tick is in the queue.
    tick_waits: Arc<AtomicBool>,
    /// When that was put there.
    tick_at: Instant,
    /// When anything was last put there.
    pub(super) told_at: Instant,
    /// None in tests without a server.
    connection: Option<Connection>,
    peer: Option<SocketAddr>,
}

/// The HTTP server's end.
pub(super) struct Receiver {
    queue: mpsc::Receiver<Item>,
    tick_waits: Arc<AtomicBool>,
}

/// Both ends of a queue.
pub(super) fn queue(filter: Filter, connection: Option<Connection>, peer: Option<SocketAddr>) -> (Listener, Receiver) {
    let (queue, receiver) = mpsc::channel(QUEUE_MAX);
    let tick_waits = Arc::new(AtomicBool::new(false));
    let now = Instant::now();
    let receiver = Receiver { queue: receiver, tick_waits: Arc::clone(&tick_waits) };
    (Listener { filter, queue, tick_waits, tick_at: now, told_at: now, connection, peer }, receiver)
}

impl Listener {
    /// Puts an event in line. False when it is to be forgotten: it has gone, or was too slow.
    #[must_use]
    pub(super) fn tell(&mut self, now: Instant, event: Bytes) -> bool {
        self.told_at = now;
        self.put(Item::Event(event))
    }

    /// Puts a tick in line, made by `tick`, unless the last one is still there. False as in [`Listener::tell`].
    #[must_use]
    pub(super) fn tick(&mut self, now: Instant, tick: impl FnOnce() -> Bytes) -> bool {
        if self.tick_waits.load(Ordering::Acquire) {
            let slow = now.saturating_duration_since(self.tick_at) > SLOW_MAX;
            if slow {
                self.cut_off("it has taken nothing for too long");
            }
            return !slow && !self.is_gone();
        }
        self.tick_waits.store(true, Ordering::Release);
        (self.tick_at, self.told_at) = (now, now);
        self.put(Item::Tick(tick()))
    }

    /// Whether nobody takes anything out any more. Its place may be somebody else's already.
    pub(super) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }

    fn put(&self, item: Item) -> bool {
        match self.queue.try_send(item) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                self.cut_off("its queue is full");
                false
            }
        }
    }

    fn cut_off(&self, reason: &str) {
        tracing::warn!(peer = ?self.peer, reason, "a listener to events is too slow and is cut off");
        if let Some(connection) = &self.connection {
            connection.cut();
        }
    }
}

impl Receiver {
    /// The next piece of the body; the end, when the hub has let go.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.queue.poll_recv(context).map(|item| {
            item.map(|item| match item {
                Item::Event(bytes) => Ok(bytes),
                Item::Tick(bytes) => {
                    self.tick_waits.store(false, Ordering::Release);
                    Ok(bytes)
                }
            })
        })
    }
}
