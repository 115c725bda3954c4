//! Broadcasts: the whole object as text, every documented message.

use super::*;

/// Ant Media's Broadcast as it is after `create`, with the date left open.
fn fresh(id: &str, date: i64) -> String {
    let text = r#"{"streamId":"ID","status":"created","playListStatus":null,"type":"liveStream","publishType":null,
"name":null,"description":null,"publish":true,"date":DATE,"plannedStartDate":0,"plannedEndDate":0,"duration":0,
"endPointList":null,"playListItemList":null,"publicStream":true,"is360":false,"listenerHookURL":null,
"category":null,"ipAddr":null,"username":null,"password":null,"quality":null,"speed":0.0,"streamUrl":null,
"originAdress":"stream.example.org","mp4Enabled":0,"webMEnabled":0,"seekTimeInMs":0,"subtracksLimit":-1,
"expireDurationMS":0,"rtmpURL":"rtmp://stream.example.org/live/ID","zombi":false,"pendingPacketSize":0,
"hlsViewerCount":0,"dashViewerCount":0,"webRTCViewerCount":0,"rtmpViewerCount":0,"startTime":0,
"receivedBytes":0,"bitrate":0,"width":0,"height":0,"encoderQueueSize":0,"dropPacketCountInIngestion":0,
"dropFrameCountInEncoding":0,"packetLostRatio":0.0,"packetsLost":0,"jitterMs":0,"rttMs":0,"userAgent":"N/A",
"remoteIp":null,"latitude":null,"longitude":null,"altitude":null,"mainTrackStreamId":null,
"absoluteStartTimeMs":0,"webRTCViewerLimit":-1,"hlsViewerLimit":-1,"dashViewerLimit":-1,"subFolder":null,
"currentPlayIndex":0,"metaData":null,"playlistLoopEnabled":true,"updateTime":0,"role":null,
"hlsParameters":null,"autoStartStopEnabled":false,"encoderSettingsList":null,"virtual":false,"maxIdleTime":0,
"anyoneWatching":false}"#;
    text.replace('\n', "").replace("ID", id).replace("DATE", &date.to_string())
}

async fn create(world: &World, body: &str) -> Answer {
    world.call("POST", &format!("{BASE}/create"), Some(body)).await
}

