//! A server whose answers a test writes itself: RTSP or HTTP, one answer to each request's head.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Serves `answer` of each head on 127.0.0.1 and gives the port. Its threads end with the test's process.
pub fn serve(answer: impl Fn(&str) -> String + Clone + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || converse(&stream, answer));
        }
    });
    port
}

fn converse(stream: &TcpStream, answer: impl Fn(&str) -> String) {
    let mut lines = BufReader::new(stream).lines();
    let (mut head, mut out) = (String::new(), stream);
    // The client goes away when it has what it wants.
    while let Some(Ok(line)) = lines.next() {
        head.push_str(&line);
        head.push('\n');
        if line.is_empty() {
            if out.write_all(answer(&head).as_bytes()).is_err() {
                return;
            }
            head.clear();
        }
    }
}

/// An RTSP server that leads whoever asks for its stream to `location`.
pub fn redirecting_rtsp(location: String) -> u16 {
    serve(move |head| {
        let sequence = head.lines().find_map(|line| line.strip_prefix("CSeq:")).expect("each request has one").trim();
        if head.starts_with("DESCRIBE") {
            format!("RTSP/1.0 302 Found\r\nCSeq: {sequence}\r\nLocation: {location}\r\n\r\n")
        } else {
            format!("RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n")
        }
    })
}

/// An HTTP answer without more.
pub fn http(status: &str, headers: &str, body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n{headers}\r\n{body}")
}
