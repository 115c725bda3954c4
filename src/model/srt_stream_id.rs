//! What a publisher's SRT stream id asks for.
//!
//! Owns the forms that encoders and other servers have taught people to write; knows neither which
//! applications exist nor which names are allowed (`model::ids` says that afterwards). It runs inside
//! libsrt's listen callback, so it is bounded by [`LEN_MAX`] and never blocks. The hard thing is to tell the
//! forms apart without guessing, and to undo exactly one layer of percent-encoding, whoever put it there.
//!
//! | form | from |
//! |---|---|
//! | `app/stream`, `/app/stream`, `stream` | Ant Media Server, others |
//! | `app/stream,token=…,key=value` | Ant Media Server |
//! | `#!::r=app/stream,m=publish,u=user,…` | SRT access control (libsrt: `docs/features/access-control.md`) |
//! | `#!::u=app/stream` | Ant Media Server |
//! | `publish:app/stream[:user:pass[:query]]` | MediaMTX |

mod fields;
#[cfg(test)]
mod tests;

use std::fmt;

use super::srt_reject::RejectCode;
use fields::Fields;

/// Longest stream id, in bytes (libsrt: `CSrtConfig::MAX_SID_LENGTH`).
pub const LEN_MAX: usize = 512;

/// Begins the form of SRT's access control guidelines.
const ACCESS_CONTROL: &str = "#!::";

/// What a publisher's SRT stream id asks for.
#[derive(Clone, PartialEq, Eq)]
pub enum StreamIdRequest {
    /// To publish a stream. The names are not checked yet.
    Publish {
        /// The application, if one is named.
        app: Option<String>,
        /// The stream; not empty and without a slash.
        stream: String,
        /// What the publisher proves itself with: `token`, or the password of the `publish:` form.
        token: Option<String>,
        /// The other pairs in their order, decoded; the standard keys `u`, `s`, `h` by these names, `user`
        /// of the `publish:` form by that. No secret is among them.
        params: Vec<(String, String)>,
    },
    /// Nothing: there is no stream id.
    Absent,
}

impl fmt::Debug for StreamIdRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("Absent"),
            Self::Publish { app, stream, token, params } => f
                .debug_struct("Publish")
                .field("app", app)
                .field("stream", stream)
                .field("token", &token.as_ref().map(|_| "***"))
                .field("params", params)
                .finish(),
        }
    }
}

/// What can't be read in a stream id. No variant holds a token or password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Syntax {
    /// Longer than [`LEN_MAX`] bytes.
    #[error("it is {0} bytes long; at most {LEN_MAX} are allowed")]
    TooLong(usize),
    /// A control character, as it is or after decoding.
    #[error("it holds the control character U+{0:04X}")]
    Control(u32),
    /// `%` without two hex digits, or bytes that are no UTF-8.
    #[error("it holds a bad percent-encoding")]
    Escape,
    /// `#!` with something else than `::`.
    #[error("of the forms that begin with #!, only #!::key=value,… is supported")]
    Nested,
    /// A piece between commas that isn't `key=value`, counted from 1.
    #[error("piece {0} between commas is not key=value")]
    NotAPair(usize),
    /// The same key twice.
    #[error("the key {0:?} stands in it twice")]
    DuplicateKey(String),
    /// Begins with `key=` but not with `#!::`.
    #[error("it begins with {0:?} and a value; wanted: app/stream first, or #!:: before the keys")]
    KeyFirst(String),
    /// `something:…`, and that isn't `publish`.
    #[error("it begins with {0:?} and a colon; wanted: publish:app/stream")]
    Prefix(String),
    /// No stream named.
    #[error("it names no stream; wanted: app/stream")]
    NoStream,
    /// No application before the slash.
    #[error("it names no application before the slash; wanted: app/stream")]
    NoApp,
    /// More than `app/stream`.
    #[error("it has {0} slashes; wanted: app/stream, with one")]
    Slashes(usize),
}

/// Why a stream id was refused; the `Display` text follows `refused: the stream id …` well and holds
/// neither tokens nor passwords.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamIdError {
    /// It can't be read.
    #[error("bad stream id: {0}")]
    BadSyntax(#[from] Syntax),
    /// It asks to receive (`m=request`, `read:`), which this server doesn't offer over SRT.
    #[error("the stream id asks to receive a stream; this server takes publishers only")]
    Request,
    /// A mode that is neither publish nor request.
    #[error("the stream id has mode {0:?}; wanted: m=publish")]
    UnsupportedMode(String),
    /// A type that isn't `stream`.
    #[error("the stream id has type {0:?}; wanted: t=stream")]
    UnsupportedType(String),
}

impl StreamIdError {
    /// What to tell the caller in the handshake.
    pub fn reject_code(&self) -> RejectCode {
        match self {
            Self::BadSyntax(_) => RejectCode::BadRequest,
            Self::Request | Self::UnsupportedMode(_) => RejectCode::BadMode,
            Self::UnsupportedType(_) => RejectCode::NotSupportedMedia,
        }
    }
}

