//! Names that are not known, not answered, or move.

use std::net::Ipv4Addr;

use crate::support::dns::Dns;
use crate::support::receiver::Receiver;
use crate::support::service::Options;

use super::drill::Drill;
use super::stage::{Far, Stage};

/// A receiver that is reached by a name of its own.
fn named(number: usize) -> Far {
    let far = Far::plain();
    let url = format!("srt://h{number}.test:{}", far.receiver.port);
    Far { url, ..far }
}

/// The name in its address.
fn name(far: &Far) -> &str {
    far.url.strip_prefix("srt://").and_then(|rest| rest.split(':').next()).expect("it was made by a name")
}

fn stage(dns: &Dns) -> Stage {
    Stage::with(Options { launcher: dns.launcher(), ..Options::default() })
}

#[test]
fn an_unknown_name_is_a_failure_until_it_is_known() {
    let Some(dns) = Dns::start() else { return };
    let drill = Drill {
        name: "unknown-name",
        connected_first: false,
        far: &named,
        begin: &|_| (),
        lasts_s: 0.0,
        end: &|far| dns.set(name(far), Ipv4Addr::LOCALHOST),
    };
    drill.run(&stage(&dns));
}

#[test]
#[ignore = "scripts/faults runs it"]
fn a_silent_resolver_is_a_failure_until_it_answers() {
    let Some(dns) = Dns::start() else { return };
    Drill {
        name: "silent-resolver",
        connected_first: false,
        far: &named,
        begin: &|far| dns.silence(name(far)),
        lasts_s: 0.0,
        end: &|far| dns.set(name(far), Ipv4Addr::LOCALHOST),
    }
    .run(&stage(&dns));
}

#[test]
fn a_moved_name_is_followed() {
    let Some(dns) = Dns::start() else { return };
    // A loopback address of its own for each.
    let elsewhere = |far: &Far| {
        let [high, low] = far.receiver.port.to_be_bytes();
        Ipv4Addr::new(127, 90, high, low)
    };
    Drill {
        name: "moved-name",
        connected_first: true,
        far: &|number| {
            let far = named(number);
            dns.set(name(&far), Ipv4Addr::LOCALHOST);
            far
        },
        begin: &|far| {
            far.receiver.kill();
            dns.set(name(far), elsewhere(far));
        },
        lasts_s: 4.0,
        end: &|far| {
            far.receiver = Receiver::prepare_at(&elsewhere(far).to_string(), far.receiver.port);
            far.receiver.start();
        },
    }
    .run(&stage(&dns));
}
