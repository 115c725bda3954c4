//! One message, sent once by HTTP. Blocks; must not know queues.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ureq::Agent;

use super::delivery::Post;
use super::message::Message;
use super::sign::signature;
use crate::config::HookContentType;
use crate::http_agent::{self, Vetting};
use crate::model::source::{NetUrl, Scheme, SourceUrl};
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
        let Some(net) = parsed.net().filter(|net| matches!(net.scheme, Scheme::Http | Scheme::Https)) else {
            return Err("it is neither http nor https".to_owned());
        };
        let mut request =
            self.agent.post(address(net)).content_type(self.content_type.as_str()).header("X-Event-Id", &message.id);
        if let Some(credentials) = &net.credentials {
            request = request.header("Authorization", http_agent::basic(credentials));
        }
        if let Some(secret) = &self.secret {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            request = request.header("X-Signature", signature(secret, now.as_secs(), &origin(net), &message.body));
        }
        match request.send(&message.body) {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("it answered HTTP {}", answer.status().as_u16())),
            Err(error) => Err(parsed.scrub(&reason(&error))),
        }
    }
}

/// The receiver (RFC 6454): the scheme's own port stays unsaid, in `Host` too.
fn origin(net: &NetUrl) -> String {
    let origin = format!("{}://{}", net.scheme.as_str(), net.host);
    if net.port == net.scheme.default_port() { origin } else { format!("{origin}:{}", net.port) }
}

/// The URL without its credentials.
fn address(net: &NetUrl) -> String {
    origin(net) + &net.path
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::model::destination::Destinations;
    use crate::model::ids::StreamKey;

    #[test]
    fn credentials_are_sent_as_they_are_meant_and_not_in_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("bound");
        let answering = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("called");
            let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let head: Vec<String> = lines.collect();
            (&stream).write_all(b"HTTP/1.1 204 x\r\nConnection: close\r\n\r\n").expect("answered");
            head
        });
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let vetting =
            Vetting { destinations: Destinations::deny(&[]), own: Vec::new(), runtime: runtime.handle().clone() };
        let post = Http::new(vetting, None, HookContentType::Json);
        let message = Message {
            id: "r-1".into(),
            stream: StreamKey { app: "live".parse().expect("app"), id: "s".parse().expect("id") },
            action: "liveStreamStarted",
            body: "{}".into(),
        };
        post.post(&format!("http://us%40er:p%3Aw@{address}/hook?x=1"), &message).expect("told");
        let head = answering.join().expect("answers");
        let header = |name: &str| {
            let found =
                head.iter().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_owned())
        };
        assert_eq!(head[0], "POST /hook?x=1 HTTP/1.1");
        assert_eq!(header("authorization").as_deref(), Some("Basic dXNAZXI6cDp3"), "{head:?}");
        assert_eq!(header("host"), Some(address.to_string()), "{head:?}");
    }

    #[test]
    fn an_address_is_what_was_given_without_credentials_and_its_own_port() {
        for (given, wanted) in [
            ("https://u:p@example.org/a?b=c", "https://example.org/a?b=c"),
            ("https://example.org:443/a", "https://example.org/a"),
            ("http://example.org:443/a", "http://example.org:443/a"),
            ("http://[2001:db8::1]:8080", "http://[2001:db8::1]:8080"),
            ("http://example.org?x", "http://example.org?x"),
        ] {
            let url = SourceUrl::parse(given).expect("a URL");
            assert_eq!(address(url.net().expect("a server")), wanted);
        }
        let url = SourceUrl::parse("HTTPS://u:p@Example.org:5443/a/b?c").expect("a URL");
        assert_eq!(origin(url.net().expect("a server")), "https://example.org:5443");
    }
}
