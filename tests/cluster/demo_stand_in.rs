//! `roustabout demo` where there is no Nomad: it says what it runs on, on a terminal and off it, and not
//! a process is left where it is killed. What holds on every Nomad is in `demo`.

use crate::support;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use local_parts::agent::Agent;
use serde_json::Value;

use support::cluster;
use support::demo::{
    Running, assert_burst, assert_nothing_left, demo, errors, lines, processes_of, temporary,
};
use support::programs;

/// Where no Nomad is to be found.
fn without_nomad(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = demo(folder, arguments);
    command.env("PATH", "/nowhere").env("HOME", "/nowhere");
    command
}

#[test]
fn the_same_burst_goes_through_and_it_is_said_what_it_ran_on() {
    let folder = temporary();
    let output = without_nomad(folder.path(), &["--json", "--jobs", "2"]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let steps = lines(&output);
    assert_burst(&steps, 2);
    assert_eq!(steps.last().unwrap()["left"]["processes"], 0);
    let setup: Vec<&str> = steps
        .iter()
        .filter(|step| step["step"] == "setup")
        .map(|step| step["text"].as_str().unwrap())
        .collect();
    assert!(setup.iter().any(|text| text.starts_with("not the real one")), "{setup:?}");
    assert!(
        setup.iter().any(|text| text.contains("developer.hashicorp.com/nomad/install")),
        "{setup:?}"
    );
    assert_nothing_left(folder.path());
}

/// What it says of the Nomad at its beginning, and at its end.
fn nomads_told(output: &Output) -> [Value; 2] {
    assert!(output.status.success(), "{}", errors(output));
    let steps = lines(output);
    let setup = steps.iter().find(|step| step["part"] == "Nomad").unwrap();
    [setup.clone(), steps.last().unwrap().clone()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stand_in_behind_an_address_or_in_a_programs_place_is_not_called_real() {
    let mut options = cluster::options();
    options.program = cluster::stand_in();
    let agent = Agent::start(options).await.unwrap();
    let address = agent.address().to_string();
    let folder = temporary();
    let mut named = without_nomad(folder.path(), &["--json", "--jobs", "1", "--nomad", &address]);
    let named = tokio::task::spawn_blocking(move || named.output().unwrap()).await.unwrap();
    agent.stop().await;

    // Where whoever runs an agent can reach it.
    let bin = temporary();
    let program = bin.path().join("roustabout-demo");
    // By a process of its own, or a child of this one may inherit it open for writing.
    let copied = Command::new("cp").arg(programs::roustabout_demo()).arg(&program).status();
    assert!(copied.unwrap().success());
    let wrapper = bin.path().join("nomad");
    let script = format!("#!/bin/sh\nexec {} simulated-nomad \"$@\"\n", program.display());
    std::fs::write(&wrapper, script).unwrap();
    std::fs::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).unwrap();
    let mut found = demo(folder.path(), &["--json", "--jobs", "1"]);
    found.env("NOMAD_BIN", &wrapper);
    let found = tokio::task::spawn_blocking(move || found.output().unwrap()).await.unwrap();

    for (output, by) in [(named, "--nomad"), (found, "program")] {
        let [setup, summary] = nomads_told(&output);
        let text = setup["text"].as_str().unwrap();
        assert!(text.starts_with("not a real one but a stand-in"), "{text}");
        for told in [&setup["nomad"], &summary["nomad"]] {
            assert_eq!((&told["real"], &told["by"]), (&false.into(), &by.into()), "{told}");
        }
    }
    assert_nothing_left(folder.path());
}

#[test]
fn without_a_terminal_there_are_plain_lines() {
    let folder = temporary();
    let output = without_nomad(folder.path(), &["--jobs", "2"]).output().unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains('\x1b'), "{text}");
    for said in [
        "build (stable, debug)     queued → webhook 202 accepted",
        "registered at GitHub",
        "completed: success",
        "1 node: 1 lacks memory",
        "2 of 4, each exactly once; 1 cancelled while it waited; 1 refused",
        "   0  processes of runners",
    ] {
        assert!(text.contains(said), "{said:?} is not in:\n{text}");
    }
    assert_nothing_left(folder.path());
}

#[test]
fn killed_it_leaves_no_process_behind() {
    let folder = temporary();
    let mut running = Running::start(without_nomad(folder.path(), &["--json"]));
    running.until("started");
    assert!(processes_of(folder.path()).len() > 1, "a runner at work");
    running.end("KILL");
    // Nobody of ours is there any more to wait for them.
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Some(left) = processes_of(folder.path()).first() {
        assert!(Instant::now() < deadline, "still there: {left}");
        std::thread::sleep(Duration::from_millis(50));
    }
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
    let output = demo(folder.path(), &[]).env("NOMAD_BIN", "/nowhere/nomad").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("NOMAD_BIN /nowhere/nomad"), "{}", errors(&output));
    assert_nothing_left(folder.path());
}

