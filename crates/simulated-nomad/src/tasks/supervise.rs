//! The hidden command that supervises one task: it starts the task's command in a process group of
//! its own, waits for it, and writes down how it ended.
//!
//! It outlives the agent that asked for it, as Nomad's executors do: an agent that comes back finds
//! the task by the notes (`started.json`, `ended.json`). What is to be run comes as JSON on the
//! standard input, for it may be longer than the system allows a command; how the start went goes
//! to the standard output. Read next: `process.rs`, its other end.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

/// Its name on the command line.
pub const COMMAND: &str = "simulated-task";

/// What is to be run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub program: PathBuf,
    /// What the program is told to be called, and its arguments.
    pub arguments: Vec<String>,
    pub environment: BTreeMap<String, String>,
    pub folder: PathBuf,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    pub user: Option<User>,
    pub notes: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    pub uid: u32,
    pub gid: u32,
}

/// A process, with its start time: ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Started {
    pub pid: i32,
    pub since: u64,
    pub supervisor: i32,
    pub supervisor_since: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    /// 128 and the signal, where one ended it.
    pub code: i32,
    pub signal: i32,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    Started(Started),
    /// In Go's words.
    Failed(String),
}

pub(super) const STARTED: &str = "started.json";
pub(super) const ENDED: &str = "ended.json";

/// Runs what stands in its standard input.
pub async fn main(_arguments: Vec<String>) -> ExitCode {
    let mut text = String::new();
    let order = io::stdin().read_to_string(&mut text).ok();
    let order = order.and_then(|_| serde_json::from_str::<Order>(&text).ok());
    let Some(order) = order else {
        eprintln!("{COMMAND}: not for use by hand: it wants to be told by an agent what to run");
        return ExitCode::from(2);
    };
    let mut child = match start(&order) {
        Ok(child) => child,
        Err(why) => {
            say(&Report::Failed(why));
            return ExitCode::FAILURE;
        }
    };
    let pid = i32::try_from(child.id()).unwrap_or_default();
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let started = Started {
        pid,
        since: start_time(pid).unwrap_or_default(),
        supervisor: own,
        supervisor_since: start_time(own).unwrap_or_default(),
    };
    note(&order.notes, STARTED, &started);
    say(&Report::Started(started));
    let ended = child.wait().map(ended).unwrap_or(Ended { code: 1, signal: 0 });
    // What it left behind goes with it.
    if let Some(group) = Pid::from_raw(pid) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    note(&order.notes, ENDED, &ended);
    ExitCode::SUCCESS
}

fn start(order: &Order) -> Result<std::process::Child, String> {
    let has_nul = |text: &str| CString::new(text).is_err();
    if order.environment.iter().any(|(name, value)| has_nul(name) || has_nul(value)) {
        return Err("exec: environment variable contains NUL".to_owned());
    }
    let program = order.program.display();
    let open = |path: &Path| {
        File::options().create(true).append(true).open(path).map_err(|error| error.to_string())
    };
    let (name, arguments) = order.arguments.split_first().ok_or("exec: no command")?;
    let mut command = Command::new(&order.program);
    command
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(&order.environment)
        .current_dir(&order.folder)
        .stdin(Stdio::null())
        .stdout(open(&order.stdout)?)
        .stderr(open(&order.stderr)?)
        .process_group(0);
    if let Some(User { uid, gid }) = order.user {
        command.uid(uid).gid(gid);
    }
    command.spawn().map_err(|error| format!("fork/exec {program}: {}", in_go(&error)))
}

/// The system's own words, as Go writes them.
pub(super) fn in_go(error: &io::Error) -> String {
    let text = match error.raw_os_error() {
        Some(code) => rustix::io::Errno::from_raw_os_error(code).to_string(),
        None => error.to_string(),
    };
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_lowercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

fn ended(status: ExitStatus) -> Ended {
    match status.signal() {
        Some(signal) => Ended { code: 128 + signal, signal },
        None => Ended { code: status.code().unwrap_or(1), signal: 0 },
    }
}

fn say(report: &Report) {
    let line = serde_json::to_string(report).unwrap_or_default() + "\n";
    let mut out = io::stdout().lock();
    // Fails where the agent is gone; it reads the notes when it comes back.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}

/// Whole or not at all.
pub(super) fn note<T: Serialize>(folder: &Path, name: &str, what: &T) {
    let text = serde_json::to_vec(what).unwrap_or_default();
    let partial = folder.join(format!("{name}.partial"));
    // For the agent alone: an assignment holds what was dispatched.
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&partial);
    let written = file.and_then(|mut file| file.write_all(&text));
    let _ = written.and_then(|()| fs::rename(&partial, folder.join(name)));
}

pub(super) fn read_note<T: for<'a> Deserialize<'a>>(folder: &Path, name: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(folder.join(name)).ok()?).ok()
}

/// In the system's ticks since it was started; None where there is no such process.
pub(super) fn start_time(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    let since = fields.nth(18)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(since)
}
