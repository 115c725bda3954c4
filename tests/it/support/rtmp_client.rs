//! A small RTMP publisher for what ffmpeg cannot send: HEVC (ffmpeg 5 has none in FLV), chosen time stamps,
//! headers that change mid-stream, connections that stop talking half-way.
//!
//! Written from the RTMP 1.0 specification alone and sharing no code with the service. The hard thing is
//! only that it must stay small: it sends with one chunk size and reads just enough to see the answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::flv::Tag;

/// Chunk size announced and used for everything after the connect.
const CHUNK_BYTES: usize = 60_000;

/// Longest silence of the server that is waited for.
const READ_MAX: Duration = Duration::from_secs(8);

const HANDSHAKE_BYTES: usize = 1536;

/// FLV tag types, which are RTMP's message types too.
pub const AUDIO: u8 = 8;
/// As above.
pub const VIDEO: u8 = 9;
const AMF0_COMMAND: u8 = 20;
const SET_CHUNK_SIZE: u8 = 1;

/// A connection that publishes.
#[derive(Debug)]
pub struct RtmpClient {
    socket: TcpStream,
    heard: Vec<u8>,
}

impl RtmpClient {
    /// Connects, shakes hands, connects to the application and asks to publish `app/id`. Does not wait for the answer.
    pub fn publish(port: u16, stream: &str) -> std::io::Result<Self> {
        let (app, id) = stream.split_once('/').expect("streams are written app/id");
        let mut client = Self::shake_hands(port)?;
        client.message(2, 0, SET_CHUNK_SIZE, 0, &u32::try_from(CHUNK_BYTES).expect("small").to_be_bytes())?;
        let mut connect = [string("connect"), number(1.0), vec![3]].concat();
        for (key, value) in [
            ("app", string(app)),
            ("tcUrl", string(&format!("rtmp://127.0.0.1:{port}/{app}"))),
            ("fourCcList", four_ccs()),
        ] {
            connect.extend([key_of(key), value].concat());
        }
        connect.extend([0, 0, 9]);
        client.message(3, 0, AMF0_COMMAND, 0, &connect)?;
        client.hear("NetConnection.Connect.Success")?;
        client.message(3, 0, AMF0_COMMAND, 0, &[string("createStream"), number(2.0), vec![5]].concat())?;
        client.hear("_result")?;
        let publish = [string("publish"), number(3.0), vec![5], string(id), string("live")].concat();
        client.message(4, 0, AMF0_COMMAND, 1, &publish)?;
        Ok(client)
    }

