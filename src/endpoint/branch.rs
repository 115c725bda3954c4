//! One attempt of one endpoint in GStreamer: gates ▶ `mpegtsmux` ▶ `srtsink`, linked to the stream's tees. In listener
//! mode an appsink and the endpoint's callers stand in the place of `srtsink`.
//!
//! Everything here blocks and is called off the async workers. The hard thing is that nothing of this
//! branch may reach its siblings: its gates take every flow return and never wait for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;
use tokio::sync::mpsc;

use super::callers::{Callers, Reading};
use super::feed::Feed;
use super::sink::{self, LinkStats};
use super::srt_element::{Destination, local_address};
use super::statistics;
use crate::media::caps::codec_of;
use crate::media::fanout::{BranchNews, Fanout, FanoutError};
use crate::media::gate::{Gate, Unit, Verdict};
use crate::media::key_frames::KeyFrameWish;
use crate::media::launch::{ENDPOINT, ENDPOINT_LISTENER};
use crate::model::codec::{Begun, Codec, TrackKind};
use crate::model::endpoint::{Encryption, GateTotals};
use crate::model::srt_url::{SrtMode, SrtUrl};
use crate::srt::peek::{self, Peek, Sought};

/// What the gates of a branch share with its owner. Lock order: feed, then gate.
#[derive(Debug)]
struct Shared {
    /// Behind the gates. It is locked while units go into the muxer, which never blocks.
    feed: Mutex<Feed>,
    gate: Mutex<Gate>,
    /// Zero of the gate's clock.
    epoch: Instant,
    news: mpsc::Sender<BranchNews>,
    key_frames: KeyFrameWish,
}

impl Shared {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        // Whatever panicked, a gate that stands is better than an endpoint that takes its siblings along.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the gate says of a unit, and, when it has just closed, the time of the newest unit that went in.
    fn admit(&self, unit: Unit) -> (Verdict, Option<u64>) {
        let (mut gate, now) = (self.gate(), self.epoch.elapsed());
        let was_open = gate.is_open();
        let verdict = gate.admit(unit, now);
        let closed_after_ns = if was_open && !gate.is_open() { gate.newest_ns() } else { None };
        let wishes = verdict == Verdict::Drop && gate.wishes(now);
        drop(gate);
        if wishes {
            self.key_frames.wish();
        }
        (verdict, closed_after_ns)
    }

    /// Tells the gate something, and passes on the wish that may follow from it.
    fn tell(&self, news: impl FnOnce(&mut Gate)) {
        let mut gate = self.gate();
        news(&mut gate);
        let wishes = gate.wishes(self.epoch.elapsed());
        drop(gate);
        if wishes {
            self.key_frames.wish();
        }
    }
}

/// A track's link: the mux's pad behind its gate, and the tee's pad in front.
#[derive(Debug)]
struct Link {
    kind: TrackKind,
    tee_pad: gst::Pad,
}

/// Where the transport stream goes.
#[derive(Debug)]
enum Exit {
    /// To one receiver. `encryption` is what the URL says of it, `peek` is `srtsink`'s own socket, where it was found.
    Srtsink { sink: gst::Element, encryption: Encryption, peek: Option<Peek> },
    /// To whoever calls.
    Callers(Callers),
}

/// What only a listening endpoint needs.
#[derive(Debug)]
pub(super) struct Listening {
    /// How long a caller may acknowledge nothing new before it counts as stalled.
    pub(super) delivery_window: Duration,
    /// The endpoint's, for the log.
    pub(super) span: tracing::Span,
}

/// A running branch; dropping it takes it out.
#[derive(Debug)]
pub(super) struct Branch {
    fanout: Arc<Fanout>,
    bin: gst::Bin,
    mux: gst::Element,
    exit: Exit,
    shared: Arc<Shared>,
    links: Vec<Link>,
}

impl Branch {
    /// Builds a branch for the tracks that have begun, links it and starts to connect, or to listen.
    pub(super) fn start(
        fanout: Arc<Fanout>,
        name: &str,
        url: &SrtUrl,
        destination: Destination,
        begun: Begun,
        key_frames: KeyFrameWish,
        listening: Listening,
    ) -> Result<(Self, mpsc::Receiver<BranchNews>), FanoutError> {
        let launch = if url.mode == SrtMode::Listener { ENDPOINT_LISTENER } else { ENDPOINT };
        let bin = launch.bin()?;
        bin.set_property("name", name);
        let mux: gst::Element = launch.element(&bin, "mux")?;
        strip_stream_header(&mux);
        let exit = if url.mode == SrtMode::Listener {
            let sink = launch.element(&bin, "sink")?;
            sink::align(&mux, url);
            let callers = Callers::start(url, destination.address, &sink, key_frames.clone(), listening)
                .map_err(|error| error.into_fanout())?;
            callers.set_video(begun.video);
            Exit::Callers(callers)
        } else {
            let sink: gst::Element = launch.element(&bin, "sink")?;
            sink::configure(&sink, &mux, url, destination);
            Exit::Srtsink { sink, encryption: statistics::encryption(url), peek: None }
        };
        let (news, receiver) = fanout.subscribe(name);
        let mut gate = Gate::new();
        if matches!(exit, Exit::Callers(_)) {
            // The muxer never waits for a caller.
            gate.connected();
        }
        let gate = Mutex::new(gate);
        let shared = Arc::new(Shared { feed: Mutex::default(), gate, epoch: Instant::now(), news, key_frames });
        // From here on Drop takes back whatever has been done.
        let mut branch = Self { fanout, bin, mux, exit, shared, links: Vec::new() };
        let kinds: Vec<_> = TrackKind::ALL.into_iter().filter(|kind| begun.has(*kind)).collect();
        let mut gates = Vec::with_capacity(kinds.len());
        for kind in kinds {
            gates.push((kind, branch.gate_pad(kind)?));
        }
        branch.call(url, destination)?;
        for (kind, pad) in gates {
            branch.link(kind, &pad)?;
        }
        Ok((branch, receiver))
    }

