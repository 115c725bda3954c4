//! The server against publishers that nobody here wrote: FFmpeg, GStreamer's rtmp2sink, librtmp.

mod harness;

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::connection::Timing;
use super::seam::{SourceUnit, TrackConfig};
use crate::model::codec::TrackKind;
use harness::{Publisher, Record, Server, TIMING, WAIT};

const PICTURE: &[&str] = &["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"];
const TONE: &[&str] = &["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"];
const H264: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-b:v", "1M"];
const AAC: &[&str] = &["-c:a", "aac", "-b:a", "96k"];

fn ffmpeg(parts: &[&[&str]], url: &str) -> Publisher {
    let mut arguments = vec!["-hide_banner", "-nostats", "-loglevel", "error"];
    arguments.extend(parts.iter().copied().flatten());
    arguments.extend(["-f", "flv", url]);
    Publisher::start("ffmpeg", &arguments)
}

/// Steps between decoding times in milliseconds: least and most.
fn steps_ms(units: &[&SourceUnit]) -> (i64, i64) {
    let steps: Vec<_> = units.windows(2).map(|pair| (pair[1].dts_ns - pair[0].dts_ns) / 1_000_000).collect();
    (*steps.iter().min().unwrap(), *steps.iter().max().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ffmpeg_publishes_h264_with_b_frames_and_aac() {
    let server = Server::start(TIMING).await;
    let url = server.url("live/x?token=secret&lang=de");
    let publisher = ffmpeg(&[PICTURE, TONE, &["-t", "4"], H264, AAC], &url);
    let (success, said) = publisher.finish().await;
    assert!(success, "{said}");
    let record = server.record(0, |record| record.over).await;
    server.stop().await;
    check_b_frames(&record.lock().unwrap());
}

fn check_b_frames(record: &Record) {
    let request = record.request.as_ref().unwrap();
    assert_eq!((request.app.as_str(), request.stream.as_str()), ("live", "x"));
    assert_eq!(request.meta, [("lang".to_owned(), "de".to_owned())]);
    assert!(request.user_agent.as_ref().is_some_and(|agent| agent.contains("Lavf")), "{request:?}");

    assert_eq!(record.expected, [TrackKind::Video, TrackKind::Audio]);
    assert!(matches!(&record.configs[..], [TrackConfig::H264 { .. }, TrackConfig::Aac { .. }]), "{:?}", record.configs);
    let (video, audio) = (record.units(TrackKind::Video), record.units(TrackKind::Audio));
    assert_eq!(video.len(), 100);
    assert_eq!(steps_ms(&video), (40, 40));
    assert!(video[0].key_frame);
    assert_eq!(video.iter().filter(|unit| unit.key_frame).count(), 4);
    assert!(video.iter().any(|unit| unit.pts_ns > unit.dts_ns + 40_000_000), "B-frames show in the composition time");
    assert!(video.iter().all(|unit| unit.pts_ns >= unit.dts_ns));
    let mut shown: Vec<_> = video.iter().map(|unit| unit.pts_ns).collect();
    shown.sort_unstable();
    shown.dedup();
    assert_eq!(shown.len(), 100, "each frame has its own time");
    // 4 s of 1024 samples at 48 kHz, and the encoder's priming.
    assert!((187..=190).contains(&audio.len()), "{}", audio.len());
    let (least, most) = steps_ms(&audio);
    assert!(least >= 21 && most <= 22, "{least} {most}");
    // Each video unit is whole: its NAL units' lengths end where it ends.
    for unit in &video {
        let mut rest = &unit.data[..];
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            rest = &after[u32::from_be_bytes(*len) as usize..];
        }
        assert!(rest.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_tracks_other_codecs_and_other_clocks_arrive_whole() {
    let server = Server::start(TIMING).await;
    let two_seconds = ["-t", "2"];
    let mp3 = ["-c:a", "libmp3lame", "-ar", "44100"];
    // 20 000 s: every header has an extended timestamp, those of type 3 too.
    let late = ["-output_ts_offset", "20000"];
    let cases: [Case; 4] = [
        ("video only", &[PICTURE, &two_seconds, H264], 50, 0..1),
        ("audio only", &[TONE, &two_seconds, AAC], 0, 93..97),
        ("MP3", &[PICTURE, TONE, &two_seconds, H264, &mp3], 50, 76..80),
        ("extended timestamps", &[PICTURE, TONE, &two_seconds, H264, AAC, &late], 50, 93..97),
    ];
    for (n, (name, parts, video, audio)) in cases.into_iter().enumerate() {
        let (success, said) = ffmpeg(parts, &server.url("live/x")).finish().await;
        assert!(success, "{name}: {said}");
        let record = server.record(n, |record| record.over).await;
        check_variant(name, &record.lock().unwrap(), video, audio);
    }
    server.stop().await;
}

/// Name, FFmpeg's arguments, video units, audio units.
type Case<'a> = (&'a str, &'a [&'a [&'a str]], usize, Range<usize>);

fn check_variant(name: &str, record: &Record, video: usize, audio: Range<usize>) {
    let videos = record.units(TrackKind::Video);
    assert_eq!(videos.len(), video, "{name}");
    if video > 0 {
        assert_eq!(steps_ms(&videos), (40, 40), "{name}");
    }
    let kinds = [(TrackKind::Video, video > 0), (TrackKind::Audio, audio.end > 1)];
    let announced: Vec<_> = kinds.into_iter().filter(|(_, is)| *is).map(|(kind, _)| kind).collect();
    assert_eq!(record.expected, announced, "{name}");
    assert!(audio.contains(&record.units(TrackKind::Audio).len()), "{name}: {}", record.units(TrackKind::Audio).len());
    let start_ms = record.units[0].dts_ns / 1_000_000;
    let expected_ms = if name == "extended timestamps" { 20_000_000 } else { 0 };
    assert!((start_ms - expected_ms).abs() < 200, "{name}: {start_ms}");
    assert_eq!(record.configs.contains(&TrackConfig::Mp3), name == "MP3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gstreamers_and_librtmps_publishers_are_taken() {
    let server = Server::start(TIMING).await;
    for (n, sink) in ["rtmp2sink", "rtmpsink"].into_iter().enumerate() {
        let location = format!("location={}", server.url("live/x"));
        let line = format!(
            "flvmux name=mux streamable=true ! {sink} {location} videotestsrc num-buffers=50 ! \
             video/x-raw,width=320,height=180,framerate=25/1 ! x264enc tune=zerolatency key-int-max=25 ! mux. \
             audiotestsrc num-buffers=94 samplesperbuffer=1024 ! audio/x-raw,rate=48000 ! avenc_aac ! mux."
        );
        let arguments: Vec<_> = std::iter::once("-q").chain(line.split_whitespace()).collect();
        let (success, said) = Publisher::start("gst-launch-1.0", &arguments).finish().await;
        assert!(success, "{sink}: {said}");
        let record = server.record(n, |record| record.over).await;
        let record = record.lock().unwrap().take();
        let video = record.units(TrackKind::Video);
        assert_eq!((video.len(), steps_ms(&video)), (50, (40, 40)), "{sink}");
        assert!(record.units(TrackKind::Audio).len() >= 93, "{sink}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_publishers_are_told_why() {
    let server = Server::start(TIMING).await;
    let first = ffmpeg(&[&["-re"], PICTURE, H264], &server.url("live/x"));
    let record = server.record(0, |record| !record.units.is_empty()).await;

    let (success, said) = ffmpeg(&[PICTURE, &["-t", "9"], H264], &server.url("live/x")).finish().await;
    assert!(!success && said.contains("in use by another publisher"), "{said}");
    let (success, said) = ffmpeg(&[PICTURE, &["-t", "9"], H264], &server.url("nope/x")).finish().await;
    assert!(!success && said.contains("no such application"), "{said}");
    // Flash Video 1 is what FFmpeg's flv takes for H.263.
    let (success, said) =
        ffmpeg(&[&["-re"], PICTURE, &["-t", "20", "-c:v", "flv1"]], &server.url("live/y")).finish().await;
    assert!(!success && said.contains("None of the tracks can be carried"), "{said}");

    // The first one has not noticed.
    let seen = record.lock().unwrap().units.len();
    server.record(0, |record| record.units.len() > seen + 10).await;
    // The service ends it.
    record.lock().unwrap().token.cancel();
    server.record(0, |record| record.over).await;
    let (success, _) = first.finish().await;
    assert!(!success);

    // A parser that finds out that the frames are not what their header says.
    let fourth = ffmpeg(&[&["-re"], PICTURE, H264], &server.url("live/x"));
    server.record(2, |record| !record.units.is_empty()).await.lock().unwrap().failure = Some("no frames".to_owned());
    let (success, said) = fourth.finish().await;
    assert!(!success && said.contains("not what their headers say"), "{said}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_publisher_and_silent_connections_are_closed() {
    let timing = Timing { setup: Duration::from_millis(700), idle: Duration::from_millis(700) };
    let server = Server::start(timing).await;
    let publisher = ffmpeg(&[&["-re"], PICTURE, H264], &server.url("live/x"));
    server.record(0, |record| !record.units.is_empty()).await;
    publisher.signal(Signal::SIGSTOP);
    server.record(0, |record| record.over).await;
    publisher.signal(Signal::SIGCONT);

    // 200 connections: silent, talking HTTP, half a handshake, garbage behind a handshake.
    let mut garbage = vec![3; 1 + 2 * 1536];
    garbage.extend((0..4000u32).map(|n| ((n * 7919) >> 3) as u8));
    let texts: [&[u8]; 4] = [b"", b"GET / HTTP/1.1\r\n\r\n", &garbage[..1000], &garbage];
    let mut sockets = Vec::new();
    for n in 0..200 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let _ = socket.write_all(texts[n % texts.len()]).await;
        sockets.push(socket);
    }
    // Meanwhile a publisher comes through.
    let (success, said) = ffmpeg(&[PICTURE, &["-t", "1"], H264], &server.url("live/z")).finish().await;
    assert!(success, "{said}");
    for mut socket in sockets {
        let closed = async {
            let mut waste = Vec::new();
            let _ = socket.read_to_end(&mut waste).await;
        };
        timeout(WAIT, closed).await.expect("every one is closed");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_publishers_and_silent_connections_at_once() {
    let server = Server::start(TIMING).await;
    let publisher = ffmpeg(&[&["-re"], PICTURE, H264], &server.url("live/x"));
    let record = server.record(0, |record| !record.units.is_empty()).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(record.lock().unwrap().over);
    let (success, _) = publisher.finish().await;
    assert!(!success);
}

/// What was logged, as bytes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// On one thread, so that the test's own subscriber sees the server's lines.
#[tokio::test]
async fn the_log_has_one_line_per_end_and_no_secrets() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // With one dispatcher in the process, tracing caches "nobody listens" for a line that another test's
    // thread comes to first; with two it asks both.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
    let server = Server::start(TIMING).await;
    let brief = ["-t", "1"];
    // FFmpeg cuts an address at its last slash, other encoders elsewhere: so application and name are given apart.
    for (app, name) in [("live", "x?token=hush1&password=hush2"), ("live?token=hush3", "y"), ("live", "x/hush4")] {
        let apart = ["-rtmp_app", app, "-rtmp_playpath", name];
        let (success, said) = ffmpeg(&[PICTURE, &brief, H264, &apart], &server.url("live")).finish().await;
        assert!(success, "{said}");
    }
    let _ = ffmpeg(&[PICTURE, &brief, H264], &server.url("nope?auth=hush5/x")).finish().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /hush6").await.unwrap();
    let mut waste = Vec::new();
    let _ = timeout(WAIT, socket.read_to_end(&mut waste)).await.unwrap();
    server.stop().await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!log.contains("hush"), "{log}");
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("RTMP publisher gone: ended by the publisher"), 3, "{log}");
    assert_eq!(lines("RTMP publisher gone") + lines("RTMP connection closed"), 5, "{log}");
    assert_eq!(lines("refused: unknown application"), 1, "{log}");
    assert_eq!(lines("no RTMP client"), 1, "{log}");
}
