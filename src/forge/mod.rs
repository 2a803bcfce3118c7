//! The one seam to a forge: what engine, `reconcile` and `explain` ask of it, in the ledger's
//! terms. Behind it an adapter for each kind knows its client and what the forge's words mean;
//! no wire type comes out.
//!
//! A `Forge` is one credential at one forge, `Forges` are all of them and know whose is whose.
//! Read `github` and `gitea` next. Health, backoff and what follows from an answer are the caller's.

mod error;
mod gitea;
mod github;
pub mod hooks;
mod superseded;
mod words;

use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use secrecy::SecretString;
use transport::Transport;

pub use self::error::{Error, Kind};
pub use self::github::{Asks, mend, obstacles, policy_obstacle};
pub use self::superseded::Ahead;
pub use self::words::{Listed, Log, Look, Missed, Told, Which};
use crate::config::{Credential, ForgeKind, Settings};
use crate::credential::{Jit, Token};
use crate::ledger::effect::Target;
use crate::ledger::event::{Deletion, RunFacts};
use crate::ledger::observation::Registered;
use crate::ledger::{JobId, JobReport, Repository, RepositoryId, RunId, RunnerName, ScopeKind};

/// Why there can be no connection to the forge.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    GitHub(#[from] crate::github::BuildError),
    #[error(transparent)]
    Gitea(#[from] crate::gitea::BuildError),
}

/// All credentials, and who is whose. Clones share connections.
#[derive(Clone)]
pub struct Forges {
    forges: Arc<Vec<(Forge, String)>>,
    settings: Arc<Settings>,
}

impl Forges {
    pub fn new(settings: Arc<Settings>) -> Result<Self, BuildError> {
        Self::made(settings.clone(), |credential| Forge::new(&settings, credential))
    }

    /// As [`new`](Self::new), by another way than HTTP and another clock.
    pub fn over(
        settings: Arc<Settings>,
        wire: &Transport,
        clock: &Clock,
    ) -> Result<Self, BuildError> {
        let api_url = settings.github.api_url.clone();
        let kind = settings.github.kind;
        Self::made(settings, |credential| {
            let (wire, api_url, clock) = (wire.clone(), api_url.clone(), clock.clone());
            Ok(match kind {
                ForgeKind::GitHub => {
                    Forge::GitHub(github::GitHub::over(wire, api_url, credential, clock))
                }
                ForgeKind::Gitea => {
                    let token = of_gitea(credential);
                    let client = crate::gitea::Client::over(wire, api_url, &token, clock)?;
                    Forge::Gitea(gitea::Gitea::by(client))
                }
            })
        })
    }

    fn made(
        settings: Arc<Settings>,
        forge: impl Fn(&Credential) -> Result<Forge, BuildError>,
    ) -> Result<Self, BuildError> {
        let forges = settings
            .github
            .credentials
            .iter()
            .map(|credential| Ok((forge(credential)?, credential.owners.join(", "))))
            .collect::<Result<Vec<_>, BuildError>>()?;
        Ok(Self { forges: Arc::new(forges), settings })
    }

    /// What people call the forge; all credentials are at one.
    pub fn name(&self) -> &'static str {
        self.settings.github.kind.name()
    }

    /// All of them in the file's order, each with the owners it is for.
    pub fn all(&self) -> impl Iterator<Item = (&Forge, &str)> {
        self.forges.iter().map(|(forge, owners)| (forge, owners.as_str()))
    }

    /// What the config says of each, in the same order.
    pub fn credentials(&self) -> &[Credential] {
        &self.settings.github.credentials
    }

    /// The one for what `owner` owns.
    pub fn of(&self, owner: &str) -> Result<&Forge, Error> {
        self.with_owners(owner).map(|(forge, _)| forge)
    }

    /// As [`of`](Self::of), with all owners that it is for.
    pub fn with_owners(&self, owner: &str) -> Result<(&Forge, &str), Error> {
        let place = self.settings.github.credential_for(owner).map(|(index, _)| index);
        let forge = place.and_then(|index| self.forges.get(index));
        let (forge, owners) = forge.ok_or_else(|| Error::no_credential(owner))?;
        Ok((forge, owners))
    }

    /// What an App may do for that owner has changed: it is installed there by that id now, if any.
    pub async fn access_changed(&self, owner: &str, installation: Option<u64>) {
        if let Ok(Forge::GitHub(forge)) = self.of(owner) {
            forge.access_changed(owner, installation).await;
        }
    }

    /// What sweeps believe of the repository is not so any more.
    pub fn repository_changed(&self, id: RepositoryId) {
        for (forge, _) in self.forges.iter() {
            if let Forge::GitHub(forge) = forge {
                forge.repository_changed(id);
            }
        }
    }

    /// The one for a repository.
    pub fn of_repository(&self, full_name: &str) -> Result<&Forge, Error> {
        self.of(owner_of(full_name))
    }
}

/// The first half of `owner/name`; an owner alone is itself.
pub fn owner_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(owner, _)| owner)
}

