//! Create, read, update, delete, start and stop of a broadcast.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value};

use super::super::ApiState;
use super::super::body::JsonBody;
use super::super::dto::{BroadcastBody, BroadcastDto, EndpointBody, ResultDto};
use super::super::error::{ApiError, Call, worded};
use super::target::{App, Query, Target, origin};
use crate::manager::{BroadcastChange, Deleted, ManagerError, NewBroadcast, TYPE_LIVE_STREAM, WantedEndpoint};
use crate::model::ids::{AppName, StreamId, StreamKey};
use crate::model::source::{Source, TYPE_IP_CAMERA, TYPE_STREAM_SOURCE};

/// Ids in one `DELETE /?ids=`.
const DELETE_IDS_MAX: usize = 250;

const DELETED: &str = "broadcast is deleted and stopped successfully";
/// Ends in a space, as Ant Media's does.
const DELETED_NOT_STOPPED: &str = "broadcast is deleted but could not stopped ";

type Answer = Result<HttpResponse, ApiError>;
type State = web::Data<ApiState>;

/// Creates a broadcast, with endpoints to begin with.
#[utoipa::path(
    post,
    path = "/{app}/rest/v2/broadcasts/create",
    tag = "broadcasts",
    params(crate::api::openapi::InApp, ("autoStart" = Option<bool>, Query, description = "Pull its source at once; the answer is then a Result")),
    request_body(content = Option<crate::api::dto::BroadcastBody>),
    responses(
        (status = 200, description = "the broadcast, or a Result", body = crate::api::openapi::Created),
    ),
)]
pub(super) async fn create(
    request: HttpRequest,
    state: State,
    App(app): App,
    query: Query,
    JsonBody(body): JsonBody<BroadcastBody>,
) -> Answer {
    let body = body.unwrap_or_default();
    let auto_start = query.value::<bool>("autoStart")?.unwrap_or(false);
    let id = new_stream_id(&state, &app, body.stream_id.as_deref().unwrap_or_default().trim())?;
    if let Some(kind) = unsupported_type(&body) {
        return Err(ApiError::bad_request(unsupported(kind)));
    }
    if auto_start && !Source::is_pulled(body.kind.as_deref()) {
        return Err(ApiError::refused("Auto start query needs an IP camera or stream source."));
    }
    if body.sub_folder.as_deref().is_some_and(|folder| folder.contains("..")) {
        return Err(ApiError::bad_request("Subfolder is not valid. "));
    }
    let (endpoints, fields) = split(body).map_err(ApiError::bad_request)?;
    let endpoints = endpoints.unwrap_or_default();
    let new = NewBroadcast { app, id: id.clone(), fields, start: auto_start, endpoints };
    let name = id.map(|id| id.to_string()).unwrap_or_default();
    let view = state.manager.create(new).await.map_err(|error| worded(Call::Create, &name, &error))?;
    if auto_start {
        // Ant Media answers what its start does, not the broadcast.
        return Ok(HttpResponse::Ok().json(ResultDto::added(view.record.key.id.to_string())));
    }
    Ok(HttpResponse::Ok().json(BroadcastDto::of(&view, &origin(&request, &state))))
}

/// Ant Media looks for the id first and at its letters second; no id that exists has wrong letters.
fn new_stream_id(state: &ApiState, app: &AppName, given: &str) -> Result<Option<StreamId>, ApiError> {
    if given.is_empty() {
        return Ok(None);
    }
    let id: StreamId = given.parse().map_err(|_| ApiError::bad_request("Stream id is not valid."))?;
    let key = StreamKey { app: app.clone(), id };
    if state.manager.get(&key).is_some() {
        return Err(worded(Call::Create, given, &ManagerError::AlreadyExists(key)));
    }
    Ok(Some(key.id))
}

/// A type whose source would have to be played from a file: nothing here does that, and a record that never
/// goes live is no answer.
fn unsupported_type(body: &BroadcastBody) -> Option<&str> {
    let supported = |kind: &str| kind.is_empty() || kind == TYPE_LIVE_STREAM || Source::is_pulled(Some(kind));
    body.kind.as_deref().filter(|kind| !supported(kind))
}

fn unsupported(kind: &str) -> String {
    format!(
        "Broadcast type is not supported: {kind}. It can be {TYPE_LIVE_STREAM}, {TYPE_STREAM_SOURCE}, {TYPE_IP_CAMERA}"
    )
}

/// The endpoints and the fields of a body.
#[expect(clippy::type_complexity, reason = "named once, read once")]
fn split(mut body: BroadcastBody) -> Result<(Option<Vec<WantedEndpoint>>, Map<String, Value>), &'static str> {
    let endpoints = match body.end_point_list.take() {
        None => None,
        Some(list) => {
            let wanted: Option<Vec<WantedEndpoint>> = list.into_iter().map(EndpointBody::wanted).collect();
            Some(wanted.ok_or("Missing Endpoint url")?)
        }
    };
    Ok((endpoints, body.into_fields()))
}

/// A broadcast as it is now.
///
/// 404 with an empty body when it is unknown: a script tests for just that.
#[utoipa::path(
    get,
    path = "/{app}/rest/v2/broadcasts/{id}",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream),
    responses(
        (status = 200, description = "the broadcast", body = crate::api::dto::BroadcastDto),
        (status = 404, description = "there is none; the body is empty"),
    ),
)]
pub(super) async fn get(request: HttpRequest, state: State, target: Target) -> HttpResponse {
    match target.key.and_then(|key| state.manager.get(&key)) {
        Some(view) => HttpResponse::Ok().json(BroadcastDto::of(&view, &origin(&request, &state))),
        None => HttpResponse::NotFound().finish(),
    }
}

