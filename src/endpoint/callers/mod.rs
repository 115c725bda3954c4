//! The callers of a listening endpoint: one muxer, one UDP port, anybody who is let in.
//!
//! Owns the listening socket, its thread and the callers' connections; must not know streams, boards or retries. The
//! stream comes from an appsink, whose thread sends to all callers and waits for none (`hall`); a caller begins at a key
//! frame and, when it was too slow, goes on at one (`course`). The hard thing is the end: libsrt's callback, the muxer's
//! thread and this one's all hold on to what is being taken down, and the port must be free afterwards.

mod admission;
mod caller;
mod course;
mod hall;
mod packets;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_app as gst_app;

use crate::media::fanout::FanoutError;
use crate::media::key_frames::KeyFrameWish;
use crate::model::srt_reject::RejectCode;
use crate::model::srt_url::{SrtUrl, redact};
use crate::srt::{Handshake, Incoming, Listener, SrtError, SrtSocket};
use crate::telemetry::seldom::Seldom;

use super::branch::Listening;
use super::srt_element::DEFAULT_LATENCY_MS;
use admission::{Admission, Refusal};
use caller::{Caller, Terms};
use hall::Hall;
pub(super) use hall::{Reading, Reception};

/// How long the thread waits for a caller before it looks after those that are there. The end of the endpoint waits so
/// long for it, too.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

/// How often callers are measured.
const MEASURE_PAUSE: Duration = Duration::from_millis(250);

/// What the threads share.
#[derive(Debug)]
struct Shared {
    admission: Admission,
    terms: Terms,
    hall: Mutex<Hall>,
    key_frames: KeyFrameWish,
    closing: AtomicBool,
    refusals: Seldom,
    /// Of the endpoint, for the log.
    span: tracing::Span,
}

impl Shared {
    fn hall(&self) -> MutexGuard<'_, Hall> {
        // Whatever panicked: other callers are still to be served.
        self.hall.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a handshake, in libsrt's receive thread. It takes no lock: the muxer's thread is inside libsrt
    /// while it holds the hall's.
    fn decide(&self, handshake: &Handshake<'_>) -> Result<(), i32> {
        if self.closing.load(Ordering::Acquire) {
            return Err(RejectCode::Down.code());
        }
        self.admission.check(handshake.stream_id).map_err(|Refusal { code, reason }| {
            // Anybody can be refused as often as he likes, and this thread takes the other callers' acknowledgements.
            if let Some(refused) = self.refusals.count(Instant::now()) {
                let peer = handshake.peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
                let stream_id = redact(handshake.stream_id);
                let code = code.code();
                tracing::warn!(parent: &self.span, peer, stream_id, code, reason, refused, "a caller is refused");
            }
            code.code()
        })
    }

    fn join(&self, incoming: Incoming) {
        if !self.admission.enter() {
            let peer = incoming.peer;
            tracing::warn!(parent: &self.span, %peer, reason = "all places are taken", "a caller is hung up on");
            return;
        }
        let now = Instant::now();
        let mut hall = self.hall();
        let caller = hall.join(incoming, self.terms, now);
        let (peer, stream_id) = (caller.peer(), caller.stream_id().unwrap_or_default().to_owned());
        let wishes = hall.wishes(now);
        drop(hall);
        let callers = self.admission.callers();
        tracing::info!(parent: &self.span, %peer, stream_id, callers, "a caller has joined");
        if wishes {
            self.key_frames.wish();
        }
    }

    /// Sees callers out; their sockets are closed here.
    fn part(&self, caller: Caller, reason: &'static str) {
        self.admission.leave();
        let (peer, callers) = (caller.peer(), self.admission.callers());
        let seconds = caller.connected_for(Instant::now()).as_secs();
        drop(caller);
        tracing::info!(parent: &self.span, %peer, reason, seconds, callers, "a caller has left");
    }

    fn measure(&self) {
        let now = Instant::now();
        let mut hall = self.hall();
        let left = hall.measure(now);
        let wishes = hall.wishes(now);
        drop(hall);
        if wishes {
            self.key_frames.wish();
        }
        for (caller, reason) in left {
            self.part(caller, reason);
        }
    }

