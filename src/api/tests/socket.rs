//! A WebSocket client (RFC 6455) for tests, over a real socket and not by the server's own crate.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Everything a test waits for.
const WAIT: Duration = Duration::from_secs(10);

const RECEIVE_BUFFER_BYTES: u32 = 8 * 1024;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Text(String),
    Ping,
    Pong(Vec<u8>),
    Close(u16),
    /// The connection's end.
    End,
}

pub(super) struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects; the answer's head when it is no WebSocket.
    pub(super) async fn connect(address: SocketAddr, path: &str) -> Result<Self, String> {
        let socket = TcpSocket::new_v4().expect("a socket");
        // Small, so that one who does not read is noticed soon.
        socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES).expect("sets");
        let mut stream = socket.connect(address).await.expect("connects");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nUser-Agent: test/1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("writes");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(WAIT, stream.read_u8()).await.expect("in time").expect("a head");
            head.push(byte);
        }
        let head = String::from_utf8(head).expect("UTF-8");
        if head.starts_with("HTTP/1.1 101 ") { Ok(Self { stream }) } else { Err(head) }
    }

    /// Sends one frame; `first` is its first byte.
    pub(super) async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..126 => frame.push(0x80 | len as u8),
            len @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((len as u16).to_be_bytes());
            }
            len => {
                frame.push(0x80 | 127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        // A mask of zeros changes nothing.
        frame.extend([0; 4]);
        frame.extend(payload);
        self.raw(&frame).await;
    }

    /// Sends text after text until the server closes the connection, and waits while it takes nothing.
    pub(super) async fn flood(&mut self, text: &str) {
        let len = u8::try_from(text.len()).ok().filter(|len| *len < 126).expect("a short text");
        let frame = [&[0x81, 0x80 | len, 0, 0, 0, 0], text.as_bytes()].concat();
        while self.stream.write_all(&frame).await.is_ok() {}
    }

    pub(super) async fn raw(&mut self, bytes: &[u8]) {
        timeout(WAIT, self.stream.write_all(bytes)).await.expect("in time").expect("writes");
    }

    pub(super) async fn send(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes()).await;
    }

    pub(super) async fn next(&mut self) -> Frame {
        timeout(WAIT, self.read()).await.expect("a frame in time").unwrap_or(Frame::End)
    }

    async fn read(&mut self) -> std::io::Result<Frame> {
        let (first, second) = (self.stream.read_u8().await?, self.stream.read_u8().await?);
        let len = match second {
            126 => usize::from(self.stream.read_u16().await?),
            127 => usize::try_from(self.stream.read_u64().await?).expect("fits"),
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload).await?;
        Ok(match first {
            0x81 => Frame::Text(String::from_utf8(payload).expect("UTF-8")),
            0x88 => Frame::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
            0x89 => Frame::Ping,
            0x8a => Frame::Pong(payload),
            other => panic!("an unexpected frame: {other:#x}"),
        })
    }

    /// The next text, as JSON; pings of the server are passed over.
    pub(super) async fn json(&mut self) -> Value {
        loop {
            match self.next().await {
                Frame::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Frame::Ping => {}
                other => panic!("text was wanted: {other:?}"),
            }
        }
    }

    /// Sends a message and gives the next one that comes.
    pub(super) async fn ask(&mut self, text: &str) -> Value {
        self.send(text).await;
        self.json().await
    }
}
