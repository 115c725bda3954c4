//! A graph in DOT drawn as SVG by graphviz, in a process of its own: without a shell, one at a time, with less priority
//! than any media, and bounded in time and size.

use std::process::Stdio;
use std::time::Duration;

use actix_web::http::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use crate::api::problem::Problem;

/// A stream with ten endpoints takes a third of a second; with hundreds, the DOT text serves better.
const DRAW_MAX: Duration = Duration::from_secs(10);

/// The largest drawing that is handed out, in bytes.
const SVG_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// What `nice` ends with when the program isn't there (POSIX).
const NOT_FOUND: i32 = 127;

/// Drawings at a time.
static PLACES: Semaphore = Semaphore::const_new(1);

/// Draws it.
pub(super) async fn svg(dot: String) -> Result<Vec<u8>, Problem> {
    let Ok(_place) = PLACES.try_acquire() else {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "another graph is being drawn"));
    };
    let mut child = Command::new("nice")
        .args(["-n", "19", "dot", "-Tsvg"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    match tokio::time::timeout(DRAW_MAX, run(&mut child, dot)).await {
        Ok(answer) => answer,
        Err(_) => {
            // Reaped here, as `kill_on_drop` would do later.
            let _ = child.kill().await;
            let text = format!(
                "the drawing took longer than {} s; take pipeline.dot and draw it elsewhere",
                DRAW_MAX.as_secs()
            );
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, text))
        }
    }
}

async fn run(child: &mut Child, dot: String) -> Result<Vec<u8>, Problem> {
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed("it has no pipes"));
    };
    // Side by side: it may write before it has read all. A program that isn't there reads nothing.
    let write = async move {
        let _ = input.write_all(dot.as_bytes()).await;
    };
    let mut svg = Vec::new();
    let mut output = output.take(SVG_BYTES_MAX + 1);
    let ((), read) = tokio::join!(write, output.read_to_end(&mut svg));
    read.map_err(|error| failed(&error.to_string()))?;
    if svg.len() as u64 > SVG_BYTES_MAX {
        let _ = child.kill().await;
        return Err(failed("the drawing is too large"));
    }
    let status = child.wait().await.map_err(|error| failed(&error.to_string()))?;
    match status.code() {
        Some(0) => Ok(svg),
        Some(NOT_FOUND) => Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "graphviz is not installed (Debian package graphviz); pipeline.dot needs nothing",
        )),
        _ => Err(failed(&format!("it ended with {status}"))),
    }
}

fn failed(why: &str) -> Problem {
    tracing::warn!(why, "graphviz failed");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "graphviz failed; the log says more")
}
