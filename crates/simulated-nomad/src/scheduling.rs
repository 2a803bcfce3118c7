//! The scheduler: works on an evaluation, from what it decides on each group to the rows that are
//! written, and to the evaluation that waits where something found no node.
//!
//! What becomes of each allocation is decided in `reconciling.rs`, where it goes in `placing.rs`.
//! (Nomad `scheduler/generic_sched.go`, `nomad/blocked_evals.go`.) Read next: `reconciling.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::allocations::{Allocation, ClientStatus};
use super::changes::Row;
use super::evaluations::{Desired, EvaluationStatus, Trigger};
use super::happenings::What;
use super::jobs::JobKey;
use super::model::{Due, Millis, Nomad};
use super::placing::{Found, PlacementFailure};
use super::reconciling::{Decisions, Placement, StopAs};
use super::wants::{Group, Wants};

/// `StatusDescription` of an evaluation that waits for room.
const WAITS: &str = "created to place remaining allocations";

/// What came of a look.
#[derive(Default)]
struct Outcome {
    failures: BTreeMap<String, PlacementFailure>,
    queued: BTreeMap<String, u64>,
    desired: BTreeMap<String, Desired>,
    /// What was looked at.
    snapshot: u64,
}

impl Nomad {
    /// Works on an evaluation.
    pub(super) fn evaluate(&mut self, id: &str, now: Millis) {
        let snapshot = self.index;
        let Some(evaluation) = self.evaluations.get_mut(id) else { return };
        if evaluation.status.is_terminal()
            || (evaluation.status == EvaluationStatus::Blocked && !evaluation.queued_again)
        {
            return;
        }
        evaluation.queued_again = false;
        let job = evaluation.job.clone();
        let mut outcome = Outcome { snapshot, ..Outcome::default() };
        let Some(child) = self.children.get(&job) else {
            return self.close(id, None, snapshot, now);
        };
        let (definition, stopped) = (child.definition.clone(), child.stop);
        let wants = &definition.wants;
        let mut decisions = Decisions::default();
        for group in &wants.groups {
            let of_group = if stopped {
                self.stop_all(&job, Some(group))
            } else {
                self.reconcile(id, &job, wants, group, now)
            };
            outcome.desired.insert(group.name.clone(), of_group.desired);
            outcome.queued.insert(group.name.clone(), 0);
            decisions.add(of_group);
        }
        self.carry_out(id, &job, wants, decisions, &mut outcome, now);
        if outcome.failures.is_empty() {
            return self.close(id, Some(outcome), snapshot, now);
        }
        if let Some(why) = outcome.failures.values().next().map(in_short) {
            self.note(now, What::Blocked { child: job.id.clone(), why });
        }
        self.wait_for_room(id, &job, wants, outcome, now);
    }

    /// Writes what was decided, and finds nodes for what is to be placed.
    fn carry_out(
        &mut self,
        evaluation: &str,
        job: &JobKey,
        wants: &Wants,
        decisions: Decisions,
        outcome: &mut Outcome,
        now: Millis,
    ) {
        let mut stopped = Vec::new();
        for (id, how) in &decisions.stops {
            self.plan_stop(id, *how, now);
            stopped.push(Row::Planned(id.clone()));
        }
        for id in &decisions.unknown {
            self.plan_unknown(evaluation, id, now);
            stopped.push(Row::Planned(id.clone()));
        }
        stopped.extend(decisions.later.iter().map(|id| Row::Planned(id.clone())));
        let mut placed = Vec::new();
        for placement in decisions.placements {
            let Some(group) = wants.group(&placement.group) else { continue };
            if let Some(failure) = outcome.failures.get_mut(&group.name) {
                failure.coalesced += 1;
            } else {
                match self.find_node(job, wants, group) {
                    Ok(found) => {
                        let how = (evaluation, job, group);
                        placed.push(self.place(how, &placement, found, now));
                        continue;
                    }
                    Err(failure) => {
                        outcome.failures.insert(group.name.clone(), *failure);
                    }
                }
            }
            *outcome.queued.entry(group.name.clone()).or_default() += 1;
            // It is placed later, as one that has nothing to do with the one before.
            if let Some(previous) = placement.previous.and_then(|id| self.allocations.get_mut(&id))
            {
                previous.replace = true;
            }
        }
        if placed.is_empty() && stopped.is_empty() {
            return;
        }
        let mut rows = vec![Row::Evaluation(evaluation.to_owned())];
        rows.extend(placed.iter().map(|id| Row::Planned(id.clone())));
        rows.append(&mut stopped);
        self.commit("PlanResult", rows);
        for (id, _) in decisions.stops {
            self.told_to_stop(&id, now);
        }
        for id in placed {
            let at = now + self.draw(self.knobs.starting);
            self.at(at, Due::Start(id));
        }
    }

