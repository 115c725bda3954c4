//! Which addresses this service never dials, however they were named: one rule for endpoints and pulled sources.
//!
//! It is asked of resolved addresses, and what was asked about is what is dialled: a name that resolves anew to
//! another address in between gains nothing.

use std::net::IpAddr;

use ipnet::IpNet;

/// The networks that are not dialled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Destinations {
    /// `[destination] deny`.
    deny: Vec<IpNet>,
}

/// An address that must not be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address {address} is in {network}, which the operator has forbidden ([destination] deny)")]
pub struct Forbidden {
    /// The address.
    pub address: IpAddr,
    /// The network it is in.
    pub network: IpNet,
}

impl Destinations {
    /// Forbids these networks.
    pub fn deny(networks: &[IpNet]) -> Self {
        Self { deny: networks.to_vec() }
    }

    /// Whether `address` may be dialled. An IPv4 address in IPv6's clothes is the IPv4 address.
    ///
    /// # Errors
    /// It is in a forbidden network.
    pub fn check(&self, address: IpAddr) -> Result<(), Forbidden> {
        let address = address.to_canonical();
        match self.deny.iter().find(|network| network.contains(&address)) {
            Some(network) => Err(Forbidden { address, network: *network }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_networks_are_not_dialled_in_any_spelling() {
        let rule = Destinations::deny(&["169.254.0.0/16".parse().expect("net"), "fd00::/8".parse().expect("net")]);
        for (address, allowed) in [
            ("169.254.169.254", false),
            ("::ffff:169.254.169.254", false),
            ("169.255.0.1", true),
            ("fd12::1", false),
            ("2001:db8::1", true),
        ] {
            assert_eq!(rule.check(address.parse().expect("address")).is_ok(), allowed, "{address}");
        }
        assert!(Destinations::default().check([127, 0, 0, 1].into()).is_ok());
    }
}
