//! The types on the wire, in Ant Media's field order. They are converted at the edge; nothing below
//! `api` knows them.

mod broadcast;
pub(in crate::api) mod endpoint;
mod endpoint_input;
mod endpoint_statistics;
mod fields;
mod preflight;
mod statistics;
mod stream_statistics;

use serde::{Deserialize, Serialize};

use crate::manager::{EndpointView, WantedEndpoint};

pub(super) use broadcast::{BroadcastDto, Origin};
pub(super) use endpoint::EndpointResource;
pub(super) use endpoint_input::{EndpointInput, Given, INPUT_FIELDS, READ_FIELDS, RetryInput};
pub(super) use fields::{BroadcastBody, REDACTED};
pub(super) use preflight::PreflightResource;
pub(super) use statistics::{
    AppBroadcastStatistics, Applications, BroadcastStatistics, SimpleStat, StreamInfo, Version, codec_name,
};
pub(super) use stream_statistics::StreamStatistics;

/// The answer to every change. Nulls are written: which of them are null and which empty depends, as
/// in Ant Media, on the call.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultDto {
    success: bool,
    message: Option<String>,
    data_id: Option<String>,
    error_id: i32,
}

impl ResultDto {
    /// Done, or not, without a word: message and dataId are empty.
    pub(super) fn bare(success: bool) -> Self {
        Self { success, message: Some(String::new()), data_id: Some(String::new()), error_id: 0 }
    }

    /// Done, with a word.
    pub(super) fn done(message: &str) -> Self {
        Self { message: Some(message.to_owned()), ..Self::bare(true) }
    }

    /// An endpoint was added: its id, and a null message.
    pub(super) fn added(data_id: String) -> Self {
        Self { message: None, data_id: Some(data_id), ..Self::bare(true) }
    }

    /// Not done, and why: Ant Media's words, and what it keeps for itself.
    pub(super) fn refused(message: &str, detail: &str) -> Self {
        Self { message: Some(message.to_owned()), data_id: Some(detail.to_owned()), ..Self::bare(false) }
    }
}

/// An endpoint in `endPointList`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointDto {
    status: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    endpoint_url: String,
    endpoint_service_id: String,
    /// Not Ant Media's: the state as `…/endpoints` shows it, finer than `status` (`finished` may also be switched off).
    state: &'static str,
}

impl From<&EndpointView> for EndpointDto {
    fn from(endpoint: &EndpointView) -> Self {
        Self {
            status: endpoint.status().as_str(),
            // Ant Media's only type since the social endpoints went.
            kind: "generic",
            endpoint_url: endpoint.url.clone(),
            endpoint_service_id: endpoint.id.clone(),
            state: endpoint.state.as_str(),
        }
    }
}

/// An endpoint as a client gives it. `status` and `type` are ours to say and not read.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointBody {
    endpoint_url: Option<String>,
    /// The name of `endpointUrl` before 3.0.
    rtmp_url: Option<String>,
    endpoint_service_id: Option<String>,
}

impl EndpointBody {
    /// None without a URL. An empty id is none.
    pub(super) fn wanted(self) -> Option<WantedEndpoint> {
        let url = self.endpoint_url.or(self.rtmp_url)?;
        Some(WantedEndpoint { id: self.endpoint_service_id.filter(|id| !id.is_empty()), url })
    }
}
