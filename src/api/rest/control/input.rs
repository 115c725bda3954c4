//! A body as an [`EndpointInput`], or what is wrong with it by name.
//!
//! The hard thing: what is repeated to the client may be a secret at the wrong place, so no value ever is.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::body::{check_type, read_in_time};
use crate::api::dto::{EndpointInput, INPUT_FIELDS, READ_FIELDS};
use crate::api::problem::Problem;
use crate::config::nearest::nearest;

/// Longest unknown name that is repeated, in bytes; more is no slip of the pen.
const NAME_LEN_MAX: usize = 32;

/// The body.
pub(in crate::api) struct Input(pub(in crate::api) EndpointInput);

impl FromRequest for Input {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let bytes = read_in_time(&request, payload).await?;
            if bytes.iter().all(u8::is_ascii_whitespace) {
                return Err(Problem::bad_request("the body is empty; wanted: a JSON object"));
            }
            check_type(&request)?;
            parse(&bytes).map(Self)
        })
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<EndpointInput, Problem> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::bad_request(format!("the body is not valid JSON: {error}")))?;
    let Value::Object(object) = value else {
        return Err(Problem::bad_request(format!("the body is {}; wanted: a JSON object", kind(&value))));
    };
    if let Some(unknown) = object.keys().find(|name| INPUT_FIELDS.iter().all(|(known, _)| known != name)) {
        return Err(unknown_field(unknown));
    }
    let culprit = object.iter().find(|(name, value)| !fits::<EndpointInput>(name, value));
    if let Some((name, value)) = culprit {
        return Err(wrong_type(name, value));
    }
    serde_json::from_value(Value::Object(object)).map_err(|_| Problem::bad_request("the body can't be read"))
}

fn fits<T: DeserializeOwned>(name: &str, value: &Value) -> bool {
    let alone = Map::from_iter([(name.to_owned(), value.clone())]);
    serde_json::from_value::<T>(Value::Object(alone)).is_ok()
}

fn unknown_field(name: &str) -> Problem {
    if READ_FIELDS.contains(&name) {
        return Problem::bad_request(format!("`{name}` is only read; it can't be set")).at(name);
    }
    let known = INPUT_FIELDS.iter().map(|(known, _)| *known);
    let hint = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("wanted: {}", known.collect::<Vec<_>>().join(", ")),
    };
    let printable = name.len() <= NAME_LEN_MAX && name.chars().all(|c| c.is_ascii_graphic());
    let shown = if printable { format!("`{name}`") } else { "one of the fields".to_owned() };
    let problem = Problem::bad_request(format!("{shown} is not known; {hint}"));
    if printable { problem.at(name) } else { problem }
}

fn wrong_type(name: &str, value: &Value) -> Problem {
    let wanted = INPUT_FIELDS.iter().find(|(known, _)| *known == name).map_or("another type", |(_, wanted)| wanted);
    Problem::bad_request(format!("`{name}` is {}; wanted: {wanted}", kind(value))).at(name)
}

/// What a value is, without the value.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_i64() => "a whole number",
        Value::Number(number) if number.is_u64() => "too large a number",
        Value::Number(_) => "a number with a fraction",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object with other fields or types",
    }
}
