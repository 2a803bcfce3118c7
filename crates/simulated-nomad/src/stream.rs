//! The event stream: what has changed between two looks at the model, in Nomad's words.
//!
//! (Nomad `nomad/state/events.go`; which events come when is [V].) Nothing happens twice, and what
//! came and went between two looks is told by its end.

use std::collections::BTreeMap;

use super::allocations::ClientStatus;
use super::children::JobStatus;
use super::jobs::JobKey;
use super::model::Nomad;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub index: u64,
    /// `Job` or `Allocation`.
    pub topic: &'static str,
    pub kind: &'static str,
    pub namespace: String,
    /// The job, or the allocation.
    pub key: String,
    /// The job.
    pub job: String,
    /// It is about the end of the job's record.
    pub purged: bool,
}

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    index: u64,
    children: BTreeMap<JobKey, Look>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    status: Option<JobStatus>,
    stop: bool,
    allocations: BTreeMap<String, (ClientStatus, bool)>,
}

impl Look {
    fn at(nomad: &Nomad, key: &JobKey, stop: bool) -> Self {
        let all = nomad.allocations_of(key);
        let all = all.map(|one| (one.id.clone(), (one.client_status, one.stopping)));
        Self { status: nomad.status(key), stop, allocations: all.collect() }
    }
}

impl Seen {
    pub fn changes(&mut self, nomad: &Nomad) -> Vec<Told> {
        let index = nomad.index();
        if index == self.index {
            return Vec::new();
        }
        let mut all = Vec::new();
        for (key, child) in nomad.children() {
            let known = self.children.get(key);
            let placed = nomad.allocations_of(key).map(|one| one.modify_index).max();
            let changed = placed.unwrap_or(0).max(child.modify_index);
            if known.is_some() && changed <= self.index {
                continue;
            }
            let look = Look::at(nomad, key, child.stop);
            all.extend(told(key, known, &look, index));
            self.children.insert(key.clone(), look);
        }
        self.children.retain(|key, _| {
            let there = nomad.child(key).is_some();
            if !there {
                all.push(Told { purged: true, ..of_job(key, "JobDeregistered", index) });
            }
            there
        });
        self.index = index;
        all
    }
}

fn told(key: &JobKey, known: Option<&Look>, look: &Look, index: u64) -> Vec<Told> {
    let mut all = Vec::new();
    let Some(known) = known else { return vec![of_job(key, "JobRegistered", index)] };
    if look.stop && !known.stop {
        all.push(of_job(key, "JobDeregistered", index));
    }
    for (id, now) in &look.allocations {
        let kind = match known.allocations.get(id) {
            None => "PlanResult",
            Some(before) if before.0 != now.0 => "AllocationUpdated",
            Some(before) if before.1 != now.1 => "PlanResult",
            Some(_) => continue,
        };
        all.push(Told { topic: "Allocation", key: id.clone(), ..of_job(key, kind, index) });
    }
    if look.status != known.status && !look.stop {
        let placed = look.allocations.len() > known.allocations.len();
        let kind = if placed { "PlanResult" } else { "AllocationUpdated" };
        all.push(of_job(key, kind, index));
    }
    all
}

fn of_job(key: &JobKey, kind: &'static str, index: u64) -> Told {
    Told {
        index,
        topic: "Job",
        kind,
        namespace: key.namespace.clone(),
        key: key.id.clone(),
        job: key.id.clone(),
        purged: false,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::dispatching::DispatchCall;
    use crate::jobs::JobSpec;
    use crate::model::SECOND;
    use crate::nodes::NodeSpec;

    #[test]
    fn a_child_is_told_from_its_dispatch_to_its_purge() {
        let mut nomad = Nomad::new(StdRng::seed_from_u64(1));
        nomad.add_node("one", NodeSpec::with_room_for(1), 0);
        let parent = JobKey::new("default", "runner");
        nomad.register(parent.clone(), JobSpec::default(), 0);
        let mut seen = Seen::default();
        let mut kinds = Vec::new();
        let mut look = |nomad: &Nomad| {
            kinds.extend(seen.changes(nomad).into_iter().map(|told| (told.topic, told.kind)));
        };
        look(&nomad);
        let child = nomad.dispatch(&parent, DispatchCall::default(), 0).unwrap().child;
        look(&nomad);
        for now in [SECOND, 10 * SECOND] {
            nomad.tick(now);
            look(&nomad);
        }
        let started = nomad.take_started();
        nomad.task_exited(&started[0].allocation, 0, 11 * SECOND);
        look(&nomad);
        look(&nomad);
        nomad.stop(&JobKey::new("default", &child), true, 12 * SECOND);
        look(&nomad);
        assert_eq!(
            kinds,
            [
                ("Job", "JobRegistered"),
                ("Allocation", "PlanResult"),
                ("Job", "PlanResult"),
                ("Allocation", "AllocationUpdated"),
                ("Allocation", "AllocationUpdated"),
                ("Job", "AllocationUpdated"),
                ("Job", "JobDeregistered"),
            ]
        );
    }
}
