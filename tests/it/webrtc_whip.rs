//! WHIP (RFC 9725): a client that is not ours publishes, trickles and leaves; and what a client may get wrong.

use crate::support::service::Service;
use crate::support::wait::{SOON, wait_until};
use crate::support::webrtc::{Page, assert_good, expected, receive, whip_url};

/// An answer: status, headers in lower case, body.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> String {
        let all: Vec<&str> =
            self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        all.join(", ")
    }
}

/// A request by a client that knows nothing of WHIP.
fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .timeout_global(Some(SOON))
        .build();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut answer = ureq::Agent::new_with_config(config).run(request.body(body.to_owned()).unwrap()).unwrap();
    let headers = answer.headers().iter();
    Answer {
        status: answer.status().as_u16(),
        headers: headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect(),
        body: answer.body_mut().read_to_string().unwrap(),
    }
}

#[test]
fn a_whip_client_publishes_trickles_and_leaves() {
    let mut service = Service::start();
    let page = Page::open();
    let resource = page.whip(&service, "live/test", "camera()", "{}");
    assert!(resource.starts_with(&whip_url(&service, "live/test")), "{resource}");
    assert_eq!(service.api.broadcast("live/test").unwrap()["publishType"], "WebRTC");
    let receiver = receive(&service, "live/test", 4.0);
    assert_good("by WHIP", &receiver, &expected(true, true, 4.0));

    page.browser.eval("publisher.client.stop()");
    wait_until(SOON, "the stream has ended", || service.api.status("live/test") != "broadcasting");
    for method in ["DELETE", "PATCH"] {
        let answer = ask(method, &resource, &[("Content-Type", "application/trickle-ice-sdpfrag")], "");
        assert_eq!(answer.status, 404, "{method} of what is gone: {}", answer.body);
    }
    // With a query the session's address is still one.
    let again = page.whip(&service, "live/test?streamName=a%20name", "camera()", "{}");
    let path = again.split('?').next().unwrap();
    assert!(path.starts_with(&format!("{}/", whip_url(&service, "live/test"))), "{again}");
    assert_eq!(ask("DELETE", &again, &[], "").status, 200);
    wait_until(SOON, "the stream has ended", || service.api.status("live/test") != "broadcasting");
    service.assert_runs();
}

#[test]
fn a_taken_id_is_a_conflict_and_the_running_stream_goes_on() {
    let service = Service::start();
    let page = Page::open();
    page.whip(&service, "live/test", "camera()", "{}");
    let receiver = receive(&service, "live/test", 1.0);
    let url = whip_url(&service, "live/test");
    let status = page.browser.eval(&format!("publisher.post_offer('{url}', publisher.stream)"));
    assert_eq!(status, 409, "{}", page.browser.eval("publisher.answer"));
    receiver.wait_more(2.0);
    assert_eq!(receiver.verdict().continuity_errors, 0);
}

/// Method, URL, headers, body, and the answers that are right.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], &'a str, &'a [u16]);

#[test]
fn what_a_client_gets_wrong_is_answered_with_a_problem_in_words() {
    let service = Service::start();
    let url = whip_url(&service, "live/test");
    let sdp = ("Content-Type", "application/sdp");
    let large = "a".repeat(1 << 20);
    let cases: [Case; 8] = [
        ("POST", &url, &[sdp], "", &[400]),
        ("POST", &url, &[sdp], "v=0\r\n", &[400]),
        ("POST", &url, &[sdp], "no session description", &[400]),
        ("POST", &url, &[("Content-Type", "text/plain")], "v=0\r\n", &[415]),
        ("POST", &url, &[sdp], &large, &[413]),
        ("GET", &url, &[], "", &[204, 405]),
        ("DELETE", &format!("{url}/nobody"), &[], "", &[404]),
        ("PATCH", &format!("{url}/nobody"), &[("Content-Type", "application/trickle-ice-sdpfrag")], "", &[404]),
    ];
    for (method, url, headers, body, wanted) in cases {
        let answer = ask(method, url, headers, body);
        let case = format!("{method} of {} bytes", body.len());
        assert!(wanted.contains(&answer.status), "{case}: {} {}", answer.status, answer.body);
        if answer.status >= 400 && method == "POST" {
            assert!(
                answer.header("content-type").starts_with("application/problem+json"),
                "{case}: {:?}",
                answer.headers
            );
            let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
            let words = problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or_default();
            assert!(words.contains(' '), "{case}: {}", answer.body);
        }
    }
    assert_ne!(service.api.status("live/test"), "broadcasting");
}

#[test]
fn pages_of_other_origins_may_publish_and_read_what_they_need() {
    let service = Service::start();
    let url = whip_url(&service, "live/test");
    let origin = ("Origin", "https://elsewhere.example");
    let asks = [
        origin,
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "authorization,content-type,if-match"),
    ];
    let preflight = ask("OPTIONS", &url, &asks, "");
    assert!([200, 204].contains(&preflight.status), "{}", preflight.status);
    assert!(["*", origin.1].contains(&preflight.header("access-control-allow-origin").as_str()));
    let (methods, headers) = (
        preflight.header("access-control-allow-methods"),
        preflight.header("access-control-allow-headers").to_lowercase(),
    );
    assert!(methods.contains("POST"), "{methods}");
    for wanted in ["authorization", "content-type", "if-match"] {
        assert!(headers == "*" || headers.contains(wanted), "{headers}");
    }
    let resource = ask("OPTIONS", &format!("{url}/session"), &asks, "").header("access-control-allow-methods");
    assert!(resource.contains("PATCH") && resource.contains("DELETE"), "{resource}");
    // RFC 9725, 4.2: what may be posted is told.
    assert!(ask("OPTIONS", &url, &[], "").header("accept-post").contains("application/sdp"));

    // The test page is of another origin than the service: its client could not do without.
    let page = Page::open();
    page.whip(&service, "live/test", "camera()", "{}");
    let offer = page.browser.eval("publisher.pc.localDescription.sdp");
    page.browser.eval("publisher.client.stop()");
    wait_until(SOON, "the stream has ended", || service.api.status("live/test") != "broadcasting");
    let answer = ask("POST", &url, &[origin, ("Content-Type", "application/sdp")], offer.as_str().unwrap());
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/sdp");
    assert!(answer.body.contains("a=candidate:"), "{}", answer.body);
    assert!(!answer.header("etag").is_empty(), "{:?}", answer.headers);
    let exposed = answer.header("access-control-expose-headers").to_lowercase();
    for wanted in ["location", "link", "etag"] {
        assert!(exposed.contains(wanted), "{exposed}");
    }
}
