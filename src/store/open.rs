//! Opening the database file.
//!
//! Owns the address, the checks and the migrations. Must not know any row. The hard thing: nothing
//! is written (setting the journal mode is a write) before the file has been found to be ours, whole
//! and not newer than this version.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::str::FromStr as _;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{ACQUIRE_TIMEOUT, BUSY_TIMEOUT, CONNECTIONS_MAX, StoreError};

/// The schema's history, compiled in.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// `PRAGMA application_id` of our files (`SRTR`), so that `file` and we can tell them from others.
const APPLICATION_ID: i32 = 0x5352_5452;

// Primary result codes, https://sqlite.org/rescode.html
const SQLITE_READONLY: i32 = 8;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

pub(super) async fn open(url: &str) -> Result<SqlitePool, StoreError> {
    let options = options(url)?;
    let path = options.get_filename().to_owned();
    // An empty file is what SQLite itself leaves behind when it is stopped before the first write.
    let found = match std::fs::metadata(&path) {
        Ok(meta) if !meta.is_file() => {
            return Err(StoreError::Open { path, reason: "it is not a file".into() });
        }
        Ok(meta) => meta.len() > 0,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(StoreError::Open { path, reason: error.to_string() }),
    };
    if found {
        inspect(&options, &path).await?;
    } else {
        make_directory(&path)?;
        make_file(&path)?;
    }
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // FULL: in WAL mode NORMAL may lose the last transactions in a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(|error| classify(&path, &error))?;
    // The first write, and a real one: BEGIN IMMEDIATE alone succeeds on a read-only file.
    sqlx::query("PRAGMA application_id = 1397904466").execute(&pool).await.map_err(|error| classify(&path, &error))?;
    MIGRATIONS.run(&pool).await.map_err(|error| migration(&path, error))?;
    Ok(pool)
}

fn options(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    let bad = |reason: &str| StoreError::Url { url: url.to_owned(), reason: reason.to_owned() };
    if !url.starts_with("sqlite:") {
        return Err(bad("the scheme is not sqlite"));
    }
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(bad("a database in memory would forget every endpoint"));
    }
    let options = SqliteConnectOptions::from_str(url).map_err(|error| bad(&error.to_string()))?;
    if options.get_filename().as_os_str().is_empty() {
        return Err(bad("the path is empty"));
    }
    // Statements are ours and few; sqlx would log each of them.
    Ok(options.busy_timeout(BUSY_TIMEOUT).disable_statement_logging())
}

fn make_directory(path: &Path) -> Result<(), StoreError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(directory).map_err(|error| StoreError::Open {
        path: path.to_owned(),
        reason: format!("its directory {} can't be made: {error}", directory.display()),
    })
}

/// An empty file that only its owner may read: it is going to hold passphrases. SQLite gives the same
/// permissions to the log beside it. One that exists keeps what it has.
fn make_file(path: &Path) -> Result<(), StoreError> {
    let made = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(|error| StoreError::Open { path: path.to_owned(), reason: error.to_string() })
}

/// Looks at an existing file without changing it.
async fn inspect(options: &SqliteConnectOptions, path: &Path) -> Result<(), StoreError> {
    let classified = |error: sqlx::Error| classify(path, &error);
    let mut connection = options.clone().create_if_missing(false).connect().await.map_err(classified)?;
    let verdict = examine(&mut connection, path).await;
    // Closed before the pool opens it, whatever was found.
    let closed = connection.close().await.map_err(classified);
    verdict.and(closed)
}

async fn examine(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let classified = |error: sqlx::Error| classify(path, &error);
    let check: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut *connection).await.map_err(classified)?;
    if check != "ok" {
        // Its answer is a heading and then a line for each fault; the end of a start is one line.
        let reason = check.lines().filter(|line| !line.starts_with("***")).collect::<Vec<_>>().join("; ");
        return Err(StoreError::Corrupt { path: path.to_owned(), reason });
    }
    let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await.map_err(classified)?;
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(&mut *connection)
        .await
        .map_err(classified)?;
    if id != APPLICATION_ID && !(id == 0 && tables.is_empty()) {
        let reason = match tables.first() {
            Some(table) => format!("it has application id {id} and a table {table:?}"),
            None => format!("it has application id {id}"),
        };
        return Err(StoreError::Foreign { path: path.to_owned(), reason });
    }
    if !tables.iter().any(|table| table == "_sqlx_migrations") {
        return Ok(());
    }
    let applied = sqlx::query("SELECT version FROM _sqlx_migrations ORDER BY version")
        .fetch_all(&mut *connection)
        .await
        .map_err(classified)?;
    for row in &applied {
        let version: i64 = row.try_get(0).map_err(classified)?;
        if !MIGRATIONS.version_exists(version) {
            return Err(newer(path, version));
        }
    }
    Ok(())
}

fn newer(path: &Path, version: i64) -> StoreError {
    let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    StoreError::Newer { path: path.to_owned(), version, known }
}

fn migration(path: &Path, error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => newer(path, version),
        MigrateError::VersionMismatch(version) => StoreError::Foreign {
            path: path.to_owned(),
            reason: format!("its migration {version} differs from this version's"),
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => classify(path, &error),
        other => StoreError::Open { path: path.to_owned(), reason: other.to_string() },
    }
}

/// SQLite's result code decides; the extended codes carry the primary one in their low byte.
fn classify(path: &Path, error: &sqlx::Error) -> StoreError {
    let (path, reason) = (path.to_owned(), error.to_string());
    let code = error
        .as_database_error()
        .and_then(|error| error.code())
        .and_then(|code| code.parse::<i32>().ok())
        .map(|code| code & 0xff);
    match code {
        Some(SQLITE_READONLY) => StoreError::ReadOnly { path, reason },
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => StoreError::Corrupt { path, reason },
        _ => StoreError::Open { path, reason },
    }
}
