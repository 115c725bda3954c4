//! One publisher from its offer to its end: the task that owns a peer connection and its publication.
//!
//! Must not know webrtcbin. The hard thing is to end: the peer says so (DTLS, ICE), or vanishes without a
//! word, or is told to go by the manager, by a shutdown or by its signalling; and the pipeline's teardown may
//! hang. So the id is given back first, and the pipeline is stopped behind it, off the runtime, with a deadline.
//!
//! The life of a session: *negotiates* (bounded) → *connects* until the first packet (`connect_timeout_ms`) →
//! *runs* until something ends it → *gives the id back* → *stops* the pipeline.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::feedback::KeyFramePace;
use super::media::Media;
use super::negotiated::Negotiated;
use super::peer::{Peer, PeerEvent, PeerSetup};
use super::statistics::RtpMeter;
use super::{Admission, NEWS_LEN, OfferError, Restarted, Session, SessionNews, Trickle, answer, ice, sdp};
use crate::config::Webrtc;
use crate::ingest::transcode::TranscodeLimits;
use crate::manager::Publication;
use crate::media::off_thread::off_thread;
use crate::nice::Credentials;
use crate::stream::Input;

/// Candidates and restarts that may wait for the task, which takes them at once.
const ORDERS_LEN: usize = ice::CANDIDATES_MAX + 1;
/// Building the pipeline takes some milliseconds; the first one in a process also makes the certificate.
const START_MAX: Duration = Duration::from_secs(2);
/// Stopping it, likewise; more is an element that hangs.
const STOP_MAX: Duration = Duration::from_secs(5);
/// How long an answer waits for this side's candidates. A STUN server that does not answer costs libnice
/// more; what is known by then is what is announced.
const GATHER_MAX: Duration = Duration::from_secs(2);
/// How long a restart of ICE waits for the session's task and for libnice; it takes a millisecond.
const RESTART_MAX: Duration = Duration::from_secs(3);
/// How often the clocks are looked at: until the stream is live, and then.
const LOOK_CONNECTING: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_millis(500);
/// How often RTP's counters are read.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// What a session's owner wants of its task, in this order: candidates belong to the restart before them.
#[derive(Debug)]
enum Order {
    /// A candidate of the peer, checked.
    Candidate(String),
    /// ICE is to begin anew, with these credentials of the peer, checked.
    Restart(Credentials, oneshot::Sender<Option<Restarted>>),
}

/// The session's side of its task.
#[derive(Debug)]
pub(super) struct Handle {
    orders: mpsc::Sender<Order>,
    /// Cancelled when the publication has been dropped.
    given_back: CancellationToken,
}

impl Handle {
    pub(super) fn add_candidate(&self, candidate: String) {
        // Full or closed: the session is ending, or has more candidates than it can ever try.
        let _ = self.orders.try_send(Order::Candidate(candidate));
    }

    /// `None`: the session is ending, or libnice has refused.
    pub(super) fn restart(&self, remote: Credentials) -> impl Future<Output = Option<Restarted>> + Send + use<> {
        let (reply, restarted) = oneshot::channel();
        let sent = self.orders.try_send(Order::Restart(remote, reply));
        async move {
            sent.ok()?;
            timeout(RESTART_MAX, restarted).await.ok()?.ok().flatten()
        }
    }

    pub(super) async fn given_back(&self) {
        self.given_back.cancelled().await;
    }
}

