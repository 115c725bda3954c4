//! Settings for other eyes: TOML without secrets. Must not know where settings come from.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde::{Serialize, Serializer};

use super::{Settings, ice_url};
use crate::model::source::RtspTransport;
use crate::model::srt_url::{Secret, redact};

/// What stands in place of a secret.
pub(super) const REDACTED: &str = "***";

/// Names of URL parameters whose value is a secret.
const SECRET_PARAMETERS: [&str; 5] = ["password", "passphrase", "token", "key", "secret"];

pub(super) fn redacted_toml(settings: &Settings) -> String {
    let mut shown = settings.clone();
    shown.store.url = redact_url(&settings.store.url);
    shown.webrtc.turn_server = settings.webrtc.turn_server.as_deref().map(ice_url::redact);
    shown.webhook.url = settings.webhook.url.as_deref().map(redact);
    toml::to_string(&shown).expect("settings hold only strings, numbers, booleans and lists, which TOML can write")
}

/// Nothing given is the empty text, which reads back as nothing given.
pub(super) fn or_empty<T: Serialize, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => value.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}

/// A secret is never printed.
pub(super) fn secret_or_empty<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.is_some() { REDACTED } else { "" })
}

/// `FIRST-LAST`
pub(super) fn ports<S: Serializer>(ports: &RangeInclusive<u16>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}-{}", ports.start(), ports.end()))
}

/// A transport as its word.
pub(super) fn rtsp_transport<S: Serializer>(transport: &RtspTransport, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(transport.as_str())
}

/// The same, or the empty text.
pub(super) fn ports_or_empty<S: Serializer>(
    range: &Option<RangeInclusive<u16>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match range {
        Some(range) => ports(range, serializer),
        None => serializer.serialize_str(""),
    }
}

/// A URL with the password before its `@` and the values of secret parameters replaced.
pub(super) fn redact_url(url: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let mut shown = redact_user(address).into_owned();
    if let Some(query) = query {
        shown.push('?');
        let parameters: Vec<_> = query.split('&').map(redact_parameter).collect();
        shown.push_str(&parameters.join("&"));
    }
    shown
}

/// `scheme://user:secret@host` → `scheme://user:***@host`. The last `@` before the path counts, as in a
/// password that holds one.
fn redact_user(address: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = address.split_once("://") else { return address.into() };
    let Some((user_info, host)) = rest.rsplit_once('@') else { return address.into() };
    match user_info.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{REDACTED}@{host}").into(),
        None => format!("{scheme}://{REDACTED}@{host}").into(),
    }
}

fn redact_parameter(parameter: &str) -> Cow<'_, str> {
    match parameter.split_once('=') {
        Some((name, _)) if SECRET_PARAMETERS.iter().any(|secret| name.to_ascii_lowercase().contains(secret)) => {
            format!("{name}={REDACTED}").into()
        }
        _ => parameter.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_url_are_replaced_and_the_rest_stays() {
        for (url, shown) in [
            ("sqlite://data/srt-restream.db", "sqlite://data/srt-restream.db"),
            ("sqlite://data/a.db?mode=rwc", "sqlite://data/a.db?mode=rwc"),
            ("postgres://me:hunter2@db:5432/x", "postgres://me:***@db:5432/x"),
            ("postgres://me:hun@ter2@db/x?sslmode=require", "postgres://me:***@db/x?sslmode=require"),
            ("postgres://hunter2@db/x", "postgres://***@db/x"),
            ("postgres://db/x?user=me&password=hunter2", "postgres://db/x?user=me&password=***"),
            ("postgres://db/x?sslpassword=hunter2", "postgres://db/x?sslpassword=***"),
        ] {
            assert_eq!(redact_url(url), shown);
        }
    }
}
