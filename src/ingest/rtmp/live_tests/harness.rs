//! A server with a gate that records, and publishers as child processes.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::ingest::rtmp::connection::Timing;
use crate::ingest::rtmp::seam::{Gate, Publication, Refusal, Request, Sink, SourceUnit, TrackConfig};
use crate::ingest::rtmp::server::serve;
use crate::model::codec::TrackKind;

/// Bound of every wait in these tests.
pub(super) const WAIT: Duration = Duration::from_secs(30);

/// What one publication brought.
#[derive(Default)]
pub(super) struct Record {
    pub(super) request: Option<Request>,
    pub(super) expected: Vec<TrackKind>,
    pub(super) configs: Vec<TrackConfig>,
    pub(super) units: Vec<SourceUnit>,
    pub(super) token: CancellationToken,
    pub(super) failure: Option<String>,
    pub(super) over: bool,
}

impl Record {
    /// What was recorded; a fresh one stays behind.
    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    pub(super) fn units(&self, kind: TrackKind) -> Vec<&SourceUnit> {
        self.units.iter().filter(|unit| unit.kind == kind).collect()
    }
}

/// A service that knows `live` and one publisher per id, and records.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Vec<Arc<Mutex<Record>>>>);

pub(super) struct Recording {
    id: String,
    record: Arc<Mutex<Record>>,
}

impl Gate for Recorder {
    type Publication = Recording;

    fn knows_app(&self, app: &str) -> bool {
        app == "live"
    }

    async fn publish(&self, request: Request) -> Result<Recording, Refusal> {
        let id = request.stream.clone();
        let mut records = self.0.lock().unwrap();
        let live = |record: &Arc<Mutex<Record>>| {
            let record = record.lock().unwrap();
            !record.over && record.request.as_ref().is_some_and(|request| request.stream == id)
        };
        if records.iter().any(live) {
            return Err(Refusal::InUse);
        }
        let record = Arc::new(Mutex::new(Record { request: Some(request), ..Record::default() }));
        records.push(Arc::clone(&record));
        Ok(Recording { id, record })
    }
}

impl Sink for Recording {
    fn expect(&self, kind: TrackKind, comes: bool) {
        if comes {
            self.record.lock().unwrap().expected.push(kind);
        }
    }

    fn configure(&self, config: TrackConfig) {
        self.record.lock().unwrap().configs.push(config);
    }

    fn push(&self, unit: SourceUnit) {
        self.record.lock().unwrap().units.push(unit);
    }
}

impl Publication for Recording {
    fn name(&self) -> String {
        format!("live/{}", self.id)
    }

    fn cancelled(&self) -> CancellationToken {
        self.record.lock().unwrap().token.clone()
    }

    fn failure(&self) -> Option<String> {
        self.record.lock().unwrap().failure.clone()
    }

    async fn close(self) {}
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.record.lock().unwrap().over = true;
    }
}

/// A running server.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) recorder: Arc<Recorder>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(timing: Timing) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (recorder, shutdown) = (Arc::new(Recorder::default()), CancellationToken::new());
        let task = tokio::spawn(serve(listener, Arc::clone(&recorder), timing, shutdown.clone()));
        Self { address, recorder, shutdown, task }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("rtmp://{}/{path}", self.address)
    }

    /// The n-th publication, once `ready`.
    pub(super) async fn record(&self, n: usize, ready: impl Fn(&Record) -> bool) -> Arc<Mutex<Record>> {
        let deadline = Instant::now() + WAIT;
        loop {
            let record = self.recorder.0.lock().unwrap().get(n).cloned();
            if let Some(record) = record
                && ready(&record.lock().unwrap())
            {
                return record;
            }
            assert!(Instant::now() < deadline, "publication {n} did not get there");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        timeout(WAIT, self.task).await.expect("the server stops").unwrap();
    }
}

pub(super) const TIMING: Timing = Timing { setup: Duration::from_secs(10), idle: Duration::from_secs(10) };

/// A child that does not outlive its test.
pub(super) struct Publisher(Child);

impl Publisher {
    pub(super) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self(command.spawn().expect("the publisher starts"))
    }

    /// Its success and what it said.
    pub(super) async fn finish(mut self) -> (bool, String) {
        let deadline = Instant::now() + WAIT;
        while self.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the publisher does not end");
            sleep(Duration::from_millis(20)).await;
        }
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut said).unwrap();
        (self.0.wait().unwrap().success(), said)
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
