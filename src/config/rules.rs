//! The keys: name, type, range, and what they ask of each other. The one place to add a key; the documents
//! (README, the example file) list the same ones, and a test compares them.

mod pull;
mod rtsp;
mod webhook;
mod webrtc;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use tracing_subscriber::EnvFilter;

use super::nearest::nearest;
use super::reader::Reader;
use super::{
    Destination, Endpoint, Http, Https, Log, LogFormat, Rest, Rtmp, Settings, Srt, Store, Stream, preferred_app,
};
use crate::model::ids::{AppName, NAME_LEN_MAX};

/// Receive latency of the SRT ingest, milliseconds. Below 20 a receiver gives up packets that a LAN still
/// re-sends; above a minute the figure is a mistaken unit.
const LATENCY_MS: std::ops::RangeInclusive<i64> = 20..=60_000;

/// Silence after which a publisher counts as dead, milliseconds: longer than a key frame's pause, at most ten minutes.
const DEAD_PUBLISHER_MS: std::ops::RangeInclusive<i64> = 500..=600_000;

/// Silence after which a publisher is disconnected, milliseconds: at most a day.
const IDLE_TIMEOUT_MS: std::ops::RangeInclusive<i64> = 1_000..=86_400_000;

/// How long a stream is held for its publisher, milliseconds: at most an hour, for receivers of one that never comes
/// back are kept waiting.
/// The shortest is ten times what a busy machine may be late by.
const DELIVERY_WINDOW_MS: std::ops::RangeInclusive<i64> = 500..=60_000;
const HOLD_MS: std::ops::RangeInclusive<i64> = 0..=3_600_000;

/// Waits between retries, milliseconds: not a busy loop, at most an hour.
const RETRY_MS: std::ops::RangeInclusive<i64> = 100..=3_600_000;

/// Shared local UDP ports; libsrt runs two threads for each.
const UDP_PORTS: std::ops::RangeInclusive<i64> = 0..=64;

/// Takes every key out of the reader, which keeps the problems.
pub(super) fn read(reader: &mut Reader) -> Settings {
    let default = Settings::default();
    let apps = read_apps(reader, default.apps);
    let default_app = preferred_app(&apps);
    let mut settings = Settings {
        http: Http { listen: read_listen(reader, "http.listen", default.http.listen) },
        https: Https {
            listen: read_listen(reader, "https.listen", default.https.listen),
            certificate: read_path(reader, "https.certificate"),
            key: read_path(reader, "https.key"),
        },
        rtmp: Rtmp { listen: read_listen(reader, "rtmp.listen", default.rtmp.listen) },
        srt: Srt {
            listen: read_listen(reader, "srt.listen", default.srt.listen),
            latency_ms: reader.take_number("srt.latency_ms", "milliseconds", LATENCY_MS, default.srt.latency_ms),
            default_app: reader.take_text("srt.default_app", "one of apps", default_app, |text| {
                text.parse().map_err(|error| format!("it {error}"))
            }),
            allow_missing_stream_id: reader
                .take_bool("srt.allow_missing_stream_id", default.srt.allow_missing_stream_id),
        },
        rtsp: rtsp::read(reader, default.rtsp),
        webrtc: webrtc::read(reader, default.webrtc),
        store: Store { url: read_store_url(reader, default.store.url) },
        rest: Rest { allow: read_allow(reader, "rest.allow", default.rest.allow), origins: read_origins(reader) },
        metrics: default.metrics,
        stream: Stream {
            dead_publisher_ms: reader.take_number(
                "stream.dead_publisher_ms",
                "milliseconds",
                DEAD_PUBLISHER_MS,
                default.stream.dead_publisher_ms,
            ),
            idle_timeout_ms: reader.take_number(
                "stream.idle_timeout_ms",
                "milliseconds",
                IDLE_TIMEOUT_MS,
                default.stream.idle_timeout_ms,
            ),
            hold_ms: reader.take_number("stream.hold_ms", "milliseconds", HOLD_MS, default.stream.hold_ms),
            audio_level: reader.take_bool("stream.audio_level", default.stream.audio_level),
        },
        endpoint: Endpoint {
            retry_min_ms: reader.take_number(
                "endpoint.retry_min_ms",
                "milliseconds",
                RETRY_MS,
                default.endpoint.retry_min_ms,
            ),
            retry_max_ms: reader.take_number(
                "endpoint.retry_max_ms",
                "milliseconds",
                RETRY_MS,
                default.endpoint.retry_max_ms,
            ),
            delivery_window_ms: reader.take_number(
                "endpoint.delivery_window_ms",
                "milliseconds",
                DELIVERY_WINDOW_MS,
                default.endpoint.delivery_window_ms,
            ),
            udp_ports: reader.take_number("endpoint.udp_ports", "ports", UDP_PORTS, default.endpoint.udp_ports),
        },
        pull: pull::read(reader, default.pull),
        destination: Destination { deny: read_deny(reader, default.destination.deny) },
        webhook: webhook::read(reader, default.webhook),
        log: Log {
            filter: read_filter(reader, default.log.filter),
            format: reader.take_text("log.format", "\"text\" or \"json\"", default.log.format, |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err(String::new()),
            }),
        },
        apps,
    };
    // Who may change everything may also read how it is.
    settings.metrics.allow = read_allow(reader, "metrics.allow", settings.rest.allow.clone());
    check_across(reader, &settings);
    settings
}

