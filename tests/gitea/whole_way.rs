//! The whole way for real with Gitea as the forge: webhook → token → dispatch → Nomad → runner →
//! steps run → completed → nothing left. Every program in it is the real one.

use crate::support;

use std::time::Duration;

use support::checking;
use support::gitea::workflow;
use support::gitea_world::{GiteaWorld, REPOSITORIES};
use support::parts::{self, Part};
use support::until;

const LIMIT: Duration = Duration::from_secs(90);

/// A matrix of three, and a job that needs it.
fn matrix(world: &GiteaWorld, seconds: &str) -> String {
    let work = format!("sleep {seconds}");
    let build = world.says("build (${{ matrix.letter }})", &work);
    let build = format!("strategy:\n  matrix:\n    letter: [a, b, c]\n{build}");
    let release = format!("needs: build\n{}", world.says("release", ""));
    workflow(&[("build", &build), ("release", &release)])
}

/// `count` jobs of a command each.
fn jobs(world: &GiteaWorld, count: usize, command: &str) -> String {
    let jobs: Vec<(String, String)> = (0..count)
        .map(|n| format!("job{n}"))
        .map(|name| (name.clone(), world.says(&name, command)))
        .collect();
    let jobs: Vec<(&str, &str)> = jobs.iter().map(|(name, job)| (&**name, &**job)).collect();
    workflow(&jobs)
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_reruns_cancels_and_a_runner_that_dies() {
    if parts::is_missing(Part::Gitea, "pushes, reruns, cancels and runners that die on a Gitea") {
        return;
    }
    let world = GiteaWorld::start("max = 6").await;
    let [app, lib, _] = REPOSITORIES;

    let checked = checking::check(&world.daemon.config()).await;
    checked.fails_only(&[]);
    checked.found("ok", "pool repository", "owner/* matches 2 repositories", "");
    for repository in REPOSITORIES {
        let subject = format!("gitea {repository}");
        checked.found("ok", &subject, "the token reads its jobs", "");
        checked.found("ok", &subject, "has an active webhook for jobs with our path", "");
    }

    // Its runner is killed by its own step, once its log was sent: nobody else is hired, and Gitea fails it in the end.
    let dying = world.push(lib, &jobs(&world, 1, "sleep 4; kill -KILL $PPID")).await;

    let mut runs = Vec::new();
    for repository in REPOSITORIES {
        runs.push((repository, world.push(repository, &matrix(&world, "0.2")).await));
    }
    for (repository, run) in &runs {
        world.ended_as(repository, *run, "success", 1).await;
    }
    let said = world.said();
    for (repository, run) in &runs {
        let line = format!("{repository} {run} ");
        let order: Vec<&str> = said.iter().filter_map(|said| said.strip_prefix(&line)).collect();
        assert_eq!(order.last(), Some(&"release"), "{order:?}");
    }

    // The same job ids once more.
    let (_, run) = runs[0];
    let before = world.jobs(app, run).await;
    world.owner.rerun(app, run).await.unwrap();
    until("the rerun has begun", LIMIT, async || {
        world.jobs(app, run).await.iter().any(|job| job["status"] != "completed")
    })
    .await;
    world.ended_as(app, run, "success", 2).await;
    let ids =
        |jobs: &[serde_json::Value]| jobs.iter().map(|job| job["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&world.jobs(app, run).await), ids(&before));

    let job = world.jobs(lib, dying).await.remove(0);
    world.ended_as(lib, dying, "failure", 1).await;
    world.until_nothing_is_left().await;
    assert_eq!(world.hired_for(job["id"].as_u64().unwrap()).await, 1, "nobody else was hired");
    // One for each job and each time that it ran, for nothing went wrong.
    assert_eq!(world.children().await.len(), 1 + 3 * 4 + 4);

    // All places are taken, so the second run is in the queue when it is cancelled.
    let long = world.push(app, &jobs(&world, 6, "sleep 100")).await;
    world.until_status(app, long, 6, "in_progress").await;
    world.until_logged(app, long).await;
    let queued = world.push(lib, &jobs(&world, 2, "true")).await;
    until("the daemon knows of them", LIMIT, async || {
        let known = world.daemon.api("/api/v1/jobs").await;
        known.as_array().unwrap().iter().filter(|job| job["status"] == "queued").count() == 2
    })
    .await;
    world.owner.cancel(lib, queued).await.unwrap();
    world.ended_as(lib, queued, "cancelled", 0).await;
    world.owner.cancel(app, long).await.unwrap();
    world.ended_as(app, long, "cancelled", 1).await;
    world.until_nothing_is_left().await;
    assert_eq!(world.children().await.len(), 1 + 3 * 4 + 4 + 6, "none for the cancelled ones");
    world.parts.agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gitea_restarted_the_daemon_killed_and_its_database_lost() {
    if parts::is_missing(Part::Gitea, "a Gitea that restarts, a daemon killed, a database lost") {
        return;
    }
    let mut world = GiteaWorld::start("max = 6").await;
    let mut runs = Vec::new();

    // Gitea goes while every place is taken and jobs wait. Not while a runner asks for a job: one that
    // Gitea has just given out is lost with its answer, which nobody but Gitea could mend.
    for repository in REPOSITORIES {
        runs.push((repository, world.push(repository, &matrix(&world, "8")).await));
    }
    until("six jobs are at work", LIMIT, async || world.said().len() == 6).await;
    world.parts.gitea.shut_down().await;
    assert!(!world.at_work().is_empty(), "the jobs go on");
    world.parts.gitea.restart().await.unwrap();

    // The daemon is killed while webhooks come, again and again.
    for repository in REPOSITORIES {
        runs.push((repository, world.push(repository, &matrix(&world, "1")).await));
        world.daemon.kill_hard();
        // So long webhooks are refused.
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.daemon.start().await;
    }

    // Everything that it knew is lost, and webhooks with it.
    let (repository, run) = *runs.last().unwrap();
    world.until_status(repository, run, 1, "in_progress").await;
    world.daemon.kill_hard();
    runs.push((repository, world.push(repository, &matrix(&world, "1")).await));
    for end in ["", "-wal", "-shm"] {
        let file = format!("{}{end}", world.daemon.database().display());
        assert!(std::fs::remove_file(file).is_ok() || !end.is_empty());
    }
    world.daemon.start().await;

    for (repository, run) in runs {
        world.ended_as(repository, run, "success", 1).await;
    }
    world.until_nothing_is_left().await;
    world.parts.agent.stop().await;
}
