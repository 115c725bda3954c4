//! What a path and a query name.
//!
//! Owns their reading. Must not know what is done with them. The hard thing: a stream id that can't
//! be one is simply unknown, and is answered like every unknown one.

use std::collections::HashMap;
use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use percent_encoding::percent_decode_str;

use super::super::ApiState;
use super::super::dto::Origin;
use super::super::error::ApiError;
use crate::model::ids::{AppName, StreamKey};

/// Longest host name that is repeated in an answer, in bytes (RFC 1035, 2.3.4).
const HOST_LEN_MAX: usize = 255;

/// A configured application, from the path. 404 for any other.
pub(in crate::api) struct App(pub(in crate::api) AppName);

/// A stream, from the path.
pub(in crate::api) struct Target {
    /// Its name as it was given, for the answer.
    pub(in crate::api) id: String,
    /// Its key; None when the name can't be one of a stream.
    pub(in crate::api) key: Option<StreamKey>,
}

/// A query's pairs; of equal keys the last one counts.
pub(in crate::api) struct Query(HashMap<String, String>);

pub(super) fn segment(request: &HttpRequest, name: &str) -> String {
    let raw = request.match_info().get(name).unwrap_or_default();
    percent_decode_str(raw).decode_utf8_lossy().into_owned()
}

fn app(request: &HttpRequest) -> Result<AppName, ApiError> {
    let name = segment(request, "app");
    let state = request.app_data::<web::Data<ApiState>>();
    match (name.parse::<AppName>(), state) {
        (Ok(app), Some(state)) if state.manager.has_app(&app) => Ok(app),
        _ => Err(ApiError::new(StatusCode::NOT_FOUND, format!("Application does not exist: {name}"))),
    }
}

impl FromRequest for App {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(app(request).map(Self))
    }
}

impl FromRequest for Target {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = segment(request, "id");
        ready(app(request).map(|app| Self { key: id.parse().ok().map(|id| StreamKey { app, id }), id }))
    }
}

impl FromRequest for Query {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        ready(match pairs {
            Ok(pairs) => Ok(Self(pairs.into_inner().into_iter().collect())),
            Err(error) => Err(ApiError::bad_request(format!("The query is not valid: {error}"))),
        })
    }
}

impl Query {
    /// All of them.
    pub(in crate::api) fn pairs(self) -> impl Iterator<Item = (String, String)> {
        self.0.into_iter()
    }

    pub(in crate::api) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A number or a flag; 400 when it is something else. Empty is absent.
    pub(in crate::api) fn value<T: FromStr>(&self, key: &str) -> Result<Option<T>, ApiError> {
        match self.text(key).filter(|text| !text.is_empty()) {
            None => Ok(None),
            Some(text) => text
                .parse()
                .map(Some)
                .map_err(|_| ApiError::bad_request(format!("The query parameter {key} is not valid: {text:?}"))),
        }
    }
}

/// This server as the client knows it: the `Host` header without its port, if that can be a host.
pub(super) fn origin(request: &HttpRequest, state: &ApiState) -> Origin {
    let given = request.headers().get(actix_web::http::header::HOST).and_then(|value| value.to_str().ok());
    let host = given.map(|host| match host.rsplit_once(':') {
        // A colon inside brackets belongs to an IPv6 address.
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    });
    let usable = |host: &&str| {
        !host.is_empty()
            && host.len() <= HOST_LEN_MAX
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
    };
    Origin { host: host.filter(usable).unwrap_or("localhost").to_owned(), rtmp_port: state.ports.rtmp }
}