/// Answers the offer and starts the session's task.
pub(super) async fn establish(
    admission: Admission,
    offer: String,
    trickle: Trickle,
) -> Result<(String, Session, mpsc::Receiver<SessionNews>), OfferError> {
    let Admission { shared, publication, .. } = admission;
    let began = Instant::now();
    let webrtc = &shared.settings.webrtc;
    let full = |_| OfferError::Full(webrtc.sessions_max);
    let slot = Arc::clone(&shared.slots).try_acquire_owned().map_err(full)?;
    let negotiated = Arc::new(Negotiated::new(&offer)?);
    let (narrow, offered_candidates) = negotiated.narrow_offer();
    let setup = PeerSetup {
        key: publication.key().clone(),
        fingerprints: negotiated.offer.fingerprints.clone(),
        jitter_ms: webrtc.jitter_ms,
        udp_ports: webrtc.udp_ports.clone(),
        local_addresses: webrtc.local_addresses.clone(),
        stun_server: webrtc.stun_server.clone(),
        turn_server: webrtc.turn_server.clone(),
        ice_tcp: webrtc.ice_tcp,
        span: tracing::Span::current(),
    };
    let input = publication.input();
    let for_media = input.clone();
    let limits = TranscodeLimits {
        max_video_bitrate_kbps: webrtc.max_video_bitrate_kbps,
        key_frame_interval: Duration::from_millis(webrtc.key_frame_interval_ms.into()),
    };
    let start = move || Peer::start(setup, |events| Media::new(for_media, limits, events));
    let started = off_thread("starting a WebRTC peer", START_MAX, start).await;
    let (peer, mut events) = match started {
        Ok(Ok(started)) => started,
        Ok(Err(error)) => return Err(OfferError::Internal(error.to_string())),
        Err(stuck) => return Err(OfferError::Internal(stuck.to_string())),
    };
    let answered = peer.negotiate(&narrow, |inner| answer::repaired(&narrow, inner)).await;
    let inner = match answered {
        Ok(inner) => inner,
        Err(error) => {
            tracing::warn!(%error, "an offer could not be answered");
            stop(peer).await;
            return Err(error);
        }
    };
    let (mut early, mut local) = (VecDeque::new(), Vec::new());
    let inner = match trickle {
        Trickle::OneByOne => inner,
        Trickle::InAnswer => {
            let (candidates, complete) = gather(&mut events, &mut early).await;
            local.extend(candidates.iter().map(|candidate| ice::local(candidate, webrtc.public_address)));
            answer::with_candidates(&inner, &local, complete)
        }
    };
    let answer = match sdp::complete_answer(&negotiated.offer, &negotiated.choice, &inner) {
        Ok(answer) => answer,
        Err(error) => {
            stop(peer).await;
            return Err(error);
        }
    };
    for candidate in offered_candidates.iter().take(ice::CANDIDATES_MAX) {
        if let Ok(ice::Remote::Take(candidate)) = ice::remote(candidate, webrtc.ice_tcp) {
            peer.add_candidate(&candidate);
        }
    }
    input.follow_arrival();
    for kind in negotiated.kinds() {
        input.expect(kind);
    }
    tracing::debug!(took_ms = began.elapsed().as_millis(), "answered");
    let (news, receiver) = mpsc::channel(NEWS_LEN);
    let (orders, order_receiver) = mpsc::channel(ORDERS_LEN);
    let (ended, given_back) = (CancellationToken::new(), CancellationToken::new());
    let handle = Handle { orders, given_back: given_back.clone() };
    let key = publication.key().clone();
    let task = Task {
        input: input.clone(),
        key_frames: input.key_frame_requests(),
        negotiated: Arc::clone(&negotiated),
        events,
        early,
        orders: order_receiver,
        local,
        news,
        trickle,
        webrtc: webrtc.clone(),
        pace: KeyFramePace::new(webrtc.key_frame_interval_ms),
        ended: ended.clone(),
        shutdown: shared.shutdown.clone(),
        cancelled: publication.cancelled(),
        answered: Instant::now(),
        connected: false,
        restarting: None,
        live: false,
        meter: RtpMeter::default(),
        sample_at: Instant::now(),
    };
    tokio::spawn(task.run(peer, publication, given_back, slot).instrument(tracing::Span::current()));
    let ended = ended.drop_guard();
    let session = Session { shared, key, negotiated, handle, candidates: AtomicUsize::new(0), ended };
    Ok((answer, session, receiver))
}

