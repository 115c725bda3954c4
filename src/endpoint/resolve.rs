//! From an endpoint's URL to an address, anew for each attempt, and never to this server's own stream.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::model::destination::{Destinations, Forbidden};
use crate::model::ids::{AppName, StreamKey};
use crate::model::srt_stream_id::{self, StreamIdRequest};
use crate::model::srt_url::{SrtHost, SrtMode, SrtUrl};

/// How long a name may take to resolve.
const DNS_MAX: Duration = Duration::from_secs(5);

/// Names that are looked up at a time: well below the threads of the blocking pool, which starting and stopping branches
/// and streams need as well.
const LOOKUPS_MAX: usize = 64;

static LOOKUPS: Semaphore = Semaphore::const_new(LOOKUPS_MAX);

/// Why there is no address to dial.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The resolver's answer.
    #[error("the name {name} was not resolved: {reason}")]
    Dns {
        /// The name.
        name: String,
        /// The resolver's words.
        reason: String,
    },
    /// No answer in time.
    #[error("the name {0} was not resolved within {limit} s", limit = DNS_MAX.as_secs())]
    DnsTimeout(String),
    /// It is not to be dialled.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// It would publish the stream to itself.
    #[error("the endpoint leads back to this server's own stream {0}")]
    FeedsBack(String),
}

/// This server, as an endpoint might dial it.
#[derive(Debug)]
pub struct OwnServer {
    /// Where its SRT listener is bound, once it is.
    pub srt: OnceLock<SocketAddr>,
    /// The application of a stream id without one.
    pub default_app: AppName,
}

impl OwnServer {
    /// Whether `address` is this server's SRT listener.
    fn is_me(&self, address: SocketAddr) -> bool {
        self.srt.get().is_some_and(|srt| {
            address.port() == srt.port() && (srt.ip() == address.ip().to_canonical() || is_local(address.ip()))
        })
    }

    /// The stream of this server that a caller of `url` at `address` would publish; `None` for another server.
    pub fn target(&self, url: &SrtUrl, address: SocketAddr) -> Option<StreamKey> {
        if url.mode != SrtMode::Caller || !self.is_me(address) {
            return None;
        }
        let (app, id) = match srt_stream_id::parse(url.streamid.as_deref().unwrap_or_default()).ok()? {
            StreamIdRequest::Publish { app, stream, .. } => (app, stream),
            StreamIdRequest::Absent => (None, address.ip().to_string().replace(['.', ':'], "_")),
        };
        let app = match app {
            Some(app) => app.parse().ok()?,
            None => self.default_app.clone(),
        };
        Some(StreamKey { app, id: id.parse().ok()? })
    }

    /// As [`OwnServer::target`], for what needs no resolver: literal addresses and `localhost`.
    pub fn literal_target(&self, url: &SrtUrl) -> Option<StreamKey> {
        let ip = match url.host.as_ref()? {
            SrtHost::Ip(ip) => *ip,
            SrtHost::Name(name) if name.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SrtHost::Name(_) => return None,
        };
        self.target(url, SocketAddr::new(ip, url.port))
    }
}

/// Whether packets to `ip` stay on this host.
pub fn is_local(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback()
        || ip.is_unspecified()
        || if_addrs::get_if_addrs().is_ok_and(|interfaces| interfaces.iter().any(|i| i.ip() == ip))
}

/// The address to dial, or in listener mode to bind.
///
/// # Errors
/// See [`ResolveError`].
pub(super) async fn resolve(
    url: &SrtUrl,
    key: &StreamKey,
    own: &OwnServer,
    destinations: &Destinations,
) -> Result<SocketAddr, ResolveError> {
    let address = destination(url, destinations).await?;
    match own.target(url, address) {
        Some(target) if target == *key => Err(ResolveError::FeedsBack(key.to_string())),
        _ => Ok(address),
    }
}

/// The address of `url`'s host, checked against what may be dialled; in listener mode the one to bind.
///
/// # Errors
/// All of [`ResolveError`] but `FeedsBack`.
pub async fn destination(url: &SrtUrl, destinations: &Destinations) -> Result<SocketAddr, ResolveError> {
    match &url.host {
        // Nobody is dialled.
        Some(SrtHost::Ip(ip)) if url.mode == SrtMode::Listener => Ok(SocketAddr::new(*ip, url.port)),
        None => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), url.port)),
        Some(host) => address_of(host, url.port, destinations).await,
    }
}

/// The address of a host, checked against what may be dialled.
///
/// # Errors
/// All of [`ResolveError`] but `FeedsBack`.
pub async fn address_of(host: &SrtHost, port: u16, destinations: &Destinations) -> Result<SocketAddr, ResolveError> {
    let (first, _) = resolve_host(host, port).await?;
    destinations.check(first.ip())?;
    Ok(first)
}

/// All addresses of a host, each checked against what may be dialled: for those who hand the name itself to a library,
/// which resolves it once more.
///
/// # Errors
/// All of [`ResolveError`] but `FeedsBack`.
pub async fn addresses_of(
    host: &SrtHost,
    port: u16,
    destinations: &Destinations,
) -> Result<(SocketAddr, Vec<SocketAddr>), ResolveError> {
    let (first, others) = resolve_host(host, port).await?;
    check_all(first, &others, destinations)?;
    Ok((first, others))
}

fn check_all(first: SocketAddr, others: &[SocketAddr], destinations: &Destinations) -> Result<(), Forbidden> {
    std::iter::once(&first).chain(others).try_for_each(|address| destinations.check(address.ip()))
}

