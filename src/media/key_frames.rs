//! The wish for a key frame, from wherever one is missing to whoever can ask the publisher for it.
//!
//! Owns the counter, and the event that makes an encoder or a muxer act. Must not know who wishes nor what is
//! done about it: whoever wishes paces itself, and the ingest decides how often a publisher is asked.

use gstreamer as gst;
use tokio::sync::watch;

/// `GstForceKeyUnit` for whatever stands below, with all headers, as `gst_video_event_new_downstream_force_key_unit`
/// makes it: an encoder makes its next picture a key frame, a muxer writes its tables ahead. `at` is the picture's time.
pub fn force_key_unit(at: Option<gst::ClockTime>) -> gst::Event {
    let structure = gst::Structure::builder("GstForceKeyUnit")
        .field("timestamp", at)
        .field("stream-time", at)
        .field("running-time", at)
        .field("all-headers", true)
        .field("count", 0u32)
        .build();
    gst::event::CustomDownstream::new(structure)
}

/// Says that a key frame would be of use now; clones share the counter.
#[derive(Debug, Clone, Default)]
pub struct KeyFrameWish(watch::Sender<u64>);

impl KeyFrameWish {
    /// Wishes for one. Never blocks.
    pub fn wish(&self) {
        self.0.send_modify(|wishes| *wishes = wishes.wrapping_add(1));
    }

    /// How many wishes there were; each new one wakes whoever waits for a change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wish_is_counted_and_seen_by_all() {
        let wish = KeyFrameWish::default();
        let (mut early, clone) = (wish.subscribe(), wish.clone());
        assert!(!early.has_changed().expect("open"));
        wish.wish();
        clone.wish();
        assert_eq!(*early.borrow_and_update(), 2);
        assert!(!wish.subscribe().has_changed().expect("open"), "old wishes are no news to a newcomer");
    }
}
