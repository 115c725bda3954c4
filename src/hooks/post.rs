//! One message, sent once by HTTP. Blocks; must not know queues.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::Agent;

use super::delivery::Post;
use super::message::Message;
use super::sign::signature;
use crate::config::HookContentType;
use crate::http_agent::{self, Vetting};
use crate::model::source::{Scheme, SourceUrl};
use crate::model::srt_url::Secret;

/// For the TCP connection and the TLS handshake.
const CONNECT_MAX: Duration = Duration::from_millis(3_000);

/// For all of it, from the name to the answer's head.
const ANSWER_MAX: Duration = Duration::from_millis(5_000);

/// Sends messages.
pub(super) struct Http {
    agent: Agent,
    secret: Option<Secret>,
    content_type: HookContentType,
}

impl Http {
    pub(super) fn new(vetting: Vetting, secret: Option<Secret>, content_type: HookContentType) -> Self {
        let config = http_agent::config(true)
            // Where it leads to is not where the operator wanted it told.
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_global(Some(ANSWER_MAX))
            .build();
        Self { agent: http_agent::agent(config, vetting), secret, content_type }
    }
}

impl Post for Http {
    fn post(&self, url: &str, message: &Message) -> Result<(), String> {
        let parsed = SourceUrl::parse(url).map_err(|error| error.to_string())?;
        if !parsed.net().is_some_and(|net| matches!(net.scheme, Scheme::Http | Scheme::Https)) {
            return Err("it is neither http nor https".to_owned());
        }
        let mut request =
            self.agent.post(url).content_type(self.content_type.as_str()).header("X-Event-Id", &message.id);
        if let Some(secret) = &self.secret {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            request = request.header("X-Signature", signature(secret, now.as_secs(), &message.body));
        }
        match request.send(&message.body) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered HTTP {}", answer.status().as_u16())),
            Err(error) => Err(parsed.scrub(&reason(&error))),
        }
    }
}

fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            "nobody listens there: the connection was refused".to_owned()
        }
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
