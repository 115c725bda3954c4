//! The C declarations used of `srt/srt.h` (libsrt 1.5), and nothing else.
#![allow(missing_docs)]

use std::ffi::{c_char, c_int, c_void};

pub(super) type SrtSocketFd = i32;

pub(super) const INVALID_SOCK: SrtSocketFd = -1;
pub(super) const ERROR: c_int = -1;

// SRT_SOCKOPT
pub(super) const SRTO_MSS: c_int = 0;
pub(super) const SRTO_SNDSYN: c_int = 1;
pub(super) const SRTO_RCVSYN: c_int = 2;
pub(super) const SRTO_FC: c_int = 4;
pub(super) const SRTO_SNDBUF: c_int = 5;
pub(super) const SRTO_RCVBUF: c_int = 6;
pub(super) const SRTO_RCVTIMEO: c_int = 14;
pub(super) const SRTO_REUSEADDR: c_int = 15;
pub(super) const SRTO_MAXBW: c_int = 16;
pub(super) const SRTO_TSBPDMODE: c_int = 22;
pub(super) const SRTO_LATENCY: c_int = 23;
pub(super) const SRTO_INPUTBW: c_int = 24;
pub(super) const SRTO_OHEADBW: c_int = 25;
pub(super) const SRTO_PASSPHRASE: c_int = 26;
pub(super) const SRTO_PBKEYLEN: c_int = 27;
pub(super) const SRTO_IPTTL: c_int = 29;
pub(super) const SRTO_IPTOS: c_int = 30;
pub(super) const SRTO_TLPKTDROP: c_int = 31;
pub(super) const SRTO_SNDDROPDELAY: c_int = 32;
pub(super) const SRTO_NAKREPORT: c_int = 33;
pub(super) const SRTO_CONNTIMEO: c_int = 36;
pub(super) const SRTO_DRIFTTRACER: c_int = 37;
pub(super) const SRTO_SNDKMSTATE: c_int = 40;
pub(super) const SRTO_RCVKMSTATE: c_int = 41;
pub(super) const SRTO_LOSSMAXTTL: c_int = 42;
pub(super) const SRTO_RCVLATENCY: c_int = 43;
pub(super) const SRTO_PEERLATENCY: c_int = 44;
pub(super) const SRTO_MINVERSION: c_int = 45;
pub(super) const SRTO_STREAMID: c_int = 46;
pub(super) const SRTO_PAYLOADSIZE: c_int = 49;
pub(super) const SRTO_KMREFRESHRATE: c_int = 51;
pub(super) const SRTO_KMPREANNOUNCE: c_int = 52;
pub(super) const SRTO_ENFORCEDENCRYPTION: c_int = 53;
pub(super) const SRTO_IPV6ONLY: c_int = 54;
pub(super) const SRTO_PEERIDLETIMEO: c_int = 55;
pub(super) const SRTO_BINDTODEVICE: c_int = 56;
pub(super) const SRTO_PACKETFILTER: c_int = 60;
pub(super) const SRTO_RETRANSMITALGO: c_int = 61;

// SRT_SOCKSTATUS
pub(super) const SRTS_CONNECTING: c_int = 4;
pub(super) const SRTS_CONNECTED: c_int = 5;
pub(super) const SRTS_BROKEN: c_int = 6;

// SRT_KM_STATE
pub(super) const SRT_KM_S_UNSECURED: c_int = 0;
pub(super) const SRT_KM_S_SECURING: c_int = 1;
pub(super) const SRT_KM_S_SECURED: c_int = 2;

// SRT_ERRNO
pub(super) const SRT_ECONNLOST: c_int = 2001;
pub(super) const SRT_ENOCONN: c_int = 2002;
pub(super) const SRT_EINVSOCK: c_int = 5004;
pub(super) const SRT_EDUPLISTEN: c_int = 5011;
pub(super) const SRT_EBINDCONFLICT: c_int = 5015;
pub(super) const SRT_EASYNCSND: c_int = 6001;
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

