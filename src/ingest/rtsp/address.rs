//! What a request's URL means: application, stream id, query pairs, and which of the media's tracks.
//!
//! Knows the spellings of RTSP clients, not which names are allowed (the model's ids decide that). The hard thing:
//! clients put a track's control behind the whole URL, query and all (`…/live/test?token=x/streamid=0`).

use crate::model::query::{decoded, pairs};

/// A request's URL, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The application's name; empty when there is none.
    pub(super) app: String,
    /// The stream's id; empty when there is none.
    pub(super) stream: String,
    /// What follows: a track of the media.
    pub(super) control: Option<String>,
    /// The query without secrets.
    pub(super) query: Vec<(String, String)>,
}

impl Address {
    /// Reads a URL, or what of it a request names. `controls` are the tracks that were announced.
    pub(super) fn parse(url: &str, controls: &[String]) -> Self {
        let path = url.split_once("://").map_or(url, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let (query, behind) = match query.rsplit_once('/') {
            Some((query, control)) if controls.iter().any(|known| known == control) => (query, Some(control)),
            _ => (query, None),
        };
        let mut rest = path.split('/').filter(|element| !element.is_empty());
        let (app, stream) = (rest.next().map(decoded), rest.next().map(decoded));
        let inside: Vec<_> = rest.collect();
        let control = behind.map(str::to_owned).or_else(|| (!inside.is_empty()).then(|| inside.join("/")));
        Self { app: app.unwrap_or_default(), stream: stream.unwrap_or_default(), control, query: pairs(query) }
    }

    /// The path by which the media is known inside: the same for all spellings.
    pub(super) fn path(&self) -> String {
        let Self { app, stream, control, .. } = self;
        match control {
            Some(control) => format!("/{app}/{stream}/{control}"),
            None => format!("/{app}/{stream}"),
        }
    }
}

/// A track's `a=control` without the URL that may stand in front.
pub(super) fn control_name(control: &str) -> &str {
    control.trim_end_matches('/').rsplit('/').next().unwrap_or(control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_clients_write_them() {
        let controls = ["streamid=0".to_owned(), "streamid=1".to_owned()];
        let none: &[(&str, &str)] = &[];
        for (url, app, stream, control, query) in [
            ("rtsp://host:8554/live/test", "live", "test", None, none),
            ("rtsp://host/live/test/", "live", "test", None, none),
            ("rtsp://host/live/test/streamid=1", "live", "test", Some("streamid=1"), none),
            ("rtsp://host//live//test//streamid=1", "live", "test", Some("streamid=1"), none),
            ("rtsp://host/live/test?lang=de", "live", "test", None, &[("lang", "de")]),
            ("rtsp://host/live/test?token=s&lang=de/streamid=0", "live", "test", Some("streamid=0"), &[("lang", "de")]),
            ("rtsp://host/live/test?user=me&Pass=s&jwt=s&secret=s", "live", "test", None, &[("user", "me")]),
            ("rtsp://host/live/test?path=a/b", "live", "test", None, &[("path", "a/b")]),
            ("rtsp://host/live/t%20t", "live", "t t", None, none),
            ("rtsp://host/live", "live", "", None, none),
            ("rtsp://host", "", "", None, none),
            ("/live/test/streamid=0", "live", "test", Some("streamid=0"), none),
        ] {
            let address = Address::parse(url, &controls);
            assert_eq!((address.app.as_str(), address.stream.as_str()), (app, stream), "{url}");
            assert_eq!(address.control.as_deref(), control, "{url}");
            let got: Vec<_> = address.query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(got, query, "{url}");
        }
    }

    #[test]
    fn a_control_is_named_by_its_end() {
        for (control, name) in
            [("streamid=0", "streamid=0"), ("rtsp://host/live/test/trackID=1", "trackID=1"), ("*", "*"), ("", "")]
        {
            assert_eq!(control_name(control), name);
        }
    }
}
