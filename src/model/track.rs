//! A track of a live stream: what it carries, and what is counted and measured of it.

use super::codec::Codec;

/// One track of a live stream, as it runs now.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackInfo {
    /// What it carries.
    pub codec: Codec,
    /// Picture size in pixels, when known.
    pub size: Option<(u32, u32)>,
    /// Sample rate in Hz and channels, when known.
    pub audio: Option<(u32, u32)>,
    /// Bits per second of the elementary stream over the last seconds.
    pub bitrate_bps: u64,
    /// What the publisher sends, when this is made out of it: `VP8`, `Opus`, … as a session description says it.
    pub transcoded_from: Option<&'static str>,
    /// What is counted and measured of it.
    pub statistics: TrackStatistics,
}

/// What is counted of a track since its publication began, and measured of its last seconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrackStatistics {
    /// Payload bytes that came.
    pub received_bytes: u64,
    /// Access units that came.
    pub received_units: u64,
    /// Access units that were dropped: up to the first key frame behind another source, or because the stream's
    /// pipeline did not keep up.
    pub dropped_units: u64,
    /// Access units whose decode time was not behind that of the one before: they were moved behind it.
    pub disordered_units: u64,
    /// Over the last full second, bit/s.
    pub bitrate_1s_bps: u64,
    /// Over the last ten full seconds, bit/s.
    pub bitrate_10s_bps: u64,
    /// Pictures in a second of the source's own time, over the last ten; `None` without two seconds of video.
    pub frame_rate: Option<f64>,
    /// From the last key frame but one to the last, by the source's time, ms.
    pub key_interval_ms: Option<u32>,
    /// The longest such interval of the last minute, the running one included, ms.
    pub key_interval_max_ms: Option<u32>,
    /// The level of each channel in the last second; empty without audio, and where it isn't measured.
    pub levels: Vec<ChannelLevel>,
}

/// How loud a channel is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelLevel {
    /// The highest sample, dB below full scale; 0 is full scale (clipping), [`LEVEL_MIN_DBFS`] digital silence.
    pub peak_dbfs: f64,
    /// The root mean square, dB below full scale: that of a sine is 3.01 dB below its peak.
    pub rms_dbfs: f64,
}

/// What counts as silence: below the smallest step of 16 and of 20 bits.
pub const LEVEL_MIN_DBFS: f64 = -120.0;
