//! What faults are let loose on: a service with a stream, a healthy receiver that is judged at the end, and far ends
//! that can be broken.

use std::sync::Arc;
use std::time::Duration;

use crate::support::check::assert_restreamed;
use crate::support::namespace::Namespace;
use crate::support::publisher::Publisher;
use crate::support::receiver::Receiver;
use crate::support::relay::Relay;
use crate::support::sample::{self, Programme, Sample};
use crate::support::service::{Options, Service};

use super::report;
use super::steps::Watched;

/// The stream whose endpoints suffer.
pub const STREAM: &str = "live/test";

/// Longest time in which no media is sent to the healthy one. A machine that is busy with other tests makes some of it.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Long enough for the longest drill.
const LONG: Programme = Programme { seconds: 400, seed: 9, ..sample::H264_AAC };

/// A live stream with a healthy endpoint.
#[derive(Debug)]
pub struct Stage {
    /// The service.
    pub service: Service,
    sample: Sample,
    // Before the receiver: what is dropped first ends first.
    _publisher: Publisher,
    healthy: Receiver,
    /// In front of the healthy one, and leaves its packets alone: it sees when they are sent.
    timed: Relay,
    healthy_endpoint: Watched,
}

/// What the healthy one had.
#[derive(Debug, Clone, Copy)]
pub struct Healthy {
    /// Seconds of media.
    pub seconds: f64,
    /// The longest time in which no media was sent to it.
    pub pause: Duration,
}

impl Healthy {
    /// For a report.
    pub fn pause_ms(&self) -> u128 {
        self.pause.as_millis()
    }
}

impl Stage {
    /// An ordinary service.
    pub fn new() -> Self {
        Self::with(Options::default())
    }

    /// A service of another kind.
    pub fn with(options: Options) -> Self {
        let service = Service::start_with(options);
        let few = report::times() <= 2;
        let sample = Sample::of(if few { sample::H264_AAC } else { LONG });
        let publisher = Publisher::rtmp(&service, STREAM, &sample);
        service.api.wait_live(STREAM);
        let healthy = Receiver::listen();
        let timed = Relay::to(healthy.port);
        let id = service.api.add_endpoint(STREAM, &timed.url());
        let healthy_endpoint = Watched::new(&service.api, STREAM, id);
        healthy.wait_seconds(1.0);
        timed.take_longest_pause();
        Self { service, sample, _publisher: publisher, healthy, timed, healthy_endpoint }
    }

    /// Adds an endpoint to it.
    #[track_caller]
    pub fn add(&self, url: &str) -> Watched {
        Watched::new(&self.service.api, STREAM, self.service.api.add_endpoint(STREAM, url))
    }

    /// The judgement: nothing of all that reached the healthy one.
    #[track_caller]
    pub fn judge(&self, what: &str) -> Healthy {
        // Before all else takes its time.
        let pause = self.timed.take_longest_pause();
        let seconds = self.healthy.seconds();
        assert_restreamed(&format!("the healthy one beside {what}"), &self.sample, &self.healthy, seconds);
        assert_eq!(self.healthy.connections(), 1, "the healthy one was connected anew beside {what}");
        let states: Vec<String> = self.healthy_endpoint.steps().into_iter().map(|step| step.state).collect();
        let last = states.iter().rposition(|state| state == "connecting").map_or(0, |at| at + 1);
        assert_eq!(states[last..], ["broadcasting"], "the healthy one's states beside {what}: {states:?}");
        assert!(pause <= PAUSE_MAX, "nothing was sent to the healthy one for {pause:?} beside {what}");
        Healthy { seconds, pause }
    }

    /// Waits until it has so many more seconds.
    #[track_caller]
    pub fn run_on(&self, seconds: f64) {
        self.healthy.wait_more(seconds);
    }
}

/// The far end of an endpoint, to be broken.
#[derive(Debug)]
pub struct Far {
    /// What the endpoint is given.
    pub url: String,
    /// The receiver.
    pub receiver: Receiver,
    /// What stands in front of it, if anything does.
    pub relay: Option<Relay>,
    /// Where it listens, if that is not here.
    pub namespace: Option<Arc<Namespace>>,
    /// The other publisher of the stream that it is told to publish, where its far end is a server.
    pub rival: Option<Publisher>,
}

impl Far {
    /// A receiver that listens.
    pub fn plain() -> Self {
        let receiver = Receiver::listen();
        let url = receiver.url();
        Self::of(receiver, url)
    }

    /// A receiver behind a relay.
    pub fn relayed() -> Self {
        let receiver = Receiver::listen();
        let relay = Relay::to(receiver.port);
        let url = relay.url();
        Self { relay: Some(relay), ..Self::of(receiver, url) }
    }

    /// A receiver in a network namespace.
    pub fn inside(namespace: &Arc<Namespace>) -> Self {
        let receiver = Receiver::listen_in(namespace);
        let url = receiver.url();
        Self { namespace: Some(Arc::clone(namespace)), ..Self::of(receiver, url) }
    }

    /// A receiver that is not there yet, and an address for it with a query.
    pub fn absent(query: &str) -> Self {
        let receiver = Receiver::prepare(None);
        let url = format!("{}{query}", receiver.url());
        Self::of(receiver, url)
    }

    /// This receiver, reached by this address.
    pub fn of(receiver: Receiver, url: String) -> Self {
        Self { url, receiver, relay: None, namespace: None, rival: None }
    }

    /// Its relay.
    pub fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("it was made with one")
    }
}
