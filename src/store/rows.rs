//! Rows to records and back.
//!
//! Owns every statement. Must not know the pool or what a caller does with a record. The hard thing:
//! a row that can't be read (an older rule, a hand at work with `sqlite3`) is set aside, named once in
//! the log without its secrets, and stays in the file.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::Row as _;
use sqlx::sqlite::{SqliteArguments, SqliteRow};

use super::{Connection, StoredBroadcast, UnreadableEndpoint};
use crate::model::broadcast::BroadcastRecord;
use crate::model::endpoint::{EndpointRecord, RetryWish, label};
use crate::model::ids::StreamKey;
use crate::model::srt_url::{SrtUrl, redact};

pub(super) async fn load(connection: &mut Connection) -> sqlx::Result<Vec<StoredBroadcast>> {
    let rows = sqlx::query(
        "SELECT app, stream_id, created_by_user, date_ms, fields, started FROM broadcasts \
         ORDER BY date_ms, app, stream_id",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut broadcasts: Vec<StoredBroadcast> = Vec::with_capacity(rows.len());
    let mut places: HashMap<(String, String), usize> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let (app, stream_id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        match broadcast(row, &app, &stream_id)? {
            Ok(record) => {
                places.insert((app, stream_id), broadcasts.len());
                broadcasts.push(StoredBroadcast { record, unreadable: Vec::new() });
            }
            Err(reason) => {
                tracing::error!(
                    app,
                    stream_id,
                    reason,
                    "a stored broadcast can't be read; it stays in the database, unused"
                );
            }
        }
    }
    let rows = sqlx::query(
        "SELECT app, stream_id, id, url, label, enabled, tracks, retry_min_ms, retry_max_ms, retry_limit, revision \
         FROM endpoints ORDER BY app, stream_id, position, id",
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        let place: (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let (id, url): (String, String) = (row.try_get(2)?, row.try_get(3)?);
        // Its broadcast was unreadable, and that has been said.
        let Some(broadcast) = places.get(&place).and_then(|at| broadcasts.get_mut(*at)) else { continue };
        match endpoint(row, &id, &url)? {
            Ok(endpoint) => broadcast.record.endpoints.push(endpoint),
            Err(reason) => {
                tracing::error!(
                    stream = %broadcast.record.key, endpoint = id, reason,
                    "a stored endpoint can't be read; it stays in the database, unused"
                );
                let shown_url = redact(&url);
                broadcast.unreadable.push(UnreadableEndpoint { id, shown_url, reason });
            }
        }
    }
    Ok(broadcasts)
}

/// The outer error ends the start (the file can't be read), the inner one is about this row alone.
fn broadcast(row: &SqliteRow, app: &str, stream_id: &str) -> sqlx::Result<Result<BroadcastRecord, String>> {
    let created_by_user: bool = row.try_get(2)?;
    let date_ms: i64 = row.try_get(3)?;
    let fields: String = row.try_get(4)?;
    let started: bool = row.try_get(5)?;
    let read = || {
        Ok(BroadcastRecord {
            key: StreamKey {
                app: app.parse().map_err(|why| format!("its application {why}"))?,
                id: stream_id.parse().map_err(|why| format!("its id {why}"))?,
            },
            created_by_user,
            date: UNIX_EPOCH + Duration::from_millis(date_ms.max(0).unsigned_abs()),
            fields: serde_json::from_str(&fields).map_err(|why| format!("its fields are no JSON object: {why}"))?,
            started,
            endpoints: Vec::new(),
        })
    };
    Ok(read())
}

/// As [`broadcast`], of an endpoint.
fn endpoint(row: &SqliteRow, id: &str, url: &str) -> sqlx::Result<Result<EndpointRecord, String>> {
    let text: Option<String> = row.try_get(4)?;
    let enabled: bool = row.try_get(5)?;
    let tracks: String = row.try_get(6)?;
    let (min_ms, max_ms, limit): (Option<i64>, Option<i64>, Option<i64>) =
        (row.try_get(7)?, row.try_get(8)?, row.try_get(9)?);
    let revision: i64 = row.try_get(10)?;
    let read = || {
        Ok(EndpointRecord {
            id: id.parse().map_err(|why| format!("its id {why}"))?,
            url: SrtUrl::parse(url).map_err(|why| why.to_string())?,
            label: text.as_deref().map(label).transpose().map_err(|why| why.to_string())?,
            enabled,
            tracks: tracks.parse().map_err(|why| format!("its tracks: {why}"))?,
            retry: RetryWish::new(min_ms, max_ms, limit).map_err(|why| why.to_string())?,
            revision: revision.max(1).unsigned_abs(),
        })
    };
    Ok(read())
}

/// Milliseconds since 1970; a clock before that counts as 1970.
fn date_ms(date: SystemTime) -> i64 {
    let since = date.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) async fn put_broadcast(connection: &mut Connection, record: &BroadcastRecord) -> sqlx::Result<()> {
    // Not INSERT OR REPLACE: that deletes the old row first, and its endpoints with it.
    sqlx::query(
        "INSERT INTO broadcasts (app, stream_id, created_by_user, date_ms, fields, started) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (app, stream_id) DO UPDATE SET \
         created_by_user = excluded.created_by_user, date_ms = excluded.date_ms, fields = excluded.fields, \
         started = excluded.started",
    )
    .bind(record.key.app.as_str())
    .bind(record.key.id.as_str())
    .bind(record.created_by_user)
    .bind(date_ms(record.date))
    .bind(serde_json::Value::Object(record.fields.clone()).to_string())
    .bind(record.started)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete_broadcast(connection: &mut Connection, key: &StreamKey) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM broadcasts WHERE app = ? AND stream_id = ?")
        .bind(key.app.as_str())
        .bind(key.id.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn insert_endpoint(
    connection: &mut Connection,
    key: &StreamKey,
    endpoint: &EndpointRecord,
) -> sqlx::Result<()> {
    let query = sqlx::query(
        "INSERT INTO endpoints (app, stream_id, id, url, label, enabled, tracks, retry_min_ms, retry_max_ms, \
         retry_limit, revision, position) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, coalesce(max(position) + 1, 0) \
         FROM endpoints WHERE app = ?1 AND stream_id = ?2",
    );
    bind(query, key, endpoint).execute(connection).await?;
    Ok(())
}

/// Writes an endpoint anew; its place stays. False when it isn't stored.
pub(super) async fn update_endpoint(
    connection: &mut Connection,
    key: &StreamKey,
    endpoint: &EndpointRecord,
) -> sqlx::Result<bool> {
    let query = sqlx::query(
        "UPDATE endpoints SET url = ?4, label = ?5, enabled = ?6, tracks = ?7, retry_min_ms = ?8, retry_max_ms = ?9, \
         retry_limit = ?10, revision = ?11 WHERE app = ?1 AND stream_id = ?2 AND id = ?3",
    );
    Ok(bind(query, key, endpoint).execute(connection).await?.rows_affected() == 1)
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>;

/// The values of a row, 1 to 11.
fn bind(query: Query, key: &StreamKey, endpoint: &EndpointRecord) -> Query {
    let EndpointRecord { id, url, label, enabled, tracks, retry, revision } = endpoint;
    let ms = |delay: Duration| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
    query
        .bind(key.app.as_str().to_owned())
        .bind(key.id.as_str().to_owned())
        .bind(id.as_str().to_owned())
        .bind(url.as_given().to_owned())
        .bind(label.clone())
        .bind(*enabled)
        .bind(tracks.as_str())
        .bind(retry.min.map(ms))
        .bind(retry.max.map(ms))
        .bind(retry.limit)
        .bind(i64::try_from(*revision).unwrap_or(i64::MAX))
}

pub(super) async fn delete_endpoint(connection: &mut Connection, key: &StreamKey, id: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM endpoints WHERE app = ? AND stream_id = ? AND id = ?")
        .bind(key.app.as_str())
        .bind(key.id.as_str())
        .bind(id)
        .execute(&mut *connection)
        .await?;
    // What nobody created is stored only for its endpoints, and for a source that is pulled.
    sqlx::query(
        "DELETE FROM broadcasts WHERE app = ?1 AND stream_id = ?2 AND created_by_user = 0 AND started = 0 \
         AND NOT EXISTS (SELECT 1 FROM endpoints WHERE app = ?1 AND stream_id = ?2)",
    )
    .bind(key.app.as_str())
    .bind(key.id.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes every endpoint of a stream but those named.
pub(super) async fn keep_only(connection: &mut Connection, key: &StreamKey, kept: &[String]) -> sqlx::Result<()> {
    // json_each: one statement for any number of ids, without building SQL text.
    let kept = serde_json::Value::from(kept.to_vec()).to_string();
    sqlx::query(
        "DELETE FROM endpoints WHERE app = ? AND stream_id = ? \
         AND id NOT IN (SELECT value FROM json_each(?))",
    )
    .bind(key.app.as_str())
    .bind(key.id.as_str())
    .bind(kept)
    .execute(connection)
    .await?;
    Ok(())
}
