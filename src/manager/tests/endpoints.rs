//! Endpoints: what runs is what is stored, whatever happens at the same time.

use super::*;

fn wanted(id: &str, url: &str) -> WantedEndpoint {
    WantedEndpoint { id: Some(id.to_owned()), url: url.to_owned() }
}

async fn replace(world: &World, list: Vec<WantedEndpoint>) -> Result<(), ManagerError> {
    let change = BroadcastChange { endpoints: Some(list), ..BroadcastChange::default() };
    world.manager.update(key("s"), change).await
}

#[tokio::test]
async fn endpoints_start_and_stop_with_the_stream_and_while_it_runs() {
    let world = World::new().await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    let a = world.add("s", A).await.expect("added");
    assert!(matches!(world.add("s", A).await, Err(ManagerError::DuplicateUrl { .. })));
    assert!(matches!(world.add("unknown", A).await, Err(ManagerError::UnknownStream(_))));
    let _publication = world.publish("s").await;
    let stream = world.streams.last();
    assert_eq!(stream.running(), [format!("{a} {A}")], "started with the record's");
    let b = world.add("s", B).await.expect("added");
    assert_eq!(stream.running().len(), 2);
    world.manager.remove_endpoint(key("s"), a.clone()).await.expect("removed");
    assert_eq!(stream.running(), [format!("{b} {B}")], "closed before the answer");
    let again = world.manager.remove_endpoint(key("s"), a).await;
    assert!(matches!(again, Err(ManagerError::UnknownEndpoint(_))));
}

#[tokio::test]
async fn endpoints_that_come_and_go_while_it_starts_are_right_afterwards() {
    let world = World::new().await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    let a = world.add("s", A).await.expect("added");
    world.streams.starts.forget_permits(FREE);
    let manager = world.manager.clone();
    let starting = tokio::spawn(async move { manager.publish(request("live", "s")).await });
    until("the seat", || world.status("s") == Some("preparing")).await;
    let b = world.add("s", B).await.expect("added");
    world.manager.remove_endpoint(key("s"), a).await.expect("removed");
    world.streams.starts.add_permits(FREE);
    let _publication = within("the start", starting).await.expect("joins").expect("published");
    let stream = world.streams.last();
    until("the difference", || stream.running() == [format!("{b} {B}")]).await;
}

#[tokio::test]
async fn an_endpoint_on_a_stream_nobody_created_persists_and_goes_with_its_removal() {
    let world = World::new().await;
    let publication = world.publish("s").await;
    let a = world.add("s", A).await.expect("added");
    drop(publication);
    until("finished", || world.status("s") == Some("finished")).await;

    let world = world.restarted().await;
    assert_eq!(world.status("s"), Some("finished"), "only a publisher can have made it");
    let publication = world.publish("s").await;
    assert_eq!(world.streams.last().running(), [format!("{a} {A}")], "same id, same secret");
    world.manager.remove_endpoint(key("s"), a).await.expect("removed");
    assert_eq!(world.status("s"), Some("preparing"), "its publisher is there");
    drop(publication);
    until("the end", || world.status("s").is_none()).await;

    let publication = world.publish("s").await;
    let b = world.add("s", B).await.expect("added");
    drop(publication);
    until("finished", || world.status("s") == Some("finished")).await;
    world.manager.remove_endpoint(key("s"), b).await.expect("removed");
    assert_eq!(world.status("s"), None, "nothing needs it any more");
    assert_eq!(world.restarted().await.manager.totals(), Totals::default());
}

#[tokio::test]
async fn fifty_adds_and_removals_at_once_lose_nothing() {
    let world = World::new().await;
    let publication = world.publish("s").await;
    let adds = (0..50).map(|n| {
        let manager = world.manager.clone();
        let url = SrtUrl::parse(&format!("srt://192.0.2.1:{}", 9000 + n)).expect("url");
        tokio::spawn(
            async move { manager.add_endpoint(key("s"), None, url).await.map(|endpoint| endpoint.id.to_string()) },
        )
    });
    let mut ids = Vec::new();
    for add in adds.collect::<Vec<_>>() {
        ids.push(add.await.expect("joins").expect("added"));
    }
    let distinct: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 50);
    assert_eq!(world.streams.last().running().len(), 50);
    // Every second one goes again, while others are added.
    let mut changes = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let (manager, id) = (world.manager.clone(), id.clone());
        let url = SrtUrl::parse(&format!("srt://192.0.2.2:{}", 9000 + n)).expect("url");
        changes.push(tokio::spawn(async move {
            if n % 2 == 0 {
                manager.remove_endpoint(key("s"), id).await
            } else {
                manager.add_endpoint(key("s"), None, url).await.map(drop)
            }
        }));
    }
    for change in changes {
        change.await.expect("joins").expect("done");
    }
    let running = world.streams.last().running();
    assert_eq!(running.len(), 50);
    drop(publication);
    let world = world.restarted().await;
    let _publication = world.publish("s").await;
    assert_eq!(world.streams.last().running(), running, "the store holds the same");
}

