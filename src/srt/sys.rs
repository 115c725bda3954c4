//! The C declarations used of `srt/srt.h` (libsrt 1.5), and nothing else.
#![allow(missing_docs)]

use std::ffi::{c_char, c_int, c_void};

pub(super) type SrtSocketFd = i32;

pub(super) const INVALID_SOCK: SrtSocketFd = -1;
pub(super) const ERROR: c_int = -1;

// SRT_SOCKOPT
pub(super) const SRTO_RCVSYN: c_int = 2;
pub(super) const SRTO_RCVTIMEO: c_int = 14;
pub(super) const SRTO_LATENCY: c_int = 23;
pub(super) const SRTO_STREAMID: c_int = 46;
pub(super) const SRTO_IPV6ONLY: c_int = 54;

// SRT_ERRNO
pub(super) const SRT_ECONNLOST: c_int = 2001;
pub(super) const SRT_ENOCONN: c_int = 2002;
pub(super) const SRT_EINVSOCK: c_int = 5004;
pub(super) const SRT_EASYNCRCV: c_int = 6002;
pub(super) const SRT_ETIMEOUT: c_int = 6003;

// SRT_EPOLL_OPT
pub(super) const SRT_EPOLL_IN: c_int = 0x1;
pub(super) const SRT_EPOLL_ERR: c_int = 0x8;

#[repr(C)]
pub(super) struct EpollEvent {
    pub(super) fd: SrtSocketFd,
    pub(super) events: c_int,
}

pub(super) type ListenCallback = extern "C" fn(
    opaque: *mut c_void,
    socket: SrtSocketFd,
    hs_version: c_int,
    peer: *const c_void,
    stream_id: *const c_char,
) -> c_int;

unsafe extern "C" {
    pub(super) fn srt_startup() -> c_int;
    pub(super) fn srt_getversion() -> u32;
    pub(super) fn srt_create_socket() -> SrtSocketFd;
    pub(super) fn srt_bind(u: SrtSocketFd, name: *const c_void, len: c_int) -> c_int;
    pub(super) fn srt_listen(u: SrtSocketFd, backlog: c_int) -> c_int;
    pub(super) fn srt_listen_callback(u: SrtSocketFd, hook: ListenCallback, opaque: *mut c_void) -> c_int;
    pub(super) fn srt_accept(u: SrtSocketFd, addr: *mut c_void, len: *mut c_int) -> SrtSocketFd;
    pub(super) fn srt_connect(u: SrtSocketFd, name: *const c_void, len: c_int) -> c_int;
    pub(super) fn srt_close(u: SrtSocketFd) -> c_int;
    pub(super) fn srt_getsockname(u: SrtSocketFd, name: *mut c_void, len: *mut c_int) -> c_int;
    pub(super) fn srt_setsockflag(u: SrtSocketFd, opt: c_int, value: *const c_void, len: c_int) -> c_int;
    pub(super) fn srt_getsockflag(u: SrtSocketFd, opt: c_int, value: *mut c_void, len: *mut c_int) -> c_int;
    pub(super) fn srt_recvmsg2(u: SrtSocketFd, buf: *mut u8, len: c_int, control: *mut c_void) -> c_int;
    pub(super) fn srt_sendmsg2(u: SrtSocketFd, buf: *const u8, len: c_int, control: *mut c_void) -> c_int;
    pub(super) fn srt_setrejectreason(u: SrtSocketFd, reason: c_int) -> c_int;
    pub(super) fn srt_getrejectreason(u: SrtSocketFd) -> c_int;
    pub(super) fn srt_getlasterror(errno: *mut c_int) -> c_int;
    pub(super) fn srt_getlasterror_str() -> *const c_char;
    pub(super) fn srt_epoll_create() -> c_int;
    pub(super) fn srt_epoll_add_usock(eid: c_int, u: SrtSocketFd, events: *const c_int) -> c_int;
    pub(super) fn srt_epoll_uwait(eid: c_int, set: *mut EpollEvent, size: c_int, timeout_ms: i64) -> c_int;
    pub(super) fn srt_epoll_release(eid: c_int) -> c_int;
}
