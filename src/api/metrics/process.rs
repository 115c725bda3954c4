//! The service and its process as metrics; the latter under the names that every client library of Prometheus uses.

use std::fmt;
use std::fs;
use std::sync::OnceLock;
use std::time::SystemTime;

use prometheus_client::registry::Unit;

use super::Scrape;
use super::endpoints::timestamp;
use super::page::Page;
use crate::media::preflight;
use crate::model::broadcast::PublishType;
use crate::srt;

/// What the kernel counts processor time in for programs, per second (`USER_HZ`, which is 100 on every architecture).
const TICKS_PER_SECOND: f64 = 100.0;

/// The labels of what there is once.
const NONE: [(&str, &str); 0] = [];

/// When the process began to serve, near enough: the first look at its metrics would be too late.
static STARTED: OnceLock<SystemTime> = OnceLock::new();

/// Notes when the service starts. Later calls change nothing.
pub(in crate::api) fn note_start() {
    STARTED.get_or_init(SystemTime::now);
}

pub(super) fn write(page: &mut Page<'_>, scrape: &Scrape) -> fmt::Result {
    let (gstreamer, libsrt) = (preflight::gstreamer_version(), srt::version().to_string());
    let build = [("version", env!("CARGO_PKG_VERSION")), ("gstreamer", &gstreamer), ("libsrt", &libsrt)];
    page.gauge(("srt_restream_build_info", None, "1, with the versions in force"), [(build, 1.0)])?;
    let endpoints: usize = scrape.streams.iter().map(|stream| stream.endpoints.len()).sum();
    let none = |value: f64| [(NONE, value)];
    page.gauge(("srt_restream_streams", None, "Streams known, live or not"), none(scrape.streams.len() as f64))?;
    page.gauge(("srt_restream_endpoints", None, "Endpoints known, of live streams or not"), none(endpoints as f64))?;
    let kinds = [PublishType::Rtmp, PublishType::Srt, PublishType::WebRtc, PublishType::Rtsp, PublishType::Pull];
    let publishers = kinds.map(|kind| {
        let count = scrape.streams.iter().filter(|stream| stream.publish_type == Some(kind)).count();
        ([("type", kind.as_str())], count as f64)
    });
    page.gauge(("srt_restream_publishers", None, "Publishers and pulled sources connected, by protocol"), publishers)?;
    page.gauge(
        ("srt_restream_event_listeners", None, "Listeners to server-sent events, 64 at most"),
        none(scrape.listeners as f64),
    )?;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let cpu = cpu_seconds(&stat);
    page.counter(
        ("process_cpu", Some(Unit::Seconds), "Processor time used, user and system"),
        cpu.map(|it| (NONE, it)),
    )?;
    page.gauge(("process_resident_memory", Some(Unit::Bytes), "Memory in use"), resident_bytes().map(|it| (NONE, it)))?;
    let count = |directory: &str| fs::read_dir(directory).map_or(0, Iterator::count) as f64;
    page.gauge(("process_open_fds", None, "Open file descriptors"), none(count("/proc/self/fd")))?;
    page.gauge(("process_threads", None, "Threads"), none(count("/proc/self/task")))?;
    let started = STARTED.get_or_init(SystemTime::now);
    page.gauge(
        ("process_start_time", Some(Unit::Seconds), "When it started, seconds since 1970"),
        none(timestamp(*started)),
    )
}

/// User and system time out of `/proc/self/stat` (proc(5), fields 14 and 15). The name in field 2 may hold blanks.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

/// `VmRSS` of `/proc/self/status`, which is in KiB.
fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds(""), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1e6));
    }
}
