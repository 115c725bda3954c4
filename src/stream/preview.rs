//! What a stream looks like: a still each second, made only while somebody asks.
//!
//! Owns how long it is made, and how many streams are looked at. Decoding is `decoder`'s. The hard thing: whoever asks
//! first has to wait for the next key frame, and may go away meanwhile; so each ask only says that somebody looks, and the
//! decoder ends by itself when nobody has said so for a while.

mod decoder;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use gstreamer as gst;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::intake::WeakIntake;
use crate::media::caps::codec_of;
use crate::media::launch::{self, Launch};
use crate::model::codec::Begun;
use crate::model::ids::StreamKey;

pub(super) use decoder::PictureFeed;
pub use decoder::Still;

/// A decoder goes on for this long after the last ask: longer than a panel's pause between two.
const ASKED_MAX: Duration = Duration::from_secs(5);

/// An older still is not of now any more.
const FRESH_MAX: Duration = Duration::from_millis(2_500);

/// What one ask waits for a still at most: longer than from most key frames to the next, and less than clients wait.
const STILL_WAIT_MAX: Duration = Duration::from_secs(8);

/// Streams whose pictures are decoded at a time; each takes a core's tenth to a third.
const PREVIEWS_MAX: usize = 8;

/// A decoder ends with the unit it is at; more is a stuck element.
const END_MAX: Duration = Duration::from_secs(3);

static PLACES: Semaphore = Semaphore::const_new(PREVIEWS_MAX);

/// Why there is no still.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StillError {
    /// It has no pictures (yet).
    #[error("the stream has no pictures")]
    NoVideo,
    /// GStreamer can't decode them here.
    #[error("pictures can't be decoded here (Debian package gstreamer1.0-libav): {0}")]
    NoDecoder(String),
    /// [`PREVIEWS_MAX`] others are looked at.
    #[error("the pictures of {PREVIEWS_MAX} other streams are being looked at")]
    Busy,
    /// No whole picture has come in [`STILL_WAIT_MAX`].
    #[error("no whole picture has come for {} s", STILL_WAIT_MAX.as_secs())]
    NoPicture,
    /// The decoder has given up, or the stream has ended.
    #[error("the pictures can't be decoded any more")]
    Ended,
}

/// What a running preview has come to.
#[derive(Debug, Clone)]
enum Seen {
    Nothing,
    Still(Still),
    Refused(StillError),
}

/// The stills of one stream.
#[derive(Debug)]
pub(super) struct Preview {
    key: StreamKey,
    intake: WeakIntake,
    /// The format of the pictures, whenever it changes.
    formats: watch::Receiver<Option<gst::Caps>>,
    /// Which tracks the publication has that sends now.
    begun: watch::Receiver<Begun>,
    closed: CancellationToken,
    /// The service's: who asks runs on one that may end sooner.
    runtime: Handle,
    /// When somebody asked last.
    asked: watch::Sender<Instant>,
    /// Of the task that runs, or of the last one; it is over when its sender is gone.
    seen: Mutex<watch::Receiver<Seen>>,
}

impl Preview {
    /// To be called on the service's runtime.
    pub(super) fn new(
        key: StreamKey,
        intake: WeakIntake,
        formats: watch::Receiver<Option<gst::Caps>>,
        begun: watch::Receiver<Begun>,
        closed: CancellationToken,
    ) -> Self {
        let seen = Mutex::new(watch::channel(Seen::Nothing).1);
        let asked = watch::Sender::new(Instant::now());
        Self { key, intake, formats, begun, closed, runtime: Handle::current(), asked, seen }
    }

