//! `rtsp://` and `rtsps://`: `rtspsrc`, and a way for each of its tracks.
//!
//! Owns the pipeline of one attempt. The stream is asked of the manager when the server has described its own, before
//! any media. The hard thing is that `rtspsrc` does everything on threads of its own: the attempt hands it the door and
//! reads its bus; what a track's thread finds wrong comes back by a channel. It would also follow a redirect to
//! wherever that leads: it is held before it connects, closed, and begun anew at an address that may be dialled.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::attempt::{Attempt, LOOK};
use super::failure::{Failure, Phase};
use super::meter::Metered;
use crate::ingest::IngestError;
use crate::ingest::rtp::{RtpTrack, SourceClock};
use crate::ingest::track::Door as _;
use crate::ingest::transcode::TranscodeLimits;
use crate::media::bus::{BusEvent, classify};
use crate::media::known::{self, Role};
use crate::media::launch::PULL_RTSP;
use crate::model::ids::StreamKey;
use crate::model::source::{NetUrl, RtspTransport, Scheme, SourceUrl};
use crate::model::srt_url::SrtHost;

/// With transport `auto`, how long UDP may bring nothing before TCP is tried.
const UDP_MAX: Duration = Duration::from_secs(3);

/// A publication takes milliseconds; for longer `rtspsrc` is not kept waiting.
const PUBLISH_MAX: Duration = Duration::from_secs(12);

/// A connection that is made to learn why there is none.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// Redirects in a row.
const REDIRECTS_MAX: u32 = 5;

/// Connections of one session: the first, one for TCP after UDP, and some to spare. Whoever leads to itself makes more.
const CONNECTS_MAX: u32 = 4;

/// For longer `rtspsrc` is not kept from following a redirect: far beyond what closing it takes.
const REDIRECT_HOLD_MAX: Duration = Duration::from_secs(5);

/// What `rtspsrc`'s threads tell the attempt.
enum News {
    /// The server has described its stream; the door is awaited.
    Described(Sender<Metered>),
    /// A track has no way.
    Track(String),
    /// It is about to connect elsewhere; it does not before the second part is dropped.
    Redirected(String, Sender<()>),
}

/// Runs until it fails or is stopped.
pub(super) fn run(attempt: &Attempt, url: &NetUrl) -> Result<(), Failure> {
    let mut url = url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let location = session(attempt, &url)?;
        url = redirected(&url, &location)?;
        tracing::info!(to = ?url, "the source redirects");
    }
    Err(Failure::new(Phase::Open, "the source redirects without end"))
}

/// Where a redirect leads. Credentials stay with their own server, and are not shown in the open where they were not.
fn redirected(from: &NetUrl, location: &str) -> Result<NetUrl, Failure> {
    let parsed = SourceUrl::parse(location).ok();
    let mut to = parsed
        .as_ref()
        .and_then(SourceUrl::net)
        .filter(|to| matches!(to.scheme, Scheme::Rtsp | Scheme::Rtsps))
        .cloned()
        .ok_or_else(|| Failure::new(Phase::Open, "the source redirects to what is no RTSP address"))?;
    if to.credentials.is_none() && (to.scheme, &to.host, to.port) == (from.scheme, &from.host, from.port) {
        to.credentials.clone_from(&from.credentials);
    }
    Ok(to)
}

/// Runs until it fails, is stopped, or the server leads elsewhere: gives where.
fn session(attempt: &Attempt, url: &NetUrl) -> Result<String, Failure> {
    // A certificate is for a name: where it is checked, that is dialled, and it is resolved once more.
    let checked = url.scheme == Scheme::Rtsps && attempt.verify_tls();
    let address =
        if checked { attempt.resolve_all(&url.host, url.port)? } else { attempt.resolve(&url.host, url.port)? };
    let internal = |error: IngestError| Failure::new(Phase::Connect, error.to_string());
    let pipeline = PULL_RTSP.pipeline().map_err(|error| internal(error.into()))?;
    pipeline.set_property("name", format!("pull-{}-{}", attempt.key.app, attempt.key.id));
    known::add(&pipeline, &attempt.key, Role::Pull);
    let source: gst::Element = PULL_RTSP.element(&pipeline, "source").map_err(|error| internal(error.into()))?;
    let host = if checked { url.host.clone() } else { SrtHost::Ip(address.ip()) };
    configure(attempt, url, &host, &source);
    let (tell, news) = channel();
    let tracks = connect(attempt, &pipeline, &source, &tell);
    hold_redirects(&pipeline, &source, &attempt.key, url.bare(&host), tell);
    let pipeline = Pipeline { pipeline, tracks, news: Some(news) };
    let run = Run { attempt, pipeline: &pipeline, address, has_credentials: url.credentials.is_some() };
    if pipeline.pipeline.set_state(gst::State::Playing).is_err() {
        return Err(run.said(Phase::Connect).unwrap_or_else(|| Failure::new(Phase::Connect, "it does not start")));
    }
    run.run()
}

