//! RTMP in, SRT out: every shape of RTMP publisher reaches a receiver unharmed.
//!
//! ffmpeg 5 cannot put HEVC into FLV, so those publishers are the small client of `support::rtmp_client`, with
//! ffmpeg's own HEVC in tags written from the specifications.

use crate::support::check::{assert_each_restreamed, assert_restreamed};
use crate::support::flv::{Tag, Wrapping, tags};
use crate::support::publisher::Publisher;
use crate::support::receiver::{Decoder, Receiver};
use crate::support::rtmp_client::TagFeed;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;

/// Seconds of media that each receiver is judged on.
const JUDGED_S: f64 = 6.0;

#[test]
fn an_ffmpeg_over_rtmp_reaches_an_srt_receiver_unharmed() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = Publisher::rtmp(&service, "live/test", &sample);
    service.api.wait_live("live/test");

    let broadcast = service.api.broadcast("live/test").unwrap();
    assert_eq!(broadcast["publishType"], "RTMP", "{broadcast}");

    let (receiver, mut decoder) = (Receiver::listen(), Decoder::listen(4));
    for url in [receiver.url(), decoder.url()] {
        let id = service.api.add_endpoint("live/test", &url);
        service.api.wait_endpoint("live/test", &id, "broadcasting");
    }
    receiver.wait_seconds(JUDGED_S);
    assert_restreamed("H.264 with B-frames and AAC", &sample, &receiver, JUDGED_S);
    decoder.assert_decodes("H.264 with B-frames and AAC");
}

#[test]
fn a_stream_of_one_track_over_rtmp_flows_as_well() {
    let cases = [("live/pictures", sample::H264_ONLY, ()), ("live/sound", sample::AAC_ONLY, ())];
    assert_each_restreamed("RTMP", JUDGED_S, cases, |service, stream, sample, ()| {
        Publisher::rtmp(service, stream, sample)
    });
}

#[test]
fn hevc_and_enhanced_rtmp_reach_an_srt_receiver_unharmed() {
    let cases = [
        ("live/hevc-enhanced", sample::H265_AAC, Wrapping::Enhanced),
        ("live/hevc-id-12", sample::H265_AAC, Wrapping::Legacy),
        ("live/avc-enhanced", sample::H264_AAC, Wrapping::Enhanced),
        ("live/avc-opus", sample::H264_OPUS, Wrapping::Enhanced),
    ];
    assert_each_restreamed("RTMP", JUDGED_S, cases, |service, stream, sample, wrapping| {
        TagFeed::start(service.ports.rtmp, stream, own_clock(tags(&sample.capture(), wrapping)))
    });
}

/// Each tag with its own time as RTMP time stamp.
fn own_clock(tags: Vec<Tag>) -> Vec<(u32, Tag)> {
    tags.into_iter().map(|tag| (u32::try_from(tag.dts_ms).expect("samples are short"), tag)).collect()
}
