//! One caller of a listening endpoint: its socket, its course through the stream, and what is measured of it.
//!
//! Nothing here waits: what the send buffer has no room for the caller misses. The hard thing is to see that a caller
//! lags before libsrt does: its too-late drop (`SRTO_TLPKTDROP`) takes packets out of the middle of pictures, while a
//! pause that begins here ends at a key frame.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::course::{Course, Part};
use super::packets::Marks;
use crate::endpoint::delivery::{Judge, Look, Stall, Verdict};
use crate::endpoint::statistics::{LinkMeter, LinkSample};
use crate::model::endpoint::{CallerStatistics, Encryption, GateTotals, LinkCounters};
use crate::model::latency::LatencyAdvice;
use crate::model::srt_url::{SrtUrl, redact};
use crate::srt::{Incoming, Sent, SrtSocket, SrtStatistics};

/// How often a caller's send buffer is looked at while data flows. Its limit has a margin of twice that.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// libsrt's sender drops what has waited for the latency, but for one second at least (`SRT_TLPKTDROP_MINTHRESHOLD_MS`).
const TOO_LATE_MIN: Duration = Duration::from_secs(1);

/// A caller that takes nothing for so long is hung up on, as other endpoints' receivers are.
const STALLED_MAX: Duration = Duration::from_secs(7);

/// A caller's latency counts up to this, or up to the endpoint's own if that is more: SRT takes the larger of both sides',
/// and a stranger is not to say how much media waits here for him, nor for how long he may be silent.
const LATENCY_TRUSTED_MAX: Duration = Duration::from_secs(8);

/// And its round trip, which it tells us itself (in its acknowledgements), up to this.
const RTT_TRUSTED_MAX: Duration = Duration::from_secs(3);

/// Why such a caller is hung up on.
const SILENT: &str = "it acknowledged nothing any more";

/// What all callers of an endpoint have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// Bytes of a datagram (`pkt_size`).
    pub(super) payload_len: usize,
    /// What the URL adds to the latency before something is too late (`snddropdelay`).
    pub(super) extra_delay: Duration,
    /// How long an acknowledgement may be missing.
    pub(super) delivery_window: Duration,
    /// See [`LATENCY_TRUSTED_MAX`].
    latency_max: Duration,
}

impl Terms {
    pub(super) fn new(url: &SrtUrl, delivery_window: Duration) -> Self {
        let extra_ms = url.socket_option("snddropdelay").and_then(|value| value.parse().ok()).unwrap_or(0);
        let payload_len = url.payload_size.unwrap_or(crate::model::srt_url::PAYLOAD_SIZE_DEFAULT) as usize;
        let asked_ms = url.latency_ms.max(url.peerlatency_ms).unwrap_or(0);
        let latency_max = LATENCY_TRUSTED_MAX.max(Duration::from_millis(asked_ms.into()));
        Self { payload_len, extra_delay: Duration::from_millis(extra_ms), delivery_window, latency_max }
    }

    /// How long media may wait for a caller that has agreed on this latency, before it is too late for it.
    fn too_late(&self, latency: Duration) -> Duration {
        (latency.min(self.latency_max) + self.extra_delay).max(TOO_LATE_MIN)
    }
}

/// A caller.
#[derive(Debug)]
pub(super) struct Caller {
    socket: SrtSocket,
    peer: SocketAddr,
    /// As it presented it, without secrets.
    stream_id: Option<String>,
    connected_since: SystemTime,
    connected_at: Instant,
    terms: Terms,
    course: Course,
    /// When its send buffer was looked at last, and how it was.
    looked_at: Instant,
    lagging: bool,
    drained: bool,
    encryption: Encryption,
    judge: Judge,
    verdict: Verdict,
    stalled_at: Option<Instant>,
    handed_bytes: u64,
    meter: LinkMeter,
    counters: LinkCounters,
    latency: Duration,
    /// What it missed that was told already.
    told: GateTotals,
    /// libsrt says that the connection is over.
    is_gone: bool,
    /// For packets that are numbered anew.
    scratch: Vec<u8>,
}

impl Caller {
    pub(super) fn new(incoming: Incoming, terms: Terms, now: Instant) -> Self {
        let Incoming { socket, peer } = incoming;
        let stream_id = Some(socket.stream_id()).filter(|id| !id.is_empty()).map(|id| redact(&id));
        let encryption = socket.send_encryption();
        Self {
            socket,
            peer,
            stream_id,
            connected_since: SystemTime::now(),
            connected_at: now,
            terms,
            course: Course::new(),
            looked_at: now,
            lagging: false,
            drained: true,
            encryption,
            judge: Judge::new(terms.delivery_window, Duration::ZERO),
            verdict: Verdict::Unproven,
            stalled_at: None,
            handed_bytes: 0,
            meter: LinkMeter::default(),
            counters: LinkCounters::default(),
            latency: Duration::ZERO,
            told: GateTotals::default(),
            is_gone: false,
            scratch: Vec::new(),
        }
    }

