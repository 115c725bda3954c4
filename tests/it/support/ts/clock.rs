//! The clock of a stream that is still coming: bytes are taken as they come, each once.
//!
//! Knows nothing but the clock; all else is [`super::packets`]'. The hard thing: a stream that pauses, as one whose
//! publisher is away, has a clock that goes on meanwhile, and that is no media.

use super::packets::{SYNC_BYTE, pcr_of, unwrap_near};
use super::{PACKET_BYTES, TICKS_PER_MS, ms};

/// A step of the clock that is longer is a pause: clocks come every 100 ms at least.
const STEP_MAX_TICKS: i64 = 1000 * TICKS_PER_MS;

/// What the clock of a stream has shown so far.
#[derive(Debug, Default)]
pub struct Clock {
    /// The begin of a packet.
    rest: Vec<u8>,
    /// Its first and its last value, unwrapped, 90 kHz ticks.
    span: Option<(i64, i64)>,
    played: i64,
}

impl Clock {
    /// Takes the next bytes.
    pub fn take(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        let mut at = 0;
        while at + PACKET_BYTES <= self.rest.len() {
            if self.rest[at] != SYNC_BYTE {
                at += 1;
                continue;
            }
            if let Some(raw) = pcr_of(&self.rest[at..at + PACKET_BYTES]) {
                let (first, last) = self.span.unwrap_or((raw, raw));
                let now = unwrap_near(raw, last);
                if now - last <= STEP_MAX_TICKS {
                    self.played += (now - last).max(0);
                }
                self.span = Some((first, now));
            }
            at += PACKET_BYTES;
        }
        self.rest.drain(..at);
    }

    /// From its first to its last value, in seconds, whatever came between.
    pub fn seconds(&self) -> f64 {
        self.span.map_or(0.0, |(first, last)| ms(last - first) / 1000.0)
    }

    /// The same without the pauses.
    pub fn played(&self) -> f64 {
        ms(self.played) / 1000.0
    }
}
