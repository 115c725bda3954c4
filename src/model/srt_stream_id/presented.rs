//! Whether the stream id that a caller presents is the one that a listening endpoint wants.
//!
//! The forms differ by who calls: `app/stream`, `/app/stream`, `#!::r=app/stream,m=request` mean the same. The hard thing
//! is which key matters: what the endpoint's id says must be met (a user, a token), what only the caller says need not
//! be, except a wish to send, for here a caller receives.

use super::fields::{self, Fields};
use super::{ACCESS_CONTROL, LEN_MAX};
use crate::model::srt_reject::RejectCode;

/// A stream id taken apart.
struct Parts {
    /// `r`, or the whole of a plain id, without a slash in front.
    resource: String,
    /// `m`.
    mode: Option<String>,
    /// The other pairs.
    pairs: Vec<(String, String)>,
}

/// Checks the stream id that a caller presents (empty: none) against the one that is wanted.
///
/// # Errors
/// The code to refuse with: there is none (1403), it names another stream (1404), a key of the wanted one differs
/// (1401), it wants to send (1405), or it can't be read (1400).
pub fn check_presented(wanted: &str, presented: &str) -> Result<(), RejectCode> {
    if presented == wanted {
        return Ok(());
    }
    if presented.is_empty() {
        return Err(RejectCode::Forbidden);
    }
    let presented = parts(presented).ok_or(RejectCode::BadRequest)?;
    // An id that can't be taken apart is only met by the same text.
    let wanted = parts(wanted).ok_or(RejectCode::NotFound)?;
    if presented.resource != wanted.resource {
        return Err(RejectCode::NotFound);
    }
    let sends = |mode: &str| !mode.eq_ignore_ascii_case("request");
    if presented.mode != wanted.mode && presented.mode.as_deref().is_some_and(sends) {
        return Err(RejectCode::BadMode);
    }
    if wanted.pairs.iter().all(|pair| presented.pairs.contains(pair)) { Ok(()) } else { Err(RejectCode::Unauthorized) }
}

fn parts(stream_id: &str) -> Option<Parts> {
    if stream_id.len() > LEN_MAX || fields::check_control(stream_id).is_err() {
        return None;
    }
    // One layer of encoding around the whole, as some programs' command lines make it.
    let decoded = match stream_id.get(..3) {
        Some("%23") => fields::decode(stream_id).ok()?,
        _ => stream_id.to_owned(),
    };
    let mut pairs = Fields::default();
    let resource = match decoded.strip_prefix(ACCESS_CONTROL) {
        Some(rest) => {
            pairs.read(rest, ',', fields::decode).ok()?;
            pairs.take("r").unwrap_or_default()
        }
        None if decoded.starts_with("#!") => return None,
        None => match decoded.split_once(',').filter(|(_, rest)| rest.contains('=')) {
            Some((path, rest)) => {
                pairs.read(rest, ',', fields::decode).ok()?;
                path.to_owned()
            }
            None => decoded,
        },
    };
    let mode = pairs.take("m");
    let _ = pairs.take("t");
    let resource = resource.strip_prefix('/').unwrap_or(&resource).to_owned();
    Some(Parts { resource, mode, pairs: pairs.into_params() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_presents_what_is_wanted_is_let_in() {
        for (wanted, presented, refused) in [
            ("live/test", "live/test", None),
            ("live/test", "/live/test", None),
            ("live/test", "#!::r=live/test", None),
            ("live/test", "#!::r=live/test,m=request,t=stream,u=anna", None),
            ("live/test", "%23!::r=live/test,m=request", None),
            ("#!::r=live/test,m=request", "live/test", None),
            ("#!::r=live/test,u=anna", "#!::u=anna,r=live/test,m=request", None),
            ("live/test,token=abc", "#!::r=live/test,token=abc", None),
            ("#!::r=live/test,m=publish", "#!::r=live/test,m=publish", None),
            ("any text at all #!", "any text at all #!", None),
            ("live/test", "", Some(RejectCode::Forbidden)),
            ("live/test", "live/other", Some(RejectCode::NotFound)),
            ("live/test", "live/tes", Some(RejectCode::NotFound)),
            ("live/test", "LIVE/TEST", Some(RejectCode::NotFound)),
            ("live/test", "#!::r=live/other", Some(RejectCode::NotFound)),
            ("live/test", "#!::u=anna", Some(RejectCode::NotFound)),
            ("#!::r=live/test,u=anna", "#!::r=live/test,u=bert", Some(RejectCode::Unauthorized)),
            ("#!::r=live/test,u=anna", "live/test", Some(RejectCode::Unauthorized)),
            ("live/test,token=abc", "live/test", Some(RejectCode::Unauthorized)),
            ("live/test", "#!::r=live/test,m=publish", Some(RejectCode::BadMode)),
            ("live/test", "#!::r=live/test,m=bidirectional", Some(RejectCode::BadMode)),
            ("live/test", "#!::nonsense", Some(RejectCode::BadRequest)),
            ("live/test", "#!x", Some(RejectCode::BadRequest)),
            ("live/test", "a\u{7}b", Some(RejectCode::BadRequest)),
        ] {
            assert_eq!(check_presented(wanted, presented).err(), refused, "{wanted} {presented}");
        }
    }
}
