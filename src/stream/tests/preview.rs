//! Stills of a stream: they are of now, and nothing decodes when nobody looks.

use super::*;
use crate::stream::StillError;

/// Width and height of a JPEG, from its frame header (ITU-T T.81, B.2.2).
fn size_of_jpeg(jpeg: &[u8]) -> (u16, u16) {
    assert_eq!(jpeg[..2], [0xff, 0xd8], "SOI");
    assert_eq!(jpeg[jpeg.len() - 2..], [0xff, 0xd9], "EOI: it is whole");
    let header = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("SOF0");
    let word = |at: usize| u16::from_be_bytes([jpeg[header + at], jpeg[header + at + 1]]);
    (word(7), word(5))
}

/// Waits until what makes stills has ended.
async fn until_nobody_decodes(stream: &StreamHandle, begin: Instant) {
    while stream.0.preview.is_running() {
        assert!(begin.elapsed() < WAIT, "it goes on although nobody looks");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stills_follow_the_picture_while_somebody_looks_and_end_by_themselves() {
    let context = context();
    let stream = stream(&context).await;
    assert_eq!(stream.still().await, Err(StillError::NoVideo), "nothing has come");
    let source = Source::start(&publish(&stream));
    let begin = Instant::now();
    let first = loop {
        match stream.still().await {
            Ok(still) => break still,
            Err(error) => assert!(begin.elapsed() < WAIT, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(size_of_jpeg(&first.jpeg), (640, 480));
    // The test picture has noise in it: another picture is another JPEG.
    while stream.still().await.expect("goes on").jpeg == first.jpeg {
        assert!(begin.elapsed() < WAIT, "the picture stands");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until_nobody_decodes(&stream, Instant::now()).await;
    // Whoever looks again sees the picture of now.
    let again = stream.still().await.expect("begins again");
    assert!(again.at > first.at && again.jpeg != first.jpeg);
    // One that has stopped is no picture of now.
    source.silence("video");
    let begin = Instant::now();
    let error = loop {
        match stream.still().await {
            Ok(_) => assert!(begin.elapsed() < WAIT, "an old picture is shown"),
            Err(error) => break error,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(error, StillError::NoPicture);
    // Nor is one waited for of a publisher that goes.
    let other = publish(&stream);
    assert_eq!(stream.still().await, Err(StillError::NoVideo));
    drop(other);
    stream.close().await;
    until_nobody_decodes(&stream, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_key_frame_is_waited_for() {
    let context = context();
    let stream = stream(&context).await;
    // Each 6 s: longer than what makes stills goes on unasked.
    let _source = Source::with_gop(&publish(&stream), 150);
    let begin = Instant::now();
    while !stream.snapshot().live {
        assert!(begin.elapsed() < WAIT, "no data");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stream.still().await.expect("behind the next key frame");
    stream.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_cannot_be_decoded_are_no_stills_and_harm_nothing() {
    let context = context();
    let stream = stream(&context).await;
    let input = publish(&stream);
    let caps = "video/x-h264,stream-format=byte-stream,alignment=au,width=160,height=120,profile=main";
    input.set_caps(TrackKind::Video, &caps.parse().expect("caps"));
    let ended = CancellationToken::new();
    let (pushing, until) = (input.clone(), ended.clone());
    let push = tokio::spawn(async move {
        let mut n = 0u8;
        while !until.is_cancelled() {
            n = n.wrapping_add(1);
            let rubbish: Vec<u8> = [0, 0, 0, 1, 0x65].into_iter().chain((0..200).map(|at| at ^ n)).collect();
            let (buffer, at) = (gst::Buffer::from_slice(rubbish), i64::from(n) * 40_000_000);
            pushing.push(AccessUnit { kind: TrackKind::Video, buffer, dts_ns: at, pts_ns: at });
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    });
    let begin = Instant::now();
    while !stream.snapshot().live {
        assert!(begin.elapsed() < WAIT, "no data");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(stream.still().await, Err(StillError::NoPicture | StillError::Ended)));
    assert!(stream.snapshot().received_bytes > 0);
    ended.cancel();
    push.await.expect("no panic");
    stream.close().await;
}
