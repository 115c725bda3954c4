//! Headless Chromium with its fake camera and microphone, as a publisher.
//!
//! Owns chromedriver and the browser; knows no service. The hard thing: no process is left behind, also when a
//! test panics, so all of them are in one process group, which is killed by its id.

mod pages;
#[cfg(test)]
mod selftest;
mod webdriver;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

pub use pages::Pages;
use webdriver::Session;

use super::namespace::Namespace;
use super::process::{collect, free_port};
use super::wait::{SOON, wait_for};

/// Browsers that run at the same time: each encodes pictures, and a machine may have two cores.
const BROWSERS_MAX: usize = 2;

/// From the start of chromedriver to its first answer, and to a browser that can be used, on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);

/// How long a test waits for its turn: every other browser test before it.
const TURN_MAX: Duration = Duration::from_secs(1800);

/// After this time the crash handlers are no longer waited for.
const LEAVE_MAX: Duration = Duration::from_secs(2);

/// What it is started with.
const FLAGS: &[&str] = &[
    "--headless=new",
    // The tests run as root in a container, where Chromium's sandbox cannot work.
    "--no-sandbox",
    // Two cores and a small /dev/shm.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    // A camera and a microphone without a question.
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    // ICE on 127.0.0.1, with addresses instead of mDNS names that nobody here resolves.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    // The service's certificate is its own.
    "--ignore-certificate-errors",
    // A page in the background is throttled, which a publisher's is not.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    // Nothing leaves this machine: no updates, no reports, no name is looked up.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE 10.*",
];

/// Keys that are no letters (WebDriver, 17.4.2).
pub mod keys {
    pub const TAB: &str = "\u{e004}";
    pub const ENTER: &str = "\u{e007}";
    pub const ESCAPE: &str = "\u{e00c}";
    pub const DOWN: &str = "\u{e015}";
    pub const END: &str = "\u{e010}";
}

/// Browsers that run now, and the news that one has ended.
static RUNNING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// The right to run a browser.
#[derive(Debug)]
struct Turn;

impl Turn {
    fn take() -> Self {
        let running = RUNNING.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (mut running, waited) =
            RUNNING.1.wait_timeout_while(running, TURN_MAX, |running| *running >= BROWSERS_MAX).unwrap();
        assert!(!waited.timed_out(), "the other browsers do not end");
        *running += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) -= 1;
        RUNNING.1.notify_one();
    }
}

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    session: Session,
    browser: Option<Pid>,
    driver: Child,
    said: Arc<Mutex<String>>,
    console: Mutex<String>,
    profile: TempDir,
    _turn: Turn,
}

impl Browser {
    /// Starts one.
    pub fn start() -> Self {
        Self::start_in(None, &[])
    }