#[tokio::test]
async fn a_replaced_list_is_what_runs_and_what_is_stored() {
    let world = World::new().await;
    let publication = world.publish("s").await;
    replace(&world, vec![wanted("a", A), wanted("b", B)]).await.expect("replaced");
    let stream = world.streams.last();
    assert_eq!(stream.running(), [format!("a {A}"), format!("b {B}")]);
    // b keeps its id and changes its URL; a was read redacted and is sent back.
    let shown = world.manager.get(&key("s")).expect("there").endpoints[0].url.clone();
    assert_eq!(shown, "srt://192.0.2.1:9000?passphrase=***");
    replace(&world, vec![wanted("a", &shown), wanted("b", "srt://192.0.2.3:9000")]).await.expect("replaced");
    until("the change", || stream.running() == [format!("a {A}"), "b srt://192.0.2.3:9000".to_owned()]).await;
    // A bad entry takes nothing of the list.
    let refused = replace(&world, vec![wanted("c", "srt://192.0.2.4"), wanted("d", "rtmp://192.0.2.4")]).await;
    assert!(matches!(refused, Err(ManagerError::BadUrl(_))));
    assert_eq!(stream.running().len(), 2);
    drop(publication);
    let world = world.restarted().await;
    let _publication = world.publish("s").await;
    assert_eq!(world.streams.last().running(), [format!("a {A}"), "b srt://192.0.2.3:9000".to_owned()]);
    replace(&world, Vec::new()).await.expect("emptied");
    assert!(world.streams.last().running().is_empty());
}

#[tokio::test]
async fn endpoints_that_lead_back_are_refused() {
    let world = World::new().await;
    for id in ["s", "t"] {
        world.manager.create(new_broadcast(id)).await.expect("created");
    }
    let direct = world.add("s", "srt://127.0.0.1?streamid=live/s").await;
    assert!(matches!(direct, Err(ManagerError::FeedsBack(_))));
    world.add("s", "srt://127.0.0.1?streamid=live/t").await.expect("another stream of this server is allowed");
    let over = world.add("t", "srt://127.0.0.1?streamid=live/s").await;
    assert!(matches!(over, Err(ManagerError::FeedsBack(_))));
    let list = replace(&world, vec![wanted("x", "srt://127.0.0.1?streamid=live/s")]).await;
    assert!(matches!(list, Err(ManagerError::FeedsBack(_))));
}

#[tokio::test]
async fn chosen_ids_are_kept_and_made_up_ones_have_the_documented_form() {
    let world = World::new().await;
    world.manager.create(new_broadcast("s")).await.expect("created");
    let url = |host: &str| SrtUrl::parse(&format!("srt://{host}")).expect("url");
    let mine = Some("mine".parse().expect("id"));
    let added = world.manager.add_endpoint(key("s"), mine.clone(), url("192.0.2.1")).await.expect("added");
    assert_eq!(added.id.as_str(), "mine");
    let refused = world.manager.add_endpoint(key("s"), mine, url("192.0.2.2")).await;
    assert!(matches!(refused, Err(ManagerError::DuplicateEndpoint(_))));
    let view = world.manager.create(NewBroadcast { id: None, ..new_broadcast("x") }).await.expect("created");
    let id = view.record.key.id.to_string();
    let (random, ms) = id.split_at(12);
    assert!(random.chars().all(|c| c.is_ascii_alphanumeric()), "{id}");
    assert_eq!(ms.parse::<i64>().expect("milliseconds"), unix_ms(view.record.date));
}
