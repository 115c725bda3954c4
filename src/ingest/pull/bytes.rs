//! Sources that are bytes: SRT, UDP and RTMP, each a small pipeline `pull-*.launch` whose bytes go into a demuxer.
//!
//! Owns those pipelines from their start to their end. The hard thing is the honest cause: a source element says it on
//! its bus, in its own words, a moment before or after its bytes end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ::bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::attempt::{Attempt, LOOK};
use super::demux::Demux;
use super::failure::{Failure, Phase};
use crate::endpoint::resolve;
use crate::endpoint::srt_element::{self, Destination};
use crate::ingest::IngestError;
use crate::media::bus::{BusEvent, classify};
use crate::media::known::{self, Role};
use crate::media::launch::{Launch, PULL_RTMP, PULL_SRT, PULL_UDP};
use crate::model::source::{NetUrl, Scheme, UdpUrl};
use crate::model::srt_url::{SrtMode, SrtUrl};

/// A source's words may come a moment after its bytes have ended.
const WORDS_WAIT: Duration = Duration::from_millis(200);

/// How often a demuxer is asked for its error.
const DEMUX_LOOK: Duration = Duration::from_millis(500);

/// `srt://`.
pub(super) fn srt(attempt: &Attempt, url: &SrtUrl) -> Result<(), Failure> {
    let resolving = resolve::destination(url, &attempt.context.destinations);
    let address = attempt.context.runtime.block_on(resolving);
    let address = address.map_err(|error| Failure::new(Phase::Resolve, error.to_string()))?;
    attempt.refuse_own(&attempt.context.own.udp, address)?;
    let mut source = Source::prepare(attempt, PULL_SRT)?;
    srt_element::configure(&source.element, url, Destination { address, shared_local: None });
    // Somebody has to call a listener, whenever that may be.
    source.waits_for_ever = url.mode == SrtMode::Listener;
    source.words = srt_words;
    source.run(address)
}

/// `udp://`.
pub(super) fn udp(attempt: &Attempt, url: &UdpUrl) -> Result<(), Failure> {
    let address = SocketAddr::new(url.address, url.port);
    attempt.refuse_own(&attempt.context.own.udp, address)?;
    let mut source = Source::prepare(attempt, PULL_UDP)?;
    source.element.set_property("address", url.address.to_string());
    source.element.set_property("port", i32::from(url.port));
    // Several may listen to a group; an address of this host is one receiver's.
    source.element.set_property("reuse", url.address.is_multicast());
    if let Some(interface) = &url.interface {
        source.element.set_property("multicast-iface", interface);
    }
    source.waits_for_ever = false;
    source.run(address)
}

/// `rtmp://` and `rtmps://`.
pub(super) fn rtmp(attempt: &Attempt, url: &NetUrl) -> Result<(), Failure> {
    let tls = url.scheme == Scheme::Rtmps;
    // A certificate is for a name: where it is checked, that is dialled, and it is resolved once more.
    let (host, address) = if tls && attempt.verify_tls() {
        (url.host.to_string(), attempt.resolve_all(&url.host, url.port)?)
    } else {
        let address = attempt.resolve(&url.host, url.port)?;
        (address.ip().to_string(), address)
    };
    let mut source = Source::prepare(attempt, PULL_RTMP)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let path = url.path.trim_start_matches('/');
    // The last part is the stream, with its query; what stands before is the application.
    let query_at = path.find('?').unwrap_or(path.len());
    let (application, stream) = path[..query_at].rsplit_once('/').unwrap_or((path, ""));
    let stream = format!("{stream}{}", &path[query_at..]);
    let element = &source.element;
    element.set_property_from_str("scheme", if tls { "rtmps" } else { "rtmp" });
    element.set_property("host", &host);
    element.set_property("port", i32::from(url.port));
    element.set_property("application", application);
    element.set_property("stream", &stream);
    if let Some(credentials) = &url.credentials {
        element.set_property("username", &credentials.user);
        element.set_property("password", credentials.password.expose());
    }
    if tls && !attempt.verify_tls() {
        element.set_property_from_str("tls-validation-flags", "0");
    }
    source.words = rtmp_words;
    source.run(address)
}

/// libsrt's words, in GStreamer's, for a person.
fn srt_words(text: &str, connected: bool) -> Option<(&'static str, bool)> {
    let has = |part: &str| text.contains(part);
    if has("incorrect passphrase") {
        return Some(("the source refused: the passphrase is wrong", true));
    }
    if has("password required or unexpected") {
        return Some(("the source refused: only one side has a passphrase", true));
    }
    if connected {
        return Some(("the source closed the connection", false));
    }
    if has("timeout") {
        return Some(("the source does not answer", false));
    }
    if has("application-defined rejection") {
        return Some(("the source refused the stream id or the connection, with a reason of its own", false));
    }
    has("rejected").then_some(("the source refused the connection", false))
}

