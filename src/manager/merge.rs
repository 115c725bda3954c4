//! A client's list of endpoints against the stored one. Pure.
//!
//! Owns the rule by which an entry of the list is an old endpoint, a changed one or a new one. Must
//! not know who is live. The hard thing: a client reads the list with its secrets redacted and sends
//! it back; the stored secret must survive that, and must not be had by sending it to another host.

use std::collections::HashSet;

use super::revisions::Revisions;
use super::{ENDPOINTS_PER_STREAM_MAX, ManagerError};
use crate::model::endpoint::EndpointRecord;
use crate::model::ids::{EndpointId, StreamKey};
use crate::model::srt_url::SrtUrl;
use crate::store::UnreadableEndpoint;

/// An endpoint as a client names it, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedEndpoint {
    /// The id it gives; a known one means that endpoint, an unknown one is kept if it can be an id.
    pub id: Option<String>,
    /// The URL it gives, exact or as it was shown (redacted).
    pub url: String,
}

/// The list from now on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    /// In the client's order.
    pub(super) endpoints: Vec<EndpointRecord>,
    /// The unreadable rows that stay.
    pub(super) unreadable: Vec<UnreadableEndpoint>,
    /// Which of `endpoints` have a URL that was not there before: those to check for loops.
    pub(super) fresh: Vec<usize>,
}

/// Merges `wanted` into what is stored. `new_id` makes an unused id, `revisions` give each that is new or changed its own.
///
/// # Errors
/// `BadUrl`, `BadEndpointId`, `DuplicateUrl`, `DuplicateEndpoint`, `TooManyEndpoints`: the first one
/// found; nothing of the list is taken then.
pub(super) fn merge(
    key: &StreamKey,
    current: &[EndpointRecord],
    unreadable: &[UnreadableEndpoint],
    wanted: &[WantedEndpoint],
    revisions: &mut Revisions,
    mut new_id: impl FnMut() -> EndpointId,
) -> Result<Merged, ManagerError> {
    if wanted.len() > ENDPOINTS_PER_STREAM_MAX {
        return Err(ManagerError::TooManyEndpoints(ENDPOINTS_PER_STREAM_MAX));
    }
    let mut merged = Merged::default();
    let (mut ids, mut urls) = (HashSet::new(), HashSet::new());
    for entry in wanted {
        if let Some(kept) = entry.unreadable(unreadable) {
            if !ids.insert(kept.id.clone()) {
                return Err(ManagerError::DuplicateEndpoint(kept.id.clone()));
            }
            merged.unreadable.push(kept.clone());
            continue;
        }
        let endpoint = match entry.unchanged(current, &ids) {
            Some(endpoint) => endpoint.clone(),
            None => {
                merged.fresh.push(merged.endpoints.len());
                entry.parse(current, revisions, &mut new_id)?
            }
        };
        if !ids.insert(endpoint.id.as_str().to_owned()) {
            return Err(ManagerError::DuplicateEndpoint(endpoint.id.to_string()));
        }
        if !urls.insert(endpoint.url.as_given().to_owned()) {
            return Err(ManagerError::DuplicateUrl { key: key.clone(), url: endpoint.url.redacted() });
        }
        merged.endpoints.push(endpoint);
    }
    Ok(merged)
}

