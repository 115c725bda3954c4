//! Endpoints that do not call: listener and rendezvous.

use crate::support::check::assert_restreamed;
use crate::support::peer::black_hole;
use crate::support::process::free_port;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON, wait_for, wait_until};

#[test]
fn an_endpoint_that_listens_serves_the_receiver_that_calls() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    let port = free_port();
    let id = service.api.add_endpoint(stream, &format!("srt://127.0.0.1:{port}?mode=listener"));
    let receiver = Receiver::with_address(port, &format!("srt://127.0.0.1:{port}?mode=caller&latency=500"));
    service.api.wait_endpoint(stream, &id, "broadcasting");
    receiver.wait_seconds(4.0);
    assert_restreamed("a listening endpoint", &sample, &receiver, 4.0);
}

/// Whoever starts first waits for the other: an endpoint through its retries, srt-live-transmit through its own.
#[test]
fn an_endpoint_meets_its_receiver_in_rendezvous_whoever_comes_first() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    service.api.wait_live(stream);
    for endpoint_first in [false, true] {
        let (ours, theirs) = (free_port(), free_port());
        let receive = || {
            let address = format!("srt://127.0.0.1:{ours}?mode=rendezvous&port={theirs}&latency=500");
            Receiver::with_address(theirs, &address)
        };
        let url = format!("srt://127.0.0.1:{theirs}?mode=rendezvous&localaddress=127.0.0.1&localport={ours}");
        let early = (!endpoint_first).then(receive);
        let id = service.api.add_endpoint(stream, &url);
        let receiver = early.unwrap_or_else(|| {
            let taken = || std::net::UdpSocket::bind(("127.0.0.1", ours)).is_err();
            wait_until(SOON, "the endpoint calls", taken);
            receive()
        });
        service.api.wait_endpoint(stream, &id, "broadcasting");
        receiver.wait_seconds(4.0);
        assert_restreamed(&format!("rendezvous, endpoint first: {endpoint_first}"), &sample, &receiver, 4.0);
        service.api.remove_endpoint(stream, &id);
    }
}

#[test]
fn a_rendezvous_to_which_nobody_comes_is_a_failure_and_frees_its_port() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    service.api.wait_live(stream);
    let ours = free_port();
    // Somebody has the port and says nothing.
    let theirs = black_hole();
    let url = format!("srt://{}?mode=rendezvous&localaddress=127.0.0.1&localport={ours}", theirs.local_addr().unwrap());
    let id = service.api.add_endpoint(stream, &url);
    let endpoint = wait_for(LATER, "it has failed", || {
        let endpoint = service.api.control(stream, &id);
        if endpoint["failure"].is_object() { Ok(endpoint) } else { Err(endpoint.to_string()) }
    });
    let failure = &endpoint["failure"];
    assert_eq!((&failure["cause"], &failure["phase"]), (&"timeout".into(), &"connect".into()), "{endpoint}");
    service.api.remove_endpoint(stream, &id);
    wait_until(LATER, "its port is free", || std::net::UdpSocket::bind(("127.0.0.1", ours)).is_ok());
}
