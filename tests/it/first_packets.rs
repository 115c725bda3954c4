//! What a receiver gets first: PAT, PMT, a key frame, and nothing older, whenever it is added.

use crate::support::check::assert_restreamed;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::Service;

/// Receivers added one after the other while the group of pictures (four seconds) runs.
const RECEIVERS: usize = 6;

#[test]
fn a_receiver_added_inside_a_group_of_pictures_begins_with_tables_and_the_next_key_frame() {
    let service = Service::start();
    let sample = Sample::of(sample::LONG_GOP);
    let (over_rtmp, over_srt) = ("live/rtmp", "live/srt");
    let _publishers = [Publisher::rtmp(&service, over_rtmp, &sample), Publisher::srt(&service, over_srt, &sample)];
    let mut running: Vec<(&str, Receiver)> = Vec::new();
    for stream in [over_rtmp, over_srt] {
        service.api.wait_live(stream);
        running.push((stream, Receiver::listen()));
        service.api.add_endpoint(stream, &running.last().unwrap().1.url());
    }
    running[0].1.wait_seconds(0.5);
    for n in 0..RECEIVERS {
        // The first receiver's clock tells how far the group has come: a different place for each.
        running[0].1.wait_more(0.7);
        let stream = if n % 2 == 0 { over_rtmp } else { over_srt };
        running.push((stream, Receiver::listen()));
        service.api.add_endpoint(stream, &running.last().unwrap().1.url());
    }
    for (n, (stream, receiver)) in running.iter().enumerate() {
        receiver.wait_seconds(5.0);
        assert_restreamed(&format!("receiver {n} of {stream}"), &sample, receiver, 5.0);
    }
}
