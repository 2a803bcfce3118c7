//! Dispatched children, and what their status follows from.
//!
//! Read next: `scheduling.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::jobs::{JobKey, JobSpec};
use super::jobspec::Definition;
use super::model::{Millis, Nomad};

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
    /// Grows with every stop.
    pub version: u64,
    pub(super) status: JobStatus,
    /// How many of each group found no node when that was looked at last.
    pub queued: BTreeMap<String, u64>,
    /// Oldest first; as many as the scheduler ever made.
    pub(super) allocations: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    Pending,
    Running,
    Dead,
}

impl Child {
    #[must_use]
    pub fn status(&self) -> JobStatus {
        self.status
    }
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

/// How many children of a parent have each status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChildrenCounts {
    pub pending: u64,
    pub running: u64,
    pub dead: u64,
}

impl Nomad {
    /// The child of that parent which carries the token.
    pub(super) fn carrier(&self, parent: &JobKey, token: &str) -> Option<(&JobKey, &Child)> {
        let key = self.tokens.get(&(parent.clone(), token.to_owned()))?;
        Some((key, self.children.get(key)?))
    }

    /// As it was after the last write that concerned the job.
    #[must_use]
    pub fn status(&self, key: &JobKey) -> Option<JobStatus> {
        self.children.get(key).map(|child| child.status)
    }

    /// Running while an allocation is neither over nor told to stop; pending while something is
    /// left to evaluate, even where the job is stopped ([V]: an evaluation that waits for
    /// `lost_after` keeps it so); else dead (`nomad/state/state_store.go`, `getJobStatus`).
    pub(super) fn status_from_rows(&self, key: &JobKey) -> JobStatus {
        let mut allocations = self.allocations_of(key).peekable();
        let placed = allocations.peek().is_some();
        if allocations.any(|one| !one.is_terminal()) {
            return JobStatus::Running;
        }
        let mut evaluations = self.evaluations_of(key).peekable();
        let looked_at = evaluations.peek().is_some();
        if evaluations.any(|one| !one.status.is_terminal()) {
            return JobStatus::Pending;
        }
        if placed || looked_at { JobStatus::Dead } else { JobStatus::Pending }
    }

    /// Children of that parent, by their status (`JobSummary.Children`).
    #[must_use]
    pub fn children_counts(&self, parent: &JobKey) -> ChildrenCounts {
        self.counts.get(parent).copied().unwrap_or_default()
    }

    /// A child changed its status, or came or went. The dead are counted for ever (GH-24669).
    pub(super) fn count_child(
        &mut self,
        parent: &JobKey,
        before: Option<JobStatus>,
        after: Option<JobStatus>,
    ) {
        if parent.id.is_empty() || !self.jobs.contains_key(parent) || before == after {
            return;
        }
        let counts = self.counts.entry(parent.clone()).or_default();
        match before {
            Some(JobStatus::Pending) => counts.pending = counts.pending.saturating_sub(1),
            Some(JobStatus::Running) => counts.running = counts.running.saturating_sub(1),
            // One that lives again was dead, and is not any more.
            Some(JobStatus::Dead) if after.is_some() => counts.dead = counts.dead.saturating_sub(1),
            _ => {}
        }
        match after {
            Some(JobStatus::Pending) => counts.pending += 1,
            Some(JobStatus::Running) => counts.running += 1,
            Some(JobStatus::Dead) => counts.dead += 1,
            None => {}
        }
    }
}
