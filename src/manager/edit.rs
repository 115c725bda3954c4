//! Changes of records: create, update, delete, endpoints.
//!
//! Owns the order of each change: check, write down, show, run. Must not answer before the write.
//! The hard thing: a record that nobody created is stored exactly while it has an endpoint.

use std::time::SystemTime;

use rand::RngExt as _;

use super::directory::Entry;
use super::loops::way_back;
use super::merge::{Merged, merge};
use super::task::{Reply, Task};
use super::view::{BroadcastView, unix_ms};
use super::{BroadcastChange, Deleted, ENDPOINTS_PER_STREAM_MAX, ManagerError, NewBroadcast};
use crate::model::broadcast::BroadcastRecord;
use crate::model::endpoint::EndpointRecord;
use crate::model::ids::{AppName, EndpointId, StreamId, StreamKey};
use crate::model::srt_url::SrtUrl;

/// Random characters of a generated stream id, before the milliseconds.
const STREAM_ID_RANDOM_LEN: usize = 12;

impl Task {
    pub(super) async fn create(&mut self, new: NewBroadcast) -> Result<BroadcastView, ManagerError> {
        let NewBroadcast { app, id, fields, start, endpoints } = new;
        let date = SystemTime::now();
        let (key, merged) = {
            let directory = self.shared.read();
            let key = match id {
                Some(id) => StreamKey { app, id },
                None => generate_key(&app, date, |key| directory.entries.contains_key(key)),
            };
            if directory.entries.contains_key(&key) {
                return Err(ManagerError::AlreadyExists(key));
            }
            let merged = merge(&key, &[], &[], &endpoints, || directory.unused_endpoint_id())?;
            (key, merged)
        };
        self.refuse_loops(&key, &merged)?;
        Self::check_source(start, &fields)?;
        let endpoints = merged.endpoints;
        let record = BroadcastRecord { key, created_by_user: true, date, fields, started: start, endpoints };
        self.store.replace_endpoints(&record, &[]).await?;
        tracing::info!(stream = %record.key, endpoints = record.endpoints.len(), "broadcast created");
        let entry = Entry::created(record);
        let key = entry.record.key.clone();
        self.shared.write().entries.insert(key.clone(), entry);
        self.refresh_source(&key);
        self.shared.read().entries.get(&key).map(Entry::view).ok_or(ManagerError::UnknownStream(key))
    }

    /// Stores and shows the change; the caller reconciles.
    pub(super) async fn update(&mut self, key: &StreamKey, change: BroadcastChange) -> Result<(), ManagerError> {
        let (mut record, merged) = {
            let directory = self.shared.read();
            let entry = directory.entries.get(key).ok_or_else(|| ManagerError::UnknownStream(key.clone()))?;
            let merged = match &change.endpoints {
                None => None,
                Some(wanted) => Some(merge(key, &entry.record.endpoints, &entry.unreadable, wanted, || {
                    directory.unused_endpoint_id()
                })?),
            };
            (entry.record.clone(), merged)
        };
        record.fields.extend(change.fields);
        Self::check_source(record.started, &record.fields)?;
        match merged {
            Some(merged) => self.update_with_endpoints(record, merged).await?,
            None => self.update_fields(record).await?,
        }
        self.refresh_source(key);
        Ok(())
    }

    async fn update_fields(&mut self, record: BroadcastRecord) -> Result<(), ManagerError> {
        let stored = self.shared.read().entries.get(&record.key).is_some_and(Entry::is_stored);
        if stored {
            self.store.put_broadcast(&record).await?;
        }
        self.show(record, None);
        Ok(())
    }

    async fn update_with_endpoints(&mut self, mut record: BroadcastRecord, merged: Merged) -> Result<(), ManagerError> {
        self.refuse_loops(&record.key, &merged)?;
        let Merged { endpoints, unreadable, .. } = merged;
        record.endpoints = endpoints;
        if record.created_by_user || !record.endpoints.is_empty() || !unreadable.is_empty() {
            let kept: Vec<String> = unreadable.iter().map(|row| row.id.clone()).collect();
            self.store.replace_endpoints(&record, &kept).await?;
        } else {
            self.store.delete_broadcast(&record.key).await?;
        }
        tracing::info!(stream = %record.key, endpoints = record.endpoints.len(), "endpoints replaced");
        self.show(record, Some(unreadable));
        Ok(())
    }

    /// Puts a written record into the directory.
    fn show(&self, record: BroadcastRecord, unreadable: Option<Vec<crate::store::UnreadableEndpoint>>) {
        let mut directory = self.shared.write();
        let key = record.key.clone();
        if let Some(entry) = directory.entries.get_mut(&key) {
            entry.record = record;
            if let Some(unreadable) = unreadable {
                entry.unreadable = unreadable;
            }
        }
        directory.forget_unneeded(&key);
    }

