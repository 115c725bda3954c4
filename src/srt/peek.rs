//! Reads the libsrt socket of an `srtsink`, which tells nobody its number.
//!
//! `srtsink` says of a connection only what it puts into its `stats`: no state of the handshake, no reject code, no send
//! buffer, no encryption, and of the two latencies the other one. libsrt knows all that by the socket's number, and it
//! is one libsrt for the whole process. The number is found without a guess: libsrt hands out numbers that fall by one
//! (`CUDTUnited::generateSocketID`), so a socket made while the element starts lies between two that are made here, just
//! before and just after. An element that has started has made its socket, so that one is always among them; elements
//! start one at a time under a lock. What else may have been made in between (a caller that a listener has taken, a
//! source that is pulled) is told apart by its local port, its stream id and what it is doing, and an accepted one by its
//! peer (of callers libsrt 1.5.1 knows none: `CUDTSocket::m_PeerAddr` stays empty). Unless exactly one is left, there is
//! no number, and the caller does without.
//!
//! Nothing here changes or closes the socket. libsrt looks numbers up, so one that is gone is an error, and a number is
//! not given out twice within 2³⁰ sockets. A libsrt that numbers otherwise leaves no candidate: it only costs the
//! knowledge.

use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use super::socket::read_address;
use super::stats::SrtStatistics;
use super::{SrtSocket, sys};
use crate::model::endpoint::Encryption;

/// Starts take turns; a start that takes as long as this (a few milliseconds are usual) makes others do without.
const TURN_MAX: Duration = Duration::from_millis(500);

/// How often a turn is asked for.
const TURN_LOOK: Duration = Duration::from_millis(1);

/// Sockets that may be made during one start; with more of them something else is going on.
const CANDIDATES_MAX: i32 = 64;

static TURN: Mutex<()> = Mutex::new(());

/// By what a socket is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// Whom it calls.
    pub peer: SocketAddr,
    /// The local UDP port it is bound to, where that is known.
    pub local_port: Option<u16>,
    /// The stream id it presents; empty for none.
    pub stream_id: String,
}

/// Somebody else's socket, to look at.
#[derive(Debug)]
pub struct Peek {
    /// Never closed from here.
    socket: ManuallyDrop<SrtSocket>,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallState {
    /// It is being made.
    Connecting,
    /// It stands.
    Connected,
    /// It is over: libsrt's reject code, or 0 when it had stood. For a moment also while it is just succeeding
    /// (`CUDT::postConnect` is no longer connecting and not yet connected): believe it when it says so again.
    Over(i32),
    /// libsrt knows no such socket any more.
    Gone,
}

/// Runs `start`, which makes a socket and lets it call, and finds that socket.
pub fn during<T>(sought: &Sought, start: impl FnOnce() -> T) -> (T, Option<Peek>) {
    let turn = turn(&TURN);
    let before = turn.as_ref().and_then(|_| SrtSocket::new().ok());
    let made = start();
    let peek = before.and_then(|before| {
        let after = SrtSocket::new().ok()?;
        find(sought, after.0, before.0)
    });
    (made, peek)
}

fn turn(turns: &Mutex<()>) -> Option<MutexGuard<'_, ()>> {
    let begin = Instant::now();
    loop {
        match turns.try_lock() {
            Ok(turn) => return Some(turn),
            Err(TryLockError::Poisoned(turn)) => return Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) if begin.elapsed() >= TURN_MAX => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(TURN_LOOK),
        }
    }
}

/// The one socket between two numbers that is the one sought.
fn find(sought: &Sought, lowest: i32, highest: i32) -> Option<Peek> {
    if !(1..=CANDIDATES_MAX).contains(&(highest.checked_sub(lowest)? - 1)) {
        return None;
    }
    let peek = |fd| Peek { socket: ManuallyDrop::new(SrtSocket(fd)) };
    let mut fitting = (lowest + 1..highest).map(peek).filter(|peek| peek.fits(sought));
    let found = fitting.next()?;
    fitting.next().is_none().then_some(found)
}

impl Peek {
    fn fits(&self, sought: &Sought) -> bool {
        let Ok(local) = self.socket.local_address() else { return false };
        self.state() != CallState::Gone
            && sought.local_port.is_none_or(|port| port == local.port())
            && self.socket.stream_id() == sought.stream_id
            && self.peer_address().is_none_or(|peer| peer == sought.peer)
    }

