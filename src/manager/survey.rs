//! All streams with their endpoints as numbers: what a scrape of metrics reads, without the records, the histories and
//! the texts, which are most of what a view copies.

use std::time::SystemTime;

use super::Manager;
use super::directory::Entry;
use super::view::BroadcastStatus;
use crate::model::broadcast::PublishType;
use crate::model::endpoint::{Cause, EndpointState, EndpointStatistics};
use crate::model::ids::{EndpointId, StreamKey};
use crate::stream::StreamSnapshot;

/// A stream, live or not.
#[derive(Debug, Clone)]
pub struct StreamSurvey {
    /// Its name.
    pub key: StreamKey,
    /// How it is.
    pub status: BroadcastStatus,
    /// Which run of the stream it is, while there is a publisher; a run may have several, one after the other.
    pub run: Option<u64>,
    /// Which publication it is: no two have the same number while the service runs.
    pub publication: Option<u64>,
    /// How its publisher comes in, while there is one.
    pub publish_type: Option<PublishType>,
    /// When the publisher came.
    pub since: Option<SystemTime>,
    /// What is seen of it, while there is a publisher; without its endpoints.
    pub stream: Option<StreamSnapshot>,
    /// Its endpoints that can be read.
    pub endpoints: Vec<EndpointSurvey>,
}

/// An endpoint.
#[derive(Debug, Clone)]
pub struct EndpointSurvey {
    /// Its id.
    pub id: EndpointId,
    /// Where it is in its life.
    pub state: EndpointState,
    /// Attempts since the last success.
    pub attempt: u32,
    /// Why the last attempt failed, until the next success.
    pub cause: Option<Cause>,
    /// Callers of a listener.
    pub callers: usize,
    /// What it has sent.
    pub statistics: EndpointStatistics,
}

impl Manager {
    /// All streams of all applications, by name.
    pub fn survey(&self) -> Vec<StreamSurvey> {
        self.shared.read().entries.values().map(Entry::survey).collect()
    }
}

impl Entry {
    fn survey(&self) -> StreamSurvey {
        let live = self.live.as_ref().filter(|live| live.held.is_none());
        let stream = live.and_then(|live| live.stream.as_ref()).map(|stream| stream.snapshot());
        let endpoints = self.record.endpoints.iter().map(|record| {
            let none = (0, None, 0, EndpointStatistics::default());
            let board = self.boards.get(&record.id);
            let (attempt, cause, callers, statistics) = board.map_or(none, |board| {
                board.read(|seen| {
                    let cause = seen.failure.as_ref().map(|failure| failure.cause);
                    (seen.attempt, cause, seen.callers.len(), seen.statistics.clone())
                })
            });
            let state = self.endpoint_state(record, board.map(|board| board.read(|seen| seen.state)));
            EndpointSurvey { id: record.id.clone(), state, attempt, cause, callers, statistics }
        });
        StreamSurvey {
            key: self.record.key.clone(),
            status: self.status(),
            run: live.map(|live| live.session),
            publication: live.map(|live| live.publisher.generation),
            publish_type: live.map(|live| live.publisher.publish_type),
            since: live.map(|live| live.publisher.since),
            stream,
            endpoints: endpoints.collect(),
        }
    }
}