    /// A still of now.
    pub(super) async fn still(&self) -> Result<Still, StillError> {
        let mut seen = self.look()?;
        let found = |seen: &Seen| match seen {
            Seen::Nothing => false,
            Seen::Still(still) => is_fresh(still),
            Seen::Refused(_) => true,
        };
        let mut begun = self.begun.clone();
        let waited = tokio::select! {
            waited = tokio::time::timeout(STILL_WAIT_MAX, seen.wait_for(found)) => waited,
            // Nobody waits for the pictures of a publisher that has gone.
            _ = begun.wait_for(|begun| !begun.video) => return Err(StillError::NoVideo),
        };
        match waited {
            Ok(Ok(seen)) => match &*seen {
                Seen::Still(still) => Ok(still.clone()),
                Seen::Refused(error) => Err(error.clone()),
                Seen::Nothing => Err(StillError::Ended),
            },
            Ok(Err(_)) => Err(StillError::Ended),
            Err(_) => Err(StillError::NoPicture),
        }
    }

    /// Whether something makes stills now.
    #[cfg(test)]
    pub(super) fn is_running(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).has_changed().is_ok()
    }

    /// Says that somebody looks, and starts what makes the stills where it does not run.
    fn look(&self) -> Result<watch::Receiver<Seen>, StillError> {
        // The format stays behind a publication, for the next one.
        let format = self.formats.borrow().clone().filter(|_| self.begun.borrow().video);
        let caps = format.ok_or(StillError::NoVideo)?;
        let launch = codec_of(&caps).and_then(launch::preview).ok_or(StillError::NoVideo)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        self.asked.send_replace(Instant::now());
        if seen.has_changed().is_err() {
            let (sender, receiver) = watch::channel(Seen::Nothing);
            *seen = receiver;
            let sender = Arc::new(sender);
            let run = Run {
                key: self.key.clone(),
                intake: self.intake.clone(),
                formats: self.formats.clone(),
                closed: self.closed.clone(),
                asked: self.asked.subscribe(),
                seen: sender,
            };
            self.runtime.spawn(run.run(caps, launch));
        }
        Ok(seen.clone())
    }
}

fn is_fresh(still: &Still) -> bool {
    SystemTime::now().duration_since(still.at).is_ok_and(|age| age < FRESH_MAX)
}

/// What makes stills, from the first ask to some time after the last.
struct Run {
    key: StreamKey,
    intake: WeakIntake,
    formats: watch::Receiver<Option<gst::Caps>>,
    closed: CancellationToken,
    asked: watch::Receiver<Instant>,
    /// The decoder's thread holds a clone while it runs, so that the next run begins behind its end.
    seen: Arc<watch::Sender<Seen>>,
}

impl Run {
    async fn run(mut self, caps: gst::Caps, launch: Launch) {
        let Ok(_place) = PLACES.try_acquire() else { return self.refuse(StillError::Busy) };
        self.formats.mark_unchanged();
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let (shown, key) = (Arc::clone(&self.seen), self.key.clone());
        let show = move |still| drop(shown.send_replace(Seen::Still(still)));
        match decoder::start(launch, caps, show, move || drop(guard)) {
            Ok(feed) => self.intake.set_pictures(Some(feed)),
            Err(error) => {
                tracing::warn!(stream = %key, %error, "no preview");
                return self.refuse(StillError::NoDecoder(error.to_string()));
            }
        }
        tokio::select! {
            // Another format wants another decoder; the next ask starts it.
            _ = self.formats.changed() => {}
            () = self.closed.cancelled() => {}
            () = nobody_looks(&mut self.asked, &self.seen) => {}
            () = ended.cancelled() => self.refuse(StillError::Ended),
        }
        self.intake.set_pictures(None);
        if tokio::time::timeout(END_MAX, ended.cancelled()).await.is_err() {
            tracing::error!(stream = %self.key, "a preview's decoder is stuck; its thread is leaked");
        }
    }

    fn refuse(&self, error: StillError) {
        self.seen.send_replace(Seen::Refused(error));
    }
}

/// Comes back when nobody has asked for [`ASKED_MAX`], and nobody waits.
async fn nobody_looks(asked: &mut watch::Receiver<Instant>, seen: &watch::Sender<Seen>) {
    loop {
        let last = *asked.borrow_and_update();
        tokio::time::sleep_until((last + ASKED_MAX).max(Instant::now() + ASKED_MAX / 5)).await;
        // The stream keeps one itself, to hand out.
        if *asked.borrow() == last && seen.receiver_count() <= 1 {
            return;
        }
    }
}
