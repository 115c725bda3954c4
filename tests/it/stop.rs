//! Ending a stream by REST: the publisher goes, what was wanted stays or goes with it.

use crate::support::http::path;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::wait::{LATER, SOON};

#[test]
fn a_stop_closes_the_publisher_and_keeps_the_endpoints() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    for stream in ["live/rtmp", "live/srt"] {
        let publish = || {
            if stream == "live/rtmp" {
                Publisher::rtmp(&service, stream, &sample)
            } else {
                Publisher::srt(&service, stream, &sample)
            }
        };
        let mut receiver = Receiver::listen();
        let mut publisher = publish();
        let id = service.api.add_endpoint(stream, &receiver.url());
        receiver.wait_seconds(1.0);

        let (status, answer) = service.api.post(&path(stream, "/stop"), &serde_json::json!({}));
        assert!(status == 200 && answer["success"] == true, "{status} {answer}");
        publisher.wait_exit(LATER);
        service.api.wait_status(stream, "finished");
        assert_eq!(service.api.endpoints(stream)[0].id, id);

        receiver.kill();
        receiver.start();
        let _again = publish();
        service.api.wait_endpoint(stream, &id, "broadcasting");
        receiver.wait_seconds(1.0);
    }
}

#[test]
fn a_delete_ends_publisher_endpoints_and_record() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stream = "live/test";
    let receiver = Receiver::listen();
    let mut publisher = Publisher::rtmp(&service, stream, &sample);
    service.api.add_endpoint(stream, &receiver.url());
    receiver.wait_seconds(1.0);

    let (status, answer) = service.api.delete(&path(stream, ""));
    assert!(status == 200 && answer["success"] == true, "{status} {answer}");
    publisher.wait_exit(SOON);
    assert!(service.api.broadcast(stream).is_none());
    let (_, count) = service.api.get("/live/rest/v2/broadcasts/active-live-stream-count");
    assert_eq!(count["number"], 0);
}
