//! Whole sessions, with a second `webrtcbin` of this process as the publisher, over loopback.

mod sender;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::*;
use crate::endpoint::state::RetryPolicy;
use crate::model::broadcast::PublishType;
use crate::model::codec::Codec;
use crate::store::Store;
use crate::stream::StreamContext;
use sender::Sender;

/// Bound of every wait in these tests; on an idle machine each takes a fraction of a second.
const WAIT: Duration = Duration::from_secs(20);

/// Peer connections are found again by the names of their threads, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A manager with real streams, and the ingest under test.
struct Bench {
    webrtc: WebRtc,
    manager: Manager,
    shutdown: CancellationToken,
    _directory: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Bench {
    async fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let alone = ALONE.lock().await;
        gstreamer::init().expect("GStreamer");
        let directory = tempfile::tempdir().expect("a directory");
        let mut settings = Settings::default();
        settings.webrtc.local_addresses = vec!["127.0.0.1".parse().expect("an address")];
        change(&mut settings);
        let settings = Arc::new(settings);
        let store =
            Store::open(&format!("sqlite://{}", directory.path().join("x.db").display())).await.expect("a store");
        let retry = RetryPolicy { min: Duration::from_secs(1), max: Duration::from_secs(1) };
        let context = StreamContext::new(
            1,
            settings.srt.default_app.clone(),
            retry,
            Duration::from_secs(3),
            crate::model::destination::Destinations::default(),
        )
        .expect("a UDP port");
        let (manager, _) = Manager::spawn(Arc::clone(&settings), store, Arc::new(context)).await.expect("a manager");
        let shutdown = CancellationToken::new();
        let webrtc = WebRtc::new(manager.clone(), settings, shutdown.clone());
        Self { webrtc, manager, shutdown, _directory: directory, _alone: alone }
    }

    async fn admit(&self, id: &str) -> Result<Admission, PublishRefusal> {
        let request = PublishRequest {
            app: "live".into(),
            stream: id.into(),
            publish_type: PublishType::WebRtc,
            peer: "127.0.0.1:9".parse().expect("an address"),
            user_agent: None,
            meta: Vec::new(),
        };
        self.webrtc.admit(request).await
    }

    /// Ends what runs and waits until nothing of it is left.
    async fn close(self) {
        self.manager.shutdown().await;
        self.shutdown.cancel();
        timeout(WAIT, self.webrtc.ended()).await.expect("all sessions end");
        until("the threads of all peer connections end", || peer_threads().is_empty()).await;
    }
}

/// The names of threads that belong to a peer connection, of either side.
fn peer_threads() -> Vec<String> {
    // Idle threads of the pool that all pipelines share keep the name of what they ran last.
    gstreamer::glib::ThreadPool::stop_unused_threads();
    let tasks = std::fs::read_dir("/proc/self/task").expect("a list of threads");
    let name = |path: &Path| std::fs::read_to_string(path.join("comm")).unwrap_or_default();
    tasks
        .filter_map(|task| Some(name(&task.ok()?.path()).trim().to_owned()))
        .filter(|name| {
            !name.contains("::") && ["peer", "webrtc", "nice", "rtp", "dtls"].iter().any(|part| name.contains(part))
        })
        .collect()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: {:?}", peer_threads());
        sleep(Duration::from_millis(10)).await;
    }
}

/// Reads news up to the one that is wanted; says what came before it.
async fn news_until(news: &mut mpsc::Receiver<SessionNews>, wanted: fn(&SessionNews) -> bool) -> SessionNews {
    let read = async {
        loop {
            match news.recv().await {
                Some(one) if wanted(&one) => return one,
                Some(SessionNews::Ended(cause)) => panic!("the session ended: {cause}"),
                Some(_) => {}
                None => panic!("the news ended"),
            }
        }
    };
    timeout(WAIT, read).await.expect("news in time")
}

fn is_started(news: &SessionNews) -> bool {
    matches!(news, SessionNews::Started)
}

fn is_ended(news: &SessionNews) -> bool {
    matches!(news, SessionNews::Ended(_))
}

