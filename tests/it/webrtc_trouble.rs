//! Browsers that vanish and clients that mean harm: the stream of the one ends, those of others do not notice.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::service::Service;
use crate::support::wait::{LATER, SOON, wait_for, wait_until};
use crate::support::webrtc::{Page, VANISHED_MAX, assert_good, expected, receive, socket_url, whip_url};

/// More than a message may hold.
const LARGE_BYTES: usize = 100 * 1024;

/// Offers with something changed, as many as a test has time for.
const CHANGED_OFFERS: u32 = 150;

/// At less even the system's own buffers would do.
const BUSY_KBPS: f64 = 3_000.0;

/// The service does not run for so long, as often.
const STANDSTILL: Duration = Duration::from_millis(400);
const STANDSTILLS: u32 = 5;

#[test]
fn the_stream_of_a_killed_browser_ends_and_its_id_is_free() {
    let mut service = Service::start();
    let mut page = Page::open();
    page.whip(&service, "live/test", "camera()", "{}");
    let receiver = receive(&service, "live/test", 2.0);
    page.browser.kill();
    let begun = std::time::Instant::now();
    wait_until(VANISHED_MAX, "the stream has ended", || service.api.status("live/test") != "broadcasting");
    println!("a killed browser's stream ended after {:.1} s", begun.elapsed().as_secs_f64());
    drop(page);

    let page = Page::open();
    page.whip(&service, "live/test", "camera()", "{}");
    // The endpoint serves the next one too.
    receiver.wait_more(2.0);
    service.assert_runs();
}

#[test]
fn what_comes_while_the_service_stands_still_is_not_lost() {
    let mut service = Service::start();
    let page = Page::open();
    page.whip(&service, "live/test", "noise({ width: 1280, height: 720 })", "{ kbps: 8000 }");
    let receiver = receive(&service, "live/test", 1.0);
    let mut kbps = 0.0;
    wait_for(LATER, "the browser sends as fast as asked", || {
        kbps = page.browser.eval("publisher.sent_kbps(1)").as_f64().unwrap_or_default();
        if kbps > BUSY_KBPS { Ok(()) } else { Err(format!("{kbps:.0} kb/s")) }
    });
    let before = service.udp_drops();
    for _ in 0..STANDSTILLS {
        service.stand_still(STANDSTILL);
        receiver.wait_more(1.0);
    }
    let lost = service.udp_drops() - before;
    println!("{lost} packets lost in {STANDSTILLS} standstills of {STANDSTILL:?} at {kbps:.0} kb/s");
    assert_eq!((lost, receiver.verdict().continuity_errors), (0, 0));
    service.assert_runs();
}

#[test]
fn a_peer_whose_certificate_is_not_the_offers_gets_no_media_in() {
    let mut service = Service::start();
    let page = Page::open();
    let post = |id: &str, change: &str| {
        let url = whip_url(&service, &format!("live/{id}"));
        let change = format!("(offer) => {change}");
        page.browser.eval(&format!("publisher.post_offer('{url}', await publisher.camera(), {change})"))
    };
    // The way itself works.
    assert_eq!(post("right", "offer"), 201);
    service.api.wait_live("live/right");

    let other =
        "offer.replace(/(a=fingerprint:sha-256 )(..)/g, (_, head, byte) => head + (byte === '00' ? '11' : '00'))";
    assert_eq!(post("wrong", other), 201);
    // DTLS itself comes about: it is the service that must look at the certificate.
    let over = "['connected', 'failed', 'closed', 'disconnected'].includes(publisher.pc.connectionState)";
    page.browser.wait(LATER, "the connection is decided", over);
    wait_until(LATER, "the publisher is let go", || {
        let status = service.api.status("live/wrong");
        assert_ne!(status, "broadcasting", "media of a stranger's certificate came through");
        status == "unknown" || status == "finished" || status == "terminated_unexpectedly" || status == "created"
    });
    assert!(service.log().contains("fingerprint"), "the log says nothing of it");
    assert_eq!(service.api.status("live/right"), "broadcasting");
    service.assert_runs();
}

