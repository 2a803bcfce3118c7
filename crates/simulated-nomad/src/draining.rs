//! Drains and eligibility: a node takes no new work, and what runs on it ends.
//!
//! A batch job's allocations may end by themselves until the deadline, and are not run again
//! elsewhere after it ([V]; since 1.11.0, GH-26961). (Nomad `nomad/drainer`.) Read next: `nodes.rs`.

use std::collections::BTreeSet;

use super::allocations::Migration;
use super::changes::Row;
use super::evaluations::Trigger;
use super::jobs::JobKey;
use super::model::{Due, Millis, Nomad};
use super::nodes::NodeStatus;

/// `DrainStrategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// As it was said: negative is at once, 0 is never.
    pub deadline: Millis,
    pub ignore_system_jobs: bool,
    pub started_at: Millis,
    pub force_at: Option<Millis>,
}

/// What a node's drain or eligibility came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeChange {
    pub index: u64,
    pub evaluations: Vec<String>,
    /// 0: none was to be made.
    pub evaluation_index: u64,
}

impl Nomad {
    /// Drains the node until a deadline.
    pub fn drain(&mut self, id: &str, deadline: Millis, now: Millis) {
        self.set_drain(id, Some((deadline, false)), false, now);
    }

    /// `PUT /v1/node/:id/drain`: sets a drain (its deadline, and whether system jobs are left
    /// alone) or ends one. None: there is no such node.
    pub fn set_drain(
        &mut self,
        id: &str,
        drain: Option<(Millis, bool)>,
        mark_eligible: bool,
        now: Millis,
    ) -> Option<NodeChange> {
        let node = self.nodes.get_mut(id)?;
        let was_eligible = node.eligible;
        node.drain = drain.map(|(deadline, ignore_system_jobs)| Drain {
            deadline,
            ignore_system_jobs,
            started_at: now,
            force_at: (deadline > 0).then_some(now + deadline),
        });
        node.eligible = drain.is_none() && (mark_eligible || was_eligible);
        if drain.is_some() {
            self.node_event(id, "Drain", "Node drain strategy set", now);
        }
        let index = self.commit("NodeDrain", vec![Row::Node(id.to_owned())]);
        let mut change = NodeChange { index, ..NodeChange::default() };
        match drain {
            Some((deadline, _)) => {
                self.node_note(id, "drains", now);
                let at = now + deadline.max(0);
                if deadline != 0 {
                    self.at(at, Due::DrainOver(id.to_owned()));
                }
                self.drain_may_be_done(id, now);
            }
            None if mark_eligible && !was_eligible => {
                self.node_note(id, "is eligible", now);
                if let Some((evaluations, index)) =
                    self.look_at_jobs_on(id, Trigger::NodeUpdate, now)
                {
                    (change.evaluations, change.evaluation_index) = (evaluations, index);
                }
                self.unblock(id, now);
            }
            None => {}
        }
        Some(change)
    }

    /// The node takes work again.
    pub fn enable(&mut self, id: &str, now: Millis) {
        self.set_drain(id, None, true, now);
    }

    /// `PUT /v1/node/:id/eligibility`. None: there is no such node.
    pub fn set_eligibility(&mut self, id: &str, eligible: bool, now: Millis) -> Option<NodeChange> {
        let before = self.nodes.get(id)?.eligible;
        if before != eligible {
            let words = if eligible { "eligible" } else { "ineligible" };
            let message = format!("Node marked as {words} for scheduling");
            self.node_event(id, "Cluster", &message, now);
        }
        if let Some(node) = self.nodes.get_mut(id) {
            node.eligible = eligible;
        }
        let index = self.commit("NodeDrain", vec![Row::Node(id.to_owned())]);
        if eligible && !before {
            self.unblock(id, now);
        }
        Some(NodeChange { index, ..NodeChange::default() })
    }

    /// `PUT /v1/node/:id/purge`: forgets the node; what ran on it is lost.
    pub fn purge_node(&mut self, id: &str, now: Millis) -> Option<NodeChange> {
        if !self.nodes.contains_key(id) {
            return None;
        }
        self.set_node_status(id, NodeStatus::Down, now);
        let made = self.look_at_jobs_on(id, Trigger::NodeUpdate, now);
        self.nodes.remove(id);
        let index = self.write(super::tables::Table::Nodes);
        let (evaluations, evaluation_index) = made.unwrap_or_default();
        Some(NodeChange { index, evaluations, evaluation_index })
    }

    /// The deadline of the drain: whatever is still there is stopped.
    pub(super) fn drain_is_over(&mut self, id: &str, now: Millis) {
        let due = |drain: Drain| drain.deadline < 0 || drain.force_at.is_some_and(|at| at <= now);
        if !self.nodes.get(id).and_then(|node| node.drain).is_some_and(due) {
            return;
        }
        let open: Vec<(String, JobKey)> = self
            .allocations()
            .filter(|one| one.node == id && !one.is_terminal())
            .map(|one| (one.id.clone(), one.child.clone()))
            .collect();
        self.drain_is_done(id, now);
        if open.is_empty() {
            return;
        }
        let mut rows = Vec::new();
        for (allocation, _) in &open {
            if let Some(one) = self.allocations.get_mut(allocation) {
                one.migrate = Some(Migration::Drain);
            }
            rows.push(Row::Planned(allocation.clone()));
        }
        let jobs: BTreeSet<JobKey> = open.into_iter().map(|(_, job)| job).collect();
        for job in jobs {
            let evaluation = self.new_evaluation(&job, Trigger::NodeDrain, now);
            rows.push(Row::Evaluation(evaluation));
        }
        self.commit("AllocationUpdateDesiredStatus", rows);
    }

    /// A drained node on which nothing is left is done before its deadline.
    pub(super) fn drain_may_be_done(&mut self, id: &str, now: Millis) {
        let drains = self.nodes.get(id).is_some_and(|node| node.drain.is_some());
        if drains && !self.allocations().any(|one| one.node == id && !one.is_terminal()) {
            self.drain_is_done(id, now);
        }
    }

    fn drain_is_done(&mut self, id: &str, now: Millis) {
        self.node_event(id, "Drain", "Node drain complete", now);
        if let Some(node) = self.nodes.get_mut(id) {
            node.drain = None;
        }
        self.commit("NodeDrain", vec![Row::Node(id.to_owned())]);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::model::{MINUTE, SECOND};
    use crate::nodes::NodeSpec;

    #[test]
    fn a_drain_ends_when_nothing_is_left_and_the_node_stays_ineligible() {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        nomad.add_node("one", NodeSpec::with_room_for(1), 0);
        nomad.set_drain("one", Some((MINUTE, false)), false, SECOND);
        let node = nomad.node("one").unwrap();
        assert_eq!((node.drain, node.eligible), (None, false), "it is empty");
        nomad.set_eligibility("one", true, 2 * SECOND);
        nomad.set_eligibility("one", true, 3 * SECOND);
        let node = nomad.node("one").unwrap();
        assert!(node.eligible && node.takes_work());
        let told: Vec<&str> = node.events.iter().map(|event| event.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "Node registered",
                "Node drain strategy set",
                "Node drain complete",
                "Node marked as eligible for scheduling",
            ]
        );
        assert_eq!(nomad.set_eligibility("two", true, 0), None);
    }
}
