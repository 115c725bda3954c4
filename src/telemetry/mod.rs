//! Logging: what is written, in which form, and the bridges that bring GStreamer's, GLib's and panics'
//! messages into the same stream on stderr. Used by `main` alone; every other room just calls `tracing`.
//!
//! The hard thing: GStreamer prints URIs and properties of its own accord, so everything that comes over
//! a bridge is scrubbed of secrets first.

mod bridge;
pub mod levels;
mod limiter;
mod lines;
mod scrub;
pub mod seldom;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Directive;

use crate::config::{Log, LogFormat};

pub use bridge::set_gstreamer_thresholds;

/// The target of every line that came from GStreamer or GLib; the category is a field.
const GSTREAMER_TARGET: &str = "gstreamer";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is no `EnvFilter`.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another subscriber is there already.
    #[error("logging is set up already: {0}")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sets up logging to stderr for this process and installs the bridges. Call it once, before `gst::init`:
/// GStreamer's own log function must be gone before it is first used. Afterwards, see
/// [`set_gstreamer_thresholds`].
///
/// # Errors
/// When the filter is invalid (the configuration has checked it) or logging was set up before.
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let filter = filter(&log.filter, bridge::gst_debug_is_set())?;
    let stderr = std::io::stderr;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let configured = log.filter.clone();
    match log.format {
        LogFormat::Json => {
            let builder = builder.json().event_format(lines::Json).with_filter_reloading();
            let handle = builder.reload_handle();
            levels::set_filter(move |opened| reload(&configured, opened, |filter| handle.reload(filter).is_ok()));
            builder.try_init()
        }
        LogFormat::Text => {
            let coloured = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let builder = builder.with_ansi(coloured).with_filter_reloading();
            let handle = builder.reload_handle();
            levels::set_filter(move |opened| reload(&configured, opened, |filter| handle.reload(filter).is_ok()));
            builder.try_init()
        }
    }
    .map_err(TelemetryError::Twice)?;
    bridge::install();
    log_panics();
    Ok(())
}

/// Puts the configured filter in force, with all that GStreamer says let through where `opened`.
fn reload(configured: &str, opened: bool, put: impl FnOnce(EnvFilter) -> bool) -> bool {
    let directive = opened.then(|| format!("{GSTREAMER_TARGET}=trace").parse::<Directive>()).transpose();
    match (filter(configured, bridge::gst_debug_is_set()), directive) {
        (Ok(filter), Ok(None)) => put(filter),
        (Ok(filter), Ok(Some(directive))) => put(filter.add_directive(directive)),
        _ => false,
    }
}

/// The configured filter. Who sets `GST_DEBUG` wants to see what it asks for: unless the filter speaks of
/// `gstreamer` itself, it then lets all of it through.
fn filter(text: &str, gst_debug_is_set: bool) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(text)?;
    let speaks_of_gstreamer = text.split(',').any(|directive| directive.trim().starts_with(GSTREAMER_TARGET));
    if !gst_debug_is_set || speaks_of_gstreamer {
        return Ok(filter);
    }
    Ok(filter.add_directive(format!("{GSTREAMER_TARGET}=trace").parse::<Directive>()?))
}

/// A panic is a line of the log like any other, not a text between JSON lines.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = scrub::scrub(panic.payload_as_str().unwrap_or("a panic without a message"));
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            tracing::error!(target: "panic", place, thread, %backtrace, "panicked: {message}");
        } else {
            tracing::error!(target: "panic", place, thread, "panicked: {message}");
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gst_debug_opens_the_filter_unless_the_filter_speaks_of_gstreamer() {
        for (text, gst_debug, opened) in [
            ("info", false, false),
            ("info", true, true),
            ("info,srt_restream=debug", true, true),
            ("info,gstreamer=warn", true, false),
        ] {
            let filter = filter(text, gst_debug).expect("a filter").to_string();
            assert_eq!(filter.contains("gstreamer=trace"), opened, "{text} {gst_debug}: {filter}");
        }
    }
}
