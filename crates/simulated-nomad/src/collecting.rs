//! Garbage collection: what Nomad forgets, and with it the idempotency tokens.
//!
//! Read next: `queries.rs`.

use super::children::JobStatus;
use super::happenings::What;
use super::jobs::JobKey;
use super::model::{Due, Millis, Nomad};
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
        for key in old {
            self.note(now, What::Collected { job: key.id.clone() });
            self.forget(&key);
        }
    }

    /// Drops the child's records; allocations stay only as long as their processes do.
    pub(super) fn forget(&mut self, key: &JobKey) {
        let Some(child) = self.children.remove(key) else { return };
        self.versions.remove(key);
        if let Some(token) = child.token {
            let parent = JobKey { namespace: key.namespace.clone(), id: child.parent };
            self.tokens.remove(&(parent, token));
        }
        let had_evaluations = !child.evaluations.is_empty();
        let had_allocations = !child.allocations.is_empty();
        for id in child.evaluations {
            self.evaluations.remove(&id);
        }
        for id in child.allocations {
            match self.allocations.get_mut(&id) {
                Some(one) if one.lives => one.purged = true,
                _ => {
                    self.allocations.remove(&id);
                }
            }
        }
        let index = self.write(Table::Jobs);
        if had_evaluations {
            self.write_too(Table::Evaluations, index);
        }
        if had_allocations {
            self.write_too(Table::Allocations, index);
        }
    }
}
