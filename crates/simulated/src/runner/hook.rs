//! The job-started hook (`ACTIONS_RUNNER_HOOK_JOB_STARTED`), called as the real runner calls it:
//! before the first step, by bash or else sh, with the event in a file and `GITHUB_*` variables
//! (actions/runner JobHookProvider.cs, ScriptHandler.cs; docs, "Running scripts before or after a
//! job"). What its failure means is in `listen.rs`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::Environment;
use crate::protocol::JobMessage;

/// A hook that runs, or could not be run. Dropping it ends it.
pub(super) struct Hook(Result<Child, String>);

/// None where no hook is configured.
pub(super) fn start(root: &Path, environment: &Environment, job: &JobMessage) -> Option<Hook> {
    let path =
        environment.get("ACTIONS_RUNNER_HOOK_JOB_STARTED").filter(|path| !path.is_empty())?;
    println!("A job started hook has been configured by the self-hosted runner administrator");
    Some(Hook(spawn(root, Path::new(path), job)))
}

fn spawn(root: &Path, script: &Path, job: &JobMessage) -> Result<Child, String> {
    if !script.is_file() {
        return Err(format!("{}: File doesn't exist", script.display()));
    }
    if script.extension().is_none_or(|extension| extension != "sh") {
        return Err(format!("{}: Make sure it ends in '.sh'", script.display()));
    }
    let event = root.join("_work/_temp/_github_workflow/event.json");
    let written = serde_json::to_vec_pretty(&job.event).map_err(std::io::Error::from);
    let written = written.and_then(|text| {
        std::fs::create_dir_all(event.parent().unwrap_or(root))?;
        std::fs::write(&event, text)
    });
    written.map_err(|error| format!("{}: {error}", event.display()))?;
    let shell = ["/bin/bash", "/usr/bin/bash"].iter().find(|path| Path::new(path).exists());
    let mut command = Command::new(shell.unwrap_or(&"sh"));
    command
        .arg("-e")
        .arg(script)
        .current_dir(script.parent().unwrap_or(root))
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_REPOSITORY", &job.repository)
        .env("GITHUB_RUN_ID", job.run_id.to_string())
        .env("GITHUB_EVENT_NAME", &job.event_name)
        .env("GITHUB_ACTOR", &job.actor)
        .env("GITHUB_EVENT_PATH", absolute(&event))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command.spawn().map_err(|error| format!("{}: {error}", script.display()))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

impl Hook {
    /// Whether it ended well.
    pub(super) async fn ended(&mut self) -> bool {
        match &mut self.0 {
            Ok(child) => child.wait().await.is_ok_and(|status| status.success()),
            Err(reason) => {
                eprintln!("{reason}");
                false
            }
        }
    }
}
