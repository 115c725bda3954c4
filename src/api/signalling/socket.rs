//! One client's socket: the dialogue's steps done, its events brought to it.
//!
//! Owns the waiting: for messages, for the ingest, for silence, for a client that does not read. Must not
//! decide what is said. The hard thing: whatever way a socket ends, what was begun for it must end too, and
//! what the ingest still brings then must not be lost but closed.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{rt, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, ProtocolError, Session};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::message::{self, Code, Wanted};
use super::protocol::{Attempt, Dialogue, Step};
use crate::api::ApiState;
use crate::api::dto::StreamInfo;
use crate::api::publishers::seam::{Admitted, Answered, Peer};
use crate::api::publishers::{Leaving, meta};
use crate::ingest::webrtc::{OfferError, SessionNews, Trickle};
use crate::manager::{PublishRefusal, PublishRequest};
use crate::model::broadcast::PublishType;
use crate::model::ids::{AppName, StreamId, StreamKey};

/// How often silence and overdue offers are looked for.
const TICK: Duration = Duration::from_millis(1_000);
/// How often the server asks whether the client is there; browsers answer by themselves.
const PING_EVERY: Duration = Duration::from_millis(5_000);
/// A client that has said nothing for so long is gone.
const SILENCE_MAX: Duration = Duration::from_millis(20_000);
/// From `start` to the offer; Ant Media's `webRTCClientStartTimeoutMs`.
const OFFER_WAIT: Duration = Duration::from_millis(10_000);
/// A client that has not taken a message by then does not read. 32 more wait before it (actix-ws).
const SEND_WAIT: Duration = Duration::from_millis(5_000);
/// How long a closing handshake may take.
const CLOSE_WAIT: Duration = Duration::from_millis(1_000);
/// Events of the ingest that may wait for the socket's loop; who reports more waits.
const EVENTS_LEN: usize = 64;

/// How long each wait of a socket may take. They are values, not only constants, so that tests need not
/// wait as long.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Bounds {
    /// See [`TICK`].
    pub(in crate::api) tick: Duration,
    /// See [`PING_EVERY`].
    pub(in crate::api) ping_every: Duration,
    /// See [`SILENCE_MAX`].
    pub(in crate::api) silence: Duration,
    /// See [`OFFER_WAIT`].
    pub(in crate::api) offer: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { tick: TICK, ping_every: PING_EVERY, silence: SILENCE_MAX, offer: OFFER_WAIT }
    }
}

/// Whose socket it is.
pub(super) struct Client {
    /// Everything that is asked.
    pub(super) state: web::Data<ApiState>,
    /// The application of its path.
    pub(super) app: AppName,
    /// Its address.
    pub(super) peer: SocketAddr,
    /// What it calls itself.
    pub(super) user_agent: Option<String>,
}

/// Its two directions.
pub(super) struct Wires {
    pub(super) out: Session,
    pub(super) messages: AggregatedMessageStream,
    pub(super) too_large: Rc<Notify>,
}

/// What a publication has of the ingest.
enum Held {
    Asking,
    Admitted {
        admitted: Box<dyn Admitted>,
        overdue: Instant,
    },
    Answering,
    Connected(Arc<dyn Peer>),
    /// Ended while the ingest was asked; what it brings is closed.
    Leaving {
        _mark: Leaving,
    },
}

/// What the ingest reports.
enum Event {
    Admitted(Attempt, Result<Box<dyn Admitted>, PublishRefusal>),
    Answered(Attempt, Result<Answered, OfferError>),
    News(Attempt, SessionNews),
    Closed(Attempt),
}

struct Socket {
    client: Client,
    out: Session,
    dialogue: Dialogue,
    held: BTreeMap<Attempt, (StreamKey, Held)>,
    events: mpsc::Sender<Event>,
}

