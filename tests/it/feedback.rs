//! Endpoints that lead back to the same server: into another stream they are the acceptance scenario, into
//! their own they are refused.

use crate::support::check::assert_restreamed;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::wait::{SOON, wait_until};

#[test]
fn a_stream_restreamed_to_another_application_of_the_same_server_is_live_there() {
    let mut service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = Publisher::rtmp(&service, "live/test", &sample);
    service.api.wait_live("live/test");

    let url = format!("srt://127.0.0.1:{}?streamid=LiveApp/srt-test", service.ports.srt);
    let answer = service.api.try_add_endpoint("live/test", &url);
    let id = answer["dataId"].as_str().unwrap().to_owned();
    let expected = serde_json::json!({ "success": true, "message": null, "dataId": id, "errorId": 0 });
    assert_eq!(answer, expected);
    assert!(id.len() == 12 && id.starts_with("custom") && id.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");

    service.api.wait_live("LiveApp/srt-test");
    let arrived = service.api.broadcast("LiveApp/srt-test").unwrap();
    assert_eq!(arrived["publishType"], "SRT", "{arrived}");
    assert_eq!(service.api.endpoint("live/test", &id).unwrap().status, "broadcasting");

    let receiver = Receiver::listen();
    service.api.add_endpoint("LiveApp/srt-test", &receiver.url());
    receiver.wait_seconds(6.0);
    assert_restreamed("over two hops", &sample, &receiver, 6.0);

    // A stream id in the access control syntax comes through whole.
    let url = format!("srt://127.0.0.1:{}?streamid=%23!::r=LiveApp/second-copy,m=publish", service.ports.srt);
    service.api.add_endpoint("live/test", &url);
    service.api.wait_live("LiveApp/second-copy");

    service.api.remove_endpoint("live/test", &id);
    wait_until(SOON, "the copy has ended", || service.api.status("LiveApp/srt-test") != "broadcasting");
    assert_eq!(service.api.status("live/test"), "broadcasting");
    service.assert_runs();
}

#[test]
fn an_endpoint_that_leads_back_into_its_own_stream_is_refused() {
    let service = Service::start();
    let port = service.ports.srt;
    service.api.post("/LiveApp/rest/v2/broadcasts/create", &serde_json::json!({ "streamId": "test" }));
    for url in [
        format!("srt://127.0.0.1:{port}?streamid=LiveApp/test"),
        format!("srt://localhost:{port}?streamid=LiveApp/test"),
        format!("srt://127.0.0.1:{port}?streamid=%23!::r=LiveApp/test,m=publish"),
        format!("srt://127.0.0.1:{port}?streamid=test"),
        format!("srt://127.1.2.3:{port}?streamid=publish:LiveApp/test"),
    ] {
        let answer = service.api.try_add_endpoint("LiveApp/test", &url);
        assert_eq!(answer["success"], false, "{url} was taken: {answer}");
        assert!(!answer["message"].as_str().unwrap_or_default().is_empty(), "{url}: no reason is given");
    }
    assert!(service.api.endpoints("LiveApp/test").is_empty());
    // The neighbours are no loops, unless they lead back.
    for target in ["LiveApp/other", "live/test"] {
        service.api.add_endpoint("LiveApp/test", &format!("srt://127.0.0.1:{port}?streamid={target}"));
    }
    service.api.post("/LiveApp/rest/v2/broadcasts/create", &serde_json::json!({ "streamId": "other" }));
    let back = format!("srt://127.0.0.1:{port}?streamid=LiveApp/test");
    let answer = service.api.try_add_endpoint("LiveApp/other", &back);
    assert_eq!(answer["success"], false, "a loop over two streams was taken: {answer}");
}

#[test]
fn an_endpoint_that_nobody_can_send_to_is_refused_with_the_reason() {
    let secret = "too-short";
    let service = Service::start_with(Options { secrets: vec![secret.to_owned()], ..Options::default() });
    service.api.post("/live/rest/v2/broadcasts/create", &serde_json::json!({ "streamId": "test" }));
    for (url, named) in [
        ("rtmp://127.0.0.1/live/test", "rtmp"),
        ("http://127.0.0.1/", "http"),
        ("srt://", "host"),
        ("srt://127.0.0.1:99999", "port"),
        ("srt://127.0.0.1?nonsense=1", "nonsense"),
        ("srt://127.0.0.1?passphrase=too-short", "passphrase"),
        ("srt://127.0.0.1?pbkeylen=17", "pbkeylen"),
        ("srt://127.0.0.1?latency=200000", "millisecond"),
    ] {
        let answer = service.api.try_add_endpoint("live/test", url);
        let message = answer["message"].as_str().unwrap_or_default().to_lowercase();
        assert!(answer["success"] == false && message.contains(named), "{url}: {answer}");
    }
    assert!(service.api.endpoints("live/test").is_empty());
}
