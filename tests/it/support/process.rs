//! Child processes and local ports.
//!
//! The hard thing: a test that panics must leave no process behind, so a [`Tool`] kills its child by pid
//! when dropped, and only that one.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::{SOON, wait_for, wait_until};

/// Ports handed out: below Linux's range for ephemeral ports, where some other socket would take them
/// between our look and their use.
const PORTS: std::ops::Range<u32> = 12_000..32_000;

/// Leaves out what needs root, said aloud, where it is set; otherwise such a test fails without it.
const WITHOUT_ROOT: &str = "TESTS_WITHOUT_ROOT";

static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

/// A port that is free for TCP and UDP on 127.0.0.1 and that this run hands out only once.
pub fn free_port() -> u16 {
    let span = PORTS.end - PORTS.start;
    for _ in 0..span {
        // Runs side by side begin at different places.
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let place = std::process::id().wrapping_mul(97).wrapping_add(step) % span;
        let port = u16::try_from(PORTS.start + place).expect("the range lies below 65536");
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// Whether we are root, which `what` needs. Panics where we are not, unless [`WITHOUT_ROOT`] says that it is known.
pub fn has_root_for(what: &str) -> bool {
    // The owner of its own entry is the process's effective user, proc(5).
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let known = std::env::var_os(WITHOUT_ROOT).is_some();
    assert!(root || known, "{what} needs root, as CI has it; {WITHOUT_ROOT}=1 leaves such tests out");
    if !root {
        eprintln!("SKIPPED: {what} needs root");
    }
    root
}

/// A program of somebody else's that runs beside the service.
#[derive(Debug)]
pub struct Tool {
    name: String,
    child: Child,
    said: Arc<Mutex<String>>,
    collector: Collector,
}

/// Reads what a process says, until it and all that it has started have ended.
pub type Collector = JoinHandle<()>;

impl Tool {
    /// Starts a program. Its stderr is kept; `stdin` and `stdout` are the caller's choice.
    pub fn start<S: AsRef<OsStr>>(
        program: &str,
        args: impl IntoIterator<Item = S>,
        stdin: Stdio,
        stdout: Stdio,
    ) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program} does not start ({error}); it is needed for the tests"));
        let said = Arc::new(Mutex::new(String::new()));
        let collector = collect(child.stderr.take().expect("stderr is piped"), &said);
        Self { name: program.to_owned(), child, said, collector }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits"))
    }

    /// What it wrote to stderr so far; all of it after [`Self::wait_exit`].
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Takes the writing end of its stdin.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("started with piped stdin, taken once")
    }

    /// Takes the reading end of its stdout.
    pub fn take_stdout(&mut self) -> impl Read + Send + use<> {
        self.child.stdout.take().expect("started with piped stdout, taken once")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub fn wait_exit(&mut self, bound: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let said = Arc::clone(&self.said);
        let status = wait_for(bound, &what, || {
            self.child
                .try_wait()
                .expect("our own child")
                .ok_or_else(|| format!("it runs; it said: {}", said.lock().unwrap()))
        });
        wait_until(SOON, "all that it said has been read", || self.collector.is_finished());
        status
    }

    /// Kills it at once and reaps it.
    pub fn kill(&mut self) {
        // A child that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = self.said();
            let tail: Vec<&str> = said.lines().rev().take(8).collect();
            eprintln!("--- {} said last:", self.name);
            tail.iter().rev().for_each(|line| eprintln!("    {line}"));
        }
    }
}

/// Reads lines into a shared text until the writer is gone.
pub fn collect(from: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> Collector {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}
