//! From what ended an attempt to a cause: `srtsink`'s words, libsrt's reject codes, the resolver's and the network's
//! answers. Pure.
//!
//! `srtsink` passes on libsrt's words for a reject code (`srt_rejectreason_str`), one text for each of libsrt's own
//! codes, so those are read back exactly. All codes of the peer's program (1000 and more) share one text and leave the
//! cause open: see `diagnosis`. So does code 0: a connection that was closed at once, or a socket that libsrt has thrown
//! away a second after the refusal.

use std::time::Duration;

use super::delivery::Stall;
use super::resolve::ResolveError;
use super::state::Reason;
use crate::model::endpoint::{Cause, Phase, Tracks};
use crate::model::srt_reject::{self, RejectCode};

/// What `srtsink` puts in front of libsrt's words.
const PREFIXES: [&str; 4] =
    ["Failed to write to SRT socket: ", "Error on SRT socket: ", "Failed to authenticate: ", "Failed to open SRT: "];

/// libsrt's words for its codes from 1 on (`srt_rejection_reason_msg`).
const REJECTIONS: [(&str, RejectCode); 16] = [
    ("Error in system calls", RejectCode::System),
    ("Peer rejected connection", RejectCode::Peer),
    ("Resource allocation failure", RejectCode::Resource),
    ("Rogue peer or incorrect parameters", RejectCode::Rogue),
    ("Listener's backlog exceeded", RejectCode::Backlog),
    ("Internal Program Error", RejectCode::InternalError),
    ("Socket is being closed", RejectCode::Close),
    ("Peer version too old", RejectCode::PeerVersion),
    ("Rendezvous-mode cookie collision", RejectCode::RendezvousCookie),
    ("Incorrect passphrase", RejectCode::BadSecret),
    ("Password required or unexpected", RejectCode::Unsecure),
    ("MessageAPI/StreamAPI collision", RejectCode::MessageApi),
    ("Congestion controller type collision", RejectCode::Congestion),
    ("Packet Filter settings error", RejectCode::Filter),
    ("Group settings collision", RejectCode::Group),
    ("Connection timeout", RejectCode::Timeout),
];

/// libsrt's words for every code of the peer's program.
const OF_PROGRAM: &str = "Application-defined rejection reason";

/// libsrt's words for a connection that is gone, whoever ended it; the first are those for code 0.
const GONE: [&str; 3] = ["Unknown or erroneous", "Connection does not exist", "Connection was broken"];

/// What `srtsink`'s words say of an attempt that did not connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// All there is to know.
    Settled(Reason),
    /// Nobody answered; the network may know more.
    NoAnswer,
    /// The peer's program refused it, and why is not said.
    Refused,
    /// The socket is gone: the peer took the connection and closed it at once, or refused it so long ago that libsrt
    /// has forgotten why.
    Gone,
}

/// Reads the words of an error before the connection stood; `waited_out`: they came when libsrt's time was over.
///
/// A refusal ends an attempt at once. When the receiver's last answer is lost, its keep-alives come instead: libsrt notes
/// them as a rogue peer (`CUDT::processConnectResponse`), waits on, and tells that when the time is over.
pub(super) fn told(words: &str, waited_out: bool) -> Told {
    let words = bare(words);
    match REJECTIONS.iter().find(|(text, _)| *text == words) {
        Some((_, RejectCode::Timeout)) => Told::NoAnswer,
        Some((_, RejectCode::Rogue)) if waited_out => Told::NoAnswer,
        Some((_, code)) => Told::Settled(rejected(code.code())),
        None if words == OF_PROGRAM => Told::Refused,
        None if GONE.contains(&words) => Told::Gone,
        None => Told::Settled(internal(words)),
    }
}

/// Reads libsrt's code of an attempt that did not connect; `waited_out` as for [`told`].
pub(super) fn told_code(code: i32, waited_out: bool) -> Told {
    match RejectCode::from_code(code) {
        Some(RejectCode::Unknown) => Told::Settled(closed_at_once()),
        Some(RejectCode::Timeout) => Told::NoAnswer,
        Some(RejectCode::Rogue) if waited_out => Told::NoAnswer,
        _ => Told::Settled(rejected(code)),
    }
}

/// The peer took the connection and closed it before anything was seen of it.
pub(super) fn closed_at_once() -> Reason {
    connect(Cause::PeerClosed, "the receiver took the connection and closed it at once".to_owned())
}

fn bare(words: &str) -> &str {
    let mut rest = words;
    while let Some(shorter) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(prefix)) {
        rest = shorter;
    }
    rest.trim()
}

