//! The REST interface through actix's own router, over a manager with fake streams and a real store.
//! Answers are compared as exact text: the order of the fields is part of the contract.

mod bodies;
mod broadcasts;
mod control;
mod control_refusals;
mod doors;
mod endpoints;
mod metrics;
mod page;
mod panel;
mod signalling;
mod socket;
mod whip;

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use actix_web::{App, test};
use serde_json::Value;

use super::publishers::Publishers;
use super::publishers::fake::{self, FakeIngest};
use super::signalling::Bounds as SocketBounds;
use super::{ApiState, Ports, configure};
use crate::config::Settings;
use crate::manager::fake::{FakeStreams, Shared as Fakes};
use crate::manager::{Bounds, Manager, Publication, PublishRequest};
use crate::model::broadcast::PublishType;
use crate::model::ids::StreamKey;
use crate::store::Store;

/// A service under test.
pub(super) struct World {
    pub(super) state: Arc<ApiState>,
    pub(super) manager: Manager,
    pub(super) streams: Arc<FakeStreams>,
    webrtc: Arc<FakeIngest>,
    path: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

pub(super) const LOCAL: &str = "127.0.0.1:50000";
pub(super) const BASE: &str = "/live/rest/v2/broadcasts";

impl World {
    pub(super) async fn new() -> Self {
        Self::with(SocketBounds::default()).await
    }

    /// With other waits of the WebSockets.
    async fn with(socket_bounds: SocketBounds) -> Self {
        Self::over(tempfile::tempdir().expect("tempdir"), socket_bounds).await
    }

    /// The same store under another service; the one before must have ended.
    async fn again(self) -> Self {
        Self::over(self._directory, SocketBounds::default()).await
    }

    async fn over(directory: tempfile::TempDir, socket_bounds: SocketBounds) -> Self {
        let path = directory.path().join("test.db");
        let store = Store::open(&format!("sqlite://{}", path.display())).await.expect("opens");
        let settings = Arc::new(Settings::default());
        let streams = FakeStreams::new();
        let fakes = Arc::new(Fakes(Arc::clone(&streams)));
        let (manager, _) =
            Manager::spawn_with(Arc::clone(&settings), store, fakes, Bounds::default()).await.expect("spawns");
        let ports = Ports { http: 5080, https: 5443, rtmp: 1935, rtsp: 8554, rtsps: None, srt: 4200 };
        let webrtc = FakeIngest::new(manager.clone());
        let publishers =
            Publishers::over(Arc::new(fake::Shared(Arc::clone(&webrtc))), tokio::runtime::Handle::current());
        let state = ApiState::over(manager.clone(), publishers, settings, ports);
        let state = Arc::new(ApiState { socket_bounds, ..state });
        Self { state, manager, streams, webrtc, path, _directory: directory }
    }

    async fn send(&self, request: test::TestRequest) -> Answer {
        let state = Arc::clone(&self.state);
        let app = test::init_service(App::new().configure(|config| configure(config, state))).await;
        let response = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = test::read_body(response).await;
        Answer { status, headers, text: String::from_utf8(body.to_vec()).expect("UTF-8") }
    }

    /// From the service's own host.
    pub(super) async fn call(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let mut request = request(method, path, LOCAL);
        if let Some(body) = body {
            request = request.insert_header(("Content-Type", "application/json")).set_payload(body.to_owned());
        }
        self.send(request).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    pub(super) async fn publish(&self, id: &str) -> Publication {
        let publication = self
            .manager
            .publish(PublishRequest {
                app: "live".into(),
                stream: id.into(),
                publish_type: PublishType::Rtmp,
                peer: "192.0.2.7:5000".parse().expect("address"),
                user_agent: Some("FMLE/3.0".into()),
                meta: vec![("k".into(), "v".into())],
            })
            .await;
        publication.expect("published")
    }
}

fn key(id: &str) -> StreamKey {
    StreamKey { app: "live".parse().expect("app"), id: id.parse().expect("id") }
}

fn request(method: &str, path: &str, peer: &str) -> test::TestRequest {
    let peer: SocketAddr = peer.parse().expect("address");
    test::TestRequest::default()
        .method(method.parse().expect("method"))
        .uri(path)
        .peer_addr(peer)
        .insert_header(("Host", "stream.example.org:5080"))
}

/// A Result's exact text.
fn result(success: bool, message: Option<&str>, data_id: &str) -> String {
    format!(
        r#"{{"success":{success},"message":{},"dataId":{},"errorId":0}}"#,
        Value::from(message),
        Value::from(data_id)
    )
}

/// A refusal's exact text.
fn refused(message: &str) -> String {
    result(false, Some(message), "")
}