/// Waits for this side's candidates, and says whether these are all; other events are kept.
async fn gather(events: &mut mpsc::Receiver<PeerEvent>, early: &mut VecDeque<PeerEvent>) -> (Vec<String>, bool) {
    let mut candidates = Vec::new();
    let all = async {
        while let Some(event) = events.recv().await {
            match event {
                PeerEvent::Candidate(candidate) => candidates.push(candidate),
                PeerEvent::Gathered => break,
                other => early.push_back(other),
            }
        }
    };
    let complete = timeout(GATHER_MAX, all).await.is_ok();
    if !complete {
        tracing::warn!(
            limit_ms = GATHER_MAX.as_millis(),
            known = candidates.len(),
            "candidates are still being gathered"
        );
    }
    (candidates, complete)
}

/// Stops a peer connection off the runtime; one that hangs is left behind, loudly.
async fn stop(peer: Peer) {
    let _ = off_thread("stopping a WebRTC peer", STOP_MAX, move || peer.stop()).await;
}

/// The task of one session.
struct Task {
    input: Input,
    /// Rises when the stream wants a key frame.
    key_frames: watch::Receiver<u64>,
    negotiated: Arc<Negotiated>,
    events: mpsc::Receiver<PeerEvent>,
    /// Events that came while the answer was made.
    early: VecDeque<PeerEvent>,
    orders: mpsc::Receiver<Order>,
    /// This side's candidates so far, as they are announced.
    local: Vec<String>,
    news: mpsc::Sender<SessionNews>,
    trickle: Trickle,
    webrtc: Webrtc,
    pace: KeyFramePace,
    /// The signalling's side of the end.
    ended: CancellationToken,
    shutdown: CancellationToken,
    /// The manager's side of the end.
    cancelled: CancellationToken,
    answered: Instant,
    /// The first packet came.
    connected: bool,
    /// ICE was restarted then, and has found no way since.
    restarting: Option<Instant>,
    /// The stream has been live, and [`SessionNews::Started`] is told.
    live: bool,
    meter: RtpMeter,
    sample_at: Instant,
}

impl Task {
    async fn run(
        mut self,
        peer: Peer,
        publication: Publication,
        given_back: CancellationToken,
        slot: OwnedSemaphorePermit,
    ) {
        let cause = self.serve(&peer).await;
        let seconds = self.answered.elapsed().as_secs();
        tracing::info!(cause, seconds, "WebRTC publisher ended");
        // The id first: a successor need not wait for this pipeline.
        drop(publication);
        given_back.cancel();
        self.tell(SessionNews::Ended(cause));
        stop(peer).await;
        drop(slot);
    }

