//! How much later a picture leaves the service than it came: publisher and receiver in one process.
//!
//! It publishes a file over SRT, paced by its PCR, receives what an endpoint sends, finds each picture
//! again by its slices, and prints the delays from "sent whole" to "received whole" as one line of JSON.
//! The hard thing: both connections hold data back for SRT's own latency. Run once more against its own
//! receiver, without the service, it tells what a connection alone costs; `scripts/bench` subtracts that.
//! With `--beside` somebody else publishes, to the service and here at once, and the delays are between the two.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;
use srt_restream::srt::{Listener, Recv, SrtSocket};

#[path = "common/mod.rs"]
mod common;
use common::paced::Paced;
use common::pictures::Pictures;

/// How long the receiver waits for the sender.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// Nothing for this long: the sender has come to its end.
const SILENCE: Duration = Duration::from_millis(1_000);

/// Larger than any SRT message in live mode (1456 bytes).
const BUFFER_LEN: usize = 1500;

/// Publishes a file, receives it again, and prints how long that took. The first line of output names the
/// address to send to; the first line of input, after that, the address to publish to.
#[derive(Parser)]
struct Arguments {
    /// The transport stream, with H.264; not read with `--beside`.
    file: PathBuf,
    /// Stream id to publish under.
    #[arg(long, default_value = "live/bench")]
    stream_id: String,
    /// How much of the file to send, seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Pictures sent in this time are left out: the stream is being set up, seconds.
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// Publish nothing: take a second stream, which the publisher sends here itself, as the one that is not delayed.
    #[arg(long)]
    beside: bool,
    /// SRT latency of both connections, milliseconds.
    #[arg(long, default_value_t = 20)]
    latency_ms: i32,
}

fn receive(listener: &Listener, epoch: Instant) -> anyhow::Result<Pictures> {
    let incoming = listener.accept(CONNECT_MAX)?.context("nobody sent anything here")?;
    incoming.socket.set_receive_timeout(SILENCE)?;
    let (mut pictures, mut buffer) = (Pictures::default(), [0; BUFFER_LEN]);
    let (connected, mut begun) = (Instant::now(), false);
    loop {
        match incoming.socket.receive(&mut buffer) {
            Recv::Message(len) => pictures.take(&buffer[..len], epoch.elapsed()),
            // An endpoint is connected before its first key frame comes.
            Recv::Idle if !begun && connected.elapsed() < CONNECT_MAX => continue,
            Recv::Idle | Recv::Closed => return Ok(pictures),
        }
        begun = true;
    }
}

fn publish(arguments: &Arguments, to: SocketAddr, file: &Paced, epoch: Instant) -> anyhow::Result<Pictures> {
    let socket = SrtSocket::new()?;
    socket.set_latency(arguments.latency_ms)?;
    socket.set_stream_id(&arguments.stream_id)?;
    socket.connect(to).context("the publisher was not let in")?;
    let (started, mut pictures) = (Instant::now(), Pictures::default());
    for (due, message) in file.messages() {
        if due > Duration::from_secs(arguments.seconds) {
            break;
        }
        thread::sleep(due.saturating_sub(started.elapsed()));
        socket.send(message)?;
        if due > Duration::from_secs(arguments.warm_up) {
            pictures.take(message, epoch.elapsed());
        }
    }
    // What is under way still arrives.
    thread::sleep(SILENCE);
    Ok(pictures)
}

/// Starts to receive, whenever somebody connects.
fn receiver(listener: Listener, epoch: Instant) -> anyhow::Result<impl FnOnce() -> anyhow::Result<Pictures>> {
    let thread = thread::Builder::new().name("receiver".into()).spawn(move || receive(&listener, epoch))?;
    Ok(move || thread.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))?)
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = Listener::bind(here, arguments.latency_ms, |_| Ok(()))?;
    let mut out = std::io::stdout();
    let epoch = Instant::now();
    let (sent, received) = if arguments.beside {
        let beside = Listener::bind(here, arguments.latency_ms, |_| Ok(()))?;
        let addresses = json!({ "listening": listener.local_address()?.to_string(), "beside": beside.local_address()?.to_string() });
        writeln!(out, "{addresses}")?;
        let (delayed, direct) = (receiver(listener, epoch)?, receiver(beside, epoch)?);
        (direct()?.after(Duration::from_secs(arguments.warm_up)), delayed()?)
    } else {
        let file = Paced::read(&arguments.file)?;
        writeln!(out, "{}", json!({ "listening": listener.local_address()?.to_string() }))?;
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        let to: SocketAddr = line.trim().parse().context("wanted an address to publish to")?;
        let receiver = receiver(listener, epoch)?;
        (publish(&arguments, to, &file, epoch)?, receiver()?)
    };

    let mut delays_ms: Vec<f64> = sent.delays_until(&received).iter().map(|delay| delay.as_secs_f64() * 1e3).collect();
    delays_ms.sort_by(f64::total_cmp);
    let at = |share: f64| delays_ms.get((share * delays_ms.len() as f64) as usize).or(delays_ms.last()).copied();
    let result = json!({
        "sent": sent.count(), "received": delays_ms.len(),
        "median_ms": at(0.5), "p95_ms": at(0.95), "max_ms": delays_ms.last(),
    });
    writeln!(out, "{result}")?;
    Ok(())
}