/// Serves one client until either side ends it.
pub(super) async fn serve(client: Client, wires: Wires) {
    let Wires { out, mut messages, too_large } = wires;
    let (events, mut reports) = mpsc::channel(EVENTS_LEN);
    let stopping = client.state.stopping.clone();
    let mut socket = Socket { client, out, dialogue: Dialogue::default(), held: BTreeMap::new(), events };
    let bounds = socket.client.state.socket_bounds;
    let mut tick = interval(bounds.tick);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut pinged) = (Instant::now(), Instant::now());
    let reason = loop {
        let done = tokio::select! {
            () = stopping.cancelled() => {
                let _ = socket.send(message::server_will_stop()).await;
                break Some(CloseCode::Away);
            }
            () = too_large.notified() => {
                let _ = socket.send(message::error(Code::TooLarge, None, Some("a message may have 80 KB"))).await;
                break Some(CloseCode::Size);
            }
            message = messages.recv() => {
                heard = Instant::now();
                match message {
                    Some(Ok(AggregatedMessage::Text(text))) => socket.received(&text).await,
                    Some(Ok(AggregatedMessage::Ping(bytes))) => socket.pong(&bytes).await,
                    Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
                    Some(Ok(AggregatedMessage::Binary(_))) => {
                        socket.send(message::error(Code::Malformed, None, Some("text is wanted"))).await
                    }
                    Some(Ok(AggregatedMessage::Close(_))) => break Some(CloseCode::Normal),
                    // The connection's end; many browsers close without a word.
                    None => break None,
                    Some(Err(ProtocolError::Io(error))) if error.kind() != ErrorKind::InvalidData => break None,
                    Some(Err(error)) => {
                        tracing::debug!(peer = %socket.client.peer, %error, "a WebSocket broke");
                        break Some(CloseCode::Protocol);
                    }
                }
            }
            Some(event) = reports.recv() => socket.event(event).await,
            _ = tick.tick() => {
                if heard.elapsed() > bounds.silence {
                    tracing::debug!(peer = %socket.client.peer, "a WebSocket was silent for too long");
                    break Some(CloseCode::Away);
                }
                if pinged.elapsed() >= bounds.ping_every {
                    pinged = Instant::now();
                    socket.ping().await
                } else {
                    socket.overdue().await
                }
            }
        };
        if done.is_err() {
            tracing::debug!(peer = %socket.client.peer, "a WebSocket client does not read");
            break None;
        }
    };
    let out = socket.end();
    let Some(code) = reason else { return };
    let closing = async {
        let _ = out.close(Some(CloseReason::from(code))).await;
        // What is still on its way is taken in, lest a reset overtakes the answer.
        while let Some(Ok(_)) = messages.recv().await {}
    };
    let _ = timeout(CLOSE_WAIT, closing).await;
}

impl Socket {
    async fn send(&mut self, text: String) -> Result<(), Closed> {
        timeout(SEND_WAIT, self.out.text(text)).await.unwrap_or(Err(Closed))
    }

    async fn ping(&mut self) -> Result<(), Closed> {
        timeout(SEND_WAIT, self.out.ping(b"")).await.unwrap_or(Err(Closed))
    }

    async fn pong(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        timeout(SEND_WAIT, self.out.pong(bytes)).await.unwrap_or(Err(Closed))
    }

    async fn received(&mut self, text: &str) -> Result<(), Closed> {
        let steps = self.dialogue.received(text);
        self.perform(steps).await
    }

    async fn overdue(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        let overdue = |held: &Held| matches!(held, Held::Admitted { overdue, .. } if *overdue <= now);
        let late: Vec<Attempt> =
            self.held.iter().filter(|(_, (_, held))| overdue(held)).map(|(attempt, _)| *attempt).collect();
        let steps = late.into_iter().flat_map(|attempt| self.dialogue.overdue(attempt)).collect();
        self.perform(steps).await
    }

    async fn event(&mut self, event: Event) -> Result<(), Closed> {
        let steps = match event {
            Event::Admitted(attempt, outcome) => self.admitted(attempt, outcome),
            Event::Answered(attempt, outcome) => self.answered(attempt, outcome),
            Event::News(attempt, news) => self.dialogue.news(attempt, &news),
            Event::Closed(attempt) => {
                self.held.remove(&attempt);
                self.dialogue.closed(attempt)
            }
        };
        self.perform(steps).await
    }

    fn admitted(&mut self, attempt: Attempt, outcome: Result<Box<dyn Admitted>, PublishRefusal>) -> Vec<Step> {
        let Some((_, held)) = self.held.get_mut(&attempt) else { return Vec::new() };
        if let Held::Leaving { .. } = held {
            drop(outcome);
            self.held.remove(&attempt);
            return self.dialogue.closed(attempt);
        }
        match outcome {
            Ok(admitted) => {
                *held = Held::Admitted { admitted, overdue: Instant::now() + self.client.state.socket_bounds.offer };
                self.dialogue.admitted(attempt, Ok(()))
            }
            Err(refusal) => {
                tracing::info!(
                    peer = %self.client.peer, reason = %refusal, "a WebRTC publisher is refused"
                );
                self.held.remove(&attempt);
                self.dialogue.admitted(attempt, Err(&refusal))
            }
        }
    }

    fn answered(&mut self, attempt: Attempt, outcome: Result<Answered, OfferError>) -> Vec<Step> {
        let Some((key, held)) = self.held.get_mut(&attempt) else { return Vec::new() };
        let leaving = matches!(held, Held::Leaving { .. });
        match outcome {
            Ok((_, peer, _)) if leaving => {
                let key = key.clone();
                self.close(attempt, key, peer);
                Vec::new()
            }
            Err(_) if leaving => {
                self.held.remove(&attempt);
                self.dialogue.closed(attempt)
            }
            Ok((answer, peer, news)) => {
                *held = Held::Connected(peer);
                forward(attempt, news, self.events.clone());
                self.dialogue.answered(attempt, Ok(&answer))
            }
            Err(error) => {
                tracing::info!(stream = %key, peer = %self.client.peer, reason = %error, "an offer is refused");
                self.held.remove(&attempt);
                self.dialogue.answered(attempt, Err(&error))
            }
        }
    }

