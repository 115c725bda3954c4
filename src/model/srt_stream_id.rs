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
mod presented;
#[cfg(test)]
mod tests;

use std::fmt;

use super::srt_reject::RejectCode;
use fields::Fields;
pub use presented::check_presented;

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
    /// A piece of the pairs that isn't `key=value`, counted from 1.
    #[error("piece {0} of its pairs is not key=value")]
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
    /// A `?` or `&` in the path, as in a URL. Not repeated: a token may follow it.
    #[error("it has a query behind the path; wanted: app/stream,key=value")]
    Query,
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

/// Why a stream id was refused. The `Display` text says what was found and what is wanted, for one log
/// line; it holds neither tokens nor passwords.
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

/// Whether the structure itself is encoded: `%23!::…`, `publish%3A…`, or `app%2Fstream` without any bare
/// comma, equals sign or colon.
fn is_encoded_whole(text: &str) -> bool {
    let begins = |start: &str| text.get(..start.len()).is_some_and(|s| s.eq_ignore_ascii_case(start));
    text.contains('%') && (begins("%23") || begins("publish%3A") || !(begins("#!") || text.contains([',', '=', ':'])))
}

/// Undoes the encoding of one value, or leaves it when the whole text was decoded already.
type Decode = fn(&str) -> Result<String, Syntax>;

fn parse_form(text: &str, decode: Decode) -> Result<StreamIdRequest, StreamIdError> {
    if let Some(pairs) = text.strip_prefix(ACCESS_CONTROL) {
        let mut fields = Fields::default();
        fields.read(pairs, ',', decode)?;
        // Ant Media Server puts the stream into `u`; beside an `r` it is the user, as in the guidelines.
        let resource = fields.take("r").or_else(|| fields.take("u"));
        return publish(&resource.unwrap_or_default(), fields);
    }
    if text.starts_with("#!") {
        return Err(Syntax::Nested.into());
    }
    let head = text.split(',').next().unwrap_or_default();
    match head.split_once(':') {
        None => plain(text, decode),
        Some(("publish", _)) => colons(&text["publish:".len()..], decode),
        Some(("read" | "request" | "play", _)) => Err(StreamIdError::Request),
        // The colon stands further behind, in a value or a name: others say so, and repeat no value.
        Some((other, _)) if other.contains(['/', '?', '&', '=']) => plain(text, decode),
        Some((other, _)) => Err(Syntax::Prefix(fields::short(other)).into()),
    }
}

/// `app/stream`, `app/stream,key=value,…`.
fn plain(text: &str, decode: Decode) -> Result<StreamIdRequest, StreamIdError> {
    let (path, pairs) = text.split_once(',').unwrap_or((text, ""));
    if let Some((key, _)) = path.split_once('=')
        && !key.contains(['/', '?'])
    {
        return Err(Syntax::KeyFirst(fields::short(key)).into());
    }
    let mut fields = Fields::default();
    fields.read(pairs, ',', decode)?;
    publish(&decode(path)?, fields)
}

/// What follows `publish:`: MediaMTX's `path:user:pass:query`, or the plain form.
fn colons(text: &str, decode: Decode) -> Result<StreamIdRequest, StreamIdError> {
    let mut parts = text.splitn(4, ':');
    let path = parts.next().unwrap_or_default();
    // A comma before the first colon begins pairs, whose values may hold colons; a later comma belongs to
    // the user or the password.
    if path.contains(',') {
        return plain(text, decode);
    }
    let mut fields = Fields::default();
    for key in ["user", "pass"] {
        let value = decode(parts.next().unwrap_or_default())?;
        if !value.is_empty() {
            fields.insert(key.to_owned(), value)?;
        }
    }
    fields.read(parts.next().unwrap_or_default(), '&', decode)?;
    publish(&decode(path)?, fields)
}

/// Splits `app/stream`, checks mode and type, and puts the request together.
fn publish(path: &str, mut fields: Fields) -> Result<StreamIdRequest, StreamIdError> {
    fields.check_mode_and_type()?;
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.contains(['?', '&']) {
        return Err(Syntax::Query.into());
    }
    let (app, stream) = match path.split_once('/') {
        Some((_, rest)) if rest.contains('/') => {
            return Err(Syntax::Slashes(path.matches('/').count()).into());
        }
        Some(("", _)) => return Err(Syntax::NoApp.into()),
        Some((app, stream)) => (Some(app.to_owned()), stream),
        None => (None, path),
    };
    if stream.is_empty() {
        return Err(Syntax::NoStream.into());
    }
    let token = fields.take_secret();
    Ok(StreamIdRequest::Publish { app, stream: stream.to_owned(), token, params: fields.into_params() })
}
