//! The words of the domain: ids, addresses, codecs, records. Knows no GStreamer, no HTTP, no SQL.

pub mod broadcast;
pub mod codec;
pub mod destination;
pub mod endpoint;
pub mod ids;
pub mod ingest;
pub mod latency;
pub mod minute;
pub mod query;
pub mod source;
pub mod srt_reject;
pub mod srt_stream_id;
pub mod srt_url;
pub mod track;
