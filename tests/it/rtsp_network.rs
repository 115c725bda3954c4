//! RTSP publishers on the networks there are: packets that are lost, strangers who send to a publisher's ports, few
//! ports, IPv6, headers without an end.

use std::io::{Read, Write as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::check::{assert_restreamed, for_each};
use crate::support::process::free_port;
use crate::support::publisher::Publisher;
use crate::support::receiver::{Decoder, Receiver};
use crate::support::rtsp::{Client, SDP, described, ffmpeg};
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{LATER, SOON, wait_for};

/// One packet of pictures in so many is lost.
const LOST_EACH: usize = 211;

/// A stranger's packets, each of another RTP source.
const STRANGER_PACKETS: u32 = 20_000;

/// Connections with headers that do not end, all at once.
const ENDLESS: usize = 4;

/// What the service may need for all of them beyond what it had, in KiB.
const ENDLESS_KIB_MAX: u64 = 32 * 1024;

/// Passes a connection on to `port`, without one packet of pictures in [`LOST_EACH`]. Gives its own port.
fn lossy(port: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
        let mut pictures = 0;
        let mut frame = Vec::new();
        // Ends with the publisher, or with the service.
        while Read::by_ref(&mut client).take(1).read_to_end(&mut frame).is_ok_and(|len| len == 1) {
            if frame[0] == b'$' {
                frame.resize(4, 0);
                if client.read_exact(&mut frame[1..]).is_err() {
                    return;
                }
                let len = usize::from(u16::from_be_bytes([frame[2], frame[3]]));
                frame.resize(4 + len, 0);
                if client.read_exact(&mut frame[4..]).is_err() {
                    return;
                }
                pictures += usize::from(frame[1] == 0);
                if frame[1] == 0 && pictures % LOST_EACH == 0 {
                    frame.clear();
                    continue;
                }
            }
            if server.write_all(&frame).is_err() {
                return;
            }
            frame.clear();
        }
    });
    own
}

#[test]
fn lost_packets_make_pictures_stand_still_but_never_break() {
    let service = Service::start();
    let cases = [("live/h264", sample::H264_AAC), ("live/h265", sample::H265_AAC)];
    let running: Vec<_> = cases
        .into_iter()
        .map(|(stream, programme)| {
            let (sample, decoder) = (Sample::of(programme), Decoder::listen(8));
            let url = format!("rtsp://127.0.0.1:{}/{stream}", lossy(service.ports.rtsp));
            let publisher = Publisher::ffmpeg(&described(&sample), &format!("-f rtsp -rtsp_transport tcp {url}"));
            service.api.wait_live(stream);
            service.api.add_endpoint(stream, &decoder.url());
            (stream, std::cell::RefCell::new(decoder), publisher)
        })
        .collect();
    for_each(
        &running,
        |case| case.0.to_owned(),
        |(stream, decoder, _)| {
            decoder.borrow_mut().assert_decodes(stream);
        },
    );
    let losses = service.log().matches("RTP packets are missing").count();
    assert!(losses >= running.len(), "nothing was lost: {losses}");
}

/// The least range that may be configured: eight tracks.
const RANGE_LEN: u16 = 16;

/// So many UDP ports in a row, the first of them even, that nobody has.
fn free_range() -> std::ops::Range<u16> {
    wait_for(SOON, "a range of ports", || {
        // Nobody else in this run is given one of them.
        let first = (free_port() + 1) & !1;
        while free_port().wrapping_sub(first) < RANGE_LEN {}
        let range = first..first + RANGE_LEN;
        if taken(&range).is_empty() { Ok(range) } else { Err(format!("{range:?} is not free")) }
    })
}

/// Which of these ports somebody has.
fn taken(range: &std::ops::Range<u16>) -> Vec<u16> {
    range.clone().filter(|port| UdpSocket::bind(("0.0.0.0", *port)).is_err()).collect()
}

fn service_with(range: &std::ops::Range<u16>) -> Service {
    let settings = vec![("RTSP__UDP_PORTS", format!("{}-{}", range.start, range.end - 1))];
    Service::start_with(Options { settings, ..Options::default() })
}

/// Announces two tracks and sets up the first `by_udp` of them.
fn publisher_with_ports(service: &Service, stream: &str, by_udp: usize) -> (Client, u16) {
    let mut client = Client::connect(service.ports.rtsp);
    assert_eq!(client.announce(stream, SDP), 200);
    let mut status = 0;
    for track in 0..by_udp {
        let session = client.session();
        let session = if session.is_empty() { session } else { format!("Session: {session}\r\n") };
        let transport = "Transport: RTP/AVP;unicast;client_port=5000-5001;mode=record\r\n";
        let headers = format!("{transport}{session}");
        status = client.ask("SETUP", &format!("{stream}/streamid={track}"), &headers, "");
    }
    (client, status)
}

