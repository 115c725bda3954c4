//! Receivers: srt-live-transmit and ffmpeg as SRT listeners, healthy, frozen, slow, or not there at all.
//!
//! Owns the receiving side only. What a receiver got is in a file that grows while it runs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::namespace::Namespace;
use super::process::{Tool, free_port};
use super::sample::words;
use super::ts::{Capture, Clock, Verdict};
use super::wait::{LATER, SOON, wait_for, wait_until};

/// SRT latency of a receiver: enough that a busy test machine loses nothing by lateness.
const LATENCY_MS: u32 = 500;

/// Receivers end by themselves after this time, should the test process itself be killed.
const LIFE_MAX_S: u32 = 300;

/// An srt-live-transmit that listens and writes what comes into a file.
#[derive(Debug)]
pub struct Receiver {
    /// The UDP port it listens on.
    pub port: u16,
    /// What starts a program where it listens: nothing here, `ip netns exec …` elsewhere.
    enter: Vec<String>,
    host: String,
    latency_ms: u32,
    passphrase: Option<String>,
    address: Option<String>,
    tool: Option<Tool>,
    dir: TempDir,
    run: u32,
    followed: Mutex<Followed>,
}

/// The clock of what has come in this run, and how many bytes of it were looked at: each is read once, for what looks
/// again and again must not load the machine.
#[derive(Debug, Default)]
struct Followed {
    clock: Clock,
    bytes: u64,
}

impl Receiver {
    /// Listens on a fresh port.
    pub fn listen() -> Self {
        Self::prepare(None).started()
    }

    /// Listens on a fresh port and takes only callers that know the passphrase.
    pub fn listen_with_passphrase(passphrase: &str) -> Self {
        Self::prepare(Some(passphrase)).started()
    }

    /// A receiver with a port that is not started: nobody is there yet.
    pub fn prepare(passphrase: Option<&str>) -> Self {
        Self {
            port: free_port(),
            enter: Vec::new(),
            host: "127.0.0.1".to_owned(),
            latency_ms: LATENCY_MS,
            passphrase: passphrase.map(str::to_owned),
            address: None,
            tool: None,
            dir: TempDir::new().unwrap(),
            run: 0,
            followed: Mutex::default(),
        }
    }

    /// Listens inside a network namespace.
    pub fn listen_in(namespace: &Namespace) -> Self {
        let (enter, host) = (namespace.entry(), namespace.address().to_owned());
        Self { enter, host, ..Self::prepare(None) }.started()
    }

