//! SRT in, SRT out: codecs, forms of the stream id, refusals.

use crate::support::check::{assert_each_restreamed, assert_restreamed, for_each};
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::wait::SOON;

/// Seconds of media that each receiver is judged on.
const JUDGED_S: f64 = 6.0;

#[test]
fn every_codec_over_srt_reaches_an_srt_receiver_unharmed() {
    let cases = [
        ("LiveApp/h264-aac", sample::H264_AAC, ()),
        ("LiveApp/h264-mp2", sample::H264_MP2, ()),
        ("LiveApp/h264-ac3", sample::H264_AC3, ()),
        ("LiveApp/h264-opus", sample::H264_OPUS, ()),
        ("LiveApp/h265-aac", sample::H265_AAC, ()),
        ("LiveApp/h264", sample::H264_ONLY, ()),
        ("LiveApp/h265", sample::H265_ONLY, ()),
        ("LiveApp/aac", sample::AAC_ONLY, ()),
    ];
    assert_each_restreamed("SRT", JUDGED_S, cases, |service, stream, sample, ()| {
        Publisher::srt(service, stream, sample)
    });
}

#[test]
fn of_several_audio_tracks_the_first_is_kept_and_the_log_says_so() {
    let service = Service::start();
    let (first, other) = (Sample::of(sample::H264_AAC), Sample::of(sample::OTHER_H264_AAC));
    let args = format!("-i {} -map 0:v -map 0:a -map 1:a -copyts -t 25 -c copy -f mpegts", other.path.display());
    let both = Sample { path: first.derived("two-sounds", &args), programme: first.programme };
    let _publisher = Publisher::srt(&service, "live/test", &both);
    let receiver = Receiver::listen();
    service.api.add_endpoint("live/test", &receiver.url());
    receiver.wait_seconds(JUDGED_S);
    assert_restreamed("the first of two audio tracks", &first, &receiver, JUDGED_S);
    let told = |line: &str| line.contains("another audio track");
    assert!(service.log().lines().any(told), "nothing in the log about the second audio track");
}

#[test]
fn every_form_of_stream_id_finds_its_stream() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let forms = [
        ("LiveApp/plain", "LiveApp/plain"),
        ("live/token,token=abc", "live/token"),
        ("#!::r=live/access,m=publish", "live/access"),
        ("#!::m=publish,r=live/order", "live/order"),
        ("#!::u=live/user", "live/user"),
        ("publish:live/prefix", "live/prefix"),
        ("live%2Fencoded", "live/encoded"),
        ("%23!::r=live%2Fwhole%2Cm=publish", "live/whole"),
        ("alone", "LiveApp/alone"),
    ];
    let publishers: Vec<Publisher> =
        forms.iter().map(|(stream_id, _)| Publisher::srt(&service, stream_id, &sample)).collect();
    for (_, stream) in forms {
        service.api.wait_live(stream);
    }
    drop(publishers);
}

#[test]
fn a_publisher_without_stream_id_gets_an_id_from_its_address() {
    let service = Service::start();
    let bytes = Sample::of(sample::H264_AAC).bytes();
    let _publisher = Publisher::feed(&format!("srt://127.0.0.1:{}", service.ports.srt), vec![bytes]);
    let live = || service.api.get("/LiveApp/rest/v2/broadcasts/list/0/10").1;
    let found = crate::support::wait::wait_for(SOON, "one stream is live", || {
        let all = live();
        let one = all
            .as_array()
            .filter(|list| list.len() == 1 && list[0]["status"] == "broadcasting")
            .map(|list| list[0].clone());
        one.ok_or_else(|| all.to_string())
    });
    assert!(found["streamId"].as_str().unwrap().contains("127"), "{found}");
}

#[test]
fn a_bad_stream_id_is_refused_with_a_reason() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let cases = [
        ("nowhere/test", "nowhere"),
        ("#!::r=live/test,m=request", "receive"),
        ("live/a/b/c", "slashes"),
        ("#!::m=publish", "stream"),
        ("live/sp%20ace", "' '"),
    ];
    for_each(
        &cases,
        |case| case.0.to_owned(),
        |(stream_id, reason)| {
            let logged = service.log().len();
            let mut publisher = Publisher::srt(&service, stream_id, &sample);
            assert!(!publisher.wait_exit(SOON).success(), "{stream_id}: ffmpeg was let in");
            let log = service.log();
            let lines: Vec<&str> = log[logged..].lines().filter(|line| line.contains("refused")).collect();
            assert!(lines.len() == 1 && lines[0].contains(reason), "{stream_id}: logged {lines:?}");
        },
    );
    for app in ["live", "LiveApp"] {
        let (_, count) = service.api.get(&format!("/{app}/rest/v2/broadcasts/active-live-stream-count"));
        assert_eq!(count["number"], 0, "something was let in");
    }
}
