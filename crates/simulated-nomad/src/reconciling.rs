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
