//! How many sockets may be open, in all and from one address.
//!
//! Owns the two counts. Must not know what a socket is. A place is given back when it is dropped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Sockets in all: half of the connections that the server accepts, so that REST always finds one.
const SOCKETS_MAX: usize = 512;
/// Of these, from one address: half, so that one address can't take all, and the publishers behind one NAT
/// or proxy still find a place.
const SOCKETS_PER_ADDRESS_MAX: usize = SOCKETS_MAX / 2;

/// The places, shared by all sockets.
#[derive(Debug, Clone, Default)]
pub(in crate::api) struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place; dropping it gives it back.
#[derive(Debug)]
#[must_use]
pub(super) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    /// A place for a socket from `address`, if there is one.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        // An IPv4 address that came in on an IPv6 socket is the same address.
        let address = address.to_canonical();
        let mut counts = self.lock();
        let all: usize = counts.values().sum();
        let own = counts.entry(address).or_default();
        if all >= SOCKETS_MAX || *own >= SOCKETS_PER_ADDRESS_MAX {
            if *own == 0 {
                counts.remove(&address);
            }
            return None;
        }
        *own += 1;
        Some(Place { places: self.clone(), address })
    }

    /// Whether no socket is open.
    pub(in crate::api) fn are_free(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.lock();
        if let Some(own) = counts.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let places = Places::default();
        let address = |n: u8| IpAddr::from([10, 0, 0, n]);
        let fill = |n: u8| -> Vec<Place> { std::iter::from_fn(|| places.enter(address(n))).collect() };
        let (first, second) = (fill(1), fill(2));
        assert_eq!((first.len(), second.len()), (SOCKETS_PER_ADDRESS_MAX, SOCKETS_MAX - SOCKETS_PER_ADDRESS_MAX));
        assert!(places.enter(address(3)).is_none());
        drop(second);
        assert!(places.enter("::ffff:10.0.0.1".parse().expect("address")).is_none());
        let third = places.enter(address(3));
        assert!(third.is_some() && !places.are_free());
        drop((first, third));
        assert!(places.are_free());
    }
}
