//! WHIP through actix's own router: status codes, headers, preconditions.

use super::*;
use crate::ingest::webrtc::{Candidate, IceServer, SessionNews, Trickle};

const OFFER: &str =
    "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:EsAw\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\na=mid:0\r\n";
const FAR: &str = "192.0.2.9:6000";

fn post(path: &str, body: &str) -> test::TestRequest {
    request("POST", path, FAR).insert_header(("Content-Type", "application/sdp")).set_payload(body.to_owned())
}

fn patch(path: &str, tag: &str, fragment: &str) -> test::TestRequest {
    request("PATCH", path, FAR)
        .insert_header(("Content-Type", "application/trickle-ice-sdpfrag"))
        .insert_header(("If-Match", tag))
        .set_payload(fragment.to_owned())
}

fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

/// A session that runs: its path and its tag.
async fn session(world: &World) -> (String, String) {
    let answer = world.send(post("/live/whip/s", OFFER)).await;
    assert_eq!((answer.status, answer.text.as_str()), (201, fake::ANSWER));
    (header(&answer, "Location"), header(&answer, "ETag"))
}

fn problem(answer: &Answer) -> (u16, String) {
    assert_eq!(header(answer, "Content-Type"), "application/problem+json");
    let body = answer.json();
    assert_eq!((&body["type"], &body["status"]), (&Value::from("about:blank"), &Value::from(answer.status)));
    (answer.status, body["detail"].as_str().expect("text").to_owned())
}

fn is_live(world: &World) -> bool {
    world.manager.get(&key("s")).is_some_and(|view| view.live.is_some())
}

#[actix_web::test]
async fn a_session_from_offer_to_delete() {
    let world = World::new().await;
    let server = |uri: &str, secret: Option<&str>| IceServer {
        uri: uri.into(),
        username: secret.map(str::to_owned),
        credential: secret.map(str::to_owned),
    };
    world.webrtc.servers.lock().expect("sound").extend([server("stun:h:1", None), server("turn:h:2", Some("x"))]);
    // From an address that REST refuses, with a query that must not spoil the Location.
    let offered = post("/live/whip/s?streamName=News&token=secret&x=/", OFFER)
        .insert_header(("Authorization", "Bearer secret"))
        .insert_header(("User-Agent", "OBS"));
    let answer = world.send(offered).await;
    assert_eq!((answer.status, answer.text.as_str()), (201, fake::ANSWER));
    assert_eq!(header(&answer, "Content-Type"), "application/sdp");
    let location = header(&answer, "Location");
    let id = location.strip_prefix("/live/whip/s/").expect("an absolute path below the endpoint");
    assert!(id.parse::<uuid::Uuid>().is_ok(), "{location}");
    let tag = header(&answer, "ETag");
    assert!(tag.starts_with('"') && tag.ends_with('"') && !tag.contains(id), "{tag}");
    let links: Vec<_> = answer.headers.get_all("Link").map(|link| link.to_str().expect("text")).collect();
    assert_eq!(
        links,
        [
            "<stun:h:1>; rel=\"ice-server\"",
            "<turn:h:2>; rel=\"ice-server\"; username=\"x\"; credential=\"x\"; credential-type=\"password\""
        ]
    );
    assert_eq!(header(&answer, "Access-Control-Allow-Origin"), "*");
    let exposed = header(&answer, "Access-Control-Expose-Headers");
    assert!(["Location", "Link", "ETag"].iter().all(|name| exposed.contains(name)), "{exposed}");

    let wanted = world.webrtc.requests.lock().expect("sound")[0].clone();
    assert_eq!((wanted.publish_type, wanted.peer.to_string().as_str()), (PublishType::WebRtc, FAR));
    assert_eq!(wanted.user_agent.as_deref(), Some("OBS"));
    let mut meta = wanted.meta.clone();
    meta.sort();
    assert_eq!(meta, [("streamName".to_owned(), "News".to_owned()), ("x".to_owned(), "/".to_owned())]);
    assert_eq!(world.webrtc.last_peer().trickle, Trickle::InAnswer);
    assert!(is_live(&world));

    let taken = world.send(post("/live/whip/s", OFFER)).await;
    assert_eq!(problem(&taken), (409, "stream live/s is being published by somebody else".into()));

    let ended = world.send(request("DELETE", &location, FAR).insert_header(("If-Match", "\"other\""))).await;
    assert_eq!((ended.status, ended.text.as_str()), (200, ""));
    assert!(!world.webrtc.last_peer().is_open());
    for method in ["DELETE", "PATCH", "GET", "OPTIONS"] {
        assert_eq!(world.send(request(method, &location, FAR)).await.status, 404, "{method}");
    }
    session(&world).await;
}

