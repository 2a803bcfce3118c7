//! A class: the jobs and runners that are interchangeable, (pool, scope) and the run where
//! the pool's labels contain `{run_id}`. Counts, not pairs: the ledger compares how many wait
//! with how many are hired, and never says which runner is for which job.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

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
}

#[derive(Debug, Default)]
pub struct Class {
    /// Demand.
    pub waiting: BTreeSet<JobId>,
    /// Those of them that a dispatch may name as its cause: no live one does, and they are not
    /// held. First those for which the fewest runners were launched in vain.
    pub unnamed: BTreeSet<(u32, JobId)>,
    /// Those of them for which nobody is hired for a while, because runners that were launched for
    /// them ended in vain. They give up their place to the others.
    pub held: BTreeSet<JobId>,
    /// Those of them that robots caused.
    pub robots: BTreeSet<JobId>,
    /// In which repositories they wait, and how many in each.
    pub repositories: BTreeMap<RepositoryId, usize>,
    /// Every runner of the class that is not gone, whatever its state.
    pub runners: BTreeSet<RunnerName>,
    /// How many of its runners beyond those that its jobs take are kept warm.
    pub floor: usize,
    pub hold: Option<Hold>,
    /// The jobs that the question under way is about.
    pub asked: BTreeSet<JobId>,
    /// Names of runners that ended unseen and that GitHub has yet to be asked about.
    pub unaccounted: BTreeSet<RunnerName>,
    /// How often asking has failed in a row.
    pub asks_failed: u32,
    /// What went wrong the last time, as long as it does.
    pub ask_failure: Option<String>,
}

impl ClassKey {
    /// The least key of the same pool and scope, and the greatest: all runs are between them.
    pub fn runs_of_scope(&self) -> RangeInclusive<ClassKey> {
        Self::all_runs(&self.pool, &self.scope)
    }

    pub fn all_runs(pool: &PoolName, scope: &ScopeKey) -> RangeInclusive<ClassKey> {
        let of = |run| ClassKey { pool: pool.clone(), scope: scope.clone(), run };
        of(None)..=of(Some(RunId(u64::MAX)))
    }

    pub fn all_of_pool(pool: &PoolName) -> RangeInclusive<ClassKey> {
        // Repositories are less than organizations; the next possible name is the end.
        let scope = ScopeKey::Repository(RepositoryId(0));
        let first = ClassKey { pool: pool.clone(), scope: scope.clone(), run: None };
        let end = PoolName(format!("{pool}\0"));
        first..=ClassKey { pool: end, scope, run: None }
    }
}

impl Class {
    /// Nothing to remember. A hold is remembered: it ends by an answer, and until then a new job
    /// of the class must not slip past it.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
            && self.runners.is_empty()
            && self.unaccounted.is_empty()
            && self.hold.is_none()
    }

    /// How many runners the class has use for; those beyond it are surplus.
    pub fn demand(&self) -> usize {
        self.waiting.len() + self.floor
    }

    /// For how many jobs runners are to be launched now: not for those that are held back.
    pub fn wanted(&self) -> usize {
        self.waiting.len() - self.held.len()
    }

    /// How many of its jobs people caused.
    pub fn people(&self) -> usize {
        self.waiting.len() - self.robots.len()
    }

    pub(super) fn enlist(&mut self, job: &Job, now: Time) {
        if self.waiting.insert(job.id()) {
            *self.repositories.entry(job.repository).or_default() += 1;
        }
        if job.is_held(now) {
            self.held.insert(job.id());
        }
        self.offer(job);
        if job.robot {
            self.robots.insert(job.id());
        }
    }

    /// A dispatch may name the job, if nothing stands against it.
    pub(super) fn offer(&mut self, job: &Job) {
        let id = job.id();
        if job.cause_of.is_none() && self.waiting.contains(&id) && !self.held.contains(&id) {
            self.unnamed.insert((job.ends_in_vain(), id));
        }
    }

    pub(super) fn withdraw(&mut self, job: &Job) {
        self.unnamed.remove(&(job.ends_in_vain(), job.id()));
    }

    pub(super) fn strike(&mut self, job: &Job) {
        let id = job.id();
        self.withdraw(job);
        self.held.remove(&id);
        self.robots.remove(&id);
        if self.waiting.remove(&id)
            && let Some(count) = self.repositories.get_mut(&job.repository)
        {
            *count -= 1;
            if *count == 0 {
                self.repositories.remove(&job.repository);
            }
        }
    }
}
