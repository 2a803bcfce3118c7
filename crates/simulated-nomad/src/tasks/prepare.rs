//! All that is there before a task's process is: its folder, the payload of its dispatch, its
//! artifacts and templates.
//!
//! What went wrong is told as the event that a real client records. Read next: `rendering.rs`,
//! `artifact.rs`. (Nomad `client/allocrunner/taskrunner/*_hook.go`.)

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::allocation::Shared;
use super::api_socket::ApiSocket;
use super::environment::Environment;
use super::group::Task;
use super::identities::{Identities, Renewed};
use super::rendering::{self, Made, Trouble};
use super::supervise::in_go;
use super::vault::VaultToken;
use super::{artifact, folder};
use crate::task_events::TaskEvent;
use crate::task_restarts::Ending;

/// What has been done already, when a task is started again.
#[derive(Default)]
pub(super) struct Ready {
    introduced: bool,
    socket: Option<ApiSocket>,
    payload: bool,
    artifacts: usize,
    pub templates: Option<Made>,
    /// Its token of Vault, where it has one.
    pub vault: Option<VaultToken>,
    /// They are being rendered, which may have to wait for what they show.
    pub renders: bool,
    /// What identities put into the environment.
    pub identities: BTreeMap<String, String>,
    /// Hears of identities that are other ones.
    pub renewed: Option<mpsc::UnboundedReceiver<Renewed>>,
}

impl Ready {
    /// What the task finds in its environment by now.
    pub fn environment(&self, shared: &Shared, task: &Task) -> Environment {
        let mut more = self.identities.clone();
        more.extend(self.vault.iter().flat_map(VaultToken::variables));
        more.extend(self.templates.iter().flat_map(|made| made.variables.clone()));
        shared.environment(task, &more)
    }
}

/// Why a task does not start.
#[derive(Debug)]
pub(super) enum Stop {
    /// And whether it may be tried again.
    Failed(TaskEvent, Ending),
    /// It ends before it began.
    Killed(TaskEvent),
}

/// # Errors
/// With the event to record.
pub(super) async fn prepare(shared: &Shared, task: &Task, ready: &mut Ready) -> Result<(), Stop> {
    let folder = &shared.folder;
    let hook = |what: String| Stop::Failed(TaskEvent::hook_failed(&what), Ending::Unrecoverable);
    // Once in the task's life, whichever agent it was.
    if !folder.is_made(&task.name) {
        shared.record(&task.name, TaskEvent::setup());
        folder.make(&task.name).map_err(|error| hook(format!("task_dir: {}", in_go(&error))))?;
    }
    introduce(shared, task, ready).await.map_err(|why| hook(format!("identity: {why}")))?;
    if let (Some(wanted), None) = (&task.vault, &ready.vault) {
        let token = VaultToken::get(shared, task, wanted).await;
        let token = token.map_err(|why| Stop::Killed(TaskEvent::vault_failed(&why)))?;
        ready.vault = Some(token);
    }
    let environment = ready.environment(shared, task);
    if !ready.payload {
        payload(shared, task).map_err(|why| hook(format!("dispatch_payload: {why}")))?;
        ready.payload = true;
    }
    fetch(shared, task, &environment, ready).await?;
    if ready.templates.is_none() {
        ready.renders = true;
        let made = rendering::render(shared, task, &environment, ready.vault.as_ref())
            .await
            .map_err(|trouble| match trouble {
                Trouble::Escapes => {
                    hook("template: template destination path escapes alloc directory".to_owned())
                }
                Trouble::Fails(why) => {
                    Stop::Killed(TaskEvent::template_failed(&format!("failed: {why}")))
                }
                Trouble::BadVariables(why) => Stop::Killed(TaskEvent::template_failed(&format!(
                    "failed to read environment variables: {why}"
                ))),
            })?;
        ready.templates = Some(made);
        ready.renders = false;
    }
    Ok(())
}

/// Gives the task its identities, and the socket where it may use them.
pub(super) async fn introduce(
    shared: &Shared,
    task: &Task,
    ready: &mut Ready,
) -> Result<(), String> {
    if ready.introduced {
        return Ok(());
    }
    let (server, folder) = (shared.server(), &shared.folder);
    let allocation = &shared.assignment.allocation;
    let identities = Identities::new(server, folder, allocation, task).await?;
    ready.identities.extend(identities.variables());
    let (tell, renewed) = mpsc::unbounded_channel();
    // Nobody hears of it when the task is over; its files are renewed all the same.
    let renewing = identities.renew(move |one| drop(tell.send(one)));
    tokio::spawn(shared.over.clone().run_until_cancelled_owned(renewing));
    ready.renewed = Some(renewed);
    let secrets = folder.secrets(&task.name);
    let socket = ApiSocket::open(server, &secrets, task.runs_as_the_agent());
    ready.socket = Some(socket.map_err(|error| format!("cannot open its API socket: {error}"))?);
    ready.introduced = true;
    Ok(())
}

fn payload(shared: &Shared, task: &Task) -> Result<(), String> {
    let Some(wanted) = task.dispatch_payload.as_ref().filter(|it| !it.file.is_empty()) else {
        return Ok(());
    };
    let folder = &shared.folder;
    let file = folder
        .inside(&folder.local(&task.name), &wanted.file)
        .ok_or("path escapes the alloc directory")?;
    let payload = shared.assignment.payload.clone().unwrap_or_default();
    folder::write(&file, &payload, 0o755).map_err(|error| in_go(&error))
}

async fn fetch(
    shared: &Shared,
    task: &Task,
    environment: &Environment,
    ready: &mut Ready,
) -> Result<(), Stop> {
    let all = task.artifacts.as_deref().unwrap_or_default();
    if all.len() > ready.artifacts {
        shared.record(&task.name, TaskEvent::downloading());
    }
    for one in all.iter().skip(ready.artifacts) {
        artifact::fetch(one, environment, &shared.folder, &task.name)
            .await
            .map_err(|why| Stop::Failed(TaskEvent::download_failed(&why), Ending::NotStarted))?;
        ready.artifacts += 1;
    }
    Ok(())
}
