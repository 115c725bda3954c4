//! Outgoing HTTP: agents whose every connection goes to an address that may be dialled.
//!
//! Owns the resolver and what it refuses: forbidden networks, and this service's own ports. Must not know what is asked.
//! The hard thing: an address in an answer, a redirect or a playlist may name any host. So nobody else resolves here: no
//! proxy, and no library on its own.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use ureq::Agent;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::endpoint::resolve::{self, ResolveError, is_local};
use crate::model::destination::Destinations;
use crate::model::source::Credentials;
use crate::model::srt_url::SrtHost;

/// TCP port of `http`.
const HTTP_PORT: u16 = 80;
/// TCP port of `https`.
const HTTPS_PORT: u16 = 443;

/// What an agent may not dial.
#[derive(Clone)]
pub struct Vetting {
    /// The operator's rule.
    pub destinations: Destinations,
    /// Where this service listens itself (TCP).
    pub own: Vec<SocketAddr>,
    /// Names are resolved on it; the agents themselves are used on threads that may block.
    pub runtime: tokio::runtime::Handle,
}

impl fmt::Debug for Vetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vetting").finish_non_exhaustive()
    }
}

/// What all agents have in common: no proxy, which would resolve for itself and dial whom it likes; the platform's
/// certificates; statuses are the caller's to judge.
pub fn config(verify_tls: bool) -> ConfigBuilder<AgentScope> {
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).disable_verification(!verify_tls).build();
    Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .user_agent(concat!("srt-restream/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls)
}

/// An agent that dials vetted addresses alone.
pub fn agent(config: Config, vetting: Vetting) -> Agent {
    Agent::with_parts(config, DefaultConnector::default(), vetting)
}

/// Whether `address` is one of this service's own.
pub fn is_own(own: &[SocketAddr], address: SocketAddr) -> bool {
    own.iter()
        .any(|own| own.port() == address.port() && (own.ip() == address.ip().to_canonical() || is_local(address.ip())))
}

/// `Authorization` by user and password (RFC 7617), which stand percent-encoded in a URL and must not go so.
pub fn basic(credentials: &Credentials) -> String {
    let pair = format!("{}:{}", credentials.user, credentials.password.expose());
    format!("Basic {}", base64(pair.as_bytes()))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at)) as usize & 63];
            out.push(if at <= group.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

impl Resolver for Vetting {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = uri.host().ok_or(ureq::Error::HostNotFound)?;
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let host = bare.parse().map_or_else(|_| SrtHost::Name(name.to_owned()), SrtHost::Ip);
        let default = if uri.scheme_str() == Some("https") { HTTPS_PORT } else { HTTP_PORT };
        let denied = |text: String| ureq::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, text));
        let resolving = resolve::address_of(&host, uri.port_u16().unwrap_or(default), &self.destinations);
        let address = self.runtime.block_on(resolving).map_err(|error| match error {
            error @ (ResolveError::Dns { .. } | ResolveError::DnsTimeout(_)) => {
                ureq::Error::Io(io::Error::new(io::ErrorKind::NotFound, error.to_string()))
            }
            error => denied(error.to_string()),
        })?;
        if is_own(&self.own, address) {
            return Err(denied(format!("{address} is this server's own port")));
        }
        let mut addresses = self.empty();
        addresses.push(address);
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, wanted) in cases {
            assert_eq!(base64(plain.as_bytes()), wanted);
        }
    }
}
