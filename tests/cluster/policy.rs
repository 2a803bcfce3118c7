//! Who is served, how many at once and in whose turn, and who is let go: caps, strangers, and
//! jobs that are cancelled before a runner had them.

use crate::support;

use std::time::Duration;

use roustabout::nomad::JobStatus;
use serde_json::json;
use simulated::github::{Head, RunSpec, Visibility};
use support::parents::{Parent, pool};
use support::proxied::Proxied;
use support::until;
use support::world::{LABELS, Parts, Plan};

const LIMIT: Duration = Duration::from_secs(60);

/// Nomad comes only when all jobs are known, so that who goes first is certain.
#[tokio::test(flavor = "multi_thread")]
async fn never_more_than_two_and_the_repositories_take_turns() {
    let plan = Plan { before_pools: "[runners]\nmax = 2".to_owned(), ..Plan::default() };
    let mut world = Proxied::prepared(plan).await;
    world.nomad_proxy.set_away(true);
    world.daemon.start().await;
    // So long that each is known to run before it ends: after an end that nobody saw coming its
    // repository has to wait for GitHub's answer, and the other one goes first.
    let jobs = [world.queue(world.app, 3, 2_000), world.queue(world.lib, 3, 2_000)].concat();
    until("there is a token for either repository", LIMIT, async || {
        world.github_proxy.count("POST", "registration-token") == 2
    })
    .await;
    world.until_reason(jobs[5], "Nomad is unreachable").await;
    world.nomad_proxy.set_away(false);
    let mut most = 0;
    until("all six have been hired for", LIMIT, async || {
        let children = world.children().await;
        most = most.max(children.iter().filter(|child| child.status != JobStatus::Dead).count());
        children.len() == 6
    })
    .await;
    world.each_ran_once(&jobs, LIMIT).await;
    assert_eq!(most, 2);
    let mut hired: Vec<(jiff::Timestamp, String)> = Vec::new();
    for runner in world.daemon.api("/api/v1/runners").await.as_array().unwrap() {
        let text = |key: &str| runner[key].as_str().unwrap().to_owned();
        hired.push((text("hired_at").parse().unwrap(), text("scope")));
    }
    hired.sort();
    let turns: Vec<&str> = hired.iter().map(|(_, scope)| scope.as_str()).collect();
    assert_eq!(turns.len(), 6);
    // The first two were hired in one moment, in whichever order the list shows them.
    assert!(turns.chunks(2).all(|two| two[0] != two[1]), "{turns:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pools_caps_hold_and_are_named() {
    let parts = Parts::start().await;
    let parent =
        Parent { id: "capped", payload: "optional", required: &["runner_name"], optional: &[] };
    parent.register(&parts.nomad).await;
    let caps = "delivery = \"payload\"\nmax_runners = 3\nmax_runners_per_repository = 2";
    let plan = Plan {
        pool: format!("delivery = \"payload\"{}", pool("capped", "capped", caps)),
        ..Plan::default()
    };
    let mut world = Proxied::around(parts, plan).await;
    world.daemon.start().await;
    let app = world.queue_for("capped", world.app, 4);
    world.until_reason(app[3], "the repository has 2 runners of pool capped").await;
    world.until_children(2, LIMIT).await;
    let lib = world.queue_for("capped", world.lib, 4);
    world.until_reason(lib[3], "pool capped has 3 runners").await;
    assert_eq!(world.until_children(3, LIMIT).await.len(), 3);
    // Another pool has room of its own.
    let other = world.queue(world.app, 1, 200);
    until("the other pool's job has run", LIMIT, async || {
        world.daemon.job(other[0]).await["status"] == "completed"
    })
    .await;
    world.cancel(&[app, lib].concat());
    world.until_nothing_is_left(LIMIT).await;
    assert_eq!(world.children().await.len(), 4);
}

/// Cancelled before it was placed: its child is stopped. (Cancelled later, see below.)
#[tokio::test(flavor = "multi_thread")]
async fn a_job_cancelled_in_the_queue_has_its_dispatch_withdrawn() {
    let parts = Parts::start().await;
    let parent =
        Parent { id: "nowhere", payload: "optional", required: &["runner_name"], optional: &[] };
    parent.register(&parts.nomad).await;
    let more = pool("nowhere", "nowhere", "delivery = \"payload\"");
    let plan = Plan { pool: format!("delivery = \"payload\"{more}"), ..Plan::default() };
    let mut world = Proxied::around(parts, plan).await;
    world.daemon.start().await;
    let jobs = world.queue_for("nowhere", world.app, 2);
    world.until_children(2, LIMIT).await;
    world.cancel(&jobs[..1]);
    until("one child is stopped", LIMIT, async || {
        let children = world.children().await;
        children.iter().filter(|child| child.status == JobStatus::Dead).count() == 1
    })
    .await;
    assert_eq!(world.daemon.api("/api/v1/status").await["capacity"]["alive"], 1);
    world.cancel(&jobs[1..]);
    world.until_nothing_is_left(LIMIT).await;
    assert_eq!(world.nomad_proxy.count("DELETE", "/v1/job/"), 2);
    assert_eq!(world.github_proxy.count("DELETE", "/actions/runners/"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cancelled_while_its_runner_starts_leaves_no_registration() {
    let world = Proxied::start().await;
    let jobs = world.queue(world.app, 1, 200);
    until("its child is placed", LIMIT, async || {
        world.children().await.iter().any(|child| child.status == JobStatus::Running)
    })
    .await;
    world.cancel(&jobs);
    world.until_nothing_is_left(LIMIT).await;
    let children = world.children().await;
    assert_eq!(children.len(), 1);
    let child = world.child(&children[0].id).await;
    assert_eq!(child["Stop"], json!(false), "it ended by itself, as idle runners do");
    assert_eq!(world.github_proxy.count("DELETE", "/actions/runners/"), 1);
    assert_eq!(world.nomad_proxy.count("DELETE", "/v1/job/"), 0);
}

/// What the webhook does not say is asked of the run, once, and only for a pool that wants to know.
#[tokio::test(flavor = "multi_thread")]
async fn events_and_actors_that_a_pool_does_not_allow_are_refused() {
    let choosy = "delivery = \"payload\"\nevents = [\"*\", \"!pull_request_target\"]\n\
                  actors = [\"*\", \"!dependabot[bot]\"]";
    let mut world = Proxied::prepared(Plan { pool: choosy.to_owned(), ..Plan::default() }).await;
    world.daemon.start().await;
    for (asked, event, actor, why) in [
        (1, "pull_request_target", "octocat", "the run's event is pull_request_target"),
        (2, "push", "dependabot[bot]", "the run's actor is dependabot[bot]"),
    ] {
        let (event, actor) = (event.to_owned(), actor.to_owned());
        let spec = RunSpec { event, actor, ..RunSpec::default() };
        let jobs = world.queue_run(world.app, spec, &LABELS, 3, 200);
        for job in &jobs {
            world.until_reason(*job, why).await;
        }
        // Else GitHub would give them to the runners that are hired below.
        world.cancel(&jobs);
        assert_eq!(asked_about(&world), asked);
    }
    assert!(world.children().await.is_empty());
    let own = world.queue(world.app, 2, 200);
    world.each_ran_once(&own, LIMIT).await;
    assert_eq!(asked_about(&world), 3);
}

/// How often a run itself was asked for; a sweep asks for the jobs of runs.
fn asked_about(world: &Proxied) -> usize {
    let seen = world.github_proxy.seen("GET", "/actions/runs/");
    seen.iter().filter(|one| !one.path.contains("/jobs")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_and_a_run_is_asked_about_once() {
    let world = Proxied::start().await;
    let public = world.add_repository("octo/site", Visibility::Public);
    let forked = world.add_repository("octo/forked", Visibility::Private);
    world.github.with(|github, _| {
        let repository = github.repository_mut(forked).unwrap();
        repository.allow_forking = true;
        repository.forks_count = 2;
    });
    let job = world.queue(public, 1, 200)[0];
    world.until_reason(job, "octo/site is public").await;
    assert_eq!(asked_about(&world), 0, "nothing to ask");

    let fork = Head::Fork { id: 4711, full_name: "stranger/forked".to_owned() };
    for (asked, head) in [fork, Head::DeletedFork].into_iter().enumerate() {
        let spec = RunSpec { event: "pull_request".to_owned(), head, ..RunSpec::default() };
        let jobs = world.queue_run(forked, spec, &LABELS, 3, 200);
        for job in &jobs {
            world.until_reason(*job, "the run comes from a fork of").await;
        }
        // Else GitHub would give them to the runners that are hired below.
        world.cancel(&jobs);
        assert_eq!(asked_about(&world), asked + 1);
    }
    assert!(world.children().await.is_empty());
    assert_eq!(world.github_proxy.count("POST", "registration-token"), 0);

    let own = world.queue(forked, 2, 200);
    until("the repository's own run has ended", LIMIT, async || {
        let mut ended = true;
        for job in &own {
            ended &= world.daemon.job(*job).await["status"] == "completed";
        }
        ended
    })
    .await;
    assert_eq!(world.children().await.len(), 2);
}
