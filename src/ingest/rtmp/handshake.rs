//! The server's half of RTMP's handshake (Adobe, "RTMP specification 1.0", section 5.2), as bytes in and bytes out.
//!
//! Knows no socket. It is the plain handshake: a zero version field in S1 tells a client that asks
//! for Flash's digest handshake to fall back, and what a client sends as C2 is not compared,
//! because hardware encoders fill it with anything.

use bytes::{Buf, BytesMut};

/// The version byte of plain RTMP; 6 and 8 are encrypted variants.
const VERSION: u8 = 3;

/// C1, S1, C2 and S2, in bytes.
const PACKET_LEN: usize = 1536;

/// Random bytes inside S1.
pub(super) const RANDOM_LEN: usize = PACKET_LEN - 8;

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The first byte is not RTMP's.
    #[error("the first byte is {0:#04x}, not {VERSION:#04x}: no RTMP client")]
    Version(u8),
}

/// Where the handshake stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Waiting for C0 and C1.
    Hello,
    /// S0, S1 and S2 are written; waiting for C2.
    Echo,
    /// Chunks follow.
    Done,
}

/// The handshake of one connection.
pub(super) struct Handshake {
    /// Where it stands.
    state: State,
    /// What S1 carries: the caller draws it, so that this stays a function of its input.
    random: Box<[u8; RANDOM_LEN]>,
}

impl Handshake {
    /// A handshake that answers with `random` in S1.
    pub(super) fn new(random: Box<[u8; RANDOM_LEN]>) -> Self {
        Self { state: State::Hello, random }
    }

    /// Takes what it can from `input`, appends answers to `output`; true once chunks follow.
    ///
    /// # Errors
    /// [`HandshakeError::Version`] at the very first byte of anything that is not RTMP.
    pub(super) fn advance(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Result<bool, HandshakeError> {
        if self.state == State::Hello {
            match input.first() {
                Some(&VERSION) => {}
                Some(&other) => return Err(HandshakeError::Version(other)),
                None => return Ok(false),
            }
            if input.len() < 1 + PACKET_LEN {
                return Ok(false);
            }
            input.advance(1);
            let hello = input.split_to(PACKET_LEN);
            output.reserve(1 + 2 * PACKET_LEN);
            output.extend_from_slice(&[VERSION]);
            output.extend_from_slice(&[0; 8]); // S1: our time, then the version of the digest handshake: none
            output.extend_from_slice(self.random.as_slice());
            output.extend_from_slice(&hello); // S2: their C1
            self.state = State::Echo;
        }
        if self.state == State::Echo && input.len() >= PACKET_LEN {
            input.advance(PACKET_LEN);
            self.state = State::Done;
        }
        Ok(self.state == State::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake() -> Handshake {
        Handshake::new(Box::new([0x5A; RANDOM_LEN]))
    }

    #[test]
    fn a_handshake_in_single_bytes_leaves_the_chunks_alone() {
        let mut hello = vec![VERSION];
        hello.extend((0..PACKET_LEN).map(|n| n as u8));
        hello.extend([0xEE; PACKET_LEN]);
        hello.push(0x02);
        let (mut machine, mut input, mut output) = (handshake(), BytesMut::new(), BytesMut::new());
        let mut done_at = None;
        for (at, byte) in hello.iter().enumerate() {
            input.extend_from_slice(&[*byte]);
            if machine.advance(&mut input, &mut output).unwrap() && done_at.is_none() {
                done_at = Some(at);
            }
        }
        assert_eq!(done_at, Some(2 * PACKET_LEN));
        assert_eq!(&input[..], &[0x02]);
        assert_eq!(output.len(), 1 + 2 * PACKET_LEN);
        assert_eq!(&output[..10], &[VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 0x5A]);
        assert_eq!(&output[1 + PACKET_LEN..], &hello[1..1 + PACKET_LEN]);
    }

    #[test]
    fn anything_else_is_refused_at_its_first_byte_and_gets_no_answer() {
        for first in [b'G', 0x16, 0x00, 0x06, 0xFF] {
            let (mut input, mut output) = (BytesMut::from(&[first][..]), BytesMut::new());
            assert_eq!(handshake().advance(&mut input, &mut output), Err(HandshakeError::Version(first)));
            assert!(output.is_empty());
        }
    }
}
