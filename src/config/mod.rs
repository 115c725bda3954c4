//! Configuration: what an operator may set, its defaults, and where it is read from.
//!
//! Owns the typed [`Settings`] and their loading from a TOML file and the environment. Must not know
//! what the settings are used for, nor print or log anything: it answers with [`Settings`] or with
//! every problem found. The hard thing is the error: each names the key, what was given, what is
//! wanted and where it came from (file and line, or environment variable), and all are found in one go.

mod error;
mod ice_url;
mod layers;
pub(crate) mod nearest;
mod print;
mod reader;
mod rules;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Serialize;

use crate::model::ids::AppName;
use crate::model::source::RtspTransport;
use crate::model::srt_url::Secret;

pub use error::{ConfigError, Problem};

/// The file read from the working directory when no `--config` is given and it exists.
pub const DEFAULT_FILE: &str = "srt-restream.toml";

/// Prefix of every environment variable that sets a key; `__` separates section and key
/// (`SRT_RESTREAM__SRT__LISTEN`).
pub const ENV_PREFIX: &str = "SRT_RESTREAM__";

/// The application that a publisher without one gets, if it is among `apps` and nothing else is configured.
const DEFAULT_APP_PREFERRED: &str = "LiveApp";

/// The HTTP server tells of its threads at `info`, which nobody needs to know.
const DEFAULT_FILTER: &str = "info,actix_server=warn";

/// Everything an operator can set. Every field is valid once [`load`] or [`parse`] has returned it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// The applications; a publish address or REST path that names another one is refused. Never empty.
    pub apps: Vec<AppName>,
    /// The HTTP server.
    pub http: Http,
    /// The same server over TLS.
    pub https: Https,
    /// The RTMP ingest.
    pub rtmp: Rtmp,
    /// The SRT ingest.
    pub srt: Srt,
    /// The RTSP ingest.
    pub rtsp: Rtsp,
    /// The WebRTC ingest.
    pub webrtc: Webrtc,
    /// Where broadcasts and endpoints are kept.
    pub store: Store,
    /// Who may call the REST interface.
    pub rest: Rest,
    /// Who may read the metrics.
    pub metrics: Metrics,
    /// Time limits of a published stream.
    pub stream: Stream,
    /// How endpoints connect.
    pub endpoint: Endpoint,
    /// How sources are pulled.
    pub pull: Pull,
    /// What is never dialled.
    pub destination: Destination,
    /// Who is told what happens.
    pub webhook: Webhook,
    /// What is logged and how.
    pub log: Log,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Http {
    /// TCP address of the REST interface; port 0 takes any free one.
    pub listen: SocketAddr,
}

/// `[https]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Https {
    /// TCP address of the same interface over TLS; port 0 takes any free one.
    pub listen: SocketAddr,
    /// PEM file of the certificate and its chain. None: a self-signed one is made and kept.
    #[serde(serialize_with = "print::or_empty")]
    pub certificate: Option<PathBuf>,
    /// PEM file of the certificate's private key. Given if and only if `certificate` is.
    #[serde(serialize_with = "print::or_empty")]
    pub key: Option<PathBuf>,
}

/// `[rtmp]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rtmp {
    /// TCP address where RTMP publishers connect; port 0 takes any free one.
    pub listen: SocketAddr,
}

/// `[srt]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Srt {
    /// UDP address where SRT publishers connect; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The least receive latency asked of a publisher, in milliseconds; the larger of both sides' is used.
    pub latency_ms: u32,
    /// The application of a publisher whose stream id names none. One of [`Settings::apps`].
    pub default_app: AppName,
    /// Whether a publisher without any stream id is let in, under an id made from its address.
    pub allow_missing_stream_id: bool,
}

/// `[rtsp]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rtsp {
    /// TCP address where RTSP publishers connect; port 0 takes any free one.
    pub listen: SocketAddr,
    /// TCP address of the same over TLS (RTSPS), with the pair of [`Https`] if one is configured there. None: no TLS.
    #[serde(serialize_with = "print::or_empty")]
    pub tls_listen: Option<SocketAddr>,
    /// Local UDP ports of publishers that send by UDP, two for each track. None: whatever the system gives.
    #[serde(serialize_with = "print::ports_or_empty")]
    pub udp_ports: Option<RangeInclusive<u16>>,
    /// How long a packet may be waited for (disorder in UDP), in milliseconds.
    pub jitter_ms: u32,
}

