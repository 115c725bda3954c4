//! The last step into an endpoint's muxer: units wait here until the muxer can write something with them.
//!
//! `mpegtsmux` writes in the order of decode times and so needs a unit of each track at hand; given one
//! alone, its thread wakes up, looks, and sleeps again. With many endpoints that is a good part of what an
//! endpoint costs. So a picture goes in together with the first sound that is not older than it: one
//! wake-up a picture instead of one a unit, and nothing leaves later than it would have anyway.
//!
//! It decides by decode times alone and must not know why a unit was let in (that is the gate's). The hard
//! thing: it must never keep what the muxer could have used, nor wait for a track that has gone silent.

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::model::codec::TrackKind;

/// Units that wait at most, of both tracks together. FFmpeg packs up to 180 ms of AAC into one PES, which
/// are 11 pictures at 60 a second; a source that interleaves worse than that gets no batches.
pub(super) const HELD_UNITS_MAX: usize = 16;

/// A unit that waits.
#[derive(Debug)]
struct Held<T> {
    kind: TrackKind,
    time_ns: u64,
    unit: T,
}

/// The units that wait for one another, and what went in last.
#[derive(Debug)]
pub(super) struct Batch<T> {
    held: Vec<Held<T>>,
    /// Newest decode time that went in, by track.
    fed_ns: [Option<u64>; 2],
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { held: Vec::new(), fed_ns: [None; 2] }
    }
}

impl<T> Batch<T> {
    /// Adds a unit; says whether the muxer can use what is there now. `tracks` is how many it has.
    fn add(&mut self, kind: TrackKind, time_ns: u64, unit: T, tracks: usize) -> bool {
        self.held.push(Held { kind, time_ns, unit });
        tracks < 2 || self.held.len() >= HELD_UNITS_MAX || self.completes_a_picture()
    }

    fn completes_a_picture(&self) -> bool {
        let [fed_video, fed_audio] = self.fed_ns;
        let held = |kind| self.held.iter().filter(move |held| held.kind == kind).map(|held| held.time_ns);
        let sound = held(TrackKind::Audio).max().max(fed_audio);
        let oldest_picture = held(TrackKind::Video).min();
        // A picture that went in without its sound waits inside the muxer for any.
        let waits_inside = fed_video > fed_audio && held(TrackKind::Audio).next().is_some();
        waits_inside || oldest_picture.is_some_and(|picture| sound.is_some_and(|sound| sound >= picture))
    }

    /// A track has nothing up to this time: whoever waits for it waits no more.
    fn gap(&mut self, kind: TrackKind, time_ns: u64) {
        let fed = &mut self.fed_ns[index(kind)];
        *fed = (*fed).max(Some(time_ns));
    }

    /// Takes everything out, in the order in which it came.
    fn take(&mut self) -> Vec<(TrackKind, T)> {
        for held in &self.held {
            let fed = &mut self.fed_ns[index(held.kind)];
            *fed = (*fed).max(Some(held.time_ns));
        }
        self.held.drain(..).map(|held| (held.kind, held.unit)).collect()
    }
}

fn index(kind: TrackKind) -> usize {
    match kind {
        TrackKind::Video => 0,
        TrackKind::Audio => 1,
    }
}

/// A track's way into the muxer.
#[derive(Debug)]
struct Door {
    kind: TrackKind,
    /// The inner side of the gate's ghost pad.
    pad: gst::ProxyPad,
    /// The segment, until the first unit or gap goes in: see [`Door::begin`].
    segment: Option<gst::Segment>,
}

impl Door {
    /// Sends the segment, with `at` as its position: the muxer counts the media time it holds from there
    /// (gstaggregator.c, `gst_aggregator_pad_has_space`), and an endpoint that joins late begins late.
    fn begin(&mut self, at: Option<gst::ClockTime>) {
        let Some(mut segment) = self.segment.take() else { return };
        if let Some(segment) = segment.downcast_mut::<gst::ClockTime>() {
            segment.set_position(at);
        }
        self.pad.push_event(gst::event::Segment::new(&segment));
    }

    fn push(&mut self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.begin(buffer.dts_or_pts());
        if self.kind == TrackKind::Video && !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            self.announce_key_frame(&buffer);
        }
        self.pad.push(buffer)
    }

    /// Makes the muxer write PAT, PMT and PCR right before this key frame.
    fn announce_key_frame(&self, buffer: &gst::Buffer) {
        let structure = gst::Structure::builder("GstForceKeyUnit")
            .field("timestamp", buffer.pts())
            .field("stream-time", buffer.pts())
            .field("running-time", buffer.pts())
            .field("all-headers", true)
            .field("count", 0u32)
            .build();
        self.pad.push_event(gst::event::CustomDownstream::new(structure));
    }
}

/// What feeds one endpoint's muxer. Both tracks' threads come here, one at a time.
#[derive(Debug, Default)]
pub(super) struct Feed {
    doors: Vec<Door>,
    batch: Batch<gst::Buffer>,
}

