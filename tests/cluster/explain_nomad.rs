//! `explain` beside a real Nomad: what it says while a job waits for room, for a place, for its
//! runner, and afterwards.

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};
use simulated::github::Status;
use support::parents::{Parent, pool};
use support::until;
use support::world::{PARENT, Parts, Plan, World};

const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the sentence on top has these words.
async fn until_said(world: &World, job: u64, words: &str) -> Value {
    let path = format!("/api/v1/explain/{job}");
    let mut said = Value::Null;
    until(words, LIMIT, async || {
        said = world.daemon.api(&path).await;
        said["sentence"].as_str().unwrap_or_default().contains(words)
    })
    .await;
    said
}

fn lines(explained: &Value) -> Vec<String> {
    let lines = explained["jobs"][0]["timeline"].as_array().unwrap().iter();
    lines.map(|line| line["what"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_nomad_cannot_place_says_what_is_lacking() {
    let parts = Parts::start().await;
    let giant = json!({
        "ID": "giant", "Name": "giant", "Type": "batch", "Datacenters": ["*"],
        "ParameterizedJob": { "Payload": "optional", "MetaRequired": ["runner_name"] },
        "TaskGroups": [{ "Name": "g", "Tasks": [{
            "Name": "t", "Driver": "raw_exec", "Config": { "command": "/bin/true" },
            "Resources": { "CPU": 50, "MemoryMB": 50_000_000 },
        }] }],
    });
    parts.nomad.register(parts.nomad.place(), &giant).await.unwrap();
    let payload = "delivery = \"payload\"";
    let plan =
        Plan { pool: format!("{payload}\n{}", pool("big", "giant", payload)), ..Plan::default() };
    let mut world = World::around(parts, plan).await;
    world.daemon.start().await;
    let job = world.queue_for("big", world.app, 1)[0];
    let said = until_said(&world, job, "1 node: 1 lacks memory").await;
    let runner = world.daemon.api("/api/v1/runners").await[0]["name"].as_str().unwrap().to_owned();
    assert_eq!(
        said["sentence"],
        format!(
            "job {job} (job 0) of octo/app waits for its runner: Nomad has no room for {runner}; \
             1 node: 1 lacks memory"
        )
    );
    let now = said["jobs"][0]["now"].as_array().unwrap();
    let words = format!("{runner}: Nomad has not placed it: 1 node: 1 lacks memory");
    assert!(now.contains(&json!(words)), "{now:?}");
    let unregistered = json!(format!("{runner}: not registered at GitHub"));
    until("it is asked whether the runner is registered", LIMIT, async || {
        let said = world.daemon.api(&format!("/api/v1/explain/{job}")).await;
        said["jobs"][0]["now"].as_array().unwrap().contains(&unregistered)
    })
    .await;
    let reason = "Nomad has no room for it: 1 node: 1 lacks memory";
    until("status has the scheduler's reason", LIMIT, async || {
        let status = world.daemon.api("/api/v1/status").await;
        status["pools"][1]["waiting_for"]
            == json!([format!("a runner is dispatched, but {reason}")])
    })
    .await;
    assert_eq!(world.daemon.api("/api/v1/runners").await[0]["reason"], reason);
    world.agent.kill_hard();
    let said = until_said(&world, job, "Nomad does not answer about it").await;
    assert!(said["sentence"].as_str().unwrap().contains(&runner));
}

/// It is not waited for until `placement_timeout`.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_names_another_job_launches_again_what_is_not_placed() {
    let parts = Parts::start().await;
    let nowhere =
        Parent { id: "nowhere", payload: "optional", required: &["runner_name"], optional: &[] };
    nowhere.register(&parts.nomad).await;
    let more = "delivery = \"payload\"\nplacement_timeout = \"40m\"";
    let plan = Plan {
        pool: format!("delivery = \"payload\"\n{}", pool("big", "nowhere", more)),
        ..Plan::default()
    };
    let mut world = World::around(parts, plan).await;
    world.daemon.start().await;
    let job = world.queue_for("big", world.app, 1)[0];
    until_said(&world, job, "Nomad has no room for").await;
    world.daemon.configure(|config| config.replace("\"nowhere\"", &format!("{PARENT:?}")));
    world.daemon.reload().await;
    let done =
        world.github.until(LIMIT, |github| github.job(job).unwrap().status == Status::Completed);
    done.await.unwrap();
    world.until_nothing_is_left(LIMIT).await;
}

/// The command of its task is not there: as with an image that cannot be had, it never starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_cannot_start_says_why_in_status_too() {
    let parts = Parts::start().await;
    let broken = json!({
        "ID": "broken", "Name": "broken", "Type": "batch", "Datacenters": ["*"],
        "ParameterizedJob": { "Payload": "optional", "MetaRequired": ["runner_name"] },
        "TaskGroups": [{ "Name": "g",
            "RestartPolicy": { "Attempts": 2, "Interval": 3_600_000_000_000_u64, "Delay": 600_000_000_000_u64, "Mode": "delay" },
            "Tasks": [{
                "Name": "t", "Driver": "raw_exec", "Config": { "command": "/nowhere/program" },
                "Resources": { "CPU": 50, "MemoryMB": 32 },
            }],
        }],
    });
    parts.nomad.register(parts.nomad.place(), &broken).await.unwrap();
    let payload = "delivery = \"payload\"";
    let plan =
        Plan { pool: format!("{payload}\n{}", pool("big", "broken", payload)), ..Plan::default() };
    let mut world = World::around(parts, plan).await;
    world.daemon.start().await;
    world.queue_for("big", world.app, 1);
    until("status has the task's reason", LIMIT, async || {
        let status = world.daemon.api("/api/v1/status").await;
        let waits = status["pools"][1]["waiting_for"].to_string();
        waits.contains("its task does not start on ") && waits.contains("/nowhere/program")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_waiting_for_room_to_done() {
    let plan =
        Plan { pool: "delivery = \"payload\"\nmax_runners = 1".to_owned(), ..Plan::default() };
    let world = World::planned(plan).await;
    let first = world.queue(world.app, 1, 4_000)[0];
    let running =
        world.github.until(LIMIT, |github| github.job(first).unwrap().status == Status::InProgress);
    running.await.unwrap();
    let second = world.queue(world.app, 1, 200)[0];
    until_said(&world, second, "waits: at capacity: pool x64 has 1 runners (max_runners)").await;
    until_said(&world, first, "is running on runner roustabout-x64-").await;
    // Nomad's clients tell its servers of their tasks a little later.
    until("the allocation and what its task did are told", LIMIT, async || {
        let told = lines(&world.daemon.api(&format!("/api/v1/explain/{first}")).await);
        let mut told = told.iter();
        told.any(|line| line.starts_with("Nomad: allocation "))
            && told.any(|line| line.starts_with("Nomad: task "))
    })
    .await;
    world.until_nothing_is_left(LIMIT).await;
    let said = until_said(&world, first, "is done: success, on runner roustabout-x64-").await;
    let told = lines(&said);
    let mut rest = told.iter();
    for words in [
        "received by webhook (delivery ",
        "pool x64: the first that serves octo/app",
        "runner launched",
        "runner dispatched as github-runner-x64/dispatch-",
        "job in_progress",
        "job completed",
        "runner gone",
    ] {
        assert!(rest.any(|line| line.contains(words)), "{words} in this order: {told:#?}");
    }
    assert_eq!(said["jobs"][0]["now"], json!([]));
    until_said(&world, second, "is done: success").await;
}
