//! SRT peers of our own making, on the service's own wrapper of libsrt: they refuse with any code, hang up, or are no
//! SRT peers at all.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use srt_restream::srt::{Incoming, Listener, Recv};

/// How long a peer waits for a caller or a packet before it looks whether its test is over.
const LOOK: Duration = Duration::from_millis(100);

/// Latency of a peer, ms.
const LATENCY_MS: i32 = 120;

/// A listening peer. It ends with its value.
#[derive(Debug)]
pub struct Peer {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Refuses every caller with this reject code.
    pub fn refusing(code: i32) -> Self {
        Self::listen(move || Err(code), |_, _| {})
    }

    /// Takes every caller, and hangs up after so many packets.
    pub fn hanging_up_after(packets: usize) -> Self {
        Self::listen(
            || Ok(()),
            move |incoming, over| {
                let _ = incoming.socket.set_receive_timeout(LOOK);
                let (mut left, mut buffer) = (packets, [0; 1500]);
                while left > 0 && !over.load(Ordering::Relaxed) {
                    match incoming.socket.receive(&mut buffer) {
                        Recv::Message(_) => left -= 1,
                        Recv::Idle => {}
                        Recv::Closed => return,
                    }
                }
            },
        )
    }

    fn listen(
        answer: impl Fn() -> Result<(), i32> + Send + Sync + 'static,
        serve: impl Fn(Incoming, &AtomicBool) + Send + 'static,
    ) -> Self {
        let (calls, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&calls), Arc::clone(&over));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), LATENCY_MS, move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            answer()
        })
        .expect("a free port");
        let address = listener.local_address().expect("bound");
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Ok(Some(incoming)) = listener.accept(LOOK) {
                    serve(incoming, &stopped);
                }
            }
        });
        Self { address, calls, over, thread: Some(thread) }
    }

    /// The endpoint URL that reaches it.
    pub fn url(&self) -> String {
        format!("srt://{}", self.address)
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A UDP port that is held and never answers: a black hole.
pub fn black_hole() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a free port")
}
