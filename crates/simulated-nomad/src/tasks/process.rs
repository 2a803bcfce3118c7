//! One process of a task, from the client's side: its supervisor is started, told what to run, and
//! asked how it ended; or, after the agent was away, found again by its notes.
//!
//! Signals go to the task's own process, the last one to its whole group. Read next:
//! `supervise.rs`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::config;
use super::environment::Environment;
use super::folder::Folder;
use super::supervise::{self, ENDED, Ended, Order, Report, STARTED, Started, User};

/// How often it is looked whether a process that is not a child of this one still lives.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Process {
    started: Started,
    notes: PathBuf,
    /// None: an earlier agent started it.
    supervisor: Option<Child>,
}

/// Why a task could not be started: the driver's error.
pub(super) type Failure = String;

impl Process {
    /// # Errors
    /// In the words of a driver's failure.
    pub async fn start(
        program: &Path,
        task: &str,
        command: &config::Command,
        user: Option<&str>,
        environment: &Environment,
        folder: &Folder,
    ) -> Result<Self, Failure> {
        let user = user.map(find_user).transpose()?;
        let failed = |why: String| {
            format!(
                "failed to launch command with executor: rpc error: code = Unknown desc = {why}"
            )
        };
        let own = folder.task(task);
        let path = find_program(&command.command, &own, environment)
            .ok_or_else(|| failed(format!("binary {:?} could not be found", command.command)))?;
        let _ = fs::write(own.join("executor.out"), "");
        let notes = folder.notes_on(task);
        let _ = fs::remove_file(notes.join(ENDED));
        let _ = fs::remove_file(notes.join(STARTED));
        let mut arguments = vec![path.display().to_string()];
        arguments.extend(command.arguments.iter().cloned());
        let quoted: Vec<String> = arguments.iter().map(|one| in_quotes(one)).collect();
        let start = format!(
            "failed to start command path={} --- args=[{}]: ",
            in_quotes(&path.display().to_string()),
            quoted.join(" ")
        );
        let order = Order {
            program: path,
            arguments,
            environment: environment.variables.clone(),
            folder: command.folder.as_ref().map_or(own.clone(), |it| own.join(it)),
            stdout: folder.log(task, "stdout"),
            stderr: folder.log(task, "stderr"),
            user,
            notes: notes.clone(),
        };
        let (supervisor, report) =
            supervisor(program, &order, folder).await.map_err(|error| failed(error.to_string()))?;
        match report {
            Report::Started(started) => Ok(Self { started, notes, supervisor: Some(supervisor) }),
            Report::Failed(why) => Err(failed(start + &why)),
        }
    }

    /// The one that an earlier agent has started; it may have ended meanwhile.
    pub fn find(folder: &Folder, task: &str) -> Option<Self> {
        let notes = folder.notes_on(task);
        let started = supervise::read_note(&notes, STARTED)?;
        Some(Self { started, notes, supervisor: None })
    }

    /// `name` as in a jobspec; SIGINT where it says nothing.
    pub fn signal(&self, name: &str) {
        let signal = named(name).unwrap_or(Signal::INT);
        if let Some(pid) = self.pid() {
            // Fails only where it has ended already.
            let _ = kill_process(pid, signal);
        }
    }

    pub fn kill(&self) {
        if let Some(group) = self.pid() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Waits for its end. Dropped while it waits it loses nothing.
    pub async fn ended(&mut self) -> Ended {
        match &mut self.supervisor {
            Some(supervisor) => {
                let _ = supervisor.wait().await;
            }
            None => {
                while !self.notes.join(ENDED).exists() && self.is_supervised() {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
        supervise::read_note(&self.notes, ENDED).unwrap_or_else(|| {
            // Somebody has killed the supervisor: nobody knows how the task ends.
            self.kill();
            Ended { code: 137, signal: 9 }
        })
    }

    /// Somebody waits for its end.
    pub fn is_supervised(&self) -> bool {
        supervise::start_time(self.started.supervisor) == Some(self.started.supervisor_since)
    }

    /// None: it is no more, and its id may be another's.
    fn pid(&self) -> Option<Pid> {
        let lives =
            supervise::start_time(self.started.pid).is_none_or(|since| since == self.started.since);
        Pid::from_raw(self.started.pid).filter(|_| lives)
    }
}

async fn supervisor(program: &Path, order: &Order, folder: &Folder) -> io::Result<(Child, Report)> {
    let mut command = Command::new(program);
    command
        .arg(supervise::COMMAND)
        .env_clear()
        // By this a left-over one is known.
        .env("NOMAD_ALLOC_DIR", folder.shared())
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0);
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&serde_json::to_vec(order)?).await?;
    }
    let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).await?;
    let report = serde_json::from_str(&line)?;
    if matches!(report, Report::Failed(_)) {
        let _ = child.wait().await;
    }
    Ok((child, report))
}

/// In the task's own folders, then as a shell finds it.
fn find_program(name: &str, own: &Path, environment: &Environment) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    let is_file = |path: &PathBuf| path.is_file();
    let mut places = Vec::new();
    if name.starts_with('/') {
        places.push(PathBuf::from(name));
    } else {
        places.extend([own.join("local").join(name), own.join(name)]);
        let path: BTreeMap<_, _> = std::env::vars().filter(|(name, _)| name == "PATH").collect();
        let path = path.get("PATH").or_else(|| environment.variables.get("PATH"));
        let folders = path.into_iter().flat_map(|path| path.split(':'));
        if !name.contains('/') {
            places.extend(folders.map(|folder| Path::new(folder).join(name)));
        }
    }
    places.into_iter().find(is_file)
}

fn find_user(name: &str) -> Result<User, Failure> {
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = known.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [of, _, uid, gid, ..] = fields.as_slice() else { return None };
        if *of != name && *uid != name {
            return None;
        }
        Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
    });
    user.ok_or_else(|| {
        format!(
            "failed driver config validation: failed to identify user {name:?}: user: unknown user \
             {name}"
        )
    })
}

/// None: there is no such signal.
pub(super) fn named(name: &str) -> Option<Signal> {
    Some(match name.strip_prefix("SIG").unwrap_or(name) {
        "INT" => Signal::INT,
        "TERM" => Signal::TERM,
        "HUP" => Signal::HUP,
        "QUIT" => Signal::QUIT,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "KILL" => Signal::KILL,
        "STOP" => Signal::STOP,
        "CONT" => Signal::CONT,
        "ABRT" => Signal::ABORT,
        "ALRM" => Signal::ALARM,
        "PIPE" => Signal::PIPE,
        "WINCH" => Signal::WINCH,
        _ => return None,
    })
}

/// As Go's `%q`.
fn in_quotes(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            letter if u32::from(letter) < 32 => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_go_does() {
        assert_eq!(in_quotes("a \"b\" \\ \n\u{1}ä"), r#""a \"b\" \\ \n\x01ä""#);
    }

    #[test]
    fn signals_go_by_both_names() {
        assert_eq!(named("SIGUSR1"), Some(Signal::USR1));
        assert_eq!(named("TERM"), Some(Signal::TERM));
        assert_eq!(named("SIGNOPE"), None);
    }

    #[test]
    fn an_unknown_user_is_refused() {
        let why = find_user("nobody-of-that-name").unwrap_err();
        assert!(why.ends_with("user: unknown user nobody-of-that-name"), "{why}");
        assert_eq!(find_user("root"), Ok(User { uid: 0, gid: 0 }));
    }
}
