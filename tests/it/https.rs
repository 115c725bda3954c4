//! HTTPS, judged by curl and openssl: versions, the certificate that is made and kept, and its change while a
//! connection goes on.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::process::{Tool, collect};
use crate::support::service::{Options, Service};
use crate::support::wait::{SOON, wait_for, wait_until};

/// curl's exit code, and what it printed.
fn curl(arguments: &[&str]) -> (i32, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--noproxy", "*", "--max-time", "10"])
        .args(arguments)
        .output()
        .expect("curl runs; it is needed for the tests");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// SHA-256 of the certificate that new connections are shown, as openssl writes it.
fn shown(port: u16) -> String {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{port} </dev/null 2>/dev/null | openssl x509 -noout -sha256 -fingerprint"
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim().split_once('=').map(|(_, hex)| hex.to_owned()).unwrap_or_else(|| panic!("no certificate: {text}"))
}

/// SHA-256 of the certificate in a PEM file.
fn of_file(path: &Path) -> String {
    let output = Command::new("openssl").args(["x509", "-noout", "-sha256", "-fingerprint", "-in"]).arg(path).output();
    let text = String::from_utf8_lossy(&output.expect("openssl runs").stdout).into_owned();
    text.trim().split_once('=').map(|(_, hex)| hex.to_owned()).unwrap_or_else(|| panic!("no certificate: {text}"))
}

/// A new certificate for 127.0.0.1 and its key, in files of these names.
fn write_pair(directory: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
}

/// A TLS connection that is kept open.
struct Connection {
    tool: Tool,
    stdin: std::process::ChildStdin,
    got: Arc<Mutex<String>>,
}

impl Connection {
    fn open(port: u16) -> Self {
        let address = format!("127.0.0.1:{port}");
        let arguments = ["s_client", "-quiet", "-connect", &address];
        let mut tool = Tool::start("openssl", arguments, Stdio::piped(), Stdio::piped());
        let (stdin, got) = (tool.take_stdin(), Arc::new(Mutex::new(String::new())));
        collect(tool.take_stdout(), &got);
        Self { tool, stdin, got }
    }

    /// Asks once more, and waits for the answer.
    #[track_caller]
    fn ask(&mut self) {
        let before = self.got.lock().unwrap().matches("HTTP/1.1 200").count();
        self.stdin.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").expect("the connection is open");
        wait_for(SOON, "an answer over the connection", || {
            let got = self.got.lock().unwrap().clone();
            if got.matches("HTTP/1.1 200").count() > before { Ok(()) } else { Err(got) }
        });
        assert!(self.tool.runs(), "the connection is open: {}", self.tool.said());
    }
}

#[test]
fn the_same_interface_is_there_over_tls_1_2_and_1_3_with_a_certificate_that_can_be_trusted() {
    let service = Service::start();
    let port = service.ports.https;
    let certificate = service.store().with_file_name("https-certificate.pem");
    let trust = ["--cacert", certificate.to_str().unwrap()];
    for (version, flags) in [("1.2", ["--tlsv1.2", "--tls-max", "1.2"]), ("1.3", ["--tlsv1.3", "--tls-max", "1.3"])] {
        for host in ["localhost", "127.0.0.1"] {
            let url = format!("https://{host}:{port}/health");
            let (code, text) =
                curl(&[&trust[..], &flags[..], &["--resolve", &format!("localhost:{port}:127.0.0.1"), &url]].concat());
            assert!(code == 0 && text.contains(&format!("\"https\":{port}")), "TLS {version} to {host}: {code} {text}");
        }
    }
    let (_, over_http) = service.api.get("/health");
    assert_eq!(over_http["ports"]["https"], port);

    // Nobody is asked to trust it unseen, and nobody may fall back behind 1.2.
    let (code, text) = curl(&[&format!("https://127.0.0.1:{port}/health")]);
    assert_eq!(code, 60, "curl's code for a certificate without trust: {text}");
    let address = format!("127.0.0.1:{port}");
    let old = Command::new("openssl")
        // Without a security level, so that it is the service that refuses, by an alert.
        .args(["s_client", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", "-connect", &address])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&old.stderr).into_owned();
    assert!(!old.status.success() && text.contains("SSL alert"), "{text}");

    // Those who never finish a handshake hold up nobody.
    let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let (code, text) = curl(&["--insecure", &format!("https://{address}/health/live")]);
    assert!(code == 0 && text.contains("\"ok\""), "{code} {text}");
    drop(silent);
}

#[test]
fn the_certificate_that_was_made_is_kept_over_a_restart_and_logged_by_its_fingerprint() {
    let mut service = Service::start();
    let first = shown(service.ports.https);
    assert!(service.log().contains(&format!("sha256={first}")), "{first}");
    service.stop();
    service.start_again();
    assert_eq!(shown(service.ports.https), first);
    assert_eq!(of_file(&service.store().with_file_name("https-certificate.pem")), first);
}

#[test]
fn a_new_certificate_is_taken_in_while_a_connection_goes_on_and_a_bad_one_is_not() {
    let directory = tempfile::TempDir::new().unwrap();
    let (certificate, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    write_pair(directory.path());
    let settings = [("HTTPS__CERTIFICATE", &certificate), ("HTTPS__KEY", &key)];
    let service = Service::start_with(Options {
        settings: settings.map(|(name, path)| (name, path.display().to_string())).into(),
        ..Options::default()
    });
    let (port, rtsps) = (service.ports.https, service.ports.rtsps);
    let first = of_file(&certificate);
    assert_eq!((shown(port), shown(rtsps)), (first.clone(), first.clone()));
    let mut connection = Connection::open(port);
    connection.ask();

    write_pair(directory.path());
    service.hang_up();
    let second = of_file(&certificate);
    wait_until(SOON, "the new certificate is shown after SIGHUP", || shown(port) == second);
    assert_eq!(shown(rtsps), second, "RTSPS goes with HTTPS");
    connection.ask();

    write_pair(directory.path());
    let third = of_file(&certificate);
    wait_until(SOON, "the new certificate is shown after a change of the files", || shown(port) == third);
    connection.ask();

    // A key of another certificate.
    let good_key = std::fs::read(&key).unwrap();
    std::fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    service.hang_up();
    let refused = "the new certificate is refused; the old one stays";
    wait_until(SOON, "the log says that the pair is refused", || service.log().contains(refused));
    let line = service.log().lines().find(|line| line.contains(refused)).map(str::to_owned).unwrap();
    assert!(line.contains("is not the key of the certificate in"), "{line}");
    assert_eq!((shown(port), shown(rtsps)), (third.clone(), third.clone()));
    connection.ask();
    std::fs::write(&key, good_key).unwrap();
    assert_ne!(first, third);
}
