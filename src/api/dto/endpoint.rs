//! An endpoint as `…/endpoints` shows it, and the parts of it that events tell: transitions and failures.
//!
//! Every time is in milliseconds since 1970. What is not known is null, never absent.

use std::time::SystemTime;

use serde::Serialize;

use super::endpoint_statistics::{CallerResource, LatencyAdviceResource, StatisticsResource};
use crate::manager::{EndpointView, unix_ms};
use crate::model::endpoint::{Cause, Failure, RetryWish, Tracks, Transition};
use crate::model::srt_reject::RejectCode;
use crate::model::srt_url::SrtUrl;

use super::REDACTED;

/// The only sound track a stream has here.
pub(in crate::api) const AUDIO_TRACK: i64 = 1;

/// Everything of an endpoint.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct EndpointResource {
    /// Its id for life.
    id: String,
    /// Where it sends to, `***` in the place of a passphrase.
    url: String,
    /// The same in parts; none of them where the stored row can't be read.
    #[serde(flatten)]
    parts: PartsResource,
    /// What people call it.
    label: Option<String>,
    /// Whether it is switched on.
    enabled: bool,
    /// What it sends of the stream: `all`, `audio` or `video`.
    tracks: &'static str,
    /// Which sound track it sends; null where it sends none.
    audio_track: Option<i64>,
    /// When it tries again.
    retry: RetryResource,
    /// Counts its changes: its ETag. Begins with the time it was made, in ms since 1970, so that an endpoint made anew
    /// under its id has none of its numbers. 0 where the stored row can't be read.
    revision: u64,
    /// The state in Ant Media's words: `created`, `preparing`, `broadcasting`, `error`, `finished`, `failed`.
    status: &'static str,
    /// The state: `idle`, `disabled`, `connecting`, `listening`, `broadcasting`, `stalled`, `waiting`, `failed`, `finished`.
    state: &'static str,
    /// Since when, in ms since 1970; null where it has been so since the service started.
    since: Option<i64>,
    /// Attempts since the last success, the running one included; 0 while broadcasting.
    attempt: u32,
    /// Why the last attempt failed; null from the next success on.
    failure: Option<FailureResource>,
    /// Its last 50 steps, oldest first.
    history: Vec<TransitionResource>,
    /// What it has sent, and how its link is.
    statistics: StatisticsResource,
    /// What latency it wants, once enough is known.
    advice: Option<LatencyAdviceResource>,
    /// A listener's callers.
    callers: Vec<CallerResource>,
    /// Why the stored row can't be read. Such an endpoint never runs; it can be replaced or deleted.
    unreadable: Option<String>,
}

impl EndpointResource {
    pub(in crate::api) fn of(view: &EndpointView) -> Self {
        let record = view.record.as_ref();
        let seen = view.seen.as_ref();
        let tracks = record.map_or(Tracks::All, |record| record.tracks);
        let advice = seen.and_then(|seen| seen.statistics.advice.as_ref());
        Self {
            id: view.id.clone(),
            url: view.url.clone(),
            parts: record.map(|record| PartsResource::of(&record.url)).unwrap_or_default(),
            label: record.and_then(|record| record.label.clone()),
            enabled: record.is_some_and(|record| record.enabled),
            tracks: tracks.as_str(),
            audio_track: (tracks != Tracks::Video).then_some(AUDIO_TRACK),
            retry: record.map(|record| RetryResource::from(record.retry)).unwrap_or_default(),
            revision: record.map_or(0, |record| record.revision),
            status: view.status().as_str(),
            state: view.state.as_str(),
            since: seen.filter(|seen| seen.state == view.state).map(|seen| unix_ms(seen.since)),
            attempt: seen.map_or(0, |seen| seen.attempt),
            failure: seen.and_then(|seen| seen.failure.as_ref()).map(FailureResource::from),
            history: seen.map(|seen| seen.history.iter().map(TransitionResource::from).collect()).unwrap_or_default(),
            statistics: seen.map(|seen| StatisticsResource::from(&seen.statistics)).unwrap_or_default(),
            advice: advice.map(LatencyAdviceResource::from),
            callers: seen.map(|seen| seen.callers.iter().map(CallerResource::from).collect()).unwrap_or_default(),
            unreadable: view.unreadable.clone(),
        }
    }
}

/// The parts of an SRT URL.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct PartsResource {
    /// Where to call; of a listener the address it is bound to, null for any.
    host: Option<String>,
    /// UDP port.
    port: Option<u16>,
    /// `caller`, `listener` or `rendezvous`.
    mode: Option<&'static str>,
    /// Stream id.
    streamid: Option<String>,
    /// `***` where there is one.
    passphrase: Option<&'static str>,
    /// Length of the key in bytes; null: libsrt's choice.
    pbkeylen: Option<u8>,
    /// Latency in both directions.
    latency_ms: Option<u32>,
    /// Latency of what is received.
    rcv_latency_ms: Option<u32>,
    /// Latency asked of the peer.
    peer_latency_ms: Option<u32>,
    /// Address to send from.
    local_address: Option<String>,
    /// UDP port to send from.
    local_port: Option<u16>,
    /// Time for one attempt to connect.
    connect_timeout_ms: Option<u32>,
    /// Payload of an SRT packet.
    packet_size_bytes: Option<u32>,
    /// Highest sending rate (`maxbw`).
    max_bandwidth_bytes_per_s: Option<i64>,
    /// Rate of the stream (`inputbw`).
    input_bandwidth_bytes_per_s: Option<i64>,
    /// Room for retransmission (`oheadbw`).
    overhead_percent: Option<i64>,
    /// How many callers a listener serves at once (`maxcallers`).
    max_callers: Option<u32>,
    /// Every other option, by its key in the URL.
    options: std::collections::BTreeMap<String, String>,
}