    /// Starts one inside a network namespace, with more flags.
    pub fn start_in(namespace: Option<&Namespace>, flags: &[&str]) -> Self {
        let turn = Turn::take();
        let profile = TempDir::new().unwrap();
        let port = free_port();
        let host = namespace.map_or("127.0.0.1", Namespace::address);
        let mut command = match namespace {
            None => Command::new("chromedriver"),
            Some(namespace) => namespace.command("chromedriver"),
        };
        command.arg(format!("--port={port}"));
        if namespace.is_some() {
            command.args(["--allowed-ips=", "--allowed-origins=*"]);
        }
        let mut driver = command
            // Its settings and caches, too, go with the profile.
            .env("HOME", profile.path())
            .env("XDG_CONFIG_HOME", profile.path())
            .env("XDG_CACHE_HOME", profile.path())
            .env("TMPDIR", profile.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver does not start ({error}): Debian's package chromium-driver"));
        let said = Arc::new(Mutex::new(String::new()));
        collect(driver.stdout.take().expect("stdout is piped"), &said);
        collect(driver.stderr.take().expect("stderr is piped"), &said);
        let session = Session::new(&format!("http://{host}:{port}"));
        // From here on a panic ends the group.
        let mut this = Self { session, browser: None, driver, said, console: Mutex::default(), profile, _turn: turn };
        let flag = format!("--user-data-dir={}", this.profile.path().join("profile").display());
        let all: Vec<&str> = FLAGS.iter().chain(flags).copied().chain([flag.as_str()]).collect();
        let capabilities = json!({
            "goog:chromeOptions": { "args": all },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        wait_for(START_MAX, "chromedriver answers", || this.session.status());
        let capabilities = this.session.begin(&capabilities);
        let pid = capabilities["goog:processID"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        this.browser = Some(Pid::from_raw(pid.expect("chromedriver names the browser's process")));
        this
    }

    /// Loads a page and waits until it is there.
    #[track_caller]
    pub fn open(&self, url: &str) {
        self.session.post("url", &json!({ "url": url }));
    }

    /// The value of an expression, waited for when it is a promise. Panics when it throws.
    #[track_caller]
    pub fn eval(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             Promise.resolve().then(async () => ({expression})).then(
                 (value) => done([true, value === undefined ? null : value]),
                 (error) => done([false, String(error && error.stack || error)]));"
        );
        let answer = self.session.post("execute/async", &json!({ "script": script, "args": [] }));
        assert!(answer[0] == true, "the page threw: {}\nin: {expression}", answer[1]);
        answer[1].clone()
    }

    /// Waits until an expression is true in JavaScript's sense, its promise included.
    #[track_caller]
    pub fn wait(&self, bound: Duration, what: &str, expression: &str) {
        wait_for(bound, what, || {
            // In two steps, because not every value that is true can be carried out of the page.
            if self.eval(&format!("!!(await ({expression}))")) == true {
                return Ok(());
            }
            Err(format!("{expression} is {}; the page said: {}", self.eval(expression), self.console()))
        })
    }

    /// Loads the page again, as F5 does.
    #[track_caller]
    pub fn reload(&self) {
        self.session.post("refresh", &json!({}));
    }

    /// Opens a tab and goes to it.
    #[track_caller]
    pub fn new_tab(&self) {
        let handle = self.session.post("window/new", &json!({ "type": "tab" }))["handle"].clone();
        self.session.post("window", &json!({ "handle": handle }));
    }

    /// Closes the tab as its user would and goes to the first one that is left.
    #[track_caller]
    pub fn close_tab(&self) {
        let left = self.session.delete("window");
        self.session.post("window", &json!({ "handle": left[0] }));
    }

    /// Makes the page (not the window around it) so large.
    #[track_caller]
    pub fn set_size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": metrics });
        self.session.post("goog/cdp/execute", &command);
    }

    /// Lets the page see this theme of its system: `light` or `dark`.
    #[track_caller]
    pub fn set_theme(&self, theme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": theme }]);
        let command = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.session.post("goog/cdp/execute", &command);
    }

    /// Runs a script in each page that is loaded from now on, before the page's own.
    #[track_caller]
    pub fn before_pages(&self, script: &str) {
        let command = json!({ "cmd": "Page.addScriptToEvaluateOnNewDocument", "params": { "source": script } });
        self.session.post("goog/cdp/execute", &command);
    }

    /// Presses keys one after the other, as on a keyboard: [`keys`], or text letter by letter.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.session.post("actions", &json!({ "actions": [keyboard] }));
    }

    /// Keeps a picture of the page under `target/screenshots`.
    #[track_caller]
    pub fn screenshot(&self, name: &str) -> PathBuf {
        let text = self.session.get("screenshot");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(format!("{name}.png"));
        std::fs::write(&path, webdriver::base64(text.as_str().expect("a picture in base64"))).unwrap();
        path
    }

    /// What the pages wrote to their consoles so far.
    pub fn console(&self) -> String {
        let mut all = self.console.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Each line is given once. A browser that was killed gives none.
        let lines = self.session.try_post("se/log", &json!({ "type": "browser" })).unwrap_or_default();
        for line in lines.as_array().into_iter().flatten() {
            all.push_str(&format!("{}: {}\n", line["level"], line["message"]));
        }
        all.clone()
    }

    /// Kills it (SIGKILL) as a power cut would: no farewell to anybody. Its windows go with it.
    pub fn kill(&mut self) {
        let browser = self.browser.take().expect("it is killed once");
        kill(browser, Signal::SIGKILL).expect("the browser runs");
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.driver.id()).expect("a pid fits"))
    }

    /// Everything that runs because of this browser: its group, and what names its profile.
    fn processes(&self) -> Vec<Pid> {
        let profile = self.profile.path().display().to_string();
        let named = |pid: Pid| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&profile))
        };
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw));
        pids.filter(|pid| group_of(*pid).is_some_and(|group| group == self.group() || named(*pid))).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the page said last:\n{}", self.console());
            let said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
            let tail: Vec<&str> = said.lines().rev().take(8).collect();
            eprintln!("--- chromedriver said last:");
            tail.iter().rev().for_each(|line| eprintln!("    {line}"));
        }
        // The group holds chromedriver and what it has started, and nothing else. One that has ended is fine.
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.driver.wait();
        // The browser's crash handlers leave the group and end when it has: nobody may write into the profile, which
        // is removed next.
        let begun = Instant::now();
        loop {
            let left = self.processes();
            if left.is_empty() || begun.elapsed() > SOON {
                break;
            }
            if begun.elapsed() > LEAVE_MAX {
                for pid in left {
                    // The same.
                    let _ = kill(pid, Signal::SIGKILL);
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether a process runs, and in which group; one that has ended and waits to be reaped (zombie) does not.
fn group_of(pid: Pid) -> Option<Pid> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // proc(5), stat: state, parent and group follow the name in brackets.
    let mut fields = text.rsplit(')').next()?.split_whitespace();
    let running = fields.next()? != "Z";
    fields.nth(1)?.parse().ok().map(Pid::from_raw).filter(|_| running)
}
