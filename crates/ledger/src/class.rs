//! A class: the jobs and runners that are interchangeable, (pool, scope) and the run where
//! the pool's labels contain `{run_id}`. Counts, not pairs: the ledger compares how many wait
//! with how many are hired, and never says which runner is for which job.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Job, JobId, PoolName, RepositoryId, RunId, RunnerName, Time};

/// Where a runner registers, by what does not change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScopeKey {
    Repository(RepositoryId),
    /// The login, in lower case.
    Organization(String),
}

impl fmt::Display for ScopeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScopeKey::Repository(id) => write!(f, "repository {id}"),
            ScopeKey::Organization(login) => write!(f, "organization {login}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClassKey {
    pub pool: PoolName,
    pub scope: ScopeKey,
    pub run: Option<RunId>,
}

/// What keeps a class from hiring although its jobs wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// A runner ended without having been busy: GitHub is asked what became of the jobs;
    /// `sent`: the question is under way, else it waits for a timer or a listing.
    Asking { sent: bool },
    /// It was asked, and jobs still wait: try again then.
    Until(Time),
}

#[derive(Debug, Default)]
pub struct Class {
    /// Demand.
    pub waiting: BTreeSet<JobId>,
    /// Those of them that no live dispatch names as its cause.
    pub unnamed: BTreeSet<JobId>,
    /// Those of them that robots caused.
    pub robots: BTreeSet<JobId>,
    /// In which repositories they wait, and how many in each.
    pub repositories: BTreeMap<RepositoryId, usize>,
    /// Every runner of the class that is not gone, whatever its state.
    pub runners: BTreeSet<RunnerName>,
    pub hold: Option<Hold>,
    /// The jobs that the question under way is about.
    pub asked: BTreeSet<JobId>,
    /// Runners that ended unseen since the last one that got a job, those together once.
    pub ended_unseen: u32,
    /// When the last of them was counted: who had been sent before then ended together with it.
    pub counted_at: Option<Time>,
    /// What was last told of the end of one.
    pub last_end: Option<String>,
    /// Names of runners that ended unseen and that GitHub has yet to be asked about.
    pub unaccounted: BTreeSet<RunnerName>,
    /// How often asking has failed in a row.
    pub asks_failed: u32,
}

impl Class {
    /// Nothing to remember. A hold is remembered: it ends by a timer or an answer, and until
    /// then a new job of the class must not slip past it.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
            && self.runners.is_empty()
            && self.unaccounted.is_empty()
            && self.hold.is_none()
    }

    pub(super) fn enlist(&mut self, job: &Job) {
        if self.waiting.insert(job.id()) {
            *self.repositories.entry(job.repository).or_default() += 1;
        }
        if job.cause_of.is_none() {
            self.unnamed.insert(job.id());
        }
        if job.robot {
            self.robots.insert(job.id());
        }
    }

    pub(super) fn strike(&mut self, job: JobId, repository: RepositoryId) {
        self.unnamed.remove(&job);
        self.robots.remove(&job);
        if self.waiting.remove(&job)
            && let Some(count) = self.repositories.get_mut(&repository)
        {
            *count -= 1;
            if *count == 0 {
                self.repositories.remove(&repository);
            }
        }
    }

    /// A runner of the class got a job: whatever ended unseen before counts no more.
    pub(super) fn works(&mut self) {
        self.ended_unseen = 0;
        self.counted_at = None;
        if matches!(self.hold, Some(Hold::Until(_))) {
            self.hold = None;
        }
    }
}
