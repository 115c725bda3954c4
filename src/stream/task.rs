//! Reads a stream pipeline's bus: an endpoint's error goes to its endpoint, an error of the stream's own
//! elements ends the publication.

use std::sync::Weak;

use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::media::bus::{BusEvent, classify};
use crate::media::fanout::Fanout;
use crate::model::ids::StreamKey;

/// Runs until the stream is closed or its pipeline failed. Holds the pipeline weakly.
pub(super) async fn watch_bus(
    fanout: Weak<Fanout>,
    key: StreamKey,
    publication: CancellationToken,
    closed: CancellationToken,
) {
    let Some(bus) = fanout.upgrade().and_then(|fanout| fanout.bus()) else { return };
    let mut messages = bus.stream();
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = closed.cancelled() => return,
        };
        let Some(message) = message else { return };
        let Some(event) = classify(&message) else { continue };
        let Some(fanout) = fanout.upgrade() else { return };
        match event {
            BusEvent::Error { branch, text } => {
                if !fanout.report(&branch, text.clone()) && !branch.starts_with("endpoint-") {
                    tracing::error!(stream = %key, element = branch, error = text, "the stream's pipeline failed");
                    publication.cancel();
                    return;
                }
            }
            BusEvent::Warning { branch, text } => {
                tracing::debug!(stream = %key, element = branch, warning = text, "pipeline");
            }
            // Every sink is sync=false: nothing to redistribute, and nobody waits for the end by the bus.
            BusEvent::Latency | BusEvent::Eos => {}
        }
    }
}
