//! `[nomad] namespace` is changed while runners live: by a reload, and between two starts. Each is
//! followed, and stopped, where it was dispatched.

use std::time::Duration;

use local_parts::runner_job;
use roustabout::nomad::{Address, Client, Connection, JobStatus, Place};
use serde_json::json;
use simulated::github::{RunSpec, Status};

use crate::support::parents::{Parent, pool};
use crate::support::proxied::Proxied;
use crate::support::until;
use crate::support::world::{LABELS, PARENT, Plan};

const LIMIT: Duration = Duration::from_secs(90);

fn nowhere() -> Parent<'static> {
    Parent { id: "nowhere", payload: "optional", required: &["runner_name"], optional: &[] }
}

/// A runner at work and one that waits for a node, in namespace `default`; then the config says `ci`.
async fn another_namespace(changed: impl AsyncFnOnce(&mut Proxied)) {
    let pools = pool("blocked", "nowhere", "delivery = \"payload\"");
    let plan = Plan { pool: format!("delivery = \"payload\"\n{pools}"), ..Plan::default() };
    let mut world = Proxied::prepared(plan).await;
    nowhere().register(&world.nomad).await;
    world.world.daemon.start().await;
    let busy = world.queue_run(world.app, RunSpec::default(), &LABELS, 1, 12_000)[0];
    let started =
        world.github.until(LIMIT, |github| github.job(busy).unwrap().status == Status::InProgress);
    started.await.unwrap();
    let blocked = world.queue_for("blocked", world.lib, 1)[0];
    world.until_children(2, LIMIT).await;
    let waits = async |client: &Client| {
        let children = client.children_by_token_prefix(client.place(), "roustabout-").await;
        let mut children = children.unwrap().into_iter();
        children.find(|it| it.id.starts_with("nowhere/") && it.status != JobStatus::Dead)
    };
    until("one waits in default", LIMIT, async || waits(&world.nomad).await.is_some()).await;

    let request = reqwest::Client::new()
        .put(world.agent.address().join("/v1/namespace/ci").unwrap())
        .json(&json!({ "Name": "ci" }));
    assert!(request.send().await.unwrap().status().is_success());
    let there = Client::new(Connection {
        namespace: "ci".to_owned(),
        ..Connection::to(Address::Http(world.agent.address()))
    });
    let there = there.unwrap();
    let archive = world.github.runner_archive_url().parse().unwrap();
    runner_job::register(&there, PARENT, &archive).await.unwrap();
    nowhere().register(&there).await;
    world.daemon.configure(|config| config.replace("[nomad]\n", "[nomad]\nnamespace = \"ci\"\n"));
    changed(&mut world).await;

    until("the one that waits is launched again there", LIMIT, async || {
        waits(&there).await.is_some()
    })
    .await;
    until("and stopped where it was", LIMIT, async || waits(&world.nomad).await.is_none()).await;
    // By now everything has been looked at.
    let alive = async || world.daemon.api("/api/v1/status").await["capacity"]["alive"].as_u64();
    until("the stop is seen", LIMIT, async || alive().await <= Some(2)).await;
    let runners = world.daemon.api("/api/v1/runners").await;
    world.github.with(|github, _| {
        assert_eq!(github.job(busy).unwrap().status, Status::InProgress, "too slow a machine");
    });
    let at_work = |runner: &serde_json::Value| runner["state"] == "busy";
    let sight = runners.as_array().unwrap().iter().any(at_work);
    assert!(sight, "the one at work is lost sight of: {runners}");
    world.github.with(|github, now| github.cancel_job(blocked, now));
    let done =
        world.github.until(LIMIT, |github| github.job(busy).unwrap().status == Status::Completed);
    done.await.unwrap();
    world.until_nothing_is_left(LIMIT).await;
    let place = Place { namespace: "default".to_owned(), region: None };
    let runners = there.children_by_token_prefix(&place, "roustabout-").await.unwrap();
    assert_eq!(runners.len(), 2, "nobody was launched there again: {runners:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_names_another_namespace_loses_sight_of_nobody() {
    another_namespace(async |world| world.daemon.reload().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_another_namespace_loses_sight_of_nobody() {
    another_namespace(async |world| {
        world.world.daemon.kill_hard();
        world.world.daemon.start().await;
    })
    .await;
}
