//! Publishers: ffmpeg over RTMP and SRT, and srt-live-transmit fed through a pipe at the stream's own pace.
//!
//! Owns the sending side only. ffmpeg copies (`-c copy`), so what it sends is what the sample holds.

use std::io::Write;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::process::Tool;
use super::sample::{Sample, words};
use super::service::Service;
use super::ts::{Capture, PACKET_BYTES, ms};
use super::wait::SOON;

/// Payload of an SRT packet: seven transport packets.
const SRT_PAYLOAD_BYTES: usize = 7 * PACKET_BYTES;

/// A running publisher; killed when dropped.
#[derive(Debug)]
pub struct Publisher {
    tool: Tool,
    quit: Arc<AtomicBool>,
    feeder: Option<std::thread::JoinHandle<()>>,
}

impl Publisher {
    /// ffmpeg over RTMP to `app/id`.
    pub fn rtmp(service: &Service, stream: &str, sample: &Sample) -> Self {
        Self::rtmp_with(service, stream, &sample.path, "")
    }

    /// ffmpeg over RTMP, with options for its output (offsets, filters of the bit stream).
    pub fn rtmp_with(service: &Service, stream: &str, file: &Path, options: &str) -> Self {
        let url = format!("rtmp://127.0.0.1:{}/{stream}", service.ports.rtmp);
        Self::ffmpeg(file, &format!("{options} -f flv {url}"))
    }

    /// ffmpeg over SRT; `stream_id` is sent as it is (ffmpeg 5 takes it out of the URL without decoding).
    pub fn srt(service: &Service, stream_id: &str, sample: &Sample) -> Self {
        let url = format!("srt://127.0.0.1:{}?streamid={stream_id}&pkt_size={SRT_PAYLOAD_BYTES}", service.ports.srt);
        Self::ffmpeg(&sample.path, &format!("-f mpegts {url}"))
    }

    /// ffmpeg at the file's own pace to any output.
    pub fn ffmpeg(file: &Path, output: &str) -> Self {
        let mut args = words("-hide_banner -v warning -nostdin -re -i");
        args.push(file.display().to_string());
        args.extend(words("-map 0 -c copy"));
        args.extend(words(output));
        Self::of(Tool::start("ffmpeg", args, Stdio::null(), Stdio::null()))
    }

    /// srt-live-transmit, fed with these pieces one after the other, each at the pace of its own clock.
    pub fn srt_pieces(service: &Service, stream_id: &str, pieces: Vec<Vec<u8>>) -> Self {
        Self::feed(&format!("srt://127.0.0.1:{}?streamid={stream_id}&latency=200", service.ports.srt), pieces)
    }

    /// srt-live-transmit, fed in the same way, to any SRT address.
    pub fn feed(url: &str, pieces: Vec<Vec<u8>>) -> Self {
        let args = words(&format!("-q -a:no -chunk:{SRT_PAYLOAD_BYTES} file://con {url}"));
        let mut tool = Tool::start("srt-live-transmit", args, Stdio::piped(), Stdio::null());
        let mut pipe = tool.take_stdin();
        let mut publisher = Self::of(tool);
        let quit = Arc::clone(&publisher.quit);
        let timed: Vec<Vec<(Duration, Vec<u8>)>> = pieces.iter().map(|piece| paced(piece)).collect();
        publisher.feeder = Some(std::thread::spawn(move || {
            for piece in timed {
                let start = Instant::now();
                for (due, bytes) in piece {
                    if quit.load(Ordering::Relaxed) {
                        return;
                    }
                    std::thread::sleep(due.saturating_sub(start.elapsed()));
                    if pipe.write_all(&bytes).is_err() {
                        return;
                    }
                }
            }
        }));
        publisher
    }

    /// A program that publishes by itself.
    pub fn of(tool: Tool) -> Self {
        Self { tool, quit: Arc::default(), feeder: None }
    }

    /// Whether it still sends.
    pub fn runs(&mut self) -> bool {
        self.tool.runs()
    }

    /// What it said.
    pub fn said(&self) -> String {
        self.tool.said()
    }

    /// Waits for it to end by itself.
    #[track_caller]
    pub fn wait_exit(&mut self, bound: Duration) -> ExitStatus {
        self.tool.wait_exit(bound)
    }

    /// Ends it as an operator would.
    pub fn stop(mut self) {
        self.tool.signal(Signal::SIGINT);
        self.tool.wait_exit(SOON);
    }

    /// Freezes it: the connection stays, nothing comes.
    pub fn freeze(&self) {
        self.tool.signal(Signal::SIGSTOP);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Relaxed);
        // Closes the pipe's reading end, which ends a feeder that waits in a write.
        self.tool.kill();
        if let Some(feeder) = self.feeder.take() {
            // It has no result, and its panic would have been printed.
            let _ = feeder.join();
        }
    }
}

/// Cuts a transport stream into SRT payloads, each with the time when it is due after the first.
fn paced(bytes: &[u8]) -> Vec<(Duration, Vec<u8>)> {
    let capture = Capture::parse(bytes);
    let first = capture.pcrs.first().map_or(0, |pcr| pcr.ticks);
    let mut pcrs = capture.pcrs.iter().peekable();
    let mut due = Duration::ZERO;
    bytes
        .chunks(SRT_PAYLOAD_BYTES)
        .enumerate()
        .map(|(n, chunk)| {
            while let Some(pcr) = pcrs.next_if(|pcr| pcr.packet <= n * SRT_PAYLOAD_BYTES / PACKET_BYTES) {
                due = Duration::from_secs_f64((ms(pcr.ticks - first) / 1000.0).max(0.0));
            }
            (due, chunk.to_vec())
        })
        .collect()
}
