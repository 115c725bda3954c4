//! One libsrt socket, closed on drop.

use std::ffi::{CStr, c_int, c_void};
use std::mem;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockAddr, SockAddrStorage};

use super::sys;

/// Longest stream id libsrt carries (`SRTO_STREAMID`), in bytes.
const STREAM_ID_LEN_MAX: usize = 512;

/// What libsrt said of a failed call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{call}: {text}")]
pub struct SrtError {
    /// The C function that failed.
    pub call: &'static str,
    /// libsrt's error code (`SRT_ERRNO`).
    pub code: i32,
    /// libsrt's words for it.
    pub text: String,
    /// Why the peer refused, after a failed connect (`srt_getrejectreason`): 0–16 are libsrt's own,
    /// 1000 and more are the peer's application (`srt/access_control.h`).
    pub reject_reason: Option<i32>,
    /// The system's error number behind it (`errno`), where there was one.
    pub system_error: Option<i32>,
}

impl SrtError {
    /// The calling thread's last libsrt error.
    pub(super) fn last(call: &'static str) -> Self {
        let mut errno = 0;
        // SAFETY: both calls read thread-local state; `errno` lives for the call; the text is a
        // NUL-terminated string that lives until this thread's next libsrt call, and is copied here.
        let (code, text) = unsafe {
            let code = sys::srt_getlasterror(&raw mut errno);
            let text = CStr::from_ptr(sys::srt_getlasterror_str()).to_string_lossy().trim().to_owned();
            (code, text)
        };
        Self { call, code, text, reject_reason: None, system_error: (errno != 0).then_some(errno) }
    }

    /// Of a call that did not get as far as libsrt.
    pub(super) fn ours(call: &'static str, text: &str) -> Self {
        Self { call, code: 0, text: text.to_owned(), reject_reason: None, system_error: None }
    }

    /// Whether the local address and port are taken.
    pub fn is_address_in_use(&self) -> bool {
        // libsrt speaks for itself where this process has the port: another listener, or other settings of the UDP
        // socket. A port of another program is the system's word.
        matches!(self.code, sys::SRT_EDUPLISTEN | sys::SRT_EBINDCONFLICT) || self.system_error == Some(libc::EADDRINUSE)
    }
}

/// What one receive gave.
#[derive(Debug)]
pub enum Recv {
    /// A message of so many bytes is in the buffer.
    Message(usize),
    /// Nothing came within the time-out.
    Idle,
    /// The connection is over.
    Closed,
}

/// What one send that does not wait gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The message is in the send buffer.
    Taken,
    /// The send buffer is full.
    Full,
    /// The connection is over.
    Closed,
}

/// An SRT socket; the connection ends when it is dropped.
#[derive(Debug)]
pub struct SrtSocket(pub(super) sys::SrtSocketFd);

impl Drop for SrtSocket {
    fn drop(&mut self) {
        // SAFETY: the descriptor came from libsrt and is closed only here; libsrt tolerates a dead one.
        unsafe { sys::srt_close(self.0) };
    }
}

fn check(result: c_int, call: &'static str) -> Result<(), SrtError> {
    if result == sys::ERROR { Err(SrtError::last(call)) } else { Ok(()) }
}

/// Lets libsrt fill in a socket address.
pub(super) fn read_address(fill: impl FnOnce(*mut c_void, *mut c_int) -> c_int) -> (c_int, Option<SocketAddr>) {
    let mut storage = SockAddrStorage::zeroed();
    let mut len = c_int::try_from(mem::size_of::<SockAddrStorage>()).unwrap_or(c_int::MAX);
    let result = fill((&raw mut storage).cast(), &raw mut len);
    if result == sys::ERROR {
        return (result, None);
    }
    // SAFETY: the storage was zeroed, and libsrt has written at most `len` bytes of a valid sockaddr into it.
    let address = unsafe { SockAddr::new(storage, len.unsigned_abs()) };
    (result, address.as_socket())
}

