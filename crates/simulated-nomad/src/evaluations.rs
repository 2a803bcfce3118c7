//! Evaluations: the scheduler's looks at a job, and its reasons for not placing it.
//!
//! They outlive their job where that is purged. What a look decides is in `scheduling.rs`.
//! Read next: `scheduling.rs`.

use std::collections::BTreeMap;

use super::allocations::ClientStatus;
use super::changes::Row;
use super::jobs::JobKey;
use super::model::{Due, Millis, Nomad};
use super::placing::PlacementFailure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationStatus {
    Pending,
    Complete,
    /// Waits until a node joins or has room again.
    Blocked,
    Canceled,
    Failed,
}

impl EvaluationStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Complete => "complete",
            Self::Blocked => "blocked",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
        }
    }

    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Complete | Self::Canceled | Self::Failed)
    }
}

/// Why somebody looks at a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    JobRegister,
    JobDeregister,
    NodeUpdate,
    NodeDrain,
    AllocStop,
    AllocFailure,
    AllocReschedule,
    QueuedAllocs,
    MaxDisconnectTimeout,
    Reconnect,
}

impl Trigger {
    #[must_use]
    /// By a call, and not by what became of something.
    fn is_asked_for(self) -> bool {
        matches!(self, Self::JobRegister | Self::JobDeregister)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobRegister => "job-register",
            Self::JobDeregister => "job-deregister",
            Self::NodeUpdate => "node-update",
            Self::NodeDrain => "node-drain",
            Self::AllocStop => "alloc-stop",
            Self::AllocFailure => "alloc-failure",
            Self::AllocReschedule => "alloc-reschedule",
            Self::QueuedAllocs => "queued-allocs",
            Self::MaxDisconnectTimeout => "max-disconnect-timeout",
            Self::Reconnect => "reconnect",
        }
    }
}

/// What a look would do with a group (`PlanAnnotations.DesiredTGUpdates`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    pub place: u64,
    pub stop: u64,
    pub migrate: u64,
    pub ignore: u64,
    pub disconnect: u64,
    pub reschedule_now: u64,
    pub reschedule_later: u64,
}

#[derive(Clone, Debug)]
pub struct Evaluation {
    pub id: String,
    pub job: JobKey,
    /// Which scheduler: the job's type.
    pub kind: String,
    pub priority: i64,
    pub status: EvaluationStatus,
    pub status_description: String,
    pub triggered_by: Trigger,
    /// The node whose change is the reason.
    pub node: Option<String>,
    /// The one that waits for room, where this one found none.
    pub blocked_eval: Option<String>,
    pub previous_eval: Option<String>,
    /// `FailedTGAllocs`, by group.
    pub failures: BTreeMap<String, PlacementFailure>,
    /// By group; None until it is worked on.
    pub queued: Option<BTreeMap<String, u64>>,
    /// Of a blocked one: which classes of nodes could do, as far as they are known.
    pub classes: BTreeMap<String, bool>,
    pub desired: BTreeMap<String, Desired>,
    /// It is not worked on before.
    pub wait_until: Option<Millis>,
    pub created_at: Millis,
    pub modified_at: Millis,
    pub create_index: u64,
    pub modify_index: u64,
    pub job_modify_index: u64,
    /// What the scheduler looked at; 0: nothing yet.
    pub snapshot_index: u64,
    /// Of a blocked one: it is to be worked on again.
    pub(super) queued_again: bool,
}

impl Nomad {
    /// An evaluation that is to be worked on soon. It is no row of the state before a commit.
    pub(super) fn new_evaluation(&mut self, job: &JobKey, why: Trigger, now: Millis) -> String {
        let id = self.add_evaluation(job, why, now);
        let within = match (self.knobs.following, why) {
            // A job that is purged, or was stopped before, leaves nothing to look at.
            (Some(_), Trigger::JobDeregister)
                if self.children.get(job).is_none_or(|child| child.stop && child.version > 1) =>
            {
                (0, 0)
            }
            (Some(within), why) if !why.is_asked_for() => within,
            _ => self.knobs.scheduling,
        };
        let at = now + self.draw(within);
        self.at(at, Due::Evaluate(id.clone()));
        id
    }

