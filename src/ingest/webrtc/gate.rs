//! Who may send: the gate between a peer connection and the stream.
//!
//! Owns the verdict; must not know webrtcbin. The hard thing is that it must be found before anything passes:
//! webrtcbin of GStreamer 1.22 takes any certificate, and its `dtlssrtpdec` takes packets even without
//! encryption until the handshake is done. So media that comes before the certificate has been found to be
//! the offer's ends the session, as a wrong certificate does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::fingerprint;
use super::peer::{Events, PeerEvent};
use super::sdp::Fingerprint;

/// Whether the peer's certificate has been seen and is the offer's.
#[derive(Debug)]
pub(super) struct Gate {
    fingerprints: Vec<Fingerprint>,
    verified: AtomicBool,
    /// DTLS transports that were made.
    transports: AtomicUsize,
    /// The first refusal is told, once.
    refused: AtomicBool,
    events: Events,
}

impl Gate {
    pub(super) fn new(fingerprints: Vec<Fingerprint>, events: Events) -> Self {
        Self {
            fingerprints,
            verified: AtomicBool::new(false),
            transports: AtomicUsize::new(0),
            refused: AtomicBool::new(false),
            events,
        }
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    /// The certificate of a handshake, in PEM; again at each that may follow.
    pub(super) fn certificate(&self, pem: &str) {
        match fingerprint::verify(pem, &self.fingerprints) {
            Ok(()) => self.verified.store(true, Ordering::Release),
            Err(mismatch) => self.refuse(mismatch.to_string()),
        }
    }

    /// Shuts for good.
    pub(super) fn refuse(&self, why: String) {
        self.verified.store(false, Ordering::Release);
        if !self.refused.swap(true, Ordering::AcqRel) {
            self.events.send(PeerEvent::Refused(why));
        }
    }

    /// A DTLS transport was made. Everything runs over one: another would get past the check of the first.
    pub(super) fn transport(&self) {
        if self.transports.fetch_add(1, Ordering::AcqRel) > 0 {
            self.refuse("a second DTLS transport was made".to_owned());
        }
    }

    /// Whether media may pass.
    pub(super) fn is_open(&self) -> bool {
        self.verified.load(Ordering::Acquire) && !self.refused.load(Ordering::Acquire)
    }
}
