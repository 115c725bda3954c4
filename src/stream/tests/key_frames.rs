//! A source that makes a key frame only when asked, as browsers do.

use super::*;

/// Pictures; longer than any test.
const ENDLESS: u32 = 100_000;

/// How long a new endpoint may be without pictures.
const PICTURES_MAX: Duration = Duration::from_secs(1);

/// Passes every wish on to the source; ends with it.
fn obey(source: &Arc<Source>, mut wishes: tokio::sync::watch::Receiver<u64>) {
    let source = Arc::downgrade(source);
    tokio::spawn(async move {
        while wishes.changed().await.is_ok() {
            let Some(source) = source.upgrade() else { return };
            source.ask();
        }
    });
}

async fn until_live(stream: &StreamHandle) {
    let begin = Instant::now();
    while !stream.snapshot().live {
        assert!(begin.elapsed() < WAIT, "never live");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether packets hold the start of a key frame.
fn holds_sps(packets: &[Vec<u8>]) -> bool {
    packets.iter().any(|packet| packet.windows(4).any(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 7))
}

/// When a key frame came.
async fn first_picture(messages: mpsc::Receiver<Vec<u8>>) -> Instant {
    tokio::task::spawn_blocking(move || collect(&messages, holds_sps)).await.expect("a key frame");
    Instant::now()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_endpoint_that_is_added_wishes_for_one_key_frame_and_carries_pictures_at_once() {
    let context = context();
    let stream = stream(&context).await;
    let input = publish(&stream);
    let source = Arc::new(Source::with_gop(&input, ENDLESS));
    let requests = input.key_frame_requests();
    until_live(&stream).await;
    assert_eq!(*requests.borrow(), 0, "nobody is there to want one");
    obey(&source, input.key_frame_requests());
    let mut took = Vec::new();
    for _ in 0..3 {
        let (address, messages) = receiver();
        let begin = Instant::now();
        add(&stream, record(address));
        took.push(first_picture(messages).await - begin);
    }
    assert!(took.iter().all(|took| *took < PICTURES_MAX), "{took:?}");
    tokio::time::sleep(2 * crate::media::gate::WISH_PAUSE).await;
    assert_eq!(*requests.borrow(), 3, "an open gate wants nothing");
    stream.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_closed_wishes_again_when_its_receiver_is_there_and_not_before() {
    let context = context();
    let stream = stream(&context).await;
    let input = publish(&stream);
    let source = Arc::new(Source::with_gop(&input, ENDLESS));
    let requests = input.key_frame_requests();
    until_live(&stream).await;
    obey(&source, input.key_frame_requests());
    // The port is taken, but nobody answers there.
    let away = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("port");
    let address = away.local_addr().expect("bound");
    add(&stream, record(address));
    let began = Instant::now();
    while stream.endpoint_snapshots()[0].statistics.gate.dropped_gops == 0 {
        assert!(began.elapsed() < WAIT, "the gate of a receiver that is not there stays open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let snapshot = stream.endpoint_snapshots().remove(0);
    assert_eq!((snapshot.statistics.gate.dropped_gops, snapshot.attempt), (1, 1), "{snapshot:?}");
    assert_eq!(*requests.borrow(), 1, "the first one, for nothing");
    drop(away);
    let (_, messages) = receiver_at(address);
    let begin = Instant::now();
    // What lay in the muxer when the gate closed; then the key frame at which it opened again.
    let packets = tokio::task::spawn_blocking(move || {
        collect(&messages, |packets| {
            let pictures = packets.iter().filter(|packet| holds_sps(std::slice::from_ref(packet)));
            pictures.count() >= 2
        })
    });
    packets.await.expect("a second key frame");
    assert!(begin.elapsed() < PICTURES_MAX, "{:?}", begin.elapsed());
    assert_eq!(*requests.borrow(), 2);
    stream.close().await;
}
