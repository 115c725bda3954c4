//! The signalling over real sockets, with the server that the service makes.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::socket::{Client, Frame};
use super::*;
use crate::api::serve;
use crate::ingest::webrtc::{Candidate, IceServer, SessionNews, Trickle};

const PUBLISH: &str = r#"{"command":"publish","streamId":"s","token":"secret","subscriberId":"sub","subscriberCode":"secret","streamName":"News","mainTrack":"","video":true,"audio":true,"metaData":"m","role":""}"#;
const OFFER: &str = r#"{"command":"takeConfiguration","streamId":"s","type":"offer","sdp":"v=0"}"#;
const STOP: &str = r#"{"command":"stop","streamId":"s"}"#;

/// A world with a running server.
struct Served {
    world: World,
    address: SocketAddr,
    handle: actix_web::dev::ServerHandle,
}

impl Served {
    async fn new() -> Self {
        Self::with(SocketBounds::default()).await
    }

    async fn with(bounds: SocketBounds) -> Self {
        let world = World::with(bounds).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("address");
        let server = serve(listener, None, Arc::clone(&world.state)).expect("serves");
        let handle = server.handle();
        tokio::spawn(server);
        Self { world, address, handle }
    }

    async fn connect(&self) -> Client {
        Client::connect(self.address, "/live/websocket?target=origin").await.expect("a WebSocket")
    }

    /// Publishes `s` until it is live.
    async fn publish(&self, client: &mut Client) {
        assert_eq!(client.ask(PUBLISH).await, start());
        assert_eq!(client.ask(OFFER).await, answer());
        self.world.webrtc.last_peer().news.send(SessionNews::Started).await.expect("heard");
        assert_eq!(client.json().await, notification("publish_started"));
    }

    fn is_live(&self) -> bool {
        self.world.manager.get(&key("s")).is_some_and(|view| view.live.is_some())
    }

    async fn stop(self) {
        self.handle.stop(false).await;
    }
}

fn start() -> Value {
    json!({"command": "start", "streamId": "s", "subscriberId": "sub"})
}

fn answer() -> Value {
    json!({"command": "takeConfiguration", "streamId": "s", "type": "answer", "sdp": fake::ANSWER, "linkSession": null, "subscriberId": "sub"})
}

