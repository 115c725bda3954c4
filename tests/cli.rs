//! The command line of the real program: what it prints, where, and with which exit code.

use std::path::Path;
use std::process::{Command, Output};

/// The program in a directory of its own, with nothing of the caller's environment that could speak to it.
fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_srt-restream"));
    command.current_dir(directory).env_clear().env("GST_REGISTRY", directory.join("registry.bin"));
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code().expect("no signal"), text(stdout), text(stderr))
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn each_bad_configuration_is_one_line_on_stderr_and_exit_code_2() {
    let table = [
        (
            "[srt]\nlatency_ms = 5",
            "bad.toml:2: srt.latency_ms: given 5, wanted a whole number of milliseconds from 20 to 60000",
        ),
        ("[srt]\nlatncy_ms = 150", "bad.toml:2: srt.latncy_ms: there is no such key; did you mean srt.latency_ms?"),
        ("apps = [\"a/b\"]", "bad.toml:1: apps: given [\"a/b\"], wanted a list of one or more different names"),
        ("[http]\nlisten = \"nowhere\"", "bad.toml:2: http.listen: given \"nowhere\", wanted an IP address and a port"),
        ("[http\n", "bad.toml:1: is not valid TOML: "),
    ];
    let directory = directory();
    for (text, expected) in table {
        std::fs::write(directory.path().join("bad.toml"), text).expect("a file");
        for arguments in [
            &["--config", "bad.toml"][..],
            &["--config", "bad.toml", "--check-config"],
            &["-c", "bad.toml", "--print-config"],
        ] {
            let (code, stdout, stderr) = run(program(directory.path()).args(arguments));
            assert_eq!((code, stdout.as_str()), (2, ""), "{text:?} {arguments:?}: {stderr}");
            assert!(stderr.starts_with(&format!("srt-restream: {expected}")), "{text:?}: {stderr}");
            assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
        }
    }
}

#[test]
fn a_bad_environment_variable_stops_the_start() {
    let directory = directory();
    for (name, value, expected) in [
        (
            "SRT_RESTREAM__SRT__LISTEN",
            "4200",
            "SRT_RESTREAM__SRT__LISTEN: srt.listen: given \"4200\", wanted an IP address",
        ),
        (
            "SRT_RESTREAM__SRT__LISTENS",
            "x",
            "SRT_RESTREAM__SRT__LISTENS: srt.listens: there is no such key; did you mean srt.listen?",
        ),
        ("RUST_LOG", "inof", "RUST_LOG: log.filter: given \"inof\", wanted a log filter"),
    ] {
        let (code, stdout, stderr) = run(program(directory.path()).env(name, value));
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.starts_with(&format!("srt-restream: environment variable {expected}")), "{stderr}");
    }
}

#[test]
fn several_problems_are_several_lines() {
    let directory = directory();
    std::fs::write(directory.path().join("srt-restream.toml"), "apps = []\n[srt]\ncolour = 1").expect("a file");
    let (code, _, stderr) = run(program(directory.path()).env("SRT_RESTREAM__LOG__FORMAT", "xml"));
    let starts: Vec<_> = stderr.lines().map(|line| line.split(": ").take(3).collect::<Vec<_>>().join(": ")).collect();
    assert_eq!(code, 2);
    assert_eq!(
        starts,
        [
            "srt-restream: srt-restream.toml:1: apps",
            "srt-restream: environment variable SRT_RESTREAM__LOG__FORMAT: log.format",
            "srt-restream: srt-restream.toml:3: srt.colour",
        ]
    );
}

#[test]
fn a_missing_configuration_file_is_an_error_and_a_missing_default_file_is_none() {
    let directory = directory();
    let (code, _, stderr) = run(program(directory.path()).args(["--config", "nope.toml"]));
    assert_eq!(code, 2);
    assert_eq!(stderr, "srt-restream: nope.toml: cannot be read: No such file or directory (os error 2)\n");

    let (code, stdout, stderr) = run(program(directory.path()).arg("--check-config"));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "no file: the configuration is good\n", ""));
}

