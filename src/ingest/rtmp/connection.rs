//! One publisher's socket: drives the session, asks the gate, feeds the translator.
//!
//! Owns the deadlines; knows neither manager nor GStreamer. The hard thing: closing a socket with
//! unread input sends a reset, which destroys a refusal on its way; so it lingers, for a bounded while.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::command::Level;
use super::handshake::RANDOM_LEN;
use super::seam::{Gate, Publication, Refusal, Request};
use super::session::{Event, Intent, Session, SessionError};
use super::translate::Translator;
use crate::ingest::pending::Place;

/// From the accepted connection to an accepted publication.
pub(super) const SETUP_MS: u64 = 10_000;

/// A connection's deadlines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// From the accepted connection to an accepted publication: [`SETUP_MS`].
    pub(super) setup: Duration,
    /// A publisher without media for so long is closed.
    pub(super) idle: Duration,
}

/// One answer into the socket; they are small, so this runs out only when the peer has stopped reading.
const WRITE_MS: u64 = 3_000;

/// From the last answer to the peer's close.
const LINGER_MS: u64 = 1_000;

/// Read at once, in bytes; also what a connection's input buffer holds at most.
const READ_LEN: usize = 64 << 10;

/// Longest name from outside in a log line, in characters.
const LOGGED_NAME_LEN_MAX: usize = 128;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The peer closed it.
    #[error("closed by the peer")]
    PeerClosed,
    /// The publisher ended its stream by a command.
    #[error("ended by the publisher ({0})")]
    Unpublished(&'static str),
    /// No publication within [`Timing::setup`].
    #[error("nothing was published in time")]
    SetupTimeout,
    /// No media for this many milliseconds.
    #[error("no data for {0} ms")]
    Idle(u64),
    /// The application does not exist.
    #[error("refused: unknown application {0:?}")]
    UnknownApp(String),
    /// The publication was refused.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The peer did what is not done here.
    #[error("refused: {0}")]
    NotHere(&'static str),
    /// None of the tracks can be carried.
    #[error("refused: none of its tracks can be carried ({0})")]
    Unusable(String),
    /// What came is not what its headers say.
    #[error("its tracks can't be read: {0}")]
    Unreadable(String),
    /// No RTMP, or broken.
    #[error("protocol error: {0}")]
    Protocol(#[from] SessionError),
    /// The socket failed.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    /// The peer doesn't read what we answer.
    #[error("the peer did not take an answer within {WRITE_MS} ms")]
    WriteTimeout,
    /// The service ended the publication.
    #[error("ended by the service")]
    Cancelled,
    /// The service stops.
    #[error("the service is shutting down")]
    Shutdown,
}

/// A name from outside, fit for a log line.
fn loggable(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(LOGGED_NAME_LEN_MAX).collect()
}

/// What the log is told at the end.
#[derive(Debug, Default)]
struct Seen {
    /// `app/stream`, once it is known.
    stream: Option<String>,
    /// It was granted.
    published: bool,
}

/// One connection and what drives it.
struct Driver<'a, G: Gate> {
    /// The peer.
    socket: TcpStream,
    /// Its address.
    peer: SocketAddr,
    /// The protocol.
    session: Session,
    /// Whom to ask.
    gate: &'a G,
    /// The service stops.
    shutdown: &'a CancellationToken,
}

/// Serves one connection to its end and logs why it ended.
pub(super) async fn run<G: Gate>(
    socket: TcpStream,
    peer: SocketAddr,
    place: Place,
    gate: &G,
    timing: Timing,
    shutdown: &CancellationToken,
) {
    let span = tracing::error_span!("rtmp", %peer, stream = tracing::field::Empty);
    serve(socket, peer, place, gate, timing, shutdown).instrument(span).await;
}

async fn serve<G: Gate>(
    socket: TcpStream,
    peer: SocketAddr,
    place: Place,
    gate: &G,
    timing: Timing,
    shutdown: &CancellationToken,
) {
    let mut random = Box::new([0; RANDOM_LEN]);
    rand::rng().fill_bytes(random.as_mut_slice());
    let mut driver = Driver { socket, peer, session: Session::new(random), gate, shutdown };
    let mut seen = Seen::default();
    let end = driver.serve(place, timing, &mut seen).await;
    // That a publisher has come is told by who admits it.
    if seen.published {
        tracing::info!("RTMP publisher gone: {end}");
    } else {
        let stream = seen.stream.as_deref().map(tracing::field::display);
        tracing::info!(stream, "RTMP connection closed: {end}");
    }
    match end {
        End::PeerClosed | End::Io(_) | End::WriteTimeout | End::Protocol(_) => {}
        // A publisher that ends its stream has more commands to send (deleteStream behind FCUnpublish), and
        // takes a close before them for a failure: it may close first.
        End::Unpublished(_) => driver.linger(false).await,
        _ => driver.linger(true).await,
    }
}

impl<G: Gate> Driver<'_, G> {
    /// Setup, then media. `seen` is filled on the way.
    async fn serve(&mut self, place: Place, timing: Timing, seen: &mut Seen) -> End {
        let deadline = Instant::now() + timing.setup;
        if let Err(error) = self.socket.set_nodelay(true) {
            return End::Io(error);
        }
        let shutdown = self.shutdown;
        let setup = async {
            let intent = self.intent().await?;
            seen.stream = Some(format!("{}/{}", loggable(&intent.app), loggable(&intent.stream.id)));
            self.publish(intent).await
        };
        let publication = tokio::select! {
            biased;
            () = shutdown.cancelled() => return End::Shutdown,
            () = sleep_until(deadline) => return End::SetupTimeout,
            result = setup => match result {
                Ok(publication) => publication,
                Err(end) => return end,
            },
        };
        drop(place);
        *seen = Seen { stream: Some(publication.name()), published: true };
        tracing::Span::current().record("stream", publication.name());
        let end = self.media(&publication, timing.idle).await.unwrap_or_else(|end| end);
        // The stream ends before its publisher is told, so that it can come back at once.
        publication.close().await;
        self.farewell(&end).await;
        end
    }

    /// Up to `publish`.
    async fn intent(&mut self) -> Result<Intent, End> {
        loop {
            match self.session.poll()? {
                Some(Event::Connect(app)) if self.gate.knows_app(&app) => self.session.grant_connect(),
                Some(Event::Connect(app)) => {
                    self.session.refuse_connect("NetConnection.Connect.InvalidApp", "There is no such application.");
                    self.flush().await?;
                    return Err(End::UnknownApp(loggable(&app)));
                }
                Some(Event::Publish(intent)) => {
                    self.flush().await?;
                    return Ok(intent);
                }
                Some(Event::Refused(why)) => {
                    self.flush().await?;
                    return Err(End::NotHere(why));
                }
                Some(Event::Tag { .. } | Event::MetaData(_) | Event::Unpublished(_)) => {}
                None => {
                    self.flush().await?;
                    self.read().await?;
                }
            }
        }
    }

    /// Asks the gate and tells the publisher.
    async fn publish(&mut self, intent: Intent) -> Result<G::Publication, End> {
        let request = Request {
            app: intent.app,
            stream: intent.stream.id,
            peer: self.peer,
            user_agent: intent.user_agent,
            meta: intent.stream.query,
        };
        match self.gate.publish(request).await {
            Ok(publication) => {
                self.session.grant_publish();
                self.flush().await?;
                Ok(publication)
            }
            Err(refusal) => {
                let (code, description) = refusal.status();
                self.session.refuse_publish(code, &description);
                self.flush().await?;
                Err(End::Refused(refusal))
            }
        }
    }

    /// Media until somebody ends it.
    async fn media(&mut self, publication: &G::Publication, idle_timeout: Duration) -> Result<End, End> {
        let cancelled = publication.cancelled();
        let mut translator = Translator::default();
        let mut last_media = Instant::now();
        loop {
            while let Some(event) = self.session.poll()? {
                match event {
                    Event::Tag { kind, timestamp_ms, body } => {
                        last_media = Instant::now();
                        translator.tag(kind, timestamp_ms, &body, last_media.into_std(), publication);
                    }
                    Event::MetaData(metadata) => translator.metadata(&metadata, publication),
                    Event::Unpublished(by) => return Ok(End::Unpublished(by)),
                    Event::Refused(why) => return Ok(End::NotHere(why)),
                    Event::Connect(_) | Event::Publish(_) => {}
                }
            }
            for note in translator.take_notes() {
                tracing::warn!("{note}");
            }
            if let Some(codecs) = translator.unusable(Instant::now().into_std()) {
                return Ok(End::Unusable(codecs));
            }
            if let Some(why) = publication.failure() {
                return Ok(End::Unreadable(why));
            }
            self.flush().await?;
            let shutdown = self.shutdown;
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(End::Shutdown),
                () = cancelled.cancelled() => return Ok(End::Cancelled),
                read = timeout_at(last_media + idle_timeout, self.read()) => match read {
                    Ok(read) => read?,
                    Err(_) => return Ok(End::Idle(u64::try_from(idle_timeout.as_millis()).unwrap_or(u64::MAX))),
                },
            }
        }
    }

    /// Tells a publisher why we end its stream, if it hasn't ended it itself.
    async fn farewell(&mut self, end: &End) {
        let (level, code, description) = match end {
            End::Unusable(codecs) => {
                let why = format!("None of the tracks can be carried: {codecs}.");
                (Level::Error, "NetStream.Publish.Rejected", why)
            }
            End::Unreadable(_) => {
                (Level::Error, "NetStream.Publish.Rejected", "The tracks are not what their headers say.".to_owned())
            }
            End::Idle(_) => (Level::Error, "NetStream.Publish.Idle", "No data came.".to_owned()),
            End::Cancelled => (Level::Error, "NetStream.Publish.Rejected", "The stream was stopped.".to_owned()),
            End::Shutdown => (Level::Error, "NetStream.Publish.Rejected", "The service is shutting down.".to_owned()),
            End::Unpublished(_) | End::NotHere(_) => {
                // Answered by the session already.
                let _ = self.flush().await;
                return;
            }
            _ => return,
        };
        self.session.end(level, code, &description);
        // The connection ends anyway; that its peer can't be told is no news.
        let _ = self.flush().await;
    }

    /// Reads what is there into the session.
    async fn read(&mut self) -> Result<(), End> {
        let input = self.session.input();
        input.reserve(READ_LEN.saturating_sub(input.len()));
        match self.socket.read_buf(input).await? {
            0 => Err(End::PeerClosed),
            len => {
                self.session.received(len);
                Ok(())
            }
        }
    }

    /// Writes what the session has to say.
    async fn flush(&mut self) -> Result<(), End> {
        let mut output: Bytes = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        match timeout(Duration::from_millis(WRITE_MS), self.socket.write_all_buf(&mut output)).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::WriteTimeout),
        }
    }

    /// Lets the last answer arrive: closes our half, if `close_first`, and throws away what comes until
    /// the peer closes its own.
    async fn linger(&mut self, close_first: bool) {
        let shutdown = self.shutdown;
        let drained = async {
            if close_first {
                self.socket.shutdown().await?;
            }
            let mut waste = vec![0; READ_LEN];
            while self.socket.read(&mut waste).await? > 0 {}
            io::Result::Ok(())
        };
        tokio::select! {
            _ = timeout(Duration::from_millis(LINGER_MS), drained) => {}
            () = shutdown.cancelled() => {}
        }
    }
}
