//! The publisher's clock: puts the time of its tracks' RTP time stamps on the packets, in front of the depayloaders.
//!
//! Owns the one probe that does it, for all that comes by RTP, and what sender reports are handed to; how time stamps,
//! reports and arrival make a time is a [`Policy`]'s, of which there are two: publishers that are read to the tick
//! (`line.rs`) and browsers, whose clocks are followed (`follow.rs`). The hard thing: losses are told in the jitter
//! buffer's time, not in ours, so they are moved by as much as the packet before them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::follow::Followed;
use super::line::Line;
use super::packet::{HEADER_LEN, Packet};
use super::sender_report::{SenderReport, sender_reports};
use super::step::Step;
use crate::model::codec::TrackKind;
use crate::stream::AccessUnit;

/// What a packet says of time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) ssrc: u32,
    pub(super) rtp: u32,
    /// Ticks a second.
    pub(super) rate_hz: u32,
    /// When it came, on a clock that all tracks share.
    pub(super) arrived_ns: Option<i64>,
}

/// How time stamps become times.
pub(super) trait Policy: std::fmt::Debug + Send {
    /// A packet's time, in nanoseconds of a clock that all tracks share; `None`: it cannot be told.
    fn place(&mut self, kind: TrackKind, stamp: Stamp) -> Option<i64>;

    /// Takes a sender report. One that comes ahead of its track's first packet is kept for it.
    fn report(&mut self, report: SenderReport);
}

/// What the arrival of a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    /// When it came to the jitter buffer, by that one's decoding time.
    Buffered,
    /// The running time at which it leaves the jitter buffer, whose own time is smoothed for seconds after it has begun
    /// anew.
    Now,
}

/// The clock of one publisher; clones share it.
#[derive(Debug, Clone)]
pub(in crate::ingest) struct SourceClock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    policy: Mutex<Box<dyn Policy>>,
    arrival: Arrival,
    /// Keeps the tracks together behind their parsers.
    step: Mutex<Step>,
    /// Zero of `last_packet_ms`.
    epoch: Instant,
    /// When the last packet came, in milliseconds since `epoch`; 0 before the first one.
    last_packet_ms: AtomicU64,
}

/// Our time less the jitter buffer's, at a track's last packet.
type Moved = Mutex<Option<i64>>;

impl SourceClock {
    /// The clock of a publisher that is about to send, whose pictures keep their steps to the tick.
    pub(in crate::ingest) fn exact() -> Self {
        Self::new(Box::new(Line::default()), Arrival::Buffered)
    }

    /// The clock of a browser that is about to send: it is followed, and tied to the pipeline's running time.
    pub(in crate::ingest) fn followed() -> Self {
        Self::new(Box::new(Followed::default()), Arrival::Now)
    }

    fn new(policy: Box<dyn Policy>, arrival: Arrival) -> Self {
        let (policy, step) = (Mutex::new(policy), Mutex::new(Step::default()));
        Self(Arc::new(Shared { policy, arrival, step, epoch: Instant::now(), last_packet_ms: AtomicU64::new(0) }))
    }