impl WantedEndpoint {
    fn unreadable<'a>(&self, unreadable: &'a [UnreadableEndpoint]) -> Option<&'a UnreadableEndpoint> {
        let id = self.id.as_deref()?;
        unreadable.iter().find(|row| row.id == id && row.shown_url == self.url)
    }

    fn means(&self, url: &SrtUrl) -> bool {
        self.url == url.as_given() || self.url == url.redacted()
    }

    /// The stored endpoint that this entry is, as it is: by id, or without one by its URL if only one
    /// fits that is not taken.
    fn unchanged<'a>(&self, current: &'a [EndpointRecord], taken: &HashSet<String>) -> Option<&'a EndpointRecord> {
        if let Some(id) = self.id.as_deref() {
            return current.iter().find(|endpoint| endpoint.id.as_str() == id && self.means(&endpoint.url));
        }
        let mut fitting =
            current.iter().filter(|endpoint| !taken.contains(endpoint.id.as_str()) && self.means(&endpoint.url));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }

    /// A new endpoint, or a stored one with another URL: all else that is wished of it stays.
    fn parse(
        &self,
        current: &[EndpointRecord],
        revisions: &mut Revisions,
        new_id: &mut impl FnMut() -> EndpointId,
    ) -> Result<EndpointRecord, ManagerError> {
        let stored = self.id.as_deref().and_then(|id| current.iter().find(|endpoint| endpoint.id.as_str() == id));
        // No host but the stored one ever gets the stored secret.
        let url =
            SrtUrl::parse_in_place_of(&self.url, stored.map(|stored| &stored.url)).map_err(ManagerError::BadUrl)?;
        if let Some(stored) = stored {
            // Another spelling of the same is no change.
            if stored.url.means_the_same(&url) {
                return Ok(stored.clone());
            }
            return Ok(EndpointRecord { url, revision: revisions.next(stored.revision), ..stored.clone() });
        }
        let id = match self.id.as_deref() {
            Some(id) => id.parse().map_err(ManagerError::BadEndpointId)?,
            None => new_id(),
        };
        Ok(EndpointRecord { revision: revisions.first(), ..EndpointRecord::new(id, url) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, url: &str) -> EndpointRecord {
        EndpointRecord::new(id.parse().expect("id"), SrtUrl::parse(url).expect("url"))
    }

    fn wanted(id: Option<&str>, url: &str) -> WantedEndpoint {
        WantedEndpoint { id: id.map(str::to_owned), url: url.to_owned() }
    }

    const SECRET: &str = "srt://192.0.2.1:9000?passphrase=0123456789ab";
    const SHOWN: &str = "srt://192.0.2.1:9000?passphrase=***";
    const PLAIN: &str = "srt://192.0.2.2:9000";

    fn run(wanted: &[WantedEndpoint]) -> Result<Merged, ManagerError> {
        let key = StreamKey { app: "live".parse().expect("app"), id: "test".parse().expect("id") };
        let row = UnreadableEndpoint { id: "old".into(), shown_url: "foo://x?***".into(), reason: "r".into() };
        let (stored, mut revisions) = ([record("a", SECRET), record("b", PLAIN)], Revisions::above([1].into_iter()));
        merge(&key, &stored, &[row], wanted, &mut revisions, || "new".parse().expect("id"))
    }

    fn texts(merged: &Merged) -> Vec<(&str, &str)> {
        merged.endpoints.iter().map(|endpoint| (endpoint.id.as_str(), endpoint.url.as_given())).collect()
    }

    #[test]
    fn what_was_shown_and_sent_back_keeps_its_secret() {
        for list in [
            vec![wanted(Some("a"), SHOWN), wanted(Some("b"), PLAIN)],
            vec![wanted(None, SHOWN), wanted(None, PLAIN)],
            vec![wanted(Some("a"), SECRET), wanted(None, PLAIN)],
        ] {
            let merged = run(&list).expect("accepted");
            assert_eq!(texts(&merged), [("a", SECRET), ("b", PLAIN)]);
            assert!(merged.fresh.is_empty());
        }
    }

    #[test]
    fn a_changed_url_keeps_the_id_and_a_new_one_gets_one() {
        let merged =
            run(&[wanted(Some("b"), "srt://192.0.2.3:9000"), wanted(None, "srt://192.0.2.4:9000")]).expect("accepted");
        assert_eq!(texts(&merged), [("b", "srt://192.0.2.3:9000"), ("new", "srt://192.0.2.4:9000")]);
        assert_eq!(merged.fresh, [0, 1]);
        assert!(merged.unreadable.is_empty(), "not listed, so removed");
        let revisions: Vec<u64> = merged.endpoints.iter().map(|endpoint| endpoint.revision).collect();
        assert!(revisions[0] == 2 && revisions[1] > 1_000_000, "{revisions:?}");
    }

    #[test]
    fn what_else_is_wished_of_an_endpoint_stays() {
        let mut stored = record("a", SECRET);
        (stored.label, stored.enabled, stored.revision) = (Some("main".into()), false, 4);
        let key = StreamKey { app: "live".parse().expect("app"), id: "test".parse().expect("id") };
        let run = |url: &str| {
            let list = [wanted(Some("a"), url)];
            let mut revisions = Revisions::above([stored.revision].into_iter());
            let merged = merge(&key, std::slice::from_ref(&stored), &[], &list, &mut revisions, || unreachable!());
            let merged = merged.expect("accepted");
            merged.endpoints.into_iter().next().expect("one")
        };
        assert_eq!(run(SHOWN), stored);
        assert_eq!(run("SRT://192.0.2.1:9000/?passphrase=***"), stored, "in another spelling");
        let moved = run("srt://192.0.2.1:9001?passphrase=***");
        assert_eq!(moved.url.as_given(), "srt://192.0.2.1:9001?passphrase=0123456789ab");
        assert_eq!((moved.label, moved.enabled, moved.revision), (stored.label.clone(), false, 5));
    }

    #[test]
    fn an_unreadable_row_stays_when_it_is_sent_back_as_shown() {
        assert_eq!(run(&[wanted(Some("old"), "foo://x?***")]).expect("accepted").unreadable.len(), 1);
    }

    #[test]
    fn refusals() {
        type Check = fn(&ManagerError) -> bool;
        let cases: [(Vec<WantedEndpoint>, Check); 6] = [
            // The stored secret can't be had by pointing its endpoint elsewhere.
            (vec![wanted(Some("a"), "srt://198.51.100.9:9000?passphrase=***")], |e| {
                matches!(e, ManagerError::BadUrl(_))
            }),
            (vec![wanted(None, "rtmp://192.0.2.1/live/x")], |e| matches!(e, ManagerError::BadUrl(_))),
            (vec![wanted(Some("a b"), "srt://192.0.2.9")], |e| matches!(e, ManagerError::BadEndpointId(_))),
            (vec![wanted(Some("b"), PLAIN), wanted(Some("c"), PLAIN)], |e| {
                matches!(e, ManagerError::DuplicateUrl { .. })
            }),
            (vec![wanted(Some("b"), PLAIN), wanted(Some("b"), "srt://192.0.2.9")], |e| {
                matches!(e, ManagerError::DuplicateEndpoint(_))
            }),
            (vec![wanted(None, PLAIN); ENDPOINTS_PER_STREAM_MAX + 1], |e| {
                matches!(e, ManagerError::TooManyEndpoints(_))
            }),
        ];
        for (list, check) in cases {
            let refused = run(&list).expect_err("refused");
            assert!(check(&refused), "{refused}");
        }
    }
}
