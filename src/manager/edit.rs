//! Changes of broadcasts: create, update, delete.
//!
//! Owns the order of each change: check, write down, show, run. Must not answer before the write.
//! The hard thing: a record that nobody created is stored exactly while it has an endpoint, or a source that is pulled.

use std::time::SystemTime;

use rand::RngExt as _;

use super::directory::Entry;
use super::merge::{Merged, merge};
use super::task::{Reply, Task};
use super::view::{BroadcastView, unix_ms};
use super::{BroadcastChange, Deleted, ManagerError, NewBroadcast};
use crate::events::EventKind;
use crate::model::broadcast::BroadcastRecord;
use crate::model::ids::{AppName, StreamId, StreamKey};

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
            let merged = merge(&key, &[], &[], &endpoints, &mut self.revisions, || directory.unused_endpoint_id())?;
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
        {
            let mut directory = self.shared.write();
            let added = entry.record.endpoints.iter().map(|endpoint| EventKind::EndpointAdded(endpoint.id.clone()));
            let told: Vec<EventKind> = std::iter::once(EventKind::BroadcastCreated).chain(added).collect();
            directory.entries.insert(key.clone(), entry);
            told.into_iter().for_each(|kind| directory.events.publish(key.clone(), kind));
        }
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
                Some(wanted) => {
                    let (endpoints, unreadable) = (&entry.record.endpoints, &entry.unreadable);
                    let new_id = || directory.unused_endpoint_id();
                    Some(merge(key, endpoints, unreadable, wanted, &mut self.revisions, new_id)?)
                }
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
        let has_endpoints = !record.endpoints.is_empty() || !unreadable.is_empty();
        if record.created_by_user || record.started || has_endpoints {
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
    pub(super) fn show(&self, record: BroadcastRecord, unreadable: Option<Vec<crate::store::UnreadableEndpoint>>) {
        let mut directory = self.shared.write();
        let key = record.key.clone();
        directory.replace(record, unreadable);
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
        let live = self.shared.write().delete(&key);
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

    fn refuse_loops(&self, key: &StreamKey, merged: &Merged) -> Result<(), ManagerError> {
        merged
            .fresh
            .iter()
            .filter_map(|at| merged.endpoints.get(*at))
            .try_for_each(|endpoint| self.refuse_loop(key, &endpoint.url))
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
