//! A test of a destination before anything is sent to it: name, policy, reachability, handshake, encryption, round trip.
//!
//! Owns the steps and their order. Stores nothing and touches no stream. The hard thing: it has to end within 5 s
//! whatever hangs, so each step has its part of that, and the peer's port is asked while libsrt shakes hands.
//!
//! The handshake is a real one: a receiver that takes it sees a connection that is closed at once.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::cause;
use super::diagnosis::local_trouble;
use super::resolve::{OwnServer, ResolveError, resolve_host};
use super::srt_element::{DEFAULT_LATENCY_MS, Destination, local_address};
use super::state::Reason;
use crate::media::off_thread::off_thread;
use crate::model::destination::Destinations;
use crate::model::endpoint::{Cause, Phase};
use crate::model::ids::StreamKey;
use crate::model::srt_url::{SrtHost, SrtMode, SrtUrl};
use crate::srt::probe::{Answer, Call};
use crate::srt::{Heard, Knock};

/// How long the resolver may take.
const RESOLVE_MAX: Duration = Duration::from_millis(1_500);

/// How long the peer may take for its handshake, and to answer a knock.
const HANDSHAKE_MAX: Duration = Duration::from_millis(2_500);

/// What the handshake may take in all before its thread is given up: libsrt closes sockets in its own time. With
/// [`RESOLVE_MAX`] it stays below 5 s.
const HANDSHAKE_STUCK: Duration = Duration::from_millis(3_400);

/// Between two looks for the answer to a knock, which measures the round trip.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What is tried, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The name has an address.
    Resolve,
    /// It may be dialled, and does not lead back to the stream.
    Policy,
    /// The local address, or that of a listener, is free.
    Bind,
    /// The peer takes the connection.
    Handshake,
    /// Both sides agree on encryption.
    Encryption,
    /// How long packets take.
    RoundTrip,
}

impl Step {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Policy => "policy",
            Self::Bind => "bind",
            Self::Handshake => "handshake",
            Self::Encryption => "encryption",
            Self::RoundTrip => "roundTrip",
        }
    }
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Well: what was found.
    Passed(String),
    /// It can't work so: why.
    Failed(Cause, String),
    /// It was not tried: why.
    Skipped(String),
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub step: Step,
    /// How it went.
    pub outcome: Outcome,
    /// What it took.
    pub took: Duration,
}

/// A test and what came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Step by step.
    pub steps: Vec<Taken>,
    /// The address that was tried.
    pub address: Option<SocketAddr>,
    /// The latency that both sides agreed on, ms (`SRTO_PEERLATENCY`).
    pub latency_ms: Option<u32>,
    /// Round-trip time: from a first SRT packet to its answer, the least of two ways to measure it.
    pub rtt: Option<Duration>,
    /// Whether what is sent would be encrypted (`SRTO_SNDKMSTATE`).
    pub encrypted: Option<bool>,
}

impl Report {
    /// Whether nothing speaks against it.
    pub fn passed(&self) -> bool {
        !self.steps.iter().any(|taken| matches!(taken.outcome, Outcome::Failed(..)))
    }

    fn add(&mut self, step: Step, outcome: Outcome, took: Duration) {
        self.steps.push(Taken { step, outcome, took });
    }

    /// Notes the failure of one step; those behind it are not tried.
    fn fail(&mut self, step: Step, reason: Reason, took: Duration) {
        self.add(step, Outcome::Failed(reason.cause, reason.text), took);
    }
}

/// Tests a destination for a stream; takes less than 5 s.
pub async fn test(url: &SrtUrl, key: &StreamKey, own: &OwnServer, destinations: &Destinations) -> Report {
    let mut report = Report::default();
    let Some(address) = resolve(&mut report, url).await else { return report };
    report.address = Some(address);
    if !policy(&mut report, url, key, own, destinations, address) {
        return report;
    }
    let destination = Destination { address, shared_local: None };
    if url.mode == SrtMode::Listener || local_address(url, destination).is_some() {
        let begin = Instant::now();
        match bind(url, destination) {
            Ok(text) => report.add(Step::Bind, Outcome::Passed(text), begin.elapsed()),
            Err(reason) => {
                report.fail(Step::Bind, reason, begin.elapsed());
                return report;
            }
        }
    }
    match url.mode {
        SrtMode::Caller => call(&mut report, url, destination).await,
        SrtMode::Rendezvous => {
            skip(&mut report, "a rendezvous can't be tried from one side: the other one has to call at the same time")
        }
        SrtMode::Listener => skip(&mut report, "the far end calls; there is nobody to be called"),
    }
    report
}

fn skip(report: &mut Report, why: &str) {
    for step in [Step::Handshake, Step::Encryption, Step::RoundTrip] {
        report.add(step, Outcome::Skipped(why.to_owned()), Duration::ZERO);
    }
}

