//! What becomes of each allocation of a job when its group is looked at: stopped, lost, unknown,
//! replaced, placed again, or left alone.
//!
//! Nothing is written here. (Nomad `scheduler/reconciler`; GH-27028 for what is lost.)
//! Read next: `scheduling.rs`, which carries it out.

use std::collections::BTreeMap;

use super::allocations::{Allocation, ClientStatus, Migration};
use super::evaluations::{Desired, Trigger};
use super::jobs::JobKey;
use super::model::{Millis, Nomad};
use super::nodes::NodeStatus;
use super::wants::{Group, Wants};

/// Why the servers stop an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopAs {
    NotNeeded,
    Migrated,
    Lost,
    Updated,
}

impl StopAs {
    /// `DesiredDescription`.
    pub fn description(self) -> &'static str {
        match self {
            Self::NotNeeded => "alloc not needed due to job update",
            Self::Migrated => "alloc is being migrated",
            Self::Lost => "alloc is lost since its node is down",
            Self::Updated => "alloc is being updated due to job update",
        }
    }
}

/// One allocation that is to be placed.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    pub group: String,
    /// In its name.
    pub number: u64,
    /// The one that it replaces.
    pub previous: Option<String>,
    /// It has failed, and is tried again.
    pub rescheduled: bool,
}

#[derive(Default)]
pub(super) struct Decisions {
    pub stops: Vec<(String, StopAs)>,
    /// Their node does not answer, and they are waited for.
    pub unknown: Vec<String>,
    /// They are tried again later.
    pub later: Vec<String>,
    pub placements: Vec<Placement>,
    pub desired: Desired,
}

impl Decisions {
    pub fn add(&mut self, mut other: Self) {
        self.stops.append(&mut other.stops);
        self.unknown.append(&mut other.unknown);
        self.later.append(&mut other.later);
        self.placements.append(&mut other.placements);
    }

    fn stop(&mut self, one: &Allocation, how: StopAs) {
        self.stops.push((one.id.clone(), how));
        match how {
            StopAs::Migrated => self.desired.migrate += 1,
            _ => self.desired.stop += 1,
        }
    }

    fn place(&mut self, group: &Group, number: u64, previous: Option<&Allocation>) {
        self.desired.place += 1;
        self.placements.push(Placement {
            group: group.name.clone(),
            number,
            previous: previous.map(|one| one.id.clone()),
            rescheduled: false,
        });
    }
}

impl Nomad {
    /// The job is stopped: whatever of it is not over is, too.
    pub(super) fn stop_all(&self, job: &JobKey, group: Option<&Group>) -> Decisions {
        let mut decisions = Decisions::default();
        let of_group = |one: &&Allocation| group.is_none_or(|group| one.group == group.name);
        for one in self.allocations_of(job).filter(of_group).filter(|one| !one.is_terminal()) {
            decisions.stop(one, StopAs::NotNeeded);
        }
        decisions
    }

    pub(super) fn reconcile(
        &mut self,
        evaluation: &str,
        job: &JobKey,
        wants: &Wants,
        group: &Group,
        now: Millis,
    ) -> Decisions {
        let mut decisions = Decisions::default();
        let mut by_number: BTreeMap<u64, Vec<Allocation>> = BTreeMap::new();
        for one in self.allocations_of(job).filter(|one| one.group == group.name) {
            by_number.entry(one.number).or_default().push(one.clone());
        }
        for (_, all) in by_number.range(group.count..) {
            for one in all.iter().filter(|one| !one.is_terminal()) {
                decisions.stop(one, StopAs::NotNeeded);
            }
        }
        for number in 0..group.count {
            let Some(all) = by_number.get(&number) else {
                decisions.place(group, number, None);
                continue;
            };
            let Some((latest, older)) = all.split_last() else { continue };
            for one in older.iter().filter(|one| !one.is_terminal()) {
                // It has been replaced already.
                if let Some(how) = self.is_to_stop(one, now) {
                    decisions.stop(one, how);
                }
            }
            self.reconcile_one(&mut decisions, evaluation, job, (wants, group), latest, now);
        }
        decisions
    }

