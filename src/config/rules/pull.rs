//! The keys of `[pull]`: type and range. Must not know how a source is pulled.

use std::ops::RangeInclusive;

use crate::config::Pull;
use crate::config::reader::Reader;
use crate::model::source::RtspTransport;

/// Wait for the first media, milliseconds: a camera that has to wake up takes seconds.
const CONNECT_TIMEOUT_MS: RangeInclusive<i64> = 1_000..=120_000;

/// Silence after which a source has frozen, milliseconds: longer than the pause between two pictures of a slow camera.
const SILENCE_TIMEOUT_MS: RangeInclusive<i64> = 1_000..=600_000;

/// Waits between retries, milliseconds: not a busy loop, at most an hour.
const RETRY_MS: RangeInclusive<i64> = 100..=3_600_000;

/// Wait after refused credentials, milliseconds: cameras lock an account after a few wrong passwords, for half an hour
/// and more.
const REFUSED_WAIT_MS: RangeInclusive<i64> = 1_000..=3_600_000;

/// Wait for a late RTP packet, milliseconds.
const RTSP_LATENCY_MS: RangeInclusive<i64> = 0..=10_000;

/// Takes the keys of the section.
pub(super) fn read(reader: &mut Reader, default: Pull) -> Pull {
    const MS: &str = "milliseconds";
    let wanted = "\"auto\", \"udp\" or \"tcp\"";
    Pull {
        connect_timeout_ms: reader.take_number(
            "pull.connect_timeout_ms",
            MS,
            CONNECT_TIMEOUT_MS,
            default.connect_timeout_ms,
        ),
        silence_timeout_ms: reader.take_number(
            "pull.silence_timeout_ms",
            MS,
            SILENCE_TIMEOUT_MS,
            default.silence_timeout_ms,
        ),
        retry_min_ms: reader.take_number("pull.retry_min_ms", MS, RETRY_MS, default.retry_min_ms),
        retry_max_ms: reader.take_number("pull.retry_max_ms", MS, RETRY_MS, default.retry_max_ms),
        refused_wait_ms: reader.take_number("pull.refused_wait_ms", MS, REFUSED_WAIT_MS, default.refused_wait_ms),
        rtsp_transport: reader.take_text("pull.rtsp_transport", wanted, default.rtsp_transport, |text| {
            RtspTransport::parse(text).ok_or_else(String::new)
        }),
        rtsp_latency_ms: reader.take_number("pull.rtsp_latency_ms", MS, RTSP_LATENCY_MS, default.rtsp_latency_ms),
        verify_tls: reader.take_bool("pull.verify_tls", default.verify_tls),
    }
}