fn read_apps(reader: &mut Reader, default: Vec<AppName>) -> Vec<AppName> {
    let wanted = format!(
        "a list of one or more different names such as [\"live\", \"LiveApp\"], each of 1 to {NAME_LEN_MAX} letters, digits, '-', '_', '.'"
    );
    reader.take_list("apps", &wanted, default, |apps: &[AppName]| {
        let mut sorted: Vec<&AppName> = apps.iter().collect();
        sorted.sort();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("\"{}\" is there twice", pair[0])),
            None if apps.is_empty() => Err("it is empty".to_owned()),
            None => Ok(()),
        }
    })
}

fn read_listen(reader: &mut Reader, key: &'static str, default: SocketAddr) -> SocketAddr {
    let example = SocketAddr::new(default.ip(), default.port());
    let wanted =
        format!("an IP address and a port such as \"{example}\", \"127.0.0.1:0\" or \"[::]:{}\"", default.port());
    reader.take_text(key, &wanted, default, |text| text.trim().parse().map_err(|_| String::new()))
}

/// A file; the empty text is none.
fn read_path(reader: &mut Reader, key: &'static str) -> Option<PathBuf> {
    reader.take_text(key, "the path of a PEM file", None, |text| {
        Ok(Some(text).filter(|text| !text.is_empty()).map(PathBuf::from))
    })
}

fn read_store_url(reader: &mut Reader, default: String) -> String {
    let wanted = "\"sqlite://PATH\", with a path from the working directory, or \"sqlite:///PATH\", from the root";
    reader.take_text("store.url", wanted, default, |text| {
        let path = text.strip_prefix("sqlite:").ok_or_else(String::new)?;
        let path = path.strip_prefix("//").unwrap_or(path);
        match path.split('?').next() {
            None | Some("") => Err("the path is missing".to_owned()),
            Some(_) => Ok(text.to_owned()),
        }
    })
}

/// A network, or a lone address as the network of itself.
struct Network(IpNet);

impl FromStr for Network {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lone = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| lone()).map(Self).map_err(|_| "is none")
    }
}

fn read_allow(reader: &mut Reader, key: &'static str, default: Vec<IpNet>) -> Vec<IpNet> {
    let wanted = "a list of networks or addresses such as [\"127.0.0.0/8\", \"::1/128\", \"192.0.2.7\"]";
    let networks = reader.take_list(key, wanted, default.into_iter().map(Network).collect(), |_| Ok(()));
    networks.into_iter().map(|Network(net)| net).collect()
}

/// An origin as a browser writes it in `Origin` (RFC 6454, 6.2), or `*`.
struct WebOrigin(String);

impl FromStr for WebOrigin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let authority = ["http://", "https://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let named = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        let valid = text == "*" || authority.is_some_and(named);
        valid.then(|| Self(text.to_owned())).ok_or("is none")
    }
}

fn read_origins(reader: &mut Reader) -> Vec<String> {
    let wanted = "a list of origins such as [\"https://dash.example.org\", \"http://10.0.0.9:3000\"], or [\"*\"]";
    let origins = reader.take_list("rest.origins", wanted, Vec::new(), |_| Ok(()));
    origins.into_iter().map(|WebOrigin(text)| text).collect()
}

