//! The last step into an endpoint's muxer: a picture goes in together with its sound.
//!
//! `mpegtsmux` writes in the order of decode times and so needs a unit of each track at hand; given one
//! alone, its thread wakes up, looks, and sleeps again. With many endpoints that is a good part of what an
//! endpoint costs. So a picture is held until the first sound that is not older than it, and sound that is
//! ahead until the next picture: one wake-up a picture instead of one a unit, and nothing leaves later
//! than it would have anyway.
//!
//! It decides by decode times alone and must not know why a unit was let in (that is the gate's). The hard
//! thing: it must never keep what the muxer could have used. So it holds only while the tracks are in step;
//! a track that lags, begins late or falls silent is waited for by nobody here.

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::media::key_frames::force_key_unit;
use crate::model::codec::TrackKind;

/// How far the tracks may be apart for one to wait for the other: three pictures at 30 a second, and more
/// than a frame of any audio codec (AC-3 at 32 kHz: 48 ms).
const IN_STEP_NS: u64 = 100_000_000;

/// Units that wait at most, of both tracks together: what [`IN_STEP_NS`] holds at 60 pictures a second.
const HELD_UNITS_MAX: usize = 12;

/// The units that wait for one another, and what came last.
#[derive(Debug)]
struct Batch<T> {
    held: Vec<(TrackKind, u64, T)>,
    /// Newest decode time that came, held or not, by track.
    newest_ns: [Option<u64>; 2],
    /// Newest decode time that went in, by track.
    fed_ns: [Option<u64>; 2],
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { held: Vec::new(), newest_ns: [None; 2], fed_ns: [None; 2] }
    }
}

impl<T> Batch<T> {
    /// Adds a unit; `true` when all that is held shall go in now.
    fn add(&mut self, kind: TrackKind, time_ns: u64, unit: T) -> bool {
        self.held.push((kind, time_ns, unit));
        let newest = &mut self.newest_ns[kind.index()];
        *newest = (*newest).max(Some(time_ns));
        let [Some(video), Some(audio)] = self.newest_ns else { return true };
        let in_step = video.abs_diff(audio) <= IN_STEP_NS;
        !in_step || self.held.len() >= HELD_UNITS_MAX || self.is_useful(audio)
    }

    /// Whether the muxer can write something with what is held: a picture that has its sound, or the sound
    /// that a picture inside the muxer waits for.
    fn is_useful(&self, newest_audio_ns: u64) -> bool {
        let [fed_video, fed_audio] = self.fed_ns;
        let mut pictures = self.held.iter().filter(|(kind, ..)| *kind == TrackKind::Video);
        let waits_inside = fed_video > fed_audio && self.held.iter().any(|(kind, ..)| *kind == TrackKind::Audio);
        waits_inside || pictures.any(|(_, time_ns, _)| *time_ns <= newest_audio_ns)
    }

    /// A track has nothing up to this time: whoever waits for it waits no more.
    fn gap(&mut self, kind: TrackKind, time_ns: u64) {
        for times in [&mut self.newest_ns, &mut self.fed_ns] {
            times[kind.index()] = times[kind.index()].max(Some(time_ns));
        }
    }

    /// Takes everything out, in the order in which it came.
    fn take(&mut self) -> impl Iterator<Item = (TrackKind, T)> {
        for (kind, time_ns, _) in &self.held {
            let fed = &mut self.fed_ns[kind.index()];
            *fed = (*fed).max(Some(*time_ns));
        }
        self.held.drain(..).map(|(kind, _, unit)| (kind, unit))
    }
}

/// What feeds one endpoint's muxer. Both tracks' threads come here, one at a time.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The inner sides of the gates, by track.
    doors: [Option<gst::ProxyPad>; 2],
    /// Gaps that wait for their track's segment, by track: time in ns.
    owed_ns: [Option<u64>; 2],
    batch: Batch<gst::Buffer>,
}

impl Feed {
    /// A track was added; `pad` is the inner side of its gate.
    pub(super) fn add_track(&mut self, kind: TrackKind, pad: gst::ProxyPad) {
        self.doors[kind.index()] = Some(pad);
    }

    /// Takes a unit in.
    ///
    /// # Errors
    /// What the muxer said of a unit that it did not take.
    pub(super) fn push(&mut self, kind: TrackKind, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        let time_ns = buffer.dts_or_pts().map_or(0, gst::ClockTime::nseconds);
        if self.batch.add(kind, time_ns, buffer) { self.flush() } else { Ok(()) }
    }

