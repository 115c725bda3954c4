//! A receiver of webhooks: an HTTP server that notes what it is told, and answers as a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A request.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its head, line by line, as it came.
    pub head: Vec<String>,
    /// Its body, as it came.
    pub body: String,
}

impl Told {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.iter().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.and_then(|line| Some(line.split_once(':')?.1.trim()))
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Its `action`.
    pub fn action(&self) -> String {
        self.json()["action"].as_str().unwrap_or_default().to_owned()
    }
}

/// The server; its threads end with the test's process.
#[derive(Debug)]
pub struct Hook {
    /// The address to be told at.
    pub url: String,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Hook {
    /// Listens on a free port; `status` is asked with the number of each request, from 0. `None`: no answer at all.
    pub fn listen(status: impl Fn(usize) -> Option<u16> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/hook/swordfish?token=hunter2", listener.local_addr().expect("bound"));
        let told = Arc::<Mutex<Vec<Told>>>::default();
        let (into, status) = (Arc::clone(&told), Arc::new(status));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (into, status) = (Arc::clone(&into), Arc::clone(&status));
                std::thread::spawn(move || while take(&stream, &into, &*status).is_some() {});
            }
        });
        Self { url, told }
    }

    /// Every request so far.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Their actions.
    pub fn actions(&self) -> Vec<String> {
        self.told().iter().map(Told::action).collect()
    }
}

/// One request; none at the end of the connection.
fn take(stream: &TcpStream, into: &Mutex<Vec<Told>>, status: &dyn Fn(usize) -> Option<u16>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let told = Told { head, body: String::new() };
    let len = told.header("content-length").and_then(|len| len.parse().ok()).expect("a length");
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    let number = {
        let mut all = into.lock().unwrap();
        all.push(Told { body: String::from_utf8(body).expect("UTF-8"), ..told });
        all.len() - 1
    };
    match status(number) {
        Some(status) => {
            let mut stream = stream;
            write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").ok()
        }
        None => {
            // Until the other side has enough of waiting.
            let mut rest = Vec::new();
            let _ = reader.read_to_end(&mut rest);
            None
        }
    }
}
