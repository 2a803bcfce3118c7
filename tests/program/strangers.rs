//! Text that strangers choose, from a webhook to every place where people and machines read it: none
//! of it moves a terminal, forges a line, is expanded by Nomad, or is long.

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, SECRET, roustabout};
use support::until;
use support::webhook::{NOBODY_THERE, Request, queued};

const SOON: Duration = Duration::from_secs(20);

/// A terminal's title, its bell, C1, line breaks of all kinds, what turns writing round, what Nomad
/// expands; and then a megabyte.
const EVIL: &str = "a\u{1b}[2J\u{1b}]0;t\u{7}b\u{9b}31m\r\nWARN forged\u{2028}\u{85}c\u{202e}txt\u{2066}\u{feff}${meta.x}$${NOMAD_SECRETS_DIR}";

fn evil() -> String {
    EVIL.to_owned() + &"x".repeat(1024 * 1024)
}

/// A job whose every text is a stranger's.
fn payload(job: u64) -> Value {
    let mut payload = queued(job);
    let it = &mut payload["workflow_job"];
    for field in ["name", "workflow_name", "head_branch", "conclusion", "html_url", "head_sha"] {
        it[field] = json!(evil());
    }
    it["steps"] = json!([{"name": evil(), "conclusion": evil()}]);
    it["runner_group_name"] = json!(evil());
    payload["sender"]["login"] = json!(evil());
    payload
}

/// Where it is on the way to somebody who reads it.
fn assert_harmless(what: &str, text: &str) {
    for (number, line) in text.lines().enumerate() {
        let moves = |c: char| {
            c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        };
        let bad = line.chars().find(|c| moves(*c));
        assert_eq!(bad, None, "{what}, line {number}: {line:?}");
        assert!(!line.contains("${"), "{what}: {line}");
        assert!(!line.trim_start().starts_with("WARN forged"), "{what}: {text}");
        assert!(line.len() < 40_000, "{what}: a line of {} bytes", line.len());
    }
}

/// Every text in it, and its keys.
fn assert_json_harmless(what: &str, value: &Value) {
    match value {
        Value::String(text) => assert_harmless(what, &text.replace('\n', "\\n")),
        Value::Array(all) => all.iter().for_each(|one| assert_json_harmless(what, one)),
        Value::Object(all) => all.iter().for_each(|(key, one)| {
            assert_harmless(what, key);
            assert_json_harmless(what, one);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What happened to jobs, runners and pools can be searched by a name that stays, whatever the message is.
fn assert_is_named(line: &Value) {
    let about = ["job", "runner", "pool"].iter().any(|what| line.get(what).is_some());
    if about && matches!(line["level"].as_str(), Some("INFO" | "WARN")) {
        let name = line["event"].as_str().unwrap_or_else(|| panic!("without a name: {line}"));
        let documented = include_str!("../../docs/log.md").contains(&format!("`{name}`"));
        assert!(documented, "{name} is not in docs/log.md");
    }
}

/// What a command prints, whatever it came to.
async fn printed(daemon: &Daemon, arguments: &[&str]) -> String {
    let mut command = roustabout();
    command.args(arguments).arg("--config").arg(daemon.config()).current_dir("/");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

async fn start(format: &str) -> Daemon {
    let mut daemon = Daemon::prepare(NOBODY_THERE);
    daemon.start_by(&["env", &format!("ROUSTABOUT__LOG__FORMAT={format}"), "RUST_LOG=debug"]).await;
    daemon
}

/// One of each kind: served, refused, without a pool, unreadable, of an unknown action and event.
async fn tell(daemon: &Daemon) {
    let mut refused = payload(8);
    refused["repository"]["private"] = json!(false);
    refused["repository"]["full_name"] = json!(format!("octo/{EVIL}"));
    refused["repository"]["id"] = json!(2);
    let mut unserved = payload(9);
    unserved["workflow_job"]["labels"] = json!(vec![evil(); 12]);
    let mut running = payload(10);
    running["action"] = json!("in_progress");
    running["workflow_job"]["runner_name"] = json!(evil());
    let mut odd = payload(11);
    odd["action"] = json!(evil());
    let mut unreadable = payload(12);
    unreadable["workflow_job"]["id"] = json!(EVIL);
    for (delivery, payload) in [
        ("one", payload(7)),
        ("two", refused),
        ("three", unserved),
        ("four", running),
        ("five", odd),
        ("six", unreadable),
    ] {
        let reply = Request::job(delivery, &payload).send(daemon.door).await;
        assert_json_harmless("the door's answer", &reply.json());
    }
    let bytes =
        |text: &str| text.chars().filter(|c| !c.is_control() && c.is_ascii()).collect::<String>();
    let event = Request::hook(&bytes(EVIL), "seven", "{}").send(daemon.door).await;
    assert_eq!(event.status, 202);
    let unsigned =
        Request::hook("ping", &bytes(EVIL), "{}").signed("another").send(daemon.door).await;
    assert_eq!(unsigned.status, 401);
    until("the jobs are known", SOON, async || daemon.job(10).await["status"] == "in_progress")
        .await;
}

#[tokio::test]
async fn no_text_of_a_stranger_does_anything_where_it_is_read() {
    let daemon = start("json").await;
    tell(&daemon).await;
    for path in ["status", "pools", "jobs", "runners", "explain/7", "deliveries/six"] {
        let shown = daemon.api(&format!("/api/v1/{path}")).await;
        // The start of an unreadable body is shown as it came, within JSON.
        let mut shown = shown;
        if let Some(body) = shown.get_mut("body") {
            *body = Value::Null;
        }
        assert_json_harmless(path, &shown);
    }
    for job in ["7", "8", "9", "10"] {
        assert_json_harmless("explain", &daemon.api(&format!("/api/v1/explain/{job}")).await);
        assert_harmless("explain", &printed(&daemon, &["explain", job]).await);
    }
    assert_harmless("status", &printed(&daemon, &["status"]).await);
    assert_harmless(
        "explain --delivery",
        &printed(&daemon, &["explain", "--delivery", "six"]).await,
    );
    let file = daemon.folder.path().join("payload.json");
    for sent in [payload(7), payload(13)] {
        std::fs::write(&file, sent.to_string()).unwrap();
        let file = file.to_str().unwrap();
        assert_harmless(
            "explain --payload",
            &printed(&daemon, &["explain", "--payload", file]).await,
        );
        assert_harmless("send", &printed(&daemon, &["send", file]).await);
    }
    let log = daemon.log();
    assert!(log.contains("forged"), "{log}");
    for line in log.lines() {
        assert!(line.len() < 20_000, "{} bytes", line.len());
        let line = serde_json::from_str(line).unwrap();
        assert_json_harmless("the log", &line);
        assert_is_named(&line);
    }
    assert!(log.contains("\"event\":\"job.queued\""), "{log}");
    assert!(!log.contains(SECRET));
}

#[tokio::test]
async fn the_log_as_text_has_no_line_that_a_stranger_wrote() {
    let daemon = start("text").await;
    tell(&daemon).await;
    let log = daemon.log();
    assert!(log.contains("forged"), "{log}");
    assert_harmless("the log", &log);
}
