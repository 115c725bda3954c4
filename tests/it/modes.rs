//! Endpoints that do not call: listener and rendezvous.

use crate::support::check::assert_restreamed;
use crate::support::process::free_port;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;

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

#[test]
fn an_endpoint_meets_its_receiver_in_rendezvous() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let _publisher = Publisher::rtmp(&service, stream, &sample);
    let (ours, theirs) = (free_port(), free_port());
    let receiver =
        Receiver::with_address(theirs, &format!("srt://127.0.0.1:{ours}?mode=rendezvous&port={theirs}&latency=500"));
    let id = service.api.add_endpoint(
        stream,
        &format!("srt://127.0.0.1:{theirs}?mode=rendezvous&localaddress=127.0.0.1&localport={ours}"),
    );
    service.api.wait_endpoint(stream, &id, "broadcasting");
    receiver.wait_seconds(4.0);
    assert_restreamed("rendezvous", &sample, &receiver, 4.0);
}
