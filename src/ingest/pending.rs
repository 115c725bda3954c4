//! How many connections may be open without publishing.
//!
//! Owns the two counts, knows no socket. A port scan or silent connections fill these places at
//! most; a connection that publishes gives its place back.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The places, shared by listener and connections.
#[derive(Debug, Clone)]
pub(super) struct Pending(Arc<Mutex<Counts>>);

#[derive(Debug)]
struct Counts {
    /// Places there are.
    max: usize,
    /// Places taken.
    all: usize,
    /// Places taken by address; an address without any is not in it.
    by_address: HashMap<IpAddr, usize>,
}

/// A place; dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub(super) struct Place {
    /// Where it is given back.
    pending: Pending,
    /// Whose it is.
    address: IpAddr,
}

impl Pending {
    /// So many places. One address gets half of them, so that it can't take all, and a proxy's or a NAT's publishers
    /// still can come at once.
    pub(super) fn new(max: usize) -> Self {
        Self(Arc::new(Mutex::new(Counts { max, all: 0, by_address: HashMap::new() })))
    }

    /// A place for a connection from `address`, if there is one.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        // An IPv4 address that came in on an IPv6 socket is the same address.
        let address = address.to_canonical();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= counts.max || own >= counts.max / 2 {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, own + 1);
        Some(Place { pending: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(own) = counts.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        const MAX: usize = 512;
        let pending = Pending::new(MAX);
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let first: Vec<_> = std::iter::from_fn(|| pending.enter(address(1))).collect();
        assert_eq!(first.len(), MAX / 2);
        let second: Vec<_> = std::iter::from_fn(|| pending.enter(address(2))).collect();
        assert_eq!(second.len(), MAX - MAX / 2);
        assert!(pending.enter(address(3)).is_none());
        drop(second);
        assert!(pending.enter("::ffff:10.0.0.1".parse().unwrap()).is_none());
        let third = pending.enter(address(3));
        assert!(third.is_some());
        drop((first, third));
        let counts = pending.0.lock().unwrap();
        assert_eq!((counts.all, counts.by_address.len()), (0, 0));
    }
}
