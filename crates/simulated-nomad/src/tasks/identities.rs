//! A task's identities: asked for when it starts, put into its environment and its files, and renewed
//! before they end for as long as the allocation runs, also when the task itself is long over ([V]).
//!
//! Read next: `crate::identity`.

use std::time::Duration;

use super::folder::{self, Folder};
use super::group::Task;
use super::rendering::Change;
use super::servers::IdentityAsked;
use crate::http::Server;
use crate::identity::{ChangeMode, IdentitySpec};
use crate::model::Millis;

/// The identities that a task asks for.
pub(super) struct Identities {
    server: Server,
    allocation: String,
    task: String,
    folder: Folder,
    shown: Vec<Shown>,
}

/// An identity of a task is another one.
pub(super) struct Renewed {
    pub name: String,
    pub mode: ChangeMode,
    /// Those of the environment, as they are now.
    pub variables: Vec<(String, String)>,
}

struct Shown {
    spec: IdentitySpec,
    jwt: String,
}

impl Identities {
    /// # Errors
    /// In words, when one cannot be signed or written.
    pub async fn new(
        server: &Server,
        folder: &Folder,
        allocation: &str,
        task: &Task,
    ) -> Result<Self, String> {
        let (allocation, name) = (allocation.to_owned(), task.name.clone());
        let (server, folder) = (server.clone(), folder.clone());
        let mut all = Self { server, folder, allocation, task: name, shown: Vec::new() };
        for spec in task.identities().filter(|spec| spec.env || spec.file) {
            let one = Shown { jwt: all.signed(spec).await?, spec: spec.clone() };
            one.write(&all.folder, &all.task)?;
            all.shown.push(one);
        }
        Ok(all)
    }

    async fn signed(&self, spec: &IdentitySpec) -> Result<String, String> {
        let (allocation, task) = (self.allocation.clone(), self.task.clone());
        self.server.identity(IdentityAsked { allocation, task, spec: spec.clone() }).await
    }

    /// Name and value, for the environment. Where the default identity is shown its holder is told
    /// where to use it, too.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = Vec::new();
        for one in self.shown.iter().filter(|one| one.spec.env) {
            variables.push((one.spec.variable(), one.jwt.clone()));
            if one.spec.is_default() {
                let socket = self.folder.secrets(&self.task).join(super::api_socket::NAME);
                let url = format!("unix://{}", socket.display());
                variables.push(("NOMAD_UNIX_ADDR".to_owned(), url));
            }
        }
        variables
    }

    /// Goes on for ever; `tell` hears of every change.
    pub async fn renew(mut self, tell: impl Fn(Renewed)) {
        let mut due: Vec<(tokio::time::Instant, usize)> = Vec::new();
        let now = tokio::time::Instant::now();
        let after = |ttl: Millis| Duration::from_millis(u64::try_from(ttl / 2).unwrap_or(1).max(1));
        for (number, one) in self.shown.iter().enumerate() {
            due.extend(one.spec.ttl().map(|ttl| (now + after(ttl), number)));
        }
        while let Some(&(at, number)) = due.iter().min() {
            tokio::time::sleep_until(at).await;
            due.retain(|(_, other)| *other != number);
            let spec = self.shown[number].spec.clone();
            // One that cannot be renewed now is tried again at the same distance.
            if let Ok(jwt) = self.signed(&spec).await {
                self.shown[number].jwt = jwt;
                let _ = self.shown[number].write(&self.folder, &self.task);
                let (name, mode) = (spec.name().to_owned(), spec.change_mode());
                tell(Renewed { name, mode, variables: self.variables() });
            }
            due.extend(spec.ttl().map(|ttl| (at + after(ttl), number)));
        }
        std::future::pending().await
    }
}

impl From<ChangeMode> for Change {
    fn from(mode: ChangeMode) -> Self {
        match mode {
            ChangeMode::Nothing => Self::Nothing,
            ChangeMode::Restart => Self::Restart,
            ChangeMode::Signal(signal) => Self::Signal(signal),
        }
    }
}

impl Shown {
    fn write(&self, folder: &Folder, task: &str) -> Result<(), String> {
        if !self.spec.file {
            return Ok(());
        }
        let file = folder
            .inside(&folder.task(task), &self.spec.path())
            .ok_or("the path of an identity escapes the alloc directory")?;
        // Readable by others, as Nomad leaves it for a task that runs as the agent itself ([V]).
        folder::write(&file, self.jwt.as_bytes(), 0o644)
            .map_err(|error| format!("cannot write {}: {error}", file.display()))
    }
}
