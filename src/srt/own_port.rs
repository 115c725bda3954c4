//! A UDP port that a listener has for itself and can give back at once.
//!
//! libsrt closes a UDP socket with the last SRT socket on it, and collects those late: a listener after 3 s, and each
//! second more for what it had accepted. So long the port would be taken for everybody else, and the next listener
//! on it told that it is in use. The hard thing is to free it under libsrt's hands: libsrt gets a UDP socket made here
//! (`srt_bind_acquire`), and in the end an unbound one is put in its place (`dup2`), which libsrt goes on reading, and
//! closes, as if it were the old one.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::socket::{SrtError, SrtSocket};
use super::sys;

/// libsrt reads in a loop that must come back to see that it shall end: it never waits longer than this. Its own
/// sockets have 0.1 ms, as a pace of its timers, which by then have nothing to do.
const READ_MAX: Duration = Duration::from_millis(10);

/// The descriptor of the UDP socket, which libsrt owns.
#[derive(Debug)]
pub(super) struct OwnPort(RawFd);

/// A failure of the system's in words.
fn failed(call: &'static str, error: &std::io::Error) -> SrtError {
    SrtError { system_error: error.raw_os_error(), ..SrtError::ours(call, &error.to_string()) }
}

impl OwnPort {
    /// Binds `address`, and `socket` to it.
    ///
    /// # Errors
    /// The address is in use or not this host's, or an option of the socket is refused.
    pub(super) fn bind(socket: &SrtSocket, address: SocketAddr) -> Result<Self, SrtError> {
        let make = || {
            let udp = Socket::new(Domain::for_address(address), Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
            if address.is_ipv6() {
                udp.set_only_v6(socket.ipv6_only(address))?;
            }
            udp.bind(&SockAddr::from(address))?;
            Ok::<_, std::io::Error>(udp)
        };
        // A socket that is bound to the same port in libsrt's own way would be given this UDP socket, also after the port
        // was given back, and would be deaf. So it is told that the port is in use, until libsrt has forgotten it.
        socket.set_bool(sys::SRTO_REUSEADDR, false, "SRTO_REUSEADDR")?;
        let fd = make().map_err(|error| failed("bind", &error))?.into_raw_fd();
        // SAFETY: `fd` is an open, bound UDP socket that from here on is libsrt's: it closes it also when it refuses it
        // (`CMultiplexer::destroy`).
        if unsafe { sys::srt_bind_acquire(socket.0, fd) } == sys::ERROR {
            return Err(SrtError::last("srt_bind_acquire"));
        }
        Ok(Self(fd))
    }

    /// Gives the port back. Whatever SRT socket is still on it, the bound one included, hears and says nothing any more:
    /// `_alive`, the socket it was bound for, must be open still, or the descriptor might be somebody else's by now.
    pub(super) fn release(self, _alive: &SrtSocket) {
        let unbound = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))
            .and_then(|unbound| unbound.set_read_timeout(Some(READ_MAX)).map(|()| unbound));
        let unbound = match unbound {
            Ok(unbound) => unbound,
            Err(error) => {
                tracing::warn!(%error, "a UDP port is given back late");
                return;
            }
        };
        // SAFETY: both descriptors are open: one is ours, the other libsrt's as long as the socket bound to it is open.
        // dup2 replaces it in one step, so that libsrt never sees a closed one.
        let result = unsafe {
            let flags = libc::fcntl(self.0, libc::F_GETFL);
            libc::fcntl(unbound.as_raw_fd(), libc::F_SETFL, flags);
            libc::dup3(unbound.as_raw_fd(), self.0, libc::O_CLOEXEC)
        };
        if result == sys::ERROR {
            tracing::warn!(error = %std::io::Error::last_os_error(), "a UDP port is given back late");
        }
    }
}
