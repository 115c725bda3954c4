//! Endpoints that listen: many callers, early and late, refused, frozen, gone and back.

use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use srt_restream::srt::{Recv, SrtError, SrtSocket};

use crate::support::check::{assert_content, assert_restreamed};
use crate::support::process::{Tool, free_port};
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample, words};
use crate::support::service::{Options, Service};
use crate::support::ts::{Capture, Kind, Verdict};
use crate::support::wait::{LATER, SOON, wait_for, wait_until};

const STREAM: &str = "live/test";

/// A service with a publisher and a listening endpoint of these options: its id and port.
struct World {
    service: Service,
    sample: Sample,
    publisher: Option<Publisher>,
    id: String,
    port: u16,
}

impl World {
    fn new(query: &str) -> Self {
        Self::with(query, Options::default())
    }

    fn with(query: &str, options: Options) -> Self {
        let service = Service::start_with(options);
        let sample = Sample::of(sample::H264_AAC);
        let publisher = Publisher::rtmp(&service, STREAM, &sample);
        service.api.wait_live(STREAM);
        let port = free_port();
        let id = service.api.add_endpoint(STREAM, &format!("srt://127.0.0.1:{port}?mode=listener{query}"));
        wait_until(SOON, "the port is taken", || UdpSocket::bind(("127.0.0.1", port)).is_err());
        Self { service, sample, publisher: Some(publisher), id, port }
    }

    /// srt-live-transmit as a caller.
    fn caller(&self, query: &str) -> Receiver {
        Receiver::with_address(self.port, &format!("srt://127.0.0.1:{}?mode=caller&latency=500{query}", self.port))
    }

    /// A caller that is let in or refused, with the code.
    fn call(&self, stream_id: Option<&str>, passphrase: Option<&str>) -> Result<SrtSocket, SrtError> {
        let socket = SrtSocket::new().unwrap();
        if let Some(stream_id) = stream_id {
            socket.set_stream_id(stream_id).unwrap();
        }
        if let Some(passphrase) = passphrase {
            socket.set_passphrase(passphrase).unwrap();
        }
        socket.connect(SocketAddr::from(([127, 0, 0, 1], self.port)))?;
        socket.set_receive_timeout(Duration::from_millis(100)).unwrap();
        Ok(socket)
    }

    fn refused(&self, stream_id: Option<&str>, passphrase: Option<&str>) -> Option<i32> {
        self.call(stream_id, passphrase).expect_err("it is to be refused").reject_reason
    }

    fn status(&self) -> String {
        self.service.api.endpoint(STREAM, &self.id).unwrap().status
    }

    fn endpoint(&self) -> Value {
        self.service.api.control(STREAM, &self.id)
    }

    /// How many have joined so far.
    fn joined(&self) -> usize {
        self.service.log().matches("a caller has joined").count()
    }

    fn wait_status(&self, status: &str) {
        self.service.api.wait_endpoint(STREAM, &self.id, status);
    }
}

/// The first unit is a key frame behind the tables, and nothing is missing afterwards.
#[track_caller]
fn assert_begins_clean(what: &str, capture: &Capture) {
    assert_eq!((capture.continuity_errors, capture.faults.as_slice()), (0, [].as_slice()), "{what}");
    assert_eq!(capture.first_pids.first(), Some(&0), "{what} begins with {:?}", capture.first_pids);
    let video = capture.track(Kind::Video).expect("a video track");
    assert!(video.pes.first().expect("a picture").random_access, "{what}: its first picture is no key frame");
    for track in capture.tracks.values() {
        assert!(
            track.pes.first().is_none_or(|pes| pes.packet >= video.pes[0].packet),
            "{what}: something came before it"
        );
    }
}