/// Runs it on a terminal of that size; everything that it wrote there.
fn on_a_terminal(mut command: Command, columns: u16, rows: u16) -> Vec<u8> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).unwrap();
    let theirs: OwnedFd = std::fs::File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap()
        .into();
    let mut child = command
        .env("TERM", "xterm-256color")
        .stdout(Stdio::from(theirs.try_clone().unwrap()))
        .stderr(Stdio::from(theirs))
        .spawn()
        .unwrap();
    // Only the child has it now, so that its end is the end.
    drop(command);
    let mut all = Vec::new();
    // Linux says EIO where the other side is closed.
    let _ = std::fs::File::from(ours).read_to_end(&mut all);
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&all));
    all
}

/// What then stands there, with what has scrolled away before it.
fn screen_of(written: &[u8], columns: u16, rows: u16) -> Vec<String> {
    let mut terminal = vt100::Parser::new(rows, columns, 1_000);
    terminal.process(written);
    let screen = terminal.screen_mut();
    screen.set_scrollback(usize::MAX);
    let mut lines = Vec::new();
    for above in (0..=screen.scrollback()).rev() {
        screen.set_scrollback(above);
        let first = screen.rows(0, columns).next().unwrap();
        lines.push(first);
    }
    lines.extend(screen.rows(0, columns).skip(1));
    lines
}

#[test]
fn on_a_terminal_there_is_one_table_with_every_job_and_its_times() {
    let (columns, rows) = (120, 30);
    let folder = temporary();
    let command = without_nomad(folder.path(), &["--jobs", "5"]);
    let written = on_a_terminal(command, columns, rows);
    let text = String::from_utf8_lossy(&written);
    assert!(text.contains("\x1b[32m"), "success is green");
    assert!(text.matches("runners ").count() > 10, "it was drawn again and again");
    let lines = screen_of(&written, columns, rows);
    let shown = lines.join("\n");
    let having = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        having("webhook    hired dispatch   placed    ready  running     done"),
        1,
        "{shown}"
    );
    for job in ["build (stable, debug)", "build (stable, release)", "test (1)", "train"] {
        assert_eq!(having(job), 1, "{job} in:\n{shown}");
    }
    assert_eq!(having("✔"), 5, "{shown}");
    assert_eq!(having("cancelled; its runner was let go"), 1, "{shown}");
    assert_eq!(having("refused: octo/site is public"), 1, "{shown}");
    assert_eq!(having("0  processes of runners"), 1, "{shown}");
    let at = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
    assert!(at("hired dispatch") < at("jobs run") && at("jobs run") < at("folders removed"));
    assert_nothing_left(folder.path());
}

#[test]
fn a_small_terminal_without_colours_is_enough() {
    let (columns, rows) = (60, 12);
    let folder = temporary();
    let mut command = without_nomad(folder.path(), &["--jobs", "12"]);
    command.env("NO_COLOR", "1");
    let written = on_a_terminal(command, columns, rows);
    let text = String::from_utf8_lossy(&written);
    assert!(text.contains("\x1b[") && !text.contains("m\x1b[0m") && !text.contains("\x1b[2m"));
    assert!(text.contains("●●●●●●"));
    let lines = screen_of(&written, columns, rows);
    let tables = lines.iter().filter(|line| line.contains("steps    at")).count();
    assert_eq!(tables, 1, "{}", lines.join("\n"));
    assert_nothing_left(folder.path());
}
