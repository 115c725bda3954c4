//! What a pipeline says on its bus, as a closed set of words.

use gstreamer as gst;
use gstreamer::prelude::*;

/// One message that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BusEvent {
    /// An element failed. `branch` is the name of the pipeline's direct child that holds it.
    Error {
        /// The pipeline's direct child that holds the element, or the element itself.
        branch: String,
        /// The element's words, with its debug text where that says more.
        text: String,
    },
    /// An element warned.
    Warning {
        /// As in [`BusEvent::Error`].
        branch: String,
        /// The element's words.
        text: String,
    },
    /// The latency of an element changed: recalculate, off the bus.
    Latency,
    /// Every sink has seen the end.
    Eos,
}

/// Reads a message; `None` for what nobody needs.
pub fn classify(message: &gst::Message) -> Option<BusEvent> {
    use gst::MessageView;
    match message.view() {
        MessageView::Error(error) => Some(BusEvent::Error {
            branch: branch_of(message.src()),
            text: words(&error.error(), error.debug().as_deref()),
        }),
        MessageView::Warning(warning) => {
            Some(BusEvent::Warning { branch: branch_of(message.src()), text: warning.error().to_string() })
        }
        MessageView::Latency(_) => Some(BusEvent::Latency),
        MessageView::Eos(_) => Some(BusEvent::Eos),
        _ => None,
    }
}

/// The name of the direct child of the pipeline that holds `object`.
fn branch_of(object: Option<&gst::Object>) -> String {
    let mut current = object.cloned();
    while let Some(object) = current {
        match object.parent() {
            Some(parent) if parent.is::<gst::Pipeline>() => return object.name().to_string(),
            None => return object.name().to_string(),
            parent => current = parent,
        }
    }
    String::new()
}

/// An error's words; the part of the debug text behind the source location often holds the reason.
fn words(error: &gst::glib::Error, debug: Option<&str>) -> String {
    let error = error.to_string();
    let detail = debug.and_then(|debug| debug.lines().nth(1)).map(str::trim).filter(|d| !d.is_empty() && *d != error);
    match detail {
        Some(detail) => format!("{error} ({detail})"),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_traced_to_the_branch_that_holds_its_element() {
        gst::init().expect("GStreamer");
        let pipeline = gst::Pipeline::new();
        let bin = gst::Bin::with_name("endpoint-custom123456-1");
        let inner = gst::Bin::with_name("inner");
        let element = gst::ElementFactory::make("identity").name("leaf").build().expect("identity");
        inner.add(&element).expect("added");
        bin.add(&inner).expect("added");
        pipeline.add(&bin).expect("added");
        let message = gst::message::Error::builder(gst::ResourceError::Write, "gone")
            .debug("file.c(1): f (): /path:\nConnection timeout")
            .src(&element)
            .build();
        assert_eq!(
            classify(&message),
            Some(BusEvent::Error {
                branch: "endpoint-custom123456-1".into(),
                text: "gone (Connection timeout)".into()
            })
        );
        assert_eq!(classify(&gst::message::Eos::new()), Some(BusEvent::Eos));
        assert_eq!(classify(&gst::message::StreamStart::new()), None);
    }
}