    /// Takes the sender's reports out of what comes into an `rtpbin`. To be called before its pads are made.
    pub(in crate::ingest) fn watch_reports(&self, rtpbin: &gst::Element) {
        let clock = self.clone();
        rtpbin.connect_pad_added(move |_, pad| {
            if !pad.name().starts_with("recv_rtcp_sink_") {
                return;
            }
            let clock = clock.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if let Some(buffer) = info.buffer() {
                    clock.reports(buffer);
                }
                gst::PadProbeReturn::Ok
            });
        });
    }

    /// Takes the sender reports of an RTCP packet.
    pub(in crate::ingest) fn reports(&self, rtcp: &gst::BufferRef) {
        let Ok(rtcp) = rtcp.map_readable() else { return };
        for report in sender_reports(&rtcp) {
            tracing::trace!(?report, "sender report");
            self.policy().report(report);
        }
    }

    /// How long no packet has come; `None` before the first one.
    pub(in crate::ingest) fn silent_for(&self) -> Option<Duration> {
        let last = self.0.last_packet_ms.load(Ordering::Relaxed);
        (last > 0).then(|| self.0.epoch.elapsed().saturating_sub(Duration::from_millis(last)))
    }

    /// Lets a unit go on, with what waited for it, or keeps it for a while. The lock is held meanwhile: units of one
    /// track keep their order.
    pub(super) fn in_step(&self, unit: AccessUnit, go: impl FnMut(AccessUnit)) {
        let now = self.0.epoch.elapsed();
        self.0.step.lock().unwrap_or_else(PoisonError::into_inner).take(unit, now, go);
    }

    fn policy(&self) -> MutexGuard<'_, Box<dyn Policy>> {
        // Numbers that are never half written: go on.
        self.0.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the packets that come into `sink`, a depayloader's, this clock's time instead of a jitter buffer's, and
    /// takes their decoding time away: RTP has none, that was their arrival.
    pub(in crate::ingest) fn retime(&self, sink: &gst::Pad, kind: TrackKind) {
        let (clock, moved) = (self.clone(), Moved::default());
        let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST | gst::PadProbeType::EVENT_DOWNSTREAM;
        sink.add_probe(mask, move |pad, info| {
            match &mut info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => clock.move_packet(pad, kind, buffer, &moved),
                Some(gst::PadProbeData::BufferList(list)) => {
                    list.make_mut().foreach_mut(|mut buffer, _| {
                        clock.move_packet(pad, kind, &mut buffer, &moved);
                        std::ops::ControlFlow::Continue(Some(buffer))
                    });
                }
                Some(gst::PadProbeData::Event(event)) => {
                    let shift_ns = *moved.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(moved) = shift_ns.and_then(|shift_ns| moved_loss(event, shift_ns)) {
                        *event = moved;
                    }
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }

    fn move_packet(&self, pad: &gst::Pad, kind: TrackKind, buffer: &mut gst::Buffer, moved: &Moved) {
        let now = self.0.epoch.elapsed();
        self.0.last_packet_ms.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
        let mut header = [0; HEADER_LEN];
        let Some((ssrc, rtp)) = buffer.copy_to_slice(0, &mut header).ok().and_then(|()| Packet::stamp(&header)) else {
            return;
        };
        let Some(rate_hz) = clock_rate(pad) else { return };
        let arrived = match self.0.arrival {
            Arrival::Buffered => {
                buffer.dts_or_pts().or_else(|| u64::try_from(now.as_nanos()).ok().map(gst::ClockTime::from_nseconds))
            }
            Arrival::Now => pad.parent_element().and_then(|depay| depay.current_running_time()),
        };
        let placed_ns = self.policy().place(kind, Stamp { ssrc, rtp, rate_hz, arrived_ns: arrived.map(ns) });
        let buffered = buffer.pts();
        let buffer = buffer.make_mut();
        buffer.set_dts(gst::ClockTime::NONE);
        if let Some(placed_ns) = placed_ns {
            *moved.lock().unwrap_or_else(PoisonError::into_inner) =
                buffered.map(|buffered| placed_ns.saturating_sub(ns(buffered)));
            buffer.set_pts(time(placed_ns));
        }
    }
}

/// The news of a lost packet, so much later; `None`: it is other news.
fn moved_loss(event: &gst::Event, moved_ns: i64) -> Option<gst::Event> {
    let lost = event.structure().filter(|structure| structure.name() == "GstRTPPacketLost")?;
    let at_ns = i64::try_from(lost.get::<u64>("timestamp").ok()?).ok()?;
    let mut lost = lost.to_owned();
    lost.set("timestamp", time(at_ns.saturating_add(moved_ns)).nseconds());
    Some(gst::event::CustomDownstream::builder(lost).seqnum(event.seqnum()).build())
}

fn clock_rate(pad: &gst::Pad) -> Option<u32> {
    let caps = pad.current_caps()?;
    let rate = caps.structure(0)?.get::<i32>("clock-rate").ok()?;
    u32::try_from(rate).ok().filter(|rate| *rate > 0)
}

fn ns(time: gst::ClockTime) -> i64 {
    i64::try_from(time.nseconds()).unwrap_or(i64::MAX)
}

fn time(ns: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(ns.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_news_of_a_loss_moves_with_the_packets() {
        gst::init().expect("GStreamer");
        let lost = |at_ns: u64| {
            let structure = gst::Structure::builder("GstRTPPacketLost").field("seqnum", 7_u32);
            let structure = structure.field("timestamp", at_ns).field("duration", 20_000_000_u64).build();
            gst::event::CustomDownstream::new(structure)
        };
        let moved = moved_loss(&lost(1_000), -400).expect("it is of a loss");
        let structure = moved.structure().expect("one");
        assert_eq!((structure.get::<u64>("timestamp"), structure.get::<u32>("seqnum")), (Ok(600), Ok(7)));
        assert!(moved_loss(&gst::event::Eos::new(), 5).is_none());
    }
}
