//! One UDP port, many publishers: a listener whose callback decides by stream id.
//!
//! The hard thing: the callback runs in libsrt's receive thread, in the middle of a handshake. It must
//! answer at once and must not unwind into C.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::own_port::OwnPort;
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
    /// Its port, where it is given back at once.
    port: Option<OwnPort>,
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
        socket.bind(address)?;
        Self::start(socket, None, decide)
    }

    /// Listens on `address` with a socket whose options are set and which accepted sockets inherit, on a UDP socket of
    /// its own: [`Listener::close`] gives the port back at once.
    ///
    /// # Errors
    /// The address is in use or not this host's, or an option is refused.
    pub fn listen(
        socket: SrtSocket,
        address: SocketAddr,
        decide: impl Fn(&Handshake<'_>) -> Result<(), i32> + Send + Sync + 'static,
    ) -> Result<Self, SrtError> {
        let port = OwnPort::bind(&socket, address)?;
        Self::start(socket, Some(port), decide)
    }

    fn start(
        socket: SrtSocket,
        port: Option<OwnPort>,
        decide: impl Fn(&Handshake<'_>) -> Result<(), i32> + Send + Sync + 'static,
    ) -> Result<Self, SrtError> {
        socket.set_bool(sys::SRTO_RCVSYN, false, "SRTO_RCVSYN")?;
        let decide: Box<Box<Decide>> = Box::new(Box::new(decide));
        let opaque = (&raw const *decide).cast_mut().cast::<c_void>();
        // SAFETY: `opaque` stays valid until the socket is closed (field order above). The hook must be
        // set before srt_listen since libsrt 1.5.2.
        if unsafe { sys::srt_listen_callback(socket.0, on_handshake, opaque) } == sys::ERROR {
            return Err(SrtError::last("srt_listen_callback"));
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
        // Whole before it listens: whatever fails from here on, the socket is closed before the hook is freed.
        let listener = Self { socket, epoll, port, _decide: decide };
        // SAFETY: plain call on an owned, bound socket.
        if unsafe { sys::srt_listen(listener.socket.0, BACKLOG_LEN) } == sys::ERROR {
            return Err(SrtError::last("srt_listen"));
        }
        Ok(listener)
    }

    /// The address it listens on, with the port that was taken.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_address(&self) -> Result<SocketAddr, SrtError> {
        self.socket.local_address()
    }

    /// Ends listening: who has connected and was not accepted is hung up on, and the port is given back at once. All
    /// accepted sockets must be closed before, for with the port they lose their connection without a word.
    pub fn close(mut self) {
        while let Ok(Some(_)) = self.accept(Duration::ZERO) {}
        if let Some(port) = self.port.take() {
            port.release(&self.socket);
        }
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
        self.set_bytes(sys::SRTO_STREAMID, stream_id.as_bytes(), "SRTO_STREAMID")
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
    fn a_port_that_is_taken_is_told_from_other_errors() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let ours = Listener::bind(any, 20, |_| Ok(())).expect("a free port");
        let foreign = std::net::UdpSocket::bind(any).expect("a free port");
        for taken in [ours.local_address().expect("bound"), foreign.local_addr().expect("bound")] {
            let error = Listener::bind(taken, 20, |_| Ok(())).map(drop).expect_err("taken");
            assert!(error.is_address_in_use(), "{error:?}");
        }
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 9000));
        let error = Listener::bind(elsewhere, 20, |_| Ok(())).map(drop).expect_err("not ours");
        assert!(!error.is_address_in_use(), "{error:?}");
    }

    #[test]
    fn a_port_is_free_as_soon_as_its_listener_is_closed() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen = |address| Listener::listen(SrtSocket::new().expect("socket"), address, |_| Ok(()));
        let listener = listen(any).expect("a free port");
        let address = listener.local_address().expect("bound");
        let caller = SrtSocket::new().expect("socket");
        caller.set_receive_timeout(Duration::from_millis(100)).expect("open");
        caller.connect(address).expect("let in");
        let accepted = listener.accept(WAIT).expect("listening").expect("somebody came").socket;
        // What comes in the first moment, before libsrt has put the caller's socket into its lists, it throws away.
        let deadline = std::time::Instant::now() + WAIT;
        while !matches!(caller.receive(&mut [0; 1500]), Recv::Message(188)) {
            assert!(std::time::Instant::now() < deadline);
            accepted.send(&[0x47; 188]).expect("sent");
        }
        drop(accepted);
        listener.close();
        // libsrt's thread may be inside its last read of the old socket.
        let deadline = std::time::Instant::now() + Duration::from_millis(500);
        while let Err(error) = std::net::UdpSocket::bind(address) {
            assert!(std::time::Instant::now() < deadline, "{error}");
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(2);
        while !matches!(caller.receive(&mut [0; 1500]), Recv::Closed) {
            assert!(std::time::Instant::now() < deadline, "it was not told");
        }
        // And again with libsrt, which still has the old one in its books.
        let again = listen(address).expect("free");
        let caller = SrtSocket::new().expect("socket");
        caller.connect(address).expect("let in");
        assert!(again.accept(WAIT).expect("listening").is_some());
    }

    #[test]
    fn nobody_is_given_the_dead_socket_of_a_port_that_was_given_back() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let other = Listener::bind(any, 20, |_| Ok(())).expect("a free port");
        let listener = Listener::listen(SrtSocket::new().expect("socket"), any, |_| Ok(())).expect("a free port");
        let address = listener.local_address().expect("bound");
        listener.close();
        let deadline = std::time::Instant::now() + 2 * WAIT;
        let caller = loop {
            let caller = SrtSocket::new().expect("socket");
            // As a rendezvous does: to any address. libsrt would take the socket in its books for the same.
            match caller.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()))) {
                Ok(()) => break caller,
                Err(error) => assert!(error.is_address_in_use() && std::time::Instant::now() < deadline, "{error:?}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        caller.connect(other.local_address().expect("bound")).expect("let in");
        let incoming = other.accept(WAIT).expect("listening").expect("somebody came");
        assert_eq!(incoming.peer, address);
    }

    #[test]
    fn accept_gives_up_after_its_bound() {
        let listener = Listener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 20, |_| Ok(())).expect("a free port");
        assert!(listener.accept(Duration::from_millis(20)).expect("listening").is_none());
    }
}
