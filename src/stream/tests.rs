//! A stream with real GStreamer and a real SRT receiver, inside one process: what an endpoint gets first,
//! and what adding, failing and removing others does to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

mod hand_over;
mod key_frames;
mod preview;
mod refused;

use super::*;
use crate::events::EventBus;
use crate::model::codec::TrackKind;
use crate::model::endpoint::EndpointStatus;
use crate::srt::{Listener, Recv};

const WAIT: Duration = Duration::from_secs(10);
const TS: usize = 188;

/// Feeds a stream with test pictures and a tone in real time until dropped.
struct Source(gst::Pipeline);

impl Source {
    /// A key frame every second.
    fn start(input: &Input) -> Self {
        Self::with_gop(input, 25)
    }

    fn with_gop(input: &Input, pictures: u32) -> Self {
        let text = format!(
            "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1 \
            ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={pictures} ! h264parse config-interval=-1 \
            ! video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=video sync=false \
            audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! avenc_aac ! aacparse \
            ! audio/mpeg,mpegversion=4,stream-format=adts ! appsink name=audio sync=false"
        );
        let pipeline = gst::parse::launch(&text).expect("plugins").downcast::<gst::Pipeline>().expect("pipeline");
        for kind in TrackKind::ALL {
            input.expect(kind);
            let sink = pipeline.by_name(kind.as_str()).and_downcast::<gst_app::AppSink>().expect("appsink");
            let input = input.clone();
            sink.set_callbacks(
                gst_app::AppSinkCallbacks::builder()
                    .new_sample(move |sink| {
                        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                        input.set_caps(kind, &sample.caps_owned().expect("caps"));
                        let buffer = sample.buffer_owned().expect("buffer");
                        let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>()).expect("time");
                        let ns = |t: Option<gst::ClockTime>| segment.to_running_time(t).map(|t| t.nseconds() as i64);
                        let pts_ns = ns(buffer.pts()).expect("time stamp");
                        let dts_ns = ns(buffer.dts()).unwrap_or(pts_ns);
                        input.push(AccessUnit { kind, buffer, dts_ns, pts_ns });
                        Ok(gst::FlowSuccess::Ok)
                    })
                    .build(),
            );
        }
        pipeline.set_state(gst::State::Playing).expect("playing");
        Self(pipeline)
    }

    /// Nothing of this track goes into the stream any more.
    fn silence(&self, track: &str) {
        let sink = self.0.by_name(track).and_downcast::<gst_app::AppSink>().expect("appsink");
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().build());
    }

    /// Asks its encoder for a key frame.
    fn ask(&self) {
        let structure = gst::Structure::builder("GstForceKeyUnit").field("all-headers", true).build();
        let pad = self.0.by_name("video").and_then(|sink| sink.static_pad("sink")).expect("pad");
        assert!(pad.push_event(gst::event::CustomUpstream::new(structure)));
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// An SRT listener that hands on what its one caller sends.
fn receiver() -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    receiver_at((Ipv4Addr::LOCALHOST, 0).into())
}

fn receiver_at(address: SocketAddr) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let listener = Listener::bind(address, 20, |_| Ok(())).expect("a free port");
    let address = listener.local_address().expect("bound");
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let Ok(Some(incoming)) = listener.accept(WAIT) else { return };
        incoming.socket.set_receive_timeout(WAIT).expect("open");
        let mut buffer = [0; 1500];
        while let Recv::Message(len) = incoming.socket.receive(&mut buffer) {
            if sender.send(buffer[..len].to_vec()).is_err() {
                return;
            }
        }
    });
    (address, receiver)
}

fn record(address: SocketAddr) -> EndpointRecord {
    EndpointRecord::new(EndpointId::generate(), format!("srt://{address}").parse().expect("URL"))
}

/// Adds an endpoint with a board of its own.
fn add(stream: &StreamHandle, record: EndpointRecord) {
    let board = Board::new(stream.0.key.clone(), record.id.clone(), EventBus::default());
    stream.add_endpoint(record, board);
}

fn context() -> Arc<StreamContext> {
    gst::init().expect("GStreamer");
    let retry = RetryPolicy { min: Duration::from_millis(100), max: Duration::from_secs(1) };
    Arc::new(
        StreamContext::new(1, "live".parse().expect("name"), retry, Duration::from_secs(3), Destinations::default())
            .expect("UDP port"),
    )
}

async fn stream(context: &Arc<StreamContext>) -> StreamHandle {
    let key = StreamKey { app: "live".parse().expect("name"), id: "test".parse().expect("name") };
    let spec = StreamSpec { key, session: CancellationToken::new(), endpoints: Vec::new() };
    start(spec, context).await.expect("started")
}

/// The door of a publication that begins now.
fn publish(stream: &StreamHandle) -> Input {
    stream.input(stream.begin())
}

fn pid(packet: &[u8]) -> u16 {
    u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2])
}

