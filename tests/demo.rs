//! `roustabout demo`, the built binary on a real Nomad: every job once, nothing left, neither at
//! the end nor when it is interrupted, and not a trace on a Nomad that it was lent.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use roustabout::demo::agent::{Agent, AgentOptions, find_binary};
use serde_json::Value;

use support::daemon::{roustabout, signal};

fn nomad() -> PathBuf {
    let said = std::env::var_os("ROUSTABOUT_TEST_NOMAD").map(PathBuf::from);
    find_binary(said.as_deref(), |name| std::env::var_os(name))
        .expect("no Nomad found; scripts/test gets one and runs these tests")
}

/// A folder for temporary files that every account may enter, so that all that the demo makes is
/// in it.
fn temporary() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn demo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = roustabout();
    command.arg("demo").args(arguments).env("TMPDIR", folder).stdin(Stdio::null());
    command
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Neither files nor processes: those of the agent have the folder in their arguments.
fn assert_nothing_left(folder: &Path) {
    let files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, Vec::<PathBuf>::new());
    let mark = folder.to_str().unwrap();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        // Processes come and go; one that is gone cannot be read.
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        assert!(!arguments.contains(mark), "{} still runs: {arguments}", process.path().display());
    }
}

/// The steps of one job and its runner are there and in order.
fn assert_whole_way(steps: &[Value], job: &Value) {
    let at = |kind: &str, key: &str, whose: &Value| {
        let found = steps.iter().position(|step| step["step"] == kind && step[key] == *whose);
        found.unwrap_or_else(|| panic!("no step {kind} of {whose}"))
    };
    let started = at("started", "job", job);
    let runner = &steps[started]["runner"];
    let way = [
        at("webhook", "job", job),
        at("hired", "runner", runner),
        at("dispatched", "runner", runner),
        at("registered", "runner", runner),
        started,
        at("completed", "job", job),
        at("gone", "runner", runner),
    ];
    // Of this job only the start must be after its webhook: the runner may be hired for another.
    assert!(way[0] < started, "{way:?}");
    assert!(way[1..].is_sorted(), "{way:?}");
}

#[test]
fn every_job_runs_once_and_nothing_is_left() {
    let folder = temporary();
    let output = demo(folder.path(), &["--json"]).env("NOMAD_BIN", nomad()).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let steps = lines(&output);
    let summary = steps.last().unwrap();
    assert_eq!(summary["step"], "summary");
    assert_eq!(summary["ok"], true, "{summary}");
    assert_eq!(summary["jobs"], 12);
    let ran = summary["ran_once"].as_u64().unwrap();
    assert_eq!(ran + summary["cancelled_in_queue"].as_u64().unwrap(), 12, "{summary}");
    for left in ["dispatches_alive", "runners_registered", "runners_in_ledger"] {
        assert_eq!(summary["left"][left], 0, "{summary}");
    }
    assert_eq!(summary["tokens_minted"], 2, "one for each repository: {summary}");
    assert_eq!(summary["purged"], summary["dispatches"]);

    let completed: Vec<&Value> =
        steps.iter().filter(|step| step["step"] == "completed").map(|step| &step["job"]).collect();
    assert_eq!(completed.len(), 12);
    let started: Vec<&Value> =
        steps.iter().filter(|step| step["step"] == "started").map(|step| &step["job"]).collect();
    assert_eq!(started.len() as u64, ran);
    for job in started {
        assert_whole_way(&steps, job);
    }
    assert!(steps.iter().any(|step| step["step"] == "waits"), "12 jobs on 4 places");
    assert_nothing_left(folder.path());
}

#[test]
fn interrupted_it_ends_what_it_started() {
    let folder = temporary();
    let mut command = demo(folder.path(), &["--json"]);
    let child = command.env("NOMAD_BIN", nomad()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    told.find(|line| line.as_ref().unwrap().contains("\"started\""))
        .expect("a job starts")
        .unwrap();
    signal(child.id(), "INT");
    told.for_each(drop);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("interrupted"), "{}", errors(&output));
    assert_nothing_left(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nomad_that_runs_already_is_left_as_it_was() {
    let agent = Agent::start(AgentOptions::new(nomad())).await.unwrap();
    let folder = temporary();
    let address = agent.address().to_string();
    let mut command = demo(folder.path(), &["--json", "--jobs", "3", "--nomad", &address]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let steps = lines(&output);
    assert_eq!(steps.last().unwrap()["ran_once"], 3);
    let hired = steps.iter().find(|step| step["step"] == "hired").unwrap();
    let name = hired["runner"].as_str().unwrap();
    assert!(name.starts_with("demo"), "no other daemon's prefix: {name}");
    let jobs = reqwest::get(agent.address().join("v1/jobs").unwrap()).await.unwrap();
    let jobs: Vec<Value> = jobs.json().await.unwrap();
    assert!(jobs.is_empty(), "{jobs:?}");
    assert_nothing_left(folder.path());
    agent.stop().await;
}

#[test]
fn without_a_nomad_it_says_which_command_builds_one() {
    let folder = temporary();
    let nowhere = folder.path().join("nowhere");
    let mut command = demo(folder.path(), &[]);
    let output = command.env("PATH", &nowhere).env("HOME", &nowhere).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = errors(&output);
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in ["scripts/demo", "NOMAD_BIN", "--nomad"] {
        assert!(said.contains(word), "{said}");
    }
    assert_nothing_left(folder.path());
}

#[test]
fn what_cannot_be_is_said_and_leaves_nothing() {
    let folder = temporary();
    let output = demo(folder.path(), &["--nomad", "http://192.0.2.1:4646"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("not a loopback address"), "{}", errors(&output));
    let closed = format!("http://127.0.0.1:{}", support::free_port());
    let output = demo(folder.path(), &["--nomad", &closed]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains(&closed), "{}", errors(&output));
    let output = demo(folder.path(), &["--keep"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("not yet"), "{}", errors(&output));
    assert_nothing_left(folder.path());
}
