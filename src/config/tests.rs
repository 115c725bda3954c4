//! Tables of good and bad configuration.

use std::ffi::OsString;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn from_file(text: &str) -> Result<Settings, ConfigError> {
    parse(Some(("srt-restream.toml", text)), [])
}

fn from_env(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    parse(None, environment(variables))
}

fn lines(result: Result<Settings, ConfigError>) -> Vec<String> {
    result.expect_err("the configuration is bad").problems().iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_given_means_the_documented_defaults() {
    let settings = parse(None, []).expect("defaults");
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.http.listen.to_string(), "0.0.0.0:5080");
    assert_eq!(settings.https.listen.to_string(), "0.0.0.0:5443");
    assert_eq!(settings.https.certificate, None);
    assert_eq!(settings.rtmp.listen.to_string(), "0.0.0.0:1935");
    assert_eq!(settings.rtsp.listen.to_string(), "0.0.0.0:8554");
    assert_eq!(settings.srt.listen.to_string(), "0.0.0.0:4200");
    assert_eq!(settings.srt.latency_ms, 150);
    assert_eq!(settings.srt.default_app.as_str(), "LiveApp");
    assert_eq!(settings.store.url, "sqlite://data/srt-restream.db");
    assert_eq!(settings.apps.iter().map(AppName::as_str).collect::<Vec<_>>(), ["live", "LiveApp"]);
    assert_eq!(settings.rest.allow.iter().map(ToString::to_string).collect::<Vec<_>>(), ["127.0.0.0/8", "::1/128"]);
}

