//! What a body makes of an endpoint. Pure.
//!
//! Owns how parts, a URL and the stored endpoint go together. Must not know HTTP beyond the problem it names. The hard
//! thing: a stored passphrase is kept by whoever does not type it again, and goes to no other host.

use super::super::super::dto::endpoint::AUDIO_TRACK;
use super::super::super::dto::{EndpointInput, Given, RetryInput};
use super::super::super::problem::Problem;
use crate::manager::EndpointWish;
use crate::model::endpoint::{EndpointRecord, RetryWish, Tracks, WishError, label};
use crate::model::srt_url::{SrtUrl, SrtUrlDraft, SrtUrlError, option_name};

/// What is not given …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// … is not wanted (POST, PUT).
    Whole,
    /// … stays as it is, and null takes it away (PATCH, RFC 7396).
    Part,
}

/// The names of parts in a body, and their keys in a URL.
const KEYS: &[(&str, &str)] = &[
    ("mode", "mode"),
    ("streamid", "streamid"),
    ("passphrase", "passphrase"),
    ("pbkeylen", "pbkeylen"),
    ("latencyMs", "latency"),
    ("rcvLatencyMs", "rcvlatency"),
    ("peerLatencyMs", "peerlatency"),
    ("localAddress", "localaddress"),
    ("localPort", "localport"),
    ("connectTimeoutMs", "connect_timeout"),
    ("packetSizeBytes", "pkt_size"),
    ("maxBandwidthBytesPerS", "maxbw"),
    ("inputBandwidthBytesPerS", "inputbw"),
    ("overheadPercent", "oheadbw"),
    ("maxCallers", "maxcallers"),
];

/// What is wished of an endpoint from now on.
///
/// # Errors
/// 400 with the field.
pub(super) fn wish(
    input: &EndpointInput,
    current: Option<&EndpointRecord>,
    kind: Kind,
) -> Result<EndpointWish, Problem> {
    let url = url(input, current.map(|current| &current.url), kind)?;
    let plain = EndpointWish::plain(url.clone());
    let before = match (kind, current) {
        (Kind::Part, Some(current)) => EndpointWish { url, ..EndpointWish::of(current) },
        _ => plain.clone(),
    };
    if let Some(Some(track)) = input.audio_track
        && track != AUDIO_TRACK
    {
        let detail = format!("`audioTrack` is {track}; a stream has one sound track here, {AUDIO_TRACK}");
        return Err(Problem::bad_request(detail).at("audioTrack"));
    }
    let name = |text: &String| label(text).map_err(refused);
    let tracks = |text: &String| {
        let read = text.parse::<Tracks>();
        read.map_err(|reason| Problem::bad_request(format!("`tracks`: {reason}")).at("tracks"))
    };
    Ok(EndpointWish {
        label: match &input.label {
            None => before.label,
            Some(given) => given.as_ref().map(name).transpose()?,
        },
        enabled: input.enabled.map_or(before.enabled, |given| given.unwrap_or(plain.enabled)),
        tracks: match &input.tracks {
            None => before.tracks,
            Some(given) => given.as_ref().map(tracks).transpose()?.unwrap_or_default(),
        },
        retry: match &input.retry {
            None => before.retry,
            Some(None) => RetryWish::default(),
            Some(Some(given)) => retry(given, before.retry)?,
        },
        url: before.url,
    })
}

fn refused(error: WishError) -> Problem {
    Problem::bad_request(error.text).at(error.field)
}

fn retry(given: &RetryInput, before: RetryWish) -> Result<RetryWish, Problem> {
    let ms = |delay: std::time::Duration| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    let merged = RetryWish::new(
        given.min_ms.unwrap_or(before.min.map(ms)),
        given.max_ms.unwrap_or(before.max.map(ms)),
        given.limit.unwrap_or(before.limit.map(i64::from)),
    );
    merged.map_err(refused)
}

/// A part with its name in the body, its key in the URL and its value as it is written there, decoded.
struct Part {
    name: String,
    key: String,
    value: Option<String>,
}

fn parts(input: &EndpointInput, current: Option<&SrtUrl>, kind: Kind) -> Result<Vec<Part>, Problem> {
    fn text<T: ToString>(given: &Given<T>) -> Given<String> {
        given.as_ref().map(|value| value.as_ref().map(T::to_string))
    }
    let values = [
        text(&input.mode),
        text(&input.streamid),
        text(&input.passphrase),
        text(&input.pbkeylen),
        text(&input.latency_ms),
        text(&input.rcv_latency_ms),
        text(&input.peer_latency_ms),
        text(&input.local_address),
        text(&input.local_port),
        text(&input.connect_timeout_ms),
        text(&input.packet_size_bytes),
        text(&input.max_bandwidth_bytes_per_s),
        text(&input.input_bandwidth_bytes_per_s),
        text(&input.overhead_percent),
        text(&input.max_callers),
    ];
    let named = KEYS.iter().zip(values).filter_map(|((name, key), value)| {
        Some(Part { name: (*name).to_owned(), key: (*key).to_owned(), value: value? })
    });
    let mut parts: Vec<Part> = named.collect();
    let reset = (kind == Kind::Part && matches!(input.options, Some(None))).then_some(current).flatten();
    for (key, _) in reset.iter().flat_map(|url| &url.socket_options) {
        if KEYS.iter().all(|(_, known)| known != key) {
            parts.push(Part { name: "options".to_owned(), key: (*key).to_owned(), value: None });
        }
    }
    let mut seen = Vec::new();
    for (given, value) in input.options.iter().flatten().flatten() {
        let name = format!("options.{given}");
        let key = option_name(given).unwrap_or(given);
        if let Some((field, _)) = KEYS.iter().find(|(_, known)| *known == key) {
            return Err(Problem::bad_request(format!("`{name}` has a field of its own: `{field}`")).at(name));
        }
        if seen.contains(&key) {
            return Err(Problem::bad_request(format!("`{name}` is given twice; its other spellings count")).at(name));
        }
        seen.push(key);
        parts.push(Part { name, key: key.to_owned(), value: value.as_ref().map(|value| value.text()) });
    }
    Ok(parts)
}

