//! The line as scenes: what a source does, and what must come out.

use super::*;
use TrackKind::{Audio, Video};

const MS: i64 = 1_000_000;
const START: i64 = 10_000 * MS;

/// Feeds video (40 ms) and audio (20 ms) from source time `from_ms` for `count` frames, arriving in real time.
struct Scene {
    line: Timeline,
    now_ns: i64,
    out: Vec<(TrackKind, i64, Placed)>,
}

impl Scene {
    fn new() -> Self {
        Self { line: Timeline::default(), now_ns: START, out: Vec::new() }
    }

    fn unit(&mut self, kind: TrackKind, source_ms: i64) -> Placed {
        let placed = self.line.place(kind, source_ms * MS, source_ms * MS, self.now_ns);
        self.out.push((kind, source_ms, placed));
        placed
    }

    fn run(&mut self, from_ms: i64, frames: i64) {
        for frame in 0..frames {
            let t = from_ms + frame * 40;
            self.unit(Video, t);
            self.unit(Audio, t);
            self.now_ns += 20 * MS;
            self.unit(Audio, t + 20);
            self.now_ns += 20 * MS;
        }
    }

    fn assert_rising(&self) {
        for kind in TrackKind::ALL {
            let times: Vec<_> = self.out.iter().filter(|(k, ..)| *k == kind).map(|(_, _, p)| p.dts_ns).collect();
            assert!(times.windows(2).all(|w| w[0] < w[1]), "{kind}: {times:?}");
        }
    }

    /// Audio minus video of units with the same source time, over the last `frames`.
    fn last_offsets_ms(&self, frames: usize) -> Vec<i64> {
        let placed = |kind, source| {
            self.out.iter().rev().find(|(k, s, _)| *k == kind && *s == source).map(|(_, _, p)| p.dts_ns as i64)
        };
        self.out
            .iter()
            .rev()
            .filter(|(kind, ..)| *kind == Video)
            .take(frames)
            .filter_map(|(_, source, p)| Some((placed(Audio, *source)? - p.dts_ns as i64) / MS))
            .collect()
    }
}

#[test]
fn a_steady_source_is_shifted_as_a_whole() {
    let mut scene = Scene::new();
    scene.run(5_000, 100);
    for (_, source_ms, placed) in &scene.out {
        assert_eq!(placed.dts_ns as i64, START + (source_ms - 5_000) * MS);
        assert!(!placed.jumped);
    }
    assert_eq!(scene.line.jumps(), 0);
}

#[test]
fn composition_time_is_kept() {
    let mut line = Timeline::default();
    let placed = line.place(Video, 0, 80 * MS, START);
    assert_eq!((placed.dts_ns as i64, placed.pts_ns as i64), (START, START + 80 * MS));
}

#[test]
fn a_jump_back_and_one_forward_go_on_rising_and_in_sync() {
    for target_ms in [0, 95_000_000, 3_000] {
        let mut scene = Scene::new();
        scene.run(60_000, 50);
        scene.run(target_ms, 50);
        scene.assert_rising();
        assert_eq!(scene.line.jumps(), 1, "to {target_ms}");
        assert!(scene.last_offsets_ms(20).iter().all(|offset| *offset == 0), "{:?}", scene.last_offsets_ms(20));
    }
}

#[test]
fn units_of_the_old_clock_that_come_late_are_still_placed_by_it() {
    let mut scene = Scene::new();
    scene.run(60_000, 50);
    // Audio jumps first; video of the old clock follows for three frames.
    scene.unit(Audio, 0);
    for frame in 0..3 {
        scene.unit(Video, 62_000 + frame * 40);
        scene.now_ns += 20 * MS;
        scene.unit(Audio, 20 + frame * 20);
    }
    assert_eq!(scene.line.jumps(), 1);
    for frame in 0..30 {
        scene.unit(Video, 100 + frame * 40);
        scene.unit(Audio, 100 + frame * 40);
        scene.now_ns += 40 * MS;
    }
    scene.assert_rising();
    assert_eq!(scene.line.jumps(), 1);
    assert!(scene.last_offsets_ms(20).iter().all(|offset| *offset == 0));
}

#[test]
fn a_pause_and_a_burst_are_not_jumps() {
    let mut scene = Scene::new();
    scene.run(0, 25);
    scene.now_ns += 20_000 * MS;
    scene.run(21_000, 25);
    assert_eq!(scene.line.jumps(), 0, "the source was silent as long as its clock says");
    // A stalled network delivers three seconds at once.
    scene.now_ns += 3_000 * MS;
    let stalled = scene.now_ns;
    for t in 0..75 {
        scene.unit(Video, 22_000 + t * 40);
        scene.unit(Audio, 22_000 + t * 40);
    }
    assert_eq!(scene.now_ns, stalled);
    assert_eq!(scene.line.jumps(), 0);
    scene.assert_rising();
}