    /// Hands on whatever waits.
    ///
    /// # Errors
    /// As [`Feed::push`].
    pub(super) fn flush(&mut self) -> Result<(), gst::FlowError> {
        let Self { doors, batch, .. } = self;
        for (kind, buffer) in batch.take() {
            let Some(pad) = &doors[kind.index()] else { continue };
            if kind == TrackKind::Video && !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
                // The muxer writes PAT, PMT and PCR right before it.
                pad.push_event(force_key_unit(buffer.pts()));
            }
            pad.push(buffer)?;
        }
        Ok(())
    }

    /// Lets the muxer take up all it has, behind a gate that has just closed: it takes up nothing of one track
    /// while the other has nothing, so without a gap on each track the rest of the longer one would stay, and
    /// the gate would never open again.
    ///
    /// A track that has been linked a moment ago may have had no segment yet. A gap ahead of it is a critical in
    /// the muxer of 1.22 and lost; it goes in behind the segment.
    pub(super) fn let_drain(&mut self, newest_ns: u64) {
        for kind in TrackKind::ALL {
            if self.doors[kind.index()].is_some() {
                self.owed_ns[kind.index()] = Some(newest_ns + 1);
                self.pay(kind);
            }
        }
    }

    /// Hands an event to the muxer, behind the units that came before it.
    pub(super) fn event(&mut self, kind: TrackKind, event: gst::Event, hand_on: impl FnOnce(gst::Event)) {
        // What the muxer says of these units it says again of the next one.
        let _ = self.flush();
        if let gst::EventView::Gap(gap) = event.view() {
            self.batch.gap(kind, gap.get().0.nseconds());
        }
        let is_segment = event.type_() == gst::EventType::Segment;
        hand_on(event);
        if is_segment {
            self.pay(kind);
        }
    }

    /// Sends the gap that is owed to a track, if it has a segment by now.
    fn pay(&mut self, kind: TrackKind) {
        let Some(pad) = &self.doors[kind.index()] else { return };
        if pad.sticky_event::<gst::event::Segment>(0).is_none() {
            return;
        }
        if let Some(at_ns) = self.owed_ns[kind.index()].take() {
            pad.push_event(gst::event::Gap::new(gst::ClockTime::from_nseconds(at_ns), gst::ClockTime::NONE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TrackKind::{Audio, Video};

    const MS: u64 = 1_000_000;

    /// What goes in after each unit (times in ms): the times of everything that was held.
    fn feed(units: &[(TrackKind, u64)]) -> Vec<Vec<u64>> {
        let mut batch = Batch::default();
        let mut fed = |&(kind, ms): &(TrackKind, u64)| {
            if batch.add(kind, ms * MS, ms) { batch.take().map(|(_, unit)| unit).collect() } else { vec![] }
        };
        units.iter().map(&mut fed).collect()
    }

    #[test]
    fn a_track_without_a_segment_gets_its_gap_behind_it() {
        gst::init().unwrap();
        let mux = gst::ElementFactory::make("mpegtsmux").build().unwrap();
        let door = gst::GhostPad::with_target(&mux.request_pad_simple("sink_%d").unwrap()).unwrap();
        let seen: std::sync::Arc<std::sync::Mutex<Vec<gst::EventType>>> = std::sync::Arc::default();
        let inner = door.internal().unwrap();
        let notes = std::sync::Arc::clone(&seen);
        inner.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            notes.lock().unwrap().extend(info.event().map(|event| event.type_()));
            gst::PadProbeReturn::Ok
        });
        door.set_active(true).unwrap();
        mux.set_state(gst::State::Paused).unwrap();
        let mut feed = Feed::default();
        feed.add_track(Audio, inner.clone());
        feed.let_drain(7);
        assert_eq!(*seen.lock().unwrap(), []);
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        for event in [gst::event::StreamStart::new("a"), gst::event::Segment::new(&segment)] {
            feed.event(Audio, event, |event| assert!(inner.push_event(event)));
        }
        feed.let_drain(8);
        let all = seen.lock().unwrap().clone();
        let gaps = all.iter().filter(|kind| **kind == gst::EventType::Gap).count();
        assert_eq!((gaps, all.first()), (2, Some(&gst::EventType::StreamStart)), "{all:?}");
        mux.set_state(gst::State::Null).unwrap();
    }

    #[test]
    fn a_picture_goes_in_with_the_first_sound_that_is_not_older() {
        let units = [(Video, 0), (Audio, 5), (Audio, 26), (Video, 33), (Audio, 47), (Video, 66), (Audio, 66)];
        let none: Vec<u64> = vec![];
        assert_eq!(feed(&units), [vec![0], vec![5], none.clone(), none.clone(), vec![26, 33, 47], none, vec![66, 66]]);
    }

    #[test]
    fn a_picture_that_comes_behind_its_sound_does_not_wait() {
        assert_eq!(feed(&[(Audio, 40), (Video, 0), (Video, 33), (Video, 66)]), [vec![40], vec![0], vec![33], vec![]]);
    }

    #[test]
    fn nobody_waits_for_a_track_that_begins_late() {
        let pictures: Vec<_> = (0..60).map(|n| (Video, n * 33)).collect();
        assert!(feed(&pictures).iter().all(|fed| fed.len() == 1));
        // The first sound is seconds behind the pictures: it catches up unit by unit.
        let late = [(Video, 5_000), (Audio, 10), (Audio, 31), (Video, 5_033), (Audio, 52)];
        assert!(feed(&late).iter().all(|fed| fed.len() == 1));
    }

    #[test]
    fn sound_that_comes_in_clumps_is_not_waited_for_longer_than_a_step() {
        let mut units = vec![(Video, 0), (Audio, 0), (Audio, 21)];
        units.extend((1..6).map(|n| (Video, n * 33)));
        let fed = feed(&units);
        // Three pictures wait as long as the tracks are in step; then everything goes, and so does what follows.
        assert_eq!(fed[3..], [vec![], vec![], vec![], vec![21, 33, 66, 99, 132], vec![165]]);
    }

    #[test]
    fn nobody_waits_for_a_track_that_has_a_gap() {
        for (silent, flowing) in [(Audio, Video), (Video, Audio)] {
            let mut batch = Batch::default();
            assert!(batch.add(flowing, 0, ()));
            batch.take().for_each(drop);
            for n in 1..5 {
                batch.gap(silent, n * 33 * MS);
                assert!(batch.add(flowing, n * 33 * MS, ()) || flowing == Audio, "{flowing} {n}");
                batch.take().for_each(drop);
            }
        }
    }
}