    /// What became of its call.
    pub fn state(&self) -> CallState {
        // SAFETY: libsrt looks the number up and tells of an unknown one; nothing is written.
        match unsafe { sys::srt_getsockstate(self.socket.0) } {
            sys::SRTS_CONNECTING => CallState::Connecting,
            sys::SRTS_CONNECTED => CallState::Connected,
            // SAFETY: as above.
            sys::SRTS_BROKEN => CallState::Over(unsafe { sys::srt_getrejectreason(self.socket.0) }),
            _ => CallState::Gone,
        }
    }

    /// Who called, of an accepted socket.
    fn peer_address(&self) -> Option<SocketAddr> {
        // SAFETY: `read_address` hands out a buffer as large as it says.
        let (_, address) = read_address(|name, len| unsafe { sys::srt_getpeername(self.socket.0, name, len) });
        address
    }

    /// Its statistics and how it is encrypted, while it is connected.
    pub fn measure(&self) -> Option<(SrtStatistics, Encryption)> {
        let statistics = self.socket.statistics().ok()?;
        Some((statistics, self.socket.send_encryption()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srt::Listener;

    const WAIT: Duration = Duration::from_secs(5);

    fn listener(answer: Result<(), i32>) -> (Listener, SocketAddr) {
        let listener = Listener::bind("127.0.0.1:0".parse().expect("address"), 120, move |_| answer).expect("a port");
        let address = listener.local_address().expect("bound");
        (listener, address)
    }

    /// A socket of `srtsink`'s kind: it calls without waiting.
    fn caller(peer: SocketAddr, stream_id: &str) -> SrtSocket {
        let socket = SrtSocket::new().expect("a socket");
        socket.set_bool(sys::SRTO_RCVSYN, false, "SRTO_RCVSYN").expect("an option");
        socket.set_stream_id(stream_id).expect("an option");
        socket.connect(peer).expect("it has begun");
        socket
    }

    fn sought(peer: SocketAddr, stream_id: &str) -> Sought {
        Sought { peer, local_port: None, stream_id: stream_id.into() }
    }

    fn until(peek: &Peek, wanted: impl Fn(CallState) -> bool) -> CallState {
        let begin = Instant::now();
        while !wanted(peek.state()) && begin.elapsed() < WAIT {
            std::thread::sleep(Duration::from_millis(2));
        }
        peek.state()
    }

    #[test]
    fn the_socket_that_was_made_is_found_among_others_and_read() {
        let (_listener, peer) = listener(Ok(()));
        let (made, peek) = during(&sought(peer, "mine"), || {
            [caller(peer, "theirs"), caller(peer, "mine"), SrtSocket::new().expect("a socket")]
        });
        {
            let peek = peek.expect("found");
            assert_eq!(peek.socket.0, made[1].0);
            assert_eq!(until(&peek, |state| state == CallState::Connected), CallState::Connected);
            let (statistics, encryption) = peek.measure().expect("connected");
            assert_eq!((statistics.send_latency_ms, encryption), (120, Encryption::None));
        }
        assert!(made[1].statistics().is_ok(), "looking closes nothing");
    }

    #[test]
    fn the_reason_of_a_refusal_is_read_before_anybody_else_asks() {
        let (_listener, peer) = listener(Err(1403));
        let (_made, peek) = during(&sought(peer, "x"), || caller(peer, "x"));
        let peek = peek.expect("found");
        assert_eq!(until(&peek, |state| state != CallState::Connecting), CallState::Over(1403));
        assert!(peek.measure().is_none());
    }

    #[test]
    fn two_that_fit_or_none_are_no_answer() {
        let (_listener, peer) = listener(Ok(()));
        let (_two, peek) = during(&sought(peer, "x"), || [caller(peer, "x"), caller(peer, "x")]);
        assert!(peek.is_none());
        let (_other, peek) = during(&sought(peer, "y"), || caller(peer, "x"));
        assert!(peek.is_none());
        assert!(during(&sought(peer, "x"), || ()).1.is_none());
        let other_port = Sought { local_port: Some(1), ..sought(peer, "x") };
        let (_other, peek) = during(&other_port, || caller(peer, "x"));
        assert!(peek.is_none());
    }

    #[test]
    fn a_start_that_hangs_makes_others_do_without() {
        let turns = Mutex::new(());
        let hangs = turn(&turns).expect("the first");
        let begin = Instant::now();
        assert!(turn(&turns).is_none() && begin.elapsed() < TURN_MAX * 4);
        drop(hangs);
        assert!(turn(&turns).is_some());
    }
}
