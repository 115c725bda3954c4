//! Reads a stream pipeline's bus: an endpoint's error goes to its endpoint, an error of the stream's own
//! elements ends the stream. And looks whether the source has fallen silent.

use std::sync::Weak;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::intake::WeakIntake;
use crate::media::bus::{BusEvent, classify};
use crate::media::fanout::Fanout;
use crate::model::ids::StreamKey;

/// How often a stream is looked at for silence.
const LOOK: Duration = Duration::from_secs(1);

/// What a stream's task watches. It holds the pipeline weakly.
pub(super) struct Watch {
    pub(super) fanout: Weak<Fanout>,
    pub(super) intake: WeakIntake,
    pub(super) key: StreamKey,
    /// Cancelled when the pipeline fails.
    pub(super) session: CancellationToken,
}

impl Watch {
    /// Runs until the stream is closed or its pipeline failed.
    pub(super) async fn run(self, closed: CancellationToken) {
        let span = tracing::error_span!("stream", stream = %self.key);
        self.read(closed).instrument(span).await;
    }

    async fn read(self, closed: CancellationToken) {
        let Some(mut messages) = self.fanout.upgrade().and_then(|fanout| fanout.take_messages()) else { return };
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                _ = look.tick() => {
                    if !self.intake.drain_if_idle() {
                        return;
                    }
                    continue;
                }
                () = closed.cancelled() => return,
            };
            let Some(message) = message else { return };
            let Some(event) = classify(&message) else { continue };
            let Some(fanout) = self.fanout.upgrade() else { return };
            match event {
                BusEvent::Error { branch, text } => {
                    if !fanout.report(&branch, text.clone()) && !branch.starts_with("endpoint-") {
                        tracing::error!(element = branch, error = text, "the stream's pipeline failed");
                        self.session.cancel();
                        return;
                    }
                }
                BusEvent::Warning { branch, text } => {
                    tracing::debug!(element = branch, warning = text, "pipeline");
                }
                // Every sink is sync=false: nothing to redistribute, and nobody waits for the end by the bus.
                BusEvent::Latency | BusEvent::Eos => {}
            }
        }
    }
}
