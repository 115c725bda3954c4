//! What the scenarios stand on: the service as a child process, real publishers and receivers beside it,
//! and a judge of what arrives. Knows nothing of the service's inside: only its ports, answers and log.

pub mod browser;
pub mod canned;
pub mod check;
pub mod dns;
pub mod flv;
pub mod hook;
pub mod http;
pub mod namespace;
pub mod odd_stream;
pub mod panel;
pub mod peer;
pub mod process;
pub mod publisher;
pub mod receiver;
pub mod relay;
#[cfg(test)]
mod relaycheck;
pub mod rtmp_client;
pub mod rtsp;
pub mod sample;
pub mod service;
pub mod source;
pub mod sse;
#[cfg(test)]
mod toolcheck;
pub mod truth;
pub mod ts;
pub mod turn;
pub mod wait;
pub mod webrtc;
