//! Knocks at a peer's UDP port beside a connection attempt: what does the network say?
//!
//! libsrt's UDP sockets are not connected, so the kernel does not tell them of ICMP errors, and a host without a route,
//! a closed port and a peer that is silent look the same. A connected socket hears of them. What it sends is a valid
//! SRT induction handshake, the first packet of every caller: a listener answers it and keeps nothing of it.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

/// How often it knocks: hosts send few ICMP errors a second, and the attempt beside it causes some too.
const EVERY: Duration = Duration::from_millis(500);

/// Knocks at most.
const KNOCKS_MAX: u32 = 8;

/// Bytes of an induction handshake: 16 of the header, 48 of the handshake.
const INDUCTION_LEN: usize = 64;

/// What was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An SRT listener answers.
    Answer,
    /// The network says that nobody is there: in words.
    Unreachable(String),
}

/// Somebody who knocks.
#[derive(Debug)]
pub struct Knock {
    socket: UdpSocket,
    peer: SocketAddr,
    knocks: u32,
    knocked_at: Option<Instant>,
    heard: Option<Heard>,
}

impl Knock {
    /// At `peer`'s door, from `local` where that is given.
    ///
    /// # Errors
    /// No socket, or the local address is not this host's.
    pub fn new(peer: SocketAddr, local: Option<IpAddr>) -> io::Result<Self> {
        let any: IpAddr = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((local.unwrap_or(any), 0))?;
        socket.set_nonblocking(true)?;
        hear_all_errors(&socket, peer.is_ipv4())?;
        let mut knock = Self { socket, peer, knocks: 0, knocked_at: None, heard: None };
        if let Err(error) = knock.socket.connect(peer) {
            knock.hear(&error);
        }
        Ok(knock)
    }

    /// Knocks again if it is time, and listens. Never blocks.
    pub fn look(&mut self) -> Option<&Heard> {
        if self.heard.is_none() {
            self.listen();
        }
        let due = self.knocked_at.is_none_or(|at| at.elapsed() >= EVERY);
        if self.heard.is_none() && due && self.knocks < KNOCKS_MAX {
            (self.knocks, self.knocked_at) = (self.knocks + 1, Some(Instant::now()));
            if let Err(error) = self.socket.send(&induction()) {
                self.hear(&error);
            }
        }
        self.heard.as_ref()
    }

    fn listen(&mut self) {
        let mut packet = [0; 1500];
        match self.socket.recv(&mut packet) {
            // A control packet of type handshake.
            Ok(len) if len >= INDUCTION_LEN && packet[..2] == [0x80, 0] => self.heard = Some(Heard::Answer),
            Ok(_) => {}
            Err(error) => self.hear(&error),
        }
    }

    fn hear(&mut self, error: &io::Error) {
        let port = self.peer.port();
        let words = match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => format!("nobody listens on UDP port {port} there (ICMP: port unreachable)"),
            Some(libc::EHOSTUNREACH) => "the network does not reach the host (host unreachable)".to_owned(),
            Some(libc::ENETUNREACH) => "there is no route to the host's network (network unreachable)".to_owned(),
            Some(libc::EACCES | libc::EPERM) => "a firewall of this host forbids it".to_owned(),
            Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP) => format!("the host refuses UDP ({error})"),
            _ if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            _ => {
                tracing::debug!(%error, "knocking at a peer's port");
                return;
            }
        };
        self.heard = Some(Heard::Unreachable(words));
    }
}

/// Without this the kernel keeps "host unreachable" and "network unreachable" to itself (ip(7), `IP_RECVERR`).
fn hear_all_errors(socket: &UdpSocket, v4: bool) -> io::Result<()> {
    let (level, option) =
        if v4 { (libc::IPPROTO_IP, libc::IP_RECVERR) } else { (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) };
    let (on, len) = (1_i32, libc::socklen_t::try_from(size_of::<i32>()).unwrap_or(4));
    // SAFETY: the descriptor is open for the call; the value is a live i32 whose size is given.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A caller's first packet, as libsrt writes it (`CHandShake`, version 4, `URQ_INDUCTION`, `UDT_DGRAM`).
fn induction() -> [u8; INDUCTION_LEN] {
    let words: [u32; INDUCTION_LEN / 4] = [
        0x8000_0000,                    // control, handshake
        0,                              // type-specific
        0,                              // time stamp
        0,                              // destination socket: a listener
        4,                              // version
        2,                              // UDT_DGRAM
        0,                              // initial sequence number
        1500,                           // MTU
        8192,                           // flow window
        1,                              // URQ_INDUCTION
        rand::random::<u32>() >> 2 | 1, // our socket
        0,                              // cookie: none yet
        0,
        0,
        0,
        0, // our address: unread
    ];
    let mut packet = [0; INDUCTION_LEN];
    for (bytes, word) in packet.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srt::Listener;

    const WAIT: Duration = Duration::from_secs(5);

    fn heard(peer: SocketAddr) -> Option<Heard> {
        let mut knock = Knock::new(peer, None).expect("a socket");
        let begin = Instant::now();
        while knock.look().is_none() && begin.elapsed() < WAIT {
            std::thread::sleep(Duration::from_millis(5));
        }
        knock.look().cloned()
    }

    #[test]
    fn a_listener_answers_and_a_closed_port_is_heard_of() {
        let listener = Listener::bind("127.0.0.1:0".parse().expect("address"), 120, |_| Ok(())).expect("a port");
        assert_eq!(heard(listener.local_address().expect("bound")), Some(Heard::Answer));
        let free = UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        let Some(Heard::Unreachable(words)) = heard(free) else { panic!("nothing was heard of a closed port") };
        assert!(words.contains("port unreachable") && words.contains(&free.port().to_string()), "{words}");
        let six = UdpSocket::bind("[::1]:0").expect("a port").local_addr().expect("bound");
        assert!(matches!(heard(six), Some(Heard::Unreachable(_))), "the same by IPv6");
    }

    #[test]
    fn a_silent_peer_says_nothing_and_is_not_asked_for_ever() {
        let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let mut knock = Knock::new(silent.local_addr().expect("bound"), None).expect("a socket");
        for _ in 0..100 {
            knock.knocked_at = None;
            assert_eq!(knock.look(), None);
        }
        assert_eq!(knock.knocks, KNOCKS_MAX);
    }
}