#[actix_web::test]
async fn candidates_come_by_patch_under_the_right_tag() {
    let world = World::new().await;
    let (path, tag) = session(&world).await;
    let fragment = "a=ice-ufrag:EsAw\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 unusable\r\na=candidate:1 1 udp 2 192.0.2.1 1 typ host\r\na=end-of-candidates\r\n";
    for if_match in [tag.as_str(), &format!("\"x\", {tag}"), "*"] {
        let answer = world.send(patch(&path, if_match, fragment)).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{if_match}");
        assert!(answer.headers.get("ETag").is_none());
    }
    let candidate = |text: &str| Candidate { mline_index: 0, mid: Some("0".into()), candidate: text.into() };
    let given = world.webrtc.last_peer().candidates.lock().expect("sound").clone();
    assert_eq!(given[..2], [candidate("candidate:1 1 udp 2 192.0.2.1 1 typ host"), candidate("")]);
    assert_eq!(given.len(), 6);

    let answer = world.send(patch(&path, "\"other\"", fragment)).await;
    assert_eq!(problem(&answer), (412, "If-Match does not name the session's ETag".into()));
    let without = request("PATCH", &path, FAR)
        .insert_header(("Content-Type", "application/trickle-ice-sdpfrag"))
        .set_payload(fragment);
    assert_eq!(problem(&world.send(without).await).0, 428);
    let typed = request("PATCH", &path, FAR).insert_header(("If-Match", tag.as_str())).set_payload(fragment);
    let answer = world.send(typed).await;
    assert_eq!(
        (problem(&answer).0, header(&answer, "Accept-Patch").as_str()),
        (415, "application/trickle-ice-sdpfrag")
    );
    let answer = world.send(patch(&path, &tag, "m=audio 9 RTP/AVP 0\r\na=mid:9\r\n")).await;
    assert_eq!(problem(&answer), (400, "the fragment is not valid: the offer has no a=mid:9".into()));
    assert!(world.webrtc.last_peer().is_open() && is_live(&world));
    assert_eq!(world.send(patch(&path, &tag, fragment)).await.status, 204);
    // Somebody else's stream in the path, or no id at all.
    let id = path.rsplit('/').next().expect("an id");
    for other in [format!("/live/whip/t/{id}"), format!("/LiveApp/whip/s/{id}"), "/live/whip/s/x".into()] {
        assert_eq!(problem(&world.send(patch(&other, &tag, fragment)).await).0, 404, "{other}");
    }
}

/// A client's side of a restart with these letters.
fn restart(word: &str) -> String {
    let candidate = "a=candidate:1 1 udp 2 192.0.2.1 1 typ host";
    format!("a=ice-ufrag:{word}\r\na=ice-pwd:{word}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n{candidate}\r\n")
}

