//! Faults of a connection that stands.

use std::sync::Arc;

use crate::support::namespace::Namespace;

use super::drill::Drill;
use super::stage::{Far, Stage};

#[test]
fn a_black_hole_shows_as_stalled_and_its_end_is_found() {
    Drill {
        name: "black-hole",
        connected_first: true,
        far: &|_| Far::relayed(),
        begin: &|far| far.relay().black_hole(true),
        lasts_s: 8.0,
        end: &|far| far.relay().black_hole(false),
    }
    .run(&Stage::new());
}

#[test]
fn a_frozen_receiver_shows_as_stalled_and_is_served_when_it_thaws() {
    Drill {
        name: "frozen",
        connected_first: true,
        far: &|_| Far::plain(),
        begin: &|far| far.receiver.freeze(),
        lasts_s: 8.0,
        end: &|far| far.receiver.thaw(),
    }
    .run(&Stage::new());
}

#[test]
#[ignore = "like the one above; scripts/faults runs it"]
fn a_receiver_frozen_briefly_keeps_its_connection() {
    Drill {
        name: "frozen-briefly",
        connected_first: true,
        far: &|_| Far::plain(),
        begin: &|far| far.receiver.freeze(),
        lasts_s: 3.8,
        end: &|far| far.receiver.thaw(),
    }
    .run(&Stage::new());
}

#[test]
fn a_receiver_stopped_with_a_farewell_is_called_again() {
    Drill {
        name: "stopped",
        connected_first: true,
        far: &|_| Far::plain(),
        begin: &|far| far.receiver.stop(),
        lasts_s: 3.0,
        end: &|far| far.receiver.start(),
    }
    .run(&Stage::new());
}

#[test]
#[ignore = "scripts/faults runs it"]
fn a_receiver_killed_without_one_is_called_again() {
    Drill {
        name: "killed",
        connected_first: true,
        far: &|_| Far::plain(),
        begin: &|far| far.receiver.kill(),
        lasts_s: 8.0,
        end: &|far| far.receiver.start(),
    }
    .run(&Stage::new());
}

#[test]
#[ignore = "scripts/faults runs it"]
fn an_endpoint_walled_off_shows_as_stalled() {
    let Some(namespace) = Namespace::make().map(Arc::new) else { return };
    let inside = |far: &Far| far.namespace.clone().expect("it was made inside");
    Drill {
        name: "walled-off",
        connected_first: true,
        far: &|_| Far::inside(&namespace),
        begin: &|far| inside(far).refuse_udp(far.receiver.port, "port-unreachable"),
        lasts_s: 8.0,
        end: &|far| inside(far).take_udp(far.receiver.port),
    }
    .run(&Stage::new());
}