    /// Brings it to life: `srtsink` calls now.
    fn call(&mut self, url: &SrtUrl, destination: Destination) -> Result<(), FanoutError> {
        let Exit::Srtsink { peek, .. } = &mut self.exit else { return self.fanout.add(&self.bin) };
        let local = local_address(url, destination);
        let local_port = local.map(|local| local.port()).filter(|port| *port != 0);
        let stream_id = url.streamid.clone().unwrap_or_default();
        let sought = Sought { peer: destination.address, local_port, stream_id };
        let (added, found) = peek::during(&sought, || self.fanout.add(&self.bin));
        if found.is_none() {
            tracing::debug!(branch = %self.bin.name(), "srtsink's socket was not found; less is known of it");
        }
        *peek = found;
        added
    }

    /// Links a track that has begun after the branch was built.
    pub(super) fn add_track(&mut self, kind: TrackKind) -> Result<(), FanoutError> {
        if self.has(kind) {
            return Ok(());
        }
        let pad = self.gate_pad(kind)?;
        self.link(kind, &pad)
    }

    pub(super) fn has(&self, kind: TrackKind) -> bool {
        self.links.iter().any(|link| link.kind == kind)
    }

    fn link(&mut self, kind: TrackKind, pad: &gst::GhostPad) -> Result<(), FanoutError> {
        let tee_pad = self.fanout.link(kind, pad.upcast_ref())?;
        self.links.push(Link { kind, tee_pad });
        Ok(())
    }

