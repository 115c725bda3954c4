//! What latency a link wants, from its round-trip time and its loss. Pure.
//!
//! The rule is that of Haivision's SRT Deployment Guide, "Configuring an SRT Stream" and "RTT Multiplier"
//! (<https://doc.haivision.com/SRT/1.5.3/Haivision/rtt-multiplier>): latency = multiplier × RTT, the multiplier by the
//! loss, and an RTT below 20 ms counts as 20 ms, for SRT does not act on shorter times. The guide measures the loss
//! as what was sent again ÷ what was sent, over a minute; so do the statistics here.

/// What latency an endpoint wants, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyAdvice {
    /// The least `latency` that the way wants, ms.
    pub latency_ms: u32,
    /// Whether the latency that both sides have agreed on is as much or more.
    pub enough: bool,
    /// Why, in a sentence: `RTT p95 84 ms, loss 1.2 % → 340 ms`.
    pub reason: String,
}

/// What is known of a way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Way {
    /// What 95 % of the last minute's RTTs were below, ms.
    pub rtt_p95_ms: f64,
    /// The loss of the last minute, 0 to 1.
    pub loss_ratio: f64,
    /// The latency that both sides have agreed on, ms.
    pub latency_ms: u32,
    /// Seconds of which this was measured.
    pub known_seconds: usize,
}

/// Seconds of a connection that must be known before anything is advised.
pub const KNOWN_SECONDS_MIN: usize = 10;

/// The shortest RTT that counts, ms.
const RTT_MIN_MS: f64 = 20.0;

/// The guide's table: up to this loss, this multiplier.
const MULTIPLIERS: [(f64, f64); 4] = [(0.01, 3.0), (0.03, 4.0), (0.07, 5.0), (0.10, 6.0)];

/// Beyond the table: in each of its rows loss ^ multiplier is about 10⁻⁶, the share of packets that stay lost.
const RESIDUAL_LOSS: f64 = 1e-6;

/// The end of the guide's range: a way that wants more cannot be helped.
const MULTIPLIER_MAX: f64 = 20.0;

/// What is advised is rounded up to a multiple of this, ms.
const STEP_MS: f64 = 10.0;

/// How many round trips a loss of this ratio (0 to 1) wants.
pub fn multiplier(loss_ratio: f64) -> f64 {
    let of_table = MULTIPLIERS.iter().find(|(up_to, _)| loss_ratio <= *up_to).map(|(_, multiplier)| *multiplier);
    of_table.unwrap_or_else(|| (RESIDUAL_LOSS.ln() / loss_ratio.min(0.99).ln()).ceil().min(MULTIPLIER_MAX))
}

/// The least latency for a link, ms.
pub fn latency_ms(rtt_ms: f64, loss_ratio: f64) -> u32 {
    let wanted_ms = multiplier(loss_ratio) * rtt_ms.max(RTT_MIN_MS);
    // A float becomes an integer within its bounds, and NaN 0.
    ((wanted_ms / STEP_MS).ceil() * STEP_MS) as u32
}

/// What is advised for a way; `None` while too few seconds of it are known.
pub fn advise(way: &Way) -> Option<LatencyAdvice> {
    if way.known_seconds < KNOWN_SECONDS_MIN {
        return None;
    }
    let wanted_ms = latency_ms(way.rtt_p95_ms, way.loss_ratio);
    let enough = way.latency_ms >= wanted_ms;
    let (rtt_ms, loss_percent) = (way.rtt_p95_ms, way.loss_ratio * 100.0);
    let mut reason = format!("RTT p95 {rtt_ms:.0} ms, loss {loss_percent:.1} % → {wanted_ms} ms");
    if enough {
        reason += &format!("; {} ms is enough", way.latency_ms);
    }
    Some(LatencyAdvice { latency_ms: wanted_ms, enough, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(rtt_p95_ms: f64, loss_ratio: f64, latency_ms: u32) -> Way {
        Way { rtt_p95_ms, loss_ratio, latency_ms, known_seconds: KNOWN_SECONDS_MIN }
    }

    #[test]
    fn the_rows_of_the_guide() {
        // Worst loss of the row, multiplier, least latency for an RTT of 20 ms and less.
        for (loss, wanted, least_ms) in [(0.01, 3.0, 60), (0.03, 4.0, 80), (0.07, 5.0, 100), (0.10, 6.0, 120)] {
            assert_eq!(multiplier(loss), wanted);
            for rtt_ms in [0.0, 2.0, 20.0] {
                assert_eq!(latency_ms(rtt_ms, loss), least_ms);
            }
            assert_eq!(latency_ms(100.0, loss), wanted as u32 * 100);
        }
        assert_eq!(latency_ms(84.0, 0.012), 340);
    }

    #[test]
    fn beyond_the_table_it_goes_on_rising_to_its_end() {
        assert_eq!([0.2, 0.3, 0.5, 1.0].map(multiplier), [9.0, 12.0, 20.0, 20.0]);
        assert_eq!(latency_ms(f64::NAN, 0.0), 60);
        assert_eq!(latency_ms(f64::INFINITY, 0.0), u32::MAX);
    }

    #[test]
    fn the_reason_says_what_is_enough_and_when_nothing_is_known_yet() {
        let said = |way: &Way| advise(way).map(|advice| (advice.enough, advice.reason));
        let (short, long) = (way(84.0, 0.012, 120), way(84.0, 0.012, 400));
        assert_eq!(said(&short), Some((false, "RTT p95 84 ms, loss 1.2 % → 340 ms".into())));
        assert_eq!(said(&long), Some((true, "RTT p95 84 ms, loss 1.2 % → 340 ms; 400 ms is enough".into())));
        assert_eq!(advise(&Way { known_seconds: KNOWN_SECONDS_MIN - 1, ..long }), None);
    }
}