    /// Sends it its part of a datagram.
    pub(super) fn take(&mut self, datagram: &[u8], marks: &Marks, tables: &[u8], now: Instant) {
        if self.is_gone {
            return;
        }
        if now.saturating_duration_since(self.looked_at) >= LOOK_PAUSE {
            self.look_at_buffer(now);
        }
        match self.course.next(marks, tables, self.lagging, self.drained) {
            Part::Nothing => {}
            Part::Whole => self.send([datagram, &[]], marks, tables),
            Part::Head(at) => self.send([&datagram[..at], &[]], marks, tables),
            Part::Tail(at) => self.send([tables, &datagram[at..]], marks, tables),
        }
    }

    /// Sends packets and more packets, in messages of the endpoint's size, up to the first that does not fit.
    fn send(&mut self, [packets, more]: [&[u8]; 2], marks: &Marks, tables: &[u8]) {
        let must_copy = self.course.is_shifted() || !more.is_empty();
        let mut scratch = std::mem::take(&mut self.scratch);
        if must_copy {
            scratch.clear();
            scratch.extend_from_slice(packets);
            scratch.extend_from_slice(more);
            self.course.shift(&mut scratch);
        }
        let all = if must_copy { scratch.as_slice() } else { packets };
        let mut taken = 0;
        for message in all.chunks(self.terms.payload_len) {
            match self.socket.try_send(message) {
                Sent::Taken => taken += message.len(),
                Sent::Full => {
                    (self.lagging, self.drained) = (true, false);
                    self.course.full(marks, tables, &all[..taken]);
                    break;
                }
                Sent::Closed => {
                    self.is_gone = true;
                    break;
                }
            }
        }
        self.handed_bytes += taken as u64;
        self.scratch = scratch;
    }

    fn look_at_buffer(&mut self, now: Instant) {
        self.looked_at = now;
        match self.socket.statistics() {
            Ok(statistics) => self.judge_buffer(&statistics),
            Err(_) => self.is_gone = true,
        }
    }

    fn judge_buffer(&mut self, statistics: &SrtStatistics) {
        self.latency = Duration::from_millis(statistics.send_latency_ms.into());
        let too_late = self.terms.too_late(self.latency);
        let waits = Duration::from_millis(statistics.send_buffer_ms.into());
        self.lagging = waits > too_late.saturating_sub(2 * LOOK_PAUSE);
        self.drained = waits <= too_late / 4;
    }

    /// Measures it: what it was sent since the last time, and why it is to be hung up on, if it is.
    pub(super) fn measure(&mut self, now: Instant) -> (LinkCounters, Option<&'static str>) {
        let statistics = match self.socket.statistics() {
            Ok(statistics) if !self.is_gone => statistics,
            _ if self.stalled_at.is_some() => return (LinkCounters::default(), Some(SILENT)),
            _ => return (LinkCounters::default(), Some("it closed the connection")),
        };
        self.judge_buffer(&statistics);
        let added = self.meter.sample(&LinkSample::of(&statistics, self.encryption), now);
        self.counters += added;
        let look = Look {
            handed_bytes: self.handed_bytes,
            acks: statistics.received_acks,
            dropped_bytes: statistics.send_dropped_bytes,
            lagging: self.course.is_skipping() && statistics.send_buffer_packets > 0,
            latency: self.latency.min(self.terms.latency_max),
            rtt: Duration::from_secs_f64(statistics.rtt_ms.max(0.0) / 1e3).min(RTT_TRUSTED_MAX),
        };
        self.verdict = self.judge.look(look, now.saturating_duration_since(self.connected_at));
        match self.verdict {
            Verdict::Stalled(_) => {
                let since = *self.stalled_at.get_or_insert(now);
                if now.saturating_duration_since(since) >= STALLED_MAX {
                    return (added, Some(SILENT));
                }
            }
            Verdict::Delivers | Verdict::Starved | Verdict::Unproven => self.stalled_at = None,
        }
        (added, None)
    }

    /// What it missed since this was asked last.
    pub(super) fn newly_missed(&mut self) -> GateTotals {
        let missed = self.course.missed();
        missed.beyond(&std::mem::replace(&mut self.told, missed))
    }

    pub(super) fn wants_key_frame(&self) -> bool {
        self.course.wants_key_frame(self.drained)
    }

    pub(super) fn delivers(&self) -> bool {
        self.verdict == Verdict::Delivers
    }

    pub(super) fn is_starved(&self) -> bool {
        self.verdict == Verdict::Starved
    }

    pub(super) fn stall(&self) -> Option<Stall> {
        if let Verdict::Stalled(stall) = self.verdict { Some(stall) } else { None }
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub(super) fn stream_id(&self) -> Option<&str> {
        self.stream_id.as_deref()
    }

    pub(super) fn latency(&self) -> Duration {
        self.latency
    }

    pub(super) fn connected_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.connected_at)
    }

    /// What latency its way wants, once enough is known.
    pub(super) fn advice(&self) -> Option<LatencyAdvice> {
        self.meter.advice()
    }

    pub(super) fn statistics(&self) -> CallerStatistics {
        CallerStatistics {
            peer: self.peer,
            stream_id: self.stream_id.clone(),
            connected_since: self.connected_since,
            counters: self.counters,
            link: self.meter.gauges(),
            dropped_units: self.course.missed().dropped_units,
            dropped_gops: self.course.missed().dropped_gops,
        }
    }
}
