//! A publisher whose truth is known sends over a way that stands still at times.

use super::*;
use TrackKind::{Audio, Video};

const VIDEO_HZ: u32 = 90_000;
const AUDIO_HZ: u32 = 48_000;
/// The publisher's clock when it begins.
const CLOCK: i64 = 3_900_000_000 * SECOND;
/// Running time when it begins.
const START: i64 = 10 * SECOND;

struct Scene {
    clock: Followed,
    /// The publisher's clock at its start.
    clock_ns: i64,
    /// The first RTP time stamps.
    first: [u32; 2],
    /// How late each track's packets come at best.
    late_ns: [i64; 2],
    /// Until when nothing arrives.
    still_until_ns: i64,
    /// True time and place of each unit.
    placed: [Vec<(i64, i64)>; 2],
}

impl Scene {
    fn new() -> Self {
        let first = [u32::MAX - 9_000, 77];
        let placed = Default::default();
        Self { clock: Followed::default(), clock_ns: CLOCK, first, late_ns: [0; 2], still_until_ns: 0, placed }
    }

    fn rtp(&self, kind: TrackKind, at_ms: i64) -> u32 {
        let rate = if kind == Video { VIDEO_HZ } else { AUDIO_HZ };
        self.first[kind.index()].wrapping_add((at_ms * i64::from(rate) / 1_000) as u32)
    }

    fn unit(&mut self, kind: TrackKind, at_ms: i64) -> i64 {
        let (rtp, rate) = (self.rtp(kind, at_ms), if kind == Video { VIDEO_HZ } else { AUDIO_HZ });
        let arrived = (START + at_ms * MS + self.late_ns[kind.index()]).max(self.still_until_ns);
        let ssrc = kind.index() as u32;
        let placed =
            self.clock.place(kind, Stamp { ssrc, rtp, rate_hz: rate, arrived_ns: Some(arrived) }).expect("a place");
        self.placed[kind.index()].push((at_ms * MS, placed));
        placed
    }

    fn report(&mut self, kind: TrackKind, at_ms: i64) {
        let rtp = self.rtp(kind, at_ms);
        let clock_ns = self.clock_ns + at_ms * MS;
        self.clock.report(SenderReport { ssrc: kind.index() as u32, clock_ns, rtp });
    }

    /// Both tracks, a unit each 20 ms.
    fn run(&mut self, from_ms: i64, to_ms: i64) {
        for at_ms in (from_ms..to_ms).step_by(20) {
            self.unit(Video, at_ms);
            self.unit(Audio, at_ms);
        }
    }

    /// How much later sound is placed than the picture of the same moment, at the end.
    fn apart_ns(&self) -> i64 {
        let shift = |kind: TrackKind| self.placed[kind.index()].last().map(|(at, placed)| placed - at).expect("a unit");
        shift(Audio) - shift(Video)
    }

    /// The largest difference between a step of the publisher and the step it was given.
    fn unsteady_ns(&self) -> i64 {
        let pairs = self.placed.iter().flat_map(|units| units.windows(2));
        pairs.map(|pair| ((pair[1].1 - pair[0].1) - (pair[1].0 - pair[0].0)).abs()).max().unwrap_or(0)
    }
}

#[test]
fn reports_put_the_tracks_in_step_and_a_standstill_changes_nothing() {
    let mut scene = Scene::new();
    scene.late_ns = [150 * MS, 20 * MS];
    scene.run(0, 1_000);
    assert_eq!(scene.apart_ns(), -130 * MS, "by arrival, before the first reports");
    scene.report(Video, 1_000);
    scene.report(Audio, 1_000);
    scene.run(1_000, 8_000);
    assert!(scene.apart_ns().abs() < 2 * MS, "{}", scene.apart_ns());
    assert!(scene.unsteady_ns() < 3 * MS, "no step, but ever so slowly: {}", scene.unsteady_ns());
    scene.run(8_000, 20_000);
    scene.placed = Default::default();
    for second in 20..30 {
        scene.still_until_ns = START + second * SECOND + 800 * MS;
        scene.report(Audio, second * 1_000);
        scene.run(second * 1_000, (second + 1) * 1_000);
        assert!(scene.apart_ns().abs() < MS, "{}", scene.apart_ns());
    }
    assert!(scene.unsteady_ns() < MS, "{}", scene.unsteady_ns());
}

