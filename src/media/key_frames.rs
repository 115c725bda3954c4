//! The wish for a key frame, from wherever one is missing to whoever can ask the publisher for it.
//!
//! Owns the counter. Must not know who wishes nor what is done about it: whoever wishes paces itself, and
//! the ingest decides how often a publisher is asked.

use tokio::sync::watch;

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