/// The packets of the next messages, until `enough` says so.
fn collect(messages: &mpsc::Receiver<Vec<u8>>, mut enough: impl FnMut(&[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
    let (mut packets, begin) = (Vec::new(), Instant::now());
    while !enough(&packets) {
        assert!(begin.elapsed() < WAIT, "only {} packets came", packets.len());
        let message = messages.recv_timeout(WAIT).expect("data");
        assert_eq!(message.len() % TS, 0);
        packets.extend(message.chunks(TS).map(<[u8]>::to_vec));
    }
    packets
}

/// Counts continuity errors by PID (ISO/IEC 13818-1, 2.4.3.3).
fn continuity_errors(packets: &[Vec<u8>]) -> usize {
    let mut last = std::collections::HashMap::new();
    packets
        .iter()
        .filter(|packet| packet[3] & 0x10 != 0)
        .filter(|packet| {
            let counter = packet[3] & 0x0f;
            last.insert(pid(packet), counter).is_some_and(|old| counter != (old + 1) & 0x0f)
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_tables_and_a_key_frame_first_and_both_tracks() {
    let context = context();
    let stream = stream(&context).await;
    let source = Source::start(&publish(&stream));
    let (address, messages) = receiver();
    add(&stream, record(address));

    let packets = tokio::task::spawn_blocking(move || collect(&messages, |packets| packets.len() > 700))
        .await
        .expect("collected");
    assert_eq!(pid(&packets[0]), 0, "PAT first");
    let first_pes = packets
        .iter()
        .position(|p| p[1] & 0x40 != 0 && ![0, 0x11].contains(&pid(p)) && p.windows(3).any(|w| w == [0, 0, 1]));
    let first_pes = &packets[first_pes.expect("a PES")];
    let nal = first_pes.windows(4).filter(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 7).count();
    assert_eq!(nal, 1, "the first PES holds an SPS: it is a key frame");
    assert_eq!(continuity_errors(&packets), 0);
    let pids: std::collections::BTreeSet<_> =
        packets.iter().map(|p| pid(p)).filter(|pid| *pid >= 0x20 && *pid < 0x1fff).collect();
    assert!(pids.len() >= 3, "PMT, video and audio: {pids:?}");

    let snapshot = stream.snapshot();
    assert!(snapshot.live && snapshot.received_bytes > 0);
    assert_eq!(snapshot.tracks.len(), 2);
    assert_eq!(stream.endpoint_snapshots()[0].status(), EndpointStatus::Broadcasting, "{snapshot:?}");
    drop(source);
    stream.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_fail_come_and_go_leave_the_others_untouched() {
    let context = context();
    let stream = stream(&context).await;
    let _source = Source::start(&publish(&stream));
    let (address, messages) = receiver();
    add(&stream, record(address));
    // A UDP port that nobody answers at.
    let dead = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    let dead_address = dead.local_addr().expect("bound");

    let (count, collected) = (3_000, tokio::task::spawn_blocking(move || collect(&messages, |p| p.len() > 3_000)));
    let mut rounds = 0;
    while !collected.is_finished() {
        let record = record(dead_address);
        let id = record.id.clone();
        add(&stream, record);
        let (address, others) = receiver();
        let other = self::record(address);
        let other_id = other.id.clone();
        add(&stream, other);
        tokio::task::spawn_blocking(move || others.recv_timeout(WAIT)).await.expect("joined").expect("data");
        assert!(stream.remove_endpoint(&id).await);
        assert!(stream.remove_endpoint(&other_id).await);
        assert!(!stream.remove_endpoint(&other_id).await, "gone");
        rounds += 1;
    }
    let packets = collected.await.expect("collected");
    assert!(packets.len() > count && rounds > 1);
    assert_eq!(continuity_errors(&packets), 0);
    assert_eq!(stream.endpoint_snapshots().len(), 1);
    stream.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_says_why_and_is_tried_again() {
    let context = context();
    let stream = stream(&context).await;
    let _source = Source::start(&publish(&stream));
    let dead = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    let url = format!("srt://{}?connect_timeout=300", dead.local_addr().expect("bound"));
    add(&stream, EndpointRecord::new(EndpointId::generate(), url.parse().expect("URL")));
    let begin = Instant::now();
    loop {
        let endpoint = stream.endpoint_snapshots().remove(0);
        if endpoint.attempt >= 3 {
            assert!(endpoint.failure.is_some_and(|failure| !failure.text.is_empty()));
            break;
        }
        assert!(begin.elapsed() < WAIT, "{endpoint:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serialized_query_is_not_held_by_an_endpoint_that_takes_nothing() {
    let context = context();
    let stream = stream(&context).await;
    let _source = Source::start(&publish(&stream));
    // Nobody answers here, and for long: its muxer is stuck in srtsink with units behind.
    let dead = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    let url = format!("srt://{}?connect_timeout=60000", dead.local_addr().expect("bound"));
    add(&stream, EndpointRecord::new(EndpointId::generate(), url.parse().expect("URL")));
    let begin = Instant::now();
    while stream.endpoint_snapshots()[0].statistics.gate.dropped_units == 0 {
        assert!(begin.elapsed() < WAIT, "its gate never closed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for kind in TrackKind::ALL {
        let pad = stream.0.fanout.source(kind).static_pad("src").expect("pad");
        let asked = tokio::task::spawn_blocking(move || pad.peer_query(&mut gst::query::Allocation::new(None, false)));
        tokio::time::timeout(WAIT, asked).await.expect("answered at once").expect("no panic");
    }
    stream.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_removed_while_it_starts_is_gone_when_that_is_told() {
    let context = context();
    let stream = stream(&context).await;
    let _source = Source::start(&publish(&stream));
    let begin = Instant::now();
    while !stream.snapshot().live {
        assert!(begin.elapsed() < WAIT, "no data");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let dead = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    let address = dead.local_addr().expect("bound");
    for n in 0..40 {
        let record = record(address);
        let id = record.id.clone();
        add(&stream, record);
        // Somewhere within the start, which takes some milliseconds.
        tokio::time::sleep(Duration::from_micros(n * 200)).await;
        assert!(stream.remove_endpoint(&id).await);
        let dot = crate::media::known::dot(&stream.0.key, crate::media::known::Role::Stream).expect("it runs");
        assert!(!dot.contains(&format!("endpoint-{id}")), "{n}: its branch is still there");
    }
    stream.close().await;
}
