//! Integration tests: the service as a process, published to by ffmpeg and srt-live-transmit, received by them,
//! and judged by what arrives. One file per scenario; what they stand on is in `support`.

#![allow(clippy::unwrap_used, reason = "a test may panic: that is how it says no")]
#![allow(
    unreachable_pub,
    reason = "nothing here is reached from outside; `pub` marks what a room offers to the others"
)]

mod churn;
mod clock;
mod diagnosis;
mod endpoint_control;
mod endpoint_state;
mod events;
mod faults;
mod feedback;
mod first_packets;
mod garbage;
mod handover;
mod hold;
mod https;
mod idle_tracks;
mod isolation;
mod lip_sync;
mod listener;
mod modes;
mod openapi;
mod panel;
mod panel_edit;
mod panel_keys;
mod panel_looks;
mod panel_many;
mod panel_parts;
mod panel_preview;
mod panel_state;
mod panel_trouble;
mod preview;
mod publish_rtmp;
mod publish_rtsp;
mod publish_srt;
mod pull_figures;
mod pull_hls;
mod pull_life;
mod pull_redirects;
mod pull_returns;
mod pull_rtsp;
mod pull_sources;
mod pull_tls;
mod reconnect;
mod restarts;
mod rtsp_network;
mod rtsp_trouble;
mod second_publisher;
mod starved;
mod statistics;
mod stop;
mod support;
mod time_lines;
mod webhooks;
mod webrtc_codecs;
mod webrtc_loss;
mod webrtc_page;
mod webrtc_restart;
mod webrtc_sdk;
mod webrtc_sync;
mod webrtc_trouble;
mod webrtc_turn;
mod webrtc_whip;
