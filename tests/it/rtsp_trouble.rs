//! RTSP publishers that are refused, vanish, freeze, or are none at all; and what is left of them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::check::{assert_restreamed, for_each};
use crate::support::http::path;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::rtsp::{Client, SDP, ffmpeg, gstreamer};
use crate::support::sample::{self, Sample};
use crate::support::service::{Holdings, Options, Service};
use crate::support::wait::{LATER, SOON, wait_for, wait_until};

/// Publishers that come and go before anything is counted, and while it is.
const ROUNDS: usize = 20;

/// Idle worker threads have gone by then.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_publisher_that_may_not_is_told_by_the_status_that_fits() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _first = ffmpeg(&service, "live/taken", &sample, "tcp", "");
    service.api.wait_live("live/taken");
    let jpeg = "m=video 0 RTP/AVP 26\r\n";
    let cases = [
        ("another publishes", "live/taken", SDP, 403, "being published"),
        ("no such application", "nowhere/test", SDP, 404, "nowhere"),
        ("no such id", "live/a*b", SDP, 400, "stream id"),
        ("no id", "live", SDP, 400, "stream id"),
        ("too long a path", "live/test/more", SDP, 400, "more"),
        ("nothing of use", "live/jpeg", jpeg, 415, "26"),
        ("no media", "live/none", "", 400, "no media"),
    ];
    for_each(
        &cases,
        |case| case.0.to_owned(),
        |(_, stream, media, status, words)| {
            let logged = service.log().len();
            let mut client = Client::connect(service.ports.rtsp);
            assert_eq!(client.announce(stream, media), *status);
            wait_until(SOON, "the refusal is logged in words", || {
                service.log()[logged..].lines().any(|line| line.contains("refused") && line.contains(words))
            });
        },
    );
    let mut second = ffmpeg(&service, "live/taken", &sample, "tcp", "");
    assert!(!second.wait_exit(SOON).success());
    assert!(second.said().contains("403"), "{}", second.said());
    let mut second = gstreamer(&service, "live/taken", &sample.path, "udp", &["h264parse", "aacparse"]);
    assert!(!second.wait_exit(SOON).success());
    let receiver = Receiver::listen();
    service.api.add_endpoint("live/taken", &receiver.url());
    receiver.wait_seconds(2.0);
    assert_restreamed("the first one", &sample, &receiver, 2.0);
}

#[test]
fn players_and_strangers_get_nothing() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = ffmpeg(&service, "live/test", &sample, "tcp", "");
    service.api.wait_live("live/test");
    let mut client = Client::connect(service.ports.rtsp);
    assert_eq!(client.ask("OPTIONS", "live/test", "", ""), 200);
    assert!([404, 405].contains(&client.ask("DESCRIBE", "live/test", "", "")));
    let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n";
    assert_eq!(client.ask("SETUP", "live/test/streamid=0", transport, ""), 404);
    for method in ["PLAY", "RECORD", "TEARDOWN"] {
        assert_eq!(client.ask(method, "live/test", "Session: 12345678\r\n", ""), 454, "{method}");
    }
    // An announcement does not make a player of a publisher.
    let mut client = Client::connect(service.ports.rtsp);
    assert_eq!(client.announce("live/other", SDP), 200);
    assert_eq!(client.ask("SETUP", "live/other/streamid=0", &transport.replace("0-1", "0-1;mode=record"), ""), 200);
    let session = client.session();
    for headers in ["", "Scale: 0.0\r\n", "Speed: 0.0\r\n", "Range: npt=now-\r\n"] {
        let status = client.ask("PLAY", "live/other", &format!("Session: {session}\r\n{headers}"), "");
        assert_eq!(status, 405, "{headers}");
    }
}

