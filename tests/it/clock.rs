//! The clock a receiver is given: every picture and sound arrives before it is due.
//!
//! A hardware decoder runs on PCR; what comes after its decoding time is lost to it (ISO/IEC 13818-1, 2.4.2).
//! ffmpeg packs up to 350 ms of sound into one PES packet, so over SRT sound lies that much behind its pictures.

use crate::support::check::for_each;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;
use crate::support::ts::{Codec, Expected};

#[test]
fn nothing_arrives_after_its_decoding_time() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let cases = ["live/rtmp", "live/srt"].map(|stream| {
        let rtmp = stream.ends_with("rtmp");
        let publisher =
            if rtmp { Publisher::rtmp(&service, stream, &sample) } else { Publisher::srt(&service, stream, &sample) };
        let receiver = Receiver::listen();
        service.api.add_endpoint(stream, &receiver.url());
        (stream, receiver, publisher)
    });
    let mut expected = Expected::new(Some(Codec::H264), Some(Codec::Aac), 6.0);
    expected.margin_min_ms = Some(0.0);
    for_each(
        &cases,
        |case| case.0.to_owned(),
        |(stream, receiver, _)| {
            receiver.wait_seconds(6.0);
            receiver.verdict().assert_healthy(stream, &expected);
        },
    );
}