    fn plan_stop(&mut self, id: &str, how: StopAs, now: Millis) {
        let Some(one) = self.allocations.get_mut(id) else { return };
        one.stopping = true;
        one.modified_at = now;
        how.description().clone_into(&mut one.desired_description);
        if how == StopAs::Lost {
            one.client_status = ClientStatus::Lost;
        }
    }

    fn plan_unknown(&mut self, evaluation: &str, id: &str, now: Millis) {
        let Some(one) = self.allocations.get(id) else { return };
        let waits = one.disconnect.map_or(0, |it| it.lost_after);
        let why = Trigger::MaxDisconnectTimeout;
        let followup = self.later_evaluation(evaluation, why, now + waits, now);
        let Some(one) = self.allocations.get_mut(id) else { return };
        one.client_status = ClientStatus::Unknown;
        "alloc is unknown since its node is disconnected".clone_into(&mut one.client_description);
        one.followup = followup;
        one.unknown_since = Some(now);
        one.modified_at = now;
    }

    fn place(
        &mut self,
        (evaluation, job, group): (&str, &JobKey, &Group),
        placement: &Placement,
        found: Found,
        now: Millis,
    ) -> String {
        let id = self.draw_id();
        let mut reschedules = Vec::new();
        if let Some(previous) =
            placement.previous.as_ref().and_then(|id| self.allocations.get_mut(id))
        {
            previous.next = Some(id.clone());
            if placement.rescheduled {
                reschedules.clone_from(&previous.reschedules);
                reschedules.push(now);
                previous.stopping = true;
            }
        }
        let name = format!("{}.{}[{}]", job.id, group.name, placement.number);
        let allocation = Allocation {
            id: id.clone(),
            child: job.clone(),
            node: found.node.clone(),
            group: group.name.clone(),
            number: placement.number,
            name,
            needs: group.needs(),
            ports: group.ports.clone(),
            disconnect: group.disconnect,
            job: self.children.get(job).filter(|_| self.knobs.tells).cloned().map(Arc::new),
            evaluation: evaluation.to_owned(),
            job_version: self.children.get(job).map_or(0, |child| child.version),
            previous: placement.previous.clone(),
            reschedules,
            metrics: found.metrics,
            created_at: now,
            modified_at: now,
            ..Allocation::default()
        };
        // Whatever was still to be replaced of the same name has been.
        let before = self.children.get(job).map(|child| child.allocations.clone());
        for one in before.unwrap_or_default() {
            let known = self.allocations.get_mut(&one);
            if let Some(one) = known.filter(|one| one.name == allocation.name) {
                one.replace = false;
            }
        }
        if let Some(child) = self.children.get_mut(job) {
            child.allocations.push(id.clone());
        }
        self.allocations.insert(id.clone(), allocation);
        let what = What::Placed { child: job.id.clone(), allocation: id.clone(), node: found.node };
        self.note(now, what);
        id
    }

