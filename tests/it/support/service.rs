//! The service as a child process: started with its own store and ports, watched, stopped, killed, started again.
//!
//! Knows the command line, the environment, the log's address lines and `GET /health`. The hard thing: every test
//! ends with the promise that the log holds none of the secrets the test has given to the service.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::http::Api;
use super::process::{Collector, collect};
use super::wait::{SOON, wait_for, wait_until};

/// The service promises to stop within this time of a SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Begins what the leak tracer says of each object.
const ALIVE: &str = "object-alive, type-name=(string)";

/// Lines of the log that a failed test prints.
const LOG_TAIL_LINES: usize = 60;

/// GStreamer lists what is alive to its log at SIGUSR1.
const LEAK_TRACER: [(&str, &str); 3] = [
    ("GST_TRACERS", "leaks(filters=\"GstElement,GstPad\")"),
    ("GST_LEAKS_TRACER_SIG", "1"),
    ("GST_DEBUG", "GST_TRACER:7"),
];

/// What a test wants different from the ordinary.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// More settings, by the name behind `SRT_RESTREAM__`.
    pub settings: Vec<(&'static str, String)>,
    /// Lets GStreamer's leak tracer count elements and pads, for [`Service::objects`].
    pub count_objects: bool,
    /// Texts that must never be seen in the log or in an answer.
    pub secrets: Vec<String>,
    /// More of its environment.
    pub environment: Vec<(&'static str, String)>,
    /// What starts it, put before its command line; it must become the service by exec(2), for signals go to it.
    pub launcher: Vec<String>,
}

/// The ports one run of the service has taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// REST, TCP.
    pub http: u16,
    /// The same over TLS, TCP.
    pub https: u16,
    /// RTMP, TCP.
    pub rtmp: u16,
    pub rtsp: u16,
    /// 0 where no certificate is configured.
    pub rtsps: u16,
    /// SRT, UDP.
    pub srt: u16,
}

/// What a process holds; compared before and after.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holdings {
    /// Threads by name.
    pub threads: BTreeMap<String, usize>,
    /// Open file descriptors.
    pub fds: usize,
    /// UDP sockets.
    pub udp_sockets: usize,
}

/// GStreamer's elements and pads that are alive, by type.
pub type Objects = BTreeMap<String, usize>;

/// A running (or stopped) service on its own store.
#[derive(Debug)]
pub struct Service {
    /// Its ports in this run.
    pub ports: Ports,
    /// A client for it.
    pub api: Api,
    options: Options,
    dir: TempDir,
    child: Option<std::process::Child>,
    log: Arc<Mutex<String>>,
    /// What fills the log.
    collectors: Vec<Collector>,
}

impl Service {
    /// Starts a service with everything ordinary on free ports.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// Starts a service and waits until it is ready.
    pub fn start_with(options: Options) -> Self {
        let ports = Ports { http: 0, https: 0, rtmp: 0, rtsp: 0, rtsps: 0, srt: 0 };
        let api = Api::new(0, &options.secrets);
        let (dir, log) = (TempDir::new().unwrap(), Arc::default());
        let mut service = Self { ports, api, options, dir, child: None, log, collectors: Vec::new() };
        service.launch(ports);
        service
    }