#[test]
fn without_reports_arrival_decides_and_a_standstill_changes_nothing() {
    let mut scene = Scene::new();
    scene.late_ns = [30 * MS, 20 * MS];
    // The first packets come in a standstill, too.
    scene.still_until_ns = START + 300 * MS;
    scene.run(0, 10_000);
    assert!((scene.apart_ns() + 10 * MS).abs() < MS, "{}", scene.apart_ns());
    scene.still_until_ns = START + 12_000 * MS;
    scene.run(10_000, 20_000);
    assert!((scene.apart_ns() + 10 * MS).abs() < MS, "{}", scene.apart_ns());
}

#[test]
fn sound_that_begins_later_is_in_step_after_its_first_report() {
    let mut scene = Scene::new();
    scene.late_ns = [0, 90 * MS];
    scene.report(Video, 0);
    for at_ms in (0..30_000).step_by(40) {
        scene.unit(Video, at_ms);
    }
    scene.run(30_000, 32_500);
    assert_eq!(scene.apart_ns(), 90 * MS);
    scene.report(Audio, 32_500);
    scene.run(32_500, 37_000);
    assert!(scene.apart_ns().abs() < 5 * MS, "{}", scene.apart_ns());
    // A report may come ahead of its first packet.
    let mut scene = Scene::new();
    scene.late_ns = [0, 90 * MS];
    scene.report(Video, 0);
    scene.report(Audio, 0);
    scene.run(0, 5_000);
    assert!(scene.apart_ns().abs() < 5 * MS, "{}", scene.apart_ns());
}

#[test]
fn muted_sound_comes_back_in_step() {
    let mut scene = Scene::new();
    scene.late_ns = [60 * MS, 0];
    scene.report(Video, 0);
    scene.report(Audio, 0);
    scene.run(0, 20_000);
    for at_ms in (20_000..600_000).step_by(40) {
        scene.unit(Video, at_ms);
    }
    scene.unit(Audio, 600_000);
    scene.unit(Video, 600_000);
    assert!(scene.apart_ns().abs() < MS, "{}", scene.apart_ns());
}

#[test]
fn sound_whose_time_stamps_stood_still_while_it_was_muted_comes_back_in_step() {
    for (muted_ms, reported) in [(3_000, true), (3_000, false), (60_000, true), (600, true)] {
        let mut scene = Scene::new();
        scene.report(Video, 0);
        scene.report(Audio, 0);
        scene.run(0, 20_000);
        let back_ms = 20_000 + muted_ms;
        for at_ms in (20_000..back_ms).step_by(40) {
            scene.unit(Video, at_ms);
        }
        // Its time stamps go on where they had stopped.
        scene.first[1] = scene.first[1].wrapping_sub((muted_ms * i64::from(AUDIO_HZ) / 1_000) as u32);
        scene.run(back_ms, back_ms + 1_000);
        if reported {
            scene.report(Audio, back_ms + 1_000);
        }
        scene.run(back_ms + 1_000, back_ms + 2_000);
        assert!(scene.apart_ns().abs() < 2 * MS, "{muted_ms} ms: {}", scene.apart_ns());
    }
}

