//! The floor: libsrt and nothing else, one file to N receivers from one shared UDP port.
//!
//! It must know nothing of GStreamer. What the service costs above this is what the service adds. The
//! hard thing is to be a fair floor: the same wrapper, the same messages of seven packets, the same
//! number of connections, paced by the file's PCR as a live stream is.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;
use srt_restream::srt::{PortPool, SrtSocket};

#[path = "common/mod.rs"]
mod common;
use common::paced::Paced;

/// Sends a transport stream to several SRT receivers, as cheaply as libsrt can.
#[derive(Parser)]
struct Arguments {
    /// The transport stream.
    file: PathBuf,
    /// The receivers' address (IPv4).
    address: SocketAddr,
    /// How many connections.
    #[arg(long, default_value_t = 1)]
    n: usize,
    /// Shared local UDP ports.
    #[arg(long, default_value_t = 1)]
    ports: usize,
    /// Latency asked for, milliseconds.
    #[arg(long, default_value_t = 120)]
    latency_ms: i32,
    /// Sends what is due together, at most this often, milliseconds. 0: each message when it is due.
    #[arg(long, default_value_t = 0)]
    burst_ms: u64,
}

fn connect(arguments: &Arguments, ports: &PortPool, index: usize) -> anyhow::Result<SrtSocket> {
    let socket = SrtSocket::new()?;
    socket.set_latency(arguments.latency_ms)?;
    socket.set_stream_id(&format!("r{index}"))?;
    let port = ports.next().context("no local port")?.port();
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    socket.connect_from(local, arguments.address).with_context(|| format!("connection {index}"))?;
    Ok(socket)
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let file = Paced::read(&arguments.file)?;
    let ports = PortPool::bind(arguments.ports)?;
    let mut sockets =
        (0..arguments.n).map(|index| connect(&arguments, &ports, index)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", json!({ "connected": sockets.len() }))?;
    out.flush()?;

    let burst = Duration::from_millis(arguments.burst_ms);
    let started = Instant::now();
    let mut awake_at = Duration::ZERO;
    for (due, message) in file.messages() {
        if due > started.elapsed() {
            let until = due.max(awake_at + burst);
            thread::sleep(until.saturating_sub(started.elapsed()));
            awake_at = started.elapsed();
        }
        let before = sockets.len();
        sockets.retain(|socket| socket.send(message).is_ok());
        anyhow::ensure!(sockets.len() == before, "{} connections were lost", before - sockets.len());
    }
    Ok(())
}