    /// Starts it again on the same store and the same ports, after [`Self::stop`] or [`Self::kill9`].
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it still runs");
        self.launch(self.ports);
    }

    fn launch(&mut self, ports: Ports) {
        let service = env!("CARGO_BIN_EXE_srt-restream").to_owned();
        let mut line = self.options.launcher.iter().cloned().chain([service]);
        let mut command = Command::new(line.next().expect("the service at least"));
        command
            .args(line)
            .env_clear()
            .envs(std::env::vars().filter(|(name, _)| !name.starts_with("SRT_RESTREAM")))
            .env("SRT_RESTREAM__HTTP__LISTEN", format!("127.0.0.1:{}", ports.http))
            .env("SRT_RESTREAM__HTTPS__LISTEN", format!("127.0.0.1:{}", ports.https))
            // Media of browsers stays on loopback.
            .env("SRT_RESTREAM__WEBRTC__LOCAL_ADDRESSES", "127.0.0.1")
            .env("SRT_RESTREAM__RTMP__LISTEN", format!("127.0.0.1:{}", ports.rtmp))
            .env("SRT_RESTREAM__RTSP__LISTEN", format!("127.0.0.1:{}", ports.rtsp))
            .env("SRT_RESTREAM__RTSP__TLS_LISTEN", format!("127.0.0.1:{}", ports.rtsps))
            .env("SRT_RESTREAM__SRT__LISTEN", format!("127.0.0.1:{}", ports.srt))
            .env("SRT_RESTREAM__STORE__URL", format!("sqlite://{}", self.store().display()))
            .envs(self.options.settings.iter().map(|(name, value)| (format!("SRT_RESTREAM__{name}"), value)))
            .envs(self.options.environment.iter().cloned())
            .envs(if self.options.count_objects { LEAK_TRACER.as_slice() } else { &[] }.iter().copied())
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let from = self.log().len();
        let mut child = command.spawn().expect("cargo has built the service");
        self.collectors = vec![
            collect(child.stdout.take().expect("stdout is piped"), &self.log),
            collect(child.stderr.take().expect("stderr is piped"), &self.log),
        ];
        self.child = Some(child);
        self.ports.http = wait_for(SOON, "the log names the HTTP address", || {
            self.assert_runs();
            http_port(&self.log()[from..]).ok_or_else(|| self.tail())
        });
        self.api = Api::new(self.ports.http, &self.options.secrets);
        let health = wait_for(SOON, "GET /health is ok", || {
            let (status, body) = self.api.try_get("/health")?;
            if status == 200 && body["status"] == "ok" { Ok(body) } else { Err(format!("{status} {body}")) }
        });
        self.ports = ports_of(&health);
    }

    /// Asks it by SIGHUP to read its certificate again.
    pub fn hang_up(&self) {
        kill(self.pid(), Signal::SIGHUP).expect("it runs");
    }

    /// Lets it stand still (SIGSTOP), as on a machine that has no processor for it.
    pub fn freeze(&self) {
        kill(self.pid(), Signal::SIGSTOP).expect("it runs");
    }

    /// Lets it run on (SIGCONT).
    pub fn thaw(&self) {
        kill(self.pid(), Signal::SIGCONT).expect("it runs");
    }

    /// The database file.
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("t.db")
    }

    /// Everything logged so far, over all runs; all of a run once it was stopped or killed.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        let child = self.child.as_ref().expect("the service runs");
        Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"))
    }

    /// Panics when the process has ended by itself.
    #[track_caller]
    pub fn assert_runs(&mut self) {
        let status = self.child.as_mut().expect("the service was started").try_wait().expect("our own child");
        assert!(status.is_none(), "the service ended by itself: {status:?}\n{}", self.tail());
    }

    /// Stops it by SIGTERM; panics unless it ends well and in time.
    #[track_caller]
    pub fn stop(&mut self) {
        self.assert_runs();
        let start = Instant::now();
        kill(self.pid(), Signal::SIGTERM).expect("it runs");
        let mut child = self.child.take().expect("the service runs");
        let status = loop {
            if let Some(status) = child.try_wait().expect("our own child") {
                break status;
            }
            if start.elapsed() > STOP_MAX {
                let _ = child.kill();
                let _ = child.wait();
                panic!("not stopped {STOP_MAX:?} after SIGTERM\n{}", self.tail());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.wait_log();
        assert!(status.success(), "stopped by SIGTERM it ended with {status}\n{}", self.tail());
    }

    /// Waits until all that it said before its end has been read.
    #[track_caller]
    fn wait_log(&self) {
        wait_until(SOON, "the log ends with the service", || self.collectors.iter().all(JoinHandle::is_finished));
    }

    /// Kills it as a power cut would.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the service runs");
        child.kill().expect("it runs");
        child.wait().expect("our own child");
        self.wait_log();
    }

    /// Lets none of its threads run for so long, as on a machine that is busy.
    pub fn stand_still(&self, time: Duration) {
        kill(self.pid(), Signal::SIGSTOP).expect("it runs");
        std::thread::sleep(time);
        kill(self.pid(), Signal::SIGCONT).expect("it is there");
    }

    /// Packets that the kernel has thrown away because one of its UDP sockets was full (IPv4).
    pub fn udp_drops(&self) -> u64 {
        let links = self.links();
        let table = std::fs::read_to_string(format!("/proc/{}/net/udp", self.pid())).unwrap();
        let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        // Inode and drops are the tenth and the last column, as the head of the table says.
        let own = rows.filter(|row| links.contains(&format!("socket:[{}]", row[9])));
        own.map(|row| row[12].parse::<u64>().expect("a number of packets")).sum()
    }

    /// What its descriptors are.
    fn links(&self) -> Vec<String> {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .flatten()
            .filter_map(|fd| Some(std::fs::read_link(fd.path()).ok()?.to_string_lossy().into_owned()))
            .collect()
    }

    /// Memory it has now (`VmRSS`, proc(5)), in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Threads, descriptors and UDP sockets it holds now.
    pub fn holdings(&self) -> Holdings {
        let proc = PathBuf::from(format!("/proc/{}", self.pid()));
        let mut threads = BTreeMap::new();
        for task in std::fs::read_dir(proc.join("task")).unwrap().flatten() {
            // A thread may end between the two reads.
            if let Ok(name) = std::fs::read_to_string(task.path().join("comm")) {
                *threads.entry(name.trim().to_owned()).or_default() += 1;
            }
        }
        let links = self.links();
        let inode = |line: &str| line.split_whitespace().nth(9).map(|inode| format!("socket:[{inode}]"));
        let udp: Vec<String> = ["net/udp", "net/udp6"]
            .iter()
            .flat_map(|table| {
                std::fs::read_to_string(proc.join(table))
                    .unwrap_or_default()
                    .lines()
                    .skip(1)
                    .filter_map(inode)
                    .collect::<Vec<_>>()
            })
            .collect();
        Holdings { threads, fds: links.len(), udp_sockets: links.iter().filter(|link| udp.contains(link)).count() }
    }

    /// GStreamer's elements and pads that are alive now, as its own leak tracer sees them.
    pub fn objects(&self) -> Objects {
        let from = self.log().len();
        kill(self.pid(), Signal::SIGUSR1).expect("it runs");
        let mut seen = 0;
        // The list is written in one go; it is whole when it has stopped growing.
        wait_for(SOON, "the leak tracer has listed what is alive", || {
            let now = self.log()[from..].matches(ALIVE).count();
            let whole = now > 0 && now == seen;
            seen = now;
            if whole { Ok(()) } else { Err(format!("{now} so far")) }
        });
        let mut objects = Objects::new();
        for line in self.log()[from..].lines().filter_map(|line| line.split(ALIVE).nth(1)) {
            let name = line.split([',', ';']).next().unwrap_or_default();
            *objects.entry(name.to_owned()).or_default() += 1;
        }
        objects
    }
}