impl PartsResource {
    fn of(url: &SrtUrl) -> Self {
        let number = |name| url.socket_option(name).and_then(|value| value.parse().ok());
        let named = ["maxbw", "inputbw", "oheadbw"];
        let others = url.socket_options.iter().filter(|(name, _)| !named.contains(name));
        Self {
            host: url.host.as_ref().map(ToString::to_string),
            port: Some(url.port),
            mode: Some(url.mode.as_str()),
            streamid: url.streamid.clone(),
            passphrase: url.passphrase.as_ref().map(|_| REDACTED),
            pbkeylen: url.pbkeylen,
            latency_ms: url.latency_ms,
            rcv_latency_ms: url.rcvlatency_ms,
            peer_latency_ms: url.peerlatency_ms,
            local_address: url.localaddress.map(|address| address.to_string()),
            local_port: url.localport,
            connect_timeout_ms: url.connect_timeout_ms,
            packet_size_bytes: url.payload_size,
            max_bandwidth_bytes_per_s: number("maxbw"),
            input_bandwidth_bytes_per_s: number("inputbw"),
            overhead_percent: number("oheadbw"),
            max_callers: url.callers_max,
            options: others.map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        }
    }
}

/// When an endpoint tries again; null is the service's own rule, and no limit.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct RetryResource {
    /// Before the second attempt, and the least delay at all.
    min_ms: Option<u64>,
    /// The longest delay.
    max_ms: Option<u64>,
    /// Attempts that may fail in a row.
    limit: Option<u32>,
}

impl From<RetryWish> for RetryResource {
    fn from(wish: RetryWish) -> Self {
        let ms = |delay: std::time::Duration| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Self { min_ms: wish.min.map(ms), max_ms: wish.max.map(ms), limit: wish.limit }
    }
}

/// Why an attempt failed.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct FailureResource {
    /// The cause in a word: `dns`, `unreachable`, `timeout`, `bad_passphrase`, …
    cause: &'static str,
    /// In which phase: `resolve`, `connect` or `deliver`.
    phase: &'static str,
    /// The SRT reject code that the peer gave.
    reject_code: Option<i32>,
    /// Its name, where it has one: `SRT_REJX_FORBIDDEN`.
    reject_name: Option<&'static str>,
    /// A sentence for people.
    text: String,
    /// The attempt that failed, from 1 since the last success.
    attempt: u32,
    /// When it did, in ms since 1970.
    at: i64,
    /// When the first of these failures in a row happened, in ms since 1970.
    since: i64,
    /// When the next attempt starts, in ms since 1970; null while one runs, and when there is none.
    next_retry_at: Option<i64>,
}

impl From<&Failure> for FailureResource {
    fn from(failure: &Failure) -> Self {
        Self {
            cause: failure.cause.as_str(),
            phase: failure.phase.as_str(),
            reject_code: failure.cause.reject_code(),
            reject_name: reject_name(failure.cause),
            text: failure.text.clone(),
            attempt: failure.attempt,
            at: unix_ms(failure.at),
            since: unix_ms(failure.since),
            next_retry_at: failure.next_retry_at.map(unix_ms),
        }
    }
}

pub(super) fn reject_name(cause: Cause) -> Option<&'static str> {
    cause.reject_code().and_then(RejectCode::from_code).map(RejectCode::name)
}

/// A step of an endpoint's life.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct TransitionResource {
    /// When, in ms since 1970.
    at: i64,
    /// What it became.
    state: &'static str,
    /// The same in Ant Media's words.
    status: &'static str,
    /// The attempt that runs or has failed; 0 while none does.
    attempt: u32,
    /// Why, where it is for a failure.
    cause: Option<&'static str>,
    /// The SRT reject code that the peer gave.
    reject_code: Option<i32>,
    /// Its name, where it has one.
    reject_name: Option<&'static str>,
    /// A sentence for people.
    text: Option<String>,
    /// When the next attempt starts, in ms since 1970, where it is for a failure and one follows.
    next_retry_at: Option<i64>,
}

impl From<&Transition> for TransitionResource {
    fn from(step: &Transition) -> Self {
        Self {
            at: unix_ms(step.at),
            state: step.state.as_str(),
            status: step.state.status().as_str(),
            attempt: step.attempt,
            cause: step.cause.map(Cause::as_str),
            reject_code: step.cause.and_then(Cause::reject_code),
            reject_name: step.cause.and_then(reject_name),
            text: step.text.clone(),
            next_retry_at: ms(step.next_retry_at),
        }
    }
}

/// An optional time.
pub(super) fn ms(time: Option<SystemTime>) -> Option<i64> {
    time.map(unix_ms)
}