#[test]
fn three_callers_are_served_a_late_one_from_a_key_frame_and_a_frozen_one_harms_nobody() {
    let world = World::new("");
    wait_until(SOON, "it listens", || world.status() == "preparing");
    let early = world.caller("");
    let frozen = world.caller("");
    // ffmpeg takes part as it would for a viewer.
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("copy.ts");
    let copy = format!(
        "-hide_banner -v error -nostdin -i srt://127.0.0.1:{}?mode=caller -c copy -t 6 -f mpegts {}",
        world.port,
        file.display()
    );
    let mut ffmpeg = Tool::start("ffmpeg", words(&copy), Stdio::null(), Stdio::null());
    world.wait_status("broadcasting");
    early.wait_seconds(2.5);
    let late = world.caller("");
    late.wait_seconds(1.0);
    frozen.freeze();
    // Longer than the time after which SRT gives up a peer that says nothing.
    early.wait_more(8.0);
    assert_eq!(world.status(), "broadcasting");
    late.wait_more(1.0);
    assert!(ffmpeg.wait_exit(LATER).success(), "{}", ffmpeg.said());
    assert_eq!(ffmpeg.said(), "");
    wait_for(SOON, "the frozen caller is hung up on", || {
        let log = world.service.log();
        let left = log.contains("it acknowledged nothing any more") || log.contains("it closed the connection");
        if left { Ok(()) } else { Err("it is connected".to_owned()) }
    });
    for (what, caller) in [("early", &early), ("late", &late)] {
        let capture = caller.capture();
        assert_begins_clean(what, &capture);
        let seconds = caller.seconds();
        assert!(seconds > 8.0, "{what} has {seconds} s");
        assert_restreamed(what, &world.sample, caller, seconds);
    }
    // What it had before it was frozen is whole, too.
    assert_begins_clean("frozen", &frozen.capture());
    frozen.thaw();
    wait_until(LATER, "the thawed caller is served again", || world.joined() >= 5);
}

#[test]
fn a_caller_that_pauses_goes_on_at_a_key_frame_without_a_hole_in_its_numbers() {
    let world = World::new("");
    let (healthy, paused) = (world.caller(""), world.caller(""));
    world.wait_status("broadcasting");
    paused.wait_seconds(2.0);
    paused.freeze();
    // Longer than what may wait for it, shorter than SRT's patience.
    healthy.wait_more(3.0);
    paused.thaw();
    paused.wait_more(3.0);
    assert_eq!(world.joined(), 2, "it was never gone");
    let seconds = healthy.seconds();
    assert_restreamed("beside a pause", &world.sample, &healthy, seconds);
    let capture = paused.capture();
    let video = capture.track(Kind::Video).expect("a video track");
    let gap = video.pes.windows(2).find(|pair| pair[1].dts > pair[0].dts.map(|dts| dts + 45_000));
    assert!(gap.is_some_and(|pair| pair[1].random_access), "it missed a piece and went on at a key frame");
    let endpoint = world.endpoint();
    let missed = |of: &Value| (number(of, "droppedUnits"), number(of, "droppedGops"));
    let mut callers: Vec<_> = endpoint["callers"].as_array().expect("callers").iter().map(missed).collect();
    callers.sort_unstable();
    let [(0, 0), (units, gops)] = callers[..] else { panic!("one of two has missed something: {endpoint}") };
    assert!(units > 25 && gops >= 1, "at least a second of pictures and sound: {endpoint}");
    let all = missed(&endpoint["statistics"]);
    assert!(all.0 >= units && all.1 >= gops, "{endpoint}");
}

#[test]
fn who_is_one_too_many_is_told_so() {
    let world = World::new("&maxcallers=2");
    let first = world.call(None, None).expect("let in");
    let second = world.call(None, None).expect("let in");
    // A handshake ends a moment before the caller counts.
    wait_until(SOON, "both are in", || world.joined() == 2);
    assert_eq!(world.refused(None, None), Some(1402));
    drop(first);
    let third =
        wait_for(SOON, "the free place is given out", || world.call(None, None).map_err(|error| format!("{error}")));
    wait_until(SOON, "it is in", || world.joined() == 3);
    assert_eq!(world.refused(None, None), Some(1402));
    for (what, socket) in [("second", second), ("third", third)] {
        let mut buffer = [0; 1500];
        let deadline = Instant::now() + SOON;
        while !matches!(socket.receive(&mut buffer), Recv::Message(_)) {
            assert!(Instant::now() < deadline, "{what} gets nothing");
        }
        assert_eq!(buffer[..3], [0x47, 0x40, 0], "{what} begins with the programme table");
    }
}

#[test]
fn callers_need_the_stream_id_and_the_passphrase_of_the_endpoint() {
    let secret = "listen-to-me-1";
    let options = Options { secrets: vec![secret.to_owned()], ..Options::default() };
    let world = World::with(&format!("&streamid=live/out&passphrase={secret}&pbkeylen=32"), options);
    for (stream_id, passphrase, code) in [
        (None, Some(secret), 1403),
        (Some("live/other"), Some(secret), 1404),
        (Some("#!::r=live/out,m=publish"), Some(secret), 1405),
        (Some("live/out"), Some("something-else"), 10),
        (Some("live/out"), None, 11),
    ] {
        assert_eq!(world.refused(stream_id, passphrase), Some(code), "{stream_id:?}");
    }
    assert_eq!(world.status(), "preparing");
    let plain = world.caller(&format!("&streamid=live/out&passphrase={secret}"));
    let formal = world.caller(&format!("&streamid=%23!::r=live/out,m=request&passphrase={secret}"));
    for (what, caller) in [("plain", &plain), ("formal", &formal)] {
        caller.wait_seconds(2.0);
        assert_begins_clean(what, &caller.capture());
        assert_content(what, &world.sample, &caller.capture(), 2.0);
    }
}