#[actix_web::test]
async fn ice_is_restarted_by_patch() {
    let world = World::new().await;
    let (path, tag) = session(&world).await;
    let mut tags = vec![tag];
    // RFC 9725, 4.3.3: `*`; its own example quotes it; the ETag of the session is as good.
    for if_match in ["*", "\"*\"", "the last one's"] {
        let number = tags.len();
        let if_match = if number == 3 { tags[2].clone() } else { if_match.to_owned() };
        let answer = world.send(patch(&path, &if_match, &restart(&format!("new{number}")))).await;
        assert_eq!(answer.status, 200, "{if_match}: {}", answer.text);
        assert_eq!(header(&answer, "Content-Type"), "application/trickle-ice-sdpfrag");
        let wanted = format!(
            "a=ice-options:trickle\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=ice-ufrag:own{number}\r\n\
             a=ice-pwd:ownpassword\r\na=candidate:1 own\r\na=end-of-candidates\r\n"
        );
        assert_eq!(answer.text, wanted);
        let tag = header(&answer, "ETag");
        assert!(tag.starts_with('"') && !tags.contains(&tag), "{tag}");
        tags.push(tag);
    }
    let peer = world.webrtc.last_peer();
    assert_eq!((peer.restarts.lock().expect("sound").len(), peer.candidates.lock().expect("sound").len()), (3, 3));
    // Candidates for it come under its own tag, and those of an earlier ICE session are told apart.
    assert_eq!(world.send(patch(&path, &tags[3], &restart("new3"))).await.status, 204);
    assert_eq!(problem(&world.send(patch(&path, &tags[2], &restart("new3"))).await).0, 412);
    let (status, detail) = problem(&world.send(patch(&path, "*", &restart("new2"))).await);
    assert_eq!((status, detail.contains("restart has overtaken it")), (409, true), "{detail}");
    assert!(peer.is_open() && is_live(&world));
}

#[actix_web::test]
async fn overlapping_restarts_are_made_one_after_the_other_and_not_without_end() {
    let world = World::new().await;
    let (path, _) = session(&world).await;
    // Half a second between them, 3 s of patience.
    let all = (0..12).map(|number| world.send(patch(&path, "*", &restart(&format!("new{number}")))));
    let answers = futures::future::join_all(all).await;
    let restarts = world.webrtc.last_peer().restarts.lock().expect("sound").len();
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert_eq!((made, made + refused.len()), (restarts, 12));
    assert!((3..12).contains(&made), "{made} of 12 were made");
    assert_eq!((problem(refused[0]).0, header(refused[0], "Retry-After").as_str()), (429, "5"));
    let tags: std::collections::BTreeSet<_> = answers.iter().map(|answer| header(answer, "ETag")).collect();
    assert_eq!(tags.len(), made + 1, "each its own");
}

#[actix_web::test]
async fn a_restart_that_can_not_be_made_leaves_the_session_as_it_is() {
    let world = World::new().await;
    let (path, tag) = session(&world).await;
    for (if_match, fragment, status) in [
        ("\"other\"", restart("new"), 412),
        ("*", "a=ice-ufrag:new\r\n".to_owned(), 400),
        ("*", "a=ice-ufrag:new\r\na=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r\n".to_owned(), 400),
        ("*", restart("bad!"), 400),
        ("*", restart("fail"), 500),
        ("*", restart("new").replace("mid:0", "mid:9"), 400),
    ] {
        assert_eq!(problem(&world.send(patch(&path, if_match, &fragment)).await).0, status, "{if_match} {fragment}");
    }
    let without = request("PATCH", &path, FAR)
        .insert_header(("Content-Type", "application/trickle-ice-sdpfrag"))
        .set_payload(restart("new"));
    assert_eq!(problem(&world.send(without).await).0, 428);
    let peer = world.webrtc.last_peer();
    assert!(peer.is_open() && is_live(&world) && peer.restarts.lock().expect("sound").is_empty());
    let candidates = "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=end-of-candidates\r\n";
    assert_eq!(world.send(patch(&path, &tag, candidates)).await.status, 204, "the old tag is still the right one");
}

