//! The store on real files: what is written is there after every kind of end, and what is not ours,
//! not whole or not writable is left byte for byte as it was.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::*;
use crate::model::endpoint::RetryWish;
use crate::model::srt_url::SrtUrl;

fn key(id: &str) -> StreamKey {
    StreamKey { app: "live".parse().expect("app"), id: id.parse().expect("id") }
}

fn record(id: &str, created_by_user: bool) -> BroadcastRecord {
    BroadcastRecord {
        key: key(id),
        created_by_user,
        date: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        fields: serde_json::Map::from_iter([("name".to_owned(), "näme \"x\"".into())]),
        started: false,
        endpoints: Vec::new(),
    }
}

fn endpoint(id: &str) -> EndpointRecord {
    let url = format!("srt://192.0.2.1:9000?streamid={id}&passphrase=0123456789");
    EndpointRecord::new(id.parse().expect("id"), SrtUrl::parse(&url).expect("url"))
}

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// A fresh file's path in a directory that goes with the test.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("sub/dir/test.db");
    (directory, path)
}

async fn open(path: &Path) -> Store {
    Store::open(&url(path)).await.expect("opens")
}

async fn raw(path: &Path, sql: &'static str) {
    let mut connection =
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path).create_if_missing(true))
            .await
            .expect("connects");
    sqlx::raw_sql(sql).execute(&mut connection).await.expect(sql);
    connection.close().await.expect("closes");
}

fn ids(stored: &StoredBroadcast) -> Vec<&str> {
    stored.record.endpoints.iter().map(|endpoint| endpoint.id.as_str()).collect()
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening_in_its_order() {
    let (_directory, path) = place();
    let store = open(&path).await;
    store.put_broadcast(&record("a", true)).await.expect("put");
    for id in ["z", "m", "b"] {
        store.add_endpoint(&record("a", true), &endpoint(id)).await.expect("add");
    }
    store.add_endpoint(&record("implicit", false), &endpoint("z")).await.expect("same id on another stream");
    store.remove_endpoint(&key("a"), "m").await.expect("remove");
    // A change of the fields must not touch the endpoints.
    let mut changed = record("a", true);
    changed.fields.insert("description".into(), "d".into());
    store.put_broadcast(&changed).await.expect("put");
    store.close().await;

    let loaded = open(&path).await.load().await.expect("loads");
    assert_eq!(loaded.len(), 2);
    changed.endpoints = vec![endpoint("z"), endpoint("b")];
    assert_eq!(loaded[0].record, changed);
    assert_eq!(loaded[0].record.endpoints[0].url.as_given(), endpoint("z").url.as_given(), "the secret too");
    assert!(!loaded[1].record.created_by_user);
}

#[tokio::test]
async fn everything_wished_of_an_endpoint_is_there_again_and_a_change_keeps_its_place() {
    let (_directory, path) = place();
    let store = open(&path).await;
    for id in ["a", "b", "c"] {
        store.add_endpoint(&record("s", true), &endpoint(id)).await.expect("add");
    }
    let mut changed = endpoint("b");
    changed.label = Some("Zürich \"2\"".into());
    changed.enabled = false;
    changed.tracks = crate::model::endpoint::Tracks::Audio;
    changed.retry = RetryWish::new(Some(500), Some(9_000), Some(3)).expect("retry");
    changed.revision = 7;
    store.update_endpoint(&key("s"), &changed).await.expect("update");
    let unknown = store.update_endpoint(&key("s"), &endpoint("x")).await;
    assert!(matches!(unknown, Err(StoreError::Sql(sqlx::Error::RowNotFound))));
    store.close().await;
    let loaded = open(&path).await.load().await.expect("loads");
    assert_eq!(loaded[0].record.endpoints, [endpoint("a"), changed, endpoint("c")]);
}

#[tokio::test]
async fn an_older_file_reads_as_before() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("test.db");
    let store = open(&path).await;
    store.add_endpoint(&record("s", true), &endpoint("e")).await.expect("add");
    store.close().await;
    // Back to what the version before this one has written.
    raw(
        &path,
        "ALTER TABLE endpoints DROP COLUMN label; ALTER TABLE endpoints DROP COLUMN enabled;
         ALTER TABLE endpoints DROP COLUMN tracks; ALTER TABLE endpoints DROP COLUMN retry_min_ms;
         ALTER TABLE endpoints DROP COLUMN retry_max_ms; ALTER TABLE endpoints DROP COLUMN retry_limit;
         ALTER TABLE endpoints DROP COLUMN revision;
         DELETE FROM _sqlx_migrations WHERE version > 2;",
    )
    .await;
    let loaded = open(&path).await.load().await.expect("loads");
    assert_eq!(loaded[0].record.endpoints, [endpoint("e")]);
}

