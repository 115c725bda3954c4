//! The dialogue of one socket, without the socket: messages and events in, messages and actions out.
//!
//! Owns the order of things. Must not wait, nor know actix or a peer connection. The hard things: whatever
//! was started for a publication may still report after the client has stopped it and published again, so
//! each publication has a number of its own, and reports with an old one are ignored; and Ant Media's SDK
//! brings a stopped publication back to life when it hears anything of it but `publish_finished`.
//!
//! The life of a publication: *asked* (the ingest is asked for the id) → *invited* (`start` was sent, an
//! offer is waited for) → *offered* (the ingest makes the answer) → *answered* → *live* (media flows). From
//! any of them → *leaving* (it is being taken down; a new one of the same id waits behind it) → gone.

use std::collections::BTreeMap;

use super::message::{self, Code, Command, Fault, Wanted, error, notification};
use crate::api::dto::StreamInfo;
use crate::ingest::webrtc::{Candidate, OfferError, SessionNews};
use crate::manager::PublishRefusal;
use crate::model::ids::StreamId;

/// Publications of one socket at a time.
pub(super) const PUBLICATIONS_MAX: usize = 16;
/// Candidates taken from a client for one publication: a host with 20 addresses gathers about 80.
const CANDIDATES_MAX: usize = 256;

/// Numbers the publications of a socket.
pub(super) type Attempt = u64;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Send this to the client.
    Send(String),
    /// Tell the client which ICE servers to use.
    SendIceServers,
    /// Look how a stream fares, and say it by [`Dialogue::described`].
    Describe(StreamId),
    /// Ask for the id; report by [`Dialogue::admitted`], and by [`Dialogue::overdue`] when the time for an
    /// offer is over.
    Admit(Attempt, Wanted),
    /// Answer the offer; report by [`Dialogue::answered`].
    Answer(Attempt, String),
    /// Hand a candidate to the peer connection.
    Candidate(Attempt, Candidate),
    /// End whatever there is of it; report by [`Dialogue::closed`].
    Close(Attempt),
}

#[derive(Debug)]
enum Stage {
    Asked,
    Invited,
    Offered,
    Answered,
    Live,
    Leaving(Leaving),
}

/// What is still to come of a publication that is being taken down.
#[derive(Debug, Default)]
struct Leaving {
    /// Waits behind it.
    next: Option<Wanted>,
    /// Said when it is gone, unless the client has stopped it by then: a browser that stops closes its peer
    /// connection first, and that may be heard before its `stop`.
    untold: Option<String>,
}

#[derive(Debug)]
struct Publication {
    attempt: Attempt,
    wanted: Wanted,
    stage: Stage,
    /// An offer that did not wait for `start`.
    early_offer: Option<String>,
    /// Candidates that came before the answer was made.
    early: Vec<Candidate>,
    /// Candidates that came at all.
    candidates: usize,
}

/// The dialogue of one socket.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    publications: BTreeMap<StreamId, Publication>,
    attempts: Attempt,
}

impl Dialogue {
    /// A message of the client's.
    pub(super) fn received(&mut self, text: &str) -> Vec<Step> {
        let command = match message::read(text) {
            Ok(command) => command,
            Err(Fault::Malformed(reason)) => return send(error(Code::Malformed, None, Some(&reason))),
            Err(Fault::NoStream) => return send(error(Code::NoStreamName, None, None)),
            Err(Fault::BadStream { given, reason }) => {
                return send(error(Code::InvalidStreamName, Some(&given), Some(&reason)));
            }
        };
        match command {
            Command::IceServers => vec![Step::SendIceServers],
            Command::Ping => send(message::pong()),
            Command::Publish(wanted) => self.publish(wanted),
            Command::Offer(stream, sdp) => self.offer(&stream, sdp),
            Command::Candidate(stream, candidate) => self.candidate(&stream, candidate),
            Command::Stop(stream) => self.stop(&stream),
            Command::StreamInfo(stream) => vec![Step::Describe(stream)],
            Command::Play(stream) => send(error(Code::NoSuchStream, Some(stream.as_str()), None)),
            Command::Nothing => Vec::new(),
        }
    }

    /// How a stream fares; None: there is none, or nothing is known of it.
    pub(super) fn described(stream: &StreamId, info: Option<&StreamInfo>) -> String {
        match info {
            Some(info) => message::stream_information(stream, info),
            None => error(Code::NoSuchStream, Some(stream.as_str()), None),
        }
    }

