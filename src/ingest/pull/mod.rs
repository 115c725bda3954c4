//! Pull sources: whatever the manager wants pulled is fetched, for ever, one task and one thread for each.
//!
//! Owns the supervisor that follows the manager's list. What a source speaks is below: `srt`, `udp` and `rtmp` bring
//! bytes out of a small pipeline (`bytes`), `http` brings them itself, and both end in a demuxer (`demux`); `rtsp` and
//! `picture` are pipelines of their own. All of them are attempts (`attempt`): they block, on a thread of their own,
//! and end with a reason.
//!
//! The hard thing: a source that is replaced while it hangs. Its successor waits for it, bounded, and then starts beside
//! it; the publication is the manager's to give to one of them.

mod attempt;
mod bytes;
mod demux;
mod failure;
mod hls;
mod http;
mod meter;
mod pace;
mod picture;
mod rtsp;
mod state;
mod task;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::manager::{Manager, WantedSource};
use crate::model::destination::Destinations;
use crate::model::ids::StreamKey;

/// What all pulled sources share.
pub(super) struct Context {
    manager: Manager,
    settings: Arc<Settings>,
    destinations: Destinations,
    own: OwnPorts,
    runtime: tokio::runtime::Handle,
}

/// Where this service listens itself: nothing can be pulled from there.
#[derive(Debug, Clone)]
pub struct OwnPorts {
    /// TCP: HTTP, HTTPS, RTMP, …
    pub tcp: Vec<SocketAddr>,
    /// UDP: SRT.
    pub udp: Vec<SocketAddr>,
}

/// A source's task.
struct Running {
    wanted: WantedSource,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Pulls what the manager wants until `shutdown`; returns when the sources are closed, within a second or so, or are
/// left behind.
pub async fn serve(manager: Manager, settings: Arc<Settings>, own: OwnPorts, shutdown: CancellationToken) {
    let mut list = manager.wanted_sources();
    let destinations = Destinations::deny(&settings.destination.deny);
    let runtime = tokio::runtime::Handle::current();
    let context = Arc::new(Context { manager, settings, destinations, own, runtime });
    let mut running: HashMap<StreamKey, Running> = HashMap::new();
    // Those that end, so that a successor can wait and the end can.
    let mut ending: HashMap<StreamKey, JoinHandle<()>> = HashMap::new();
    loop {
        let wanted = list.borrow_and_update().clone();
        ending.retain(|_, task| !task.is_finished());
        running.retain(|key, source| {
            let keep = wanted.get(key).is_some_and(|wanted| wanted.is_same(&source.wanted));
            if !keep {
                source.stop.cancel();
            }
            keep || {
                let (nothing, stopped) = (tokio::spawn(async {}), key.clone());
                ending.insert(stopped, std::mem::replace(&mut source.task, nothing));
                false
            }
        });
        for (key, wanted) in wanted.iter() {
            if !running.contains_key(key) {
                let (wanted, stop) = (wanted.clone(), shutdown.child_token());
                let task = task::Task::new(key.clone(), wanted.clone(), Arc::clone(&context), stop.clone());
                let task = tokio::spawn(task.run(ending.remove(key)));
                running.insert(key.clone(), Running { wanted, stop, task });
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = list.changed() => if changed.is_err() { break },
        }
    }
    let tasks = running.into_values().map(|source| {
        source.stop.cancel();
        source.task
    });
    let all: Vec<_> = tasks.chain(ending.into_values()).collect();
    let _ = tokio::time::timeout(CLOSE_MAX, futures::future::join_all(all)).await;
}

/// At a shutdown, all sources side by side; a thread that hangs in a connect is left behind.
const CLOSE_MAX: Duration = Duration::from_millis(1_000);
