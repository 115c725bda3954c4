//! One RTSP connection as this side sees it, from accept to the end: who it is, what it publishes, when it has to go.
//!
//! Knows no GObject. The hard thing is the end: gst-rtsp-server takes a connection down in the connection's own
//! thread, so it is never closed from here; its socket is shut, and that thread finds it closed.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::Counted;
use super::objects::BODY_LEN_MAX;
use crate::ingest::pending::Place;
use crate::ingest::rtp::SourceClock;
use crate::manager::Publication;

/// How often a connection is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// A connection that has not announced anything by then is closed.
const ANNOUNCE_MAX: Duration = Duration::from_secs(10);

/// From ANNOUNCE to the first packet, at most.
const FIRST_PACKET_MAX: Duration = Duration::from_secs(15);

/// From the first packet until something of it can be sent on, at most.
const FIRST_UNIT_MAX: Duration = Duration::from_secs(15);

/// What a connection may say before media comes, in bytes: gst-rtsp-server keeps a request's headers without a limit.
const TALK_LEN_MAX: u64 = 2 * BODY_LEN_MAX as u64;

/// How long gst-rtsp-server may take to take a connection down.
const CLOSE_MAX: Duration = Duration::from_secs(5);

/// What a connection publishes.
#[derive(Debug)]
pub(super) struct Publishing {
    pub(super) publication: Publication,
    pub(super) clock: SourceClock,
    pub(super) since: Instant,
    /// Its place among the publishers.
    pub(super) _place: Counted,
}

/// A connection; shared by its task and by gst-rtsp-server's object for it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: SocketAddr,
    /// Over TLS: media comes by the same connection only.
    pub(super) tls: bool,
    /// Lines that are logged from whatever thread belong to it.
    pub(super) span: tracing::Span,
    /// The same socket once more, to shut it.
    socket: TcpStream,
    /// Cancelled when gst-rtsp-server has taken it down.
    pub(super) closed: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Its place among those that do not publish.
    place: Option<Place>,
    publishing: Option<Publishing>,
    /// What failed in its pipeline, first of all.
    failure: Option<String>,
}

impl Connection {
    pub(super) fn new(peer: SocketAddr, tls: bool, socket: TcpStream, place: Place) -> Self {
        let span = tracing::error_span!("rtsp", %peer, stream = tracing::field::Empty);
        let state = State { place: Some(place), publishing: None, failure: None };
        Self { peer, tls, span, socket, closed: CancellationToken::new(), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each field is whole at any time: go on after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It publishes from now on.
    pub(super) fn publish(&self, publishing: Publishing) {
        self.span.record("stream", tracing::field::display(publishing.publication.key()));
        let mut state = self.state();
        state.place = None;
        state.failure = None;
        state.publishing = Some(publishing);
    }

    pub(super) fn is_publishing(&self) -> bool {
        self.state().publishing.is_some()
    }

    /// Whether packets of media have come.
    fn has_media(&self) -> bool {
        self.state().publishing.as_ref().is_some_and(|publishing| publishing.clock.silent_for().is_some())
    }

    /// It publishes no more; the stream ends. Says whether it did.
    pub(super) fn release(&self) -> bool {
        let publishing = self.state().publishing.take();
        publishing.is_some()
    }

    /// Something in its pipeline failed.
    pub(super) fn fail(&self, why: String) {
        self.state().failure.get_or_insert(why);
    }

    /// Why it has to go, if it has to.
    fn look(&self, since: Instant, idle_max: Duration) -> Option<String> {
        let state = self.state();
        let Some(publishing) = &state.publishing else {
            let late = since.elapsed() > ANNOUNCE_MAX;
            return late.then(|| format!("it has announced nothing within {} s", ANNOUNCE_MAX.as_secs()));
        };
        if let Some(failure) = &state.failure {
            return Some(format!("its media failed: {failure}"));
        }
        if publishing.publication.cancelled().is_cancelled() {
            return Some("ended by the service".to_owned());
        }
        let age = publishing.since.elapsed();
        match publishing.clock.silent_for() {
            None if age > FIRST_PACKET_MAX => {
                Some(format!("no packet came within {} s of ANNOUNCE", FIRST_PACKET_MAX.as_secs()))
            }
            Some(silence) if silence > idle_max => {
                Some(format!("the publisher sent nothing for {} ms", idle_max.as_millis()))
            }
            Some(_) if age > FIRST_PACKET_MAX + FIRST_UNIT_MAX && !publishing.publication.input().is_live() => {
                Some("nothing of what came could be carried on".to_owned())
            }
            _ => None,
        }
    }

    /// Watches the connection until it is gone. `idle_max` without a packet ends a publisher.
    pub(super) async fn watch(self: Arc<Self>, idle_max: Duration, shutdown: CancellationToken) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut since, mut heard_len) = (Instant::now(), 0);
        let why = loop {
            tokio::select! {
                () = self.closed.cancelled() => break None,
                () = shutdown.cancelled() => break Some("the service ends".to_owned()),
                _ = ticks.tick() => {}
            }
            if self.is_publishing() {
                // What is left after TEARDOWN has its time anew.
                since = Instant::now();
            }
            if let Some(why) = self.look(since, idle_max) {
                break Some(why);
            }
            let received_len = crate::os::tcp_received_bytes(&self.socket).unwrap_or_default();
            if self.has_media() {
                heard_len = received_len;
            } else if received_len.saturating_sub(heard_len) > TALK_LEN_MAX {
                break Some(format!("more than {TALK_LEN_MAX} bytes came, and no media"));
            }
        };
        if let Some(why) = why {
            self.span.in_scope(|| tracing::info!(reason = why, "RTSP connection is closed"));
            let _ = self.socket.shutdown(Shutdown::Both);
            if timeout(CLOSE_MAX, self.closed.cancelled()).await.is_err() {
                let limit_ms = CLOSE_MAX.as_millis();
                self.span
                    .in_scope(|| tracing::error!(limit_ms, "an RTSP session did not end in time; it is left behind"));
            }
        }
        // In any case the stream's id is free again.
        self.release();
    }
}