fn url(input: &EndpointInput, current: Option<&SrtUrl>, kind: Kind) -> Result<SrtUrl, Problem> {
    let parts = parts(input, current, kind)?;
    let given = match &input.url {
        None => None,
        Some(Some(text)) => Some(text.as_str()),
        Some(None) if kind == Kind::Whole => None,
        Some(None) => return Err(Problem::bad_request("`url` is null; an endpoint needs one").at("url")),
    };
    let in_parts = !parts.is_empty() || input.host.is_some() || input.port.is_some();
    let whole = match given {
        Some(text) => Some(SrtUrl::parse_in_place_of(text, current).map_err(|error| bad_url(&error))?),
        None => None,
    };
    let kept = current.filter(|_| kind == Kind::Part);
    // Another spelling of the same is no change.
    let spelled = |url: &SrtUrl| current.filter(|current| current.means_the_same(url)).cloned();
    let mut draft = match (given, &whole, kept) {
        (_, Some(url), _) if !in_parts => return Ok(spelled(url).unwrap_or_else(|| url.clone())),
        (_, None, Some(current)) if !in_parts => return Ok(current.clone()),
        (Some(text), Some(_), _) => SrtUrlDraft::split(text),
        (_, _, Some(current)) => SrtUrlDraft::of(current),
        _ if !in_parts => {
            let detail = "the body names no destination; wanted: `url`, or `host` and other parts";
            return Err(Problem::bad_request(detail).at("url"));
        }
        _ => SrtUrlDraft::default(),
    };
    if let Some(host) = &input.host {
        let mut wanted = SrtUrlDraft::default();
        wanted.set_host(host.as_deref()).map_err(|error| bad_part(&error, "host"))?;
        let differs = || {
            let mut stated = SrtUrlDraft::default();
            stated.set_host(draft.host()).is_ok() && stated.host() != wanted.host()
        };
        if given.is_some() && wanted.host().is_some() && draft.host().is_some() && differs() {
            return Err(contradiction("host"));
        }
        if given.is_none() || wanted.host().is_some() {
            draft.set_host(host.as_deref()).map_err(|error| bad_part(&error, "host"))?;
        }
    }
    if let Some(port) = input.port {
        let stated = draft.port().filter(|_| given.is_some());
        if port.is_some_and(|port| stated.is_some_and(|stated| i64::from(stated) != port)) {
            return Err(contradiction("port"));
        }
        if given.is_none() || port.is_some() {
            draft.set_port(port).map_err(|error| bad_part(&error, "port"))?;
        }
    }
    for Part { name, key, value } in &parts {
        if given.is_some() && value.as_deref().is_none_or(|value| draft.contradicts(key, value)) {
            match value {
                Some(_) => return Err(contradiction(name)),
                // Null beside a URL says nothing.
                None => continue,
            }
        }
        draft.set(key, value.as_deref()).map_err(|error| bad_part(&error, name))?;
    }
    let built = draft.build(current).map_err(|error| {
        let part = error.key().and_then(|key| parts.iter().find(|part| part.key == key));
        let name = error.key().map(|key| KEYS.iter().find(|(_, known)| *known == key).map_or(key, |(name, _)| name));
        match (part, name) {
            (Some(part), _) => bad_part(&error, &part.name),
            (None, Some(name)) if given.is_none() => bad_part(&error, name),
            // Several parts together.
            (None, None) if given.is_none() => Problem::bad_request(error.to_string()),
            _ => bad_url(&error),
        }
    })?;
    let given = whole.filter(|whole| whole.means_the_same(&built));
    Ok(spelled(&built).or(given).unwrap_or(built))
}

fn contradiction(name: &str) -> Problem {
    let detail = format!("`url` and `{name}` contradict each other; wanted: one of them, or the same in both");
    Problem::bad_request(detail).at(name)
}

fn bad_url(error: &SrtUrlError) -> Problem {
    Problem::bad_request(error.to_string()).at("url")
}

fn bad_part(error: &SrtUrlError, name: &str) -> Problem {
    Problem::bad_request(error.to_string()).at(name)
}
