//! Temporal units cut into packets in all the ways that are allowed, with and without losses.

use proptest::prelude::*;

use super::*;

const FRAME: u8 = 6;

/// An OBU as a sender has it.
#[derive(Debug, Clone)]
struct Obu {
    kind: u8,
    extension: Option<u8>,
    /// Whether its size stands in it, which it may.
    sized: bool,
    payload: Vec<u8>,
}

impl Obu {
    fn bytes(&self, sized: bool) -> Vec<u8> {
        let flags = if self.extension.is_some() { HAS_EXTENSION } else { 0 } | if sized { HAS_SIZE } else { 0 };
        let mut out = vec![self.kind << 3 | flags];
        out.extend(self.extension);
        if sized {
            write_size(self.payload.len(), &mut out);
        }
        out.extend_from_slice(&self.payload);
        out
    }
}

/// What a receiver makes of a unit.
fn wanted(obus: &[Obu]) -> Unit {
    let key = obus.iter().any(|obu| obu.kind == SEQUENCE_HEADER);
    let kept = obus.iter().filter(|obu| ![DELIMITER, TILE_LIST, PADDING].contains(&obu.kind));
    let data = TEMPORAL_DELIMITER.into_iter().chain(kept.flat_map(|obu| obu.bytes(true))).collect();
    Unit { data, key }
}

/// Cuts a unit into payloads of at most `room` bytes. `counted`: with W where that can be, else with sizes alone.
fn pay(obus: &[Obu], room: usize, counted: bool, new_sequence: bool) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<(Vec<u8>, bool, bool)>> = vec![Vec::new()];
    let mut used = 1;
    for obu in obus {
        let bytes = obu.bytes(obu.sized);
        let mut at = 0;
        while at < bytes.len() {
            if used + 3 > room {
                pieces.push(Vec::new());
                used = 1;
            }
            let len = (bytes.len() - at).min(room - used - 2);
            let piece = (bytes[at..at + len].to_vec(), at > 0, at + len < bytes.len());
            pieces.last_mut().expect("one").push(piece);
            at += len;
            used += len + 2;
        }
    }
    let payload = |(number, elements): (usize, Vec<(Vec<u8>, bool, bool)>)| {
        let count = if counted && elements.len() <= 3 { elements.len() } else { 0 };
        let mut header = (count as u8) << 4;
        header |= if elements[0].1 { 0x80 } else { 0 };
        header |= if elements.last().expect("one").2 { 0x40 } else { 0 };
        header |= if new_sequence && number == 0 { 0x08 } else { 0 };
        let mut out = vec![header];
        for (at, (bytes, ..)) in elements.iter().enumerate() {
            if count == 0 || at + 1 < count {
                write_size(bytes.len(), &mut out);
            }
            out.extend_from_slice(bytes);
        }
        out
    };
    pieces.into_iter().enumerate().map(payload).collect()
}

fn obu() -> impl Strategy<Value = Obu> {
    let kinds = prop::sample::select(vec![2, 3, 4, 5, FRAME, FRAME, 7, 8, 15]);
    let extension = prop::option::of(any::<u8>().prop_map(|byte| byte & 0xf8));
    (kinds, extension, any::<bool>(), prop::collection::vec(any::<u8>(), 0..400))
        .prop_map(|(kind, extension, sized, payload)| Obu { kind, extension, sized, payload })
}

/// A unit: whether it is a key frame, and its OBUs.
fn unit() -> impl Strategy<Value = (bool, Vec<Obu>)> {
    (prop::bool::weighted(0.2), prop::collection::vec(obu(), 0..4), prop::collection::vec(any::<u8>(), 1..900))
        .prop_map(|(key, mut obus, payload)| {
            let header = Obu { kind: SEQUENCE_HEADER, extension: None, sized: false, payload: vec![0, 0, 0, 1] };
            if key {
                obus.insert(0, header);
            }
            obus.push(Obu { kind: FRAME, extension: None, sized: false, payload });
            (key, obus)
        })
}

