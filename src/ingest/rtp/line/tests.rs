//! Tracks as senders send them, packet by packet.

use super::*;

const MS: i64 = 1_000_000;
const VIDEO: u32 = 11;
const AUDIO: u32 = 22;

/// The clock of the sender's wall, from 1900.
const CLOCK_NS: i64 = 3_900_000_000_000_000_000;

fn place(line: &mut Line, kind: TrackKind, ssrc: u32, rtp: u32, rate_hz: u32, arrived_ns: i64) -> i64 {
    line.place(kind, Stamp { ssrc, rtp, rate_hz, arrived_ns: Some(arrived_ns) }).expect("a place")
}

/// A sender whose tracks are truly in step.
struct Sender {
    line: Line,
    video_base: u32,
    audio_base: u32,
}

impl Sender {
    fn new() -> Self {
        Self { line: Line::default(), video_base: 0xffff_f000, audio_base: 0x1234_5678 }
    }

    /// A picture of the sender's time `at_ms` that takes `delay_ms` to come.
    fn video(&mut self, at_ms: i64, delay_ms: i64) -> i64 {
        let rtp_time = self.video_base.wrapping_add((at_ms * 90) as u32);
        let arrived_ns = (at_ms + delay_ms) * MS;
        place(&mut self.line, TrackKind::Video, VIDEO, rtp_time, 90_000, arrived_ns)
    }

    fn audio(&mut self, at_ms: i64, delay_ms: i64) -> i64 {
        let rtp_time = self.audio_base.wrapping_add((at_ms * 48) as u32);
        let arrived_ns = (at_ms + delay_ms) * MS;
        place(&mut self.line, TrackKind::Audio, AUDIO, rtp_time, 48_000, arrived_ns)
    }

    fn reports(&mut self, at_ms: i64, audio_off_ms: i64) {
        let video = self.video_base.wrapping_add((at_ms * 90) as u32);
        let audio = self.audio_base.wrapping_add((at_ms * 48) as u32);
        self.line.report(SenderReport { ssrc: VIDEO, clock_ns: CLOCK_NS + at_ms * MS, rtp: video });
        self.line.report(SenderReport { ssrc: AUDIO, clock_ns: CLOCK_NS + (at_ms + audio_off_ms) * MS, rtp: audio });
    }
}

#[test]
fn steps_are_the_senders_whatever_the_network_does_and_over_the_wrap() {
    let mut sender = Sender::new();
    let places: Vec<_> = (0..200).map(|n| sender.video(n * 40, n * 37 % 29)).collect();
    assert!(places.windows(2).all(|pair| (pair[1] - pair[0] - 40 * MS).abs() <= 1), "{places:?}");
}

#[test]
fn reports_that_are_there_first_decide() {
    let mut sender = Sender::new();
    sender.reports(0, 0);
    let video = sender.video(0, 5);
    let audio = sender.audio(0, 85);
    assert!((video - audio).abs() < 1_000, "{video} {audio}");
}

#[test]
fn without_reports_arrival_decides() {
    let mut sender = Sender::new();
    let video = sender.video(0, 5);
    let audio = sender.audio(0, 25);
    assert_eq!(audio - video, 20 * MS);
}

#[test]
fn late_reports_move_sound_alone_slowly_and_for_good() {
    let mut sender = Sender::new();
    let (mut videos, mut audios) = (Vec::new(), Vec::new());
    for n in 0..1_000 {
        if n == 125 {
            sender.reports(n * 20, 0);
        }
        if n % 2 == 0 {
            videos.push(sender.video(n * 20, 0));
        }
        audios.push(sender.audio(n * 20, 60));
    }
    assert!(videos.windows(2).all(|pair| (pair[1] - pair[0] - 40 * MS).abs() <= 1));
    assert!(audios.windows(2).all(|pair| (pair[1] - pair[0] - 20 * MS).abs() <= 20 * MS / SLEW));
    assert_eq!(audios[0] - videos[0], 60 * MS, "by arrival");
    let last = audios.len() - 2;
    assert!((audios[last] - videos[last / 2]).abs() < MS, "in step");
    let settled = &audios[125 + 60 / 20 * 50 + 60..];
    assert!(settled.windows(2).all(|pair| (pair[1] - pair[0] - 20 * MS).abs() < 25_000), "and at rest");
}

#[test]
fn small_or_absurd_differences_move_nothing() {
    for off_ms in [8, -8, 2_700, -30_000_000] {
        let mut sender = Sender::new();
        sender.video(0, 0);
        let before = sender.audio(0, 0);
        sender.reports(20, off_ms);
        for n in 1..200 {
            sender.video(n * 20, 0);
            assert!((sender.audio(n * 20, 0) - before - n * 20 * MS).abs() < 25_000, "{off_ms}");
        }
    }
}

#[test]
fn a_clock_that_drifts_is_followed_by_its_reports() {
    // Sound runs 1 in 1000 too fast: 60 ms a minute.
    let mut line = Line::default();
    let mut worst = 0;
    for n in 0..6_000i64 {
        let at_ms = n * 20;
        let ticks = |rate: i64| (at_ms * rate / 1_000) as u32;
        if n % 250 == 0 {
            let clock_ns = CLOCK_NS + at_ms * MS;
            line.report(SenderReport { ssrc: VIDEO, clock_ns, rtp: ticks(90_000) });
            line.report(SenderReport { ssrc: AUDIO, clock_ns, rtp: ticks(48_048) });
        }
        let arrived_ns = at_ms * MS;
        let video = place(&mut line, TrackKind::Video, VIDEO, ticks(90_000), 90_000, arrived_ns);
        let audio = place(&mut line, TrackKind::Audio, AUDIO, ticks(48_048), 48_000, arrived_ns);
        worst = worst.max((audio - video).abs());
    }
    assert!(worst < 25 * MS, "{worst}");
}

#[test]
fn an_encoder_that_restarts_goes_on_behind_itself() {
    let mut sender = Sender::new();
    let before = sender.video(0, 0);
    sender.video_base = 0x4000_0000;
    let after = sender.video(500, 0);
    assert_eq!(after - before, 500 * MS);
    assert_eq!(sender.video(540, 0) - after, 40 * MS);
}

#[test]
fn a_pause_of_the_sender_is_no_restart() {
    let mut sender = Sender::new();
    let before = sender.video(0, 0);
    assert_eq!(sender.video(30_000, 0) - before, 30_000 * MS, "its clock went on");
    let stalled = sender.video(30_040, 20_000);
    assert_eq!(stalled - before, 30_040 * MS, "the network stood still");
}

#[test]
fn reports_of_many_sources_are_bounded() {
    let mut line = Line::default();
    for ssrc in 0..1_000 {
        line.report(SenderReport { ssrc, clock_ns: 1 << 60, rtp: 0 });
    }
    assert_eq!(line.reports.len(), REPORTS_MAX);
}
