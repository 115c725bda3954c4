//! One SRT publisher, on a thread of its own, from accept to the end.

use std::time::{Duration, Instant};

use super::statistics::ReceiveMeter;
use super::{LOOK, Shared, refusal, wanted};
use crate::ingest::ts::TsIngest;
use crate::manager::{Publication, PublishRequest};
use crate::model::broadcast::PublishType;
use crate::srt::{Incoming, Recv};

/// Room for one live-mode message (SRT_LIVE_MAX_PLSIZE is 1456 bytes).
const MESSAGE_LEN: usize = 1_500;

/// A publisher that sends, but no programme that can be read, is given up after this.
const PROGRAMME_MAX: Duration = Duration::from_secs(15);

/// How often a failed demuxer is built anew within one connection, at most, and how far apart.
const REBUILDS_MAX: u32 = 100;
const REBUILD_PAUSE: Duration = Duration::from_secs(1);

/// How often libsrt is asked what it has counted.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Serves one publisher until it leaves or is told to.
pub(super) fn run(incoming: Incoming, shared: &Shared, runtime: &tokio::runtime::Handle) {
    let peer = incoming.peer;
    let stream_id = incoming.socket.stream_id();
    let wanted = match wanted(&stream_id, Some(peer.ip()), &shared.settings) {
        Ok(wanted) => wanted,
        Err(refused) => {
            tracing::warn!(%peer, code = refused.code.code(), reason = refused.reason, "SRT publisher refused");
            return;
        }
    };
    let request = PublishRequest {
        app: wanted.app,
        stream: wanted.stream,
        publish_type: PublishType::Srt,
        peer,
        user_agent: None,
        meta: wanted.meta,
    };
    // Between the handshake and here another publisher may have come first.
    let publication = match runtime.block_on(shared.manager.publish(request)) {
        Ok(publication) => publication,
        Err(error) => {
            let refused = refusal(&error);
            tracing::warn!(%peer, code = refused.code.code(), reason = refused.reason, "SRT publisher refused");
            return;
        }
    };
    let span = tracing::error_span!("srt", stream = %publication.key(), %peer);
    let _entered = span.enter();
    tracing::info!("publishing");
    let reason = serve(&incoming, shared, &publication);
    tracing::info!(reason, "publishing ended");
}

fn serve(incoming: &Incoming, shared: &Shared, publication: &Publication) -> &'static str {
    let idle_max = Duration::from_millis(shared.settings.stream.idle_timeout_ms);
    let cancelled = publication.cancelled();
    let input = publication.input();
    if incoming.socket.set_receive_timeout(LOOK).is_err() {
        return "the connection broke at once";
    }
    let mut demux = match TsIngest::start(publication.key(), &input) {
        Ok(demux) => demux,
        Err(error) => {
            tracing::error!(%error, "the demuxer could not be started");
            return "internal error";
        }
    };
    let (mut built, mut rebuilds) = (Instant::now(), 0);
    let (mut last_data, mut first_data) = (Instant::now(), None);
    let mut buffer = [0; MESSAGE_LEN];
    let (mut meter, mut sample_at) = (ReceiveMeter::default(), Instant::now());
    loop {
        if Instant::now() >= sample_at {
            sample_at = Instant::now() + SAMPLE_EVERY;
            // Of a connection that has just ended there is nothing to say.
            if let Ok(stats) = incoming.socket.statistics() {
                let encryption = incoming.socket.receive_encryption();
                input.report(meter.sample(&stats, encryption, Instant::now()));
            }
        }
        match incoming.socket.receive(&mut buffer) {
            Recv::Message(len) => {
                last_data = Instant::now();
                first_data.get_or_insert(last_data);
                demux.push(buffer[..len].to_vec());
            }
            Recv::Closed => {
                demux.finish();
                return "the publisher closed the connection";
            }
            Recv::Idle if last_data.elapsed() > idle_max => return "the publisher sent nothing",
            Recv::Idle => {}
        }
        if cancelled.is_cancelled() || shared.shutdown.is_cancelled() {
            return "ended by the service";
        }
        if !input.is_live() && first_data.is_some_and(|first| first.elapsed() > PROGRAMME_MAX) {
            return "no MPEG-TS programme with a usable track was found";
        }
        if built.elapsed() > REBUILD_PAUSE
            && let Some(error) = demux.take_error()
        {
            rebuilds += 1;
            tracing::warn!(error, rebuilds, "the demuxer failed; it is built anew");
            if rebuilds > REBUILDS_MAX {
                return "the stream cannot be demuxed";
            }
            match TsIngest::start(publication.key(), &input) {
                Ok(new) => demux = new,
                Err(_) => return "internal error",
            }
            built = Instant::now();
        }
    }
}
