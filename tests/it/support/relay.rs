//! A UDP relay in front of a receiver: a bad network on loopback, each direction with delay, jitter, reordering,
//! duplication, loss, a rate, or nothing at all, changed while packets run.
//!
//! One thread per relay, ended with it; loss and the like come from a seed, so that a run is repeated exactly when its
//! packets are. Knows nothing of SRT: callers are told apart by their address, and those that share a port share a
//! way, as they do in the kernel. The hard thing: to be on time to about a millisecond without a busy loop. It sleeps
//! in ppoll(2) until a packet comes or the next one is due.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::process::free_port;

/// Callers that are kept apart; of more, the one that has been silent longest is forgotten.
const CALLERS_MAX: usize = 64;

/// A rate-limited way holds packets for no longer than this; what comes then is lost, as in a router's queue.
const QUEUE_MAX: Duration = Duration::from_millis(500);

/// How long a packet is held back that others shall overtake: several packets of the tests' streams.
const OVERTAKEN_BY: Duration = Duration::from_millis(60);

/// Packets taken from one socket before due ones are looked at again.
const BURST_MAX: usize = 64;

/// Media packets are larger than this, those by which a protocol steers itself mostly smaller.
const MEDIA_MIN_BYTES: usize = 512;

/// More than any packet on a network with an MTU of 1500.
const PACKET_MAX_BYTES: usize = 2048;

/// What happens to the packets that go one way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Way {
    /// Added to each.
    pub delay: Duration,
    /// Up to so much more for each, at random; none overtakes another by it.
    pub jitter: Duration,
    /// How many are lost, 0 to 1.
    pub loss: f64,
    /// How many come twice, 0 to 1.
    pub duplication: f64,
    /// How many are held back until others have overtaken them, 0 to 1.
    pub reordering: f64,
    /// UDP payload that goes through, kbit/s.
    pub rate_kbps: Option<u32>,
    /// Nothing goes through.
    pub black_hole: bool,
}

/// What has happened to the packets that went one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Came in.
    pub taken: u64,
    /// Went out, copies included.
    pub passed: u64,
    /// Were lost: by chance, in the black hole, or before a full queue.
    pub lost: u64,
    /// Were doubled.
    pub doubled: u64,
    /// Were held back for others to overtake.
    pub held_back: u64,
}

/// The two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// From the caller to the receiver.
    Receiver,
    /// From the receiver to the caller.
    Caller,
}

#[derive(Debug, Default)]
struct Shared {
    ways: [Way; 2],
    counts: [Counts; 2],
    /// When the last packet of media came for the receiver, and the longest time between two.
    media_at: Option<Instant>,
    pause_max: Duration,
    quit: bool,
}

/// A relay that runs until it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where callers find it, on 127.0.0.1.
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
    /// A packet here ends the thread's wait.
    wake: UnixDatagram,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Passes everything on to this port of 127.0.0.1 and back, until it is told otherwise.
    pub fn to(port: u16) -> Self {
        Self::seeded(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), 1)
    }

    /// The same with another address and other random numbers.
    pub fn seeded(target: SocketAddr, seed: u64) -> Self {
        let port = free_port();
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).expect("it was free");
        front.set_nonblocking(true).unwrap();
        let (wake, woken) = UnixDatagram::pair().unwrap();
        woken.set_nonblocking(true).unwrap();
        let shared = Arc::<Mutex<Shared>>::default();
        let line = Line {
            front,
            target,
            callers: HashMap::new(),
            queue: BinaryHeap::new(),
            number: 0,
            free_at: [Instant::now(); 2],
            last_due: [Instant::now(); 2],
            random: Random(seed),
            shared: Arc::clone(&shared),
        };
        let thread = std::thread::Builder::new().name("relay".to_owned()).spawn(move || line.run(&woken)).unwrap();
        Self { port, shared, wake, thread: Some(thread) }
    }

    /// The endpoint URL that goes through it.
    pub fn url(&self) -> String {
        format!("srt://127.0.0.1:{}", self.port)
    }

    /// Changes one way for all packets that come from now on.
    pub fn set(&self, to: To, way: Way) {
        self.shared.lock().unwrap().ways[to as usize] = way;
    }

    /// Changes both.
    pub fn set_both(&self, way: Way) {
        self.shared.lock().unwrap().ways = [way; 2];
    }

    /// Swallows everything, or no more; what else is set stays.
    pub fn black_hole(&self, on: bool) {
        self.shared.lock().unwrap().ways.iter_mut().for_each(|way| way.black_hole = on);
    }

    /// The longest time between two packets of media for the receiver, since it was asked for last.
    pub fn take_longest_pause(&self) -> Duration {
        let mut shared = self.shared.lock().unwrap();
        let running = shared.media_at.map_or(Duration::ZERO, |at| at.elapsed());
        std::mem::take(&mut shared.pause_max).max(running)
    }

    /// What has happened so far.
    pub fn counts(&self, to: To) -> Counts {
        self.shared.lock().unwrap().counts[to as usize]
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner).quit = true;
        // It is full only if the thread is awake.
        let _ = self.wake.send(&[0]);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed.
            let _ = thread.join();
        }
    }
}

/// A packet on its way.
#[derive(Debug)]
struct Packet {
    due: Instant,
    /// Keeps the order of those that are due together.
    number: u64,
    to: To,
    caller: SocketAddr,
    bytes: Vec<u8>,
}

impl Packet {
    fn key(&self) -> (Instant, u64) {
        (self.due, self.number)
    }
}

