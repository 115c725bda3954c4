//! What the rooms above share of GStreamer: launch texts, the fan-out pipeline, the gate, the bus.
//! Knows nothing of publishers, endpoints' retries, HTTP or the store.

pub mod bus;
pub mod caps;
pub mod fanout;
pub mod gate;
mod graph;
pub mod key_frames;
pub mod known;
pub mod launch;
pub mod off_thread;
pub mod preflight;
