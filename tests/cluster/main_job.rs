//! The main job, the whole way: hook → door → ledger → token → dispatch → allocation →
//! registered → job run → completed → gone. On a real Nomad, with the jobspec that we ship.

use crate::support;

use std::time::Duration;

use simulated::github::GitHub;
use support::until;
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

/// `ROUSTABOUT_LONG=1` makes it 256 jobs, and then judges what they cost GitHub's rate limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_over_two_repositories_runs_each_job_once_and_costs_github_little() {
    let long = std::env::var_os("ROUSTABOUT_LONG").is_some();
    let each = if long { 128 } else { 12 };
    let world = World::start().await;
    let asked = |method, path| world.github.with(|github, _| github.count_requests(method, path));
    // A burst meets a daemon that has looked round already.
    until("the sweep at the start is over", Duration::from_secs(30), async || {
        asked("GET", "/repos/octo/lib/actions/runners") > 0
    })
    .await;
    let before = world.github.with(|github, _| points(github));
    let mut jobs = world.queue(world.app, each, 100);
    jobs.extend(world.queue(world.lib, each, 100));
    world.until_nothing_is_left(Duration::from_secs(if long { 600 } else { 90 })).await;
    assert_eq!(world.children().await.len(), jobs.len(), "a job, a dispatch");
    for job in &jobs {
        assert_eq!(world.daemon.job(*job).await["conclusion"], "success", "job {job}");
    }
    let points = world.github.with(|github, _| points(github)) - before;
    println!("{points} points for {} runners", jobs.len());
    if long {
        assert!(points * 10 <= jobs.len(), "{points} points for {} runners", jobs.len());
    }
}

/// What the daemon has cost of its rate limit so far; an unchanged answer costs nothing.
fn points(github: &GitHub) -> usize {
    // What a runner itself asks is not the daemon's.
    let asked = github.requests().iter().filter(|one| !one.path.contains("_simulated"));
    asked.filter(|one| one.status != 304 && !one.path.ends_with("/rate_limit")).count()
}
