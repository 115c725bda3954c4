//! Streams as metrics, and the sums that make counters of what is counted anew with each publication.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::registry::Unit;

use super::Scrape;
use super::endpoints::timestamp;
use super::page::{About, Page};
use crate::manager::{BroadcastStatus, StreamSurvey};
use crate::model::ids::StreamKey;
use crate::model::ingest::IngestStatistics;
use crate::model::track::{TrackInfo, TrackStatistics};
use crate::stream::StreamSnapshot;

/// With what begins to count anew.
type OfStream = (About, fn(&StreamSurvey) -> Option<u64>, fn(&StreamSnapshot) -> u64);
/// Nothing where the publisher's protocol does not tell.
type OfIngest = (About, fn(&IngestStatistics) -> Option<u64>);
type OfTrack = (About, fn(&TrackStatistics) -> u64);

const STREAM_COUNTERS: [OfStream; 2] = [
    (
        ("srt_restream_stream_received", Some(Unit::Bytes), "Payload of all tracks taken in"),
        |it| it.publication,
        |it| it.received_bytes,
    ),
    (
        ("srt_restream_stream_timestamp_jumps", None, "Jumps of the source's clock; the stream's own time went on"),
        // The stream's time goes on from publication to publication.
        |it| it.run,
        |it| it.timestamp_jumps,
    ),
];

const INGEST_COUNTERS: [OfIngest; 5] = [
    (
        (
            "srt_restream_ingest_received_packets",
            None,
            "Packets of an SRT or WebRTC publisher, duplicates left out (libsrt pktRecvUniqueTotal; RTP packets-received)",
        ),
        |it| Some(it.received_packets),
    ),
    (
        (
            "srt_restream_ingest_lost_packets",
            None,
            "Packets missing: by SRT when they were due (libsrt pktRcvLossTotal), by WebRTC for good (RTP packets-lost)",
        ),
        |it| Some(it.lost_packets),
    ),
    (
        (
            "srt_restream_ingest_retransmitted_packets",
            None,
            "SRT alone: packets that came by retransmission (libsrt pktRcvRetrans)",
        ),
        |it| it.retransmitted_packets,
    ),
    (
        (
            "srt_restream_ingest_dropped_packets",
            None,
            "SRT alone: packets that came too late or never (libsrt pktRcvDropTotal)",
        ),
        |it| it.dropped_packets,
    ),
    (
        (
            "srt_restream_ingest_undecrypted_packets",
            None,
            "SRT alone: packets that could not be decrypted (libsrt pktRcvUndecryptTotal)",
        ),
        |it| it.undecrypted_packets,
    ),
];

const TRACK_COUNTERS: [OfTrack; 4] = [
    (("srt_restream_track_received", Some(Unit::Bytes), "Payload of a track taken in"), |it| it.received_bytes),
    (("srt_restream_track_received_units", None, "Access units of a track taken in"), |it| it.received_units),
    (
        (
            "srt_restream_track_dropped_units",
            None,
            "Access units dropped before the stream: no key frame yet, or it did not keep up",
        ),
        |it| it.dropped_units,
    ),
    (
        ("srt_restream_track_disordered_units", None, "Access units moved behind the one before in decoding time"),
        |it| it.disordered_units,
    ),
];

/// Which counter of which stream, and of which track where it is one's.
type Counter = (StreamKey, &'static str, &'static str);

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    /// Of publications that are over; of runs of the stream, where it is counted by those.
    before: u64,
    /// Of the last one, when it was read last.
    last: u64,
    /// Which one that is; smaller figures alone would not tell one that has soon caught up with the one before.
    of: u64,
}

/// What has been counted of streams over all publications, as far as it was read: a counter never goes back while the
/// service runs. What comes between the last scrape and the end of a publication is not seen.
#[derive(Debug, Default)]
pub(in crate::api) struct Sums(Mutex<HashMap<Counter, Sum>>);

