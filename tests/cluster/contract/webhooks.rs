//! Every webhook that the simulated GitHub sends, by GitHub's description of its webhooks: body and
//! headers, of a repository's hook and of an organization's, through all that a job can go through.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use simulated::github::{AppSpec, HookSpec, JobSpec, RunSpec, Scope, Visibility};
use tokio::net::TcpListener;

use crate::contract::stage::Stage;
use crate::support::daemon::here;
use crate::support::parts::{self, Part};
use crate::support::until;

/// One delivery, as it came.
#[derive(Clone)]
struct Received {
    headers: HeaderMap,
    body: Value,
}

type Inbox = Arc<Mutex<Vec<Received>>>;

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) {
    let form = headers["content-type"] == "application/x-www-form-urlencoded";
    let payload = form_urlencoded::parse(&body).find(|(name, _)| form && name == "payload");
    let json = payload.map_or(body.to_vec(), |(_, value)| value.into_owned().into_bytes());
    let body = serde_json::from_slice(&json).unwrap();
    inbox.lock().unwrap().push(Received { headers, body });
}

impl Received {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// As the description calls it: `workflow-job-in-progress`.
    fn name(&self) -> String {
        let event = self.header("x-github-event");
        let action = self.body["action"].as_str().map(|action| format!("-{action}"));
        format!("{event}{}", action.unwrap_or_default()).replace('_', "-")
    }
}

/// What is wrong with each, by GitHub's description.
fn judge(names_and_bodies: &[(String, Value)]) -> Vec<Vec<String>> {
    let mut child = Command::new("node")
        .arg(here("tests/cluster/contract/validate.mjs"))
        .arg(crate::contract::modules())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node starts; scripts/test says how to get it");
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = names_and_bodies
        .iter()
        .map(|(name, body)| format!("{}\n", json!({"name": name, "body": body})))
        .collect();
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "validate.mjs: {}", output.status);
    let lines = String::from_utf8(output.stdout).unwrap();
    let verdicts: Vec<_> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.len(), names_and_bodies.len());
    verdicts
}

#[tokio::test]
async fn every_webhook_keeps_to_githubs_description() {
    if parts::is_missing(Part::Descriptions, "the simulated webhooks by GitHub's description") {
        return;
    }
    let (inbox, url) = receiving().await;
    let stage = Stage::set(&url).await;
    // A repository of a person has no organization in its webhooks.
    let own = stage.server.with(|github, now| {
        let own = github.add_repository("octocat/own", Visibility::Public, now);
        github.add_hook(Scope::Repository(own), HookSpec::new(&url, "secret"), now);
        own
    });
    stage.play(stage.app);
    stage.play(own);
    until("everything has come", Duration::from_secs(60), async || {
        let before = inbox.lock().unwrap().len();
        tokio::time::sleep(Duration::from_millis(500)).await;
        before > 100 && inbox.lock().unwrap().len() == before
    })
    .await;

    let received = inbox.lock().unwrap().clone();
    keep_to_the_description(&received);
    let met = |of: &dyn Fn(&Received) -> String| received.iter().map(of).collect::<BTreeSet<_>>();
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let all: BTreeSet<String> = words(&[
        "ping",
        "workflow-job-completed",
        "workflow-job-in-progress",
        "workflow-job-queued",
        "workflow-job-waiting",
    ]);
    assert_eq!(met(&Received::name), all);
    let target = |one: &Received| {
        let target = one.header("x-github-hook-installation-target-type");
        format!("{target} of {}", one.body["repository"]["owner"]["type"])
    };
    let targets = words(&[
        "organization of \"Organization\"",
        // Its ping is about no repository.
        "organization of null",
        "repository of \"Organization\"",
        "repository of \"User\"",
    ]);
    assert_eq!(met(&target), targets);
    let conclusion = |one: &Received| one.body["workflow_job"]["conclusion"].to_string();
    let conclusions =
        ["null", "success", "failure", "timed_out", "neutral", "cancelled", "skipped"];
    let conclusions = conclusions.map(|word| match word {
        "null" => word.to_owned(),
        word => format!("{word:?}"),
    });
    assert_eq!(met(&conclusion), conclusions.into());
}

