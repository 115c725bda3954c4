//! Whether what an endpoint sends arrives, judged from what is seen of its connection. Pure, without a clock.
//!
//! Knows no task and no GStreamer: it is given looks and gives verdicts. The hard thing is that a quiet connection is
//! no stalled one. libsrt counts an acknowledgement (`pktRecvACK`) only when it covers data that none before it covered
//! (`m_iSndLastFullAck` in `CUDT::processCtrlAck`), so silence means two things: nothing was sent, or nothing came
//! back. What was handed to libsrt since the last acknowledgement tells them apart:
//!
//! - Nothing handed over (the publisher pauses or has left, its track is gone, the gate waits for a key frame): nothing
//!   is owed. For a window it stays as it was; then it is starved, which is nobody's failure but no delivery either.
//! - Something was, and no acknowledgement for a whole window: stalled. A frozen receiver, a black hole and a network
//!   that eats data but lets keep-alives through look the same from here.
//! - Acknowledgements come, but the sender's too-late drop (`SRTO_TLPKTDROP`) throws away a good part of what is handed
//!   over: stalled as well, for nobody can watch the rest.
//!
//! What a receiver's libsrt has acknowledged, its program may still not have read: that shows when the receive buffer
//! is full, and then as missing acknowledgements.

use std::time::Duration;

/// Of what is handed over in a window, the part dropped as too late from which on an endpoint is stalled, percent.
const TOO_LATE_MIN_PERCENT: u64 = 25;

/// From which on it is no more, percent: a way at the limit is not now the one, now the other.
const TOO_LATE_END_PERCENT: u64 = 10;

/// What one look at a connection saw; all counters are of this connection and do not go back.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Look {
    /// Payload bytes handed to libsrt.
    pub(super) handed_bytes: u64,
    /// Acknowledgements of new data (`pktRecvACK`).
    pub(super) acks: u64,
    /// Payload bytes dropped as too late (`byteSndDrop` without headers).
    pub(super) dropped_bytes: u64,
    /// Media waits in front of libsrt longer than it should.
    pub(super) lagging: bool,
    /// The latency both sides agreed on.
    pub(super) latency: Duration,
    /// The round trip.
    pub(super) rtt: Duration,
}

/// What is to be said of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing was acknowledged yet, and it is too early to worry.
    Unproven,
    /// What is sent arrives.
    Delivers,
    /// What was sent has arrived, and for a whole window there has been nothing more to send.
    Starved,
    /// It does not.
    Stalled(Stall),
}

/// What is wrong with a connection that does not deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stall {
    /// No acknowledgement of new data for this long.
    Unacknowledged(Duration),
    /// The sender drops this much of what it is given, percent.
    TooLate(u64),
}

/// The judge of one connection.
#[derive(Debug)]
pub(super) struct Judge {
    /// How long an acknowledgement may be missing.
    window: Duration,
    /// When it was looked at last.
    looked_at: Duration,
    /// The last acknowledgement that was seen, and what had been handed over then.
    acks: u64,
    handed_at_ack: u64,
    /// Since when data has waited for an acknowledgement.
    owed_since: Option<Duration>,
    /// When something was handed over last, and how much had been then.
    fed_at: Duration,
    fed_bytes: u64,
    /// The look that the running window of drops began with.
    window_begin: Option<(Duration, Look)>,
    /// The part that the last whole window lost, percent, while that is too much.
    too_late_percent: Option<u64>,
}

impl Judge {
    /// Of a connection that is made at `now`, on the caller's clock.
    pub(super) fn new(window: Duration, now: Duration) -> Self {
        Self {
            window,
            looked_at: now,
            acks: 0,
            handed_at_ack: 0,
            owed_since: None,
            fed_at: now,
            fed_bytes: 0,
            window_begin: None,
            too_late_percent: None,
        }
    }