/// Changes fields of a broadcast; a list of endpoints replaces the whole list.
#[utoipa::path(
    put,
    path = "/{app}/rest/v2/broadcasts/{id}",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream),
    request_body = crate::api::dto::BroadcastBody,
    responses(
        (status = 200, description = "done, or refused with the reason", body = crate::api::dto::ResultDto),
    ),
)]
pub(super) async fn update(state: State, target: Target, JsonBody(body): JsonBody<BroadcastBody>) -> Answer {
    let Some(mut body) = body else {
        return Err(ApiError::bad_request("The body is missing"));
    };
    let Some((key, view)) = target.key.and_then(|key| state.manager.get(&key).map(|view| (key, view))) else {
        return Err(ApiError::refused(format!("Broadcast with streamId: {} does not exist", target.id)));
    };
    if let Some(kind) = unsupported_type(&body) {
        return Err(ApiError::refused(unsupported(kind)));
    }
    if body.sub_folder.as_deref().is_some_and(|folder| folder.contains("..")) {
        return Err(ApiError::refused("Subfolder is not valid. "));
    }
    body.drop_redacted(&BroadcastBody::from_fields(&view.record.fields));
    let (endpoints, mut fields) = split(body).map_err(ApiError::refused)?;
    keep_password_at_home(&view.record.fields, &mut fields);
    let change = BroadcastChange { fields, endpoints };
    state.manager.update(key, change).await.map_err(|error| worded(Call::Update, &target.id, &error))?;
    Ok(HttpResponse::Ok().json(ResultDto::bare(true)))
}

/// A password that was not given anew goes to the server it was given for and to no other: it could be had by
/// pointing the source elsewhere.
fn keep_password_at_home(stored: &Map<String, Value>, change: &mut Map<String, Value>) {
    let server = |fields: &Map<String, Value>| {
        let source = Source::of(fields).ok()?;
        source.url.net().map(|net| (net.host.clone(), net.port))
    };
    let mut after = stored.clone();
    after.extend(change.clone());
    if stored.contains_key("password") && !change.contains_key("password") && server(stored) != server(&after) {
        change.insert("password".to_owned(), Value::from(""));
    }
}

/// Ends a broadcast's stream and forgets it with its endpoints.
#[utoipa::path(
    delete,
    path = "/{app}/rest/v2/broadcasts/{id}",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream),
    responses(
        (status = 200, description = "done, or refused with the reason", body = crate::api::dto::ResultDto),
    ),
)]
pub(super) async fn delete(state: State, target: Target) -> Answer {
    let Some(key) = target.key else {
        return Err(ApiError::refused(""));
    };
    Ok(HttpResponse::Ok().json(delete_one(&state, key).await?))
}

async fn delete_one(state: &ApiState, key: StreamKey) -> Result<ResultDto, ApiError> {
    let id = key.id.to_string();
    match state.manager.delete(key).await {
        Ok(Deleted::Stopped) => Ok(ResultDto::done(DELETED)),
        Ok(Deleted::StillClosing) => Ok(ResultDto::done(DELETED_NOT_STOPPED)),
        Err(error) => Err(worded(Call::Delete, &id, &error)),
    }
}

/// Deletes all of them; the answer is the last one's, as in Ant Media.
#[utoipa::path(
    delete,
    path = "/{app}/rest/v2/broadcasts",
    tag = "broadcasts",
    params(crate::api::openapi::InApp, ("ids" = Option<String>, Query, description = "Ids with commas between")),
    responses(
        (status = 200, description = "done, or refused with the reason", body = crate::api::dto::ResultDto),
    ),
)]
pub(super) async fn delete_many(state: State, App(app): App, query: Query) -> Answer {
    let ids: Vec<&str> =
        query.text("ids").unwrap_or_default().split(',').map(str::trim).filter(|id| !id.is_empty()).collect();
    if ids.is_empty() {
        return Err(ApiError::refused("ids parameter is blank"));
    }
    if ids.len() > DELETE_IDS_MAX {
        return Err(ApiError::refused(format!("ids holds more than {DELETE_IDS_MAX}")));
    }
    let mut last = Err(ApiError::refused(""));
    for id in ids {
        last = match id.parse() {
            Ok(id) => delete_one(&state, StreamKey { app: app.clone(), id }).await,
            Err(_) => Err(ApiError::refused("")),
        };
    }
    Ok(HttpResponse::Ok().json(last?))
}

/// Starts pulling a source; one that is pulled already goes on.
#[utoipa::path(
    post,
    path = "/{app}/rest/v2/broadcasts/{id}/start",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream),
    responses(
        (status = 200, description = "done, or refused with the reason", body = crate::api::dto::ResultDto),
    ),
)]
pub(super) async fn start(state: State, target: Target) -> Answer {
    let Some(key) = target.key else {
        return Err(ApiError::refused(format!("No Stream Exists with id:{}", target.id)));
    };
    state.manager.start_source(key).await.map_err(|error| worded(Call::Start, &target.id, &error))?;
    Ok(HttpResponse::Ok().json(ResultDto::bare(true)))
}

/// Ends a live stream: its publisher is disconnected, its source pulled no more.
#[utoipa::path(
    post,
    path = "/{app}/rest/v2/broadcasts/{id}/stop",
    tag = "broadcasts",
    params(crate::api::openapi::OfStream),
    responses(
        (status = 200, description = "done, or refused with the reason", body = crate::api::dto::ResultDto),
    ),
)]
pub(super) async fn stop(state: State, target: Target) -> HttpResponse {
    let stopped = match target.key {
        Some(key) => state.manager.stop(key).await,
        None => false,
    };
    HttpResponse::Ok().json(ResultDto::bare(stopped))
}