/// A host's addresses, that which is dialled and the others. IPv4 first: those share a local port, and hosts with a
/// broken IPv6 route are common.
pub(super) async fn resolve_host(host: &SrtHost, port: u16) -> Result<(SocketAddr, Vec<SocketAddr>), ResolveError> {
    let name = match host {
        SrtHost::Ip(ip) => return Ok((SocketAddr::new(*ip, port), Vec::new())),
        SrtHost::Name(name) => name,
    };
    let failed = |reason: String| ResolveError::Dns { name: name.clone(), reason };
    let asked = name.clone();
    let look_up = move || (asked.as_str(), port).to_socket_addrs().map(Vec::from_iter);
    let mut addresses = match tokio::time::timeout(DNS_MAX, in_its_place(&LOOKUPS, look_up)).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(failed(error.to_string())),
        Err(_) => return Err(ResolveError::DnsTimeout(name.clone())),
    };
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut addresses = addresses.into_iter();
    let first = addresses.next().ok_or_else(|| failed("it has no address".into()))?;
    Ok((first, addresses.collect()))
}

/// Looks a name up on a thread of the blocking pool. The place is held for as long as the thread is, whoever still waits
/// for it: a resolver that does not answer keeps a thread for half a minute, and those it has are not to be all there are.
async fn in_its_place<T: Send + 'static>(
    places: &'static Semaphore,
    look_up: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let place = places.acquire().await.map_err(io::Error::other)?;
    let looked_up = tokio::task::spawn_blocking(move || {
        let _place = place;
        look_up()
    });
    looked_up.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnServer {
        let srt = OnceLock::new();
        srt.set("0.0.0.0:4200".parse().expect("address")).expect("first");
        OwnServer { srt, default_app: "LiveApp".parse().expect("name") }
    }

    #[test]
    fn an_endpoint_that_leads_back_is_recognised_in_all_its_spellings() {
        for (url, target) in [
            ("srt://127.0.0.1?streamid=live/test", Some("live/test")),
            ("srt://localhost:4200?streamid=live/test", Some("live/test")),
            ("srt://[::1]?streamid=%23!::r=live/test,m=publish", Some("live/test")),
            ("srt://[::ffff:127.0.0.1]?streamid=test", Some("LiveApp/test")),
            ("srt://127.0.0.1", Some("LiveApp/127_0_0_1")),
            ("srt://127.0.0.1:4201?streamid=live/test", None),
            ("srt://203.0.113.9?streamid=live/test", None),
            ("srt://127.0.0.1?streamid=live/test&mode=rendezvous", None),
            ("srt://example.org?streamid=live/test", None),
        ] {
            let url: SrtUrl = url.parse().expect("URL");
            assert_eq!(own().literal_target(&url).map(|key| key.to_string()).as_deref(), target, "{url}");
        }
    }

    #[tokio::test]
    async fn names_are_resolved_and_checked_at_each_attempt() {
        let key = StreamKey { app: "live".parse().expect("name"), id: "test".parse().expect("name") };
        let url: SrtUrl = "srt://localhost?streamid=live/test".parse().expect("URL");
        let all = Destinations::default();
        assert_eq!(resolve(&url, &key, &own(), &all).await, Err(ResolveError::FeedsBack("live/test".into())));
        let url: SrtUrl = "srt://localhost:9000".parse().expect("URL");
        assert_eq!(resolve(&url, &key, &own(), &all).await.map(|a| a.port()), Ok(9000));
        let url: SrtUrl = "srt://no-such-host.invalid".parse().expect("URL");
        assert!(matches!(resolve(&url, &key, &own(), &all).await, Err(ResolveError::Dns { .. })));
        let loopback = Destinations::deny(&["127.0.0.0/8".parse().expect("net"), "::1/128".parse().expect("net")]);
        let url: SrtUrl = "srt://localhost:9000".parse().expect("URL");
        assert!(matches!(resolve(&url, &key, &own(), &loopback).await, Err(ResolveError::Forbidden(_))));
        let url: SrtUrl = "srt://127.0.0.1:9000?mode=listener".parse().expect("URL");
        assert!(resolve(&url, &key, &own(), &loopback).await.is_ok(), "listening there is not dialling there");
    }

    #[tokio::test]
    async fn a_resolver_that_does_not_answer_keeps_its_own_places_and_no_more() {
        static PLACES: Semaphore = Semaphore::const_new(1);
        let (answer, silence) = std::sync::mpsc::channel::<()>();
        let soon = Duration::from_millis(50);
        let silent = in_its_place(&PLACES, move || silence.recv().map_err(io::Error::other));
        assert!(tokio::time::timeout(soon, silent).await.is_err(), "nobody waits for it any more");
        let next = || in_its_place(&PLACES, || Ok(4711));
        assert!(tokio::time::timeout(soon, next()).await.is_err(), "its thread is not given out twice");
        answer.send(()).expect("it still waits");
        let answered = tokio::time::timeout(Duration::from_secs(5), next()).await;
        assert_eq!(answered.expect("in time").expect("looked up"), 4711);
    }

    #[test]
    fn one_forbidden_address_of_a_name_is_enough() {
        let loopback = Destinations::deny(&["127.0.0.0/8".parse().expect("net")]);
        let public = "203.0.113.7:322".parse().expect("address");
        let own = "127.0.0.1:322".parse().expect("address");
        assert!(check_all(public, &[public], &loopback).is_ok());
        assert!(check_all(public, &[public, own], &loopback).is_err());
        assert!(check_all(own, &[], &loopback).is_err());
    }
}
