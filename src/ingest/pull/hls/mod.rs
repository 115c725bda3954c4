//! HLS: a live playlist is read again and again, its segments are fetched in order and demuxed, and what comes out is
//! let go at its own pace.
//!
//! Owns which segments are fetched when. The hard thing is to stay at the right place: three target durations behind
//! the end at first (RFC 8216, section 6.3.3), every segment once after that, and where the playlist has run away, there
//! again.

mod playlist;

use std::time::{Duration, Instant};

use super::attempt::{Attempt, Feed, LOOK};
use super::bytes::NOWHERE;
use super::demux::Demux;
use super::failure::{Failure, Phase};
use super::http::{Client, REQUEST_PAUSE, pacer, wait_for_room, wait_until_gone};
use super::meter::Metered;
use super::pace::{Paced, Pacer};
use playlist::{Map, Media, Playlist, Segment};

pub(super) use playlist::Range;

/// A live stream is begun this many target durations before its end.
const BEHIND_TARGETS: u32 = 3;

/// A live stream that has just begun is waited for until its playlist holds so many target durations, or another
/// segment than at first. With one, the next segment comes just when it is wanted, and is seen half a target duration
/// later (RFC 8216, section 6.3.4): the flow would run dry, and of two renditions one before the other.
const BEGIN_TARGETS: u32 = 2;

/// A playlist that does not move is begun all the same: after so many target durations, and after this time at most, well
/// within the time that an attempt has for its first media.
const BEGIN_WAIT_TARGETS: u32 = 2;
const BEGIN_WAIT_MAX: Duration = Duration::from_secs(4);

/// Requests in a row that may fail while there is still media in the queue.
const FAILURES_MAX: u32 = 6;

/// The shortest time between two readings of a playlist, in case its target duration is next to nothing.
const RELOAD_MIN: Duration = Duration::from_millis(250);

/// A playlist without a new segment for so many target durations: the source has stopped.
const STALE_TARGETS: u32 = 4;

/// Runs until it fails or is stopped. `text` is the playlist at `base`.
pub(super) fn run(attempt: &Attempt, client: &Client<'_>, base: &str, text: &str) -> Result<(), Failure> {
    let mut renditions = renditions(client, base, text)?;
    let mut feed = attempt.publish(NOWHERE)?;
    let (pacer, door) = pacer(&feed)?;
    let mut failures = 0;
    loop {
        let mut idle = true;
        for rendition in &mut renditions {
            match rendition.step(client, &mut feed, &pacer, &door) {
                Ok(worked) => {
                    idle &= !worked;
                    failures = if worked { 0 } else { failures };
                }
                // One segment that is missing need not be seen, as long as something waits.
                Err(failure) if !failure.refused && failures < FAILURES_MAX && !pacer.level().is_zero() => {
                    failures += 1;
                    tracing::debug!(cause = failure.cause, failures, "a request failed; media still waits");
                    pause(REQUEST_PAUSE, &mut feed)?;
                }
                Err(failure) => return Err(failure),
            }
        }
        if idle {
            if renditions.iter().all(|rendition| rendition.ended()) {
                for rendition in &mut renditions {
                    rendition.finish();
                }
                wait_until_gone(&pacer, &mut feed)?;
                return Err(Failure::new(Phase::Receive, "the source ended the stream"));
            }
            pause(LOOK, &mut feed)?;
        }
    }
}

fn pause(time: Duration, feed: &mut Feed<'_>) -> Result<(), Failure> {
    std::thread::sleep(time);
    feed.check()
}

/// What is to be fetched side by side: the best variant, and its sound if that is elsewhere.
fn renditions(client: &Client<'_>, base: &str, text: &str) -> Result<Vec<Rendition>, Failure> {
    let master = match read(text)? {
        Playlist::Media(media) => return Ok(vec![Rendition::new(base.to_owned(), Some(media))]),
        Playlist::Master(master) => master,
    };
    let (best, audio) = master.best().ok_or_else(|| Failure::new(Phase::Open, "the playlist names no variant"))?;
    tracing::info!(bandwidth_bps = best.bandwidth_bps, of = master.variants.len(), "the best variant is taken");
    let mut renditions = Vec::new();
    for uri in [Some(best.uri.as_str()), audio].into_iter().flatten() {
        let address = join(base, uri)?;
        let opened = client.get(&address, None)?;
        let base = opened.uri.clone();
        match read(&opened.text()?)? {
            Playlist::Media(media) => renditions.push(Rendition::new(base, Some(media))),
            Playlist::Master(_) => return Err(Failure::new(Phase::Open, "a variant is a list of variants again")),
        }
    }
    Ok(renditions)
}

