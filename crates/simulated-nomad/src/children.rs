//! Dispatched children, and what their status follows from.
//!
//! Read next: `scheduling.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::evaluations::EvaluationStatus;
use super::jobs::{JobKey, JobSpec};
use super::jobspec::Definition;
use super::model::{Millis, Nomad};
use super::tables::Table;

/// A child: a job of its own, copied from its parent when it was dispatched. A job that is not
/// parameterized is kept as one without a parent.
#[derive(Clone, Debug)]
pub struct Child {
    /// Empty: it was registered, not dispatched.
    pub parent: String,
    /// `DispatchIdempotencyToken`.
    pub token: Option<String>,
    pub meta: BTreeMap<String, String>,
    pub payload: Option<Vec<u8>>,
    /// Where its dispatch said one.
    pub priority: Option<i64>,
    pub spec: JobSpec,
    /// Its parent's, as it was then.
    pub definition: Arc<Definition>,
    pub stop: bool,
    /// When it was dispatched; a stop sets it anew (`nomad/structs/structs.go`, `Job.SubmitTime`).
    pub submit_time: Millis,
    pub create_index: u64,
    pub modify_index: u64,
    pub job_modify_index: u64,
    /// Its status as it was when its row changed last.
    pub(super) settled: Option<JobStatus>,
    /// Oldest first; as many as the scheduler ever made.
    pub(super) allocations: Vec<String>,
    pub(super) evaluations: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    Pending,
    Running,
    Dead,
}

impl JobStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Dead => "dead",
        }
    }
}

impl Nomad {
    /// The child of that parent which carries the token.
    pub(super) fn carrier(&self, parent: &JobKey, token: &str) -> Option<(&JobKey, &Child)> {
        let key = self.tokens.get(&(parent.clone(), token.to_owned()))?;
        Some((key, self.children.get(key)?))
    }

    /// Running once it is placed; dead once it is stopped, whatever its task still does, or when
    /// all its allocations are over and nothing is left to evaluate
    /// (`nomad/state/state_store.go`, `getJobStatus`).
    #[must_use]
    pub fn status(&self, key: &JobKey) -> Option<JobStatus> {
        let child = self.children.get(key)?;
        if child.stop {
            return Some(JobStatus::Dead);
        }
        if self.allocations_of(key).any(|one| !one.is_terminal()) {
            return Some(JobStatus::Running);
        }
        let mut open = self.evaluations_of(key).filter(|one| {
            matches!(one.status, EvaluationStatus::Pending | EvaluationStatus::Blocked)
        });
        let waits = open.next().is_some() || child.allocations.is_empty();
        Some(if waits { JobStatus::Pending } else { JobStatus::Dead })
    }

    /// Says that the child's row has changed.
    pub(super) fn touch(&mut self, key: &JobKey) {
        let status = self.status(key);
        let index = self.write(Table::Jobs);
        if let Some(child) = self.children.get_mut(key) {
            child.modify_index = index;
            child.settled = status;
        }
    }

    /// Something about the child's allocations or evaluations has changed, and with that perhaps
    /// its status; its row changes only then.
    pub(super) fn settle(&mut self, key: &JobKey) {
        let settled = self.children.get(key).map(|child| child.settled);
        if settled.is_some_and(|settled| settled != self.status(key)) {
            self.touch(key);
        }
    }
}