#[test]
fn every_key_is_read_from_a_file_and_from_the_environment() {
    let file = r#"
        apps = ["sport"]
        [http]
        listen = "127.0.0.1:1"
        [rtmp]
        listen = "[::1]:2"
        [rtsp]
        listen = "127.0.0.1:5"
        tls_listen = "127.0.0.1:6"
        udp_ports = "3000-3999"
        jitter_ms = 60
        [srt]
        listen = "127.0.0.1:3"
        latency_ms = 4_000
        default_app = "sport"
        allow_missing_stream_id = false
        [https]
        listen = "127.0.0.1:4"
        certificate = "a/cert.pem"
        key = "a/key.pem"
        [webrtc]
        stun_server = "stun:s"
        turn_server = "turn:u:p@t"
        udp_ports = "1024-2048"
        local_addresses = ["127.0.0.1"]
        public_address = "192.0.2.8"
        ice_tcp = true
        key_frame_interval_ms = 1000
        jitter_ms = 50
        max_video_bitrate_kbps = 2500
        sessions_max = 7
        connect_timeout_ms = 5000
        silence_timeout_ms = 6000
        [store]
        url = "sqlite:///tmp/x.db"
        [metrics]
        allow = ["192.0.2.8"]
        [rest]
        allow = ["10.0.0.0/8", "192.0.2.7"]
        origins = ["https://dash.example.org"]
        [stream]
        dead_publisher_ms = 600
        idle_timeout_ms = 7000
        hold_ms = 0
        audio_level = false
        [endpoint]
        retry_min_ms = 800
        retry_max_ms = 9000
        delivery_window_ms = 2000
        udp_ports = 10
        [pull]
        connect_timeout_ms = 4000
        silence_timeout_ms = 3000
        retry_min_ms = 200
        retry_max_ms = 5000
        refused_wait_ms = 90000
        rtsp_transport = "tcp"
        rtsp_latency_ms = 100
        verify_tls = false
        [destination]
        deny = ["169.254.0.0/16"]
        [webhook]
        url = "https://h/x"
        secret = "0123456789abcdef"
        content_type = "application/x-www-form-urlencoded"
        [log]
        filter = "info,srt_restream::ingest=debug"
        format = "json"
    "#;
    let variables = [
        ("SRT_RESTREAM__APPS", "[\"sport\"]"),
        ("SRT_RESTREAM__HTTP__LISTEN", "127.0.0.1:1"),
        ("SRT_RESTREAM__RTMP__LISTEN", "[::1]:2"),
        ("SRT_RESTREAM__RTSP__LISTEN", "127.0.0.1:5"),
        ("SRT_RESTREAM__RTSP__TLS_LISTEN", "127.0.0.1:6"),
        ("SRT_RESTREAM__RTSP__UDP_PORTS", "3000-3999"),
        ("SRT_RESTREAM__RTSP__JITTER_MS", "60"),
        ("SRT_RESTREAM__SRT__LISTEN", "127.0.0.1:3"),
        ("SRT_RESTREAM__SRT__LATENCY_MS", "4_000"),
        ("SRT_RESTREAM__SRT__DEFAULT_APP", "sport"),
        ("SRT_RESTREAM__SRT__ALLOW_MISSING_STREAM_ID", "false"),
        ("SRT_RESTREAM__HTTPS__LISTEN", "127.0.0.1:4"),
        ("SRT_RESTREAM__HTTPS__CERTIFICATE", "a/cert.pem"),
        ("SRT_RESTREAM__HTTPS__KEY", "a/key.pem"),
        ("SRT_RESTREAM__WEBRTC__STUN_SERVER", "stun://s:3478"),
        ("SRT_RESTREAM__WEBRTC__TURN_SERVER", "turn://u:p@t:3478"),
        ("SRT_RESTREAM__WEBRTC__UDP_PORTS", "1024-2048"),
        ("SRT_RESTREAM__WEBRTC__LOCAL_ADDRESSES", "127.0.0.1"),
        ("SRT_RESTREAM__WEBRTC__PUBLIC_ADDRESS", "192.0.2.8"),
        ("SRT_RESTREAM__WEBRTC__ICE_TCP", "true"),
        ("SRT_RESTREAM__WEBRTC__KEY_FRAME_INTERVAL_MS", "1000"),
        ("SRT_RESTREAM__WEBRTC__JITTER_MS", "50"),
        ("SRT_RESTREAM__WEBRTC__MAX_VIDEO_BITRATE_KBPS", "2500"),
        ("SRT_RESTREAM__WEBRTC__SESSIONS_MAX", "7"),
        ("SRT_RESTREAM__WEBRTC__CONNECT_TIMEOUT_MS", "5000"),
        ("SRT_RESTREAM__WEBRTC__SILENCE_TIMEOUT_MS", "6000"),
        ("SRT_RESTREAM__STORE__URL", "sqlite:///tmp/x.db"),
        ("SRT_RESTREAM__REST__ALLOW", "10.0.0.0/8, 192.0.2.7"),
        ("SRT_RESTREAM__REST__ORIGINS", "https://dash.example.org"),
        ("SRT_RESTREAM__METRICS__ALLOW", "192.0.2.8"),
        ("SRT_RESTREAM__STREAM__DEAD_PUBLISHER_MS", "600"),
        ("SRT_RESTREAM__STREAM__IDLE_TIMEOUT_MS", "7000"),
        ("SRT_RESTREAM__STREAM__HOLD_MS", "0"),
        ("SRT_RESTREAM__STREAM__AUDIO_LEVEL", "false"),
        ("SRT_RESTREAM__ENDPOINT__RETRY_MIN_MS", "800"),
        ("SRT_RESTREAM__ENDPOINT__RETRY_MAX_MS", "9000"),
        ("SRT_RESTREAM__ENDPOINT__DELIVERY_WINDOW_MS", "2000"),
        ("SRT_RESTREAM__ENDPOINT__UDP_PORTS", "10"),
        ("SRT_RESTREAM__PULL__CONNECT_TIMEOUT_MS", "4000"),
        ("SRT_RESTREAM__PULL__SILENCE_TIMEOUT_MS", "3000"),
        ("SRT_RESTREAM__PULL__RETRY_MIN_MS", "200"),
        ("SRT_RESTREAM__PULL__RETRY_MAX_MS", "5000"),
        ("SRT_RESTREAM__PULL__REFUSED_WAIT_MS", "90000"),
        ("SRT_RESTREAM__PULL__RTSP_TRANSPORT", "tcp"),
        ("SRT_RESTREAM__PULL__RTSP_LATENCY_MS", "100"),
        ("SRT_RESTREAM__PULL__VERIFY_TLS", "false"),
        ("SRT_RESTREAM__DESTINATION__DENY", "169.254.0.0/16"),
        ("SRT_RESTREAM__WEBHOOK__URL", "https://h/x"),
        ("SRT_RESTREAM__WEBHOOK__SECRET", "0123456789abcdef"),
        ("SRT_RESTREAM__WEBHOOK__CONTENT_TYPE", "application/x-www-form-urlencoded"),
        ("SRT_RESTREAM__LOG__FILTER", "info,srt_restream::ingest=debug"),
        ("SRT_RESTREAM__LOG__FORMAT", "json"),
    ];
    let by_file = from_file(file).expect("every key of the file is good");
    assert_eq!(by_file, from_env(&variables).expect("every variable is good"));
    assert_eq!(by_file.rest.allow[1].to_string(), "192.0.2.7/32");

    // Each differs from its default, so none of the assertions above passes by leaving a key out.
    let changed = toml::Table::try_from(&by_file).expect("TOML");
    let default = toml::Table::try_from(Settings::default()).expect("TOML");
    for (section, values) in &default {
        match values {
            toml::Value::Table(keys) => {
                for (key, value) in keys {
                    assert_ne!(&changed[section][key], value, "{section}.{key}");
                }
            }
            value => assert_ne!(&changed[section], value, "{section}"),
        }
    }
}

