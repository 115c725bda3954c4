//! A listener to server-sent events, as a browser's EventSource reads them, and one that does not read at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::service::Service;
use super::wait::wait_for;

/// What the kernel keeps for a listener that does not read: as little as it may.
const SMALL_BUFFER: usize = 4 * 1024;

/// An event as it was read.
#[derive(Debug, Clone)]
pub struct Event {
    /// `id:`
    pub id: String,
    /// `event:`
    pub name: String,
    /// `data:`
    pub data: Value,
}

#[derive(Debug, Default)]
struct Heard {
    events: Vec<Event>,
    ended: bool,
}

/// A listener; its thread ends with the connection.
#[derive(Debug)]
pub struct Listener(Arc<Mutex<Heard>>);

impl Listener {
    /// Listens to an application's events; `query` as in `types=endpoint`, or empty.
    pub fn start(service: &Service, app: &str, query: &str, last_event_id: Option<&str>) -> Self {
        let agent: ureq::Agent = ureq::Agent::config_builder().build().into();
        let url = format!("http://127.0.0.1:{}/{app}/rest/v2/events?{query}", service.ports.http);
        let mut request = agent.get(url);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let answer = request.call().expect("it is answered");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let heard = Arc::<Mutex<Heard>>::default();
        let into = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(answer.into_body().into_reader());
            let (mut id, mut name, mut data) = (String::new(), String::new(), String::new());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|len| len > 0) {
                match line.trim_end_matches('\n').split_once(": ") {
                    Some(("id", value)) => value.clone_into(&mut id),
                    Some(("event", value)) => value.clone_into(&mut name),
                    Some(("data", value)) => value.clone_into(&mut data),
                    _ if line == "\n" && !data.is_empty() => {
                        let data = serde_json::from_str(&std::mem::take(&mut data)).expect("JSON");
                        let event = Event { id: id.clone(), name: std::mem::take(&mut name), data };
                        into.lock().unwrap().events.push(event);
                    }
                    _ => {}
                }
                line.clear();
            }
            into.lock().unwrap().ended = true;
        });
        Self(heard)
    }

    /// Everything so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().events.clone()
    }

    /// Everything so far but ticks and greetings, `name` or, of endpoints, `name state`.
    pub fn words(&self) -> Vec<String> {
        let told = self.events().into_iter().filter(|event| !["hello", "statistics"].contains(&event.name.as_str()));
        told.map(|event| match event.data["state"].as_str() {
            Some(state) => format!("{} {state}", event.name),
            None => event.name,
        })
        .collect()
    }

    /// Whether the service has closed the connection.
    pub fn has_ended(&self) -> bool {
        self.0.lock().unwrap().ended
    }

    /// Waits for the first event that is wanted.
    #[track_caller]
    pub fn wait(&self, bound: Duration, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        wait_for(bound, what, || self.events().into_iter().find(&wanted).ok_or_else(|| format!("{:?}", self.words())))
    }
}

/// A listener that asks and then reads nothing.
pub struct Deaf(TcpStream);

impl Deaf {
    /// Asks for an application's events.
    pub fn start(service: &Service, app: &str, query: &str) -> Self {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], service.ports.http));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
        socket.connect(&address.into()).expect("connected");
        let mut stream = TcpStream::from(socket);
        write!(stream, "GET /{app}/rest/v2/events?{query} HTTP/1.1\r\nHost: t\r\n\r\n").expect("asked");
        Self(stream)
    }

    /// Reads what is there, to the end: that comes only if the service has closed the connection.
    pub fn read_to_end(mut self, bound: Duration) -> usize {
        self.0.set_read_timeout(Some(bound)).unwrap();
        let (mut total, mut piece) = (0, vec![0; 64 * 1024]);
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return total,
                Ok(len) => total += len,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return total,
                Err(error) => panic!("after {total} bytes: {error}"),
            }
        }
    }
}