    /// Something found no node: the evaluation is over and another one waits for room, or it waits
    /// once more if it did so before.
    fn wait_for_room(
        &mut self,
        id: &str,
        job: &JobKey,
        wants: &Wants,
        outcome: Outcome,
        now: Millis,
    ) {
        let classes = self.classes_for(wants);
        let Some(evaluation) = self.evaluations.get_mut(id) else { return };
        if evaluation.status == EvaluationStatus::Blocked {
            evaluation.failures = outcome.failures;
            evaluation.classes = classes;
            evaluation.snapshot_index = outcome.snapshot;
            evaluation.modified_at = now;
            self.commit("EvaluationUpdated", vec![Row::Evaluation(id.to_owned())]);
            return;
        }
        let snapshot = outcome.snapshot;
        let blocked = self.add_evaluation(job, Trigger::QueuedAllocs, now);
        let others = self.blocked_of(job);
        if let Some(one) = self.evaluations.get_mut(&blocked) {
            one.status = EvaluationStatus::Blocked;
            WAITS.clone_into(&mut one.status_description);
            one.previous_eval = Some(id.to_owned());
            one.failures.clone_from(&outcome.failures);
            one.classes = classes;
            one.snapshot_index = snapshot;
        }
        self.commit("EvaluationUpdated", vec![Row::Evaluation(blocked.clone())]);
        if let Some(evaluation) = self.evaluations.get_mut(id) {
            evaluation.blocked_eval = Some(blocked);
        }
        self.close(id, Some(outcome), snapshot, now);
        let why = format!("existing blocked evaluation exists for job \"{}\"", job.id);
        for other in others {
            let canceled = self.cancel_evaluation(&other, why.clone(), now);
            canceled.map(|row| self.commit("EvaluationUpdated", vec![row]));
        }
    }

    /// The evaluation is over. Where nothing is left to place, those that waited for room are too.
    fn close(&mut self, id: &str, outcome: Option<Outcome>, snapshot: u64, now: Millis) {
        let Some(one) = self.evaluations.get_mut(id) else { return };
        one.snapshot_index = snapshot;
        one.status = EvaluationStatus::Complete;
        one.status_description.clear();
        one.modified_at = now;
        one.classes.clear();
        let job = one.job.clone();
        let placed_all = outcome.as_ref().is_none_or(|outcome| outcome.failures.is_empty());
        match outcome {
            Some(outcome) => {
                if let Some(child) = self.children.get_mut(&job) {
                    child.queued.clone_from(&outcome.queued);
                }
                one.failures = outcome.failures;
                one.queued = Some(outcome.queued);
                one.desired = outcome.desired;
            }
            None => one.failures.clear(),
        }
        let mut rows = Vec::new();
        if placed_all {
            let why = format!("evaluation \"{id}\" successful");
            for other in self.blocked_of(&job) {
                rows.extend(self.cancel_evaluation(&other, why.clone(), now));
            }
        }
        rows.push(Row::Evaluation(id.to_owned()));
        self.commit("EvaluationUpdated", rows);
    }

    /// Which classes of nodes could do for the job.
    fn classes_for(&self, wants: &Wants) -> BTreeMap<String, bool> {
        let mut classes = BTreeMap::new();
        for node in self.nodes.values().filter(|node| node.is_offered(wants)) {
            let could = wants.groups.iter().any(|group| node.could_do(wants, group));
            let known = classes.entry(node.spec.computed_class()).or_insert(false);
            *known |= could;
        }
        classes
    }

    /// Room has become free on the node, or it has come: whatever waits for room and may find it
    /// there is worked on again.
    pub(super) fn unblock(&mut self, node: &str, now: Millis) {
        let Some(node) = self.nodes.get(node) else { return };
        let class = node.spec.computed_class();
        let waiting: Vec<String> = self
            .evaluations
            .values()
            .filter(|one| one.status == EvaluationStatus::Blocked && !one.queued_again)
            .filter(|one| one.classes.get(&class) != Some(&false))
            .map(|one| one.id.clone())
            .collect();
        for id in waiting {
            if let Some(one) = self.evaluations.get_mut(&id) {
                one.queued_again = true;
            }
            let at = now + self.draw(self.knobs.scheduling);
            self.at(at, Due::Evaluate(id));
        }
    }
}

fn in_short(failure: &PlacementFailure) -> String {
    format!(
        "{} nodes, {} filtered, {} without room",
        failure.nodes_evaluated, failure.nodes_filtered, failure.nodes_exhausted
    )
}
