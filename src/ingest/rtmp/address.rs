//! What a publisher's address means: application, stream id and query pairs.
//!
//! Knows the spellings encoders use, not which names are allowed (the model's ids decide that).
//! The hard thing: URLs are cut in different places by different encoders, so a query may hang on
//! the application or on the stream, and the stream may stand in the application. One case can't be
//! told from an instance: of `rtmp://host/app/id/token` FFmpeg makes application `app/id`, name `token`.

use crate::model::query::{PAIRS_MAX, decoded, pairs};

/// What `connect` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Application {
    /// The application's name.
    pub(super) name: String,
    /// What follows it behind a slash; the stream id, if `publish` names none.
    pub(super) instance: Option<String>,
    /// Its query, without secrets.
    pub(super) query: Vec<(String, String)>,
}

/// What `publish` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamName {
    /// The stream's id.
    pub(super) id: String,
    /// Its query, without secrets.
    pub(super) query: Vec<(String, String)>,
}

/// Reads `connect`'s `app` (`live`, `live/`, `live/instance`, `live?key=value`); without one, `tcUrl`'s path.
pub(super) fn application(app: Option<&str>, tc_url: Option<&str>) -> Application {
    let path_of_url = || {
        let (_, rest) = tc_url?.split_once("://")?;
        rest.split_once('/').map(|(_, path)| path)
    };
    let app = app.filter(|app| !app.is_empty()).or_else(path_of_url).unwrap_or_default();
    let (path, query) = app.split_once('?').unwrap_or((app, ""));
    let mut elements = path.split('/').filter(|element| !element.is_empty());
    Application {
        name: decoded(elements.next().unwrap_or_default()),
        // `_definst_` is what Flash tools write for "no instance".
        instance: elements.next().filter(|instance| *instance != "_definst_").map(decoded),
        query: pairs(query),
    }
}

/// Reads `publish`'s name (`id`, `id?key=value`, `id/token`); without one, the application's instance.
pub(super) fn stream_name(name: &str, application: &Application) -> StreamName {
    let (path, query) = name.split_once('?').unwrap_or((name, ""));
    // FFmpeg and Flash tools put the file kind before a name with an extension.
    let path = ["mp4:", "flv:"].iter().find_map(|prefix| path.strip_prefix(prefix)).unwrap_or(path);
    let id = path.split('/').find(|element| !element.is_empty()).map(decoded);
    let mut query = pairs(query);
    query.extend(application.query.iter().cloned());
    query.truncate(PAIRS_MAX);
    StreamName { id: id.or_else(|| application.instance.clone()).unwrap_or_default(), query }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_encoders_write_them() {
        let none: &[(&str, &str)] = &[];
        for (app, tc_url, name, expected_app, expected_id, query) in [
            (Some("live"), None, "x", "live", "x", none),
            (Some("live/"), None, "x", "live", "x", none),
            (Some("/live"), None, "x", "live", "x", none),
            (Some("live/inst"), None, "x", "live", "x", none),
            (Some("live/_definst_"), None, "x", "live", "x", none),
            // A server address that holds the stream already, and an empty key.
            (Some("live/x"), None, "", "live", "x", none),
            (Some("live?token=secret&lang=de"), None, "x", "live", "x", &[("lang", "de")]),
            (Some("live"), None, "x?token=secret&k=v%20w&flag", "live", "x", &[("k", "v w"), ("flag", "")]),
            (Some("live?a=1"), None, "x?b=2", "live", "x", &[("b", "2"), ("a", "1")]),
            (Some("live"), None, "x/token/secret", "live", "x", none),
            (Some("live"), None, "x/secret?k=v", "live", "x", &[("k", "v")]),
            (Some("live"), None, "mp4:x.mp4", "live", "x.mp4", none),
            (Some(""), Some("rtmp://host:1935/live/"), "x", "live", "x", none),
            (None, Some("rtmp://host/live"), "x", "live", "x", none),
            (None, Some("rtmp://host"), "x", "", "x", none),
            (None, None, "", "", "", none),
            (Some("live"), None, "a%2fb", "live", "a/b", none),
            (Some("live"), None, "x?TOKEN=s&SubscriberCode=1&=v&&a=1", "live", "x", &[("a", "1")]),
        ] {
            let application = application(app, tc_url);
            let stream = stream_name(name, &application);
            assert_eq!(
                (application.name.as_str(), stream.id.as_str()),
                (expected_app, expected_id),
                "{app:?} {name:?}"
            );
            let got: Vec<_> = stream.query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            assert_eq!(got, query, "{app:?} {name:?}");
        }
    }

    #[test]
    fn a_huge_query_is_cut() {
        let long = format!("x?a={}&{}", "y".repeat(2_000), "k=v&".repeat(100));
        let stream = stream_name(&long, &application(Some("live"), None));
        assert_eq!(stream.query.len(), PAIRS_MAX);
        assert!(stream.query.iter().all(|(key, _)| key == "k"));
    }
}
