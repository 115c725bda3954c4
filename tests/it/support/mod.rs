//! What the scenarios stand on: the service as a child process, real publishers and receivers beside it,
//! and a judge of what arrives. Knows nothing of the service's inside: only its ports, answers and log.

pub mod browser;
pub mod check;
pub mod flv;
pub mod http;
pub mod odd_stream;
pub mod process;
pub mod publisher;
pub mod receiver;
pub mod rtmp_client;
pub mod sample;
pub mod service;
#[cfg(test)]
mod toolcheck;
pub mod ts;
pub mod wait;
pub mod webrtc;