/// A stream's packets: the number of their unit, whether they are its last one, their payload.
fn packets(units: &[(bool, Vec<Obu>)], room: usize, counted: bool) -> Vec<(u32, bool, Vec<u8>)> {
    let mut out = Vec::new();
    for (number, (key, obus)) in units.iter().enumerate() {
        // A temporal delimiter in front would hide the sequence header from those who look for it.
        let payloads = pay(obus, room, counted, *key);
        let last = payloads.len() - 1;
        for (at, payload) in payloads.into_iter().enumerate() {
            out.push((u32::try_from(number).expect("few"), at == last, payload));
        }
    }
    out
}

fn take(depacketizer: &mut Depacketizer, seq: usize, packet: &(u32, bool, Vec<u8>), marks: bool) -> Outcome {
    let (timestamp, marker, payload) = packet;
    let seq = u16::try_from(seq % 65_536).expect("it fits");
    depacketizer.take(&Packet { seq, timestamp: *timestamp, marker: *marker && marks, payload }, false)
}

proptest! {
    #[test]
    fn units_come_out_as_they_went_in(
        mut units in prop::collection::vec(unit(), 1..8), room in 20_usize..1200, counted: bool, marks: bool, first in 65_000_usize..66_000,
    ) {
        // It begins with a key frame.
        if !units[0].0 {
            units[0].1.insert(0, Obu { kind: SEQUENCE_HEADER, extension: None, sized: false, payload: vec![1] });
            units[0].0 = true;
        }
        let (mut depacketizer, mut got) = (Depacketizer::default(), Vec::new());
        for (at, packet) in packets(&units, room, counted).iter().enumerate() {
            let outcome = take(&mut depacketizer, first + at, packet, marks);
            prop_assert!(!outcome.wish);
            got.extend(outcome.units.into_iter().flatten());
        }
        let mut all: Vec<Unit> = units.iter().map(|(_, obus)| wanted(obus)).collect();
        if !marks {
            // Nothing says that the last one is whole.
            all.pop();
        }
        prop_assert_eq!(got, all);
    }

    #[test]
    fn after_a_loss_nothing_comes_until_a_key_frame(
        units in prop::collection::vec(unit(), 1..30), room in 20_usize..300, counted: bool, marks: bool,
        lost in prop::collection::vec(prop::bool::weighted(0.03), 400),
    ) {
        let all: Vec<Unit> = units.iter().map(|(_, obus)| wanted(obus)).collect();
        let (mut depacketizer, mut before) = (Depacketizer::default(), None::<usize>);
        let (mut arrived, mut gap, mut expected_wishes, mut wishes) = (false, false, 0, 0);
        for (at, packet) in packets(&units, room, counted).iter().enumerate() {
            if lost[at % lost.len()] {
                gap = arrived;
                continue;
            }
            arrived = true;
            expected_wishes += u32::from(std::mem::take(&mut gap));
            let outcome = take(&mut depacketizer, at, packet, marks);
            wishes += u32::from(outcome.wish);
            for unit in outcome.units.into_iter().flatten() {
                // The unit with these bytes that is next.
                let from = before.map_or(0, |before| before + 1);
                let found = all[from..].iter().position(|one| *one == unit).map(|found| from + found);
                prop_assert!(found.is_some(), "a unit that was not sent, or not whole: {:?}", unit);
                prop_assert!(unit.key || found == before.map(|before| before + 1), "it refers to what was lost");
                before = found;
            }
        }
        prop_assert!(wishes >= expected_wishes, "{wishes} wishes for {expected_wishes} losses");
    }

    #[test]
    fn whatever_comes_is_taken_or_refused(
        payloads in prop::collection::vec((any::<bool>(), 0_u32..3, prop::collection::vec(any::<u8>(), 0..60)), 0..60),
    ) {
        let mut depacketizer = Depacketizer { runs: true, ..Depacketizer::default() };
        for (at, (marker, timestamp, payload)) in payloads.into_iter().enumerate() {
            for unit in take(&mut depacketizer, at, &(timestamp, marker, payload), true).units.into_iter().flatten() {
                prop_assert!(unit.data.starts_with(&TEMPORAL_DELIMITER));
                prop_assert!(unit.data.len() > TEMPORAL_DELIMITER.len());
            }
            // So that what follows is looked at.
            depacketizer.runs = true;
        }
    }
}

