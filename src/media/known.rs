//! The pipelines that run, by stream: their graphs for an operator, and the ids of their streaming threads for the log.
//!
//! Owns a list of weak references and what a graph may show. The hard thing is the log: an element's line comes from a
//! streaming thread with any lock held, so nothing may be looked up then. A thread therefore puts on its stream's
//! (and endpoint's) span when it begins, from the `stream-status` message that it posts, and wears it to its end.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::glib::WeakRef;
use gstreamer::prelude::*;
use tracing::span::EnteredSpan;

use super::graph;
use crate::model::ids::StreamKey;

/// What a pipeline is to its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The stream itself: doors, tees, endpoints.
    Stream,
    /// Demuxer and parsers of a publisher, or its peer connection.
    Ingest,
    /// What fetches a pulled source.
    Pull,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stream, Self::Ingest, Self::Pull];

    /// The word in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Ingest => "ingest",
            Self::Pull => "pull",
        }
    }
}

#[derive(Debug)]
struct Known {
    key: StreamKey,
    role: Role,
    pipeline: WeakRef<gst::Pipeline>,
}

/// In the order of their start. Bounded by what runs: those that are gone go at the next start.
static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

thread_local! {
    /// The span of the pipeline that this streaming thread belongs to.
    static WORN: RefCell<Option<EnteredSpan>> = const { RefCell::new(None) };
}

/// Makes a pipeline known that is about to start. For [`wear_ids`] see there.
pub fn add(pipeline: &gst::Pipeline, key: &StreamKey, role: Role) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|known| known.pipeline.upgrade().is_some());
    known.push(Known { key: key.clone(), role, pipeline: pipeline.downgrade() });
}

/// [`add`], and lets its threads wear their ids. Only for a pipeline whose bus has no sync handler of its own.
pub fn add_with_threads(pipeline: &gst::Pipeline, key: &StreamKey, role: Role) {
    add(pipeline, key, role);
    if let Some(bus) = pipeline.bus() {
        let key = key.clone();
        bus.set_sync_handler(move |_, message| {
            wear_ids(&key, message);
            gst::BusSyncReply::Pass
        });
    }
}

/// The graph of a stream's newest pipeline of this role, in DOT, without secrets. Takes locks of elements, so it may
/// block where one hangs: to be called off the runtime.
pub fn dot(key: &StreamKey, role: Role) -> Option<String> {
    let found: Vec<_> = {
        let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |known: &&Known| known.key == *key && known.role == role;
        known.iter().rev().filter(fits).map(|known| known.pipeline.clone()).collect()
    };
    found.iter().find_map(WeakRef::upgrade).map(|pipeline| graph::dot(pipeline.upcast_ref()))
}

/// To be called from a bus's sync handler with every message: it runs in the thread that the message is about.
pub fn wear_ids(key: &StreamKey, message: &gst::Message) {
    let gst::MessageView::StreamStatus(status) = message.view() else { return };
    match status.get().0 {
        gst::StreamStatusType::Enter => {
            let span = span_of(key, message.src()).entered();
            WORN.with_borrow_mut(|worn| *worn = Some(span));
        }
        gst::StreamStatusType::Leave => WORN.with_borrow_mut(|worn| drop(worn.take())),
        _ => {}
    }
}

/// An error's span, so that no filter of levels takes the ids away.
fn span_of(key: &StreamKey, source: Option<&gst::Object>) -> tracing::Span {
    match source.and_then(endpoint_of) {
        Some(endpoint) => tracing::error_span!("endpoint", stream = %key, endpoint),
        None => tracing::error_span!("stream", stream = %key),
    }
}

/// The endpoint in whose branch (`endpoint-ID-ATTEMPT`, see `endpoint/task.rs`) an object is.
fn endpoint_of(object: &gst::Object) -> Option<String> {
    let mut current = Some(object.clone());
    while let Some(object) = current {
        let name = object.name();
        if let Some((id, attempt)) = name.strip_prefix("endpoint-").and_then(|rest| rest.rsplit_once('-'))
            && object.is::<gst::Bin>()
            && attempt.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Some(id.to_owned());
        }
        current = object.parent();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> StreamKey {
        StreamKey { app: "live".parse().expect("app"), id: id.parse().expect("id") }
    }

    #[test]
    fn the_newest_pipeline_of_a_role_is_shown_and_one_that_is_gone_is_not() {
        gst::init().expect("GStreamer");
        let (key, other) = (key("known"), key("known-2"));
        let (first, second) = (gst::Pipeline::with_name("first"), gst::Pipeline::with_name("second"));
        add(&first, &key, Role::Ingest);
        add(&second, &key, Role::Ingest);
        assert!(dot(&key, Role::Ingest).is_some_and(|dot| dot.contains("second") && !dot.contains("first")));
        drop(second);
        assert!(dot(&key, Role::Ingest).is_some_and(|dot| dot.contains("first")));
        assert_eq!(dot(&key, Role::Stream), None);
        assert_eq!(dot(&other, Role::Ingest), None);
        drop(first);
        assert_eq!(dot(&key, Role::Ingest), None);
    }

    #[test]
    fn an_element_is_traced_to_its_endpoint() {
        gst::init().expect("GStreamer");
        let pipeline = gst::Pipeline::new();
        let bin = gst::Bin::with_name("endpoint-my-camera-2-17");
        let leaf = gst::ElementFactory::make("identity").build().expect("identity");
        bin.add(&leaf).expect("added");
        pipeline.add(&bin).expect("added");
        let pad = leaf.static_pad("src").expect("a pad");
        assert_eq!(endpoint_of(pad.upcast_ref()).as_deref(), Some("my-camera-2"));
        assert_eq!(endpoint_of(pipeline.upcast_ref()), None);
    }
}