#[test]
fn the_printed_configuration_is_what_file_and_environment_say() {
    let directory = directory();
    let file = directory.path().join("srt-restream.toml");
    std::fs::write(&file, "apps = [\"sport\"]\n[srt]\nlatency_ms = 200\n").expect("a file");
    let (code, first, _) =
        run(program(directory.path()).arg("--print-config").env("SRT_RESTREAM__SRT__LATENCY_MS", "300"));
    assert_eq!(code, 0);
    let printed: toml::Table = first.parse().expect("TOML");
    assert_eq!(printed["apps"][0].as_str(), Some("sport"));
    assert_eq!(printed["srt"]["latency_ms"].as_integer(), Some(300));
    assert_eq!(printed["http"]["listen"].as_str(), Some("0.0.0.0:5080"));

    std::fs::write(&file, &first).expect("a file");
    let (_, second, _) = run(program(directory.path()).arg("--print-config"));
    assert_eq!(first, second);
}

#[test]
fn the_example_file_says_the_defaults() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("srt-restream.example.toml");
    let directory = directory();
    let (_, defaults, _) = run(program(directory.path()).arg("--print-config"));
    let (code, as_it_is, stderr) = run(program(directory.path()).args(["--print-config", "--config"]).arg(&example));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert_eq!(as_it_is, defaults);

    // Every key is in it, in a comment, with its default; uncommented it is the default configuration.
    let text = std::fs::read_to_string(&example).expect("the example");
    let uncommented: Vec<&str> =
        text.lines().map(|line| line.strip_prefix('#').unwrap_or(line)).filter(|line| !line.starts_with(' ')).collect();
    let uncommented: toml::Table = uncommented.join("\n").parse().expect("TOML");
    let defaults: toml::Table = defaults.parse().expect("TOML");
    assert_eq!(uncommented, defaults);
}

#[test]
fn the_readme_lists_every_key_with_its_default() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md");
    let (_, defaults, _) = run(program(directory().path()).arg("--print-config"));
    let defaults: toml::Table = defaults.parse().expect("TOML");
    let listed = |key: &str, value: &toml::Value| {
        // An empty text is shown as such, in its quotes.
        let text = value.as_str().filter(|text| !text.is_empty());
        let value = text.map_or_else(|| value.to_string(), str::to_owned);
        let row = format!("| `{key}` | `{value}`");
        assert!(readme.lines().any(|line| line.starts_with(&row)), "the README has no row {row}");
    };
    for (name, value) in &defaults {
        match value {
            toml::Value::Table(section) => {
                section.iter().for_each(|(key, value)| listed(&format!("{name}.{key}"), value))
            }
            value => listed(name, value),
        }
    }
}

#[test]
fn the_version_names_gstreamer_and_libsrt_as_found() {
    let (code, stdout, stderr) = run(program(directory().path()).arg("--version"));
    let lines: Vec<_> = stdout.lines().collect();
    assert_eq!((code, stderr.as_str(), lines.len()), (0, "", 3), "{stdout}");
    assert_eq!(lines[0], format!("srt-restream {}", env!("CARGO_PKG_VERSION")));
    for (line, name) in lines[1..].iter().zip(["GStreamer ", "libsrt "]) {
        let version = line.strip_prefix(name).expect(line);
        assert!(version.starts_with("1.") && version.split('.').count() >= 3, "{line}");
    }
}

#[test]
fn missing_gstreamer_elements_are_all_named_at_once_with_their_packages() {
    let directory = directory();
    let (code, stdout, stderr) = run(program(directory.path()).env("GST_PLUGIN_SYSTEM_PATH_1_0", directory.path()));
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    for (element, package) in [
        ("appsrc", "gstreamer1.0-plugins-base"),
        ("aacparse", "gstreamer1.0-plugins-good"),
        ("mpegtsmux", "gstreamer1.0-plugins-bad"),
        ("srtsink", "gstreamer1.0-plugins-bad"),
        ("x264enc", "gstreamer1.0-plugins-ugly"),
        ("voaacenc", "gstreamer1.0-plugins-bad"),
        ("tee", "libgstreamer1.0-0"),
    ] {
        let found = stderr
            .lines()
            .any(|line| line.contains(&format!("element {element} is missing")) && line.contains(package));
        assert!(found, "{element} with {package}: {stderr}");
    }
    assert!(stderr.ends_with("on Debian: apt-get install gstreamer1.0-nice gstreamer1.0-plugins-bad gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly libgstreamer1.0-0\n"), "{stderr}");
}

