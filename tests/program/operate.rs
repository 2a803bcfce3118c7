//! `pause`, `resume` and `retry`, as commands and at the private door.

use crate::support;

use std::time::Duration;

use serde_json::{Value, json};
use support::daemon::{Daemon, roustabout};
use support::until;
use support::webhook::{NOBODY_THERE, Request, door, queued};

const SOON: Duration = Duration::from_secs(10);

/// Exit code, standard output and standard error.
async fn call(daemon: &Daemon, arguments: &[&str]) -> (i32, String, String) {
    let mut command = roustabout();
    command.args(arguments).current_dir("/").arg("--config").arg(daemon.config());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

async fn post(daemon: &Daemon, path: &str, body: &str) -> (u16, Value) {
    let request = daemon.at_private_door("POST", path);
    let request = request.header("content-type", "application/json").body(body.to_owned());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn pool(daemon: &Daemon) -> Value {
    daemon.api("/api/v1/pools").await[0].clone()
}

#[tokio::test]
async fn a_pause_survives_a_restart_and_is_shown_until_it_is_resumed() {
    let mut daemon = door().await;
    let (code, out, err) = call(&daemon, &["pause", "x64"]).await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, "pool x64 is paused until you resume it: no runner is launched for it\n");
    daemon.kill_hard();
    daemon.start().await;
    let shown = pool(&daemon).await;
    assert_eq!((&shown["paused"], &shown["paused_until"]), (&json!(true), &Value::Null));
    let (_, table, _) = call(&daemon, &["status"]).await;
    assert!(table.contains("\n  paused: no runner is launched\n"), "{table}");
    let (code, out, _) = call(&daemon, &["resume", "x64", "--json"]).await;
    assert_eq!(code, 0);
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(done, json!({"done": true, "pool": "x64"}));
    assert_eq!(pool(&daemon).await["paused"], false);
    assert_eq!(call(&daemon, &["resume", "x64"]).await.0, 0, "twice does no harm");
}

#[tokio::test]
async fn a_pause_for_a_time_ends_by_itself() {
    let daemon = door().await;
    let (code, out, _) = call(&daemon, &["pause", "x64", "--for", "2h"]).await;
    let until_then = pool(&daemon).await["paused_until"].as_str().unwrap().to_owned();
    assert_eq!(code, 0);
    assert!(out.contains(&format!("paused until {until_then}")), "{out}");
    let then: jiff::Timestamp = until_then.parse().unwrap();
    let away = then.as_second() - jiff::Timestamp::now().as_second();
    assert!((7100..=7200).contains(&away), "{away} s");
    let (status, done) = post(&daemon, "/api/v1/pools/x64/pause", r#"{"for_seconds": 1}"#).await;
    assert_eq!((status, &done["done"]), (200, &json!(true)));
    assert!(done["paused_until"].is_string());
    until("the pause is over", SOON, async || pool(&daemon).await["paused"] == false).await;
}

#[tokio::test]
async fn what_is_unknown_is_404_and_what_is_wrong_is_400_or_exit_2() {
    let daemon = door().await;
    for path in ["/api/v1/pools/arm/pause", "/api/v1/pools/arm/resume", "/api/v1/jobs/7/retry"] {
        let (status, body) = post(&daemon, path, "").await;
        assert_eq!(status, 404, "{path}");
        assert!(body["error"].as_str().unwrap().contains("no"), "{body}");
    }
    let (status, _) = post(&daemon, "/api/v1/pools/x64/pause", r#"{"for": "soon"}"#).await;
    assert_eq!(status, 400);
    let (code, _, err) = call(&daemon, &["pause", "arm"]).await;
    assert_eq!((code, err.as_str()), (1, "roustabout: there is no pool arm\n"));
    let (code, _, err) = call(&daemon, &["pause", "x64", "--for", "soon"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("30m, 2h or 1d"), "{err}");
}

#[tokio::test]
async fn nobody_can_be_told_while_no_daemon_is_there() {
    let daemon = Daemon::prepare(NOBODY_THERE);
    for arguments in [&["pause", "x64"][..], &["resume", "x64"], &["retry", "7"]] {
        let (code, _, err) = call(&daemon, arguments).await;
        assert_eq!(code, 1);
        assert!(
            err.contains("roustabout does not answer at") && err.contains("--address"),
            "{err}"
        );
    }
}

#[tokio::test]
async fn a_retry_is_a_line_of_the_jobs_story() {
    let daemon = door().await;
    Request::job("one", &queued(7)).send(daemon.door).await;
    until("the job is known", SOON, async || daemon.job(7).await["id"] == 7).await;
    let (code, out, err) = call(&daemon, &["retry", "7"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("job 7 is retried"), "{out}");
    // The answer goes first, for nobody waits for the log.
    let line = "job is looked up again, as requested";
    until("it is logged", SOON, async || daemon.log().contains(line)).await;
}

/// Whatever a path holds, its answer is the door's own: JSON with `error`.
#[tokio::test]
async fn names_that_are_no_text_and_methods_that_no_path_has_are_refused_in_json() {
    let daemon = door().await;
    for (method, path, status) in [
        ("POST", "/api/v1/pools/%FF/pause", 400),
        ("POST", "/api/v1/pools/%FF/resume", 400),
        ("POST", "/api/v1/jobs/%FF/retry", 400),
        ("GET", "/api/v1/jobs/%FF", 400),
        ("GET", "/api/v1/explain/%FF", 400),
        ("GET", "/api/v1/deliveries/%FF", 400),
        ("POST", "/api/v1/pools/a%00b/pause", 404),
        ("GET", "/api/v1/pools/x64/pause", 405),
        ("POST", "/api/v1/status", 405),
        ("DELETE", "/healthz", 405),
    ] {
        let request = daemon.at_private_door(method, path);
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        let text = answer.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        assert!(body["error"].is_string(), "{method} {path}: {text}");
    }
}

#[tokio::test]
async fn a_token_that_leaves_the_machine_unencrypted_is_warned_of_in_one_line() {
    let daemon = door().await;
    let token = daemon.config().with_file_name("admin-token");
    let token = token.to_str().unwrap();
    // Linux takes it for this machine; what is asked does not.
    let elsewhere = format!("http://0.0.0.0:{}", daemon.admin);
    let here = format!("http://127.0.0.1:{}", daemon.admin);
    for command in [&["status"][..], &["explain", "7"], &["resume", "x64"], &["retry", "7"]] {
        let by = |address| [command, &["--address", address, "--token-file", token]].concat();
        let (_, _, told) = call(&daemon, &by(elsewhere.as_str())).await;
        let warning =
            format!("roustabout: warning: the admin token is sent to {elsewhere}/ unencrypted; ");
        assert_eq!(told.lines().filter(|line| line.starts_with(&warning)).count(), 1, "{told}");
        let (_, _, told) = call(&daemon, &by(here.as_str())).await;
        assert!(!told.contains("warning"), "{told}");
    }
}
