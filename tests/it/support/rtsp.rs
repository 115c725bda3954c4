//! RTSP publishers: ffmpeg, GStreamer's rtspclientsink, and a client that says what it is told.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::Tool;
use super::publisher::Publisher;
use super::sample::{Sample, words};
use super::service::Service;

/// A description's media: H.264 and A-law.
pub const SDP: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n\
                       m=audio 0 RTP/AVP 8\r\na=control:streamid=1\r\n";

/// The sample in a file that keeps the decoders' configurations apart: without them ffmpeg describes no AAC.
pub fn described(sample: &Sample) -> PathBuf {
    sample.derived("mp4", "-map 0 -c copy -video_track_timescale 90000 -f mp4")
}

/// ffmpeg over RTSP to `app/id`; copies unless `options` say otherwise.
pub fn ffmpeg(service: &Service, stream: &str, sample: &Sample, transport: &str, options: &str) -> Publisher {
    let file = described(sample);
    let url = format!("rtsp://127.0.0.1:{}/{stream}", service.ports.rtsp);
    Publisher::ffmpeg(&file, &format!("{options} -f rtsp -rtsp_transport {transport} {url}"))
}

/// rtspclientsink, fed from a transport stream at its own pace through these parsers.
pub fn gstreamer(service: &Service, stream: &str, file: &Path, transport: &str, parsers: &[&str]) -> Publisher {
    let url = format!("rtsp://127.0.0.1:{}/{stream}", service.ports.rtsp);
    let mut text = format!(
        "-q -e rtspclientsink name=out protocols={transport} location={url} filesrc location={} ! tsdemux name=demux",
        file.display()
    );
    for parser in parsers {
        text +=
            &format!(" demux. ! queue max-size-time=5000000000 max-size-bytes=0 max-size-buffers=0 ! {parser} ! out.");
    }
    Publisher::of(Tool::start("gst-launch-1.0", words(&text), std::process::Stdio::null(), std::process::Stdio::null()))
}

/// One connection, request by request.
#[derive(Debug)]
pub struct Client {
    socket: BufReader<TcpStream>,
    port: u16,
    cseq: u32,
    session: String,
}

impl Client {
    pub fn connect(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        Self { socket: BufReader::new(socket), port, cseq: 0, session: String::new() }
    }

    /// Announces media to `app/id`; gives the status.
    #[track_caller]
    pub fn announce(&mut self, stream: &str, media: &str) -> u16 {
        let body = format!("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{media}");
        self.ask("ANNOUNCE", stream, "Content-Type: application/sdp\r\n", &body)
    }

    /// Sends a request; gives the status.
    #[track_caller]
    pub fn ask(&mut self, method: &str, stream: &str, headers: &str, body: &str) -> u16 {
        self.cseq += 1;
        let (port, cseq, len) = (self.port, self.cseq, body.len());
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {len}\r\n") };
        let request = format!(
            "{method} rtsp://127.0.0.1:{port}/{stream} RTSP/1.0\r\nCSeq: {cseq}\r\n{headers}{length}\r\n{body}"
        );
        self.socket.get_mut().write_all(request.as_bytes()).unwrap();
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            assert!(
                self.socket.read_line(&mut line).expect("an answer") > 0,
                "closed instead of an answer to {method}"
            );
            let line = line.trim_end();
            if let Some(rest) = line.strip_prefix("RTSP/1.0 ") {
                status = rest[..3].parse().unwrap();
            } else if let Some(value) = line.strip_prefix("Session: ") {
                self.session = value.split(';').next().unwrap().to_owned();
            } else if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.parse().unwrap();
            } else if line.is_empty() {
                break;
            }
        }
        self.socket.read_exact(&mut vec![0; length]).unwrap();
        status
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.socket.get_mut().write_all(bytes)
    }

    /// The session that SETUP made.
    pub fn session(&self) -> String {
        self.session.clone()
    }
}
