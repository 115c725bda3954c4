//! Where the callers of an endpoint stand, and the stream passes by.
//!
//! Two threads come here, for moments: the muxer's, which hands every datagram to everybody, and the one that lets
//! callers in, measures them and sees them out. Neither waits for a caller; sockets are closed outside of the lock.

use std::time::{Duration, Instant, SystemTime};

use super::caller::{Caller, Terms};
use super::packets::Scanner;
use crate::endpoint::delivery::Stall;
use crate::media::gate::{STEADY_AFTER, WISH_PAUSE, WISH_PAUSE_MAX};
use crate::model::endpoint::{CallerStatistics, GateTotals, LinkCounters, LinkGauges};
use crate::model::latency::LatencyAdvice;
use crate::srt::Incoming;

/// How all callers together fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::endpoint) enum Reception {
    /// There are none.
    Nobody,
    /// None has acknowledged anything yet.
    Unproven,
    /// At least one acknowledges new data.
    Delivers,
    /// None does, for there has been nothing to send to them.
    Starved,
    /// None does any more; how it is with one of them.
    Stalled(Stall),
    /// Nobody can call any more: the listener has broken.
    Over,
}

/// What is seen of all callers.
#[derive(Debug)]
pub(in crate::endpoint) struct Reading {
    /// What was sent since the last reading, to whomever.
    pub(in crate::endpoint) added: LinkCounters,
    /// Callers that joined since then.
    pub(in crate::endpoint) joined: u64,
    /// What callers missed since then.
    pub(in crate::endpoint) missed: GateTotals,
    /// Each that is there now.
    pub(in crate::endpoint) callers: Vec<CallerStatistics>,
    /// How they fare.
    pub(in crate::endpoint) reception: Reception,
    /// The longest latency agreed on.
    pub(in crate::endpoint) latency: Duration,
    /// What latency the way that wants the most wants.
    pub(in crate::endpoint) advice: Option<LatencyAdvice>,
}

impl Reading {
    /// The link of the slowest caller: the one with the most unacknowledged media, then the longest way.
    pub(in crate::endpoint) fn slowest(&self) -> Option<LinkGauges> {
        let key = |link: &LinkGauges| (link.send_buffer_ms, link.rtt_ms);
        let links = self.callers.iter().filter_map(|caller| caller.link);
        links.max_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal))
    }

    /// Since when somebody is connected.
    pub(in crate::endpoint) fn connected_since(&self) -> Option<SystemTime> {
        self.callers.iter().map(|caller| caller.connected_since).min()
    }
}

/// When to wish for a key frame on behalf of callers: ever more seldom, as a gate does, for callers that come and go
/// must not make the publisher spend its bit rate on key frames.
#[derive(Debug)]
struct Wishes {
    next: Option<Instant>,
    pause: Duration,
}

impl Wishes {
    fn may(&mut self, now: Instant) -> bool {
        if self.next.is_some_and(|next| now < next) {
            return false;
        }
        let steady = self.next.is_none_or(|next| now >= next + STEADY_AFTER);
        self.pause = if steady { WISH_PAUSE } else { (self.pause * 2).min(WISH_PAUSE_MAX) };
        self.next = Some(now + self.pause);
        true
    }
}

/// The callers, and what is known of the stream.
#[derive(Debug)]
pub(super) struct Hall {
    scanner: Scanner,
    callers: Vec<Caller>,
    wishes: Wishes,
    added: LinkCounters,
    joined: u64,
    missed: GateTotals,
}

impl Hall {
    pub(super) fn new() -> Self {
        Self {
            scanner: Scanner::default(),
            callers: Vec::new(),
            wishes: Wishes { next: None, pause: WISH_PAUSE },
            added: LinkCounters::default(),
            joined: 0,
            missed: GateTotals::default(),
        }
    }

    pub(super) fn set_video(&mut self, flows: bool) {
        self.scanner.set_video(flows);
    }

    /// Hands a datagram to everybody.
    pub(super) fn pass(&mut self, datagram: &[u8], now: Instant) {
        let marks = self.scanner.scan(datagram);
        for caller in &mut self.callers {
            caller.take(datagram, &marks, self.scanner.tables(), now);
        }
    }

    /// Lets a caller in.
    pub(super) fn join(&mut self, incoming: Incoming, terms: Terms, now: Instant) -> &Caller {
        self.joined += 1;
        self.callers.push(Caller::new(incoming, terms, now));
        &self.callers[self.callers.len() - 1]
    }

    /// Measures everybody; gives those that are to be hung up on, with the reason.
    pub(super) fn measure(&mut self, now: Instant) -> Vec<(Caller, &'static str)> {
        let mut left = Vec::new();
        let mut index = 0;
        while index < self.callers.len() {
            let caller = &mut self.callers[index];
            let (added, leaves) = caller.measure(now);
            self.added += added;
            self.missed += caller.newly_missed();
            match leaves {
                None => index += 1,
                Some(reason) => left.push((self.callers.swap_remove(index), reason)),
            }
        }
        left
    }

    /// Whether to wish for a key frame now.
    pub(super) fn wishes(&mut self, now: Instant) -> bool {
        self.scanner.has_video() && self.callers.iter().any(Caller::wants_key_frame) && self.wishes.may(now)
    }

    /// Everybody leaves.
    pub(super) fn empty(&mut self) -> Vec<Caller> {
        std::mem::take(&mut self.callers)
    }

    pub(super) fn read(&mut self) -> Reading {
        let reception = if self.callers.is_empty() {
            Reception::Nobody
        } else if self.callers.iter().any(Caller::delivers) {
            Reception::Delivers
        } else if let Some(stall) = self.callers.iter().find_map(Caller::stall) {
            Reception::Stalled(stall)
        } else if self.callers.iter().any(Caller::is_starved) {
            Reception::Starved
        } else {
            Reception::Unproven
        };
        Reading {
            added: std::mem::take(&mut self.added),
            joined: std::mem::take(&mut self.joined),
            missed: std::mem::take(&mut self.missed),
            callers: self.callers.iter().map(Caller::statistics).collect(),
            reception,
            latency: self.callers.iter().map(Caller::latency).max().unwrap_or_default(),
            advice: self.callers.iter().filter_map(Caller::advice).max_by_key(|advice| advice.latency_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_become_seldom_and_are_forgiven() {
        let (start, mut wishes) = (Instant::now(), Wishes { next: None, pause: WISH_PAUSE });
        let mut may = |ms: u64| wishes.may(start + Duration::from_millis(ms));
        let told: Vec<u64> = (0..200).map(|n| n * 100).filter(|ms| may(*ms)).collect();
        assert_eq!(told, [0, 500, 1_500, 3_500, 7_500, 15_500]);
        assert!(may(60_000) && may(60_500), "after a quiet time it begins anew");
    }
}
