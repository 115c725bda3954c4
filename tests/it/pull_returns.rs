//! Sources that go away or freeze and come back: what is said meanwhile, how soon they are received again, and that the
//! endpoint keeps its connection.

use std::cell::RefCell;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::process::{Tool, free_port};
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::source::{Files, RtmpServer, offer, pull, wait_cause, wait_receiving};

const STREAM: &str = "live/pulled";

/// Pulls `url`; takes the source away, waits for a cause that holds `words`, and brings it back.
#[track_caller]
fn assert_returns(scheme: &str, url: &str, words: &str, take_away: impl FnOnce(), bring_back: impl FnOnce()) {
    let settings = vec![("PULL__SILENCE_TIMEOUT_MS", "2000".to_owned()), ("STREAM__HOLD_MS", "60000".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let receiver = Receiver::listen();
    pull(&service, STREAM, url, json!({ "endPointList": [{ "endpointUrl": receiver.url() }] }));
    receiver.wait_seconds(3.0);
    take_away();
    let error = wait_cause(&service, STREAM, words);
    bring_back();
    let came_back = wait_receiving(&service, STREAM);
    receiver.wait_more(4.0);
    println!("{scheme}: media again {came_back:?} after the source was back; it was gone: {}", error["cause"]);
    assert_eq!(receiver.connections(), 1, "{scheme}: the endpoint stayed connected");
    let verdict = receiver.verdict();
    assert_eq!((verdict.continuity_errors, verdict.pcr_backward), (0, 0), "{scheme}: {:?}", verdict.faults);
}

/// The same with a program of ffmpeg's that is killed and started again.
#[track_caller]
fn assert_offer_returns(scheme: &str, url: &str, words: &str, output: &str) {
    let sample = Sample::of(sample::H264_AAC);
    let source: RefCell<Option<Tool>> = RefCell::new(Some(offer(&sample, output)));
    let again = || *source.borrow_mut() = Some(offer(&sample, output));
    assert_returns(scheme, url, words, || *source.borrow_mut() = None, again);
}

#[test]
fn an_srt_source_returns() {
    let url = format!("srt://127.0.0.1:{}", free_port());
    assert_offer_returns("srt", &url, "", &format!("-f mpegts {url}?mode=listener"));
}

#[test]
fn a_udp_source_returns() {
    let url = format!("udp://127.0.0.1:{}", free_port());
    assert_offer_returns("udp", &url, "no media has come", &format!("-f mpegts {url}?pkt_size=1316"));
}

#[test]
fn an_http_source_returns() {
    let url = format!("http://127.0.0.1:{}/x", free_port());
    assert_offer_returns("http", &url, "", &format!("-f mpegts -listen 1 {url}"));
}

#[test]
fn an_rtmp_source_returns() {
    let server = RtmpServer::start();
    assert_offer_returns("rtmp", &server.url(), "", &format!("-f flv {}", server.url()));
}

#[test]
fn an_hls_server_returns_after_its_death_and_after_standing_still() {
    let (sample, files) = (Sample::of(sample::H264_AAC), RefCell::new(Files::start()));
    let at = files.borrow().path().display().to_string();
    let _source =
        offer(&sample, &format!("-f hls -hls_time 1 -hls_list_size 8 -hls_flags delete_segments {at}/x.m3u8"));
    let url = files.borrow().url("x.m3u8");
    let die = || files.borrow_mut().kill();
    assert_returns("hls, killed", &url, "refused", die, || files.borrow_mut().start_again());
    let stop = || files.borrow().tool().signal(Signal::SIGSTOP);
    assert_returns("hls, frozen", &url, "", stop, || files.borrow().tool().signal(Signal::SIGCONT));
}
