//! `http://` and `https://`: MPEG-TS, FLV or HLS, told apart by what comes.
//!
//! Owns the requests: who may be dialled, how long may be waited, what a status means. The hard thing is an address that
//! leads elsewhere: redirects and playlists may name any host, so every connection is `http_agent`'s, which vets it,
//! and credentials go to the source's own host alone.

use std::io::{self, Read as _};
use std::time::{Duration, Instant};

use ::bytes::Bytes;
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Agent, Body};

use super::attempt::{Attempt, Feed, LOOK};
use super::bytes::NOWHERE;
use super::demux::{Content, Demux, sniff};
use super::failure::{Failure, Phase};
use super::pace::Pacer;
use super::{Context, hls};
use crate::http_agent::{self, Vetting};
use crate::model::source::{NetUrl, Scheme};
use crate::model::srt_url::SrtHost;

/// What is read in one go.
const PIECE_LEN: usize = 64 * 1024;

/// Content is told by this much, or by less if no more comes.
const SNIFF_LEN: usize = 400;

/// Redirects in a row.
const REDIRECTS_MAX: u32 = 5;

/// Longest playlist, in bytes.
const PLAYLIST_LEN_MAX: usize = 4 * 1024 * 1024;

/// Runs until it fails or is stopped.
pub(super) fn run(attempt: &Attempt, url: &NetUrl) -> Result<(), Failure> {
    let client = Client::new(attempt, url)?;
    let address = url.bare(&url.host);
    let mut opened = client.get(&address, None)?;
    let first = opened.first_bytes()?;
    match sniff(&first) {
        Some(Content::Playlist) => {
            let base = opened.uri.clone();
            let text = opened.rest_of_text(first)?;
            hls::run(attempt, &client, &base, &text)
        }
        Some(_) => live(attempt, opened, first),
        None => {
            let cause = format!("what comes is neither MPEG-TS, FLV nor an HLS playlist (its type is {})", opened.kind);
            Err(Failure::of(Phase::Open, &attempt.source.url, &cause))
        }
    }
}

/// MPEG-TS or FLV without end.
fn live(attempt: &Attempt, mut opened: Opened<'_>, first: Bytes) -> Result<(), Failure> {
    let mut feed = attempt.publish(NOWHERE)?;
    let (pacer, door) = pacer(&feed)?;
    let mut demux = Demux::for_bytes(&first, feed.key(), &door)?;
    demux.push(first);
    loop {
        wait_for_room(&pacer, &mut feed)?;
        let piece = opened.read()?;
        if piece.is_empty() {
            demux.finish();
            wait_until_gone(&pacer, &mut feed)?;
            return Err(Failure::new(Phase::Receive, "the source ended the stream"));
        }
        demux.push(piece);
        demux.check()?;
        feed.check()?;
    }
}

/// What lets the units of a source go at their pace.
pub(super) fn pacer(feed: &Feed<'_>) -> Result<(Pacer, super::pace::Paced<super::meter::Metered>), Failure> {
    Pacer::start(feed.door.clone())
        .map_err(|error| Failure::new(Phase::Receive, format!("there is no thread for it: {error}")))
}

/// Waits until what was brought has been let go.
pub(super) fn wait_for_room(pacer: &Pacer, feed: &mut Feed<'_>) -> Result<(), Failure> {
    while !pacer.has_room() {
        std::thread::sleep(LOOK);
        feed.check()?;
    }
    Ok(())
}

/// Waits until all that was brought has been let go: the source has ended.
pub(super) fn wait_until_gone(pacer: &Pacer, feed: &mut Feed<'_>) -> Result<(), Failure> {
    while !pacer.is_empty() {
        std::thread::sleep(LOOK);
        feed.check()?;
    }
    Ok(())
}

/// Asks one source's server, and those it leads to.
pub(super) struct Client<'a> {
    attempt: &'a Attempt,
    agent: Agent,
    /// `Authorization`, and where it may go.
    authorization: Option<(String, SrtHost, u16)>,
}

