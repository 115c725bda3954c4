//! Faults that let no connection come about.

use std::sync::Arc;

use crate::support::namespace::Namespace;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::sample::{self, Sample};
use crate::support::service::{Options, Service};

use super::drill::Drill;
use super::stage::{Far, Stage};

const OURS: &str = "open-sesame-4711";
const THEIRS: &str = "something-else-0815";

#[test]
fn nobody_there_is_told_from_silence() {
    let drill = Drill {
        name: "nobody-there",
        connected_first: false,
        far: &|_| Far::absent(""),
        begin: &|_| (),
        lasts_s: 0.0,
        end: &|far| far.receiver.start(),
    };
    let stage = Stage::new();
    drill.run(&stage);
    Drill {
        name: "silence",
        far: &|_| Far::relayed(),
        begin: &|far| far.relay().black_hole(true),
        end: &|far| far.relay().black_hole(false),
        ..drill
    }
    .run(&stage);
}

#[test]
#[ignore = "scripts/faults runs it"]
fn no_host_is_told_from_silence() {
    let Some(namespace) = Namespace::make().map(Arc::new) else { return };
    Drill {
        name: "no-host",
        connected_first: false,
        far: &|_| Far::inside(&namespace),
        begin: &|far| namespace.refuse_udp(far.receiver.port, "host-unreachable"),
        lasts_s: 0.0,
        end: &|far| namespace.take_udp(far.receiver.port),
    }
    .run(&Stage::new());
}

/// A receiver with `theirs`, called with `ours`; it is mended by giving it ours.
#[track_caller]
fn passphrases(name: &'static str, ours: Option<&'static str>, theirs: Option<&'static str>) {
    let secrets = vec![OURS.to_owned(), THEIRS.to_owned()];
    Drill {
        name,
        connected_first: false,
        far: &|_| {
            let mut receiver = Receiver::prepare(theirs);
            receiver.start();
            let query = ours.map_or(String::new(), |ours| format!("?passphrase={ours}"));
            let url = format!("{}{query}", receiver.url());
            Far::of(receiver, url)
        },
        begin: &|_| (),
        lasts_s: 0.0,
        end: &|far| {
            assert_eq!(far.receiver.received(), 0, "nothing may flow");
            far.receiver.stop();
            far.receiver.set_passphrase(ours);
            far.receiver.start();
        },
    }
    .run(&Stage::with(Options { secrets, ..Options::default() }));
}

#[test]
fn a_wrong_passphrase_is_named() {
    passphrases("wrong-passphrase", Some(OURS), Some(THEIRS));
}

#[test]
#[ignore = "scripts/faults runs it"]
fn a_passphrase_here_only_is_named() {
    passphrases("passphrase-here-only", Some(OURS), None);
}

#[test]
fn a_passphrase_there_only_is_named() {
    passphrases("passphrase-there-only", None, Some(THEIRS));
}

#[test]
fn what_is_rejected_shows_the_code_and_its_name() {
    // Another service as the receiver: it refuses a second publisher of a stream.
    let peer = Service::start();
    let sample = Sample::of(sample::H264_AAC);
    let stage = Stage::new();
    Drill {
        name: "rejected",
        connected_first: false,
        far: &|number| {
            let stream = format!("live/busy{number}");
            let rival = Publisher::srt(&peer, &stream, &sample);
            peer.api.wait_live(&stream);
            let url = format!("srt://127.0.0.1:{}?streamid={stream}", peer.ports.srt);
            Far { rival: Some(rival), ..Far::of(Receiver::prepare(None), url) }
        },
        begin: &|_| (),
        lasts_s: 0.0,
        end: &|far| far.rival.take().expect("it publishes").stop(),
    }
    .run(&stage);
    // One that no retry of its own can mend, for the numbers.
    let endpoint = stage.add(&format!("srt://127.0.0.1:{}?streamid=nowhere/x", peer.ports.srt));
    endpoint.wait_step(0.0, crate::support::wait::LATER, "it is refused", |step| step.cause == "rejected_by_peer");
    let failure = endpoint.all()["failure"].clone();
    assert_eq!(failure["rejectCode"], 1404, "{failure}");
    assert_eq!(failure["rejectName"], "SRT_REJX_NOTFOUND", "{failure}");
}
