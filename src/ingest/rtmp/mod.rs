//! RTMP ingest, legacy and Enhanced: publishers in, access units out.
//!
//! The protocol is a pure machine (`session` and below: bytes in, events and bytes out; no socket,
//! no clock, no GStreamer), driven by one task per connection (`connection`) behind one listener
//! (`server`). `seam` names what is needed of the service. It is all ours: of the crates at
//! hand scuffle-rtmp 0.2 stops its clock where a timestamp wraps, scuffle-amf0 0.2 (under scuffle-flv,
//! too) aborts the process on five bytes that declare a big array, and rml_rtmp 0.8 panics on
//! interleaved chunks.
//!
//! ```text
//! server ─▶ connection ─▶ session ─▶ handshake, chunk, message, command, address ─▶ amf0
//!                      └▶ translate ─▶ flv, clock
//! ```

mod adapter;
mod address;
mod amf0;
#[cfg(test)]
mod capture_tests;
mod chunk;
mod clock;
mod command;
mod connection;
mod file;
mod flv;
mod handshake;
#[cfg(test)]
mod live_tests;
mod message;
mod seam;
mod server;
mod session;
#[cfg(test)]
mod session_tests;
mod translate;
#[cfg(test)]
mod translate_tests;

pub use adapter::serve;
pub(super) use file::FlvIngest;
