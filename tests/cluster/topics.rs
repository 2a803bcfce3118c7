//! A pool that picks its repositories by topic: what the webhook says, what the listing says, and
//! what follows when somebody changes them.

use crate::support;

use std::time::Duration;

use simulated::github::{DeliveryFaults, Status};
use support::until;
use support::world::{Parts, Plan, World};

// A repository that is swept is looked at itself every 30 sweeps only.
const LIMIT: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_served_while_it_carries_the_topic() {
    let github_keys = "sweep_interval = \"1s\"\nfull_sweep_interval = \"5s\"".to_owned();
    let pool = "delivery = \"payload\"\ntopics = [\"Self-Hosted\"]".to_owned();
    let plan = Plan { github_keys, pool, ..Plan::default() };
    let mut world = World::around(Parts::start().await, plan).await;
    let carry = |world: &World, repository: u64, topics: &[&str]| {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        world.github.with(|github, _| github.repository_mut(repository).unwrap().topics = topics);
    };
    carry(&world, world.app, &["self-hosted", "rust"]);
    world.daemon.start().await;

    let (served, not) = (world.queue(world.app, 1, 200), world.queue(world.lib, 1, 200));
    let ended = |job: u64| {
        world.github.until(LIMIT, move |it| it.job(job).unwrap().status == Status::Completed)
    };
    ended(served[0]).await.unwrap();
    let why = "no pool serves the repository octo/lib: it has none of the topics Self-Hosted";
    until_explained(&world, not[0], why).await;

    // Nothing tells of it but the listing.
    let lost = DeliveryFaults { drop: 1.0, ..DeliveryFaults::default() };
    world.github.with(|github, _| github.delivery_faults = lost);
    carry(&world, world.lib, &["self-hosted"]);
    ended(not[0]).await.unwrap();

    let pause = world.daemon.at_private_door("POST", "/api/v1/pools/x64/pause");
    let paused = pause.json(&serde_json::json!({})).send().await.unwrap();
    assert!(paused.status().is_success());
    let waits = world.queue(world.app, 1, 200)[0];
    until_explained(&world, waits, "pool x64 is paused").await;
    carry(&world, world.app, &[]);
    until_explained(&world, waits, "octo/app: it has none of the topics Self-Hosted").await;
    world.github.with(|github, now| github.cancel_job(waits, now));
    world.until_nothing_is_left(LIMIT).await;
}

async fn until_explained(world: &World, job: u64, why: &str) {
    // Not by explain, which asks GitHub each time: hundreds of those leave the sweeps no room in its minute.
    until("the job says why it waits", LIMIT, async || {
        let reason = world.daemon.job(job).await["reason"].clone();
        reason.as_str().is_some_and(|reason| reason.contains(why))
    })
    .await;
}