fn configure(attempt: &Attempt, url: &NetUrl, host: &SrtHost, source: &gst::Element) {
    let pull = &attempt.context.settings.pull;
    source.set_property("location", url.bare(host));
    // Secrets by property: no escaping, and in no URI that a log or a dot file shows.
    if let Some(credentials) = &url.credentials {
        source.set_property("user-id", &credentials.user);
        source.set_property("user-pw", credentials.password.expose());
    }
    source.set_property("latency", pull.rtsp_latency_ms);
    let (transports, udp_max) = match attempt.source.rtsp_transport.unwrap_or(pull.rtsp_transport) {
        RtspTransport::Auto => ("tcp+udp-mcast+udp", UDP_MAX),
        RtspTransport::Udp => ("udp-mcast+udp", UDP_MAX),
        RtspTransport::Tcp => ("tcp", Duration::ZERO),
    };
    source.set_property_from_str("protocols", transports);
    source.set_property("timeout", u64::try_from(udp_max.as_micros()).unwrap_or(0));
    if url.scheme == Scheme::Rtsps && !attempt.verify_tls() {
        source.set_property_from_str("tls-validation-flags", "0");
    }
}

/// Lets `rtspsrc` connect to `location` alone: it says where it is about to connect, on the thread that does it.
fn hold_redirects(
    pipeline: &gst::Pipeline,
    source: &gst::Element,
    key: &StreamKey,
    location: String,
    tell: Sender<News>,
) {
    let Some(bus) = pipeline.bus() else { return };
    let key = key.clone();
    let (weak, tell, connects) = (source.downgrade(), Mutex::new(tell), AtomicU32::new(0));
    bus.set_sync_handler(move |_, message| {
        known::wear_ids(&key, message);
        if let gst::MessageView::Progress(progress) = message.view()
            && progress.get().1 == CONNECTS
            && let Some(source) = weak.upgrade()
            && let Some(next) = source.property::<Option<String>>("location")
            && (next != location || connects.fetch_add(1, Ordering::Relaxed) >= CONNECTS_MAX)
        {
            let (hold, held) = channel();
            let tell = tell.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = tell.send(News::Redirected(next, hold));
            drop(tell);
            // Ends when the attempt has cancelled the connection, which is not made any more then.
            let _: Result<(), _> = held.recv_timeout(REDIRECT_HOLD_MAX);
        }
        gst::BusSyncReply::Pass
    });
}

/// The code of `rtspsrc`'s progress message before each connect.
const CONNECTS: &str = "connect";

/// The tracks of one description, which share a clock.
#[derive(Default)]
struct Tracks {
    door: Option<Metered>,
    clock: Option<SourceClock>,
    ways: Vec<(String, RtpTrack)>,
    /// A certificate was shown that is not valid.
    stranger: bool,
}

type Shared = Arc<Mutex<Tracks>>;