/// The peer refused, with this code.
pub(super) fn rejected(code: i32) -> Reason {
    let cause = match RejectCode::from_code(code) {
        Some(RejectCode::BadSecret) => Cause::BadPassphrase,
        Some(RejectCode::Unsecure) => Cause::UnencryptedPeer,
        Some(RejectCode::Timeout) => Cause::Timeout,
        _ => Cause::RejectedByPeer(code),
    };
    connect(cause, format!("the receiver refused: {}", srt_reject::describe(code)))
}

/// The peer did not take a connection, and when it was called to say why it did, or could not be called.
pub(super) fn refused_once(took: Option<Duration>) -> Reason {
    let text = match took {
        Some(took) => format!(
            "the receiver did not take the connection, and took another one within {} ms: it may have been busy or starting",
            took.as_millis()
        ),
        None => "the receiver did not take the connection, for a reason that can't be read".to_owned(),
    };
    connect(Cause::RejectedByPeer(RejectCode::Fallback.code()), text)
}

/// Nobody answered within `limit`.
pub(super) fn no_answer(limit: Duration) -> Reason {
    connect(Cause::Timeout, format!("the receiver does not answer: nothing came within {} ms", limit.as_millis()))
}

/// Somebody answers there, and the connection did not come about.
pub(super) fn half_answer(limit: Duration) -> Reason {
    let limit_ms = limit.as_millis();
    let text = format!(
        "an SRT listener answers there, but the handshake was not completed within {limit_ms} ms: is its port busy, or \
         does a firewall let only short packets through?"
    );
    connect(Cause::Timeout, text)
}

/// The network says that nobody is there.
pub(super) fn unreachable(words: &str) -> Reason {
    connect(Cause::Unreachable, format!("the receiver is unreachable: {words}"))
}

/// The local port is taken.
pub(super) fn address_in_use(address: std::net::SocketAddr) -> Reason {
    connect(Cause::AddressInUse, format!("the local UDP address {address} is in use by another program or endpoint"))
}

/// The local port is taken, and not for long: libsrt gives a port back some seconds after its last socket.
pub(super) fn just_in_use(address: std::net::SocketAddr) -> Reason {
    let text = format!(
        "the local UDP address {address} is in use by an endpoint that has just ended; it is free in some seconds"
    );
    connect(Cause::AddressInUse, text)
}

/// The local address is none.
pub(super) fn not_ours(address: std::net::SocketAddr) -> Reason {
    connect(Cause::Internal, format!("{} is no address of this host", address.ip()))
}

fn connect(cause: Cause, text: String) -> Reason {
    Reason { cause, phase: Phase::Connect, text }
}

/// A fault of this service, not of the receiver.
pub(super) fn internal(error: impl ToString) -> Reason {
    connect(Cause::Internal, error.to_string())
}

/// No address to dial.
pub(super) fn of_resolver(error: &ResolveError) -> Reason {
    let cause = match error {
        ResolveError::Dns { .. } | ResolveError::DnsTimeout(_) => Cause::Dns,
        ResolveError::Forbidden(_) | ResolveError::FeedsBack(_) => Cause::RefusedByPolicy,
    };
    Reason { cause, phase: Phase::Resolve, text: error.to_string() }
}

/// The stream has nothing for an endpoint that sends these tracks.
pub(super) fn no_track(wanted: Tracks) -> Reason {
    let text = format!(
        "the stream has no {wanted}, which is all that this endpoint sends; it connects when there is one",
        wanted = wanted.as_str()
    );
    Reason { cause: Cause::NoTrack, phase: Phase::Connect, text }
}

/// What ended a connection that had stood. `owed` is for how long data had waited for an acknowledgement, `quiet` for how
/// long there had been nothing to send.
pub(super) fn broken(words: Option<&str>, owed: Duration, quiet: Duration) -> Reason {
    /// Acknowledgements come every 10 ms: one that has been missing for so long was not cut off by a farewell.
    const SILENT_MIN: Duration = Duration::from_secs(1);
    /// libsrt gives a peer up that has said nothing for 5 s (`SRTO_PEERIDLETIMEO`), and does not tell that from a farewell.
    const IDLE_MIN: Duration = Duration::from_millis(4_500);
    let words = words.map(bare);
    if let Some(words) = words.filter(|words| !GONE.contains(words)) {
        return deliver(Cause::Internal, words.to_owned());
    }
    if owed >= SILENT_MIN {
        let text = format!(
            "the receiver had acknowledged nothing for {:.1} s when the connection was given up as dead",
            owed.as_secs_f64()
        );
        return deliver(Cause::Stalled, text);
    }
    if quiet >= IDLE_MIN {
        let text =
            "the receiver closed the connection, or was lost: nothing was being sent that it could have acknowledged";
        return deliver(Cause::PeerClosed, text.to_owned());
    }
    deliver(Cause::PeerClosed, "the receiver closed the connection".to_owned())
}

