//! The thin safe wrapper around the system's libsrt: the one place with `unsafe`.
//!
//! It links the same shared library that GStreamer's srt plugin uses, so that the process holds one
//! copy of libsrt's global state: `srtsink`s share UDP ports with the sockets made here.
//! It knows sockets, stream ids and reject codes; nothing of streams, GStreamer or the store.
#![allow(unsafe_code)]

mod knock;
mod listener;
mod options;
mod own_port;
pub mod peek;
mod ports;
pub mod probe;
mod socket;
mod stats;
mod sys;

pub use knock::{Heard, Knock};
pub use listener::{Handshake, Incoming, Listener};
pub use ports::PortPool;
pub use socket::{Recv, Sent, SrtError, SrtSocket};
pub use stats::{SrtStatistics, packets_of, payload};

use std::sync::OnceLock;

/// Starts libsrt once for the life of the process.
///
/// `srtsink` starts and stops the library by counting elements, and a second element can run before
/// the first one's start-up is through; one count held for ever keeps it out of that race.
///
/// # Errors
/// Says so when libsrt cannot start (no threads, no sockets).
pub fn startup() -> Result<(), SrtError> {
    static STARTED: OnceLock<bool> = OnceLock::new();
    // SAFETY: srt_startup takes no arguments and may be called from any thread.
    let started = *STARTED.get_or_init(|| unsafe { sys::srt_startup() } >= 0);
    if started { Ok(()) } else { Err(SrtError::last("srt_startup")) }
}

/// The version of the libsrt that was loaded, as `1.5.1`.
pub fn version() -> String {
    // SAFETY: srt_getversion reads a constant.
    let v = unsafe { sys::srt_getversion() };
    format!("{}.{}.{}", (v >> 16) & 0xff, (v >> 8) & 0xff, v & 0xff)
}