#[test]
fn audio_that_starts_seconds_late_joins_the_same_clock() {
    let mut scene = Scene::new();
    for frame in 0..100 {
        scene.unit(Video, frame * 40);
        scene.now_ns += 40 * MS;
    }
    for frame in 100..150 {
        scene.unit(Video, frame * 40);
        scene.unit(Audio, frame * 40);
        scene.now_ns += 40 * MS;
    }
    assert_eq!(scene.line.jumps(), 0);
    assert!(scene.last_offsets_ms(20).iter().all(|offset| *offset == 0));
}

#[test]
fn sound_that_a_demuxer_holds_back_through_its_pause_comes_back_in_step() {
    let mut scene = Scene::new();
    scene.run(0, 50);
    for frame in 50..175 {
        scene.unit(Video, frame * 40);
        scene.now_ns += 40 * MS;
    }
    // The last sound before the pause comes with the first one behind it.
    scene.unit(Audio, 2000);
    scene.run(7000, 50);
    scene.assert_rising();
    assert_eq!(scene.line.jumps(), 0);
    assert!(scene.last_offsets_ms(50).iter().all(|offset| *offset == 0), "{:?}", scene.last_offsets_ms(50));
}

#[test]
fn tracks_on_clocks_of_their_own_run_side_by_side() {
    let mut scene = Scene::new();
    for frame in 0..500 {
        scene.unit(Video, frame * 40);
        scene.unit(Audio, 7_000_000 + frame * 40);
        scene.now_ns += 40 * MS;
    }
    scene.assert_rising();
    assert_eq!(scene.line.jumps(), 1, "one clock each, no fight over one");
}

#[test]
fn small_disorder_is_put_in_order() {
    let mut scene = Scene::new();
    for t in [0, 40, 30, 80, 120] {
        scene.unit(Video, t);
    }
    scene.assert_rising();
    assert_eq!(scene.line.jumps(), 0);
}

#[test]
fn broken_time_stamps_neither_overflow_nor_panic() {
    let mut line = Timeline::default();
    for value in [i64::MIN, i64::MAX, 0, -1, i64::MAX / 2, i64::MIN / 2] {
        for kind in TrackKind::ALL {
            line.place(kind, value, value.wrapping_neg(), START);
            line.place(kind, value, i64::MAX, START);
        }
    }
}

#[test]
fn of_a_source_that_follows_arrival_a_track_may_step_alone_and_stays_in_sync() {
    let mut scene = Scene::new();
    scene.line.follow_arrival();
    scene.run(0, 50);
    // The machine stood still for 1.5 s, and what waited comes at once; then time goes on where the wall clock is.
    scene.now_ns += 1_500 * MS;
    for source_ms in [2_000, 3_480] {
        let (video, audio) = (scene.unit(Video, source_ms), scene.unit(Audio, source_ms));
        assert_eq!((video.dts_ns, video.jumped, audio.jumped), (audio.dts_ns, false, false));
    }
    scene.run(3_520, 50);
    assert!(scene.last_offsets_ms(40).iter().all(|offset| *offset == 0));
    // A sender's report moves the sound by 80 ms, and it stays there.
    let first = scene.unit(Audio, 5_520 + 80).dts_ns;
    assert_eq!(first - scene.unit(Video, 5_520).dts_ns, 80 * MS as u64);
    assert_eq!(scene.line.jumps(), 0);
    scene.assert_rising();
    // After a pause of the sound, what the encoder had kept comes with what is new, and disturbs nothing.
    scene.now_ns += 30_000 * MS;
    let late = scene.unit(Audio, 5_640);
    assert!(!late.jumped && late.dts_ns < scene.now_ns as u64);
    scene.run(35_560, 50);
    assert!(scene.last_offsets_ms(40).iter().all(|offset| *offset == 0));
    assert_eq!(scene.line.jumps(), 0);
    // Time stamps that have nothing to do with arrival any more are a jump as ever.
    assert!(scene.unit(Video, 90_000).jumped);
    scene.assert_rising();
}

#[test]
fn another_source_goes_on_behind_the_last_one_after_the_same_pause() {
    for (pause_ms, from_ms) in [(5_000, 0), (5_000, 95_000_000), (200, 1_000), (0, 0)] {
        let mut scene = Scene::new();
        scene.run(1_000, 50);
        let last = scene.out.iter().map(|(_, _, placed)| placed.dts_ns).max().expect("some");
        scene.now_ns += pause_ms * MS;
        scene.line.hand_over();
        scene.run(from_ms, 50);
        scene.assert_rising();
        let first: Vec<_> = scene.out.iter().filter(|(_, _, placed)| placed.handed_over).collect();
        assert_eq!(first.len(), 2, "the first unit of each track");
        assert!(first.iter().all(|(_, source_ms, placed)| *source_ms == from_ms && !placed.jumped));
        let gap_ms = (first[0].2.dts_ns - last) as i64 / MS;
        assert!((pause_ms..pause_ms + 60).contains(&gap_ms), "{pause_ms} ms became {gap_ms}");
        assert!(scene.last_offsets_ms(50).iter().all(|offset| *offset == 0));
        assert_eq!(scene.line.jumps(), 0);
    }
}

