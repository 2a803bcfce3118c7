//! The program by itself: what it is called as, and what a wrong command line says. The demo as it is played
//! is tested with the daemon's program beside it, in `tests/cluster` and `tests/gitea` of the package
//! `roustabout`; they build this program by this test.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_roustabout-demo")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn its_help_names_every_option_and_no_hidden_command() {
    let output = demo(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = text(&output.stdout);
    for option in ["--nomad <ADDR>", "--jobs <N>", "--json", "--keep", "--gitea"] {
        assert!(help.contains(option), "{option} is not in:\n{help}");
    }
    assert!(!help.contains("simulated-"), "{help}");
}

#[test]
fn a_wrong_command_line_is_exit_2_and_starts_nothing() {
    for wrong in [["--jobs", "0"], ["--jobs", "65"], ["--nomad", "http://192.0.2.1:4646"]] {
        let output = demo(&wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert_eq!(text(&output.stdout), "", "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
}

#[test]
fn it_is_also_what_runs_in_place_of_the_real_ones() {
    let output = demo(&["simulated-nomad", "version"]);
    assert_eq!(text(&output.stdout), "Nomad v1.11.3 (a stand-in, not HashiCorp's)\n");
    let output = demo(&["simulated-runner"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("usage: simulated-runner"));
}
