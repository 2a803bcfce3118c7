//! The scheduler: finds a node for a child, or says why there is none.
//!
//! Read next: `clients.rs`.

use rand::seq::IndexedRandom;

use super::allocations::Allocation;
use super::children::Child;
use super::evaluations::{EvaluationStatus, PlacementFailure};
use super::happenings::What;
use super::jobs::{JobKey, JobSpec};
use super::model::{Due, Millis, Nomad};
use super::nodes::Node;
use super::tables::Table;

/// What triggers a blocked evaluation.
const QUEUED: &str = "queued-allocs";

impl Nomad {
    /// Works on an evaluation: one allocation, or a blocked evaluation with the reasons
    /// (`scheduler/generic_sched.go`).
    pub(super) fn evaluate(&mut self, id: &str, now: Millis) {
        let Some(evaluation) = self.evaluations.get(id) else { return };
        let open =
            matches!(evaluation.status, EvaluationStatus::Pending | EvaluationStatus::Blocked);
        let job = evaluation.job.clone();
        let Some(spec) = self.children.get(&job).map(|child| child.spec.clone()) else { return };
        if !open {
            return;
        }
        if !self.needs_allocation(&job) {
            self.close(id, None, None, now);
            return;
        }
        match self.find_node(&spec) {
            Ok(node) => {
                self.close(id, None, None, now);
                self.place(&job, &node, now);
            }
            Err(failure) => {
                if self.block_again(id, &failure, now) {
                    return;
                }
                let why = in_short(&failure);
                let blocked = self.add_evaluation(&job, EvaluationStatus::Blocked, QUEUED, now);
                self.close(id, Some(blocked), Some(failure), now);
                self.note(now, What::Blocked { child: job.id, why });
            }
        }
    }

    /// Looks again at whatever waits for room (`nomad/blocked_evals.go`).
    pub(super) fn unblock(&mut self, now: Millis) {
        let blocked: Vec<String> = self
            .evaluations
            .values()
            .filter(|one| one.status == EvaluationStatus::Blocked)
            .map(|one| one.id.clone())
            .collect();
        for id in blocked {
            if let Some(one) = self.evaluations.get_mut(&id) {
                one.status = EvaluationStatus::Pending;
            }
            self.touch_evaluation(&id);
            let at = now + self.draw(self.knobs.scheduling);
            self.at(at, Due::Evaluate(id));
        }
    }

    /// One that was blocked before is blocked again, with the reasons of now
    /// (`scheduler/generic_sched.go`, `ReblockEval`).
    fn block_again(&mut self, id: &str, failure: &PlacementFailure, now: Millis) -> bool {
        let Some(one) = self.evaluations.get_mut(id) else { return false };
        if one.triggered_by != QUEUED {
            return false;
        }
        one.status = EvaluationStatus::Blocked;
        one.failure = Some(failure.clone());
        one.modified_at = now;
        self.touch_evaluation(id);
        true
    }

    /// Whether the child lacks an allocation. One that ended is never run again (`reschedule {
    /// attempts = 0 }`); one that was lost is, whatever the reschedule block says (GH-27028).
    fn needs_allocation(&self, job: &JobKey) -> bool {
        let Some(child) = self.children.get(job) else { return false };
        let latest = child.allocations.last().and_then(|id| self.allocations.get(id));
        !child.stop && latest.is_none_or(|latest| latest.replace)
    }

    fn find_node(&mut self, spec: &JobSpec) -> Result<String, PlacementFailure> {
        let mut failure = PlacementFailure::default();
        let mut fitting = Vec::new();
        for node in self.nodes.values().filter(|node| node.takes_work()) {
            failure.nodes_in_pool += 1;
            failure.nodes_evaluated += 1;
            if let Some(constraint) = misfit(node, spec) {
                failure.nodes_filtered += 1;
                *failure.constraint_filtered.entry(constraint).or_default() += 1;
            } else if let Some(dimension) = self.lacks(node, spec) {
                failure.nodes_exhausted += 1;
                *failure.dimension_exhausted.entry(dimension.to_owned()).or_default() += 1;
            } else {
                fitting.push(node.id.clone());
            }
        }
        fitting.choose(&mut self.rng).cloned().ok_or(failure)
    }

    /// What the node has too little of, counting whatever is not over on it.
    fn lacks(&self, node: &Node, spec: &JobSpec) -> Option<&'static str> {
        let on_it = self.allocations.values().filter(|one| one.node == node.id && one.takes_room());
        let (cpu, memory) =
            on_it.fold((0, 0), |(cpu, memory), one| (cpu + one.cpu_mhz, memory + one.memory_mb));
        if cpu + spec.cpu_mhz > node.spec.cpu_mhz {
            return Some("cpu");
        }
        (memory + spec.memory_mb > node.spec.memory_mb).then_some("memory")
    }

    fn place(&mut self, job: &JobKey, node: &str, now: Millis) {
        let id = self.draw_id();
        let at = now + self.draw(self.knobs.starting);
        let Some(child) = self.children.get_mut(job) else { return };
        let mut allocation = Allocation::new(&id, job, node, child, now);
        child.allocations.push(id.clone());
        let index = self.write(Table::Allocations);
        (allocation.create_index, allocation.modify_index) = (index, index);
        self.allocations.insert(id.clone(), allocation);
        self.at(at, Due::Start(id.clone()));
        self.settle(job);
        self.note(
            now,
            What::Placed { child: job.id.clone(), allocation: id, node: node.to_owned() },
        );
    }

    fn close(
        &mut self,
        id: &str,
        blocked: Option<String>,
        failure: Option<PlacementFailure>,
        now: Millis,
    ) {
        let Some(one) = self.evaluations.get_mut(id) else { return };
        one.status = EvaluationStatus::Complete;
        one.blocked_eval = blocked;
        one.failure = failure;
        one.modified_at = now;
        let job = one.job.clone();
        self.touch_evaluation(id);
        self.settle(&job);
    }
}

impl Allocation {
    fn new(id: &str, job: &JobKey, node: &str, child: &Child, now: Millis) -> Self {
        Self {
            id: id.to_owned(),
            child: job.clone(),
            node: node.to_owned(),
            cpu_mhz: child.spec.cpu_mhz,
            memory_mb: child.spec.memory_mb,
            created_at: now,
            modified_at: now,
            ..Self::default()
        }
    }
}

/// Drivers and constraints, in the words of `ConstraintFiltered` ([V]).
fn misfit(node: &Node, spec: &JobSpec) -> Option<String> {
    if !node.spec.drivers.contains(&spec.driver) {
        return Some("missing drivers".to_owned());
    }
    let unmet = spec
        .constraints
        .iter()
        .find(|(name, value)| node.spec.attributes.get(*name) != Some(value));
    unmet.map(|(name, value)| format!("${{{name}}} = {value}"))
}

fn in_short(failure: &PlacementFailure) -> String {
    format!(
        "{} nodes, {} filtered, {} without room",
        failure.nodes_evaluated, failure.nodes_filtered, failure.nodes_exhausted
    )
}