#[actix_web::test]
async fn a_session_that_ended_by_itself_is_gone() {
    let world = World::new().await;
    let (path, _) = session(&world).await;
    let peer = world.webrtc.last_peer();
    peer.news.send(SessionNews::Started).await.expect("heard");
    assert_eq!(world.send(request("GET", &path, FAR)).await.status, 204);
    peer.news.send(SessionNews::Ended("ICE failed".into())).await.expect("heard");
    for _ in 0..1_000 {
        if world.send(request("GET", &path, FAR)).await.status == 404 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the session is still there");
}

#[actix_web::test]
async fn offers_that_are_refused() {
    let world = World::new().await;
    for (path, body, status, detail) in [
        ("/live/whip/s", "bad", 400, "the offer has no mid"),
        ("/live/whip/s", "av1", 422, "only AV1 is offered"),
        ("/live/whip/s", "full", 503, "all 100 WebRTC sessions are taken"),
        ("/live/whip/s", " \r\n", 400, "the body is empty; an SDP offer is wanted"),
        ("/nope/whip/s", OFFER, 404, "Application does not exist: nope"),
        ("/live/whip/a%20b", OFFER, 400, "the stream id holds ' '; only letters, digits, '-', '_' and '.' are allowed"),
    ] {
        let answer = world.send(post(path, body)).await;
        assert_eq!(problem(&answer), (status, detail.to_owned()), "{path} {body}");
        assert_eq!(header(&answer, "Retry-After"), if status == 503 { "5" } else { "" });
        assert_eq!(header(&answer, "Access-Control-Allow-Origin"), "*", "readable by a script");
    }
    let large = world.send(post("/live/whip/s", &"x".repeat(64 * 1024 + 1))).await;
    assert_eq!(problem(&large), (413, "The body is larger than 65536 bytes".into()));
    let typed = |name: &'static str, value: &'static str| {
        request("POST", "/live/whip/s", FAR).insert_header((name, value)).set_payload(OFFER)
    };
    for (name, value) in [("Content-Type", "application/json"), ("X-None", "x")] {
        assert_eq!(problem(&world.send(typed(name, value)).await).0, 415, "{name}");
    }
    let encoded = typed("Content-Type", "application/sdp").insert_header(("Content-Encoding", "gzip"));
    assert_eq!(problem(&world.send(encoded).await).0, 415);
    // What is refused leaves the id free.
    assert_eq!(world.send(typed("Content-Type", "Application/SDP; charset=utf-8")).await.status, 201);
    let not_utf8 = post("/live/whip/t", "").set_payload(vec![0xff, 0xfe]);
    assert_eq!(problem(&world.send(not_utf8).await), (400, "the body is not UTF-8".into()));
}

#[actix_web::test]
async fn methods_and_preflights() {
    let world = World::new().await;
    let (session, _) = session(&world).await;
    for (path, methods, accept, accepted) in [
        ("/live/whip/s", "GET, HEAD, OPTIONS, POST", "Accept-Post", "application/sdp"),
        (session.as_str(), "GET, HEAD, OPTIONS, PATCH, DELETE", "Accept-Patch", "application/trickle-ice-sdpfrag"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = world.send(request(method, path, FAR)).await;
            assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{method} {path}");
        }
        let options = world.send(request("OPTIONS", path, FAR)).await;
        assert_eq!((options.status, header(&options, accept).as_str()), (200, accepted));
        let preflight = request("OPTIONS", path, FAR)
            .insert_header(("Origin", "https://example.org"))
            .insert_header(("Access-Control-Request-Method", "POST"))
            .insert_header(("Access-Control-Request-Headers", "authorization,content-type"));
        let preflight = world.send(preflight).await;
        assert_eq!(preflight.status, 200);
        assert_eq!(header(&preflight, "Access-Control-Allow-Methods"), methods);
        assert_eq!(header(&preflight, "Access-Control-Allow-Headers"), "Authorization, Content-Type, If-Match, Accept");
        assert_eq!(header(&preflight, "Access-Control-Allow-Origin"), "*");
        assert_eq!(header(&preflight, accept), accepted);
        assert_eq!(header(&preflight, "Link"), "", "no credentials to a preflight");
        let put = world.send(request("PUT", path, FAR)).await;
        assert_eq!((problem(&put).0, header(&put, "Allow").as_str()), (405, methods));
    }
}
