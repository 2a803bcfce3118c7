//! A repository that is renamed while the config names it outright: its jobs go on, and whoever runs
//! this is told what to write.

use crate::support;

use std::time::Duration;

use simulated::github::{DeliveryFaults, Status};
use support::until;
use support::world::{Parts, Plan, World};

// A repository that is swept is asked for its name every 30 looks only.
const LIMIT: Duration = Duration::from_secs(180);

async fn ran(world: &World, job: u64) {
    let so =
        world.github.until(LIMIT, |github| github.job(job).unwrap().status == Status::Completed);
    so.await.unwrap();
    world.until_nothing_is_left(LIMIT).await;
    let conclusion = world.github.with(|github, _| github.job(job).unwrap().conclusion);
    assert_eq!(conclusion.unwrap().as_str(), "success");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_was_renamed_is_served_on_and_the_log_says_what_to_write() {
    let github_keys = "sweep_interval = \"1s\"\nfull_sweep_interval = \"2s\"".to_owned();
    let plan = Plan { github_keys, ..Plan::default() };
    let mut world = World::around(Parts::start().await, plan).await;
    world.daemon.configure(|config| config.replace("\"octo/*\"", "\"octo/app\", \"octo/lib\""));
    world.daemon.start().await;
    let before = world.queue(world.app, 1, 200);
    ran(&world, before[0]).await;

    world.github.with(|github, _| github.rename_repository(world.app, "shop"));
    let told_by_webhook = world.queue(world.app, 1, 200);
    ran(&world, told_by_webhook[0]).await;
    let message = "octo/app is now called octo/shop and is still served; write octo/shop in repositories \
                   of pool x64";
    assert!(world.daemon.log().contains(message));
    // A webhook that is late may still carry the former name, and the next look has the new one.
    let told = serde_json::json!([format!("config: {message}")]);
    until("status says what to write", LIMIT, async || {
        world.daemon.api("/api/v1/status").await["degraded"] == told
    })
    .await;
    let status = world.daemon.api("/api/v1/status").await;
    let outcomes = &status["deliveries"]["outcomes"];
    assert!(outcomes["accepted"].as_u64() > Some(0), "{outcomes}");
    assert!(outcomes["ignored"].is_null(), "the door knows what the ledger does: {outcomes}");

    // Nothing was ever heard of this one, and nothing tells of it but the sweep by its former name.
    world.github.with(|github, _| {
        github.rename_repository(world.lib, "books");
        github.delivery_faults = DeliveryFaults { drop: 1.0, ..DeliveryFaults::default() };
    });
    let found_by_sweep = world.queue(world.lib, 1, 200);
    ran(&world, found_by_sweep[0]).await;
    assert!(world.daemon.log().contains("octo/lib is now called octo/books"));
}
