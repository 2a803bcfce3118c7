//! Runners with a credential of their own, on a Nomad with the jobspec that we ship: registered
//! before they are dispatched, and nothing of them left.

use crate::support;

use std::time::Duration;

use simulated::github::groups::RepositoryRunners;
use simulated::github::{RunSpec, Scope};
use support::until;
use support::world::{LABELS, Plan, World};

const LIMIT: Duration = Duration::from_secs(60);

fn jit(more: &str) -> Plan {
    Plan {
        pool: format!("delivery = \"payload\"\ncredential = \"jit\"\n{more}"),
        ..Plan::default()
    }
}

fn requests(world: &World, method: &str, path: &str) -> usize {
    world.github.with(|github, _| github.count_requests(method, path))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_is_run_by_a_runner_that_needs_no_registration() {
    let world = World::planned(jit("")).await;
    let jobs = [world.queue(world.app, 2, 200), world.queue(world.lib, 1, 200)].concat();
    world.until_nothing_is_left(LIMIT).await;
    for job in jobs {
        let conclusion = world.github.with(|github, _| github.job(job).unwrap().conclusion);
        assert_eq!(conclusion.unwrap().as_str(), "success");
    }
    assert_eq!(requests(&world, "POST", "/generate-jitconfig"), 3);
    assert_eq!(requests(&world, "POST", "/registration-token"), 0);
    let log = world.daemon.log();
    assert!(log.contains("JIT configuration received"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organizations_runners_belong_to_the_group_that_the_pool_names() {
    let more = "scope = \"organization\"\nrunner_group = \"Big Boxes\"";
    let world = World::planned(jit(more)).await;
    let jobs = world.queue(world.app, 1, 200);
    until("the missing group is named", LIMIT, async || {
        world.daemon.log().contains("has no runner group named")
    })
    .await;
    let group = world.github.with(|github, _| {
        let octo = github.account("octo").unwrap().id;
        github.add_runner_group(octo, "big boxes")
    });
    let registered = until_registered(&world).await;
    assert_eq!(registered, group);
    world.until_nothing_is_left(LIMIT).await;
    let on = world.github.with(|github, _| github.job(jobs[0]).unwrap().runner.clone());
    assert_eq!(on.unwrap().group, group);
}

async fn until_registered(world: &World) -> u64 {
    let mut group = None;
    until("a runner is registered", LIMIT, async || {
        group = world.github.with(|github, _| {
            let octo = github.account("octo").unwrap().id;
            github.runners_of(Scope::Organization(octo)).next().map(|runner| runner.group)
        });
        group.is_some()
    })
    .await;
    group.unwrap()
}

/// GitHub says nothing of these: the job only waits.
#[tokio::test(flavor = "multi_thread")]
async fn check_and_explain_name_what_keeps_a_job_from_the_runners_of_a_group() {
    let more = "scope = \"organization\"\nrunner_group = \"big\"";
    let world = World::planned(jit(more)).await;
    let checked = support::checking::check(&world.daemon.config()).await;
    checked.found("fail", "github octo", "has no runner group named \"big\"", "\"Default\"");
    let group = world.github.with(|github, _| {
        let octo = github.account("octo").unwrap().id;
        let group = github.add_runner_group(octo, "big");
        github.change_runner_group(group, |group| group.repositories = Some([].into()));
        group
    });
    let job = world.queue(world.app, 1, 200)[0];
    let why = "the runner group \"big\" does not serve this repository";
    until("explain says why", LIMIT, async || {
        let told = world.daemon.api(&format!("/api/v1/explain/{job}")).await.to_string();
        // Its runner is there, and what it runs is told too.
        told.replace('\\', "").contains(why)
            && told.contains(", online, idle, actions/runner 2.330.0")
    })
    .await;
    world.github.with(|github, _| {
        github.change_runner_group(group, |group| {
            group.repositories = None;
            group.workflows = vec!["octo/app/.github/workflows/ci.yml@main".to_owned()];
        });
    });
    world.until_nothing_is_left(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_allows_no_runners_in_its_repositories_is_named() {
    let world = World::planned(jit("")).await;
    world.github.with(|github, _| {
        let octo = github.account("octo").unwrap().id;
        github.set_repository_runners(octo, RepositoryRunners::None);
    });
    let job = world.queue(world.app, 1, 200)[0];
    until("explain says why", LIMIT, async || {
        let told = world.daemon.api(&format!("/api/v1/explain/{job}")).await.to_string();
        told.contains("allows no runners in its repositories") && told.contains("no JIT config")
    })
    .await;
    world.github.with(|github, now| github.cancel_job(job, now));
    world.until_nothing_is_left(LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_not_used_is_deleted() {
    let world = World::planned(jit("")).await;
    let run = world.queue_run(world.app, RunSpec::default(), &LABELS, 1, 60_000);
    until("a runner is registered", LIMIT, async || {
        requests(&world, "POST", "/generate-jitconfig") == 1
    })
    .await;
    world.github.with(|github, now| {
        let run = github.job(run[0]).unwrap().run;
        github.cancel_run(run, now);
    });
    world.until_nothing_is_left(LIMIT).await;
}
