//! One UDP port, many publishers: a listener whose callback decides by stream id.
//!
//! The hard thing: the callback runs in libsrt's receive thread, in the middle of a handshake. It must
//! answer at once and must not unwind into C.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::socket::{SrtError, SrtSocket, is_gone, len_of, read_address};
use super::sys;

/// Handshakes that may wait for `accept` (libsrt refuses further ones with `SRT_REJ_BACKLOG`).
const BACKLOG_LEN: c_int = 64;

/// `SRT_REJX_ISE`: internal server error.
const REJECT_INTERNAL: i32 = 1500;

/// What a caller's handshake says before it is answered.
#[derive(Debug)]
pub struct Handshake<'a> {
    /// Its stream id, lossily decoded; empty when none was given.
    pub stream_id: &'a str,
    /// Its address.
    pub peer: Option<SocketAddr>,
}

/// Decides about a handshake: `Err` carries the SRT reject code.
type Decide = dyn Fn(&Handshake<'_>) -> Result<(), i32> + Send + Sync;

/// An accepted connection.
#[derive(Debug)]
pub struct Incoming {
    /// The connection.
    pub socket: SrtSocket,
    /// The other side.
    pub peer: SocketAddr,
}

/// A listening socket with its decision callback.
pub struct Listener {
    /// Closed first (fields drop in order), so that the callback is never called afterwards.
    socket: SrtSocket,
    /// Waits for connections with a bound.
    epoll: Epoll,
    /// What libsrt's callback pointer points to.
    _decide: Box<Box<Decide>>,
}

struct Epoll(c_int);

impl Drop for Epoll {
    fn drop(&mut self) {
        // SAFETY: the id came from srt_epoll_create and is released only here.
        unsafe { sys::srt_epoll_release(self.0) };
    }
}

extern "C" fn on_handshake(
    opaque: *mut c_void,
    socket: sys::SrtSocketFd,
    _hs_version: c_int,
    peer: *const c_void,
    stream_id: *const c_char,
) -> c_int {
    // SAFETY: `opaque` is the address of the Listener's inner Box, which outlives the listening socket.
    let decide: &Decide = unsafe { &**opaque.cast_const().cast::<Box<Decide>>() };
    let stream_id = if stream_id.is_null() {
        String::new()
    } else {
        // SAFETY: libsrt passes a NUL-terminated string that lives for this call.
        unsafe { CStr::from_ptr(stream_id) }.to_string_lossy().into_owned()
    };
    let peer = peer_address(peer);
    let decided = catch_unwind(AssertUnwindSafe(|| decide(&Handshake { stream_id: &stream_id, peer })));
    match decided.unwrap_or(Err(REJECT_INTERNAL)) {
        Ok(()) => 0,
        Err(code) => {
            // SAFETY: `socket` is the socket under negotiation, valid inside this callback.
            unsafe { sys::srt_setrejectreason(socket, code) };
            -1
        }
    }
}

fn peer_address(peer: *const c_void) -> Option<SocketAddr> {
    if peer.is_null() {
        return None;
    }
    let (_, address) = read_address(|name, len| {
        // SAFETY: `peer` is a sockaddr_in or sockaddr_in6 (libsrt knows no others). The family is read
        // first and tells which, so that no byte past the structure is copied.
        unsafe {
            let family = peer.cast::<u16>().read_unaligned();
            let size = if c_int::from(family) == libc::AF_INET6 {
                size_of::<libc::sockaddr_in6>()
            } else {
                size_of::<libc::sockaddr_in>()
            };
            std::ptr::copy_nonoverlapping(peer.cast::<u8>(), name.cast::<u8>(), size);
            *len = c_int::try_from(size).unwrap_or(0);
        }
        0
    });
    address
}

impl Listener {
    /// Listens on `address`; `latency_ms` is the least receive latency of every connection.
    ///
    /// # Errors
    /// The address is in use or not this host's.
    pub fn bind(
        address: SocketAddr,
        latency_ms: i32,
        decide: impl Fn(&Handshake<'_>) -> Result<(), i32> + Send + Sync + 'static,
    ) -> Result<Self, SrtError> {
        let socket = SrtSocket::new()?;
        socket.set_latency(latency_ms)?;
        socket.set_bool(sys::SRTO_RCVSYN, false, "SRTO_RCVSYN")?;
        socket.bind(address)?;
        let decide: Box<Box<Decide>> = Box::new(Box::new(decide));
        let opaque = (&raw const *decide).cast_mut().cast::<c_void>();
        // SAFETY: `opaque` stays valid until the socket is closed (field order above). The hook must be
        // set before srt_listen since libsrt 1.5.2.
        if unsafe { sys::srt_listen_callback(socket.0, on_handshake, opaque) } == sys::ERROR {
            return Err(SrtError::last("srt_listen_callback"));
        }
        // SAFETY: plain call on an owned, bound socket.
        if unsafe { sys::srt_listen(socket.0, BACKLOG_LEN) } == sys::ERROR {
            return Err(SrtError::last("srt_listen"));
        }
        // SAFETY: no arguments.
        let epoll = unsafe { sys::srt_epoll_create() };
        if epoll == sys::ERROR {
            return Err(SrtError::last("srt_epoll_create"));
        }
        let epoll = Epoll(epoll);
        let events = sys::SRT_EPOLL_IN | sys::SRT_EPOLL_ERR;
        // SAFETY: `events` lives for the call; both ids are ours.
        if unsafe { sys::srt_epoll_add_usock(epoll.0, socket.0, &raw const events) } == sys::ERROR {
            return Err(SrtError::last("srt_epoll_add_usock"));
        }
        Ok(Self { socket, epoll, _decide: decide })
    }

    /// The address it listens on, with the port that was taken.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_address(&self) -> Result<SocketAddr, SrtError> {
        self.socket.local_address()
    }

    /// The next connection; `Ok(None)` when none came within `timeout`.
    ///
    /// # Errors
    /// The listening socket is broken; a single caller that vanished in between is not an error.
    pub fn accept(&self, timeout: Duration) -> Result<Option<Incoming>, SrtError> {
        let mut event = sys::EpollEvent { fd: 0, events: 0 };
        let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
        // SAFETY: room for one event is passed, and said so.
        let ready = unsafe { sys::srt_epoll_uwait(self.epoll.0, &raw mut event, 1, timeout_ms) };
        if ready == sys::ERROR {
            let error = SrtError::last("srt_epoll_uwait");
            return if error.code == sys::SRT_ETIMEOUT { Ok(None) } else { Err(error) };
        }
        if ready == 0 {
            return Ok(None);
        }
        // SAFETY: `read_address` hands out a buffer as large as it says.
        let (fd, peer) = read_address(|name, len| unsafe { sys::srt_accept(self.socket.0, name, len) });
        if fd == sys::INVALID_SOCK {
            let error = SrtError::last("srt_accept");
            return if is_gone(error.code) && event.events & sys::SRT_EPOLL_ERR != 0 { Err(error) } else { Ok(None) };
        }
        let socket = SrtSocket(fd);
        Ok(peer.map(|peer| Incoming { socket, peer }))
    }
}

/// A caller for tests and benches: connects with a stream id.
impl SrtSocket {
    /// Sets the stream id (at most 512 bytes) before connecting.
    ///
    /// # Errors
    /// Too long, or connected already.
    pub fn set_stream_id(&self, stream_id: &str) -> Result<(), SrtError> {
        let len = c_int::try_from(stream_id.len()).unwrap_or(c_int::MAX);
        // SAFETY: the pointer is valid for `len` bytes; libsrt copies them.
        let result = unsafe { sys::srt_setsockflag(self.0, sys::SRTO_STREAMID, stream_id.as_ptr().cast(), len) };
        if result == sys::ERROR { Err(SrtError::last("SRTO_STREAMID")) } else { Ok(()) }
    }

    /// Connects from a given local address, shared with other callers that bind the same.
    ///
    /// # Errors
    /// As `bind` and `connect`.
    pub fn connect_from(&self, local: SocketAddr, remote: SocketAddr) -> Result<(), SrtError> {
        debug_assert_eq!(len_of(&socket2::SockAddr::from(local)), len_of(&socket2::SockAddr::from(remote)));
        self.bind(local)?;
        self.connect(remote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srt::Recv;
    use std::net::Ipv4Addr;

    const WAIT: Duration = Duration::from_secs(5);

    #[test]
    fn callers_are_told_apart_by_stream_id_on_one_port() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(any, 20, |handshake| match handshake.stream_id {
            "live/good" if handshake.peer.is_some() => Ok(()),
            "panic" => panic!("must not cross into C"),
            _ => Err(1404),
        })
        .expect("a free port");
        let address = listener.local_address().expect("bound");

        for (stream_id, reason) in [("live/other", 1404), ("panic", REJECT_INTERNAL)] {
            let caller = SrtSocket::new().expect("socket");
            caller.set_stream_id(stream_id).expect("fits");
            let refused = caller.connect(address).expect_err("refused");
            assert_eq!(refused.reject_reason, Some(reason), "{stream_id}");
        }
        for _ in 0..2 {
            let caller = SrtSocket::new().expect("socket");
            caller.set_stream_id("live/good").expect("fits");
            caller.connect(address).expect("let in");
            let incoming = listener.accept(WAIT).expect("listening").expect("somebody came");
            assert_eq!(incoming.socket.stream_id(), "live/good");
            incoming.socket.set_receive_timeout(WAIT).expect("open");
            caller.send(&[0x47; 188]).expect("sent");
            let mut buffer = [0; 1500];
            assert!(matches!(incoming.socket.receive(&mut buffer), Recv::Message(188)));
            drop(caller);
            assert!(matches!(incoming.socket.receive(&mut buffer), Recv::Closed));
        }
    }

    #[test]
    fn accept_gives_up_after_its_bound() {
        let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 20, |_| Ok(())).expect("a free port");
        assert!(listener.accept(Duration::from_millis(20)).expect("listening").is_none());
    }
}
