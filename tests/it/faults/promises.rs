//! The faults and what is promised of each: the table of `docs/faults.md`, held equal to it by a test.

use std::fmt::Write;

/// What is promised of one fault.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// Its name, for `scripts/faults --only`.
    pub name: &'static str,
    /// What happens.
    pub fault: &'static str,
    /// The state that the endpoint shows first.
    pub shows: &'static str,
    /// The cause of the failure that it then shows; empty where the attempt does not fail.
    pub cause: &'static str,
    /// The code of a refusal and its name, where it has one.
    pub reject: Option<(u64, &'static str)>,
    /// From the fault, or from the start of an attempt that it spoils, to that state; milliseconds.
    pub noticed_ms_max: u32,
    /// From the end of the fault to `broadcasting`, milliseconds.
    pub recovered_ms_max: u32,
    /// What its user does.
    pub remedy: &'static str,
}

/// All, in the document's order.
pub const PROMISES: &[Promise] = &[
    Promise {
        name: "black-hole",
        fault: "a connection stands, and all packets begin to vanish, both ways, for 8 s",
        shows: "stalled",
        cause: "stalled",
        reject: None,
        noticed_ms_max: 4500,
        recovered_ms_max: 12_000,
        remedy: "look at the network in between",
    },
    Promise {
        name: "frozen",
        fault: "the receiver stands still for 8 s (SIGSTOP): its socket takes packets, nobody answers",
        shows: "stalled",
        cause: "stalled",
        reject: None,
        noticed_ms_max: 4500,
        recovered_ms_max: 12_000,
        remedy: "look at the receiver: it is overloaded or hangs",
    },
    Promise {
        name: "frozen-briefly",
        fault: "the same for 4 s: shorter than SRT gives a peer up",
        shows: "stalled",
        cause: "",
        reject: None,
        noticed_ms_max: 4500,
        recovered_ms_max: 7000,
        remedy: "nothing: the connection stays; what was too late is lost",
    },
    Promise {
        name: "stopped",
        fault: "the receiver is ended and takes leave; it is back after 3 s",
        shows: "waiting",
        cause: "peer_closed",
        reject: None,
        noticed_ms_max: 1000,
        recovered_ms_max: 8000,
        remedy: "start the receiver",
    },
    Promise {
        name: "killed",
        fault: "the receiver is killed without leave (a crash, a power cut); it is back after 8 s",
        shows: "stalled",
        cause: "stalled",
        reject: None,
        noticed_ms_max: 4500,
        recovered_ms_max: 12_000,
        remedy: "start the receiver",
    },
    Promise {
        name: "walled-off",
        fault: "a connection stands, and a firewall begins to refuse its packets (ICMP) for 8 s",
        shows: "stalled",
        cause: "stalled",
        reject: None,
        noticed_ms_max: 4500,
        recovered_ms_max: 12_000,
        remedy: "look at the firewall in between",
    },
    Promise {
        name: "nobody-there",
        fault: "nobody listens on the port: its host refuses (ICMP port unreachable)",
        shows: "waiting",
        cause: "unreachable",
        reject: None,
        noticed_ms_max: 4000,
        recovered_ms_max: 8000,
        remedy: "start the receiver; check the port, and that it is UDP",
    },
    Promise {
        name: "no-host",
        fault: "a router says that the host is not there (ICMP host unreachable)",
        shows: "waiting",
        cause: "unreachable",
        reject: None,
        noticed_ms_max: 4000,
        recovered_ms_max: 8000,
        remedy: "check the address; look at routes and firewalls",
    },
    Promise {
        name: "silence",
        fault: "nothing answers at all: a firewall drops, or the host is off",
        shows: "waiting",
        cause: "timeout",
        reject: None,
        noticed_ms_max: 4000,
        recovered_ms_max: 8000,
        remedy: "check address and firewall (UDP both ways)",
    },
    Promise {
        name: "wrong-passphrase",
        fault: "both sides have a passphrase, not the same",
        shows: "waiting",
        cause: "bad_passphrase",
        reject: None,
        noticed_ms_max: 2000,
        recovered_ms_max: 8000,
        remedy: "give both sides the same passphrase",
    },
    Promise {
        name: "passphrase-here-only",
        fault: "the endpoint has a passphrase, the receiver has none",
        shows: "waiting",
        cause: "unencrypted_peer",
        reject: None,
        noticed_ms_max: 2000,
        recovered_ms_max: 8000,
        remedy: "give the receiver the passphrase, or take it from the endpoint",
    },
    Promise {
        name: "passphrase-there-only",
        fault: "the receiver has a passphrase, the endpoint has none",
        shows: "waiting",
        cause: "unencrypted_peer",
        reject: None,
        noticed_ms_max: 2000,
        recovered_ms_max: 8000,
        remedy: "give the endpoint the passphrase",
    },
    Promise {
        name: "rejected",
        fault: "the receiver refuses with a code: 1409, `SRT_REJX_CONFLICT`, its stream has another publisher",
        shows: "waiting",
        cause: "rejected_by_peer",
        reject: Some((1409, "SRT_REJX_CONFLICT")),
        noticed_ms_max: 2000,
        recovered_ms_max: 8000,
        remedy: "read `rejectCode` and `rejectName`; mostly it is the stream id",
    },
    Promise {
        name: "unknown-name",
        fault: "the name is not known (NXDOMAIN)",
        shows: "waiting",
        cause: "dns",
        reject: None,
        noticed_ms_max: 1000,
        recovered_ms_max: 8000,
        remedy: "correct the name",
    },
    Promise {
        name: "silent-resolver",
        fault: "the name server does not answer",
        shows: "waiting",
        cause: "dns",
        reject: None,
        noticed_ms_max: 6000,
        recovered_ms_max: 12_000,
        remedy: "look at the service's own resolver",
    },
    Promise {
        name: "moved-name",
        fault: "the receiver moves to another address, and its name with it",
        shows: "stalled",
        cause: "stalled",
        reject: None,
        noticed_ms_max: 4500,
        recovered_ms_max: 8000,
        remedy: "nothing: each attempt resolves the name anew",
    },
    Promise {
        name: "restarts",
        fault: "the receiver is restarted ten times, after 3.5 s of media each",
        shows: "waiting",
        cause: "peer_closed",
        reject: None,
        noticed_ms_max: 1000,
        recovered_ms_max: 4000,
        remedy: "nothing; of a receiver that never stays for 3 s the waits grow, see below",
    },
];

/// The promise of this name.
#[track_caller]
pub fn promise(name: &str) -> &'static Promise {
    PROMISES.iter().find(|promise| promise.name == name).unwrap_or_else(|| panic!("no promise is named {name}"))
}

fn seconds(ms: u32) -> String {
    format!("{} s", f64::from(ms) / 1000.0)
}

/// The document's table.
fn markdown() -> String {
    let mut out =
        "| fault | what happens | shows | cause | noticed within | recovers within | what to do |\n".to_owned();
    out.push_str("|---|---|---|---|---:|---:|---|\n");
    for promise in PROMISES {
        let cause = if promise.cause.is_empty() { "–".to_owned() } else { format!("`{}`", promise.cause) };
        writeln!(
            out,
            "| {} | {} | `{}` | {cause} | {} | {} | {} |",
            promise.name,
            promise.fault,
            promise.shows,
            seconds(promise.noticed_ms_max),
            seconds(promise.recovered_ms_max),
            promise.remedy
        )
        .unwrap();
    }
    out
}

#[test]
fn the_document_promises_what_is_tested() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/faults.md");
    let document = std::fs::read_to_string(path).unwrap();
    let table = markdown();
    assert!(document.contains(&table), "docs/faults.md must hold this table:\n{table}");
}