impl Feed {
    /// A track was added; `pad` is the inner side of its gate.
    pub(super) fn add_track(&mut self, kind: TrackKind, pad: gst::ProxyPad) {
        self.doors.push(Door { kind, pad, segment: None });
    }

    /// Takes a unit in.
    ///
    /// # Errors
    /// What the muxer said of a unit that it did not take.
    pub(super) fn push(&mut self, kind: TrackKind, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        let time_ns = buffer.dts_or_pts().map_or(0, gst::ClockTime::nseconds);
        if self.batch.add(kind, time_ns, buffer, self.doors.len()) { self.flush() } else { Ok(()) }
    }

    /// Hands on whatever waits.
    ///
    /// # Errors
    /// As [`Feed::push`].
    pub(super) fn flush(&mut self) -> Result<(), gst::FlowError> {
        for (kind, buffer) in self.batch.take() {
            if let Some(door) = self.doors.iter_mut().find(|door| door.kind == kind) {
                door.push(buffer)?;
            }
        }
        Ok(())
    }

    /// Lets the muxer take up all it has, behind a gate that has just closed: it takes up nothing of one track
    /// while the other has nothing, so without a gap on each track the rest of the longer one would stay, and
    /// the gate would never open again.
    pub(super) fn let_drain(&mut self, newest_ns: u64) {
        let after = gst::ClockTime::from_nseconds(newest_ns + 1);
        for door in &mut self.doors {
            door.begin(Some(after));
            door.pad.push_event(gst::event::Gap::new(after, gst::ClockTime::NONE));
        }
    }

    /// Lets an event in, behind the units that came before it; `true` when it was dealt with here.
    pub(super) fn event(&mut self, kind: TrackKind, event: &gst::Event) -> bool {
        // What the muxer says of these units it says again of the next one.
        let _ = self.flush();
        let Some(door) = self.doors.iter_mut().find(|door| door.kind == kind) else { return false };
        match event.view() {
            gst::EventView::Segment(segment) => {
                door.segment = Some(segment.segment().clone());
                true
            }
            gst::EventView::Gap(gap) => {
                let time = gap.get().0;
                door.begin(Some(time));
                self.batch.gap(kind, time.nseconds());
                false
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TrackKind::{Audio, Video};

    /// What goes in after each unit: the times of everything that was held.
    fn feed(tracks: usize, units: &[(TrackKind, u64)]) -> Vec<Vec<u64>> {
        let mut batch = Batch::default();
        let fed = |&(kind, time): &(TrackKind, u64)| {
            if batch.add(kind, time, time, tracks) {
                batch.take().into_iter().map(|(_, unit)| unit).collect()
            } else {
                vec![]
            }
        };
        units.iter().map(fed).collect()
    }

    #[test]
    fn a_picture_goes_in_with_the_first_sound_that_is_not_older() {
        let units = [(Video, 0), (Audio, 5), (Audio, 26), (Video, 33), (Audio, 47), (Video, 66), (Audio, 66)];
        let none: Vec<u64> = vec![];
        assert_eq!(
            feed(2, &units),
            [none.clone(), vec![0, 5], none.clone(), none.clone(), vec![26, 33, 47], none, vec![66, 66]]
        );
    }

    #[test]
    fn a_picture_that_comes_behind_its_sound_does_not_wait() {
        assert_eq!(
            feed(2, &[(Audio, 40), (Video, 0), (Video, 33), (Video, 66)]),
            [vec![], vec![40, 0], vec![33], vec![]]
        );
    }

    #[test]
    fn nobody_waits_for_a_track_that_has_a_gap() {
        for (silent, flowing) in [(Audio, Video), (Video, Audio)] {
            let mut batch = Batch::default();
            assert!(!batch.add(flowing, 0, (), 2));
            batch.take();
            for n in 1..5 {
                batch.gap(silent, n * 33);
                assert!(batch.add(flowing, n * 33, (), 2), "{flowing} {n}");
                batch.take();
            }
        }
    }

    #[test]
    fn one_track_alone_waits_for_nothing() {
        assert_eq!(feed(1, &[(Video, 0), (Video, 33)]), [[0], [33]]);
    }

    #[test]
    fn a_burst_of_sound_lets_every_picture_out_that_it_completes() {
        let fed = feed(2, &[(Video, 0), (Video, 33), (Audio, 0), (Audio, 21), (Audio, 42)]);
        assert_eq!(fed, [vec![], vec![], vec![0, 33, 0], vec![21], vec![42]]);
    }

    #[test]
    fn pictures_without_sound_go_in_when_enough_wait() {
        let units: Vec<_> = (0..HELD_UNITS_MAX as u64).map(|n| (Video, n * 33)).collect();
        let fed = feed(2, &units);
        assert!(fed[..HELD_UNITS_MAX - 1].iter().all(Vec::is_empty));
        assert_eq!(fed[HELD_UNITS_MAX - 1].len(), HELD_UNITS_MAX);
    }
}
