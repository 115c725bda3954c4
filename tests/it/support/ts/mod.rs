//! The judge of received transport streams: reads ISO/IEC 13818-1 bytes and says what is wrong with them.
//!
//! Owns no process and knows nothing of the service; it must never share code with it, or a common
//! mistake would pass unseen. The hard thing: to be strict about what a receiver can see (continuity,
//! tables, clock, order, completeness) and still right about what the standard allows.
//!
//! * [`clock`] follows the clock of what is still coming;
//! * [`packets`] cuts packets, checks continuity and tables, unwraps the clocks: a [`Capture`];
//! * [`units`] cuts the PES payloads into access units and audio frames with a hash of their content;
//! * [`verdict`] turns a capture into figures and complaints: a [`Verdict`];
//! * [`compare`] matches the units of two captures: what was lost, and how far audio moved against video.

mod clock;
mod compare;
mod packets;
#[cfg(test)]
mod selftest;
mod units;
mod verdict;

pub use clock::Clock;
pub use compare::{Comparison, compare};
pub use packets::Capture;
pub use units::{Codec, Kind, Unit, nal_units, sounds};
pub use verdict::{Expected, TrackFigures, Verdict};

/// Bytes of a transport stream packet (ISO/IEC 13818-1, 2.4.3.2).
pub const PACKET_BYTES: usize = 188;

/// Ticks of PTS and DTS in a millisecond (90 kHz).
pub const TICKS_PER_MS: i64 = 90;

/// Range of PTS, DTS and PCR base: 33 bits.
pub const WRAP_TICKS: i64 = 1 << 33;

/// Ticks (90 kHz) as milliseconds.
pub fn ms(ticks: i64) -> f64 {
    ticks as f64 / TICKS_PER_MS as f64
}
