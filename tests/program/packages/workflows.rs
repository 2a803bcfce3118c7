//! The project's own workflows, by actionlint.

use crate::support;

use std::process::Command;

use support::daemon::here;
use support::parts::{self, Part};

#[test]
fn the_workflows_are_valid() {
    if parts::is_missing(Part::Actionlint, "the workflows of .github") {
        return;
    }
    let mut command = Command::new(std::env::var_os("ACTIONLINT_BIN").unwrap());
    let output = command
        .args(["-no-color", "-oneline"])
        .args(["ci.yml", "release.yml"].map(|file| here(".github/workflows").join(file)))
        .current_dir(here("."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
