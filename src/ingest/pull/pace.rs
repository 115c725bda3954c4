//! A steady flow out of bursts: units wait until their time stamps say that it is their turn.
//!
//! HTTP delivers in bursts, HLS whole segments at once, and endpoints want the pace of the source. Owns the wait and a
//! thread for it. The hard thing is when the flow runs dry: what comes then is late by the clock, so the clock starts
//! anew with it, and what follows keeps its distance from it. And when the source's clock becomes another: the tracks
//! get there at different moments, so the one before still counts for what is left of it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gstreamer as gst;
use tokio::sync::watch;

use crate::ingest::track::Door;
use crate::model::codec::TrackKind;
use crate::stream::AccessUnit;

/// A unit that is late by less goes at once and moves nothing: tracks are interleaved, and packets come a little late.
const LATE_MAX_NS: i64 = 500_000_000;

/// A step between two units of a track beyond this is another clock.
const STEP_MAX_NS: i64 = 10_000_000_000;

/// A unit that leaves within this from now belongs to a clock without doubt: on its track it is the next one.
const AHEAD_MAX_NS: i64 = 1_000_000_000;

/// What waits for its turn at most; whoever brings more is to ask for room first.
pub(super) const QUEUE_MEDIA_MAX: Duration = Duration::from_secs(30);
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The wait of a thread without work; it is woken by what comes.
const IDLE: Duration = Duration::from_secs(1);

const fn ns(duration: Duration) -> i64 {
    duration.as_nanos() as i64
}

/// Media time and the time it left, on one of the source's clocks.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    clock: u64,
    media_ns: i64,
    left_ns: i64,
}

/// From media time to the time of leaving, both in nanoseconds. Pure.
#[derive(Debug, Default)]
struct Schedule {
    /// The newest one first, then the one before it.
    anchors: [Option<Anchor>; 2],
    /// Newest media time by track, and its clock.
    newest: [Option<(u64, i64)>; 2],
}

impl Schedule {
    /// When a unit leaves that is looked at `now`; never earlier than the one before it on its track.
    fn due_ns(&mut self, kind: TrackKind, clock: u64, dts_ns: i64, now_ns: i64) -> i64 {
        let newest = self.newest[kind.index()].replace((clock, dts_ns));
        let jumped = newest.is_some_and(|(of, newest)| {
            of == clock && !(-STEP_MAX_NS..=STEP_MAX_NS).contains(&dts_ns.saturating_sub(newest))
        });
        let ahead_max_ns = if jumped { AHEAD_MAX_NS } else { STEP_MAX_NS };
        let due_ns = |anchor: &Anchor| anchor.left_ns.saturating_add(dts_ns.saturating_sub(anchor.media_ns));
        let dues = || {
            let of_clock = self.anchors.iter().flatten().filter(|anchor| anchor.clock == clock);
            of_clock.map(due_ns).filter(|due_ns| *due_ns >= now_ns.saturating_sub(LATE_MAX_NS))
        };
        let within = |max_ns: i64| dues().find(|due_ns| *due_ns <= now_ns.saturating_add(max_ns));
        if let Some(due_ns) = within(AHEAD_MAX_NS).or_else(|| within(ahead_max_ns)) {
            return due_ns;
        }
        self.anchors = [Some(Anchor { clock, media_ns: dts_ns, left_ns: now_ns }), self.anchors[0]];
        now_ns
    }
}

enum Item {
    Caps(gst::Caps),
    Transcoded(Option<&'static str>),
    /// And the source's clock that its time is of.
    Unit(AccessUnit, u64),
}

#[derive(Default)]
struct Queue {
    /// By track, in order.
    items: [VecDeque<Item>; 2],
    /// When the unit at the front of a track leaves, once that is known.
    due_ns: [Option<i64>; 2],
    bytes: usize,
    schedule: Schedule,
    closed: bool,
}

impl Queue {
    /// Media that waits on the fuller track.
    fn media(&self) -> Duration {
        let span = |items: &VecDeque<Item>| {
            let (mut span_ns, mut last) = (0_u64, None);
            for item in items {
                let Item::Unit(unit, clock) = item else { continue };
                if let Some((of, dts_ns)) = last.replace((*clock, unit.dts_ns))
                    && of == *clock
                {
                    span_ns = span_ns.saturating_add(u64::try_from(unit.dts_ns.saturating_sub(dts_ns)).unwrap_or(0));
                }
            }
            Duration::from_nanos(span_ns)
        };
        self.items.iter().map(span).max().unwrap_or_default()
    }