fn read(text: &str) -> Result<Playlist, Failure> {
    let read = playlist::parse(text);
    let read = read.map_err(|why| Failure::new(Phase::Open, format!("the playlist cannot be read: {why}")))?;
    match &read {
        Playlist::Media(Media { encrypted: Some(method), .. }) => {
            Err(Failure::new(Phase::Open, format!("its segments are encrypted ({method}), which is not supported")))
        }
        _ => Ok(read),
    }
}

fn join(base: &str, uri: &str) -> Result<String, Failure> {
    playlist::join(base, uri).ok_or_else(|| Failure::new(Phase::Open, "the playlist leads away from HTTP"))
}

/// A playlist that is followed.
struct Rendition {
    base: String,
    playlist: Media,
    read_at: Instant,
    /// The number behind its last segment when it was read first.
    first_end: u64,
    /// The number of the segment that comes next; none before the first.
    next: Option<u64>,
    /// When the last new segment was seen.
    new_at: Instant,
    demux: Option<Demux<Paced<Metered>>>,
    /// Counts the source's clocks that were passed; where sound has a playlist of its own, it passes the same ones.
    clock: u64,
    map: Option<Map>,
}

impl Rendition {
    fn new(base: String, playlist: Option<Media>) -> Self {
        let now = Instant::now();
        let playlist = playlist.unwrap_or_default();
        let first_end = playlist.sequence + playlist.segments.len() as u64;
        Self { base, playlist, read_at: now, first_end, next: None, new_at: now, demux: None, clock: 0, map: None }
    }

    /// The number behind the last segment.
    fn end(&self) -> u64 {
        self.playlist.sequence + self.playlist.segments.len() as u64
    }

    /// Nothing more will come.
    fn ended(&self) -> bool {
        self.playlist.ended && self.pending().is_none()
    }

    /// The segment that comes next, if the playlist has it, and its number.
    fn pending(&self) -> Option<(u64, &Segment)> {
        let next = match self.next {
            Some(next) => next,
            None if self.may_begin() => self.begin(),
            None => return None,
        };
        let at = usize::try_from(next.checked_sub(self.playlist.sequence)?).ok()?;
        Some((next, self.playlist.segments.get(at)?))
    }

    /// Whether there is enough to begin with.
    fn may_begin(&self) -> bool {
        let Media { segments, ended, target, .. } = &self.playlist;
        // Segments may be a little shorter than their target.
        let enough = *target * BEGIN_TARGETS - *target / 4;
        *ended
            || self.end() != self.first_end
            || self.new_at.elapsed() >= (*target * BEGIN_WAIT_TARGETS).min(BEGIN_WAIT_MAX)
            || segments.iter().map(|segment| segment.duration).sum::<Duration>() >= enough
    }

    /// Where to begin: a recording at its begin, a live stream some way before its end.
    fn begin(&self) -> u64 {
        let Media { sequence, segments, ended, target, .. } = &self.playlist;
        if *ended {
            return *sequence;
        }
        let mut behind = Duration::ZERO;
        let wanted = *target * BEHIND_TARGETS;
        let back = segments.iter().rev().take_while(|segment| {
            let before = behind;
            behind += segment.duration;
            before < wanted
        });
        sequence + (segments.len() - back.count()) as u64
    }

    /// Fetches the next segment, or reads the playlist anew if that is due; says whether it did anything.
    fn step(
        &mut self,
        client: &Client<'_>,
        feed: &mut Feed<'_>,
        pacer: &Pacer,
        door: &Paced<Metered>,
    ) -> Result<bool, Failure> {
        // Pieces come a target duration apart, and a playlist may be late with one.
        feed.silence_max = feed.silence_max.max(self.playlist.target * 2);
        if let Some((number, segment)) = self.pending().map(|(number, segment)| (number, segment.clone())) {
            if !pacer.has_room() {
                return Ok(false);
            }
            self.next = Some(number + 1);
            self.fetch(client, feed, pacer, door, &segment)?;
            return Ok(true);
        }
        self.reload(client)
    }

