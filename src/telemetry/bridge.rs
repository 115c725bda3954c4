//! Brings GStreamer's debug log and GLib's messages into `tracing`. Knows levels and categories, nothing
//! of pipelines. The hard thing: it is called from every streaming thread, so it must neither panic (that
//! would cross C) nor let a category that complains once per buffer fill the log.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::{DebugCategory, DebugLevel};
use tracing::Level;

use super::levels;
use super::limiter::{Limiter, Verdict};
use super::scrub::scrub;

/// GStreamer's own variable for log thresholds per category (`srtobject:6,mpegtsmux:5`).
pub(super) const GST_DEBUG: &str = "GST_DEBUG";

/// Categories whose warnings speak of the stream an operator sends in or out. All others speak from
/// ERROR on: a warning of theirs also comes as a bus message, which is handled and logged where it belongs.
const WARNING_CATEGORIES: [&str; 4] = ["appsrc", "mpegtsmux", "tsdemux", "mpegtsbase"];

/// Categories that call each stranger's bad request an error. What matters of them is logged where it is decided.
const SILENT_CATEGORIES: [&str; 1] = ["rtspclient"];

/// Whether the operator has set thresholds of their own.
pub(super) fn gst_debug_is_set() -> bool {
    std::env::var_os(GST_DEBUG).is_some_and(|value| !value.is_empty())
}

/// Replaces GStreamer's and GLib's own output. Must run before `gst::init`, which installs the default
/// log function unless it was removed before.
pub(super) fn install() {
    gst::log::remove_default_log_function();
    let (limiter, whole) = (Mutex::new(Limiter::default()), gst_debug_is_set());
    gst::log::add_log_function(move |category, level, _file, _function, _line, object, message| {
        let Some(level) = level_of(level) else { return };
        let raised = levels::is_raised(category.name());
        let verdict = if whole && !raised {
            // What GST_DEBUG asks for comes whole.
            Verdict::Write { suppressed: 0 }
        } else {
            let (mut limiter, now) = (limiter.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
            if raised { limiter.admit_raised(now) } else { limiter.admit(category.name(), now) }
        };
        let Verdict::Write { suppressed } = verdict else { return };
        let object = object.map(ToString::to_string).unwrap_or_default();
        let message = message.get();
        write(
            level,
            category,
            &scrub(&object),
            suppressed,
            &scrub(message.as_deref().map_or("", |text| text.as_str())),
        );
    });
    glib::log_set_default_handler(|domain, level, message| {
        let domain = domain.unwrap_or_default();
        let message = scrub(message);
        match level {
            glib::LogLevel::Error | glib::LogLevel::Critical => {
                tracing::error!(target: super::GSTREAMER_TARGET, domain, "{message}");
            }
            glib::LogLevel::Warning => tracing::warn!(target: super::GSTREAMER_TARGET, domain, "{message}"),
            _ => tracing::debug!(target: super::GSTREAMER_TARGET, domain, "{message}"),
        }
    });
}

/// Sets which of GStreamer's messages are made at all, unless `GST_DEBUG` does. Call it after `gst::init`,
/// which would reset it.
pub fn set_gstreamer_thresholds() {
    if let Some(wanted) = std::env::var_os(GST_DEBUG).filter(|value| !value.is_empty()) {
        // After `gst::init` this changes nothing; after a category was raised and lowered it does.
        return gst::log::set_threshold_from_string(&wanted.to_string_lossy(), false);
    }
    gst::log::set_default_threshold(DebugLevel::Error);
    for category in WARNING_CATEGORIES {
        gst::log::set_threshold_for_name(category, DebugLevel::Warning);
    }
    for category in SILENT_CATEGORIES {
        gst::log::set_threshold_for_name(category, DebugLevel::None);
    }
}

fn level_of(level: DebugLevel) -> Option<Level> {
    match level {
        DebugLevel::Error => Some(Level::ERROR),
        DebugLevel::Warning => Some(Level::WARN),
        DebugLevel::Fixme | DebugLevel::Info => Some(Level::INFO),
        DebugLevel::Debug => Some(Level::DEBUG),
        DebugLevel::Log | DebugLevel::Trace | DebugLevel::Memdump => Some(Level::TRACE),
        _ => None,
    }
}

fn write(level: Level, category: DebugCategory, object: &str, suppressed: u64, message: &str) {
    let category = category.name();
    // Only a line that follows suppressed ones says so.
    let suppressed = (suppressed > 0).then_some(suppressed);
    // tracing's macros need the level at compile time.
    macro_rules! at {
        ($level:expr) => {
            tracing::event!(target: super::GSTREAMER_TARGET, $level, category, object, suppressed, "{message}")
        };
    }
    match level {
        Level::ERROR => at!(Level::ERROR),
        Level::WARN => at!(Level::WARN),
        Level::INFO => at!(Level::INFO),
        Level::DEBUG => at!(Level::DEBUG),
        Level::TRACE => at!(Level::TRACE),
    }
}