    /// What leaves now, or how long nothing does.
    fn next(&mut self, now_ns: i64) -> Result<(TrackKind, Item), Duration> {
        let mut wait = IDLE;
        for kind in TrackKind::ALL {
            let at = kind.index();
            let due_ns = match self.items[at].front() {
                None => continue,
                Some(Item::Unit(unit, clock)) => {
                    let (dts_ns, clock) = (unit.dts_ns, *clock);
                    *self.due_ns[at].get_or_insert_with(|| self.schedule.due_ns(kind, clock, dts_ns, now_ns))
                }
                Some(_) => now_ns,
            };
            if due_ns <= now_ns
                && let Some(item) = self.items[at].pop_front()
            {
                if let Item::Unit(unit, _) = &item {
                    self.bytes -= unit.buffer.size();
                    self.due_ns[at] = None;
                }
                return Ok((kind, item));
            }
            wait = wait.min(Duration::from_nanos(u64::try_from(due_ns - now_ns).unwrap_or(0)));
        }
        Err(wait)
    }
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something has come, or it is over.
    news: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A queue is never half changed: go on.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The door in front of a door; clones share it. What still waits when the [`Pacer`] goes is dropped.
#[derive(Clone)]
pub(super) struct Paced<D> {
    door: D,
    shared: Arc<Shared>,
    /// Of what goes through it.
    clock: u64,
}

/// The thread that lets units go; it ends when this is dropped.
pub(super) struct Pacer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Pacer {
    /// Starts pacing what goes through the returned door to `door`.
    pub(super) fn start<D: Door + Sync>(door: D) -> std::io::Result<(Self, Paced<D>)> {
        let shared = Arc::new(Shared { queue: Mutex::default(), news: Condvar::new() });
        let paced = Paced { door: door.clone(), shared: Arc::clone(&shared), clock: 0 };
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("pull-pace".into()).spawn(move || pace(&of_thread, &door))?;
        Ok((Self { shared, thread: Some(thread) }, paced))
    }

    /// Whether more may be brought.
    pub(super) fn has_room(&self) -> bool {
        let queue = self.shared.queue();
        queue.bytes < QUEUE_BYTES_MAX && queue.media() < QUEUE_MEDIA_MAX
    }

    /// Media that waits.
    pub(super) fn level(&self) -> Duration {
        self.shared.queue().media()
    }