fn connect(attempt: &Attempt, pipeline: &gst::Pipeline, source: &gst::Element, tell: &Sender<News>) -> Shared {
    let tracks = Shared::default();
    let (asked, tell_asked) = (Arc::clone(&tracks), tell.clone());
    source.connect("on-sdp", false, move |_| {
        let known = lock(&asked).door.is_some();
        if !known {
            let (give, given) = channel();
            if tell_asked.send(News::Described(give)).is_ok()
                && let Ok(door) = given.recv_timeout(PUBLISH_MAX)
            {
                lock(&asked).door = Some(door);
            }
        }
        None
    });
    let shown = Arc::clone(&tracks);
    // Asked about a certificate that is not valid; the error that follows does not say so.
    source.connect("accept-certificate", false, move |_| {
        lock(&shown).stranger = true;
        Some(false.to_value())
    });
    let managed = Arc::clone(&tracks);
    source.connect("new-manager", false, move |values| {
        if let Some(Ok(rtpbin)) = values.get(1).map(|value| value.get::<gst::Element>()) {
            // Another transport is another session: its clock starts anew.
            let clock = SourceClock::exact();
            clock.watch_reports(&rtpbin);
            lock(&managed).clock = Some(clock);
        }
        None
    });
    let limits = TranscodeLimits {
        max_video_bitrate_kbps: attempt.context.settings.webrtc.max_video_bitrate_kbps,
        key_frame_interval: Duration::from_millis(attempt.context.settings.webrtc.key_frame_interval_ms.into()),
    };
    let (weak, added, tell) = (pipeline.downgrade(), Arc::clone(&tracks), tell.clone());
    source.connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        if let Err(why) = add(&pipeline, pad, &added, limits) {
            let _ = tell.send(News::Track(why));
        }
    });
    let (weak, removed) = (pipeline.downgrade(), Arc::clone(&tracks));
    source.connect_pad_removed(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let mut tracks = lock(&removed);
        let gone = tracks.ways.iter().position(|(name, _)| *name == pad.name());
        let gone = gone.map(|at| tracks.ways.swap_remove(at));
        drop(tracks);
        if let Some((_, track)) = gone {
            track.remove(&pipeline);
        }
    });
    tracks
}

fn lock(tracks: &Shared) -> std::sync::MutexGuard<'_, Tracks> {
    // Handles that are never half written: go on.
    tracks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Links a pad of `rtspsrc` to a track of its own, if its kind is not there yet.
fn add(pipeline: &gst::Pipeline, pad: &gst::Pad, tracks: &Shared, limits: TranscodeLimits) -> Result<(), String> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let mut tracks = lock(tracks);
    let Some(door) = tracks.door.clone() else { return Ok(()) };
    let clock = tracks.clock.get_or_insert_with(SourceClock::exact).clone();
    let track = RtpTrack::build(None, &caps, &clock, &door, limits).map_err(|error| error.to_string())?;
    let kind = track.kind;
    if tracks.ways.iter().any(|(_, other)| other.kind == kind) {
        tracing::info!(pad = %pad.name(), "another {kind} track; the first one is kept");
        return Ok(());
    }
    door.expect(kind);
    let started = track.start(pipeline).map_err(|error| error.to_string());
    let linked = started.and_then(|sink| pad.link(&sink).map_err(|error| error.to_string()));
    if let Err(why) = linked {
        track.remove(pipeline);
        return Err(why);
    }
    tracing::info!(pad = %pad.name(), "{kind} track");
    tracks.ways.push((pad.name().to_string(), track));
    Ok(())
}

/// An attempt whose pipeline runs.
struct Run<'a> {
    attempt: &'a Attempt,
    pipeline: &'a Pipeline,
    address: SocketAddr,
    has_credentials: bool,
}

