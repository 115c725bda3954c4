//! A name server of the tests, and what makes one process alone ask it.
//!
//! Answers `A` from a table that changes while it runs, knows nothing else (NXDOMAIN), or says nothing. The service is
//! started in a mount namespace of its own in which `/etc/resolv.conf` names this server; the machine's own is not
//! touched. Needs root. The hard thing: resolv.conf holds no port, so that each server has a loopback address of its own.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use super::process::has_root_for;

/// How soon the server's thread sees that it shall end.
const QUIT_MAX: Duration = Duration::from_millis(100);

/// A message without EDNS (RFC 1035, 2.3.4).
const MESSAGE_MAX_BYTES: usize = 512;

/// Bytes of a message's header (RFC 1035, 4.1.1).
const HEADER_BYTES: usize = 12;

/// The type and class of an IPv4 address of the Internet.
const A_IN: [u8; 4] = [0, 1, 0, 1];

static NEXT: AtomicU8 = AtomicU8::new(1);

#[derive(Debug, Default)]
struct Zone {
    names: HashMap<String, Ipv4Addr>,
    /// Names that get no answer.
    silent: HashSet<String>,
    quit: bool,
}

/// A name server that runs until it is dropped.
#[derive(Debug)]
pub struct Dns {
    zone: Arc<Mutex<Zone>>,
    thread: Option<JoinHandle<()>>,
    dir: TempDir,
}

impl Dns {
    /// Knows no name yet. See [`has_root_for`] for `None`.
    pub fn start() -> Option<Self> {
        if !has_root_for("a name server") {
            return None;
        }
        // Runs side by side have different process ids.
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 100 + NEXT.fetch_add(1, Ordering::Relaxed) % 100, high, low.max(1));
        let socket = UdpSocket::bind((address, 53)).unwrap_or_else(|error| panic!("{address}:53: {error}"));
        socket.set_read_timeout(Some(QUIT_MAX)).unwrap();
        let zone = Arc::<Mutex<Zone>>::default();
        let served = Arc::clone(&zone);
        let thread = std::thread::spawn(move || serve(&socket, &served));
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("resolv.conf"), format!("nameserver {address}\n")).unwrap();
        std::fs::write(dir.path().join("nsswitch.conf"), "hosts: files dns\n").unwrap();
        Some(Self { zone, thread: Some(thread), dir })
    }

    /// What starts a process that asks this server: for the launcher of a service.
    pub fn launcher(&self) -> Vec<String> {
        let at = self.dir.path().display();
        let script = format!(
            "mount --bind {at}/resolv.conf /etc/resolv.conf && mount --bind {at}/nsswitch.conf /etc/nsswitch.conf \
             && exec \"$0\""
        );
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script].map(str::to_owned).to_vec()
    }

    /// A name is at this address from now on.
    pub fn set(&self, name: &str, address: Ipv4Addr) {
        let mut zone = self.zone.lock().unwrap();
        zone.silent.remove(name);
        zone.names.insert(name.to_owned(), address);
    }

    /// Gives no answer to a name until it is set.
    pub fn silence(&self, name: &str) {
        self.zone.lock().unwrap().silent.insert(name.to_owned());
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.zone.lock().unwrap_or_else(std::sync::PoisonError::into_inner).quit = true;
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, zone: &Mutex<Zone>) {
    let mut message = [0; MESSAGE_MAX_BYTES];
    loop {
        let came = socket.recv_from(&mut message);
        let zone = zone.lock().unwrap();
        if zone.quit {
            return;
        }
        if let Ok((len, from)) = came
            && let Some(answer) = answer(&message[..len], &zone)
        {
            // Who is gone needs no answer.
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// The answer to a message with one question (RFC 1035, 4.1), if it gets one.
fn answer(message: &[u8], zone: &Zone) -> Option<Vec<u8>> {
    let (mut labels, mut at) = (Vec::new(), HEADER_BYTES);
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1;
        if len == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(message.get(at..at + len)?).to_ascii_lowercase());
        at += len;
    }
    let kind = message.get(at..at + 4)?;
    let name = labels.join(".");
    if zone.silent.contains(&name) {
        return None;
    }
    let known = zone.names.get(&name);
    let address = known.filter(|_| kind == A_IN);
    // An answer to a recursive question, with or without NXDOMAIN; one question, none or one record.
    let (code, records) = (if known.is_some() { 0x80 } else { 0x83 }, u8::from(address.is_some()));
    let mut out = message.get(..2)?.to_vec();
    out.extend([0x81, code, 0, 1, 0, records, 0, 0, 0, 0]);
    out.extend(&message[HEADER_BYTES..at + 4]);
    if let Some(address) = address {
        // The name is that of the question; valid for no time; four bytes.
        out.extend([0xc0, HEADER_BYTES as u8]);
        out.extend(A_IN);
        out.extend([0, 0, 0, 0, 0, 4]);
        out.extend(address.octets());
    }
    Some(out)
}

#[test]
fn a_process_of_its_own_asks_it_and_the_names_move() {
    let Some(dns) = Dns::start() else { return };
    let ask = || {
        let line = dns.launcher();
        // `sh -c 'mount … && exec "$0"' getent …`: the script takes the program alone, so the words are put into it.
        let script = line[6].replace("\"$0\"", "getent ahostsv4 moves.test");
        let output = std::process::Command::new(&line[0]).args(&line[1..6]).arg(script).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(ask(), "");
    dns.set("moves.test", Ipv4Addr::new(127, 0, 0, 9));
    assert!(ask().contains("127.0.0.9"), "{}", ask());
    dns.set("moves.test", Ipv4Addr::new(127, 0, 0, 10));
    assert!(ask().contains("127.0.0.10"), "{}", ask());
}