/// `[webrtc]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Webrtc {
    /// `stun://HOST:PORT`, from which this side learns its own public address.
    #[serde(serialize_with = "print::or_empty")]
    pub stun_server: Option<String>,
    /// `turn://USER:PASSWORD@HOST:PORT` or `turns://…`, with `?transport=udp` or `tcp` if given. A secret.
    #[serde(serialize_with = "print::or_empty")]
    pub turn_server: Option<String>,
    /// Local UDP ports of peer connections, one each.
    #[serde(serialize_with = "print::ports")]
    pub udp_ports: RangeInclusive<u16>,
    /// The local addresses that are used and told to browsers; empty: all.
    pub local_addresses: Vec<IpAddr>,
    /// The address that browsers are told instead of the local ones of its family, behind a NAT.
    #[serde(serialize_with = "print::or_empty")]
    pub public_address: Option<IpAddr>,
    /// Whether ICE over TCP is offered besides UDP.
    pub ice_tcp: bool,
    /// A key frame is asked of the browser at least this often, in milliseconds.
    pub key_frame_interval_ms: u32,
    /// How long a packet may be waited for (jitter, retransmission), in milliseconds.
    pub jitter_ms: u32,
    /// Highest bitrate of a transcoded picture, in kb/s.
    pub max_video_bitrate_kbps: u32,
    /// Peer connections at a time.
    pub sessions_max: usize,
    /// From the answer to the first media at most, in milliseconds.
    pub connect_timeout_ms: u32,
    /// A session that has sent no packet for this long, in milliseconds, ends.
    pub silence_timeout_ms: u32,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Store {
    /// Address of the database, `sqlite://PATH`; a relative path starts at the working directory.
    pub url: String,
}

/// `[rest]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rest {
    /// The networks that may call the REST interface; others get 403.
    pub allow: Vec<IpNet>,
    /// The origins (`https://dash.example.org`) whose pages may change things by a browser, besides the service's own;
    /// `*`: any.
    pub origins: Vec<String>,
}

/// `[metrics]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metrics {
    /// The networks that may read `/metrics`; others get 403.
    pub allow: Vec<IpNet>,
}

/// `[stream]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stream {
    /// A live stream whose publisher has sent nothing for this long, in milliseconds, may be taken over by
    /// another publisher with the same id.
    pub dead_publisher_ms: u64,
    /// A publisher that has sent nothing for this long, in milliseconds, is disconnected.
    pub idle_timeout_ms: u64,
    /// For this long, in milliseconds, a stream whose publisher has left keeps its endpoints connected for the next
    /// one; 0: they close with the publisher.
    pub hold_ms: u64,
    /// Whether the level of the sound is measured, which decodes it.
    pub audio_level: bool,
}

/// `[endpoint]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// Wait before the first retry of a failed endpoint, in milliseconds; it doubles with every failure.
    pub retry_min_ms: u64,
    /// The longest wait between two retries, in milliseconds.
    pub retry_max_ms: u64,
    /// An endpoint whose receiver acknowledges nothing new for this long, in milliseconds, is stalled.
    pub delivery_window_ms: u64,
    /// Local UDP ports that all callers share (libsrt runs two threads for each); 0 is one per core.
    pub udp_ports: usize,
}

/// `[pull]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pull {
    /// From the begin of an attempt to its first media at most, in milliseconds.
    pub connect_timeout_ms: u64,
    /// A source that has delivered nothing for this long, in milliseconds, has frozen.
    pub silence_timeout_ms: u64,
    /// Wait before the first retry of a failed source, in milliseconds; it doubles with every failure.
    pub retry_min_ms: u64,
    /// The longest wait between two retries, in milliseconds.
    pub retry_max_ms: u64,
    /// Wait after a source has refused the credentials, in milliseconds; doubles likewise, up to ten times itself.
    pub refused_wait_ms: u64,
    /// Transport of RTP, unless a broadcast says another.
    #[serde(serialize_with = "print::rtsp_transport")]
    pub rtsp_transport: RtspTransport,
    /// How long a late RTP packet is waited for, in milliseconds.
    pub rtsp_latency_ms: u32,
    /// Whether certificates have to be valid, unless a broadcast says it.
    pub verify_tls: bool,
}

/// `[destination]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// Networks that neither endpoints nor pulled sources may be in.
    pub deny: Vec<IpNet>,
}

/// `[webhook]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Webhook {
    /// `http://…` or `https://…`, told of every broadcast that has no `listenerHookURL` of its own. Its credentials and
    /// its query may be secrets.
    #[serde(serialize_with = "print::or_empty")]
    pub url: Option<String>,
    /// Signs what is told, if set.
    #[serde(serialize_with = "print::secret_or_empty")]
    pub secret: Option<Secret>,
    /// In which form it is told.
    pub content_type: HookContentType,
}

/// In which form webhooks are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum HookContentType {
    /// A JSON object.
    #[serde(rename = "application/json")]
    Json,
    /// Pairs, as an HTML form sends them.
    #[serde(rename = "application/x-www-form-urlencoded")]
    Form,
}