impl<'a> Client<'a> {
    fn new(attempt: &'a Attempt, url: &NetUrl) -> Result<Self, Failure> {
        let (connect_max, silence_max) = (attempt.connect_max(), attempt.silence_max());
        let config = http_agent::config(attempt.verify_tls())
            .max_redirects(REDIRECTS_MAX)
            .timeout_connect(Some(connect_max))
            .timeout_recv_response(Some(connect_max))
            .timeout_per_read(Some(silence_max))
            .build();
        let Context { destinations, own, runtime, .. } = &*attempt.context;
        let vetting = Vetting { destinations: destinations.clone(), own: own.tcp.clone(), runtime: runtime.clone() };
        let agent = http_agent::agent(config, vetting);
        let authorization = url.credentials.as_ref();
        let authorization =
            authorization.map(|credentials| (http_agent::basic(credentials), url.host.clone(), url.port));
        Ok(Self { attempt, agent, authorization })
    }

    /// Asks for `address`, or a part of it.
    pub(super) fn get(&self, address: &str, range: Option<hls::Range>) -> Result<Opened<'a>, Failure> {
        self.attempt.check_stop()?;
        let mut request = self.agent.get(address);
        if let Some((authorization, host, port)) = &self.authorization
            && is_at(address, host, *port)
        {
            request = request.header("Authorization", authorization);
        }
        if let Some(range) = range {
            let last = range.start.saturating_add(range.len).saturating_sub(1);
            request = request.header("Range", format!("bytes={}-{last}", range.start));
        }
        let response = request.call().map_err(|error| self.failure(&error))?;
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            let wants_digest = header(&response, "www-authenticate").to_ascii_lowercase().starts_with("digest");
            let cause = match (&self.authorization, wants_digest) {
                (Some(_), false) => "the source refused user or password (HTTP 401)",
                (Some(_), true) => "the source wants Digest authentication, which is not spoken over HTTP (HTTP 401)",
                (None, _) => "the source wants user and password (HTTP 401)",
            };
            return Err(Failure::refused(cause));
        }
        if !status.is_success() {
            return Err(Failure::new(Phase::Open, format!("the source answered HTTP {}", status.as_u16())));
        }
        let kind = Some(header(&response, "content-type")).filter(|kind| !kind.is_empty());
        let uri = ureq::ResponseExt::get_uri(&response).to_string();
        let body = response.into_body().into_reader();
        let kind = kind.unwrap_or_else(|| "not said".to_owned());
        Ok(Opened { attempt: self.attempt, uri, kind, body })
    }

    fn failure(&self, error: &ureq::Error) -> Failure {
        use ureq::Error as E;
        let url = &self.attempt.source.url;
        match error {
            E::Io(error) => io_failure(self.attempt, Phase::Connect, error),
            E::Timeout(_) => Failure::new(Phase::Connect, "the source does not answer"),
            E::HostNotFound => Failure::new(Phase::Resolve, "the name was not resolved"),
            E::TooManyRedirects | E::RedirectFailed => Failure::new(Phase::Open, "the source redirects without end"),
            other => Failure::of(Phase::Connect, url, &tls_words(&other.to_string())),
        }
    }
}

fn header(response: &Response<Body>, name: &str) -> String {
    let value = response.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().chars().take(64).collect()
}

