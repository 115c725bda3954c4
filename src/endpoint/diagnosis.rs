//! Why an attempt did not connect: the code in `srtsink`'s socket; where that was not found, `srtsink`'s words; what the
//! network said beside it; and where all that leaves it open, what the peer answers when it is called once more.
//!
//! That call is made only after a refusal by the peer's own program, whose code the words do not tell, or when a peer
//! answers at its port and `srtsink` says nothing; and again only when the answer may be another: another address,
//! another kind of failure in between, or [`ASK_AGAIN`] later. A peer that refuses for hours gets one call more a minute.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::cause::{self, Told};
use super::srt_element::{DEFAULT_LATENCY_MS, Destination, local_address};
use super::state::Reason;
use crate::media::fanout::FanoutError;
use crate::media::off_thread::off_thread;
use crate::model::srt_url::{SrtMode, SrtUrl};
use crate::srt::Heard;
use crate::srt::probe::{Answer, Call};

/// How long a peer may take to say why it refuses; it has just done it faster.
const ASK_MAX: Duration = Duration::from_secs(2);

/// What that call may take in all before its thread is given up: libsrt closes sockets in its own time.
const ASK_STUCK: Duration = Duration::from_secs(5);

/// How long a peer's answer is taken for its answer to the same refusal.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// An attempt that did not connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoConnection {
    /// libsrt's reject code, where `srtsink`'s socket could be read; 0: the connection stood for a moment.
    pub(super) code: Option<i32>,
    /// `srtsink`'s words; `None` when it said nothing in time.
    pub(super) words: Option<String>,
    /// What was heard at the peer's port meanwhile.
    pub(super) heard: Option<Heard>,
    /// How long the attempt might take.
    pub(super) limit: Duration,
    /// How long it took.
    pub(super) took: Duration,
}

/// What is remembered of earlier diagnoses of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Diagnosis {
    /// Whom it has asked, when, and what came of it.
    asked: Option<(SocketAddr, Instant, Reason)>,
}

impl Diagnosis {
    /// Why it did not connect. The attempt's own socket is closed by now.
    pub(super) async fn of(&mut self, ended: &NoConnection, url: &SrtUrl, destination: Destination) -> Reason {
        let answers = ended.heard == Some(Heard::Answer);
        let waited_out = ended.took >= ended.limit;
        let told = match (ended.code, &ended.words) {
            (Some(code), _) => cause::told_code(code, waited_out),
            (None, Some(words)) => cause::told(words, waited_out),
            // srtsink tells an error when it has something to send. Until a key frame it has not, and of a peer that
            // answers and is not connected all is open.
            (None, None) if answers => Told::Refused,
            (None, None) => Told::NoAnswer,
        };
        if !matches!(told, Told::Refused | Told::Gone) {
            self.asked = None;
        }
        match told {
            Told::Settled(reason) => reason,
            Told::NoAnswer => match &ended.heard {
                Some(Heard::Unreachable(words)) => cause::unreachable(words),
                Some(Heard::Answer) => cause::half_answer(ended.limit),
                None => cause::no_answer(ended.limit),
            },
            Told::Refused | Told::Gone => self.ask(url, destination, &told, ended.limit).await,
        }
    }

    async fn ask(&mut self, url: &SrtUrl, destination: Destination, told: &Told, limit: Duration) -> Reason {
        if let Some((address, at, reason)) = &self.asked
            && *address == destination.address
            && at.elapsed() < ASK_AGAIN
        {
            return reason.clone();
        }
        let answer = match url.mode {
            SrtMode::Caller => answer_of(url.clone(), destination).await,
            // Both sides call each other there: a second call could only disturb.
            SrtMode::Rendezvous | SrtMode::Listener => None,
        };
        let reason = match (answer, told) {
            (Some(Answer::Rejected(code)), _) => cause::rejected(code),
            (_, Told::Gone) => cause::closed_at_once(),
            (Some(Answer::Silent), _) => cause::half_answer(limit),
            (Some(Answer::Accepted { took, .. }), _) => cause::refused_once(Some(took)),
            (Some(Answer::Failed(_)) | None, _) => cause::refused_once(None),
        };
        self.asked = Some((destination.address, Instant::now(), reason.clone()));
        reason
    }
}

async fn answer_of(url: SrtUrl, destination: Destination) -> Option<Answer> {
    let local = local_address(&url, destination);
    let Destination { address, .. } = destination;
    let call = Call { url, address, local, default_latency_ms: DEFAULT_LATENCY_MS, timeout: ASK_MAX };
    let begin = Instant::now();
    let answer = off_thread("asking a receiver why it refuses", ASK_STUCK, move || call.place()).await.ok();
    tracing::debug!(?answer, took_ms = begin.elapsed().as_millis(), "asked the receiver why it refuses");
    answer
}