async fn resolve(report: &mut Report, url: &SrtUrl) -> Option<SocketAddr> {
    let begin = Instant::now();
    let (found, text) = match &url.host {
        None => (Ok(SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), url.port)), "any address".to_owned()),
        Some(SrtHost::Ip(ip)) => (Ok(SocketAddr::new(*ip, url.port)), "an address, nothing to resolve".to_owned()),
        Some(host @ SrtHost::Name(name)) => {
            let found = tokio::time::timeout(RESOLVE_MAX, resolve_host(host, url.port)).await;
            let found = found.unwrap_or_else(|_| {
                let reason = format!("no answer within {} ms", RESOLVE_MAX.as_millis());
                Err(ResolveError::Dns { name: name.clone(), reason })
            });
            let text = match &found {
                Ok((first, others)) if others.is_empty() => first.ip().to_string(),
                Ok((first, others)) => format!("{}, and {} more that are not used", first.ip(), others.len()),
                Err(_) => String::new(),
            };
            (found.map(|(first, _)| first), text)
        }
    };
    match found {
        Ok(address) => {
            report.add(Step::Resolve, Outcome::Passed(text), begin.elapsed());
            Some(address)
        }
        Err(error) => {
            report.fail(Step::Resolve, cause::of_resolver(&error), begin.elapsed());
            None
        }
    }
}

fn policy(
    report: &mut Report,
    url: &SrtUrl,
    key: &StreamKey,
    own: &OwnServer,
    destinations: &Destinations,
    address: SocketAddr,
) -> bool {
    let begin = Instant::now();
    let refused = match own.target(url, address) {
        Some(target) if target == *key => Some(ResolveError::FeedsBack(key.to_string())),
        _ if url.mode == SrtMode::Listener => None,
        _ => destinations.check(address.ip()).err().map(ResolveError::Forbidden),
    };
    match refused {
        None => {
            report.add(Step::Policy, Outcome::Passed("it may be used".to_owned()), begin.elapsed());
            true
        }
        Some(error) => {
            report.fail(Step::Policy, cause::of_resolver(&error), begin.elapsed());
            false
        }
    }
}

fn bind(url: &SrtUrl, destination: Destination) -> Result<String, Reason> {
    if let Some(reason) = local_trouble(url, destination) {
        return Err(reason);
    }
    let local = local_address(url, destination).unwrap_or(destination.address);
    match UdpSocket::bind(local) {
        Ok(_) => Ok(format!("UDP {local} is free")),
        Err(error) => {
            Err(Reason { cause: Cause::Internal, phase: Phase::Connect, text: format!("UDP {local}: {error}") })
        }
    }
}

/// Shakes hands, and knocks at the peer's port meanwhile: each knows what the other can't.
async fn call(report: &mut Report, url: &SrtUrl, destination: Destination) {
    let (address, local) = (destination.address, local_address(url, destination));
    let place = Call {
        url: url.clone(),
        address,
        local,
        default_latency_ms: DEFAULT_LATENCY_MS,
        timeout: url.connect_timeout_ms.map_or(HANDSHAKE_MAX, |ms| Duration::from_millis(ms.into()).min(HANDSHAKE_MAX)),
    };
    let timeout = place.timeout;
    let begin = Instant::now();
    let (answer, (heard, knocked)) = tokio::join!(
        off_thread("testing a destination", HANDSHAKE_STUCK, move || place.place()),
        knock(address, local),
    );
    let took = begin.elapsed();
    let wanted = url.passphrase.is_some();
    match answer {
        Ok(Answer::Accepted { took, latency_ms, encrypted }) => {
            (report.latency_ms, report.encrypted) = (latency_ms, Some(encrypted));
            report.add(Step::Handshake, Outcome::Passed("the receiver takes the connection".to_owned()), took);
            report.add(Step::Encryption, encryption(wanted, encrypted), Duration::ZERO);
            // Two round trips, and the time that libsrt takes to look: on short ways the knock is the better measure.
            let rtt = knocked.map_or(took / 2, |knocked| knocked.min(took / 2));
            report.rtt = Some(rtt);
            let text = format!("{:.1} ms", rtt.as_secs_f64() * 1e3);
            report.add(Step::RoundTrip, Outcome::Passed(text), rtt);
            return;
        }
        Ok(Answer::Rejected(code)) => {
            let reason = cause::rejected(code);
            match reason.cause {
                Cause::BadPassphrase | Cause::UnencryptedPeer => {
                    let text = "the receiver answers, and refuses for its encryption".to_owned();
                    report.add(Step::Handshake, Outcome::Passed(text), took);
                    report.fail(Step::Encryption, reason, Duration::ZERO);
                }
                _ => report.fail(Step::Handshake, reason, took),
            }
        }
        Ok(Answer::Silent) => {
            let reason = match &heard {
                Some(Heard::Unreachable(words)) => cause::unreachable(words),
                Some(Heard::Answer) => cause::half_answer(timeout),
                None => cause::no_answer(timeout),
            };
            report.fail(Step::Handshake, reason, took);
        }
        Ok(Answer::Failed(error)) => {
            let reason = match (&heard, local) {
                (_, Some(local)) if error.is_address_in_use() => cause::just_in_use(local),
                (Some(Heard::Unreachable(words)), _) => cause::unreachable(words),
                _ => cause::internal(error),
            };
            report.fail(Step::Handshake, reason, took);
        }
        Err(stuck) => report.fail(Step::Handshake, cause::internal(stuck), took),
    }
    if let Some(knocked) = knocked.filter(|_| heard == Some(Heard::Answer)) {
        report.rtt = Some(knocked);
        let text = format!("{:.1} ms, to an SRT listener that answers there", knocked.as_secs_f64() * 1e3);
        report.add(Step::RoundTrip, Outcome::Passed(text), knocked);
    }
}