/// What an App's webhook tells unasked, and of repositories and jobs.
#[tokio::test]
async fn every_webhook_of_an_app_keeps_to_githubs_description() {
    if parts::is_missing(Part::Descriptions, "an App's webhooks by GitHub's description") {
        return;
    }
    let (inbox, url) = receiving().await;
    let stage = Stage::set("http://127.0.0.1:1/").await;
    stage.server.with(|github, now| {
        let octo = github.account("octo").unwrap().id;
        let app = github.add_app(AppSpec::new("runners", octo).hook(&url, "secret"), now);
        let installation = github.install(app, octo, None, now);
        github.select_repositories(installation, Some(&[stage.app]), now);
        github.select_repositories(installation, None, now);
        github.suspend(installation, true, now);
        github.suspend(installation, false, now);
        github.accept_permissions(installation, now);
        let from = json!({"repository": {"name": {"from": "old"}}});
        github.emit_repository(stage.app, "renamed", from, now);
        for action in ["publicized", "privatized"] {
            github.emit_repository(stage.app, action, Value::Null, now);
        }
        let job = vec![JobSpec::new("job", &["x64"])];
        github.add_run(stage.app, RunSpec::default(), job, now);
        github.uninstall(installation, now);
    });
    let all: BTreeSet<String> = [
        "installation-created",
        "installation-deleted",
        "installation-new-permissions-accepted",
        "installation-repositories-added",
        "installation-repositories-removed",
        "installation-suspend",
        "installation-unsuspend",
        "repository-privatized",
        "repository-publicized",
        "repository-renamed",
        "workflow-job-queued",
    ]
    .map(str::to_owned)
    .into();
    let came = || inbox.lock().unwrap().iter().map(Received::name).collect::<BTreeSet<_>>();
    until("everything has come", Duration::from_secs(60), async || came() == all).await;
    let received = inbox.lock().unwrap().clone();
    keep_to_the_description(&received);
    for one in &received {
        assert_eq!(one.header("x-github-hook-installation-target-type"), "integration");
        assert!(one.body["installation"]["id"].is_u64());
    }
}

/// What comes to the address is in the inbox.
async fn receiving() -> (Inbox, String) {
    let inbox = Inbox::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new().fallback(receive).with_state(inbox.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (inbox, url)
}

fn keep_to_the_description(received: &[Received]) {
    let asked: Vec<_> = received.iter().map(|one| (one.name(), one.body.clone())).collect();
    let wrong: BTreeSet<String> = judge(&asked)
        .into_iter()
        .zip(&asked)
        .flat_map(|(found, (name, _))| found.into_iter().map(move |one| format!("{name}{one}")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for one in received {
        for header in HEADERS {
            assert!(!one.header(header).is_empty(), "{header}");
        }
    }
}

/// Required by the description of every webhook.
const HEADERS: [&str; 7] = [
    "user-agent",
    "x-github-hook-id",
    "x-github-event",
    "x-github-hook-installation-target-id",
    "x-github-hook-installation-target-type",
    "x-github-delivery",
    "x-hub-signature-256",
];

#[test]
fn what_is_not_as_described_is_found() {
    if parts::is_missing(Part::Descriptions, "that the judge of webhooks finds what is wrong") {
        return;
    }
    let body = json!({"action": "queued", "workflow_job": {"id": "text"}});
    let verdict = judge(&[("workflow-job-queued".to_owned(), body)]).remove(0);
    assert!(verdict.iter().any(|one| one == "/workflow_job/id must be integer"), "{verdict:?}");
    assert!(verdict.iter().any(|one| one.contains("'repository'")), "{verdict:?}");
    let verdict = judge(&[("workflow-job-lost".to_owned(), json!({}))]).remove(0);
    assert_eq!(verdict, ["workflow-job-lost is not described"]);
}