/// Why a branch could not be started.
pub(super) fn not_started(error: &FanoutError, url: &SrtUrl, destination: Destination) -> Reason {
    let own = local_address(url, destination).filter(|local| Some(*local) != destination.shared_local);
    match error {
        FanoutError::Launch(_) | FanoutError::Busy(_) => cause::internal(error),
        FanoutError::AddressInUse(_) => cause::address_in_use(own.unwrap_or(destination.address)),
        FanoutError::Refused(_) => match (local_trouble(url, destination), own) {
            (Some(reason), _) => reason,
            // Where nobody else has the port and srtsink can't have it, libsrt still holds it.
            (None, Some(local)) if url.mode != SrtMode::Listener && local.port() != 0 => cause::just_in_use(local),
            (None, _) => cause::internal(error),
        },
    }
}

/// What is wrong with an endpoint's own local address.
pub(super) fn local_trouble(url: &SrtUrl, destination: Destination) -> Option<Reason> {
    let local = local_address(url, destination).filter(|local| Some(*local) != destination.shared_local)?;
    match UdpSocket::bind(local).map_err(|error| error.kind()) {
        Err(std::io::ErrorKind::AddrInUse) => Some(cause::address_in_use(local)),
        Err(std::io::ErrorKind::AddrNotAvailable) => Some(cause::not_ours(local)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

    use super::*;
    use crate::model::endpoint::Cause;
    use crate::srt::Listener;

    const HEAD: &str = "Failed to write to SRT socket: Error on SRT socket: ";

    fn ended(words: Option<&str>, heard: Option<Heard>) -> NoConnection {
        let words = words.map(|words| format!("{HEAD}{words}"));
        NoConnection { code: None, words, heard, limit: Duration::from_secs(3), took: Duration::from_secs(1) }
    }

    #[tokio::test]
    async fn a_peer_is_asked_for_what_the_words_hide_and_not_again_for_the_same() {
        let (answer, calls) = (Arc::new(AtomicI32::new(1403)), Arc::new(AtomicUsize::new(0)));
        let (answers, counts) = (Arc::clone(&answer), Arc::clone(&calls));
        let listener = Listener::bind("127.0.0.1:0".parse().expect("address"), 120, move |_| {
            counts.fetch_add(1, Ordering::Relaxed);
            match answers.load(Ordering::Relaxed) {
                0 => Ok(()),
                code => Err(code),
            }
        })
        .expect("a port");
        let address = listener.local_address().expect("bound");
        let url: SrtUrl = format!("srt://{address}?streamid=x").parse().expect("URL");
        let destination = Destination { address, shared_local: None };
        let mut diagnosis = Diagnosis::default();
        let hidden = ended(Some("Application-defined rejection reason"), None);
        let silent = ended(None, Some(Heard::Answer));
        for ended in [&hidden, &hidden, &silent] {
            assert_eq!(diagnosis.of(ended, &url, destination).await.cause, Cause::RejectedByPeer(1403));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        // Another failure in between: the answer may be another.
        diagnosis.of(&ended(Some("Connection timeout"), None), &url, destination).await;
        answer.store(2042, Ordering::Relaxed);
        assert_eq!(diagnosis.of(&hidden, &url, destination).await.cause, Cause::RejectedByPeer(2042));
        // It takes the call that asks.
        answer.store(0, Ordering::Relaxed);
        for (ended, cause) in
            [(&hidden, Cause::RejectedByPeer(1000)), (&ended(Some("Unknown or erroneous"), None), Cause::PeerClosed)]
        {
            let reason = Diagnosis::default().of(ended, &url, destination).await;
            assert_eq!(reason.cause, cause, "{}", reason.text);
        }
    }

    #[tokio::test]
    async fn what_is_known_is_not_asked_for() {
        let nobody = "127.0.0.1:9".parse().expect("address");
        let url: SrtUrl = "srt://127.0.0.1:9".parse().expect("URL");
        let destination = Destination { address: nobody, shared_local: None };
        let unreachable = || Some(Heard::Unreachable("nobody listens".into()));
        for (ended, cause) in [
            (ended(None, None), Cause::Timeout),
            (ended(None, unreachable()), Cause::Unreachable),
            (ended(Some("Connection timeout"), unreachable()), Cause::Unreachable),
            (ended(Some("Connection timeout"), Some(Heard::Answer)), Cause::Timeout),
            (NoConnection { code: Some(16), ..ended(None, unreachable()) }, Cause::Unreachable),
            (NoConnection { code: Some(10), ..ended(None, Some(Heard::Answer)) }, Cause::BadPassphrase),
            (NoConnection { code: Some(0), ..ended(None, None) }, Cause::PeerClosed),
            (NoConnection { code: Some(4), ..ended(None, None) }, Cause::RejectedByPeer(4)),
            (NoConnection { code: Some(4), took: Duration::from_secs(3), ..ended(None, None) }, Cause::Timeout),
        ] {
            let mut diagnosis = Diagnosis::default();
            assert_eq!(diagnosis.of(&ended, &url, destination).await.cause, cause, "{ended:?}");
            assert!(diagnosis.asked.is_none());
        }
    }
}
