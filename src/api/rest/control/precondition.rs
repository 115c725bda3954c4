//! `If-Match` and `If-None-Match` (RFC 9110, 13.1) against an endpoint's revision.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use actix_web::{FromRequest, HttpRequest};

use crate::api::problem::Problem;

/// What a request wants of the endpoint before it is changed.
pub(in crate::api) struct Preconditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

/// The value of one of the two headers.
#[derive(Debug, PartialEq, Eq)]
enum Tags {
    /// `*`: any that exists.
    Any,
    /// `"1", W/"2"`: whether it is weak, and the tag.
    These(Vec<(bool, String)>),
}

impl FromRequest for Preconditions {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(request.headers()))
    }
}

impl Preconditions {
    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self { if_match: tags(headers, &IF_MATCH)?, if_none_match: tags(headers, &IF_NONE_MATCH)? })
    }

    /// Whether there are any.
    pub(super) fn are_there(&self) -> bool {
        self.if_match.is_some() || self.if_none_match.is_some()
    }

    /// Whether they hold for an endpoint of this revision; none, for one that does not exist.
    ///
    /// # Errors
    /// 412.
    pub(super) fn check(&self, revision: Option<u64>) -> Result<(), Problem> {
        let own = revision.map(|revision| revision.to_string());
        let names = |tags: &Tags, weak_too: bool| match (tags, &own) {
            (_, None) => false,
            (Tags::Any, Some(_)) => true,
            (Tags::These(tags), Some(own)) => tags.iter().any(|(weak, tag)| tag == own && (weak_too || !weak)),
        };
        let failed = |header: HeaderName| {
            let detail = match revision {
                Some(revision) => format!("{header} does not hold: the endpoint's ETag is \"{revision}\""),
                None => format!("{header} does not hold: there is no such endpoint"),
            };
            Err(Problem::new(StatusCode::PRECONDITION_FAILED, detail).at(header.as_str()))
        };
        // A weak tag never matches here (13.1.1), and does there (13.1.2).
        if self.if_match.as_ref().is_some_and(|tags| !names(tags, false)) {
            return failed(IF_MATCH);
        }
        if self.if_none_match.as_ref().is_some_and(|tags| names(tags, true)) {
            return failed(IF_NONE_MATCH);
        }
        Ok(())
    }
}

/// A header that may stand there several times, as one list.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, Problem> {
    let bad = || {
        let detail = format!("{name} can't be read; wanted: * or ETags in quotation marks, like \"1\"");
        Problem::bad_request(detail).at(name.as_str())
    };
    let mut texts = Vec::new();
    for value in headers.get_all(name) {
        texts.push(value.to_str().map_err(|_| bad())?);
    }
    if texts.is_empty() {
        return Ok(None);
    }
    let text = texts.join(",");
    if text.trim() == "*" {
        return Ok(Some(Tags::Any));
    }
    let mut found = Vec::new();
    let mut rest = text.as_str();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (tag, after) = quoted.strip_prefix('"').and_then(|tag| tag.split_once('"')).ok_or_else(bad)?;
        rest = after.trim_start_matches([' ', '\t']);
        // RFC 9110, 8.8.3: no white space and no control characters inside.
        if !(rest.is_empty() || rest.starts_with(',')) || tag.chars().any(|c| c == ' ' || c.is_control()) {
            return Err(bad());
        }
        found.push((weak, tag.to_owned()));
    }
    if found.is_empty() {
        return Err(bad());
    }
    Ok(Some(Tags::These(found)))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn given(pairs: &[(HeaderName, &str)]) -> Result<Preconditions, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_str(value).expect("header"));
        }
        Preconditions::read(&headers)
    }

    #[test]
    fn they_hold_or_not() {
        for (name, value, revision, holds) in [
            (IF_MATCH, "\"3\"", Some(3), true),
            (IF_MATCH, "\"2\", \"3\"", Some(3), true),
            (IF_MATCH, ", \"2\" ,,\"3\"", Some(3), true),
            (IF_MATCH, "\"a,b\", \"3\"", Some(3), true),
            (IF_MATCH, "\"2\"", Some(3), false),
            (IF_MATCH, "W/\"3\"", Some(3), false),
            (IF_MATCH, "*", Some(3), true),
            (IF_MATCH, "*", None, false),
            (IF_MATCH, "\"3\"", None, false),
            (IF_NONE_MATCH, "*", None, true),
            (IF_NONE_MATCH, "*", Some(3), false),
            (IF_NONE_MATCH, "W/\"3\"", Some(3), false),
            (IF_NONE_MATCH, "\"2\"", Some(3), true),
        ] {
            let verdict = given(&[(name.clone(), value)]).expect("read").check(revision);
            assert_eq!(verdict.is_ok(), holds, "{name}: {value} of {revision:?}");
            if let Err(problem) = verdict {
                assert_eq!((problem.status.as_u16(), problem.field.as_deref()), (412, Some(name.as_str())));
            }
        }
        assert!(given(&[]).expect("none").check(None).is_ok());
        let both = given(&[(IF_MATCH, "\"1\""), (IF_MATCH, "\"3\"")]).expect("two headers are one list");
        assert!(both.check(Some(3)).is_ok());
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for bad in ["3", "\"3", "\"3\"4", "\"3\" \"4\"", "w/\"3\"", "", ",", "*, \"3\"", "\"a b\""] {
            let refused = given(&[(IF_MATCH, bad)]).err().map(|problem| problem.status.as_u16());
            assert_eq!(refused, Some(400), "{bad:?}");
        }
    }
}
