//! Whether an endpoint would lead a stream back into itself through this very server.
//!
//! Owns the search. Must not know addresses: `target` says which stream of this server a URL publishes.
//! The hard thing: loops over several streams (a sends to b, b to a) are found by following the stored
//! endpoints, live or not, since any of them may become live.

use std::collections::BTreeSet;

use super::directory::Directory;
use crate::model::ids::StreamKey;
use crate::model::srt_url::SrtUrl;

/// Streams followed from one URL; a longer chain is let through.
const STREAMS_FOLLOWED_MAX: usize = 64;

/// The stream over which `url`, as an endpoint of `key`, would come back to `key`; `key` itself when it
/// does so directly.
pub(super) fn way_back(
    directory: &Directory,
    key: &StreamKey,
    url: &SrtUrl,
    target: impl Fn(&SrtUrl) -> Option<StreamKey>,
) -> Option<StreamKey> {
    let first = target(url)?;
    if first == *key {
        return Some(first);
    }
    let mut seen = BTreeSet::new();
    let mut ahead = vec![first];
    while let Some(at) = ahead.pop() {
        if seen.len() >= STREAMS_FOLLOWED_MAX || !seen.insert(at.clone()) {
            continue;
        }
        let Some(entry) = directory.entries.get(&at) else { continue };
        for next in entry.record.endpoints.iter().filter_map(|endpoint| target(&endpoint.url)) {
            if next == *key {
                return Some(at);
            }
            ahead.push(next);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::directory::Entry;
    use super::*;
    use crate::model::endpoint::EndpointRecord;
    use crate::model::ids::AppName;

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
                entry.record.endpoints.push(EndpointRecord::new("e".parse().expect("id"), to(target)));
                (key(from), entry)
            })
            .collect();
        let directory = Directory::new(vec![app], entries);
        let way_back = |url: SrtUrl| way_back(&directory, &key("live/a"), &url, |url| url.streamid.as_deref().map(key));
        assert_eq!(way_back(to("live/a")), Some(key("live/a")), "itself");
        assert_eq!(way_back(to("live/b")), Some(key("live/c")), "a to b to c to a");
        assert_eq!(way_back(to("live/d")), None, "a stream without endpoints");
        assert_eq!(way_back(to("live/x")), None, "a loop of others ends the search");
        assert_eq!(way_back(SrtUrl::parse("srt://192.0.2.1").expect("url")), None, "another server");
    }
}
