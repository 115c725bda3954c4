//! Servers to pull from, none of them the service's own: GStreamer's RTSP server, nginx with its RTMP module, ffmpeg,
//! a directory over HTTP. And the calls that make the service pull.

use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::http::path;
use super::process::{Tool, free_port};
use super::sample::{Sample, words};
use super::service::Service;
use super::wait::{LATER, SOON, wait_for, wait_until};

/// Makes a broadcast that is pulled at once; more fields in `more`.
#[track_caller]
pub fn pull(service: &Service, stream: &str, url: &str, more: Value) {
    let (app, id) = stream.split_once('/').expect("streams are written app/id");
    let mut body = json!({ "streamId": id, "type": "streamSource", "streamUrl": url });
    let fields = body.as_object_mut().expect("an object");
    fields.extend(more.as_object().cloned().unwrap_or_default());
    let (status, answer) = service.api.post(&format!("/{app}/rest/v2/broadcasts/create?autoStart=true"), &body);
    assert_eq!((status, &answer["success"], &answer["dataId"]), (200, &json!(true), &json!(id)), "{answer}");
}

/// Waits until media of a source comes in; how long that took.
#[track_caller]
pub fn wait_receiving(service: &Service, stream: &str) -> Duration {
    let begin = Instant::now();
    wait_for(LATER, &format!("{stream} is received"), || {
        let all = service.api.broadcast(stream).ok_or("404")?;
        if all["sourceState"] == "receiving" {
            Ok(())
        } else {
            Err(format!("{} {}", all["sourceState"], all["sourceError"]))
        }
    });
    begin.elapsed()
}

/// Waits until the source has failed for a cause that holds `words`, and gives its `sourceError`.
#[track_caller]
pub fn wait_cause(service: &Service, stream: &str, words: &str) -> Value {
    wait_for(LATER, &format!("{stream} fails because of {words:?}"), || {
        let all = service.api.broadcast(stream).ok_or("404")?;
        let error = &all["sourceError"];
        let fits =
            all["sourceState"] == "waiting" && error["cause"].as_str().is_some_and(|cause| cause.contains(words));
        if fits { Ok(error.clone()) } else { Err(format!("{} {} {error}", all["status"], all["sourceState"])) }
    })
}

/// `POST /{id}/start` or `stop`.
#[track_caller]
pub fn order(service: &Service, stream: &str, what: &str) -> Value {
    service.api.post(&path(stream, &format!("/{what}")), &Value::Null).1
}

/// Waits until somebody listens on a TCP port.
#[track_caller]
fn wait_listens(port: u16) {
    wait_until(SOON, &format!("somebody listens on {port}"), || TcpStream::connect(("127.0.0.1", port)).is_ok());
}

/// ffmpeg that offers a sample at its own pace, each picture as it is.
pub fn offer(sample: &Sample, output: &str) -> Tool {
    let mut args = words("-hide_banner -v warning -nostdin -re -i");
    args.push(sample.path.display().to_string());
    args.extend(words("-map 0 -c copy"));
    args.extend(words(output));
    Tool::start("ffmpeg", args, Stdio::null(), Stdio::null())
}

/// H.264 and AAC, made by the server.
pub const RTSP_H264_AAC: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 \
    ! x264enc tune=zerolatency key-int-max=25 bitrate=300 ! rtph264pay name=pay0 pt=96 config-interval=1 \
    audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=1 ! voaacenc bitrate=64000 ! rtpmp4gpay name=pay1 pt=97";

/// H.265 and G.711.
pub const RTSP_H265_PCMA: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=25/1 \
    ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=300 ! rtph265pay name=pay0 pt=96 config-interval=1 \
    audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8";

/// GStreamer's RTSP server as a process of its own.
#[derive(Debug)]
pub struct RtspServer {
    args: Vec<String>,
    port: u16,
    tool: Option<Tool>,
}