    fn publish(&mut self, wanted: Wanted) -> Vec<Step> {
        let stream = wanted.stream.clone();
        let full = self.publications.len() >= PUBLICATIONS_MAX;
        match self.publications.get_mut(&stream) {
            Some(Publication { stage: Stage::Leaving(leaving), .. }) => {
                leaving.next = Some(wanted);
                Vec::new()
            }
            Some(_) => send(error(Code::AlreadyPublishing, Some(stream.as_str()), None)),
            None if full => {
                let reason = format!("one connection publishes at most {PUBLICATIONS_MAX} streams");
                send(error(Code::HighResourceUsage, Some(stream.as_str()), Some(&reason)))
            }
            None => self.begin(wanted),
        }
    }

    fn begin(&mut self, wanted: Wanted) -> Vec<Step> {
        self.attempts += 1;
        let attempt = self.attempts;
        let publication = Publication {
            attempt,
            wanted: wanted.clone(),
            stage: Stage::Asked,
            early_offer: None,
            early: Vec::new(),
            candidates: 0,
        };
        self.publications.insert(wanted.stream.clone(), publication);
        vec![Step::Admit(attempt, wanted)]
    }

    /// An offer for a publication that isn't (any more) waiting for one gets no answer: after a `stop`, any
    /// answer but `publish_finished` would do harm.
    fn offer(&mut self, stream: &StreamId, sdp: Option<String>) -> Vec<Step> {
        let Some(publication) = self.publications.get_mut(stream) else { return Vec::new() };
        match (&publication.stage, sdp) {
            (Stage::Invited, Some(sdp)) => {
                publication.stage = Stage::Offered;
                vec![Step::Answer(publication.attempt, sdp)]
            }
            // Answered once the id is claimed.
            (Stage::Asked, Some(sdp)) => {
                publication.early_offer = Some(sdp);
                Vec::new()
            }
            (Stage::Invited, None) => {
                let told = error(Code::NotSetRemoteDescription, Some(stream.as_str()), Some("the offer has no sdp"));
                self.refuse(stream, told)
            }
            (Stage::Answered | Stage::Live, _) => {
                let reason = "a published stream can't be offered anew; stop it first";
                send(error(Code::NotSetRemoteDescription, Some(stream.as_str()), Some(reason)))
            }
            _ => Vec::new(),
        }
    }

    fn candidate(&mut self, stream: &StreamId, candidate: Candidate) -> Vec<Step> {
        let Some(publication) = self.publications.get_mut(stream) else { return Vec::new() };
        publication.candidates += 1;
        if publication.candidates > CANDIDATES_MAX {
            return Vec::new();
        }
        match publication.stage {
            Stage::Invited | Stage::Offered => {
                publication.early.push(candidate);
                Vec::new()
            }
            Stage::Answered | Stage::Live => vec![Step::Candidate(publication.attempt, candidate)],
            Stage::Asked if publication.early_offer.is_some() => {
                publication.early.push(candidate);
                Vec::new()
            }
            Stage::Asked | Stage::Leaving(_) => Vec::new(),
        }
    }

    fn stop(&mut self, stream: &StreamId) -> Vec<Step> {
        let Some(publication) = self.publications.get_mut(stream) else { return Vec::new() };
        if let Stage::Leaving(leaving) = &mut publication.stage {
            let untold = leaving.untold.take().map(|_| publication.wanted.clone());
            // One that waited behind it never began; one that is told of already is not told of again.
            let stopped = leaving.next.take().or(untold);
            return stopped.map_or_else(Vec::new, |stopped| send(notification("publish_finished", &stopped)));
        }
        let finished = notification("publish_finished", &publication.wanted);
        self.refuse(stream, finished)
    }

    /// Takes a publication down and tells the client so.
    fn refuse(&mut self, stream: &StreamId, told: String) -> Vec<Step> {
        let Some(publication) = self.publications.get_mut(stream) else { return Vec::new() };
        publication.stage = Stage::Leaving(Leaving::default());
        vec![Step::Close(publication.attempt), Step::Send(told)]
    }

    /// The publication of this number, if it is not leaving.
    fn current(&mut self, attempt: Attempt) -> Option<&mut Publication> {
        self.publications
            .values_mut()
            .find(|publication| publication.attempt == attempt && !matches!(publication.stage, Stage::Leaving(_)))
    }

