//! Workflow runs and their jobs: the kinds of them, and what state they are in.
//!
//! What changes that state is in `runs/actions.rs`; who gets a job is in `runners/assignment.rs`.
//! Read next: `runs/actions.rs`.

mod actions;
#[cfg(test)]
mod tests;

use super::concurrency::Concurrency;
use super::model::{GitHub, Millis};

/// Where the head of a run lives. The webhook does not say; `GET …/actions/runs/ID` does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Head {
    #[default]
    Same,
    Fork {
        id: u64,
        full_name: String,
    },
    /// `head_repository` is null then.
    DeletedFork,
}

/// A run to be.
#[derive(Clone, Debug)]
pub struct RunSpec {
    pub event: String,
    pub head: Head,
    pub workflow_name: String,
    pub head_branch: String,
    pub actor: String,
    /// A fork's run that a maintainer must approve first: `completed`, `action_required` and without
    /// jobs until then (docs, "Approving workflow runs from forks"; open-design#2683).
    pub needs_approval: bool,
    pub concurrency: Option<Concurrency>,
    /// A pull request of the repository comes from its branch; of the event `pull_request` from the
    /// repository itself it does anyway.
    pub has_pull_request: bool,
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            event: "push".to_owned(),
            head: Head::Same,
            workflow_name: "CI".to_owned(),
            head_branch: "main".to_owned(),
            actor: "octocat".to_owned(),
            needs_approval: false,
            concurrency: None,
            has_pull_request: false,
        }
    }
}

/// A job to be.
#[derive(Clone, Debug)]
pub struct JobSpec {
    pub name: String,
    pub labels: Vec<String>,
    /// How long the runner will be at it.
    pub duration: Millis,
    pub conclusion: Conclusion,
    /// It names an environment with a protection rule, so it waits for approval first.
    pub needs_environment: bool,
    /// Its last step has `if: always()`.
    pub cleans_up: bool,
    /// It `needs` all jobs before it in its run: played for Gitea alone, which tells of it at once.
    pub needs_others: bool,
}

impl JobSpec {
    /// A job of two seconds that succeeds.
    #[must_use]
    pub fn new(name: impl Into<String>, labels: &[&str]) -> Self {
        Self {
            name: name.into(),
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            duration: 2_000,
            conclusion: Conclusion::Success,
            needs_environment: false,
            cleans_up: false,
            needs_others: false,
        }
    }

    #[must_use]
    pub fn lasting(mut self, duration: Millis) -> Self {
        self.duration = duration;
        self
    }

    #[must_use]
    pub fn concluding(mut self, conclusion: Conclusion) -> Self {
        self.conclusion = conclusion;
        self
    }

    #[must_use]
    pub fn waiting(mut self) -> Self {
        self.needs_environment = true;
        self
    }

    #[must_use]
    pub fn cleaning_up(mut self) -> Self {
        self.cleans_up = true;
        self
    }

    #[must_use]
    pub fn needing_others(mut self) -> Self {
        self.needs_others = true;
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A run's, while its concurrency group is taken.
    Pending,
    Waiting,
    Queued,
    InProgress,
    Completed,
}

impl Status {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    Success,
    Failure,
    Cancelled,
    /// Never given to a runner: only a `completed` event is sent.
    Skipped,
    TimedOut,
    ActionRequired,
    Neutral,
}

impl Conclusion {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::TimedOut => "timed_out",
            Self::ActionRequired => "action_required",
            Self::Neutral => "neutral",
        }
    }

    /// From GitHub's word; what is unknown counts as a failure.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        [Self::Success, Self::Cancelled, Self::Skipped, Self::TimedOut, Self::Neutral]
            .into_iter()
            .find(|one| one.as_str() == word)
            .unwrap_or(Self::Failure)
    }
}

/// One run, over all its attempts.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: u64,
    pub repository: u64,
    pub spec: RunSpec,
    pub number: u64,
    pub attempt: u32,
    pub head_sha: String,
    pub created_at: Millis,
    /// When the latest attempt began.
    pub started_at: Millis,
    pub updated_at: Millis,
    /// Jobs of all attempts, oldest first.
    pub jobs: Vec<u64>,
    /// The jobs of a run that still needs approval, or waits for its concurrency group.
    pub(super) unborn: Vec<JobSpec>,
    /// It waits for its concurrency group.
    pub(super) held: bool,
    /// It was over before it had jobs.
    pub(super) ended_unborn: Option<Conclusion>,
}

/// Which runner had a job. Kept in the job, for runners go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RanOn {
    pub id: u64,
    pub name: String,
    /// Its group then.
    pub group: u64,
}

/// One job of one attempt.
#[derive(Clone, Debug)]
pub struct Job {
    /// Also the id of its check run. A rerun makes a new one; not at Gitea.
    pub id: u64,
    pub run: u64,
    /// At Gitea: how often it was given out.
    pub attempt: u32,
    pub spec: JobSpec,
    pub status: Status,
    pub conclusion: Option<Conclusion>,
    pub created_at: Millis,
    /// When it was queued last; the queue's limit counts from here.
    pub queued_at: Millis,
    /// GitHub's `started_at` is `created_at` until a runner has started the job.
    pub started_at: Option<Millis>,
    pub completed_at: Option<Millis>,
    pub runner: Option<RanOn>,
    /// The steps that its runner says to have begun.
    pub steps_begun: Vec<String>,
    /// The runner it is given to, until that one has ended it.
    pub(super) assigned: Option<u64>,
    pub(super) cancel_requested: bool,
    /// Whether a job that no runner had shows `0` and `""` instead of null: both are seen
    /// (garm#253).
    pub(super) blank_runner: bool,
}

impl GitHub {
    #[must_use]
    pub fn job(&self, id: u64) -> Option<&Job> {
        self.jobs.get(&id)
    }

    #[must_use]
    pub fn run(&self, id: u64) -> Option<&Run> {
        self.runs.get(&id)
    }

    /// All jobs of all runs, oldest first.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// The jobs of one attempt of a run.
    #[must_use]
    pub fn jobs_of(&self, run: &Run, attempt: u32) -> Vec<&Job> {
        let jobs = run.jobs.iter().filter_map(|id| self.jobs.get(id));
        jobs.filter(|job| job.attempt == attempt || self.is_gitea()).collect()
    }

    /// A run's status and conclusion follow from the jobs of its latest attempt. One job queued
    /// beside others that ran leaves the run `in_progress` (slang#11143).
    #[must_use]
    pub fn run_status(&self, run: &Run) -> (Status, Option<Conclusion>) {
        if run.held {
            return (Status::Pending, None);
        }
        if let Some(conclusion) = run.ended_unborn {
            return (Status::Completed, Some(conclusion));
        }
        if !run.unborn.is_empty() {
            return (Status::Completed, Some(Conclusion::ActionRequired));
        }
        let jobs = self.jobs_of(run, run.attempt);
        let all = |status| jobs.iter().all(|job| job.status == status);
        let any = |status| jobs.iter().any(|job| job.status == status);
        if all(Status::Completed) {
            let ended = |wanted| jobs.iter().any(|job| job.conclusion == Some(wanted));
            let conclusion = [Conclusion::Failure, Conclusion::TimedOut, Conclusion::Cancelled]
                .into_iter()
                .find(|one| ended(*one))
                .unwrap_or(Conclusion::Success);
            return (Status::Completed, Some(conclusion));
        }
        if any(Status::InProgress) || any(Status::Completed) {
            (Status::InProgress, None)
        } else if all(Status::Waiting) {
            (Status::Waiting, None)
        } else {
            (Status::Queued, None)
        }
    }
}
