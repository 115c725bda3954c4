//! srt-restream: a live SRT restreaming service.
//!
//! A publisher sends a stream over WebRTC, RTMP or SRT; the service forwards the same content, re-encoded only
//! where MPEG-TS cannot carry it, to any number of SRT endpoints that are added and removed while it runs.
//!
//! Arrows between the rooms run downwards only, in this order (a test holds them):
//! `app` → `api` → `ingest` → `manager` → `stream` → `endpoint` → `media`, `store` → `srt`, `nice`, `os` → `config` → `model`.

pub mod api;
pub mod app;
pub mod config;
pub mod endpoint;
pub mod events;
pub mod hooks;
pub mod http_agent;
pub mod ingest;
pub mod manager;
pub mod media;
pub mod model;
pub mod nice;
pub mod os;
pub mod srt;
pub mod store;
pub mod stream;
pub mod telemetry;