#[test]
fn udp_media_comes_by_the_ports_that_are_configured_and_by_no_more() {
    let range = free_range();
    let service = service_with(&range);
    let sample = Sample::of(sample::H264_AAC);
    for round in 0..2 {
        let stream = format!("live/round-{round}");
        let publisher = ffmpeg(&service, &stream, &sample, "udp", "");
        service.api.wait_live(&stream);
        assert_eq!(taken(&range).len(), 4, "a pair for each track");
        let mut others = Vec::new();
        let (last, status) = loop {
            let stream = format!("live/other-{}", others.len());
            match publisher_with_ports(&service, &stream, 2) {
                (client, 200) => others.push(client),
                refused => break refused,
            }
            assert!(others.len() < usize::from(RANGE_LEN) / 4, "more publishers than ports");
        };
        assert!((400..600).contains(&status), "round {round}: no port is left, and it is told {status}");
        assert_eq!(taken(&range).len(), usize::from(RANGE_LEN), "round {round}: all are used before one is refused");
        drop(last);
        // By TCP there is room for another.
        let mut other = Client::connect(service.ports.rtsp);
        assert_eq!(other.announce("live/interleaved", SDP), 200);
        let transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n";
        assert_eq!(other.ask("SETUP", "live/interleaved/streamid=0", transport, ""), 200);
        drop((others, other));
        publisher.stop();
        wait_for(LATER, "the ports are free again", || {
            let taken = taken(&range);
            if taken.is_empty() { Ok(()) } else { Err(format!("{taken:?} are not")) }
        });
    }
}

#[test]
fn a_stranger_who_sends_to_a_publishers_ports_changes_nothing() {
    let range = free_range();
    let service = service_with(&range);
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = ffmpeg(&service, "live/test", &sample, "udp", "");
    service.api.wait_live("live/test");
    let ports = taken(&range);
    let receiver = Receiver::listen();
    service.api.add_endpoint("live/test", &receiver.url());
    receiver.wait_seconds(2.0);
    let before = service.holdings().thread_count();
    let stranger = UdpSocket::bind(("127.0.0.2", 0)).unwrap();
    let mut most = before;
    for n in 0..STRANGER_PACKETS {
        let port = ports[n as usize % ports.len()];
        // Pictures to one RTP port, sound to the other, and what is no report to the others.
        let kind = if port < ports[2] { 96 } else { 97 };
        let mut packet = vec![0x80, kind, 0, 1, 0, 0, 0, 1];
        packet.extend(n.to_be_bytes());
        packet.extend([0x65, 0x88, 0, 0]);
        let _ = stranger.send_to(&packet, ("127.0.0.1", port));
        if n % 50 == 0 {
            // Slowly enough for the sockets' buffers: what overflows them is lost, whoever sent it.
            std::thread::sleep(Duration::from_millis(2));
        }
        if n % 1_000 == 0 {
            most = most.max(service.holdings().thread_count());
        }
    }
    // Some of the runtime's own threads may come.
    assert!(most <= before + 8, "threads: {before} before, {most} while a stranger sends");
    receiver.wait_more(3.0);
    let seconds = receiver.seconds();
    assert_restreamed("beside the stranger", &sample, &receiver, seconds);
}

#[test]
fn publishers_come_by_both_versions_of_ip_to_one_listener() {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        eprintln!("this machine has no IPv6");
        return;
    }
    let settings = vec![("RTSP__LISTEN", "[::]:0".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let cases = [("127.0.0.1", "udp"), ("[::1]", "udp"), ("127.0.0.1", "tcp"), ("[::1]", "tcp")];
    let running: Vec<_> = cases
        .into_iter()
        .enumerate()
        .map(|(n, (host, transport))| {
            let (stream, receiver) = (format!("live/test-{n}"), Receiver::listen());
            let url = format!("rtsp://{host}:{}/{stream}", service.ports.rtsp);
            let output = format!("-f rtsp -rtsp_transport {transport} {url}");
            let publisher = Publisher::ffmpeg(&described(&sample), &output);
            service.api.add_endpoint(&stream, &receiver.url());
            (format!("{host} {transport}"), receiver, publisher)
        })
        .collect();
    for_each(
        &running,
        |case| case.0.clone(),
        |(what, receiver, _)| {
            receiver.wait_seconds(4.0);
            assert_restreamed(what, &sample, receiver, 4.0);
        },
    );
}

#[test]
fn headers_without_an_end_cost_little_and_not_for_long() {
    let service = Service::start();
    let before = service.memory_kib();
    let begin = Instant::now();
    let talkers: Vec<_> = (0..ENDLESS)
        .map(|_| {
            let mut socket = TcpStream::connect(("127.0.0.1", service.ports.rtsp)).unwrap();
            socket.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            std::thread::spawn(move || {
                let _ = socket.write_all(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n");
                let lines = b"a:b\r\n".repeat(2_000);
                // Until it is cut off.
                while begin.elapsed() < LATER && socket.write_all(&lines).is_ok() {}
            })
        })
        .collect();
    let (mut most, mut cut_off) = (before, None);
    while !talkers.iter().all(std::thread::JoinHandle::is_finished) {
        most = most.max(service.memory_kib());
        if service.log().matches("bytes came, and no media").count() == ENDLESS {
            cut_off.get_or_insert(begin.elapsed());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    talkers.into_iter().for_each(|talker| talker.join().unwrap());
    let cut_off = cut_off.expect("each of them is cut off");
    eprintln!("{ENDLESS} endless headers: {} KiB, cut off after {cut_off:?}", most - before);
    assert!(most - before < ENDLESS_KIB_MAX, "{before} KiB before, {most} KiB at most");
    assert!(cut_off < Duration::from_secs(5), "cut off after {cut_off:?}");
}