#[test]
fn the_tracks_of_a_new_source_share_one_clock_however_it_begins() {
    // Sound that is half a second behind the pictures which come with it, and ahead of them.
    for behind_ms in [500, 60, -60, -500] {
        let mut scene = Scene::new();
        scene.run(0, 50);
        scene.now_ns += 100 * MS;
        scene.line.hand_over();
        let mut apart = Vec::new();
        for t in (7_000..9_000).step_by(40) {
            let (video, audio) = (scene.unit(Video, t), scene.unit(Audio, t - behind_ms));
            apart.push((video.dts_ns as i64 - audio.dts_ns as i64) / MS);
            scene.now_ns += 40 * MS;
        }
        scene.assert_rising();
        assert_eq!(scene.line.jumps(), 0, "{behind_ms}");
        assert!(apart[1..].iter().all(|apart| *apart == behind_ms), "{behind_ms}: {apart:?}");
    }
}

#[test]
fn presentation_goes_on_rising_too() {
    let mut line = Timeline::default();
    let last = line.place(Video, 0, 120 * MS, START);
    line.hand_over();
    let first = line.place(Video, 500 * MS, 500 * MS, START + 10 * MS);
    assert!(first.pts_ns > last.pts_ns);
}

#[test]
fn a_source_that_follows_arrival_may_come_behind_one_that_was_far_ahead() {
    let mut scene = Scene::new();
    // A file sent as fast as it goes: two minutes within one second.
    for frame in 0..3_000 {
        scene.unit(Video, frame * 40);
        scene.now_ns += MS / 3;
    }
    scene.line.hand_over();
    scene.line.follow_arrival();
    scene.run(0, 100);
    scene.assert_rising();
    assert_eq!(scene.line.jumps(), 0);
    assert!(scene.last_offsets_ms(90).iter().all(|offset| *offset == 0));
}

proptest::proptest! {
    /// Whatever the sources are and however they follow each other: decode times of a track rise, and what a source
    /// sends at a steady pace stays in step.
    #[test]
    fn any_sources_in_any_order_rise_and_stay_in_step(
        sources in proptest::collection::vec((0..100_000_000_i64, 1..40_i64, 0..20_000_i64, proptest::bool::ANY), 1..8)
    ) {
        let mut scene = Scene::new();
        for (n, (from_ms, frames, pause_ms, follows)) in sources.into_iter().enumerate() {
            if n > 0 {
                scene.line.hand_over();
            }
            if follows {
                scene.line.follow_arrival();
            }
            scene.now_ns += pause_ms * MS;
            let begin = scene.out.len();
            scene.run(from_ms, frames);
            let own = scene.out.split_off(begin);
            let of = |kind| own.iter().filter(move |(k, ..)| *k == kind);
            for (_, source_ms, video) in of(Video) {
                let audio = of(Audio).find(|(_, source, _)| source == source_ms).expect("sound of that time");
                proptest::prop_assert_eq!(video.dts_ns, audio.2.dts_ns);
            }
            scene.out.extend(own);
        }
        scene.assert_rising();
    }
}

#[test]
fn a_new_sources_sound_may_begin_before_its_first_picture_and_before_what_was() {
    let mut scene = Scene::new();
    scene.run(0, 50);
    let ended_ns = scene.out.last().map(|(.., placed)| placed.dts_ns).expect("units");
    scene.line.hand_over();
    scene.out.clear();
    let first = scene.unit(Video, 70_000);
    for frame in 0..6 {
        scene.unit(Audio, 69_700 + frame * 20);
    }
    for frame in 1..20 {
        scene.unit(Video, 70_000 + frame * 40);
        scene.unit(Audio, 69_780 + frame * 40);
        scene.unit(Audio, 69_800 + frame * 40);
        scene.now_ns += 40 * MS;
    }
    scene.assert_rising();
    assert!(first.dts_ns > ended_ns && scene.out[1].2.dts_ns > ended_ns);
    let sound: Vec<_> = scene.out.iter().filter(|(kind, ..)| *kind == Audio).map(|(_, _, p)| p.dts_ns as i64).collect();
    assert!(sound.windows(2).all(|pair| pair[1] - pair[0] == 20 * MS), "its steps are its own: {sound:?}");
    assert!(scene.last_offsets_ms(5).iter().all(|offset| *offset == 0), "in sync: {:?}", scene.last_offsets_ms(5));
}