    /// Everything has been let go.
    pub(super) fn is_empty(&self) -> bool {
        self.shared.queue().items.iter().all(VecDeque::is_empty)
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.news.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn pace(shared: &Shared, door: &impl Door) {
    let epoch = Instant::now();
    let mut queue = shared.queue();
    while !queue.closed {
        match queue.next(ns(epoch.elapsed())) {
            Ok((kind, item)) => {
                // Not under the lock: whoever brings the next one need not wait.
                drop(queue);
                match item {
                    Item::Caps(caps) => door.set_caps(kind, &caps),
                    Item::Transcoded(from) => door.set_transcoded(kind, from),
                    Item::Unit(unit, _) => door.push(unit),
                }
                queue = shared.queue();
            }
            Err(wait) => queue = shared.news.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0,
        }
    }
}

impl<D> Paced<D> {
    /// The same door for units of another clock of the source; tracks that name the same one are kept in step.
    pub(super) fn of_clock(self, clock: u64) -> Self {
        Self { clock, ..self }
    }

    fn put(&self, kind: TrackKind, item: Item) {
        let mut queue = self.shared.queue();
        if queue.closed {
            return;
        }
        if let Item::Unit(unit, _) = &item {
            queue.bytes += unit.buffer.size();
        }
        queue.items[kind.index()].push_back(item);
        self.shared.news.notify_all();
    }
}

impl<D: Door> Door for Paced<D> {
    fn expect(&self, kind: TrackKind) {
        self.door.expect(kind);
    }

    fn expect_no_more(&self, kind: TrackKind) {
        self.door.expect_no_more(kind);
    }

    fn set_caps(&self, kind: TrackKind, caps: &gst::Caps) {
        self.put(kind, Item::Caps(caps.clone()));
    }

    fn push(&self, unit: AccessUnit) {
        self.put(unit.kind, Item::Unit(unit, self.clock));
    }

    fn set_transcoded(&self, kind: TrackKind, from: Option<&'static str>) {
        self.put(kind, Item::Transcoded(from));
    }

    fn key_frame_requests(&self) -> watch::Receiver<u64> {
        self.door.key_frame_requests()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn a_burst_leaves_at_the_pace_of_its_time_stamps() {
        let mut schedule = Schedule::default();
        let dues: Vec<i64> =
            (0..100).map(|n| schedule.due_ns(TrackKind::Video, 0, 7_000 * MS + n * 40 * MS, 5 * MS)).collect();
        assert!(dues.iter().zip(0..).all(|(due, n)| *due == 5 * MS + n * 40 * MS), "{dues:?}");
        // Sound of the same time leaves at the same time.
        assert_eq!(schedule.due_ns(TrackKind::Audio, 0, 7_400 * MS, 5 * MS), 405 * MS);
    }

    #[test]
    fn what_comes_late_starts_the_clock_anew_and_a_jump_too() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.due_ns(TrackKind::Video, 0, 0, 0), 0);
        assert_eq!(schedule.due_ns(TrackKind::Video, 0, 40 * MS, 100 * MS), 40 * MS, "a little late is at once");
        assert_eq!(schedule.due_ns(TrackKind::Video, 0, 80 * MS, 2_000 * MS), 2_000 * MS, "dry");
        assert_eq!(schedule.due_ns(TrackKind::Video, 0, 120 * MS, 2_000 * MS), 2_040 * MS);
        assert_eq!(schedule.due_ns(TrackKind::Video, 0, 90_000 * MS, 2_080 * MS), 2_080 * MS, "a jump forward");
        assert_eq!(schedule.due_ns(TrackKind::Video, 0, 40_000 * MS, 2_120 * MS), 2_120 * MS, "a jump back");
        let follows = schedule.due_ns(TrackKind::Audio, 0, 40_010 * MS, 2_120 * MS);
        assert_eq!(follows, 2_130 * MS, "the other track follows");
    }

    /// What a track brings: its kind, the clock, and the times of its units.
    type Brought = (TrackKind, u64, Vec<i64>);

    fn units(kind: TrackKind, clock: u64, ms: std::ops::Range<i64>, step_ms: usize) -> Brought {
        (kind, clock, ms.step_by(step_ms).collect())
    }

    /// Lets all of it go, at its times, and gives for each unit of each track when it was looked at and when it left.
    fn walk(brought: &[Brought]) -> Vec<(TrackKind, i64, i64)> {
        gst::init().expect("GStreamer");
        let mut queue = Queue::default();
        for (kind, clock, times) in brought {
            for ms in times {
                let buffer = gst::Buffer::new();
                let unit = AccessUnit { kind: *kind, buffer, dts_ns: ms * MS, pts_ns: ms * MS };
                queue.items[kind.index()].push_back(Item::Unit(unit, *clock));
            }
        }
        let (mut now_ns, mut left, mut last) = (0, Vec::new(), [0; 2]);
        while queue.items.iter().any(|items| !items.is_empty()) {
            match queue.next(now_ns) {
                Ok((kind, _)) => left.push((kind, std::mem::replace(&mut last[kind.index()], now_ns), now_ns)),
                Err(wait) => now_ns += ns(wait),
            }
        }
        left
    }

    #[test]
    fn a_track_that_is_behind_at_a_new_clock_holds_up_nothing() {
        // A clock that the source names, back and forward; and one that it does not.
        for (clock, new_ms) in [(1, 0), (1, 14_000), (1, 100_000), (0, 0), (0, 100_000)] {
            let new = new_ms..new_ms + 5_000;
            let brought = [
                units(TrackKind::Video, 0, 0..7_000, 40),
                units(TrackKind::Audio, 0, 0..7_100, 20),
                units(TrackKind::Video, clock, new.clone(), 40),
                units(TrackKind::Audio, clock, new, 20),
            ];
            let left = walk(&brought);
            let longest = left.iter().map(|(_, before, left)| left - before).max();
            assert!(longest <= Some(200 * MS), "clock {clock} from {new_ms}: {longest:?}");
            let took = left.iter().map(|(_, _, left)| *left).max();
            assert!((Some(11_800 * MS)..=Some(12_200 * MS)).contains(&took), "clock {clock} from {new_ms}: {took:?}");
        }
    }

    #[test]
    fn the_queue_knows_what_waits_in_it() {
        gst::init().expect("GStreamer");
        let mut queue = Queue::default();
        for n in 0..10 {
            let buffer = gst::Buffer::with_size(100).expect("memory");
            queue.bytes += 100;
            let unit = AccessUnit { kind: TrackKind::Video, buffer, dts_ns: n % 5 * 40 * MS, pts_ns: 0 };
            // Two clocks, 160 ms of each.
            queue.items[0].push_back(Item::Unit(unit, n as u64 / 5));
        }
        assert_eq!((queue.media(), queue.bytes), (Duration::from_millis(320), 1_000));
        assert!(queue.next(0).is_ok());
        assert_eq!(queue.next(10 * MS).err(), Some(Duration::from_millis(30)));
        assert!(queue.next(40 * MS).is_ok());
        assert_eq!(queue.bytes, 800);
    }
}
