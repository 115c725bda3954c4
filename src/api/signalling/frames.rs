//! A guard before the WebSocket codec: no message grows larger than it may.
//!
//! Owns the reading of frame headers (RFC 6455, 5.2). Must not know what a message says. The hard thing:
//! the codec looks at a frame's length only when all of it has come, so a client that announces a frame of
//! any size would fill the memory with it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use actix_web::{FromRequest as _, HttpRequest, web};
use futures::Stream;
use tokio::sync::Notify;

/// Largest message, over all its frames; Ant Media's limit.
pub(super) const MESSAGE_BYTES_MAX: usize = 80 * 1024;
/// How much of a larger one is still taken off the wire, so that its sender gets to read the answer
/// instead of a broken connection.
const DISCARD_BYTES_MAX: usize = 1024 * 1024;
/// Longest frame header: two bytes, a length of eight, a mask of four.
const HEADER_LEN_MAX: usize = 14;
/// Longest control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

/// The same payload, guarded, and what fires when it held too large a message: nothing comes after it then.
pub(super) fn guard(request: &HttpRequest, payload: web::Payload) -> Option<(web::Payload, Rc<Notify>)> {
    let too_large = Rc::new(Notify::new());
    let guarded = Guarded { payload: payload.into_inner(), gate: Gate::default(), too_large: Rc::clone(&too_large) };
    let mut guarded: Payload = Payload::Stream { payload: Box::pin(guarded) };
    let guarded = web::Payload::from_request(request, &mut guarded).into_inner().ok()?;
    Some((guarded, too_large))
}

struct Guarded {
    payload: Payload,
    gate: Gate,
    too_large: Rc<Notify>,
}

impl Stream for Guarded {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let chunk = match Pin::new(&mut this.payload).poll_next(context) {
                Poll::Ready(Some(Ok(chunk))) => chunk,
                other => return other,
            };
            let was_open = this.gate.discarded.is_none();
            let passed = this.gate.pass(&chunk);
            if was_open && this.gate.discarded.is_some() {
                this.too_large.notify_one();
            }
            if passed > 0 {
                return Poll::Ready(Some(Ok(chunk.slice(..passed))));
            }
            if this.gate.discarded.is_some_and(|discarded| discarded > DISCARD_BYTES_MAX) {
                return Poll::Ready(None);
            }
        }
    }
}

/// Where in the stream of frames we are.
#[derive(Debug, Default)]
struct Gate {
    /// What has come of a header.
    header: [u8; HEADER_LEN_MAX],
    header_len: usize,
    /// What is still to come of a frame's payload.
    remaining: u64,
    /// Payload of the message so far, over its frames.
    message: u64,
    /// Bytes thrown away since a message was too large; None while none was.
    discarded: Option<usize>,
}

impl Gate {
    /// How many of these bytes may be passed on.
    fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && self.discarded.is_none() {
            if self.remaining > 0 {
                let left = bytes.len() - at;
                let step = usize::try_from(self.remaining).map_or(left, |remaining| remaining.min(left));
                self.remaining -= step as u64;
                at += step;
                continue;
            }
            self.header[self.header_len] = bytes[at];
            self.header_len += 1;
            at += 1;
            if let Some((opcode, len)) = self.whole_header() {
                self.header_len = 0;
                self.begin_frame(opcode, len);
            }
        }
        if let Some(discarded) = &mut self.discarded {
            *discarded += bytes.len() - at;
        }
        at
    }

    fn begin_frame(&mut self, opcode: u8, len: u64) {
        self.remaining = len;
        let too_large = match opcode {
            8.. => len > CONTROL_BYTES_MAX,
            _ => {
                self.message = if opcode == 0 { self.message.saturating_add(len) } else { len };
                self.message > MESSAGE_BYTES_MAX as u64
            }
        };
        if too_large {
            self.discarded = Some(0);
        }
    }

    /// Opcode and payload length, when the header is whole.
    fn whole_header(&self) -> Option<(u8, u64)> {
        let header = &self.header[..self.header_len];
        let [first, second, rest @ ..] = header else { return None };
        let mask_len = if second & 0x80 == 0 { 0 } else { 4 };
        let (len, len_bytes) = match second & 0x7f {
            126 => (rest.get(..2)?.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)), 2),
            127 => (rest.get(..8)?.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)), 8),
            short => (u64::from(short), 0),
        };
        (rest.len() == len_bytes + mask_len).then_some((first & 0x0f, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame of zeros.
    fn frame(first: u8, len: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match len {
            0..126 => frame.push(0x80 | u8::try_from(len).expect("short")),
            126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(len).expect("fits").to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(std::iter::repeat_n(0, len));
        frame
    }

    /// Whether all of it passes, however it is cut.
    fn passes(bytes: &[u8]) -> bool {
        let verdicts = [1, 2, 3, 7, 1_000, usize::MAX].map(|step| {
            let mut gate = Gate::default();
            let passed: usize = bytes.chunks(step.min(bytes.len())).map(|chunk| gate.pass(chunk)).sum();
            assert_eq!(gate.discarded.is_none(), passed == bytes.len());
            gate.discarded.is_none()
        });
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]), "{verdicts:?}");
        verdicts[0]
    }

    #[test]
    fn messages_up_to_the_limit_pass_and_larger_ones_do_not() {
        const TEXT: u8 = 0x81;
        for (frames, wanted) in [
            (vec![frame(TEXT, 0)], true),
            (vec![frame(TEXT, 125), frame(TEXT, 126), frame(TEXT, 65_535), frame(TEXT, 65_536)], true),
            (vec![frame(TEXT, MESSAGE_BYTES_MAX), frame(TEXT, MESSAGE_BYTES_MAX)], true),
            (vec![frame(TEXT, 10), frame(TEXT, MESSAGE_BYTES_MAX + 1)], false),
            // In several frames, with a ping between.
            (vec![frame(0x01, 40_000), frame(0x89, 4), frame(0x80, 40_000)], true),
            (vec![frame(0x01, 41_000), frame(0x00, 0), frame(0x80, 41_000)], false),
            (vec![frame(0x89, 125)], true),
            (vec![frame(0x89, 126)], false),
        ] {
            let lens: Vec<usize> = frames.iter().map(Vec::len).collect();
            assert_eq!(passes(&frames.concat()), wanted, "{lens:?}");
        }
    }

    #[test]
    fn an_announced_giant_is_stopped_at_its_header() {
        let mut gate = Gate::default();
        let header = [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        assert_eq!(gate.pass(&header), header.len());
        assert_eq!(gate.pass(&[0; 4_096]), 0);
        assert_eq!(gate.discarded, Some(4_096));
    }
}