/// Reads a stream id.
///
/// # Errors
/// [`StreamIdError`], with the code to answer by [`StreamIdError::reject_code`].
pub fn parse(stream_id: &str) -> Result<StreamIdRequest, StreamIdError> {
    if stream_id.is_empty() {
        return Ok(StreamIdRequest::Absent);
    }
    if stream_id.len() > LEN_MAX {
        return Err(Syntax::TooLong(stream_id.len()).into());
    }
    fields::check_control(stream_id)?;
    // One layer of encoding is undone: of the whole text if that is encoded (its structure is only visible
    // afterwards), else of each value by itself, so that `token=a%2Cb` keeps its comma.
    if is_encoded_whole(stream_id) {
        let decoded = fields::decode(stream_id)?;
        return parse_form(&decoded, |text| Ok(text.to_owned()));
    }
    parse_form(stream_id, fields::decode)
}

/// Whether the structure itself is encoded: `%23!::…`, `app%2Fstream` (and no bare comma or equals sign).
fn is_encoded_whole(text: &str) -> bool {
    if text.starts_with("#!") || !text.contains('%') {
        return false;
    }
    text.starts_with("%23") || !text.contains([',', '='])
}

/// Undoes the encoding of one value, or leaves it when the whole text was decoded already.
type Decode = fn(&str) -> Result<String, Syntax>;

fn parse_form(text: &str, decode: Decode) -> Result<StreamIdRequest, StreamIdError> {
    if let Some(pairs) = text.strip_prefix(ACCESS_CONTROL) {
        let mut fields = Fields::read(pairs, 0, decode)?;
        fields.check_mode_and_type()?;
        // Ant Media Server puts the stream into `u`; beside an `r` it is the user, as in the guidelines.
        let resource = fields.take("r").or_else(|| fields.take("u"));
        return publish(&resource.unwrap_or_default(), fields);
    }
    if text.starts_with("#!") {
        return Err(Syntax::Nested.into());
    }
    let (path, pairs) = match text.split_once(',') {
        Some((path, pairs)) => (path, Some(pairs)),
        None => (text, None),
    };
    if let Some((key, _)) = path.split_once('=').filter(|(key, _)| !key.contains([':', '/'])) {
        return Err(Syntax::KeyFirst(fields::short(key)).into());
    }
    let path = decode(path)?;
    let Some((prefix, rest)) = path.split_once(':') else {
        let mut fields = Fields::read_optional(pairs, decode)?;
        fields.check_mode_and_type()?;
        return publish(&path, fields);
    };
    match prefix {
        "publish" => {}
        "read" | "request" | "play" => return Err(StreamIdError::Request),
        other => return Err(Syntax::Prefix(fields::short(other)).into()),
    }
    let _ = rest;
    // The colons are split in the text as it came, so that an encoded one may stand in a password. A comma
    // before the first of them begins Ant Media's pairs, a later one belongs to the user or password.
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
    publish_colon(rest, decode)
}

/// What follows `publish:`.
fn publish_colon(rest: &str, decode: Decode) -> Result<StreamIdRequest, StreamIdError> {
    let (head, more) = rest.split_once(':').unwrap_or((rest, ""));
    if head.contains(',') || more.is_empty() {
        let (path, pairs) = match rest.split_once(',') {
            Some((path, pairs)) => (path, Some(pairs)),
            None => (head, None),
        };
        let mut fields = Fields::read_optional(pairs, decode)?;
        fields.check_mode_and_type()?;
        return publish(&decode(path)?, fields);
    }
    let mut parts = more.splitn(3, ':');
    let mut fields = Fields::default();
    fields.add("user", decode(parts.next().unwrap_or_default())?);
    fields.add("pass", decode(parts.next().unwrap_or_default())?);
    fields.read_query(parts.next().unwrap_or_default(), decode)?;
    publish(&decode(head)?, fields)
}

/// Splits `app/stream` and puts the request together.
fn publish(path: &str, mut fields: Fields) -> Result<StreamIdRequest, StreamIdError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (app, stream) = match path.split_once('/') {
        _ if path.is_empty() => return Err(Syntax::NoStream.into()),
        Some((_, rest)) if rest.contains('/') => {
            return Err(Syntax::Slashes(path.matches('/').count()).into());
        }
        Some(("", _)) => return Err(Syntax::NoApp.into()),
        Some((_, "")) => return Err(Syntax::NoStream.into()),
        Some((app, stream)) => (Some(app.to_owned()), stream.to_owned()),
        None => (None, path.to_owned()),
    };
    let token = fields.take_secret();
    Ok(StreamIdRequest::Publish { app, stream, token, params: fields.into_params() })
}