impl Sums {
    /// Adds what is counted now, forgets streams that are gone, and gives what was read with all sums. It is read under
    /// the lock: of two scrapes at a time, the older figures would else come last and be taken for another publication's.
    pub(super) fn take(&self, survey: impl FnOnce() -> Vec<StreamSurvey>) -> (Vec<StreamSurvey>, Self) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let streams = survey();
        let known: HashSet<&StreamKey> = streams.iter().map(|stream| &stream.key).collect();
        sums.retain(|(key, ..), _| known.contains(key));
        let mut add = |key: &StreamKey, name, track, of: Option<u64>, now: u64| {
            let (sum, of) = (sums.entry((key.clone(), name, track)).or_default(), of.unwrap_or(0));
            if now < sum.last || of != sum.of {
                sum.before += sum.last;
            }
            (sum.last, sum.of) = (now, of);
        };
        for (stream, snapshot) in streams.iter().filter_map(|stream| Some((stream, stream.stream.as_ref()?))) {
            let (key, publication) = (&stream.key, stream.publication);
            for ((name, ..), of, value) in STREAM_COUNTERS {
                add(key, name, "", of(stream), value(snapshot));
            }
            for ((name, ..), value) in INGEST_COUNTERS {
                if let Some(now) = snapshot.ingest.as_ref().and_then(value) {
                    add(key, name, "", publication, now);
                }
            }
            for ((name, ..), value) in TRACK_COUNTERS {
                for track in &snapshot.tracks {
                    let kind = track.codec.kind().as_str();
                    add(key, name, kind, publication, value(&track.statistics));
                }
            }
        }
        let sums = Self(Mutex::new(sums.clone()));
        (streams, sums)
    }

    /// All sums of one counter: of which stream, which track.
    fn of(&self, wanted: &'static str) -> Vec<(StreamKey, &'static str, f64)> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = sums.iter().filter(|((_, name, _), _)| *name == wanted);
        let mut found: Vec<_> =
            found.map(|((key, _, track), sum)| (key.clone(), *track, (sum.before + sum.last) as f64)).collect();
        found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        found
    }
}

fn labels(key: &StreamKey) -> [(&'static str, &str); 2] {
    [("app", key.app.as_str()), ("stream", key.id.as_str())]
}

fn with<'a>(key: &'a StreamKey, name: &'static str, word: &'a str) -> [(&'static str, &'a str); 3] {
    [("app", key.app.as_str()), ("stream", key.id.as_str()), (name, word)]
}

pub(super) fn write(page: &mut Page<'_>, scrape: &Scrape) -> fmt::Result {
    let all = || scrape.streams.iter();
    page.gauge(
        ("srt_restream_stream_state", None, "1 for the status that it has; other statuses have no sample"),
        all().map(|stream| (with(&stream.key, "state", stream.status.as_str()), 1.0)),
    )?;
    let is_live = |stream: &StreamSurvey| stream.status == BroadcastStatus::Broadcasting;
    page.gauge(
        ("srt_restream_stream_live", None, "1 while data of a publisher flows, else 0"),
        all().map(|stream| (labels(&stream.key), f64::from(u8::from(is_live(stream))))),
    )?;
    page.gauge(
        (
            "srt_restream_stream_published_since_timestamp",
            Some(Unit::Seconds),
            "When its publisher came, seconds since 1970",
        ),
        all().filter_map(|stream| Some((labels(&stream.key), timestamp(stream.since?)))),
    )?;
    for (about, ..) in STREAM_COUNTERS {
        let sums = scrape.sums.of(about.0);
        page.counter(about, sums.iter().map(|(key, _, sum)| (labels(key), *sum)))?;
    }
    tracks(page, scrape)?;
    ingests(page, scrape)
}