    fn reconcile_one(
        &mut self,
        decisions: &mut Decisions,
        evaluation: &str,
        job: &JobKey,
        (wants, group): (&Wants, &Group),
        one: &Allocation,
        now: Millis,
    ) {
        let newer = self
            .children
            .get(job)
            .is_some_and(|child| child.parent.is_empty() && one.job_version < child.version);
        if one.replace {
            if let Some(how) = self.is_to_stop(one, now).filter(|_| !one.is_terminal()) {
                decisions.stop(one, how);
            }
            return decisions.place(group, one.number, None);
        }
        if one.is_terminal() {
            let failed = one.client_status == ClientStatus::Failed && !one.stopping;
            if newer {
                return decisions.place(group, one.number, None);
            }
            if failed && one.next.is_none() {
                return self.reschedule(decisions, evaluation, group, one, now);
            }
            decisions.desired.ignore += 1;
            return;
        }
        if let Some(how) = self.is_to_stop(one, now) {
            decisions.stop(one, how);
            // What a batch job runs on a node that drains is not run again elsewhere (GH-26961).
            let drained = one.migrate == Some(Migration::Drain) && wants.kind == "batch";
            if !drained || how != StopAs::Migrated {
                decisions.place(group, one.number, Some(one));
            }
            return;
        }
        if self.falls_silent(one) {
            decisions.unknown.push(one.id.clone());
            decisions.desired.disconnect += 1;
            let replaces = one.disconnect.is_some_and(|it| it.replace)
                && (group.reschedule.allows_any() || self.knobs.disconnect_replaces);
            if replaces {
                decisions.place(group, one.number, Some(one));
            }
            return;
        }
        if newer {
            decisions.stop(one, StopAs::Updated);
            return decisions.place(group, one.number, Some(one));
        }
        decisions.desired.ignore += 1;
    }

    /// Whether, and why, an allocation that is not over must be.
    fn is_to_stop(&self, one: &Allocation, now: Millis) -> Option<StopAs> {
        if one.migrate.is_some() {
            return Some(StopAs::Migrated);
        }
        let status = self.nodes.get(&one.node).map_or(NodeStatus::Down, |node| node.status);
        if !matches!(status, NodeStatus::Down | NodeStatus::Disconnected) {
            return None;
        }
        let waits = one.disconnect.map(|it| it.lost_after);
        match (one.client_status, waits) {
            (ClientStatus::Unknown, Some(waits)) => {
                let since = one.unknown_since.unwrap_or(now);
                (since + waits <= now).then_some(StopAs::Lost)
            }
            (ClientStatus::Running, Some(_)) => None,
            // One that has not begun is lost whatever its disconnect block says.
            _ => Some(StopAs::Lost),
        }
    }

    /// It runs on a node that does not answer, and is waited for.
    fn falls_silent(&self, one: &Allocation) -> bool {
        let status = self.nodes.get(&one.node).map_or(NodeStatus::Down, |node| node.status);
        let silent = matches!(status, NodeStatus::Down | NodeStatus::Disconnected);
        silent && one.client_status == ClientStatus::Running && one.disconnect.is_some()
    }

    /// One that has failed is tried again as its group says: at once, or at its time.
    fn reschedule(
        &mut self,
        decisions: &mut Decisions,
        evaluation: &str,
        group: &Group,
        one: &Allocation,
        now: Millis,
    ) {
        if !one.may_be_rescheduled(group, now) {
            decisions.desired.ignore += 1;
            return;
        }
        let attempts = u64::try_from(one.reschedules.len()).unwrap_or(u64::MAX);
        let at = one.modified_at + group.reschedule.delay_after(attempts);
        let its_time = one.followup.as_deref() == Some(evaluation) || at <= now;
        if its_time {
            decisions.desired.reschedule_now += 1;
            decisions.place(group, one.number, Some(one));
            if let Some(last) = decisions.placements.last_mut() {
                last.rescheduled = true;
            }
        } else if one.followup.is_none() {
            decisions.desired.reschedule_later += 1;
            let why = Trigger::AllocReschedule;
            let followup = self.later_evaluation(evaluation, why, at, now);
            if let Some(one) = self.allocations.get_mut(&one.id) {
                one.followup = followup;
                decisions.later.push(one.id.clone());
            }
        }
    }
}