    fn reload(&mut self, client: &Client<'_>) -> Result<bool, Failure> {
        let target = self.playlist.target;
        // RFC 8216, section 6.3.4: half a target duration after one that had nothing new.
        if self.playlist.ended || self.read_at.elapsed() < (target / 2).max(RELOAD_MIN) {
            return Ok(false);
        }
        if self.new_at.elapsed() > target * STALE_TARGETS {
            let cause = format!("the playlist has had no new segment for {:.0} s", self.new_at.elapsed().as_secs_f64());
            return Err(Failure::new(Phase::Receive, cause));
        }
        self.read_at = Instant::now();
        let Playlist::Media(media) = read(&client.get(&self.base, None)?.text()?)? else {
            return Err(Failure::new(Phase::Receive, "the playlist has become a list of variants"));
        };
        let before = self.end();
        self.playlist = media;
        let end = self.end();
        if end != before {
            self.new_at = Instant::now();
        }
        match self.next {
            // It has run away, or begun anew.
            Some(next) if next < self.playlist.sequence || next > end => {
                tracing::warn!(next, first = self.playlist.sequence, end, "the playlist has moved on without us");
                self.next = None;
                self.demux = None;
            }
            _ => {}
        }
        Ok(end != before)
    }

    fn fetch(
        &mut self,
        client: &Client<'_>,
        feed: &mut Feed<'_>,
        pacer: &Pacer,
        door: &Paced<Metered>,
        segment: &Segment,
    ) -> Result<(), Failure> {
        if segment.discontinuity || segment.map != self.map {
            // Another encoder, maybe: its demuxer is a new one, and its clock another.
            self.clock += u64::from(self.finish());
            self.map = None;
        }
        if let (None, Some(map)) = (&self.map, &segment.map) {
            self.copy(client, feed, pacer, door, &map.uri, map.range)?;
            self.map = Some(map.clone());
        }
        self.copy(client, feed, pacer, door, &segment.uri, segment.range)
    }

    /// Lets out what the demuxer still holds, and goes on without one; whether there was one.
    fn finish(&mut self) -> bool {
        self.demux.take().map(Demux::finish).is_some()
    }

    fn copy(
        &mut self,
        client: &Client<'_>,
        feed: &mut Feed<'_>,
        pacer: &Pacer,
        door: &Paced<Metered>,
        uri: &str,
        range: Option<Range>,
    ) -> Result<(), Failure> {
        let mut opened = client.get(&join(&self.base, uri)?, range)?;
        loop {
            let piece = opened.read()?;
            if piece.is_empty() {
                return Ok(());
            }
            let demux = match &mut self.demux {
                Some(demux) => demux,
                None => self.demux.insert(Demux::for_bytes(&piece, feed.key(), &door.clone().of_clock(self.clock))?),
            };
            demux.push(piece);
            demux.check()?;
            wait_for_room(pacer, feed)?;
            feed.check()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendition(sequence: u64, seconds: &[u64], ended: bool) -> Rendition {
        let segment = |seconds: &u64| Segment {
            uri: "s".into(),
            duration: Duration::from_secs(*seconds),
            range: None,
            discontinuity: false,
            map: None,
        };
        let segments = seconds.iter().map(segment).collect();
        let media = Media { target: Duration::from_secs(6), sequence, segments, ended, encrypted: None };
        Rendition::new("http://h/x.m3u8".into(), Some(media))
    }

    #[test]
    fn a_live_stream_begins_three_targets_before_its_end_and_a_recording_at_its_begin() {
        assert_eq!(rendition(10, &[6; 10], false).begin(), 17);
        assert_eq!(rendition(10, &[6; 10], true).begin(), 10);
        assert_eq!(rendition(10, &[6, 6], false).begin(), 10);
        assert_eq!(rendition(10, &[2; 20], false).begin(), 21);
        assert_eq!(rendition(10, &[], false).begin(), 10);
        assert!(rendition(10, &[], true).ended());
    }

    #[test]
    fn a_live_stream_that_has_just_begun_is_begun_with_two_segments() {
        assert_eq!(rendition(10, &[6], false).pending(), None);
        assert_eq!(rendition(10, &[5, 6], false).pending().map(|(number, _)| number), Some(10));
        assert_eq!(rendition(10, &[6], true).pending().map(|(number, _)| number), Some(10));
        // One that never holds more than one.
        let mut short = rendition(10, &[6], false);
        short.playlist.sequence += 1;
        assert_eq!(short.pending().map(|(number, _)| number), Some(11));
        // One that stands still.
        let mut still = rendition(10, &[6], false);
        still.new_at -= BEGIN_WAIT_MAX;
        assert_eq!(still.pending().map(|(number, _)| number), Some(10));
    }

    #[test]
    fn every_segment_is_pending_once() {
        let mut rendition = rendition(10, &[6, 6, 6], false);
        let mut seen = Vec::new();
        while let Some((number, _)) = rendition.pending() {
            seen.push(number);
            rendition.next = Some(number + 1);
        }
        assert_eq!(seen, [10, 11, 12]);
        assert!(!rendition.ended());
    }
}