    /// Only the handshake.
    pub fn shake_hands(port: u16) -> std::io::Result<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(READ_MAX))?;
        socket.set_write_timeout(Some(READ_MAX))?;
        socket.write_all(&[&[3][..], &[0; HANDSHAKE_BYTES]].concat())?;
        let mut answer = vec![0; 1 + 2 * HANDSHAKE_BYTES];
        socket.read_exact(&mut answer)?;
        socket.write_all(&answer[1..=HANDSHAKE_BYTES])?;
        Ok(Self { socket, heard: Vec::new() })
    }

    /// Reads until the server has said this text (a code of `onStatus`, say). `Err` when it stops or closes before.
    ///
    /// The texts awaited are shorter than the least chunk, but a chunk's border may cut one: borders are one byte
    /// (format 3, no extended time stamp), so texts are also looked for with one byte more inside.
    pub fn hear(&mut self, text: &str) -> std::io::Result<()> {
        let mut buffer = [0; 4096];
        while !self.has_heard(text) {
            match self.socket.read(&mut buffer)? {
                0 => return Err(std::io::Error::other(format!("closed before it said {text}"))),
                len => self.heard.extend_from_slice(&buffer[..len]),
            }
        }
        Ok(())
    }

    /// Whether the server has said this text so far.
    pub fn has_heard(&self, text: &str) -> bool {
        let text = text.as_bytes();
        let cut_once =
            |window: &[u8]| (1..text.len()).any(|at| window[..at] == text[..at] && window[at + 1..] == text[at..]);
        self.heard.windows(text.len()).any(|window| window == text) || self.heard.windows(text.len() + 1).any(cut_once)
    }

    /// Sends bytes as they are, chunked or not.
    pub fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends the body of an FLV tag.
    pub fn tag(&mut self, kind: u8, timestamp_ms: u32, body: &[u8]) -> std::io::Result<()> {
        self.message(if kind == VIDEO { 6 } else { 5 }, timestamp_ms, kind, 1, body)
    }

    fn message(&mut self, channel: u8, timestamp_ms: u32, kind: u8, stream: u32, body: &[u8]) -> std::io::Result<()> {
        // 5.3.1.2.1: type 0 header; 24 bits of time or the extended field of 32.
        let extended = timestamp_ms >= 0x00ff_ffff;
        let short = if extended { 0x00ff_ffff } else { timestamp_ms };
        let len = u32::try_from(body.len()).expect("small messages");
        let mut out = vec![channel];
        out.extend_from_slice(&short.to_be_bytes()[1..]);
        out.extend_from_slice(&len.to_be_bytes()[1..]);
        out.push(kind);
        out.extend_from_slice(&stream.to_le_bytes());
        if extended {
            out.extend_from_slice(&timestamp_ms.to_be_bytes());
        }
        // The announcement of this chunk size is the first message of all, so it holds for every other.
        for (n, chunk) in body.chunks(CHUNK_BYTES).enumerate() {
            if n > 0 {
                out.push(0xc0 | channel);
                if extended {
                    out.extend_from_slice(&timestamp_ms.to_be_bytes());
                }
            }
            out.extend_from_slice(chunk);
        }
        self.socket.write_all(&out)
    }
}

/// Tags on their way at their own pace, until dropped.
#[derive(Debug)]
pub struct TagFeed {
    quit: Arc<AtomicBool>,
    feeder: Option<JoinHandle<std::io::Result<()>>>,
}

impl TagFeed {
    /// Publishes `app/id` and sends each tag when its own clock says, with the RTMP time stamp given beside it.
    #[track_caller]
    pub fn start(port: u16, stream: &str, tags: Vec<(u32, Tag)>) -> Self {
        let mut client = RtmpClient::publish(port, stream).expect("the service takes an RTMP connection");
        client.hear("NetStream.Publish.Start").expect("the service lets us publish");
        let quit = Arc::<AtomicBool>::default();
        let told = Arc::clone(&quit);
        let feeder = std::thread::spawn(move || {
            let start = Instant::now();
            let first = tags.first().map_or(0, |(_, tag)| tag.dts_ms);
            for (timestamp_ms, tag) in tags {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                let due = Duration::from_millis(u64::try_from(tag.dts_ms - first).unwrap_or(0));
                std::thread::sleep(due.saturating_sub(start.elapsed()));
                client.tag(tag.kind, timestamp_ms, &tag.body)?;
            }
            Ok(())
        });
        Self { quit, feeder: Some(feeder) }
    }

    /// Ends it where the server may have closed before.
    pub fn abandon(mut self) {
        self.quit.store(true, Ordering::Relaxed);
        // A broken connection is what is expected here.
        let _ = self.feeder.take().map(JoinHandle::join);
    }
}

impl Drop for TagFeed {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Relaxed);
        let sent = self.feeder.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(sent, None | Some(Ok(Ok(())))), "the service broke the RTMP connection: {sent:?}");
        }
    }
}

fn key_of(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).expect("short texts");
    [&len.to_be_bytes()[..], text.as_bytes()].concat()
}

fn string(text: &str) -> Vec<u8> {
    [vec![2], key_of(text)].concat()
}

fn number(value: f64) -> Vec<u8> {
    [&[0][..], &value.to_be_bytes()].concat()
}

/// Enhanced RTMP's strict array of codecs that we send.
fn four_ccs() -> Vec<u8> {
    let list = ["hvc1", "avc1"];
    let mut out = vec![10, 0, 0, 0, 2];
    list.iter().for_each(|code| out.extend(string(code)));
    out
}
