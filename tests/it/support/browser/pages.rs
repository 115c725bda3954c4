//! A small file server for the pages that publish: `tests/browser` with the clients that npm has installed there.
//!
//! Knows no service. One thread, one request a connection; only files below that directory are given.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A request that is not whole by then is none.
const REQUEST_MAX: Duration = Duration::from_secs(5);

/// A running server; ends with its value.
#[derive(Debug)]
pub struct Pages {
    address: SocketAddr,
    end: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Pages {
    /// Serves on a free port of 127.0.0.1, which browsers take for a safe origin.
    pub fn serve() -> Self {
        Self::serve_on(Ipv4Addr::LOCALHOST.into())
    }

    /// Serves on a free port of another address.
    pub fn serve_on(address: IpAddr) -> Self {
        assert!(
            root().join("node_modules/.package-lock.json").exists(),
            "the publishers of others are missing: npm ci --prefix tests/browser (scripts/test does it)"
        );
        let listener = TcpListener::bind((address, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                // A browser may hang up; it will ask again.
                let _ = answer(&socket);
                let _ = socket.shutdown(Shutdown::Both);
            }
        });
        Self { address, end, thread: Some(thread) }
    }

    /// The address of a page.
    pub fn url(&self, page: &str) -> String {
        format!("http://{}/{page}", self.address)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        // Wakes it; if nobody listens any more it has ended.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

fn answer(mut socket: &TcpStream) -> std::io::Result<()> {
    socket.set_read_timeout(Some(REQUEST_MAX))?;
    let mut lines = BufReader::new(socket).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let path = first.split_whitespace().nth(1).unwrap_or("/").split(['?', '#']).next().unwrap_or_default();
    let path = Path::new(path.trim_start_matches('/'));
    let below = path.components().all(|part| matches!(part, Component::Normal(_)));
    let (status, body) = match std::fs::read(root().join(path)) {
        Ok(body) if below => ("200 OK", body),
        _ => ("404 Not Found", Vec::new()),
    };
    let kind = match path.extension().and_then(|end| end.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "application/octet-stream",
    };
    write!(
        socket,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    socket.write_all(&body)
}
