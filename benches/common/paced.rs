//! A transport stream file as messages of seven packets, each with the moment at which it is due.
//!
//! The moments follow from the file's PCRs; between two of them the bytes flow evenly. It must not know
//! who sends it. The hard thing: the whole file lies in memory, so that a sender does nothing but send.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::ts::{PACKET_LEN, Packet};

/// Packets in a message: as many as fit into one SRT datagram.
const PACKETS_PER_MESSAGE: usize = 7;

/// Bytes of a message.
pub const MESSAGE_LEN: usize = PACKET_LEN * PACKETS_PER_MESSAGE;

/// The file and when each message is due.
pub struct Paced {
    bytes: Vec<u8>,
    due: Vec<Duration>,
}

impl Paced {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It can't be read, is no transport stream, or holds fewer than two PCRs.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut pcrs = Vec::new();
        for (index, piece) in bytes.chunks_exact(PACKET_LEN).enumerate() {
            let packet = Packet::parse(piece).with_context(|| format!("packet {index} does not start with 0x47"))?;
            if let Some(pcr_us) = packet.pcr_us() {
                pcrs.push((index, pcr_us));
            }
        }
        ensure!(pcrs.len() > 1, "there are fewer than two PCRs in the file");
        ensure!(pcrs.is_sorted_by_key(|(_, pcr_us)| *pcr_us), "the PCR runs backward in the file");
        let messages = bytes.len().div_ceil(MESSAGE_LEN);
        // A message is due when the last byte of it is.
        let due = (1..=messages).map(|n| due(&pcrs, n * PACKETS_PER_MESSAGE)).collect();
        Ok(Self { bytes, due })
    }

    /// The messages in order, each with the time since the start at which it is due.
    pub fn messages(&self) -> impl Iterator<Item = (Duration, &[u8])> {
        self.due.iter().copied().zip(self.bytes.chunks(MESSAGE_LEN))
    }
}

/// When the packet of that index is due, since the first PCR.
fn due(pcrs: &[(usize, u64)], index: usize) -> Duration {
    let after = pcrs.partition_point(|(at, _)| *at < index).clamp(1, pcrs.len() - 1);
    let ((from, from_us), (to, to_us)) = (pcrs[after - 1], pcrs[after]);
    let into = index.saturating_sub(from).min(to - from) as u64;
    let us = from_us + (to_us - from_us) * into / (to - from).max(1) as u64;
    Duration::from_micros(us - pcrs[0].1)
}