/// Takes payloads of one unit; the last one has the marker.
fn all_of(payloads: &[&[u8]]) -> (Vec<Unit>, bool) {
    let mut depacketizer = Depacketizer::default();
    let (mut units, mut wish) = (Vec::new(), false);
    for (at, payload) in payloads.iter().enumerate() {
        let outcome = take(&mut depacketizer, at, &(7, at + 1 == payloads.len(), payload.to_vec()), true);
        units.extend(outcome.units.into_iter().flatten());
        wish |= outcome.wish;
    }
    (units, wish)
}

#[test]
fn packets_are_read_as_the_specification_writes_them() {
    let good = |data: &[u8]| (vec![Unit { data: [&TEMPORAL_DELIMITER, data].concat(), key: true }], false);
    // N and two counted elements: a sequence header, and a frame with an extension.
    assert_eq!(all_of(&[b"\x28\x02\x08\xaa\x34\x40\xbb"]), good(b"\x0a\x01\xaa\x36\x40\x01\xbb"));
    // Each with its size; the sizes inside are kept as they are.
    assert_eq!(all_of(&[b"\x08\x03\x0a\x01\xaa\x02\x30\xbb"]), good(b"\x0a\x01\xaa\x32\x01\xbb"));
    // A frame in three packets, the first of which has no N.
    assert_eq!(
        all_of(&[b"\x60\x02\x08\xaa\x30\x01", b"\xd0\x02", b"\x90\x03"]),
        good(b"\x0a\x01\xaa\x32\x03\x01\x02\x03")
    );
    // Two OBUs in one element, as some senders have it.
    assert_eq!(all_of(&[b"\x18\x0a\x01\xaa\x32\x01\xbb"]), good(b"\x0a\x01\xaa\x32\x01\xbb"));
    // A packet of padding is no loss.
    assert_eq!(all_of(&[b"\x68\x02\x08\xaa\x30", b"", b"\x90\x01"]), good(b"\x0a\x01\xaa\x32\x01\x01"));
}

#[test]
fn packets_that_contradict_themselves_end_what_was_gathered_and_ask_for_a_key_frame() {
    for (what, payloads) in [
        ("a fragment that nobody began", &[&b"\x18\x08\xaa"[..], b"\x90\x01"][..]),
        ("a fragment that nobody ends", &[b"\x58\x30\xaa", b"\x10\x30\xbb"]),
        ("a unit that ends in a fragment", &[b"\x58\x30\xaa"]),
        ("a size beyond the packet", &[b"\x08\xff\xff\xff\xff\x0f\x08", b"\x08\x09\x08"]),
        ("a size that never ends", &[b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]),
        ("an OBU's size beyond the element", &[b"\x18\x0a\x05\xaa"]),
        ("the forbidden bit", &[b"\x18\x88\xaa"]),
        ("an extension that is missing", &[b"\x18\x0c"]),
        ("fewer elements than counted", &[b"\x38\x02\x08\xaa"]),
    ] {
        let (units, wish) = all_of(payloads);
        assert!(wish && units.is_empty(), "{what}: {units:?}");
    }
}

#[test]
fn a_unit_that_never_ends_is_given_up() {
    let mut depacketizer = Depacketizer::default();
    let piece = [&b"\xd0"[..], &[0; 60_000]].concat();
    assert!(!take(&mut depacketizer, 0, &(0, false, b"\x58\x30\xaa".to_vec()), true).wish);
    let given_up = (1..200).find(|at| take(&mut depacketizer, *at, &(0, false, piece.clone()), true).wish);
    assert_eq!(given_up, Some(UNIT_LEN_MAX / 60_000 + 1));
    assert!(depacketizer.fragment.is_none() && depacketizer.unit.is_empty());
}
