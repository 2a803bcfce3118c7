//! What happens, as data: one value for each thing that jobs, runners, pools and the daemon's
//! partners go through. Nothing parses a text: log line, timeline, `explain` and the live events
//! are made from these values, and the words come last (`words`).

mod endings;
mod words;

use serde::{Deserialize, Serialize};

pub use endings::{Gone, Release, Unused};

use crate::{
    ClaimRefusal, DeliveryId, Job, JobId, JobStatus, PoolName, RunId, Runner, RunnerName, Time,
};

/// Something that happened, and the ids that belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    pub what: Happened,
    pub about: About,
}

/// Whom it concerns; what is not known is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// `owner/name`, or an organization's login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<RunnerName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
}

/// The names are kept in the store and read by others: they do not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", content = "detail")]
pub enum Happened {
    /// A webhook or an answer moved the job to this status.
    #[serde(rename = "job.status")]
    JobStatus { title: String, status: JobStatus, conclusion: Option<String> },
    /// A rerun under the id of the attempt before.
    #[serde(rename = "job.queued_again")]
    JobQueuedAgain,
    /// It had been given up because the forge did not know it.
    #[serde(rename = "job.found_again")]
    JobFoundAgain { forge: String },
    #[serde(rename = "job.unserved")]
    JobUnserved { labels: Vec<String>, why: String, self_hosted: bool },
    #[serde(rename = "job.refused")]
    JobRefused { why: String },
    #[serde(rename = "job.fork_unknown")]
    RunUnknown { reason: String },
    /// Runners that were launched for it ended without a job.
    #[serde(rename = "job.held_back")]
    JobHeldBack { ends: u32, last: String, until: Time },
    #[serde(rename = "job.retried")]
    JobRetried,

    /// A newer push has made it pointless.
    #[serde(rename = "run.superseded")]
    RunSuperseded { older: RunId, newer: RunId },
    #[serde(rename = "run.cancel_forced")]
    RunCancelForced { older: RunId },
    #[serde(rename = "run.not_cancelled")]
    RunNotCancelled { older: RunId, newer: RunId, reason: String },

    #[serde(rename = "runner.launched")]
    RunnerLaunched { waiting: usize, supply: usize },
    /// No job waits for it.
    #[serde(rename = "runner.launched_warm")]
    WarmLaunched { idle: usize, asked: usize },
    /// The forge made it a configuration of its own, and registered it by that.
    #[serde(rename = "runner.minted")]
    RunnerMinted { id: u64 },
    #[serde(rename = "runner.mint_failed")]
    MintFailed { reason: String },
    /// It could not be laid down where the task reads it.
    #[serde(rename = "runner.deposit_failed")]
    DepositFailed { reason: String },
    /// It lies there although nobody needs it any more.
    #[serde(rename = "runner.deposit_left")]
    DepositLeft { path: String, reason: String },
    /// Its task was given its credential.
    #[serde(rename = "runner.claimed")]
    RunnerClaimed { allocation: String },
    #[serde(rename = "runner.claim_refused")]
    ClaimRefused { allocation: String, why: ClaimRefusal },
    #[serde(rename = "runner.dispatched")]
    RunnerDispatched { child: String },
    #[serde(rename = "dispatch.refused")]
    DispatchRefused { reason: String },
    #[serde(rename = "dispatch.unknown")]
    DispatchUnknown { reason: String },
    #[serde(rename = "dispatch.resent")]
    DispatchResent,
    #[serde(rename = "runner.adopted")]
    RunnerAdopted { child: String },
    #[serde(rename = "runner.placed")]
    RunnerPlaced,
    #[serde(rename = "runner.not_starting")]
    RunnerNotStarting { why: String },
    #[serde(rename = "runner.registered")]
    RunnerRegistered,
    #[serde(rename = "runner.busy")]
    RunnerBusy,
    #[serde(rename = "runner.finished")]
    RunnerFinished,
    #[serde(rename = "runner.unused")]
    RunnerUnused { why: Unused },
    #[serde(rename = "runner.released")]
    RunnerReleased { why: Release },
    /// A job waits for it after all.
    #[serde(rename = "runner.kept")]
    RunnerKept,
    /// The forge would not delete it.
    #[serde(rename = "runner.still_busy")]
    RunnerStillBusy,
    #[serde(rename = "runner.too_old")]
    RunnerTooOld,
    /// Its child ended, and no job of it is known yet.
    #[serde(rename = "runner.ended")]
    RunnerEnded { how: String },
    /// The forge was asked, and none of its jobs had it.
    #[serde(rename = "runner.ended_without_job")]
    RunnerEndedWithoutJob { how: String },
    /// A question or request about it failed, and is tried again.
    #[serde(rename = "runner.request_failed")]
    RequestFailed { reason: String },
    #[serde(rename = "runner.gone")]
    RunnerGone { how: Gone },
    /// A registration that looks like ours, of a runner that nobody tracks.
    #[serde(rename = "runner.stray")]
    StrayRegistration,