fn read_deny(reader: &mut Reader, default: Vec<IpNet>) -> Vec<IpNet> {
    let wanted = "a list of networks or addresses such as [\"169.254.0.0/16\", \"192.0.2.7\"]";
    let networks = reader.take_list("destination.deny", wanted, default.into_iter().map(Network).collect(), |_| Ok(()));
    networks.into_iter().map(|Network(net)| net).collect()
}

fn read_filter(reader: &mut Reader, default: String) -> String {
    let wanted = "a log filter such as \"info\", \"debug\" or \"info,srt_restream::ingest=debug\"";
    reader.take_text("log.filter", wanted, default, |text| {
        EnvFilter::builder().parse(text).map_err(|error| error.to_string())?;
        for directive in text.split(',').map(str::trim) {
            check_directive(directive)?;
        }
        Ok(text.to_owned())
    })
}

/// `EnvFilter` takes any bare word that is no level for the name of a module, so that `inof` would be valid
/// and silence everything.
fn check_directive(directive: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let lower = directive.to_ascii_lowercase();
    if directive.contains(['=', ':', '[', '_']) || LEVELS.contains(&lower.as_str()) {
        return Ok(());
    }
    match nearest(&lower, LEVELS) {
        Some(level) => Err(format!("{directive:?} is no level; did you mean {level:?}?")),
        None => Ok(()),
    }
}

fn check_across(reader: &mut Reader, settings: &Settings) {
    let Settings { apps, srt, stream, endpoint, http, https, rtmp, rtsp, webrtc, pull, .. } = settings;
    if reader.is_sound("apps") && reader.is_sound("srt.default_app") && !apps.contains(&srt.default_app) {
        let names: Vec<_> = apps.iter().map(AppName::as_str).collect();
        reader.refuse_taken("srt.default_app", format!("one of apps ({})", names.join(", ")));
    }
    check_order(
        reader,
        ("endpoint.retry_min_ms", endpoint.retry_min_ms),
        ("endpoint.retry_max_ms", endpoint.retry_max_ms),
    );
    check_order(reader, ("pull.retry_min_ms", pull.retry_min_ms), ("pull.retry_max_ms", pull.retry_max_ms));
    check_order(
        reader,
        ("stream.dead_publisher_ms", stream.dead_publisher_ms),
        ("stream.idle_timeout_ms", stream.idle_timeout_ms),
    );
    let mut listens = vec![
        ("http.listen", http.listen),
        ("https.listen", https.listen),
        ("rtmp.listen", rtmp.listen),
        ("rtsp.listen", rtsp.listen),
    ];
    listens.extend(rtsp.tls_listen.map(|listen| ("rtsp.tls_listen", listen)));
    for (at, later) in listens.iter().enumerate() {
        // One complaint for a key is enough.
        if let Some(earlier) = listens[..at].iter().find(|earlier| collide(earlier.1, later.1)) {
            check_listens(reader, *earlier, *later);
        }
    }
    check_pair(reader, https);
    webrtc::check_across(reader, webrtc);
}

fn check_listens(reader: &mut Reader, earlier: (&'static str, SocketAddr), later: (&'static str, SocketAddr)) {
    if !reader.is_sound(earlier.0) || !reader.is_sound(later.0) {
        return;
    }
    let wanted = |(other, taken): (&str, SocketAddr)| format!("an address that {other} ({taken}) does not take");
    if !reader.refuse_taken(later.0, wanted(earlier)) {
        reader.refuse_taken(earlier.0, wanted(later));
    }
}

/// A certificate without its key is of no use, nor the other way round.
fn check_pair(reader: &mut Reader, https: &Https) {
    match (&https.certificate, &https.key) {
        (Some(_), None) => reader.refuse_taken("https.certificate", "https.key beside it".to_owned()),
        (None, Some(_)) => reader.refuse_taken("https.key", "https.certificate beside it".to_owned()),
        _ => false,
    };
}

fn check_order(reader: &mut Reader, (low_key, low): (&'static str, u64), (high_key, high): (&'static str, u64)) {
    if low <= high || !reader.is_sound(low_key) || !reader.is_sound(high_key) {
        return;
    }
    if !reader.refuse_taken(low_key, format!("at most {high_key}, which is {high}")) {
        reader.refuse_taken(high_key, format!("at least {low_key}, which is {low}"));
    }
}

/// Whether two TCP addresses cannot both be bound. An IPv6 wildcard also takes the port of IPv4.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let wildcard = |one: SocketAddr, other: SocketAddr| one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || wildcard(a, b) || wildcard(b, a))
}