#[test]
fn when_the_publishers_clock_is_set_nothing_moves() {
    for set in [3_600 * SECOND, -3_600 * SECOND, 700 * MS] {
        let mut scene = Scene::new();
        scene.late_ns = [40 * MS, 0];
        scene.report(Video, 0);
        scene.report(Audio, 0);
        scene.run(0, 20_000);
        scene.placed = Default::default();
        scene.clock_ns += set;
        scene.report(Video, 20_000);
        scene.run(20_000, 24_000);
        scene.report(Audio, 24_000);
        scene.run(24_000, 28_000);
        scene.report(Video, 28_000);
        scene.run(28_000, 32_000);
        assert!(scene.apart_ns().abs() < 2 * MS, "{set}: {}", scene.apart_ns());
        assert!(scene.unsteady_ns() < 2 * MS, "{set}: {}", scene.unsteady_ns());
        // And it can be set while one track is muted.
        for at_ms in (32_000..50_000).step_by(40) {
            scene.unit(Video, at_ms);
        }
        scene.clock_ns += set;
        scene.report(Video, 50_000);
        scene.run(50_000, 55_000);
        scene.report(Audio, 55_000);
        scene.run(55_000, 60_000);
        assert!(scene.apart_ns().abs() < 2 * MS, "{set}: {}", scene.apart_ns());
    }
}

#[test]
fn reports_that_would_part_the_tracks_far_are_not_followed() {
    let mut scene = Scene::new();
    scene.report(Video, 0);
    scene.run(0, 1_000);
    scene.clock_ns += 600 * MS;
    for second in 1..20 {
        scene.report(Audio, second * 1_000);
        scene.run(second * 1_000, (second + 1) * 1_000);
    }
    assert!(scene.apart_ns().abs() < MS, "{}", scene.apart_ns());
}

#[test]
fn time_stamps_with_a_new_origin_go_on_where_arrival_is() {
    for origin in [u32::MAX / 3, 1_000_000, u32::MAX / 3 * 2] {
        let mut scene = Scene::new();
        scene.report(Video, 0);
        scene.report(Audio, 0);
        scene.run(0, 20_000);
        scene.first[0] = origin;
        scene.run(20_000, 21_000);
        assert!(scene.apart_ns().abs() < 20 * MS, "{origin}: {}", scene.apart_ns());
        scene.report(Video, 21_000);
        scene.run(21_000, 25_000);
        assert!(scene.apart_ns().abs() < 2 * MS, "{origin}: {}", scene.apart_ns());
    }
}

#[test]
fn the_publishers_clock_is_followed_for_hours() {
    let mut scene = Scene::new();
    scene.report(Video, 0);
    scene.report(Audio, 0);
    for at_ms in (0..4 * 3_600_000).step_by(40) {
        // 200 ppm: 2.9 s in four hours.
        scene.late_ns = [at_ms * MS / 5_000 + 30 * MS, at_ms * MS / 5_000];
        scene.unit(Video, at_ms);
        scene.unit(Audio, at_ms);
    }
    let (at, placed) = *scene.placed[1].last().expect("a unit");
    let behind = START + at + scene.late_ns[1] - placed;
    assert!((0..20 * MS).contains(&behind), "{behind}");
    assert!(scene.unsteady_ns() < 3 * MS, "{}", scene.unsteady_ns());
    assert!(scene.apart_ns().abs() < MS, "{}", scene.apart_ns());
}

#[test]
fn packets_of_a_picture_have_one_place_and_nothing_overflows() {
    let place = |clock: &mut Followed, kind, ssrc, rate_hz, rtp, arrived_ns| {
        clock.place(kind, Stamp { ssrc, rtp, rate_hz, arrived_ns })
    };
    let mut clock = Followed::default();
    assert_eq!(place(&mut clock, Video, 1, VIDEO_HZ, 5, None), None);
    assert_eq!(place(&mut clock, Video, 1, 0, 5, Some(0)), None);
    let first = place(&mut clock, Video, 1, VIDEO_HZ, 5, Some(START));
    assert_eq!(place(&mut clock, Video, 1, VIDEO_HZ, 5, Some(START + 40 * MS)), first);
    for rtp in [0, u32::MAX, 1 << 31, 7] {
        for clock_ns in [i64::MIN, i64::MAX, 0] {
            for ssrc in 0..20 {
                clock.report(SenderReport { ssrc, clock_ns, rtp });
            }
            for arrived in [None, Some(i64::MAX), Some(0)] {
                place(&mut clock, Video, 1, VIDEO_HZ, rtp, arrived);
                place(&mut clock, Audio, 2, 1, rtp, arrived);
            }
        }
    }
    assert_eq!(clock.reports.len(), REPORTS_MAX);
}