impl Allocation {
    /// Whether one that has failed is tried again, as often as its group allows.
    pub(super) fn may_be_rescheduled(&self, group: &Group, now: Millis) -> bool {
        let rule = &group.reschedule;
        if rule.unlimited {
            return true;
        }
        let since = now - rule.interval;
        let done = self.reschedules.iter().filter(|at| **at > since).count();
        u64::try_from(done).is_ok_and(|done| done < rule.attempts)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use serde_json::{Value, json};

    use super::*;
    use crate::children::JobStatus;
    use crate::evaluations::EvaluationStatus;
    use crate::jobs::JobSpec;
    use crate::model::{MINUTE, SECOND};
    use crate::nodes::{NodeSpec, Outage};

    fn cluster() -> Nomad {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        nomad.knobs.disconnect_replaces = false;
        nomad.add_node("one", NodeSpec::with_room_for(4), 0);
        nomad
    }

    /// Registers a batch job of one group with these fields.
    fn register(nomad: &mut Nomad, group: Value) -> JobKey {
        let key = JobKey::new("default", "job");
        let mut whole = json!({"Name": "g", "Tasks": [{"Name": "t", "Driver": "raw_exec"}]});
        let fields = group.as_object().unwrap().clone();
        whole.as_object_mut().unwrap().extend(fields);
        let job = json!({"ID": "job", "Type": "batch", "TaskGroups": [whole]});
        let spec = JobSpec { payload: None, ..JobSpec::default() };
        nomad.register_job(key.clone(), spec, job, 0);
        key
    }

    fn looks(nomad: &Nomad, job: &JobKey) -> Vec<(&'static str, EvaluationStatus)> {
        nomad.evaluations_of(job).map(|one| (one.triggered_by.as_str(), one.status)).collect()
    }

    fn run(nomad: &mut Nomad, until: Millis) -> Vec<String> {
        nomad.tick(until);
        nomad.take_started().into_iter().map(|started| started.allocation).collect()
    }

    #[test]
    fn distinct_hosts_leave_one_of_two_waiting() {
        let mut nomad = cluster();
        let hosts = json!([{"Operand": "distinct_hosts", "RTarget": "true"}]);
        let job = register(&mut nomad, json!({"Count": 2, "Constraints": hosts}));
        assert_eq!(run(&mut nomad, 10 * SECOND).len(), 1);
        let failed = nomad.evaluations_of(&job).find_map(|one| one.failures.get("g").cloned());
        let failed = failed.unwrap();
        assert_eq!(failed.constraint_filtered.get("distinct_hosts"), Some(&1));
        assert_eq!(nomad.child(&job).unwrap().queued["g"], 1);
        nomad.add_node("two", NodeSpec::with_room_for(4), 10 * SECOND);
        assert_eq!(run(&mut nomad, 20 * SECOND).len(), 1);
        assert_eq!(nomad.child(&job).unwrap().queued["g"], 0);
    }

    #[test]
    fn what_has_failed_is_tried_again_at_its_time_and_not_too_often() {
        let mut nomad = cluster();
        let policy = json!({"Attempts": 1, "Interval": 3_600_000_000_000_i64,
            "Delay": 30_000_000_000_i64, "DelayFunction": "constant"});
        let job = register(&mut nomad, json!({"ReschedulePolicy": policy}));
        let first = run(&mut nomad, 10 * SECOND);
        nomad.task_exited(&first[0], 1, 10 * SECOND);
        assert!(run(&mut nomad, 20 * SECOND).is_empty());
        assert_eq!(nomad.status(&job), Some(JobStatus::Pending));
        let waits = ("alloc-reschedule", EvaluationStatus::Pending);
        assert_eq!(looks(&nomad, &job).last(), Some(&waits));
        let second = run(&mut nomad, MINUTE);
        assert_eq!(second.len(), 1);
        assert_eq!(nomad.allocation(&first[0]).unwrap().next.as_ref(), second.first());
        nomad.task_exited(&second[0], 1, MINUTE);
        assert!(run(&mut nomad, 5 * MINUTE).is_empty());
        assert_eq!(nomad.status(&job), Some(JobStatus::Dead));
    }

    #[test]
    fn a_stopped_job_that_is_waited_for_stays_pending() {
        let mut nomad = cluster();
        let patient = json!({"LostAfter": 120_000_000_000_i64, "Replace": false});
        let job = register(&mut nomad, json!({"Disconnect": patient}));
        let first = run(&mut nomad, 10 * SECOND);
        nomad.silence("one", Outage::CutOff, 10 * SECOND);
        nomad.tick(MINUTE);
        assert_eq!(nomad.node("one").unwrap().status, NodeStatus::Disconnected);
        nomad.stop(&job, false, MINUTE);
        nomad.tick(MINUTE + 10 * SECOND);
        let one = nomad.allocation(&first[0]).unwrap();
        assert_eq!((one.client_status, one.stopping), (ClientStatus::Unknown, true));
        assert_eq!(nomad.status(&job), Some(JobStatus::Pending));
        nomad.tick(5 * MINUTE);
        assert_eq!(nomad.status(&job), Some(JobStatus::Dead));
    }

    #[test]
    fn what_is_known_again_is_not_waited_for() {
        let mut nomad = cluster();
        let patient = json!({"LostAfter": 120_000_000_000_i64, "Replace": true});
        let never = json!({"Attempts": 0, "Unlimited": false});
        let group = json!({"Disconnect": patient, "ReschedulePolicy": never});
        let job = register(&mut nomad, group);
        nomad.add_node("two", NodeSpec::with_room_for(4), 0);
        let first = run(&mut nomad, 10 * SECOND);
        let node = nomad.allocation(&first[0]).unwrap().node.clone();
        nomad.silence(&node, Outage::CutOff, 10 * SECOND);
        assert!(run(&mut nomad, MINUTE).is_empty(), "a group that is never rescheduled waits");
        nomad.restore(&node, MINUTE);
        nomad.tick(2 * MINUTE);
        let waited = ("max-disconnect-timeout", EvaluationStatus::Canceled);
        assert!(looks(&nomad, &job).contains(&waited), "{:?}", looks(&nomad, &job));
        let one = nomad.allocation(&first[0]).unwrap();
        assert_eq!((one.client_status, one.followup.as_ref()), (ClientStatus::Running, None));
    }
}
