//! The dialogue as tables: what goes in, what must come out, and nothing else.

use super::*;
use crate::model::ids::StreamKey;

/// What goes in.
enum In {
    Message(&'static str),
    Admitted(Attempt),
    Refused(Attempt, PublishRefusal),
    Overdue(Attempt),
    Answered(Attempt),
    NotAnswered(Attempt, OfferError),
    News(Attempt, SessionNews),
    Closed(Attempt),
}
use In::{Admitted, Answered, Closed, Message, News, NotAnswered, Overdue, Refused};

const PUBLISH: In = Message(r#"{"command":"publish","streamId":"s","subscriberId":"u","streamName":"n"}"#);
const OFFER: In = Message(r#"{"command":"takeConfiguration","streamId":"s","type":"offer","sdp":"o"}"#);
const CANDIDATE: In = Message(r#"{"command":"takeCandidate","streamId":"s","label":0,"id":"0","candidate":"c"}"#);
const STOP: In = Message(r#"{"command":"stop","streamId":"s"}"#);

const START: &str = r#"> {"command":"start","streamId":"s","subscriberId":"u"}"#;
const ANSWER: &str = r#"> {"command":"takeConfiguration","streamId":"s","type":"answer","sdp":"a","linkSession":null,"subscriberId":"u"}"#;
const STARTED: &str =
    r#"> {"command":"notification","definition":"publish_started","streamId":"s","subscriberId":"u"}"#;
const FINISHED: &str =
    r#"> {"command":"notification","definition":"publish_finished","streamId":"s","subscriberId":"u"}"#;

fn local(candidate: &str) -> SessionNews {
    SessionNews::Candidate(Candidate { mline_index: 1, mid: Some("1".into()), candidate: candidate.into() })
}

fn shown(step: &Step) -> String {
    match step {
        Step::Send(text) => format!("> {text}"),
        Step::SendIceServers => "ice servers".into(),
        Step::Describe(stream) => format!("describe {stream}"),
        Step::Admit(attempt, wanted) => format!("admit {attempt} {}", wanted.stream),
        Step::Answer(attempt, offer) => format!("answer {attempt} {offer}"),
        Step::Candidate(attempt, candidate) => format!("candidate {attempt} {}", candidate.candidate),
        Step::Close(attempt) => format!("close {attempt}"),
    }
}

fn feed(dialogue: &mut Dialogue, given: &In) -> Vec<Step> {
    match given {
        Message(text) => dialogue.received(text),
        Admitted(attempt) => dialogue.admitted(*attempt, Ok(())),
        Refused(attempt, refusal) => dialogue.admitted(*attempt, Err(refusal)),
        Overdue(attempt) => dialogue.overdue(*attempt),
        Answered(attempt) => dialogue.answered(*attempt, Ok("a")),
        NotAnswered(attempt, reason) => dialogue.answered(*attempt, Err(reason)),
        News(attempt, news) => dialogue.news(*attempt, news),
        Closed(attempt) => dialogue.closed(*attempt),
    }
}

#[track_caller]
fn check(table: &[(In, &[&str])]) {
    let mut dialogue = Dialogue::default();
    for (line, (given, wanted)) in table.iter().enumerate() {
        let got: Vec<String> = feed(&mut dialogue, given).iter().map(shown).collect();
        assert_eq!(got, *wanted, "line {line}");
    }
}

fn published() -> [(In, &'static [&'static str]); 5] {
    [
        (PUBLISH, &["admit 1 s"]),
        (Admitted(1), &[START]),
        (OFFER, &["answer 1 o"]),
        (Answered(1), &[ANSWER]),
        (News(1, SessionNews::Started), &[STARTED]),
    ]
}

#[track_caller]
fn check_after_publishing(table: &[(In, &[&str])]) {
    let mut dialogue = Dialogue::default();
    for (given, _) in &published() {
        feed(&mut dialogue, given);
    }
    for (line, (given, wanted)) in table.iter().enumerate() {
        let got: Vec<String> = feed(&mut dialogue, given).iter().map(shown).collect();
        assert_eq!(got, *wanted, "line {line}");
    }
}

#[test]
fn a_publication_from_begin_to_end() {
    check(&published());
    check_after_publishing(&[
        (CANDIDATE, &["candidate 1 c"]),
        (
            News(1, local("candidate:1")),
            &[r#"> {"command":"takeCandidate","streamId":"s","label":1,"id":"1","candidate":"candidate:1"}"#],
        ),
        (News(1, local("")), &[]),
        (STOP, &["close 1", FINISHED]),
        (Closed(1), &[]),
        (PUBLISH, &["admit 2 s"]),
    ]);
}

#[test]
fn candidates_that_come_before_the_answer_wait_for_it() {
    check(&[
        (PUBLISH, &["admit 1 s"]),
        (CANDIDATE, &[]),
        (Admitted(1), &[START]),
        (CANDIDATE, &[]),
        (OFFER, &["answer 1 o"]),
        (CANDIDATE, &[]),
        (Answered(1), &[ANSWER, "candidate 1 c", "candidate 1 c"]),
        (CANDIDATE, &["candidate 1 c"]),
    ]);
}

#[test]
fn an_offer_that_does_not_wait_for_start_is_answered_once_the_id_is_claimed() {
    check(&[
        (PUBLISH, &["admit 1 s"]),
        (CANDIDATE, &[]),
        (OFFER, &[]),
        (CANDIDATE, &[]),
        (Admitted(1), &[START, "answer 1 o"]),
        (Answered(1), &[ANSWER, "candidate 1 c"]),
        (News(1, SessionNews::Started), &[STARTED]),
    ]);
    check(&[(PUBLISH, &["admit 1 s"]), (OFFER, &[]), (STOP, &["close 1", FINISHED]), (Admitted(1), &[])]);
}

#[test]
fn after_a_stop_nothing_but_publish_finished_is_said() {
    let late: &[(In, &[&str])] = &[
        (OFFER, &[]),
        (CANDIDATE, &[]),
        (Admitted(1), &[]),
        (Overdue(1), &[]),
        (Answered(1), &[]),
        (News(1, local("candidate:1")), &[]),
        (News(1, SessionNews::Started), &[]),
        (News(1, SessionNews::Ended("x".into())), &[]),
        (STOP, &[]),
        (Closed(1), &[]),
        (STOP, &[]),
        (OFFER, &[]),
        (CANDIDATE, &[]),
    ];
    for stage in 1..=published().len() {
        let mut dialogue = Dialogue::default();
        for (given, _) in &published()[..stage] {
            feed(&mut dialogue, given);
        }
        let got: Vec<String> = feed(&mut dialogue, &STOP).iter().map(shown).collect();
        assert_eq!(got, ["close 1", FINISHED], "stopped at stage {stage}");
        for (line, (given, wanted)) in late.iter().enumerate() {
            let got: Vec<String> = feed(&mut dialogue, given).iter().map(shown).collect();
            assert_eq!(got, *wanted, "stage {stage}, line {line}");
        }
    }
}

#[test]
fn a_second_publish_waits_until_the_first_is_gone() {
    check_after_publishing(&[
        (STOP, &["close 1", FINISHED]),
        (PUBLISH, &[]),
        (OFFER, &[]),
        (Closed(1), &["admit 2 s"]),
        // News of the first are not of the second.
        (News(1, SessionNews::Ended("x".into())), &[]),
        (Admitted(1), &[]),
        (Admitted(2), &[START]),
        (Overdue(1), &[]),
        (OFFER, &["answer 2 o"]),
        (Answered(2), &[ANSWER]),
    ]);
    // Stopped while it waits: it never begins.
    check_after_publishing(&[
        (STOP, &["close 1", FINISHED]),
        (PUBLISH, &[]),
        (STOP, &[FINISHED]),
        (Closed(1), &[]),
        (PUBLISH, &["admit 2 s"]),
    ]);
}

#[test]
fn what_the_ingest_refuses_has_ant_medias_code() {
    let key = StreamKey { app: "live".parse().expect("app"), id: "s".parse().expect("id") };
    for (refusal, wanted) in [
        (PublishRefusal::InUse(key), r#""definition":"streamIdInUse","streamId":"s"}"#),
        (
            PublishRefusal::ShuttingDown,
            r#""definition":"not_initialized_yet","streamId":"s","information":"the service is shutting down"}"#,
        ),
        (
            PublishRefusal::UnknownApp("x".into()),
            r#""definition":"invalidStreamName","streamId":"s","information":"application \"x\" does not exist"}"#,
        ),
        (PublishRefusal::Internal("/etc".into()), r#""definition":"server_error_check_logs","streamId":"s"}"#),
    ] {
        let told = format!(r#"> {{"command":"error",{wanted}"#);
        check(&[
            (PUBLISH, &["admit 1 s"]),
            (Refused(1, refusal), &["close 1", &told]),
            (PUBLISH, &[]),
            (Closed(1), &["admit 2 s"]),
        ]);
    }
    for (reason, wanted) in [
        (
            OfferError::Bad("no mid".into()),
            r#""definition":"notSetRemoteDescription","streamId":"s","information":"no mid"}"#,
        ),
        (
            OfferError::NoCodec("AV1 only".into()),
            r#""definition":"no_codec_enabled_in_the_server","streamId":"s","information":"AV1 only"}"#,
        ),
        (
            OfferError::Full(7),
            r#""definition":"highResourceUsage","streamId":"s","information":"all 7 WebRTC sessions are taken"}"#,
        ),
        (OfferError::Internal("/etc".into()), r#""definition":"server_error_check_logs","streamId":"s"}"#),
    ] {
        let told = format!(r#"> {{"command":"error",{wanted}"#);
        check(&[
            (PUBLISH, &["admit 1 s"]),
            (Admitted(1), &[START]),
            (OFFER, &["answer 1 o"]),
            (NotAnswered(1, reason), &["close 1", &told]),
            (CANDIDATE, &[]),
        ]);
    }
}

#[test]
fn a_publisher_that_does_not_come_is_told_so() {
    let error = |information: &str| {
        format!(
            r#"> {{"command":"error","definition":"publishTimeoutError","streamId":"s","information":"{information}"}}"#
        )
    };
    check(&[
        (PUBLISH, &["admit 1 s"]),
        (Admitted(1), &[START]),
        (Overdue(1), &["close 1", &error("no offer came in time")]),
    ]);
    check(&[
        (PUBLISH, &["admit 1 s"]),
        (Admitted(1), &[START]),
        (OFFER, &["answer 1 o"]),
        (Overdue(1), &[]),
        (Answered(1), &[ANSWER]),
        (News(1, SessionNews::Ended("ICE failed".into())), &["close 1"]),
        (Closed(1), &[&error("ICE failed")]),
        (STOP, &[]),
        (PUBLISH, &["admit 2 s"]),
    ]);
    // A browser closes its peer connection and then says `stop`.
    check(&[
        (PUBLISH, &["admit 1 s"]),
        (Admitted(1), &[START]),
        (OFFER, &["answer 1 o"]),
        (Answered(1), &[ANSWER]),
        (News(1, SessionNews::Ended("closed".into())), &["close 1"]),
        (STOP, &[FINISHED]),
        (STOP, &[]),
        (PUBLISH, &[]),
        (Closed(1), &["admit 2 s"]),
    ]);
    check_after_publishing(&[(News(1, SessionNews::Ended("stopped".into())), &["close 1", FINISHED])]);
}

#[test]
fn what_needs_no_publication_is_answered_at_any_time() {
    check(&[
        (Message(r#"{"command":"ping"}"#), &[r#"> {"command":"pong"}"#]),
        (Message(r#"{"command":"getIceServerConfig"}"#), &["ice servers"]),
        (Message(r#"{"command":"getStreamInfo","streamId":"s"}"#), &["describe s"]),
        (
            Message(r#"{"command":"play","streamId":"s"}"#),
            &[r#"> {"command":"error","definition":"no_stream_exist","streamId":"s","error_code":"404"}"#],
        ),
        (Message(r#"{"command":"getTrackList","streamId":"s"}"#), &[]),
        (Message(r#"{"command":"publish"}"#), &[r#"> {"command":"error","definition":"noStreamNameSpecified"}"#]),
        (STOP, &[]),
        (OFFER, &[]),
        (CANDIDATE, &[]),
    ]);
    let mut dialogue = Dialogue::default();
    let told: Vec<String> = feed(&mut dialogue, &Message("{")).iter().map(shown).collect();
    assert!(told[0].starts_with(r#"> {"command":"error","definition":"malformed_message","information":"#), "{told:?}");
}

#[test]
fn wrong_turns_are_named() {
    let stream = r#""streamId":"s""#;
    let already = format!(r#"> {{"command":"error","definition":"already_publishing",{stream}}}"#);
    let anew = format!(
        r#"> {{"command":"error","definition":"notSetRemoteDescription",{stream},"information":"a published stream can't be offered anew; stop it first"}}"#
    );
    check_after_publishing(&[(PUBLISH, &[&already]), (OFFER, &[&anew])]);
    let empty = format!(
        r#"> {{"command":"error","definition":"notSetRemoteDescription",{stream},"information":"the offer has no sdp"}}"#
    );
    check(&[
        (PUBLISH, &["admit 1 s"]),
        (PUBLISH, &[&already]),
        (Admitted(1), &[START]),
        (Message(r#"{"command":"takeConfiguration","streamId":"s","type":"offer"}"#), &["close 1", &empty]),
    ]);
}

#[test]
fn one_socket_publishes_several_streams_but_not_any_number() {
    let mut dialogue = Dialogue::default();
    let publish = |n: usize| format!(r#"{{"command":"publish","streamId":"s{n}"}}"#);
    for n in 0..PUBLICATIONS_MAX {
        assert!(matches!(dialogue.received(&publish(n))[..], [Step::Admit(..)]));
    }
    let steps = dialogue.received(&publish(PUBLICATIONS_MAX));
    assert!(matches!(&steps[..], [Step::Send(told)] if told.contains("highResourceUsage")), "{steps:?}");
    // A place comes back when a stream is gone, not when it begins to go.
    dialogue.received(r#"{"command":"stop","streamId":"s0"}"#);
    assert!(matches!(dialogue.received(&publish(99))[..], [Step::Send(_)]));
    dialogue.closed(1);
    assert!(matches!(dialogue.received(&publish(99))[..], [Step::Admit(..)]));
}

#[test]
fn candidates_are_bounded() {
    let mut dialogue = Dialogue::default();
    for (given, _) in &published() {
        feed(&mut dialogue, given);
    }
    let taken = (0..10 * CANDIDATES_MAX).filter(|_| !feed(&mut dialogue, &CANDIDATE).is_empty()).count();
    assert_eq!(taken, CANDIDATES_MAX);
}
