//! An attempt of a listening endpoint: it stands as long as its port does, and callers come and go.
//!
//! A caller that fails ends nothing here (`callers` sees it out); the endpoint is as well off as its best caller.

use std::time::{Duration, Instant};

use super::Task;
use super::attempt::{Attempt, End};
use crate::endpoint::callers::{Reading, Reception};
use crate::endpoint::cause;
use crate::endpoint::state::{Event, Reason, State};
use crate::model::endpoint::{CallerStatistics, Cause, EndpointStatistics, GateTotals};

impl Task {
    /// Looks at the callers once. None of them can end the attempt; only a listener that breaks does.
    pub(super) fn look_at_callers(&mut self, attempt: &mut Attempt, reading: Reading) -> Option<End> {
        let (reception, latency) = (reading.reception, reading.latency);
        let gate = attempt.branch.gate_totals();
        self.board.measure(|sums, callers| attempt.count_callers(reading, gate, sums, callers));
        attempt.called(!matches!(reception, Reception::Nobody | Reception::Over), latency);
        match reception {
            Reception::Nobody if !matches!(self.state, State::Listening) => {
                self.apply(Event::Alone);
            }
            Reception::Delivers if !matches!(self.state, State::Broadcasting { .. }) => {
                self.apply(Event::Delivered);
            }
            Reception::Starved if !matches!(self.state, State::Starved { .. }) => {
                self.apply(Event::Starved);
            }
            Reception::Stalled(stall) if !matches!(self.state, State::Stalled { .. }) => {
                self.apply(Event::Stalled(cause::stalled(stall)));
            }
            // Callers that have just come prove nothing yet, whatever others were before.
            Reception::Unproven if !matches!(self.state, State::Listening) => {
                self.apply(Event::Alone);
            }
            Reception::Over => return Some(End::Failed(cause::internal("the endpoint's listener has broken"))),
            _ => {}
        }
        None
    }

    /// A port that is taken by the service itself is worth a word of its own.
    pub(super) fn in_own_words(&self, reason: Reason, port: u16) -> Reason {
        let own = self.context.own.srt.get().is_some_and(|srt| srt.port() == port);
        if reason.cause != Cause::AddressInUse || !own {
            return reason;
        }
        let text = format!("UDP port {port} is this service's own, where SRT publishers call; choose another one");
        Reason { text, ..reason }
    }
}

impl Attempt {
    /// Notes whether somebody has called, and the latency agreed on.
    fn called(&mut self, somebody: bool, latency: Duration) {
        (self.has_callers, self.latency) = (somebody, latency);
    }

    /// Adds what callers were sent since the last reading.
    pub(super) fn count_callers(
        &mut self,
        reading: Reading,
        gate: GateTotals,
        sums: &mut EndpointStatistics,
        callers: &mut Vec<CallerStatistics>,
    ) {
        self.meter.sample(sums, None, gate, Instant::now());
        (sums.link, sums.connected_since) = (reading.slowest(), reading.connected_since());
        sums.advice = reading.advice;
        sums.counters += reading.added;
        sums.connections += reading.joined;
        sums.gate += reading.missed;
        *callers = reading.callers;
    }
}
