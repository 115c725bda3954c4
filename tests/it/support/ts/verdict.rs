//! Figures of a capture and what is wrong with them.
//!
//! Knows nothing of the source; what was lost against it is [`super::compare`]'s. The hard thing: intervals
//! are measured on the stream's own clock (PCR), so that a busy machine never makes a good stream look bad.

use std::fmt;

use super::ms;
use super::packets::{Capture, Track};
use super::units::{self, Codec, Kind, Unit};

/// Longest interval between PATs and between PMTs that a receiver is promised.
const TABLE_INTERVAL_MAX_MS: f64 = 100.0;

/// Longest interval between PCRs (ISO/IEC 13818-1, 2.7.2).
const PCR_INTERVAL_MAX_MS: f64 = 100.0;

/// Longest hole between two pictures at 25/s that is not called a gap: one and a half pictures.
const VIDEO_GAP_MAX_MS: f64 = 60.0;

/// Longest hole between the end of one audio frame and the start of the next: RTMP's and FLV's rounding to
/// whole milliseconds on both sides.
const AUDIO_GAP_MAX_MS: f64 = 2.5;

/// Pictures at the end of a capture whose neighbours may not have come yet.
const REORDER_MAX: usize = 4;

/// What a good capture must hold.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The video track, or that there is none.
    pub video: Option<Codec>,
    /// The audio track, or that there is none.
    pub audio: Option<Codec>,
    /// Shortest length on the stream's clock.
    pub seconds_min: f64,
    /// Longest hole in each track.
    pub video_gap_max_ms: f64,
    /// As above.
    pub audio_gap_max_ms: f64,
    /// Longest interval between two PCRs.
    pub pcr_interval_max_ms: f64,
    /// Longest interval between PATs and between PMTs.
    pub table_interval_max_ms: f64,
    /// Least time from the clock to a unit's decoding time at its arrival, where it is judged.
    pub margin_min_ms: Option<f64>,
}

impl Expected {
    /// These two tracks, at least so many seconds of them, without a hole.
    pub fn new(video: Option<Codec>, audio: Option<Codec>, seconds_min: f64) -> Self {
        Self {
            video,
            audio,
            seconds_min,
            video_gap_max_ms: VIDEO_GAP_MAX_MS,
            audio_gap_max_ms: AUDIO_GAP_MAX_MS,
            pcr_interval_max_ms: PCR_INTERVAL_MAX_MS,
            table_interval_max_ms: TABLE_INTERVAL_MAX_MS,
            margin_min_ms: None,
        }
    }
}

/// Figures of one track.
#[derive(Debug, Clone)]
pub struct TrackFigures {
    /// What it carries.
    pub codec: Codec,
    /// Its access units or frames.
    pub units: Vec<Unit>,
    /// Largest hole: between pictures in order of presentation, or between the end of an audio frame and the next.
    pub gap_max_ms: f64,
    /// Where the hole begins, in seconds after the track's first unit.
    pub gap_at_s: f64,
    /// How often decoding times failed to rise.
    pub dts_backward: usize,
    /// Least distance from the clock to the decoding time when its first byte arrives; negative means too late.
    pub margin_min_ms: f64,
}

impl TrackFigures {
    /// Holes between pictures, in order of presentation, that are longer than this: after how many seconds, how long.
    pub fn holes_ms(&self, limit_ms: f64) -> Vec<(f64, f64)> {
        let mut times: Vec<i64> = self.units.iter().map(|unit| unit.pts).collect();
        times.sort_unstable();
        // The last few may still miss a B-frame that has not come.
        let known = &times[..times.len().saturating_sub(REORDER_MAX)];
        let holes = known.windows(2).map(|pair| (ms(pair[0] - known[0]) / 1000.0, ms(pair[1] - pair[0])));
        holes.filter(|(_, hole)| *hole > limit_ms).collect()
    }
}

/// How the capture begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// First packet PAT, second PMT.
    pub tables_first: bool,
    /// The first picture is a key frame with its parameter sets.
    pub key_first: bool,
    /// No audio that ended before the first key frame's decoding time.
    pub nothing_older: bool,
}

/// What is to be said of a capture.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Length on the stream's clock.
    pub seconds: f64,
    /// Transport packets.
    pub packets: usize,
    /// Faults of the packet layer and of the payload, readable.
    pub faults: Vec<String>,
    /// Continuity errors (also among `faults`).
    pub continuity_errors: usize,
    /// Largest interval between PATs.
    pub pat_interval_max_ms: f64,
    /// Largest interval between PMTs.
    pub pmt_interval_max_ms: f64,
    /// Largest interval between PCRs.
    pub pcr_interval_max_ms: f64,
    /// How often the clock went back.
    pub pcr_backward: usize,
    /// How it begins.
    pub opening: Opening,
    /// Key frames after the first without PAT and PMT since the picture before.
    pub keys_without_tables: usize,
    /// The video track.
    pub video: Option<TrackFigures>,
    /// The audio track.
    pub audio: Option<TrackFigures>,
}

