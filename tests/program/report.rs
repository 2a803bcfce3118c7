//! `report`: from webhooks to the table, the JSON and the CSV; and what cannot be asked.

use crate::support;

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, roustabout};
use support::until;
use support::webhook::{Request, door, queued};

const SOON: Duration = Duration::from_secs(20);

async fn report(daemon: &Daemon, arguments: &[&str]) -> Output {
    let mut command = roustabout();
    command.arg("report").args(arguments).arg("--config").arg(daemon.config()).current_dir("/");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn printed(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = report(daemon, arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Ended, with the times and the runner that GitHub tells.
fn completed(job: u64, runner: Option<&str>, started: &str, completed: &str) -> Value {
    let mut payload = queued(job);
    payload["action"] = json!("completed");
    let told = &mut payload["workflow_job"];
    told["status"] = json!("completed");
    told["conclusion"] = json!("failure");
    told["runner_name"] = json!(runner);
    told["head_branch"] = json!("=evil,\u{1b}[31mred");
    told["created_at"] = json!("2026-01-31T23:58:00Z");
    told["started_at"] = json!(started);
    told["completed_at"] = json!(completed);
    payload
}

#[tokio::test]
async fn what_webhooks_told_is_counted_once_in_the_month_of_its_start() {
    let daemon = door().await;
    let ours = "roustabout-x64-0123456789abc";
    let jobs = [
        completed(7, Some(ours), "2026-01-31T23:59:30Z", "2026-02-01T00:01:00Z"),
        completed(8, Some("somebody"), "2026-01-31T23:59:30Z", "2026-02-01T00:01:00Z"),
        completed(9, None, "2026-01-31T23:59:30Z", "2026-01-31T23:59:30Z"),
    ];
    for (number, job) in jobs.iter().enumerate() {
        // It has to be known first: nothing is kept of a job that is told of at its end.
        Request::job(&format!("q{number}"), &queued(7 + number as u64)).send(daemon.door).await;
        for attempt in 0..2 {
            let delivery = format!("c{number}-{attempt}");
            assert_eq!(Request::job(&delivery, job).send(daemon.door).await.status, 202);
        }
    }
    until("all have ended", SOON, async || {
        let jobs = daemon.api("/api/v1/jobs").await;
        jobs.as_array().unwrap().iter().filter(|job| job["status"] == "completed").count() == 3
    })
    .await;
    let month = ["--month", "2026-01", "--json"];
    let shown: Value = serde_json::from_str(&printed(&daemon, &month).await).unwrap();
    assert_eq!(shown, daemon.api("/api/v1/report?month=2026-01").await);
    let row = json!({"repository": "octo/app", "jobs": 1, "failed": 1, "minutes": 2,
        "robot_minutes": 0, "wait_p50_s": 90, "wait_p90_s": 90, "hosted_cost_usd": 0.012});
    assert_eq!(shown["rows"], json!([row]));
    assert_eq!(shown["totals"]["included_minutes_used"], 2);
    assert_eq!(shown["totals"]["hosted_cost_usd"], 0.0);
    let table = printed(&daemon, &["--month", "2026-01", "--by", "pool"]).await;
    assert!(table.starts_with("2026-01-01 to 2026-01-31 (UTC), by pool\n\nPOOL "), "{table}");
    assert!(table.contains("\nx64 "), "{table}");
    // Strangers choose the names of branches.
    let csv = printed(&daemon, &["--month", "2026-01", "--by", "branch", "--csv"]).await;
    assert!(csv.contains("\n\"'=evil,") && !csv.contains('\u{1b}'), "{csv}");
    let february = printed(&daemon, &["--month", "2026-02", "--json"]).await;
    assert!(february.contains("\"rows\":[]"), "{february}");
}

#[tokio::test]
async fn what_cannot_be_is_exit_2_and_a_month_before_the_first_job_is_empty() {
    let daemon = door().await;
    for (arguments, words) in [
        (&["--month", "2026-13"][..], "\"2026-13\" is not a month; write YYYY-MM"),
        (&["--month", "9999-12"], "9999-12 has not begun yet"),
        (&["--month", "last"], "is not a month"),
        (&["--since", "2026-02-30"], "is not a day; write YYYY-MM-DD"),
        (&["--by", "mood"], "use one of repository, owner"),
        (&["--month", "2026-01", "--since", "2026-01-01"], "cannot be used with"),
        (&["--json", "--csv"], "cannot be used with"),
    ] {
        let output = report(&daemon, arguments).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(error.contains(words) && output.stdout.is_empty(), "{error}");
    }
    let empty = printed(&daemon, &["--month", "2019-01"]).await;
    assert!(empty.contains("No job was run by these runners."), "{empty}");
    let refused = daemon.at_private_door("GET", "/api/v1/report?month=2026-13").send().await;
    let refused = refused.unwrap();
    assert_eq!(refused.status(), 400);
    let why: Value = refused.json().await.unwrap();
    assert!(why["error"].as_str().unwrap().contains("is not a month"), "{why}");
}
