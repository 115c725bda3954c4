//! ICE candidates and servers as text: what of the peer's is passed on, what of ours is announced.
//!
//! Pure; the form of a candidate is checked by `sdp`. The hard thing is that a candidate is a stranger's order
//! to send packets to an address: only whole addresses are taken (no names, which would have this server look
//! them up), and not more than [`CANDIDATES_MAX`] of them.

use std::net::IpAddr;

use super::sdp::{PeerCandidate, check_candidate};
use super::{IceServer, OfferError};

/// Candidates of one peer that are passed on, at most. A browser has about one for each address and server.
pub(super) const CANDIDATES_MAX: usize = 64;

/// What is done with a peer's candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remote {
    /// It goes to the ICE agent.
    Take(String),
    /// It is none that can be used here; why.
    Ignore(&'static str),
}

/// Decides about a candidate of the peer.
///
/// # Errors
/// It is none.
pub(super) fn remote(candidate: &str, ice_tcp: bool) -> Result<Remote, OfferError> {
    let Some(PeerCandidate { text, tcp, component, address }) = check_candidate(candidate)? else {
        // Not told to the agent: a browser's own address may still show itself (peer-reflexive), and the end
        // is bounded by webrtc.connect_timeout_ms anyway.
        return Ok(Remote::Ignore("no more will come"));
    };
    let port: Option<u16> = text.split(' ').nth(5).and_then(|port| port.parse().ok());
    let why = match address {
        // Browsers hide their own addresses behind mDNS names; they call first, which shows them.
        None => "its address is a name",
        Some(address) if address.is_multicast() || address.is_unspecified() => "its address is nobody's",
        Some(IpAddr::V4(address)) if address.is_broadcast() => "its address is everybody's",
        _ if component != 1 => "RTCP comes with RTP",
        _ if tcp && !ice_tcp => "webrtc.ice_tcp is off",
        _ if !tcp && port == Some(0) => "its port is 0",
        Some(_) => return Ok(Remote::Take(text)),
    };
    Ok(Remote::Ignore(why))
}

/// A candidate of ours as it is announced: behind a NAT whose outer address is known, a host candidate gets
/// that address in the place of its own of the same family. The inner one is not announced beside it: outside
/// it is useless, and it would tell strangers how this network is laid out.
pub(super) fn local(candidate: &str, public: Option<IpAddr>) -> String {
    let candidate = candidate.strip_prefix("a=").unwrap_or(candidate);
    let Some(public) = public else { return candidate.to_owned() };
    let mut words: Vec<_> = candidate.split(' ').map(str::to_owned).collect();
    let is_host = words.get(7).is_some_and(|kind| kind == "host");
    let same_family = words
        .get(4)
        .and_then(|address| address.parse::<IpAddr>().ok())
        .is_some_and(|address| address.is_ipv4() == public.is_ipv4());
    if is_host && same_family {
        words[4] = public.to_string();
    }
    words.join(" ")
}

/// A configured server (`stun://HOST:PORT`, `turn://USER:PASSWORD@HOST:PORT`) as browsers take it.
pub(super) fn browser_server(uri: &str) -> Option<IceServer> {
    let (scheme, rest) = uri.split_once("://")?;
    let Some((user_info, host)) = rest.rsplit_once('@') else {
        return Some(IceServer { uri: format!("{scheme}:{rest}"), username: None, credential: None });
    };
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = user_info.split_once(':').unwrap_or((user_info, ""));
    Some(IceServer {
        uri: format!("{scheme}:{host}"),
        username: Some(decoded(user)),
        credential: Some(decoded(password)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_candidates_that_can_be_used_are_passed_on() {
        let take = |text: &str| Ok(Remote::Take(text.to_owned()));
        let host = "candidate:842163049 1 udp 2122260223 192.0.2.7 46622 typ host generation 0 network-cost 999";
        let reflexive = "candidate:1 1 UDP 1 2001:db8::1 9 typ srflx raddr fe80::1 rport 5";
        for candidate in [host, reflexive] {
            assert_eq!(remote(candidate, false), take(candidate));
        }
        let tcp = "candidate:1 1 tcp 1 192.0.2.7 9 typ host tcptype active";
        assert_eq!(remote(tcp, true), take(tcp));
        for (candidate, why) in [
            ("", "no more will come"),
            (tcp, "webrtc.ice_tcp is off"),
            ("candidate:1 1 udp 1 6f2c.local 9 typ host", "its address is a name"),
            ("candidate:1 1 udp 1 239.0.0.1 9 typ host", "its address is nobody's"),
            ("candidate:1 1 udp 1 192.0.2.7 0 typ host", "its port is 0"),
            ("candidate:1 2 udp 1 192.0.2.7 9 typ host", "RTCP comes with RTP"),
            ("candidate:1 1 udp 1 255.255.255.255 9 typ host", "its address is everybody's"),
        ] {
            assert_eq!(remote(candidate, false), Ok(Remote::Ignore(why)), "{candidate}");
        }
        for candidate in ["candidate:", "hello", "candidate:1 1 udp 1 example.org 9 typ host"] {
            assert!(remote(candidate, false).is_err(), "{candidate}");
        }
    }

    #[test]
    fn behind_a_nat_the_outer_address_is_announced() {
        let host = "candidate:1 1 UDP 2015363327 10.0.0.2 50000 typ host";
        let six = "candidate:2 1 UDP 2015363327 2001:db8::1 50000 typ host";
        let reflexive = "candidate:3 1 UDP 1679819007 198.51.100.1 50000 typ srflx raddr 10.0.0.2 rport 50000";
        let public = Some("198.51.100.1".parse().expect("an address"));
        assert_eq!(local(host, public), "candidate:1 1 UDP 2015363327 198.51.100.1 50000 typ host");
        for unchanged in [six, reflexive] {
            assert_eq!(local(unchanged, public), unchanged);
        }
        assert_eq!(local(&format!("a={host}"), None), host);
    }

    #[test]
    fn servers_are_told_in_the_form_that_browsers_take() {
        assert_eq!(
            browser_server("stun://stun.example.org:3478"),
            Some(IceServer { uri: "stun:stun.example.org:3478".into(), username: None, credential: None })
        );
        assert_eq!(
            browser_server("turn://a%3Ab:p%40ss@turn.example.org:3478?transport=tcp"),
            Some(IceServer {
                uri: "turn:turn.example.org:3478?transport=tcp".into(),
                username: Some("a:b".into()),
                credential: Some("p@ss".into()),
            })
        );
    }
}
