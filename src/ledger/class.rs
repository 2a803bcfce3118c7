//! A class: the jobs and runners that are interchangeable, (pool, scope) and the run where
//! the pool's labels contain `{run_id}`. Counts, not pairs: the ledger compares how many wait
//! with how many are hired, and never says which runner is for which job.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{JobId, PoolName, RepositoryId, RunId, RunnerName, Time};

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
    /// Every runner of the class that is not gone, whatever its state.
    pub runners: BTreeSet<RunnerName>,
    pub hold: Option<Hold>,
    /// Runners that ended unseen since the last one that got a job, those together once.
    pub ended_unseen: u32,
    /// Names of runners that ended unseen and that GitHub has yet to be asked about.
    pub unaccounted: BTreeSet<RunnerName>,
    /// How often asking has failed in a row.
    pub asks_failed: u32,
    /// What was last recorded as the reason why its jobs wait.
    pub reason: Option<String>,
}

impl Class {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.runners.is_empty() && self.unaccounted.is_empty()
    }
}