impl RtspServer {
    /// Serves `launch` at `/stream`, to whom `auth` (`basic` or `digest`, user, password) lets in, or by `tcp` alone.
    pub fn start(launch: &str, auth: &[&str]) -> Self {
        let port = free_port();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/rtsp_server.py");
        let mut args = vec![script.to_owned(), port.to_string(), launch.to_owned()];
        args.extend(auth.iter().map(|&part| part.to_owned()));
        let mut server = Self { args, port, tool: None };
        server.start_again();
        server
    }

    /// After [`Self::kill`], on the same port.
    pub fn start_again(&mut self) {
        // Debian's own: the bindings are its packages.
        self.tool = Some(Tool::start("/usr/bin/python3", &self.args, Stdio::null(), Stdio::null()));
        wait_listens(self.port);
    }

    /// Its process.
    pub fn tool(&self) -> &Tool {
        self.tool.as_ref().expect("it runs")
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.tool = None;
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its stream is, with `who` (`user:password@`, or nothing) in front.
    pub fn url(&self, who: &str) -> String {
        format!("rtsp://{who}127.0.0.1:{}/stream", self.port)
    }
}

/// nginx with its RTMP module.
#[derive(Debug)]
pub struct RtmpServer {
    port: u16,
    _tool: Tool,
    _dir: TempDir,
}

impl RtmpServer {
    /// Serves what is published to its application `live`.
    pub fn start() -> Self {
        let (port, dir) = (free_port(), TempDir::new().unwrap());
        let at = dir.path().display();
        let config = format!(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so; daemon off; master_process off; pid {at}/pid; \
             error_log {at}/err; events {{}} rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}"
        );
        let file = dir.path().join("conf");
        std::fs::write(&file, config).unwrap();
        let args = ["-p".into(), dir.path().to_owned(), "-c".into(), file];
        let tool = Tool::start("/usr/sbin/nginx", args, Stdio::null(), Stdio::null());
        wait_listens(port);
        Self { port, _tool: tool, _dir: dir }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where stream `x` is.
    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live/x", self.port)
    }
}

/// A directory over HTTP.
#[derive(Debug)]
pub struct Files {
    port: u16,
    dir: TempDir,
    tool: Option<Tool>,
}

impl Files {
    /// Serves an empty directory.
    pub fn start() -> Self {
        let mut files = Self { port: free_port(), dir: TempDir::new().unwrap(), tool: None };
        files.start_again();
        files
    }

    /// After [`Self::kill`], the same directory on the same port.
    pub fn start_again(&mut self) {
        let (port, directory) = (self.port.to_string(), self.dir.path().display().to_string());
        let args = ["-m", "http.server", &port, "--bind", "127.0.0.1", "--directory", &directory];
        self.tool = Some(Tool::start("/usr/bin/python3", args, Stdio::null(), Stdio::null()));
        wait_listens(self.port);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.tool = None;
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn tool(&self) -> &Tool {
        self.tool.as_ref().expect("it runs")
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A file's address, once the file is there.
    #[track_caller]
    pub fn url(&self, file: &str) -> String {
        wait_until(LATER, &format!("{file} is there"), || self.path().join(file).exists());
        format!("http://127.0.0.1:{}/{file}", self.port)
    }
}

/// TLS in front of a server that has none, with a certificate that nobody trusts.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    _tool: Tool,
    _dir: TempDir,
}

impl TlsFront {
    /// In front of what listens on `target`, for 127.0.0.1.
    pub fn start(target: u16) -> Self {
        let (port, dir) = (free_port(), TempDir::new().unwrap());
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let (pem, key_pem) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        std::fs::write(&pem, certificate.pem()).unwrap();
        std::fs::write(&key_pem, key.serialize_pem()).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls_front.py");
        let args = [script.into(), port.to_string().into(), target.to_string().into(), pem, key_pem];
        let tool = Tool::start("/usr/bin/python3", args, Stdio::null(), Stdio::null());
        wait_listens(port);
        Self { port, _tool: tool, _dir: dir }
    }

    /// `url` of the server behind, over TLS: another scheme and another port.
    pub fn over_tls(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (_, path) = rest.split_once('/').expect("it has a path");
        format!("{scheme}s://127.0.0.1:{}/{path}", self.port)
    }
}
