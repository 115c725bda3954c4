//! N SRT receivers in one process, on one UDP port, that judge what arrives.
//!
//! Connections are told apart by stream id. Every line on stdin is answered by one line of JSON on
//! stdout with the figures of each connection; so is every second with `--every-second`, and the end of
//! the input or SIGTERM. The hard thing: a hundred receivers must cost far less than the sender under
//! test, which runs on the same cores. One thread serves all of them, in turns of a few milliseconds.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use srt_restream::srt::{Incoming, Listener, Recv, SrtSocket};
use tokio::signal::unix::{SignalKind, signal};

#[path = "common/mod.rs"]
mod common;
use common::ts::Judge;

/// How long a turn waits for a new connection: what arrives meanwhile is taken together.
const TURN: Duration = Duration::from_millis(10);

/// Larger than any SRT message in live mode (1456 bytes).
const BUFFER_LEN: usize = 1500;

/// Receives any number of SRT streams and judges them.
#[derive(Parser)]
struct Arguments {
    /// Where to listen (UDP); port 0 takes a free one, which the first line of output names.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Receive latency asked for, milliseconds.
    #[arg(long, default_value_t = 120)]
    latency_ms: i32,
    /// Report every second as well.
    #[arg(long)]
    every_second: bool,
}

/// One connection and what came by it.
struct Receiver {
    stream_id: String,
    /// `None` when the sender has gone.
    socket: Option<SrtSocket>,
    judge: Judge,
    bytes: u64,
    messages: u64,
}

impl Receiver {
    fn new(incoming: Incoming) -> Self {
        let stream_id = incoming.socket.stream_id();
        Self { stream_id, socket: Some(incoming.socket), judge: Judge::default(), bytes: 0, messages: 0 }
    }

    /// Takes all that has arrived. The socket does not block: it has that from its listener.
    fn drain(&mut self, buffer: &mut [u8]) {
        while let Some(socket) = &self.socket {
            match socket.receive(buffer) {
                Recv::Message(len) => {
                    self.bytes += len as u64;
                    self.messages += 1;
                    self.judge.take(&buffer[..len]);
                }
                Recv::Idle => return,
                Recv::Closed => self.socket = None,
            }
        }
    }

    fn report(&self) -> Value {
        json!({
            "stream_id": self.stream_id,
            "alive": self.socket.is_some(),
            "bytes": self.bytes,
            "messages": self.messages,
            "continuity_errors": self.judge.continuity_errors,
            "sync_errors": self.judge.sync_errors,
            "starts_with_pat": self.judge.starts_with_pat,
        })
    }
}

fn report(receivers: &[Receiver], started: Instant) -> Value {
    let sum = |of: fn(&Receiver) -> u64| receivers.iter().map(of).sum::<u64>();
    json!({
        "seconds": started.elapsed().as_secs_f64(),
        "connections": receivers.len(),
        "alive": receivers.iter().filter(|receiver| receiver.socket.is_some()).count(),
        "bytes": sum(|receiver| receiver.bytes),
        "slowest_bytes": receivers.iter().map(|receiver| receiver.bytes).min(),
        "continuity_errors": sum(|receiver| receiver.judge.continuity_errors),
        "sync_errors": sum(|receiver| receiver.judge.sync_errors),
        "starts_without_pat": receivers.iter().filter(|r| r.judge.starts_with_pat == Some(false)).count(),
        "receivers": receivers.iter().map(Receiver::report).collect::<Vec<_>>(),
    })
}

enum Ask {
    Report,
    End,
}

/// Lines of stdin and SIGTERM, as one channel.
fn asks() -> anyhow::Result<mpsc::Receiver<Ask>> {
    let (sender, receiver) = mpsc::channel();
    let ends = sender.clone();
    thread::Builder::new().name("stdin".into()).spawn(move || {
        for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(Ask::Report).is_err() {
                return;
            }
        }
        let _ = sender.send(Ask::End);
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            if let Ok(mut terminate) = signal(SignalKind::terminate()) {
                terminate.recv().await;
                let _ = ends.send(Ask::End);
            }
        });
    })?;
    Ok(receiver)
}

fn print(line: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let listener = Listener::bind(arguments.listen, arguments.latency_ms, |_| Ok(()))?;
    print(&json!({ "listening": listener.local_address()?.to_string() }))?;
    let asks = asks()?;
    let started = Instant::now();
    let mut seconds = 0;
    let mut receivers: Vec<Receiver> = Vec::new();
    let mut buffer = [0; BUFFER_LEN];
    loop {
        if let Some(incoming) = listener.accept(TURN)? {
            receivers.push(Receiver::new(incoming));
        }
        for receiver in &mut receivers {
            receiver.drain(&mut buffer);
        }
        let ask = asks.try_recv().ok();
        let second_over = arguments.every_second && started.elapsed().as_secs() > seconds;
        seconds = started.elapsed().as_secs();
        if ask.is_some() || second_over {
            print(&report(&receivers, started))?;
        }
        if matches!(ask, Some(Ask::End)) {
            return Ok(());
        }
    }
}
