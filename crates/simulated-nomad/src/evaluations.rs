//! Evaluations: the scheduler's looks at a child, and its reasons for not placing it.
//!
//! Read next: `scheduling.rs`.

use std::collections::BTreeMap;

use super::jobs::JobKey;
use super::model::{Due, Millis, Nomad};
use super::tables::Table;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvaluationStatus {
    Pending,
    Complete,
    /// Waits until a node joins or has room again.
    Blocked,
    Canceled,
}

impl EvaluationStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Complete => "complete",
            Self::Blocked => "blocked",
            Self::Canceled => "canceled",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Evaluation {
    pub id: String,
    pub job: JobKey,
    pub status: EvaluationStatus,
    pub triggered_by: &'static str,
    /// The one that waits for room, where this one found none.
    pub blocked_eval: Option<String>,
    /// `FailedTGAllocs` of the one task group.
    pub failure: Option<PlacementFailure>,
    pub created_at: Millis,
    pub modified_at: Millis,
    pub create_index: u64,
    pub modify_index: u64,
}

/// Why no node was found (`nomad/structs/structs.go`, `AllocMetric`; shapes [V]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementFailure {
    pub nodes_evaluated: u64,
    pub nodes_filtered: u64,
    pub nodes_exhausted: u64,
    /// Ready nodes. None ready looks the same whether none ever joined or all drain ([V]).
    pub nodes_in_pool: u64,
    pub constraint_filtered: BTreeMap<String, u64>,
    pub dimension_exhausted: BTreeMap<String, u64>,
}

impl Nomad {
    /// Queues a look at the child, and says the evaluation's id.
    pub(super) fn new_evaluation(
        &mut self,
        job: &JobKey,
        triggered_by: &'static str,
        now: Millis,
    ) -> String {
        let index = self.bump();
        self.new_evaluation_in(index, job, triggered_by, now)
    }

    /// The same, in one write with the job.
    pub(super) fn new_evaluation_in(
        &mut self,
        index: u64,
        job: &JobKey,
        triggered_by: &'static str,
        now: Millis,
    ) -> String {
        let id = self.add_evaluation_in(index, job, EvaluationStatus::Pending, triggered_by, now);
        let at = now + self.draw(self.knobs.scheduling);
        self.at(at, Due::Evaluate(id.clone()));
        id
    }

    pub(super) fn add_evaluation(
        &mut self,
        job: &JobKey,
        status: EvaluationStatus,
        triggered_by: &'static str,
        now: Millis,
    ) -> String {
        let index = self.bump();
        self.add_evaluation_in(index, job, status, triggered_by, now)
    }

    fn add_evaluation_in(
        &mut self,
        index: u64,
        job: &JobKey,
        status: EvaluationStatus,
        triggered_by: &'static str,
        now: Millis,
    ) -> String {
        let id = self.draw_id();
        self.write_too(Table::Evaluations, index);
        let evaluation = Evaluation {
            id: id.clone(),
            job: job.clone(),
            status,
            triggered_by,
            blocked_eval: None,
            failure: None,
            created_at: now,
            modified_at: now,
            create_index: index,
            modify_index: index,
        };
        self.evaluations.insert(id.clone(), evaluation);
        if let Some(child) = self.children.get_mut(job) {
            child.evaluations.push(id.clone());
        }
        self.settle(job);
        id
    }

    /// Says that the evaluation's row has changed.
    pub(super) fn touch_evaluation(&mut self, id: &str) {
        let index = self.write(Table::Evaluations);
        if let Some(one) = self.evaluations.get_mut(id) {
            one.modify_index = index;
        }
    }

    /// Cancels whatever is still to be looked at: the child was stopped ([V]: the blocked
    /// evaluation becomes `canceled`).
    pub(super) fn cancel_evaluations(&mut self, job: &JobKey, now: Millis) {
        let ids = self.children.get(job).map(|child| child.evaluations.clone()).unwrap_or_default();
        for id in ids {
            let Some(one) = self.evaluations.get_mut(&id) else { continue };
            if matches!(one.status, EvaluationStatus::Pending | EvaluationStatus::Blocked) {
                one.status = EvaluationStatus::Canceled;
                one.modified_at = now;
                self.touch_evaluation(&id);
            }
        }
    }
}
