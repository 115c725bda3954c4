//! The page as Prometheus reads it, against the document, the dashboard and what may be in a label.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{App, test};

use super::{LOCAL, World, configure, request};

/// Its names, with the type of each.
fn types(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines
        .map(|line| line.split_once(' ').expect("name and type"))
        .map(|(name, kind)| (name.into(), kind.into()))
        .collect()
}

/// Its name, its labels, its value.
type Sample = (String, Vec<(String, String)>, f64);

/// All samples of a page.
fn samples(text: &str) -> Vec<Sample> {
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').expect("closed").split(',').filter(|pair| !pair.is_empty());
        let labels = labels.map(|pair| pair.split_once('=').expect("a label"));
        let labels = labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect();
        (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("{line}")))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

async fn live() -> (World, crate::manager::Publication) {
    let world = World::new().await;
    let publication = world.publish("s").await;
    world.streams.last().set_live();
    let body = r#"{"endpointUrl":"srt://192.0.2.1:9000?passphrase=top-secret-1&streamid=telling"}"#;
    let added = world.call("POST", "/live/rest/v2/broadcasts/s/endpoint", Some(body)).await;
    assert!(added.text.contains("\"success\":true"), "{}", added.text);
    (world, publication)
}

#[actix_web::test]
async fn the_page_is_well_formed_and_tells_nothing_of_addresses() {
    let (world, _publication) = live().await;
    let answer = world.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    assert_eq!(kind, Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = &answer.text;
    assert!(text.ends_with("# EOF\n"));
    for told in ["192.0.2.", "top-secret", "telling", "FMLE"] {
        assert!(!text.contains(told), "{told}: {text}");
    }
    let types = types(text);
    let (mut seen, mut series) = (BTreeSet::new(), BTreeSet::new());
    for (name, labels, _) in samples(text) {
        let family = name.strip_suffix("_total").filter(|name| types.get(*name).is_some_and(|kind| kind == "counter"));
        let family = family.unwrap_or(&name).to_owned();
        assert!(types.contains_key(&family), "{name} has no type");
        assert!(series.insert((name.clone(), labels.clone())), "{name} {labels:?} is there twice");
        for (label, value) in &labels {
            let known = ["app", "stream", "endpoint", "state", "cause", "track", "codec", "transcoded_from", "channel"];
            let build = ["type", "version", "gstreamer", "libsrt"];
            assert!(known.contains(&label.as_str()) || build.contains(&label.as_str()), "{label}={value}");
        }
        seen.insert(family);
    }
    for wanted in ["srt_restream_endpoint_sent_bytes", "srt_restream_stream_received_bytes", "process_cpu_seconds"] {
        assert!(seen.contains(wanted), "{wanted}: {seen:?}");
    }
    let value = |name: &str| samples(text).into_iter().find(|(other, ..)| other == name).map(|(.., value)| value);
    assert_eq!(value("srt_restream_stream_live"), Some(1.0));
    assert_eq!(value("srt_restream_stream_received_bytes_total"), Some(4711.0));
}

#[actix_web::test]
async fn a_counter_does_not_go_back_with_the_next_publication() {
    let (world, publication) = live().await;
    let received = || async {
        let text = world.get("/metrics").await.text;
        let found = samples(&text).into_iter().find(|(name, ..)| name == "srt_restream_stream_received_bytes_total");
        found.map(|(.., value)| value)
    };
    assert_eq!(received().await, Some(4711.0));
    drop(publication);
    let _ = world.call("POST", "/live/rest/v2/broadcasts/s/stop", None).await;
    assert_eq!(received().await, Some(4711.0), "while nobody sends");
    let _publication = world.publish("s").await;
    assert_eq!(received().await, Some(4711.0), "the new one has sent nothing");
    world.streams.last().set_live();
    assert_eq!(received().await, Some(2.0 * 4711.0));
}

#[actix_web::test]
async fn those_who_listen_to_events_are_counted_each() {
    let world = World::new().await;
    let counted = || async {
        let text = world.get("/metrics").await.text;
        let found = samples(&text).into_iter().find(|(name, ..)| name == "srt_restream_event_listeners");
        found.map(|(.., value)| value)
    };
    assert_eq!(counted().await, Some(0.0));
    let state = std::sync::Arc::clone(&world.state);
    let app = test::init_service(App::new().configure(|config| configure(config, state))).await;
    let mut listening = Vec::new();
    for path in ["/live/rest/v2/events", "/live/rest/v2/events", "/rest/v2/events"] {
        let answer = test::call_service(&app, request("GET", path, LOCAL).to_request()).await;
        assert_eq!(answer.status(), 200);
        listening.push(answer);
    }
    assert_eq!(counted().await, Some(3.0));
    listening.truncate(1);
    assert_eq!(counted().await, Some(1.0));
}

#[actix_web::test]
async fn strangers_are_refused() {
    let world = World::new().await;
    let answer = world.send(request("GET", "/metrics", "192.0.2.9:1000")).await;
    assert_eq!(answer.status, 403);
}

fn document(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[actix_web::test]
async fn the_document_lists_what_the_page_has() {
    let (world, _publication) = live().await;
    let text = world.get("/metrics").await.text;
    let page: BTreeSet<(String, String)> = types(&text)
        .into_iter()
        .map(|(name, kind)| if kind == "counter" { (format!("{name}_total"), kind) } else { (name, kind) })
        .collect();
    let table = document("docs/metrics.md");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let listed: BTreeSet<(String, String)> = rows
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .map(|cells| (cells[1].trim_matches('`').to_owned(), cells[2].to_owned()))
        .collect();
    let (missing, gone): (Vec<_>, Vec<_>) = (page.difference(&listed).collect(), listed.difference(&page).collect());
    assert!(missing.is_empty() && gone.is_empty(), "not in docs/metrics.md: {missing:#?}; not on the page: {gone:#?}");
}

#[actix_web::test]
async fn the_dashboard_uses_what_there_is() {
    let (world, _publication) = live().await;
    let types = types(&world.get("/metrics").await.text);
    let names: BTreeSet<String> =
        types.into_iter().map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name }).collect();
    let dashboard: serde_json::Value = serde_json::from_str(&document("docs/grafana-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<&str> = targets.map(|target| target["expr"].as_str().expect("an expression")).collect();
    assert!(expressions.len() >= 12, "{expressions:?}");
    for expression in expressions {
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("srt_restream_") || word.starts_with("process_")) {
            assert!(names.contains(name), "{name} in {expression}");
            // Several services may be there, with streams of the same name.
            assert!(expression.contains(&format!("{name}{{instance=~\"$instance\"")), "{name} of which: {expression}");
        }
        let joins = expression.split(" on").skip(1).map(|join| join.trim_start_matches([' ', '(']));
        joins.for_each(|join| assert!(join.starts_with("instance,"), "joined across services: {expression}"));
    }
}
