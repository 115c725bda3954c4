//! The project's own scripts and flake do what they say.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Seconds a launch text runs; a test source gives 25 pictures in each.
const LAUNCH_SECONDS: u32 = 2;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(program: impl AsRef<Path>, arguments: &[&str]) -> (bool, String) {
    let path = root().join(program.as_ref());
    let output = Command::new(&path).args(arguments).env_remove("G_DEBUG").env_remove("GST_DEBUG").output();
    let Output { status, stdout, stderr } = output.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

fn launch_names() -> Vec<String> {
    let (ok, names) = run("scripts/gst-debug", &[]);
    assert!(ok, "{names}");
    names.lines().map(str::to_owned).collect()
}

#[test]
fn the_document_of_endpoint_urls_holds_the_table_that_the_parser_works_by() {
    let document = std::fs::read_to_string(root().join("docs/endpoint-url.md")).expect("readable");
    let table = srt_restream::model::srt_url::options_markdown();
    assert!(document.ends_with(&table), "docs/endpoint-url.md must end with:\n{table}");
}

#[test]
fn every_output_of_the_flake_evaluates() {
    let (ok, text) = run("tests/nix-stub/check", &[]);
    assert!(ok, "{text}");
}

#[test]
fn the_scripts_are_clean_to_shellcheck() {
    let is_shell = |path: &PathBuf| {
        std::fs::read_to_string(path).is_ok_and(|text| {
            text.lines().next().is_some_and(|first| first.contains("bash") || first.contains("shellcheck"))
        })
    };
    let scripts: Vec<PathBuf> = std::fs::read_dir(root().join("scripts"))
        .expect("scripts/")
        .map(|entry| entry.expect("an entry").path())
        .chain([root().join(".ci/run"), root().join("tests/nix-stub/check")])
        .filter(is_shell)
        .collect();
    assert!(scripts.len() >= 7, "{scripts:?}");
    let output = Command::new("shellcheck").current_dir(root()).arg("-x").args(&scripts).output().expect("shellcheck");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn each_launch_text_runs_by_hand_and_data_comes_through() {
    for name in launch_names() {
        if name == "ingest-webrtc" {
            let (ok, text) = run("scripts/gst-debug", &[&name, "--seconds", "1"]);
            assert!(!ok && text.contains("it needs a browser"), "{text}");
            continue;
        }
        if name.starts_with("pull-") && name != "pull-test" {
            // They need a server; tests/it pulls from real ones.
            let (ok, text) = run("scripts/gst-debug", &[&name, "--print"]);
            assert!(ok && text.contains("src"), "{text}");
            continue;
        }
        let receiver = (name == "endpoint").then(|| Receiver::start(LAUNCH_SECONDS));
        let uri = receiver.as_ref().map(|receiver| format!("uri=srt://127.0.0.1:{}", receiver.port));
        let seconds = (LAUNCH_SECONDS * if receiver.is_some() { 3 } else { 1 }).to_string();
        let mut arguments = vec![name.as_str(), "--seconds", &seconds];
        arguments.extend(uri.as_deref());
        let (ok, text) = run("scripts/gst-debug", &arguments);
        if let Some(receiver) = receiver {
            // It may end with an error when the receiver has seen enough and hangs up.
            let summary = receiver.finish();
            assert_eq!(summary["continuity_errors"], 0, "{summary}");
            assert_eq!(summary["key_frame_first"], true, "{summary}");
            assert_eq!(summary["tracks"].as_array().map(Vec::len), Some(2), "{summary}");
        } else {
            // Stills come once a second.
            let least = if name.starts_with("preview-") { 1 } else { 20 };
            let enough = |text: &str| text.matches("last-message = chain").count() >= least;
            assert!(ok, "{name}: {text}");
            if !enough(&text) {
                // A machine that has no time for an encoder gets more of it.
                let (ok, text) = run("scripts/gst-debug", &[&name, "--seconds", &(10 * LAUNCH_SECONDS).to_string()]);
                assert!(ok && enough(&text), "{name}: fewer than {least} buffers came through\n{text}");
            }
        }
    }
}

/// `scripts/watch` on a free port.
struct Receiver {
    port: u16,
    child: std::process::Child,
}

impl Receiver {
    fn start(seconds: u32) -> Self {
        let port = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
        let child = Command::new(root().join("scripts/watch"))
            .args([&port.to_string(), "--json", "--wait", "20", "--seconds", &seconds.to_string()])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("scripts/watch");
        wait_until_bound(port);
        Self { port, child }
    }

    fn finish(self) -> serde_json::Value {
        let output = self.child.wait_with_output().expect("scripts/watch ends");
        serde_json::from_slice(&output.stdout).expect("its summary")
    }
}

/// Waits until somebody has bound a UDP port, as the kernel lists it.
fn wait_until_bound(port: u16) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let wanted = format!(":{port:04X} ");
    while std::time::Instant::now() < deadline {
        let lists = ["/proc/net/udp", "/proc/net/udp6"].map(|list| std::fs::read_to_string(list).unwrap_or_default());
        if lists.iter().any(|list| list.contains(&wanted)) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("nobody has bound UDP port {port}");
}

#[test]
fn a_property_given_by_hand_takes_the_place_of_the_files_own() {
    let (ok, text) = run(
        "scripts/gst-debug",
        &["endpoint", "--print", "uri=srt://h:1?latency=9", "mux.latency=5", "sink.sync=true"],
    );
    assert!(ok, "{text}");
    for wanted in ["uri=\"srt://h:1?latency=9\"", "latency=\"5\"", "sync=\"true\""] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    for replaced in ["srt://127.0.0.1:4200", "latency=10000000000", " sync=false"] {
        assert!(!text.contains(replaced), "{replaced}: {text}");
    }
    for (arguments, error) in [
        (&["nothing"][..], "there is no pipelines/nothing.launch"),
        (&["endpoint", "colour=3"], "colour: endpoint.launch has no such element or property"),
        (&["endpoint", "nobody.sync=true"], "nobody.sync: endpoint.launch has no such element or property"),
        (&["endpoint", "video=av2"], "given av2, wanted h264"),
    ] {
        let (ok, text) = run("scripts/gst-debug", arguments);
        assert!(!ok && text.contains(error), "{arguments:?}: {text}");
    }
}

#[test]
fn what_is_published_is_what_watch_measures() {
    let receiver = Receiver::start(5);
    let port = receiver.port.to_string();
    run("scripts/publish", &["--srt", "--port", &port, "--seconds", "9", "--size", "320x180", "--bitrate", "500"]);
    let summary = receiver.finish();
    assert_eq!(summary["continuity_errors"], 0, "{summary}");
    assert_eq!(summary["key_frame_first"], true, "{summary}");
    assert_eq!(summary["first"][0], "pat", "{summary}");
    // Flash and beep begin together in the source; ffmpeg's encoders keep that to a fraction of a frame.
    let offset = summary["av_offset_ms"].as_f64().expect("flashes and beeps were found");
    assert!(offset.abs() < 5.0, "{summary}");
    assert!(summary["av_offset_samples"].as_u64() >= Some(2), "{summary}");
}

#[test]
fn watch_tells_what_is_wrong_with_a_stream() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let ffmpeg = |arguments: &[&str]| {
        let output =
            Command::new("ffmpeg").args(["-loglevel", "error", "-y"]).args(arguments).output().expect("ffmpeg");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let watch = |name: &str| {
        let (ok, text) = run("scripts/watch", &["--json", &file(name)]);
        (ok, serde_json::from_str::<serde_json::Value>(text.lines().next().unwrap_or_default()).expect(&text))
    };
    let (good, late, torn) = (file("good.ts"), file("late.ts"), file("torn.ts"));
    let flash = "testsrc2=size=320x180:rate=25,drawbox=w=iw/8:h=ih/8:color=black:t=fill,\
                 drawbox=w=iw/8:h=ih/8:color=white:t=fill:enable='lt(mod(t,1),0.2)',format=yuv420p";
    let beep = "aevalsrc=0.5*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,0.2):sample_rate=48000";
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac", "-t", "6"];
    let inputs = ["-f", "lavfi", "-i", flash, "-f", "lavfi", "-i", beep];
    ffmpeg(&[&inputs[..], &codecs[..], &[&good]].concat());
    ffmpeg(&["-i", &good, "-itsoffset", "0.12", "-i", &good, "-map", "0:v", "-map", "1:a", "-c", "copy", &late]);
    // A thousand packets cut out of the middle.
    let bytes = std::fs::read(&good).expect("good.ts");
    let middle = bytes.len() / 2 / 188 * 188;
    std::fs::write(&torn, [&bytes[..middle], &bytes[middle + 188 * 1000..]].concat()).expect("torn.ts");

    let (ok, summary) = watch("good.ts");
    assert!(ok && summary["av_offset_ms"].as_f64().is_some_and(|offset| offset.abs() < 5.0), "{summary}");
    // 120 ms, and the 1024 samples that AAC begins before the picture: ffmpeg starts both inputs at zero.
    let late_ms = 120.0 + 1024.0 / 48.0;
    let (_, summary) = watch("late.ts");
    assert!(summary["av_offset_ms"].as_f64().is_some_and(|offset| (offset - late_ms).abs() < 2.0), "{summary}");
    let (ok, summary) = watch("torn.ts");
    assert!(!ok && summary["continuity_errors"].as_u64() >= Some(1), "{summary}");
}

#[test]
fn the_soak_sees_a_picture_that_follows_a_lost_one_and_one_that_is_torn() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("good.ts").to_str().expect("UTF-8").to_owned();
    let input = ["-loglevel", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25", "-t", "4"];
    let codec = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "25", "-pix_fmt", "yuv420p", &path];
    assert!(Command::new("ffmpeg").args(input).args(codec).status().expect("ffmpeg").success());
    let script = r#"
import json, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import pictures
groups = pictures.groups(pictures.units(sys.argv[2], lambda _: 0.0))
def judged(group):
    return [len(pictures.without_reference(group)), bool(pictures.complaints(group))]
good, lost, torn = groups[0], groups[1][:10] + groups[1][11:], groups[2]
torn[12].data = torn[12].data[:len(torn[12].data) // 2]
print(json.dumps([len(groups), judged(good), judged(lost), judged(torn)[1]]))
"#;
    let benches = root().join("benches");
    let output = Command::new("python3").args(["-c", script]).arg(benches).arg(&path).output().expect("python3");
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.trim(), "[4, [0, false], [14, false], true]", "{error}");
}

/// Sources `scripts/lib.sh` with these programs in place of the real ones, and runs `script`.
fn with_fake_programs(programs: &[(&str, &str)], script: &str) -> (bool, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    for (name, body) in programs {
        let path = directory.path().join(name);
        std::fs::write(&path, format!("#!/bin/bash\n{body}\n")).expect("a program");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    }
    let output = Command::new("/bin/bash")
        .args(["-euo", "pipefail", "-c", &format!(". {}/scripts/lib.sh; {script}", root().display())])
        .env("PATH", format!("{}:/usr/bin:/bin", directory.path().display()))
        .env("CARGO_HOME", directory.path())
        .output()
        .expect("bash");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn only_missing_packages_are_installed_and_the_reason_is_said() {
    let dpkg = ("dpkg-query", "[[ ${!#} == there ]] && echo installed");
    let apt = ("apt-get", "echo \"APT $*\"");
    let id = ("id", "echo 0");
    let (ok, text) = with_fake_programs(&[dpkg, apt, id], "install_packages 'there: why not' 'gone: to test this'");
    assert!(ok, "{text}");
    for wanted in
        ["missing Debian package gone: to test this", "APT update", "APT install -q -y --no-install-recommends gone\n"]
    {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("why not"), "{text}");

    let (ok, text) = with_fake_programs(&[dpkg, apt, id], "install_packages 'there: why not'");
    assert!(ok && text.is_empty(), "nothing is done when nothing is missing: {text}");

    let (ok, text) =
        with_fake_programs(&[dpkg, ("apt-get", "exit 100"), id], "install_packages 'gone: x'; echo went on");
    assert!(!ok && !text.contains("went on"), "{text}");
}

#[test]
fn a_missing_or_old_rust_is_said_with_what_is_wanted() {
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    let rustc = |version: &'static str| ("rustc", version);
    let cargo = ("cargo", "exit 0");
    let (ok, text) = with_fake_programs(&[cargo, rustc("echo rustc 1.63.0")], "require_rust; echo went on");
    assert!(!ok && text.contains(&format!("rustc is 1.63.0, but {wanted} or newer is needed")), "{text}");
    for new in
        ["echo rustc 1.99.0", "echo rustc 2.0.0-nightly", concat!("echo rustc ", env!("CARGO_PKG_RUST_VERSION"), ".0")]
    {
        let (ok, text) = with_fake_programs(&[cargo, rustc(new)], "require_rust; echo went on");
        assert!(ok && text == "went on\n", "{new}: {text}");
    }
    let (ok, text) = with_fake_programs(&[], "command() { return 1; }; require_rust");
    assert!(!ok && text.contains("cargo and rustc are missing") && text.contains(wanted), "{text}");
}
