//! Sources that lead elsewhere: what may not be dialled is not dialled behind a redirect or a playlist either.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::canned::{http, redirecting_rtsp, serve};
use crate::support::receiver::Receiver;
use crate::support::service::{Options, Service};
use crate::support::source::{RTSP_H264_AAC, RtspServer, pull, wait_cause};

const STREAM: &str = "live/led";

/// A server where nobody may go.
struct Forbidden(TcpListener);

impl Forbidden {
    const HOST: &str = "127.0.0.2";

    fn start() -> Self {
        let listener = TcpListener::bind((Self::HOST, 0)).expect("all of 127.0.0.0/8 is this host");
        listener.set_nonblocking(true).expect("a socket");
        Self(listener)
    }

    fn at(&self) -> String {
        self.0.local_addr().expect("bound").to_string()
    }

    /// Nobody has connected.
    #[track_caller]
    fn assert_untouched(&self, what: &str) {
        let error = self.0.accept().expect_err(what);
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{what}");
    }
}

#[test]
fn a_forbidden_address_is_not_dialled_behind_a_redirect_or_a_playlist() {
    let settings = vec![("DESTINATION__DENY", Forbidden::HOST.to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let forbidden = Forbidden::start();
    let at = forbidden.at();
    let rtsp = redirecting_rtsp(format!("rtsp://{at}/x"));
    let location = format!("Location: http://{at}/x\r\n");
    let moved = serve(move |_| http("302 Found", &location, ""));
    let segments = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://{at}/a.ts\n");
    let list = serve(move |_| http("200 OK", "", &segments));
    let variants = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://{at}/x.m3u8\n");
    let master = serve(move |_| http("200 OK", "", &variants));
    for (stream, url) in [
        ("live/rtsp", format!("rtsp://127.0.0.1:{rtsp}/x")),
        ("live/http", format!("http://127.0.0.1:{moved}/x")),
        ("live/segment", format!("http://127.0.0.1:{list}/x.m3u8")),
        ("live/variant", format!("http://127.0.0.1:{master}/x.m3u8")),
    ] {
        pull(&service, stream, &url, Value::Null);
        wait_cause(&service, stream, "[destination] deny");
        forbidden.assert_untouched(stream);
    }
}

#[test]
fn an_rtsp_redirect_is_followed_to_what_may_be_dialled_and_not_without_end() {
    let service = Service::start();
    let server = RtspServer::start(RTSP_H264_AAC, &[]);
    let port = redirecting_rtsp(server.url(""));
    let receiver = Receiver::listen();
    let endpoints = json!({ "endPointList": [{ "endpointUrl": receiver.url() }] });
    pull(&service, STREAM, &format!("rtsp://127.0.0.1:{port}/x"), endpoints);
    receiver.wait_seconds(3.0);

    // To itself, and to ever new places.
    let (asked, count) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&count);
    let circle = serve(move |head| {
        let line = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let url = head.split(' ').nth(1).unwrap_or_default();
        let place = if url.contains("/same") { url.to_owned() } else { format!("{url}x") };
        let status = if head.starts_with("DESCRIBE") { "302 Found" } else { "200 OK" };
        counted.fetch_add(1, Ordering::Relaxed);
        format!(
            "RTSP/1.0 {status}\r\nCSeq: {}\r\nPublic: DESCRIBE, SETUP, PLAY\r\nLocation: {place}\r\n\r\n",
            line("CSeq:")
        )
    });
    for path in ["same", "other"] {
        let stream = format!("live/{path}");
        pull(&service, &stream, &format!("rtsp://127.0.0.1:{circle}/{path}"), Value::Null);
        wait_cause(&service, &stream, "redirects without end");
        let requests = count.load(Ordering::Relaxed) - asked.swap(count.load(Ordering::Relaxed), Ordering::Relaxed);
        assert!(requests <= 60, "{path}: {requests} requests in one attempt");
    }
}
