//! The store: which broadcasts and endpoints are wanted, in one SQLite file.
//!
//! Owns the database connection, the schema (`migrations/`) and the rows. Must not know what is
//! live, who asks, or how an answer looks. The hard thing: to tell a database that is not ours, not
//! whole, not writable or from a newer version apart from a good one *before* the first byte of it
//! is changed (`open`), and to keep a row that this version can't read (`rows`).

mod open;
mod rows;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqlitePool};

use crate::model::broadcast::BroadcastRecord;
use crate::model::endpoint::EndpointRecord;
use crate::model::ids::StreamKey;

/// How long a statement waits for another process that holds the file, a backup for instance.
const BUSY_TIMEOUT: Duration = Duration::from_millis(5_000);
/// How long a caller waits for the one connection. Longer than [`BUSY_TIMEOUT`], so that the cause
/// that is reported is the locked file.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(8_000);
/// Connections to the file. One: the manager is the only writer, and reads only at the start.
const CONNECTIONS_MAX: u32 = 1;

/// Why the store can't be opened, read or written. Each is one line, fit for the end of a start.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// `store.url` is not a usable SQLite address.
    #[error("store.url {url:?}: {reason}; wanted is sqlite://path/to/file.db")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file, or its directory, can't be opened or made.
    #[error("the database {path} can't be opened: {reason}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        reason: String,
    },
    /// The file can be read but not written.
    #[error("the database {path} is read-only: {reason}")]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// The file is no SQLite database, or a damaged one. It is left as it is.
    #[error("the database {path} is corrupt: {reason}; it was left untouched, restore or move it")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite's check said.
        reason: String,
    },
    /// A newer version of this service has migrated the file.
    #[error(
        "the database {path} is of a newer version of this service (it has migration {version}, this one knows up to {known})"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The first migration in it that this version doesn't know.
        version: i64,
        /// The last migration this version knows.
        known: i64,
    },
    /// A sound SQLite database with something else in it.
    #[error("the database {path} is not this service's: {reason}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// A statement failed on an open store.
    #[error("the store failed: {0}")]
    Sql(#[from] sqlx::Error),
}

/// An endpoint row whose URL or id this version can't read. It is neither lost nor started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableEndpoint {
    /// Its id, as stored.
    pub id: String,
    /// Its URL, whatever may be a secret hidden.
    pub shown_url: String,
    /// Why it can't be read.
    pub reason: String,
}

/// One stored broadcast: what could be read of it, and what could not.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredBroadcast {
    /// The record with every endpoint that could be read.
    pub record: BroadcastRecord,
    /// The others, in order.
    pub unreadable: Vec<UnreadableEndpoint>,
}

/// The open store. A clone is another handle to the same connection.
#[derive(Debug, Clone)]
pub struct Store {
    /// One connection, see [`CONNECTIONS_MAX`]. A pool, because it opens the connection anew after
    /// an error that has broken it.
    pool: SqlitePool,
}

impl Store {
    /// Opens the database at `url` (`sqlite://relative/or/absolute.db`), makes it and its directory
    /// when there is none, and brings its schema up to date. Journal mode WAL, synchronous FULL: what
    /// a call below has returned from is on the disk.
    ///
    /// # Errors
    /// Every [`StoreError`] but `Sql`; the file is unchanged then. In-memory databases are refused:
    /// they would forget every endpoint without a word.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        open::open(url).await.map(|pool| Self { pool })
    }

    /// The directory of the database file, where other files of the service may lie.
    pub fn directory(&self) -> PathBuf {
        let file = self.pool.connect_options().get_filename().to_owned();
        file.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), PathBuf::from)
    }

    /// Everything stored, oldest broadcast first, endpoints in the order they were added. A row that
    /// can't be read is kept in the file and logged once, here.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn load(&self) -> Result<Vec<StoredBroadcast>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(rows::load(&mut connection).await?)
    }

    /// Writes a broadcast's own fields; its endpoints stay as they are stored.
    ///
    /// # Errors
    /// [`StoreError::Sql`]; nothing is changed then.
    pub async fn put_broadcast(&self, record: &BroadcastRecord) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(rows::put_broadcast(&mut connection, record).await?)
    }

    /// Writes a broadcast and exactly its endpoints. Of the endpoints that this version can't read,
    /// those named in `kept` stay.
    ///
    /// # Errors
    /// [`StoreError::Sql`]; nothing is changed then.
    pub async fn replace_endpoints(&self, record: &BroadcastRecord, kept: &[String]) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        rows::put_broadcast(&mut transaction, record).await?;
        rows::keep_only(&mut transaction, &record.key, kept).await?;
        for endpoint in &record.endpoints {
            rows::insert_endpoint(&mut transaction, &record.key, endpoint).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Removes a broadcast and its endpoints; one that isn't stored is removed already.
    ///
    /// # Errors
    /// [`StoreError::Sql`]; nothing is changed then.
    pub async fn delete_broadcast(&self, key: &StreamKey) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(rows::delete_broadcast(&mut connection, key).await?)
    }

    /// Adds an endpoint at the end of `record`'s, and the broadcast itself if it isn't stored yet:
    /// both or neither.
    ///
    /// # Errors
    /// [`StoreError::Sql`], also when the id is taken; nothing is changed then.
    pub async fn add_endpoint(&self, record: &BroadcastRecord, endpoint: &EndpointRecord) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        rows::put_broadcast(&mut transaction, record).await?;
        rows::insert_endpoint(&mut transaction, &record.key, endpoint).await?;
        Ok(transaction.commit().await?)
    }

    /// Writes an endpoint anew, in its place.
    ///
    /// # Errors
    /// [`StoreError::Sql`], also when it isn't stored; nothing is changed then.
    pub async fn update_endpoint(&self, key: &StreamKey, endpoint: &EndpointRecord) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        if !rows::update_endpoint(&mut transaction, key, endpoint).await? {
            return Err(StoreError::Sql(sqlx::Error::RowNotFound));
        }
        Ok(transaction.commit().await?)
    }

    /// Removes an endpoint. A broadcast that nobody created and whose source is not pulled goes with its last one, in the
    /// same transaction. `id` is text because a row of [`StoredBroadcast::unreadable`] may have no valid one.
    ///
    /// # Errors
    /// [`StoreError::Sql`]; nothing is changed then.
    pub async fn remove_endpoint(&self, key: &StreamKey, id: &str) -> Result<(), StoreError> {
        let mut transaction = self.pool.begin().await?;
        rows::delete_endpoint(&mut transaction, key, id).await?;
        Ok(transaction.commit().await?)
    }

    /// Any statement, for tests that need a row which nobody here would write.
    #[cfg(test)]
    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.pool).await.expect(sql);
    }

    /// Waits for what is under way, writes the log back into the file and closes it.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// What the functions in [`rows`] run on: the connection of a pool or of a transaction.
type Connection = SqliteConnection;
