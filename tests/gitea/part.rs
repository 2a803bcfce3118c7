//! The real Gitea that other tests stand on: it starts, people can work at it, it can be restarted
//! and leaves nothing behind.

use crate::support;

use std::time::Duration;

use support::gitea::{self, Runner, runs, until_jobs, workflow};
use support::parts::{self, Part};
use support::until;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn people_can_push_fork_rerun_and_cancel_and_it_can_be_restarted() {
    if parts::is_missing(Part::Gitea, "the Gitea that the tests and the demo start") {
        return;
    }
    let mut forge = gitea::start().await;
    let process = format!("/proc/{}", forge.process().unwrap());
    let owner = forge.owner();
    owner.add_organization("octo").await.unwrap();
    owner.add_repository("octo/app", false).await.unwrap();
    owner.add_hook("repos/octo/app", "http://127.0.0.1:9/webhook", "secret").await.unwrap();
    let jobs = [("one", runs("echo it ran")), ("two", format!("needs: one\n{}", runs("true")))];
    let jobs = jobs.each_ref().map(|(name, rest)| (*name, rest.as_str()));
    owner.push("octo/app", "main", ".gitea/workflows/ci.yml", &workflow(&jobs)).await.unwrap();
    let queued = until_jobs(&owner, "octo/app", 1, "queued", LIMIT).await;
    let waiting: Vec<_> = queued.iter().map(|job| (&job["name"], &job["status"])).collect();
    assert_eq!(
        format!("{waiting:?}"),
        r#"[(String("one"), String("queued")), (String("two"), String("waiting"))]"#
    );

    let labels = ["self-hosted", "linux", "x64"];
    let mut runner = Runner::register(&forge, &owner, "orgs/octo", "by-hand", &labels).await;
    assert_eq!(owner.runners("orgs/octo").await.unwrap().len(), 1);
    runner.work();
    assert!(runner.ended().await);
    let ended = until_jobs(&owner, "octo/app", 1, "completed", LIMIT).await;
    let ended = ended.iter().find(|job| job["status"] == "completed").unwrap();
    assert_eq!(ended["conclusion"], "success");
    let log = owner.log("octo/app", ended["id"].as_u64().unwrap()).await.unwrap();
    assert!(log.contains("it ran"), "{log}");
    assert!(owner.runners("orgs/octo").await.unwrap().is_empty());

    forge.shut_down().await;
    forge.restart().await.unwrap();
    let run = owner.runs("octo/app").await.unwrap().remove(0);
    let run = run["id"].as_u64().unwrap();
    owner.cancel("octo/app", run).await.unwrap();
    until_jobs(&owner, "octo/app", 2, "completed", LIMIT).await;
    owner.rerun("octo/app", run).await.unwrap();
    until_jobs(&owner, "octo/app", 1, "queued", LIMIT).await;

    let stranger = owner.add_user("stranger").await.unwrap();
    let pulled = workflow(&[("pulled", "steps:\n  - run: true")]).replace("push", "pull_request");
    owner.push("octo/app", "main", ".gitea/workflows/pull.yml", &pulled).await.unwrap();
    let fork = stranger.fork("octo/app").await.unwrap();
    stranger.push(&fork, "main", "README.md", "changed").await.unwrap();
    stranger.open_pull("octo/app", "stranger:main").await.unwrap();
    let waits = async || {
        let runs = owner.runs("octo/app").await.unwrap();
        runs.into_iter().find(|run| run["event"] == "pull_request")
    };
    until("the pull request has a run", LIMIT, async || waits().await.is_some()).await;
    let run = waits().await.unwrap();
    assert_eq!(run["status"], "waiting", "a stranger's pull request waits for a yes: {run:#}");
    owner.approve("octo/app", run["id"].as_u64().unwrap()).await.unwrap();
    until_jobs(&owner, "octo/app", 2, "queued", LIMIT).await;

    drop(forge);
    assert!(!std::path::Path::new(&process).exists(), "it still runs");
}