/// The config has refused an App for a Gitea.
fn of_gitea(credential: &Credential) -> SecretString {
    credential.token().cloned().unwrap_or_default()
}

/// One credential at one forge.
#[derive(Clone)]
pub enum Forge {
    GitHub(github::GitHub),
    Gitea(gitea::Gitea),
}

/// What was seen of one repository the last time, so that asking again costs less.
#[derive(Default)]
pub struct LookMemory {
    github: github::LookMemory,
    gitea: gitea::LookMemory,
}

/// What the looks of one sweep share.
#[derive(Default)]
pub struct Round(gitea::Round);

/// What one listing showed the last time.
pub struct ListMemory<T> {
    github: github::ListMemory<T>,
    gitea: gitea::ListMemory,
}

impl<T> Default for ListMemory<T> {
    fn default() -> Self {
        Self { github: github::ListMemory::default(), gitea: gitea::ListMemory::default() }
    }
}

/// What one organization's logs of deliveries showed the last time.
#[derive(Default)]
pub struct LogMemory(github::LogMemory);

impl Forge {
    fn new(settings: &Settings, credential: &Credential) -> Result<Self, BuildError> {
        let api = settings.github.server();
        Ok(match settings.github.kind {
            ForgeKind::GitHub => Forge::GitHub(github::GitHub::new(api, credential)?),
            ForgeKind::Gitea => Forge::Gitea(gitea::Gitea::new(api, &of_gitea(credential))?),
        })
    }

    /// Requests that are left until the rate limit is set anew; a Gitea has none.
    pub fn remaining(&self) -> Option<u64> {
        match self {
            Forge::GitHub(forge) => forge.remaining(),
            Forge::Gitea(_) => None,
        }
    }