    /// The thread: lets callers in, looks after them, and hangs up on all in the end, which is the endpoint's or the
    /// listener's own.
    fn serve(&self, listener: Listener) {
        let mut measured = Instant::now();
        while !self.closing.load(Ordering::Acquire) {
            match listener.accept(ACCEPT_WAIT) {
                Ok(Some(incoming)) => self.join(incoming),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(parent: &self.span, %error, "the endpoint's listener is broken");
                    break;
                }
            }
            if measured.elapsed() >= MEASURE_PAUSE {
                measured = Instant::now();
                self.measure();
            }
        }
        let callers = self.hall().empty();
        for caller in callers {
            self.part(caller, "the endpoint ends");
        }
        listener.close();
    }

    fn pass(&self, buffer: &gst::BufferRef) {
        // A buffer that can't be read can't be sent; the muxer's always can.
        let Ok(map) = buffer.map_readable() else { return };
        self.hall().pass(&map, Instant::now());
    }
}

/// A listening endpoint's callers. Dropping it hangs up on all and gives the port back; that takes [`ACCEPT_WAIT`].
#[derive(Debug)]
pub(super) struct Callers {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Callers {
    /// Listens on `address`, and serves what comes out of `sink`.
    ///
    /// # Errors
    /// The address is in use or not this host's, an option is refused, or there is no thread.
    pub(super) fn start(
        url: &SrtUrl,
        address: SocketAddr,
        sink: &gst_app::AppSink,
        key_frames: KeyFrameWish,
        Listening { delivery_window, span }: Listening,
    ) -> Result<Self, CallersError> {
        let socket = SrtSocket::new()?;
        socket.configure(url, DEFAULT_LATENCY_MS)?;
        socket.set_send_blocking(false)?;
        let shared = Arc::new(Shared {
            admission: Admission::new(url),
            terms: Terms::new(url, delivery_window),
            hall: Mutex::new(Hall::new()),
            key_frames,
            closing: AtomicBool::new(false),
            refusals: Seldom::default(),
            span,
        });
        let decider = Arc::clone(&shared);
        let listener = Listener::listen(socket, address, move |handshake| decider.decide(handshake))?;
        let server = Arc::clone(&shared);
        let thread = thread::Builder::new().name("srt-callers".into()).spawn(move || server.serve(listener))?;
        let passer = Arc::downgrade(&shared);
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let (Ok(sample), Some(shared)) = (sink.pull_sample(), passer.upgrade()) else {
                        return Ok(gst::FlowSuccess::Ok);
                    };
                    if let Some(list) = sample.buffer_list() {
                        list.iter().for_each(|buffer| shared.pass(buffer));
                    } else if let Some(buffer) = sample.buffer() {
                        shared.pass(buffer);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether the publisher that sends now sends video: a caller begins with a picture then.
    pub(super) fn set_video(&self, flows: bool) {
        self.shared.hall().set_video(flows);
    }

    /// What is seen of the callers; what was added since is told once.
    pub(super) fn read(&self) -> Reading {
        let reading = self.shared.hall().read();
        let over = self.thread.as_ref().is_none_or(thread::JoinHandle::is_finished);
        if over { Reading { reception: Reception::Over, ..reading } } else { reading }
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(parent: &self.shared.span, "the thread of an endpoint's callers panicked");
        }
    }
}

/// Why nobody can call.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallersError {
    /// libsrt's words.
    #[error(transparent)]
    Srt(#[from] SrtError),
    /// The system's.
    #[error("no thread for an endpoint's callers: {0}")]
    Thread(#[from] std::io::Error),
}

impl CallersError {
    /// As a branch tells it.
    pub(super) fn into_fanout(self) -> FanoutError {
        match &self {
            Self::Srt(error) if error.is_address_in_use() => FanoutError::AddressInUse(self.to_string()),
            _ => FanoutError::Refused(self.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_has_broken_is_seen() {
        gst::init().expect("GStreamer");
        let url: SrtUrl = "srt://127.0.0.1:9000?mode=listener".parse().expect("URL");
        let any = "127.0.0.1:0".parse().expect("address");
        let listening = Listening { delivery_window: Duration::from_secs(3), span: tracing::Span::none() };
        let sink = gst_app::AppSink::builder().build();
        let callers = Callers::start(&url, any, &sink, KeyFrameWish::default(), listening).expect("a port");
        assert_eq!(callers.read().reception, Reception::Nobody);
        callers.shared.closing.store(true, Ordering::Release);
        let deadline = Instant::now() + Duration::from_secs(5);
        while callers.read().reception != Reception::Over {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
    }
}