#[test]
fn the_environment_is_stronger_than_the_file() {
    let settings = parse(
        Some(("a.toml", "[srt]\nlatency_ms = 200\nlisten = \"127.0.0.1:9\"")),
        environment(&[
            ("SRT_RESTREAM__SRT__LATENCY_MS", "300"),
            ("SRT_RESTREAM_SERVICE_HOST", "10.0.0.1"),
            ("HOME", "/"),
        ]),
    )
    .expect("good");
    assert_eq!(settings.srt.latency_ms, 300);
    assert_eq!(settings.srt.listen.to_string(), "127.0.0.1:9");
}

#[test]
fn rust_log_stands_between_the_file_and_our_own_variable() {
    let file = Some(("a.toml", "[log]\nfilter = \"warn\""));
    let filter = |variables| parse(file, environment(variables)).expect("good").log.filter;
    assert_eq!(filter(&[("RUST_LOG", "debug")]), "debug");
    assert_eq!(filter(&[("RUST_LOG", "")]), "warn");
    assert_eq!(filter(&[("SRT_RESTREAM__LOG__FILTER", "trace"), ("RUST_LOG", "debug")]), "trace");
    assert_eq!(
        lines(from_env(&[("RUST_LOG", "a=b=c")])).len(),
        1,
        "a bad RUST_LOG is reported as any other source of log.filter"
    );
}

#[test]
fn the_default_application_follows_the_list() {
    for (apps, default_app) in [("live,LiveApp", "LiveApp"), ("LiveApp", "LiveApp"), ("b,a", "b"), ("[\"x\"]", "x")] {
        let settings = from_env(&[("SRT_RESTREAM__APPS", apps)]).expect("good");
        assert_eq!(settings.srt.default_app.as_str(), default_app, "{apps}");
    }
}