fn rtmp_words(text: &str, connected: bool) -> Option<(&'static str, bool)> {
    let has = |part: &str| text.contains(part);
    if has("authentication") || has("authorization") || has("not authorized") {
        return Some(("the source wants another user or password", true));
    }
    if has("connection refused") {
        return Some(("nobody listens there: the connection was refused", false));
    }
    if has("streamnotfound") || has("stream not found") {
        return Some(("the source has no such stream", false));
    }
    if has("unacceptable tls certificate") || has("certificate") {
        return Some(("the source's certificate is not valid (verifyTls false takes any)", false));
    }
    connected.then_some(("the source ended the connection", false)).filter(|_| has("closed") || has("eof"))
}

/// A pipeline that brings bytes.
struct Source<'a> {
    attempt: &'a Attempt,
    pipeline: gst::Pipeline,
    element: gst::Element,
    sink: gst_app::AppSink,
    /// Nobody is late: whoever is awaited comes when it comes.
    waits_for_ever: bool,
    /// Known words, in small letters, to a cause, and whether credentials were refused.
    words: fn(&str, bool) -> Option<(&'static str, bool)>,
}

impl<'a> Source<'a> {
    fn prepare(attempt: &'a Attempt, text: Launch) -> Result<Self, Failure> {
        let internal = |error: IngestError| Failure::new(Phase::Connect, error.to_string());
        let pipeline = text.pipeline().map_err(|error| internal(error.into()))?;
        pipeline.set_property("name", format!("pull-{}-{}", attempt.key.app, attempt.key.id));
        known::add_with_threads(&pipeline, &attempt.key, Role::Pull);
        let element: gst::Element = text.element(&pipeline, "source").map_err(|error| internal(error.into()))?;
        let sink: gst_app::AppSink = text.element(&pipeline, "out").map_err(|error| internal(error.into()))?;
        Ok(Self { attempt, pipeline, element, sink, waits_for_ever: false, words: |_, _| None })
    }

    /// Runs until it fails or is stopped.
    fn run(self, peer: SocketAddr) -> Result<(), Failure> {
        let attempt = self.attempt;
        if self.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(self.failure(Phase::Connect, false));
        }
        let first = self.first_bytes()?;
        let mut feed = attempt.publish(peer)?;
        let mut demux = Demux::for_bytes(&first, feed.key(), &feed.door)?;
        demux.push(first);
        let mut looked = Instant::now();
        loop {
            match self.next() {
                Some(bytes) => demux.push(bytes),
                None if self.sink.is_eos() => return Err(self.failure(Phase::Receive, true)),
                None => self.check_bus(true)?,
            }
            if looked.elapsed() >= DEMUX_LOOK {
                looked = Instant::now();
                demux.check()?;
                self.check_bus(true)?;
            }
            feed.check()?;
        }
    }

    /// What tells the content: a datagram, or enough to see two sync bytes.
    fn first_bytes(&self) -> Result<Bytes, Failure> {
        let begin = Instant::now();
        loop {
            if let Some(bytes) = self.next() {
                return Ok(bytes);
            }
            if self.sink.is_eos() {
                return Err(self.failure(Phase::Connect, false));
            }
            self.check_bus(false)?;
            self.attempt.check_stop()?;
            if !self.waits_for_ever && begin.elapsed() > self.attempt.connect_max() {
                let cause = format!("nothing has come for {:.0} s", begin.elapsed().as_secs_f64());
                return Err(Failure::new(Phase::Receive, cause));
            }
        }
    }

    fn next(&self) -> Option<Bytes> {
        let sample = self.sink.try_pull_sample(gst::ClockTime::from_mseconds(LOOK.as_millis() as u64))?;
        let map = sample.buffer_owned()?.into_mapped_buffer_readable().ok()?;
        Some(Bytes::from_owner(map))
    }

    fn check_bus(&self, connected: bool) -> Result<(), Failure> {
        let bus = self.pipeline.bus();
        let message = bus.and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().and_then(classify) {
            Some(BusEvent::Error { text, .. }) => Err(self.worded(&text, connected)),
            _ => Ok(()),
        }
    }

    /// What the source says now that it has ended.
    fn failure(&self, phase: Phase, connected: bool) -> Failure {
        let wait = gst::ClockTime::from_mseconds(WORDS_WAIT.as_millis() as u64);
        let message = self.pipeline.bus().and_then(|bus| bus.timed_pop_filtered(wait, &[gst::MessageType::Error]));
        match message.as_ref().and_then(classify) {
            Some(BusEvent::Error { text, .. }) => self.worded(&text, connected),
            _ => Failure::new(phase, "the source ended the stream"),
        }
    }

    fn worded(&self, text: &str, connected: bool) -> Failure {
        let phase = if connected { Phase::Receive } else { Phase::Connect };
        match (self.words)(&text.to_ascii_lowercase(), connected) {
            Some((cause, refused)) => Failure { refused, ..Failure::new(phase, cause) },
            None => Failure::of(phase, &self.attempt.source.url, text),
        }
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        // On the attempt's own thread; should it hang, the task gives the thread up.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Where a source without an address of its own comes from.
pub(super) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
