//! What there is to say of a stream: the fields of its broadcast, and what its publisher says beside them.
//!
//! Owns which of a publisher's pairs has a name of its own. Must not know where it is told.

use serde_json::{Map, Value};

use super::Manager;
use super::view::LiveView;
use crate::model::ids::StreamKey;

/// The pairs by which a publisher describes its stream.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a>(&'a [(String, String)]);

impl<'a> Said<'a> {
    /// What it said under this name.
    pub fn word(self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Its own `metaData`; without one, all that it said and that has no field of its own, as the JSON text that Ant
    /// Media puts there.
    pub fn metadata(self) -> Option<String> {
        if let Some(text) = self.word("metaData") {
            return Some(text.to_owned());
        }
        let others = self.0.iter().filter(|(key, _)| !["streamName", "mainTrack", "role"].contains(&key.as_str()));
        let pairs: Map<String, Value> = others.map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        (!pairs.is_empty()).then(|| Value::Object(pairs).to_string())
    }
}

impl LiveView {
    /// What its publisher says.
    pub fn said(&self) -> Said<'_> {
        Said(&self.meta)
    }
}

impl Manager {
    /// Reads a broadcast's fields, and what its publisher says while there is one, without a copy of all else. `read` is
    /// called under the lock that everybody reads by, so it has to be short.
    pub fn describe<T>(
        &self,
        key: &StreamKey,
        read: impl FnOnce(&Map<String, Value>, Option<Said<'_>>) -> T,
    ) -> Option<T> {
        let directory = self.shared.read();
        let entry = directory.entries.get(key)?;
        let live = entry.live.as_ref().filter(|live| live.held.is_none());
        Some(read(&entry.record.fields, live.map(|live| Said(&live.publisher.meta))))
    }
}