#[actix_web::test]
async fn a_created_broadcast_is_the_whole_object_in_order() {
    let world = World::new().await;
    let created = create(&world, r#"{"streamId":" s ","zombi":true,"status":"broadcasting","nonsense":{}}"#).await;
    let date = created.json()["date"].as_i64().expect("date");
    // `rtmpURL` and `streamId` hold the replaced ID; nothing else in the text does.
    assert_eq!((created.status, created.text.as_str()), (200, fresh("s", date).as_str()));
    assert_eq!(world.get(&format!("{BASE}/s")).await.text, created.text);
    // No body at all, and no Content-Type: an id is made up.
    let made_up = world.call("POST", &format!("{BASE}/create"), None).await;
    assert_eq!(made_up.status, 200, "{}", made_up.text);
    assert_eq!(made_up.json()["streamId"].as_str().map(str::len), Some(25));
}

#[actix_web::test]
async fn fields_are_kept_and_secrets_are_not_shown() {
    let world = World::new().await;
    let body = r#"{"streamId":"s","name":"n","description":"d","password":"pw-1","streamUrl":"rtsp://u:pw-2@h/x","metaData":"{}","is360":true,"webRTCViewerLimit":7,"encoderSettingsList":[{"height":720}],"endPointList":[{"endpointUrl":"srt://192.0.2.1?passphrase=0123456789"}]}"#;
    let created = create(&world, body).await;
    assert_eq!(created.status, 200, "{}", created.text);
    let json = created.json();
    for (field, wanted) in [
        ("name", Value::from("n")),
        ("description", "d".into()),
        ("password", "***".into()),
        ("metaData", "{}".into()),
        ("is360", true.into()),
        ("webRTCViewerLimit", 7.into()),
        ("encoderSettingsList", serde_json::json!([{"height":720}])),
    ] {
        assert_eq!(json[field], wanted, "{field}");
    }
    assert_eq!(json["endPointList"][0]["endpointUrl"], "srt://192.0.2.1?passphrase=***");
    for secret in ["pw-1", "pw-2", "0123456789"] {
        assert!(!created.text.contains(secret), "{secret}: {}", created.text);
    }

    // The whole answer sent back, but for the name: every secret stays.
    let mut sent_back = json.clone();
    sent_back["name"] = "m".into();
    let updated = world.call("PUT", &format!("{BASE}/s"), Some(&sent_back.to_string())).await;
    assert_eq!((updated.status, updated.text), (200, result(true, Some(""), "")));
    let view = world.manager.get(&key("s")).expect("there");
    assert_eq!(view.record.fields["name"], "m");
    assert_eq!(view.record.fields["password"], "pw-1");
    assert_eq!(view.record.fields["streamUrl"], "rtsp://u:pw-2@h/x");
    assert_eq!(view.record.endpoints[0].url.as_given(), "srt://192.0.2.1?passphrase=0123456789");
    assert_eq!(view.record.endpoints[0].id.as_str(), json["endPointList"][0]["endpointServiceId"]);
}

#[actix_web::test]
async fn refusals_of_create() {
    let world = World::new().await;
    create(&world, r#"{"streamId":"s"}"#).await;
    let unsupported = |kind: &str| {
        refused(&format!("Broadcast type is not supported: {kind}. It can be liveStream, streamSource, ipCamera"))
    };
    let bad_url = r#"{"success":false,"message":"Stream url is not valid. ","dataId":"its host or port can't be one; wanted is HOST or HOST:PORT, IPv6 in brackets, and a @, / or : in a password as %40, %2F, %3A","errorId":0}"#.to_owned();
    for (query, body, status, wanted) in [
        (
            "",
            r#"{"streamId":"s"}"#,
            400,
            refused("Stream id is already being used. Please change stream id or keep it empty"),
        ),
        ("", r#"{"streamId":"a/b"}"#, 400, refused("Stream id is not valid.")),
        ("", r#"{"streamId":"ä"}"#, 400, refused("Stream id is not valid.")),
        ("", r#"{"subFolder":"../x"}"#, 400, refused("Subfolder is not valid. ")),
        ("", r#"{"type":"VoD","streamUrl":"rtsp://h"}"#, 400, unsupported("VoD")),
        ("", r#"{"type":"streamSource","streamUrl":"rtsp://u:secret1@h:0"}"#, 400, bad_url),
        ("?autoStart=true", r#"{}"#, 200, refused("Auto start query needs an IP camera or stream source.")),
        (
            "?autoStart=true",
            r#"{"streamId":"c","type":"ipCamera"}"#,
            200,
            refused("Stream url is null and it's not an IP camera to get stream url for id:c"),
        ),
        ("?autoStart=perhaps", r#"{}"#, 400, refused("The query parameter autoStart is not valid: \"perhaps\"")),
        ("", r#"{"endPointList":[{}]}"#, 400, refused("Missing Endpoint url")),
    ] {
        let answer = world.call("POST", &format!("{BASE}/create{query}"), Some(body)).await;
        assert_eq!((answer.status, answer.text), (status, wanted), "{query} {body}");
    }
    let live = world.publish("live").await;
    let answer = create(&world, r#"{"streamId":"live"}"#).await;
    assert_eq!(answer.status, 400, "a live stream's id is in use too");
    drop(live);
    assert_eq!(world.manager.count(&key("s").app, Some("a")), 0, "nothing was made on the way");
}

#[actix_web::test]
async fn update_delete_start_and_stop_say_what_ant_media_says() {
    let world = World::new().await;
    create(&world, r#"{"streamId":"s","name":"n"}"#).await;
    let deleted = result(true, Some("broadcast is deleted and stopped successfully"), "");
    let cases = [
        ("PUT", "unknown", Some(r#"{"name":"x"}"#), refused("Broadcast with streamId: unknown does not exist")),
        (
            "PUT",
            "s",
            Some(r#"{"type":"VoD"}"#),
            refused("Broadcast type is not supported: VoD. It can be liveStream, streamSource, ipCamera"),
        ),
        ("PUT", "s", Some(r#"{"name":null,"description":"d"}"#), result(true, Some(""), "")),
        ("POST", "unknown/start", None, refused("No Stream Exists with id:unknown")),
        (
            "POST",
            "s/start",
            None,
            refused("Broadcast type is not supported. It can be StreamSource, IP Camera, VOD, Playlist"),
        ),
        ("POST", "unknown/stop", None, refused("")),
        ("POST", "s/stop", None, refused("")),
        ("DELETE", "unknown", None, refused("")),
        ("DELETE", "?ids=", None, refused("ids parameter is blank")),
        ("DELETE", "?ids=%20,%20", None, refused("ids parameter is blank")),
        ("DELETE", "", None, refused("ids parameter is blank")),
        ("DELETE", "?ids=s,unknown", None, refused("")),
    ];
    for (method, path, body, wanted) in cases {
        let answer = world.call(method, &format!("{BASE}/{path}"), body).await;
        assert_eq!((answer.status, answer.text), (200, wanted), "{method} {path}");
        if path == "s" {
            assert_eq!(world.get(&format!("{BASE}/s")).await.json()["name"], "n", "null changes nothing");
        }
    }
    assert_eq!(world.get(&format!("{BASE}/s")).await.status, 404, "the first of the two was deleted");
    let answer = world.call("PUT", &format!("{BASE}/s"), None).await;
    assert_eq!((answer.status, answer.text), (400, refused("The body is missing")));

    let publication = world.publish("s").await;
    let stopped = world.call("POST", &format!("{BASE}/s/stop"), None).await;
    assert_eq!(stopped.text, result(true, Some(""), ""));
    assert!(publication.cancelled().is_cancelled());
    let publication = world.publish("s").await;
    let answer = world.call("DELETE", &format!("{BASE}/s?deleteSubtracks=true"), None).await;
    assert_eq!((answer.status, answer.text), (200, deleted.clone()));
    assert!(publication.cancelled().is_cancelled());
    create(&world, r#"{"streamId":"s"}"#).await;
    assert_eq!(world.call("DELETE", &format!("{BASE}?ids=unknown,s"), None).await.text, deleted);
}

#[actix_web::test]
async fn a_live_broadcast_shows_what_is_measured() {
    let world = World::new().await;
    let _publication = world.publish("s").await;
    world.streams.last().set_live();
    let json = world.get(&format!("{BASE}/s")).await.json();
    for (field, wanted) in [
        ("status", Value::from("broadcasting")),
        ("publishType", "RTMP".into()),
        ("zombi", true.into()),
        ("receivedBytes", 4711.into()),
        ("bitrate", 2_128_000.into()),
        ("width", 1280.into()),
        ("height", 720.into()),
        ("packetsLost", 10.into()),
        ("packetLostRatio", 0.01.into()),
        ("rttMs", 20.into()),
        ("userAgent", "FMLE/3.0".into()),
        ("remoteIp", "192.0.2.7".into()),
        ("metaData", r#"{"k":"v"}"#.into()),
    ] {
        assert_eq!(json[field], wanted, "{field}");
    }
    assert!(json["startTime"].as_i64() > Some(0) && json["updateTime"].as_i64() >= json["startTime"].as_i64());
    let answers = [
        (
            "s/stream-info",
            r#"[{"videoHeight":720,"videoWidth":1280,"videoBitrate":2000000,"audioBitrate":128000,"videoCodec":"H264"}]"#,
        ),
        ("unknown/stream-info", "[]"),
        (
            "s/broadcast-statistics",
            r#"{"totalRTMPWatchersCount":0,"totalHLSWatchersCount":0,"totalWebRTCWatchersCount":0,"totalDASHWatchersCount":0}"#,
        ),
        (
            "unknown/broadcast-statistics",
            r#"{"totalRTMPWatchersCount":-1,"totalHLSWatchersCount":-1,"totalWebRTCWatchersCount":-1,"totalDASHWatchersCount":-1}"#,
        ),
        (
            "total-broadcast-statistics",
            r#"{"totalRTMPWatchersCount":0,"totalHLSWatchersCount":0,"totalWebRTCWatchersCount":0,"totalDASHWatchersCount":0,"activeLiveStreamCount":1}"#,
        ),
        ("active-live-stream-count", r#"{"number":1}"#),
        ("count", r#"{"number":1}"#),
        ("count/S", r#"{"number":1}"#),
        ("count/nope", r#"{"number":0}"#),
    ];
    for (path, wanted) in answers {
        let answer = world.get(&format!("{BASE}/{path}")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, wanted), "{path}");
    }
    world.streams.last().set_transcoded_from([Some("VP8"), Some("Opus")]);
    let info = world.get(&format!("{BASE}/s/stream-info")).await.json();
    assert_eq!((&info[0]["videoCodec"], &info[0]["videoTranscodedFrom"]), (&"H264".into(), &"VP8".into()));
    assert_eq!(info[0]["audioTranscodedFrom"], "Opus");
}

#[actix_web::test]
async fn a_streams_numbers_have_units_in_their_names() {
    let world = World::new().await;
    let publication = world.publish("s").await;
    let path = format!("{BASE}/s/statistics");
    let early = world.get(&path).await.json();
    assert_eq!((&early["tracks"], &early["ingest"]), (&serde_json::json!([]), &Value::Null), "{early}");
    world.streams.last().set_live();
    let json = world.get(&path).await.json();
    for (pointer, wanted) in [
        ("/streamId", Value::from("s")),
        ("/status", "broadcasting".into()),
        ("/publishType", "RTMP".into()),
        ("/stream/live", true.into()),
        ("/stream/receivedBytes", 4711.into()),
        ("/tracks/0/kind", "video".into()),
        ("/tracks/0/codec", "H264".into()),
        ("/tracks/0/widthPx", 1280.into()),
        ("/tracks/0/receivedUnits", 250.into()),
        ("/tracks/0/keyFrameIntervalMs", 2000.into()),
        ("/tracks/0/frameRateFps", Value::Null),
        ("/tracks/1/kind", "audio".into()),
        ("/tracks/1/levels", serde_json::json!([])),
        ("/ingest/lostPackets", 10.into()),
        ("/ingest/lossRatio", 0.01.into()),
        ("/ingest/rttMs", 20.4.into()),
        ("/ingest/advice", Value::Null),
    ] {
        assert_eq!(json.pointer(pointer), Some(&wanted), "{pointer} of {json}");
    }
    assert!(json["tracks"][1].get("widthPx").is_none(), "{json}");
    drop(publication);
    assert_eq!(world.get(&format!("{BASE}/unknown/statistics")).await.status, 404);
}

#[actix_web::test]
async fn lists_are_filtered_ordered_and_cut() {
    let world = World::new().await;
    for id in 0..255 {
        let body = serde_json::json!({ "streamId": format!("s{id:03}"), "name": format!("n{}", 999 - id) });
        create(&world, &body.to_string()).await;
    }
    let ids = |answer: &Answer| -> Vec<String> {
        let json = answer.json();
        json.as_array().expect("array").iter().map(|b| b["streamId"].as_str().expect("id").to_owned()).collect()
    };
    for (path, len, first) in [
        ("0/1000", 250, Some("s000")),
        ("250/50", 5, Some("s250")),
        ("-3/2", 2, Some("s000")),
        ("0/-1", 0, None),
        ("900/5", 0, None),
        ("0/5?sort_by=name&order_by=asc", 5, Some("s254")),
        ("0/5?sort_by=name&order_by=desc", 5, Some("s000")),
        ("0/5?sort_by=date&order_by=desc", 5, Some("s254")),
        ("0/5?sort_by=nonsense", 5, Some("s000")),
        ("0/50?search=S25", 5, Some("s250")),
        ("0/50?search=n999", 1, Some("s000")),
        ("0/50?type_by=liveStream&search=s00", 10, Some("s000")),
        ("0/50?type_by=VoD", 0, None),
    ] {
        let answer = world.get(&format!("{BASE}/list/{path}")).await;
        let found = ids(&answer);
        assert_eq!((answer.status, found.len(), found.first().map(String::as_str)), (200, len, first), "{path}");
    }
    assert_eq!(world.get("/LiveApp/rest/v2/broadcasts/list/0/50").await.text, "[]", "another application");
}

#[actix_web::test]
async fn a_held_broadcast_says_until_when() {
    let world = World::new().await;
    create(&world, r#"{"streamId":"s","endPointList":[{"endpointUrl":"srt://192.0.2.1"}]}"#).await;
    let publication = world.publish("s").await;
    world.streams.last().set_live();
    assert!(world.get(&format!("{BASE}/s")).await.json().get("heldUntil").is_none(), "its publisher is there");
    drop(publication);
    let begin = std::time::Instant::now();
    let held = loop {
        let json = world.get(&format!("{BASE}/s")).await.json();
        if json.get("heldUntil").is_some() {
            break json;
        }
        assert!(begin.elapsed().as_secs() < 10, "{json}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!(
        (&held["status"], &held["publishType"], &held["startTime"]),
        (&"preparing".into(), &Value::Null, &0.into())
    );
    let until = held["heldUntil"].as_i64().expect("milliseconds");
    assert!(until > crate::manager::unix_ms(std::time::SystemTime::now()), "{until}");
    let active = world.get(&format!("{BASE}/active-live-stream-count")).await.json();
    assert_eq!(active["number"], 0);
    let stopped = world.call("POST", &format!("{BASE}/s/stop"), None).await.json();
    assert_eq!(stopped["success"], true);
    let json = world.get(&format!("{BASE}/s")).await.json();
    assert!(json["status"] == "finished" && json.get("heldUntil").is_none(), "{json}");
}
