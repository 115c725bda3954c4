//! An offer and what is taken of it: which tracks come, and which m-line is whose.
//!
//! Pure. Must not know a peer connection, which sees only the chosen m-lines; the others are between here and
//! the publisher.

use super::sdp::{self, Choice, Offer, VideoEncoding};
use super::{Candidate, OfferError, answer};
use crate::model::codec::TrackKind;

/// What was offered and what is taken of it.
#[derive(Debug)]
pub(super) struct Negotiated {
    pub(super) offer: Offer,
    pub(super) choice: Choice,
}

impl Negotiated {
    pub(super) fn new(offer: &str) -> Result<Self, OfferError> {
        let offer = sdp::check(offer)?;
        let choice = offer.choose()?;
        let indices = choice.indices();
        if indices.len() > 1 && !offer.bundled(&indices) {
            // One transport, one certificate to check: what cannot be bundled would need a gate for each.
            return Err(OfferError::Bad(
                "the offer's video and audio are not bundled; wanted: one BUNDLE group".into(),
            ));
        }
        Ok(Self { offer, choice })
    }

    /// The offer for the peer connection, and the candidates that it held.
    pub(super) fn narrow_offer(&self) -> (String, Vec<String>) {
        answer::without_candidates(&sdp::rewrite_offer(&self.offer, &self.choice))
    }

    /// The tracks that will come.
    pub(super) fn kinds(&self) -> impl Iterator<Item = TrackKind> {
        let video = self.choice.video.as_ref().map(|_| TrackKind::Video);
        video.into_iter().chain(self.choice.audio.as_ref().map(|_| TrackKind::Audio))
    }

    /// The m-line of the transport that a candidate of the peer is for; `None`: one that is not used.
    ///
    /// # Errors
    /// It names no m-line of the offer.
    pub(super) fn inner_mline(&self, candidate: &Candidate) -> Result<Option<u32>, OfferError> {
        self.choice.inner_mline(&self.offer, candidate.mline_index, candidate.mid.as_deref())
    }

    /// A candidate of this side, for the m-line that carries the transport.
    pub(super) fn outward(&self, candidate: String) -> Candidate {
        let outer = self.choice.outer_mline(&self.offer, 0);
        let (mline_index, mid) = outer.map_or((0, None), |(index, mid)| (index, Some(mid.to_owned())));
        Candidate { mline_index, mid, candidate }
    }

    /// Whether the publisher's pictures are the stream's.
    pub(super) fn passes_through(&self) -> bool {
        self.choice.video.as_ref().is_some_and(|video| video.encoding == VideoEncoding::H264)
    }
}