async fn cause(news: &mut mpsc::Receiver<SessionNews>) -> String {
    match news_until(news, is_ended).await {
        SessionNews::Ended(cause) => cause,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_comes_in_and_leaves_nothing_behind() {
    let bench = Bench::new(|_| {}).await;
    for round in 0..2 {
        let sender = Sender::start("video/audio").await;
        let admission = bench.admit("x").await.expect("the id is free");
        let input = admission.publication.input();
        let (answer, session, mut news) = admission.answer(&sender.offer, Trickle::InAnswer).await.expect("an answer");
        for wanted in [" nack\r\n", " nack pli\r\n", "transport-cc\r\n", "a=candidate:", "a=end-of-candidates"] {
            assert!(answer.contains(wanted), "{wanted}: {answer}");
        }
        sender.answer(&answer).await;
        news_until(&mut news, is_started).await;
        until("both tracks run", || {
            let tracks = input.tracks();
            tracks.len() == 2 && tracks.iter().all(|track| track.bitrate_bps > 0)
        })
        .await;
        let [video, audio] = input.tracks().try_into().expect("two");
        assert_eq!((video.codec, video.size, video.transcoded_from), (Codec::H264, Some((320, 180)), None));
        assert_eq!((audio.codec, audio.transcoded_from), (Codec::Aac, Some("Opus")));
        drop(input);
        assert!(matches!(bench.admit("x").await, Err(PublishRefusal::InUse(_))), "round {round}");
        session.close().await;
        // The id is free at once: the next round takes it.
        assert_eq!(cause(&mut news).await, "ended by the publisher");
        sender.stop().await;
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_with_another_certificate_than_the_offers_is_refused() {
    let bench = Bench::new(|_| {}).await;
    let sender = Sender::start("video/audio").await;
    let admission = bench.admit("x").await.expect("the id is free");
    let input = admission.publication.input();
    let forged = sender.offer_with_another_fingerprint();
    let (answer, session, mut news) = admission.answer(&forged, Trickle::InAnswer).await.expect("an answer");
    sender.answer(&answer).await;
    let cause = cause(&mut news).await;
    assert!(
        cause.starts_with("refused: the certificate of the DTLS handshake has the fingerprint sha-256 "),
        "{cause}"
    );
    assert_eq!((input.received_bytes(), input.tracks().len()), (0, 0));
    drop((session, input));
    sender.stop().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_travel_one_by_one_both_ways() {
    let bench = Bench::new(|_| {}).await;
    let sender = Sender::start("video").await;
    let admission = bench.admit("x").await.expect("the id is free");
    let (offer, candidates) = sender.offer_without_candidates();
    let (answer, session, mut news) = admission.answer(&offer, Trickle::OneByOne).await.expect("an answer");
    assert!(!answer.contains("a=candidate:"), "{answer}");
    for candidate in &candidates {
        let candidate = Candidate { mline_index: 0, mid: None, candidate: candidate.clone() };
        session.add_candidate(&candidate).expect("a candidate");
    }
    for (mline_index, mid, candidate) in [(7, None, &*candidates[0]), (0, Some("no"), &candidates[0]), (0, None, "x")] {
        let candidate = Candidate { mline_index, mid: mid.map(str::to_owned), candidate: candidate.to_owned() };
        assert!(matches!(session.add_candidate(&candidate), Err(OfferError::Bad(_))), "{candidate:?}");
    }
    sender.answer(&answer).await;
    loop {
        let one = news_until(&mut news, |news| matches!(news, SessionNews::Candidate(_))).await;
        let SessionNews::Candidate(candidate) = one else { panic!("{one:?}") };
        assert_eq!(candidate.mline_index, 0);
        if candidate.candidate.is_empty() {
            break;
        }
        assert!(candidate.candidate.contains(" 127.0.0.1 "), "{candidate:?}");
        sender.add_candidate(&candidate.candidate);
    }
    news_until(&mut news, is_started).await;
    assert!(bench.manager.stop(session.key.clone()).await);
    assert_eq!(cause(&mut news).await, "ended by the service");
    sender.stop().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_that_never_comes_or_leaves_is_given_up() {
    let limits = |settings: &mut Settings| {
        (settings.webrtc.sessions_max, settings.webrtc.connect_timeout_ms) = (1, 1_000);
        settings.webrtc.silence_timeout_ms = 1_000;
    };
    let bench = Bench::new(limits).await;
    let sender = Sender::start("video").await;
    let admission = bench.admit("x").await.expect("the id is free");
    let (_, _session, mut news) = admission.answer(&sender.offer, Trickle::InAnswer).await.expect("an answer");
    let second = bench.admit("y").await.expect("another id");
    let full = second.answer(&sender.offer, Trickle::InAnswer).await.map(|(answer, ..)| answer);
    assert_eq!(full, Err(OfferError::Full(1)));
    assert!(bench.admit("y").await.is_ok(), "a failed answer gives the id back");
    assert_eq!(cause(&mut news).await, "no media came within 1000 ms of the answer");

    until("the session's place is free", || bench.webrtc.0.slots.available_permits() == 1).await;
    let admission = bench.admit("x").await.expect("the id is free");
    let (answer, _session, mut news) = admission.answer(&sender.offer, Trickle::InAnswer).await.expect("an answer");
    sender.answer(&answer).await;
    news_until(&mut news, is_started).await;
    sender.fall_silent();
    assert_eq!(cause(&mut news).await, "the publisher sent nothing for 1000 ms");
    sender.stop().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_of_another_host_is_named_in_the_error() {
    let elsewhere = |settings: &mut Settings| {
        settings.webrtc.local_addresses = vec!["192.0.2.1".parse().expect("an address")];
    };
    let bench = Bench::new(elsewhere).await;
    let sender = Sender::start("video").await;
    let admission = bench.admit("x").await.expect("the id is free");
    let answer = admission.answer(&sender.offer, Trickle::InAnswer).await.map(|(answer, ..)| answer);
    assert!(matches!(&answer, Err(OfferError::Internal(why)) if why.contains("192.0.2.1")), "{answer:?}");
    sender.stop().await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_that_cannot_be_answered_gives_the_id_back() {
    let bench = Bench::new(|_| {}).await;
    let sender = Sender::start("video/audio").await;
    let unbundled = sender.offer.replace("a=group:BUNDLE", "a=group:LS");
    for (offer, part) in [("", "no SDP"), ("v=0", "m-lines"), (&unbundled, "BUNDLE")] {
        let admission = bench.admit("x").await.expect("the id is free");
        match admission.answer(offer, Trickle::InAnswer).await.map(|(answer, ..)| answer) {
            Err(OfferError::Bad(why)) => assert!(why.contains(part), "{part}: {why}"),
            other => panic!("{other:?}"),
        }
    }
    sender.stop().await;
    bench.close().await;
}
