//! Why an RTSP publisher is refused, and the status that says it (RFC 2326, section 7.1.1).

use gstreamer::glib::translate::IntoGlib as _;
use gstreamer_rtsp::RTSPStatusCode as Status;

use super::announced::BadDescription;
use crate::ingest::IngestError;
use crate::ingest::rtp::RtpTrackError;
use crate::manager::PublishRefusal;

/// Why a publisher is refused; its words go to the log, its status to the publisher.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// The manager does.
    #[error(transparent)]
    Publish(#[from] PublishRefusal),
    /// What it announces is no good.
    #[error(transparent)]
    Description(#[from] BadDescription),
    /// A track could not be built.
    #[error(transparent)]
    Track(#[from] RtpTrackError),
    /// An element failed.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// There is more in the path.
    #[error("{0:?} follows the stream id; wanted: rtsp://HOST:PORT/APPLICATION/STREAM")]
    BadPath(String),
    /// It has announced something already.
    #[error("a second ANNOUNCE on one connection; wanted: TEARDOWN before it, or another connection")]
    SecondAnnounce,
    /// There are as many publishers as may be.
    #[error("{0} RTSP publishers are connected")]
    Full(usize),
    /// The manager does not answer.
    #[error("it was not admitted in time")]
    Slow,
    /// gst-rtsp-server could not prepare the media.
    #[error("its media could not be prepared")]
    Unprepared,
    /// Something inside is not as it should be.
    #[error("internal error")]
    NotReady,
}

impl Refusal {
    /// What the publisher is told.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Publish(PublishRefusal::UnknownApp(_)) => Status::NotFound,
            Self::Publish(PublishRefusal::BadStreamId { .. }) | Self::BadPath(_) => Status::BadRequest,
            // There is no 409 in RTSP; this is the status for "understood, and refused".
            Self::Publish(PublishRefusal::InUse(_)) => Status::Forbidden,
            Self::Publish(PublishRefusal::ShuttingDown) | Self::Full(_) | Self::Slow => Status::ServiceUnavailable,
            Self::Description(BadDescription::NothingOfUse(_)) | Self::Unprepared => Status::UnsupportedMediaType,
            Self::Track(RtpTrackError::NotCarried(_)) => Status::UnsupportedMediaType,
            Self::Description(_) => Status::BadRequest,
            Self::SecondAnnounce => Status::MethodNotValidInThisState,
            Self::Publish(PublishRefusal::Internal(_)) | Self::Track(_) | Self::Ingest(_) | Self::NotReady => {
                Status::InternalServerError
            }
        }
    }

    /// The status as a number.
    pub(super) fn code(&self) -> i32 {
        self.status().into_glib()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_the_status_that_fits() {
        for (refusal, code) in [
            (Refusal::Publish(PublishRefusal::UnknownApp("x".into())), 404),
            (Refusal::Publish(PublishRefusal::ShuttingDown), 503),
            (Refusal::Publish(PublishRefusal::Internal("x".into())), 500),
            (Refusal::Description(BadDescription::Empty), 400),
            (Refusal::Description(BadDescription::NothingOfUse("x".into())), 415),
            (Refusal::BadPath("x".into()), 400),
            (Refusal::SecondAnnounce, 455),
            (Refusal::Full(1), 503),
            (Refusal::Slow, 503),
        ] {
            assert_eq!(refusal.code(), code, "{refusal}");
        }
    }
}
