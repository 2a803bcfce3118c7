//! One process of a task: a group of its own under a supervisor, so that it can be ended with
//! everything that it has started, and does not outlive this program.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdin, Command};

use super::environment::Environment;
use super::folder::Folder;
use crate::jobspec::Task;

pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    /// The string by which the supervisor knows that this program lives. Not left in `child`, for
    /// waiting for that closes it.
    _string: Option<ChildStdin>,
}

impl Process {
    pub fn start(
        program: &Path,
        task: &Task,
        environment: &Environment,
        folder: &Folder,
    ) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.arg(super::supervise::COMMAND).arg(environment.fill_in(&task.config.command));
        command.args(task.config.args.iter().map(|argument| environment.fill_in(argument)));
        command
            .env_clear()
            .envs(environment.variables())
            .current_dir(folder.task(&task.name))
            .stdin(Stdio::piped())
            .stdout(folder.log(&task.name, "stdout")?)
            .stderr(folder.log(&task.name, "stderr")?)
            .process_group(0);
        let mut child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { _string: child.stdin.take(), child, group })
    }

    /// `name` as in a jobspec; SIGINT where it says nothing.
    pub fn signal(&self, name: &str) {
        self.send(match name {
            "SIGTERM" => Signal::TERM,
            "SIGHUP" => Signal::HUP,
            "SIGQUIT" => Signal::QUIT,
            "SIGUSR1" => Signal::USR1,
            "SIGUSR2" => Signal::USR2,
            "SIGKILL" => Signal::KILL,
            _ => Signal::INT,
        });
    }

    pub fn kill(&self) {
        self.send(Signal::KILL);
    }

    /// Waits for its end, and ends what it left behind; the exit code, 128 and the signal where
    /// one ended it. Dropped while it waits it loses nothing.
    pub async fn ended(&mut self) -> i32 {
        let code = self.child.wait().await.map_or(1, exit_code);
        self.kill();
        self.group = None;
        code
    }

    fn send(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Fails only where it has ended already.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1)
}
