//! GitHub's rate limit: one repository that could use up all of it, and the others.

use crate::support;

use std::time::Duration;

use simulated::github::{JobSpec, RunSpec};
use support::world::{LABELS, Plan, World};

const LIMIT: Duration = Duration::from_secs(120);
const HOURLY: u64 = 5_000;

/// 3 000 runs of a repository that has forks, queued at once; every run must be asked about before
/// a job of it is served. Another repository's job is served meanwhile, and most of the limit is left.
#[tokio::test(flavor = "multi_thread")]
async fn three_thousand_runs_of_one_repository_hold_up_no_others_job() {
    let plan = Plan {
        before_pools: "[runners]\nmax = 4\n".to_owned(),
        github_keys: "sweep_interval = \"2s\"".to_owned(),
        ..Plan::default()
    };
    let world = World::planned(plan).await;
    let spent = || {
        world.github.with(|github, now| {
            let user = github.account("octocat").unwrap().id;
            github.standing(user, now).used
        })
    };
    world.github.with(|github, now| {
        github.knobs.core_limit = HOURLY;
        for repository in [world.app, world.lib] {
            github.repository_mut(repository).unwrap().forks_count = 1;
        }
        for _ in 0..3_000 {
            let job = JobSpec::new("busy", &LABELS).lasting(500);
            github.add_run(world.app, RunSpec::default(), vec![job], now);
        }
    });
    let quiet = world.queue(world.lib, 2, 200);
    let done = |github: &simulated::github::GitHub| {
        quiet
            .iter()
            .all(|job| github.job(*job).unwrap().status == simulated::github::Status::Completed)
    };
    world.github.until(LIMIT, done).await.unwrap();
    let (used, busy) = world.github.with(|github, _| {
        let busy = github.jobs().filter(|job| job.spec.name == "busy");
        let ended = busy.filter(|job| job.status == simulated::github::Status::Completed).count();
        (github.count_requests("GET", "/actions/runs/"), ended)
    });
    assert!(spent() < HOURLY / 2, "{} requests were counted", spent());
    // Nobody is asked about who could not be given a runner; what is left is the sweeps'.
    println!("{} requests counted, {used} about runs, {busy} of the 3 000 have ended", spent());
}