#[test]
fn malformed_messages_and_offers_never_harm_a_running_stream() {
    let mut service = Service::start();
    let page = Page::open();
    page.whip(&service, "live/test", "camera()", "{}");
    let receiver = receive(&service, "live/test", 2.0);

    // A good socket, which must not notice what the others do.
    let socket = socket_url(&service);
    page.browser.eval(&format!("void (window.good = publisher.socket('{socket}'))"));
    page.browser.wait(SOON, "the good socket is open", "good.state === 'open'");
    let texts = json!([
        "",
        " ",
        "{",
        "}",
        "[]",
        "null",
        "0",
        "\"publish\"",
        "{}",
        "\u{0}",
        "{\"command\":5}",
        "{\"command\":null}",
        "{\"command\":\"nothing\"}",
        "{\"command\":\"publish\"}",
        "{\"command\":\"publish\",\"streamId\":7}",
        "{\"command\":\"publish\",\"streamId\":\"\"}",
        "{\"command\":\"publish\",\"streamId\":\"../../etc\"}",
        "{\"command\":\"publish\",\"streamId\":\"test\"}",
        "{\"command\":\"takeConfiguration\",\"streamId\":\"test\",\"type\":\"offer\",\"sdp\":\"v=0\"}",
        "{\"command\":\"takeConfiguration\",\"streamId\":\"nobody\",\"type\":\"answer\",\"sdp\":\"\"}",
        "{\"command\":\"takeCandidate\",\"streamId\":\"test\",\"label\":99999999999999,\"candidate\":\"candidate:x\"}",
        "{\"command\":\"takeCandidate\",\"streamId\":\"test\",\"label\":-1,\"id\":null,\"candidate\":5}",
        "{\"command\":\"stop\",\"streamId\":\"test\"}",
        "{\"command\":\"stop\"}",
        "{\"command\":\"play\",\"streamId\":\"test\"}",
        "{\"command\":\"getStreamInfo\",\"streamId\":{}}",
        "[".repeat(5000),
        "{\"command\":\"publish\",\"streamId\":\"".to_owned() + &"a".repeat(5000) + "\"}",
    ]);
    page.browser.eval(&format!(
        "(async () => {{
            const texts = {texts};
            window.bad = publisher.socket('{socket}');
            await new Promise((done) => bad.ws.addEventListener('open', done));
            for (const text of texts) {{ if (bad.state === 'open') bad.ws.send(text); }}
            window.binary = publisher.socket('{socket}');
            await new Promise((done) => binary.ws.addEventListener('open', done));
            binary.ws.send(crypto.getRandomValues(new Uint8Array(5000)));
            window.large = publisher.socket('{socket}');
            await new Promise((done) => large.ws.addEventListener('open', done));
            large.ws.send(JSON.stringify({{ command: 'publish', streamId: 'x', metaData: 'a'.repeat({LARGE_BYTES}) }}));
            // An offer with nothing in it, after a good beginning.
            window.half = publisher.socket('{socket}');
            await new Promise((done) => half.ws.addEventListener('open', done));
            half.ws.send(JSON.stringify({{ command: 'publish', streamId: 'half', video: true, audio: true }}));
            while (!half.said.some((one) => one.command === 'start')) await new Promise((done) => setTimeout(done, 20));
            half.ws.send(JSON.stringify({{ command: 'takeConfiguration', streamId: 'half', type: 'offer', sdp: 'v=0' }}));
        }})()"
    ));
    page.browser.wait(SOON, "the malformed messages are answered", "bad.said.some((one) => one.command === 'error')");
    page.browser.wait(SOON, "the large one is refused", "large.state === 'closed' || large.said.length > 0");
    wait_for(SOON, "the empty offer is refused", || {
        let said = page.browser.eval("half.said");
        if said.to_string().contains("error") { Ok(()) } else { Err(said.to_string()) }
    });
    raw_noise(service.ports.http);

    // Offers that were good before something was changed in them.
    let url = whip_url(&service, "live/changed");
    let answers = page.browser.eval(&format!(
        "(async () => {{
            const pc = publisher.connection(publisher.stream);
            await pc.setLocalDescription();
            const offer = pc.localDescription.sdp;
            pc.close();
            let state = 12345;
            const random = (below) => (state = (state * 1103515245 + 12345) % 2147483648) % below;
            const answers = {{}};
            for (let n = 0; n < {CHANGED_OFFERS}; n += 1) {{
                const lines = offer.split('\\r\\n');
                const [a, b] = [random(lines.length), random(lines.length)];
                const kind = n % 5;
                if (kind === 0) lines.splice(a, 1 + random(5));
                if (kind === 1) lines[a] = lines[a].slice(0, random(lines[a].length + 1));
                if (kind === 2) [lines[a], lines[b]] = [lines[b], lines[a]];
                if (kind === 3) lines.splice(a, 0, ...Array(1 + random(50)).fill(lines[b]));
                if (kind === 4) lines[a] = lines[a].replace(/[0-9]+/g, () => String(random(2) ? random(2147483648) * 9 : ''));
                const answer = await fetch('{url}', {{ method: 'POST', headers: {{ 'Content-Type': 'application/sdp' }}, body: lines.join('\\r\\n') }});
                answers[answer.status] = (answers[answer.status] ?? 0) + 1;
                if (answer.ok) await fetch(new URL(answer.headers.get('location'), '{url}'), {{ method: 'DELETE' }});
            }}
            return answers;
        }})()"
    ));
    println!("answers to changed offers: {answers}");
    let answers = answers.as_object().unwrap();
    assert!(answers.keys().all(|status| ["201", "400", "406", "409", "422"].contains(&status.as_str())), "{answers:?}");

    page.browser.eval("good.ws.send(JSON.stringify({ command: 'ping' }))");
    page.browser.wait(SOON, "the good socket is served", "good.said.some((one) => one.command === 'pong')");
    receiver.wait_more(2.0);
    let seconds = receiver.seconds();
    assert_good("beside malformed messages", &receiver, &expected(true, true, seconds));
    service.assert_runs();
}

/// Frames that break the rules of RFC 6455, each on a socket of its own.
fn raw_noise(port: u16) {
    let frames: [&[u8]; 7] = [
        // Not masked; reserved bits; an unknown opcode; a continuation of nothing.
        &[0x81, 2, b'{', b'}'],
        &[0xf1, 0x82, 0, 0, 0, 0, b'{', b'}'],
        &[0x8f, 0x80, 0, 0, 0, 0],
        &[0x80, 0x80, 0, 0, 0, 0],
        // A length of 2^63 - 1; text that is no UTF-8; a close with half a code.
        &[0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe],
        &[0x88, 0x81, 0, 0, 0, 0, 3],
    ];
    for frame in frames {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let hello = "GET /live/websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        socket.write_all(hello.as_bytes()).unwrap();
        let mut answer = [0; 512];
        let len = socket.read(&mut answer).unwrap();
        assert!(answer[..len].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer[..len]));
        // It may hang up at once: that is its right.
        let _ = socket.write_all(frame);
        let _ = socket.read(&mut answer);
    }
}
