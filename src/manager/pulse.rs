//! What changes every second: the states and numbers of an application's streams, read without what stays.
//!
//! Owns the reading alone. It is asked once a second for all who look on, with hundreds of streams and thousands of
//! endpoints; so it copies neither records nor histories.

use super::Manager;
use std::time::SystemTime;

use super::directory::Entry;
use super::sources::{SourceReport, SourceStatus};
use super::view::BroadcastStatus;
use crate::model::endpoint::{EndpointState, EndpointStatistics};
use crate::model::ids::{AppName, EndpointId, StreamId};
use crate::stream::StreamSnapshot;

/// A stream that runs, or whose source is to be pulled, at one moment.
#[derive(Debug, Clone)]
pub struct StreamPulse {
    /// Which.
    pub id: StreamId,
    /// How it is.
    pub status: BroadcastStatus,
    /// What comes in, while there is a stream; without its endpoints.
    pub stream: Option<StreamSnapshot>,
    /// While it waits for its publisher to come back: until when.
    pub held_until: Option<SystemTime>,
    /// How its source fares, while that is to be pulled.
    pub source: Option<SourceStatus>,
    /// Its endpoints, those that can be read.
    pub endpoints: Vec<EndpointPulse>,
}

/// One of its endpoints.
#[derive(Debug, Clone)]
pub struct EndpointPulse {
    /// Which.
    pub id: EndpointId,
    /// Where it is in its life.
    pub state: EndpointState,
    /// Attempts since the last success; 0 while broadcasting.
    pub attempt: u32,
    /// What it has sent, once it has run.
    pub statistics: EndpointStatistics,
    /// Of a listener: how many have called.
    pub callers: usize,
}

impl Manager {
    /// The streams of an application that run or are to be pulled.
    pub fn pulse(&self, app: &AppName) -> Vec<StreamPulse> {
        let directory = self.shared.read();
        directory.of_app(app).filter(|entry| entry.live.is_some() || entry.source.is_some()).map(Entry::pulse).collect()
    }
}

impl Entry {
    fn pulse(&self) -> StreamPulse {
        let stream = self.live.as_ref().and_then(|live| live.stream.as_ref()).map(|stream| stream.snapshot());
        let source = self.source.as_ref().map(SourceReport::status);
        let status = self.status_seen(stream.as_ref().is_some_and(|stream| stream.live), source.as_ref());
        let endpoints = self.record.endpoints.iter().map(|endpoint| {
            let seen = self.boards.get(&endpoint.id).map(|board| {
                board.read(|seen| (seen.state, seen.attempt, seen.statistics.clone(), seen.callers.len()))
            });
            let state = self.endpoint_state(endpoint, seen.as_ref().map(|seen| seen.0));
            let (_, attempt, statistics, callers) =
                seen.unwrap_or_else(|| (state, 0, EndpointStatistics::default(), 0));
            EndpointPulse { id: endpoint.id.clone(), state, attempt, statistics, callers }
        });
        let endpoints = endpoints.collect();
        let held_until = self.live.as_ref().and_then(|live| live.held.as_ref()).map(|held| held.until);
        StreamPulse { id: self.record.key.id.clone(), status, stream, held_until, source, endpoints }
    }
}
