//! The browser proven without the service: it has a camera, H.264 and the clients of others, and it goes away whole.

use std::time::Duration;

use super::{Browser, Pages, group_of};
use crate::support::namespace::Namespace;
use crate::support::wait::{LATER, SOON, wait_until};

#[test]
fn chromium_has_a_camera_and_h264_and_two_of_its_connections_reach_each_other() {
    let (browser, pages) = (Browser::start(), Pages::serve());
    browser.open(&pages.url("publisher.html"));
    browser.wait(SOON, "both clients are loaded", "window.publisher && window.webrtc_adaptor");
    let codecs = browser.eval("RTCRtpSender.getCapabilities('video').codecs.map((codec) => codec.mimeType)");
    for wanted in ["video/H264", "video/VP8", "video/VP9"] {
        assert!(codecs.as_array().unwrap().contains(&wanted.into()), "{wanted}: {codecs}");
    }
    browser.eval(
        "(async () => {
            const [a, b] = [publisher.pc = publisher.connection(await publisher.flash(), { codecs: ['H264'] }), new RTCPeerConnection()];
            a.onicecandidate = ({ candidate }) => b.addIceCandidate(candidate);
            b.onicecandidate = ({ candidate }) => a.addIceCandidate(candidate);
            await a.setLocalDescription();
            await b.setRemoteDescription(a.localDescription);
            await b.setLocalDescription();
            await a.setRemoteDescription(b.localDescription);
            window.other = b;
        })()",
    );
    browser.wait(LATER, "pictures are sent", "publisher.sending('video').then((out) => out.frames > 30)");
    assert_eq!(browser.eval("publisher.sending('video').then((out) => out.codec)"), "video/H264");
}

#[test]
fn a_browser_goes_away_whole_when_its_test_panics_and_when_it_was_killed() {
    let mut processes = Vec::new();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let browser = Browser::start();
        processes = browser.processes();
        browser.open("data:text/html,<title>here</title>");
        assert_eq!(browser.eval("document.title"), "there", "this panic is wanted");
    }));
    assert!(panicked.is_err() && processes.len() > 3, "{processes:?}");
    assert_eq!(processes.into_iter().filter_map(group_of).count(), 0);

    let mut browser = Browser::start();
    browser.open("data:text/html,<title>here</title>");
    let (pid, processes) = (browser.browser.expect("it runs"), browser.processes());
    browser.kill();
    wait_until(SOON, "the browser has ended", || group_of(pid).is_none());
    drop(browser);
    assert_eq!(processes.into_iter().filter_map(group_of).count(), 0);
}

#[test]
fn a_namespace_loses_what_it_is_told_to_lose() {
    let Some(namespace) = Namespace::make() else { return };
    let here = std::net::UdpSocket::bind((namespace.outside, 0)).unwrap();
    here.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    namespace.lose_percent(50);
    let script = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor n in range(200):\n    s.sendto(b'x', ('{}', {}))",
        namespace.outside,
        here.local_addr().unwrap().port()
    );
    assert!(namespace.command("python3").args(["-c", &script]).status().unwrap().success());
    let mut came = 0;
    while here.recv(&mut [0; 8]).is_ok() {
        came += 1;
    }
    assert!((40..160).contains(&came), "{came} of 200 came");
    assert!(namespace.lost() >= 40);
    namespace.limit_kbps(Some(300));
    namespace.limit_kbps(None);
}