    /// Judges by one more look, at `now`.
    pub(super) fn look(&mut self, look: Look, now: Duration) -> Verdict {
        self.count_drops(look, now);
        if look.acks != self.acks {
            (self.acks, self.handed_at_ack, self.owed_since) = (look.acks, look.handed_bytes, None);
        } else if look.handed_bytes > self.handed_at_ack || look.lagging {
            // It was handed over, and missed, at some time after the look before this one.
            self.owed_since.get_or_insert(self.looked_at);
        } else {
            self.owed_since = None;
        }
        if look.handed_bytes != self.fed_bytes || look.lagging {
            (self.fed_at, self.fed_bytes) = (now, look.handed_bytes);
        }
        self.looked_at = now;
        let owed = self.owed_for(now);
        if owed >= self.patience(look) {
            Verdict::Stalled(Stall::Unacknowledged(owed))
        } else if let Some(percent) = self.too_late_percent {
            Verdict::Stalled(Stall::TooLate(percent))
        } else if self.acks == 0 {
            Verdict::Unproven
        } else if owed.is_zero() && self.quiet_for(now) >= self.window {
            Verdict::Starved
        } else {
            Verdict::Delivers
        }
    }

    /// How long data has waited for an acknowledgement at `now`; zero when none does.
    pub(super) fn owed_for(&self, now: Duration) -> Duration {
        self.owed_since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// How long nothing has been handed over at `now`.
    pub(super) fn quiet_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.fed_at)
    }

    /// Within the latency a lost packet may still be replaced, and nothing behind it is acknowledged before: with a
    /// latency beyond the window, silence says nothing earlier than that.
    fn patience(&self, look: Look) -> Duration {
        self.window.max(look.latency + look.rtt)
    }

    fn count_drops(&mut self, look: Look, now: Duration) {
        let (begin, first) = *self.window_begin.get_or_insert((now, look));
        if now.saturating_sub(begin) < self.window {
            return;
        }
        let dropped = look.dropped_bytes.saturating_sub(first.dropped_bytes);
        let handed = look.handed_bytes.saturating_sub(first.handed_bytes);
        // What was handed over before the window may be dropped within it.
        let percent = dropped.saturating_mul(100).checked_div(handed.max(dropped)).unwrap_or(0);
        let limit = if self.too_late_percent.is_some() { TOO_LATE_END_PERCENT } else { TOO_LATE_MIN_PERCENT };
        self.too_late_percent = (percent >= limit).then_some(percent);
        self.window_begin = Some((now, look));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(3);

    /// Half seconds: what is handed over, whether it is acknowledged, what is dropped.
    #[derive(Debug, Clone, Copy)]
    struct Tick {
        handed: u64,
        acked: bool,
        dropped: u64,
        lagging: bool,
    }

    const FLOWS: Tick = Tick { handed: 1000, acked: true, dropped: 0, lagging: false };
    const UNANSWERED: Tick = Tick { acked: false, ..FLOWS };
    const PAUSE: Tick = Tick { handed: 0, acked: false, ..FLOWS };
    const ANSWER: Tick = Tick { handed: 0, ..FLOWS };

    fn verdicts(ticks: &[Tick], latency_ms: u64) -> Vec<Verdict> {
        let mut judge = Judge::new(WINDOW, Duration::ZERO);
        let mut look = Look { latency: Duration::from_millis(latency_ms), ..Look::default() };
        let verdict = |(n, tick): (usize, &Tick)| {
            look.handed_bytes += tick.handed;
            look.acks += u64::from(tick.acked);
            look.dropped_bytes += tick.dropped;
            look.lagging = tick.lagging;
            judge.look(look, Duration::from_millis(500) * (n as u32 + 1))
        };
        ticks.iter().enumerate().map(verdict).collect()
    }

    fn last(parts: &[(Tick, usize)], latency_ms: u64) -> Verdict {
        let ticks: Vec<_> = parts.iter().flat_map(|(tick, times)| std::iter::repeat_n(*tick, *times)).collect();
        verdicts(&ticks, latency_ms).pop().expect("a tick")
    }

    #[test]
    fn what_is_seen_becomes_what_is_true() {
        let unacknowledged = |ms| Verdict::Stalled(Stall::Unacknowledged(Duration::from_millis(ms)));
        let narrow = Tick { dropped: 400, ..FLOWS };
        let lossy = Tick { dropped: 200, ..FLOWS };
        let wedged = Tick { lagging: true, ..PAUSE };
        for (name, parts, latency_ms, verdict) in [
            ("nothing sent yet", vec![(PAUSE, 20)], 120, Verdict::Unproven),
            ("sent, not yet answered", vec![(UNANSWERED, 5)], 120, Verdict::Unproven),
            ("never answered", vec![(UNANSWERED, 6)], 120, unacknowledged(3000)),
            ("it flows", vec![(FLOWS, 20)], 120, Verdict::Delivers),
            ("just short of the window", vec![(FLOWS, 4), (UNANSWERED, 5)], 120, Verdict::Delivers),
            ("frozen, or a black hole", vec![(FLOWS, 4), (UNANSWERED, 6)], 120, unacknowledged(3000)),
            ("the publisher pauses for a moment", vec![(FLOWS, 4), (PAUSE, 5)], 120, Verdict::Delivers),
            ("the publisher pauses", vec![(FLOWS, 4), (PAUSE, 6)], 120, Verdict::Starved),
            ("for long", vec![(FLOWS, 4), (PAUSE, 100)], 120, Verdict::Starved),
            ("it pauses and goes on", vec![(FLOWS, 4), (PAUSE, 100), (UNANSWERED, 1)], 120, Verdict::Delivers),
            (
                "it stalled, and the gate waits",
                vec![(FLOWS, 4), (UNANSWERED, 6), (ANSWER, 1), (PAUSE, 6)],
                120,
                Verdict::Starved,
            ),
            ("what it sent last is never answered", vec![(UNANSWERED, 1), (PAUSE, 5)], 120, unacknowledged(3000)),
            ("it comes back", vec![(FLOWS, 4), (UNANSWERED, 9), (FLOWS, 1)], 120, Verdict::Delivers),
            ("the latency is longer", vec![(FLOWS, 4), (UNANSWERED, 15)], 8000, Verdict::Delivers),
            ("and is over", vec![(FLOWS, 4), (UNANSWERED, 16)], 8000, unacknowledged(8000)),
            ("a link too narrow", vec![(narrow, 8)], 120, Verdict::Stalled(Stall::TooLate(40))),
            ("a link nearly wide enough", vec![(lossy, 40)], 120, Verdict::Delivers),
            ("a link at the limit", vec![(narrow, 8), (lossy, 12)], 120, Verdict::Stalled(Stall::TooLate(20))),
            ("a link that was too narrow", vec![(narrow, 8), (FLOWS, 12)], 120, Verdict::Delivers),
            ("libsrt takes nothing", vec![(FLOWS, 4), (wedged, 6)], 120, unacknowledged(3000)),
        ] {
            assert_eq!(last(&parts, latency_ms), verdict, "{name}");
        }
    }

    fn tick() -> impl Strategy<Value = Tick> {
        (0_u64..3, any::<bool>(), 0_u64..2, any::<bool>()).prop_map(|(handed, acked, dropped, lagging)| Tick {
            handed: handed * 1000,
            acked: acked && handed > 0,
            dropped: dropped * 10,
            lagging,
        })
    }

    proptest! {
        /// Stalled for want of acknowledgements means: none for a window, and something was owed meanwhile.
        #[test]
        fn no_stall_within_a_window_of_an_acknowledgement(ticks in prop::collection::vec(tick(), 1..200)) {
            for (n, verdict) in verdicts(&ticks, 0).into_iter().enumerate() {
                if let Verdict::Stalled(Stall::Unacknowledged(owed)) = verdict {
                    let silent = ticks[..=n].iter().rev().take_while(|tick| !tick.acked).count();
                    prop_assert!(silent >= 6, "{silent} looks without an acknowledgement");
                    prop_assert!(owed <= Duration::from_millis(500) * silent as u32);
                    prop_assert!(ticks[..=n].iter().rev().take(silent).any(|tick| tick.handed > 0 || tick.lagging));
                }
            }
        }

        /// A connection over which nothing goes is never stalled, however long.
        #[test]
        fn a_pause_is_no_stall(before in prop::collection::vec(Just(FLOWS), 1..50), pause in 0_usize..300) {
            let ticks = [before, vec![PAUSE; pause]].concat();
            let wanted = if pause < 6 { Verdict::Delivers } else { Verdict::Starved };
            prop_assert_eq!(verdicts(&ticks, 0).pop(), Some(wanted));
        }

        /// Data that goes on without an answer is noticed, at the latest a window and a look after the last one.
        #[test]
        fn silence_is_noticed(before in prop::collection::vec(tick(), 0..50), silence in 7_usize..50) {
            let ticks = [before, vec![FLOWS], vec![UNANSWERED; silence]].concat();
            let last = verdicts(&ticks, 0).pop();
            prop_assert!(matches!(last, Some(Verdict::Stalled(Stall::Unacknowledged(_)))));
        }
    }
}