fn tracks(page: &mut Page<'_>, scrape: &Scrape) -> fmt::Result {
    let all = || {
        let live = scrape.streams.iter().filter_map(|stream| Some((&stream.key, stream.stream.as_ref()?)));
        live.flat_map(|(key, snapshot)| snapshot.tracks.iter().map(move |track| (key, track)))
    };
    page.gauge(
        ("srt_restream_track_info", None, "1, with the codec, and the one it was transcoded from"),
        all().map(|(key, track)| {
            let [app, stream, kind] = with(key, "track", track.codec.kind().as_str());
            let from = track.transcoded_from.unwrap_or_default();
            ([app, stream, kind, ("codec", track.codec.as_str()), ("transcoded_from", from)], 1.0)
        }),
    )?;
    let per_second = || Some(Unit::Other("bytes_per_second".to_owned()));
    let other = |name: &str| Some(Unit::Other(name.to_owned()));
    type Gauge = (About, fn(&TrackInfo) -> Option<f64>);
    let gauges: [Gauge; 6] = [
        (("srt_restream_track_rate", per_second(), "Over the last ten full seconds"), |it| {
            Some(it.statistics.bitrate_10s_bps as f64 / 8.0)
        }),
        (("srt_restream_track_frame_rate", other("hertz"), "Pictures in a second of the source's own time"), |it| {
            it.statistics.frame_rate
        }),
        (("srt_restream_track_width", other("pixels"), "Width of the picture"), |it| {
            it.size.map(|(width, _)| f64::from(width))
        }),
        (("srt_restream_track_height", other("pixels"), "Height of the picture"), |it| {
            it.size.map(|(_, height)| f64::from(height))
        }),
        (("srt_restream_track_key_frame_interval", Some(Unit::Seconds), "Between the last two key frames"), |it| {
            it.statistics.key_interval_ms.map(|ms| f64::from(ms) / 1e3)
        }),
        (("srt_restream_track_key_frame_interval_max", Some(Unit::Seconds), "The longest of the last minute"), |it| {
            it.statistics.key_interval_max_ms.map(|ms| f64::from(ms) / 1e3)
        }),
    ];
    for (about, value) in gauges {
        let samples =
            all().filter_map(|(key, track)| Some((with(key, "track", track.codec.kind().as_str()), value(track)?)));
        page.gauge(about, samples)?;
    }
    // The number of channels is the codec's: eight at most.
    let channels = || {
        all().flat_map(|(key, track)| {
            track.statistics.levels.iter().enumerate().map(move |(at, level)| (key, (at + 1).to_string(), level))
        })
    };
    page.gauge(
        ("srt_restream_track_audio_peak", other("dbfs"), "The highest sample of the last second, dB below full scale"),
        channels().map(|(key, channel, level)| (with_channel(key, channel), level.peak_dbfs)),
    )?;
    page.gauge(
        ("srt_restream_track_audio_rms", other("dbfs"), "The root mean square of the last second, dB below full scale"),
        channels().map(|(key, channel, level)| (with_channel(key, channel), level.rms_dbfs)),
    )?;
    for (about, _) in TRACK_COUNTERS {
        let sums = scrape.sums.of(about.0);
        page.counter(about, sums.iter().map(|(key, track, sum)| (with(key, "track", track), *sum)))?;
    }
    Ok(())
}

