//! Whether an endpoint would lead a stream back into itself through this very server.
//!
//! Owns the search. Must not know addresses: `dials` says whether a URL reaches a stream of this
//! server. The hard thing: loops over several streams (a sends to b, b to a) are found by following
//! the stored endpoints, live or not, since any of them may become live.

use std::collections::BTreeSet;

use super::directory::Directory;
use crate::model::ids::{AppName, StreamKey};
use crate::model::srt_stream_id::{self, StreamIdRequest};
use crate::model::srt_url::SrtUrl;

/// Streams followed from one URL; a longer chain is let through.
const STREAMS_FOLLOWED_MAX: usize = 64;

/// What a search needs to know of the world.
pub(super) struct Search<'a> {
    /// The streams and their endpoints.
    pub(super) directory: &'a Directory,
    /// Where a stream id without application leads.
    pub(super) default_app: &'a AppName,
    /// Whether a URL dials this server's stream of that name.
    pub(super) dials: &'a dyn Fn(&SrtUrl, &StreamKey) -> bool,
}

impl Search<'_> {
    /// The stream over which `url`, as an endpoint of `key`, would come back to `key`.
    pub(super) fn way_back(&self, key: &StreamKey, url: &SrtUrl) -> Option<StreamKey> {
        if (self.dials)(url, key) {
            return Some(key.clone());
        }
        let mut seen = BTreeSet::new();
        let mut ahead: Vec<StreamKey> = self.target(url).into_iter().collect();
        while let Some(at) = ahead.pop() {
            if seen.len() >= STREAMS_FOLLOWED_MAX || !seen.insert(at.clone()) {
                continue;
            }
            let Some(entry) = self.directory.entries.get(&at) else { continue };
            for endpoint in &entry.record.endpoints {
                if (self.dials)(&endpoint.url, key) {
                    return Some(at);
                }
                ahead.extend(self.target(&endpoint.url));
            }
        }
        None
    }

    /// The stream of this server that `url` publishes to, if it does.
    fn target(&self, url: &SrtUrl) -> Option<StreamKey> {
        let Ok(StreamIdRequest::Publish { app, stream, .. }) = srt_stream_id::parse(url.streamid.as_deref()?) else {
            return None;
        };
        let app = match app {
            Some(app) => app.parse().ok()?,
            None => self.default_app.clone(),
        };
        let key = StreamKey { app, id: stream.parse().ok()? };
        (self.dials)(url, &key).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::Entry;
    use super::*;
    use crate::model::endpoint::EndpointRecord;

    fn key(text: &str) -> StreamKey {
        let (app, id) = text.split_once('/').expect("app/id");
        StreamKey { app: app.parse().expect("app"), id: id.parse().expect("id") }
    }

    fn to(stream: &str) -> SrtUrl {
        SrtUrl::parse(&format!("srt://127.0.0.1?streamid={stream}")).expect("url")
    }

    #[test]
    fn loops_over_any_number_of_own_streams_are_found() {
        let app: AppName = "live".parse().expect("app");
        let entries = [("live/b", "live/c"), ("live/c", "live/a"), ("live/x", "live/y"), ("live/y", "live/x")]
            .into_iter()
            .map(|(from, target)| {
                let mut entry = Entry::made_by_publisher(key(from));
                entry.record.endpoints.push(EndpointRecord { id: "e".parse().expect("id"), url: to(target) });
                (key(from), entry)
            })
            .collect();
        let directory = Directory::new(vec![app.clone()], entries);
        let dials = |url: &SrtUrl, key: &StreamKey| url.streamid.as_deref() == Some(key.to_string().as_str());
        let search = Search { directory: &directory, default_app: &app, dials: &dials };
        assert_eq!(search.way_back(&key("live/a"), &to("live/a")), Some(key("live/a")), "itself");
        assert_eq!(search.way_back(&key("live/a"), &to("live/b")), Some(key("live/c")), "a to b to c to a");
        assert_eq!(search.way_back(&key("live/a"), &to("live/d")), None, "a stream without endpoints");
        assert_eq!(search.way_back(&key("live/a"), &to("live/x")), None, "a loop of others ends the search");
    }
}
