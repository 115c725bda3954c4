//! Why an endpoint does not deliver: a word for programs, a sentence for people.

use std::fmt;
use std::time::SystemTime;

/// The cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The name was not resolved.
    Dns,
    /// The network says that nobody is there: no route, or an ICMP error.
    Unreachable,
    /// Nobody answered.
    Timeout,
    /// The passphrases differ (`SRT_REJ_BADSECRET`).
    BadPassphrase,
    /// Only one side has a passphrase (`SRT_REJ_UNSECURE`).
    UnencryptedPeer,
    /// The peer refused, with this SRT reject code (see [`crate::model::srt_reject`]).
    RejectedByPeer(i32),
    /// The peer closed a connection that had stood.
    PeerClosed,
    /// Connected, and the peer acknowledged nothing new for too long.
    Stalled,
    /// This service refuses it: a denied address, or a way back to the stream itself.
    RefusedByPolicy,
    /// The local address or port is taken.
    AddressInUse,
    /// The stream has none of the tracks that the endpoint sends.
    NoTrack,
    /// A fault of this service.
    Internal,
}

impl Cause {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::BadPassphrase => "bad_passphrase",
            Self::UnencryptedPeer => "unencrypted_peer",
            Self::RejectedByPeer(_) => "rejected_by_peer",
            Self::PeerClosed => "peer_closed",
            Self::Stalled => "stalled",
            Self::RefusedByPolicy => "refused_by_policy",
            Self::AddressInUse => "address_in_use",
            Self::NoTrack => "no_track",
            Self::Internal => "internal",
        }
    }

    /// The SRT reject code, where the peer gave one.
    pub fn reject_code(self) -> Option<i32> {
        match self {
            Self::RejectedByPeer(code) => Some(code),
            _ => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an attempt was about when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Resolving the name and checking the address.
    Resolve,
    /// The handshake; in listener mode binding the port.
    Connect,
    /// Sending.
    Deliver,
}

impl Phase {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Deliver => "deliver",
        }
    }
}

/// The last failure of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// In which phase.
    pub phase: Phase,
    /// A sentence for people, without secrets.
    pub text: String,
    /// The attempt that failed, from 1 since the last success.
    pub attempt: u32,
    /// When it did.
    pub at: SystemTime,
    /// When the first of these failures in a row happened.
    pub since: SystemTime,
    /// When the next attempt starts; `None` while one runs, or when there is none.
    pub next_retry_at: Option<SystemTime>,
}