    /// The ingest has the id for this publication, or refuses.
    pub(super) fn admitted(&mut self, attempt: Attempt, outcome: Result<(), &PublishRefusal>) -> Vec<Step> {
        let Some(publication) = self.current(attempt) else { return Vec::new() };
        match outcome {
            Ok(()) => {
                let start = Step::Send(message::start(&publication.wanted));
                let Some(sdp) = publication.early_offer.take() else {
                    publication.stage = Stage::Invited;
                    return vec![start];
                };
                publication.stage = Stage::Offered;
                vec![start, Step::Answer(attempt, sdp)]
            }
            Err(refusal) => {
                let stream = publication.wanted.stream.clone();
                let (code, information) = worded(refusal);
                self.refuse(&stream, error(code, Some(stream.as_str()), information.as_deref()))
            }
        }
    }

    /// The time for an offer is over.
    pub(super) fn overdue(&mut self, attempt: Attempt) -> Vec<Step> {
        let Some(publication) = self.current(attempt) else { return Vec::new() };
        if !matches!(publication.stage, Stage::Invited) {
            return Vec::new();
        }
        let stream = publication.wanted.stream.clone();
        let told = error(Code::PublishTimeout, Some(stream.as_str()), Some("no offer came in time"));
        self.refuse(&stream, told)
    }

    /// The ingest has made an answer, or can't.
    pub(super) fn answered(&mut self, attempt: Attempt, outcome: Result<&str, &OfferError>) -> Vec<Step> {
        let Some(publication) = self.current(attempt) else { return Vec::new() };
        match outcome {
            Ok(sdp) => {
                publication.stage = Stage::Answered;
                let early = std::mem::take(&mut publication.early);
                let answer = Step::Send(message::answer(&publication.wanted, sdp));
                std::iter::once(answer).chain(early.into_iter().map(|c| Step::Candidate(attempt, c))).collect()
            }
            Err(reason) => {
                let stream = publication.wanted.stream.clone();
                let (code, information) = match reason {
                    OfferError::Bad(reason) => (Code::NotSetRemoteDescription, Some(reason.clone())),
                    OfferError::NoCodec(reason) => (Code::NoCodec, Some(reason.clone())),
                    OfferError::Full(_) => (Code::HighResourceUsage, Some(reason.to_string())),
                    OfferError::Internal(_) => (Code::ServerError, None),
                };
                self.refuse(&stream, error(code, Some(stream.as_str()), information.as_deref()))
            }
        }
    }

    /// News of a peer connection.
    pub(super) fn news(&mut self, attempt: Attempt, news: &SessionNews) -> Vec<Step> {
        let Some(publication) = self.current(attempt) else { return Vec::new() };
        let wanted = &publication.wanted;
        match news {
            // That all are gathered needs no message: the SDK waits for nothing.
            SessionNews::Candidate(candidate) if candidate.candidate.is_empty() => Vec::new(),
            SessionNews::Candidate(candidate) => send(message::candidate(&wanted.stream, candidate)),
            SessionNews::Started => {
                let told = notification("publish_started", wanted);
                publication.stage = Stage::Live;
                send(told)
            }
            SessionNews::Ended(cause) => {
                let stream = wanted.stream.clone();
                if matches!(publication.stage, Stage::Live) {
                    let told = notification("publish_finished", wanted);
                    return self.refuse(&stream, told);
                }
                let untold = Some(error(Code::PublishTimeout, Some(stream.as_str()), Some(cause)));
                publication.stage = Stage::Leaving(Leaving { next: None, untold });
                vec![Step::Close(attempt)]
            }
        }
    }

    /// Nothing is left of the publication; the next of its id may begin.
    pub(super) fn closed(&mut self, attempt: Attempt) -> Vec<Step> {
        let found = self.publications.iter().find(|(_, publication)| publication.attempt == attempt);
        let Some(stream) = found.map(|(stream, _)| stream.clone()) else { return Vec::new() };
        let Some(Stage::Leaving(leaving)) = self.publications.remove(&stream).map(|publication| publication.stage)
        else {
            return Vec::new();
        };
        let begun = leaving.next.map(|next| self.begin(next)).unwrap_or_default();
        leaving.untold.map(Step::Send).into_iter().chain(begun).collect()
    }
}

fn send(message: String) -> Vec<Step> {
    vec![Step::Send(message)]
}

/// Ant Media's code for a refusal, with the reason where the client can mend it.
fn worded(refusal: &PublishRefusal) -> (Code, Option<String>) {
    match refusal {
        PublishRefusal::InUse(_) => (Code::StreamIdInUse, None),
        PublishRefusal::BadStreamId { .. } | PublishRefusal::UnknownApp(_) => {
            (Code::InvalidStreamName, Some(refusal.to_string()))
        }
        PublishRefusal::ShuttingDown => (Code::NotInitialized, Some(refusal.to_string())),
        PublishRefusal::Internal(_) => (Code::ServerError, None),
    }
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