#[tokio::test]
async fn a_wish_that_cannot_be_read_sets_its_row_aside() {
    for change in [
        "UPDATE endpoints SET tracks = 'subtitles'",
        "UPDATE endpoints SET retry_min_ms = 1",
        "UPDATE endpoints SET retry_limit = 99999999999",
        "UPDATE endpoints SET label = 'a' || char(10) || 'b'",
    ] {
        let (_directory, path) = place();
        let store = open(&path).await;
        store.add_endpoint(&record("s", true), &endpoint("e")).await.expect("add");
        store.execute(change).await;
        let loaded = store.load().await.expect("loads");
        assert!(loaded[0].record.endpoints.is_empty(), "{change}");
        assert_eq!(loaded[0].unreadable.len(), 1, "{change}");
    }
}

#[tokio::test]
async fn nobody_else_may_read_the_passphrases() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_directory, path) = place();
    let store = open(&path).await;
    store.add_endpoint(&record("a", true), &endpoint("e")).await.expect("add");
    for suffix in ["", "-wal", "-shm"] {
        let file = path.with_file_name(format!("test.db{suffix}"));
        let mode = file.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let (_directory, path) = place();
    let store = open(&path).await;
    store.add_endpoint(&record("a", false), &endpoint("e")).await.expect("add");
    // What a process that is killed leaves behind: the files as they are at this moment, the log not
    // yet written back.
    let copy = tempfile::tempdir().expect("tempdir");
    for suffix in ["", "-wal"] {
        let name = format!("test.db{suffix}");
        std::fs::copy(path.with_file_name(&name), copy.path().join(&name)).expect("copies");
    }
    assert!(copy.path().join("test.db-wal").metadata().expect("wal").len() > 0, "it is in the log");
    let loaded = open(&copy.path().join("test.db")).await.load().await.expect("loads");
    assert_eq!(loaded.iter().map(ids).collect::<Vec<_>>(), [["e"]]);
}

