//! `roustabout demo`, the built binary on a real Nomad: every job once, nothing left, neither at
//! the end nor when it is interrupted, and not a trace on a Nomad that it was lent.

use crate::support;

use std::process::Command;

use roustabout::demo::agent::{Agent, AgentOptions, Program};
use serde_json::Value;

use support::demo::{
    Running, assert_burst, assert_figures, assert_keeps, assert_nothing_left, demo, errors, lines,
    temporary,
};
use support::world::nomad_binary;

#[test]
fn every_job_runs_once_and_nothing_is_left() {
    let folder = temporary();
    let output =
        demo(folder.path(), &["--json"]).env("NOMAD_BIN", nomad_binary()).output().unwrap();
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
    let folder = temporary();
    let mut command = demo(folder.path(), &["--json"]);
    command.env("NOMAD_BIN", nomad_binary());
    let mut running = Running::start(command);
    running.until("started");
    let (_, output) = running.end("INT");
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("interrupted"), "{}", errors(&output));
    assert_nothing_left(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nomad_that_runs_already_is_left_as_it_was() {
    let agent = Agent::start(AgentOptions::new(Program::Nomad(nomad_binary()))).await.unwrap();
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

/// The same on a real Gitea, whose runners run real steps; kept, it takes what is pushed.
#[test]
fn on_a_gitea_every_job_runs_once_and_nothing_is_left() {
    let folder = temporary();
    let mut command = demo(folder.path(), &["--json", "--gitea", "--keep", "--jobs", "6"]);
    command.env("NOMAD_BIN", nomad_binary()).env("GITEA_PARTS", support::gitea::folder());
    let mut running = Running::start(command);
    let mut steps = running.all_until("kept");
    let kept = steps.pop().unwrap();
    let wrote = steps.iter().filter(|step| step["step"] == "log");
    assert_eq!(wrote.count(), 6, "each job's step wrote something: {steps:#?}");

    let push = kept["push"].as_str().unwrap();
    let pushed = Command::new("/bin/sh").args(["-c", push]).output().unwrap();
    assert!(pushed.status.success(), "{}", errors(&pushed));
    let ended = running.until("completed");
    assert!(ended["job"].as_u64() > kept["job"].as_u64(), "{ended} after {kept}");
    assert!(ended["text"].as_str().unwrap().starts_with("completed: success"), "{ended}");
    let (last, output) = running.end("INT");
    assert!(output.status.success(), "{}", errors(&output));
    // What was pushed is no part of the figures.
    steps.push(last.unwrap());
    assert_figures(&steps, 6);
    assert_nothing_left(folder.path());
}

#[test]
fn kept_it_takes_what_is_sent_and_ends_well() {
    let folder = temporary();
    let mut command = demo(folder.path(), &["--json", "--keep", "--jobs", "1"]);
    command.env("NOMAD_BIN", nomad_binary());
    assert_keeps(command);
    assert_nothing_left(folder.path());
}