    /// A ghost pad in front of a fresh mux pad, with the gate in its chain, event and query functions.
    ///
    /// Serialized queries stay outside: appsrc asks for an allocation through the tee whenever a branch is
    /// linked, and a muxer's pad keeps such a query until it has taken up everything before it. One receiver
    /// that takes nothing would hold the stream's thread, and every other endpoint with it.
    fn gate_pad(&self, kind: TrackKind) -> Result<gst::GhostPad, FanoutError> {
        let refused = || FanoutError::Refused(format!("mpegtsmux gave no pad for {kind}"));
        let mux_pad = self.mux.request_pad_simple("sink_%d").ok_or_else(refused)?;
        self.shared.gate().add_track(kind);
        watch_consumption(&mux_pad, kind, &self.shared);
        let (chain, list, events) = (Arc::clone(&self.shared), Arc::clone(&self.shared), Arc::clone(&self.shared));
        let codec: Mutex<Option<Codec>> = Mutex::new(None);
        let pad = gst::GhostPad::builder(gst::PadDirection::Sink)
            .name(kind.as_str())
            .chain_function(move |_, _, buffer| {
                take(&chain, kind, buffer);
                Ok(gst::FlowSuccess::Ok)
            })
            .chain_list_function(move |_, _, buffers| {
                for buffer in buffers.iter_owned() {
                    take(&list, kind, buffer);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(move |pad, parent, event| {
                if may_pass(&events, &codec, &event) {
                    events.feed().event(kind, event, |event| {
                        gst::Pad::event_default(pad, parent, event);
                    });
                }
                // A refused event must not reach the tee either: it would stop the stream's source.
                true
            })
            .query_function(|pad, parent, query| !query.is_serialized() && gst::Pad::query_default(pad, parent, query))
            .with_target(&mux_pad)?
            .build();
        let inner = pad.internal().ok_or_else(|| FanoutError::Refused("a ghost pad has no inner side".into()))?;
        self.shared.feed().add_track(kind, inner);
        pad.set_active(true)?;
        self.bin.add_pad(&pad)?;
        Ok(pad)
    }

    /// What `srtsink` says of its connection. Any thread; a short lock inside the element.
    pub(super) fn stats(&self) -> LinkStats {
        match &self.exit {
            Exit::Srtsink { sink, encryption, peek } => {
                let mut stats = LinkStats::read(sink, *encryption);
                if let Some(peek) = peek {
                    stats.complete(peek);
                }
                stats
            }
            Exit::Callers(_) => LinkStats::default(),
        }
    }

    /// What is seen of the callers; `None` for an endpoint that calls.
    pub(super) fn read_callers(&self) -> Option<Reading> {
        match &self.exit {
            Exit::Srtsink { .. } => None,
            Exit::Callers(callers) => Some(callers.read()),
        }
    }

    /// Wishes for a key frame ahead of the connection, so that it comes while that is being made.
    pub(super) fn wish_key_frame(&self) {
        if !self.has(TrackKind::Video) {
            return;
        }
        let mut gate = self.shared.gate();
        gate.wished(self.shared.epoch.elapsed());
        drop(gate);
        self.shared.key_frames.wish();
    }

    /// Tells the gate, and the callers, whether the publisher that sends now sends video.
    pub(super) fn set_video(&self, flows: bool) {
        let flows = flows && self.has(TrackKind::Video);
        self.shared.tell(|gate| gate.set_video(flows));
        if let Exit::Callers(callers) = &self.exit {
            callers.set_video(flows);
        }
    }

    /// Tells the gate that the receiver is connected.
    pub(super) fn connected(&self) {
        self.shared.tell(Gate::connected);
    }

    /// What its gate has done since the branch was built.
    pub(super) fn gate_totals(&self) -> GateTotals {
        let counters = self.shared.gate().counters();
        GateTotals {
            passed_units: counters.passed_units,
            dropped_units: counters.dropped_units,
            dropped_gops: counters.closings,
        }
    }

    /// Media time that waits in the muxer.
    pub(super) fn lag(&self) -> Duration {
        self.shared.gate().lag()
    }
}

impl Drop for Branch {
    /// Takes the branch out. Unlink first: NULL on a linked branch would answer FLUSHING to the tee and
    /// stop the whole stream without a word.
    fn drop(&mut self) {
        self.shared.gate().lock();
        for link in self.links.drain(..) {
            self.fanout.unlink(link.kind, &link.tee_pad);
        }
        self.fanout.remove(&self.bin);
    }
}

/// Lets one unit in, or not. Whatever the muxer answers stays here.
fn take(shared: &Shared, kind: TrackKind, buffer: gst::Buffer) {
    let key = kind == TrackKind::Audio || !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let time_ns = buffer.dts_or_pts().map_or(0, gst::ClockTime::nseconds);
    let mut feed = shared.feed();
    let (verdict, closed_after_ns) = shared.admit(Unit { kind, key, time_ns });
    let taken = match verdict {
        // The units before it were let in.
        Verdict::Drop => feed.flush(),
        Verdict::Open | Verdict::Pass => feed.push(kind, buffer),
    };
    if let Some(newest_ns) = closed_after_ns {
        feed.let_drain(newest_ns);
    }
    if taken.is_err() {
        // The cause comes by the bus; nothing more goes in.
        shared.gate().lock();
    }
}

/// Which events go in.
fn may_pass(shared: &Shared, codec: &Mutex<Option<Codec>>, event: &gst::Event) -> bool {
    match event.view() {
        // TAG can crash the 1.22 muxer; EOS would end the track for good.
        gst::EventView::Tag(_) | gst::EventView::Eos(_) => false,
        // A gap is data to the muxer: it must not pile up behind a closed gate.
        gst::EventView::Gap(_) => shared.gate().is_open(),
        gst::EventView::Caps(caps) => {
            let new = codec_of(caps.caps());
            let mut codec = codec.lock().unwrap_or_else(PoisonError::into_inner);
            if codec.is_none() || *codec == new {
                *codec = new;
                return true;
            }
            // mpegtsmux fails on another stream type; a new branch takes over instead.
            shared.gate().lock();
            let _ = shared.news.try_send(BranchNews::FormatChanged);
            false
        }
        _ => true,
    }
}

/// Tells the gate what the muxer has taken up, unit by unit.
fn watch_consumption(mux_pad: &gst::Pad, kind: TrackKind, shared: &Arc<Shared>) {
    mux_pad.set_property("emit-signals", true);
    let shared = Arc::downgrade(shared);
    mux_pad.connect("buffer-consumed", false, move |values| {
        let time = values.get(1)?.get::<gst::Buffer>().ok()?.dts_or_pts()?;
        shared.upgrade()?.tell(|gate| gate.consumed(kind, time.nseconds()));
        None
    });
}

/// Takes `streamheader` out of the muxer's caps: with it, `srtsink` (1.22 to 1.28) hides why a connection
/// failed and sends stale tables first.
fn strip_stream_header(mux: &gst::Element) {
    let Some(pad) = mux.static_pad("src") else { return };
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        let Some(gst::PadProbeData::Event(event)) = &info.data else { return gst::PadProbeReturn::Ok };
        if let gst::EventView::Caps(caps) = event.view() {
            let mut caps = caps.caps_owned();
            if let Some(structure) = caps.make_mut().structure_mut(0) {
                structure.remove_field("streamheader");
            }
            info.data = Some(gst::PadProbeData::Event(gst::event::Caps::new(&caps)));
        }
        gst::PadProbeReturn::Ok
    });
}