    /// One that is to be worked on at that time.
    pub(super) fn later_evaluation(
        &mut self,
        previous: &str,
        why: Trigger,
        at: Millis,
        now: Millis,
    ) -> Option<String> {
        let previous = self.evaluations.get(previous)?;
        let (before, job) = (previous.id.clone(), previous.job.clone());
        let id = self.add_evaluation(&job, why, now);
        let one = self.evaluations.get_mut(&id)?;
        one.previous_eval = Some(before);
        one.wait_until = Some(at);
        let words = match why {
            Trigger::MaxDisconnectTimeout => "created for delayed disconnect timeout",
            _ => "created for delayed rescheduling",
        };
        words.clone_into(&mut one.status_description);
        self.at(at, Due::Evaluate(id.clone()));
        self.commit("EvaluationUpdated", vec![Row::Evaluation(id.clone())]);
        Some(id)
    }

    pub(super) fn add_evaluation(&mut self, job: &JobKey, why: Trigger, now: Millis) -> String {
        let id = self.draw_id();
        let child = self.children.get(job);
        let wants = child.map(|child| child.definition.wants.clone()).unwrap_or_default();
        // The one for a stop is not of the job's own type ([V]).
        let kind = if why == Trigger::JobDeregister || wants.kind.is_empty() {
            "service".to_owned()
        } else {
            wants.kind.clone()
        };
        let evaluation = Evaluation {
            id: id.clone(),
            job: job.clone(),
            kind,
            priority: child.map_or(50, |child| child.priority.unwrap_or(wants.priority)),
            status: EvaluationStatus::Pending,
            status_description: String::new(),
            triggered_by: why,
            node: None,
            blocked_eval: None,
            previous_eval: None,
            failures: BTreeMap::new(),
            queued: None,
            classes: BTreeMap::new(),
            desired: BTreeMap::new(),
            wait_until: None,
            created_at: now,
            modified_at: now,
            create_index: 0,
            modify_index: 0,
            job_modify_index: child.map_or(self.index, |child| child.job_modify_index),
            snapshot_index: 0,
            queued_again: false,
        };
        self.evaluations.insert(id.clone(), evaluation);
        self.evaluations_by_job.entry(job.clone()).or_default().push(id.clone());
        id
    }

    /// `PUT /v1/job/:id/evaluate`: the evaluation, and its index. `force`: what has failed is tried
    /// again whatever its group says. None: there is no such job.
    pub fn evaluate_by_hand(
        &mut self,
        job: &JobKey,
        force: bool,
        now: Millis,
    ) -> Option<(String, u64)> {
        if !self.children.contains_key(job) {
            return None;
        }
        let failed: Vec<String> = self
            .allocations_of(job)
            .filter(|one| force && one.client_status == ClientStatus::Failed && !one.stopping)
            .filter(|one| one.next.is_none())
            .map(|one| one.id.clone())
            .collect();
        for id in failed {
            if let Some(one) = self.allocations.get_mut(&id) {
                one.replace = true;
            }
        }
        let evaluation = self.new_evaluation(job, Trigger::JobRegister, now);
        let index = self.commit("EvaluationUpdated", vec![Row::Evaluation(evaluation.clone())]);
        Some((evaluation, index))
    }

    /// Cancels one that is still to be worked on.
    pub(super) fn cancel_evaluation(&mut self, id: &str, why: String, now: Millis) -> Option<Row> {
        let one = self.evaluations.get_mut(id).filter(|one| !one.status.is_terminal())?;
        one.status = EvaluationStatus::Canceled;
        one.status_description = why;
        one.modified_at = now;
        Some(Row::Evaluation(id.to_owned()))
    }

    /// Those of the job that wait for room.
    pub(super) fn blocked_of(&self, job: &JobKey) -> Vec<String> {
        let blocked =
            self.evaluations_of(job).filter(|one| one.status == EvaluationStatus::Blocked);
        blocked.map(|one| one.id.clone()).collect()
    }

    /// `GET /v1/job/:job/evaluations`, oldest first; also of a job that was purged.
    pub fn evaluations_of(&self, key: &JobKey) -> impl Iterator<Item = &Evaluation> {
        let ids = self.evaluations_by_job.get(key).into_iter().flatten();
        ids.filter_map(|id| self.evaluations.get(id))
    }

    /// All of them, of all jobs.
    pub fn evaluations(&self) -> impl Iterator<Item = &Evaluation> {
        self.evaluations.values()
    }

    /// `GET /v1/evaluation/:id`.
    #[must_use]
    pub fn evaluation(&self, id: &str) -> Option<&Evaluation> {
        self.evaluations.get(id)
    }

    pub(super) fn forget_evaluation(&mut self, id: &str) {
        let Some(one) = self.evaluations.remove(id) else { return };
        if let Some(ids) = self.evaluations_by_job.get_mut(&one.job) {
            ids.retain(|known| known != id);
            if ids.is_empty() {
                self.evaluations_by_job.remove(&one.job);
            }
        }
    }
}
