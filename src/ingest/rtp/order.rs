//! Decoding times out of presentation times. Pure: a picture's PTS in decoding order in, its DTS out, at once.
//!
//! RTP carries only when a picture is shown (RFC 6184, section 5.1). With B pictures those times go back and forth,
//! and MPEG-TS wants decoding times that rise. With at most `depth` pictures shown later though decoded earlier, the
//! n-th decoding time is the (n − depth)-th presentation time in rising order, and that one has always been seen by
//! then: nothing need wait. What the sequence's parameters say of `depth` may be missing; then it is learned.

/// Pictures that may be out of order: the largest decoded picture buffer of H.264 and H.265.
const DEPTH_MAX: usize = 16;

/// Least step of decoding times in nanoseconds: more than a tick of 90 kHz.
const STEP_MIN_NS: u64 = 50_000;

/// A step of the presentation time by more than this, in either direction, is a new beginning.
const BREAK_NS: u64 = 700_000_000;

/// One video track.
#[derive(Debug, Default)]
pub(super) struct Order {
    depth: usize,
    /// Presentation times that have not become decoding times yet, rising; `depth` of them between pictures.
    waiting: Vec<u64>,
    newest_pts: Option<u64>,
    last_dts: Option<u64>,
}

impl Order {
    /// What the stream says of itself.
    pub(super) fn set_depth(&mut self, depth: usize) {
        let depth = depth.min(DEPTH_MAX);
        if depth != self.depth && self.newest_pts.is_some() {
            tracing::debug!(depth, "pictures are reordered otherwise");
        }
        self.depth = depth;
    }

    /// A picture, in decoding order. The answer rises strictly, and is no later than `pts` unless the stream has
    /// more disorder than it said.
    pub(super) fn picture(&mut self, pts: u64) -> u64 {
        if self.newest_pts.is_some_and(|newest| newest.abs_diff(pts) > BREAK_NS) {
            self.waiting.clear();
            self.newest_pts = None;
        }
        let at = self.waiting.partition_point(|waiting| *waiting < pts);
        self.waiting.insert(at, pts);
        // At a beginning the first ones have no predecessors: they get times just below the earliest.
        while self.waiting.len() <= self.depth {
            let earliest = self.waiting.first().copied().unwrap_or(pts);
            self.waiting.insert(0, earliest.saturating_sub(STEP_MIN_NS));
        }
        while self.waiting.len() > self.depth + 1 {
            self.waiting.remove(0);
        }
        let mut dts = self.waiting.remove(0);
        if let Some(last) = self.last_dts
            && dts <= last
            && self.newest_pts.is_some()
        {
            dts = last + STEP_MIN_NS;
        }
        if dts > pts && self.depth < DEPTH_MAX {
            // More disorder than was known: from the next picture on it fits.
            self.depth += 1;
            tracing::debug!(depth = self.depth, "a picture is shown before it is decoded; reordering learned");
        }
        self.newest_pts = Some(self.newest_pts.map_or(pts, |newest| newest.max(pts)));
        self.last_dts = Some(dts);
        dts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 40_000_000;
    const START: u64 = 3_600_000_000_000;

    fn run(order: &mut Order, shown: &[u64]) -> Vec<(u64, u64)> {
        shown.iter().map(|n| START + n * FRAME).map(|pts| (pts, order.picture(pts))).collect()
    }

    /// I P B B P B B …, as x264 sends without pyramid.
    fn with_b_pictures(groups: u64) -> Vec<u64> {
        std::iter::once(0).chain((0..groups).flat_map(|g| [g * 3 + 3, g * 3 + 1, g * 3 + 2])).collect()
    }

    #[test]
    fn without_b_pictures_both_times_are_the_same() {
        let units = run(&mut Order::default(), &(0..100).collect::<Vec<_>>());
        assert!(units.iter().all(|(pts, dts)| pts == dts));
    }

    #[test]
    fn decoding_times_rise_by_a_frame_each_and_never_follow_the_presentation() {
        let mut order = Order::default();
        order.set_depth(1);
        let units = run(&mut order, &with_b_pictures(30));
        assert!(units.iter().all(|(pts, dts)| dts <= pts), "{units:?}");
        assert!(units.windows(2).skip(1).all(|pair| pair[1].1 - pair[0].1 == FRAME), "{units:?}");
    }

    #[test]
    fn a_pyramid_needs_two() {
        let mut order = Order::default();
        order.set_depth(2);
        // I P B b b: the middle B is a reference.
        let shown: Vec<_> = std::iter::once(0).chain((0..30).flat_map(|g| [4, 2, 1, 3].map(|n| g * 4 + n))).collect();
        let units = run(&mut order, &shown);
        assert!(units.iter().all(|(pts, dts)| dts <= pts), "{units:?}");
        assert!(units.windows(2).skip(2).all(|pair| pair[1].1 - pair[0].1 == FRAME), "{units:?}");
    }

    #[test]
    fn disorder_that_nobody_announced_is_learned_within_some_pictures() {
        let mut order = Order::default();
        let units = run(&mut order, &with_b_pictures(30));
        assert!(units.windows(2).all(|pair| pair[1].1 > pair[0].1), "they always rise");
        let settled = &units[8..];
        assert!(settled.iter().all(|(pts, dts)| dts <= pts), "{units:?}");
        assert!(settled.windows(2).all(|pair| pair[1].1 - pair[0].1 == FRAME), "{units:?}");
    }

    #[test]
    fn a_jump_begins_anew_in_both_directions() {
        for to in [START + 3_600 * 1_000_000_000, START - 3_000_000_000] {
            let mut order = Order::default();
            order.set_depth(2);
            run(&mut order, &with_b_pictures(5));
            let dts = order.picture(to);
            assert!(dts <= to && to - dts < 1_000_000, "{dts} of {to}");
        }
    }

    #[test]
    fn any_disorder_rises_and_is_bounded() {
        let mut order = Order::default();
        let mut last = 0;
        for n in 0..1_000u64 {
            let dts = order.picture(START + (n * 7_919 % 17) * FRAME);
            assert!(dts > last);
            last = dts;
            assert!(order.waiting.len() <= DEPTH_MAX && order.depth <= DEPTH_MAX);
        }
    }
}
