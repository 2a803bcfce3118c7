//! A pool as the ledger needs it: who is served, how many at once, under which policy. The
//! config's own type is turned into this one in `engine::rules`; nothing here reads a file.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::deposit::DepositRule;
use super::matching::{Candidate, RepositoryGlobs};
use super::{ClassKey, NomadPlace, Patterns, PoolName, RunId, Runner, Warm};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScopeKind {
    Repository,
    Organization,
}

/// How the credential reaches the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// The running task asks for it.
    Claim,
    /// It is laid down where the task reads it.
    Deposit(DepositRule),
    Payload,
    Meta,
    /// The operator's own job fetches what it needs.
    None,
}

/// What a runner registers with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// One for all runners of a scope, for an hour.
    #[default]
    RegistrationToken,
    /// A configuration for this runner alone: the forge has registered it before it starts.
    Jit,
}

#[derive(Debug, Clone)]
pub struct Pool {
    pub name: PoolName,
    pub nomad_job: String,
    /// Where the parameterized job lives; `None`: the connection's own.
    pub namespace: Option<String>,
    pub region: Option<String>,
    pub labels: Vec<String>,
    pub repositories: RepositoryGlobs,
    /// Of these repositories only those that carry one of them; all, where there are none.
    pub topics: Vec<String>,
    pub delivery: Delivery,
    pub credential: CredentialKind,
    pub scope: ScopeKind,
    /// By its name; `None`: the default one.
    pub runner_group: Option<String>,
    pub max_runners: u32,
    pub max_runners_per_repository: Option<u32>,
    pub public_repositories: bool,
    pub forks: bool,
    /// Of runs.
    pub events: Patterns,
    pub actors: Patterns,
    pub placement_timeout: Duration,
    pub boot_timeout: Duration,
    /// Registered and given no job although jobs wait.
    pub idle_timeout: Duration,
    pub release_grace: Duration,
    pub max_lifetime: Duration,
    /// At most so many of a repository's runners for robots while people wait elsewhere.
    pub robots_per_repository: Option<u32>,
    /// Runs of robots that a newer push has made pointless are cancelled.
    pub cancel_superseded: bool,
    /// Not where each run is a class of its own.
    pub warm: Vec<Warm>,
}

/// What holds for runners of a pool that is gone from the config: the config's defaults.
pub const GONE_BOOT_TIMEOUT: Duration = Duration::from_secs(600);
/// Never nothing: GitHub's `busy` lags, and a runner at work would be stopped.
pub const GONE_RELEASE_GRACE: Duration = Duration::from_secs(300);

impl Pool {
    /// Whether it is among the pool's repositories.
    pub fn serves(&self, candidate: Candidate<'_>) -> bool {
        let Candidate { full_name, former, topics } = candidate;
        let picked =
            self.topics.is_empty() || topics.is_some_and(|topics| topics.has_one_of(&self.topics));
        picked && self.repositories.serves(full_name, former)
    }

    /// Whether each run is a class of its own.
    pub fn is_per_run(&self) -> bool {
        self.labels.iter().any(|label| label.contains("{run_id}"))
    }

    /// The labels a runner for `run` registers with.
    pub fn labels_for(&self, run: RunId) -> impl Iterator<Item = String> + '_ {
        self.labels.iter().map(move |label| label.replace("{run_id}", &run.to_string()))
    }

    /// The same for a class.
    pub fn labels_of(&self, class: &ClassKey) -> Vec<String> {
        match class.run {
            Some(run) => self.labels_for(run).collect(),
            None => self.labels.clone(),
        }
    }

    /// Whether a child may wait in Nomad's queue for no longer than `placement_timeout`: what it was
    /// sent expires.
    pub fn expires_unplaced(&self) -> bool {
        !matches!(self.delivery, Delivery::Claim | Delivery::None)
    }

    /// How long a credential must still live when it is handed out, so that a runner that is
    /// placed in time can register.
    pub fn credential_life(&self) -> Duration {
        self.placement_timeout + self.boot_timeout
    }
}

/// What differs between forges, as far as the ledger acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forge {
    /// What people call it.
    pub name: &'static str,
    /// Where every runner registers; `None`: at the page of its scope.
    pub runner_url: Option<String>,
    /// A job's end is its last word. Else a rerun queues it again under its own id.
    pub ends_are_final: bool,
}

impl Default for Forge {
    /// GitHub.
    fn default() -> Self {
        Self { name: "GitHub", runner_url: None, ends_are_final: true }
    }
}

/// What the operator decided, as far as the ledger is concerned.
#[derive(Debug, Clone)]
pub struct Rules {
    pub forge: Forge,
    pub name_prefix: String,
    /// Where a pool names neither namespace nor region.
    pub nomad: NomadPlace,
    /// Over all pools.
    pub max: u32,
    /// Whose jobs count as a robot's: logins.
    pub robots: Vec<String>,
    /// In the file's order: the first that matches has the job.
    pub pools: Vec<Pool>,
}

impl Rules {
    /// Where runners of the pool are dispatched.
    pub fn place_of(&self, pool: &Pool) -> NomadPlace {
        self.nomad.or(pool.namespace.as_ref(), pool.region.as_ref())
    }

    /// Where the runner was dispatched. A row that does not say so is of a version that resolved
    /// it each time anew.
    pub fn place_of_runner(&self, runner: &Runner) -> NomadPlace {
        let resolved = || self.nomad.or(runner.namespace.as_ref(), runner.region.as_ref());
        runner.place.clone().unwrap_or_else(resolved)
    }

    pub fn pool(&self, name: &PoolName) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == *name)
    }
}