/// Where pictures go on behind a hole.
#[derive(Debug, Clone, Copy)]
pub struct Resumed<'a> {
    /// The first one.
    pub picture: &'a Unit,
    /// The hole before it; 0 before the very first picture.
    pub hole_ms: f64,
}

impl TrackFigures {
    /// The first picture at or behind a packet that has a longer hole before it, or nothing.
    pub fn resumed(&self, from_packet: usize, hole_min_ms: f64) -> Option<Resumed<'_>> {
        let mut shown_before = None;
        for picture in &self.units {
            let hole_ms = shown_before.map_or(0.0, |last| ms(picture.pts - last));
            if picture.packet >= from_packet && (shown_before.is_none() || hole_ms > hole_min_ms) {
                return Some(Resumed { picture, hole_ms });
            }
            shown_before = shown_before.max(Some(picture.pts));
        }
        None
    }
}

impl Verdict {
    /// Judges a capture.
    pub fn of(capture: &Capture) -> Self {
        let mut faults = capture.faults.clone();
        let mut figures = |kind| {
            capture.track(kind).map(|track| {
                let (figures, more) = track_figures(capture, track);
                faults.extend(more);
                figures
            })
        };
        let (video, audio) = (figures(Kind::Video), figures(Kind::Audio));
        let pcr_steps = capture.pcrs.windows(2).map(|pair| pair[1].ticks - pair[0].ticks);
        Self {
            seconds: capture.seconds(),
            packets: capture.packets,
            continuity_errors: capture.continuity_errors,
            pat_interval_max_ms: interval_max_ms(capture, &capture.pats),
            pmt_interval_max_ms: interval_max_ms(capture, &capture.pmts),
            pcr_interval_max_ms: pcr_steps.clone().max().map_or(0.0, ms),
            pcr_backward: pcr_steps.filter(|step| *step < 0).count(),
            opening: opening(capture, video.as_ref(), audio.as_ref()),
            keys_without_tables: video.as_ref().map_or(0, |video| keys_without_tables(capture, &video.units)),
            faults,
            video,
            audio,
        }
    }

    /// Reads and judges some bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of(&Capture::parse(bytes))
    }

    /// Everything that is wrong, one line each; empty when the capture is as expected.
    pub fn complaints(&self, expected: &Expected) -> Vec<String> {
        let mut out: Vec<String> = self.faults.iter().take(10).cloned().collect();
        if self.faults.len() > 10 {
            out.push(format!("… {} faults in all, {} of continuity", self.faults.len(), self.continuity_errors));
        }
        let mut check = |good: bool, text: String| {
            if !good {
                out.push(text);
            }
        };
        let at_most = |value: f64, limit: f64| value <= limit + 0.05;
        check(
            self.seconds >= expected.seconds_min,
            format!("only {:.2} s long, wanted {:.2}", self.seconds, expected.seconds_min),
        );
        check(self.opening.tables_first, "does not begin with PAT and PMT".to_owned());
        check(self.opening.key_first, "the first picture is no key frame with parameter sets".to_owned());
        check(self.opening.nothing_older, "audio from before the first key frame was sent".to_owned());
        check(
            self.keys_without_tables == 0,
            format!("{} key frames without PAT and PMT before them", self.keys_without_tables),
        );
        for (name, value, limit) in [
            ("PAT", self.pat_interval_max_ms, expected.table_interval_max_ms),
            ("PMT", self.pmt_interval_max_ms, expected.table_interval_max_ms),
            ("PCR", self.pcr_interval_max_ms, expected.pcr_interval_max_ms),
        ] {
            check(at_most(value, limit), format!("{name} interval of {value:.1} ms, allowed {limit} ms"));
        }
        check(self.pcr_backward == 0, format!("PCR went back {} times", self.pcr_backward));
        for (name, wanted, track, gap) in [
            ("video", expected.video, &self.video, expected.video_gap_max_ms),
            ("audio", expected.audio, &self.audio, expected.audio_gap_max_ms),
        ] {
            let found = track.as_ref().map(|track| track.codec);
            check(found == wanted, format!("{name}: found {found:?}, wanted {wanted:?}"));
            let Some(track) = track else { continue };
            check(!track.units.is_empty(), format!("{name}: announced, but not one unit"));
            check(track.dts_backward == 0, format!("{name}: DTS did not rise {} times", track.dts_backward));
            check(
                at_most(track.gap_max_ms, gap),
                format!("{name}: hole of {:.1} ms after {:.2} s, allowed {gap} ms", track.gap_max_ms, track.gap_at_s),
            );
            check(
                expected.margin_min_ms.is_none_or(|least| track.margin_min_ms >= least),
                format!("{name}: arrives {:.1} ms before its decoding time", track.margin_min_ms),
            );
        }
        out
    }

    /// Panics with all complaints when the capture is not as expected.
    #[track_caller]
    pub fn assert_healthy(&self, what: &str, expected: &Expected) {
        let complaints = self.complaints(expected);
        assert!(
            complaints.is_empty(),
            "{what}: the received stream is not healthy:\n  {}\n{self}",
            complaints.join("\n  ")
        );
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.2} s, {} packets, {} continuity errors; longest intervals: PAT {:.1}, PMT {:.1}, PCR {:.1} ms",
            self.seconds,
            self.packets,
            self.continuity_errors,
            self.pat_interval_max_ms,
            self.pmt_interval_max_ms,
            self.pcr_interval_max_ms
        )?;
        for track in [&self.video, &self.audio].into_iter().flatten() {
            writeln!(
                f,
                "{:?}: {} units, longest hole {:.1} ms, least margin {:.1} ms",
                track.codec,
                track.units.len(),
                track.gap_max_ms,
                track.margin_min_ms
            )?;
        }
        Ok(())
    }
}