fn io_failure(attempt: &Attempt, phase: Phase, error: &io::Error) -> Failure {
    match error.kind() {
        // The resolver's.
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound => Failure::new(Phase::Resolve, error.to_string()),
        io::ErrorKind::ConnectionRefused => Failure::new(phase, "nobody listens there: the connection was refused"),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock if phase == Phase::Receive => {
            Failure::new(phase, format!("nothing has come for {:.1} s", attempt.silence_max().as_secs_f64()))
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Failure::new(phase, "the source does not answer"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            Failure::new(phase, "the source closed the connection")
        }
        _ if error.to_string().contains("timeout") && phase == Phase::Receive => {
            Failure::new(phase, format!("nothing has come for {:.1} s", attempt.silence_max().as_secs_f64()))
        }
        _ => Failure::of(phase, &attempt.source.url, &tls_words(&error.to_string())),
    }
}

fn tls_words(text: &str) -> String {
    if text.to_ascii_lowercase().contains("certificate") {
        format!("the source's certificate is not valid: {text} (verifyTls false takes any)")
    } else {
        text.to_owned()
    }
}

/// Whether an address is at this host and port.
fn is_at(address: &str, host: &SrtHost, port: u16) -> bool {
    let Ok(uri) = address.parse::<Uri>() else { return false };
    let default = if uri.scheme_str() == Some("https") { Scheme::Https } else { Scheme::Http }.default_port();
    let same = uri.host().is_some_and(|given| given.eq_ignore_ascii_case(&host.to_string()));
    same && uri.port_u16().unwrap_or(default) == port
}

/// An answer that is being read.
pub(super) struct Opened<'a> {
    attempt: &'a Attempt,
    /// Where it is, behind all redirects.
    pub(super) uri: String,
    kind: String,
    body: ureq::BodyReader<'static>,
}

impl Opened<'_> {
    /// What has come, at most [`PIECE_LEN`]; empty at the end.
    pub(super) fn read(&mut self) -> Result<Bytes, Failure> {
        let mut piece = vec![0; PIECE_LEN];
        let len = self.body.read(&mut piece).map_err(|error| io_failure(self.attempt, Phase::Receive, &error))?;
        piece.truncate(len);
        Ok(piece.into())
    }

    fn first_bytes(&mut self) -> Result<Bytes, Failure> {
        let mut first = Vec::new();
        self.read_until(&mut first, |first| {
            first.len() >= SNIFF_LEN || matches!(sniff(first), Some(Content::Flv | Content::Playlist))
        })?;
        Ok(first.into())
    }

    fn rest_of_text(&mut self, first: Bytes) -> Result<String, Failure> {
        let mut text = first.to_vec();
        self.read_until(&mut text, |text| text.len() > PLAYLIST_LEN_MAX)?;
        if text.len() > PLAYLIST_LEN_MAX {
            return Err(Failure::new(Phase::Open, format!("the playlist is longer than {PLAYLIST_LEN_MAX} bytes")));
        }
        String::from_utf8(text).map_err(|_| Failure::new(Phase::Open, "the playlist is no UTF-8"))
    }

    /// Reads to the end or until it is enough; not for ever from a source that lets it drip.
    fn read_until(&mut self, into: &mut Vec<u8>, enough: impl Fn(&[u8]) -> bool) -> Result<(), Failure> {
        let begin = Instant::now();
        while !enough(into) {
            let piece = self.read()?;
            if piece.is_empty() {
                break;
            }
            into.extend_from_slice(&piece);
            self.attempt.check_stop()?;
            if begin.elapsed() > self.attempt.connect_max() {
                let cause = format!("its answer has not come within {:.0} s", self.attempt.connect_max().as_secs_f64());
                return Err(Failure::new(Phase::Open, cause));
            }
        }
        Ok(())
    }

    /// All of it, as text.
    pub(super) fn text(mut self) -> Result<String, Failure> {
        self.rest_of_text(Bytes::new())
    }
}

/// The pause between two requests that failed, while media still waits in the queue.
pub(super) const REQUEST_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_to_their_own_server_alone() {
        let host = SrtHost::Name("cam.example".into());
        for (address, own) in [
            ("http://cam.example/x", true),
            ("http://CAM.example:80/x", true),
            ("http://cam.example:81/x", false),
            ("https://cam.example/x", false),
            ("http://other.example/x", false),
        ] {
            assert_eq!(is_at(address, &host, 80), own, "{address}");
        }
    }
}