impl SrtSocket {
    /// A fresh socket with libsrt's live-mode defaults.
    ///
    /// # Errors
    /// When libsrt is out of resources.
    pub fn new() -> Result<Self, SrtError> {
        super::startup()?;
        // SAFETY: no arguments; the library has been started.
        let fd = unsafe { sys::srt_create_socket() };
        if fd == sys::INVALID_SOCK { Err(SrtError::last("srt_create_socket")) } else { Ok(Self(fd)) }
    }

    /// Binds a local address (port 0: any free port).
    ///
    /// # Errors
    /// The address is in use or not this host's.
    pub fn bind(&self, address: SocketAddr) -> Result<(), SrtError> {
        if address.is_ipv6() {
            // Since libsrt 1.5.2 this must be said before binding to `::`.
            self.set_bool(sys::SRTO_IPV6ONLY, self.ipv6_only(address), "SRTO_IPV6ONLY")?;
        }
        let name = SockAddr::from(address);
        // SAFETY: `name` is a valid sockaddr of the given length and outlives the call.
        check(unsafe { sys::srt_bind(self.0, name.as_ptr().cast(), len_of(&name)) }, "srt_bind")
    }

    /// Whether a socket bound to this IPv6 address takes no IPv4: what the socket was told, or else what is of use.
    pub(super) fn ipv6_only(&self, address: SocketAddr) -> bool {
        // Negative: nobody has said it.
        match self.get_i32(sys::SRTO_IPV6ONLY) {
            Some(only) if only >= 0 => only != 0,
            _ => !address.ip().is_unspecified(),
        }
    }

    /// Connects as a caller, blocking for at most libsrt's connection time-out (3 s).
    ///
    /// # Errors
    /// With [`SrtError::reject_reason`] set to what the peer said.
    pub fn connect(&self, address: SocketAddr) -> Result<(), SrtError> {
        let name = SockAddr::from(address);
        // SAFETY: as in `bind`.
        let result = unsafe { sys::srt_connect(self.0, name.as_ptr().cast(), len_of(&name)) };
        check(result, "srt_connect").map_err(|error| SrtError {
            // SAFETY: reads one integer of a socket this value owns.
            reject_reason: Some(unsafe { sys::srt_getrejectreason(self.0) }),
            ..error
        })
    }

    /// The address this socket is bound to.
    ///
    /// # Errors
    /// The socket isn't bound.
    pub fn local_address(&self) -> Result<SocketAddr, SrtError> {
        // SAFETY: `read_address` hands out a buffer as large as it says.
        let (_, address) = read_address(|name, len| unsafe { sys::srt_getsockname(self.0, name, len) });
        address.ok_or_else(|| SrtError::last("srt_getsockname"))
    }

    /// `SRTO_LATENCY` in milliseconds: the receiver buffer of both directions; the larger of both peers' wins.
    ///
    /// # Errors
    /// Out of range, or the socket is connected already.
    pub fn set_latency(&self, latency_ms: i32) -> Result<(), SrtError> {
        self.set_i32(sys::SRTO_LATENCY, latency_ms, "SRTO_LATENCY")
    }