    /// What people call it.
    pub fn name(&self) -> &'static str {
        match self {
            Forge::GitHub(_) => ForgeKind::GitHub.name(),
            Forge::Gitea(_) => ForgeKind::Gitea.name(),
        }
    }

    /// Whether it is there. Costs nothing of a rate limit.
    pub async fn probe(&self) -> Result<(), Error> {
        match self {
            Forge::GitHub(forge) => forge.probe().await,
            Forge::Gitea(forge) => forge.probe().await,
        }
    }

    /// A credential that registers runners and lives at least `life`, by this machine's clock.
    pub async fn mint(&self, target: &Target, life: Duration) -> Result<Token, Error> {
        match self {
            Forge::GitHub(forge) => forge.mint(target, life).await,
            Forge::Gitea(forge) => forge.mint(target, life).await,
        }
    }

    /// A runner's own credential, which registers it; `None`: one of its name is registered.
    pub async fn mint_for(
        &self,
        target: &Target,
        name: &RunnerName,
        labels: &[String],
        group: Option<&str>,
    ) -> Result<Option<Jit>, Error> {
        match self {
            Forge::GitHub(forge) => forge.mint_for(target, name, labels, group).await,
            Forge::Gitea(_) => Err(Error::unsupported("JIT configurations")),
        }
    }

    /// What policies ask of a run. A head that is gone is a fork.
    pub async fn run_facts(
        &self,
        repository: RepositoryId,
        full_name: &str,
        run: RunId,
    ) -> Result<RunFacts, Error> {
        match self {
            Forge::GitHub(forge) => forge.run_facts(repository, full_name, run).await,
            Forge::Gitea(forge) => forge.run_facts(repository, full_name, run).await,
        }
    }

    /// `None`: there is no such job. One that says it waits while its run is over has ended.
    /// `at_work`: a runner has it as far as is known, so the answer cannot wait for a share.
    pub async fn job(
        &self,
        full_name: &str,
        job: JobId,
        at_work: bool,
    ) -> Result<Option<JobReport>, Error> {
        match self {
            Forge::GitHub(forge) => forge.job(full_name, job, at_work).await,
            Forge::Gitea(forge) => forge.job(full_name, job).await,
        }
    }

    /// The jobs of the run's latest attempt.
    pub async fn jobs_of_run(&self, full_name: &str, run: RunId) -> Result<Vec<JobReport>, Error> {
        match self {
            Forge::GitHub(forge) => forge.jobs_of_run(full_name, run).await,
            Forge::Gitea(forge) => forge.jobs_of_run(full_name, run).await,
        }
    }

    /// The running job of the repository that names this runner.
    pub async fn running_job(
        &self,
        full_name: &str,
        name: &RunnerName,
    ) -> Result<Option<JobReport>, Error> {
        match self {
            Forge::GitHub(forge) => forge.running_job(full_name, name).await,
            Forge::Gitea(forge) => forge.running_job(full_name, name).await,
        }
    }

    /// The registered runner of this name.
    pub async fn runner(
        &self,
        target: &Target,
        name: &RunnerName,
    ) -> Result<Option<Registered>, Error> {
        match self {
            Forge::GitHub(forge) => forge.runner(target, name).await,
            Forge::Gitea(forge) => forge.runner(target, name).await,
        }
    }

    /// The registration of a runner in words; `None`: it has none.
    pub async fn registration(
        &self,
        target: &Target,
        name: &RunnerName,
    ) -> Result<Option<String>, Error> {
        match self {
            Forge::GitHub(forge) => forge.registration(target, name).await,
            Forge::Gitea(forge) => Ok(forge.runner(target, name).await?.map(|runner| {
                let state = if runner.busy { "busy" } else { "idle" };
                format!("registered as runner {}, {state}", runner.id)
            })),
        }
    }

    /// The registered runner of this id.
    pub async fn runner_by_id(
        &self,
        target: &Target,
        id: u64,
    ) -> Result<Option<Registered>, Error> {
        match self {
            Forge::GitHub(forge) => forge.runner_by_id(target, id).await,
            Forge::Gitea(_) => Err(Error::unsupported("runners by id")),
        }
    }

    /// All runners of the scope.
    pub async fn runners(
        &self,
        target: &Target,
        memory: &mut ListMemory<Registered>,
    ) -> Result<Vec<Registered>, Error> {
        match self {
            Forge::GitHub(forge) => forge.runners(target, &mut memory.github).await,
            Forge::Gitea(forge) => forge.runners(target, &mut memory.gitea).await,
        }
    }

    /// Takes a registration away, unless the runner is at work.
    pub async fn delete_runner(&self, target: &Target, id: u64) -> Result<Deletion, Error> {
        match self {
            Forge::GitHub(forge) => forge.delete_runner(target, id).await,
            Forge::Gitea(forge) => forge.delete_runner(target, id).await,
        }
    }

    pub async fn repository(&self, full_name: &str) -> Result<Repository, Error> {
        match self {
            Forge::GitHub(forge) => forge.repository(full_name).await,
            Forge::Gitea(forge) => forge.repository(full_name).await,
        }
    }

    /// Every repository that the credential sees.
    pub async fn repositories(
        &self,
        memory: &mut ListMemory<Listed>,
    ) -> Result<Vec<Listed>, Error> {
        match self {
            Forge::GitHub(forge) => forge.repositories(&mut memory.github).await,
            Forge::Gitea(forge) => forge.repositories().await,
        }
    }

    /// The repository and all jobs of its unfinished runs.
    pub async fn look(
        &self,
        full_name: &str,
        memory: &mut LookMemory,
        round: &Round,
    ) -> Result<Look, Error> {
        match self {
            Forge::GitHub(forge) => forge.look(full_name, &mut memory.github).await,
            Forge::Gitea(forge) => forge.look(full_name, &mut memory.gitea, &round.0).await,
        }
    }

    /// The logs of those hooks of an organization that tell a door at `path` of jobs. None where
    /// the forge keeps no log.
    pub async fn logs(
        &self,
        organization: &str,
        path: &str,
        memory: &mut LogMemory,
    ) -> Result<Vec<Log>, Error> {
        match self {
            Forge::GitHub(forge) => forge.logs(organization, path, &mut memory.0).await,
            Forge::Gitea(_) => Ok(Vec::new()),
        }
    }

    /// The log of the App that the credential is, if it is one.
    pub fn own_log(&self) -> Option<Log> {
        match self {
            Forge::GitHub(forge) => forge.own_log(),
            Forge::Gitea(_) => None,
        }
    }

    /// What of jobs the log says was not delivered since the delivery `after`; `None`: nothing
    /// is new since what [`LogMemory::seen`] was told of.
    pub async fn missed(
        &self,
        log: &Log,
        after: Option<u64>,
        memory: &LogMemory,
    ) -> Result<Option<Missed>, Error> {
        match self {
            Forge::GitHub(forge) => forge.missed(log, after, &memory.0).await,
            Forge::Gitea(_) => Ok(None),
        }
    }

    /// What the forge says of jobs, for people: also of those in states that we do not know.
    pub async fn told(&self, full_name: &str, which: Which) -> Result<Vec<Told>, Error> {
        match self {
            Forge::GitHub(forge) => forge.told(full_name, which).await,
            Forge::Gitea(forge) => forge.told(full_name, which).await,
        }
    }

    /// Why jobs of this repository get no runner although one is registered in that scope, and in that
    /// group of an organization, in words. Nothing where the credential may not see it.
    pub async fn obstacles(
        &self,
        repository: &Repository,
        scope: ScopeKind,
        group: Option<&str>,
    ) -> Vec<String> {
        match self {
            Forge::GitHub(forge) => forge.obstacles(repository, scope, group).await,
            Forge::Gitea(_) => Vec::new(),
        }
    }

    /// Why a webhook of this repository's jobs may not have reached our door at `path`, in words.
    pub async fn why_unheard(&self, repository: &Repository, path: &str) -> String {
        match self {
            Forge::GitHub(forge) => forge.why_unheard(repository).await,
            Forge::Gitea(forge) => forge.why_unheard(repository, path).await,
        }
    }
}

impl LogMemory {
    /// All of this is kept: it need not be told again.
    pub fn seen(&mut self, log: Log, missed: Missed) {
        self.0.seen(log, missed.tag);
    }
}