    pub(super) async fn delete(&mut self, key: StreamKey, reply: Reply<Result<Deleted, ManagerError>>) {
        if !self.shared.read().entries.contains_key(&key) {
            let _ = reply.send(Err(ManagerError::UnknownStream(key)));
            return;
        }
        if let Err(error) = self.store.delete_broadcast(&key).await {
            let _ = reply.send(Err(error.into()));
            return;
        }
        tracing::info!(stream = %key, "broadcast deleted");
        let live = self.shared.write().entries.remove(&key).and_then(|entry| entry.live);
        self.refresh_source(&key);
        match (live, self.sessions.get(&key)) {
            (Some(live), Some(session)) => {
                live.cancel.cancel();
                self.answer_after(session.closed.clone(), reply, |in_time| {
                    Ok(if in_time { Deleted::Stopped } else { Deleted::StillClosing })
                });
            }
            _ => {
                let _ = reply.send(Ok(Deleted::Stopped));
            }
        }
    }

    /// Stores, shows and starts an endpoint.
    pub(super) async fn add_endpoint(
        &mut self,
        key: &StreamKey,
        id: Option<EndpointId>,
        url: SrtUrl,
    ) -> Result<EndpointRecord, ManagerError> {
        let (record, endpoint) = {
            let directory = self.shared.read();
            let entry = directory.entries.get(key).ok_or_else(|| ManagerError::UnknownStream(key.clone()))?;
            if entry.record.endpoints.iter().any(|other| other.url.as_given() == url.as_given()) {
                return Err(ManagerError::DuplicateUrl { key: key.clone(), url: url.redacted() });
            }
            if let Some(id) = id.as_ref().filter(|id| entry.has_endpoint(id.as_str())) {
                return Err(ManagerError::DuplicateEndpoint(id.to_string()));
            }
            if entry.endpoint_count() >= ENDPOINTS_PER_STREAM_MAX {
                return Err(ManagerError::TooManyEndpoints(ENDPOINTS_PER_STREAM_MAX));
            }
            let id = id.unwrap_or_else(|| directory.unused_endpoint_id());
            (entry.record.clone(), EndpointRecord { id, url })
        };
        self.refuse_loop(key, &endpoint.url)?;
        self.store.add_endpoint(&record, &endpoint).await?;
        if let Some(entry) = self.shared.write().entries.get_mut(key) {
            entry.record.endpoints.push(endpoint.clone());
        }
        tracing::info!(stream = %key, endpoint = %endpoint.id, "endpoint added");
        self.reconcile(key);
        Ok(endpoint)
    }

    /// Removes an endpoint from the store and from view; the caller reconciles.
    pub(super) async fn remove_endpoint(&mut self, key: &StreamKey, id: &str) -> Result<(), ManagerError> {
        match self.shared.read().entries.get(key) {
            None => return Err(ManagerError::UnknownStream(key.clone())),
            Some(entry) if !entry.has_endpoint(id) => return Err(ManagerError::UnknownEndpoint(id.to_owned())),
            Some(_) => {}
        }
        self.store.remove_endpoint(key, id).await?;
        let mut directory = self.shared.write();
        if let Some(entry) = directory.entries.get_mut(key) {
            entry.record.endpoints.retain(|endpoint| endpoint.id.as_str() != id);
            entry.unreadable.retain(|row| row.id != id);
        }
        directory.forget_unneeded(key);
        drop(directory);
        tracing::info!(stream = %key, endpoint = id, "endpoint removed");
        Ok(())
    }

    fn refuse_loops(&self, key: &StreamKey, merged: &Merged) -> Result<(), ManagerError> {
        merged
            .fresh
            .iter()
            .filter_map(|at| merged.endpoints.get(*at))
            .try_for_each(|endpoint| self.refuse_loop(key, &endpoint.url))
    }

    fn refuse_loop(&self, key: &StreamKey, url: &SrtUrl) -> Result<(), ManagerError> {
        let way_back = way_back(&self.shared.read(), key, url, |url| self.streams.own_target(url));
        match way_back {
            None => Ok(()),
            Some(over) if over == *key => Err(ManagerError::FeedsBack(format!("it leads to {key} itself"))),
            Some(over) => Err(ManagerError::FeedsBack(format!("it comes back from {over}"))),
        }
    }
}

/// An unused stream id in Ant Media's form: 12 alphanumerics and the milliseconds since 1970.
fn generate_key(app: &AppName, date: SystemTime, taken: impl Fn(&StreamKey) -> bool) -> StreamKey {
    loop {
        // Ends: 62¹² ids for each millisecond.
        let mut rng = rand::rng();
        let mut text: String =
            (0..STREAM_ID_RANDOM_LEN).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect();
        text.push_str(&unix_ms(date).to_string());
        let id: StreamId = text.parse().expect("letters and digits, 32 of them at most");
        let key = StreamKey { app: app.clone(), id };
        if !taken(&key) {
            return key;
        }
    }
}
