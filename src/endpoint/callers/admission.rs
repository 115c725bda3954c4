//! Who may call a listening endpoint: the stream id and the number of callers. (The passphrase is libsrt's to check.)
//!
//! Pure; it runs inside libsrt's listen callback and must not wait. Addresses are let in as they come: `[destination]
//! deny` says whom this service may dial, and a caller has dialled it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::srt_reject::RejectCode;
use crate::model::srt_stream_id::check_presented;
use crate::model::srt_url::{CALLERS_DEFAULT, SrtUrl};

/// What a caller has to meet.
#[derive(Debug)]
pub(super) struct Admission {
    stream_id: Option<String>,
    callers_max: usize,
    /// Callers that are connected.
    callers: AtomicUsize,
}

/// Why a caller is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What it is told.
    pub(super) code: RejectCode,
    /// What the log is told.
    pub(super) reason: &'static str,
}

impl Admission {
    pub(super) fn new(url: &SrtUrl) -> Self {
        Self {
            stream_id: url.streamid.clone(),
            callers_max: url.callers_max.unwrap_or(CALLERS_DEFAULT) as usize,
            callers: AtomicUsize::new(0),
        }
    }

    /// Decides about a handshake.
    ///
    /// # Errors
    /// The code to refuse it with.
    pub(super) fn check(&self, stream_id: &str) -> Result<(), Refusal> {
        if let Some(wanted) = &self.stream_id {
            check_presented(wanted, stream_id).map_err(|code| Refusal { code, reason: reason(code) })?;
        }
        if self.callers.load(Ordering::Relaxed) >= self.callers_max {
            return Err(Refusal { code: RejectCode::Overload, reason: "as many as `maxcallers` allows are connected" });
        }
        Ok(())
    }

    /// A caller that was let in has connected; `false` when others of the same moment took the last places.
    pub(super) fn enter(&self) -> bool {
        let free = |callers: usize| (callers < self.callers_max).then_some(callers + 1);
        self.callers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok()
    }

    /// One that had entered has left.
    pub(super) fn leave(&self) {
        self.callers.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn callers(&self) -> usize {
        self.callers.load(Ordering::Relaxed)
    }
}

fn reason(code: RejectCode) -> &'static str {
    match code {
        RejectCode::Forbidden => "it presents no stream id",
        RejectCode::NotFound => "its stream id names another stream",
        RejectCode::Unauthorized => "its stream id lacks a key of the endpoint's, or has it otherwise",
        RejectCode::BadMode => "its stream id asks to send; callers of an endpoint receive",
        _ => "its stream id can't be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(query: &str) -> Admission {
        Admission::new(&format!("srt://:9000?mode=listener{query}").parse().expect("URL"))
    }

    #[test]
    fn places_are_given_out_and_taken_back() {
        let two = admission("&maxcallers=2");
        assert!(two.check("").is_ok() && two.enter() && two.check("any").is_ok() && two.enter());
        assert_eq!(two.check("").map_err(|refusal| refusal.code), Err(RejectCode::Overload));
        assert!(!two.enter(), "it was let in in the same moment as the last one");
        two.leave();
        assert!(two.check("").is_ok() && two.enter());
        assert_eq!(two.callers(), 2);
    }

    #[test]
    fn a_stream_id_is_asked_for_where_the_endpoint_has_one() {
        let named = admission("&streamid=live/test");
        assert!(named.check("#!::r=live/test,m=request").is_ok());
        for (stream_id, code) in [
            ("", RejectCode::Forbidden),
            ("live/other", RejectCode::NotFound),
            ("#!::r=live/test,m=publish", RejectCode::BadMode),
        ] {
            assert_eq!(named.check(stream_id).map_err(|refusal| refusal.code), Err(code), "{stream_id}");
        }
        assert!(admission("").check("whatever").is_ok());
    }
}
