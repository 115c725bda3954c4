//! Who may ask, what browsers are told, and the health answers.

use super::*;

#[actix_web::test]
async fn only_listed_peers_may_ask_and_headers_change_nothing() {
    let world = World::new().await;
    for (peer, status) in
        [(LOCAL, 200), ("[::1]:5", 200), ("[::ffff:127.0.0.1]:5", 200), ("192.0.2.1:5", 403), ("[2001:db8::1]:5", 403)]
    {
        let request = request("GET", &format!("{BASE}/count"), peer)
            .insert_header(("X-Forwarded-For", "127.0.0.1"))
            .insert_header(("Forwarded", "for=127.0.0.1"));
        let answer = world.send(request).await;
        assert_eq!(answer.status, status, "{peer}");
        if status == 403 {
            assert_eq!(answer.text, refused("Not allowed IP"));
            assert_eq!(answer.headers.get("Access-Control-Allow-Origin").expect("readable by a script"), "*");
        }
    }
    // Not even whether an application or a path exists is told.
    for path in ["/nope/rest/v2/broadcasts/s", "/live/rest/v2/nope", "/health"] {
        assert_eq!(world.send(request("GET", path, "192.0.2.1:5")).await.status, 403, "{path}");
    }
    for path in ["/health/live", "/health/ready"] {
        assert_ne!(world.send(request("GET", path, "192.0.2.1:5")).await.status, 403, "{path}");
    }
}

#[actix_web::test]
async fn browsers_of_any_origin_are_served() {
    let world = World::new().await;
    let preflight = request("OPTIONS", &format!("{BASE}/s/endpoint"), "192.0.2.1:5")
        .insert_header(("Origin", "https://panel.example.org"))
        .insert_header(("Access-Control-Request-Method", "POST"));
    let answer = world.send(preflight).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, ""));
    for (name, value) in [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", "GET,POST,HEAD,OPTIONS,PUT,DELETE,PATCH"),
        (
            "Access-Control-Allow-Headers",
            "Accept,Origin,X-Requested-With,Access-Control-Request-Method,Access-Control-Request-Headers,Content-Type,Authorization,If-Match,If-None-Match",
        ),
    ] {
        assert_eq!(answer.headers.get(name).expect(name), value);
    }
    let answer = world.get(&format!("{BASE}/unknown")).await;
    assert_eq!((answer.status, answer.text.as_str()), (404, ""));
    assert_eq!(answer.headers.get("Access-Control-Allow-Origin").expect("also on refusals"), "*");
}

#[actix_web::test]
async fn health_says_what_runs_and_where() {
    let world = World::new().await;
    let ready = world.get("/health/ready").await;
    assert_eq!((ready.status, ready.text.as_str()), (503, r#"{"status":"starting"}"#));
    world.state.set_ready(true);
    let ready = world.get("/health/ready").await;
    assert_eq!((ready.status, ready.text.as_str()), (200, r#"{"status":"ok"}"#));

    let _publication = world.publish("s").await;
    world.call("POST", &format!("{BASE}/s/endpoint"), Some(r#"{"endpointUrl":"srt://192.0.2.1"}"#)).await;
    let health = world.get("/health").await;
    let wanted = format!(
        r#"{{"status":"ok","version":"{}","uptime_s":{},"ports":{{"http":5080,"https":5443,"rtmp":1935,"rtsp":8554,"srt":4200}},"streams":1,"endpoints":1}}"#,
        env!("CARGO_PKG_VERSION"),
        health.json()["uptime_s"]
    );
    assert_eq!((health.status, health.text), (200, wanted));

    world.manager.shutdown().await;
    let ready = world.get("/health/ready").await;
    assert_eq!((ready.status, ready.text.as_str()), (503, r#"{"status":"stopping"}"#));
    assert_eq!(world.get("/health/live").await.status, 200, "alive to the last");
    let added = world.call("POST", &format!("{BASE}/s/endpoint"), Some(r#"{"endpointUrl":"srt://192.0.2.2"}"#)).await;
    assert_eq!(added.status, 503, "{}", added.text);
}

#[actix_web::test]
async fn the_version_has_ant_medias_shape() {
    let world = World::new().await;
    let version = world.get("/live/rest/v2/version").await;
    let wanted = format!(
        r#"{{"versionName":"{}","versionType":"Community Edition","buildNumber":{}}}"#,
        env!("CARGO_PKG_VERSION"),
        version.json()["buildNumber"]
    );
    assert_eq!((version.status, version.text), (200, wanted));
}

/// Over real sockets: the server that [`super::super::serve`] makes, with a client that never finishes.
#[actix_web::test]
async fn the_server_answers_beside_silent_connections_and_stops_by_its_handle() {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("address");
    let server = super::super::serve(listener, None, Arc::clone(&world.state)).expect("serves");
    let (handle, running) = (server.handle(), tokio::spawn(server));
    let asked = tokio::task::spawn_blocking(move || {
        let silent: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(address).expect("connects")).collect();
        let mut client = TcpStream::connect(address).expect("connects");
        client.set_read_timeout(Some(std::time::Duration::from_secs(10))).expect("sets");
        // More than the limit, all of it sent: the answer must be readable and not a reset.
        let head = format!(
            "POST {BASE}/s/endpoint HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 200000\r\n\r\n"
        );
        client.write_all(head.as_bytes()).expect("writes");
        client.write_all(&[b' '; 200_000]).expect("writes");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("reads");
        drop(silent);
        answer
    });
    let answer = asked.await.expect("joins");
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.ends_with(&refused("The body is larger than 65536 bytes")),
        "{answer}"
    );
    tokio::time::timeout(std::time::Duration::from_secs(10), handle.stop(true)).await.expect("stops in time");
    running.await.expect("joins").expect("ended well");
}
