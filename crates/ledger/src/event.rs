//! Everything that can happen to the ledger: webhooks, the answers to what it asked, what
//! Nomad shows, and time. Wire formats stop before this file.

use std::time::Duration;

pub use super::child::{ChildPhase, Children};
use super::{
    Claim, ClassKey, DeliveryId, DepositAt, Job, JobId, JobReport, NomadPlace, Repository,
    RepositoryId, RunCause, RunDetails, RunId, RunnerName, ScopeKey, Ticket, Time,
};

/// A question that got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// In words, with what to mend where something is to be mended.
    pub reason: String,
    /// After how long the other side said to come back; else backoff decides. A length and not a
    /// time, so that no clock but the ledger's own counts.
    pub retry_after: Option<Duration>,
}

pub type Answer<T> = Result<T, Failure>;

/// Why Nomad shows no children. Reads after its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NomadTrouble {
    #[error("is unreachable: {0}")]
    Unreachable(String),
    #[error("does not list our children: {0}")]
    Refuses(String),
    /// The forge must say first, and does not.
    #[error("has a child of ours whose repository is not known yet: {0}")]
    Unplaced(String),
}

/// What was found in the runs that were looked at; a look may stop early.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobsOfRuns {
    pub reports: Vec<JobReport>,
    pub looked_at: Vec<RunId>,
    /// Whose registration the forge has removed, of those that were asked about.
    pub removed: Vec<RunnerName>,
}

/// What a forge says of a run when it is asked for the sake of a policy. Webhooks of jobs have
/// none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFacts {
    /// Whether its head is a fork.
    pub is_fork: bool,
    pub cause: RunCause,
    pub run: RunDetails,
}

impl From<bool> for RunFacts {
    fn from(is_fork: bool) -> Self {
        Self { is_fork, cause: RunCause::default(), run: RunDetails::default() }
    }
}

#[derive(Debug, Clone)]
pub enum Event {
    Webhook(Box<Webhook>),
    /// What policies ask of a run.
    RunKnown {
        run: RunId,
        answer: Answer<RunFacts>,
    },
    /// What the forge says of a run that a newer one may have made pointless, and of that one.
    SupersededSeen {
        older: RunId,
        answer: Answer<super::superseded::Pair>,
    },
    /// The forge has taken the request, or the run was over already.
    RunCancelled {
        run: RunId,
        answer: Answer<()>,
    },
    /// What GitHub says of the jobs of a class, after the runners `names` ended unseen.
    JobsSeen {
        class: ClassKey,
        names: Vec<RunnerName>,
        answer: Answer<JobsOfRuns>,
    },
    /// What GitHub says of one job; `None`: it knows no such job.
    JobSeen {
        job: JobId,
        answer: Answer<Option<JobReport>>,
    },
    /// A listing tells of a job as if it were open, and the store has its end: `past`.
    SeenAgain {
        past: Box<Job>,
        report: Box<JobReport>,
    },
    /// A credential for the scope is in memory until `ends`.
    CredentialMinted {
        scope: ScopeKey,
        answer: Answer<Time>,
    },
    /// What became of the request for a runner's own credential.
    MintedFor {
        runner: RunnerName,
        outcome: MintOutcome,
    },
    /// A task asks for its runner's credential.
    Claimed {
        ticket: Ticket,
        claim: Box<Claim>,
    },
    /// A credential that was to be handed over is not in memory any more.
    CredentialLost {
        ticket: Ticket,
        runner: RunnerName,
    },
    DispatchAnswered {
        runner: RunnerName,
        outcome: DispatchOutcome,
    },
    /// The child that carries the runner's token, if Nomad has one.
    ChildLookedUp {
        runner: RunnerName,
        answer: Answer<Option<FoundChild>>,
    },
    LookedForAtForge {
        runner: RunnerName,
        answer: Answer<AtForge>,
    },
    PlacementSeen {
        runner: RunnerName,
        answer: Answer<ChildPhase>,
    },
    ChildStopped {
        runner: RunnerName,
        answer: Answer<()>,
    },
    /// Whether a credential is gone from where it lay.
    DepositRemoved {
        at: DepositAt,
        answer: Answer<()>,
    },
    RegistrationDeleted {
        runner: RunnerName,
        answer: Answer<Deletion>,
    },
    /// What Nomad shows of children that we follow, whenever it changes; it has been asked
    /// about all of that place when this comes, and those of ours there that nobody followed have
    /// been told of. A runner is followed from the moment its child is known, and its phase is
    /// told then, however old it is.
    ChildrenSeen(Children),
    /// What keeps children from their work although nothing has ended: Nomad has no place for them,
    /// or their tasks do not start. Reads after "a runner is dispatched, but"; `None`: nothing that
    /// Nomad tells of.
    ChildrenHeldUp(Vec<(RunnerName, Option<String>)>),
    /// What the forge allows for that owner may be another by now.
    AccessChanged {
        owner: String,
    },
    /// Name, owner or visibility of a repository have changed, or it is gone.
    RepositoryChanged(Box<Repository>),
    /// Nomad's API did not answer about children.
    NomadAway {
        place: NomadPlace,
        trouble: NomadTrouble,
    },
    /// The forge answers again to a credential; whose that is, `*` for everybody's.
    ForgeRecovered {
        owners: Vec<String>,
    },
    /// Vault answers again, and takes our token.
    VaultRecovered,
    /// A parameterized job that refused a dispatch has changed.
    ParentChanged {
        pool: super::PoolName,
    },
    /// Hire nobody new for the pool, until then if it was said.
    Pause {
        pool: super::PoolName,
        until: Option<Time>,
    },
    Resume {
        pool: super::PoolName,
    },
    /// Look at this job again now, whatever backoff says.
    Retry {
        job: JobId,
    },
    /// The operator has decided otherwise: from here on these rules hold, for jobs and runners
    /// that are there too. What failed is tried once more at once, for it may have been mended.
    Rules(Box<super::Rules>),
    /// The rows of open jobs that no pool had, after new rules.
    Unserved(Vec<Job>),
    /// Something happened in the repository that could not be read: look at it now.
    LookAt(Box<Repository>),
    /// What a look at a repository showed that was asked for.
    Looked {
        repository: RepositoryId,
        full_name: String,
        answer: Answer<super::observation::Observation>,
    },
    /// A look at GitHub or Nomad.
    Observed(Box<super::observation::Observation>),
    /// The machine's clock was set, by so many milliseconds ahead or back. `now` says already what it
    /// says from here on.
    ClockJumped {
        by: i64,
    },
    /// A timer is due.
    Tick,
}

