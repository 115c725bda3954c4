//! Local UDP ports that many callers share.
//!
//! libsrt runs one send and one receive thread per local UDP port. Callers that bind the same address
//! and port share both, which is most of what an endpoint costs. A port lives as long as a socket is
//! bound to it, so each is held by an anchor: a bound socket that never connects.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{SrtError, SrtSocket};

/// The shared ports, handed out in turn.
#[derive(Debug)]
pub struct PortPool {
    /// Their addresses, `0.0.0.0:port`.
    addresses: Vec<SocketAddr>,
    /// What keeps them bound.
    _anchors: Vec<SrtSocket>,
    /// The next one to hand out.
    next: AtomicUsize,
}

impl PortPool {
    /// Binds `count` IPv4 ports that the system chooses.
    ///
    /// # Errors
    /// No port could be bound.
    pub fn bind(count: usize) -> Result<Self, SrtError> {
        let mut addresses = Vec::with_capacity(count);
        let mut anchors = Vec::with_capacity(count);
        for _ in 0..count {
            let anchor = SrtSocket::new()?;
            anchor.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0))?;
            addresses.push(anchor.local_address()?);
            anchors.push(anchor);
        }
        Ok(Self { addresses, _anchors: anchors, next: AtomicUsize::new(0) })
    }

    /// The next shared address in turn; `None` when the pool is empty.
    pub fn next(&self) -> Option<SocketAddr> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.addresses.get(n.checked_rem(self.addresses.len())?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_held_and_handed_out_in_turn() {
        let pool = PortPool::bind(2).expect("two free ports");
        let (a, b) = (pool.next().expect("one"), pool.next().expect("two"));
        assert_ne!(a, b);
        assert_eq!(pool.next(), Some(a));
        assert!(std::net::UdpSocket::bind(a).is_err(), "the anchor holds the port");
    }

    #[test]
    fn an_empty_pool_hands_out_nothing() {
        assert_eq!(PortPool::bind(0).expect("nothing to bind").next(), None);
    }
}
