//! Warm runners, on a Nomad with the jobspec that we ship: there before the job, replaced by the next,
//! gone with the config that asked for them.

use crate::support;

use std::time::Duration;

use support::daemon::signal;
use support::until;
use support::world::{Plan, World};

const LIMIT: Duration = Duration::from_secs(60);

/// The name of the one runner that is registered and idle, as `status` counts it.
async fn idle(world: &World) -> String {
    let mut name = None;
    until("a warm runner is idle", LIMIT, async || {
        let status = world.daemon.api("/api/v1/status").await;
        let pool = &status["pools"][0];
        let runners = world.daemon.api("/api/v1/runners").await;
        let runners = runners.as_array().unwrap().clone();
        let ready = runners.iter().find(|it| it["state"] == "registered");
        name = ready.map(|it| it["name"].as_str().unwrap().to_owned());
        pool["warm_asked"] == 1 && pool["warm_idle"] == 1 && name.is_some()
    })
    .await;
    name.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_runner_takes_the_next_job_and_is_replaced() {
    let floor = "[[pools.warm]]\nrepositories = [\"octo/app\"]\n";
    let keys = "delivery = \"payload\"\n";
    let plan = Plan { pool: format!("{keys}{floor}"), ..Plan::default() };
    let world = World::planned(plan).await;
    let first = idle(&world).await;
    let jobs = world.queue(world.app, 1, 200);
    until("the job has ended", LIMIT, async || {
        world.github.with(|github, _| github.job(jobs[0]).unwrap().conclusion.is_some())
    })
    .await;
    let took = world.github.with(|github, _| github.job(jobs[0]).unwrap().runner.clone());
    assert_eq!(took.unwrap().name, first, "it was there before the job");
    assert_ne!(idle(&world).await, first);
    // Without its floor it is released as any other that no job needs.
    world.daemon.configure(|config| config.replace(floor, ""));
    world.daemon.reload().await;
    world.until_nothing_is_left(LIMIT).await;
}

/// The forge gives the job to the runner that is there: no request of the daemon's is between its webhook and
/// its start, for it makes none.
#[tokio::test(flavor = "multi_thread")]
async fn a_warm_runner_starts_its_job_while_the_daemon_stands_still() {
    let pool = "delivery = \"payload\"\n[[pools.warm]]\nrepositories = [\"octo/app\"]\n";
    let world = World::planned(Plan { pool: pool.to_owned(), ..Plan::default() }).await;
    let first = idle(&world).await;
    signal(world.daemon.process(), "STOP");
    let job = world.queue(world.app, 1, 200)[0];
    until("the job has begun", LIMIT, async || {
        world.github.with(|github, _| github.job(job).unwrap().runner.is_some())
    })
    .await;
    signal(world.daemon.process(), "CONT");
    let took = world.github.with(|github, _| github.job(job).unwrap().runner.clone());
    assert_eq!(took.unwrap().name, first);
    // The daemon learns of it, and replaces the runner.
    assert_ne!(idle(&world).await, first);
    world.daemon.configure(|config| config.replace(&pool[pool.find("[[").unwrap()..], ""));
    world.daemon.reload().await;
    world.until_nothing_is_left(LIMIT).await;
}