// The heap's greatest is the one that is due first.
impl Ord for Packet {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for Packet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Packet {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Packet {}

#[derive(Debug)]
struct Caller {
    /// Connected to the target.
    socket: UdpSocket,
    heard_at: Instant,
}

/// The thread's side.
#[derive(Debug)]
struct Line {
    front: UdpSocket,
    target: SocketAddr,
    callers: HashMap<SocketAddr, Caller>,
    queue: BinaryHeap<Packet>,
    number: u64,
    /// When a rate-limited way has sent what it holds.
    free_at: [Instant; 2],
    /// When the last packet is due that none may overtake.
    last_due: [Instant; 2],
    random: Random,
    shared: Arc<Mutex<Shared>>,
}

impl Line {
    fn run(mut self, woken: &UnixDatagram) {
        loop {
            if self.shared.lock().unwrap().quit {
                return;
            }
            self.wait(woken);
            // A wake-up says no more than that.
            let _ = woken.recv(&mut [0]);
            self.take_from_front();
            self.take_from_target();
            self.send_due();
        }
    }

    fn wait(&self, woken: &UnixDatagram) {
        let sockets = self.callers.values().map(|caller| caller.socket.as_fd());
        let mut fds: Vec<PollFd<'_>> = [woken.as_fd(), self.front.as_fd()]
            .into_iter()
            .chain(sockets)
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        let wait = self.queue.peek().map(|packet| packet.due.saturating_duration_since(Instant::now()));
        // A signal ends it early, and an error shows at the next read.
        let _ = ppoll(&mut fds, wait.map(TimeSpec::from_duration), None);
    }

    fn take_from_front(&mut self) {
        let mut bytes = [0; PACKET_MAX_BYTES];
        for _ in 0..BURST_MAX {
            let Ok((len, caller)) = self.front.recv_from(&mut bytes) else { return };
            self.know(caller);
            self.take(To::Receiver, caller, &bytes[..len]);
        }
    }

    fn take_from_target(&mut self) {
        let mut bytes = [0; PACKET_MAX_BYTES];
        let callers: Vec<SocketAddr> = self.callers.keys().copied().collect();
        for caller in callers {
            for _ in 0..BURST_MAX {
                match self.callers[&caller].socket.recv(&mut bytes) {
                    Ok(len) => self.take(To::Caller, caller, &bytes[..len]),
                    // The ICMP error of a packet sent before: a wire does not pass it on.
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                    Err(_) => break,
                }
            }
        }
    }

    /// Gives a new caller a socket of its own, by which the target knows it.
    fn know(&mut self, caller: SocketAddr) {
        let now = Instant::now();
        if let Some(known) = self.callers.get_mut(&caller) {
            known.heard_at = now;
            return;
        }
        if self.callers.len() >= CALLERS_MAX {
            let silent = self.callers.iter().min_by_key(|(_, known)| known.heard_at).map(|(address, _)| *address);
            silent.map(|address| self.callers.remove(&address));
        }
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.connect(self.target).unwrap();
        socket.set_nonblocking(true).unwrap();
        self.callers.insert(caller, Caller { socket, heard_at: now });
    }

    fn take(&mut self, to: To, caller: SocketAddr, bytes: &[u8]) {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let mut shared = shared.lock().unwrap();
        if to == To::Receiver && bytes.len() >= MEDIA_MIN_BYTES {
            let pause = shared.media_at.replace(now).map_or(Duration::ZERO, |before| now - before);
            shared.pause_max = shared.pause_max.max(pause);
        }
        let way = shared.ways[to as usize];
        let counts = &mut shared.counts[to as usize];
        counts.taken += 1;
        if way.black_hole || self.random.chance(way.loss) {
            counts.lost += 1;
            return;
        }
        let mut begins = now;
        if let Some(kbps) = way.rate_kbps {
            let start = now.max(self.free_at[to as usize]);
            if start - now > QUEUE_MAX {
                counts.lost += 1;
                return;
            }
            begins = start + Duration::from_secs_f64(bytes.len() as f64 * 8.0 / f64::from(kbps) / 1000.0);
            self.free_at[to as usize] = begins;
        }
        let mut due = begins + way.delay + way.jitter.mul_f64(self.random.fraction());
        if self.random.chance(way.reordering) {
            counts.held_back += 1;
            due += OVERTAKEN_BY;
        } else {
            due = due.max(self.last_due[to as usize]);
            self.last_due[to as usize] = due;
        }
        let mut copies = 1;
        if self.random.chance(way.duplication) {
            counts.doubled += 1;
            copies = 2;
        }
        for _ in 0..copies {
            self.number += 1;
            self.queue.push(Packet { due, number: self.number, to, caller, bytes: bytes.to_vec() });
        }
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        while self.queue.peek().is_some_and(|packet| packet.due <= now) {
            let Some(packet) = self.queue.pop() else { return };
            // Where nobody listens (any more) a packet is gone, as on a wire.
            let _ = match (packet.to, self.callers.get(&packet.caller)) {
                (To::Receiver, Some(caller)) => caller.socket.send(&packet.bytes),
                (To::Receiver, None) => continue,
                (To::Caller, _) => self.front.send_to(&packet.bytes, packet.caller),
            };
            self.shared.lock().unwrap().counts[packet.to as usize].passed += 1;
        }
    }
}

/// splitmix64: enough for chance, and the same everywhere.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to 1, 1 excluded.
    fn fraction(&mut self) -> f64 {
        // 53 bits are what an f64 holds.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn chance(&mut self, of: f64) -> bool {
        of > 0.0 && self.fraction() < of
    }
}
