//! Lip sync at the receiver, through everything that a user does to the sound and a browser to the pictures.

use std::time::Duration;

use crate::support::check::AV_SHIFT_LIMIT_MS;
use crate::support::receiver::Receiver;
use crate::support::service::Service;
use crate::support::ts::Verdict;
use crate::support::wait::{LATER, wait_for};
use crate::support::webrtc::{Page, av_offset_ms, expected, last_width, receive, since};

/// Flashes with their beeps that an offset is taken from, and the seconds that hold them.
const MEASURED_S: f64 = 6.0;
const FLASHES_MIN: u64 = 3;

/// How far apart they may be found, by the service and by what canvas and sound of a browser are apart by themselves
/// (10 to 25 ms measured; what the service adds is judged in `lip_sync.rs`, with a publisher that knows).
const APART_MAX_MS: f64 = AV_SHIFT_LIMIT_MS;

/// What a change may tear into the pictures on a busy machine.
const CHANGE_MAX_MS: f64 = 4000.0;

/// How often it is measured before it is said that sound and pictures are apart.
const MEASURED_TIMES_MAX: usize = 4;

/// The offset of what comes from now on, less what the page itself has caused; none when too few flashes came.
fn offset_from_now(what: &str, page: &Page, receiver: &Receiver) -> Option<f64> {
    let from = receiver.received();
    page.late_ms();
    receiver.wait_more(MEASURED_S);
    let late = page.late_ms();
    let (offset, times) = av_offset_ms(since(&receiver.bytes(), from));
    println!("{what}: the beep comes {offset} ms after the flash ({times} times), which was drawn {late:.0} ms late");
    (times >= FLASHES_MIN).then_some(offset + late)
}

/// Measures until sound and pictures are together, as the page makes them. A machine that has no time for a browser moves them
/// for a moment; what is parted for good stays so.
#[track_caller]
fn assert_in_step(what: &str, page: &Page, receiver: &Receiver) {
    let mut seen = Vec::new();
    for _ in 0..MEASURED_TIMES_MAX {
        let offset = offset_from_now(what, page, receiver);
        if offset.is_some_and(|offset| offset.abs() < APART_MAX_MS) {
            return;
        }
        seen.push(offset);
    }
    panic!("{what}: sound comes so many ms after the pictures: {seen:?}");
}

#[test]
fn sound_and_pictures_stay_in_step_through_muting_and_a_new_resolution() {
    let service = Service::start();
    let page = Page::open();
    page.whip(&service, "live/test", "flash()", "{}");
    let receiver = receive(&service, "live/test", 2.0);
    assert_in_step("at the start", &page, &receiver);
    let steps = [
        ("muted and back", "publisher.sound.enabled = false", "publisher.sound.enabled = true"),
        (
            "without a track and back",
            "publisher.microphone.replaceTrack(null)",
            "publisher.microphone.replaceTrack(publisher.sound)",
        ),
        ("in smaller pictures", "publisher.stream.resize(320, 180)", "true"),
        ("in large ones again", "publisher.stream.resize(640, 360)", "true"),
    ];
    page.browser
        .eval("(publisher.microphone = publisher.sender('audio'), publisher.sound = publisher.microphone.track, true)");
    for (what, begin, end) in steps {
        page.browser.eval(&format!("void ({begin})"));
        receiver.wait_more(3.0);
        page.browser.eval(&format!("void ({end})"));
        // What was under way at the change is not judged.
        receiver.wait_more(1.5);
        assert_in_step(what, &page, &receiver);
        assert_eq!(service.api.status("live/test"), "broadcasting");
    }
    // A busy machine's browser may make them a little smaller than they were.
    assert!(last_width(&receiver.bytes()) > Some(320));

    let mut wanted = expected(true, true, MEASURED_S);
    // The track that was taken away, and an encoder that starts anew for each size.
    wanted.audio_gap_max_ms = 8000.0;
    wanted.video_gap_max_ms = CHANGE_MAX_MS;
    wanted.pcr_interval_max_ms = CHANGE_MAX_MS;
    wanted.table_interval_max_ms = CHANGE_MAX_MS;
    Verdict::of_bytes(&receiver.bytes()).assert_healthy("through all changes", &wanted);
    assert_eq!(receiver.connections(), 1);
}

#[test]
fn a_new_size_of_the_pictures_arrives_at_a_receiver_that_is_there_already() {
    let service = Service::start();
    let page = Page::open();
    page.whip(&service, "live/test", "camera()", "{}");
    let receiver = receive(&service, "live/test", 2.0);
    let change = [
        ("publisher.sender('video').track.applyConstraints({ width: 320, height: 180 })", 320),
        (
            "(async () => { const sender = publisher.sender('video'); const all = sender.getParameters();
                all.encodings[0].scaleResolutionDownBy = 2; await sender.setParameters(all); })()",
            160,
        ),
    ];
    for (expression, width) in change {
        page.browser.eval(&format!("void (await {expression})"));
        wait_for(LATER, &format!("pictures {width} wide"), || {
            // Too often would cost the browser the core it encodes on.
            std::thread::sleep(Duration::from_millis(500));
            let now = last_width(since(&receiver.bytes(), receiver.received() / 2));
            if now == Some(width) { Ok(()) } else { Err(format!("{now:?}")) }
        });
    }
    receiver.wait_more(1.0);
    let verdict = receiver.verdict();
    assert_eq!((verdict.continuity_errors, receiver.connections()), (0, 1), "{verdict}");
}

#[test]
fn sound_that_starts_later_is_in_step() {
    let service = Service::start();
    let page = Page::open();
    page.browser.eval(
        "(async () => { publisher.later = await publisher.flash(); const [sound] = publisher.later.getAudioTracks();
            sound.enabled = true; publisher.sound = sound; })()",
    );
    let url = crate::support::webrtc::whip_url(&service, "live/test");
    // Offered at once, sent three seconds later.
    page.browser.eval(&format!(
        "(async () => {{ const url = await publisher.whip('{url}', publisher.later, {{}});
            publisher.microphone = publisher.sender('audio'); await publisher.microphone.replaceTrack(null); return url; }})()"
    ));
    service.api.wait_live("live/test");
    let receiver = receive(&service, "live/test", 3.0);
    page.browser.eval("publisher.microphone.replaceTrack(publisher.sound)");
    receiver.wait_more(2.0);
    assert_in_step("sound that starts later", &page, &receiver);
}
