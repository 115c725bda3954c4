//! The HTTP interface against its own document: schemathesis makes thousands of requests out of it and judges each
//! answer's status, type and shape.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::support::process::Tool;
use super::support::publisher::Publisher;
use super::support::receiver::Receiver;
use super::support::sample::{self, Sample};
use super::support::service::{Options, Service};

/// Installed by `scripts/test` (see `install_schemathesis` in `scripts/lib.sh`).
const SCHEMATHESIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/schemathesis/bin/st");

/// Loads what it needs to know of WHIP and of tests of destinations.
const HOOKS: &str =
    concat!("SCHEMATHESIS_HOOKS=", env!("CARGO_MANIFEST_DIR"), "/tests/it/support/schemathesis_hooks.py");

/// Random requests for each call, behind the systematic ones.
const EXAMPLES_PER_CALL: &str = "60";

/// A run takes about a minute; more is a call that hangs.
const RUN_MAX: Duration = Duration::from_secs(240);

/// The least number of requests that a run makes.
const REQUESTS_MIN: usize = 4_000;

/// Gives parameters of paths values that exist beside ones that don't: random ones would only ever find nothing.
fn with_known_names(mut document: Value, endpoint: &str) -> Value {
    let paths = document["paths"].as_object_mut().expect("paths");
    // An endpoint may be called `test`: its other methods are there without being listed.
    let endpoints = "/{app}/rest/v2/broadcasts/{id}/endpoints";
    let one = paths[&format!("{endpoints}/{{eid}}")].as_object().expect("an item").clone();
    for (method, mut operation) in one {
        operation["parameters"].as_array_mut().expect("parameters").retain(|it| it["name"] != "eid");
        operation["operationId"] = json!(format!("of one called test: {method}"));
        paths[&format!("{endpoints}/test")][method] = operation;
    }
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().expect("an item") {
            // What ends the stream that is live would take it from all others.
            let ends = path.ends_with("/stop") || path.ends_with("/broadcasts/{id}") && method == "delete";
            let ids = if ends { json!(["idle", "nobody"]) } else { json!(["live-one", "idle", "not a name!"]) };
            for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
                let names = match parameter["name"].as_str() {
                    Some("app") => json!(["live", "LiveApp", "nothing"]),
                    Some("id") => ids.clone(),
                    Some("eid") => json!([endpoint, "mine", "not a name!"]),
                    _ => continue,
                };
                parameter["schema"] = json!({ "type": "string", "enum": names });
            }
        }
    }
    document
}

#[test]
fn thousands_of_requests_are_answered_as_the_document_says() {
    assert!(Path::new(SCHEMATHESIS).exists(), "{SCHEMATHESIS} is missing: scripts/test installs it");
    // Nothing that a request names is ever dialled.
    let settings = vec![("DESTINATION__DENY", "0.0.0.0/0,::/0".to_owned())];
    let mut service = Service::start_with(Options { settings, ..Options::default() });
    let _publisher = Publisher::rtmp(&service, "live/live-one", &Sample::of(sample::H264_AAC));
    service.api.wait_live("live/live-one");
    let receiver = Receiver::prepare(None);
    let endpoint = service.api.add_endpoint("live/live-one", &receiver.url());
    service.api.post("/live/rest/v2/broadcasts/create", &json!({ "streamId": "idle" }));
    let (status, document) = service.api.get("/openapi.json");
    assert_eq!(status, 200);
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("openapi.json");
    std::fs::write(&file, with_known_names(document, &endpoint).to_string()).unwrap();

    let url = format!("http://127.0.0.1:{}", service.ports.http);
    let report = directory.path().join("report.txt");
    let output = std::fs::File::create(&report).unwrap();
    let arguments = [
        // It keeps what it found where it runs.
        "--chdir",
        directory.path().to_str().unwrap(),
        HOOKS,
        SCHEMATHESIS,
        "run",
        file.to_str().unwrap(),
        "--url",
        &url,
        // What is refused although its schema allows it, and the other way round, is the handlers' to say.
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method",
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        EXAMPLES_PER_CALL,
        "--exclude-path",
        // Has no end.
        "/{app}/rest/v2/events",
        "--exclude-path",
        "/rest/v2/events",
        "--request-timeout",
        "10",
        "--seed",
        "1",
        "--continue-on-failure",
        "--no-color",
        "--generation-database",
        "none",
    ];
    let mut run = Tool::start("env", arguments, Stdio::null(), output.into());
    let status = run.wait_exit(RUN_MAX);
    let said = std::fs::read_to_string(&report).unwrap();
    assert!(status.success(), "{said}\n{}", run.said());
    // `4919 generated, 4919 passed`
    let generated = |line: &str| line.trim().split_once(" generated")?.0.replace(',', "").parse::<usize>().ok();
    let requests = said.lines().find_map(generated);
    assert!(requests.is_some_and(|requests| requests >= REQUESTS_MIN), "{requests:?} requests:\n{said}");
    service.assert_runs();
}
