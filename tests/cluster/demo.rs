//! `roustabout demo`, the built binary on a Nomad: every job once, nothing left, neither at
//! the end nor when it is interrupted, and not a trace on a Nomad that it was lent.

use crate::support;

use std::process::Command;

use local_parts::agent::Program;
use serde_json::Value;

use support::cluster;
use support::demo::{
    Running, assert_burst, assert_keeps, assert_nothing_left, demo, errors, lines, temporary,
};

/// On the Nomad that the tests run on.
fn on_the_one(mut command: Command) -> Command {
    if let Program::Nomad(binary) = cluster::program() {
        command.env("NOMAD_BIN", binary);
    }
    command
}

#[test]
fn every_job_runs_once_and_nothing_is_left() {
    let folder = temporary();
    let output = on_the_one(demo(folder.path(), &["--json"])).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let steps = lines(&output);
    assert_burst(&steps, 12);
    let summary = steps.last().unwrap();
    assert_eq!(summary["tokens_minted"], 3, "one for each repository: {summary}");
    assert_eq!(summary["purged"], summary["dispatches"]);
    assert!(steps.iter().any(|step| step["step"] == "waits"), "12 jobs on 4 places");
    assert_nothing_left(folder.path());
}

#[test]
fn interrupted_it_ends_what_it_started() {
    for by in ["INT", "TERM"] {
        let folder = temporary();
        let mut running = Running::start(on_the_one(demo(folder.path(), &["--json"])));
        running.until("started");
        let (_, output) = running.end(by);
        assert_eq!(output.status.code(), Some(1));
        assert!(errors(&output).contains("interrupted"), "{}", errors(&output));
        assert_nothing_left(folder.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nomad_that_runs_already_is_left_as_it_was() {
    let agent = cluster::start().await;
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
fn kept_it_takes_what_is_sent_and_ends_well() {
    let folder = temporary();
    let command = on_the_one(demo(folder.path(), &["--json", "--keep", "--jobs", "1"]));
    assert_keeps(command);
    assert_nothing_left(folder.path());
}
