//! HLS: both kinds of segments, sound in a playlist of its own, another encoder behind a discontinuity.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::check::assert_restreamed;
use crate::support::receiver::{Decoder, Receiver};
use crate::support::relay::Relay;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};
use crate::support::source::{Files, offer, pull, wait_receiving};
use crate::support::ts::{Verdict, compare};
use crate::support::wait::{LATER, wait_for};

const STREAM: &str = "live/pulled";

const DISCONTINUITY: &str = "#EXT-X-DISCONTINUITY\n";

/// Media is sent without a longer pause while one encoder follows another: what waits in the playlist, three segments of
/// a second, outlasts the start of the second one's program.
const PAUSE_MAX: Duration = Duration::from_secs(3);

fn endpoint(receiver: &Receiver) -> Value {
    json!({ "endPointList": [{ "endpointUrl": receiver.url() }] })
}

#[test]
fn hls_comes_out_at_a_steady_pace() {
    for segments in ["-hls_segment_type mpegts", "-bsf:a aac_adtstoasc -hls_segment_type fmp4"] {
        let (service, sample, files) = (Service::start(), Sample::of(sample::H264_AAC), Files::start());
        let at = files.path().display();
        let playlist = format!("-f hls -hls_time 2 -hls_list_size 6 -hls_flags delete_segments {segments} {at}/x.m3u8");
        let _source = offer(&sample, &playlist);
        let receiver = Receiver::listen();
        let url = files.url("x.m3u8");
        pull(&service, STREAM, &url, endpoint(&receiver));
        receiver.wait_seconds(6.0);
        // Segments of 2 s at once would show as seconds of media within a moment.
        let (begin, from) = (std::time::Instant::now(), receiver.seconds());
        receiver.wait_seconds(from + 6.0);
        let pace = 6.0 / begin.elapsed().as_secs_f64();
        assert!((0.8..1.25).contains(&pace), "{segments}: {pace:.2} s of media a second");
        assert_restreamed(segments, &sample, &receiver, 11.0);
    }
}

#[test]
fn sound_in_a_playlist_of_its_own_comes_with_the_pictures() {
    let (service, sample, files) = (Service::start(), Sample::of(sample::H264_AAC), Files::start());
    let at = files.path().display();
    let list = |name: &str| {
        format!("-f hls -hls_time 2 -hls_list_size 8 -hls_segment_filename {at}/{name}-%d.ts {at}/{name}.m3u8")
    };
    let _source = offer(&sample, &format!("-an {} -map 0:a -c copy {}", list("v"), list("a")));
    let master = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"s\",DEFAULT=YES,URI=\"a.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=800000,AUDIO=\"s\"\nv.m3u8\n";
    std::fs::write(files.path().join("x.m3u8"), master).unwrap();
    files.url("a.m3u8");
    let (receiver, mut decoder) = (Receiver::listen(), Decoder::listen(6));
    let endpoints = json!([{ "endpointUrl": receiver.url() }, { "endpointUrl": decoder.url() }]);
    pull(&service, STREAM, &files.url("x.m3u8"), json!({ "endPointList": endpoints }));
    receiver.wait_seconds(8.0);
    assert_restreamed("sound apart", &sample, &receiver, 8.0);
    decoder.assert_decodes("sound apart");
}

#[test]
fn another_encoder_behind_a_discontinuity_goes_on_for_the_receiver() {
    let settings = vec![("STREAM__HOLD_MS", "30000".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let files = Files::start();
    let at = files.path().display();
    let output = format!("-f hls -hls_time 1 -hls_list_size 10 -hls_flags append_list+discont_start {at}/x.m3u8");
    // Both before: one that is encoded only then keeps the playlist waiting.
    let (before, behind) = (Sample::of(sample::H264_AAC), Sample::of(sample::OTHER_H264_AAC));
    let first = offer(&before, &output);
    let receiver = Receiver::listen();
    let relay = Relay::to(receiver.port);
    pull(&service, STREAM, &files.url("x.m3u8"), json!({ "endPointList": [{ "endpointUrl": relay.url() }] }));
    receiver.wait_seconds(3.0);
    relay.take_longest_pause();
    drop(first);
    let list = || std::fs::read_to_string(files.path().join("x.m3u8")).unwrap();
    // Ten segments stay in the playlist, and the tag stands before the newest.
    let tags = list().matches(DISCONTINUITY).count();
    let _second = offer(&behind, &output);
    wait_for(LATER, "a segment of the other encoder is there, behind a discontinuity", || {
        let list = list();
        let (_, behind) = list.rsplit_once(DISCONTINUITY).unwrap_or_default();
        let there = list.matches(DISCONTINUITY).count() > tags && behind.contains(".ts");
        if there { Ok(()) } else { Err(list) }
    });
    receiver.wait_more(10.0);
    wait_receiving(&service, STREAM);
    assert_eq!(receiver.connections(), 1, "the endpoint stayed connected");
    let pause = relay.take_longest_pause();
    assert!(pause < PAUSE_MAX, "nothing was sent for {pause:?}");
    let capture = receiver.capture();
    let verdict = Verdict::of(&capture);
    assert_eq!((verdict.continuity_errors, verdict.pcr_backward), (0, 0), "{:?}", verdict.faults);
    let came = compare(&behind.capture(), &capture);
    assert!(came.video.matched > 50 && came.audio.matched > 50, "of the other encoder: {came}");
}
