//! One application's events: each is put into words once, and handed to all who listen. Every second while somebody
//! does, the numbers as well.
//!
//! Owns the position, the number of the last event that was told: whoever joins is brought up to it, and gets what
//! follows with everybody. Must not know HTTP.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Bytes;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::listener::Listener;
use super::words::{self, Tick, Words};
use crate::events::{Event, EventBus, EventKind};
use crate::manager::Manager;
use crate::model::ids::AppName;

/// Between two ticks.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// A connection on which nothing was sent for this long gets a comment: proxies close silent ones after 30 s and more.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(15);

/// What a listener missed is told it in one piece, in bytes; of more, reading everything anew is the shorter way.
pub(super) const REPLAY_MAX: usize = 2 * 1024 * 1024;

/// Somebody who wants to listen.
pub(super) struct Join {
    pub(super) listener: Listener,
    /// The id of the last event it has seen, as it was given.
    pub(super) seen: Option<String>,
}

/// An application's task.
pub(super) struct Hub {
    /// None: all of them.
    app: Option<AppName>,
    manager: Manager,
    bus: EventBus,
    joins: mpsc::Receiver<Join>,
    stopping: CancellationToken,
    listeners: Vec<Listener>,
    /// The last event that was told.
    position: u64,
}

impl Hub {
    pub(super) fn new(
        app: Option<AppName>,
        manager: Manager,
        joins: mpsc::Receiver<Join>,
        stopping: CancellationToken,
    ) -> Self {
        let bus = manager.events();
        Self { app, manager, bus, joins, stopping, listeners: Vec::new(), position: 0 }
    }

