//! The service stops, cleanly or not, and comes back: every endpoint is there with its id and connects by itself.

use crate::support::check::assert_restreamed;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};

fn endpoints_survive(interrupt: impl FnOnce(&mut Service)) {
    let secret = "kept-in-the-store-only";
    let mut service = Service::start_with(Options { secrets: vec![secret.to_owned()], ..Options::default() });
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let publisher = Publisher::rtmp(&service, stream, &sample);
    service.api.wait_live(stream);
    let (mut plain, mut locked) = (Receiver::listen(), Receiver::listen_with_passphrase(secret));
    let ids = [
        service.api.add_endpoint(stream, &plain.url()),
        service.api.add_endpoint(stream, &format!("{}?passphrase={secret}", locked.url())),
    ];
    // One for a stream that has never been live.
    let offline = service
        .api
        .post("/live/rest/v2/broadcasts/create", &serde_json::json!({ "streamId": "later", "name": "Später" }));
    assert_eq!(offline.0, 200, "{offline:?}");
    let offline_id = service.api.add_endpoint("live/later", "srt://127.0.0.1:4999");
    for receiver in [&plain, &locked] {
        receiver.wait_seconds(2.0);
    }

    interrupt(&mut service);
    drop(publisher);
    // Into new files: the receivers keep their ports.
    for receiver in [&mut plain, &mut locked] {
        receiver.kill();
        receiver.start();
    }
    service.start_again();

    let found: Vec<String> = service.api.endpoints(stream).into_iter().map(|endpoint| endpoint.id).collect();
    assert_eq!(found, ids, "endpoints after the restart");
    assert_eq!(service.api.endpoints("live/later")[0].id, offline_id);
    assert_eq!(service.api.broadcast("live/later").unwrap()["name"], "Später");
    assert_ne!(service.api.status(stream), "broadcasting", "nobody publishes yet");

    let _publisher = Publisher::rtmp(&service, stream, &sample);
    for (receiver, id) in [&plain, &locked].into_iter().zip(&ids) {
        service.api.wait_endpoint(stream, id, "broadcasting");
        receiver.wait_seconds(3.0);
        assert_restreamed("after the restart", &sample, receiver, 3.0);
    }
    service.stop();
}

#[test]
fn endpoints_survive_a_clean_restart() {
    endpoints_survive(|service| service.stop());
}

#[test]
fn endpoints_survive_a_kill() {
    endpoints_survive(Service::kill9);
}

#[test]
fn an_endpoint_removed_just_before_a_kill_stays_removed_and_one_added_stays() {
    let mut service = Service::start();
    service.api.post("/live/rest/v2/broadcasts/create", &serde_json::json!({ "streamId": "test" }));
    let removed = service.api.add_endpoint("live/test", "srt://127.0.0.1:4999?streamid=a");
    let kept = service.api.add_endpoint("live/test", "srt://127.0.0.1:4999?streamid=b");
    service.api.remove_endpoint("live/test", &removed);
    service.kill9();
    service.start_again();
    let found: Vec<String> = service.api.endpoints("live/test").into_iter().map(|endpoint| endpoint.id).collect();
    assert_eq!(found, [kept]);
}

#[test]
fn the_service_stops_in_time_with_publishers_and_endpoints_of_every_kind() {
    let mut service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let mut publishers =
        [Publisher::rtmp(&service, "live/rtmp", &sample), Publisher::srt(&service, "live/srt", &sample)];
    let (healthy, frozen) = (Receiver::listen(), Receiver::listen());
    for stream in ["live/rtmp", "live/srt"] {
        service.api.wait_live(stream);
        service.api.add_endpoint(stream, &format!("srt://127.0.0.1:{}", crate::support::process::free_port()));
    }
    service.api.add_endpoint("live/rtmp", &healthy.url());
    service.api.add_endpoint("live/srt", &frozen.url());
    healthy.wait_seconds(1.0);
    frozen.wait_seconds(1.0);
    frozen.freeze();
    service.stop();
    for publisher in &mut publishers {
        publisher.wait_exit(crate::support::wait::SOON);
    }
}
