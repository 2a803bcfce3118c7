//! `status`: nothing that waits is left out, and what is printed is what the JSON says.

use crate::support;

use std::fs::File;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use simulated::github::Server;
use support::daemon::{Daemon, roustabout};
use support::until;
use support::webhook::{NOBODY_THERE, Request, door, queued};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);

/// What `status` prints.
async fn status(daemon: &Daemon) -> String {
    let mut command = roustabout();
    command.args(["status", "--config"]).arg(daemon.config()).current_dir("/");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

async fn shown(daemon: &Daemon) -> Value {
    daemon.api("/api/v1/status").await
}

/// The alarm that the documents recommend is about `oldest_waiting`.
#[tokio::test]
async fn a_job_that_waits_for_the_answer_about_forks_is_counted_and_can_be_the_oldest() {
    let github = Server::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), 7).unwrap();
    // A token that this GitHub does not know, and no Nomad: the question has to wait for room.
    let mut daemon =
        Daemon::prepare(&NOBODY_THERE.replacen("http://127.0.0.1:1", &github.url(), 1));
    daemon.start().await;
    let mut forkable = queued(7);
    forkable["repository"]["forks_count"] = json!(3);
    Request::job("one", &forkable).send(daemon.door).await;
    let asked = "the run is checked against the pool's policy when a runner can be launched; ";
    until("it says what the question waits for", SOON, async || {
        let reason = shown(&daemon).await["oldest_waiting"]["reason"].clone();
        reason.as_str().is_some_and(|why| why.starts_with(asked) && why.contains("Nomad"))
    })
    .await;
    let shown = shown(&daemon).await;
    let pool = &shown["pools"][0];
    assert_eq!((&pool["waiting"], &pool["demand"]), (&json!(1), &json!(0)));
    assert_eq!(pool["waiting_for"], json!([shown["oldest_waiting"]["reason"]]));
    assert_eq!(shown["oldest_waiting"]["job"], 7);
    let table = status(&daemon).await;
    assert!(table.contains("oldest waiting: job 7 of octo/app"), "{table}");
    // A younger one that waits for a runner does not push it out.
    let mut other = queued(8);
    other["repository"]["id"] = json!(2);
    other["repository"]["full_name"] = json!("octo/other");
    Request::job("two", &other).send(daemon.door).await;
    until("both are counted", SOON, async || daemon.api("/api/v1/pools").await[0]["waiting"] == 2)
        .await;
    let later = daemon.api("/api/v1/status").await;
    assert_eq!(
        (&later["pools"][0]["demand"], &later["oldest_waiting"]["job"]),
        (&json!(1), &json!(7))
    );
    github.shutdown().await;
}

#[tokio::test]
async fn table_and_json_have_the_same_words() {
    let daemon = door().await;
    let (table, shown) = (status(&daemon).await, shown(&daemon).await);
    let heads = table.lines().find(|line| line.starts_with("POOL ")).unwrap();
    for head in heads.split_whitespace().skip(1) {
        let key = head.to_lowercase();
        assert!(shown["pools"][0][&key].is_u64(), "{key} in {shown}");
    }
    assert!(table.starts_with("0 of 20 runners alive\n"), "{table}");
    assert_eq!(shown["capacity"], json!({"alive": 0, "max": 20}));
}

/// Runs on while the test looks at what it has printed; ends with it.
struct Watch {
    child: Child,
    printed: std::path::PathBuf,
}