    /// Listens on another address than 127.0.0.1, once it is started.
    pub fn prepare_at(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, ..Self::prepare(None) }
    }

    /// Listens on a fresh port and leaves the latency to the caller: asks for no more than this.
    pub fn listen_with_latency(latency_ms: u32) -> Self {
        Self { latency_ms, ..Self::prepare(None) }.started()
    }

    /// With an address of its own for srt-live-transmit, in another mode than listening.
    pub fn with_address(port: u16, address: &str) -> Self {
        Self { port, address: Some(address.to_owned()), ..Self::prepare(None) }.started()
    }

    fn started(mut self) -> Self {
        self.start();
        self
    }

    /// Starts it, also again after [`Self::kill`], on the same port and into a new file.
    pub fn start(&mut self) {
        self.run += 1;
        self.followed = Mutex::default();
        let file = File::create(self.file()).unwrap();
        let mut line = self.enter.iter().cloned().chain(["srt-live-transmit".to_owned()]).chain(self.args());
        let program = line.next().expect("a program");
        self.tool = Some(Tool::start(&program, line, Stdio::null(), file.into()));
        if self.address.is_none() {
            self.wait_bound();
        }
    }

    fn args(&self) -> Vec<String> {
        let secret = self.passphrase.as_ref().map_or(String::new(), |passphrase| format!("&passphrase={passphrase}"));
        let (host, latency_ms) = (&self.host, self.latency_ms);
        let listen = format!("srt://{host}:{}?mode=listener&latency={latency_ms}{secret}", self.port);
        let url = self.address.as_ref().unwrap_or(&listen);
        words(&format!("-v -to:{LIFE_MAX_S} {url} file://con"))
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(format!("{}.ts", self.run))
    }

    /// The endpoint URL that reaches it.
    pub fn url(&self) -> String {
        format!("srt://{}:{}", self.host, self.port)
    }

    /// What it got so far in this run.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.file()).unwrap_or_default()
    }

    /// What it got so far, parsed.
    pub fn capture(&self) -> Capture {
        Capture::parse(&self.bytes())
    }

    /// What is to be said of what it got so far.
    pub fn verdict(&self) -> Verdict {
        Verdict::of_bytes(&self.bytes())
    }

    /// How many bytes it got so far in this run.
    pub fn received(&self) -> usize {
        let len = std::fs::metadata(self.file()).map_or(0, |file| file.len());
        usize::try_from(len).expect("a length fits")
    }

    /// Seconds it got so far in this run, by the stream's clock, which goes on in a pause.
    pub fn seconds(&self) -> f64 {
        self.follow().clock.seconds()
    }

    /// Seconds of media it got so far in this run: the same without the pauses.
    pub fn played(&self) -> f64 {
        self.follow().clock.played()
    }

    /// Looks at what has come since the last look.
    fn follow(&self) -> MutexGuard<'_, Followed> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(self.file()) {
            file.seek(SeekFrom::Start(followed.bytes)).unwrap();
            file.read_to_end(&mut bytes).unwrap();
        }
        followed.bytes += bytes.len() as u64;
        followed.clock.take(&bytes);
        followed
    }

    /// Waits until it has at least so many seconds in all.
    #[track_caller]
    pub fn wait_seconds(&self, seconds: f64) {
        let bound = LATER + Duration::from_secs_f64(seconds);
        wait_for(bound, &format!("the receiver on port {} has {seconds} s of media", self.port), || {
            let have = self.seconds();
            if have >= seconds { Ok(()) } else { Err(format!("{have:.2} s")) }
        });
    }

    /// Waits for so many more seconds of media than it has now; a pause before them is not counted.
    #[track_caller]
    pub fn wait_more(&self, seconds: f64) {
        let (bound, from) = (LATER + Duration::from_secs_f64(seconds), self.played());
        wait_for(bound, &format!("the receiver on port {} has {seconds} s more of media", self.port), || {
            let have = self.played() - from;
            if have >= seconds { Ok(()) } else { Err(format!("{have:.2} s")) }
        });
    }

    /// Freezes it (SIGSTOP): its peer sees a connection that takes nothing.
    pub fn freeze(&self) {
        self.running().signal(Signal::SIGSTOP);
    }

    /// Lets it run on (SIGCONT).
    pub fn thaw(&self) {
        self.running().signal(Signal::SIGCONT);
    }

    /// Ends it as an operator would (SIGINT): it takes leave of its callers.
    #[track_caller]
    pub fn stop(&mut self) {
        self.running().signal(Signal::SIGINT);
        self.running_mut().wait_exit(SOON);
        self.tool = None;
    }

    /// Whether it was started and not ended.
    pub fn runs(&self) -> bool {
        self.tool.is_some()
    }

    /// Waits until it has its port: who calls earlier is refused.
    #[track_caller]
    fn wait_bound(&self) {
        // In its own network namespace.
        let table = format!("/proc/{}/net/udp", self.running().pid());
        let wanted = format!(":{:04X} ", self.port);
        wait_until(SOON, &format!("the receiver listens on port {}", self.port), || {
            std::fs::read_to_string(&table).is_ok_and(|table| table.contains(&wanted))
        });
    }

    /// Sets a passphrase, or none, for the next [`Self::start`].
    pub fn set_passphrase(&mut self, passphrase: Option<&str>) {
        self.passphrase = passphrase.map(str::to_owned);
    }

    /// Kills it without a farewell (SIGKILL).
    pub fn kill(&mut self) {
        self.running_mut().kill();
        self.tool = None;
    }

    /// How often a caller was taken in this run.
    pub fn connections(&self) -> usize {
        self.running().said().matches("Accepted SRT source connection").count()
    }

    fn running(&self) -> &Tool {
        self.tool.as_ref().expect("the receiver was started")
    }

    fn running_mut(&mut self) -> &mut Tool {
        self.tool.as_mut().expect("the receiver was started")
    }
}

/// A receiver that takes the stream's bytes far too slowly out of its own buffers.
#[derive(Debug)]
pub struct SlowReceiver {
    /// The UDP port it listens on.
    pub port: u16,
    _tool: Tool,
}

impl SlowReceiver {
    /// Listens on a fresh port and reads so many bytes a second.
    pub fn listen(bytes_per_second: usize) -> Self {
        let port = free_port();
        let args = words(&format!("-q -to:{LIFE_MAX_S} srt://127.0.0.1:{port}?mode=listener&rcvbuf=200000 file://con"));
        let mut tool = Tool::start("srt-live-transmit", args, Stdio::null(), Stdio::piped());
        let mut pipe = tool.take_stdout();
        // Ends with the pipe, that is with the tool.
        std::thread::spawn(move || {
            let mut buffer = vec![0; bytes_per_second / 10];
            while pipe.read_exact(&mut buffer).is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self { port, _tool: tool }
    }

    /// The endpoint URL that reaches it.
    pub fn url(&self) -> String {
        format!("srt://127.0.0.1:{}", self.port)
    }
}

/// ffmpeg as a listener that decodes everything and ends at the first error.
#[derive(Debug)]
pub struct Decoder {
    /// The UDP port it listens on.
    pub port: u16,
    tool: Tool,
}

impl Decoder {
    /// Listens on a fresh port and decodes so many seconds.
    pub fn listen(seconds: u32) -> Self {
        let port = free_port();
        let args = format!(
            "-hide_banner -v warning -nostdin -xerror -err_detect explode -i srt://127.0.0.1:{port}?mode=listener -t {seconds} -autoscale 0 -fps_mode passthrough -enc_time_base 1:90000 -f null -"
        );
        Self { port, tool: Tool::start("ffmpeg", words(&args), Stdio::null(), Stdio::null()) }
    }

    /// The endpoint URL that reaches it.
    pub fn url(&self) -> String {
        format!("srt://127.0.0.1:{}", self.port)
    }

    /// Waits until it has decoded all it wanted; panics when it met an error.
    #[track_caller]
    pub fn assert_decodes(&mut self, what: &str) {
        let status = self.tool.wait_exit(LATER);
        let said = self.tool.said();
        assert!(
            status.success() && said.trim().is_empty(),
            "{what}: ffmpeg does not decode it without a word ({status}): {said}"
        );
    }
}
