//! `roustabout demo --gitea`, the built binary with a real Gitea, whose runners run real steps; kept, it
//! takes what is pushed.

use std::process::Command;

use local_parts::agent::Program;

use crate::support;
use support::cluster;
use support::demo::{Running, assert_figures, assert_nothing_left, demo, errors, temporary};
use support::parts::{self, Part};

#[test]
fn on_a_gitea_every_job_runs_once_and_nothing_is_left() {
    if parts::is_missing(Part::Gitea, "the demo on a Gitea") {
        return;
    }
    let folder = temporary();
    let mut command = demo(folder.path(), &["--json", "--gitea", "--keep", "--jobs", "6"]);
    command.env("GITEA_PARTS", support::gitea::folder());
    if let Program::Nomad(binary) = cluster::program() {
        command.env("NOMAD_BIN", binary);
    }
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