#[test]
fn a_bad_value_is_one_line_with_source_key_given_and_wanted() {
    let table: [(&str, &str, &str); 39] = [
        ("[srt]\nlatency_ms = 5", ":2: srt.latency_ms: given 5,", "a whole number of milliseconds from 20 to 60000"),
        ("[srt]\nlatency_ms = 60001", ":2: srt.latency_ms: given 60001,", "from 20 to 60000"),
        ("[srt]\n\nlatency_ms = \"fast\"", ":3: srt.latency_ms: given \"fast\",", "a whole number"),
        ("[srt]\nlatency_ms = \"150\"", ":2: srt.latency_ms: given \"150\",", "a whole number"),
        ("[srt]\nlatency_ms = 1.5", ":2: srt.latency_ms: given 1.5,", "a whole number"),
        ("[srt]\nlatency_ms = -1", ":2: srt.latency_ms: given -1,", "a whole number"),
        (
            "[srt]\nlatency_ms = 99999999999999999999",
            ":2: srt.latency_ms: given 99999999999999999999,",
            "a whole number",
        ),
        ("srt = 5", ":1: srt: given 5,", "wanted a section [srt] with listen, latency_ms"),
        ("[[srt]]\nlisten = \"x\"", ":1: srt: given [a table],", "wanted a section [srt]"),
        ("[srt]\nlisten = 4200", ":2: srt.listen: given 4200,", "an IP address and a port such as \"0.0.0.0:4200\""),
        ("[srt]\nlisten = \"4200\"", ":2: srt.listen: given \"4200\",", "\"[::]:4200\""),
        ("[srt]\nlisten = \"0.0.0.0:65536\"", ":2: srt.listen: given \"0.0.0.0:65536\",", "an IP address"),
        ("[http]\nlisten = \"host:80\"", ":2: http.listen: given \"host:80\",", "an IP address"),
        ("[http]\nlisten = \"a\\nb\"", ":2: http.listen: given \"a\\nb\",", "an IP address"),
        ("[rtmp]\nlisten = \"\"", ":2: rtmp.listen: given \"\",", "an IP address"),
        (
            "[rtmp]\nlisten = \"0.0.0.0:5080\"",
            ":2: rtmp.listen: given",
            "an address that http.listen (0.0.0.0:5080) does not take",
        ),
        (
            "[http]\nlisten = \"[::]:1935\"",
            ":2: http.listen: given",
            "an address that rtmp.listen (0.0.0.0:1935) does not take",
        ),
        (
            "[srt]\nallow_missing_stream_id = \"yes\"",
            ":2: srt.allow_missing_stream_id: given \"yes\",",
            "true or false",
        ),
        ("[srt]\ndefault_app = \"x\"", ":2: srt.default_app: given \"x\",", "one of apps (live, LiveApp)"),
        ("[srt]\ndefault_app = \"a b\"", ":2: srt.default_app: given \"a b\",", "it holds ' '"),
        ("apps = []", ":1: apps: given [],", "it is empty"),
        ("apps = \"live\"", ":1: apps: given \"live\",", "a list of one or more different names"),
        ("apps = [\"a\", \"b\", \"a\"]", ":1: apps: given [\"a\", \"b\", \"a\"],", "\"a\" is there twice"),
        ("apps = [\"a/b\"]", ":1: apps: given [\"a/b\"],", "\"a/b\" holds '/'"),
        ("apps = [\"a\", 7]", ":1: apps: given [\"a\", 7],", "7 is not a string"),
        ("apps = [\"\"]", ":1: apps: given [\"\"],", "\"\" is empty"),
        ("[store]\nurl = \"data.db\"", ":2: store.url: given \"data.db\",", "\"sqlite://PATH\""),
        ("[store]\nurl = \"sqlite://\"", ":2: store.url: given \"sqlite://\",", "the path is missing"),
        ("[store]\nurl = \"sqlite://?mode=ro\"", ":2: store.url: given", "the path is missing"),
        ("[rest]\nallow = [\"10.0.0.0/33\"]", ":2: rest.allow: given [\"10.0.0.0/33\"],", "\"10.0.0.0/33\" is none"),
        (
            "[rest]\norigins = [\"dash.example.org\"]",
            ":2: rest.origins: given [\"dash.example.org\"],",
            "\"dash.example.org\" is none",
        ),
        ("[rest]\nallow = \"all\"", ":2: rest.allow: given \"all\",", "a list of networks"),
        (
            "[endpoint]\nretry_min_ms = 60000",
            ":2: endpoint.retry_min_ms: given 60000,",
            "at most endpoint.retry_max_ms, which is 30000",
        ),
        (
            "[endpoint]\nretry_max_ms = 999",
            ":2: endpoint.retry_max_ms: given 999,",
            "at least endpoint.retry_min_ms, which is 1000",
        ),
        ("[endpoint]\nudp_ports = 65", ":2: endpoint.udp_ports: given 65,", "a whole number of ports from 0 to 64"),
        (
            "[stream]\nidle_timeout_ms = 4000",
            ":2: stream.idle_timeout_ms: given 4000,",
            "at least stream.dead_publisher_ms, which is 5000",
        ),
        ("[log]\nformat = \"xml\"", ":2: log.format: given \"xml\",", "\"text\" or \"json\""),
        ("[log]\nfilter = \"inof\"", ":2: log.filter: given \"inof\",", "did you mean \"info\"?"),
        ("[log]\nfilter = \"a=loud\"", ":2: log.filter: given \"a=loud\",", "a log filter such as"),
    ];
    for (text, start, wanted) in table {
        let lines = lines(from_file(text));
        let [line] = lines.as_slice() else { panic!("{text:?} is one problem, not {lines:?}") };
        assert!(line.starts_with(&format!("srt-restream.toml{start}")), "{text:?}: {line}");
        assert!(line.contains(wanted), "{text:?}: {line}");
        assert!(!line.contains('\n'), "{line:?}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_likely_one() {
    let table = [
        (
            "[srt]\nlatency = 150",
            "srt-restream.toml:2: srt.latency: there is no such key; did you mean srt.latency_ms?",
        ),
        (
            "[srt]\nLISTEN = 1",
            "srt-restream.toml:2: srt.LISTEN: there is no such key; [srt] has listen, latency_ms, default_app, allow_missing_stream_id",
        ),
        ("app = [\"a\"]", "srt-restream.toml:1: app: there is no such key; did you mean apps?"),
        ("[apps]\nlive = 1", "srt-restream.toml:2: apps.live: there is no such key; apps is a value, not a section"),
        ("[whep]", "srt-restream.toml:1: whep: there is no such key; the keys are apps, http.listen,"),
        (
            "[srt.listen.port]\na = 1",
            "srt-restream.toml:2: srt.listen.port.a: there is no such key; srt.listen is a value, not a section",
        ),
    ];
    for (text, start) in table {
        let lines = lines(from_file(text));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(start), "{text:?}: {}", lines[0]);
    }
    assert!(from_file("[srt]\n[http]\n").is_ok(), "empty sections are fine");
}

#[test]
fn bad_environment_variables_are_named() {
    let table = [
        ("SRT_RESTREAM__SRT__LATENCY_MS", "fast", "srt.latency_ms: given \"fast\", wanted a whole number"),
        ("SRT_RESTREAM__SRT__LATENCY_MS", "", "srt.latency_ms: given \"\", wanted a whole number"),
        ("SRT_RESTREAM__SRT__LATENCY", "1", "srt.latency: there is no such key; did you mean srt.latency_ms?"),
        ("SRT_RESTREAM__SRT_LISTEN", "x", "srt_listen: there is no such key; did you mean srt.listen?"),
        (
            "SRT_RESTREAM__srt__listen",
            "x",
            "srt.listen: there is no such key; names are in capitals: SRT_RESTREAM__SRT__LISTEN",
        ),
        ("SRT_RESTREAM__APPS", "", "apps: given \"\", wanted a list"),
        ("SRT_RESTREAM__APPS", "a,,a", "apps: given \"a,,a\", wanted a list"),
        ("SRT_RESTREAM__APPS", "[\"a\"", "apps: given \"[\\\"a\\\"\", wanted a list"),
        ("SRT_RESTREAM__SRT", "x", "srt: given \"x\", wanted a section [srt]"),
        ("SRT_RESTREAM__", "x", ": there is no such key; the keys are"),
    ];
    for (name, value, expected) in table {
        let lines = lines(from_env(&[(name, value)]));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let start = format!("environment variable {name}: {expected}");
        assert!(lines[0].starts_with(&start), "{}", lines[0]);
    }
}

#[test]
fn all_problems_are_reported_at_once_and_none_twice() {
    let file = "apps = []\n[srt]\nlatency_ms = 1\ndefault_app = \"x\"\n[endpoint]\nretry_min_ms = 0\nretry_max_ms = 100\ncolour = 3";
    let lines = lines(parse(Some(("f", file)), environment(&[("SRT_RESTREAM__HTTP__LISTEN", "no")])));
    let keys: Vec<_> = lines.iter().map(|line| line.split(": ").nth(1).unwrap_or_default()).collect();
    assert_eq!(keys, ["apps", "http.listen", "srt.latency_ms", "endpoint.retry_min_ms", "endpoint.colour"]);
}

#[test]
fn broken_toml_is_one_line_with_its_place() {
    for (text, start) in [
        ("[srt\nlisten = 1", "f:1: is not valid TOML: "),
        ("a = 1\nb = = 2", "f:2: is not valid TOML: "),
        ("[srt]\nlatency_ms = 1\nlatency_ms = 2", "f:3: is not valid TOML: "),
        ("a = \"unclosed", "f:1: is not valid TOML: "),
    ] {
        let lines = lines(parse(Some(("f", text)), []));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(start) && lines[0].len() > start.len(), "{}", lines[0]);
        assert!(!lines[0].contains('\n'), "{:?}", lines[0]);
    }
}