    /// Runs until the service ends.
    pub(super) async fn run(mut self) {
        let subscription = self.bus.subscribe(None);
        self.position = subscription.last;
        let mut receiver = subscription.receiver;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                join = self.joins.recv() => match join {
                    Some(join) => {
                        if self.listeners.is_empty() {
                            // It is told how all is at once; the next second begins with that.
                            tick.reset();
                        }
                        self.join(join);
                    }
                    None => return,
                },
                event = receiver.recv() => match event {
                    Ok(event) => self.tell(&event),
                    Err(RecvError::Lagged(_)) => receiver = self.catch_up(),
                    Err(RecvError::Closed) => return,
                },
                _ = tick.tick(), if !self.listeners.is_empty() => self.tick(),
            }
        }
    }

    /// Fetches from the kept events what the queue has lost.
    fn catch_up(&mut self) -> tokio::sync::broadcast::Receiver<Arc<Event>> {
        let subscription = self.bus.subscribe(Some(self.position));
        if subscription.has_gap {
            self.position = subscription.last;
            let (now, gap) = (Instant::now(), self.words().gap("forgotten"));
            self.listeners.retain_mut(|listener| listener.tell(now, gap.clone()));
        } else {
            subscription.missed.iter().for_each(|event| self.tell(event));
        }
        subscription.receiver
    }

    fn words(&self) -> Words<'_> {
        Words { run: self.bus.run(), app: self.app.as_ref(), position: self.position }
    }

    fn tell(&mut self, event: &Event) {
        self.position = event.id;
        if !self.is_of(event) || self.listeners.is_empty() {
            return;
        }
        let (name, stream) = (words::name(&event.kind), event.stream.id.as_str());
        let (now, told) = (Instant::now(), self.words().event(event, Some(&self.manager)));
        self.listeners.retain_mut(|listener| {
            let wanted = listener.filter.wants(name) && listener.filter.wants_stream(stream);
            !wanted || listener.tell(now, told.clone())
        });
    }

    /// Greets a listener, and brings it up to the position.
    fn join(&mut self, join: Join) {
        let Join { mut listener, seen } = join;
        let after = seen.as_deref().map(|seen| self.seen(seen));
        let words = self.words();
        let hello = match after {
            None => words.hello(None),
            Some(Err(reason)) => [words.hello(None), words.gap(reason)].concat().into(),
            Some(Ok(after)) => {
                let subscription = self.bus.subscribe(Some(after));
                if subscription.has_gap {
                    [words.hello(None), words.gap("forgotten")].concat().into()
                } else {
                    self.missed(&listener, after, &subscription.missed).unwrap_or_else(|| {
                        tracing::debug!("a listener to events has missed too much to be told all of it");
                        [words.hello(None), words.gap("tooMuch")].concat().into()
                    })
                }
            }
        };
        // The first tick is the whole picture of what runs.
        let now = Instant::now();
        let kept = listener.tell(now, hello)
            && (!listener.filter.wants(words::STATISTICS) || {
                let tick = self.pulse();
                let filter = listener.filter.clone();
                listener.tick(now, || tick.of(&filter))
            });
        if kept {
            self.listeners.push(listener);
        }
    }

    /// What a listener missed, in one piece: a queue is for what is to come. None of more than [`REPLAY_MAX`].
    fn missed(&self, listener: &Listener, after: u64, missed: &[Arc<Event>]) -> Option<Bytes> {
        let words = self.words();
        let missed: Vec<_> =
            missed.iter().filter(|event| event.id <= self.position && self.wants(listener, event)).collect();
        // A record is shown as it is now, so the last event that shows it is enough.
        let mut shown = HashMap::new();
        for event in &missed {
            if let EventKind::EndpointAdded(id) | EventKind::EndpointChanged(id) = &event.kind {
                shown.insert((&event.stream, id), event.id);
            }
        }
        let last: HashSet<u64> = shown.into_values().collect();
        let mut piece = words.hello(Some(after)).to_vec();
        for event in missed {
            piece.extend_from_slice(&words.event(event, last.contains(&event.id).then_some(&self.manager)));
            if piece.len() > REPLAY_MAX {
                return None;
            }
        }
        Some(piece.into())
    }

    fn wants(&self, listener: &Listener, event: &Event) -> bool {
        let filter = &listener.filter;
        self.is_of(event) && filter.wants(words::name(&event.kind)) && filter.wants_stream(event.stream.id.as_str())
    }

    /// The number in an id, if this run of the service can have given it.
    fn seen(&self, id: &str) -> Result<u64, &'static str> {
        let (run, number) = id.rsplit_once('-').ok_or("unknown")?;
        let number = number.parse().map_err(|_| "unknown")?;
        if run == self.bus.run() { Ok(number) } else { Err("restarted") }
    }

    /// Whether an event is one of its application.
    fn is_of(&self, event: &Event) -> bool {
        self.app.as_ref().is_none_or(|app| *app == event.stream.app)
    }

    fn pulse(&self) -> Tick {
        let apps = self.app.clone().map_or_else(|| self.manager.apps(), |app| vec![app]);
        self.words().tick(apps.into_iter().map(|app| (app.clone(), self.manager.pulse(&app))))
    }

    fn tick(&mut self) {
        let wanted = self.listeners.iter().any(|listener| listener.filter.wants(words::STATISTICS));
        let tick = wanted.then(|| self.pulse());
        let (now, position) = (Instant::now(), self.words().comment());
        self.listeners.retain_mut(|listener| {
            let kept = match &tick {
                Some(tick) if listener.filter.wants(words::STATISTICS) => {
                    let filter = &listener.filter.clone();
                    listener.tick(now, || tick.of(filter))
                }
                _ => !listener.is_gone(),
            };
            kept && (now.duration_since(listener.told_at) < HEARTBEAT || listener.tell(now, position.clone()))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::Filter;
    use super::super::listener;
    use super::*;
    use crate::api::tests::World;

    #[tokio::test]
    async fn who_has_gone_is_forgotten_with_the_next_tick_whatever_was_asked_for() {
        let world = World::new().await;
        let (_joins, queue) = mpsc::channel(1);
        let app = Some("live".parse().expect("app"));
        let mut hub = Hub::new(app, world.manager.clone(), queue, CancellationToken::new());
        let mut receivers = Vec::new();
        for types in ["statistics", "endpoint", "endpoint"] {
            let filter = Filter::parse(None, Some(types)).expect("a filter");
            let (listener, receiver) = listener::queue(filter, None, None);
            hub.join(Join { listener, seen: None });
            receivers.push(receiver);
        }
        receivers.truncate(2);
        hub.tick();
        assert_eq!(hub.listeners.len(), 2);
        drop(receivers);
        hub.tick();
        assert!(hub.listeners.is_empty());
    }
}
