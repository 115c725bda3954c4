//! What real publishers send behind their handshake, byte for byte, against the session.
//!
//! `captures/*.bin`: the first 4096 bytes of FFmpeg 5.1 (its own RTMP), GStreamer 1.22's rtmp2sink, and its
//! rtmpsink (librtmp), each publishing H.264 and AAC to `live/x`.

use super::amf0::Value;
use super::handshake::RANDOM_LEN;
use super::session::{Event, Session, TrackKind};

/// Feeds `capture` in pieces of `piece` bytes to a session that grants everything.
fn events(capture: &[u8], piece: usize) -> Vec<Event> {
    let mut session = Session::new(Box::new([0; RANDOM_LEN]));
    let hello = [&[3][..], &[0; 2 * 1536]].concat();
    let mut events = Vec::new();
    for piece in hello.chunks(1000).chain(capture.chunks(piece)) {
        session.input().extend_from_slice(piece);
        session.received(piece.len());
        while let Some(event) = session.poll().expect("a real publisher is understood") {
            match event {
                Event::Connect(_) => session.grant_connect(),
                Event::Publish(_) => session.grant_publish(),
                _ => {}
            }
            events.push(event);
        }
    }
    events
}

#[test]
fn captured_publishers_are_understood_however_their_bytes_are_cut() {
    for (name, capture, query, agent) in [
        ("ffmpeg", &include_bytes!("captures/ffmpeg.bin")[..], 1, Some("FMLE/3.0 (compatible; Lavf59.27.100)")),
        ("rtmp2sink", include_bytes!("captures/rtmp2sink.bin"), 0, Some("LNX 10,0,32,18")),
        ("rtmpsink", include_bytes!("captures/rtmpsink.bin"), 0, None),
    ] {
        let seen = events(capture, 1);
        for piece in [2, 3, 128, 1500, 5000] {
            assert_eq!(events(capture, piece), seen, "{name} in pieces of {piece}");
        }
        assert_eq!(seen[0], Event::Connect("live".to_owned()), "{name}");
        let Event::Publish(intent) = &seen[1] else { panic!("{name}: {:?}", seen[1]) };
        assert_eq!((intent.stream.id.as_str(), intent.stream.query.len()), ("x", query), "{name}");
        assert_eq!(intent.user_agent.as_deref(), agent, "{name}");
        let Event::MetaData(metadata) = &seen[2] else { panic!("{name}: {:?}", seen[2]) };
        assert_eq!(metadata.get("width").and_then(Value::as_number), Some(320.0), "{name}");
        assert_eq!(metadata.get("videocodecid").and_then(Value::as_number), Some(7.0), "{name}");
        assert_eq!(metadata.get("audiocodecid").and_then(Value::as_number), Some(10.0), "{name}");
        let headers = [(TrackKind::Video, [0x17, 0]), (TrackKind::Audio, [0xAF, 0])];
        for (kind, head) in headers {
            let header = seen.iter().find_map(|event| match event {
                Event::Tag { kind: of, timestamp_ms, body } if *of == kind => Some((*timestamp_ms, body)),
                _ => None,
            });
            assert!(header.is_some_and(|(time, body)| time == 0 && body.starts_with(&head)), "{name} {header:?}");
        }
    }
}
