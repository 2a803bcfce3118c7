//! What `step` asks of the engine: rows to be recorded, and, once they are on disk, requests
//! to be made. Each request's answer comes back as an `Event` of its own.

use std::time::Duration;

use super::pool::CredentialKind;
use super::{
    Breaker, BreakerKey, ClassKey, DeliveryId, Deposit, DepositAt, Happening, Job, JobId,
    NoCredential, NomadPlace, PoolName, Repository, RepositoryId, RunId, Runner, RunnerName,
    ScopeKey, Ticket,
};

#[must_use]
#[derive(Debug, Default)]
pub struct Effects {
    pub records: Vec<Record>,
    pub requests: Vec<Request>,
    pub happenings: Vec<Happening>,
}

/// A row to be written; all of one step's rows go into one transaction.
#[derive(Debug, Clone)]
pub enum Record {
    Job(Box<Job>),
    Runner(Box<Runner>),
    Repository(Box<Repository>),
    /// A pool hires nobody new; the inner `None`: until it is told otherwise. The outer `None`:
    /// it hires again.
    Pause {
        pool: PoolName,
        until: Option<Option<super::Time>>,
        /// When that was said, or last moved with the clock.
        at: super::Time,
    },
    /// What is counted against a pool or one of its scopes; `None`: nothing any more.
    Breaker {
        key: BreakerKey,
        breaker: Option<Box<Breaker>>,
    },
    /// A line of a job's or runner's story, for whoever asks why.
    Happened {
        at: super::Time,
        happening: Box<Happening>,
    },
    /// The delivery is folded: it is kept, and does not wait in the inbox.
    Folded {
        delivery: DeliveryId,
        received_at: super::Time,
    },
}

/// Where runners register, by the name that the API wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `owner/name`.
    Repository(String),
    Organization(String),
}

impl Target {
    pub fn name(&self) -> &str {
        match self {
            Target::Repository(name) | Target::Organization(name) => name,
        }
    }

    /// Whose credential opens it.
    pub fn owner(&self) -> &str {
        match self {
            Target::Repository(name) => name.split_once('/').map_or(name, |(owner, _)| owner),
            Target::Organization(login) => login,
        }
    }
}

/// A child's address in Nomad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildAt {
    pub place: NomadPlace,
    pub child: String,
}

#[derive(Debug, Clone)]
pub enum Request {
    /// A credential that lives at least `life`.
    Mint {
        scope: ScopeKey,
        target: Target,
        life: Duration,
    },
    /// A credential for this runner alone, which registers it.
    MintFor {
        runner: RunnerName,
        target: Target,
        labels: Vec<String>,
        /// By its name; `None`: the default one.
        group: Option<String>,
        /// One of this name that has never connected makes way.
        replaces: bool,
    },
    /// To the task that claims it, from memory.
    HandOver {
        ticket: Ticket,
        runner: RunnerName,
        scope: ScopeKey,
        credential: CredentialKind,
        /// How long it must still live.
        life: Duration,
    },
    RefuseClaim {
        ticket: Ticket,
        why: NoCredential,
    },
    /// Its configuration is of no use any more.
    ForgetClaim {
        runner: RunnerName,
    },
    Dispatch(Box<DispatchOrder>),
    FindChild {
        runner: RunnerName,
        token: String,
        place: NomadPlace,
        parent: String,
    },
    /// The name among the scope's runners and, else, the running jobs of these repositories
    /// and the jobs of these runs, whatever their state.
    FindAtForge {
        runner: RunnerName,
        target: Target,
        /// Of its registration, where that is known.
        id: Option<u64>,
        repositories: Vec<String>,
        runs: Vec<RunJobs>,
    },
    LookAtPlacement {
        runner: RunnerName,
        at: ChildAt,
    },
    StopChild {
        runner: RunnerName,
        at: ChildAt,
    },
    /// The credential of a runner that does not need it any more, from where it lies.
    RemoveDeposit(DepositAt),
    DeleteRegistration {
        runner: RunnerName,
        target: Target,
        id: u64,
    },
    /// A registration of ours that nobody knows; the next listing tells what came of it.
    DeleteStray {
        runner: RunnerName,
        target: Target,
        id: u64,
    },
    AskRun {
        repository: RepositoryId,
        full_name: String,
        run: RunId,
    },
    /// All that says whether the newer run has made the older one pointless.
    LookAtSuperseded {
        full_name: String,
        older: RunId,
        newer: RunId,
    },
    CancelRun {
        full_name: String,
        run: RunId,
        /// Although the forge was asked before.
        force: bool,
    },
    /// What became of these jobs, run by run; `names` ended unseen. Enough is known once all
    /// of them are found.
    AskJobs {
        class: ClassKey,
        runs: Vec<RunJobs>,
        names: Vec<RunnerName>,
        /// Of those of them that were registered before they started: is it there still?
        registrations: Vec<Registration>,
    },
    AskJob {
        full_name: String,
        job: JobId,
        /// A runner has it as far as is known, and takes up room for it.
        at_work: bool,
    },
    /// The repository and the jobs of its unfinished runs.
    Look {
        repository: RepositoryId,
        full_name: String,
    },
    /// Tell when the parameterized job changes: it refused a dispatch.
    WatchParent {
        pool: PoolName,
        place: NomadPlace,
        parent: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunJobs {
    pub full_name: String,
    pub run: RunId,
    pub jobs: Vec<JobId>,
}

/// A runner's registration, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub runner: RunnerName,
    pub target: Target,
    pub id: u64,
}

/// Everything that a dispatch is made from, but the credential.
#[derive(Debug, Clone)]
pub struct DispatchOrder {
    pub runner: RunnerName,
    pub pool: PoolName,
    pub idempotency_token: String,
    pub scope: ScopeKey,
    pub target: Target,
    pub credential: CredentialKind,
    /// Where its credential is laid down before it is dispatched.
    pub deposit: Option<Deposit>,
    /// What the runner registers with.
    pub labels: Vec<String>,
    /// What `config.sh --url` wants.
    pub runner_url: String,
    pub place: NomadPlace,
    pub parent: String,
    pub cause: Option<Job>,
    pub repository: Option<Repository>,
    /// True where this token was sent before, so that an answer is looked at twice.
    pub again: bool,
}
