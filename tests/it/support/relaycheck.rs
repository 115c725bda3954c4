//! The relay does to packets what it says, no more. Counted and ordered by what arrives; times are judged only on the
//! side that a busy machine can't spoil: never too early, never too fast.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use super::relay::{Counts, Relay, To, Way};
use super::wait::{SOON, wait_until};

/// Long enough for a packet on a busy machine, short enough to end a test in which one is missing.
const PACKET_MAX: Duration = Duration::from_secs(3);

/// A socket on loopback that waits a while for packets.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PACKET_MAX)).unwrap();
    socket
}

/// A receiver, its relay and a caller.
fn line(way: Way) -> (UdpSocket, Relay, UdpSocket) {
    let (there, here) = (socket(), socket());
    let relay = Relay::to(there.local_addr().unwrap().port());
    relay.set(To::Receiver, way);
    here.connect((Ipv4Addr::LOCALHOST, relay.port)).unwrap();
    (there, relay, here)
}

/// Sends numbered packets, a few at a time: no socket's buffer may run over.
fn send(relay: &Relay, here: &UdpSocket, numbers: std::ops::Range<u32>) {
    for number in numbers {
        here.send(&number.to_be_bytes()).unwrap();
        if number % 16 == 15 {
            let wanted = u64::from(number) + 1;
            wait_until(SOON, "the relay has taken them", || relay.counts(To::Receiver).taken >= wanted);
        }
    }
}

/// The numbers of the next packets.
fn receive(there: &UdpSocket, count: u64) -> Vec<u32> {
    let mut bytes = [0; 4];
    (0..count).map(|_| there.recv(&mut bytes).map(|_| u32::from_be_bytes(bytes)).unwrap()).collect()
}

/// Sends so many, waits until they have all met their end, and gives what came and what was counted.
fn run(way: Way, count: u32) -> (Vec<u32>, Counts) {
    let (there, relay, here) = line(way);
    let mut came = Vec::new();
    for first in (0..count).step_by(64) {
        let before = relay.counts(To::Receiver).passed;
        send(&relay, &here, first..(first + 64).min(count));
        wait_until(SOON, "all have met their end", || {
            let now = relay.counts(To::Receiver);
            now.taken >= u64::from((first + 64).min(count)) && now.passed + now.lost == now.taken + now.doubled
        });
        came.extend(receive(&there, relay.counts(To::Receiver).passed - before));
    }
    (came, relay.counts(To::Receiver))
}

#[test]
fn what_is_not_disturbed_comes_as_it_was_sent() {
    let (came, counts) = run(Way::default(), 500);
    assert_eq!(came, (0..500).collect::<Vec<u32>>());
    assert_eq!(counts, Counts { taken: 500, passed: 500, ..Counts::default() });
}

#[test]
fn as_many_are_lost_as_asked_for_and_the_others_stay_in_order() {
    let (came, counts) = run(Way { loss: 0.1, ..Way::default() }, 2000);
    // The seed makes it the same number each time.
    assert!((160..=240).contains(&counts.lost), "{counts:?}");
    assert_eq!(came.len() as u64, 2000 - counts.lost);
    assert!(came.is_sorted());
}

#[test]
fn doubled_packets_come_twice_and_those_held_back_are_overtaken() {
    let (mut came, counts) = run(Way { duplication: 0.05, reordering: 0.05, ..Way::default() }, 1000);
    assert!((25..=75).contains(&counts.doubled) && (25..=75).contains(&counts.held_back), "{counts:?}");
    let overtaken = came.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(overtaken > 0, "none was overtaken: {counts:?}");
    came.sort_unstable();
    assert_eq!(came.len() as u64, 1000 + counts.doubled);
    came.dedup();
    assert_eq!(came, (0..1000).collect::<Vec<u32>>(), "each comes");
}

#[test]
fn packets_are_never_early_jitter_holds_them_longer_and_keeps_their_order() {
    let delay = Duration::from_millis(40);
    for jitter in [Duration::ZERO, Duration::from_millis(20)] {
        let (there, _relay, here) = line(Way { delay, jitter, ..Way::default() });
        let mut took = Vec::new();
        for round in 0..10 {
            let numbers: Vec<u32> = (round * 5..round * 5 + 5).collect();
            let sent: Vec<Instant> = numbers
                .iter()
                .map(|number| {
                    let at = Instant::now();
                    here.send(&number.to_be_bytes()).unwrap();
                    at
                })
                .collect();
            for (number, sent) in numbers.iter().zip(sent) {
                assert_eq!(receive(&there, 1), [*number]);
                took.push(sent.elapsed());
            }
        }
        took.sort_unstable();
        assert!(took[0] >= delay, "too early: {took:?}");
        // Half of it on average; the seed makes it the same each time.
        assert!(took[took.len() / 2] >= delay + jitter / 4, "most of them were held for less: {took:?}");
    }
}

#[test]
fn no_more_goes_through_than_the_rate_and_a_long_queue_loses() {
    // Ten packets a second.
    let (there, relay, here) = line(Way { rate_kbps: Some(80), ..Way::default() });
    let begin = Instant::now();
    (0..20_u32).for_each(|_| drop(here.send(&[0; 1000])));
    wait_until(SOON, "the relay has taken them", || relay.counts(To::Receiver).taken == 20);
    let lost = relay.counts(To::Receiver).lost;
    // Those that would wait for longer than half a second.
    assert!((12..=15).contains(&lost), "{:?}", relay.counts(To::Receiver));
    let passed = 20 - lost;
    (0..passed).for_each(|_| assert_eq!(there.recv(&mut [0; 1000]).unwrap(), 1000));
    assert!(begin.elapsed() >= Duration::from_millis(100) * u32::try_from(passed).unwrap());
}

#[test]
fn a_black_hole_swallows_all_while_it_is_there() {
    let (there, relay, here) = line(Way::default());
    send(&relay, &here, 0..1);
    assert_eq!(receive(&there, 1), [0]);
    relay.black_hole(true);
    (1..11_u32).for_each(|number| assert_eq!(here.send(&number.to_be_bytes()).unwrap(), 4));
    wait_until(SOON, "the relay has taken them", || relay.counts(To::Receiver).taken == 11);
    assert_eq!(relay.counts(To::Receiver).lost, 10);
    relay.black_hole(false);
    here.send(&11_u32.to_be_bytes()).unwrap();
    assert_eq!(receive(&there, 1), [11], "nothing came out of the hole");
}

#[test]
fn callers_are_answered_each_for_itself_and_the_ways_are_two() {
    let (there, relay, one) = line(Way::default());
    let other = socket();
    other.connect((Ipv4Addr::LOCALHOST, relay.port)).unwrap();
    let mut bytes = [0; 4];
    for (caller, word) in [(&one, b"one!"), (&other, b"two!"), (&one, b"one?")] {
        caller.send(word).unwrap();
        let (len, from) = there.recv_from(&mut bytes).unwrap();
        there.send_to(&bytes[..len], from).unwrap();
        assert_eq!(caller.recv(&mut bytes).unwrap(), 4);
        assert_eq!(&bytes, word);
    }
    // Only the way back is cut.
    relay.set(To::Caller, Way { black_hole: true, ..Way::default() });
    one.send(b"lost").unwrap();
    let (_, from) = there.recv_from(&mut bytes).unwrap();
    there.send_to(b"back", from).unwrap();
    wait_until(SOON, "the answer is swallowed", || relay.counts(To::Caller).lost == 1);
    assert_eq!(relay.counts(To::Receiver).lost, 0);
}