fn with_channel(key: &StreamKey, channel: String) -> [(&'static str, String); 3] {
    [("app", key.app.to_string()), ("stream", key.id.to_string()), ("channel", channel)]
}

fn ingests(page: &mut Page<'_>, scrape: &Scrape) -> fmt::Result {
    let all = || {
        scrape.streams.iter().filter_map(|stream| Some((labels(&stream.key), stream.stream.as_ref()?.ingest.as_ref()?)))
    };
    type Gauge = (About, fn(&IngestStatistics) -> Option<f64>);
    let seconds = || Some(Unit::Seconds);
    let gauges: [Gauge; 6] = [
        (("srt_restream_ingest_rtt", seconds(), "Round-trip time to the publisher now (libsrt msRTT)"), |it| {
            it.rtt_ms.map(|ms| ms / 1e3)
        }),
        (("srt_restream_ingest_rtt_p95", seconds(), "What 95 % of its samples of the last minute were below"), |it| {
            it.rtt_p95_ms.map(|ms| ms / 1e3)
        }),
        (
            (
                "srt_restream_ingest_loss",
                Some(Unit::Other("ratio".to_owned())),
                "Of an SRT or WebRTC publisher: lost packets of the last minute, 0 to 1",
            ),
            |it| Some(it.loss_ratio),
        ),
        (
            (
                "srt_restream_ingest_receive_buffer",
                seconds(),
                "Media that waits in the receive buffer (libsrt msRcvBuf)",
            ),
            |it| it.receive_buffer_ms.map(|ms| f64::from(ms) / 1e3),
        ),
        (("srt_restream_ingest_latency", seconds(), "The latency that both sides agreed on (SRTO_RCVLATENCY)"), |it| {
            it.latency_ms.map(|ms| f64::from(ms) / 1e3)
        }),
        (
            (
                "srt_restream_ingest_advised_latency",
                seconds(),
                "The latency that RTT and loss of the last minute ask for",
            ),
            |it| it.advice.as_ref().map(|advice| f64::from(advice.latency_ms) / 1e3),
        ),
    ];
    for (about, value) in gauges {
        page.gauge(about, all().filter_map(|(labels, ingest)| Some((labels, value(ingest)?))))?;
    }
    for (about, _) in INGEST_COUNTERS {
        let sums = scrape.sums.of(about.0);
        page.counter(about, sums.iter().map(|(key, _, sum)| (labels(key), *sum)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A live stream.
    fn survey(run: u64, publication: u64, received_bytes: u64, timestamp_jumps: u64) -> Vec<StreamSurvey> {
        let stream = StreamSnapshot { live: true, tracks: Vec::new(), received_bytes, timestamp_jumps, ingest: None };
        vec![StreamSurvey {
            key: StreamKey { app: "live".parse().expect("app"), id: "s".parse().expect("id") },
            status: BroadcastStatus::Broadcasting,
            run: Some(run),
            publication: Some(publication),
            publish_type: None,
            since: None,
            stream: Some(stream),
            endpoints: Vec::new(),
        }]
    }

    /// Bytes and jumps.
    fn sums_of(sums: &Sums) -> [f64; 2] {
        ["srt_restream_stream_received", "srt_restream_stream_timestamp_jumps"].map(|name| {
            let [(_, _, sum)] = sums.of(name)[..] else { panic!("one {name}") };
            sum
        })
    }

    #[test]
    fn a_scrape_reads_while_no_other_one_does() {
        let sums = Sums::default();
        let (streams, taken) = sums.take(|| {
            assert!(sums.0.try_lock().is_err(), "another scrape could pass this one");
            survey(1, 1, 100, 0)
        });
        assert_eq!((streams.len(), sums_of(&taken)), (1, [100.0, 0.0]));
    }

    #[test]
    fn a_publication_that_has_passed_the_one_before_is_added_to_it() {
        let sums = Sums::default();
        for (run, publication, bytes, jumps, wanted) in [
            (1, 1, 100, 1, [100.0, 1.0]),
            (1, 1, 150, 2, [150.0, 2.0]),
            // It takes the running stream over, whose jumps go on.
            (1, 4, 400, 2, [550.0, 2.0]),
            (1, 4, 500, 3, [650.0, 3.0]),
            (5, 5, 600, 3, [1250.0, 6.0]),
            (5, 5, 0, 0, [1250.0, 6.0]),
        ] {
            let (_, taken) = sums.take(|| survey(run, publication, bytes, jumps));
            assert_eq!(sums_of(&taken), wanted, "{bytes} bytes of publication {publication}");
        }
    }
}