#[test]
fn without_callers_it_listens_and_who_returns_is_served() {
    let world = World::new("");
    let mut caller = world.caller("");
    for round in 0..2 {
        world.wait_status("broadcasting");
        caller.wait_seconds(2.0);
        caller.kill();
        world.wait_status("preparing");
        caller.start();
        caller.wait_seconds(1.5);
        assert_begins_clean(&format!("round {round}"), &caller.capture());
    }
}

#[test]
fn a_removed_endpoint_hangs_up_and_its_port_is_free_at_once() {
    let world = World::new("");
    let caller = world.call(None, None).expect("let in");
    world.wait_status("broadcasting");
    let removed = Instant::now();
    world.service.api.remove_endpoint(STREAM, &world.id);
    wait_until(Duration::from_secs(2), "the port is free", || UdpSocket::bind(("127.0.0.1", world.port)).is_ok());
    let took = removed.elapsed();
    wait_until(SOON, "the caller was told", || matches!(caller.receive(&mut [0; 1500]), Recv::Closed));
    println!("the port was free after {} ms", took.as_millis());
    // And it can be had again, by the service too.
    world.service.api.add_endpoint(STREAM, &format!("srt://0.0.0.0:{}?mode=listener", world.port));
    let again = wait_for(SOON, "the next endpoint listens there", || {
        world.call(None, None).map_err(|error| format!("{error}"))
    });
    wait_until(SOON, "it gets something", || matches!(again.receive(&mut [0; 1500]), Recv::Message(_)));
}

/// A number of an object's; 0 where there is none.
fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap_or(0)
}

#[test]
fn what_callers_are_sent_is_summed_up_and_stays_when_one_leaves() {
    let world = World::new("");
    let (mut leaver, stayer) = (world.caller("&streamid=leaver"), world.caller("&streamid=stayer"));
    for caller in [&leaver, &stayer] {
        caller.wait_seconds(2.0);
    }
    let before = world.endpoint();
    let (sums, callers) = (&before["statistics"], before["callers"].as_array().expect("callers"));
    let mut names: Vec<_> = callers.iter().filter_map(|caller| caller["streamId"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["leaver", "stayer"], "{before}");
    for of in callers.iter().chain([sums]) {
        let (bytes, packets) = (number(of, "sentBytes"), number(of, "sentPackets"));
        assert!(packets > 50 && bytes > packets * 188 && bytes <= packets * 1316, "payload: {of}");
    }
    let total = |name: &str| callers.iter().map(|caller| number(caller, name)).sum::<u64>();
    assert_eq!((number(sums, "connections"), number(sums, "reconnects")), (2, 0), "{sums}");
    // Who is measured and who is summed up is looked at at two moments.
    assert!(number(sums, "sentBytes") * 2 > total("sentBytes"), "{before}");
    leaver.stop();
    wait_until(SOON, "one is left", || {
        world.endpoint()["callers"].as_array().is_some_and(|callers| callers.len() == 1)
    });
    let after = world.endpoint();
    assert_eq!((&after["callers"][0]["streamId"], &after["state"]), (&"stayer".into(), &"broadcasting".into()));
    for name in ["sentBytes", "sentPackets", "passedUnits", "connections"] {
        let (was, is) = (number(sums, name), number(&after["statistics"], name));
        assert!(is >= was, "{name} went back from {was} to {is}");
    }
    let stayed = number(&after["callers"][0], "sentBytes");
    assert!(number(&after["statistics"], "sentBytes") > stayed, "what the other one got is forgotten: {after}");
}

#[test]
fn callers_stay_while_the_stream_waits_for_its_publisher() {
    let settings = vec![("STREAM__HOLD_MS", "20000".to_owned()), ("ENDPOINT__DELIVERY_WINDOW_MS", "1000".to_owned())];
    let mut world = World::with("", Options { settings, ..Options::default() });
    let early = world.caller("");
    early.wait_seconds(2.0);
    world.publisher.take().expect("it publishes").stop();
    let late = world.caller("");
    wait_until(SOON, "somebody comes meanwhile", || world.joined() == 2);
    let sampled = || number(&world.endpoint()["statistics"], "sampledAt");
    let begin = sampled();
    wait_until(SOON, "three windows have passed", || sampled() >= begin + 3_000);
    assert_eq!(world.endpoint()["callers"].as_array().map(Vec::len), Some(2));
    let _publisher = Publisher::rtmp(&world.service, STREAM, &world.sample);
    for (what, caller) in [("early", &early), ("late", &late)] {
        caller.wait_more(2.0);
        assert_begins_clean(what, &caller.capture());
    }
    let history = world.endpoint()["history"].clone();
    let states: Vec<_> = history.as_array().into_iter().flatten().filter_map(|step| step["state"].as_str()).collect();
    assert_eq!(states, ["connecting", "listening", "broadcasting", "starved", "broadcasting"], "{history}");
    assert_eq!(world.joined(), 2, "nobody had to come back");
}

#[test]
fn a_port_that_is_taken_is_said_to_be_and_had_when_it_is_free() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = Publisher::rtmp(&service, STREAM, &sample);
    service.api.wait_live(STREAM);
    let port = free_port();
    let holder = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let taken = service.api.add_endpoint(STREAM, &format!("srt://127.0.0.1:{port}?mode=listener"));
    let own = service.api.add_endpoint(STREAM, &format!("srt://127.0.0.1:{}?mode=listener", service.ports.srt));
    for id in [&taken, &own] {
        service.api.wait_endpoint(STREAM, id, "error");
    }
    let log = service.log();
    assert!(log.contains("address_in_use") && log.contains("this service's own"), "{log}");
    drop(holder);
    service.api.wait_endpoint(STREAM, &taken, "preparing");
    let receiver = Receiver::with_address(port, &format!("srt://127.0.0.1:{port}?mode=caller&latency=500"));
    service.api.wait_endpoint(STREAM, &taken, "broadcasting");
    receiver.wait_seconds(2.0);
    assert_begins_clean("after the port was free", &receiver.capture());
}

