//! Garbage collection: what Nomad forgets, and with it the idempotency tokens.
//!
//! Read next: `queries.rs`.

use std::collections::BTreeSet;

use super::changes::Subject;
use super::children::{Child, JobStatus};
use super::happenings::What;
use super::jobs::JobKey;
use super::model::{Due, Millis, Nomad};
use super::nodes::NodeStatus;
use super::tables::Table;

impl Nomad {
    /// `PUT /v1/system/gc`: forgets all that is dead, at once.
    pub fn system_gc(&mut self, now: Millis) {
        self.collect(now, 0);
    }

    /// Dead jobs go some hours after their *submission*, once their allocations are that old too
    /// (`nomad/core_sched.go`, `jobGC`; dead batch jobs qualify without being stopped).
    pub(super) fn collect_old(&mut self, now: Millis) {
        self.collect(now, self.knobs.gc_threshold);
        if !self.children.is_empty() {
            self.at(now + self.knobs.gc_interval, Due::Collect);
        }
    }

    /// Sees to it that collection goes on while there is something to collect.
    pub(super) fn schedule_collection(&mut self, now: Millis) {
        if !self.due.iter().any(|(_, due)| *due == Due::Collect) {
            self.at(now + self.knobs.gc_interval, Due::Collect);
        }
    }

    fn collect(&mut self, now: Millis, threshold: Millis) {
        self.collect_jobs(now, threshold);
        self.collect_evaluations(now, threshold);
        self.collect_nodes();
    }

    fn collect_jobs(&mut self, now: Millis, threshold: Millis) {
        let old: Vec<JobKey> = self
            .children
            .iter()
            .filter(|(_, child)| child.submit_time + threshold <= now)
            .map(|(key, _)| key.clone())
            .filter(|key| self.status(key) == Some(JobStatus::Dead))
            .filter(|key| {
                self.allocations_of(key).all(|one| {
                    one.client_status.is_terminal()
                        && one.poststop.is_none()
                        && one.modified_at + threshold <= now
                })
            })
            .collect();
        // A parameterized job goes only when it is stopped.
        let stopped: Vec<JobKey> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.stop && job.definition.submit_time + threshold <= now)
            .map(|(key, _)| key.clone())
            .collect();
        if old.is_empty() && stopped.is_empty() {
            return;
        }
        let index = self.bump();
        let mut subjects = Vec::new();
        for key in old {
            self.note(now, What::Collected { job: key.id.clone() });
            let ids: Vec<String> = self.evaluations_of(&key).map(|one| one.id.clone()).collect();
            ids.iter().for_each(|id| self.forget_evaluation(id));
            self.write_too(Table::Evaluations, index);
            if let Some(child) = self.forget(&key, index) {
                subjects.push(Subject::Child { key, child: Box::new(child), deleted: true });
            }
        }
        for key in stopped {
            self.note(now, What::Collected { job: key.id.clone() });
            self.versions.remove(&key);
            self.counts.remove(&key);
            self.write_too(Table::Jobs, index);
            if let Some(job) = self.jobs.remove(&key) {
                subjects.push(Subject::Registered { key, job: Box::new(job), deleted: true });
            }
        }
        self.tell(index, "JobBatchDeregistered", subjects);
    }

    /// Those of jobs that are not there any more.
    fn collect_evaluations(&mut self, now: Millis, threshold: Millis) {
        let old: Vec<String> = self
            .evaluations
            .values()
            .filter(|one| !self.children.contains_key(&one.job) && one.status.is_terminal())
            .filter(|one| one.modified_at + threshold <= now)
            .map(|one| one.id.clone())
            .collect();
        if !old.is_empty() {
            self.write(Table::Evaluations);
        }
        old.iter().for_each(|id| self.forget_evaluation(id));
    }

    /// Nodes that are down, and of which no allocation is left.
    fn collect_nodes(&mut self) {
        let used: BTreeSet<String> =
            self.allocations.values().map(|one| one.node.clone()).collect();
        let idle = |id: &String| !used.contains(id);
        let down = self.nodes.values().filter(|node| node.status == NodeStatus::Down);
        // One that is only silent comes back under its name.
        let old: Vec<String> = down
            .filter(|node| !node.is_silent())
            .map(|node| node.id.clone())
            .filter(idle)
            .collect();
        for id in old {
            self.nodes.remove(&id);
            self.write(Table::Nodes);
        }
    }

    /// Drops the records of a job and its allocations; allocations stay only as long as their
    /// processes do.
    pub(super) fn forget(&mut self, key: &JobKey, index: u64) -> Option<Child> {
        let child = self.children.remove(key)?;
        self.versions.remove(key);
        let parent = JobKey { namespace: key.namespace.clone(), id: child.parent.clone() };
        self.count_child(&parent, Some(child.status), None);
        if let Some(token) = child.token.clone() {
            self.tokens.remove(&(parent, token));
        }
        for id in &child.allocations {
            match self.allocations.get_mut(id) {
                // A real client finds out by itself.
                Some(one) if one.lives && !self.knobs.real_clients => one.purged = true,
                _ => {
                    self.allocations.remove(id);
                }
            }
        }
        self.write_too(Table::Jobs, index);
        // Whether it had any or not ([V]).
        self.write_too(Table::Allocations, index);
        Some(child)
    }
}
