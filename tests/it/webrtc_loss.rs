//! A bad network: packets lost in both directions, and a line that is too narrow for a while. In a network
//! namespace, so as root only.

use crate::support::http::path;
use crate::support::namespace::Namespace;
use crate::support::receiver::Receiver;
use crate::support::service::{Options, Service};
use crate::support::wait::LATER;
use crate::support::webrtc::{Page, assert_decodes, expected, reached_from, since_key_frame, whip_url_from};

/// Of each direction's packets.
const LOST_PERCENT: u32 = 5;

/// Narrower than the browser's wish of 1200 kb/s, and than the sound and pictures of a good size.
const NARROW_KBPS: u32 = 300;

/// How long each trouble lasts.
const TROUBLE_S: f64 = 8.0;

#[test]
fn lost_packets_and_a_narrow_line_leave_the_output_whole() {
    let Some(namespace) = Namespace::make() else { return };
    let mut service = Service::start_with(Options { settings: reached_from(&namespace), ..Options::default() });
    let page = Page::open_in(&namespace);
    let url = whip_url_from(&service, &namespace);
    page.browser.eval(&format!("publisher.whip('{url}', await publisher.flash(), {{ kbps: 1200 }})"));
    service.api.wait_live("live/test");
    let receiver = Receiver::listen();
    service.api.add_endpoint("live/test", &receiver.url());
    receiver.wait_seconds(3.0);

    namespace.lose_percent(LOST_PERCENT);
    receiver.wait_more(TROUBLE_S);
    let lost = namespace.lost();
    let sent = page.sending("video");
    println!("{lost} packets lost; the browser's figures: {sent}");
    assert!(lost > 20, "only {lost} packets were lost");
    assert!(sent["nacks"].as_u64() > Some(0) && sent["retransmitted"].as_u64() > Some(0), "{sent}");
    namespace.lose_percent(0);

    namespace.limit_kbps(Some(NARROW_KBPS));
    receiver.wait_more(TROUBLE_S);
    namespace.limit_kbps(None);
    // A key frame later the picture is whole again.
    receiver.wait_more(4.0);
    let healed = receiver.received();
    receiver.wait_more(4.0);

    let (_, statistics) = service.api.get(&path("live/test", "/statistics"));
    let ingest = &statistics["ingest"];
    assert!(ingest["lostPackets"].as_u64() > Some(0) && ingest["jitterMs"].as_f64() > Some(0.0), "{statistics}");
    assert!(
        ingest["receivedPackets"].as_u64() > ingest["lostPackets"].as_u64() && ingest["rttMs"].is_null(),
        "{ingest}"
    );
    println!("{ingest}");

    page.browser.wait(LATER, "it is connected", "publisher.pc.connectionState === 'connected'");
    assert_eq!(service.api.status("live/test"), "broadcasting");
    assert_eq!(receiver.connections(), 1);
    let mut wanted = expected(true, true, 2.0 * TROUBLE_S);
    // What was lost for good and what did not fit through the line.
    for gap in [
        &mut wanted.video_gap_max_ms,
        &mut wanted.audio_gap_max_ms,
        &mut wanted.pcr_interval_max_ms,
        &mut wanted.table_interval_max_ms,
    ] {
        *gap = 1000.0 * TROUBLE_S;
    }
    receiver.verdict().assert_healthy("through loss and a narrow line", &wanted);
    let after = receiver.bytes();
    assert_decodes("after the trouble", since_key_frame(&after, healed));
    service.assert_runs();
}