#[test]
fn callers_by_ipv4_and_ipv6_are_served_on_one_port() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = Publisher::rtmp(&service, STREAM, &sample);
    service.api.wait_live(STREAM);
    let port = free_port();
    let id = service.api.add_endpoint(STREAM, &format!("srt://[::]:{port}?mode=listener"));
    let callers = ["127.0.0.1", "[::1]"]
        .map(|host| Receiver::with_address(port, &format!("srt://{host}:{port}?mode=caller&latency=500")));
    service.api.wait_endpoint(STREAM, &id, "broadcasting");
    for caller in &callers {
        caller.wait_seconds(2.0);
        assert_begins_clean("by either", &caller.capture());
    }
}

#[test]
fn sound_alone_reaches_a_caller_at_once() {
    let service = Service::start();
    let sample = Sample::of(sample::AAC_ONLY);
    let _publisher = Publisher::rtmp(&service, STREAM, &sample);
    service.api.wait_live(STREAM);
    let port = free_port();
    let id = service.api.add_endpoint(STREAM, &format!("srt://127.0.0.1:{port}?mode=listener"));
    let caller = Receiver::with_address(port, &format!("srt://127.0.0.1:{port}?mode=caller&latency=500"));
    service.api.wait_endpoint(STREAM, &id, "broadcasting");
    caller.wait_seconds(3.0);
    let capture = caller.capture();
    assert_eq!((capture.continuity_errors, capture.first_pids.first()), (0, Some(&0)));
    assert!(Verdict::of(&capture).continuity_errors == 0);
    assert_content("sound alone", &sample, &capture, 3.0);
}

#[test]
fn an_endpoint_whose_callers_are_all_frozen_is_stalled_until_one_thaws() {
    let settings = vec![("ENDPOINT__DELIVERY_WINDOW_MS", "1000".to_owned())];
    let world = World::with("", Options { settings, ..Options::default() });
    let callers = [world.caller(""), world.caller("")];
    for caller in &callers {
        caller.wait_seconds(2.0);
    }
    callers[0].freeze();
    callers[1].wait_more(3.0);
    assert_eq!(world.endpoint()["state"], "broadcasting", "one of them gets all of it");
    callers[1].freeze();
    let wait_state = |state: &str| {
        wait_for(SOON, &format!("the endpoint is {state}"), || {
            let endpoint = world.endpoint();
            if endpoint["state"] == state { Ok(()) } else { Err(endpoint.to_string()) }
        });
    };
    wait_state("stalled");
    callers[1].thaw();
    wait_state("broadcasting");
    // What was too late for it may be told as another stall, of a window.
    callers[1].wait_more(3.0);
    wait_state("broadcasting");
    let history = world.endpoint()["history"].clone();
    let states: Vec<_> = history.as_array().into_iter().flatten().filter_map(|step| step["state"].as_str()).collect();
    assert_eq!(states[..5], ["connecting", "listening", "broadcasting", "stalled", "broadcasting"], "{history}");
    assert_eq!(world.joined(), 2, "the thawed one was never gone: {history}");
}
