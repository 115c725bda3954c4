//! Finds the pictures of an H.264 transport stream again after it has been through the service.
//!
//! A muxer writes tables, counters, PES headers and parameter sets of its own; what stays is the slices.
//! So a picture is known by a hash of its slice NAL units. It must not know when they came: whoever
//! calls says so, per piece, in a clock of his own.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::ts::{PACKET_LEN, Packet};

/// Start of a PES packet of a video stream (ISO/IEC 13818-1, table 2-22): 0xE0 to 0xEF.
const VIDEO_STREAM_IDS: std::ops::RangeInclusive<u8> = 0xe0..=0xef;

/// Bytes of a PES header before its optional fields, the last of which says how long those are.
const PES_HEADER_LEN: usize = 9;

/// A slice of a picture, and one of a key picture (ITU-T H.264, table 7-1).
const SLICE_TYPES: [u8; 2] = [1, 5];

/// When each picture was complete, by the hash of its slices.
#[derive(Debug, Default)]
pub struct Pictures {
    /// The PES packet that is being put together, and when its last piece came.
    running: Option<(Vec<u8>, Duration)>,
    video_pid: Option<u16>,
    complete: HashMap<u64, Duration>,
}

impl Pictures {
    /// Takes a message that came (or went) at `at`.
    pub fn take(&mut self, message: &[u8], at: Duration) {
        for packet in message.chunks_exact(PACKET_LEN).filter_map(Packet::parse) {
            let payload = packet.payload();
            if packet.starts_unit() && is_video(payload) {
                self.end_picture();
                self.video_pid = Some(packet.pid());
                self.running = Some((Vec::new(), at));
            }
            if self.video_pid == Some(packet.pid())
                && !payload.is_empty()
                && let Some((bytes, last)) = &mut self.running
            {
                bytes.extend_from_slice(payload);
                *last = at;
            }
        }
    }

    fn end_picture(&mut self) {
        let Some((bytes, last)) = self.running.take() else { return };
        let header_len = PES_HEADER_LEN + bytes.get(PES_HEADER_LEN - 1).copied().map_or(0, usize::from);
        if let Some(hash) = bytes.get(header_len..).and_then(hash_of_slices) {
            self.complete.insert(hash, last);
        }
    }

    /// How much later than in `self` each picture was complete in `other`; pictures that only one of
    /// both has seen whole are left out.
    pub fn delays_until(&self, other: &Self) -> Vec<Duration> {
        let delay = |(hash, sent): (&u64, &Duration)| other.complete.get(hash)?.checked_sub(*sent);
        self.complete.iter().filter_map(delay).collect()
    }

    /// Without the pictures of the first `warm_up` after the first one.
    pub fn after(mut self, warm_up: Duration) -> Self {
        let first = self.complete.values().min().copied().unwrap_or_default();
        self.complete.retain(|_, at| *at >= first + warm_up);
        self
    }

    /// Pictures seen whole.
    pub fn count(&self) -> usize {
        self.complete.len()
    }
}

fn is_video(payload: &[u8]) -> bool {
    payload.starts_with(&[0, 0, 1]) && payload.get(3).is_some_and(|id| VIDEO_STREAM_IDS.contains(id))
}

/// A hash of all slices of an Annex B access unit; `None` without any.
fn hash_of_slices(unit: &[u8]) -> Option<u64> {
    let starts: Vec<usize> =
        unit.windows(3).enumerate().filter(|(_, bytes)| *bytes == [0, 0, 1]).map(|(at, _)| at + 3).collect();
    let mut hasher = DefaultHasher::new();
    let mut found = false;
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(unit.len(), |next| next - 3);
        // Zero bytes after a NAL unit belong to the next start code or are padding.
        let nal = without_zeros_at_the_end(&unit[start..end]);
        if nal.first().is_some_and(|head| SLICE_TYPES.contains(&(head & 0x1f))) {
            nal.hash(&mut hasher);
            found = true;
        }
    }
    found.then(|| hasher.finish())
}

fn without_zeros_at_the_end(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..len]
}
