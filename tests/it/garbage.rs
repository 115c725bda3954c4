//! Garbage on every port while a stream runs: it costs a time-out and never harms the stream.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use crate::support::check::assert_restreamed;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::rtmp_client::RtmpClient;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::wait::wait_for;

/// Connections that say nothing.
const SILENT_CONNECTIONS: usize = 200;

/// Longest time-out of the service for somebody who says nothing, with room for a busy machine.
const TIME_OUT_MAX: Duration = Duration::from_secs(60);

/// Pseudo-random bytes, the same in every run (xorshift64).
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).expect("eight bits")
    })
    .take(len)
    .collect()
}

#[test]
fn garbage_on_every_port_never_harms_a_running_stream() {
    let mut service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let streams = ["live/rtmp", "live/srt"];
    let _publishers = [Publisher::rtmp(&service, streams[0], &sample), Publisher::srt(&service, streams[1], &sample)];
    let receivers = [Receiver::listen(), Receiver::listen()];
    for (stream, receiver) in streams.iter().zip(&receivers) {
        service.api.wait_live(stream);
        service.api.add_endpoint(stream, &receiver.url());
        receiver.wait_seconds(1.0);
    }
    let before = service.holdings();

    let connect = |port: u16| TcpStream::connect(("127.0.0.1", port)).unwrap();
    let silent: Vec<TcpStream> = (0..SILENT_CONNECTIONS)
        .map(|n| connect(if n % 2 == 0 { service.ports.rtmp } else { service.ports.http }))
        .collect();
    let mut half: Vec<TcpStream> = Vec::new();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for seed in 0..40 {
        for port in [service.ports.rtmp, service.ports.http] {
            let mut socket = connect(port);
            // It may close on the first wrong byte: that is its right.
            let _ = socket.write_all(&noise(seed, 5000));
            half.push(socket);
        }
        // Half a handshake of RTMP: version, and a part of C1.
        let mut socket = connect(service.ports.rtmp);
        socket.write_all(&[&[3][..], &noise(seed, 700)].concat()).unwrap();
        half.push(socket);
        // A whole handshake, then garbage where messages should be.
        if let Ok(mut client) = RtmpClient::shake_hands(service.ports.rtmp) {
            // The same.
            let _ = client.raw(&noise(seed, 20_000));
        }
        // Half a request, a wrong one, one without end.
        for text in [
            "GET /live/rest/v2/broadcasts/test HTT",
            "BREW /pot HTTP/1.1\r\n\r\n",
            "POST /live/rest/v2/broadcasts/create HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n{",
        ] {
            let mut socket = connect(service.ports.http);
            // The same.
            let _ = socket.write_all(text.as_bytes());
            half.push(socket);
        }
        // SRT: random datagrams, and some that look like an induction handshake (control bit, type 0) and go wrong after it.
        for len in [1, 15, 16, 64, 1316, 1456] {
            udp.send_to(&noise(seed * 7 + len as u64, len), ("127.0.0.1", service.ports.srt)).unwrap();
            let mut handshake = [&[0x80, 0, 0, 0][..], &noise(seed + len as u64, 60)].concat();
            handshake[8..16].fill(0);
            udp.send_to(&handshake, ("127.0.0.1", service.ports.srt)).unwrap();
        }
    }
    for receiver in &receivers {
        receiver.wait_more(3.0);
    }
    service.assert_runs();
    for (stream, receiver) in streams.iter().zip(&receivers) {
        let seconds = receiver.seconds();
        assert_restreamed(&format!("{stream} beside garbage"), &sample, receiver, seconds);
    }
    // The connections stay open on our side: it is the service that must let go of them.
    wait_for(TIME_OUT_MAX, "the service has let go of all the silent connections", || {
        let now = service.holdings();
        if now.fds <= before.fds + 3 { Ok(()) } else { Err(format!("{} descriptors, {} before", now.fds, before.fds)) }
    });
    drop((silent, half));
}
