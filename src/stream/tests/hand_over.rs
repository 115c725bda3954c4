//! One source after another in one stream, under a receiver that stays connected.

use super::*;

/// A receiver's latency, and some.
const QUIET: Duration = Duration::from_secs(1);

/// Collects for so many packets.
async fn more(messages: mpsc::Receiver<Vec<u8>>, count: usize) -> (Vec<Vec<u8>>, mpsc::Receiver<Vec<u8>>) {
    let collecting =
        tokio::task::spawn_blocking(move || (collect(&messages, |packets| packets.len() > count), messages));
    collecting.await.expect("collected")
}

/// Collects until nothing comes any more.
async fn rest(messages: mpsc::Receiver<Vec<u8>>) -> (Vec<Vec<u8>>, mpsc::Receiver<Vec<u8>>) {
    let collecting = tokio::task::spawn_blocking(move || {
        let (mut packets, begin) = (Vec::new(), Instant::now());
        while let Ok(message) = messages.recv_timeout(QUIET) {
            assert!(begin.elapsed() < WAIT, "it never ends");
            packets.extend(message.chunks(TS).map(<[u8]>::to_vec));
        }
        (packets, messages)
    });
    collecting.await.expect("collected")
}

fn status(stream: &StreamHandle) -> EndpointStatus {
    stream.endpoint_snapshots()[0].status()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_source_goes_on_and_the_one_before_gets_nothing_in_any_more() {
    let context = context();
    let stream = stream(&context).await;
    let lease = stream.begin();
    let first = Source::start(&stream.input(lease));
    let (address, messages) = receiver();
    add(&stream, record(address));
    let (mut packets, messages) = more(messages, 500).await;
    assert!(stream.has_data());

    // It goes on sending; nobody listens.
    stream.end(lease);
    let (late, messages) = rest(messages).await;
    packets.extend(late);
    let snapshot = stream.snapshot();
    assert!(!snapshot.live && status(&stream) == EndpointStatus::Broadcasting, "{snapshot:?}");
    let (other, unheard) = receiver();
    add(&stream, record(other));

    let next = stream.begin();
    assert!(!stream.has_data(), "counted anew");
    let stale = stream.input(lease);
    stale.expect(TrackKind::Video);
    stale.follow_arrival();
    assert!(!stale.is_live());
    stream.end(lease);
    let second = Source::start(&stream.input(next));
    let (more_packets, messages) = more(messages, 500).await;
    // The one that was added meanwhile is called now.
    let (others, _unheard) = more(unheard, 300).await;
    assert_eq!((pid(&others[0]), continuity_errors(&others)), (0, 0), "tables first");
    packets.extend(more_packets);
    assert_eq!(continuity_errors(&packets), 0);
    assert!(stream.snapshot().live && stream.input(next).is_live());

    // At once, without a pause: as a silent source is replaced.
    let third_lease = stream.begin();
    let third = Source::start(&stream.input(third_lease));
    let (more_packets, _messages) = more(messages, 500).await;
    packets.extend(more_packets);
    assert_eq!((continuity_errors(&packets), status(&stream)), (0, EndpointStatus::Broadcasting));
    drop((first, second, third));
    stream.close().await;
}

/// A source whose sound broke off 300 ms ago: pictures wait for it in the muxer, not yet so long that they go without.
/// What comes from then on, and the pictures' PID.
async fn pictures_that_wait(stream: &StreamHandle, lease: u64) -> (Source, mpsc::Receiver<Vec<u8>>, u16) {
    let source = Source::start(&stream.input(lease));
    let (address, messages) = receiver();
    add(stream, record(address));
    let (packets, messages) = more(messages, 500).await;
    let video = packets.iter().find(|p| p[1] & 0x40 != 0 && p.windows(4).any(|w| w == [0, 0, 1, 0xe0])).expect("video");
    source.silence("audio");
    tokio::time::sleep(Duration::from_millis(100)).await;
    messages.try_iter().for_each(drop);
    tokio::time::sleep(Duration::from_millis(200)).await;
    (source, messages, pid(video))
}

fn pictures(packets: &[Vec<u8>], video: u16) -> usize {
    packets.iter().filter(|packet| packet[1] & 0x40 != 0 && pid(packet) == video).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_sound_comes_out_when_the_publisher_leaves() {
    let context = context();
    let stream = stream(&context).await;
    let lease = stream.begin();
    let (source, messages, video) = pictures_that_wait(&stream, lease).await;
    stream.end(lease);
    let (late, _messages) = rest(messages).await;
    let came = pictures(&late, video);
    assert!(came >= 5, "{came} pictures, of 300 ms");
    drop(source);
    stream.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_its_sound_comes_out_when_the_publisher_hangs() {
    let context = context();
    let stream = stream(&context).await;
    let lease = stream.begin();
    let (source, messages, video) = pictures_that_wait(&stream, lease).await;
    source.silence("video");
    let waited = tokio::task::spawn_blocking(move || collect(&messages, |packets| pictures(packets, video) >= 5));
    waited.await.expect("they come out although nothing follows");
    drop(source);
    stream.close().await;
}

/// A picture of nothing, for what is decided before anybody looks inside.
fn picture(ms: i64, key: bool) -> AccessUnit {
    let mut buffer = gst::Buffer::from_slice([0_u8; 64]);
    if !key {
        buffer.get_mut().expect("fresh").set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    AccessUnit { kind: TrackKind::Video, buffer, dts_ns: ms * 1_000_000, pts_ns: ms * 1_000_000 }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_another_source_go_in_from_its_first_key_frame_on() {
    let context = context();
    let stream = stream(&context).await;
    let (sender, passed) = mpsc::channel();
    let pad = stream.0.fanout.source(TrackKind::Video).static_pad("src").expect("pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().expect("a buffer");
        let _ = sender.send((buffer.flags().contains(gst::BufferFlags::DELTA_UNIT), buffer.dts().expect("placed")));
        gst::PadProbeReturn::Ok
    });
    let caps: gst::Caps = "video/x-h264,stream-format=byte-stream,alignment=au".parse().expect("caps");
    let first = stream.input(stream.begin());
    let wishes = first.key_frame_requests();
    first.set_caps(TrackKind::Video, &caps);
    for (ms, key) in [(0, true), (40, false)] {
        first.push(picture(ms, key));
    }

    let second = stream.input(stream.begin());
    second.push(picture(7_000_000, true));
    assert_eq!(second.tracks(), [], "what it is has not been said");
    second.set_caps(TrackKind::Video, &caps);
    first.push(picture(80, true));
    for (ms, key) in [(7_000_040, false), (7_000_080, false), (7_000_120, true), (7_000_160, false)] {
        second.push(picture(ms, key));
    }
    assert_eq!(*wishes.borrow(), 1, "the source is asked for one");

    let next = || passed.recv_timeout(WAIT).expect("a picture");
    assert_eq!([next().0, next().0], [false, true], "the first source's");
    let (key, delta) = (next(), next());
    assert_eq!((key.0, delta.0), (false, true), "the second one's, from its key frame on");
    assert_eq!(delta.1 - key.1, gst::ClockTime::from_mseconds(40));
    assert!(passed.recv_timeout(Duration::from_millis(100)).is_err(), "no more");
    stream.close().await;
}