    /// Runs until something ends it; says what.
    async fn serve(&mut self, peer: &Peer) -> String {
        loop {
            // Before the first packet nobody is there to be asked.
            let running = peer.media().silent_for().is_some();
            if running && !self.connected {
                self.connected = true;
                self.connected(peer, self.answered).await;
            }
            if let Some(cause) = self.look(peer) {
                return cause;
            }
            let now = Instant::now();
            if running && self.pace.take(now) {
                peer.ask_key_frame();
            }
            if running && now >= self.sample_at {
                self.sample_at = now + SAMPLE_EVERY;
                self.input.report(self.meter.sample(peer.received(), now));
            }
            let look = now + if self.live { LOOK } else { LOOK_CONNECTING };
            let wake = if running { self.pace.due(now).map_or(look, |due| due.min(look)) } else { look };
            if let Some(event) = self.early.pop_front() {
                if let Some(cause) = self.take(event) {
                    return cause;
                }
                continue;
            }
            tokio::select! {
                () = self.ended.cancelled() => return "ended by the publisher".to_owned(),
                () = self.cancelled.cancelled() => return "ended by the service".to_owned(),
                () = self.shutdown.cancelled() => return "the service ends".to_owned(),
                Some(event) = self.events.recv() => {
                    if event == PeerEvent::IceFound && let Some(began) = self.restarting.take() {
                        // Until now RTCP went the old way: what was asked for meanwhile may not have arrived.
                        self.pace.wish();
                        self.connected(peer, began).await;
                    }
                    if let Some(cause) = self.take(event) {
                        return cause;
                    }
                }
                Some(order) = self.orders.recv() => match order {
                    Order::Candidate(candidate) => peer.add_candidate(&candidate),
                    Order::Restart(remote, reply) => {
                        // Nobody waits for it any more: then the next attempt is.
                        let _ = reply.send(self.restart(peer, remote).await);
                    }
                },
                Ok(()) = self.key_frames.changed() => {
                    // A transcoder makes its own.
                    if self.negotiated.passes_through() {
                        self.pace.wish();
                    }
                }
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    /// Looks at the clocks; says why it is over, if it is.
    fn look(&mut self, peer: &Peer) -> Option<String> {
        if !self.live && self.input.is_live() {
            self.live = true;
            tracing::info!(took_ms = self.answered.elapsed().as_millis(), "WebRTC publisher is live");
            self.tell(SessionNews::Started);
        }
        let (connect_ms, silence_ms) = (self.webrtc.connect_timeout_ms, self.webrtc.silence_timeout_ms);
        match peer.media().silent_for() {
            None if self.answered.elapsed() > Duration::from_millis(connect_ms.into()) => {
                Some(format!("no media came within {connect_ms} ms of the answer"))
            }
            // Who restarts ICE is there, and has the whole time again to find a way.
            Some(silence)
                if self.restarting.map_or(silence, |then| then.elapsed().min(silence))
                    > Duration::from_millis(silence_ms.into()) =>
            {
                Some(format!("the publisher sent nothing for {silence_ms} ms"))
            }
            _ => None,
        }
    }

    /// Begins ICE anew. Media goes on by the old way until a new one is found.
    async fn restart(&mut self, peer: &Peer, remote: Credentials) -> Option<Restarted> {
        let Some(credentials) = peer.restart_ice(remote).await else {
            tracing::warn!("ICE could not be restarted");
            return None;
        };
        tracing::info!("ICE restarts");
        self.restarting = Some(Instant::now());
        let mline_index = self.negotiated.outward(String::new()).mline_index;
        Some(Restarted { mline_index, credentials, candidates: self.local.clone() })
    }

    /// There is a way since `began`: the first packet came (webrtcbin can say only then by which), or ICE has found
    /// one after a restart.
    async fn connected(&self, peer: &Peer, began: Instant) {
        let took_ms = began.elapsed().as_millis();
        let Some(pair) = peer.pair().await else {
            return tracing::info!(took_ms, "WebRTC publisher connected");
        };
        tracing::info!(
            took_ms, local = %pair.local, local_type = pair.local_kind, remote = %pair.remote,
            remote_type = pair.remote_kind, protocol = pair.protocol, "WebRTC publisher connected"
        );
    }

    fn take(&mut self, event: PeerEvent) -> Option<String> {
        match event {
            PeerEvent::Candidate(candidate) => {
                let candidate = ice::local(&candidate, self.webrtc.public_address);
                self.local.push(candidate.clone());
                if self.trickle == Trickle::OneByOne {
                    self.tell(SessionNews::Candidate(self.negotiated.outward(candidate)));
                }
            }
            PeerEvent::Gathered if self.trickle == Trickle::OneByOne => {
                self.tell(SessionNews::Candidate(self.negotiated.outward(String::new())));
            }
            PeerEvent::Gathered | PeerEvent::IceFound => {}
            PeerEvent::Connected => {
                tracing::debug!(took_ms = self.answered.elapsed().as_millis(), "ICE and DTLS are through");
            }
            PeerEvent::KeyFrameWished => self.pace.wish(),
            PeerEvent::IceFailed if !self.connected || self.restarting.is_some() => {
                // Of the candidates that are known; the peer's next may do, or its own checks may come.
                tracing::debug!("ICE has found no way yet");
            }
            PeerEvent::IceFailed => return Some("ICE lost the way to the publisher".to_owned()),
            PeerEvent::Lost(why) => return Some(why.to_owned()),
            PeerEvent::Refused(why) => return Some(format!("refused: {why}")),
            PeerEvent::Failed(why) => return Some(format!("the pipeline failed: {why}")),
        }
        None
    }

    fn tell(&self, news: SessionNews) {
        if let Err(error) = self.news.try_send(news) {
            tracing::debug!(%error, "nobody reads a session's news");
        }
    }
}
