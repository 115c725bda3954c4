//! A log line as one JSON object: time, level, target, then the fields of its spans, outermost first, then its own.
//!
//! Spans are laid flat, so that `stream` and `endpoint` stand at the same place in each line that has them, whether the
//! line names them itself, its task wears them, or its streaming thread does.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The line's own names.
const OWN: [&str; 3] = ["timestamp", "level", "target"];

/// The format. Needs spans whose fields are kept as JSON (`SubscriberBuilder::json`).
pub(super) struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut line = Map::new();
        let own = [&time, event.metadata().level().as_str(), event.metadata().target()];
        line.extend(OWN.into_iter().zip(own).map(|(name, value)| (name.to_owned(), value.into())));
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && let Ok(Value::Object(fields)) = serde_json::from_str(&fields.fields)
            {
                line.extend(fields.into_iter().map(|(name, value)| (beside_own(name), value)));
            }
        }
        event.record(&mut Fields(&mut line));
        let line = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(out, "{line}")
    }
}

/// A field that is called as one of the line's own stands beside that, not in its place.
fn beside_own(name: String) -> String {
    if OWN.contains(&name.as_str()) { format!("field_{name}") } else { name }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(beside_own(field.name().trim_start_matches("r#").to_owned()), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.put(field, value),
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.put(field, value),
            Err(_) => self.put(field, value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_field_takes_the_place_of_nothing_that_each_line_has() {
        let sink = Sink::default();
        let into = sink.clone();
        let subscriber = tracing_subscriber::fmt().json().event_format(Json).with_writer(move || into.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::error_span!("s", stream = "live/test", level = 7).entered();
            tracing::warn!(target = "x", timestamp = 1, category = "srtsink", "raised");
        });
        let text = String::from_utf8(sink.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("UTF-8");
        let line: Value = serde_json::from_str(&text).expect("one object");
        assert_eq!((&line["level"], &line["target"]), (&"WARN".into(), &module_path!().into()), "{line}");
        assert!(line["timestamp"].is_string(), "{line}");
        assert_eq!(
            (&line["field_level"], &line["field_target"], &line["field_timestamp"]),
            (&7.into(), &"x".into(), &1.into())
        );
        assert_eq!((&line["stream"], &line["category"]), (&"live/test".into(), &"srtsink".into()), "{line}");
    }
}
