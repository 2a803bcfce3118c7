//! A config that is read again while jobs wait and runners work: a pool that is new, changed or gone,
//! with a GitHub and a Nomad around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use local_parts::runner_job;
use roustabout::nomad::{Address, Client, Connection};
use simulated::github::{HookSpec, JobSpec, RunSpec, Scope, Status, Visibility};

use secrecy::ExposeSecret;
use serde_json::json;

use crate::support::daemon::{GITHUB_TOKEN, SECRET};
use crate::support::parents::{Parent, pool};
use crate::support::proxied::Proxied;
use crate::support::until;
use crate::support::world::{LABELS, PARENT, Parts, Plan};

const LIMIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pool_is_served_and_no_webhook_is_lost_meanwhile() {
    let world = Proxied::start().await;
    let url = world.daemon.url();
    let (repository, hook) = world.github.with(|github, now| {
        let repository = github.add_repository("octo/busy", Visibility::Private, now);
        let hook = HookSpec::new(&url, SECRET);
        (repository, github.add_hook(Scope::Repository(repository), hook, now))
    });
    // Queued while no pool has it.
    let early = world.queue_for("big", repository, 1);
    let mut jobs = world.queue_run(repository, RunSpec::default(), &LABELS, 1, 200);
    let over = Arc::new(AtomicBool::new(false));
    let load = async {
        let mut queued = Vec::new();
        while !over.load(Ordering::Relaxed) && queued.len() < 40 {
            queued.extend(world.queue_run(repository, RunSpec::default(), &LABELS, 1, 100));
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        queued
    };
    let reloads = async {
        for extra in ["", "\nmax_runners = 7", "\nforks = true"] {
            // Some of the load comes before each.
            tokio::time::sleep(Duration::from_millis(500)).await;
            world.daemon.configure(|config| {
                let config = config.split("\n[[pools]]\nname = \"big\"").next().unwrap().to_owned();
                config + &pool("big", PARENT, &format!("delivery = \"payload\"{extra}"))
            });
            world.daemon.reload().await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let (queued, ()) = tokio::join!(load, reloads);
    assert!(queued.len() >= 10);
    jobs.extend(queued);
    jobs.extend(early);
    jobs.extend(world.queue_for("big", repository, 2));
    world.each_ran_once(&jobs, LIMIT).await;
    world.github.with(|github, _| {
        let deliveries = github.deliveries(hook);
        assert!(deliveries.len() >= 3 * jobs.len(), "{}", deliveries.len());
        for delivery in deliveries {
            assert_eq!(delivery.status(), "OK");
        }
    });
}

/// One runner of it is at work, one is blocked in Nomad, and one job has yet to get its.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_gone_lets_the_idle_go_and_follows_the_busy() {
    let plan = Plan {
        pool: format!(
            "delivery = \"payload\"\n{}{}",
            pool("big", PARENT, "delivery = \"payload\"\nmax_runners = 1"),
            pool("blocked", "nowhere", "delivery = \"payload\""),
        ),
        ..Plan::default()
    };
    let mut world = Proxied::prepared(plan).await;
    let nowhere =
        Parent { id: "nowhere", payload: "optional", required: &["runner_name"], optional: &[] };
    nowhere.register(&world.nomad).await;
    world.world.daemon.start().await;
    let labels = ["self-hosted", "big"];
    let busy = world.queue_run(world.app, RunSpec::default(), &labels, 1, 6_000)[0];
    let started =
        world.github.until(LIMIT, |github| github.job(busy).unwrap().status == Status::InProgress);
    started.await.unwrap();
    let waiting = world.queue_for("big", world.app, 1)[0];
    let blocked = world.queue_for("blocked", world.lib, 1)[0];
    world.until_children(2, LIMIT).await;
    world.until_reason(waiting, "max_runners").await;

    world
        .daemon
        .configure(|config| config.split("\n[[pools]]\nname = \"big\"").next().unwrap().into());
    world.daemon.reload().await;
    world.until_reason(waiting, "no pool").await;
    world.until_reason(blocked, "no pool").await;
    let alive = async || world.daemon.api("/api/v1/status").await["capacity"]["alive"].as_u64();
    until("the blocked one is let go", LIMIT, async || alive().await == Some(1)).await;
    world.github.with(|github, _| {
        assert_eq!(github.job(busy).unwrap().status, Status::InProgress, "not stopped");
    });
    let done =
        world.github.until(LIMIT, |github| github.job(busy).unwrap().status == Status::Completed);
    done.await.unwrap();
    world.github.with(|github, _| {
        assert_eq!(github.job(busy).unwrap().conclusion.unwrap().as_str(), "success");
    });
    until("its runner's end is seen", LIMIT, async || alive().await == Some(0)).await;
    world.cancel(&[waiting, blocked]);
    world.until_nothing_is_left(LIMIT).await;
}

/// The one in the file is no good; the new one holds at once, whatever backoff says.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_file_is_read_again_and_what_failed_is_tried_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("github-token");
    std::fs::write(&file, "ghp_expired\n").unwrap();
    let credentials =
        format!("[[github.credentials]]\nowners = [\"octo\"]\ntoken_file = \"{}\"", file.display());
    let world = Proxied::planned(Plan { credentials, ..Plan::default() }).await;
    let jobs = world.github.with(|github, now| {
        let jobs = vec![JobSpec::new("build", &LABELS).lasting(200)];
        let run = github.add_run(world.app, RunSpec::default(), jobs, now);
        github.run(run).unwrap().jobs.clone()
    });
    world.until_reason(jobs[0], "401").await;
    std::fs::write(&file, format!("{GITHUB_TOKEN}\n")).unwrap();
    world.daemon.reload().await;
    world.each_ran_once(&jobs, LIMIT).await;
    until("nobody is in trouble any more", LIMIT, async || {
        world.daemon.api("/readyz").await["degraded"] == serde_json::json!([])
    })
    .await;
}

/// Nomad refuses the one in the file; the new one holds at once.
#[tokio::test(flavor = "multi_thread")]
async fn nomads_token_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nomad-token");
    std::fs::write(&file, "9c6f8d80-6f21-4b14-8a4a-1f6b3f0a7f10\n").unwrap();
    let parts = Parts::with(|options| options.acl = true).await;
    let token = parts.agent.token().unwrap().expose_secret().to_owned();
    let before_pools = format!("token_file = \"{}\"", file.display());
    let mut world = Proxied::around(parts, Plan { before_pools, ..Plan::default() }).await;
    world.world.daemon.start().await;
    let jobs = world.queue(world.app, 1, 200);
    world.until_reason(jobs[0], "needs read-job").await;
    std::fs::write(&file, token).unwrap();
    world.daemon.reload().await;
    world.each_ran_once(&jobs, LIMIT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pool_in_another_namespace_is_followed_there() {
    let world = Proxied::start().await;
    let namespace = world.agent.address().join("/v1/namespace/ci").unwrap();
    let request = reqwest::Client::new().put(namespace).json(&json!({ "Name": "ci" }));
    assert!(request.send().await.unwrap().status().is_success());
    let there = Client::new(Connection {
        namespace: "ci".to_owned(),
        ..Connection::to(Address::Http(world.agent.address()))
    })
    .unwrap();
    let archive = world.github.runner_archive_url().parse().unwrap();
    runner_job::register(&there, PARENT, &archive).await.unwrap();
    let more = "delivery = \"payload\"\nnamespace = \"ci\"";
    world.daemon.configure(|config| config + &pool("elsewhere", PARENT, more));
    world.daemon.reload().await;
    let jobs = world.queue_for("elsewhere", world.app, 2);
    world.each_ran_once(&jobs, LIMIT).await;
    assert!(world.children().await.is_empty(), "none in the namespace of the connection");
}