    /// Does the steps, and those that follow from them.
    async fn perform(&mut self, steps: Vec<Step>) -> Result<(), Closed> {
        let mut steps = VecDeque::from(steps);
        // Ends: a step leads to others only by ending a publication, and each ends once.
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Send(text) => self.send(text).await?,
                Step::SendIceServers => {
                    let servers = self.client.state.publishers.ice_servers();
                    self.send(message::ice_servers(&servers)).await?;
                }
                Step::Describe(stream) => self.describe(&stream).await?,
                Step::Admit(attempt, wanted) => self.admit(attempt, wanted),
                Step::Answer(attempt, offer) => self.answer(attempt, offer),
                Step::Candidate(attempt, candidate) => {
                    if let Some((key, Held::Connected(peer))) = self.held.get(&attempt)
                        && let Err(error) = peer.add_candidate(&candidate)
                    {
                        tracing::debug!(stream = %key, %error, "a candidate is ignored");
                    }
                }
                Step::Close(attempt) => steps.extend(self.leave(attempt)),
            }
        }
        Ok(())
    }

    async fn describe(&mut self, stream: &StreamId) -> Result<(), Closed> {
        let key = StreamKey { app: self.client.app.clone(), id: stream.clone() };
        let view = self.client.state.manager.get(&key);
        let info = view.as_ref().and_then(StreamInfo::of);
        self.send(Dialogue::described(stream, info.as_ref())).await
    }

    fn admit(&mut self, attempt: Attempt, wanted: Wanted) {
        let Client { state, app, peer, user_agent } = &self.client;
        let request = PublishRequest {
            app: app.to_string(),
            stream: wanted.stream.to_string(),
            publish_type: PublishType::WebRtc,
            peer: *peer,
            user_agent: user_agent.clone(),
            meta: meta(wanted.about),
        };
        let key = StreamKey { app: app.clone(), id: wanted.stream };
        self.held.insert(attempt, (key, Held::Asking));
        let (state, events) = (state.clone(), self.events.clone());
        rt::spawn(async move {
            let outcome = state.publishers.admit(request).await;
            // Without a socket, what was admitted is dropped here, which gives the id back.
            let _ = events.send(Event::Admitted(attempt, outcome)).await;
        });
    }

    fn answer(&mut self, attempt: Attempt, offer: String) {
        let Some((key, held)) = self.held.get_mut(&attempt) else { return };
        let Held::Admitted { admitted, .. } = std::mem::replace(held, Held::Answering) else { return };
        let (key, state, events) = (key.clone(), self.client.state.clone(), self.events.clone());
        rt::spawn(async move {
            let outcome = admitted.answer(offer, Trickle::OneByOne).await;
            if let Err(unheard) = events.send(Event::Answered(attempt, outcome)).await
                && let Event::Answered(_, Ok((_, peer, _))) = unheard.0
            {
                state.publishers.close(key, peer).await;
            }
        });
    }

    /// Ends whatever there is of a publication.
    fn leave(&mut self, attempt: Attempt) -> Vec<Step> {
        match self.held.remove(&attempt) {
            Some((key, Held::Asking | Held::Answering)) => {
                let mark = self.client.state.publishers.leave(key.clone());
                self.held.insert(attempt, (key, Held::Leaving { _mark: mark }));
                Vec::new()
            }
            Some((key, Held::Connected(peer))) => {
                self.close(attempt, key, peer);
                Vec::new()
            }
            // Dropping an admission gives the id back; without any, there is nothing to end.
            Some((_, Held::Admitted { .. } | Held::Leaving { .. })) | None => self.dialogue.closed(attempt),
        }
    }

    /// Closes a peer connection behind the loop.
    fn close(&mut self, attempt: Attempt, key: StreamKey, peer: Arc<dyn Peer>) {
        let closing = self.client.state.publishers.close(key, peer);
        let events = self.events.clone();
        rt::spawn(async move {
            closing.await;
            let _ = events.send(Event::Closed(attempt)).await;
        });
    }

    /// Ends what was begun; what the ingest is still asked for is closed by those who ask.
    fn end(self) -> Session {
        let Self { client, out, held, .. } = self;
        for (key, held) in held.into_values() {
            if let Held::Connected(peer) = held {
                drop(client.state.publishers.close(key, peer));
            }
        }
        out
    }
}

/// Brings a session's news to the socket.
fn forward(attempt: Attempt, mut news: mpsc::Receiver<SessionNews>, events: mpsc::Sender<Event>) {
    rt::spawn(async move {
        while let Some(item) = news.recv().await {
            if events.send(Event::News(attempt, item)).await.is_err() {
                return;
            }
        }
        // One that ends without a word has ended all the same.
        let _ = events.send(Event::News(attempt, SessionNews::Ended("the session ended".into()))).await;
    });
}