impl Run<'_> {
    fn run(&self) -> Result<String, Failure> {
        let begin = Instant::now();
        let mut feed = None;
        loop {
            match self.pipeline.next_news() {
                Some(News::Described(give)) => {
                    let granted = self.attempt.publish(self.address)?;
                    let _ = give.send(granted.door.clone());
                    feed = Some(granted);
                }
                // The others go on; if none does, the wait for media ends with its own words.
                Some(News::Track(why)) => tracing::warn!(why, "a track is left out"),
                Some(News::Redirected(location, hold)) => {
                    self.pipeline.cancel();
                    drop(hold);
                    return Ok(location);
                }
                None => {}
            }
            let phase = if feed.is_some() { Phase::Receive } else { Phase::Connect };
            if let Some(failure) = self.said(phase) {
                return Err(failure);
            }
            match &mut feed {
                Some(feed) => feed.check()?,
                None if begin.elapsed() > self.attempt.connect_max() => {
                    return Err(Failure::new(Phase::Connect, "the source does not answer"));
                }
                None => self.attempt.check_stop()?,
            }
        }
    }

    /// What the bus says, if it is the end.
    fn said(&self, phase: Phase) -> Option<Failure> {
        let wanted = [gst::MessageType::Error, gst::MessageType::Eos];
        let message = self.pipeline.pipeline.bus()?.pop_filtered(&wanted)?;
        match message.view() {
            gst::MessageView::Error(error) => {
                let text = match classify(&message) {
                    Some(BusEvent::Error { text, .. }) => text,
                    _ => error.error().to_string(),
                };
                Some(self.worded(phase, &error.error(), &text))
            }
            _ => Some(Failure::new(phase, "the source ended the stream")),
        }
    }

    fn worded(&self, phase: Phase, error: &gst::glib::Error, text: &str) -> Failure {
        let lower = text.to_ascii_lowercase();
        let url = &self.attempt.source.url;
        if error.matches(gst::ResourceError::NotAuthorized) || lower.contains("unauthorized") {
            return Failure::refused(if self.has_credentials {
                "the source refused user or password (401 Unauthorized)"
            } else {
                "the source wants user and password (401 Unauthorized)"
            });
        }
        let known = if error.matches(gst::ResourceError::NotFound) || lower.contains("not found") {
            Some("the source has no such stream (404 Not Found)")
        } else if lock(&self.pipeline.tracks).stranger {
            Some("the source's certificate is not valid (verifyTls false takes any)")
        } else if lower.contains("failed to connect") {
            // It does not say why.
            return Failure::new(Phase::Connect, unreachable(self.address));
        } else if lower.contains("timed out") || lower.contains("timeout") {
            Some("the source does not answer")
        } else if phase == Phase::Receive && (lower.contains("could not read") || lower.contains("end of stream")) {
            Some("the source closed the connection")
        } else {
            None
        };
        known.map_or_else(|| Failure::of(phase, url, text), |cause| Failure::new(phase, cause))
    }
}

/// Why no connection can be made to a server, found by making one.
fn unreachable(address: SocketAddr) -> String {
    match TcpStream::connect_timeout(&address, PROBE_MAX).map_err(|error| error.kind()) {
        Err(ErrorKind::ConnectionRefused) => "nobody listens there: the connection was refused".to_owned(),
        Err(ErrorKind::TimedOut) => "the source does not answer".to_owned(),
        Err(other) => format!("the source cannot be reached: {other}"),
        // It may have come back meanwhile, or it speaks no RTSP, or no TLS.
        Ok(_) => "the connection was made, but not as RTSP".to_owned(),
    }
}

/// Stops its pipeline when dropped.
struct Pipeline {
    pipeline: gst::Pipeline,
    tracks: Shared,
    /// What its threads tell.
    news: Option<Receiver<News>>,
}

impl Pipeline {
    fn next_news(&self) -> Option<News> {
        self.news.as_ref()?.recv_timeout(LOOK).ok()
    }

    /// Cancels what `rtspsrc` is about, and does not wait for its threads.
    fn cancel(&self) {
        let _ = self.pipeline.set_state(gst::State::Ready);
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.cancel();
        // Whoever waits for an answer gets none; the end joins these threads.
        self.news = None;
        let _ = self.pipeline.set_state(gst::State::Null);
        let mut tracks = lock(&self.tracks);
        tracks.ways.clear();
        tracks.door = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transports_are_those_rtspsrc_knows() {
        gst::init().expect("GStreamer");
        let pipeline = PULL_RTSP.pipeline().expect("plugins");
        let source: gst::Element = PULL_RTSP.element(&pipeline, "source").expect("named");
        for transports in ["tcp+udp-mcast+udp", "udp-mcast+udp", "tcp"] {
            source.set_property_from_str("protocols", transports);
        }
    }

    #[test]
    fn a_redirect_takes_credentials_to_their_own_server_alone() {
        let url = |text: &str| SourceUrl::parse(text).expect("URL").net().expect("a server").clone();
        let from = url("rtsps://u:p@cam.example/a");
        for (location, wanted) in [
            ("rtsps://cam.example/b", Some(true)),
            ("rtsp://cam.example:322/b", Some(false)),
            ("rtsps://cam.example:8322/b", Some(false)),
            ("rtsps://other.example/a", Some(false)),
            ("rtsp-sdp://v=0", None),
            ("http://cam.example/a", None),
            ("", None),
        ] {
            let to = redirected(&from, location).ok().map(|to| to.credentials.is_some());
            assert_eq!(to, wanted, "{location}");
        }
    }
}