#[test]
fn a_publisher_that_vanishes_frees_its_stream() {
    let settings =
        vec![("STREAM__IDLE_TIMEOUT_MS", "3000".to_owned()), ("STREAM__DEAD_PUBLISHER_MS", "2500".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    for transport in ["tcp", "udp"] {
        let stream = format!("live/{transport}");
        let publisher = ffmpeg(&service, &stream, &sample, transport, "");
        service.api.wait_live(&stream);
        // SIGKILL: the connection is closed by the system.
        drop(publisher);
        wait_until(SOON, "the stream has ended", || service.api.status(&stream) != "broadcasting");
        let publisher = ffmpeg(&service, &stream, &sample, transport, "");
        service.api.wait_live(&stream);
        publisher.freeze();
        let begin = Instant::now();
        wait_until(LATER, "the stream has ended", || service.api.status(&stream) != "broadcasting");
        assert!(begin.elapsed() > Duration::from_secs(2), "too early: {:?}", begin.elapsed());
        // A client that announces and then says nothing, too.
        let mut client = Client::connect(service.ports.rtsp);
        assert_eq!(client.announce(&stream, SDP), 200);
        drop(client);
        let publisher = wait_for(SOON, "the id is free", || {
            let mut publisher = ffmpeg(&service, &stream, &sample, transport, "");
            std::thread::sleep(Duration::from_millis(500));
            if publisher.runs() { Ok(publisher) } else { Err(publisher.said()) }
        });
        service.api.wait_live(&stream);
        drop(publisher);
    }
}

#[test]
fn a_stop_by_rest_disconnects_the_publisher_and_sigterm_ends_in_time() {
    let mut service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    for transport in ["tcp", "udp"] {
        let stream = format!("live/{transport}");
        let mut publisher = ffmpeg(&service, &stream, &sample, transport, "");
        service.api.wait_live(&stream);
        let (status, answer) = service.api.post(&path(&stream, "/stop"), &serde_json::json!({}));
        assert!(status == 200 && answer["success"] == true, "{status} {answer}");
        publisher.wait_exit(LATER);
    }
    let _publishers = ["tcp", "udp"].map(|transport| {
        let stream = format!("live/last-{transport}");
        let publisher = ffmpeg(&service, &stream, &sample, transport, "");
        service.api.wait_live(&stream);
        publisher
    });
    service.stop();
}

#[test]
fn garbage_and_many_connections_harm_no_stream() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = ffmpeg(&service, "live/test", &sample, "tcp", "");
    service.api.wait_live("live/test");
    let receiver = Receiver::listen();
    service.api.add_endpoint("live/test", &receiver.url());
    receiver.wait_seconds(1.0);

    let connect = || TcpStream::connect(("127.0.0.1", service.ports.rtsp)).unwrap();
    let _silent: Vec<TcpStream> = (0..200).map(|_| connect()).collect();
    // Those places are taken now; whoever publishes already notices nothing.
    receiver.wait_more(2.0);
    drop(_silent);
    let mut bad: Vec<Vec<u8>> = vec![
        b"\0\xff\xfe$\x01\xff\xff".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"ANNOUNCE rtsp://h/live/x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
        b"ANNOUNCE rtsp://h/live/x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1000000\r\n\r\n".to_vec(),
        b"ANNOUNCE rtsp://h/live/x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n".to_vec(),
        b"SETUP * RTSP/1.0\r\nCSeq: 1\r\nTransport: x\r\n\r\n".to_vec(),
        b"RECORD / RTSP/9.9\r\n\r\n".to_vec(),
    ];
    bad.push([b"OPTIONS * RTSP/1.0\r\nX: ".as_slice(), &[b'a'; 200_000], b"\r\n\r\n"].concat());
    bad.push(b"$\0\x10\0".iter().copied().cycle().take(50_000).collect());
    for bytes in &bad {
        let mut socket = wait_for(SOON, "a connection", || {
            let mut socket = connect();
            let _ = socket.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n");
            let _ = socket.set_read_timeout(Some(Duration::from_secs(2)));
            let mut answer = [0; 512];
            if socket.read(&mut answer).is_ok_and(|len| len > 0) { Ok(socket) } else { Err("no place".into()) }
        });
        // It may close on the first wrong byte: that is its right.
        let _ = socket.write_all(bytes);
        let _ = socket.set_read_timeout(Some(Duration::from_millis(300)));
        let _ = socket.read(&mut [0; 512]);
    }
    receiver.wait_more(2.0);
    let seconds = receiver.seconds();
    assert_restreamed("beside the garbage", &sample, &receiver, seconds);
}

#[test]
fn a_publisher_that_sends_rubbish_harms_itself_alone() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = ffmpeg(&service, "live/test", &sample, "tcp", "");
    service.api.wait_live("live/test");
    let receiver = Receiver::listen();
    service.api.add_endpoint("live/test", &receiver.url());
    receiver.wait_seconds(1.0);
    for seed in 0..12u64 {
        let mut client = Client::connect(service.ports.rtsp);
        let stream = format!("live/rubbish-{seed}");
        assert_eq!(client.announce(&stream, SDP), 200);
        for track in 0..2 {
            let transport =
                format!("Transport: RTP/AVP/TCP;unicast;interleaved={}-{};mode=record\r\n", track * 2, track * 2 + 1);
            let session = client.session();
            let headers = if session.is_empty() { transport } else { format!("{transport}Session: {session}\r\n") };
            assert_eq!(client.ask("SETUP", &format!("{stream}/streamid={track}"), &headers, ""), 200);
        }
        let session = client.session();
        assert_eq!(client.ask("RECORD", &stream, &format!("Session: {session}\r\n"), ""), 200);
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for n in 0..1_500u16 {
            let len = usize::try_from(next() % 300).unwrap();
            let mut packet: Vec<u8> = (0..len).map(|_| u8::try_from(next() >> 56).unwrap()).collect();
            let channel = u8::try_from(next() % 5).unwrap();
            if len > 12 && seed % 3 != 0 {
                // With a head that is believed: RTP of the announced type, or a report.
                packet[0] = 0x80 | ((packet[0] & 0x3f) * u8::from(seed % 3 == 2));
                packet[1] =
                    [96, 200, 8, 201, 96][usize::from(channel)] | ((packet[1] & 0x80) * u8::from(channel % 2 == 0));
                packet[2..4].copy_from_slice(&n.to_be_bytes());
                packet[8..12].copy_from_slice(&[0, 0, 0, channel / 2]);
            }
            let mut frame = vec![b'$', channel];
            frame.extend(u16::try_from(packet.len()).unwrap().to_be_bytes());
            frame.extend(packet);
            // The service may have had enough.
            if client.raw(&frame).is_err() {
                break;
            }
        }
    }
    for (name, value) in [
        ("rtpmap", "96 H264/0"),
        ("rtpmap", "96 H264/-1"),
        ("rtpmap", "96 H264/99999999999"),
        ("rtpmap", "96 mpeg4-generic/90000"),
        ("fmtp", "96 sprop-parameter-sets=,,,;packetization-mode=9"),
        ("control", "*"),
        ("control", "rtsp://elsewhere/x/y/z"),
        ("control", ""),
    ] {
        let rtpmap = if name == "rtpmap" { "" } else { "a=rtpmap:96 H264/90000\r\n" };
        let media = format!("m=video 0 RTP/AVP 96\r\n{rtpmap}a={name}:{value}\r\n");
        wait_for(SOON, "the one before is gone", || {
            match Client::connect(service.ports.rtsp).announce("live/odd", &media) {
                200 | 400 | 415 => Ok(()),
                // It is in use until the connection before has been taken down.
                403 => Err("403".to_owned()),
                status => panic!("{name}:{value}: {status}"),
            }
        });
    }
    receiver.wait_more(2.0);
    let seconds = receiver.seconds();
    assert_restreamed("beside the rubbish", &sample, &receiver, seconds);
}

#[test]
fn twenty_publishers_leave_nothing_behind() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let round = |n: usize| {
        let transport = if n.is_multiple_of(2) { "tcp" } else { "udp" };
        let publisher: Publisher = ffmpeg(&service, "live/test", &sample, transport, "");
        service.api.wait_live("live/test");
        if n.is_multiple_of(3) {
            drop(publisher);
        } else {
            publisher.stop();
        }
        wait_until(LATER, "the stream has ended", || service.api.status("live/test") != "broadcasting");
    };
    (0..4).for_each(round);
    let idle = || {
        wait_for(SETTLED_WITHIN, "no thread of a publisher is left", || {
            let now = service.holdings();
            let busy = now.threads.keys().any(|name| name.contains("rtp") || name.contains("udpsrc"));
            if busy { Err(format!("{now:?}")) } else { Ok(now) }
        })
    };
    let before: Holdings = idle();
    (0..ROUNDS).for_each(round);
    wait_for(SETTLED_WITHIN, "nothing is held that was not held before", || {
        let now = service.holdings();
        if now.within(&before) { Ok(()) } else { Err(format!("now {now:?}\nbefore {before:?}")) }
    });
}