fn notification(definition: &str) -> Value {
    json!({"command": "notification", "definition": definition, "streamId": "s", "subscriberId": "sub"})
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[actix_web::test]
async fn a_publication_by_the_sdks_messages() {
    let served = Served::new().await;
    let mut client = served.connect().await;
    assert_eq!(client.ask(r#"{"command":"ping"}"#).await, json!({"command": "pong"}));
    served.world.webrtc.servers.lock().expect("sound").push(IceServer {
        uri: "stun:stun.example.org:3478".into(),
        username: None,
        credential: None,
    });
    let servers = client.ask(r#"{"command":"getIceServerConfig"}"#).await;
    assert_eq!(servers["stunServerUri"], "stun:stun.example.org:3478");

    served.publish(&mut client).await;
    assert!(served.is_live());
    let request = served.world.webrtc.requests.lock().expect("sound")[0].clone();
    assert_eq!(
        (request.app.as_str(), request.stream.as_str(), request.publish_type),
        ("live", "s", PublishType::WebRtc)
    );
    assert!(request.peer.ip().is_loopback() && request.user_agent.as_deref() == Some("test/1"));
    let meta = [("streamName", "News"), ("metaData", "m")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(request.meta, meta, "and no credential");
    let shown = served.world.get(&format!("{BASE}/s")).await.json();
    assert_eq!((&shown["name"], &shown["metaData"]), (&json!("News"), &json!("m")));
    assert!(!shown.to_string().contains("secret"), "{shown}");

    let peer = served.world.webrtc.last_peer();
    assert_eq!(peer.trickle, Trickle::OneByOne);
    client.send(r#"{"command":"takeCandidate","streamId":"s","label":0,"id":"0","candidate":"candidate:1"}"#).await;
    client.send(r#"{"command":"takeCandidate","streamId":"s","label":0,"id":"0","candidate":"unusable"}"#).await;
    let given = Candidate { mline_index: 0, mid: Some("0".into()), candidate: "candidate:1".into() };
    until("the candidate arrives", || *peer.candidates.lock().expect("sound") == [given.clone()]).await;
    peer.news.send(SessionNews::Candidate(given)).await.expect("heard");
    assert_eq!(client.json().await["candidate"], "candidate:1");

    let unknown = client.ask(r#"{"command":"getStreamInfo","streamId":"t"}"#).await;
    assert_eq!(
        unknown,
        json!({"command": "error", "definition": "no_stream_exist", "streamId": "t", "error_code": "404"})
    );

    // Stopped and published again at once, with no wait between.
    client.send(STOP).await;
    client.send(PUBLISH).await;
    assert_eq!(client.json().await, notification("publish_finished"));
    assert_eq!(client.json().await, start());
    assert!(!peer.is_open());
    served.stop().await;
}

#[actix_web::test]
async fn a_reloaded_page_gets_its_id_back_while_its_old_connection_is_taken_down() {
    let served = Served::new().await;
    served.world.webrtc.close_ms.store(1_000, Ordering::Relaxed);
    let mut old = served.connect().await;
    served.publish(&mut old).await;
    let mut new = served.connect().await;
    drop(old);
    until("the old one is leaving", || served.world.state.publishers.is_leaving(&key("s"))).await;
    assert!(served.is_live());
    new.send(PUBLISH).await;
    assert_eq!(new.json().await, start());

    // Somebody else's id is refused, and soon.
    let mut other = served.connect().await;
    let asked = Instant::now();
    let refused = other.ask(PUBLISH).await;
    assert_eq!(refused, json!({"command": "error", "definition": "streamIdInUse", "streamId": "s"}));
    assert!(asked.elapsed() < Duration::from_secs(3), "before the SDK gives up: {:?}", asked.elapsed());
    served.stop().await;
}

#[actix_web::test]
async fn a_closed_socket_frees_its_ids_at_whatever_stage() {
    let served = Served::new().await;
    for messages in [&[PUBLISH][..], &[PUBLISH, OFFER]] {
        let mut client = served.connect().await;
        for message in messages {
            client.ask(message).await;
        }
        assert!(served.is_live());
        drop(client);
        until("the id is free", || !served.is_live()).await;
    }
    until("its place is free", || served.world.state.sockets.are_free()).await;
    served.stop().await;
}

#[actix_web::test]
async fn a_refused_offer_gives_the_id_back() {
    let served = Served::new().await;
    let mut client = served.connect().await;
    for (sdp, definition) in
        [("bad", "notSetRemoteDescription"), ("av1", "no_codec_enabled_in_the_server"), ("full", "highResourceUsage")]
    {
        assert_eq!(client.ask(PUBLISH).await, start());
        let offer = json!({"command": "takeConfiguration", "streamId": "s", "type": "offer", "sdp": sdp}).to_string();
        assert_eq!(client.ask(&offer).await["definition"], definition);
    }
    until("the id is free", || !served.is_live()).await;
    served.stop().await;
}

#[actix_web::test]
async fn a_malformed_message_is_answered_and_harms_nobody() {
    let served = Served::new().await;
    let mut client = served.connect().await;
    served.publish(&mut client).await;
    for text in ["", "{", "[]", r#"{"command":"publish","streamId":7}"#] {
        assert_eq!(client.ask(text).await["definition"], "malformed_message", "{text}");
    }
    client.frame(0x82, b"binary").await;
    assert_eq!(client.json().await["definition"], "malformed_message");
    client.frame(0x89, b"are you there").await;
    assert_eq!(client.next().await, Frame::Pong(b"are you there".to_vec()));
    // In pieces.
    client.frame(0x01, br#"{"command":"#).await;
    client.frame(0x80, br#""ping"}"#).await;
    assert_eq!(client.json().await, json!({"command": "pong"}));
    assert!(served.is_live());
    served.stop().await;
}

#[actix_web::test]
async fn too_large_a_message_is_refused_and_the_others_go_on() {
    let served = Served::new().await;
    let mut bystander = served.connect().await;
    served.publish(&mut bystander).await;
    // 80 KB exactly is taken.
    let mut client = served.connect().await;
    let padded = format!(r#"{{"command":"ping"{}}}"#, " ".repeat(80 * 1024 - 18));
    assert_eq!(padded.len(), 80 * 1024);
    assert_eq!(client.ask(&padded).await, json!({"command": "pong"}));
    // Sent whole, and announced only.
    let giant = [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    for whole in [true, false] {
        let mut client = served.connect().await;
        if whole {
            client.send(&" ".repeat(80 * 1024 + 1)).await;
        } else {
            client.raw(&giant).await;
        }
        assert_eq!(client.json().await["definition"], "message_too_large");
        assert_eq!(client.next().await, Frame::Close(1009));
    }
    assert_eq!(bystander.ask(r#"{"command":"ping"}"#).await, json!({"command": "pong"}));
    served.stop().await;
}

#[actix_web::test]
async fn a_client_that_does_not_read_is_dropped() {
    let served = Served::new().await;
    let mut client = served.connect().await;
    served.publish(&mut client).await;
    // It never reads: the server's answers pile up, then the server takes no more and gives it up.
    let message = format!(r#"{{"command":"publish","streamId":"{}/"}}"#, "x".repeat(70));
    tokio::select! {
        () = client.flood(&message) => {}
        () = until("it is dropped", || served.world.state.sockets.are_free()) => {}
    }
    until("its place is free", || served.world.state.sockets.are_free()).await;
    until("its stream ends", || !served.is_live()).await;
    served.stop().await;
}

#[actix_web::test]
async fn a_silent_client_is_dropped_and_one_that_answers_pings_is_not() {
    let [tick, ping_every, silence] = [20, 100, 1_000].map(Duration::from_millis);
    let served = Served::with(SocketBounds { tick, ping_every, silence, ..SocketBounds::default() }).await;
    let (mut silent, mut lively) = (served.connect().await, served.connect().await);
    let until = Instant::now() + Duration::from_millis(2_500);
    while Instant::now() < until {
        assert_eq!(lively.next().await, Frame::Ping);
        lively.frame(0x8a, b"").await;
    }
    let mut last = silent.next().await;
    while last == Frame::Ping {
        last = silent.next().await;
    }
    assert_eq!(last, Frame::Close(1001));
    served.stop().await;
}

#[actix_web::test]
async fn a_publisher_that_never_offers_loses_its_id() {
    let [tick, offer] = [20, 200].map(Duration::from_millis);
    let served = Served::with(SocketBounds { tick, offer, ..SocketBounds::default() }).await;
    let mut client = served.connect().await;
    assert_eq!(client.ask(PUBLISH).await, start());
    assert_eq!(client.json().await["definition"], "publishTimeoutError");
    until("the id is free", || !served.is_live()).await;
    served.stop().await;
}

#[actix_web::test]
async fn a_shutdown_is_told_to_every_client() {
    let served = Served::new().await;
    let mut client = served.connect().await;
    served.publish(&mut client).await;
    let state = Arc::clone(&served.world.state);
    let closing = tokio::spawn(async move { state.close_sockets().await });
    assert_eq!(client.json().await, json!({"command": "notification", "definition": "server_will_stop"}));
    assert_eq!(client.next().await, Frame::Close(1001));
    drop(client);
    closing.await.expect("ends");
    assert!(served.world.state.sockets.are_free());
    until("the stream ends", || !served.is_live()).await;
    let refused = Client::connect(served.address, "/live/websocket").await.err().expect("refused");
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: 5"), "{refused}");
    served.stop().await;
}

#[actix_web::test]
async fn what_is_no_websocket_is_told_so() {
    let served = Served::new().await;
    let refused = Client::connect(served.address, "/nope/websocket").await.err().expect("refused");
    assert!(refused.starts_with("HTTP/1.1 404 "), "{refused}");
    let plain = served.world.get("/live/websocket").await;
    assert_eq!((plain.status, plain.headers.get("Upgrade").expect("named").as_bytes()), (426, &b"websocket"[..]));
    let post = served.world.call("POST", "/live/websocket", None).await;
    assert_eq!(post.status, 405);
    // Publishers come from anywhere.
    let far = served.world.send(request("GET", "/live/websocket", "192.0.2.1:5")).await;
    assert_eq!(far.status, 426);
    served.stop().await;
}