/// What is heard at the peer's port, and after what time.
async fn knock(address: SocketAddr, local: Option<SocketAddr>) -> (Option<Heard>, Option<Duration>) {
    let Ok(mut knock) = Knock::new(address, local.map(|local| local.ip())) else { return (None, None) };
    let begin = Instant::now();
    while begin.elapsed() < HANDSHAKE_MAX {
        if let Some(heard) = knock.look() {
            let took = (*heard == Heard::Answer).then(|| begin.elapsed());
            return (Some(heard.clone()), took);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    (None, None)
}

fn encryption(wanted: bool, encrypted: bool) -> Outcome {
    match (wanted, encrypted) {
        (true, true) => Outcome::Passed("AES, with the passphrase".to_owned()),
        (false, false) => Outcome::Passed("none: neither side has a passphrase".to_owned()),
        (true, false) => {
            let text = "both sides found no key, and the receiver takes the connection all the same".to_owned();
            Outcome::Failed(Cause::BadPassphrase, text)
        }
        (false, true) => Outcome::Passed("AES".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::srt::Listener;

    fn own() -> OwnServer {
        OwnServer { srt: OnceLock::new(), default_app: "LiveApp".parse().expect("name") }
    }

    async fn tested(url: &str) -> Report {
        let key = StreamKey { app: "live".parse().expect("app"), id: "t".parse().expect("id") };
        let denied = Destinations::deny(&["169.254.0.0/16".parse().expect("net")]);
        let begin = Instant::now();
        let report = test(&url.parse().expect("URL"), &key, &own(), &denied).await;
        assert!(begin.elapsed() < Duration::from_secs(5), "{report:?}");
        report
    }

    /// Each step and its cause, `ok` or `skipped`.
    fn words(report: &Report) -> Vec<(&'static str, &'static str)> {
        let word = |outcome: &Outcome| match outcome {
            Outcome::Passed(_) => "ok",
            Outcome::Failed(cause, _) => cause.as_str(),
            Outcome::Skipped(_) => "skipped",
        };
        report.steps.iter().map(|taken| (taken.step.as_str(), word(&taken.outcome))).collect()
    }

    fn listener() -> (Listener, SocketAddr) {
        let listener = Listener::bind("127.0.0.1:0".parse().expect("address"), 400, |handshake| {
            if handshake.stream_id == "open" { Ok(()) } else { Err(1403) }
        });
        let listener = listener.expect("a free port");
        let address = listener.local_address().expect("bound");
        (listener, address)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_step_says_how_it_went() {
        let (_listener, address) = listener();
        let good = tested(&format!("srt://{address}?streamid=open")).await;
        let all = [("resolve", "ok"), ("policy", "ok"), ("handshake", "ok"), ("encryption", "ok"), ("roundTrip", "ok")];
        assert_eq!(words(&good), all);
        assert!(good.passed() && good.latency_ms == Some(400) && good.encrypted == Some(false), "{good:?}");
        assert!(good.rtt.is_some_and(|rtt| rtt < Duration::from_millis(500)), "{good:?}");

        let refused = tested(&format!("srt://{address}?streamid=other")).await;
        assert_eq!(words(&refused)[2], ("handshake", "rejected_by_peer"));
        assert!(!refused.passed());
        let secret = tested(&format!("srt://{address}?streamid=open&passphrase=0123456789")).await;
        assert_eq!(words(&secret)[2..4], [("handshake", "ok"), ("encryption", "unencrypted_peer")]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn dead_peers_are_told_apart() {
        let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let silent = tested(&format!("srt://{}", silent.local_addr().expect("bound"))).await;
        assert_eq!(words(&silent).last(), Some(&("handshake", "timeout")));
        let closed = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port");
        assert_eq!(words(&tested(&format!("srt://{closed}")).await).last(), Some(&("handshake", "unreachable")));
        assert_eq!(words(&tested("srt://no-such-host.invalid").await), [("resolve", "dns")]);
        let denied = tested("srt://169.254.169.254").await;
        assert_eq!(words(&denied), [("resolve", "ok"), ("policy", "refused_by_policy")]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_listener_needs_its_port_and_a_rendezvous_two_sides() {
        let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound");
        let url = format!("srt://{address}?mode=listener");
        assert_eq!(words(&tested(&url).await).last(), Some(&("bind", "address_in_use")));
        drop(taken);
        let free = tested(&url).await;
        assert_eq!(words(&free)[2..4], [("bind", "ok"), ("handshake", "skipped")]);
        assert!(free.passed());
        let rendezvous = tested(&format!("srt://127.0.0.1:{}?mode=rendezvous", address.port())).await;
        assert_eq!(words(&rendezvous).last(), Some(&("roundTrip", "skipped")));
    }
}
