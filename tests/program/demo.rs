//! `roustabout demo`: it becomes `roustabout-demo`, beside it or on PATH, with the same arguments and exit
//! code; where there is none it says how to get it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::programs::ROUSTABOUT;

/// The program in a folder where no other lies.
fn alone(folder: &Path) -> PathBuf {
    let program = folder.join("roustabout");
    // By a process of its own, or a child of this one may inherit it open for writing.
    let copied = Command::new("cp").arg(ROUSTABOUT).arg(&program).status();
    assert!(copied.unwrap().success());
    program
}

/// A `roustabout-demo` that says who it is and how it was called, and ends with 7.
fn fake(folder: &Path, name: &str) {
    fs::create_dir_all(folder).unwrap();
    let file = folder.join("roustabout-demo");
    let script = format!("#!/bin/sh\necho {name}; printf '<%s>' \"$@\"; exit 7\n");
    fs::write(&file, script).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(program: &Path, path: &Path) -> Output {
    let mut command = Command::new(program);
    command.args(["demo", "--jobs", "3", "--help", "two words", "--", "-x"]);
    command.env_clear().env("PATH", path).output().unwrap()
}

fn said(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn it_becomes_the_one_beside_it_else_the_one_on_path() {
    let folder = tempfile::tempdir().unwrap();
    let program = alone(folder.path());
    let elsewhere = folder.path().join("elsewhere");
    fake(&elsewhere, "on PATH");
    let arguments = "<--jobs><3><--help><two words><--><-x>";

    let output = run(&program, &elsewhere);
    assert_eq!(said(&output), format!("on PATH\n{arguments}"));
    assert_eq!(output.status.code(), Some(7));

    fake(folder.path(), "beside");
    let output = run(&program, &elsewhere);
    assert_eq!(said(&output), format!("beside\n{arguments}"));
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn where_there_is_none_it_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(&alone(folder.path()), Path::new("/nowhere"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&output), "");
    let error = String::from_utf8_lossy(&output.stderr);
    for named in ["roustabout-demo", "scripts/demo", "cargo install --locked --path crates/demo"] {
        assert!(error.contains(named), "{named} is not in: {error}");
    }
}

#[test]
fn one_that_cannot_be_started_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let program = alone(folder.path());
    fs::write(folder.path().join("roustabout-demo"), "").unwrap();
    let output = run(&program, Path::new("/nowhere"));
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    let named = folder.path().join("roustabout-demo");
    assert!(error.contains(&format!("cannot start {}", named.display())), "{error}");
}
