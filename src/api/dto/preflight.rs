//! A test of a destination, as it is answered.

use serde::Serialize;

use crate::model::endpoint::Cause;
use crate::stream::preflight::{Outcome, Report, Taken};

/// What came of a test. It is 200 whether the destination passed or not.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct PreflightResource {
    /// Whether nothing speaks against it.
    passed: bool,
    /// The address and port that were tried.
    address: Option<String>,
    /// The latency that both sides agreed on.
    latency_ms: Option<u32>,
    /// Round-trip time.
    rtt_ms: Option<f64>,
    /// Whether what is sent would be encrypted.
    encrypted: Option<bool>,
    /// Step by step; those behind one that failed are not tried.
    steps: Vec<StepResource>,
}

impl From<&Report> for PreflightResource {
    fn from(report: &Report) -> Self {
        Self {
            passed: report.passed(),
            address: report.address.map(|address| address.to_string()),
            latency_ms: report.latency_ms,
            rtt_ms: report.rtt.map(|rtt| round(rtt.as_secs_f64() * 1e3)),
            encrypted: report.encrypted,
            steps: report.steps.iter().map(StepResource::from).collect(),
        }
    }
}

/// A step.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct StepResource {
    /// `resolve`, `policy`, `bind`, `handshake`, `encryption` or `roundTrip`.
    step: &'static str,
    /// `ok`, `failed` or `skipped`.
    result: &'static str,
    /// What it took.
    duration_ms: f64,
    /// Why it failed, in a word.
    cause: Option<&'static str>,
    /// The SRT reject code that the peer gave.
    reject_code: Option<i32>,
    /// Its name, where it has one.
    reject_name: Option<&'static str>,
    /// What was found, in a sentence.
    text: String,
}

impl From<&Taken> for StepResource {
    fn from(taken: &Taken) -> Self {
        let (result, cause, text) = match &taken.outcome {
            Outcome::Passed(text) => ("ok", None, text),
            Outcome::Failed(cause, text) => ("failed", Some(*cause), text),
            Outcome::Skipped(text) => ("skipped", None, text),
        };
        Self {
            step: taken.step.as_str(),
            result,
            duration_ms: round(taken.took.as_secs_f64() * 1e3),
            cause: cause.map(Cause::as_str),
            reject_code: cause.and_then(Cause::reject_code),
            reject_name: cause.and_then(super::endpoint::reject_name),
            text: text.clone(),
        }
    }
}

/// To a tenth: more is noise.
fn round(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}
