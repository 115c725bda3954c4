//! The borders of `ARCHITECTURE.md`, held: which room may use which, and which library is touched where.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the ground up; a room uses only rooms below it.
const FLOORS: &[&[&str]] = &[
    &["model"],
    &["config"],
    &["events", "nice", "os", "srt", "telemetry"],
    &["media", "store"],
    &["endpoint"],
    &["http_agent", "stream"],
    &["manager"],
    &["hooks", "ingest"],
    &["api"],
    &["app"],
];

/// Libraries that only some rooms may touch; `main` and tests are not rooms.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("gstreamer", &["media", "endpoint", "stream", "ingest", "nice", "telemetry"]),
    ("gstreamer_webrtc", &["ingest"]),
    ("gstreamer_net", &["ingest"]),
    ("gstreamer_rtsp", &["ingest"]),
    ("gstreamer_rtsp_server", &["ingest"]),
    ("actix_web", &["api"]),
    ("actix_ws", &["api"]),
    ("actix_tls", &["api"]),
    // Ingest reads the PEM of a DTLS certificate with it.
    ("rustls", &["api", "app", "ingest"]),
    ("sqlx", &["store"]),
    ("ring::hmac", &["hooks"]),
    ("ureq", &["hooks", "http_agent", "ingest"]),
    ("socket2", &["srt"]),
];

/// Lines a file may have, its unit tests included.
const FILE_LINES_MAX: usize = 450;

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with its room (`src/media/gate.rs` is in `media`, `src/app.rs` in `app`).
fn files() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).expect("below src");
            let first = relative.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).expect("UTF-8");
            (first.trim_end_matches(".rs").to_owned(), path, text)
        })
        .collect()
}

/// The text without comments, so that a doc link is no arrow.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn arrows_run_downwards_only() {
    let mut wrong = BTreeMap::new();
    for (room, path, text) in files() {
        let Some(own) = floor(&room) else { continue };
        for line in code(&text) {
            for target in line.split("crate::").skip(1) {
                let target: String = target.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let allowed = target == room || floor(&target).is_none_or(|floor| floor < own);
                if !allowed {
                    wrong.insert(format!("{}: {}", path.display(), line.trim()), ());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_stands_on_a_floor() {
    for (room, path, _) in files() {
        let outside = ["lib", "main", "cli"].contains(&room.as_str());
        assert!(outside || floor(&room).is_some(), "{} is in no known room", path.display());
    }
}

#[test]
fn libraries_stay_in_their_rooms() {
    for (room, path, text) in files() {
        for (library, rooms) in LIBRARIES {
            let used = code(&text)
                .any(|line| line.contains(&format!("{library}::")) || line.contains(&format!("use {library}")));
            let allowed = rooms.contains(&room.as_str()) || room == "main";
            assert!(!used || allowed, "{} uses {library}", path.display());
        }
    }
}

#[test]
fn unsafe_code_is_where_libraries_in_c_are_called_and_says_why_it_is_sound() {
    for (room, path, text) in files() {
        let blocks = code(&text).filter(|line| line.contains("unsafe {")).count();
        assert!(blocks == 0 || ["nice", "srt", "os"].contains(&room.as_str()), "{}", path.display());
        assert!(text.matches("SAFETY:").count() > 0 || blocks == 0, "{} has unsafe without SAFETY", path.display());
    }
}

#[test]
fn files_stay_readable_in_one_sitting_and_say_what_they_own() {
    for (_, path, text) in files() {
        assert!(text.lines().count() <= FILE_LINES_MAX, "{} has {} lines", path.display(), text.lines().count());
        assert!(text.starts_with("//!"), "{} does not begin with what it owns", path.display());
    }
}
