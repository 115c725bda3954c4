//! Sound with holes, in front of an encoder that knows only an endless row of samples. Pure: time stamps and
//! sample counts in, silence to put in between out.
//!
//! The encoder cuts the row into frames, and a frame has one time stamp. So a hole must begin and end at the
//! border of a frame, or what comes after it plays too early: a short one is filled, a longer one is filled
//! to the next border and left open from there.

/// Samples of an AAC-LC frame.
const FRAME: u64 = 1_024;

/// What the encoder gets, in samples a second.
const RATE: u64 = 48_000;

/// Less than this (5 ms) is the unsteadiness of time stamps, in samples.
const JITTER: u64 = RATE / 200;

/// Up to this (100 ms) a hole is filled, in samples.
const FILL_MAX: u64 = RATE / 10;

/// Silence to be put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Silence {
    /// Its time stamp in nanoseconds.
    pub(super) at_ns: u64,
    /// Its length in samples.
    pub(super) samples: u64,
}

/// The row of samples so far.
#[derive(Debug, Default)]
pub(super) struct Sound {
    /// Where the next samples are expected, in nanoseconds.
    next_ns: Option<u64>,
    /// How many the encoder has got.
    samples: u64,
}

impl Sound {
    /// Samples that come at `at_ns`; what must go in ahead of them.
    pub(super) fn take(&mut self, at_ns: u64, samples: u64) -> Option<Silence> {
        let silence = self.next_ns.and_then(|next_ns| {
            let hole = at_ns.saturating_sub(next_ns) * RATE / 1_000_000_000;
            let to_border = (FRAME - self.samples % FRAME) % FRAME;
            // One whole frame on top: it pushes out what the encoder holds of the last sound (576 samples).
            let samples = match hole {
                0..JITTER => return None,
                JITTER..=FILL_MAX => hole,
                _ => to_border + FRAME,
            };
            Some(Silence { at_ns: next_ns, samples })
        });
        self.samples += silence.map_or(0, |silence| silence.samples) + samples;
        self.next_ns = Some(at_ns + ns_of(samples));
        silence
    }
}

/// How long so many samples last, in nanoseconds.
pub(super) const fn ns_of(samples: u64) -> u64 {
    samples * 1_000_000_000 / RATE
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 960;

    fn packet_ns(packet: u64) -> u64 {
        ns_of(packet * PACKET)
    }

    #[test]
    fn sound_without_holes_is_left_alone() {
        let mut sound = Sound::default();
        for packet in 5..100 {
            let jitter_ns = packet % 3 * 1_000_000;
            assert_eq!(sound.take(packet_ns(packet) + jitter_ns, PACKET), None);
        }
        assert_eq!(sound.take(packet_ns(90), PACKET), None, "nor is sound that comes twice");
    }

    #[test]
    fn a_short_hole_is_filled() {
        let mut sound = Sound::default();
        sound.take(0, PACKET);
        let hole = Silence { at_ns: packet_ns(1), samples: 3 * PACKET };
        assert_eq!(sound.take(packet_ns(4), PACKET), Some(hole));
        assert_eq!(sound.take(packet_ns(5), PACKET), None);
    }

    #[test]
    fn a_long_hole_begins_and_ends_at_the_border_of_a_frame() {
        let mut sound = Sound::default();
        sound.take(0, PACKET);
        sound.take(packet_ns(1), PACKET);
        let silence = sound.take(packet_ns(500), PACKET).expect("silence");
        assert_eq!(silence.at_ns, packet_ns(2));
        assert_eq!((2 * PACKET + silence.samples) % FRAME, 0);
        assert!(silence.samples >= FRAME && silence.samples < 2 * FRAME, "no run-away filling: {silence:?}");
    }
}