fn track_figures(capture: &Capture, track: &Track) -> (TrackFigures, Vec<String>) {
    let (units, faults) = units::units(track);
    let dts: Vec<i64> = track.pes.iter().filter_map(|pes| pes.dts).collect();
    let (gap, gap_at) = gap_max(&units, dts.last().copied().unwrap_or(i64::MAX));
    let margins = track.pes.iter().filter_map(|pes| Some(pes.dts? - clock_before(capture, pes.packet)?));
    let figures = TrackFigures {
        codec: track.codec,
        gap_max_ms: ms(gap),
        gap_at_s: ms(gap_at - units.first().map_or(0, |unit| unit.pts)) / 1000.0,
        dts_backward: dts.windows(2).filter(|pair| pair[1] <= pair[0]).count(),
        margin_min_ms: margins.min().map_or(0.0, ms),
        units,
    };
    (figures, faults)
}

/// The largest hole and the time before it. Pictures behind the last decoding time are left out: B-frames that
/// belong before them may not have come yet when the capture ends.
fn gap_max(units: &[Unit], last_dts: i64) -> (i64, i64) {
    let mut sorted: Vec<&Unit> = units.iter().filter(|unit| unit.duration.is_some() || unit.pts <= last_dts).collect();
    if sorted.iter().all(|unit| unit.duration.is_none()) {
        sorted.sort_by_key(|unit| unit.pts);
    }
    let holes = sorted.windows(2).map(|pair| {
        let hole = pair[1].pts - pair[0].pts - pair[0].duration.unwrap_or(0);
        (hole.abs(), pair[0].pts)
    });
    holes.max().unwrap_or_default()
}

/// The last PCR at or before a packet.
fn clock_before(capture: &Capture, packet: usize) -> Option<i64> {
    let after = capture.pcrs.partition_point(|pcr| pcr.packet <= packet);
    after.checked_sub(1).map(|at| capture.pcrs[at].ticks)
}

/// Longest time between tables; each counts from the first clock sample at or after it, because it is sent just before that.
fn interval_max_ms(capture: &Capture, tables: &[usize]) -> f64 {
    let time =
        |packet: usize| capture.pcrs.get(capture.pcrs.partition_point(|pcr| pcr.packet < packet)).map(|pcr| pcr.ticks);
    let last = capture.pcrs.last().map(|pcr| pcr.ticks);
    let times: Vec<i64> = tables.iter().filter_map(|packet| time(*packet)).chain(last).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().map_or(f64::INFINITY, ms)
}

fn opening(capture: &Capture, video: Option<&TrackFigures>, audio: Option<&TrackFigures>) -> Opening {
    let first_dts = capture.track(Kind::Video).and_then(|track| track.pes.first()?.dts);
    let oldest = audio.and_then(|audio| audio.units.iter().map(|unit| unit.pts + unit.duration.unwrap_or(0)).min());
    Opening {
        tables_first: capture.pats.first() == Some(&0) && capture.pmts.first() == Some(&1),
        key_first: video.is_none_or(|video| video.units.first().is_some_and(|unit| unit.key)),
        nothing_older: first_dts.zip(oldest).is_none_or(|(dts, end)| end >= dts),
    }
}

fn keys_without_tables(capture: &Capture, pictures: &[Unit]) -> usize {
    let within = |tables: &[usize], from: usize, to: usize| tables.iter().any(|packet| (from..to).contains(packet));
    let bare = |pair: &&[Unit]| {
        let (from, to) = (pair[0].packet, pair[1].packet);
        pair[1].key && !(within(&capture.pats, from, to) && within(&capture.pmts, from, to))
    };
    pictures.windows(2).filter(bare).count()
}
