//! Numbers that are true: of a stream whose encoder is known, of an endpoint whose receiver goes and comes back, of ways
//! that lose packets.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::http::path;
use crate::support::process::Tool;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::relay::{Relay, To, Way};
use crate::support::sample::{self, Sample, words};
use crate::support::service::{Options, Service};
use crate::support::wait::wait_for;

const STREAM: &str = "live/test";

/// Ten seconds must be known before anything is advised, and a connection made before.
const ADVISED_MAX: Duration = Duration::from_secs(40);

/// 30000/1001 pictures a second, a key frame every 45 of them, a tone of -20 dBFS left and -26 dBFS right (ffmpeg's
/// sine has an eighth of full scale).
fn known_encoder(output: &str) -> Publisher {
    let args = format!(
        "-hide_banner -v warning -nostdin -re -f lavfi -i testsrc=size=256x144:rate=30000/1001 \
         -re -f lavfi -i sine=frequency=1000:sample_rate=48000 \
         -af volume=0.8,pan=stereo|c0=c0|c1=0.5*c0 -c:a aac -b:a 96k \
         -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 45 -keyint_min 45 -sc_threshold 0 -b:v 300k {output}"
    );
    Publisher::of(Tool::start("ffmpeg", words(&args), Stdio::null(), Stdio::null()))
}

#[track_caller]
fn statistics(service: &Service) -> Value {
    let (status, statistics) = service.api.get(&path(STREAM, "/statistics"));
    assert_eq!(status, 200, "{statistics}");
    statistics
}

#[track_caller]
fn endpoint(service: &Service, id: &str) -> Value {
    let (status, endpoint) = service.api.get(&path(STREAM, &format!("/endpoints/{id}")));
    assert_eq!(status, 200, "{endpoint}");
    endpoint
}

/// Waits until statistics have ten full seconds: a rate of the last ten, and a level.
#[track_caller]
fn wait_known(service: &Service) -> Value {
    let begin = Instant::now();
    wait_for(ADVISED_MAX, "twelve seconds of a stream are known", || {
        let seen = statistics(service);
        let levels = seen["tracks"][1]["levels"].as_array().is_some_and(|levels| !levels.is_empty());
        let known = begin.elapsed() > Duration::from_secs(12) && levels;
        if known { Ok(seen) } else { Err(seen.to_string()) }
    })
}

#[track_caller]
fn assert_near(seen: &Value, pointer: &str, wanted: f64, tolerance: f64) {
    let value = seen.pointer(pointer).and_then(Value::as_f64);
    let near = value.is_some_and(|value| (value - wanted).abs() <= tolerance);
    assert!(near, "{pointer} is {value:?}, wanted {wanted} ± {tolerance}: {seen}");
}

#[test]
fn a_streams_numbers_are_those_of_its_encoder() {
    let service = Service::start();
    let _publisher = known_encoder(&format!("-f flv rtmp://127.0.0.1:{}/{STREAM}", service.ports.rtmp));
    service.api.wait_live(STREAM);
    let seen = wait_known(&service);
    assert_eq!(seen["publishType"], "RTMP");
    assert_eq!(seen["ingest"], Value::Null, "TCP tells nothing of its losses");
    let (video, audio) = (&seen["tracks"][0], &seen["tracks"][1]);
    assert_eq!((&video["kind"], &video["codec"]), (&"video".into(), &"H264".into()));
    assert_eq!((&video["widthPx"], &video["heightPx"]), (&256.into(), &144.into()));
    assert_near(&seen, "/tracks/0/frameRateFps", 30_000.0 / 1_001.0, 0.05);
    assert_near(&seen, "/tracks/0/keyFrameIntervalMs", 1_501.5, 2.0);
    assert_near(&seen, "/tracks/0/keyFrameIntervalMaxMs", 1_501.5, 2.0);
    assert_eq!((&audio["codec"], &audio["sampleRateHz"]), (&"AAC".into(), &48_000.into()));
    assert_eq!(audio["channels"], 2);
    for (pointer, peak) in [("/tracks/1/levels/0", -20.0), ("/tracks/1/levels/1", -26.0)] {
        assert_near(&seen, &format!("{pointer}/peakDbfs"), peak, 1.0);
        assert_near(&seen, &format!("{pointer}/rmsDbfs"), peak - 3.0, 1.0);
    }
    assert_near(&seen, "/tracks/1/bitrate10sBps", 96_000.0, 20_000.0);
    let bytes: f64 = (0..2).filter_map(|n| seen["tracks"][n]["receivedBytes"].as_f64()).sum();
    assert_eq!(seen["stream"]["receivedBytes"].as_f64(), Some(bytes));
    assert_eq!(seen["stream"]["timestampJumps"], 0);
    for track in [video, audio] {
        assert_eq!((&track["droppedUnits"], &track["disorderedUnits"]), (&0.into(), &0.into()), "{track}");
    }
}

