//! Files of the service's own pages, compiled in.
//!
//! Owns content types, tags and the headers that every one of them carries. Must not know a page: what it may do
//! stands in its policy, which the page gives.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use sha2::{Digest as _, Sha256};

/// HTML.
pub(super) const HTML: &str = "text/html; charset=utf-8";
/// A script or a module.
pub(super) const SCRIPT: &str = "text/javascript; charset=utf-8";
/// A style sheet.
pub(super) const STYLE: &str = "text/css; charset=utf-8";

/// Bytes of a file's hash that are its ETag.
const TAG_LEN: usize = 12;

/// A file.
#[derive(Debug)]
pub(super) struct File {
    content_type: &'static str,
    text: &'static str,
    tag: String,
}

impl File {
    pub(super) fn new(content_type: &'static str, text: &'static str) -> Self {
        let hash = Sha256::digest(text.as_bytes());
        let tag: String = hash.iter().take(TAG_LEN).map(|byte| format!("{byte:02x}")).collect();
        Self { content_type, text, tag: format!("\"{tag}\"") }
    }

    /// The answer, under a policy; `more` adds the page's own headers.
    pub(super) fn answer(
        &self,
        request: &HttpRequest,
        policy: &str,
        more: impl FnOnce(&mut HttpResponseBuilder),
    ) -> HttpResponse {
        let known = request.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_known = known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == self.tag);
        let mut answer = HttpResponse::build(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        protect(&mut answer, policy);
        more(&mut answer);
        // Kept, but asked for each time: an update of the service is seen at the next reload.
        answer.insert_header((CACHE_CONTROL, "no-cache")).insert_header((ETAG, self.tag.as_str()));
        if is_known {
            return answer.finish();
        }
        answer.insert_header((CONTENT_TYPE, self.content_type)).body(self.text)
    }
}

/// What every answer of a page carries.
pub(super) fn protect(answer: &mut HttpResponseBuilder, policy: &str) {
    answer
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // An address may hold a token.
        .insert_header((REFERRER_POLICY, "no-referrer"));
}