#[test]
fn no_error_shows_a_secret() {
    for (name, value) in [
        ("SRT_RESTREAM__STORE__URL", "postgres://me:hunter2@db/x?password=hunter2"),
        ("SRT_RESTREAM__STORE__PASSWORD", "hunter2"),
        ("SRT_RESTREAM__PASSPHRASE", "hunter2"),
    ] {
        let line = lines(from_env(&[(name, value)])).join("\n");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn a_long_value_is_cut() {
    let line = lines(from_env(&[("SRT_RESTREAM__HTTP__LISTEN", &"x".repeat(10_000))])).join("\n");
    assert!(line.chars().count() < 400, "{} characters", line.chars().count());
}

#[test]
fn printed_settings_are_read_back_as_they_were() {
    for settings in [
        Settings::default(),
        from_env(&[
            ("SRT_RESTREAM__APPS", "x"),
            ("SRT_RESTREAM__LOG__FORMAT", "json"),
            ("SRT_RESTREAM__REST__ALLOW", "[]"),
        ])
        .expect("good"),
    ] {
        let text = settings.to_redacted_toml();
        assert_eq!(from_file(&text), Ok(settings), "{text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("none.toml");
    let binary = directory.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).expect("a file");
    for (path, reason) in [
        (missing.as_path(), "No such file"),
        (directory.path(), "Is a directory"),
        (binary.as_path(), "not UTF-8"),
        (Path::new("/dev/zero"), "larger than 1048576 bytes"),
    ] {
        let line = load(Some(path)).expect_err("unreadable").to_string();
        assert!(line.starts_with(&format!("{}: cannot be read: ", path.display())), "{line}");
        assert!(line.contains(reason), "{line}");
    }
}
