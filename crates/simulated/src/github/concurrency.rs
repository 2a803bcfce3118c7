//! Concurrency groups of whole runs: one holds the group, others are `pending` and have no jobs yet.
//!
//! A newer pending run replaces the older one, which is cancelled, unless the group has a queue (docs,
//! "Control the concurrency of workflows and jobs"; changelog of 2026-05-07). Groups of single jobs are
//! not played. Read next: `rest/concurrency.rs`.

use super::model::{GitHub, Millis};
use super::runs::{Conclusion, Run, Status};

/// `concurrency:` of a workflow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concurrency {
    pub group: String,
    /// `queue: max`: those that wait are not replaced.
    pub has_queue: bool,
}

impl GitHub {
    /// The runs of a group that are not over, in the order of its queue.
    pub(super) fn members_of(&self, repository: u64, group: &str) -> Vec<&Run> {
        let of = |run: &&Run| {
            let named = run.spec.concurrency.as_ref();
            run.repository == repository
                && named.is_some_and(|named| named.group == group)
                && self.run_status(run).0 != Status::Completed
        };
        let mut members: Vec<&Run> = self.runs.values().filter(of).collect();
        members.sort_by_key(|run| (run.held, run.id));
        members
    }

    /// Whether a new run of the group has to wait; whoever waited before it without a queue is
    /// cancelled.
    pub(super) fn must_wait(&mut self, repository: u64, concurrency: &Concurrency) -> bool {
        let members = self.members_of(repository, &concurrency.group);
        let waiting: Vec<u64> = members.iter().filter(|run| run.held).map(|run| run.id).collect();
        let taken = !members.is_empty();
        if !concurrency.has_queue {
            for run in waiting {
                self.end_unborn(run);
            }
        }
        taken
    }

    /// A run that waits for its group is over before it has jobs.
    pub(super) fn end_unborn(&mut self, run: u64) {
        if let Some(run) = self.runs.get_mut(&run).filter(|run| run.held) {
            run.held = false;
            run.unborn.clear();
            run.ended_unborn = Some(Conclusion::Cancelled);
        }
    }

    /// Where the run is over, the next of its group begins.
    pub(super) fn give_group_on(&mut self, run: u64, now: Millis) {
        let Some(run) = self.runs.get(&run) else { return };
        let Some(concurrency) = run.spec.concurrency.clone() else { return };
        if self.run_status(run).0 != Status::Completed {
            return;
        }
        let members = self.members_of(run.repository, &concurrency.group);
        let next = members.first().filter(|run| run.held).map(|run| run.id);
        let Some(next) = next.and_then(|next| self.runs.get_mut(&next)) else { return };
        next.held = false;
        let (id, jobs) = (next.id, std::mem::take(&mut next.unborn));
        for job in jobs {
            self.add_job(id, 1, job, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::World;
    use super::super::runs::{JobSpec, RunSpec};
    use super::*;

    fn run(world: &mut World, has_queue: bool) -> u64 {
        let concurrency = Some(Concurrency { group: "deploy".to_owned(), has_queue });
        let spec = RunSpec { concurrency, ..RunSpec::default() };
        world.gh.add_run(world.repository, spec, vec![JobSpec::new("build", &["x64"])], 0)
    }

    fn status(world: &World, run: u64) -> &'static str {
        world.gh.run_status(world.gh.run(run).unwrap()).0.as_str()
    }

    #[test]
    fn one_holds_the_group_and_the_newest_waits() {
        let mut world = World::new();
        let [first, second, third] = [(); 3].map(|()| run(&mut world, false));
        let all = |world: &World| [first, second, third].map(|run| status(world, run));
        assert_eq!(all(&world), ["queued", "completed", "pending"]);
        assert!(world.gh.run(third).unwrap().jobs.is_empty());
        world.gh.cancel_run(first, 1);
        assert_eq!(all(&world), ["completed", "completed", "queued"]);
    }

    #[test]
    fn a_queue_replaces_nobody() {
        let mut world = World::new();
        let [first, second, third] = [(); 3].map(|()| run(&mut world, true));
        let all = |world: &World| [first, second, third].map(|run| status(world, run));
        assert_eq!(all(&world), ["queued", "pending", "pending"]);
        world.gh.cancel_run(second, 1);
        world.gh.cancel_run(first, 1);
        assert_eq!(all(&world), ["completed", "completed", "queued"]);
    }
}