impl Holdings {
    /// Threads in all.
    pub fn thread_count(&self) -> usize {
        self.threads.values().sum()
    }

    /// Whether nothing is held that was not held before.
    pub fn within(&self, before: &Self) -> bool {
        self.thread_count() <= before.thread_count() && self.fds <= before.fds && self.udp_sockets <= before.udp_sockets
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // What is not stopped by the test need not be stopped gently.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the service logged last:\n{}", self.tail());
            return;
        }
        self.wait_log();
        let log = self.log();
        for secret in &self.options.secrets {
            assert!(!log.contains(secret.as_str()), "the log holds a secret");
        }
        for sign in ["panicked at", "CRITICAL", "GStreamer-CRITICAL", "GLib-CRITICAL"] {
            assert!(!log.contains(sign), "the log holds {sign:?}:\n{log}");
        }
    }
}

/// The HTTP port in the log's line `ready http=… https=… rtmp=… srt=…`, or the same in JSON.
fn http_port(log: &str) -> Option<u16> {
    let of_json = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        (line["message"] == "ready").then(|| line["http"].as_str().map(str::to_owned))?
    };
    let of_text = |line: &str| {
        let value = line.split("http=").nth(1).filter(|_| line.contains(" ready "))?;
        value.split_whitespace().next().map(str::to_owned)
    };
    let value = log.lines().find_map(|line| if line.starts_with('{') { of_json(line) } else { of_text(line) })?;
    value.rsplit(':').next()?.parse().ok().filter(|port| *port != 0)
}

/// The ports as `GET /health` shows them.
fn ports_of(health: &Value) -> Ports {
    let port = |name: &str| {
        let port = health["ports"][name].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        port.unwrap_or_else(|| panic!("GET /health shows no {name} port: {health}"))
    };
    let rtsps = if health["ports"]["rtsps"].is_null() { 0 } else { port("rtsps") };
    Ports { http: port("http"), https: port("https"), rtmp: port("rtmp"), rtsp: port("rtsp"), rtsps, srt: port("srt") }
}