    #[serde(rename = "pool.paused")]
    PoolPaused { until: Option<Time> },
    #[serde(rename = "pool.resumed")]
    PoolResumed,
    #[serde(rename = "breaker.opened")]
    BreakerOpened { ends: u32, last: String },
    #[serde(rename = "breaker.closed")]
    BreakerClosed,

    #[serde(rename = "repository.denied")]
    RepositoryDenied { forge: String, reason: String },
    #[serde(rename = "repository.renamed")]
    RepositoryRenamed(Renamed),
    #[serde(rename = "credential.failed")]
    CredentialFailed { target: String, reason: String },
    #[serde(rename = "clock.set")]
    ClockSet { by: i64 },
    /// GitHub, Nomad or the store: trouble of a part of it, or of the whole.
    #[serde(rename = "health.degraded")]
    Degraded { who: String, reason: String },
    #[serde(rename = "health.recovered")]
    Recovered { who: String },
}

/// A repository that pools name by a name that it has no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renamed {
    pub before: String,
    pub now: String,
    pub pools: Vec<PoolName>,
}

impl Happened {
    /// As it is known to everything that reads events: stable.
    pub fn name(&self) -> &'static str {
        match self {
            Happened::JobStatus { status, .. } => match status {
                JobStatus::Queued => "job.queued",
                JobStatus::Waiting => "job.waiting",
                JobStatus::InProgress => "job.in_progress",
                JobStatus::Completed => "job.completed",
            },
            Happened::JobQueuedAgain => "job.queued_again",
            Happened::JobFoundAgain { .. } => "job.found_again",
            Happened::JobUnserved { .. } => "job.unserved",
            Happened::JobRefused { .. } => "job.refused",
            Happened::RunUnknown { .. } => "job.fork_unknown",
            Happened::JobHeldBack { .. } => "job.held_back",
            Happened::JobRetried => "job.retried",
            Happened::RunSuperseded { .. } => "run.superseded",
            Happened::RunCancelForced { .. } => "run.cancel_forced",
            Happened::RunNotCancelled { .. } => "run.not_cancelled",
            Happened::RunnerLaunched { .. } => "runner.launched",
            Happened::WarmLaunched { .. } => "runner.launched_warm",
            Happened::RunnerMinted { .. } => "runner.minted",
            Happened::MintFailed { .. } => "runner.mint_failed",
            Happened::DepositFailed { .. } => "runner.deposit_failed",
            Happened::DepositLeft { .. } => "runner.deposit_left",
            Happened::RunnerClaimed { .. } => "runner.claimed",
            Happened::ClaimRefused { .. } => "runner.claim_refused",
            Happened::RunnerDispatched { .. } => "runner.dispatched",
            Happened::DispatchRefused { .. } => "dispatch.refused",
            Happened::DispatchUnknown { .. } => "dispatch.unknown",
            Happened::DispatchResent => "dispatch.resent",
            Happened::RunnerAdopted { .. } => "runner.adopted",
            Happened::RunnerPlaced => "runner.placed",
            Happened::RunnerNotStarting { .. } => "runner.not_starting",
            Happened::RunnerRegistered => "runner.registered",
            Happened::RunnerBusy => "runner.busy",
            Happened::RunnerFinished => "runner.finished",
            Happened::RunnerUnused { .. } => "runner.unused",
            Happened::RunnerReleased { .. } => "runner.released",
            Happened::RunnerKept => "runner.kept",
            Happened::RunnerStillBusy => "runner.still_busy",
            Happened::RunnerTooOld => "runner.too_old",
            Happened::RunnerEnded { .. } => "runner.ended",
            Happened::RunnerEndedWithoutJob { .. } => "runner.ended_without_job",
            Happened::RequestFailed { .. } => "runner.request_failed",
            Happened::RunnerGone { .. } => "runner.gone",
            Happened::StrayRegistration => "runner.stray",
            Happened::PoolPaused { .. } => "pool.paused",
            Happened::PoolResumed => "pool.resumed",
            Happened::BreakerOpened { .. } => "breaker.opened",
            Happened::BreakerClosed => "breaker.closed",
            Happened::RepositoryDenied { .. } => "repository.denied",
            Happened::RepositoryRenamed(_) => "repository.renamed",
            Happened::CredentialFailed { .. } => "credential.failed",
            Happened::ClockSet { .. } => "clock.set",
            Happened::Degraded { .. } => "health.degraded",
            Happened::Recovered { .. } => "health.recovered",
        }
    }

    /// Somebody may have to act, or a job waits longer for it.
    pub fn is_warning(&self) -> bool {
        match self {
            Happened::JobUnserved { self_hosted, .. } => *self_hosted,
            Happened::RunUnknown { .. }
            | Happened::MintFailed { .. }
            | Happened::DepositFailed { .. }
            | Happened::DepositLeft { .. }
            | Happened::RunNotCancelled { .. }
            | Happened::ClaimRefused { .. }
            | Happened::DispatchRefused { .. }
            | Happened::DispatchUnknown { .. }
            | Happened::RunnerNotStarting { .. }
            | Happened::RunnerUnused { .. }
            | Happened::RunnerTooOld
            | Happened::RunnerEndedWithoutJob { .. }
            | Happened::RequestFailed { .. }
            | Happened::BreakerOpened { .. }
            | Happened::RepositoryDenied { .. }
            | Happened::RepositoryRenamed(_)
            | Happened::CredentialFailed { .. }
            | Happened::ClockSet { .. }
            | Happened::Degraded { .. } => true,
            Happened::JobStatus { .. }
            | Happened::JobQueuedAgain
            | Happened::JobFoundAgain { .. }
            | Happened::JobRefused { .. }
            | Happened::JobHeldBack { .. }
            | Happened::JobRetried
            | Happened::RunSuperseded { .. }
            | Happened::RunCancelForced { .. }
            | Happened::RunnerLaunched { .. }
            | Happened::WarmLaunched { .. }
            | Happened::RunnerMinted { .. }
            | Happened::RunnerClaimed { .. }
            | Happened::RunnerDispatched { .. }
            | Happened::DispatchResent
            | Happened::RunnerAdopted { .. }
            | Happened::RunnerPlaced
            | Happened::RunnerRegistered
            | Happened::RunnerBusy
            | Happened::RunnerFinished
            | Happened::RunnerReleased { .. }
            | Happened::RunnerKept
            | Happened::RunnerStillBusy
            | Happened::RunnerEnded { .. }
            | Happened::RunnerGone { .. }
            | Happened::StrayRegistration
            | Happened::PoolPaused { .. }
            | Happened::PoolResumed
            | Happened::BreakerClosed
            | Happened::Recovered { .. } => false,
        }
    }

    pub fn about(self, about: About) -> Happening {
        Happening { what: self, about }
    }
}

impl About {
    pub fn job(job: &Job) -> Self {
        Self {
            job: Some(job.id()),
            run: Some(job.report.run),
            repository: Some(job.repository_name.clone()),
            pool: job.pool.clone(),
            ..Self::default()
        }
    }

    /// A runner, and the job that it took or was launched for.
    pub fn runner(runner: &Runner) -> Self {
        Self {
            job: runner.took.and_then(|took| took.job).or(runner.cause),
            run: runner.class.run,
            repository: Some(runner.scope_name.clone()),
            runner: Some(runner.name.clone()),
            pool: Some(runner.class.pool.clone()),
            delivery: None,
        }
    }

    pub fn pool(pool: &PoolName) -> Self {
        Self { pool: Some(pool.clone()), ..Self::default() }
    }

    pub fn repository(name: &str) -> Self {
        Self { repository: Some(name.to_owned()), ..Self::default() }
    }

    /// Belongs to the story of a job or a runner.
    pub fn is_of_a_story(&self) -> bool {
        self.job.is_some() || self.runner.is_some()
    }
}

#[cfg(test)]
mod tests;
