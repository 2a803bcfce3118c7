//! GitHub's own examples of its webhooks (`@octokit/webhooks-examples`) at the door, in both
//! encodings.

use crate::support;

use std::path::PathBuf;
use std::time::Duration;

use roustabout::webhook::read_workflow_job;
use serde_json::{Value, json};
use support::daemon::Daemon;
use support::parts::{self, Part};
use support::until;
use support::webhook::{Raw, Reply, Request, assert_accepts, door};

/// The examples of each event, by its name: of github.com and of Enterprise Servers.
fn examples() -> Vec<(String, Vec<Value>)> {
    let folder = parts::folder("ROUSTABOUT_TEST_EXAMPLES").expect("whoever calls it has asked");
    let servers = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}; scripts/test gets it", folder.display()));
    let mut indexes: Vec<PathBuf> =
        servers.map(|entry| entry.unwrap().path().join("index.json")).collect();
    indexes.retain(|index| index.exists());
    indexes.sort();
    assert!(indexes.len() > 1, "{indexes:?}");
    let events = indexes.iter().flat_map(|index| {
        let text = std::fs::read_to_string(index).unwrap();
        serde_json::from_str::<Vec<Value>>(&text).unwrap()
    });
    let name = |event: &Value| event["name"].as_str().unwrap().to_owned();
    events.map(|event| (name(&event), event["examples"].as_array().unwrap().clone())).collect()
}

fn workflow_jobs() -> Vec<Value> {
    let of_jobs = examples().into_iter().filter(|(name, _)| name == "workflow_job");
    let jobs: Vec<Value> = of_jobs.flat_map(|(_, examples)| examples).collect();
    assert!(jobs.len() >= 11, "{} examples", jobs.len());
    jobs
}

/// Sends it as JSON and as a form, over one connection; both answers.
async fn both(raw: &mut Raw, event: &str, id: &str, payload: &Value) -> [Reply; 2] {
    let json = Request::hook(event, &format!("{id} json"), payload.to_string());
    let form = Request::hook(event, &format!("{id} form"), payload.to_string()).into_form();
    raw.say(json.bytes()).await;
    let first = raw.reply().await;
    raw.say(form.bytes()).await;
    [first, raw.reply().await]
}

async fn folded(daemon: &Daemon) {
    until("everything is folded", Duration::from_secs(10), async || {
        let store = rusqlite::Connection::open(daemon.database()).unwrap();
        let sql = "SELECT COUNT(*) FROM deliveries WHERE inbox IS NOT NULL";
        store.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() == 0
    })
    .await;
}

#[test]
fn every_workflow_job_example_is_read_as_what_it_says() {
    if parts::is_missing(Part::Examples, "every workflow job example is read as what it says") {
        return;
    }
    for example in workflow_jobs() {
        let read = read_workflow_job(example.to_string().as_bytes()).unwrap();
        let report = read.report.expect("GitHub's actions and statuses are all known");
        let job = &example["workflow_job"];
        assert_eq!(json!(report.id.0), job["id"]);
        assert_eq!(json!(report.run.0), job["run_id"]);
        assert_eq!(json!(report.labels), job["labels"]);
        assert_eq!(json!(report.runner_name), job["runner_name"]);
        assert_eq!(report.status.as_str(), job["status"]);
        assert_eq!(json!(read.repository.full_name), example["repository"]["full_name"]);
    }
}

#[tokio::test]
async fn every_workflow_job_example_of_a_repository_that_nobody_serves_is_ignored_with_why() {
    if parts::is_missing(
        Part::Examples,
        "every workflow job example of a repository that nobody serves is ignored with why",
    ) {
        return;
    }
    let daemon = door().await;
    let mut raw = Raw::open(daemon.door).await;
    for (number, example) in workflow_jobs().iter().enumerate() {
        for reply in both(&mut raw, "workflow_job", &number.to_string(), example).await {
            assert_eq!(reply.outcome(), (202, "ignored".into()));
            let name = example["repository"]["full_name"].as_str().unwrap();
            assert!(reply.reason().contains(name), "{}", reply.reason());
        }
    }
    folded(&daemon).await;
    assert_eq!(daemon.api("/api/v1/runners").await, json!([]));
    assert_accepts(daemon.door).await;
}

#[tokio::test]
async fn every_workflow_job_example_is_accepted_where_a_pool_serves_it_and_shown_as_it_ends() {
    if parts::is_missing(
        Part::Examples,
        "every workflow job example is accepted where a pool serves it and shown as it ends",
    ) {
        return;
    }
    let labels = ["ubuntu-latest", "self-hosted", "k8s", "gpu", "db-app", "dc-03"];
    let pool = format!(
        "[github]\napi_url = \"http://127.0.0.1:1\"\n\
         [[github.credentials]]\nowners = [\"*\"]\ntoken = \"ghp_x\"\n\
         [nomad]\naddress = \"http://127.0.0.1:1\"\n\
         [[pools]]\nname = \"all\"\nnomad_job = \"runner\"\ndelivery = \"payload\"\n\
         labels = {labels:?}\nrepositories = [\"*/*\"]\npublic_repositories = true\n"
    );
    let mut daemon = Daemon::prepare(&pool);
    daemon.start().await;
    let mut raw = Raw::open(daemon.door).await;
    let mut ended = Vec::new();
    for (number, example) in workflow_jobs().iter().enumerate() {
        for reply in both(&mut raw, "workflow_job", &number.to_string(), example).await {
            assert_eq!(reply.outcome(), (202, "accepted".into()), "{}", reply.reason());
        }
        if example["action"] == "completed" {
            ended.push(example.clone());
        }
    }
    folded(&daemon).await;
    assert!(!ended.is_empty());
    for example in ended {
        let job = &example["workflow_job"];
        let shown = daemon.job(job["id"].as_u64().unwrap()).await;
        assert_eq!(shown["status"], "completed", "whatever came after it");
        assert_eq!(shown["repository"], example["repository"]["full_name"]);
    }
    assert_accepts_elsewhere(&daemon).await;
}

/// This door's pool has other labels than `assert_accepts` asks for.
async fn assert_accepts_elsewhere(daemon: &Daemon) {
    let ping = Request::hook("ping", "ping", "{}").send(daemon.door).await;
    assert_eq!(ping.outcome(), (200, "pong".into()));
}

#[tokio::test]
async fn every_example_of_every_other_event_is_answered_without_surprise() {
    if parts::is_missing(
        Part::Examples,
        "every example of every other event is answered without surprise",
    ) {
        return;
    }
    let daemon = door().await;
    let mut raw = Raw::open(daemon.door).await;
    let mut sent = 0;
    for (event, examples) in examples() {
        if event == "workflow_job" {
            continue;
        }
        for example in &examples {
            for reply in both(&mut raw, &event, &format!("delivery {sent}"), example).await {
                let (code, outcome) = reply.outcome();
                let expected: &[(u16, &str)] = match event.as_str() {
                    "ping" => &[(200, "pong")],
                    // What some of their actions tell is used.
                    "installation"
                    | "installation_repositories"
                    | "installation_target"
                    | "repository" => &[(202, "accepted"), (202, "ignored")],
                    _ => &[(202, "ignored")],
                };
                assert!(expected.contains(&(code, &*outcome)), "{event}: {code} {outcome}");
                sent += 1;
            }
        }
    }
    assert!(sent > 1_400, "{sent} sent");
    assert_accepts(daemon.door).await;
}
