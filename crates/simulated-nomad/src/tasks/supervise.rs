//! The hidden command that runs a task's command in its own process group, and kills the whole
//! group when the program that asked for it is no more, however that ended.
//!
//! It knows that by its standard input, a pipe that nobody writes to and the kernel closes.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, Stdio};

use rustix::process::{Signal, getpgrp, getpid, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

/// Its name on the command line.
pub const COMMAND: &str = "simulated-task";

/// `COMMAND ARGUMENTS…`; exits as that one does.
pub async fn main(arguments: Vec<String>) -> ExitCode {
    let [command, arguments @ ..] = arguments.as_slice() else {
        eprintln!("usage: {COMMAND} COMMAND ARGUMENTS…");
        return ExitCode::from(2);
    };
    // Signals to the group are for the command. They are caught and not ignored, for an ignored
    // one would stay ignored in the command.
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ];
    let caught: Result<Vec<_>, _> = kinds.into_iter().map(signal).collect();
    if getpgrp() != getpid() || caught.is_err() {
        eprintln!("{COMMAND}: not for use by hand: it wants a process group of its own");
        return ExitCode::from(2);
    }
    let child = tokio::process::Command::new(command).args(arguments).stdin(Stdio::null()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("cannot start {command}: {error}");
            return ExitCode::from(127);
        }
    };
    // A thread, not a task: nothing waits for it when the command has ended.
    std::thread::spawn(|| {
        let mut byte = [0];
        while !matches!(std::io::stdin().read(&mut byte), Ok(0) | Err(_)) {}
        let _ = kill_process_group(getpgrp(), Signal::KILL);
    });
    let code = match child.wait().await {
        Ok(status) => status.code().or_else(|| status.signal().map(|it| 128 + it)).unwrap_or(1),
        Err(_) => 1,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