#[test]
fn sound_is_not_decoded_where_that_is_switched_off() {
    let settings = vec![("STREAM__AUDIO_LEVEL", "false".to_owned())];
    let service = Service::start_with(Options { settings, ..Options::default() });
    let _publisher = known_encoder(&format!("-f flv rtmp://127.0.0.1:{}/{STREAM}", service.ports.rtmp));
    service.api.wait_live(STREAM);
    wait_for(ADVISED_MAX, "four seconds of sound have come", || {
        let seen = statistics(&service);
        let come = seen["tracks"][1]["receivedUnits"].as_u64().is_some_and(|units| units > 4 * 47);
        if come { Ok(()) } else { Err(seen.to_string()) }
    });
    assert_eq!(statistics(&service)["tracks"][1]["levels"], Value::Array(Vec::new()));
}

#[test]
fn what_an_endpoint_has_sent_never_falls_when_its_receiver_goes_and_comes_back() {
    let service = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let _publisher = Publisher::rtmp(&service, STREAM, &sample);
    let mut receiver = Receiver::listen();
    let id = service.api.add_endpoint(STREAM, &receiver.url());
    receiver.wait_seconds(4.0);
    let first_run = receiver.bytes().len() as u64;
    receiver.kill();

    let counters = ["sentBytes", "sentPackets", "retransmittedBytes", "lostPackets", "droppedBytes", "passedUnits"];
    let mut highest = [0; 6];
    let mut look = |what: &str| {
        let seen = endpoint(&service, &id);
        for (counter, highest) in counters.into_iter().zip(&mut highest) {
            let now = seen["statistics"][counter].as_u64().unwrap_or_else(|| panic!("no {counter} in {seen}"));
            assert!(now >= *highest, "{counter} fell from {highest} to {now} {what}");
            *highest = now;
        }
        seen
    };
    let between = wait_for(ADVISED_MAX, "the endpoint has given the connection up", || {
        let seen = look("while its receiver was gone");
        if seen["statistics"]["connectedSince"].is_null() { Ok(seen) } else { Err(seen["state"].to_string()) }
    });
    assert_eq!(between["statistics"]["rttMs"], Value::Null, "{between}");
    receiver.start();
    let last = wait_for(ADVISED_MAX, "the receiver has four more seconds", || {
        let seen = look("when its receiver came back");
        let (seconds, connected) = (receiver.seconds(), seen["statistics"]["connectedSince"].is_number());
        if seconds >= 4.0 && connected { Ok(seen) } else { Err(format!("{seconds:.1} s, {connected}")) }
    });
    assert_eq!(last["statistics"]["reconnects"], 1, "{last}");
    // Of a connection that breaks the last second is not known, and the one that runs was sampled a second ago.
    let (sent, received) =
        (last["statistics"]["sentBytes"].as_u64().unwrap(), first_run + receiver.bytes().len() as u64);
    let second = sample.bytes().len() as u64 / u64::from(sample.programme.seconds);
    assert!(sent + 4 * second >= received, "{sent} bytes sent, {received} received");
    assert!(last["statistics"]["sendRateBps"].as_u64().unwrap() > 4 * second, "{last}");
    assert_eq!(last["statistics"]["encryption"], "none");
}

#[test]
fn lossy_ways_show_their_loss_and_are_advised_more_latency() {
    let service = Service::start();
    let lossy = Way { delay: Duration::from_millis(40), loss: 0.05, ..Way::default() };
    let (way_in, receiver_port) = (Relay::to(service.ports.srt), crate::support::process::free_port());
    way_in.set_both(Way { loss: 0.0, ..lossy });
    way_in.set(To::Receiver, lossy);
    let _publisher = known_encoder(&format!(
        "-f mpegts srt://127.0.0.1:{}?streamid={STREAM}&pkt_size=1316&latency=120000",
        way_in.port
    ));
    service.api.wait_live(STREAM);
    let listen = format!("srt://127.0.0.1:{receiver_port}?mode=listener&latency=120");
    let _receiver = Receiver::with_address(receiver_port, &listen);
    let way_out = Relay::to(receiver_port);
    way_out.set_both(Way { loss: 0.0, ..lossy });
    way_out.set(To::Receiver, lossy);
    let id = service.api.add_endpoint(STREAM, &format!("{}?latency=120", way_out.url()));
    let (ingest, sent) = wait_for(ADVISED_MAX, "both ways are advised", || {
        let (ingest, endpoint) = (statistics(&service)["ingest"].clone(), endpoint(&service, &id));
        let known = ingest["advice"].is_object() && endpoint["advice"].is_object();
        if known { Ok((ingest, endpoint)) } else { Err(format!("{ingest} {}", endpoint["statistics"])) }
    });
    for (what, statistics, advice) in
        [("in", &ingest, &ingest["advice"]), ("out", &sent["statistics"], &sent["advice"])]
    {
        assert_near(statistics, "/lossRatio", 0.05, 0.03);
        assert_near(statistics, "/rttMs", 85.0, 30.0);
        assert!(statistics["lostPackets"].as_u64() > Some(0), "{what}: {statistics}");
        assert_eq!(advice["enough"], false, "{what}: {advice}");
        let (wanted, present) = (advice["latencyMs"].as_u64(), statistics["latencyMs"].as_u64());
        assert!(wanted > present && wanted >= Some(320), "{what}: {wanted:?} where there is {present:?}: {advice}");
    }
    assert!(ingest["retransmittedPackets"].as_u64() > Some(0), "{ingest}");
    assert_eq!(ingest["encryption"], "none");
}