impl HookContentType {
    /// As in the HTTP header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Which lines are written, as `tracing_subscriber::EnvFilter` reads it: `info`, `info,srt_restream::ingest=debug`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line per event.
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        let any = |port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let apps: Vec<AppName> = ["live", "LiveApp"].map(valid_name).into();
        Self {
            http: Http { listen: any(5080) },
            https: Https { listen: any(5443), certificate: None, key: None },
            rtmp: Rtmp { listen: any(1935) },
            srt: Srt {
                listen: any(4200),
                latency_ms: 150,
                default_app: preferred_app(&apps),
                allow_missing_stream_id: true,
            },
            rtsp: Rtsp { listen: any(8554), tls_listen: Some(any(8322)), udp_ports: None, jitter_ms: 100 },
            webrtc: Webrtc {
                stun_server: None,
                turn_server: None,
                udp_ports: 50_000..=60_000,
                local_addresses: Vec::new(),
                public_address: None,
                ice_tcp: false,
                key_frame_interval_ms: 2_000,
                jitter_ms: 100,
                max_video_bitrate_kbps: 4_000,
                sessions_max: 100,
                connect_timeout_ms: 10_000,
                silence_timeout_ms: 10_000,
            },
            store: Store { url: "sqlite://data/srt-restream.db".to_owned() },
            rest: Rest { allow: ["127.0.0.0/8", "::1/128"].map(valid_net).into(), origins: Vec::new() },
            metrics: Metrics { allow: ["127.0.0.0/8", "::1/128"].map(valid_net).into() },
            stream: Stream { dead_publisher_ms: 5_000, idle_timeout_ms: 30_000, hold_ms: 10_000, audio_level: true },
            endpoint: Endpoint { retry_min_ms: 1_000, retry_max_ms: 30_000, delivery_window_ms: 3_000, udp_ports: 0 },
            pull: Pull {
                connect_timeout_ms: 10_000,
                silence_timeout_ms: 5_000,
                retry_min_ms: 1_000,
                retry_max_ms: 30_000,
                refused_wait_ms: 60_000,
                rtsp_transport: RtspTransport::Auto,
                rtsp_latency_ms: 200,
                verify_tls: true,
            },
            // Where clouds keep the credentials of their machines.
            destination: Destination { deny: ["169.254.169.254/32", "fd00:ec2::254/128"].map(valid_net).into() },
            webhook: Webhook { url: None, secret: None, content_type: HookContentType::Json },
            log: Log { filter: DEFAULT_FILTER.to_owned(), format: LogFormat::Text },
            apps,
        }
    }
}

impl Settings {
    /// The settings as TOML that [`parse`] reads back, with secrets replaced by `***`.
    pub fn to_redacted_toml(&self) -> String {
        print::redacted_toml(self)
    }
}

/// What [`load`] found.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings, complete and valid.
    pub settings: Settings,
    /// The file they were read from, if there was one.
    pub file: Option<PathBuf>,
}

/// Reads the configuration of this process: `file`, or [`DEFAULT_FILE`] in the working directory if it
/// exists, and over it the process's environment.
///
/// # Errors
/// [`ConfigError`] with every problem found: a file that cannot be read or is no TOML, an unknown key, a
/// bad value, values that contradict each other.
pub fn load(file: Option<&Path>) -> Result<Loaded, ConfigError> {
    let file = match file {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let text = file.as_deref().map(layers::read_file).transpose()?;
    let name = file.as_ref().map(|path| path.display().to_string());
    let settings = parse(name.as_deref().zip(text.as_deref()), std::env::vars_os())?;
    Ok(Loaded { settings, file })
}

/// Builds settings from a file's name and text and from environment variables, the latter stronger.
/// Variables that do not begin with [`ENV_PREFIX`] are ignored, except `RUST_LOG`, which is stronger than
/// the file's `log.filter` and weaker than `SRT_RESTREAM__LOG__FILTER`.
///
/// # Errors
/// [`ConfigError`] with every problem found.
pub fn parse<E>(file: Option<(&str, &str)>, environment: E) -> Result<Settings, ConfigError>
where
    E: IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
{
    let mut reader = reader::Reader::default();
    if let Some((name, text)) = file {
        layers::add_file(&mut reader, name, text)?;
    }
    layers::add_environment(&mut reader, environment);
    let settings = rules::read(&mut reader);
    reader.finish().map(|()| settings)
}

/// The application for publishers that name none, when the operator chose none either.
fn preferred_app(apps: &[AppName]) -> AppName {
    apps.iter()
        .find(|app| app.as_str() == DEFAULT_APP_PREFERRED)
        .or_else(|| apps.first())
        .cloned()
        .unwrap_or_else(|| valid_name(DEFAULT_APP_PREFERRED))
}

fn valid_name(name: &str) -> AppName {
    name.parse().expect("a constant of this file, held valid by its tests")
}

fn valid_net(net: &str) -> IpNet {
    net.parse().expect("a constant of this file, held valid by its tests")
}

#[cfg(test)]
mod tests;