#[test]
fn a_bad_command_line_is_exit_code_2() {
    for arguments in [&["--bogus"][..], &["--config"], &["stray"]] {
        let (code, stdout, stderr) = run(program(directory().path()).args(arguments));
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
}

/// Certificate and key in PEM.
fn pair() -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    (parameters.self_signed(&key).expect("signed").pem(), key.serialize_pem())
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start_with_one_line() {
    let directory = directory();
    let ((certificate, key), (_, other_key)) = (pair(), pair());
    for (name, text) in
        [("cert.pem", certificate.as_str()), ("key.pem", &key), ("other.pem", &other_key), ("bad.pem", "?")]
    {
        std::fs::write(directory.path().join(name), text).expect("a file");
    }
    for (certificate, key, expected) in [
        ("cert.pem", "other.pem", "https.key = \"other.pem\": is not the key of the certificate in cert.pem"),
        ("bad.pem", "key.pem", "https.certificate = \"bad.pem\": holds no certificate; wanted: PEM"),
        ("cert.pem", "bad.pem", "https.key = \"bad.pem\": holds no private key; wanted: PEM"),
        ("none.pem", "key.pem", "https.certificate = \"none.pem\": cannot be read: No such file or directory"),
        (
            "cert.pem",
            "",
            "environment variable SRT_RESTREAM__HTTPS__CERTIFICATE: https.certificate: given \"cert.pem\", wanted https.key beside it",
        ),
    ] {
        let settings = [("CERTIFICATE", certificate), ("KEY", key), ("LISTEN", "127.0.0.1:0")];
        let variables = settings.map(|(name, value)| (format!("SRT_RESTREAM__HTTPS__{name}"), value));
        let (code, stdout, stderr) = run(program(directory.path()).envs(variables));
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.starts_with(&format!("srt-restream: {expected}")), "{stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
    assert!(!directory.path().join("data").exists(), "nothing was begun");
}

#[test]
fn a_port_in_use_is_named_with_its_key() {
    let directory = directory();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("its address");
    for section in ["HTTP", "HTTPS", "RTMP", "RTSP"] {
        let listen = |other: &str| if other == section { taken.to_string() } else { "127.0.0.1:0".to_owned() };
        let variables = ["HTTP", "HTTPS", "RTMP", "RTSP", "SRT"]
            .map(|name| (format!("SRT_RESTREAM__{name}__LISTEN"), listen(name)));
        let (code, _, stderr) = run(program(directory.path()).envs(variables));
        let key = format!("{}.listen = \"{taken}\" cannot be bound: Address already in use", section.to_lowercase());
        assert!(code == 1 && stderr.contains(&key), "{code} {stderr}");
    }
}

#[test]
fn an_address_for_webrtc_that_this_host_does_not_have_is_named() {
    let directory = directory();
    let listen =
        ["HTTP", "HTTPS", "RTMP", "RTSP", "SRT"].map(|name| (format!("SRT_RESTREAM__{name}__LISTEN"), "127.0.0.1:0"));
    // RFC 5737: for documentation, so nobody's.
    let foreign = ("SRT_RESTREAM__WEBRTC__LOCAL_ADDRESSES", "127.0.0.1,192.0.2.1");
    let (code, _, stderr) = run(program(directory.path()).envs(listen).envs([foreign]));
    assert!(code == 1 && stderr.contains("webrtc.local_addresses: 192.0.2.1 is no address of this host"), "{stderr}");
}
