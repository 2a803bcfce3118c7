//! The main job, the whole way: hook → door → ledger → token → dispatch → allocation →
//! registered → job run → completed → gone. On a real Nomad, with the jobspec that we ship.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::time::Duration;

use support::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_becomes_one_runner_and_then_nothing() {
    let world = World::start().await;
    let jobs = world.queue(world.app, 1, 200);
    world.until_nothing_is_left(Duration::from_secs(60)).await;
    assert_eq!(world.children().await.len(), 1, "one job, one dispatch");
    let job = world.daemon.job(jobs[0]).await;
    assert_eq!(job["status"], "completed");
    assert_eq!(job["conclusion"], "success");
    assert_eq!(
        world.github.with(|github, _| github.count_requests("POST", "registration-token")),
        1
    );
}