impl Watch {
    fn start(daemon: &Daemon, arguments: &[&str]) -> Self {
        let printed = daemon.folder.path().join(format!("watch{}", arguments.len()));
        let mut command = roustabout();
        command.args(["status", "--watch"]).args(arguments).arg("--config").arg(daemon.config());
        command.stdin(Stdio::null()).stdout(File::create(&printed).unwrap());
        Self { child: command.spawn().unwrap(), printed }
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(&self.printed).unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // It may have ended, which the test has told already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn watching_outlives_a_restart_of_the_daemon_and_says_that_it_is_away() {
    let mut daemon = door().await;
    let text = Watch::start(&daemon, &[]);
    let lines = Watch::start(&daemon, &["--json"]);
    let tables = || text.printed().matches("runners alive").count();
    until("both show it", SOON, async || tables() > 0 && lines.printed().contains("capacity"))
        .await;
    daemon.kill_hard();
    let away = "roustabout does not answer at ";
    until("both say that it is away", SOON, async || {
        text.printed().contains(away) && lines.printed().contains(away)
    })
    .await;
    let (before, json_before) = (tables(), lines.printed().matches("capacity").count());
    daemon.start().await;
    until("both show it again", SOON, async || {
        tables() > before && lines.printed().matches("capacity").count() > json_before
    })
    .await;
    assert!(text.printed().contains("retrying every 2 s"), "{}", text.printed());
    for line in lines.printed().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["capacity"].is_object() || line["error"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn status_lists_jobs_that_wait_with_their_reasons_where_it_is_asked_to() {
    let daemon = door().await;
    for job in [7, 8, 9] {
        Request::job(&job.to_string(), &queued(job)).send(daemon.door).await;
    }
    assert!(shown(&daemon).await["lists"].is_null());
    let mut listed = Value::Null;
    until("two of three are listed", SOON, async || {
        listed = daemon.api("/api/v1/status?lists=2").await;
        listed["lists"]["waiting"]["total"] == 3
    })
    .await;
    let jobs = listed["lists"]["waiting"]["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    assert!(jobs.iter().all(|job| job["reason"].is_string() && job["repository"] == "octo/app"));
    assert!(listed["at"].as_str() >= jobs[0]["received_at"].as_str(), "{listed}");
    for wrong in ["lists=1001", "lists=-1", "lists=", "jobs=1"] {
        let answer = daemon.at_private_door("GET", &format!("/api/v1/status?{wrong}"));
        assert_eq!(answer.send().await.unwrap().status(), 400, "{wrong}");
    }
}

/// Labels that no pool has.
fn windows(job: u64) -> Value {
    let mut payload = queued(job);
    payload["workflow_job"]["labels"] = json!(["self-hosted", "windows"]);
    payload
}

#[tokio::test]
async fn jobs_that_no_pool_serves_are_counted_and_told_once_with_their_labels() {
    let daemon = door().await;
    for job in [7, 8] {
        let reply = Request::job(&job.to_string(), &windows(job)).send(daemon.door).await;
        assert_eq!(reply.outcome(), (202, "ignored".into()));
    }
    let unserved = shown(&daemon).await["unserved"].clone();
    assert_eq!((&unserved["jobs"], &unserved["newest"]["job"]), (&json!(2), &json!(8)));
    let table = status(&daemon).await;
    let line = "unserved: 2 jobs that no pool serves, the newest job 8 of octo/app: no pool that";
    assert!(table.contains(line) && table.contains("(self-hosted, windows)"), "{table}");
    let told = daemon.log().lines().filter(|line| line.contains("no pool serves the job")).count();
    assert_eq!(told, 1, "{}", daemon.log());
    let log = daemon.log();
    let line = log.lines().find(|line| line.contains("no pool serves the job")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["level"], &line["repository"]), (&json!("WARN"), &json!("octo/app")));
    assert!(line["message"].as_str().unwrap().contains("self-hosted, windows"), "{line}");
}

#[tokio::test]
async fn deliveries_are_counted_by_outcome_and_the_last_good_one_is_known_after_a_restart() {
    let mut daemon = door().await;
    let nothing = shown(&daemon).await["deliveries"].clone();
    assert_eq!((&nothing["last_good"], &nothing["outcomes"]), (&Value::Null, &json!({})));
    assert!(status(&daemon).await.contains("none; last_good: never"));
    let good = || Request::job("one", &queued(7));
    for request in [
        good(),
        good(),
        Request::job("two", &windows(8)),
        Request::hook("ping", "three", "{}"),
        Request::hook("workflow_job", "four", "{"),
        good().without("x-hub-signature-256"),
        good().with("x-hub-signature-256", "sha256=zz"),
        good().signed("another secret"),
        good().path("/elsewhere"),
    ] {
        request.send(daemon.door).await;
    }
    let counted = shown(&daemon).await["deliveries"].clone();
    assert_eq!(
        counted["outcomes"],
        json!({"accepted": 1, "duplicate": 1, "ignored": 1, "pong": 1, "unreadable": 1,
            "signature_missing": 1, "signature_malformed": 1, "signature_wrong": 1})
    );
    assert!(counted["last_good"].as_str() >= counted["since"].as_str(), "{counted}");
    assert!(status(&daemon).await.contains("1 accepted, 1 duplicate, 1 ignored"));
    daemon.kill_hard();
    daemon.start().await;
    let after = shown(&daemon).await["deliveries"].clone();
    assert_eq!(after["outcomes"], json!({}));
    assert!(after["last_good"].is_string(), "{after}");
}