/// `SRT_TRACEBSTATS`, field by field as in `srt.h`.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct TraceBStats {
    pub(super) ms_time_stamp: i64,
    pub(super) pkt_sent_total: i64,
    pub(super) pkt_recv_total: i64,
    pub(super) pkt_snd_loss_total: c_int,
    pub(super) pkt_rcv_loss_total: c_int,
    pub(super) pkt_retrans_total: c_int,
    pub(super) pkt_sent_ack_total: c_int,
    pub(super) pkt_recv_ack_total: c_int,
    pub(super) pkt_sent_nak_total: c_int,
    pub(super) pkt_recv_nak_total: c_int,
    pub(super) us_snd_duration_total: i64,
    pub(super) pkt_snd_drop_total: c_int,
    pub(super) pkt_rcv_drop_total: c_int,
    pub(super) pkt_rcv_undecrypt_total: c_int,
    pub(super) byte_sent_total: u64,
    pub(super) byte_recv_total: u64,
    pub(super) byte_rcv_loss_total: u64,
    pub(super) byte_retrans_total: u64,
    pub(super) byte_snd_drop_total: u64,
    pub(super) byte_rcv_drop_total: u64,
    pub(super) byte_rcv_undecrypt_total: u64,
    pub(super) pkt_sent: i64,
    pub(super) pkt_recv: i64,
    pub(super) pkt_snd_loss: c_int,
    pub(super) pkt_rcv_loss: c_int,
    pub(super) pkt_retrans: c_int,
    pub(super) pkt_rcv_retrans: c_int,
    pub(super) pkt_sent_ack: c_int,
    pub(super) pkt_recv_ack: c_int,
    pub(super) pkt_sent_nak: c_int,
    pub(super) pkt_recv_nak: c_int,
    pub(super) mbps_send_rate: f64,
    pub(super) mbps_recv_rate: f64,
    pub(super) us_snd_duration: i64,
    pub(super) pkt_reorder_distance: c_int,
    pub(super) pkt_rcv_avg_belated_time: f64,
    pub(super) pkt_rcv_belated: i64,
    pub(super) pkt_snd_drop: c_int,
    pub(super) pkt_rcv_drop: c_int,
    pub(super) pkt_rcv_undecrypt: c_int,
    pub(super) byte_sent: u64,
    pub(super) byte_recv: u64,
    pub(super) byte_rcv_loss: u64,
    pub(super) byte_retrans: u64,
    pub(super) byte_snd_drop: u64,
    pub(super) byte_rcv_drop: u64,
    pub(super) byte_rcv_undecrypt: u64,
    pub(super) us_pkt_snd_period: f64,
    pub(super) pkt_flow_window: c_int,
    pub(super) pkt_congestion_window: c_int,
    pub(super) pkt_flight_size: c_int,
    pub(super) ms_rtt: f64,
    pub(super) mbps_bandwidth: f64,
    pub(super) byte_avail_snd_buf: c_int,
    pub(super) byte_avail_rcv_buf: c_int,
    pub(super) mbps_max_bw: f64,
    pub(super) byte_mss: c_int,
    pub(super) pkt_snd_buf: c_int,
    pub(super) byte_snd_buf: c_int,
    pub(super) ms_snd_buf: c_int,
    pub(super) ms_snd_tsb_pd_delay: c_int,
    pub(super) pkt_rcv_buf: c_int,
    pub(super) byte_rcv_buf: c_int,
    pub(super) ms_rcv_buf: c_int,
    pub(super) ms_rcv_tsb_pd_delay: c_int,
    pub(super) pkt_snd_filter_extra_total: c_int,
    pub(super) pkt_rcv_filter_extra_total: c_int,
    pub(super) pkt_rcv_filter_supply_total: c_int,
    pub(super) pkt_rcv_filter_loss_total: c_int,
    pub(super) pkt_snd_filter_extra: c_int,
    pub(super) pkt_rcv_filter_extra: c_int,
    pub(super) pkt_rcv_filter_supply: c_int,
    pub(super) pkt_rcv_filter_loss: c_int,
    pub(super) pkt_reorder_tolerance: c_int,
    pub(super) pkt_sent_unique_total: i64,
    pub(super) pkt_recv_unique_total: i64,
    pub(super) byte_sent_unique_total: u64,
    pub(super) byte_recv_unique_total: u64,
    pub(super) pkt_sent_unique: i64,
    pub(super) pkt_recv_unique: i64,
    pub(super) byte_sent_unique: u64,
    pub(super) byte_recv_unique: u64,
    /// libsrt's structure has grown with its versions; what a newer one writes behind ours lands here.
    pub(super) spare: [u64; SPARE_LEN / 8],
}

/// Bytes of room behind the structure of libsrt 1.5.1.
pub(super) const SPARE_LEN: usize = 256;

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
    pub(super) fn srt_bind_acquire(u: SrtSocketFd, udp: c_int) -> c_int;
    pub(super) fn srt_listen(u: SrtSocketFd, backlog: c_int) -> c_int;
    pub(super) fn srt_listen_callback(u: SrtSocketFd, hook: ListenCallback, opaque: *mut c_void) -> c_int;
    pub(super) fn srt_accept(u: SrtSocketFd, addr: *mut c_void, len: *mut c_int) -> SrtSocketFd;
    pub(super) fn srt_connect(u: SrtSocketFd, name: *const c_void, len: c_int) -> c_int;
    pub(super) fn srt_close(u: SrtSocketFd) -> c_int;
    pub(super) fn srt_getsockstate(u: SrtSocketFd) -> c_int;
    pub(super) fn srt_getpeername(u: SrtSocketFd, name: *mut c_void, len: *mut c_int) -> c_int;
    pub(super) fn srt_getsockname(u: SrtSocketFd, name: *mut c_void, len: *mut c_int) -> c_int;
    pub(super) fn srt_setsockflag(u: SrtSocketFd, opt: c_int, value: *const c_void, len: c_int) -> c_int;
    pub(super) fn srt_getsockflag(u: SrtSocketFd, opt: c_int, value: *mut c_void, len: *mut c_int) -> c_int;
    pub(super) fn srt_recvmsg2(u: SrtSocketFd, buf: *mut u8, len: c_int, control: *mut c_void) -> c_int;
    pub(super) fn srt_sendmsg2(u: SrtSocketFd, buf: *const u8, len: c_int, control: *mut c_void) -> c_int;
    pub(super) fn srt_bistats(u: SrtSocketFd, perf: *mut TraceBStats, clear: c_int, instantaneous: c_int) -> c_int;
    pub(super) fn srt_setrejectreason(u: SrtSocketFd, reason: c_int) -> c_int;
    pub(super) fn srt_getrejectreason(u: SrtSocketFd) -> c_int;
    pub(super) fn srt_getlasterror(errno: *mut c_int) -> c_int;
    pub(super) fn srt_getlasterror_str() -> *const c_char;
    pub(super) fn srt_epoll_create() -> c_int;
    pub(super) fn srt_epoll_add_usock(eid: c_int, u: SrtSocketFd, events: *const c_int) -> c_int;
    pub(super) fn srt_epoll_uwait(eid: c_int, set: *mut EpollEvent, size: c_int, timeout_ms: i64) -> c_int;
    pub(super) fn srt_epoll_release(eid: c_int) -> c_int;
}
