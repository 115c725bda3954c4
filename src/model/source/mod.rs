//! The address of a source that is pulled, and what else its broadcast says of it: parsed and valid, or refused
//! with the reason.
//!
//! Owns which schemes there are and what each asks for; resolves nothing and dials nothing. The hard thing is
//! credentials: users write a camera's password into the URL as it is, `@`, `:`, `/` and `?` included, and none of
//! it may ever be shown. So only the parts are handed on, and every text that is shown is made anew from them.

mod picture;
mod status;
mod url;

use std::fmt;

use serde_json::{Map, Value};

pub use picture::TestPicture;
pub use status::{SourceFailure, SourceState, SourceStatus};
pub use url::{Credentials, NetUrl, Scheme, SourceUrl, SourceUrlError, UdpUrl, shown};

/// `type` of a broadcast whose source is pulled from `streamUrl`.
pub const TYPE_STREAM_SOURCE: &str = "streamSource";
/// `type` of a broadcast whose source is a camera: `streamUrl`, or `ipAddr` alone.
pub const TYPE_IP_CAMERA: &str = "ipCamera";

/// How RTP comes from an RTSP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RtspTransport {
    /// UDP, and TCP when nothing comes by it.
    #[default]
    Auto,
    /// UDP alone.
    Udp,
    /// Interleaved in the RTSP connection.
    Tcp,
}

impl RtspTransport {
    /// Reads `udp`, `tcp`, `auto`, and Ant Media's `3`, which is FFmpeg's flag for both.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "auto" | "3" => Some(Self::Auto),
            "udp" | "1" => Some(Self::Udp),
            "tcp" | "2" => Some(Self::Tcp),
            _ => None,
        }
    }

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// A broadcast's source, as its record says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub url: SourceUrl,
    /// Transport of RTP, unless the configuration's is meant.
    pub rtsp_transport: Option<RtspTransport>,
    /// Whether a certificate has to be valid, unless the configuration says it.
    pub verify_tls: Option<bool>,
}

/// Why a record has no source that could be pulled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Its type is not one of those that are pulled.
    #[error("its type is not {TYPE_STREAM_SOURCE} or {TYPE_IP_CAMERA}")]
    NotPulled,
    /// It names no address.
    #[error("it has no streamUrl")]
    NoUrl,
    /// The address can't be one. The text holds no secret.
    #[error(transparent)]
    Url(#[from] SourceUrlError),
    /// `rtspPullTransportType` is no transport.
    #[error("rtspPullTransportType is not udp, tcp or auto")]
    Transport,
}

impl Source {
    /// Whether records of this `type` have a source that is pulled.
    pub fn is_pulled(kind: Option<&str>) -> bool {
        matches!(kind, Some(TYPE_STREAM_SOURCE | TYPE_IP_CAMERA))
    }

    /// Reads the fields of a record. `username` and `password` stand in for credentials that the URL has not; a
    /// camera's `ipAddr` for a URL.
    ///
    /// # Errors
    /// See [`SourceError`].
    pub fn of(fields: &Map<String, Value>) -> Result<Self, SourceError> {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        let kind = text("type");
        if !Self::is_pulled(kind) {
            return Err(SourceError::NotPulled);
        }
        let mut url = match (text("streamUrl"), text("ipAddr")) {
            (Some(url), _) => SourceUrl::parse(url)?,
            (None, Some(address)) if kind == Some(TYPE_IP_CAMERA) => of_camera(address)?,
            _ => return Err(SourceError::NoUrl),
        };
        if let Some(user) = text("username") {
            // Not trimmed: a password may begin or end with a blank.
            let password = fields.get("password").and_then(Value::as_str).unwrap_or_default();
            url.lend_credentials(user, password);
        }
        let rtsp_transport = match text("rtspPullTransportType") {
            None => None,
            Some(text) => Some(RtspTransport::parse(text).ok_or(SourceError::Transport)?),
        };
        let verify_tls = fields.get("verifyTls").and_then(Value::as_bool);
        Ok(Self { url, rtsp_transport, verify_tls })
    }
}

/// A camera of which only the address is known: its RTSP server's root. An address with a scheme is a URL.
fn of_camera(address: &str) -> Result<SourceUrl, SourceUrlError> {
    if address.contains("://") { SourceUrl::parse(address) } else { SourceUrl::parse(&format!("rtsp://{address}/")) }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: serde_json::Value) -> Result<Source, SourceError> {
        Source::of(json.as_object().expect("an object"))
    }

    #[test]
    fn a_record_names_its_source() {
        use serde_json::json;
        let camera = of(json!({"type":"ipCamera","ipAddr":"10.0.0.9:8554","username":"u","password":"p@ :/?"}));
        let camera = camera.expect("a camera");
        assert_eq!(camera.url.to_string(), "rtsp://***@10.0.0.9:8554/");
        let SourceUrl { .. } = &camera.url;
        let net = camera.url.net().expect("a server");
        let credentials = net.credentials.as_ref().expect("lent");
        assert_eq!((credentials.user.as_str(), credentials.password.expose()), ("u", "p@ :/?"));
        assert!(!format!("{camera:?}").contains("p@ :"), "{camera:?}");

        // Those of the URL are stronger.
        let own = of(json!({"type":"streamSource","streamUrl":"rtsp://a:b@h/x","username":"u","password":"p"}));
        assert_eq!(own.expect("good").url.net().and_then(|n| n.credentials.clone()).expect("own").user, "a");

        let tcp =
            of(json!({"type":"streamSource","streamUrl":"rtsp://h/x","rtspPullTransportType":"tcp","verifyTls":false}));
        let tcp = tcp.expect("good");
        assert_eq!((tcp.rtsp_transport, tcp.verify_tls), (Some(RtspTransport::Tcp), Some(false)));

        assert_eq!(of(json!({"type":"liveStream","streamUrl":"rtsp://h/x"})), Err(SourceError::NotPulled));
        assert_eq!(of(json!({"streamUrl":"rtsp://h/x"})), Err(SourceError::NotPulled));
        assert_eq!(of(json!({"type":"streamSource","ipAddr":"10.0.0.9"})), Err(SourceError::NoUrl));
        assert!(matches!(of(json!({"type":"streamSource","streamUrl":"x"})), Err(SourceError::Url(_))));
        assert_eq!(
            of(json!({"type":"streamSource","streamUrl":"rtsp://h","rtspPullTransportType":"sctp"})),
            Err(SourceError::Transport)
        );
    }
}
