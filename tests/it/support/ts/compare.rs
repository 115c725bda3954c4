//! Two captures of the same content side by side: what the source sent and what a receiver got.
//!
//! Knows no packets. The hard thing: the two have different clocks and different first units, so units are
//! matched by their content alone; the receiver may begin and end anywhere, but must miss nothing in between.

use std::collections::HashMap;
use std::fmt;

use super::packets::Capture;
use super::units::{self, Kind, Unit};
use super::{TICKS_PER_MS, ms};

/// One track matched.
#[derive(Debug, Clone, Default)]
pub struct Matched {
    /// Received units that the source sent.
    pub matched: usize,
    /// Received units that the source never sent.
    pub foreign: usize,
    /// Units of the source between the first and the last match that did not come.
    pub lost: usize,
    /// How many came before the first lost one.
    pub lost_after: usize,
    /// Units that came more than once, or before an earlier one of the source.
    pub out_of_order: usize,
    /// Median of received minus sent presentation time, ticks: the clocks' offset as this track shows it.
    pub offset: i64,
    /// Largest distance of one unit from that median.
    pub jitter_max_ms: f64,
    /// Times of presentation of the matched units at the source, ticks: first and last.
    pub span: (i64, i64),
}

/// Both tracks matched.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// Video.
    pub video: Matched,
    /// Audio.
    pub audio: Matched,
}

/// Matches what was received with what was sent.
pub fn compare(sent: &Capture, received: &Capture) -> Comparison {
    let cut = |capture: &Capture, kind| capture.track(kind).map(|track| units::units(track).0).unwrap_or_default();
    let one = |kind| match_units(&cut(sent, kind), &cut(received, kind));
    Comparison { video: one(Kind::Video), audio: one(Kind::Audio) }
}

impl Comparison {
    /// How much later audio is against video than it was at the source, milliseconds.
    pub fn av_shift_ms(&self) -> f64 {
        ms(self.audio.offset - self.video.offset)
    }

    /// Panics unless every unit between the first and the last match came once, in order, unchanged, and
    /// nothing else came; needs at least so many seconds of each track that the source has.
    #[track_caller]
    pub fn assert_lossless(&self, what: &str, seconds_min: f64) {
        for (name, track) in [("video", &self.video), ("audio", &self.audio)] {
            if track.matched == 0 && track.foreign == 0 {
                continue;
            }
            let clean = track.lost == 0 && track.out_of_order == 0 && track.foreign == 0;
            let long = ms(track.span.1 - track.span.0) / 1000.0 >= seconds_min;
            assert!(
                clean && long,
                "{what}: {name} is not what was sent (wanted at least {seconds_min} s of it): {self}"
            );
        }
        assert!(self.video.matched + self.audio.matched > 0, "{what}: nothing of what was sent arrived");
    }

    /// Panics unless audio moved against video by less than `limit_ms`, in every single unit.
    #[track_caller]
    pub fn assert_in_sync(&self, what: &str, limit_ms: f64) {
        assert!(
            self.video.matched > 0 && self.audio.matched > 0,
            "{what}: no unit of one of the tracks arrived: {self}"
        );
        let worst = self.av_shift_ms().abs() + self.video.jitter_max_ms + self.audio.jitter_max_ms;
        assert!(
            worst < limit_ms,
            "{what}: audio moved by {worst:.1} ms against video, allowed is less than {limit_ms}: {self}"
        );
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, track) in [("video", &self.video), ("audio", &self.audio)] {
            write!(
                f,
                "{name}: {} matched over {:.2} s from {:.2} s, {} lost (from the {}th), {} out of order, {} foreign, jitter {:.1} ms; ",
                track.matched,
                ms(track.span.1 - track.span.0) / 1000.0,
                ms(track.span.0) / 1000.0,
                track.lost,
                track.lost_after + 1,
                track.out_of_order,
                track.foreign,
                track.jitter_max_ms
            )?;
        }
        write!(f, "audio later than video by {:.1} ms", self.av_shift_ms())
    }
}

fn match_units(sent: &[Unit], received: &[Unit]) -> Matched {
    let mut places: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, unit) in sent.iter().enumerate() {
        places.entry(unit.hash).or_default().push(at);
    }
    let mut out = Matched::default();
    let mut seen: Vec<usize> = Vec::new();
    let mut offsets: Vec<i64> = Vec::new();
    for unit in received {
        let Some(candidates) = places.get(&unit.hash) else {
            out.foreign += 1;
            continue;
        };
        // Equal units (silence) are told apart by their place: the first one behind the last match.
        let behind = seen.last().and_then(|last| candidates.iter().find(|at| *at > last));
        let at = *behind.unwrap_or(&candidates[0]);
        if seen.last().is_some_and(|last| at <= *last) {
            out.out_of_order += 1;
        }
        seen.push(at);
        offsets.push(unit.pts - sent[at].pts);
    }
    out.matched = seen.len();
    let (Some(first), Some(last)) = (seen.iter().min().copied(), seen.iter().max().copied()) else { return out };
    let mut distinct = seen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    out.lost = last - first + 1 - distinct.len();
    out.lost_after = distinct.windows(2).take_while(|pair| pair[1] == pair[0] + 1).count() + 1;
    out.span = (sent[first].pts, sent[last].pts);
    let mut sorted = offsets.clone();
    sorted.sort_unstable();
    out.offset = sorted[sorted.len() / 2];
    let worst = offsets.iter().map(|offset| (offset - out.offset).abs()).max().unwrap_or(0);
    out.jitter_max_ms = worst as f64 / TICKS_PER_MS as f64;
    out
}