    /// Bounds every receive: [`Recv::Idle`] after this time.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn set_receive_timeout(&self, timeout: Duration) -> Result<(), SrtError> {
        self.set_bool(sys::SRTO_RCVSYN, true, "SRTO_RCVSYN")?;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        self.set_i32(sys::SRTO_RCVTIMEO, timeout_ms, "SRTO_RCVTIMEO")
    }

    /// The stream id the caller gave (`SRTO_STREAMID`), lossily decoded.
    pub fn stream_id(&self) -> String {
        let mut text = [0_u8; STREAM_ID_LEN_MAX + 1];
        let mut len = c_int::try_from(text.len()).unwrap_or(0);
        // SAFETY: the buffer is `len` bytes long; libsrt writes at most that and sets `len`.
        let result =
            unsafe { sys::srt_getsockflag(self.0, sys::SRTO_STREAMID, text.as_mut_ptr().cast(), &raw mut len) };
        let len = if result == sys::ERROR { 0 } else { usize::try_from(len).unwrap_or(0).min(text.len()) };
        String::from_utf8_lossy(&text[..len]).into_owned()
    }

    /// Receives one message (live mode: one datagram's payload, up to 1456 bytes).
    pub fn receive(&self, buffer: &mut [u8]) -> Recv {
        let len = c_int::try_from(buffer.len()).unwrap_or(c_int::MAX);
        // SAFETY: the buffer is valid for `len` bytes; no control structure is passed.
        let n = unsafe { sys::srt_recvmsg2(self.0, buffer.as_mut_ptr(), len, std::ptr::null_mut()) };
        if n > 0 {
            return Recv::Message(n.unsigned_abs() as usize);
        }
        if n == 0 {
            return Recv::Closed;
        }
        match SrtError::last("srt_recvmsg2").code {
            sys::SRT_EASYNCRCV | sys::SRT_ETIMEOUT => Recv::Idle,
            _ => Recv::Closed,
        }
    }

    /// Sends one message of at most 1316 bytes.
    ///
    /// # Errors
    /// The connection is lost, or the send buffer is full.
    pub fn send(&self, message: &[u8]) -> Result<(), SrtError> {
        let len = c_int::try_from(message.len()).unwrap_or(c_int::MAX);
        // SAFETY: the buffer is valid for `len` bytes; no control structure is passed.
        check(unsafe { sys::srt_sendmsg2(self.0, message.as_ptr(), len, std::ptr::null_mut()) }, "srt_sendmsg2")
    }

    /// Sends one message without waiting, once [`SrtSocket::set_send_blocking`] says so.
    pub fn try_send(&self, message: &[u8]) -> Sent {
        match self.send(message) {
            Ok(()) => Sent::Taken,
            Err(error) if error.code == sys::SRT_EASYNCSND => Sent::Full,
            Err(_) => Sent::Closed,
        }
    }

    pub(super) fn set_bytes(&self, option: c_int, value: &[u8], call: &'static str) -> Result<(), SrtError> {
        let len = c_int::try_from(value.len()).unwrap_or(c_int::MAX);
        // SAFETY: the pointer is valid for `len` bytes; libsrt copies them.
        check(unsafe { sys::srt_setsockflag(self.0, option, value.as_ptr().cast(), len) }, call)
    }

    pub(super) fn get_i32(&self, option: c_int) -> Option<i32> {
        let mut value = 0_i32;
        let mut len = c_int::try_from(mem::size_of::<i32>()).unwrap_or(4);
        // SAFETY: libsrt writes an i32 (all options read so are) and its length.
        let result = unsafe { sys::srt_getsockflag(self.0, option, (&raw mut value).cast(), &raw mut len) };
        (result != sys::ERROR).then_some(value)
    }

    pub(super) fn set_bool(&self, option: c_int, value: bool, call: &'static str) -> Result<(), SrtError> {
        self.set_i32(option, i32::from(value), call)
    }

    pub(super) fn set_i32(&self, option: c_int, value: i32, call: &'static str) -> Result<(), SrtError> {
        let len = c_int::try_from(mem::size_of::<i32>()).unwrap_or(4);
        // SAFETY: the pointer is to a live i32 and the length says so; libsrt copies it. Boolean options
        // take an int as well (`cast_optval<bool>` in libsrt's socketconfig.h).
        check(unsafe { sys::srt_setsockflag(self.0, option, (&raw const value).cast(), len) }, call)
    }
}

pub(super) fn len_of(name: &SockAddr) -> c_int {
    c_int::try_from(name.len()).unwrap_or(c_int::MAX)
}

/// Errors that mean that a socket is dead rather than a call unlucky.
pub(super) fn is_gone(code: i32) -> bool {
    matches!(code, sys::SRT_ECONNLOST | sys::SRT_ENOCONN | sys::SRT_EINVSOCK)
}