/// A `workflow_job` delivery from the inbox.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub delivery: DeliveryId,
    pub received_at: Time,
    pub repository: Repository,
    /// `None`: an action or a status that we do not know; it changes nothing.
    pub report: Option<JobReport>,
    /// The job as the store has it, where it is no longer in memory.
    pub past: Option<Box<Job>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DispatchOutcome {
    /// Nomad has it as `child`; whether GitHub's word on runners can be matched to it.
    Accepted { child: String, nameless: bool, credential_ends: Option<Time> },
    /// Nomad said no, and nothing was made.
    Refused { reason: String },
    /// Nothing was made, for what this one carries of its job is too much.
    TooLarge { reason: String },
    /// Its credential could not be laid down, so nothing was sent.
    NotDeposited(Failure),
    /// Something that is not ours lies where its credential was to be; nothing was sent.
    DepositTaken { reason: String },
    /// It certainly did not reach Nomad.
    NotSent { reason: String },
    /// The credential's time was over before the request was made; nothing was sent.
    CredentialMissing,
    /// Anything may have happened.
    Unknown { reason: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MintOutcome {
    /// The credential is in memory, and the runner registered.
    Registered { id: u64 },
    /// One of this name is registered already.
    NameTaken,
    /// Nothing was made.
    Refused(Failure),
    /// It may have been registered.
    Unknown(Failure),
}

/// A child found by its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundChild {
    pub child: String,
    /// It was given no `runner_name`, see `Runner::nameless`.
    pub nameless: bool,
}

/// A runner's name as GitHub knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtForge {
    Registered {
        id: u64,
        busy: bool,
        /// Its program is connected.
        online: bool,
    },
    /// Not listed, but this job names it.
    Named(Box<JobReport>),
    Nowhere,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// 204 or 404: it gets no new job. It may still have one.
    NoNewJob,
    /// 422.
    Busy,
}