/// The receiver is connected, and what is sent does not arrive.
pub(super) fn stalled(stall: Stall) -> Reason {
    let text = match stall {
        Stall::Unacknowledged(time) => {
            format!("the receiver is connected and has acknowledged nothing new for {:.1} s", time.as_secs_f64())
        }
        Stall::TooLate(percent) => format!(
            "the way to the receiver is too narrow or too lossy: {percent} % of what is sent was dropped as too late"
        ),
    };
    deliver(Cause::Stalled, text)
}

fn deliver(cause: Cause, text: String) -> Reason {
    Reason { cause, phase: Phase::Deliver, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn srtsinks_words_before_a_connection() {
        let head = "Failed to write to SRT socket: ";
        for (words, cause, part) in [
            ("Failed to authenticate: Incorrect passphrase", Cause::BadPassphrase, "SRT_REJ_BADSECRET"),
            ("Failed to authenticate: Password required or unexpected", Cause::UnencryptedPeer, "SRT_REJ_UNSECURE"),
            ("Error on SRT socket: Peer rejected connection", Cause::RejectedByPeer(2), "(2: SRT_REJ_PEER)"),
            ("Error on SRT socket: Listener's backlog exceeded", Cause::RejectedByPeer(5), "SRT_REJ_BACKLOG"),
            ("Error on SRT socket: Packet Filter settings error", Cause::RejectedByPeer(14), "SRT_REJ_FILTER"),
            ("not-negotiated", Cause::Internal, "not-negotiated"),
        ] {
            let Told::Settled(reason) = told(&format!("{head}{words}"), false) else { panic!("{words} is open") };
            assert_eq!((reason.cause, reason.phase), (cause, Phase::Connect), "{words}");
            assert!(reason.text.contains(part), "{}", reason.text);
        }
        for (words, wanted) in [
            ("Error on SRT socket: Connection timeout", Told::NoAnswer),
            ("Error on SRT socket: Application-defined rejection reason", Told::Refused),
            ("Error on SRT socket: Unknown or erroneous", Told::Gone),
        ] {
            assert_eq!(told(&format!("{head}{words}"), false), wanted, "{words}");
        }
    }

    #[test]
    fn a_rogue_peer_at_the_end_of_the_time_is_a_lost_answer() {
        let words = "Error on SRT socket: Rogue peer or incorrect parameters";
        assert_eq!(told(words, true), Told::NoAnswer);
        assert_eq!(told_code(RejectCode::Rogue.code(), true), Told::NoAnswer);
        assert_eq!(told(words, false), Told::Settled(rejected(RejectCode::Rogue.code())));
    }

    #[test]
    fn a_code_keeps_its_number_and_its_name() {
        assert_eq!(told_code(0, false), Told::Settled(closed_at_once()));
        assert_eq!(told_code(16, false), Told::NoAnswer);
        assert_eq!(told_code(1403, false), Told::Settled(rejected(1403)));
        for (code, cause, part) in [
            (10, Cause::BadPassphrase, "10: SRT_REJ_BADSECRET"),
            (11, Cause::UnencryptedPeer, "11: SRT_REJ_UNSECURE"),
            (1403, Cause::RejectedByPeer(1403), "access is denied (1403: SRT_REJX_FORBIDDEN)"),
            (2042, Cause::RejectedByPeer(2042), "(2042)"),
        ] {
            let reason = rejected(code);
            assert_eq!(reason.cause, cause);
            assert!(reason.text.contains(part), "{}", reason.text);
        }
    }

    #[test]
    fn the_end_of_a_connection_is_a_farewell_or_a_silence() {
        let gone = "Failed to write to SRT socket: Error on SRT socket: Unknown or erroneous";
        for (words, owed_ms, quiet_ms, cause, part) in [
            (Some(gone), 0, 0, Cause::PeerClosed, "closed the connection"),
            (None, 400, 0, Cause::PeerClosed, "closed the connection"),
            (Some(gone), 5000, 0, Cause::Stalled, "for 5.0 s"),
            // Of a peer that goes while nothing is sent nobody can say how it went.
            (Some(gone), 0, 5000, Cause::PeerClosed, "or was lost"),
            (Some(gone), 0, 1000, Cause::PeerClosed, "closed the connection"),
            (Some("Failed to write to SRT socket: Connection was broken"), 0, 0, Cause::PeerClosed, "closed"),
            (Some("Internal data stream error."), 0, 0, Cause::Internal, "Internal data"),
        ] {
            let ms = Duration::from_millis;
            let reason = broken(words, ms(owed_ms), ms(quiet_ms));
            assert_eq!((reason.cause, reason.phase), (cause, Phase::Deliver), "{words:?} {owed_ms}");
            assert!(reason.text.contains(part), "{}", reason.text);
        }
    }
}