#[tokio::test]
async fn the_files_settings_are_as_promised() {
    let (_directory, path) = place();
    let store = open(&path).await;
    let text = |sql: &'static str| {
        let pool = store.pool.clone();
        async move { sqlx::query_scalar::<_, String>(sql).fetch_one(&pool).await.expect(sql) }
    };
    assert_eq!(text("SELECT journal_mode FROM pragma_journal_mode").await, "wal");
    assert_eq!(text("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous").await, "2", "FULL");
    assert_eq!(text("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await, "1");
    assert_eq!(text("SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout").await, "5000");
}

#[tokio::test]
async fn a_broadcast_nobody_created_goes_with_its_last_endpoint() {
    let (_directory, path) = place();
    let store = open(&path).await;
    for (id, created) in [("implicit", false), ("created", true)] {
        store.add_endpoint(&record(id, created), &endpoint("e")).await.expect("add");
        store.remove_endpoint(&key(id), "e").await.expect("remove");
    }
    let loaded = store.load().await.expect("loads");
    assert_eq!(loaded.iter().map(|stored| stored.record.key.clone()).collect::<Vec<_>>(), [key("created")]);
}

#[tokio::test]
async fn replace_and_delete_leave_nothing_behind() {
    let (_directory, path) = place();
    let store = open(&path).await;
    for id in ["a", "b"] {
        store.add_endpoint(&record("s", true), &endpoint(id)).await.expect("add");
    }
    let mut replaced = record("s", true);
    replaced.endpoints = vec![endpoint("c"), endpoint("a")];
    store.replace_endpoints(&replaced, &[]).await.expect("replace");
    assert_eq!(ids(&store.load().await.expect("loads")[0]), ["c", "a"]);
    store.delete_broadcast(&key("s")).await.expect("delete");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM endpoints").fetch_one(&store.pool).await.expect("count");
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_failed_change_changes_nothing() {
    let (_directory, path) = place();
    let store = open(&path).await;
    store.add_endpoint(&record("s", true), &endpoint("a")).await.expect("add");
    let mut renamed = record("s", true);
    renamed.fields.clear();
    assert!(matches!(store.add_endpoint(&renamed, &endpoint("a")).await, Err(StoreError::Sql(_))), "id is taken");
    assert_eq!(store.load().await.expect("loads")[0].record.fields.len(), 1, "the fields neither");
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_kept_and_shown_without_secrets() {
    let (_directory, path) = place();
    let store = open(&path).await;
    store.add_endpoint(&record("s", false), &endpoint("good")).await.expect("add");
    store.close().await;
    raw(
        &path,
        "INSERT INTO endpoints (app, stream_id, id, url, position) VALUES ('live', 's', 'old', 'foo://user:secret1@h/x?passphrase=secret2', 7);
         INSERT INTO broadcasts VALUES ('live', 'not a stream', 1, 0, '{}', 0);
         INSERT INTO broadcasts VALUES ('live', 'fields', 1, 0, '[]', 0);",
    )
    .await;

    let store = open(&path).await;
    let loaded = store.load().await.expect("loads");
    assert_eq!(loaded.len(), 1);
    assert_eq!(ids(&loaded[0]), ["good"]);
    assert_eq!(loaded[0].unreadable.len(), 1);
    let row = &loaded[0].unreadable[0];
    assert_eq!(row.id, "old");
    assert!(!format!("{row:?}").contains("secret"), "{row:?}");
    // Listed among those kept, it survives a replacement; the raw text is untouched.
    store.replace_endpoints(&loaded[0].record, &["old".into()]).await.expect("replace");
    let text: String =
        sqlx::query_scalar("SELECT url FROM endpoints WHERE id = 'old'").fetch_one(&store.pool).await.expect("there");
    assert_eq!(text, "foo://user:secret1@h/x?passphrase=secret2");
    // The broadcast nobody created stays for it, and goes with it.
    store.remove_endpoint(&key("s"), "good").await.expect("remove");
    assert_eq!(store.load().await.expect("loads").len(), 1);
    store.remove_endpoint(&key("s"), "old").await.expect("remove");
    assert!(store.load().await.expect("loads").is_empty());
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM broadcasts").fetch_one(&store.pool).await.expect("count");
    assert_eq!(left, 2, "the unreadable broadcasts are still there");
}

/// Opening must fail as `check` says, in one line, and leave the file's bytes alone.
async fn refused(path: &Path, url: &str, check: fn(&StoreError) -> bool) {
    let before = std::fs::read(path).expect("readable");
    let error = Store::open(url).await.expect_err("refused");
    assert!(check(&error), "{error:?}");
    let line = error.to_string();
    assert!(!line.contains('\n') && line.contains("test.db"), "{line}");
    assert_eq!(std::fs::read(path).expect("readable"), before, "{line}");
}

#[tokio::test]
async fn a_corrupt_database_stops_the_start_untouched() {
    let corrupt: fn(&StoreError) -> bool = |error| matches!(error, StoreError::Corrupt { .. });
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("test.db");
    std::fs::write(&path, b"this is not a database, it is a text that somebody wrote here by mistake").expect("writes");
    refused(&path, &url(&path), corrupt).await;

    // A real one with pages overwritten, schema page sound.
    std::fs::remove_file(&path).expect("removes");
    let store = open(&path).await;
    for id in 0..200 {
        store.put_broadcast(&record(&format!("stream-{id}"), true)).await.expect("put");
    }
    store.close().await;
    let mut bytes = std::fs::read(&path).expect("reads");
    let len = bytes.len();
    bytes[8192..len.min(20_000)].fill(0xA5);
    std::fs::write(&path, &bytes).expect("writes");
    refused(&path, &url(&path), corrupt).await;

    // Cut off in the middle.
    bytes.truncate(6_000);
    std::fs::write(&path, &bytes).expect("writes");
    refused(&path, &url(&path), corrupt).await;
}

#[tokio::test]
async fn a_database_of_somebody_else_or_of_the_future_is_refused_untouched() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("test.db");
    raw(&path, "CREATE TABLE theirs (x)").await;
    refused(&path, &url(&path), |error| matches!(error, StoreError::Foreign { .. })).await;

    std::fs::remove_file(&path).expect("removes");
    open(&path).await.close().await;
    raw(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'the future', 1, x'00', 0)",
    )
    .await;
    refused(&path, &url(&path), |error| matches!(error, StoreError::Newer { version: 9999, known: 3, .. })).await;
}

#[tokio::test]
async fn a_read_only_database_stops_the_start() {
    let (_directory, path) = place();
    open(&path).await.close().await;
    let url = format!("{}?mode=ro", url(&path));
    refused(&path, &url, |error| matches!(error, StoreError::ReadOnly { .. })).await;
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_refused_in_one_line() {
    let directory = tempfile::tempdir().expect("tempdir");
    let file = directory.path().join("file");
    std::fs::write(&file, b"x").expect("writes");
    type Check = fn(&StoreError) -> bool;
    let cases: [(String, Check); 8] = [
        ("postgres://h/db".into(), |e| matches!(e, StoreError::Url { .. })),
        ("data/x.db".into(), |e| matches!(e, StoreError::Url { .. })),
        ("sqlite://".into(), |e| matches!(e, StoreError::Url { .. })),
        ("sqlite::memory:".into(), |e| matches!(e, StoreError::Url { .. })),
        ("sqlite://x?mode=memory".into(), |e| matches!(e, StoreError::Url { .. })),
        ("sqlite://x?nonsense=1".into(), |e| matches!(e, StoreError::Url { .. })),
        (url(directory.path()), |e| matches!(e, StoreError::Open { .. })),
        (url(&file.join("under/a/file.db")), |e| matches!(e, StoreError::Open { .. })),
    ];
    for (url, check) in cases {
        let error = Store::open(&url).await.expect_err("refused");
        assert!(check(&error), "{url}: {error:?}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn an_empty_file_becomes_a_database() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("test.db");
    std::fs::write(&path, b"").expect("writes");
    assert!(open(&path).await.load().await.expect("loads").is_empty());
}
