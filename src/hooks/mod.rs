//! Webhooks: whoever a broadcast names is told that it starts and ends, and how its endpoints fare.
//!
//! Owns what is told and to whom. It listens to the manager's events and waits for nobody: each receiver has a queue of
//! its own (`delivery`). Actions and fields are Ant Media's, and beside them ours (`message`); which steps of an endpoint
//! are worth a word is `series`. The document is docs/events.md.
//!
//! The hard thing: a broadcast may be gone when its end is told, and its publisher always is. So what is to be said of it
//! is kept while data flows.

mod delivery;
mod message;
mod post;
mod series;
mod sign;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use crate::config::{Settings, Webhook};
use crate::events::{Event, EventBus, EventKind};
use crate::http_agent::Vetting;
use crate::manager::Manager;
use crate::model::destination::Destinations;
use crate::model::endpoint::Transition;
use crate::model::ids::{EndpointId, StreamKey};

use delivery::{Bounds, Deliveries};
use message::{About, EndpointNews, Message};
use series::{Action, Series};

/// At the end of the service, what still waits is told for so long.
const DRAIN_MAX: Duration = Duration::from_millis(1_000);

/// Tells what happens until `shutdown`, and then what is left, bounded. `own` is where this service listens itself:
/// nobody is told there.
pub async fn serve(manager: Manager, settings: Arc<Settings>, own: Vec<SocketAddr>, shutdown: CancellationToken) {
    let destinations = Destinations::deny(&settings.destination.deny);
    let vetting = Vetting { destinations, own, runtime: tokio::runtime::Handle::current() };
    let post = post::Http::new(vetting, settings.webhook.secret.clone(), settings.webhook.content_type);
    let deliveries = Deliveries::new(Arc::new(post), Bounds::default());
    Hooks::new(manager, settings.webhook.clone(), deliveries).run(shutdown).await;
}

/// Turns events into messages.
struct Hooks {
    manager: Manager,
    bus: EventBus,
    webhook: Webhook,
    deliveries: Deliveries,
    /// What was said of live streams when data began to flow.
    live: HashMap<StreamKey, About>,
    series: Series,
    /// The last event that was seen.
    position: u64,
}

impl Hooks {
    fn new(manager: Manager, webhook: Webhook, deliveries: Deliveries) -> Self {
        let bus = manager.events();
        Self { manager, bus, webhook, deliveries, live: HashMap::new(), series: Series::default(), position: 0 }
    }

    async fn run(mut self, shutdown: CancellationToken) {
        // From the first one on: the manager is older than this task.
        let mut receiver = self.catch_up();
        loop {
            tokio::select! {
                event = receiver.recv() => match event {
                    Ok(event) => self.see(&event),
                    Err(RecvError::Lagged(_)) => receiver = self.catch_up(),
                    Err(RecvError::Closed) => break,
                },
                () = shutdown.cancelled() => break,
            }
        }
        self.see_the_rest(receiver);
        self.deliveries.drain(DRAIN_MAX).await;
    }

    /// What happened until now, and a place for what follows.
    fn catch_up(&mut self) -> Receiver<Arc<Event>> {
        let subscription = self.bus.subscribe(Some(self.position));
        if subscription.has_gap {
            tracing::warn!("so much happened at once that some of it is not told to webhooks");
        }
        subscription.missed.iter().for_each(|event| self.see(event));
        subscription.receiver
    }

    fn see_the_rest(&mut self, mut receiver: Receiver<Arc<Event>>) {
        loop {
            match receiver.try_recv() {
                Ok(event) => self.see(&event),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn see(&mut self, event: &Event) {
        if event.id <= self.position {
            return;
        }
        self.position = event.id;
        let key = &event.stream;
        match &event.kind {
            EventKind::StreamPreparing => self.series.runs(key),
            EventKind::StreamStarted => {
                let about = self.about(key).unwrap_or_default();
                self.tell(event, "liveStreamStarted", &about, None);
                self.live.insert(key.clone(), about);
            }
            // Of another publisher, perhaps.
            EventKind::StreamResumed => {
                if let Some(about) = self.about(key) {
                    self.live.insert(key.clone(), about);
                }
            }
            EventKind::StreamEnded { started, .. } => {
                let kept = self.live.remove(key);
                self.series.ended(key);
                if *started {
                    let now = self.about(key).map(|now| now.after(kept.as_ref()));
                    let about = now.or(kept).unwrap_or_default();
                    self.tell(event, "liveStreamEnded", &about, None);
                }
            }
            EventKind::Endpoint(id, step) => {
                if let Some(action) = self.series.step(key, id, step.state) {
                    self.tell_endpoint(event, action, id, step);
                }
            }
            EventKind::EndpointRemoved(id) => self.series.forget(key, id),
            _ => {}
        }
    }

    /// What there is to say of a broadcast now.
    fn about(&self, key: &StreamKey) -> Option<About> {
        self.manager.describe(key, About::of)
    }

    /// Who is told. Asked first: most events are nobody's where no webhook is configured.
    fn receiver<'a>(&'a self, about: &'a About) -> Option<&'a str> {
        about.hook.as_deref().or(self.webhook.url.as_deref())
    }

    fn tell_endpoint(&self, event: &Event, action: Action, id: &EndpointId, step: &Transition) {
        let key = &event.stream;
        let kept = self.live.get(key);
        let now = self.about(key).map(|now| now.after(kept));
        let about = now.or_else(|| kept.cloned()).unwrap_or_default();
        if self.receiver(&about).is_none() {
            return;
        }
        let view = self.manager.endpoint(key, id.as_str());
        self.tell(event, action.as_str(), &about, Some(EndpointNews { id, step, view: view.as_ref() }));
    }

    fn tell(&self, event: &Event, action: &'static str, about: &About, endpoint: Option<EndpointNews<'_>>) {
        let Some(url) = self.receiver(about) else { return };
        let id = format!("{}-{}", self.bus.run(), event.id);
        let fields = message::fields(event, action, about, endpoint);
        let message = Message::new(id, event.stream.clone(), action, &fields, self.webhook.content_type);
        self.deliveries.push(url, message);
    }
}
