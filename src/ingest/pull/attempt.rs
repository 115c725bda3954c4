//! One attempt at a source, on a thread of its own, from the look-up of its name to its end.
//!
//! Owns what all protocols share: the address that may be dialled, the publication, and the watch over a source that
//! delivers. Everything here may block; every wait is bounded and looks for `stop`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Phase};
use super::meter::Metered;
use super::{Context, bytes, http, picture, rtsp};
use crate::endpoint::resolve;
use crate::http_agent::is_own;
use crate::manager::{Publication, PublishRefusal, PublishRequest, SourceReport};
use crate::model::broadcast::PublishType;
use crate::model::ids::StreamKey;
use crate::model::source::{Scheme, Source};
use crate::model::srt_url::SrtHost;

/// How often an attempt looks whether it is to end.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// How often the speed is told.
const SPEED_PERIOD: Duration = Duration::from_secs(1);

/// The cause when somebody has ended it: nobody reads it.
const STOPPED: &str = "stopped";

/// What an attempt is made with.
pub(super) struct Attempt {
    pub(super) key: StreamKey,
    pub(super) source: Arc<Source>,
    pub(super) report: SourceReport,
    pub(super) context: Arc<Context>,
    pub(super) stop: CancellationToken,
    /// Told at the first media.
    pub(super) first: mpsc::UnboundedSender<()>,
}

impl Attempt {
    /// Runs to the end, which is always a failure: nobody but `stop` ends a source that is well.
    pub(super) fn run(&self) -> Failure {
        let url = &self.source.url;
        let ended = if let Some(picture) = url.test() {
            picture::run(self, picture)
        } else if let Some(srt) = url.srt() {
            bytes::srt(self, srt)
        } else if let Some(udp) = url.udp() {
            bytes::udp(self, udp)
        } else if let Some(net) = url.net() {
            match net.scheme {
                Scheme::Rtmp | Scheme::Rtmps => bytes::rtmp(self, net),
                Scheme::Http | Scheme::Https => http::run(self, net),
                Scheme::Rtsp | Scheme::Rtsps => rtsp::run(self, net),
            }
        } else {
            Err(Failure::new(Phase::Connect, "there is nothing to pull"))
        };
        ended.err().unwrap_or_else(|| Failure::new(Phase::Receive, "the source ended the stream"))
    }

    /// Whether it is to end.
    pub(super) fn check_stop(&self) -> Result<(), Failure> {
        if self.stop.is_cancelled() { Err(Failure::new(Phase::Receive, STOPPED)) } else { Ok(()) }
    }

    /// From the begin to the first media.
    pub(super) fn connect_max(&self) -> Duration {
        Duration::from_millis(self.context.settings.pull.connect_timeout_ms)
    }

    /// A source that is silent for longer has frozen.
    pub(super) fn silence_max(&self) -> Duration {
        Duration::from_millis(self.context.settings.pull.silence_timeout_ms)
    }

    /// Whether certificates have to be valid.
    pub(super) fn verify_tls(&self) -> bool {
        self.source.verify_tls.unwrap_or(self.context.settings.pull.verify_tls)
    }

    /// The address of a TCP server, which may be dialled and is not this one.
    pub(super) fn resolve(&self, host: &SrtHost, port: u16) -> Result<SocketAddr, Failure> {
        let resolving = resolve::address_of(host, port, &self.context.destinations);
        let address = self.context.runtime.block_on(resolving);
        let address = address.map_err(|error| Failure::new(Phase::Resolve, error.to_string()))?;
        self.refuse_own(&self.context.own.tcp, address)?;
        Ok(address)
    }

    /// As [`Attempt::resolve`], where somebody resolves the name once more: no address of it may be forbidden.
    pub(super) fn resolve_all(&self, host: &SrtHost, port: u16) -> Result<SocketAddr, Failure> {
        let resolving = resolve::addresses_of(host, port, &self.context.destinations);
        let addresses = self.context.runtime.block_on(resolving);
        let (first, others) = addresses.map_err(|error| Failure::new(Phase::Resolve, error.to_string()))?;
        for address in std::iter::once(first).chain(others) {
            self.refuse_own(&self.context.own.tcp, address)?;
        }
        Ok(first)
    }

    /// Nothing is served at this server's own ports, so nothing can be pulled.
    pub(super) fn refuse_own(&self, own: &[SocketAddr], address: SocketAddr) -> Result<(), Failure> {
        if is_own(own, address) {
            let cause = format!("{address} is this server's own port, which takes publishers and gives nothing");
            return Err(Failure::new(Phase::Resolve, cause));
        }
        Ok(())
    }

    /// Asks the manager for the stream, at the first sign of media.
    pub(super) fn publish(&self, peer: SocketAddr) -> Result<Feed<'_>, Failure> {
        let request = PublishRequest {
            app: self.key.app.to_string(),
            stream: self.key.id.to_string(),
            publish_type: PublishType::Pull,
            peer,
            user_agent: None,
            meta: Vec::new(),
        };
        let publication = self.context.runtime.block_on(self.context.manager.publish(request));
        let publication = publication.map_err(|refusal| {
            let cause = match refusal {
                PublishRefusal::InUse(_) => "the stream is being published by somebody else".to_owned(),
                other => other.to_string(),
            };
            Failure::new(Phase::Publish, cause)
        })?;
        let door = Metered::new(publication.input(), self.first.clone());
        let now = Instant::now();
        Ok(Feed { attempt: self, publication, door, since: now, spoke: now, silence_max: self.silence_max() })
    }
}

/// A source that is being taken in. Dropping it ends its publication.
pub(super) struct Feed<'a> {
    attempt: &'a Attempt,
    publication: Publication,
    /// Where its units go.
    pub(super) door: Metered,
    since: Instant,
    spoke: Instant,
    /// How long it may be silent: longer where media comes in pieces.
    pub(super) silence_max: Duration,
}

impl Feed<'_> {
    /// Which stream.
    pub(super) fn key(&self) -> &StreamKey {
        self.publication.key()
    }

    /// To be called each [`LOOK`] or so: whether it is to end or has frozen; tells the speed.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        self.attempt.check_stop()?;
        if self.publication.cancelled().is_cancelled() {
            // A stop comes by `stop` too, if a moment later.
            return Err(Failure::new(Phase::Receive, "the service ended the stream"));
        }
        match self.door.silent_for() {
            None if self.since.elapsed() > self.attempt.connect_max() => {
                let limit_s = self.attempt.connect_max().as_secs_f64();
                let cause = format!("no programme with a usable track came within {limit_s} s");
                return Err(Failure::new(Phase::Receive, cause));
            }
            Some(silence) if silence > self.silence_max => {
                let cause = format!("no media has come for {:.1} s", silence.as_secs_f64());
                return Err(Failure::new(Phase::Receive, cause));
            }
            _ => {}
        }
        if self.spoke.elapsed() >= SPEED_PERIOD {
            self.spoke = Instant::now();
            let speed = self.door.speed();
            self.attempt.report.update(|status| status.speed = speed);
        }
        Ok(())
    }
}
